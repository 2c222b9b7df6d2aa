//! The owner's half of a slot: making the next version. See `mod.rs` for why it may.

mod next;
mod replace;

use next::{Behind, Next, apply_near};
use replace::{own_record, whole_tree};

use crate::record::{self, Change, Document, Layout, Mode, Patch};
use crate::store::block::{Block, Body, CHUNK, own, store};
use crate::store::epoch::Epoch;
use crate::store::head::{Carried, Head, Header, HeaderWords, Stamp, State, flags};
use crate::store::marks::Point;
use crate::store::slot::Slot;
use crate::sync::Arc;

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There is a new publication.
    Applied,
    /// It said what the slot held already. No publication; the times were stored.
    Unchanged,
}

/// Closed blocks of a slot may keep this many times the words of the block to come ...
const RETIRED_FACTOR: usize = 4;
/// ... and this many words more. A slot that would need more is kept as a document from then on.
const RETIRED_WORDS: usize = 2048;

/// What the owner keeps for a slot.
#[derive(Debug)]
pub(super) struct Place<const K: usize> {
    pub(super) slot: Arc<Slot<K>>,
    /// The block that publications go to, if it is not the first.
    later: Option<Arc<Block<K>>>,
    behind: Behind,
}

#[cfg(all(not(tickcache_model), target_pointer_width = "64"))]
const _: () = assert!(
    size_of::<Option<Place<2>>>() == 24,
    "a slot's share of a list"
);

/// What an update needs to know about the batch that it is in, and what it leaves there.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The sum of invalidations of everything and of the entity, at the start.
    pub(super) base: u64,
    /// When it began, among the marks.
    pub(super) point: Point,
    /// Documents to be dropped where it disturbs nobody.
    pub(super) retired: Vec<Arc<Document>>,
    /// Slots that were moved to a bigger block.
    pub(super) growths: u64,
}

/// At most so many documents wait in [`Batch::retired`]; more are dropped in place.
const RETIRED_DOCUMENTS: usize = 64;

impl Batch {
    fn retire(&mut self, document: Option<Arc<Document>>) {
        if let Some(document) = document
            && self.retired.len() < RETIRED_DOCUMENTS
        {
            self.retired.push(document);
        }
    }
}

impl<const K: usize> Place<K> {
    /// Takes over a slot, which may have had another owner.
    pub(super) fn adopt(slot: Arc<Slot<K>>) -> Self {
        let mut later: Option<Arc<Block<K>>> = None;
        while let Some(next) = later.as_deref().unwrap_or(&slot.first).next() {
            later = Some(next.clone());
        }
        let block = later.as_deref().unwrap_or(&slot.first);
        let mut behind = Behind::default();
        // What an owner left half-written is overwritten before it is shown.
        if let Some(body) = block.body() {
            let cells = body.layout.cells() as usize;
            behind = Behind::all(block, cells, block.epoch.own().number());
        }
        Self {
            slot,
            later,
            behind,
        }
    }

    #[inline]
    fn block(&self) -> &Block<K> {
        self.later.as_deref().unwrap_or(&self.slot.first)
    }

    #[inline]
    pub(super) fn epoch(&self) -> Epoch {
        self.block().epoch.own()
    }

    /// What the slot holds.
    pub(super) fn state(&self) -> State {
        Head::without_value(self.epoch(), &Header::BLANK).state
    }

    /// The newest version's head; the owner needs no check.
    #[inline]
    pub(super) fn head(&self) -> Head {
        let epoch = self.epoch();
        let header = match self.block().body() {
            Some(body) => Header::own(body.version(epoch.number()).header),
            None => Header::BLANK,
        };
        if epoch.has_value() && header.flags & flags::REMOVED == 0 {
            Head::new(epoch, &header)
        } else {
            Head::without_value(epoch, &header)
        }
    }

