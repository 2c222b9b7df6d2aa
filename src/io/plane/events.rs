//! What happens to queries, for those who listen: a bounded queue each, so that nobody who is slow
//! holds up the rest.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::query::CacheEvent;
use crate::store::Flag;
use crate::sync::{Arc, ArrayQueue};

/// Events that wait for one listener. What comes beyond is counted as missed.
pub(crate) const MAX_EVENTS: usize = 1024;

/// One who listens. Dropping it ends that.
pub(crate) struct EventQueue(Arc<Listener>);

pub(super) struct Listener {
    queue: ArrayQueue<CacheEvent>,
    missed: Mutex<u64>,
    /// Raised when there is news.
    news: Arc<Flag>,
}

impl EventQueue {
    pub(super) fn new() -> (Self, Arc<Listener>) {
        let listener = Arc::new(Listener {
            queue: ArrayQueue::new(MAX_EVENTS),
            missed: Mutex::default(),
            news: Arc::new(Flag::new()),
        });
        (Self(Arc::clone(&listener)), listener)
    }

    /// The oldest event that waits.
    pub(crate) fn pop(&self) -> Option<CacheEvent> {
        self.0.queue.pop()
    }

    /// How many events were dropped since this was last asked, because the queue was full.
    pub(crate) fn take_missed(&self) -> u64 {
        let mut missed = self.0.missed.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *missed)
    }

    /// Raised with every event: what to wait for. Look at its level, then pop, then wait.
    pub(crate) fn news(&self) -> &Arc<Flag> {
        &self.0.news
    }
}

impl Listener {
    /// Puts an event in. The hub has to be told.
    pub(super) fn push(&self, event: CacheEvent) {
        if self.queue.push(event).is_err() {
            *self.missed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        self.news.raise();
    }

    pub(super) fn news(&self) -> &Flag {
        &self.news
    }
}

impl fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventQueue")
            .field("waiting", &self.0.queue.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}
