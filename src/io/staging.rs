//! What one message wants done, kept until all of it is known to be possible.
//!
//! Everything is pooled: patches, ids and the list itself keep their memory from one message to
//! the next, so that a steady stream allocates nothing.

use crate::feed::{EntityIx, Update};
use crate::key::IdRef;
use crate::record::Patch;
use crate::store::SlotIx;

/// Patches that keep their memory. A message with more of them allocates for the rest.
const KEPT_PATCHES: usize = 4096;

/// Bytes of ids that are kept likewise.
const KEPT_ID_BYTES: usize = 64 << 10;

/// One thing that a message wants done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) entity: EntityIx,
    id: StagedId,
    pub(super) what: What,
}

impl Item {
    /// The slot of its id, if that was found while the message was taken apart.
    #[inline]
    pub(super) fn slot(&self) -> Option<SlotIx> {
        match self.id {
            StagedId::Slot(slot) => Some(slot),
            _ => None,
        }
    }
}

/// What is to be done. With a tag of its own, since one hidden in the fields of an [`Update`] takes
/// longer to read, and it is read for each message.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum What {
    /// The patch with this number.
    Patch(usize, Update),
    Remove(Update),
    /// Of the id, or of the whole entity.
    Invalidate,
    /// To be handed to the slow writer: the patch with this number, or a removal.
    Forward(Option<usize>, Update),
    /// A patch for an entity of another feed: only to be counted.
    Foreign,
    /// What follows has this number among all messages of the connection. Of no entity.
    Advance(u64),
}

/// An id, its text kept beside the items.
#[derive(Clone, Copy, Debug)]
enum StagedId {
    None,
    /// That of a slot. Slots go away by commands only, which come between messages.
    Slot(SlotIx),
    Int(i128),
    Text {
        start: usize,
        end: usize,
    },
}

/// The items of one message, in order.
#[derive(Debug, Default)]
pub(super) struct Staging {
    items: Vec<Item>,
    texts: String,
    patches: Vec<Patch>,
    used: usize,
}

impl Staging {
    /// Adds an item.
    #[inline]
    pub(super) fn push(&mut self, entity: EntityIx, id: Option<IdRef<'_>>, what: What) {
        let id = self.keep_id(id);
        self.items.push(Item { entity, id, what });
    }

    #[inline]
    fn keep_id(&mut self, id: Option<IdRef<'_>>) -> StagedId {
        match id {
            None => StagedId::None,
            Some(IdRef::Int(number)) => StagedId::Int(number),
            Some(IdRef::Text(text)) => {
                let start = self.texts.len();
                self.texts.push_str(text);
                StagedId::Text {
                    start,
                    end: self.texts.len(),
                }
            }
        }
    }

    /// Adds the patch that was compiled into the spare one, for an id whose slot was found.
    #[inline]
    pub(super) fn push_patch(&mut self, entity: EntityIx, slot: SlotIx, update: Update) {
        let what = What::Patch(self.keep(), update);
        let id = StagedId::Slot(slot);
        self.items.push(Item { entity, id, what });
    }

    /// Has an item know its id by itself, and not by its slot.
    pub(super) fn spell(&mut self, at: usize, id: IdRef<'_>) {
        let id = self.keep_id(Some(id));
        if let Some(item) = self.items.get_mut(at) {
            item.id = id;
        }
    }

    /// Adds the connection's number of what follows.
    pub(super) fn advance(&mut self, number: u64) {
        let (entity, id) = (EntityIx::new(u32::MAX), StagedId::None);
        let what = What::Advance(number);
        self.items.push(Item { entity, id, what });
    }

    /// A patch to be compiled into. It is taken by [`keep`](Self::keep), or else reused.
    #[inline]
    pub(super) fn spare(&mut self) -> &mut Patch {
        if self.used == self.patches.len() {
            self.patches.push(Patch::new());
        }
        &mut self.patches[self.used]
    }

    /// Keeps what was compiled into the spare patch, and says its number.
    pub(super) fn keep(&mut self) -> usize {
        self.used += 1;
        self.used - 1
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// An item, copied.
    pub(super) fn item(&self, at: usize) -> Item {
        self.items[at]
    }

    /// An item, where it is.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&Item> {
        self.items.get(at)
    }

    /// The id of an item that knows it by itself; `None` stands for the whole entity.
    #[inline]
    pub(super) fn id(&self, item: &Item) -> Option<IdRef<'_>> {
        debug_assert!(item.slot().is_none(), "an item that was not spelled");
        match item.id {
            StagedId::None | StagedId::Slot(_) => None,
            StagedId::Int(number) => Some(IdRef::Int(number)),
            StagedId::Text { start, end } => Some(IdRef::Text(&self.texts[start..end])),
        }
    }

    #[inline]
    pub(super) fn patch(&self, number: usize) -> &Patch {
        &self.patches[number]
    }

    /// Takes the patch out of the pool.
    pub(super) fn take(&mut self, number: usize) -> Patch {
        std::mem::take(&mut self.patches[number])
    }

    /// Puts a patch in that was compiled elsewhere, and says its number.
    pub(super) fn adopt(&mut self, patch: Patch) -> usize {
        *self.spare() = patch;
        self.keep()
    }

    /// Empties it, and gives back what an unusual message made it hold.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.texts.clear();
        self.used = 0;
        if self.patches.len() > KEPT_PATCHES || self.texts.capacity() > KEPT_ID_BYTES {
            self.shrink();
        }
    }

    #[cold]
    fn shrink(&mut self) {
        self.patches.truncate(KEPT_PATCHES);
        self.items.shrink_to(KEPT_PATCHES);
        self.texts.shrink_to(KEPT_ID_BYTES);
    }
}