    /// The version after the newest one of a body of the present block.
    #[inline(always)]
    fn making(&mut self) -> Option<Making<'_, K>> {
        let block = self.later.as_deref().unwrap_or(&self.slot.first);
        let (body, epoch) = (block.body()?, block.epoch.own());
        let from = body.version(epoch.number());
        let to = body.version(epoch.number() + 1);
        Some(Making {
            slot: &self.slot,
            block,
            layout: body.layout,
            epoch,
            from: from.header,
            to: to.header,
            cells: Next::new(block, from, to, 0),
            behind: &mut self.behind,
        })
    }

    /// As [`update`](Self::update), for what most updates are: there is a value, and the patch
    /// fits it at a glance. `None` if not; then nothing was done. `newest` is the entity's newest
    /// layout: what fits so many cells by that one fits them by any before, and so the block's own
    /// is looked at only if it does not.
    #[inline(always)]
    pub(super) fn update_at_once(
        &mut self,
        patch: &Patch,
        stamp: &Stamp,
        newest: &Layout,
        batch: &mut Batch,
    ) -> Option<Outcome> {
        let block = self.later.as_deref().unwrap_or(&self.slot.first);
        let (words, epoch) = (block.words()?, block.epoch.own());
        let from = block.version(words, epoch.number());
        let to = block.version(words, epoch.number() + 1);
        let near = from.cells.len().min(CHUNK) as u32;
        if !epoch.has_value()
            || from.header.stamps.own().has_document()
            || !(record::is_direct(patch, stamp.mode, newest, near)
                || Self::is_direct_here(block, patch, stamp.mode))
        {
            return None;
        }
        block.epoch.begin();
        let (applied, put) = apply_near(patch, from.cells, to.cells);
        if applied < patch.len() {
            return Some(self.update_rest(patch, (applied, put), stamp, batch));
        }
        let carried = Carried::new(from.header.stamps, stamp, || {
            self.slot.invalidation_as_of(batch.base, batch.point)
        });
        if put == 0 && carried.is_same() {
            Carried::refresh(from.header, stamp);
            return Some(Outcome::Unchanged);
        }
        carried.store(from.header, to.header, stamp);
        let next = epoch.next();
        Next::new(block, from, to, put).complete(next.number(), &mut self.behind);
        block.epoch.publish(next);
        Some(Outcome::Applied)
    }

    /// Whether a patch fits by the block's own layout.
    #[inline(never)]
    fn is_direct_here(block: &Block<K>, patch: &Patch, mode: Mode) -> bool {
        let layout = block.layout();
        layout.is_some_and(|layout| record::is_direct(patch, mode, layout, CHUNK as u32))
    }

    /// Goes on with a patch of which so many operations are applied, by which these cells were put.
    /// There is no document yet.
    #[inline(never)]
    fn update_rest(
        &mut self,
        patch: &Patch,
        (applied, put): (usize, u64),
        stamp: &Stamp,
        batch: &mut Batch,
    ) -> Outcome {
        let Some(mut making) = self.making() else {
            return Outcome::Unchanged;
        };
        making.cells = making.cells.after(put);
        let mut document = None;
        let layout = making.layout;
        let mut change =
            record::apply_rest(patch, applied, layout, &mut making.cells, &mut document);
        change.cells = making.cells.any();
        making.settle(change, document, stamp, batch)
    }

    /// Lays `patch` over the value and publishes the outcome, unless nothing changed. `layout` is
    /// the entity's newest.
    pub(super) fn update(
        &mut self,
        patch: &Patch,
        stamp: &Stamp,
        layout: &Arc<Layout>,
        batch: &mut Batch,
    ) -> Outcome {
        let Some(body) = self.block().make_room(layout) else {
            return Outcome::Unchanged;
        };
        if record::fits(patch, body.layout) {
            self.update_in_place(patch, stamp, batch)
        } else {
            self.update_elsewhere(patch, stamp, layout, batch)
        }
    }

    fn update_in_place(&mut self, patch: &Patch, stamp: &Stamp, batch: &mut Batch) -> Outcome {
        let Some(making) = self.making() else {
            return Outcome::Unchanged;
        };
        making.block.epoch.begin();
        making.update_all(patch, stamp, batch)
    }

    /// For a patch that the block's layout has no room for.
    #[cold]
    fn update_elsewhere(
        &mut self,
        patch: &Patch,
        stamp: &Stamp,
        layout: &Arc<Layout>,
        batch: &mut Batch,
    ) -> Outcome {
        if self.grow(layout, batch) {
            self.update_in_place(patch, stamp, batch)
        } else {
            self.update_as_document(patch, stamp, layout, batch)
        }
    }

    /// Moves the slot to a block with room for the newest layout: the newest publication as it is,
    /// under its number. False if the blocks before would keep too much.
    fn grow(&mut self, layout: &Arc<Layout>, batch: &mut Batch) -> bool {
        let block = self.block();
        let Some(body) = block.body() else {
            return false;
        };
        if self.retired_words() > RETIRED_FACTOR * Body::<K>::words_for(layout) + RETIRED_WORDS {
            return false;
        }
        let epoch = block.epoch.own();
        let successor = Block::new(epoch);
        let Some(next) = successor.make_room(layout) else {
            return false;
        };
        let from = body.version(epoch.number());
        let to = next.version(epoch.number());
        let get = |cell: u32| own(&from.cells[cell as usize]);
        record::migrate(body.layout, next.layout, get, |cell, value| {
            store(&to.cells[cell as usize], value);
        });
        let header = Header::own(from.header);
        header.store(to.header);
        let behind = Behind::all(&successor, to.cells.len(), epoch.number());
        if header.document != 0 {
            successor.put_document(header.document, block.document(header.document));
        }
        let successor = Arc::new(successor);
        block.hand_over(successor.clone());
        if header.document != 0 {
            // No copy of a closed block is accepted any more.
            (0..K as u64).for_each(|place| batch.retire(block.put_document(place, None)));
        }
        batch.growths += 1;
        self.later = Some(successor);
        self.behind = behind;
        true
    }

    /// Words that closed blocks and the present one hold.
    fn retired_words(&self) -> usize {
        let mut words = 0;
        let mut block = Some(&self.slot.first);
        while let Some(this) = block {
            words += this.body().map_or(0, |body| body.words());
            block = this.next().map(|next| &**next);
        }
        words
    }

    /// For a slot that has grown too often: keeps the whole value beside the cells.
    #[cold]
    fn update_as_document(
        &mut self,
        patch: &Patch,
        stamp: &Stamp,
        layout: &Arc<Layout>,
        batch: &mut Batch,
    ) -> Outcome {
        let block = self.block();
        let Some(body) = block.body() else {
            return Outcome::Unchanged;
        };
        let mut record = own_record(block, body);
        record.apply(patch, stamp.mode, layout);
        let whole = whole_tree(&record);
        let stamp = Stamp {
            mode: Mode::Replace,
            ..*stamp
        };
        self.update_in_place(&whole, &stamp, batch)
    }

    /// Adds to the reasons to distrust the value. Says nothing about when data came.
    pub(super) fn mark(&mut self, reasons: u8, turn: u64) -> Outcome {
        let Some(making) = self.making().filter(|making| making.epoch.has_value()) else {
            return Outcome::Unchanged;
        };
        let old = Header::own(making.from);
        if old.flags | reasons == old.flags {
            return Outcome::Unchanged;
        }
        making.block.epoch.begin();
        Header {
            flags: old.flags | reasons,
            turn,
            ..old
        }
        .store(making.to);
        making.publish();
        Outcome::Applied
    }

    /// Publishes that there is no value any more.
    pub(super) fn remove(&mut self, stamp: &Stamp, batch: &mut Batch) -> Outcome {
        let Some(making) = self.making().filter(|making| !making.epoch.is_empty()) else {
            return Outcome::Unchanged;
        };
        let epoch = making.epoch;
        let old = Header::own(making.from);
        let whole = Stamp {
            whole: true,
            ..*stamp
        };
        let mut header = Header::stamped(&old, true, &whole, || {
            making.slot.invalidation_as_of(batch.base, batch.point)
        });
        header.flags |= flags::REMOVED;
        header.whole_at = old.whole_at;
        if epoch.is_removed() && header.same_stamps(&old) {
            header.store_times(making.from);
            return Outcome::Unchanged;
        }
        let next = epoch.next_removed();
        making.block.epoch.begin();
        // What revives the slot starts from blank.
        making.cells.blank(next.number(), making.behind);
        if old.document != 0 {
            header.document += 1;
            batch.retire(making.block.put_document(header.document, None));
        }
        header.store(making.to);
        making.block.epoch.publish(next);
        Outcome::Applied
    }

    /// The number that [`purge`](Self::purge) will publish.
    pub(super) fn last_number(&self) -> u64 {
        self.epoch().next_dead().number()
    }

    /// The last publication: the slot is out of the index, handles have to look again.
    pub(super) fn purge(&self) {
        let epoch = &self.block().epoch;
        epoch.publish(epoch.own().next_dead());
    }
}

