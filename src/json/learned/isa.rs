//! Which form of the scanner this processor runs.

use super::block::census;
use super::marks::{self, Marks};
use super::portable::Words;
use super::scan::{self, Layout};
#[cfg(target_arch = "x86_64")]
use super::simd;
use super::spots;
use super::template::Hole;

/// A form of the scanner. All of them give the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    /// Plain numbers.
    #[cfg_attr(
        target_arch = "x86_64",
        allow(dead_code, reason = "x86-64 has vectors")
    )]
    Portable,
    /// SSE2, which every x86-64 has.
    #[cfg(target_arch = "x86_64")]
    Baseline,
    /// The same, compiled for AVX2 and BMI; quotes are listed by AVX-512 where there is that.
    #[cfg(target_arch = "x86_64")]
    Avx2(simd::Avx2),
}

impl Isa {
    /// The best one that this processor has.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn detect() -> Self {
        simd::Avx2::detect().map_or(Self::Baseline, Self::Avx2)
    }

    /// The best one that this processor has.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn detect() -> Self {
        Self::Portable
    }

    /// All that this processor has.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            all.push(Self::Baseline);
            let avx2 = simd::Avx2::detect();
            all.extend(avx2.map(simd::Avx2::without_avx512).map(Self::Avx2));
            all.extend(avx2.map(Self::Avx2));
        }
        all
    }

    /// Whether `message` fits `layout`; see [`scan::fit`].
    #[inline]
    pub(super) fn fit(
        self,
        layout: &Layout,
        holes: &mut [Hole],
        message: &[u8],
        marks: &mut Marks,
    ) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.fit(layout, holes, message, marks),
            #[cfg(target_arch = "x86_64")]
            Self::Baseline => simd::fit_baseline(layout, holes, message),
            Self::Portable => fit_portable(layout, holes, message, marks),
        }
    }
}

#[inline(never)]
fn fit_portable(layout: &Layout, holes: &mut [Hole], message: &[u8], marks: &mut Marks) -> bool {
    spots::fit::<Words>(layout, holes, message, marks, marks::list::<Words>)
        .unwrap_or_else(|| scan::fit::<Words>(layout, holes, message, census::<Words>))
}
