//! One query, before it is observed or fetched.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::QueryError;
use super::fetching::Fetching;
use super::lens::{Lens, Placeholder};
use super::list::ListObserver;
use super::observer::Observer;
use super::optimistic::Optimistic;
use super::settings::{QueryConfig, initial_value, pointer, poll_by, setters, stale_by};
use super::source::{Source, Target};
use super::state::QueryState;
use crate::Time;
use crate::cache::handle::Cache;
use crate::io::command::Order;
use crate::io::plane::{
    FetchContext, FetchError, Fetched, Fetcher, ListShape, Retry, RetryDelay, Settings,
};
use crate::key::Key;
use crate::query::{NetworkMode, Poll, Refetch, StaleTime};
use crate::sync::Arc;

/// One query whose data is read as `T`: what it is told here counts before every default. Made by
/// [`Cache::query`]; [`observe`](Self::observe), [`fetch`](Self::fetch) and the like end it.
///
/// What concerns the query as such (fetcher, list, collection) is told to all its users; what
/// concerns looking at it (stale time, polling, refetching, enabled, placeholder) to the one observer.
#[must_use = "a query does nothing until it is observed or fetched"]
pub struct QueryBuilder<T> {
    cache: Cache,
    key: Key,
    own: Settings,
    lens: Lens<T>,
}

impl Cache {
    /// A query whose data is read as `T`.
    pub fn query<T>(&self, key: impl Into<Key>) -> QueryBuilder<T>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        QueryBuilder {
            cache: self.clone(),
            key: key.into(),
            own: Settings::default(),
            lens: Lens::plain(),
        }
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> QueryBuilder<T> {
    fn change(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.own);
        self
    }

    /// The key of the query.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    setters!(fetch_with);

    /// Whether and how often to poll, as a function of the state, whose data may be absent. Asked
    /// again whenever the state changes: a query that has stopped polling may start again.
    ///
    /// The function runs on the slow plane. One that panics does not poll.
    pub fn poll<F>(self, poll: F) -> Self
    where
        F: Fn(&QueryState<T>) -> Poll + Send + Sync + 'static,
    {
        let poll = poll_by(self.cache.shared(), self.lens.clone(), poll);
        self.change(|settings| {
            settings.poll = None;
            settings.poll_by = Some(poll);
        })
    }

    /// How long data counts as fresh, as a function of the state. It runs on the slow plane, and
    /// where the state is asked for.
    pub fn stale_by<F>(self, stale: F) -> Self
    where
        F: Fn(&QueryState<T>) -> StaleTime + Send + Sync + 'static,
    {
        let stale = stale_by(self.cache.shared(), self.lens.clone(), stale);
        self.change(|settings| {
            settings.stale = None;
            settings.stale_by = Some(stale);
        })
    }

    /// Takes over what a configuration says.
    pub fn config(self, config: QueryConfig) -> Self {
        self.change(|own| *own = config.into_settings().over(own))
    }

    /// What to show while there is no data. It is the observer's alone: it is not in the cache, and
    /// [`is_placeholder`](QueryState::is_placeholder) says so.
    pub fn placeholder(mut self, value: T) -> Self {
        let value = Arc::new(value);
        self.lens.placeholder = Some(Arc::new(move |_| Some(Arc::clone(&value))));
        self
    }

    /// What to show while there is no data, made of what the observer showed last: its own data
    /// before a reset, or that of the query before [`switch`](Observer::switch).
    pub fn placeholder_with<F>(mut self, make: F) -> Self
    where
        F: Fn(Option<&Arc<T>>) -> Option<Arc<T>> + Send + Sync + 'static,
    {
        let make: Placeholder<T> = Arc::new(make);
        self.lens.placeholder = Some(make);
        self
    }

    /// While there is no data, shows what the observer showed last.
    pub fn keep_previous(self) -> Self {
        self.placeholder_with(|previous| previous.cloned())
    }

    /// Observes the query: it is active until the observer is dropped. Where there can be no such
    /// query, the observer's state says why.
    pub fn observe(self) -> Observer<T> {
        let target = self.target();
        let lens = self.resolved(target.as_ref().ok().map(|target| &target.source));
        Observer::new(self.key, Arc::clone(self.cache.shared()), target, lens)
    }

    /// Observes the query as a list of rows of type `T`, each with a value of its own: see
    /// [`ListObserver`]. The query has to be declared a list, here or by a default. Membership
    /// changes as a whole, once all items of an answer are written: a fetch that fails half-way
    /// leaves it as it was.
    pub fn observe_list(self) -> ListObserver<T> {
        let target = self.target().and_then(|target| {
            if target.source.list_entity().is_some() {
                Ok(target)
            } else {
                Err(QueryError::OtherPlace(self.key.clone()))
            }
        });
        let lens = self.resolved(target.as_ref().ok().map(|target| &target.source));
        let lens = Lens {
            stale: lens.stale,
            stale_by: lens.stale_by,
            enabled: lens.enabled,
            ..Lens::plain()
        };
        ListObserver::new(self.key, Arc::clone(self.cache.shared()), target, lens)
    }

