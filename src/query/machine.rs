//! The machine.

use std::collections::VecDeque;

use super::events::{Action, Outcome};
use super::filter::{Filter, QueryInfo};
use super::ids::{FetchId, ObserverId, PromiseId, QueryIx};
use super::look::Values;
use super::policy::{
    FetchStatus, ObserverOptions, Options, Polling, RefetchKind, StaleTime, Status,
};
use crate::Time;
use crate::key::Key;
use std::time::Duration;

/// What holds for all queries of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// How many fetches that a mass cause started (invalidation, reconnect, focus) run at once.
    pub(crate) max_background: usize,
    /// By how many percent at most a poll comes later than its interval, by the hash of its key.
    pub(crate) poll_jitter_percent: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_background: 16,
            poll_jitter_percent: 10,
        }
    }
}

/// Why a fetch is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// Somebody called for it.
    User,
    /// An observer came, or was enabled.
    Mount,
    /// A poll was due.
    Poll,
    /// The value was invalidated.
    Invalidation,
    /// The network is back.
    Reconnect,
    /// The focus is back.
    Focus,
}

/// What kind of fetch is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    /// `Some`: only if stale by this; `None`: in any case.
    pub(crate) stale: Option<StaleTime>,
    /// A running fetch of a query that has data is aborted and begun anew; else it is joined.
    pub(crate) restart: bool,
    /// Why.
    pub(crate) cause: Cause,
}

/// What a wanted fetch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The data is fresh enough.
    Fresh,
    /// A fetch runs, waits its turn, or is paused; [`Action::Settle`] will name this promise.
    Waiting(PromiseId),
    /// There is nothing to fetch with.
    NoFetcher,
    /// There is no such query any more.
    Gone,
}

/// How to cancel a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cancel<E> {
    /// The state goes back to what it was before the fetch, or to the last write since. Who waits
    /// gets the present data, if there is any.
    Revert,
    /// The query's status becomes an error, this one. Who waits is told that it was cancelled.
    Fail(E),
    /// As `Revert`, without an event, and who waits is told that it was cancelled.
    Silent,
}

/// The state of one query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Info<E> {
    pub(crate) key: Key,
    pub(crate) status: Status,
    pub(crate) fetch_status: FetchStatus,
    /// Of the last fetch that settled, if it failed and nothing was set since.
    pub(crate) error: Option<E>,
    /// When a fetch last failed for good.
    pub(crate) error_at: Option<Time>,
    pub(crate) error_count: u64,
    /// Results and writes by the application taken.
    pub(crate) data_count: u64,
    /// Attempts of the present or last fetch that failed.
    pub(crate) failure_count: u32,
    /// Why the last of them did.
    pub(crate) failure: Option<E>,
    pub(crate) stale: bool,
    pub(crate) invalidated: bool,
    pub(crate) active: bool,
    pub(crate) observers: usize,
    pub(crate) updated_at: Option<Time>,
}

impl<E> Info<E> {
    /// What predicates see of it.
    pub(crate) fn summary(&self) -> QueryInfo {
        QueryInfo {
            key: self.key.clone(),
            status: self.status,
            fetch_status: self.fetch_status,
            stale: self.stale,
            invalidated: self.invalidated,
            active: self.active,
            observers: self.observers,
            updated_at: self.updated_at,
            error_count: self.error_count,
            data_count: self.data_count,
            failure_count: self.failure_count,
        }
    }
}

/// The queries of a cache.
#[derive(Debug)]
pub(crate) struct Queries<E> {
    actions: VecDeque<Action<E>>,
    outcome: Option<Outcome<E>>,
    config: Config,
}

#[allow(
    unused_variables,
    clippy::needless_pass_by_value,
    reason = "signatures first"
)]
impl<E: Clone> Queries<E> {
    /// No queries, online and focused.
    pub(crate) fn new(config: Config) -> Self {
        Self {
            actions: VecDeque::new(),
            outcome: None,
            config,
        }
    }

