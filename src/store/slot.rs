//! A slot: the newest value of one key, for one writer and any number of readers.

use std::fmt;

use crate::key::{Id, IdRef};
use crate::store::block::{Block, VERSIONS};
use crate::store::epoch::Epoch;
use crate::store::fault::{Fault, injected};
use crate::store::marks::{LOW_BITS, Point};
use crate::store::reader::Cached;
use crate::store::shared::Shared;
use crate::store::wake::{Bell, Seen, Watched};
use crate::sync::{Arc, ArcSwapOption, AtomicBool, AtomicU64, Ordering};

/// The newest value of one key. See the room's head for the contract.
///
/// Reads take `&self` and write nothing, so the cost of a publication does not depend on them.
///
/// In three cache lines, where the allocator gives allocations of 176 bytes such a place, as the
/// usual ones do that keep sizes apart (they round it up to 192): the reference counts, which clones
/// of a handle bounce, with what never changes; then all that a read by handle needs beside the
/// cells, which is what every publication writes; then what is rarely looked at. Whoever finds them
/// elsewhere pays one line more. To insist on it by an alignment would cost 48 bytes a slot.
#[repr(C)]
pub(crate) struct Slot<const K: usize = VERSIONS> {
    id: Id,
    shared: Arc<Shared>,
    number: u32,
    /// Somebody is about to replace `cached`.
    pub(super) caching: AtomicBool,
    /// Invalidations of this slot alone, and below that what is kept of the point of the last one.
    invalidated: AtomicU64,
    /// The first ring, inline: most slots never need another.
    pub(super) first: Block<K>,
    /// On a line that the owner looks at only if anybody waits for anything.
    bell: Bell,
    pub(super) cached: ArcSwapOption<Cached>,
}

#[cfg(all(not(tickcache_model), target_pointer_width = "64"))]
const _: () = {
    use crate::store::block::HOT;
    use std::mem::{offset_of, size_of};
    /// Before the slot in its allocation.
    const COUNTS: usize = 2 * size_of::<usize>();
    const LINE: usize = 64;
    let hot = COUNTS + offset_of!(Slot, invalidated);
    let end = COUNTS + offset_of!(Slot, first) + HOT;
    assert!(hot == LINE && end == 2 * LINE, "one line for a read");
    assert!(COUNTS + size_of::<Slot>() == 176, "in three lines");
};

/// The number of a slot that is in no index. No index has so many.
pub(super) const NO_NUMBER: u32 = u32::MAX;

impl<const K: usize> Slot<K> {
    /// A slot without a value. Its first publication gets the number after `start`.
    pub(super) fn new(id: IdRef<'_>, number: u32, start: u64, shared: Arc<Shared>) -> Self {
        Self {
            id: id.to_owned(),
            shared,
            number,
            caching: AtomicBool::new(false),
            invalidated: AtomicU64::new(0),
            first: Block::new(Epoch::empty(start)),
            bell: Bell::new(),
            cached: ArcSwapOption::new(None),
        }
    }

    /// The slot's number within its entity. Used again only after a purge.
    #[inline]
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Whether it is in no index: nobody will ever write it.
    pub(crate) fn is_detached(&self) -> bool {
        self.number == NO_NUMBER
    }

    /// The id it is for. Costs a UTF-8 check.
    pub(crate) fn id(&self) -> IdRef<'_> {
        self.id.as_ref()
    }

    /// As [`id`](Self::id), without the check.
    pub(crate) fn own_id(&self) -> &Id {
        &self.id
    }

    #[inline]
    pub(super) fn is(&self, id: IdRef<'_>) -> bool {
        self.id.is(id)
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The block that publications go to, and its epoch. Acquires the version's words.
    #[inline]
    pub(super) fn newest(&self) -> (&Block<K>, Epoch) {
        let epoch = self.first.epoch.load();
        if epoch.is_closed() {
            Self::follow(&self.first, epoch)
        } else {
            (&self.first, epoch)
        }
    }

    /// As [`newest`](Self::newest), from a later block on.
    #[cold]
    pub(super) fn follow(mut block: &Block<K>, mut epoch: Epoch) -> (&Block<K>, Epoch) {
        while epoch.is_closed() {
            // "Closed" was stored after the next block was set, and acquired with the epoch.
            let next = block.next();
            debug_assert!(next.is_some(), "a closed block has a successor");
            #[cfg(tickcache_model)]
            assert!(next.is_some(), "a closed block has a successor");
            let Some(next) = next else { break };
            block = next;
            epoch = block.epoch.load();
        }
        (block, epoch)
    }

    /// The newest publication's number and state.
    #[inline]
    pub(crate) fn epoch(&self) -> Epoch {
        self.newest().1
    }

    /// The link of the entity, as a value's stamp has to be for the value to be live.
    #[inline]
    pub(crate) fn link(&self) -> u64 {
        self.shared.link().load()
    }

    /// The link of the last gap: a value with an older stamp may lack something that no connection
    /// sends again. Asked after [`link`](Self::link) it is at least as new as that.
    #[inline]
    pub(crate) fn torn(&self) -> u64 {
        self.shared.link().torn()
    }

    /// The sum of invalidations so far: of everything, of the entity, of this slot. A value with a
    /// smaller stamp is invalidated; a fetch that begins now will give a value good for this sum.
    #[inline]
    pub(crate) fn invalidation(&self) -> u64 {
        self.invalidation_within(&self.shared)
    }

    /// As [`invalidation`](Self::invalidation), for who has what the slots of its entity share at
    /// hand: nothing of the slot is looked at but what a read looks at.
    #[inline(always)]
    pub(crate) fn invalidation_within(&self, shared: &Shared) -> u64 {
        shared.invalidations() + (self.invalidated.load(Ordering::Acquire) >> LOW_BITS)
    }

    /// Marks the value as invalidated, whatever its epoch. The caller then has the hub scan.
    pub(crate) fn invalidate(&self) {
        let marks = self.shared.marks();
        let early = injected(Fault::PointFirst).then(|| marks.next());
        let mut word = self.invalidated.load(Ordering::Acquire);
        loop {
            // After the look, and again after the next one: so the points in the word rise.
            let point = early.unwrap_or_else(|| marks.next());
            let raised = ((word >> LOW_BITS) + 1) << LOW_BITS | point.low();
            match self.invalidated.compare_exchange(
                word,
                raised,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        self.shared.slot_invalidated();
    }

    /// What a waiter that looks now has seen.
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            epoch: self.epoch().number(),
            link: self.link(),
            invalidation: self.invalidation(),
        }
    }

    /// The sum of invalidations as it was at a point, when that of everything and of the entity was
    /// `base`; or less, if the slot was invalidated since. So a message read before an invalidation
    /// does not undo it.
    #[inline]
    pub(super) fn invalidation_as_of(&self, base: u64, point: Point) -> u64 {
        let word = self.invalidated.load(Ordering::Acquire);
        let count = word >> LOW_BITS;
        // Most slots never were.
        if count == 0 {
            return base;
        }
        let low = Point::low_of(word);
        base + count - u64::from(self.shared.marks().is_after(low, point))
    }
}

/// Waits for a publication, and for what makes or breaks the freshness of the value.
impl<const K: usize> Watched for Slot<K> {
    fn bell(&self) -> &Bell {
        &self.bell
    }

    fn moved(&self, seen: &Seen) -> bool {
        self.seen() != *seen
    }
}

impl<const K: usize> fmt::Debug for Slot<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("id", &self.id())
            .field("number", &self.number)
            .field("epoch", &self.epoch().number())
            .finish_non_exhaustive()
    }
}
