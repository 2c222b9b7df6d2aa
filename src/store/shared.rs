//! What the slots of an entity have in common: the schema, and the words of freshness above them.

use crate::record::Limits;
use crate::store::link::LinkWord;
use crate::store::schema::SharedSchema;
use crate::sync::{Arc, AtomicU64, Ordering, fence};

/// What the slots of an entity have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    schema: SharedSchema,
    link: LinkWord,
    /// Invalidations of all entities.
    everything: Arc<AtomicU64>,
    /// Invalidations of this one.
    invalidated: AtomicU64,
    /// Invalidations of single slots, for who watches the entity.
    slots_invalidated: AtomicU64,
    /// The owner's batch.
    batch: AtomicU64,
}

impl Shared {
    pub(super) fn new(limits: Limits, everything: Arc<AtomicU64>) -> Self {
        Self {
            schema: SharedSchema::new(limits),
            link: LinkWord::new(),
            everything,
            invalidated: AtomicU64::new(0),
            slots_invalidated: AtomicU64::new(0),
            batch: AtomicU64::new(0),
        }
    }

    pub(crate) fn schema(&self) -> &SharedSchema {
        &self.schema
    }

    #[inline]
    pub(crate) fn link(&self) -> &LinkWord {
        &self.link
    }

    /// How often all entities, or this one, were invalidated.
    #[inline]
    pub(super) fn invalidations(&self) -> u64 {
        self.everything.load(Ordering::Acquire) + self.invalidated.load(Ordering::Acquire)
    }

    /// This entity is invalidated.
    pub(super) fn invalidate(&self) {
        self.invalidated.fetch_add(1, Ordering::AcqRel);
    }

    /// How often single slots were invalidated.
    pub(super) fn slots_invalidated(&self) -> u64 {
        self.slots_invalidated.load(Ordering::Acquire)
    }

    /// A slot was invalidated.
    pub(super) fn slot_invalidated(&self) {
        self.slots_invalidated.fetch_add(1, Ordering::AcqRel);
    }

    /// The owner's batch, for an invalidation of one slot. The fence pairs with the one in
    /// [`begin_batch`](Self::begin_batch).
    pub(super) fn batch(&self) -> u64 {
        fence(Ordering::SeqCst);
        self.batch.load(Ordering::Relaxed)
    }

    /// Who is not the owner: the owner's batch now. Pairs with the fence in
    /// [`batch`](Self::batch): nobody who acts after this sees an earlier one.
    pub(super) fn seen_batch(&self) -> u64 {
        let batch = self.batch.load(Ordering::Relaxed);
        fence(Ordering::SeqCst);
        batch
    }

    /// Owner: what is invalidated from here on is not healed by what was read before. The fence
    /// lets nobody who acts after this see the batch before.
    pub(super) fn begin_batch(&self) -> u64 {
        let batch = self.batch.load(Ordering::Relaxed) + 1;
        self.batch.store(batch, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        batch
    }
}
