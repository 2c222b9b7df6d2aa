//! Observing a query: its state as it moves, on any executor or a plain thread.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use serde::de::DeserializeOwned;

use super::builder::QueryBuilder;
use super::error::QueryError;
use super::fetching::Fetching;
use super::lens::Lens;
use super::select::Selected;
use super::source::Target;
use super::state::QueryState;
use super::until::{Until, UntilState};
use crate::Time;
use crate::cache::shared::Shared;
use crate::cache::watch::{Closed, WaitError};
use crate::io::plane::FetchError;
use crate::key::Key;
use crate::store::{Registration, Seen, Woken};
use crate::sync::Arc;

/// Observes one query. While there is one, the query is *active*: it is fetched if it is stale,
/// refetched when it is invalidated, polled if it says so, and never collected. Dropping it ends
/// all that.
///
/// States conflate: [`changed`](Self::changed) gives the newest, never a queue, and a slow observer
/// holds nothing up. It is also a [`Stream`] of them.
pub struct Observer<T> {
    key: Key,
    shared: Arc<Shared>,
    target: Result<Target, QueryError>,
    lens: Lens<T>,
    last: Option<QueryState<T>>,
    registration: Option<Registration>,
}

impl<T: DeserializeOwned + Send + Sync + 'static> Observer<T> {
    pub(super) fn new(
        key: Key,
        shared: Arc<Shared>,
        target: Result<Target, QueryError>,
        lens: Lens<T>,
    ) -> Self {
        Self {
            key,
            shared,
            target,
            lens,
            last: None,
            registration: None,
        }
    }

    /// The key of the query.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What is known now. Lock-free; decodes once for each version.
    #[must_use]
    pub fn state(&self) -> QueryState<T> {
        match &self.target {
            Ok(target) => self.lens.state(&target.source),
            Err(error) => QueryState::failed(error.clone()),
        }
    }

    /// Waits until the state is another than the one that this observer gave last, on any executor.
    /// The first call gives the present one. Dropping the wait loses nothing.
    ///
    /// # Errors
    /// [`Closed`] once the cache has been closed and the last state was given.
    pub async fn changed(&mut self) -> Result<QueryState<T>, Closed> {
        poll_fn(|cx| self.poll_changed(cx)).await
    }

    /// As [`changed`](Self::changed), for hand-written futures.
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Result<QueryState<T>, Closed>> {
        loop {
            let (seen, state) = self.look();
            if let Some(state) = self.news(&state) {
                return Poll::Ready(Ok(state));
            }
            let until = self.deadline(&state);
            match self.registration().poll(cx, &seen, until) {
                Poll::Ready(Woken::Closed) => return Poll::Ready(Err(Closed)),
                Poll::Ready(Woken::Moved | Woken::Deadline) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// As [`changed`](Self::changed), blocking this thread for `timeout` at most.
    ///
    /// # Errors
    /// If the state stayed as it was, or the cache has been closed.
    pub fn wait(&mut self, timeout: Duration) -> Result<QueryState<T>, WaitError> {
        let give_up = self.shared.clock.now().after(timeout);
        loop {
            let (seen, state) = self.look();
            if let Some(state) = self.news(&state) {
                return Ok(state);
            }
            let until = self.deadline(&state).min(give_up);
            match self.sleep(&seen, until) {
                Woken::Closed => return Err(WaitError::Closed),
                Woken::Deadline if until == give_up => {
                    let (_, state) = self.look();
                    return self.news(&state).ok_or(WaitError::TimedOut);
                }
                Woken::Moved | Woken::Deadline => {}
            }
        }
    }

    /// Waits for data of which `predicate` holds: a future, or [`wait`](Until::wait) on a thread.
    ///
    /// It looks at data that the query stands for: not at placeholders, and not at values that are
    /// [`Invalidated`](crate::Reasons::INVALIDATED) or [`Restored`](crate::Reasons::RESTORED), which
    /// are about to be replaced. [`until_state`](Self::until_state) looks at everything.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tickcache::{Feed, key, testing::TestFeed};
    /// let (cache, mut feed) = TestFeed::new(Feed::events().whole());
    /// let mut job = cache.query::<String>(key!["job", 42]).observe();
    /// feed.message(r#"{"entity":"job","id":42,"payload":"completed"}"#)?;
    /// let done = job.until(|job| job == "completed").timeout(Duration::from_secs(60)).wait()?;
    /// assert_eq!(*done, "completed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn until<P: FnMut(&T) -> bool>(&mut self, predicate: P) -> Until<'_, T, P> {
        Until::new(self, predicate)
    }

    /// Waits for a state of which `predicate` holds.
    pub fn until_state<P: FnMut(&QueryState<T>) -> bool>(
        &mut self,
        predicate: P,
    ) -> UntilState<'_, T, P> {
        UntilState::new(self, predicate)
    }

    /// Observes what `selector` makes of the data, and tells only when that is another.
    #[must_use]
    pub fn select<U, S>(self, mut selector: S) -> Selected<T, U>
    where
        U: PartialEq + Send + Sync + 'static,
        S: FnMut(&T) -> U + Send + 'static,
    {
        Selected::new(self, Box::new(move |data| Ok(selector(data))))
    }

    /// As [`select`](Self::select), for a selector that may fail. Its error is the state's error,
    /// and the last good selection stays beside it.
    #[must_use]
    pub fn try_select<U, E, S>(self, mut selector: S) -> Selected<T, U>
    where
        U: PartialEq + Send + Sync + 'static,
        E: Into<FetchError>,
        S: FnMut(&T) -> Result<U, E> + Send + 'static,
    {
        Selected::new(
            self,
            Box::new(move |data| selector(data).map_err(|error| QueryError::Select(error.into()))),
        )
    }

    /// Fetches now, whatever the data is worth, and disabled or not. A fetch that runs is begun
    /// anew if there is data already, else joined. The handle may be awaited or dropped.
    pub fn refetch(&self) -> Fetching<T> {
        match &self.target {
            Ok(target) => Fetching::begin(target.source.clone(), self.lens.clone(), None, true),
            Err(error) => Fetching::failed(error.clone()),
        }
    }

    /// Whether this observer makes the query active. One that is not enabled only looks on.
    pub fn set_enabled(&mut self, enabled: bool) {
        self.lens.enabled = enabled;
        if let Ok(target) = &mut self.target {
            target.set_enabled(enabled);
        }
    }

    /// Goes on with another query. Its placeholder may be made of the data that this observer shows
    /// now, so that a page keeps the old rows until the new ones come; see
    /// [`keep_previous`](QueryBuilder::keep_previous).
    pub fn switch(&mut self, to: QueryBuilder<T>) {
        let shown = self.state();
        let mut next = to.observe();
        next.lens.previous = shown.shared().or_else(|| self.lens.previous.take());
        // The old query loses its observer only now, so one that is the same stays active.
        *self = next;
    }

    /// The sources as they are, then the state: whatever moves afterwards is news.
    pub(super) fn look(&mut self) -> (Vec<Seen>, QueryState<T>) {
        if let Ok(target) = &mut self.target
            && target.source.follow()
        {
            self.registration = None;
        }
        let seen = self
            .target
            .as_ref()
            .map_or_else(|_| Vec::new(), |target| target.source.seen());
        (seen, self.state())
    }

    fn news(&mut self, state: &QueryState<T>) -> Option<QueryState<T>> {
        if self.last.as_ref().is_some_and(|last| last.same(state)) {
            return None;
        }
        if let Some(data) = state.shared().filter(|_| !state.is_placeholder()) {
            self.lens.previous = Some(data);
        }
        self.last = Some(state.clone());
        Some(state.clone())
    }

    /// When time alone makes another state of this one.
    pub(super) fn deadline(&self, state: &QueryState<T>) -> Time {
        let Ok(target) = &self.target else {
            return Time::NEVER;
        };
        self.lens.turns_stale_at(&target.source, state)
    }

    /// The clock and the threads that wait belong to the cache.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn sleep(&mut self, seen: &[Seen], until: Time) -> Woken {
        let shared = Arc::clone(&self.shared);
        self.registration()
            .wait(seen, until, &|| shared.clock.now())
    }

    pub(super) fn registration(&mut self) -> &mut Registration {
        let Self {
            shared,
            target,
            registration,
            ..
        } = self;
        registration.get_or_insert_with(|| {
            let sources = target
                .as_ref()
                .map_or_else(|_| Vec::new(), |target| target.source.watched());
            shared.hub.register(sources)
        })
    }
}

/// The states as [`changed`](Observer::changed) gives them; ends when the cache is closed.
impl<T: DeserializeOwned + Send + Sync + 'static> Stream for Observer<T> {
    type Item = QueryState<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<QueryState<T>>> {
        self.poll_changed(cx).map(Result::ok)
    }
}

impl<T> Unpin for Observer<T> {}

impl<T> fmt::Debug for Observer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
