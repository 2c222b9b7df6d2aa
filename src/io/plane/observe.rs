//! Queries and their observers.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::error::QueryError;
use super::heed::Heed;
use super::place::{Above, SlotPlace, Word, canonical};
use super::query::Query;
use super::settings::Settings;
use super::{Place, Plane};
use crate::io::plane::document::Document;
use crate::io::plane::list::List;
use crate::key::Key;
use crate::query::ObserverId;
use crate::sync::Arc;

impl Plane {
    /// The query of a key, made if there is none. `more` is added to its own settings.
    ///
    /// # Errors
    /// [`QueryError::OtherPlace`], [`NoEntity`](QueryError::NoEntity), [`Full`](QueryError::Full),
    /// [`NoRuntime`](QueryError::NoRuntime), [`Closed`](QueryError::Closed).
    pub(crate) fn query(
        self: &Arc<Self>,
        key: &Key,
        more: Option<&Settings>,
    ) -> Result<Arc<Query>, QueryError> {
        self.query_as(key, more, false)
    }

    /// The query of a key, made a list if there is none: where its items are is said by whoever
    /// fetches it.
    ///
    /// # Errors
    /// Those of [`query`](Self::query).
    pub(crate) fn list(self: &Arc<Self>, key: &Key) -> Result<Arc<Query>, QueryError> {
        self.query_as(key, None, true)
    }

    fn query_as(
        self: &Arc<Self>,
        key: &Key,
        more: Option<&Settings>,
        as_list: bool,
    ) -> Result<Arc<Query>, QueryError> {
        self.executor()?;
        let key = &*canonical(&self.store, key);
        let (known, base) = {
            let core = self.lock();
            (core.known(key), core.defaults.resolve(key))
        };
        let declared = more.is_some_and(|more| more.list.is_some());
        let known = match known {
            Some(query) if !as_list && query.is_misplaced(more) => {
                if self.let_go_of_restored(&query) {
                    None
                } else if declared || query.as_list().is_some() {
                    return Err(QueryError::OtherPlace(key.clone()));
                } else {
                    Some(query)
                }
            }
            known => known,
        };
        let (query, new) = match known {
            Some(query) => (query, false),
            None => {
                let is_list = as_list || declared || base.list.is_some();
                (Arc::new(self.make(key, is_list)?), true)
            }
        };
        let query = self.with(|core, now| {
            if core.closed {
                return Err(QueryError::Closed);
            }
            let query = if new { core.make_known(query) } else { query };
            if new || more.is_some() {
                core.resolve(&query, more, now);
            }
            core.enter(&query, now);
            core.begin_with_initial(&query, now);
            Ok(query)
        })?;
        if more.is_some_and(|more| more.fetcher.is_some()) && query.slot().is_some() {
            self.promote(key);
        }
        Ok(query)
    }

    /// The query of a key, if there is one.
    pub(crate) fn find(&self, key: &Key) -> Option<Arc<Query>> {
        let key = canonical(&self.store, key);
        let core = self.lock();
        let ix = core.machine.find(&key)?;
        core.query(ix)
    }

    fn make(&self, key: &Key, is_list: bool) -> Result<Query, QueryError> {
        let full = || QueryError::Full(key.clone());
        let entity = match key.entity() {
            Some(name) => Some(self.store.entity(name).map_err(|_| full())?),
            None => None,
        };
        let (place, above) = match (entity, key.slot_prefix()) {
            (None, _) if is_list => return Err(QueryError::NoEntity(key.clone())),
            (None, _) => (
                Place::Document(Document::default()),
                Above::Everything(Arc::clone(&self.everything)),
            ),
            (Some(entity), _) if is_list => (
                Place::List(List::new(Arc::clone(&entity))),
                Above::Entity(entity),
            ),
            (Some(entity), None) => (Place::Document(Document::default()), Above::Entity(entity)),
            (Some(entity), Some((_, id))) => {
                let slot = entity.slot(id).map_err(|_| full())?;
                let slot = Arc::new(SlotPlace::new(entity, id.to_owned(), slot));
                if key.len() == 2 {
                    (Place::Slot(Arc::clone(&slot)), Above::Is(slot))
                } else {
                    (Place::Document(Document::default()), Above::Slot(slot))
                }
            }
        };
        Ok(Query::new(key.clone(), place, Word::new(above)))
    }

    /// Observes a query, until the observation is dropped. `more` is this observer's own.
    ///
    /// # Errors
    /// [`QueryError::Closed`].
    pub(crate) fn observe(
        self: &Arc<Self>,
        query: &Arc<Query>,
        more: Option<&Settings>,
    ) -> Result<Observation, QueryError> {
        let settings = Arc::new(match more {
            Some(more) => more.over(&query.settings()),
            None => Settings::clone(&query.settings()),
        });
        // Functions of the state are asked before the lock is taken.
        let heed = Heed::look(query, &settings);
        let options = settings.observer_options(query, &query.state());
        let id = self.with(|core, now| {
            if core.closed {
                return None;
            }
            let ix = core.enter(query, now);
            let id = core.machine.observe(ix, options, now, &core.table)?;
            core.observers.insert(id, Arc::clone(&settings));
            core.heed(id, heed, options.polling, now);
            core.publish(ix, now);
            Some(id)
        });
        Ok(Observation {
            plane: Arc::clone(self),
            query: Arc::clone(query),
            id: id.ok_or(QueryError::Closed)?,
            settings: Mutex::new(settings),
        })
    }

    pub(super) fn unobserve(self: &Arc<Self>, observer: ObserverId) {
        self.with(|core, now| {
            if core.closed {
                return;
            }
            core.machine.unobserve(observer, now, &core.table);
            let settings = core.observers.remove(&observer);
            let heed = core.heeds.remove(&observer);
            core.throw_away((settings, heed));
        });
    }
}

/// One observer of a query. Dropping it ends that.
pub(crate) struct Observation {
    plane: Arc<Plane>,
    query: Arc<Query>,
    id: ObserverId,
    settings: Mutex<Arc<Settings>>,
}

impl Observation {
    /// Adds to what this observer goes by: enabled, stale, polling, when to fetch again.
    pub(crate) fn change(&self, more: &Settings) {
        let mut own = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = Arc::new(more.over(&own));
        let old = std::mem::replace(&mut *own, Arc::clone(&settings));
        drop(own);
        let heed = Heed::look(&self.query, &settings);
        let options = settings.observer_options(&self.query, &self.query.state());
        self.plane.with(|core, now| {
            if core.closed {
                return;
            }
            core.machine
                .set_observer(self.id, options, now, &core.table);
            core.heed(self.id, heed, options.polling, now);
            let before = core.observers.insert(self.id, settings);
            core.throw_away((old, before));
        });
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.plane.unobserve(self.id);
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation")
            .field("key", self.query.key())
            .finish_non_exhaustive()
    }
}
