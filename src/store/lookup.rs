//! One reader's own way from id to slot: a private table of the slots it has found.
//!
//! The entity's index is shared, so each look-up there has to protect the slot it finds from being
//! dropped by a purge: two atomic exchanges. Who reads by key again and again keeps what it found.
//! A slot that was purged says so itself, and is looked up again.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::key::IdRef;
use crate::store::entity::Entity;
use crate::store::slot::Slot;
use crate::sync::Arc;

/// Slots of one entity by id, kept by one reader. Grows with the ids it has read.
#[derive(Debug)]
pub(crate) struct Lookup {
    entity: Arc<Entity>,
    found: HashTable<(u64, Arc<Slot>)>,
}

impl Lookup {
    pub(crate) fn new(entity: Arc<Entity>) -> Self {
        Self {
            entity,
            found: HashTable::new(),
        }
    }

    /// Shows the slot of an id, if it was found before and `show` has something to say of it.
    #[inline(always)]
    pub(crate) fn known<R>(
        &self,
        id: IdRef<'_>,
        show: impl FnOnce(&Slot) -> Option<R>,
    ) -> Option<R> {
        let hash = self.entity.index().hash(id).number();
        let is = |(known, slot): &(u64, Arc<Slot>)| *known == hash && slot.is(id);
        self.found.find(hash, is).and_then(|(_, slot)| show(slot))
    }

    /// The slot of an id, if there is one, from now on known by the id as the entity has it.
    #[cold]
    pub(crate) fn find(&mut self, id: IdRef<'_>) -> Option<Arc<Slot>> {
        let id = self.entity.canonical(id);
        let id = id.as_ref();
        let hash = self.entity.index().hash(id).number();
        let is = |(known, slot): &(u64, Arc<Slot>)| *known == hash && slot.is(id);
        match self.found.entry(hash, is, |(hash, _)| *hash) {
            Entry::Occupied(mut entry) => {
                if entry.get().1.epoch().is_dead() {
                    let Some(slot) = self.entity.find(id) else {
                        entry.remove();
                        return None;
                    };
                    entry.get_mut().1 = slot;
                }
                Some(entry.get().1.clone())
            }
            Entry::Vacant(entry) => {
                let slot = self.entity.find(id)?;
                entry.insert((hash, slot.clone()));
                Some(slot)
            }
        }
    }
}
