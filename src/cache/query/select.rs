//! Observing what a selector makes of a query's data.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use serde::de::DeserializeOwned;

use super::error::QueryError;
use super::observer::Observer;
use super::state::{Facts, QueryState, Version};
use crate::cache::watch::{Closed, WaitError};
use crate::store::Woken;
use crate::sync::Arc;

type Selector<T, U> = Box<dyn FnMut(&T) -> Result<U, QueryError> + Send>;

/// An [`Observer`] that shows what a selector makes of the data. Made by [`Observer::select`].
///
/// The selector runs once for each version of the data that is looked at. Its result is held
/// against the one before: an equal one is the same `Arc`, and no news. News are another selection,
/// another status or error, another freshness, staleness or placeholder; what the fetcher does is
/// none.
pub struct Selected<T, U> {
    observer: Observer<T>,
    selector: Selector<T, U>,
    selected: Option<Selection<T, U>>,
    last: Option<QueryState<U>>,
}

/// What the selector last made, and of what.
struct Selection<T, U> {
    version: Version,
    /// A placeholder has no version of its own.
    of: Arc<T>,
    good: Option<Arc<U>>,
    error: Option<QueryError>,
}

impl<T, U> Selected<T, U>
where
    T: DeserializeOwned + Send + Sync + 'static,
    U: PartialEq + Send + Sync + 'static,
{
    pub(super) fn new(observer: Observer<T>, selector: Selector<T, U>) -> Self {
        Self {
            observer,
            selector,
            selected: None,
            last: None,
        }
    }

    /// The observer underneath.
    #[must_use]
    pub fn observer(&self) -> &Observer<T> {
        &self.observer
    }

    /// The observer underneath, to change it.
    pub fn observer_mut(&mut self) -> &mut Observer<T> {
        &mut self.observer
    }

    /// What is known now, with the selection as its data.
    pub fn state(&mut self) -> QueryState<U> {
        let state = self.observer.state();
        self.through(&state)
    }

    /// Waits for news, as [`Observer::changed`] does. The first call gives what there is.
    ///
    /// # Errors
    /// [`Closed`] once the cache has been closed and the last news was given.
    pub async fn changed(&mut self) -> Result<QueryState<U>, Closed> {
        poll_fn(|cx| self.poll_changed(cx)).await
    }

    /// As [`changed`](Self::changed), for hand-written futures.
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Result<QueryState<U>, Closed>> {
        loop {
            let (seen, state) = self.observer.look();
            if let Some(news) = self.news(&state) {
                return Poll::Ready(Ok(news));
            }
            let until = self.observer.deadline(&state);
            match self.observer.registration().poll(cx, &seen, until) {
                Poll::Ready(Woken::Closed) => return Poll::Ready(Err(Closed)),
                Poll::Ready(Woken::Moved | Woken::Deadline) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// As [`changed`](Self::changed), blocking this thread for `timeout` at most.
    ///
    /// # Errors
    /// If there was no news in time, or the cache has been closed.
    pub fn wait(&mut self, timeout: Duration) -> Result<QueryState<U>, WaitError> {
        let give_up = self.observer.shared().clock.now().after(timeout);
        loop {
            let (seen, state) = self.observer.look();
            if let Some(news) = self.news(&state) {
                return Ok(news);
            }
            let until = self.observer.deadline(&state).min(give_up);
            match self.observer.sleep(&seen, until) {
                Woken::Closed => return Err(WaitError::Closed),
                Woken::Deadline if until == give_up => {
                    let (_, state) = self.observer.look();
                    return self.news(&state).ok_or(WaitError::TimedOut);
                }
                Woken::Moved | Woken::Deadline => {}
            }
        }
    }

    fn news(&mut self, state: &QueryState<T>) -> Option<QueryState<U>> {
        let next = self.through(state);
        let address = |state: &QueryState<U>| state.0.data.as_ref().map(Arc::as_ptr);
        let same = self.last.as_ref().is_some_and(|last| {
            address(last) == address(&next)
                && last.status() == next.status()
                && last.freshness() == next.freshness()
                && last.is_stale() == next.is_stale()
                && last.is_placeholder() == next.is_placeholder()
                && last.error_count() == next.error_count()
        });
        self.last = Some(next.clone());
        (!same).then_some(next)
    }

    /// The same facts, with the selection for the data.
    fn through(&mut self, state: &QueryState<T>) -> QueryState<U> {
        let facts = &*state.0;
        let (mut data, mut unreadable) = (None, facts.unreadable.clone());
        if let Some(of) = &facts.data {
            self.select(&facts.version, of);
            if let Some(selection) = &self.selected {
                data.clone_from(&selection.good);
                unreadable = unreadable.or_else(|| selection.error.clone());
            }
        }
        QueryState(Arc::new(Facts {
            machine: facts.machine.clone(),
            data,
            unreadable,
            freshness: facts.freshness,
            version: facts.version.clone(),
            updated_at: facts.updated_at,
            received_at: facts.received_at,
            stale: facts.stale,
            placeholder: facts.placeholder,
            known: facts.known,
        }))
    }

    fn select(&mut self, version: &Version, of: &Arc<T>) {
        let known = self.selected.as_ref().is_some_and(|selection| {
            Arc::ptr_eq(&selection.of, of) && selection.version == *version
        });
        if known {
            return;
        }
        let before = self.selected.take().and_then(|selection| selection.good);
        let (good, error) = match (self.selector)(of) {
            Ok(now) => match before {
                Some(before) if *before == now => (Some(before), None),
                _ => (Some(Arc::new(now)), None),
            },
            Err(error) => (before, Some(error)),
        };
        self.selected = Some(Selection {
            version: version.clone(),
            of: Arc::clone(of),
            good,
            error,
        });
    }
}

/// The states as [`changed`](Selected::changed) gives them; ends when the cache is closed.
impl<T, U> Stream for Selected<T, U>
where
    T: DeserializeOwned + Send + Sync + 'static,
    U: PartialEq + Send + Sync + 'static,
{
    type Item = QueryState<U>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<QueryState<U>>> {
        self.poll_changed(cx).map(Result::ok)
    }
}

impl<T, U> Unpin for Selected<T, U> {}

impl<T, U> fmt::Debug for Selected<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selected")
            .field("observer", &self.observer)
            .finish_non_exhaustive()
    }
}
