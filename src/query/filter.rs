//! Which queries are meant.

use std::fmt;
use std::sync::Arc;

use super::policy::{Activity, FetchStatus, Status};
use crate::Time;
use crate::key::Key;

type Predicate = dyn Fn(&QueryInfo) -> bool + Send + Sync;

/// Which queries are meant: every condition that is given must hold.
///
/// A [`Key`] alone is a filter: all queries under it.
#[derive(Clone, Default)]
pub struct Filter {
    key: Option<Key>,
    exact: bool,
    activity: Activity,
    stale: Option<bool>,
    fetching: Option<FetchStatus>,
    predicate: Option<Arc<Predicate>>,
}

impl Filter {
    /// All queries whose key starts with `key`, itself included.
    #[must_use]
    pub fn under(key: impl Into<Key>) -> Self {
        Self {
            key: Some(key.into()),
            ..Self::default()
        }
    }

    /// All queries.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only the query of exactly this key; without a key, none.
    #[must_use]
    pub fn exact(mut self) -> Self {
        self.exact = true;
        self
    }

    /// Only those with an enabled observer.
    #[must_use]
    pub fn active(mut self) -> Self {
        self.activity = Activity::Active;
        self
    }

    /// Only those without an enabled observer.
    #[must_use]
    pub fn inactive(mut self) -> Self {
        self.activity = Activity::Inactive;
        self
    }

    /// Only those that are stale, or that are not.
    ///
    /// An observed query is stale if it is to one of its enabled observers; one that nobody
    /// observes, by the query's own stale time. (query-core looks at the age only where there is an
    /// observer.)
    #[must_use]
    pub fn stale(mut self, stale: bool) -> Self {
        self.stale = Some(stale);
        self
    }

    /// Only those whose fetcher does this.
    #[must_use]
    pub fn fetching(mut self, status: FetchStatus) -> Self {
        self.fetching = Some(status);
        self
    }

    /// Only those of which this holds. It is called without any lock, and may be called more than
    /// once for a query.
    #[must_use]
    pub fn predicate(mut self, holds: impl Fn(&QueryInfo) -> bool + Send + Sync + 'static) -> Self {
        self.predicate = Some(Arc::new(holds));
        self
    }

    /// The key, if it has one.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// The same, with another key.
    pub(crate) fn with_key(self, key: Key) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// Whether only exactly that key is meant.
    pub(crate) const fn is_exact(&self) -> bool {
        self.exact
    }

    /// Which, by who looks at them.
    pub(crate) const fn activity(&self) -> Activity {
        self.activity
    }

    /// Whether nothing but the key decides, and what is under it is meant.
    pub(crate) fn is_plain(&self) -> bool {
        !self.exact && self.is_plain_but_exact()
    }

    /// Whether nothing but the key decides.
    pub(crate) fn is_plain_but_exact(&self) -> bool {
        self.activity == Activity::Any
            && self.stale.is_none()
            && self.fetching.is_none()
            && self.predicate.is_none()
    }

    /// Whether there is a predicate to ask, outside the machine.
    pub(crate) const fn has_predicate(&self) -> bool {
        self.predicate.is_some()
    }

    /// Whether everything but the predicate holds.
    pub(crate) fn matches(&self, info: &QueryInfo) -> bool {
        let key = match &self.key {
            Some(key) if self.exact => info.key == *key,
            Some(key) => info.key.starts_with(key),
            None => !self.exact,
        };
        let activity = match self.activity {
            Activity::Any => true,
            Activity::Active => info.active,
            Activity::Inactive => !info.active,
        };
        key && activity
            && self.stale.is_none_or(|stale| info.stale == stale)
            && self
                .fetching
                .is_none_or(|status| info.fetch_status == status)
    }

    /// Whether the predicate holds, or there is none.
    pub(crate) fn accepts(&self, info: &QueryInfo) -> bool {
        self.predicate.as_ref().is_none_or(|holds| holds(info))
    }
}

impl From<Key> for Filter {
    fn from(key: Key) -> Self {
        Self::under(key)
    }
}

impl From<&Key> for Filter {
    fn from(key: &Key) -> Self {
        Self::under(key.clone())
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("key", &self.key)
            .field("exact", &self.exact)
            .field("activity", &self.activity)
            .field("stale", &self.stale)
            .field("fetching", &self.fetching)
            .field("predicate", &self.predicate.is_some())
            .finish()
    }
}

/// What is to be said about a query without its data or its errors: what predicates of filters see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryInfo {
    /// Its key.
    pub key: Key,
    /// What is known about its data.
    pub status: Status,
    /// What its fetcher does.
    pub fetch_status: FetchStatus,
    /// Whether its data is stale; see [`Filter::stale`].
    pub stale: bool,
    /// Whether it was invalidated and no fetch or whole message that began later has come since.
    pub invalidated: bool,
    /// Whether it has an enabled observer.
    pub active: bool,
    /// How many observers it has, disabled ones included.
    pub observers: usize,
    /// When its data was last known whole, or else written.
    pub updated_at: Option<Time>,
    /// How many fetches failed for good.
    pub error_count: u64,
    /// How many results and writes by the application it has taken. Writes by streams are not
    /// counted.
    pub data_count: u64,
    /// How many attempts of the present or last fetch failed.
    pub failure_count: u32,
}
