//! Whoever watches slots and entities without a query of theirs.
//!
//! A watch of a slot is noted in a table. It is an observer to the machine only where somebody has
//! said how the slot is fetched, before or after: the watch of a price that no fetcher knows costs
//! the slow plane nothing.
//!
//! Who follows a whole entity observes none of its slots. When marks have moved in it, the slots
//! that hold a stale value and have a fetcher are fetched, as the budget of the machine allows. That
//! takes one look at each slot of the entity for each burst of marks, on the slow plane.

use std::fmt;

use hashbrown::HashMap;

use super::core::Core;
use super::heed::Heed;
use super::place::{LinkLook, is_unsure};
use super::query::Query;
use super::{Place, Plane};
use crate::Time;
use crate::key::{Id, Key};
use crate::query::{Cause, ObserverId, Want};
use crate::store::{Entity, Slot};
use crate::sync::Arc;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Slots that are watched, entities that are followed.
#[derive(Debug, Default)]
pub(super) struct SideTable {
    slots: Map<Key, Noted>,
    entities: Map<Arc<str>, Followed>,
}

#[derive(Debug, Default)]
struct Noted {
    watches: usize,
    observer: Option<ObserverId>,
}

#[derive(Debug)]
struct Followed {
    followers: usize,
    entity: Arc<Entity>,
    /// The marks that were looked at.
    seen: Marks,
}

/// How often an entity, and single slots of it, were marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    entity: u64,
    slots: u64,
}

impl Marks {
    fn of(entity: &Entity) -> Self {
        Self {
            entity: entity.invalidations(),
            slots: entity.slots_invalidated(),
        }
    }
}

impl SideTable {
    /// Whether anybody watches the slot of this key.
    pub(super) fn is_watched(&self, key: &Key) -> bool {
        self.slots.contains_key(key)
    }

    /// The machine has let go of the query of this key, and of its observers.
    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(noted) = self.slots.get_mut(key) {
            noted.observer = None;
        }
    }

    /// The entities that are followed and were marked since they were last looked at.
    pub(super) fn take_marked(&mut self) -> Vec<Arc<Entity>> {
        let mut marked = Vec::new();
        for followed in self.entities.values_mut() {
            let now = Marks::of(&followed.entity);
            if std::mem::replace(&mut followed.seen, now) != now {
                marked.push(Arc::clone(&followed.entity));
            }
        }
        marked
    }

    /// A mark of everything (`None`) or of an entity that is not to be looked at: what comes of it
    /// is decided elsewhere. Gives the entities that it concerns.
    pub(super) fn excuse_entities(&mut self, entity: Option<&str>) -> Vec<Arc<Entity>> {
        let followed = self.entities.values_mut();
        followed
            .filter(|followed| entity.is_none_or(|name| &**followed.entity.name() == name))
            .map(|followed| {
                followed.seen.entity += 1;
                Arc::clone(&followed.entity)
            })
            .collect()
    }

    /// As [`excuse_entities`](Self::excuse_entities), a mark of one slot.
    pub(super) fn excuse_slot(&mut self, entity: &str) -> Option<Arc<Entity>> {
        let followed = self.entities.get_mut(entity)?;
        followed.seen.slots += 1;
        Some(Arc::clone(&followed.entity))
    }
}

impl Plane {
    /// Somebody watches a slot.
    pub(crate) fn observe_slot(self: &Arc<Self>, entity: &Entity, id: &Id) -> SlotObservation {
        let key = Key::of_slot(Arc::clone(entity.name()), id.clone());
        let mut core = self.lock();
        let noted = core.side.slots.entry(key.clone()).or_default();
        noted.watches += 1;
        let first = noted.watches == 1;
        let known = first && (!core.defaults.is_empty() || core.knows(&key));
        drop(core);
        if known {
            self.promote(&key);
        }
        SlotObservation {
            plane: Arc::clone(self),
            key,
        }
    }

    /// Somebody follows what changes in an entity.
    pub(crate) fn observe_entity(self: &Arc<Self>, entity: &Arc<Entity>) -> EntityObservation {
        let mut core = self.lock();
        let followed = core
            .side
            .entities
            .entry(Arc::clone(entity.name()))
            .or_insert_with(|| Followed {
                followers: 0,
                entity: Arc::clone(entity),
                seen: Marks::of(entity),
            });
        followed.followers += 1;
        EntityObservation {
            plane: Arc::clone(self),
            name: Arc::clone(entity.name()),
        }
    }

