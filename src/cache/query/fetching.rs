//! Handles to what was begun: to await, to wait on, or to drop.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::decode;
use super::error::QueryError;
use super::lens::Lens;
use super::source::Source;
use crate::io::latch::Waiting;
use crate::io::plane::{self, Marked, Plane, Promise};
use crate::query::{Cause, Filter, RefetchKind, StaleTime, Want};
use crate::sync::Arc;

/// A fetch that was begun: a future of the data. Dropping it stops nothing; [`Cache::cancel`] does.
///
/// [`Cache::cancel`]: crate::Cache::cancel
///
/// # Errors
/// [`QueryError::Fetch`] if it failed after its retries, [`QueryError::Cancelled`] if it was
/// cancelled and there is no data, [`QueryError::NoData`] if the answer is that there is none,
/// [`QueryError::Decode`] if the data is not a `T`; and whatever kept it from beginning.
pub struct Fetching<T>(Begun<T>);

enum Begun<T> {
    /// It need not, or could not, begin.
    Ended(Result<Arc<T>, QueryError>),
    Running {
        source: Box<Source>,
        lens: Box<Lens<T>>,
        promise: Promise,
        waiting: Waiting<Result<(), plane::QueryError>>,
    },
}

impl<T: DeserializeOwned + Send + Sync + 'static> Fetching<T> {
    pub(super) fn failed(error: QueryError) -> Self {
        Self(Begun::Ended(Err(error)))
    }

    pub(super) fn ready(data: Arc<T>) -> Self {
        Self(Begun::Ended(Ok(data)))
    }

    /// Begins a fetch, unless the data is fresh by `stale`.
    pub(super) fn begin(
        source: Source,
        lens: Lens<T>,
        stale: Option<StaleTime>,
        restart: bool,
    ) -> Self {
        let Some(query) = source.query() else {
            return Self::failed(QueryError::NoFetcher(source.key().clone()));
        };
        let want = Want {
            stale,
            restart,
            cause: Cause::User,
        };
        match source.shared().plane().fetch(query, want) {
            Ok(promise) => Self(Begun::Running {
                waiting: promise.wait_async(),
                promise,
                source: Box::new(source),
                lens: Box::new(lens),
            }),
            Err(error) => Self::failed(error.into()),
        }
    }

    /// Blocks this thread until the fetch has ended, for `timeout` of the machine's time at most.
    /// Of a cache driven by hand another thread has to drive meanwhile.
    ///
    /// # Errors
    /// [`QueryError::TimedOut`], with [`QueryError::Paused`] if the fetch waits for the network or
    /// for focus, or with its last failure; else as awaiting it.
    pub fn wait(&self, timeout: Duration) -> Result<Arc<T>, QueryError> {
        match &self.0 {
            Begun::Ended(result) => result.clone(),
            Begun::Running {
                source,
                lens,
                promise,
                ..
            } => match promise.wait(Some(timeout)) {
                Some(result) => answer(source, lens, result),
                None => {
                    let state = lens.state(source);
                    let failure = || state.failure().cloned().map(QueryError::Fetch);
                    let last = state.paused().or_else(failure);
                    Err(QueryError::TimedOut {
                        last: last.map(Box::new),
                    })
                }
            },
        }
    }
}

/// The data, now that the fetch has ended.
fn answer<T: DeserializeOwned>(
    source: &Source,
    lens: &Lens<T>,
    result: Result<(), plane::QueryError>,
) -> Result<Arc<T>, QueryError> {
    result?;
    // A slot that was purged meanwhile has another one.
    let mut source = source.clone();
    source.follow();
    let state = lens.state(&source);
    match (state.shared(), state.fatal()) {
        (Some(data), _) if !state.is_placeholder() => Ok(data),
        (_, Some(error)) => Err(error.clone()),
        // It was let go since: what it held then is what the fetch has brought, or newer.
        _ if let Some(left) = source.query().and_then(|query| query.left())
            && let Some(read) = decode::read_left(&left) =>
        {
            read.map(Arc::new).map_err(QueryError::Decode)
        }
        _ => Err(QueryError::NoData(source.key().clone())),
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Future for Fetching<T> {
    type Output = Result<Arc<T>, QueryError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Begun::Ended(result) => Poll::Ready(result.clone()),
            Begun::Running {
                source,
                lens,
                waiting,
                ..
            } => Pin::new(waiting)
                .poll(cx)
                .map(|result| answer(source, lens, result)),
        }
    }
}

impl<T> Unpin for Fetching<T> {}

impl<T> fmt::Debug for Fetching<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = matches!(self.0, Begun::Ended(_));
        f.debug_struct("Fetching").field("ended", &ended).finish()
    }
}

/// What was marked by [`Cache::invalidate`](crate::Cache::invalidate), and what is fetched for it:
/// by default what is observed, or what is not if the filter means that. That begins when this is awaited or dropped, which is at the end of
/// the statement if nobody keeps it.
pub struct Invalidation {
    marked: Option<Marked>,
    kind: RefetchKind,
}

impl Invalidation {
    pub(super) fn new(marked: Marked, kind: RefetchKind) -> Self {
        Self {
            marked: Some(marked),
            kind,
        }
    }

