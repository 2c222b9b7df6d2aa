//! Sixteen bytes in a vector register, and the scanner compiled for newer processors.

#![allow(
    unsafe_code,
    reason = "vector instructions, one of which loads what is left of a slice, and calls of functions \
              for processors with AVX2 and BMI or AVX-512, after asking for them"
)]

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_and_si128, _mm_cmpeq_epi8, _mm_cvtsi32_si128, _mm_cvtsi128_si64,
    _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    _mm_setzero_si128, _mm_slli_si128, _mm_sub_epi8, _mm_unpackhi_epi64, _mm_xor_si128,
    _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set_m128i,
    _mm256_set1_epi8, _mm512_add_epi16, _mm512_castsi512_si256, _mm512_cmpeq_epi8_mask,
    _mm512_cmplt_epu8_mask, _mm512_cvtepu8_epi16, _mm512_mask_loadu_epi8,
    _mm512_maskz_compress_epi8, _mm512_min_epu8, _mm512_movepi8_mask, _mm512_or_si512,
    _mm512_set1_epi8, _mm512_set1_epi16, _mm512_xor_si512,
};
use std::mem::transmute;

use super::block::{Block, Census, census};
use super::marks::{DENSEST, Found, Marks, Places, Writer};
use super::scan::{self, Layout};
use super::spots;
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
    fn differing(self, other: &[u8; 16], of: &[u8; 16]) -> Self {
        Self(sse2!(_mm_and_si128(
            _mm_xor_si128(self.0, vector(other)),
            vector(of)
        )))
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(sse2!(_mm_or_si128(self.0, other.0)))
    }

    #[inline(always)]
    fn is_zero(self) -> bool {
        mask(sse2!(_mm_cmpeq_epi8(self.0, _mm_setzero_si128()))) == 0xffff
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
pub(super) struct Avx2 {
    /// And what listing quotes with AVX-512 takes.
    avx512: Option<Avx512>,
}

/// The proof that this processor has AVX-512 with what was added to it for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx512(());

impl Avx2 {
    /// Asks the processor.
    pub(super) fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt");
        let more = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2");
        all.then_some(Self {
            avx512: more.then_some(Avx512(())),
        })
    }

    /// What is used of a processor without AVX-512.
    #[cfg(test)]
    pub(super) fn without_avx512(self) -> Self {
        Self { avx512: None }
    }

    /// What it has more.
    #[cfg(test)]
    pub(super) fn avx512(self) -> Option<Avx512> {
        self.avx512
    }

    /// As [`scan::fit`].
    #[inline]
    pub(super) fn fit(
        self,
        layout: &Layout,
        holes: &mut [Hole],
        message: &[u8],
        marks: &mut Marks,
    ) -> bool {
        // SAFETY: only `detect` makes one of these, and only if the processor has all of these.
        unsafe {
            match self.avx512 {
                Some(avx512) => fit_listed(avx512, layout, holes, message, marks),
                // It would take longer to list the quotes than to look for them hole by hole.
                None => fit_avx2(layout, holes, message),
            }
        }
    }

    /// As [`census`].
    #[cfg(test)]
    pub(super) fn census(self, message: &[u8]) -> Census {
        // SAFETY: as for `fit`.
        unsafe { census_avx2(message) }
    }
}

impl Avx512 {
    /// As [`marks::list`].
    #[inline]
    pub(super) fn list(self, message: &[u8], places: &mut Places) -> Found {
        // SAFETY: only `Avx2::detect` makes one of these, and only if the processor has all of these.
        unsafe { list_avx512(message, places) }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn fit_avx2(layout: &Layout, holes: &mut [Hole], message: &[u8]) -> bool {
    scan::fit::<Vector>(layout, holes, message, |message| census_avx2(message))
}

/// A function of its own: what both keep in registers is more than there are.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn fit_listed(
    avx512: Avx512,
    layout: &Layout,
    holes: &mut [Hole],
    message: &[u8],
    marks: &mut Marks,
) -> bool {
    let list = |message: &[u8], places: &mut _| avx512.list(message, places);
    spots::fit::<Vector>(layout, holes, message, marks, list)
        .unwrap_or_else(|| fit_avx2(layout, holes, message))
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

/// 0, 1, 2, ...
const NUMBERS: [u8; 64] = {
    let mut numbers = [0; 64];
    let mut at = 0;
    while at < 64 {
        numbers[at] = at as u8;
        at += 1;
    }
    numbers
};

/// As [`marks::list`], 64 bytes at a time.
#[target_feature(enable = "bmi1,bmi2,popcnt,avx512f,avx512bw,avx512vbmi2")]
fn list_avx512(message: &[u8], places: &mut Places) -> Found {
    let blank = _mm512_set1_epi8(b' ' as i8);
    let numbers = wide64(&NUMBERS);
    // The lowest bytes, the lowest of what is left of them but for a backslash, and all bits.
    let (mut lowest, mut escapes, mut any) = (blank, blank, blank);
    let mut writer = Writer::new(places);
    let mut base = 0_u16;
    let mut rest = message;
    while !rest.is_empty() {
        let (bytes, more);
        if let Some((chunk, after)) = rest.split_first_chunk() {
            (bytes, more) = (wide64(chunk), after);
        } else {
            (bytes, more) = (ending(rest), &[][..]);
        }
        lowest = _mm512_min_epu8(lowest, bytes);
        escapes = _mm512_min_epu8(
            escapes,
            _mm512_xor_si512(bytes, _mm512_set1_epi8(b'\\' as i8)),
        );
        any = _mm512_or_si512(any, bytes);
        let quotes = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'"' as i8));
        let found = _mm512_castsi512_si256(_mm512_maskz_compress_epi8(quotes, numbers));
        let found = _mm512_add_epi16(_mm512_cvtepu8_epi16(found), _mm512_set1_epi16(base as i16));
        if let Some(room) = writer.room(quotes.count_ones() as usize) {
            *room = words(found);
        }
        base = base.wrapping_add(64);
        rest = more;
    }
    let controls = _mm512_cmplt_epu8_mask(lowest, blank);
    let escapes = _mm512_cmplt_epu8_mask(escapes, _mm512_set1_epi8(1));
    Found {
        quotes: writer.finish(message.len()),
        census: Census {
            barred: controls | escapes != 0,
            high: _mm512_movepi8_mask(any) != 0,
        },
    }
}

/// 64 bytes.
#[inline(always)]
fn wide64(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: both are 64 bytes of which any value is one.
    unsafe { transmute::<[u8; 64], __m512i>(*bytes) }
}

/// 32 numbers of 16 bits.
#[inline(always)]
fn words(numbers: __m512i) -> [u16; DENSEST] {
    const _: () = assert!(cfg!(target_endian = "little"));
    // SAFETY: both are 64 bytes of which any value is one.
    unsafe { transmute::<__m512i, [u16; DENSEST]>(numbers) }
}

/// Fewer than 64 bytes, and blanks.
#[inline]
#[target_feature(enable = "bmi1,bmi2,avx512f,avx512bw")]
fn ending(bytes: &[u8]) -> __m512i {
    let these = !(u64::MAX << (bytes.len() % 64));
    // SAFETY: it reads those bytes whose bit is set, which are not more than the slice has.
    unsafe { _mm512_mask_loadu_epi8(_mm512_set1_epi8(b' ' as i8), these, bytes.as_ptr().cast()) }
}
