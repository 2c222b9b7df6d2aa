//! A state behind a lock, which also those may change who must not wait for a lock.
//!
//! Flat combining (Hendler, Incze, Shavit, Tzafrir 2010) with a bounded queue in place of the list
//! of records. Who may not wait pushes an item, then *tries* to take the lock. If that succeeds,
//! everything in the queue is done under it; if not, the one who has it does it.
//!
//! No item is left lying while nobody has the lock:
//!
//! | who pushes | who has the lock |
//! |---|---|
//! | push | unlock |
//! | full fence | full fence |
//! | empty, or `try_lock` fails? then done | empty, or `try_lock` fails? then done |
//!
//! Of the two fences one is first. If it is the left one, the right one sees the item. If it is
//! the right one, the left one's `try_lock` sees the unlock; should it fail all the same, somebody
//! has locked since, whose own fence comes later still. `models.rs` shows what becomes of it without
//! the second look.

use crate::io::fault::looks_once;
use crate::sync::{ArrayQueue, Mutex, full_fence};
use std::fmt;
use std::ops::DerefMut;
use std::sync::{PoisonError, TryLockError};

/// What items change.
pub(super) trait Combiner<T> {
    /// Does what the items say, in order.
    fn combine(&mut self, items: impl Iterator<Item = T>);
}

/// The state, its lock, and the items that wait for it.
pub(super) struct Combining<S, T> {
    state: Mutex<S>,
    queue: ArrayQueue<T>,
    capacity: usize,
}

impl<S: Combiner<T>, T> Combining<S, T> {
    /// At most `capacity` items (at least 1) wait.
    pub(super) fn new(state: S, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            state: Mutex::new(state),
            queue: ArrayQueue::new(capacity),
            capacity,
        }
    }

    /// How many items wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Changes the state, after the items that wait. Blocks for whoever has the lock, who has it
    /// for one change and at most a queue of items.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut S) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.drain(&mut state);
        let result = change(&mut state);
        drop(state);
        self.settle();
        result
    }

    /// Adds an item, and does it now unless somebody else is about to. Waits for nobody.
    ///
    /// # Errors
    /// As many wait as may; the item comes back.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        self.queue.push(item)?;
        self.settle();
        Ok(())
    }

    /// Sees to it that nothing waits while nobody has the lock.
    fn settle(&self) {
        loop {
            full_fence();
            if self.queue.is_empty() {
                return;
            }
            let Some(mut state) = self.try_lock() else {
                return;
            };
            self.drain(&mut state);
            drop(state);
            if looks_once() {
                return;
            }
        }
    }

    fn try_lock(&self) -> Option<impl DerefMut<Target = S> + '_> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(state)) => Some(state.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// At most a queue of items, so that those who block for the lock get it in between.
    fn drain(&self, state: &mut S) {
        if !self.queue.is_empty() {
            let items = std::iter::from_fn(|| self.queue.pop());
            state.combine(items.take(self.capacity));
        }
    }
}

impl<S, T> fmt::Debug for Combining<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Combining")
            .field("waiting", &self.queue.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, tickcache_loom))]
mod models;

#[cfg(all(test, not(tickcache_model)))]
mod tests;
