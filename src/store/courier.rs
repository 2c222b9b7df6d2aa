//! What somebody who is not the owner of an entity needs to prepare an update for the owner: the
//! schema to compile it with, and the stamps as of the time at which it was received.

use crate::key::IdRef;
use crate::record::SchemaSource;
use crate::store::entity::Entity;
use crate::store::marks::Point;
use crate::store::schema::SchemaHandle;
use crate::sync::Arc;

/// Prepares updates for the owner of an entity. Any number of them, beside the owner.
#[derive(Debug)]
pub(crate) struct Courier {
    entity: Arc<Entity>,
    schema: SchemaHandle,
    /// When the batch began, and the sum of invalidations of everything and of the entity then.
    point: Point,
    base: u64,
}

impl Courier {
    pub(super) fn new(entity: Arc<Entity>) -> Self {
        let schema = SchemaHandle::new(entity.shared().clone());
        let point = entity.shared().marks().point();
        let mut courier = Self {
            entity,
            schema,
            point,
            base: 0,
        };
        courier.begin_at(point);
        courier
    }

    /// What updates are compiled with. The owner has to
    /// [look at the schema again](super::EntityWriter::renew_schema) before it publishes them.
    pub(crate) fn schema(&mut self) -> &mut impl SchemaSource {
        &mut self.schema
    }

    /// As of a batch that began at a point: what is invalidated from there on stays so, whatever the
    /// batch brings and however late it is published.
    pub(crate) fn begin_at(&mut self, point: Point) {
        self.point = point;
        self.base = self.entity.shared().invalidations_as_of(point);
    }

    /// The link's word as it was when the batch began; `None` if it was raised since.
    pub(crate) fn link(&self) -> Option<u64> {
        self.entity.link().as_of(self.point)
    }

    /// The sum of invalidations of an id as it was at the start of the batch.
    pub(crate) fn invalidation(&self, id: IdRef<'_>) -> u64 {
        self.entity
            .with(id, |slot| slot.invalidation_as_of(self.base, self.point))
            .unwrap_or(self.base)
    }
}
