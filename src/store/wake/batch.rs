//! The owner's side: what moved is noted while publishing, and told once a batch.

use super::fault::{Fault, injected, torn_down};
use super::hub::{Hub, reason};
use super::lane::Sender;
use super::{HUB, Watched, is_masked, key_of, take_mask};
use crate::sync::{Arc, Ordering, fence};
use std::fmt;

/// Notes for which there is room from the start.
const NOTES: usize = 1024;

/// The numbers of the slots published in this batch, of one entity. Noting is a push, with no
/// atomics: whether anybody waits is looked at once a batch, behind the one fence.
#[derive(Debug)]
pub(crate) struct Notes {
    slots: Vec<u32>,
}

impl Notes {
    /// No notes.
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::with_capacity(NOTES),
        }
    }

    /// Notes that a slot was published.
    #[inline]
    pub(crate) fn note(&mut self, slot: u32) {
        if self.slots.last() == Some(&slot) {
            return;
        }
        if self.slots.len() == self.slots.capacity() {
            self.make_room();
        }
        self.slots.push(slot);
    }

    /// Whether nothing was noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    #[cfg(all(test, not(tickcache_loom)))]
    fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// Drops repeated notes, and grows only if that did not free half: so there is never room for
    /// more than four times the slots that moved.
    #[cold]
    fn make_room(&mut self) {
        self.slots.sort_unstable();
        self.slots.dedup();
        if self.slots.len() > self.slots.capacity() / 2 {
            self.slots.reserve_exact(self.slots.capacity().max(NOTES));
        }
    }
}

/// An owner's way to the hub; one for each thread that publishes.
pub(crate) struct Wakes {
    hub: Arc<Hub>,
    sender: Sender,
}

impl Wakes {
    pub(super) fn new(hub: Arc<Hub>, sender: Sender) -> Self {
        Self { hub, sender }
    }

    /// Ends a batch of publications: everything that is told through the answer has to be
    /// published already. Costs one fence; dropping it wakes the hub, at most once.
    pub(crate) fn batch(&mut self) -> Batch<'_> {
        if !injected(Fault::OwnerFence) {
            fence(Ordering::SeqCst);
        }
        let quiet = self.hub.is_quiet();
        Batch {
            wakes: self,
            quiet,
            scan: false,
        }
    }

    #[cfg(test)]
    /// A batch of one entity's notes: [`Wakes::batch`] and [`Batch::notes`]. No notes, no fence.
    pub(crate) fn flush<'s, S: Watched + ?Sized + 's>(
        &mut self,
        notes: &mut Notes,
        resolve: impl FnMut(u32) -> Option<&'s S>,
    ) {
        if !notes.is_empty() {
            self.batch().notes(notes, resolve);
        }
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        if torn_down() {
            return;
        }
        self.sender.close();
        self.hub.raise(reason::LANES);
    }
}

impl fmt::Debug for Wakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakes").finish_non_exhaustive()
    }
}

/// The end of a batch, behind its fence. The hub is woken when this is dropped.
pub(crate) struct Batch<'a> {
    wakes: &'a mut Wakes,
    /// Nobody is registered: no mask need be looked at.
    quiet: bool,
    scan: bool,
}

impl Batch<'_> {
    /// Tells those who wait for the noted slots, and empties the notes. `resolve` answers which
    /// slot has a number; `None` is passed over.
    pub(crate) fn notes<'s, S: Watched + ?Sized + 's>(
        &mut self,
        notes: &mut Notes,
        mut resolve: impl FnMut(u32) -> Option<&'s S>,
    ) {
        if !self.quiet {
            for &slot in &notes.slots {
                if let Some(watched) = resolve(slot) {
                    self.one(watched);
                }
            }
        }
        notes.slots.clear();
    }

    /// Tells those who wait for one source.
    #[inline]
    pub(crate) fn one<S: Watched + ?Sized>(&mut self, watched: &S) {
        if is_masked(watched.mask()) {
            self.list(watched);
        }
    }

    /// Has the hub look at each of its waiters: for what moved under many sources at once. Costs a
    /// fence of its own, since the batch's came before the count of scans was raised.
    #[cold]
    pub(crate) fn everything(&mut self) {
        self.wakes.hub.scans().raise();
        fence(Ordering::SeqCst);
        self.scan |= !self.wakes.hub.is_quiet();
    }

    #[cold]
    fn list<S: Watched + ?Sized>(&mut self, watched: &S) {
        let Wakes { hub, sender } = &mut *self.wakes;
        // No room: the hub looks for itself, and as the bits stay whoever it leaves asleep will
        // be listed next time.
        if !sender.has_room() {
            self.scan = true;
            return;
        }
        if injected(Fault::ClearLate) {
            sender.push(key_of(watched.mask()));
            sender.publish();
            hub.raise(reason::LIST);
            take_mask(watched.mask());
            return;
        }
        if take_mask(watched.mask()) & HUB != 0 {
            sender.push(key_of(watched.mask()));
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if torn_down() {
            return;
        }
        let mut reasons = 0;
        if self.wakes.sender.publish() {
            reasons |= reason::LIST;
        }
        if self.scan {
            reasons |= reason::SCAN;
        }
        if reasons != 0 {
            self.wakes.hub.raise(reasons);
        }
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("quiet", &self.quiet)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(tickcache_loom)))]
mod tests {
    use super::*;
    use crate::store::wake::Flag;

    #[test]
    fn notes_are_bounded_by_the_slots_that_moved() {
        let mut notes = Notes::new();
        for round in 0..100_000 {
            notes.note(round % 5);
        }
        assert_eq!(notes.capacity(), Notes::new().capacity());
        for slot in 0..10_000 {
            notes.note(slot);
            notes.note(slot / 2);
        }
        assert!(notes.capacity() <= 4 * 10_000);

        let (hub, _runner) = Hub::new();
        let flag = Arc::new(Flag::new());
        let _registration = hub.register(vec![Arc::clone(&flag) as Arc<dyn Watched>]);
        let mut slots = Vec::new();
        hub.wakes().flush(&mut notes, |slot| {
            slots.push(slot);
            Some(&*flag)
        });
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots, (0..10_000).collect::<Vec<_>>());
    }
}
