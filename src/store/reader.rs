//! The readers' half of a slot: copy, check, and only then show.
//!
//! Lock-free; wait-free unless lapped by a whole ring of publications. Nothing here writes to a
//! word that the owner reads, except that a snapshot is kept for the next taker.

use crate::record::{self, Document, Layout, Node, Record, RecordRef, Region, Value};
use crate::store::block::{Block, Body, VERSIONS, Version, load};
use crate::store::epoch::Epoch;
use crate::store::fault::{Fault, injected};
use crate::store::head::{Head, Header};
use crate::store::slot::Slot;
use crate::sync::{Arc, Ordering};

/// A field, resolved: a node of the entity's schema. Good for every slot and every layout of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(super) node: Node,
    /// Where the node's cells began in the layout of the generation `resolved`.
    pub(super) cell: u32,
    pub(super) resolved: u64,
}

impl Field {
    /// The field at a node, which the layout has.
    pub(crate) fn new(layout: &Layout, node: Node) -> Self {
        let region = layout.region(node);
        debug_assert!(region.is_some(), "the layout has the node");
        Self {
            node,
            cell: region.map_or(u32::MAX, |region| region.cell),
            resolved: layout.generation(),
        }
    }

    /// What the first cell of the field holds in a version with this layout: absent if it has none.
    ///
    /// The cell is where it was looked up, unless some field was moved since then, or this one
    /// between that layout and this: then it lies beyond the cells that there are here.
    #[inline(always)]
    pub(super) fn first_cell(self, layout: &Layout, version: Version<'_>) -> [u64; 2] {
        match version.cells.get(self.cell as usize) {
            Some(cell) if layout.widened() <= self.resolved => load(cell),
            _ => self.first_cell_now(layout, version),
        }
    }

    #[inline(never)]
    fn first_cell_now(self, layout: &Layout, version: Version<'_>) -> [u64; 2] {
        let region = layout.region(self.node);
        let cell = region.and_then(|region| version.cells.get(region.cell as usize));
        cell.map_or(record::ABSENT, load)
    }

    #[cfg(test)]
    pub(crate) const fn node(self) -> Node {
        self.node
    }
}

/// Whether they are the same node, whenever they were looked up.
impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl Eq for Field {}

/// A whole version to keep, and what was known about it when it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// As of the call: times move without a publication.
    pub(crate) head: Head,
    record: Arc<Cached>,
}

impl Snapshot {
    /// The value; without one, a record that is absent.
    pub(crate) fn record(&self) -> &Record {
        &self.record.record
    }

    /// Whether the two share memory.
    #[cfg(test)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.record, &other.record)
    }
}

/// A version that was copied out, shared by all who asked for it.
#[derive(Debug)]
pub(super) struct Cached {
    pub(super) epoch: u64,
    record: Record,
}

/// Memory for whole copies, to be used again.
#[derive(Debug, Default)]
pub(crate) struct Scratch(Vec<u64>);

impl<const K: usize> Slot<K> {
    /// What is known about the newest publication, without its fields.
    #[inline]
    pub(crate) fn head(&self) -> Head {
        self.read([]).0
    }

    /// The fields of the newest publication, all of one version. Missing if there is no value.
    #[inline]
    pub(crate) fn read<const N: usize>(&self, fields: [Field; N]) -> (Head, [Value; N]) {
        self.read_from(&self.first, fields)
    }

    /// The common case, to be inlined whole: a value, in this block, each field in its cell. Only
    /// plain words until they are known to be of one version, so that a value is made once, in its
    /// place: to move one just after it was made costs more than to read it.
    #[inline(always)]
    fn read_from<const N: usize>(
        &self,
        block: &Block<K>,
        fields: [Field; N],
    ) -> (Head, [Value; N]) {
        let epoch = block.epoch.load();
        if epoch.has_value() {
            let copied = block.attempt(epoch, |version| {
                // Neither `map` nor `zip`, which are not sure to be inlined.
                let mut cells = [record::ABSENT; N];
                if let Some(layout) = block.layout() {
                    for at in 0..N {
                        cells[at] = fields[at].first_cell(layout, version);
                    }
                }
                (Header::load(version.header), cells)
            });
            if let Some((header, cells)) = copied
                && cells.iter().all(|cell| is_here(cell[0], header.document))
            {
                return (Head::new(epoch, &header), Value::from_cells_whole(&cells));
            }
        }
        self.read_on(block, fields)
    }

