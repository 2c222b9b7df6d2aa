//! What somebody who is not the owner of an entity needs to prepare an update for the owner: the
//! schema to compile it with, and the stamps as of the time at which it was received.

use crate::key::IdRef;
use crate::record::SchemaSource;
use crate::store::entity::Entity;
use crate::store::schema::SchemaHandle;
use crate::store::shared::Begun;
use crate::sync::Arc;

/// Prepares updates for the owner of an entity. Any number of them, beside the owner.
#[derive(Debug)]
pub(crate) struct Courier {
    entity: Arc<Entity>,
    schema: SchemaHandle,
    begun: Begun,
}

impl Courier {
    pub(super) fn new(entity: Arc<Entity>) -> Self {
        let schema = SchemaHandle::new(entity.shared().clone());
        let begun = entity.shared().begin_beside();
        Self {
            entity,
            schema,
            begun,
        }
    }

    /// What updates are compiled with. The owner has to
    /// [look at the schema again](super::EntityWriter::renew_schema) before it publishes them.
    pub(crate) fn schema(&mut self) -> &mut impl SchemaSource {
        &mut self.schema
    }

    /// Begins a batch: what is invalidated from now on stays so, whatever the batch brings and
    /// however late it is published.
    pub(crate) fn begin_batch(&mut self) {
        self.begun = self.entity.shared().begin_beside();
    }

    /// The link's word, to be read at the start of a batch.
    pub(crate) fn link(&self) -> u64 {
        self.entity.link().load()
    }

    /// The sum of invalidations of an id as it was at the start of the batch.
    pub(crate) fn invalidation(&self, id: IdRef<'_>) -> u64 {
        self.entity
            .with(id, |slot| slot.invalidation_before(&self.begun))
            .unwrap_or(self.begun.base)
    }
}
