//! What can be asked about queries.

use super::filter::{Filter, QueryInfo};
#[cfg(test)]
use super::ids::ObserverId;
use super::ids::QueryIx;
use super::look::Values;
use super::machine::{At, Queries};
use super::policy::{Activity, FetchStatus, Status};
use super::state::Query;
use crate::Time;
use crate::key::Key;

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

impl<E: Clone> Queries<E> {
    /// The query of exactly this key.
    pub(crate) fn find(&self, key: &Key) -> Option<QueryIx> {
        self.registry.find(key)
    }

    /// Its key.
    pub(crate) fn key(&self, query: QueryIx) -> Option<&Key> {
        Some(&self.registry.get(query)?.key)
    }

    /// The queries under a key, in the order in which they were made. Walks those with the same
    /// first part; all, if that is an array or an object.
    pub(crate) fn under(&self, key: &Key) -> Vec<QueryIx> {
        let mut found = self.registry.candidates(key);
        found.retain(|&query| self.key(query).is_some_and(|k| k.starts_with(key)));
        found
    }

    /// Those under a key that a mark concerns at once: what is observed; and all, if somebody wants
    /// to be told of each. Otherwise it does not walk the rest.
    pub(crate) fn concerned_under(&self, key: &Key) -> Vec<QueryIx> {
        if self.is_listening() {
            return self.under(key);
        }
        let mut active: Vec<QueryIx> = self.registry.active().values().copied().collect();
        active.retain(|&query| self.key(query).is_some_and(|k| k.starts_with(key)));
        active
    }

    /// All queries, in the order in which they were made.
    #[cfg(test)]
    pub(crate) fn all(&self) -> Vec<QueryIx> {
        self.registry.all().values().copied().collect()
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.registry.all().len()
    }

    /// How many are being fetched: running, waiting for a retry or for their turn, not paused.
    #[cfg(test)]
    pub(crate) fn fetching(&self) -> usize {
        let fetching = |query: &&QueryIx| {
            self.registry
                .get(**query)
                .is_some_and(|q| q.fetch_status() == FetchStatus::Fetching)
        };
        self.registry.flying().values().filter(fetching).count()
    }

    /// Whether it has an enabled observer.
    pub(crate) fn is_active(&self, query: QueryIx) -> bool {
        self.registry.get(query).is_some_and(Query::is_active)
    }

    /// Whether the network is there.
    pub(crate) const fn is_online(&self) -> bool {
        self.online
    }

    /// Whether the application has the focus.
    pub(crate) const fn is_focused(&self) -> bool {
        self.focused
    }

    /// Whether this observer finds the data stale; `false` if it is disabled or gone.
    #[cfg(test)]
    pub(crate) fn is_stale_to(&self, observer: ObserverId, now: Time, values: &dyn Values) -> bool {
        self.observers
            .get(observer)
            .is_some_and(|o| o.options.enabled && values.look(o.query).stale(o.options.stale, now))
    }

    /// The state of a query.
    pub(crate) fn info(&self, query: QueryIx, now: Time, values: &dyn Values) -> Option<Info<E>> {
        let q = self.registry.get(query)?;
        let summary = self.summary(query, At::new(now, values))?;
        Some(Info {
            key: summary.key,
            status: summary.status,
            fetch_status: summary.fetch_status,
            error: q.record.error.clone(),
            error_at: q.record.error_at,
            error_count: summary.error_count,
            data_count: summary.data_count,
            failure_count: summary.failure_count,
            failure: q.record.failure.clone(),
            stale: summary.stale,
            invalidated: summary.invalidated,
            active: summary.active,
            observers: summary.observers,
            updated_at: summary.updated_at,
        })
    }

    /// The queries that a filter means, but for its predicate, in the order in which they were
    /// made.
    ///
    /// Unlike in query-core, a query that nobody observes is stale also by age, by its own stale
    /// time.
    pub(crate) fn select(&self, filter: &Filter, now: Time, values: &dyn Values) -> Vec<QueryIx> {
        let at = At::new(now, values);
        let mut found = match filter.activity() {
            Activity::Active if filter.key().is_none() && !filter.is_exact() => {
                self.registry.active().values().copied().collect()
            }
            _ => self.registry.candidates_of(filter),
        };
        found.retain(|&query| {
            self.summary(query, at)
                .is_some_and(|summary| filter.matches(&summary))
        });
        found
    }

    fn summary(&self, query: QueryIx, at: At<'_>) -> Option<QueryInfo> {
        let q = self.registry.get(query)?;
        let look = at.look(query);
        let stale = if q.observers.is_empty() {
            look.stale(q.options.stale, at.now)
        } else {
            q.observers
                .iter()
                .filter_map(|id| self.observers.get(*id))
                .any(|o| o.options.enabled && look.stale(o.options.stale, at.now))
        };
        Some(QueryInfo {
            key: q.key.clone(),
            status: q.status(&look),
            fetch_status: q.fetch_status(),
            stale,
            invalidated: look.known() && look.invalidated(),
            active: q.is_active(),
            observers: q.observers.len(),
            updated_at: look.updated_at(),
            error_count: q.record.error_count,
            data_count: q.record.data_count,
            failure_count: q.record.failure_count,
        })
    }
}
