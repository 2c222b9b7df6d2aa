//! The order of marks: which invalidation came before a moment, and which after it.
//!
//! What was invalidated from the moment on at which bytes were read is not undone by what is in
//! them, however late it is published. So a batch has to know the sums of invalidations as they
//! were when it began; and a feed of a thousand entities is not to look at a thousand sums before
//! each read. It looks at one clock instead, which every mark moves, and takes the sums of an
//! entity when the batch has something for it:
//!
//! | who marks ([`Marks::raise`]) | owner |
//! |---|---|
//! | `n = clock.fetch_add(1) + 1` | `point = clock.load(Acquire)` |
//! | `last = max(last, n)` | read the bytes |
//! | `count.fetch_add(1, AcqRel)` | whenever it is needed: `c = count.load(Acquire)`, `last.load()` |
//! | `clock.fetch_add(1)` | stamp with `c - 1` if `last > point`, else with `c` |
//!
//! - *Nothing that came later is undone.* A mark whose `n` is above the point is in `last` if it is
//!   in `c`, since `last` was raised before and is acquired with the count. Then one is left out, of
//!   however many: the stamp is less than the count that holds the mark, and the value reads as
//!   invalidated, which is all that is asked. If it is not in `c`, the count will be higher still.
//! - *A mark that the point has behind it was there before the bytes were read*: the load acquires
//!   what came before the mark, and precedes the read.
//! - *What was taken may be kept* while the clock stands: the mark moves it once more when it is in
//!   the count. So whoever finds the clock where it was has the sums that he would find again; a sum
//!   that was taken half-way through a mark is not kept beyond it.
//! - *Owners come and go, and change nothing*: the clock is the store's. Who claims an entity in the
//!   middle of a batch takes its sums as of the point at which that batch began.
//!
//! A slot has one word for both, its count and the low bits of the clock ([`Slot::invalidate`]):
//! of those it can be told whether they lie between the point and now, as long as no more marks than
//! [`LOW_BITS`] can count were made in between; if more were, one is left out in any case. Two who
//! mark one slot at once take their points after a look at the word and again if it has moved, so
//! that the points in it rise. The generations of links have their point as well
//! ([`LinkWord`](super::link::LinkWord)).
//!
//! `tests/marks_models.rs` runs this under loom, each step with a variant that lacks it.
//!
//! [`Slot::invalidate`]: super::slot::Slot::invalidate

use crossbeam_utils::CachePadded;

use crate::store::fault::{Fault, injected};
use crate::sync::{AtomicU64, Ordering};

/// So many low bits of the clock are kept in the word of a slot.
pub(super) const LOW_BITS: u32 = 24;
const LOW_MASK: u64 = (1 << LOW_BITS) - 1;

/// A point in the order of marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point(u64);

impl Point {
    /// The point with this number.
    pub(super) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub(super) const fn get(self) -> u64 {
        self.0
    }

    /// What is kept of it in the word of a slot.
    pub(super) const fn low(self) -> u64 {
        self.0 & LOW_MASK
    }

    /// The same, of the word of a slot.
    pub(super) const fn low_of(word: u64) -> u64 {
        word & LOW_MASK
    }
}

/// The marks of a store, in their order. See the file's head.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Marks {
    /// Of everything: every read looks at it.
    everything: Tally,
    /// How often a mark has begun or ended. Every batch looks at it, and no read does.
    clock: CachePadded<AtomicU64>,
}

impl Marks {
    pub(super) fn new() -> Self {
        Self {
            everything: Tally::new(),
            clock: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// What is marked from here on comes after it. To be taken before bytes are read: it acquires
    /// what came before the marks that it has behind it.
    #[inline]
    pub(crate) fn point(&self) -> Point {
        let order = if injected(Fault::PointRelaxed) {
            Ordering::Relaxed
        } else {
            Ordering::Acquire
        };
        Point(self.clock.load(order))
    }

    /// A point above all that were taken before: that of a mark which is about to be made.
    pub(super) fn next(&self) -> Point {
        Point(self.clock.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// A mark has been made: sums that were taken while it was are to be taken again.
    pub(super) fn made(&self) {
        if !injected(Fault::MarkedOnce) {
            self.next();
        }
    }

    /// Marks what the tally counts.
    pub(super) fn raise(&self, tally: &Tally) {
        if injected(Fault::CountFirst) {
            tally.count.fetch_add(1, Ordering::AcqRel);
            tally.last.fetch_max(self.next().0, Ordering::Relaxed);
            return self.made();
        }
        tally.last.fetch_max(self.next().0, Ordering::Relaxed);
        // Releases it.
        tally.count.fetch_add(1, Ordering::AcqRel);
        self.made();
    }

    /// Marks everything.
    pub(super) fn raise_everything(&self) {
        self.raise(&self.everything);
    }

    /// How often everything was marked.
    #[inline]
    pub(super) fn everything(&self) -> &Tally {
        &self.everything
    }

    /// Whether a mark came after a point, by the low bits of its own, which the caller has acquired
    /// from the word of a slot.
    pub(super) fn is_after(&self, low: u64, point: Point) -> bool {
        // No less than the whole of the mark's own point: that was taken before its word was stored.
        let now = self.clock.load(Ordering::Relaxed);
        let (age, since) = (now - point.0, low.wrapping_sub(point.0) & LOW_MASK);
        age > LOW_MASK || (since != 0 && since <= age)
    }
}

/// How often one thing was marked, and when last.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Tally {
    count: AtomicU64,
    last: AtomicU64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    /// How often so far.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// How often it was at a point, or fewer times: less than now, if it was marked since.
    #[inline]
    pub(super) fn as_of(&self, point: Point) -> u64 {
        let count = self.now();
        // After the count, which acquires it.
        let since = self.last.load(Ordering::Relaxed) > point.0;
        let since = since && !injected(Fault::SumsAsOfNow);
        count.saturating_sub(u64::from(since))
    }
}