    /// All other cases.
    #[cold]
    #[inline(never)]
    fn read_on<const N: usize>(&self, first: &Block<K>, fields: [Field; N]) -> (Head, [Value; N]) {
        loop {
            let (block, epoch) = Self::newest_from(first);
            if !epoch.has_value() {
                if let Some(head) = Self::head_without_value(block, epoch) {
                    return (head, [(); N].map(|()| Value::missing()));
                }
            } else if let Some(read) = self.read_long(block, epoch, fields) {
                return read;
            }
        }
    }

    /// Fields that may be longer than a cell or live in the document; `None` if lapped.
    fn read_long<const N: usize>(
        &self,
        block: &Block<K>,
        epoch: Epoch,
        fields: [Field; N],
    ) -> Option<(Head, [Value; N])> {
        let body = block.body()?;
        block.attempt(epoch, |version| {
            let header = Header::load(version.header);
            let values = fields.map(|field| self.long_value(block, body, version, &header, field));
            (Head::new(epoch, &header), values)
        })
    }

    #[inline]
    fn newest_from(first: &Block<K>) -> (&Block<K>, Epoch) {
        let epoch = first.epoch.load();
        if epoch.is_closed() {
            Self::follow(first, epoch)
        } else {
            (first, epoch)
        }
    }

    /// The head of a publication that has no value; `None` if it was lapped.
    #[cold]
    fn head_without_value(block: &Block<K>, epoch: Epoch) -> Option<Head> {
        if epoch.is_empty() || epoch.is_dead() {
            return Some(Head::without_value(epoch, &Header::BLANK));
        }
        let header = block.attempt(epoch, |version| Header::load(version.header))?;
        Some(Head::without_value(epoch, &header))
    }

    /// One field of a version that may be torn: total, and looked at only if it was not.
    fn long_value(
        &self,
        block: &Block<K>,
        body: Body<'_, K>,
        version: Version<'_>,
        header: &Header,
        field: Field,
    ) -> Value {
        let words = field.first_cell(body.layout, version);
        if is_here(words[0], header.document) {
            return Value::from_cell(words);
        }
        if record::is_absent(words[0]) || record::is_document(words[0]) {
            return self.value_beside(block, header, field.node);
        }
        let region = body
            .layout
            .region(field.node)
            .unwrap_or(Region { cell: 0, cells: 0 });
        let cells = version.cells.get(region.cell as usize..).unwrap_or(&[]);
        let used = usize::from(record::used_cells(words[0]).min(region.cells));
        let rest = cells.get(1..used).unwrap_or(&[]);
        let mut some = [words, record::ABSENT];
        if let [second] = rest {
            // Two cells fit a value: nothing is allocated for it.
            some[1] = load(second);
            return Value::from_cells(some.as_flattened());
        }
        let words: Vec<u64> = words
            .into_iter()
            .chain(rest.iter().flat_map(load))
            .collect();
        Value::from_cells(&words)
    }

    /// A field that may live in the document. The newest layout has its name, whatever the block's.
    #[cold]
    fn value_beside(&self, block: &Block<K>, header: &Header, node: Node) -> Value {
        let document = block.document(header.document);
        let layout = self.shared().schema().layout();
        document.map_or_else(Value::missing, |document| document.value(&layout, node))
    }

