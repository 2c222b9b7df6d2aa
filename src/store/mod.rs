//! Slots: the newest value of each key, one writer, any number of readers, nobody waits.
//!
//! A read gives the last publication or one concurrent with it; the reads of one thread never go
//! back; a reader never sees half a message, and never makes the owner wait. The cost of a
//! publication does not depend on how many threads read. Reads are lock-free, and wait-free unless
//! lapped by a whole ring of publications; publishing is wait-free but for cold branches. Making
//! and purging slots, fields and entities takes locks that no read and no publication takes.
//!
//! # The ring
//!
//! A block has `K` versions of a record's words and one epoch. Publication `e` is in version
//! `e % K`. All of it is atomic words, so nothing here is `unsafe`, and a sanitizer would see
//! nothing: `tests/ring_models.rs` is the proof, with a broken variant for each ordering.
//!
//! | owner, publication `e + 1` | reader |
//! |---|---|
//! | `fence(Release)` | `e = epoch.load(Acquire)` |
//! | relaxed stores to version `(e + 1) % K` | relaxed loads from version `e % K` |
//! | `epoch.store(e + 1, Release)` | `fence(Acquire)` |
//! | | accept iff `epoch.load(Relaxed) - e <= K - 2` |
//!
//! - *The words of `e` are all there.* They were stored before the epoch was released, and the
//!   reader acquired it.
//! - *No word of a later publication is accepted.* The first to write there is `e + K`, whose
//!   stores follow its fence, which follows the store of epoch `e + K - 1`. If the reader copied
//!   such a word, the two fences order that epoch's store before the reader's second load, which
//!   then sees a distance of at least `K - 1`.
//! - *Reads never go back.* One thread's loads of one epoch word respect its order.
//! - *A writer that stops half-way* leaves the version after the newest half-written. Nobody reads
//!   it. The next owner copies in full before it shows it.
//! - *A message without news* does not publish. It stores times and the sequence in the newest
//!   version: each is a word that means something alone, and a reader may have either.
//!
//! # Copying forward
//!
//! The version to be written is `K - 1` publications behind. For each version the owner keeps a
//! mask of the cells put since that version was newest. An update looks up the old cells in the
//! newest version and writes its own into the next one; only then the rest is copied of what that
//! one is behind in: nothing, where messages name the same fields again and again. The masks of the
//! first 64 cells are the owner's own, those of the others lie behind the versions' words; only the
//! owner looks at either. A message that changes nothing may leave cells in the next version: they
//! are those of the newest, and nobody reads them there.
//!
//! # Where a cell is
//!
//! Regions of cells are laid one after the other and never move; a node that needs a wider one gets
//! another. So who has looked up a cell in one layout, the compiler of a patch or the holder of a
//! field, may use it in every other in which it lies within the cells, unless a region was replaced
//! in that layout after the look-up. Then, and if it lies beyond, it is looked up again.
//!
//! # Documents
//!
//! What is too long for cells is an immutable document in one of `K` places; its version is in the
//! header, the place is that version modulo `K`. A place is written before the publication that
//! names it, when the document changes. A reader loads the place between its copy and its check. If
//! it got a later document, `K` changes later and so at least `K` publications, then the store of
//! the epoch `K - 1` later came before, the load acquired that, and the check fails.
//!
//! # Growth
//!
//! A block's layout is fixed. When a patch needs more, the owner makes a bigger block with the
//! newest publication `e` as it is, sets it as the old one's successor, and only then stores the old
//! epoch again with CLOSED, released. Whoever sees CLOSED sees the successor, and in it at least
//! `e`. Whoever does not has `e` or before, from where nothing is written any more. Then the update
//! goes on in the new block. A copy made in a block that was closed meanwhile is made again in the
//! next one: so a closed block need not keep its documents. Old blocks stay for readers inside; what
//! they may keep is bounded, and beyond it a slot goes on as a document.
//!
//! # Removal and purge
//!
//! A removal is a publication with REMOVED; the same slot is revived by the next whole message. A
//! purge ends the slot: the entity notes the epoch that the slot will end with, takes it out of the
//! index, and then publishes DEAD. So who sees DEAD and looks again does not find it, and a new slot
//! of the id, made under the lock that the purge has held, starts above the noted epoch.
//!
//! # Snapshots
//!
//! Whoever needs an owned value takes the one kept in the slot if its epoch is current, or copies
//! one and offers it to the next taker. One at a time may offer (a flag, taken by try), and only
//! what is newer than the kept one: between its look and its store nobody else stores.
//!
//! # Freshness
//!
//! Of what was published only the stamps are kept: the link's word and the sum of invalidations
//! when the value was confirmed. What they are compared with is beside the slots, so losing a
//! connection or invalidating a million slots touches none of them. All that is marked has a place
//! in one order, since a message that was read before a mark must not undo it: see `marks.rs`.

mod block;
mod changes;
mod courier;
mod cut;
mod entity;
mod epoch;
mod fault;
mod head;
mod index;
mod link;
mod live;
mod lookup;
mod marks;
mod publish;
mod reader;
mod schema;
mod shared;
mod slot;
mod stamps;
mod wake;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::PoisonError;

