//! What happens to queries, for tools.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use crate::Time;
use crate::cache::shared::Shared;
use crate::cache::watch::{Closed, WaitError};
use crate::io::plane::EventQueue;
use crate::query::CacheEvent;
use crate::store::{Registration, Seen, Woken};
use crate::sync::Arc;

/// Events of a cache's queries, in order: added, updated and why, observed, removed. Made by
/// [`Cache::events`](crate::Cache::events).
///
/// At most 1,024 wait; what comes beyond is dropped and counted, so that a slow listener holds up
/// nobody. What streams write is no event: watch the slot or the entity.
pub struct CacheEvents {
    shared: Arc<Shared>,
    queue: EventQueue,
    registration: Option<Registration>,
    missed: u64,
}

impl CacheEvents {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            queue: shared.plane().events(),
            shared,
            registration: None,
            missed: 0,
        }
    }

    /// The oldest event that waits, if one does.
    pub fn try_next(&mut self) -> Option<CacheEvent> {
        self.missed += self.queue.take_missed();
        self.queue.pop()
    }

    /// How many events were dropped so far because nobody took them in time.
    #[must_use]
    pub fn missed(&mut self) -> u64 {
        self.missed += self.queue.take_missed();
        self.missed
    }

    /// Waits for the next event, on any executor. Dropping the wait loses nothing.
    ///
    /// # Errors
    /// [`Closed`] once the cache has been closed and the last event was taken.
    pub async fn next(&mut self) -> Result<CacheEvent, Closed> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// As [`next`](Self::next), for hand-written futures.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<CacheEvent, Closed>> {
        loop {
            let seen = self.seen();
            if let Some(event) = self.try_next() {
                return Poll::Ready(Ok(event));
            }
            match self.registration().poll(cx, &seen, Time::NEVER) {
                Poll::Ready(Woken::Closed) => return Poll::Ready(Err(Closed)),
                Poll::Ready(Woken::Moved | Woken::Deadline) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// As [`next`](Self::next), blocking this thread for `timeout` at most.
    ///
    /// # Errors
    /// If nothing happened in time, or the cache has been closed.
    pub fn wait(&mut self, timeout: Duration) -> Result<CacheEvent, WaitError> {
        let shared = Arc::clone(&self.shared);
        let until = shared.clock.now().after(timeout);
        loop {
            let seen = self.seen();
            if let Some(event) = self.try_next() {
                return Ok(event);
            }
            match self
                .registration()
                .wait(&seen, until, &|| shared.clock.now())
            {
                Woken::Closed => return Err(WaitError::Closed),
                Woken::Deadline => return self.try_next().ok_or(WaitError::TimedOut),
                Woken::Moved => {}
            }
        }
    }

    /// Taken before the queue is looked at: what comes afterwards is news.
    fn seen(&self) -> [Seen; 1] {
        [Seen {
            epoch: self.queue.news().level(),
            ..Seen::default()
        }]
    }

    fn registration(&mut self) -> &mut Registration {
        let Self {
            shared,
            queue,
            registration,
            ..
        } = self;
        registration.get_or_insert_with(|| shared.hub.register(vec![queue.news().clone()]))
    }
}

/// The events as [`next`](CacheEvents::next) gives them; ends when the cache is closed.
impl Stream for CacheEvents {
    type Item = CacheEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<CacheEvent>> {
        self.poll_event(cx).map(Result::ok)
    }
}

impl fmt::Debug for CacheEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheEvents")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