    /// The query of this key; made, if there is none, with these options. `true`: it was made.
    pub(crate) fn insert<V: Values>(
        &mut self,
        key: Key,
        options: Options,
        fetchable: bool,
        now: Time,
        values: &V,
    ) -> (QueryIx, bool) {
        (QueryIx { at: 0, tenant: 0 }, false)
    }
    /// Changes the options; the longest gc time ever given stays. `fetchable`: it has a fetcher.
    pub(crate) fn set_options<V: Values>(
        &mut self,
        query: QueryIx,
        options: Options,
        fetchable: bool,
        now: Time,
        values: &V,
    ) {
    }
    /// The query of exactly this key.
    pub(crate) fn find(&self, key: &Key) -> Option<QueryIx> {
        None
    }
    /// Its key.
    pub(crate) fn key(&self, query: QueryIx) -> Option<&Key> {
        None
    }
    /// The queries under a key, in the order in which they were made.
    pub(crate) fn under(&self, key: &Key) -> Vec<QueryIx> {
        Vec::new()
    }
    /// All queries, in the order in which they were made.
    pub(crate) fn all(&self) -> Vec<QueryIx> {
        Vec::new()
    }
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        0
    }
    /// How many are being fetched: running, waiting for a retry or for their turn, not paused.
    pub(crate) fn fetching(&self) -> usize {
        0
    }
    /// Whether it has an enabled observer.
    pub(crate) fn is_active(&self, query: QueryIx) -> bool {
        false
    }
    /// The state of a query.
    pub(crate) fn info<V: Values>(&self, query: QueryIx, now: Time, values: &V) -> Option<Info<E>> {
        None
    }
    /// The queries that a filter means, but for its predicate, in the order in which they were made.
    pub(crate) fn select<V: Values>(&self, filter: &Filter, now: Time, values: &V) -> Vec<QueryIx> {
        Vec::new()
    }
    /// Observes a query; `None` if it is gone. May start a fetch.
    pub(crate) fn observe<V: Values>(
        &mut self,
        query: QueryIx,
        options: ObserverOptions,
        now: Time,
        values: &V,
    ) -> Option<ObserverId> {
        None
    }
    /// Changes an observer's options. Enabling it fetches if the data is stale.
    pub(crate) fn set_observer<V: Values>(
        &mut self,
        observer: ObserverId,
        options: ObserverOptions,
        now: Time,
        values: &V,
    ) {
    }
    /// What the functions of an observer say of the present state: a new polling, a new stale time.
    pub(crate) fn answer<V: Values>(
        &mut self,
        observer: ObserverId,
        polling: Option<Polling>,
        stale: Option<StaleTime>,
        now: Time,
        values: &V,
    ) {
    }
    /// Whether this observer finds the data stale; `false` if it is disabled or gone.
    pub(crate) fn is_stale_to<V: Values>(
        &self,
        observer: ObserverId,
        now: Time,
        values: &V,
    ) -> bool {
        false
    }
    /// Ends an observation. A fetch that nobody needs any more may be cancelled.
    pub(crate) fn unobserve<V: Values>(&mut self, observer: ObserverId, now: Time, values: &V) {}
    /// Fetches, or joins the fetch that runs. Whether observers are enabled does not matter.
    pub(crate) fn fetch<V: Values>(
        &mut self,
        query: QueryIx,
        want: Want,
        now: Time,
        values: &V,
    ) -> Wanted {
        Wanted::Gone
    }
    /// Fetches those of `queries` that are of this kind and neither disabled nor static nor without
    /// a fetcher. A promise for each that is not paused. Under [`Cause::Invalidation`] a promise is
    /// settled by a fetch that began after the last mark, and `restart` should be `false`.
    pub(crate) fn refetch<V: Values>(
        &mut self,
        queries: &[QueryIx],
        kind: RefetchKind,
        restart: bool,
        cause: Cause,
        now: Time,
        values: &V,
    ) -> Vec<PromiseId> {
        Vec::new()
    }
    /// The fetcher has taken its cancellation token: it will notice a cancel.
    pub(crate) fn handle_consumed(&mut self, fetch: FetchId) {}
    /// Asked before a result is written. `false`: drop it. `true`: from here on a cancel comes too
    /// late; `handle_landed` or `handle_failed` must follow.
    pub(crate) fn may_land(&mut self, fetch: FetchId) -> bool {
        false
    }
    /// The result has been written, or gave way to a newer value.
    pub(crate) fn handle_landed<V: Values>(&mut self, fetch: FetchId, now: Time, values: &V) {}
    /// The attempt failed. `retry_in`: there should be another one, this long from now.
    pub(crate) fn handle_failed<V: Values>(
        &mut self,
        fetch: FetchId,
        error: E,
        retry_in: Option<Duration>,
        now: Time,
        values: &V,
    ) {
    }
    /// The application wrote the value (not: a stream did).
    pub(crate) fn handle_set<V: Values>(&mut self, query: QueryIx, now: Time, values: &V) {}
    /// The last `n` marks of this query must not refetch. Called after the value was marked.
    pub(crate) fn excuse<V: Values>(&mut self, query: QueryIx, n: u64, now: Time, values: &V) {}
    /// Generations have moved: every active query that has been invalidated since it was last seen to
    /// is fetched, or its running fetch followed by exactly one more.
    pub(crate) fn handle_marks<V: Values>(&mut self, now: Time, values: &V) {}
    /// Cancels the fetch, unless its result is landing. Idle queries are left alone.
    pub(crate) fn cancel<V: Values>(
        &mut self,
        query: QueryIx,
        how: Cancel<E>,
        now: Time,
        values: &V,
    ) {
    }
    /// Puts a query back to its initial state ([`Action::Restore`]), then fetches it if it is active.
    /// The promise, if there is one, is settled by that fetch.
    pub(crate) fn reset<V: Values>(
        &mut self,
        query: QueryIx,
        now: Time,
        values: &V,
    ) -> Option<PromiseId> {
        None
    }
    /// What [`Action::Restore`] asked for has been done.
    pub(crate) fn handle_restored<V: Values>(&mut self, query: QueryIx, now: Time, values: &V) {}
    /// Drops a query, its observers and its fetch. Who waits is told that it was cancelled.
    pub(crate) fn remove<V: Values>(&mut self, query: QueryIx, now: Time, values: &V) {}
    /// Whether the network is there.
    pub(crate) fn set_online<V: Values>(&mut self, online: bool, now: Time, values: &V) {}
    /// Whether the application has the focus.
    pub(crate) fn set_focused<V: Values>(&mut self, focused: bool, now: Time, values: &V) {}
    /// Whether the network is there.
    pub(crate) fn is_online(&self) -> bool {
        true
    }
    /// Whether the application has the focus.
    pub(crate) fn is_focused(&self) -> bool {
        true
    }
    /// Whether anybody wants [`Action::Event`]; at first nobody does.
    pub(crate) fn listen(&mut self, listening: bool) {}
    /// Does what is due at `now`.
    pub(crate) fn handle_timeout<V: Values>(&mut self, now: Time, values: &V) {}
    /// When `handle_timeout` has something to do next.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        None
    }
    /// What to do next; until it yields `None`, after every other call.
    pub(crate) fn poll_action(&mut self) -> Option<Action<E>> {
        self.actions.pop_front()
    }
}
