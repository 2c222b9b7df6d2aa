//! Waiting for a state of a query that one has in mind.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::error::QueryError;
use super::observer::Observer;
use super::state::QueryState;
use crate::Time;
use crate::cache::freshness::Reasons;
use crate::store::Woken;
use crate::sync::Arc;

/// A wait for data of which a predicate holds; see [`Observer::until`].
///
/// # Errors
/// * [`QueryError::Decode`] if data that is whole does not fit the type;
/// * [`QueryError::TimedOut`] at the deadline, with the error of the last fetch, if that failed:
///   such an error alone ends no wait, since polling and invalidation go on; else with
///   [`QueryError::Paused`] if a fetch waits for the network or for focus;
/// * [`QueryError::Closed`] once the cache has been closed.
#[must_use = "a wait does nothing until it is awaited"]
pub struct Until<'a, T, P> {
    observer: &'a mut Observer<T>,
    predicate: P,
    deadline: Time,
}

/// A wait for a state of which a predicate holds; see [`Observer::until_state`].
///
/// # Errors
/// [`QueryError::TimedOut`] at the deadline, [`QueryError::Closed`] once the cache has been closed.
#[must_use = "a wait does nothing until it is awaited"]
pub struct UntilState<'a, T, P> {
    observer: &'a mut Observer<T>,
    predicate: P,
    deadline: Time,
}

/// One look: the answer, or that there is none yet.
trait Look<T, R> {
    fn look(&mut self, state: &QueryState<T>) -> Option<Result<R, QueryError>>;
    fn parts(&mut self) -> (&mut Observer<T>, Time);
}

/// What stands in the way of believing a value that is about to be replaced.
const DOUBTED: [Reasons; 2] = [Reasons::INVALIDATED, Reasons::RESTORED];

impl<T, P: FnMut(&T) -> bool> Look<T, Arc<T>> for Until<'_, T, P>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    fn look(&mut self, state: &QueryState<T>) -> Option<Result<Arc<T>, QueryError>> {
        let reasons = state.freshness().reasons();
        if state.is_placeholder() || DOUBTED.iter().any(|doubt| reasons.contains(*doubt)) {
            return None;
        }
        match state.fatal() {
            // What patches have made so far may yet become a whole value.
            Some(QueryError::Decode(_)) if reasons.contains(Reasons::PARTIAL) => return None,
            Some(error) => return Some(Err(error.clone())),
            None => {}
        }
        let data = state.shared()?;
        (self.predicate)(&data).then_some(Ok(data))
    }

    fn parts(&mut self) -> (&mut Observer<T>, Time) {
        (self.observer, self.deadline)
    }
}

impl<T, P: FnMut(&QueryState<T>) -> bool> Look<T, QueryState<T>> for UntilState<'_, T, P>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    fn look(&mut self, state: &QueryState<T>) -> Option<Result<QueryState<T>, QueryError>> {
        (self.predicate)(state).then(|| Ok(state.clone()))
    }

    fn parts(&mut self) -> (&mut Observer<T>, Time) {
        (self.observer, self.deadline)
    }
}

/// At the deadline: says what came last, if that is why.
fn timed_out<T>(state: &QueryState<T>) -> QueryError {
    QueryError::TimedOut {
        last: state
            .error()
            .cloned()
            .or_else(|| state.paused())
            .map(Box::new),
    }
}

fn poll<T, R, L: Look<T, R>>(looking: &mut L, cx: &mut Context<'_>) -> Poll<Result<R, QueryError>>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    loop {
        let (observer, deadline) = looking.parts();
        let (seen, state) = observer.look();
        if let Some(answer) = looking.look(&state) {
            return Poll::Ready(answer);
        }
        let (observer, _) = looking.parts();
        // The hub may be behind the clock.
        if deadline <= observer.shared().clock.now() {
            return Poll::Ready(Err(timed_out(&state)));
        }
        let until = observer.deadline(&state).min(deadline);
        match observer.registration().poll(cx, &seen, until) {
            Poll::Ready(Woken::Closed) => return Poll::Ready(Err(QueryError::Closed)),
            Poll::Ready(Woken::Moved | Woken::Deadline) => {}
            Poll::Pending => return Poll::Pending,
        }
    }
}

fn wait<T, R, L: Look<T, R>>(looking: &mut L) -> Result<R, QueryError>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    loop {
        let (observer, deadline) = looking.parts();
        let (seen, state) = observer.look();
        if let Some(answer) = looking.look(&state) {
            return answer;
        }
        let (observer, _) = looking.parts();
        let until = observer.deadline(&state).min(deadline);
        match observer.sleep(&seen, until) {
            Woken::Closed => return Err(QueryError::Closed),
            Woken::Deadline if until == deadline => {
                let (_, state) = observer.look();
                let answer = looking.look(&state);
                return answer.unwrap_or_else(|| Err(timed_out(&state)));
            }
            Woken::Moved | Woken::Deadline => {}
        }
    }
}

macro_rules! waiting {
    ($name:ident, $of:ty, $answer:ty) => {
        impl<'a, T, P> $name<'a, T, P>
        where
            T: DeserializeOwned + Send + Sync + 'static,
            P: FnMut($of) -> bool,
        {
            pub(super) fn new(observer: &'a mut Observer<T>, predicate: P) -> Self {
                Self {
                    observer,
                    predicate,
                    deadline: Time::NEVER,
                }
            }

            /// Waits for so long at most, from now on, by the clock of the cache.
            pub fn timeout(mut self, timeout: Duration) -> Self {
                self.deadline = self.observer.shared().clock.now().after(timeout);
                self
            }

            /// Blocks this thread until there is an answer.
            ///
            /// # Errors
            /// As awaiting it.
            pub fn wait(mut self) -> Result<$answer, QueryError> {
                wait(&mut self)
            }
        }

        impl<T, P> Future for $name<'_, T, P>
        where
            T: DeserializeOwned + Send + Sync + 'static,
            P: FnMut($of) -> bool,
        {
            type Output = Result<$answer, QueryError>;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                poll(&mut *self, cx)
            }
        }

        /// Nothing in it is ever pinned.
        impl<T, P> Unpin for $name<'_, T, P> {}

        impl<T, P> fmt::Debug for $name<'_, T, P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("observer", &self.observer)
                    .field("deadline", &self.deadline)
                    .finish_non_exhaustive()
            }
        }
    };
}

waiting!(Until, &T, Arc<T>);
waiting!(UntilState, &QueryState<T>, QueryState<T>);
