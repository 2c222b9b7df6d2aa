//! What the slots of an entity have in common: the schema, and the words of freshness above them.

use crossbeam_utils::CachePadded;

use crate::record::Limits;
use crate::store::link::LinkWord;
use crate::store::schema::SharedSchema;
use crate::sync::{Arc, AtomicU64, Ordering, fence};

/// What the slots of an entity have in common.
///
/// What a read compares a value with comes first, away from the word that the owner stores for
/// each batch.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Shared {
    link: LinkWord,
    /// Invalidations of this entity.
    invalidated: AtomicU64,
    /// Invalidations of all entities.
    everything: Arc<AtomicU64>,
    schema: SharedSchema,
    /// Invalidations of single slots, for who watches the entity.
    slots_invalidated: AtomicU64,
    /// The owner's batch.
    batch: CachePadded<AtomicU64>,
}

impl Shared {
    /// What tells the slots of one entity from those of any other that lives.
    #[inline(always)]
    pub(crate) fn family(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(super) fn new(limits: Limits, everything: Arc<AtomicU64>) -> Self {
        Self {
            link: LinkWord::new(),
            invalidated: AtomicU64::new(0),
            everything,
            schema: SharedSchema::new(limits),
            slots_invalidated: AtomicU64::new(0),
            batch: CachePadded::new(AtomicU64::new(0)),
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
        self.everything.load(Ordering::Acquire) + self.invalidated.load(Ordering::Acquire)
    }

    /// This entity is invalidated.
    pub(super) fn invalidate(&self) {
        self.invalidated.fetch_add(1, Ordering::AcqRel);
    }

    /// Twice the invalidations of single slots: once before each of them, and once after.
    pub(super) fn slots_invalidated(&self) -> u64 {
        self.slots_invalidated.load(Ordering::Acquire)
    }

    /// A slot is about to be invalidated, or was.
    pub(super) fn slot_invalidated(&self) {
        self.slots_invalidated.fetch_add(1, Ordering::AcqRel);
    }

    /// The owner's batch, for an invalidation of one slot. The fence pairs with the one in
    /// [`begin_batch`](Self::begin_batch).
    pub(super) fn batch(&self) -> u64 {
        fence(Ordering::SeqCst);
        self.batch.load(Ordering::Relaxed)
    }

    /// Who is not the owner: a batch of its own begins. What is invalidated from here on is not
    /// healed by what was read before, however late the owner publishes it. The fence pairs with
    /// the one in [`batch`](Self::batch): nobody who acts after this sees an earlier one.
    pub(super) fn begin_beside(&self) -> Begun {
        let batch = self.batch.load(Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Begun {
            batch,
            slots: self.slots_invalidated(),
            base: self.invalidations(),
        }
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

/// How things stood when somebody who is not the owner began a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Begun {
    /// The owner's batch.
    pub(super) batch: u64,
    /// Invalidations of single slots.
    pub(super) slots: u64,
    /// The sum of invalidations of everything and of the entity.
    pub(super) base: u64,
}