    /// What of it is fetched again, instead of what is observed.
    pub fn refetch(mut self, kind: RefetchKind) -> Self {
        self.kind = kind;
        self
    }

    fn begin(&mut self) -> Vec<Promise> {
        self.marked
            .take()
            .map_or_else(Vec::new, |marked| marked.refetch(self.kind))
    }
}

impl Drop for Invalidation {
    fn drop(&mut self) {
        self.begin();
    }
}

/// Begins the fetches, and waits until they have ended.
impl IntoFuture for Invalidation {
    type Output = Refetched;
    type IntoFuture = Refetching;

    fn into_future(mut self) -> Refetching {
        Refetching::new(self.begin())
    }
}

impl fmt::Debug for Invalidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invalidation")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What [`Cache::refetch`](crate::Cache::refetch) fetches: by default every query that was ever
/// fetched or written and is not disabled; fetches that run are begun anew where there is data. That
/// begins when this is awaited or dropped.
pub struct RefetchRequest {
    plane: Arc<Plane>,
    filter: Option<Filter>,
    kind: RefetchKind,
    restart: bool,
}

impl RefetchRequest {
    pub(super) fn new(plane: Arc<Plane>, filter: Filter) -> Self {
        Self {
            plane,
            filter: Some(filter),
            kind: RefetchKind::All,
            restart: true,
        }
    }

    /// Joins fetches that run, instead of beginning them anew.
    pub fn joining(mut self) -> Self {
        self.restart = false;
        self
    }

    /// Which of those that the filter means.
    pub fn kind(mut self, kind: RefetchKind) -> Self {
        self.kind = kind;
        self
    }

    fn begin(&mut self) -> Vec<Promise> {
        self.filter.take().map_or_else(Vec::new, |filter| {
            self.plane.refetch(&filter, self.kind, self.restart)
        })
    }
}

impl Drop for RefetchRequest {
    fn drop(&mut self) {
        self.begin();
    }
}

/// Begins the fetches, and waits until they have ended.
impl IntoFuture for RefetchRequest {
    type Output = Refetched;
    type IntoFuture = Refetching;

    fn into_future(mut self) -> Refetching {
        Refetching::new(self.begin())
    }
}

impl fmt::Debug for RefetchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefetchRequest")
            .field("filter", &self.filter)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Fetches of many queries that were begun. Dropping it stops none.
#[derive(Debug)]
pub struct Refetching {
    promises: Vec<Promise>,
    waiting: Vec<Waiting<Result<(), plane::QueryError>>>,
    result: Refetched,
}

/// How fetches of many queries have ended. Those that are paused are not waited for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Refetched {
    /// How many have ended.
    pub ended: usize,
    /// Why some of them failed.
    pub errors: Vec<QueryError>,
}

impl Refetching {
    pub(super) fn new(promises: Vec<Promise>) -> Self {
        Self {
            // Taken from the back.
            waiting: promises.iter().rev().map(Promise::wait_async).collect(),
            promises,
            result: Refetched::default(),
        }
    }

    /// How many fetches are waited for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.promises.len()
    }

    /// Whether nothing is waited for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.promises.is_empty()
    }

    /// Blocks this thread until all have ended, for `timeout` of the machine's time each at most.
    ///
    /// # Errors
    /// [`QueryError::TimedOut`].
    pub fn wait(&self, timeout: Duration) -> Result<Refetched, QueryError> {
        let mut result = Refetched::default();
        for promise in &self.promises {
            match promise.wait(Some(timeout)) {
                Some(ended) => result.take(ended),
                None => return Err(QueryError::TimedOut { last: None }),
            }
        }
        Ok(result)
    }
}

impl Refetched {
    fn take(&mut self, ended: Result<(), plane::QueryError>) {
        self.ended += 1;
        self.errors.extend(ended.err().map(QueryError::from));
    }
}

impl Future for Refetching {
    type Output = Refetched;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Refetched> {
        let this = &mut *self;
        while let Some(next) = this.waiting.last_mut() {
            let Poll::Ready(ended) = Pin::new(next).poll(cx) else {
                return Poll::Pending;
            };
            this.waiting.pop();
            this.result.take(ended);
        }
        Poll::Ready(std::mem::take(&mut this.result))
    }
}

/// What [`Cache::cancel`](crate::Cache::cancel) cancels, when this is dropped.
pub struct Cancelling {
    plane: Arc<Plane>,
    filter: Filter,
    revert: bool,
}

impl Cancelling {
    pub(super) fn new(plane: Arc<Plane>, filter: Filter) -> Self {
        Self {
            plane,
            filter,
            revert: true,
        }
    }

    /// Whether the state goes back to what it was before the fetch, and who waits gets the data
    /// that there is (the default); or the query has failed with [`QueryError::Cancelled`].
    pub fn revert(mut self, revert: bool) -> Self {
        self.revert = revert;
        self
    }
}

impl Drop for Cancelling {
    fn drop(&mut self) {
        self.plane.cancel(&self.filter, self.revert);
    }
}

impl fmt::Debug for Cancelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelling")
            .field("filter", &self.filter)
            .field("revert", &self.revert)
            .finish_non_exhaustive()
    }
}
