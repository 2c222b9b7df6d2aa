//! The values that a feed's subscriptions keep up, as the slow plane needs to know them.
//!
//! The feed's thread writes, when a subscription is asked for, ended or refused; the slow plane
//! reads. The lock is held for moments, and no message needs it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};

use crate::key::Id;
use crate::store::Flag;

type Ids = HashSet<Id, foldhash::fast::RandomState>;

/// The values of one feed's subscriptions.
pub(crate) struct Wanted {
    entities: Mutex<HashMap<Arc<str>, Ids, foldhash::fast::RandomState>>,
    changes: Flag,
}

impl Wanted {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            entities: Mutex::default(),
            changes: Flag::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Ids, foldhash::fast::RandomState>> {
        self.entities.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A subscription keeps it up, or is meant to.
    pub(crate) fn add(&self, entity: &str, id: Id) {
        let mut entities = self.lock();
        let added = match entities.get_mut(entity) {
            Some(ids) => ids.insert(id),
            None => entities.entry(entity.into()).or_default().insert(id),
        };
        drop(entities);
        if added {
            self.changes.raise();
        }
    }

    /// Nothing keeps it up any more.
    pub(crate) fn remove(&self, entity: &str, id: &Id) {
        if let Some(ids) = self.lock().get_mut(entity) {
            ids.remove(id);
        }
    }

    /// Whether a subscription keeps it up.
    pub(crate) fn contains(&self, entity: &str, id: &Id) -> bool {
        self.lock().get(entity).is_some_and(|ids| ids.contains(id))
    }

    /// The ids of an entity, in an order that is the same in every run.
    pub(crate) fn ids(&self, entity: &str) -> Vec<Id> {
        let entities = self.lock();
        let ids = entities.get(entity);
        let mut ids = ids.map_or_else(Vec::new, |ids| ids.iter().cloned().collect::<Vec<_>>());
        drop(entities);
        ids.sort_unstable_by(|one, other| one.as_ref().cmp(&other.as_ref()));
        ids
    }

    /// How often there was one more.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.level()
    }
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count: usize = self.lock().values().map(HashSet::len).sum();
        f.debug_struct("Wanted").field("values", &count).finish()
    }
}