/// The version after the newest one, while it is made. Whoever writes to it has
/// [begun](super::epoch::EpochWord::begin).
struct Making<'a, const K: usize> {
    slot: &'a Slot<K>,
    block: &'a Block<K>,
    /// The newest publication.
    epoch: Epoch,
    layout: &'a Layout,
    from: HeaderWords<'a>,
    to: HeaderWords<'a>,
    cells: Next<'a, K>,
    behind: &'a mut Behind,
}

impl<const K: usize> Making<'_, K> {
    /// Applies a patch that fits, whatever it is, and publishes unless nothing changed.
    #[inline(never)]
    fn update_all(mut self, patch: &Patch, stamp: &Stamp, batch: &mut Batch) -> Outcome {
        let mut document = self.document();
        let change = record::apply(
            patch,
            stamp.mode,
            self.layout,
            &mut self.cells,
            &mut document,
        );
        self.settle(change, document, stamp, batch)
    }

    /// The document of the newest publication.
    fn document(&self) -> Option<Arc<Document>> {
        match Header::own(self.from).document {
            0 => None,
            version => self.block.document(version),
        }
    }

    /// Publishes what was put and `document`, unless the update changed neither these nor stamps.
    fn settle(
        self,
        change: Change,
        document: Option<Arc<Document>>,
        stamp: &Stamp,
        batch: &mut Batch,
    ) -> Outcome {
        let alive = self.epoch.has_value();
        let old = Header::own(self.from);
        let header = Header::stamped(&old, alive, stamp, || {
            self.slot.invalidation_as_of(batch.base, batch.point)
        });
        self.settle_as(header, &old, change, document, batch)
    }

    /// As [`settle`](Self::settle), with what the header is to say but for the document's version.
    #[inline]
    fn settle_as(
        self,
        mut header: Header,
        old: &Header,
        change: Change,
        document: Option<Arc<Document>>,
        batch: &mut Batch,
    ) -> Outcome {
        if self.epoch.has_value() && !change.any() && header.same_stamps(old) {
            header.store_times(self.from);
            return Outcome::Unchanged;
        }
        if change.document {
            header.document += 1;
            batch.retire(self.block.put_document(header.document, document));
        }
        header.store(self.to);
        self.publish();
        Outcome::Applied
    }

    /// Shows the version, its header being there: with a value.
    #[inline(always)]
    fn publish(self) {
        let next = self.epoch.next();
        self.cells.complete(next.number(), self.behind);
        self.block.epoch.publish(next);
    }
}
