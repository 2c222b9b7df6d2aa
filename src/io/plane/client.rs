//! What clients may ask of queries: fetch, refetch, reset, remove, cancel, listen.

use std::borrow::Cow;

use super::error::QueryError;
use super::events::EventQueue;
use super::fetch_error::{FetchError, FetchErrorKind};
use super::place::canonical;
use super::query::Query;
use super::{Plane, Promise};
use crate::io::latch::WakeOn;
use crate::query::{Cancel, Cause, FetchStatus, Filter, Info, QueryIx, RefetchKind, Want, Wanted};
use crate::sync::Arc;

impl Plane {
    /// Fetches, or joins the fetch that runs; `want` may find the data fresh enough.
    ///
    /// # Errors
    /// [`QueryError::NoFetcher`], [`QueryError::Closed`].
    pub(crate) fn fetch(
        self: &Arc<Self>,
        query: &Arc<Query>,
        want: Want,
    ) -> Result<Promise, QueryError> {
        self.with(|core, now| {
            if core.closed {
                return Err(QueryError::Closed);
            }
            let ix = core.enter(query, now);
            // A refetch goes by what the query says; a call for data that is fresh enough does not
            // try again unless the query says so.
            if want.stale.is_some() && query.state().fetch_status == FetchStatus::Idle {
                core.once.insert(ix);
            }
            let wanted = core.machine.fetch(ix, want, now, &core.table);
            if !matches!(wanted, Wanted::Waiting(_)) {
                core.once.remove(&ix);
            }
            match wanted {
                Wanted::Fresh => Ok(query.taken().unwrap_or_else(|| {
                    let promise = Promise::new();
                    promise.set(Ok(()), &WakeOn::here());
                    promise
                })),
                Wanted::Waiting(promise) => Ok(core.promise(promise)),
                Wanted::NoFetcher => Err(QueryError::NoFetcher(query.key().clone())),
                Wanted::Gone => Err(QueryError::Cancelled),
            }
        })
    }

    /// The filter with its key as everybody knows it.
    pub(super) fn canonical_filter<'a>(&self, filter: &'a Filter) -> Cow<'a, Filter> {
        match filter.key().map(|key| canonical(&self.store, key)) {
            Some(Cow::Owned(key)) => Cow::Owned(filter.clone().with_key(key)),
            _ => Cow::Borrowed(filter),
        }
    }

    /// The names of the queries that a filter means. Runs its predicate, with no lock held.
    pub(super) fn select(&self, filter: &Filter) -> Vec<QueryIx> {
        let filter = &*self.canonical_filter(filter);
        let now = self.clock.now();
        let core = self.lock();
        let mut chosen = core.machine.select(filter, now, &core.table);
        if !filter.has_predicate() {
            return chosen;
        }
        let infos: Vec<Option<Info<FetchError>>> = chosen
            .iter()
            .map(|ix| core.machine.info(*ix, now, &core.table))
            .collect();
        drop(core);
        let mut infos = infos.into_iter();
        chosen.retain(|_| {
            let info = infos.next().flatten();
            info.is_some_and(|info| filter.accepts(&info.summary()))
        });
        chosen
    }

    /// The queries that a filter means, in the order in which they were made.
    pub(crate) fn queries(&self, filter: &Filter) -> Vec<Arc<Query>> {
        let chosen = self.select(filter);
        let core = self.lock();
        chosen.iter().filter_map(|ix| core.query(*ix)).collect()
    }

    /// Fetches what a filter means of this kind again. `restart`: what is being fetched and has data
    /// is begun anew.
    pub(crate) fn refetch(
        self: &Arc<Self>,
        filter: &Filter,
        kind: RefetchKind,
        restart: bool,
    ) -> Vec<Promise> {
        let chosen = self.select(filter);
        self.refetch_queries(&chosen, kind, restart, Cause::User)
    }

    pub(super) fn refetch_queries(
        self: &Arc<Self>,
        chosen: &[QueryIx],
        kind: RefetchKind,
        restart: bool,
        cause: Cause,
    ) -> Vec<Promise> {
        self.with(|core, now| {
            let promises = core
                .machine
                .refetch(chosen, kind, restart, cause, now, &core.table);
            promises.into_iter().map(|p| core.promise(p)).collect()
        })
    }

    /// Puts what a filter means back to its initial state, and fetches what of it is observed.
    pub(crate) fn reset(self: &Arc<Self>, filter: &Filter) -> Vec<Promise> {
        let chosen = self.select(filter);
        self.with(|core, now| {
            let promises: Vec<_> = chosen
                .iter()
                .filter_map(|ix| core.machine.reset(*ix, now, &core.table))
                .collect();
            promises.into_iter().map(|p| core.promise(p)).collect()
        })
    }

    /// Drops what a filter means; who waits for a fetch is told that it was cancelled. Gives how many
    /// queries there were.
    pub(crate) fn remove(self: &Arc<Self>, filter: &Filter) -> usize {
        let chosen = self.select(filter);
        self.with(|core, now| {
            for ix in &chosen {
                core.machine.remove(*ix, now, &core.table);
            }
        });
        chosen.len()
    }

    /// Cancels the fetches of what a filter means. `revert`: the state is as before; else the query
    /// has failed.
    pub(crate) fn cancel(self: &Arc<Self>, filter: &Filter, revert: bool) {
        let chosen = self.select(filter);
        self.with(|core, now| {
            for ix in chosen {
                let how = if revert {
                    Cancel::Revert
                } else {
                    Cancel::Fail(FetchError::of(FetchErrorKind::Cancelled))
                };
                core.machine.cancel(ix, how, now, &core.table);
            }
        });
    }

    /// Says whether the network is there.
    pub(crate) fn set_online(self: &Arc<Self>, online: bool) {
        self.with(|core, now| core.machine.set_online(online, now, &core.table));
    }

    pub(crate) fn is_online(&self) -> bool {
        self.lock().machine.is_online()
    }

    /// Says whether the application has the focus.
    pub(crate) fn set_focused(self: &Arc<Self>, focused: bool) {
        self.with(|core, now| core.machine.set_focused(focused, now, &core.table));
    }

    pub(crate) fn is_focused(&self) -> bool {
        self.lock().machine.is_focused()
    }

    /// What happens to queries from now on.
    pub(crate) fn events(&self) -> EventQueue {
        let (queue, listener) = EventQueue::new();
        self.lock().listen(&listener);
        queue
    }
}
