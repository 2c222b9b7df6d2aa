//! Reading values by id, again and again.

use std::fmt;

use super::entity::{Entity, Field};
use super::error::NotLive;
use super::slot::{Slot, plainly_live, plainly_live_later};
use crate::key::IdRef;
use crate::record::Value;
use crate::store::Lookup;

/// One thread's reader of an entity by id: as [`Entity::live`], and it remembers the slots that it
/// has found, so that a read costs a look-up in a table of its own and the read itself.
///
/// It holds 30 to 60 bytes for each id it has read, and the slot of it; ids that are purged are
/// forgotten when they are asked for again. Made by [`Entity::reader`].
///
/// # Progress
/// Lock-free. Writes no shared memory, except for the first read of an id.
pub struct EntityReader {
    entity: Entity,
    known: Lookup,
    /// Of the entity's policy.
    expires: bool,
}

impl EntityReader {
    pub(super) fn new(entity: Entity) -> Self {
        Self {
            known: Lookup::new(entity.core().clone()),
            expires: entity.policy().expires(),
            entity,
        }
    }

    /// The entity.
    #[must_use]
    pub fn entity(&self) -> &Entity {
        &self.entity
    }

    /// As [`Entity::live`].
    ///
    /// # Errors
    /// As [`Entity::live`].
    #[inline]
    pub fn live<'id, const N: usize>(
        &mut self,
        id: impl Into<IdRef<'id>>,
        fields: [Field; N],
    ) -> Result<[Value; N], NotLive> {
        let id = id.into();
        let expires = self.expires;
        let common = self.entity.common();
        let cells = self
            .known
            .known(id, |slot| plainly_live(slot, common, expires, &fields));
        match cells {
            Some(cells) => Ok(Value::from_cells_whole(&cells)),
            None => self.live_or_why(id, fields),
        }
    }

    /// Every other case: slots that have grown, and then whatever else there may be.
    #[inline(never)]
    fn live_or_why<const N: usize>(
        &mut self,
        id: IdRef<'_>,
        fields: [Field; N],
    ) -> Result<[Value; N], NotLive> {
        let (common, expires) = (self.entity.common(), self.expires);
        let cells = self.known.known(id, |slot| {
            plainly_live_later(slot, common, expires, &fields)
        });
        match cells {
            Some(cells) => Ok(Value::from_cells_whole(&cells)),
            None => self.live_or_not(id, fields),
        }
    }

    #[cold]
    #[inline(never)]
    fn live_or_not<const N: usize>(
        &mut self,
        id: IdRef<'_>,
        fields: [Field; N],
    ) -> Result<[Value; N], NotLive> {
        match self.find(id) {
            Some(slot) => slot.live(fields),
            None => Err(self.entity.none_of(id)),
        }
    }

    /// As [`Entity::find`].
    #[must_use]
    pub fn find<'id>(&mut self, id: impl Into<IdRef<'id>>) -> Option<Slot> {
        let core = self.known.find(id.into())?;
        Some(Slot::new(self.entity.clone(), core))
    }
}

impl fmt::Debug for EntityReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EntityReader").field(&self.entity).finish()
    }
}
