//! The owner's half of a slot: making the next version. See `mod.rs` for why it may.

mod replace;

use replace::{own_record, whole_tree};

use crate::record::{self, Cells, Document, Layout, Mode, Patch};
use crate::store::block::{Block, Body, CHUNK, Version};
use crate::store::epoch::Epoch;
use crate::store::head::{Head, Header, Stamp, State, flags};
use crate::store::slot::Slot;
use crate::sync::{Arc, AtomicU64, Ordering, Own};

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
}

/// What an update needs to know about the batch that it is in.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// The entity's newest layout.
    pub(super) layout: &'a Arc<Layout>,
    /// The sum of invalidations of everything and of the entity, at the start.
    pub(super) base: u64,
    pub(super) number: u64,
    /// Documents to be dropped where it disturbs nobody.
    pub(super) retired: &'a mut Vec<Arc<Document>>,
    /// Slots that were moved to a bigger block.
    pub(super) growths: &'a mut u64,
}

/// At most so many documents wait in [`Batch::retired`]; more are dropped in place.
const RETIRED_DOCUMENTS: usize = 64;

impl Batch<'_> {
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
        let place = Self { slot, later };
        // What an owner left half-written is overwritten before it is shown.
        if let Some(body) = place.block().body() {
            all_behind::<K>(body, place.epoch().number());
        }
        place
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
            Some(body) => Header::own(body.version::<K>(epoch.number()).header),
            None => Header::BLANK,
        };
        if epoch.has_value() && header.flags & flags::REMOVED == 0 {
            Head::new(epoch, &header)
        } else {
            Head::without_value(epoch, &header)
        }
    }

    /// Lays `patch` over the value and publishes the outcome, unless nothing changed.
    #[inline]
    pub(super) fn update(
        &mut self,
        patch: &Patch,
        stamp: &Stamp,
        batch: &mut Batch<'_>,
    ) -> Outcome {
        let body = self
            .block()
            .body_or(|| Body::new::<K>(batch.layout.clone()));
        if !record::fits(patch, &body.layout) {
            return self.update_elsewhere(patch, stamp, batch);
        }
        self.update_in_place(body, patch, stamp, batch)
    }

    #[inline]
    fn update_in_place(
        &self,
        body: &Body,
        patch: &Patch,
        stamp: &Stamp,
        batch: &mut Batch<'_>,
    ) -> Outcome {
        let block = self.block();
        let epoch = block.epoch.own();
        let next = epoch.next();
        let from = body.version::<K>(epoch.number());
        let to = body.version::<K>(next.number());
        let old = Header::own(from.header);
        let alive = epoch.has_value();

        block.epoch.begin();
        catch_up(from, to);
        let mut document = if old.document == 0 {
            None
        } else {
            block.document(old.document)
        };
        let number = next.number();
        let mut cells = Next::<K> {
            body,
            number,
            cells: to.cells,
            chunk: 0,
            put: 0,
        };
        let change = record::apply(patch, stamp.mode, &body.layout, &mut cells, &mut document);
        cells.flush();
        let mut header = Header::stamped(&old, alive, stamp, || {
            self.slot.invalidation_at(batch.base, batch.number)
        });
        if alive && !change.any() && header.same_stamps(&old) {
            header.store_times(from.header);
            return Outcome::Unchanged;
        }
        if change.document {
            header.document += 1;
            batch.retire(block.put_document(header.document, document));
        }
        header.store(to.header);
        block.epoch.publish(next);
        Outcome::Applied
    }

    /// For a patch that the block's layout has no room for.
    #[cold]
    fn update_elsewhere(&mut self, patch: &Patch, stamp: &Stamp, batch: &mut Batch<'_>) -> Outcome {
        let has_grown = self.grow(batch);
        let Some(body) = self.block().body() else {
            return Outcome::Unchanged;
        };
        if has_grown {
            self.update_in_place(body, patch, stamp, batch)
        } else {
            self.update_as_document(body, patch, stamp, batch)
        }
    }

    /// Moves the slot to a block with room for the newest layout: the newest publication as it is,
    /// under its number. False if the blocks before would keep too much.
    fn grow(&mut self, batch: &mut Batch<'_>) -> bool {
        let block = self.block();
        let Some(body) = block.body() else {
            return false;
        };
        let next = Body::new::<K>(batch.layout.clone());
        if self.retired_words() > RETIRED_FACTOR * next.words() + RETIRED_WORDS {
            return false;
        }
        let epoch = block.epoch.own();
        let from = body.version::<K>(epoch.number());
        let to = next.version::<K>(epoch.number());
        let get = |cell: u32| load(&from.cells[cell as usize]);
        record::migrate(&body.layout, &next.layout, get, |cell, value| {
            store(&to.cells[cell as usize], value);
        });
        let header = Header::own(from.header);
        header.store(to.header);
        all_behind::<K>(&next, epoch.number());
        let successor = Block::new(epoch);
        successor.body_or(|| next);
        if header.document != 0 {
            successor.put_document(header.document, block.document(header.document));
        }
        let successor = Arc::new(successor);
        block.hand_over(successor.clone());
        if header.document != 0 {
            // No copy of a closed block is accepted any more.
            (0..K as u64).for_each(|place| batch.retire(block.put_document(place, None)));
        }
        *batch.growths += 1;
        self.later = Some(successor);
        true
    }

    /// Words that closed blocks and the present one hold.
    fn retired_words(&self) -> usize {
        let mut words = 0;
        let mut block = Some(&self.slot.first);
        while let Some(this) = block {
            words += this.body().map_or(0, Body::words);
            block = this.next().map(|next| &**next);
        }
        words
    }

    /// For a slot that has grown too often: keeps the whole value beside the cells.
    #[cold]
    fn update_as_document(
        &self,
        body: &Body,
        patch: &Patch,
        stamp: &Stamp,
        batch: &mut Batch<'_>,
    ) -> Outcome {
        let block = self.block();
        let mut record = own_record(block, body);
        record.apply(patch, stamp.mode, batch.layout);
        let whole = whole_tree(&record);
        let stamp = Stamp {
            mode: Mode::Replace,
            ..*stamp
        };
        self.update_in_place(body, &whole, &stamp, batch)
    }

    /// Adds to the reasons to distrust the value. Says nothing about when data came.
    pub(super) fn mark(&self, reasons: u8, turn: u64) -> Outcome {
        let block = self.block();
        let epoch = block.epoch.own();
        let Some(body) = block.body().filter(|_| epoch.has_value()) else {
            return Outcome::Unchanged;
        };
        let next = epoch.next();
        let from = body.version::<K>(epoch.number());
        let to = body.version::<K>(next.number());
        let old = Header::own(from.header);
        if old.flags | reasons == old.flags {
            return Outcome::Unchanged;
        }
        block.epoch.begin();
        catch_up(from, to);
        Header {
            flags: old.flags | reasons,
            turn,
            ..old
        }
        .store(to.header);
        block.epoch.publish(next);
        Outcome::Applied
    }

    /// Publishes that there is no value any more.
    pub(super) fn remove(&self, stamp: &Stamp, batch: &mut Batch<'_>) -> Outcome {
        let block = self.block();
        let epoch = block.epoch.own();
        let Some(body) = block.body().filter(|_| !epoch.is_empty()) else {
            return Outcome::Unchanged;
        };
        let next = epoch.next_removed();
        let from = body.version::<K>(epoch.number());
        let to = body.version::<K>(next.number());
        let old = Header::own(from.header);
        let whole = Stamp {
            whole: true,
            ..*stamp
        };
        let mut header = Header::stamped(&old, true, &whole, || {
            self.slot.invalidation_at(batch.base, batch.number)
        });
        header.flags |= flags::REMOVED;
        header.whole_at = old.whole_at;
        if epoch.is_removed() && header.same_stamps(&old) {
            header.store_times(from.header);
            return Outcome::Unchanged;
        }
        block.epoch.begin();
        // What revives the slot starts from blank.
        for cell in to.cells {
            store(cell, record::ABSENT);
        }
        to.behind
            .iter()
            .for_each(|mask| mask.store(0, Ordering::Relaxed));
        all_behind::<K>(body, next.number());
        if old.document != 0 {
            header.document += 1;
            batch.retire(block.put_document(header.document, None));
        }
        header.store(to.header);
        block.epoch.publish(next);
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

/// Marks every version but that of `number` as behind in every cell.
fn all_behind<const K: usize>(body: &Body, number: u64) {
    let newest = body.version::<K>(number);
    newest
        .behind
        .iter()
        .for_each(|mask| mask.store(0, Ordering::Relaxed));
    for other in 1..K as u64 {
        let version = body.version::<K>(number + other);
        for (chunk, mask) in version.behind.iter().enumerate() {
            let cells = (version.cells.len() - chunk * CHUNK).min(CHUNK);
            mask.store(u64::MAX >> (CHUNK - cells), Ordering::Relaxed);
        }
    }
}

#[inline(always)]
fn load(cell: &[AtomicU64; 2]) -> [u64; 2] {
    [cell[0].own(), cell[1].own()]
}

#[inline(always)]
fn store(cell: &[AtomicU64; 2], value: [u64; 2]) {
    cell[0].store(value[0], Ordering::Relaxed);
    cell[1].store(value[1], Ordering::Relaxed);
}

/// Copies the cells in which `to` is behind.
#[inline]
fn catch_up(from: Version<'_>, to: Version<'_>) {
    for (chunk, mask) in to.behind.iter().enumerate() {
        let mut behind = mask.own();
        if behind == 0 {
            continue;
        }
        while behind != 0 {
            let cell = chunk * CHUNK + behind.trailing_zeros() as usize;
            store(&to.cells[cell], load(&from.cells[cell]));
            behind &= behind - 1;
        }
        mask.store(0, Ordering::Relaxed);
    }
}

/// The cells of the version being made. What is put there, the other versions are behind in.
struct Next<'a, const K: usize> {
    body: &'a Body,
    number: u64,
    cells: &'a [[AtomicU64; 2]],
    /// The chunk that `put` is about: a mask is kept in a register while cells come in order.
    chunk: usize,
    put: u64,
}

impl<const K: usize> Next<'_, K> {
    #[inline]
    fn flush(&mut self) {
        if self.put == 0 {
            return;
        }
        for other in 1..K as u64 {
            let other = self.body.version::<K>(self.number + other);
            let behind = &other.behind[self.chunk];
            behind.store(behind.own() | self.put, Ordering::Relaxed);
        }
        self.put = 0;
    }

    #[cold]
    #[inline(never)]
    fn turn_to(&mut self, chunk: usize) {
        self.flush();
        self.chunk = chunk;
    }
}

impl<const K: usize> Cells for Next<'_, K> {
    #[inline(always)]
    fn get(&self, cell: u32) -> [u64; 2] {
        load(&self.cells[cell as usize])
    }

    #[inline(always)]
    fn put(&mut self, cell: u32, value: [u64; 2]) {
        let chunk = cell as usize / CHUNK;
        if chunk != self.chunk {
            self.turn_to(chunk);
        }
        self.put |= 1 << (cell as usize % CHUNK);
        store(&self.cells[cell as usize], value);
    }
}
