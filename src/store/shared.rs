//! What the slots of an entity have in common: the schema, and the words of freshness above them.

use crate::record::Limits;
use crate::store::link::LinkWord;
use crate::store::marks::{Marks, Point, Tally};
use crate::store::schema::SharedSchema;
use crate::sync::{Arc, AtomicU64, Ordering};

/// What the slots of an entity have in common.
///
/// What a read compares a value with comes first. Nothing here is stored to by a publication, nor by
/// the beginning or the end of a batch.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Shared {
    link: LinkWord,
    /// Invalidations of this entity.
    invalidated: Tally,
    /// Invalidations of all entities, and the order of all of them.
    marks: Arc<Marks>,
    schema: SharedSchema,
    /// Invalidations of single slots, for who watches the entity.
    slots_invalidated: AtomicU64,
}

impl Shared {
    /// What tells the slots of one entity from those of any other that lives.
    #[inline(always)]
    pub(crate) fn family(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(super) fn new(limits: Limits, marks: Arc<Marks>) -> Self {
        Self {
            link: LinkWord::new(),
            invalidated: Tally::new(),
            marks,
            schema: SharedSchema::new(limits),
            slots_invalidated: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn schema(&self) -> &SharedSchema {
        &self.schema
    }

    #[inline]
    pub(crate) fn link(&self) -> &LinkWord {
        &self.link
    }

    /// How often all entities, or this one, were invalidated.
    #[inline]
    pub(crate) fn invalidations(&self) -> u64 {
        self.marks.everything().now() + self.invalidated.now()
    }

    /// As [`invalidations`](Self::invalidations), as it was at a point, or less: less than now, if
    /// any came since.
    #[inline]
    pub(super) fn invalidations_as_of(&self, point: Point) -> u64 {
        self.marks.everything().as_of(point) + self.invalidated.as_of(point)
    }

    /// The order of all marks.
    #[inline]
    pub(super) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// This entity is invalidated.
    pub(super) fn invalidate(&self) {
        self.marks.raise(&self.invalidated);
    }

    /// How often single slots were invalidated.
    pub(super) fn slots_invalidated(&self) -> u64 {
        self.slots_invalidated.load(Ordering::Acquire)
    }

    /// A slot was invalidated.
    pub(super) fn slot_invalidated(&self) {
        self.slots_invalidated.fetch_add(1, Ordering::AcqRel);
    }
}
