//! An entity: the slots of one name, the schema they share, and the words of freshness above them.

use std::fmt;
use std::sync::PoisonError;

use crate::key::{Id, IdRef};
use crate::store::StoreFull;
use crate::store::changes::Changes;
use crate::store::courier::Courier;
use crate::store::fault::{Fault, injected};
use crate::store::index::{self, Index};
use crate::store::link::{Link, LinkWord};
use crate::store::marks::Marks;
use crate::store::schema::SharedSchema;
use crate::store::shared::Shared;
use crate::store::slot::{NO_NUMBER, Slot};
use crate::store::wake::{Bell, Seen, Watched};
use crate::store::writer::EntityWriter;
use crate::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering};

/// What a patch for an id without a value does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing: the caller is told.
    #[default]
    Ignore,
    /// It makes the value, which is `PARTIAL` until a whole one comes.
    Insert,
}

/// How an entity treats its ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EntityConfig {
    /// `7` and `"7"` are one id, the text.
    pub(crate) text_ids: bool,
    /// For updates that do not say themselves.
    pub(crate) missing: Missing,
}

/// The entity has ids already, which would change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entity has ids already; say how they are read before the first one is used")]
pub(crate) struct ConfiguredLate;

/// The entity has an owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entity is written by `{by}` already")]
pub(crate) struct Taken {
    pub(crate) by: Arc<str>,
}

/// The slots of one name.
pub(crate) struct Entity {
    name: Arc<str>,
    shared: Arc<Shared>,
    index: Index,
    text_ids: AtomicBool,
    insert_missing: AtomicBool,
    /// Slots that never had a value, and how many there may be.
    empty: AtomicUsize,
    max_empty: usize,
    /// Slots that have a value. Only the owner changes it.
    present: AtomicUsize,
    /// The highest epoch of a purged slot.
    purged: AtomicU64,
    /// The last turn of the owners so far.
    turns: AtomicU64,
    /// A source of one of them counts anew on each connection.
    restarts: AtomicBool,
    /// How often values have come into doubt by what was published.
    suspects: AtomicU64,
    owner: Mutex<Option<Arc<str>>>,
    changes: Arc<Changes>,
}

