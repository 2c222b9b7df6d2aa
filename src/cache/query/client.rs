//! What the cache as a whole is asked: reading, writing, invalidating, refetching.

use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::decode;
use super::error::QueryError;
use super::events::CacheEvents;
use super::fetching::{Cancelling, Invalidation, RefetchRequest, Refetching};
use super::settings::Defaults;
use super::source::{Held, Source};
use super::state::Version;
use crate::Time;
use crate::cache::handle::Cache;
use crate::io::inbox::Completion;
use crate::io::plane::Plane;
use crate::key::Key;
use crate::query::{Activity, FetchStatus, Filter, QueryInfo, RefetchKind};
use crate::record::Mode;
use crate::sync::Arc;

/// How often a write that depends on the value before it is tried while others come in between.
const TRIES: usize = 64;

impl Cache {
    pub(crate) fn plane(&self) -> &Arc<Plane> {
        self.shared().plane()
    }

    /// Settings for all queries under a key, those that there are and those to come; `key![]` is
    /// the whole cache. Each call of the handle acts at once.
    ///
    /// ```
    /// use tickcache::{Cache, Fetched, key};
    ///
    /// # fn main() -> Result<(), tickcache::BuildError> {
    /// let cache = Cache::builder().build()?;
    /// cache.defaults(key!["job"]).fetch(|cx| async move { Ok(Fetched::new(cx.key().to_json())) });
    /// # Ok(())
    /// # }
    /// ```
    pub fn defaults(&self, prefix: impl Into<Key>) -> Defaults {
        Defaults::new(Arc::clone(self.shared()), prefix.into())
    }

