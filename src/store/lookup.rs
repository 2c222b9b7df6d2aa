//! One reader's own way from id to slot: a private table of the slots it has found.
//!
//! The entity's index is shared, so each look-up there has to protect the slot it finds from being
//! dropped by a purge: two atomic exchanges. Who reads by key again and again keeps what it found.
//! A slot that was purged says so itself, and is looked up again.
//!
//! A short id lies in the table, beside the pointer, in 24 bytes: so a hit is one line of the table,
//! and of the slot nothing is looked at but what a read needs. For longer ids the table has a hash,
//! and the slot is asked for its id.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::key::{IdRef, PackedId};
use crate::store::entity::Entity;
use crate::store::slot::Slot;
use crate::sync::Arc;

/// Slots of one entity by id, kept by one reader. Grows with the ids it has read.
#[derive(Debug)]
pub(crate) struct Lookup {
    entity: Arc<Entity>,
    hasher: RandomState,
    short: HashTable<(PackedId, Arc<Slot>)>,
    long: HashTable<(u64, Arc<Slot>)>,
}

#[inline(always)]
fn hash_of(hasher: &RandomState, id: PackedId) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u128(id.bits());
    hasher.finish()
}

impl Lookup {
    pub(crate) fn new(entity: Arc<Entity>) -> Self {
        Self {
            entity,
            hasher: RandomState::default(),
            short: HashTable::new(),
            long: HashTable::new(),
        }
    }

    /// Shows the slot of an id, if it was found before and `show` has something to say of it.
    #[inline(always)]
    pub(crate) fn known<R>(
        &self,
        id: IdRef<'_>,
        show: impl FnOnce(&Slot) -> Option<R>,
    ) -> Option<R> {
        let slot = match PackedId::new(id) {
            Some(id) => {
                let hash = hash_of(&self.hasher, id);
                let found = self.short.find(hash, |(known, _)| *known == id);
                found.map(|(_, slot)| slot)
            }
            None => self.known_long(id),
        };
        show(slot?)
    }

    #[inline(never)]
    fn known_long(&self, id: IdRef<'_>) -> Option<&Arc<Slot>> {
        let hash = self.entity.index().hash(id).number();
        let is = |(known, slot): &(u64, Arc<Slot>)| *known == hash && slot.is(id);
        self.long.find(hash, is).map(|(_, slot)| slot)
    }

    /// The slot of an id, if there is one, from now on known by the id as the entity has it.
    #[cold]
    pub(crate) fn find(&mut self, id: IdRef<'_>) -> Option<Arc<Slot>> {
        let id = self.entity.canonical(id);
        let id = id.as_ref();
        let (entity, hasher) = (&self.entity, &self.hasher);
        match PackedId::new(id) {
            Some(key) => {
                let is = |(known, _): &(PackedId, Arc<Slot>)| *known == key;
                let again = |(known, _): &(PackedId, Arc<Slot>)| hash_of(hasher, *known);
                let entry = self.short.entry(hash_of(hasher, key), is, again);
                settle(entity, id, key, entry)
            }
            None => {
                let hash = entity.index().hash(id).number();
                let is = |(known, slot): &(u64, Arc<Slot>)| *known == hash && slot.is(id);
                let entry = self.long.entry(hash, is, |(hash, _)| *hash);
                settle(entity, id, hash, entry)
            }
        }
    }
}

/// The slot of an id, which has this entry: kept there if it lives, looked up if not, and forgotten
/// if there is none any more.
fn settle<K>(
    entity: &Entity,
    id: IdRef<'_>,
    key: K,
    entry: Entry<'_, (K, Arc<Slot>)>,
) -> Option<Arc<Slot>> {
    match entry {
        Entry::Occupied(mut entry) => {
            if entry.get().1.epoch().is_dead() {
                let Some(slot) = entity.find(id) else {
                    entry.remove();
                    return None;
                };
                entry.get_mut().1 = slot;
            }
            Some(entry.get().1.clone())
        }
        Entry::Vacant(entry) => {
            let slot = entity.find(id)?;
            entry.insert((key, slot.clone()));
            Some(slot)
        }
    }
}