impl Entity {
    pub(super) fn new(name: Arc<str>, config: &super::StoreConfig, marks: Arc<Marks>) -> Self {
        Self {
            name,
            shared: Arc::new(Shared::new(config.limits, marks)),
            index: Index::new(config.max_ids),
            text_ids: AtomicBool::new(false),
            insert_missing: AtomicBool::new(false),
            empty: AtomicUsize::new(0),
            max_empty: config.max_empty,
            present: AtomicUsize::new(0),
            purged: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            restarts: AtomicBool::new(false),
            suspects: AtomicU64::new(0),
            owner: Mutex::new(None),
            changes: Arc::new(Changes::new()),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn schema(&self) -> &SharedSchema {
        self.shared.schema()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Sets how ids are read.
    ///
    /// # Errors
    /// `text_ids` would change, and there are ids.
    pub(crate) fn configure(&self, config: EntityConfig) -> Result<(), ConfiguredLate> {
        if self.config().text_ids != config.text_ids {
            if self.index.len() > 0 {
                return Err(ConfiguredLate);
            }
            self.text_ids.store(config.text_ids, Ordering::Release);
        }
        self.insert_missing
            .store(config.missing == Missing::Insert, Ordering::Release);
        Ok(())
    }

    pub(crate) fn config(&self) -> EntityConfig {
        let insert = self.insert_missing.load(Ordering::Acquire);
        EntityConfig {
            text_ids: self.text_ids.load(Ordering::Acquire),
            missing: if insert {
                Missing::Insert
            } else {
                Missing::Ignore
            },
        }
    }

    /// The text that the entity knows an id by, if it is not the id itself.
    #[inline]
    pub(super) fn text_of(&self, id: IdRef<'_>) -> Option<IntegerText> {
        match id {
            IdRef::Int(number) if self.text_ids.load(Ordering::Relaxed) => {
                Some(IntegerText::new(number))
            }
            _ => None,
        }
    }

    /// Hands on the id as the entity knows it: a text, where ids are texts.
    #[inline]
    pub(crate) fn read_id<R>(&self, id: IdRef<'_>, then: impl FnOnce(IdRef<'_>) -> R) -> R {
        match self.text_of(id) {
            Some(text) => then(IdRef::Text(text.as_str())),
            None => then(id),
        }
    }

    /// As [`read_id`](Self::read_id), to keep.
    pub(crate) fn canonical(&self, id: IdRef<'_>) -> Id {
        self.read_id(id, |id| id.to_owned())
    }

    /// The slot of an id, made if there is none: whoever asks first makes it for all.
    ///
    /// # Errors
    /// The entity may have no more ids, no more that never had a value, or none of that length.
    pub(crate) fn slot(&self, id: IdRef<'_>) -> Result<Arc<Slot>, StoreFull> {
        self.read_id(id, |id| self.slot_within(id, self.max_empty))
    }

    pub(super) fn slot_within(
        &self,
        id: IdRef<'_>,
        max_empty: usize,
    ) -> Result<Arc<Slot>, StoreFull> {
        let make = |number| {
            if matches!(id, IdRef::Text(text) if text.len() > super::LONGEST_NAME) {
                return Err(index::Full);
            }
            if self.empty.fetch_add(1, Ordering::Relaxed) >= max_empty {
                self.empty.fetch_sub(1, Ordering::Relaxed);
                return Err(index::Full);
            }
            // Under the shard's lock, which whoever purged this id has held since.
            let start = if injected(Fault::StartAtZero) {
                0
            } else {
                self.purged.load(Ordering::Relaxed)
            };
            Ok(Arc::new(Slot::new(id, number, start, self.shared.clone())))
        };
        self.index
            .get_or_insert(id, make)
            .map_err(|index::Full| StoreFull::Ids)
    }

    /// As [`slot`](Self::slot); beyond the bounds a slot that is in no index, and that nobody will
    /// ever write.
    pub(crate) fn slot_or_detached(&self, id: IdRef<'_>) -> Arc<Slot> {
        self.slot(id).unwrap_or_else(|_| {
            self.read_id(id, |id| {
                Arc::new(Slot::new(id, NO_NUMBER, 0, self.shared.clone()))
            })
        })
    }

    /// The epoch of the slot with a number; 0 if there is none.
    pub(crate) fn epoch_of(&self, number: u32) -> u64 {
        self.numbered(number)
            .map_or(0, |slot| slot.epoch().number())
    }

    /// The slot of an id, if there is one.
    pub(crate) fn find(&self, id: IdRef<'_>) -> Option<Arc<Slot>> {
        self.with(id, Arc::clone)
    }

    /// As [`find`](Self::find), without taking a reference: the quickest way to read by key.
    /// `show` should be short, and must not keep the slot from being dropped by waiting.
    #[inline]
    pub(crate) fn with<R>(&self, id: IdRef<'_>, show: impl FnOnce(&Arc<Slot>) -> R) -> Option<R> {
        self.read_id(id, |id| self.index.with(id, show))
    }

    /// The slot with a number, if there is one.
    pub(crate) fn numbered(&self, number: u32) -> Option<Arc<Slot>> {
        self.index.slot(number)
    }

    /// One more than the highest number of a slot so far.
    pub(crate) fn numbers(&self) -> u32 {
        self.index.numbers()
    }

    /// How many slots have a value.
    pub(crate) fn len(&self) -> usize {
        self.present.load(Ordering::Relaxed)
    }

    /// How many slots there are, with and without a value.
    pub(crate) fn ids(&self) -> usize {
        self.index.len()
    }

    /// The word of the link.
    pub(crate) fn link(&self) -> &LinkWord {
        self.shared.link()
    }

    /// Which slots moved.
    pub(crate) fn changes(&self) -> &Arc<Changes> {
        &self.changes
    }

    /// What a waiter for any move of the entity has seen, with [`Seen::epoch`] from
    /// [`Subscriber::position`](super::Subscriber::position).
    pub(crate) fn seen(&self, position: u64) -> Seen {
        let slots = self.shared.slots_invalidated();
        Seen {
            epoch: position,
            link: self.shared.link().load(),
            invalidation: self.shared.invalidations() + slots,
        }
    }

    #[cfg(test)]
    /// Sets one source's part in the link. The caller then has the hub scan.
    pub(crate) fn set_link(&self, source: u64, link: Link) {
        self.shared.link().set(self.shared.marks(), source, link);
    }

    /// Changes one source's part in the link. The caller then has the hub scan.
    pub(crate) fn update_link(&self, source: u64, change: impl FnOnce(Link) -> Link) {
        let shared = &self.shared;
        shared.link().update(shared.marks(), source, change);
    }

    /// Changes the parts of all sources in the link. The caller then has the hub scan.
    pub(crate) fn update_links(&self, change: impl FnMut(u64, Link) -> Link) {
        let shared = &self.shared;
        shared.link().update_each(shared.marks(), change);
    }

    /// Marks all values as invalidated, by one count. The caller then has the hub scan.
    pub(crate) fn invalidate(&self) {
        self.shared.invalidate();
    }

    /// The sum of invalidations so far that every slot here shares: of everything and of the entity.
    pub(crate) fn invalidations(&self) -> u64 {
        self.shared.invalidations()
    }

    /// How often single slots here were marked.
    pub(crate) fn slots_invalidated(&self) -> u64 {
        self.shared.slots_invalidated()
    }

    /// How often, batch by batch, values have become partial, or got a gap. Pairs with the release
    /// in [`doubt`](Self::doubt).
    pub(crate) fn suspects(&self) -> u64 {
        self.suspects.load(Ordering::Acquire)
    }

    /// Owner: values have come into doubt in this batch. The hub then has to scan.
    #[cold]
    pub(super) fn doubt(&self) {
        self.suspects.fetch_add(1, Ordering::Release);
    }

    /// Becomes the owner: the only one that publishes here, until it is dropped.
    ///
    /// # Errors
    /// There is one.
    pub(crate) fn claim(self: &Arc<Self>, owner: Arc<str>) -> Result<EntityWriter, Taken> {
        let mut present = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(by) = &*present
            && !injected(Fault::ClaimTaken)
        {
            return Err(Taken { by: by.clone() });
        }
        *present = Some(owner);
        Ok(EntityWriter::new(self.clone()))
    }

    /// For who prepares updates that the owner is to publish.
    pub(crate) fn courier(self: &Arc<Self>) -> Courier {
        Courier::new(self.clone())
    }

    /// Who writes here.
    pub(crate) fn owner(&self) -> Option<Arc<str>> {
        self.owner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// An owner that is about to return its claim: its last turn, and whether its source counts anew on
    /// each connection.
    pub(crate) fn end_turns(&self, turn: u64, restarts: bool) {
        self.restarts.fetch_or(restarts, Ordering::Relaxed);
        self.turns.fetch_max(turn, Ordering::AcqRel);
    }

    /// The last turn of those who owned it before: the next one's turns follow.
    pub(crate) fn last_turn(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }

    /// Whether the numbers that those who owned it before have left may mean nothing to the next one.
    pub(crate) fn restarts(&self) -> bool {
        self.restarts.load(Ordering::Relaxed)
    }

    pub(super) fn return_claim(&self) {
        *self.owner.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Owner: a slot that was `before` is `now`.
    #[cold]
    pub(super) fn count(&self, before: super::State, now: super::State) {
        use super::State::{Empty, Present};
        if before == Empty && now != Empty {
            self.empty.fetch_sub(1, Ordering::Relaxed);
        }
        match (before == Present, now == Present) {
            (false, true) => self.present.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.present.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// Owner: takes a slot out of the index; its last epoch is going to be `last`.
    pub(super) fn forget(&self, slot: &Slot, last: u64) {
        self.purged.fetch_max(last, Ordering::Relaxed);
        self.index.remove(slot);
    }
}

/// Waits for publications, and for what makes or breaks the freshness of any slot.
impl Watched for Entity {
    fn bell(&self) -> &Bell {
        self.changes.bell()
    }

    fn moved(&self, seen: &Seen) -> bool {
        self.seen(self.changes.position()) != *seen
    }
}

impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entity")
            .field("name", &self.name)
            .field("ids", &self.ids())
            .field("values", &self.len())
            .finish_non_exhaustive()
    }
}

/// The text of an integer id, without allocating.
pub(super) struct IntegerText {
    bytes: [u8; 40],
    len: usize,
}

impl IntegerText {
    fn new(number: i128) -> Self {
        let mut text = Self {
            bytes: [0; 40],
            len: 0,
        };
        // Forty bytes hold every such number.
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{number}"));
        text
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl fmt::Write for IntegerText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes
            .get_mut(self.len..end)
            .ok_or(fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