    /// The state now, without observing the query or making one.
    #[must_use]
    pub fn state(&self) -> QueryState<T> {
        match Source::find(self.cache.shared(), &self.key) {
            Some(source) => self.resolved(Some(&source)).state(&source),
            None => self.resolved(None).nothing(),
        }
    }

    /// The data now, if there is any that fits the type, without fetching or observing.
    #[must_use]
    pub fn get(&self) -> Option<Arc<T>> {
        self.state().shared()
    }

    /// Fetches, unless the data is fresh by this query's stale time, and gives the data. Begins at
    /// once, a fetch that runs is joined: the handle may be awaited, waited on, or dropped.
    ///
    /// A fetch that this begins is not tried again when it fails, unless the query or a default says
    /// how often. While it is paused, waiting for the network, so is the handle.
    pub fn fetch(self) -> Fetching<T> {
        match self.source() {
            Ok(source) => {
                let lens = self.resolved(Some(&source));
                let stale = lens.stale_time(&source);
                Fetching::begin(source, lens, Some(stale), false)
            }
            Err(error) => Fetching::failed(error),
        }
    }

    /// Gives the data if there is any, however old; else fetches it.
    pub fn ensure(self) -> Fetching<T> {
        match self.state() {
            state if state.is_placeholder() => self.fetch(),
            state => match state.shared() {
                Some(data) => Fetching::ready(data),
                None => self.fetch(),
            },
        }
    }

    /// Fetches as [`fetch`](Self::fetch) does, for those who come later.
    pub fn prefetch(self) {
        drop(self.fetch());
    }

    /// As [`Cache::optimistic`], for this key.
    ///
    /// # Errors
    /// As [`Cache::optimistic`].
    pub fn optimistic<V: Serialize + ?Sized>(&self, patch: &V) -> Result<Optimistic, QueryError> {
        self.cache.optimistic(&self.key, patch)
    }

    fn source(&self) -> Result<Source, QueryError> {
        let shared = self.cache.shared();
        let query = self
            .cache
            .plane()
            .query(&self.key, self.own.of_query().as_ref())?;
        Ok(Source::new(Arc::clone(shared), query))
    }

    fn target(&self) -> Result<Target, QueryError> {
        let plane = self.cache.plane();
        let query = plane.query(&self.key, self.own.of_query().as_ref())?;
        let observation = plane.observe(&query, Some(&self.own))?;
        let source = Source::new(Arc::clone(self.cache.shared()), query);
        Ok(Target {
            source,
            observation,
        })
    }

    /// The lens, told what holds for the query where its user has said nothing.
    fn resolved(&self, source: Option<&Source>) -> Lens<T> {
        let mut lens = self.lens.clone();
        let all = match source.and_then(Source::query) {
            Some(query) => self.own.over(&query.settings()),
            None => self.own.over(&self.cache.plane().resolve(&self.key)),
        };
        lens.stale = all.stale.unwrap_or_default();
        lens.stale_by = all.stale_by;
        lens.enabled = all.enabled.unwrap_or(true);
        lens
    }
}

/// What of the settings concerns the query as such, if any does.
trait OfQuery {
    fn of_query(&self) -> Option<Settings>;
}

impl OfQuery for Settings {
    fn of_query(&self) -> Option<Settings> {
        let of_query = Self {
            gc: self.gc,
            retry: self.retry.clone(),
            retry_delay: self.retry_delay.clone(),
            network: self.network,
            writes_keep: self.writes_keep,
            fetcher: self.fetcher.clone(),
            list: self.list.clone(),
            order: self.order,
            initial: self.initial.clone(),
            sharing: self.sharing,
            ..Self::default()
        };
        let says_something = of_query.gc.is_some()
            || of_query.retry.is_some()
            || of_query.retry_delay.is_some()
            || of_query.network.is_some()
            || of_query.writes_keep.is_some()
            || of_query.fetcher.is_some()
            || of_query.list.is_some()
            || of_query.order.is_some()
            || of_query.initial.is_some()
            || of_query.sharing.is_some();
        says_something.then_some(of_query)
    }
}

impl<T> Clone for QueryBuilder<T> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            key: self.key.clone(),
            own: self.own.clone(),
            lens: self.lens.clone(),
        }
    }
}

impl<T> fmt::Debug for QueryBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryBuilder")
            .field("key", &self.key)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}
