//! The owner's side: what moved is noted while publishing, and told once a batch.

use super::bell::{Bell, Ring};
use super::fault::{Fault, injected, torn_down};
use super::hub::{Hub, reason};
use super::lane::Sender;
use super::{Watched, key_of};
use crate::sync::{Arc, Ordering, fence};
use std::fmt;

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
    /// Nobody is registered: no bell need be looked at.
    quiet: bool,
    scan: bool,
}

impl Batch<'_> {
    /// Whether nobody is registered: then [`one`](Self::one) need not be called.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Tells those who wait for one source. A load and a compare if nobody has fallen asleep since
    /// it was last told.
    #[inline(always)]
    pub(crate) fn one<S: Watched + ?Sized>(&mut self, watched: &S) {
        let bell = watched.bell();
        if let Some(ring) = bell.heard() {
            self.list(bell, ring);
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

    #[inline]
    fn list(&mut self, bell: &Bell, ring: Ring) {
        let Wakes { hub, sender } = &mut *self.wakes;
        // No room: the hub looks for itself, and as the ring stays untold whoever it leaves asleep
        // will be listed next time.
        if !sender.has_room() {
            self.scan = true;
            return;
        }
        if injected(Fault::TellLate) {
            sender.push(key_of(bell));
            sender.publish();
            hub.raise(reason::LIST);
            bell.tell_late();
            return;
        }
        bell.tell(ring);
        sender.push(key_of(bell));
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
