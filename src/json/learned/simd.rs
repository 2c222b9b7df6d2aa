//! Sixteen bytes in a vector register, and the scanner compiled for newer processors.

#![allow(
    unsafe_code,
    reason = "vector instructions, none of which touches memory, and one call of a function for \
              processors with AVX2 and BMI, after asking for them"
)]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_and_si128, _mm_cmpeq_epi8, _mm_cvtsi32_si128, _mm_cvtsi128_si64,
    _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8, _mm_slli_si128,
    _mm_sub_epi8, _mm_unpackhi_epi64, _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_movemask_epi8,
    _mm256_or_si256, _mm256_set_m128i, _mm256_set1_epi8,
};

use super::block::{Block, Census, census};
use super::scan::{self, Layout};
use super::template::Hole;

/// Sixteen bytes, with what every x86-64 has (SSE2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Vector(__m128i);

/// Instructions of SSE2, on registers only.
macro_rules! sse2 {
    ($instructions:expr) => {{
        const _: () = assert!(cfg!(target_feature = "sse2"));
        // SAFETY: what this is compiled for has SSE2, as just asserted, and none of the functions
        // called has another condition.
        unsafe { $instructions }
    }};
}

/// `KEEP[16 - n..]` begins with `n` bytes of ones, followed by zeros.
const KEEP: [u8; 32] = {
    let mut keep = [0; 32];
    let mut at = 0;
    while at < 16 {
        keep[at] = 0xff;
        at += 1;
    }
    keep
};

#[inline(always)]
fn vector(bytes: &[u8; 16]) -> __m128i {
    let both = u128::from_le_bytes(*bytes);
    sse2!(_mm_set_epi64x((both >> 64) as i64, both as i64))
}

#[inline(always)]
fn mask(bytes: __m128i) -> u32 {
    sse2!(_mm_movemask_epi8(bytes)) as u32
}

#[inline(always)]
fn splat(byte: u8) -> __m128i {
    sse2!(_mm_set1_epi8(byte as i8))
}

impl Block for Vector {
    #[inline(always)]
    fn load(bytes: &[u8; 16]) -> Self {
        Self(vector(bytes))
    }

    #[inline(always)]
    fn same(self, other: &[u8; 16]) -> u32 {
        mask(sse2!(_mm_cmpeq_epi8(self.0, vector(other))))
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u32 {
        mask(sse2!(_mm_cmpeq_epi8(self.0, splat(byte))))
    }

    #[inline(always)]
    fn barred(self) -> u32 {
        mask(sse2!({
            let control = _mm_cmpeq_epi8(_mm_min_epu8(self.0, splat(0x1f)), self.0);
            let escape = _mm_cmpeq_epi8(self.0, splat(b'\\'));
            _mm_or_si128(control, escape)
        }))
    }

    #[inline(always)]
    fn digits(self) -> u32 {
        mask(sse2!({
            let value = _mm_sub_epi8(self.0, splat(b'0'));
            _mm_cmpeq_epi8(_mm_min_epu8(value, splat(9)), value)
        }))
    }

    #[inline(always)]
    fn high(self) -> bool {
        mask(self.0) != 0
    }

    #[inline(always)]
    fn cell(self, length: u32, tag: u8) -> [u64; 2] {
        let skip = 16 - (length as usize & 15);
        let Some(keep) = KEEP.get(skip..).and_then(|rest| rest.first_chunk()) else {
            return [0; 2];
        };
        let head = (u32::from(tag) << 4 | length) as i32;
        sse2!({
            let text = _mm_slli_si128::<1>(_mm_and_si128(self.0, vector(keep)));
            let cell = _mm_or_si128(text, _mm_cvtsi32_si128(head));
            let last = _mm_unpackhi_epi64(cell, cell);
            [
                _mm_cvtsi128_si64(cell) as u64,
                _mm_cvtsi128_si64(last) as u64,
            ]
        })
    }
}

/// The proof that this processor has what the scanner for AVX2 and BMI is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx2(());

impl Avx2 {
    /// Asks the processor.
    pub(super) fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        all.then_some(Self(()))
    }

    /// As [`scan::fit`].
    #[inline]
    pub(super) fn fit(self, layout: &Layout, holes: &mut [Hole], message: &[u8]) -> bool {
        // SAFETY: only `detect` makes one of these, and only if the processor has all of these.
        unsafe { fit_avx2(layout, holes, message) }
    }

    /// As [`census`].
    #[cfg(test)]
    pub(super) fn census(self, message: &[u8]) -> Census {
        // SAFETY: as for `fit`.
        unsafe { census_avx2(message) }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn fit_avx2(layout: &Layout, holes: &mut [Hole], message: &[u8]) -> bool {
    scan::fit::<Vector>(layout, holes, message, |message| census_avx2(message))
}

/// As [`census`], 32 bytes at a time.
#[target_feature(enable = "avx2")]
fn census_avx2(message: &[u8]) -> Census {
    let (Some(last), (chunks, _)) = (message.last_chunk(), message.as_chunks::<32>()) else {
        return census::<Vector>(message);
    };
    // The last ones may be looked at twice.
    let mut any = wide(last);
    let mut barred = barred_of(any);
    for chunk in chunks {
        let bytes = wide(chunk);
        any = _mm256_or_si256(any, bytes);
        barred = _mm256_or_si256(barred, barred_of(bytes));
    }
    Census {
        barred: _mm256_movemask_epi8(barred) != 0,
        high: _mm256_movemask_epi8(any) != 0,
    }
}

#[target_feature(enable = "avx2")]
fn wide(bytes: &[u8; 32]) -> __m256i {
    let (low, high) = bytes.split_at(16);
    let half = |half: &[u8]| half.first_chunk().map_or_else(|| vector(&[0; 16]), vector);
    _mm256_set_m128i(half(high), half(low))
}

/// Ones in the bytes that no string may have.
#[target_feature(enable = "avx2")]
fn barred_of(bytes: __m256i) -> __m256i {
    let control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);
    _mm256_or_si256(
        control,
        _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\\' as i8)),
    )
}

/// As [`scan::fit`], on every x86-64.
#[inline(never)]
pub(super) fn fit_baseline(layout: &Layout, holes: &mut [Hole], message: &[u8]) -> bool {
    scan::fit::<Vector>(layout, holes, message, census::<Vector>)
}
