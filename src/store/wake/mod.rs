//! Waking: how whoever waits learns that something moved, without making a writer wait.
//!
//! One *hub* per cache, one waker thread. The owner of a slot never runs a waker and takes no
//! lock: at the end of a batch it lists the slots that somebody waits for and wakes the hub at
//! most once. The hub wakes the tasks and threads.
//!
//! # Why no wake-up is lost
//!
//! A waiter and whoever moves something do the same dance from opposite ends:
//!
//! | waiter ([`Registration`]) | owner ([`Wakes`]) | changer of a generation ([`Hub::scan`]) |
//! |---|---|---|
//! | enter the waker under the hub's lock | publish | store the generation |
//! | ring the source's [`Bell`], unless it is rung | | |
//! | `fence(SeqCst)` | `fence(SeqCst)` | `fence(SeqCst)` |
//! | check the predicate | look at the bell | look whether the hub has waiters |
//! | sleep | note the ring as told, list the slot, wake the hub | mark SCAN, wake the hub |
//!
//! - Of two `SeqCst` fences one comes first. If it is the waiter's, the other side sees the ring (or
//!   the count of waiters) and the hub is told. If it is the other side's, the waiter sees the
//!   publication when it checks, and does not sleep.
//! - The ring releases the waiter's entry, the owner's look acquires it and hands it on to the hub
//!   with the list. Who finds the bell rung already entered before the hub's next look: see
//!   [`bell`].
//! - The ring is noted as told *before* the hub is told. Noted afterwards, it could be the ring of a
//!   waiter that was woken already and has armed again.
//! - The hub takes every armed waiter of a listed slot, whether its predicate holds or not: their
//!   ring is told, so a waiter left asleep would not be listed again. A woken waiter checks, and
//!   arms again. A scan tells of no ring, and only those whose predicate holds are woken.
//! - A full list is answered by a scan, with the rings left untold.
//!
//! Everything is level-triggered: a duplicate, a stale entry or a dropped waiter costs one look.
//!
//! # Progress
//!
//! Owner: wait-free apart from one `unpark` a batch, and only if somebody waits for what moved.
//! Waiters and hub share one lock, held for at most [`CHUNK`](hub::CHUNK) wakers and
//! [`LOOKS`](hub::LOOKS) looks; no waker is called, cloned or dropped under it, and no owner takes
//! it.

mod batch;
mod bell;
mod deadlines;
mod fault;
mod hub;
mod lane;
mod park;
mod registration;
mod slab;
mod waiters;

pub(crate) use batch::{Batch, Wakes};
pub(crate) use bell::Bell;
#[cfg(all(test, tickcache_model))]
pub(super) use fault::inject;
pub(super) use fault::{Fault, injected};
pub(crate) use hub::Hub;
#[cfg(test)]
pub(crate) use hub::Runner;
pub(crate) use registration::{Registration, Woken};

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use std::sync::PoisonError;

/// What a waiter has seen of one source; it waits until the source differs from it.
///
/// Sources without generations use `epoch` alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The publication.
    pub(crate) epoch: u64,
    /// The generation of connections.
    pub(crate) link: u64,
    /// The generation of invalidation.
    pub(crate) invalidation: u64,
}

/// Something that can be waited for: a slot, an entity's changes, a [`Flag`].
///
/// Its bell must keep its address while anybody waits: the address is the name under which the hub
/// knows the source. One hub per source, and one at a time who tells it: the owner.
pub(crate) trait Watched: Send + Sync {
    /// What waiters ring. Nobody but this room touches it.
    fn bell(&self) -> &Bell;

    /// Whether this is no longer as `seen`. Called under the hub's lock: a few loads, no locks.
    fn moved(&self, seen: &Seen) -> bool;
}

/// The name of a source: the address of its bell.
type Key = u64;

fn key_of(bell: &Bell) -> Key {
    std::ptr::from_ref(bell) as usize as Key
}

/// Locks; a panic of another thread under the lock leaves nothing half-done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A plain level that can be waited for: a feed that finished, a command that was done.
///
/// Whoever raises it then tells the hub: [`Batch::one`] if it has a batch, else [`Hub::scan`].
#[derive(Debug)]
pub(crate) struct Flag {
    level: AtomicU64,
    bell: Bell,
}

impl Flag {
    /// A flag at level 0.
    pub(crate) fn new() -> Self {
        Self {
            level: AtomicU64::new(0),
            bell: Bell::new(),
        }
    }

    /// How often it was raised; what [`Seen::epoch`] is compared with. Acquires what was written
    /// before [`Flag::raise`].
    pub(crate) fn level(&self) -> u64 {
        self.level.load(Ordering::Acquire)
    }

    /// Raises it by one, from any thread. Wakes nobody by itself.
    pub(crate) fn raise(&self) {
        self.level.fetch_add(1, Ordering::Release);
    }
}

impl Watched for Flag {
    fn bell(&self) -> &Bell {
        &self.bell
    }

    fn moved(&self, seen: &Seen) -> bool {
        self.level() != seen.epoch
    }
}
