//! The epoch word: how many publications a slot has had, and what state it is in.
//!
//! All orderings of the version ring are in this file. Each method says whom it pairs with;
//! `mod.rs` has the argument, `tests/ring_models.rs` the proof.

use super::fault::{Fault, injected};
use crate::sync::{AtomicU64, Ordering, Own, fence};

/// The value was removed; the slot may be revived.
const REMOVED: u64 = 1;
/// The slot was purged; nothing will be published here again.
const DEAD: u64 = 1 << 1;
/// The slot goes on in the next block.
const CLOSED: u64 = 1 << 2;
/// Nothing has been published yet.
const EMPTY: u64 = 1 << 3;
const FLAGS: u32 = 4;

/// One reading of an epoch word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

impl Epoch {
    /// The epoch of a slot without a publication. The first one gets the number after `number`.
    pub(super) const fn empty(number: u64) -> Self {
        Self(number << FLAGS | EMPTY)
    }

    /// How many publications there have been, those of purged slots of the entity included.
    #[inline]
    pub(crate) const fn number(self) -> u64 {
        self.0 >> FLAGS
    }

    /// There is a value.
    #[inline]
    pub(crate) const fn has_value(self) -> bool {
        self.0 & (REMOVED | DEAD | EMPTY) == 0
    }

    pub(crate) const fn is_removed(self) -> bool {
        self.0 & REMOVED != 0
    }

    pub(crate) const fn is_dead(self) -> bool {
        self.0 & DEAD != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 & EMPTY != 0
    }

    #[inline]
    pub(super) const fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// The next publication, of a value.
    #[inline]
    pub(super) const fn next(self) -> Self {
        Self((self.number() + 1) << FLAGS)
    }

    /// The next publication, of a removal.
    pub(super) const fn next_removed(self) -> Self {
        Self(self.next().0 | REMOVED)
    }

    /// The last publication.
    pub(super) const fn next_dead(self) -> Self {
        Self(self.next().0 | DEAD)
    }

    /// The publication `back` before this one; its flags are not known.
    pub(super) const fn before(self, back: u64) -> Self {
        Self(self.number().saturating_sub(back) << FLAGS)
    }
}

/// The word itself. Written by the owner only.
#[derive(Debug)]
pub(super) struct EpochWord(AtomicU64);

impl EpochWord {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self(AtomicU64::new(epoch.0))
    }

    /// Reader: the newest publication. Acquires the words of its version: pairs with
    /// [`publish`](Self::publish).
    #[inline]
    pub(super) fn load(&self) -> Epoch {
        Epoch(self.0.load(Ordering::Acquire))
    }

    /// Reader: whether a copy made after [`load`](Self::load) gave `epoch` is of that publication,
    /// in a ring of `versions`.
    ///
    /// The fence pairs with the one in [`begin`](Self::begin): if any word copied was written for
    /// a later publication, the load sees at least the epoch before that publication, and
    /// `versions - 1` past `epoch` is the first whose words go where the copy was made. It also
    /// pairs with [`close`](Self::close): a document missing because the block was closed is not
    /// taken for one that was not there.
    #[inline]
    pub(super) fn holds(&self, epoch: Epoch, versions: usize) -> bool {
        if !injected(Fault::ReaderFence) {
            fence(Ordering::Acquire);
        }
        let now = Epoch(self.0.load(Ordering::Relaxed));
        let slack = versions as u64 - if injected(Fault::AcceptLate) { 1 } else { 2 };
        now.number() - epoch.number() <= slack && !now.is_closed()
    }

    /// Owner: comes before the first store to a version's words. Pairs with the fence in
    /// [`holds`](Self::holds): orders the epoch's last store before the words' next ones.
    #[inline]
    pub(super) fn begin(&self) {
        if !injected(Fault::WriterFence) {
            fence(Ordering::Release);
        }
    }

    /// Owner: shows the version of `epoch`. Releases its words: pairs with [`load`](Self::load).
    #[inline]
    pub(super) fn publish(&self, epoch: Epoch) {
        let order = if injected(Fault::PublishRelaxed) {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        self.0.store(epoch.0, order);
    }

    /// Owner: sends readers to the next block. Releases it: pairs with [`load`](Self::load).
    pub(super) fn close(&self) {
        self.0.store(self.own().0 | CLOSED, Ordering::Release);
    }

    /// Owner: what it stored last. Relaxed, since nobody else stores; a new owner has the old
    /// one's stores by the claim's lock.
    #[inline]
    pub(super) fn own(&self) -> Epoch {
        Epoch(self.0.own())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_only_rise_and_flags_say_what_was_published() {
        let empty = Epoch::empty(7);
        assert_eq!(
            (empty.number(), empty.is_empty(), empty.has_value()),
            (7, true, false)
        );
        let value = empty.next();
        assert_eq!(
            (value.number(), value.is_empty(), value.has_value()),
            (8, false, true)
        );
        let removed = value.next_removed();
        assert_eq!(
            (removed.number(), removed.is_removed(), removed.has_value()),
            (9, true, false)
        );
        let revived = removed.next();
        assert_eq!((revived.number(), revived.is_removed()), (10, false));
        let dead = revived.next_dead();
        assert_eq!(
            (dead.number(), dead.is_dead(), dead.has_value()),
            (11, true, false)
        );
        assert_eq!(dead.before(2).number(), 9);
    }

    #[cfg(not(tickcache_model))]
    #[test]
    fn a_copy_holds_until_the_ring_comes_round() {
        for versions in [2, 3, 4] {
            let word = EpochWord::new(Epoch::empty(0));
            let first = word.own().next();
            word.publish(first);
            for later in 0..6 {
                assert_eq!(
                    word.holds(first, versions),
                    later + 2 <= versions,
                    "{later}"
                );
                word.publish(word.own().next());
            }
        }
    }

    #[cfg(not(tickcache_model))]
    #[test]
    fn closing_keeps_the_number() {
        let word = EpochWord::new(Epoch::empty(3));
        word.publish(word.own().next());
        word.close();
        assert!(word.load().is_closed());
        assert_eq!(word.load().number(), 4);
    }
}
