//! The waiter's side.

use super::fault::{Fault, injected, torn_down};
use super::hub::{Hub, reason};
use super::park::Parker;
use super::slab::Ticket;
use super::waiters::{Armed, Sleeper, Sources, moved};
use super::{Seen, lock};
use crate::Time;
use crate::sync::{Arc, Ordering, fence};
use std::fmt;
use std::task::{Context, Poll};

/// Why a waiter goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// A source is no longer as it was seen.
    Moved,
    /// The time is over.
    Deadline,
    /// The hub has stopped: nobody will ever be woken again.
    Closed,
}

/// One waiter, for one source or many. Dropping it ends its waiting: one lock, no wait.
///
/// What is waited for is told anew in each round, so that a registration serves for any number of
/// them. It may move between threads and tasks from one round to the next.
pub(crate) struct Registration {
    hub: Arc<Hub>,
    sources: Sources,
    ticket: Ticket,
    parker: Option<Arc<Parker>>,
}

impl Registration {
    pub(super) fn new(hub: Arc<Hub>, sources: Sources) -> Self {
        let mut waiters = lock(&hub.waiters);
        let ticket = waiters.insert(Arc::clone(&sources));
        hub.set_count(&waiters);
        drop(waiters);
        Self {
            hub,
            sources,
            ticket,
            parker: None,
        }
    }

    /// Whether a source is no longer as it was seen: a few loads.
    pub(crate) fn moved(&self, seen: &[Seen]) -> bool {
        debug_assert_eq!(
            seen.len(),
            self.sources.len(),
            "what was seen of each source"
        );
        moved(&self.sources, seen)
    }

    /// Ready once a source is not as in `seen`, the hub's clock has reached `until`
    /// ([`Time::NEVER`]: not by time), or the hub has stopped; of several, the first named.
    ///
    /// May be ready late by the time that the hub and the executor take, never early.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, seen: &[Seen], until: Time) -> Poll<Woken> {
        if self.moved(seen) {
            return Poll::Ready(Woken::Moved);
        }
        // Cloning a waker is a user's code: not under the lock.
        match self.arm(Sleeper::Task(cx.waker().clone()), seen, until, true) {
            Some(woken) => Poll::Ready(woken),
            None => Poll::Pending,
        }
    }

    /// Blocks this thread until what [`Registration::poll`] is ready for. `now` reads the clock;
    /// a virtual one is followed through [`Hub::advance`].
    pub(crate) fn wait(&mut self, seen: &[Seen], until: Time, now: &dyn Fn() -> Time) -> Woken {
        let parker = self.parker();
        loop {
            if self.moved(seen) {
                return Woken::Moved;
            }
            // Its own timeout is earlier than the hub would be, so the hub need not look at it.
            let sleeper = Sleeper::Thread(Arc::clone(&parker));
            if let Some(woken) = self.arm(sleeper, seen, until, false) {
                return woken;
            }
            let mut timeout = None;
            if until != Time::NEVER {
                let time = now();
                if time >= until {
                    return Woken::Deadline;
                }
                timeout = Some(until.since(time));
            }
            parker.park(timeout);
        }
    }

    /// From now on remembers when a source is first not as in `seen`, whether or not anybody waits
    /// by then. `now` reads the clock, and is asked if that is so already.
    pub(crate) fn note(&mut self, seen: &[Seen], now: &dyn Fn() -> Time) {
        if self.arm(Sleeper::Note, seen, Time::NEVER, false) == Some(Woken::Moved) {
            lock(&self.hub.waiters).note_moved(self.ticket, now());
        }
    }

    /// When a source first moved since this was last asked, late by the time that the hub took to
    /// learn of it; `None` if none did while this was armed.
    pub(crate) fn take_moved_at(&mut self) -> Option<Time> {
        lock(&self.hub.waiters).take_moved_at(self.ticket)
    }

    /// Falls asleep, unless there is a reason not to.
    fn arm(
        &mut self,
        sleeper: Sleeper,
        seen: &[Seen],
        until: Time,
        hub_keeps_time: bool,
    ) -> Option<Woken> {
        if injected(Fault::CheckFirst) && self.moved(seen) {
            return Some(Woken::Moved);
        }
        if injected(Fault::RingFirst) {
            self.ring();
        }
        // What it replaces may be a user's waker and is dropped here, after the lock.
        let (armed, _replaced) =
            lock(&self.hub.waiters).arm(self.ticket, sleeper, seen, until, hub_keeps_time);
        match armed {
            Armed::Closed => return Some(Woken::Closed),
            Armed::Due => return Some(Woken::Deadline),
            Armed::Asleep { sooner: true } => self.hub.raise(reason::TIME),
            Armed::Asleep { sooner: false } => {}
        }
        if !injected(Fault::RingFirst) {
            self.ring();
        }
        if !injected(Fault::WaiterFence) {
            fence(Ordering::SeqCst);
        }
        let check = !injected(Fault::CheckFirst) && !injected(Fault::NoRecheck);
        (check && self.moved(seen)).then_some(Woken::Moved)
    }

    /// Says to the owner of each source that somebody sleeps.
    fn ring(&self) {
        for source in self.sources.iter() {
            source.bell().ring();
        }
    }

    /// This thread's parker.
    fn parker(&mut self) -> Arc<Parker> {
        if let Some(parker) = self.parker.as_ref().filter(|parker| parker.bind()) {
            return Arc::clone(parker);
        }
        let parker = Arc::new(Parker::new());
        let bound = parker.bind();
        debug_assert!(bound);
        self.parker = Some(Arc::clone(&parker));
        parker
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if torn_down() {
            return;
        }
        let mut waiters = lock(&self.hub.waiters);
        let waiter = waiters.remove(self.ticket);
        self.hub.set_count(&waiters);
        drop(waiters);
        // It may hold the last handle to a slot, and a user's waker.
        drop(waiter);
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("sources", &self.sources.len())
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