use crate::record::Limits;
use crate::sync::{Arc, ArcSwap, Mutex};

pub(crate) use changes::Subscriber;
pub(crate) use courier::Courier;
pub(crate) use cut::{Busy, TurnCounter, cut};
#[cfg(test)]
pub(crate) use entity::ConfiguredLate;
pub(crate) use entity::{Entity, EntityConfig, Missing};
pub(crate) use head::{Head, NO_SEQUENCE, NO_TRUST, Stamp, State, flags};
pub(crate) use link::Link;
pub(crate) use lookup::Lookup;
pub(crate) use marks::{Marks, Point};
pub(crate) use publish::Outcome;
pub(crate) use reader::{Field, Scratch, SlotReader, Snapshot};
pub(crate) use shared::Shared;
pub(crate) use slot::Slot;
pub(crate) use stamps::Stamps;
pub(crate) use wake::Batch as WakesBatch;
#[cfg(test)]
pub(crate) use wake::Runner;
pub(crate) use wake::{Bell, Flag, Hub, Registration, Seen, Wakes, Watched, Woken};
pub(crate) use writer::{EntityWriter, Locate, Moment, SlotIx};

/// Bounds of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreConfig {
    /// Entities that there may be. Default 4096. Making one costs time in proportion to how many
    /// there are.
    pub(crate) max_entities: usize,
    /// Ids that one entity may have, with and without a value. Default 1,000,000; at most
    /// [`index::MAX_IDS`].
    pub(crate) max_ids: usize,
    /// Of those, ids that were asked for and never had a value: what readers can use up. Default
    /// 100,000.
    pub(crate) max_empty: usize,
    /// Bounds of each entity's schema.
    pub(crate) limits: Limits,
}

/// The longest name of an entity, and the longest text that is an id, in bytes: whoever sends them
/// would otherwise decide what an id costs. Longer ones are beyond the bounds.
pub(crate) const LONGEST_NAME: usize = 1024;

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            max_entities: 4096,
            max_ids: 1_000_000,
            max_empty: 100_000,
            limits: Limits::default(),
        }
    }
}

/// A bound of [`StoreConfig`] is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreFull {
    /// Of entities.
    #[error("the store may have no more entities; raise the bound")]
    Entities,
    /// Of the ids of one entity.
    #[error("the entity may have no more ids; raise the bound, or purge some")]
    Ids,
}

type Entities = HashMap<Arc<str>, Arc<Entity>, foldhash::fast::RandomState>;

/// All entities of a cache, by name.
pub(crate) struct Store {
    config: StoreConfig,
    entities: ArcSwap<Entities>,
    /// Held by whoever adds one.
    adding: Mutex<()>,
    marks: Arc<Marks>,
}

impl Store {
    /// A store without entities.
    pub(crate) fn new(config: StoreConfig) -> Arc<Self> {
        Arc::new(Self {
            config,
            entities: ArcSwap::new(Arc::default()),
            adding: Mutex::new(()),
            marks: Arc::new(Marks::new()),
        })
    }

    /// The bounds.
    pub(crate) fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// The entity of a name, made if there is none. Names are opaque; the empty one is a name.
    ///
    /// # Errors
    /// There may be no more, or none with a name of that length.
    pub(crate) fn entity(&self, name: &str) -> Result<Arc<Entity>, StoreFull> {
        if let Some(entity) = self.find(name) {
            return Ok(entity);
        }
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let entities = self.entities.load_full();
        if let Some(entity) = entities.get(name) {
            return Ok(entity.clone());
        }
        if entities.len() >= self.config.max_entities || name.len() > LONGEST_NAME {
            return Err(StoreFull::Entities);
        }
        let name: Arc<str> = name.into();
        let entity = Arc::new(Entity::new(name.clone(), &self.config, self.marks.clone()));
        let mut more = Entities::clone(&entities);
        more.insert(name, entity.clone());
        self.entities.store(Arc::new(more));
        Ok(entity)
    }

    /// An entity that is in no store: what a name stands for beyond the bound. Nobody writes it.
    pub(crate) fn detached(&self, name: &str) -> Arc<Entity> {
        let config = StoreConfig {
            max_ids: 0,
            ..self.config
        };
        Arc::new(Entity::new(name.into(), &config, self.marks.clone()))
    }

    /// The entity of a name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Entity>> {
        self.entities.load().get(name).cloned()
    }

    /// All entities, in no order.
    pub(crate) fn entities(&self) -> Vec<Arc<Entity>> {
        self.entities.load().values().cloned().collect()
    }

    /// How often everything was invalidated: the sum of an entity that is new.
    pub(crate) fn invalidations(&self) -> u64 {
        self.marks.everything().now()
    }

    /// The order of all marks. A batch begins with a [`point`](Marks::point) in it.
    pub(crate) fn marks(&self) -> &Arc<Marks> {
        &self.marks
    }

    /// Marks all values of all entities as invalidated, by one count. The caller then has the hub
    /// scan.
    pub(crate) fn invalidate_all(&self) {
        self.marks.raise_everything();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("entities", &self.entities.load().len())
            .finish_non_exhaustive()
    }
}