    /// Makes the watches of a slot an observer, if somebody has said how it is fetched.
    pub(super) fn promote(self: &Arc<Self>, key: &Key) {
        let fetchable = {
            let core = self.lock();
            let known = core.known(key);
            let wanted = core.side.slots.get(key);
            let wanted = wanted.is_some_and(|noted| noted.observer.is_none()) && !core.closed;
            let default = || core.defaults.resolve(key).fetcher.is_some();
            let fetchable = wanted
                && match &known {
                    Some(query) => query.settings().fetcher.is_some(),
                    None => default(),
                };
            drop(core);
            drop(known);
            fetchable
        };
        if !fetchable {
            return;
        }
        let Ok(query) = self.query(key, None) else {
            return;
        };
        if !matches!(query.place(), Place::Slot(_)) {
            return;
        }
        let settings = query.settings();
        let heed = Heed::look(&query, &settings);
        let options = settings.observer_options(&query, &query.state());
        self.with(|core, now| {
            let noted = core.side.slots.get(key);
            if core.closed || noted.is_none_or(|noted| noted.observer.is_some()) {
                return;
            }
            let ix = core.enter(&query, now);
            let observer = core.machine.observe(ix, options, now, &core.table);
            if let Some(observer) = observer {
                core.observers.insert(observer, settings);
                core.heed(observer, heed, options.polling, now);
                if let Some(noted) = core.side.slots.get_mut(key) {
                    noted.observer = Some(observer);
                }
            }
        });
    }

    /// As [`promote`](Self::promote), all watched slots under a key.
    pub(super) fn promote_under(self: &Arc<Self>, prefix: &Key) {
        let keys: Vec<Key> = {
            let core = self.lock();
            let slots = core.side.slots.iter();
            slots
                .filter(|(key, noted)| noted.observer.is_none() && key.starts_with(prefix))
                .map(|(key, _)| key.clone())
                .collect()
        };
        keys.iter().for_each(|key| self.promote(key));
    }

    /// Fetches what is stale in an entity that is followed, where somebody has said how.
    pub(super) fn refetch_entity(self: &Arc<Self>, entity: &Entity) {
        if self.lock().defaults.is_empty() {
            return;
        }
        for number in 0..entity.numbers() {
            let Some(slot) = entity.numbered(number).filter(|slot| is_stale(slot)) else {
                continue;
            };
            let key = Key::of_slot(Arc::clone(entity.name()), slot.id());
            if self.resolve(&key).fetcher.is_none() {
                continue;
            }
            if let Ok(query) = self.query(&key, None) {
                self.with(|core, now| core.fetch_followed(&query, now));
            }
        }
    }
}

/// Whether there is a value, and it was marked or is not sure.
fn is_stale(slot: &Slot) -> bool {
    let (sum, link) = (slot.invalidation(), LinkLook::of(slot));
    let head = slot.head();
    head.has_value() && (head.invalidation < sum || is_unsure(&head, link))
}

impl Core {
    /// Fetches a slot of an entity that is followed.
    pub(super) fn fetch_followed(&mut self, query: &Arc<Query>, now: Time) {
        if self.closed {
            return;
        }
        let ix = self.enter(query, now);
        let want = Want {
            stale: None,
            restart: false,
            cause: Cause::Invalidation,
        };
        // Nobody waits for it in particular. If one runs that began before the marks, the machine
        // has another one follow.
        let _ = self.machine.fetch(ix, want, now, &self.table);
    }
}

/// One watch of a slot. Dropping it ends that.
pub(crate) struct SlotObservation {
    plane: Arc<Plane>,
    key: Key,
}

impl Drop for SlotObservation {
    fn drop(&mut self) {
        let mut core = self.plane.lock();
        let Some(noted) = core.side.slots.get_mut(&self.key) else {
            return;
        };
        noted.watches -= 1;
        if noted.watches > 0 {
            return;
        }
        let observer = core.side.slots.remove(&self.key).and_then(|n| n.observer);
        drop(core);
        if let Some(observer) = observer {
            self.plane.unobserve(observer);
        }
    }
}

impl fmt::Debug for SlotObservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SlotObservation").field(&self.key).finish()
    }
}

/// One who follows an entity. Dropping it ends that.
pub(crate) struct EntityObservation {
    plane: Arc<Plane>,
    name: Arc<str>,
}

impl Drop for EntityObservation {
    fn drop(&mut self) {
        let mut core = self.plane.lock();
        if let Some(followed) = core.side.entities.get_mut(&self.name) {
            followed.followers -= 1;
            if followed.followers == 0 {
                core.side.entities.remove(&self.name);
            }
        }
    }
}

impl fmt::Debug for EntityObservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EntityObservation")
            .field(&self.name)
            .finish()
    }
}