    /// The data under a key, if there is any that fits the type, whatever it is worth. Fetches and
    /// observes nothing; [`QueryBuilder::state`](crate::QueryBuilder::state) says more.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, key: &Key) -> Option<Arc<T>> {
        let source = Source::find(self.shared(), key)?;
        decode::read(&source.content().held)?.ok().map(Arc::new)
    }

    /// Writes the whole value of a query: it replaces the old one and is live. What a fetch that
    /// runs brings is older than that, and dropped.
    ///
    /// A slot is written by its owner, between two batches, or by this thread where no feed owns
    /// it; the handle says when that is done. A document is written when this returns.
    ///
    /// # Errors
    /// If the value has no JSON form, the key is a list, there is no room for another entity or id,
    /// or the owner cannot take it.
    pub fn set<V: Serialize + ?Sized>(
        &self,
        key: &Key,
        value: &V,
    ) -> Result<Completion, QueryError> {
        let json = to_json(value)?;
        let query = self.plane().query(key, None)?;
        Ok(self.plane().set(&query, json)?)
    }

    /// Writes what `update` makes of the present value, which may be absent: `None` leaves things
    /// as they are, and makes nothing.
    ///
    /// Of a document nothing is lost: if another write comes in between, `update` is called again.
    /// A slot has an owner of its own, whose writes between the read and the write are overwritten;
    /// where a stream writes, [`patch`](Self::patch) the fields that are meant instead.
    ///
    /// # Errors
    /// As [`set`](Self::set); also if the present value is not a `T`, or other writes came in
    /// between again and again.
    pub fn set_with<T, F>(&self, key: &Key, mut update: F) -> Result<Option<T>, QueryError>
    where
        T: DeserializeOwned + Serialize,
        F: FnMut(Option<&T>) -> Option<T>,
    {
        for _ in 0..TRIES {
            let source = Source::find(self.shared(), key);
            let content = source.as_ref().map(Source::content);
            let old = content
                .as_ref()
                .and_then(|content| decode::read(&content.held));
            let old: Option<T> = old.transpose().map_err(QueryError::Decode)?;
            let Some(new) = update(old.as_ref()) else {
                return Ok(None);
            };
            let json = to_json(&new)?;
            let query = self.plane().query(key, None)?;
            if query.document().is_none() {
                drop(self.plane().set(&query, json)?);
                return Ok(Some(new));
            }
            let version = match content.map(|content| content.version) {
                Some(Version::Document(version, _)) => version,
                // There was none: whatever version of none it is now, if there still is none.
                _ => match query.document() {
                    Some(shown) if shown.tree.is_none() => shown.version,
                    _ => continue,
                },
            };
            match self.plane().set_at(&query, version, &json) {
                Err(crate::io::plane::QueryError::Moved) => {}
                done => {
                    done?;
                    return Ok(Some(new));
                }
            }
        }
        Err(QueryError::Contended)
    }

    /// As [`set_with`](Self::set_with), for every query that a filter means, in the order in which
    /// they were made. Makes none; lists are left alone. Gives the keys and what was written, or
    /// why not.
    pub fn set_many<T, F>(
        &self,
        filter: impl Into<Filter>,
        mut update: F,
    ) -> Vec<(Key, Result<Option<T>, QueryError>)>
    where
        T: DeserializeOwned + Serialize,
        F: FnMut(Option<&T>) -> Option<T>,
    {
        let queries = self.plane().queries(&filter.into());
        queries
            .into_iter()
            .filter(|query| query.members().is_none())
            .map(|query| {
                let set = self.set_with(query.key(), &mut update);
                (query.key().clone(), set)
            })
            .collect()
    }

    /// Lays a part of a value over it, where there is one, as a message of a stream would: RFC 7396,
    /// so null removes a member. A patch confirms nothing: it never clears an invalidation. While a
    /// fetch runs it is kept, and laid over the result, too.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn patch<V: Serialize + ?Sized>(
        &self,
        key: &Key,
        patch: &V,
    ) -> Result<Completion, QueryError> {
        let json = to_json(patch)?;
        let query = self.plane().query(key, None)?;
        Ok(self.plane().patch(&query, json, Mode::Merge)?)
    }

    /// Removes the value: it is known that there is none. The query stays.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn unset(&self, key: &Key) -> Result<Completion, QueryError> {
        let query = self.plane().query(key, None)?;
        Ok(self.plane().unset(&query)?)
    }

    /// Marks as invalidated what a filter means: a key, for everything under it, or a [`Filter`].
    /// When this returns every read says so. `key!["job"]` reaches every value of the entity
    /// `job` and touches none of them, `key!["job", 42]` that slot and what is under it.
    ///
    /// What is observed is then fetched again (of a filter that means what is inactive, that, if it
    /// was ever fetched or written); what runs already is followed by exactly one more
    /// fetch (D4). Await the handle, drop it, or choose with [`Invalidation::refetch`].
    /// [`invalidate_all`](Self::invalidate_all), [`Entity::invalidate`](crate::Entity::invalidate)
    /// and [`Slot::invalidate`](crate::Slot::invalidate) do the same without a choice: what is
    /// observed is fetched.
    pub fn invalidate(&self, filter: impl Into<Filter>) -> Invalidation {
        let filter = filter.into();
        let kind = match filter.activity() {
            Activity::Inactive => RefetchKind::Inactive,
            Activity::Any | Activity::Active => RefetchKind::Active,
        };
        Invalidation::new(self.plane().mark(&filter), kind)
    }

    /// Fetches again what a filter means, whatever it is worth: what was ever fetched or written,
    /// has a fetcher, and is neither disabled nor static. Await the handle or drop it.
    pub fn refetch(&self, filter: impl Into<Filter>) -> RefetchRequest {
        RefetchRequest::new(Arc::clone(self.plane()), filter.into())
    }

    /// Puts what a filter means back to its initial state, and fetches what of it is observed. What
    /// a feed writes stays: it is the stream's. Await the handle or drop it.
    pub fn reset(&self, filter: impl Into<Filter>) -> Refetching {
        Refetching::new(self.plane().reset(&filter.into()))
    }

    /// Forgets what a filter means: state, data and settings of the queries, fetches that run. Values
    /// that a feed writes stay. Who waits for a fetch is told [`QueryError::Cancelled`]. Gives how
    /// many queries there were.
    pub fn remove(&self, filter: impl Into<Filter>) -> usize {
        self.plane().remove(&filter.into())
    }

    /// Cancels the fetches of what a filter means, when the handle is dropped. A result that comes
    /// afterwards is dropped.
    pub fn cancel(&self, filter: impl Into<Filter>) -> Cancelling {
        Cancelling::new(Arc::clone(self.plane()), filter.into())
    }

    /// How many of the queries that a filter means are being fetched.
    #[must_use]
    pub fn is_fetching(&self, filter: impl Into<Filter>) -> usize {
        let filter = filter.into().fetching(FetchStatus::Fetching);
        self.plane().queries(&filter).len()
    }

    /// What is known about the queries that a filter means, in the order in which they were made.
    #[must_use]
    pub fn queries(&self, filter: impl Into<Filter>) -> Vec<QueryInfo> {
        let filter = filter.into();
        let infos = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&infos);
        // The infos are made for predicates; this one takes them down.
        let taking = filter.clone().predicate(move |info| {
            let accepted = filter.accepts(info);
            if accepted && let Ok(mut seen) = seen.lock() {
                seen.push(info.clone());
            }
            accepted
        });
        drop(self.plane().queries(&taking));
        let mut infos = infos
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut infos)
    }

    /// Tells whether the network is there. Offline, fetches wait (see
    /// [`network`](crate::QueryBuilder::network)); going online lets them go on, and fetches what
    /// is observed and stale. Feeds have signals of their own. At first it is there.
    pub fn set_online(&self, online: bool) {
        self.plane().set_online(online);
    }

    /// Whether the network is there, as far as anybody has said.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.plane().is_online()
    }

    /// Tells whether the application has the user's attention. Without it polls and retries wait;
    /// gaining it fetches what is observed and stale. At first it has. A service leaves it so.
    pub fn set_focused(&self, focused: bool) {
        self.plane().set_focused(focused);
    }

    /// Whether the application has the user's attention, as far as anybody has said.
    #[must_use]
    pub fn is_focused(&self) -> bool {
        self.plane().is_focused()
    }

    /// What happens to queries from now on, for tools: a bounded queue of its own for each caller.
    #[must_use]
    pub fn events(&self) -> CacheEvents {
        CacheEvents::new(Arc::clone(self.shared()))
    }

    /// Of a cache that is driven by hand ([`CacheBuilder::by_hand`](crate::CacheBuilder::by_hand),
    /// every cache without the feature `net`, and those of `TestFeed`): runs everything of the slow
    /// plane that is due, on this thread, until nothing is: fetchers, retries, polls, hooks. Gives how
    /// long it is until something is due next, unless something moves before.
    ///
    /// Other caches go on by themselves; this then helps, and is never needed.
    pub fn drive(&self) -> Option<Duration> {
        let next = self.drive_plane()?;
        Some(next.since(self.shared().clock.now()))
    }

    /// As [`drive`](Self::drive): when something is due next.
    pub(crate) fn drive_plane(&self) -> Option<Time> {
        loop {
            let next = self.plane().drive();
            if !self.shared().hooks().run() {
                return next;
            }
        }
    }
}

pub(super) fn to_json<V: Serialize + ?Sized>(value: &V) -> Result<Vec<u8>, QueryError> {
    serde_json::to_vec(value).map_err(|error| QueryError::Json(error.to_string()))
}

impl Held {
    /// Whether there is nothing.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}