    /// Hands the whole newest publication to `show`, once it is known to be one. The record is
    /// absent if there is no value.
    pub(crate) fn read_all<R>(
        &self,
        scratch: &mut Scratch,
        show: impl FnOnce(&Head, RecordRef<'_>) -> R,
    ) -> R {
        loop {
            let (block, epoch) = self.newest();
            let Some(body) = block.body() else {
                let layout = self.shared().schema().layout();
                let head = Head::without_value(epoch, &Header::BLANK);
                return show(&head, RecordRef::new(&layout, &[], None));
            };
            if !epoch.has_value() {
                let Some(head) = Self::head_without_value(block, epoch) else {
                    continue;
                };
                return show(&head, RecordRef::new(body.layout, &[], None));
            }
            if let Some((header, document)) = copy_all(block, epoch, &mut scratch.0) {
                let record = RecordRef::new(body.layout, &scratch.0, document.as_deref());
                return show(&Head::new(epoch, &header), record);
            }
        }
    }

    /// The newest publication, owned. Whoever asks first for an epoch builds it for all; a slot
    /// that nobody asks costs nothing.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let kept = self.cached.load_full();
        let head = self.head();
        if let Some(record) = kept.filter(|kept| kept.epoch == head.epoch) {
            return Snapshot { head, record };
        }
        self.build_snapshot()
    }

    #[cold]
    fn build_snapshot(&self) -> Snapshot {
        let mut words = Vec::new();
        let (head, record) = loop {
            let (block, epoch) = self.newest();
            let layout = || {
                block.body().map_or_else(
                    || self.shared().schema().layout(),
                    |body| body.layout.clone(),
                )
            };
            if !epoch.has_value() {
                let Some(head) = Self::head_without_value(block, epoch) else {
                    continue;
                };
                break (head, Record::absent(layout()));
            }
            if let Some((header, document)) = copy_all(block, epoch, &mut words) {
                break (
                    Head::new(epoch, &header),
                    Record::new(layout(), words.into(), document),
                );
            }
        };
        let record = Arc::new(Cached {
            epoch: head.epoch,
            record,
        });
        self.keep(&record);
        Snapshot { head, record }
    }

    /// Offers a copy to the next taker, unless somebody else is at it, or a newer one is there.
    fn keep(&self, record: &Arc<Cached>) {
        // Acquire pairs with the release below: the one before has stored what it had.
        if self.caching.swap(true, Ordering::Acquire) {
            return;
        }
        let newer = self
            .cached
            .load()
            .as_ref()
            .is_some_and(|kept| kept.epoch >= record.epoch);
        if !newer || injected(Fault::SnapshotAnyway) {
            self.cached.store(Some(record.clone()));
        }
        self.caching.store(false, Ordering::Release);
    }
}

/// Whether the first cell is all of a field, in a record whose document has this version.
#[inline(always)]
fn is_here(first: u64, document: u64) -> bool {
    record::is_whole(first) && !(record::is_absent(first) && document != 0)
}

/// Copies a whole version into `words`; `None` if it was lapped.
#[inline]
pub(super) fn copy_all<const K: usize>(
    block: &Block<K>,
    epoch: Epoch,
    words: &mut Vec<u64>,
) -> Option<(Header, Option<Arc<Document>>)> {
    block.attempt(epoch, |version| {
        let header = Header::load(version.header);
        let cells = version.cells.as_flattened();
        words.clear();
        words.extend(cells.iter().map(|word| word.load(Ordering::Relaxed)));
        let document = if header.document == 0 {
            None
        } else {
            block.document(header.document)
        };
        (header, document)
    })
}

/// A reader that stays with one slot: it remembers the block, where [`Slot`] starts at the first.
#[derive(Clone, Debug)]
pub(crate) struct SlotReader {
    slot: Arc<Slot>,
    later: Option<Arc<Block<VERSIONS>>>,
}

impl SlotReader {
    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        Self { slot, later: None }
    }

    /// As [`Slot::epoch`].
    #[inline]
    pub(crate) fn epoch(&mut self) -> Epoch {
        let epoch = self.block().epoch.load();
        if epoch.is_closed() {
            self.advance()
        } else {
            epoch
        }
    }

    /// As [`Slot::read`].
    #[inline]
    pub(crate) fn read<const N: usize>(&mut self, fields: [Field; N]) -> (Head, [Value; N]) {
        // Moves on if it has to.
        self.epoch();
        self.slot.read_from(self.block(), fields)
    }

    #[inline]
    pub(super) fn block(&self) -> &Block<VERSIONS> {
        self.later.as_deref().unwrap_or(&self.slot.first)
    }

    #[cold]
    fn advance(&mut self) -> Epoch {
        while let Some(next) = self.block().next().cloned() {
            self.later = Some(next);
        }
        self.block().epoch.load()
    }
}
