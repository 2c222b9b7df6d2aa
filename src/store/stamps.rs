//! What of a version is held against what goes on beside the slots: its stamps.
//!
//! Every read looks at them, so they lie beside the epoch, in a line that it has loaded anyway, and
//! not with the rest of the header. They are words of a version like any other: written between
//! [`begin`](super::epoch::EpochWord::begin) and the store of the epoch, copied between its two
//! loads. A version's take a word and a half, so that those of two fit into the line:
//!
//! | bits | what |
//! |---|---|
//! | 8 | flags; a link's word has its state there, which a stamp has not |
//! | 40 | generation of the link |
//! | 48 | sum of invalidations, the lower 16 in the whole word |
//!
//! A sum beyond its 48 bits is cut off: it is then less than any sum to come, and the value reads
//! invalidated, never live by mistake.

use crate::store::head::flags;
use crate::sync::{AtomicU32, AtomicU64, Ordering, Own};

/// What of a version is compared with what goes on beside the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamps {
    /// The link's generation when the value was last confirmed, as a word of a link that is open.
    pub(crate) link: u64,
    /// The sum of invalidations that the value is good for.
    pub(crate) invalidation: u64,
    /// Of [`flags`](super::flags).
    pub(crate) flags: u8,
}

/// The bits of a link's word that are no part of its generation.
const STATE: u64 = 0xff;
/// Bits of the link's word, its state included.
const LINK_BITS: u32 = 48;
const LINK: u64 = (1 << LINK_BITS) - 1;

/// The stamps of a version, as they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    low: u64,
    high: u32,
}

impl Packed {
    /// Of a link's word only the generation is kept.
    #[inline(always)]
    pub(super) const fn new(link: u64, invalidation: u64, flags: u8) -> Self {
        Self {
            low: link & LINK & !STATE | flags as u64 | invalidation << LINK_BITS,
            high: (invalidation >> (64 - LINK_BITS)) as u32,
        }
    }

    #[inline(always)]
    pub(super) const fn link(self) -> u64 {
        self.low & LINK & !STATE
    }

    #[inline(always)]
    pub(super) const fn invalidation(self) -> u64 {
        self.low >> LINK_BITS | (self.high as u64) << (64 - LINK_BITS)
    }

    /// With those that are the store's own.
    #[inline(always)]
    pub(super) const fn flags(self) -> u8 {
        self.low as u8
    }

    /// Whether there is, or was, a document beside the cells.
    #[inline(always)]
    pub(super) const fn has_document(self) -> bool {
        self.flags() & flags::DOCUMENT != 0
    }

    /// Without what is the store's own.
    #[inline(always)]
    pub(super) const fn stamps(self) -> Stamps {
        Stamps {
            link: self.link(),
            invalidation: self.invalidation(),
            flags: self.flags() & !flags::DOCUMENT,
        }
    }
}

/// The stamps of all versions of a ring.
#[derive(Debug)]
#[repr(C)]
pub(super) struct StampWords<const K: usize> {
    low: [AtomicU64; K],
    high: [AtomicU32; K],
}

/// Where the stamps of one version lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct StampsOf<'a> {
    pub(super) low: &'a AtomicU64,
    high: &'a AtomicU32,
}

impl<const K: usize> StampWords<K> {
    /// Of versions that were never published.
    pub(super) fn new() -> Self {
        Self {
            low: std::array::from_fn(|_| AtomicU64::new(0)),
            high: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Those of the version that the publication with this number has.
    #[inline(always)]
    pub(super) fn of(&self, number: u64) -> StampsOf<'_> {
        let at = number as usize % K;
        StampsOf {
            low: &self.low[at],
            high: &self.high[at],
        }
    }
}

impl StampsOf<'_> {
    /// Relaxed: the epoch orders them.
    #[inline(always)]
    pub(super) fn load(self) -> Packed {
        Packed {
            low: self.low.load(Ordering::Relaxed),
            high: self.high.load(Ordering::Relaxed),
        }
    }

    /// The owner's.
    #[inline(always)]
    pub(super) fn own(self) -> Packed {
        Packed {
            low: self.low.own(),
            high: self.high.own(),
        }
    }

    /// Relaxed: the epoch orders them.
    #[inline(always)]
    pub(super) fn store(self, stamps: Packed) {
        self.low.store(stamps.low, Ordering::Relaxed);
        self.high.store(stamps.high, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(tickcache_model)))]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_kept_apart() {
        for link in [0, 1 << 8, 7 << 8, ((1 << 40) - 1) << 8] {
            for invalidation in [0, 1, 0xffff, 0x1_0000, (1 << 48) - 1] {
                for flags in [0, flags::GAP, flags::DOCUMENT | flags::PARTIAL, 0xff] {
                    let packed = Packed::new(link, invalidation, flags);
                    let kept = (packed.link(), packed.invalidation(), packed.flags());
                    assert_eq!(kept, (link, invalidation, flags));
                    assert_eq!(packed.has_document(), flags & flags::DOCUMENT != 0);
                    assert_eq!(packed.stamps().flags, flags & !flags::DOCUMENT);
                }
            }
        }
    }

    #[test]
    fn what_is_too_much_makes_no_value_better() {
        let stateless = Packed::new(7 << 8 | 5, 0, 0);
        assert_eq!((stateless.link(), stateless.flags()), (7 << 8, 0));
        let beyond = Packed::new(1 << LINK_BITS, 1 << 48, 0);
        assert_eq!((beyond.link(), beyond.invalidation()), (0, 0));
    }

    #[test]
    fn each_version_has_its_own() {
        let words = StampWords::<3>::new();
        let of = |number: u64| Packed::new(number << 8, number, number as u8);
        (5..8).for_each(|number| words.of(number).store(of(number)));
        for number in 5..8 {
            assert_eq!(words.of(number).load(), of(number));
            assert_eq!(words.of(number).own(), of(number));
        }
    }
}
