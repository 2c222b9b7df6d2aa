//! How a message changes a record: RFC 7396, shallow, or whole replacement, in place, on cells.
//!
//! One rule holds before and after: below a field that is no object, nothing is there. It is why
//! making a field an object clears nothing, and why setting one looks below only if it was an
//! object.

use std::sync::Arc;

use super::cell::{self, ABSENT, OBJECT};
use super::document::{Document, LongTexts, Tree};
use super::patch::{Op, Patch, Rest};
use super::record::RecordRef;
use super::schema::{Layout, Node};

/// How a message is laid over the value before it. The kind of the message decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// RFC 7396: objects merge, `null` deletes, anything else replaces.
    #[default]
    Merge,
    /// As [`Merge`](Self::Merge), but `null` is a value: nothing is ever deleted. For sources that
    /// write `null` where there is none of something, as of bids in an empty book.
    MergeNull,
    /// `{...old, ...message}`: each member named replaces the one before; `null` is a value.
    Shallow,
    /// The message is the value: what it does not name vanishes; `null` is a value.
    Replace,
}

/// The cells of one record, as a merge reads and writes them.
pub trait Cells {
    /// The cell at this index, two words. Below the layout's number of cells.
    fn get(&self, cell: u32) -> [u64; 2];
    /// Writes the cell. Called only if it changes.
    fn put(&mut self, cell: u32, value: [u64; 2]);
    /// Writes the cell if it `changes`, or as it was: where that is not worth a branch that is
    /// guessed wrong.
    #[inline]
    fn put_if(&mut self, changes: bool, cell: u32, value: [u64; 2]) {
        if changes {
            self.put(cell, value);
        }
    }
    /// Writes a token of these words from the cell on, where one of `old` cells was, and clears what
    /// that leaves. False if this is not known to be possible; then nothing was done.
    #[inline]
    fn put_token(&mut self, cell: u32, words: &[u64], old: u16) -> bool {
        let _ = (cell, words, old);
        false
    }
}

/// Cells in a plain vector, two words each. What lies beyond its end is absent, and is added when
/// written.
impl Cells for Vec<u64> {
    fn get(&self, cell: u32) -> [u64; 2] {
        let at = 2 * cell as usize;
        self.as_slice()
            .get(at..at + 2)
            .map_or(ABSENT, |words| [words[0], words[1]])
    }

    fn put(&mut self, cell: u32, value: [u64; 2]) {
        let at = 2 * cell as usize;
        if self.len() < at + 2 {
            self.resize(at + 2, 0);
        }
        self[at..at + 2].copy_from_slice(&value);
    }
}

/// What a merge changed. Exact: a message that says what the record held already changes nothing. Only
/// a fresh object ([`Composed`](super::Composed)) is a change always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// At least one cell was put.
    pub cells: bool,
    /// The document beside the cells was replaced.
    pub document: bool,
}

impl Change {
    /// Whether anything changed.
    #[must_use]
    pub fn any(self) -> bool {
        self.cells || self.document
    }
}

/// Whether a record whose cells are laid out by `block` has the room that `patch` needs. If not,
/// it has to be moved to a newer layout first ([`migrate`]).
#[must_use]
#[inline]
pub fn fits(patch: &Patch, block: &Layout) -> bool {
    patch.fits(block.cells(), block.widened()) || fits_each(patch, block)
}

fn fits_each(patch: &Patch, block: &Layout) -> bool {
    patch.ops.iter().all(|op| {
        let region = block.region(op.node);
        region.is_some_and(|region| region.cells >= op.cells())
    })
}

/// Applies a message to a record whose cells are laid out by `layout`, and says what changed.
///
/// The patch has to fit ([`fits`]); an operation that does not is left out, and debug builds
/// panic. Nothing else can fail: the same message applied twice changes nothing the second time.
#[inline]
pub fn apply<C: Cells>(
    patch: &Patch,
    mode: Mode,
    layout: &Layout,
    cells: &mut C,
    document: &mut Option<Arc<Document>>,
) -> Change {
    debug_assert!(fits(patch, layout), "a patch is applied only where it fits");
    let mut target = Target {
        layout,
        cells,
        document,
        change: Change::default(),
    };
    if patch.tree.is_some() || matches!(target.document.as_deref(), Some(Document::Whole(_))) {
        target.merge_trees(patch, mode);
    } else {
        target.merge_cells(patch, mode);
    }
    target.change
}

/// Whether [`apply_short`] may begin: the patch fits at a glance, so that it names no node twice,
/// and nothing is cleared but what it names; all of that lies in the first so many cells.
#[inline(always)]
pub(crate) fn is_direct(patch: &Patch, mode: Mode, layout: &Layout, cells: u32) -> bool {
    patch.fits(layout.cells().min(cells), layout.widened())
        && match mode {
            Mode::Merge | Mode::MergeNull => true,
            Mode::Shallow => false,
            Mode::Replace => patch.names_all(layout.nodes()),
        }
}

/// Applies the operations of a patch that [`is_direct`], up to the first that concerns more than
/// its own field, or a document. Answers how many that was; [`apply_rest`] goes on. This is all of
/// most messages. No cell is asked for after it was put.
#[inline(always)]
pub(crate) fn apply_short<C: Cells>(patch: &Patch, cells: &mut C) -> usize {
    let mut ops = patch.ops.iter();
    while let Some(op) = ops.as_slice().first() {
        let old = cells.get(op.cell);
        let changes = (old[0] ^ op.first[0] | old[1] ^ op.first[1]) != 0;
        if op.rest == Rest::None && cell::is_plain(old[0]) {
            cells.put_if(changes, op.cell, op.first);
        } else if (changes || op.rest != Rest::None) && !apply_token(patch, op, old[0], cells) {
            break;
        }
        ops.next();
    }
    patch.ops.len() - ops.len()
}

/// Applies one operation of [`apply_short`] where the token before or after takes several cells.
/// False, and nothing was done, if the field was an object or one of the two is in the document.
#[inline(never)]
fn apply_token<C: Cells>(patch: &Patch, op: &Op, old: u64, cells: &mut C) -> bool {
    if cell::is_object(old) || cell::is_document(old) {
        return false;
    }
    let words = match op.rest {
        Rest::None => &op.first[..],
        Rest::Cells(start) => &patch.words[start as usize..][..2 * usize::from(op.cells())],
        Rest::Document(_) => return false,
    };
    cells.put_token(op.cell, words, cell::used_cells(old))
}

/// Applies all but the first operations of a patch that [`is_direct`]. Of the cells that the first
/// ones put it says nothing.
pub(crate) fn apply_rest<C: Cells>(
    patch: &Patch,
    applied: usize,
    layout: &Layout,
    cells: &mut C,
    document: &mut Option<Arc<Document>>,
) -> Change {
    let mut target = Target {
        layout,
        cells,
        document,
        change: Change::default(),
    };
    target.merge_each(patch, applied, |op| Some(op.cell));
    target.change
}

struct Target<'a, C> {
    layout: &'a Layout,
    cells: &'a mut C,
    document: &'a mut Option<Arc<Document>>,
    change: Change,
}

impl<C: Cells> Target<'_, C> {
    #[inline(always)]
    fn merge_cells(&mut self, patch: &Patch, mode: Mode) {
        match mode {
            Mode::Merge | Mode::MergeNull => {}
            Mode::Shallow => self.clear_named(patch),
            Mode::Replace => self.clear_unnamed(patch),
        }
        let layout = self.layout;
        if patch.fits(layout.cells(), layout.widened()) {
            self.merge_each(patch, 0, |op| Some(op.cell));
        } else {
            let cell_of = |op: &Op| layout.region(op.node).map(|region| region.cell);
            self.merge_each(patch, 0, cell_of);
        }
    }

    #[inline(always)]
    fn merge_each(&mut self, patch: &Patch, applied: usize, cell_of: impl Fn(&Op) -> Option<u32>) {
        for op in patch.ops.iter().skip(applied) {
            let Some(cell) = cell_of(op) else {
                continue;
            };
            let old = self.cells.get(cell);
            if op.rest == Rest::None {
                if old == op.first {
                    continue;
                }
                if cell::is_plain(old[0]) {
                    self.put(cell, op.first);
                    continue;
                }
            }
            self.write_long(patch, op, old);
        }
    }

    #[inline(always)]
    fn put(&mut self, cell: u32, value: [u64; 2]) {
        self.cells.put(cell, value);
        self.change.cells = true;
    }

    fn put_if_changed(&mut self, cell: u32, value: [u64; 2]) {
        if self.cells.get(cell) != value {
            self.put(cell, value);
        }
    }

    /// Writes where more than one cell is concerned: the field was an object, or the token before
    /// or after is a long one. Out of line, so that the loop over short tokens stays small.
    #[inline(never)]
    fn write_long(&mut self, patch: &Patch, op: &Op, old: [u64; 2]) {
        let used = op.cells();
        let Some(region) = self
            .layout
            .region(op.node)
            .filter(|region| region.cells >= used)
        else {
            return;
        };
        if cell::is_object(old[0]) && op.first != OBJECT {
            self.clear_members(op.node, None);
        }
        match op.rest {
            Rest::None => {
                self.put_if_changed(region.cell, op.first);
            }
            Rest::Cells(start) => {
                let words = &patch.words[start as usize..][..2 * usize::from(used)];
                for (cell, pair) in (region.cell..).zip(words.chunks_exact(2)) {
                    self.put_if_changed(cell, [pair[0], pair[1]]);
                }
            }
            Rest::Document(_) => {
                let token = patch.long_token(op);
                let texts = self.long_texts();
                if texts.and_then(|texts| texts.get(op.node)) != token {
                    let mut texts = self.long_texts().cloned().unwrap_or_default();
                    if let Some(token) = token {
                        texts.set(op.node, token);
                    }
                    self.set_long_texts(texts);
                }
                self.put_if_changed(region.cell, op.first);
            }
        }
        if cell::is_document(old[0]) && !cell::is_document(op.first[0]) {
            self.drop_text(op.node);
        }
        for cell in used..cell::used_cells(old[0]) {
            self.put_if_changed(region.cell + u32::from(cell), ABSENT);
        }
    }

    /// Replace: all that the message does not name goes.
    #[inline(never)]
    fn clear_unnamed(&mut self, patch: &Patch) {
        let nodes = self.layout.nodes() as usize;
        for at in 0..nodes.div_ceil(64) {
            let valid = if nodes - at * 64 >= 64 {
                u64::MAX
            } else {
                (1 << (nodes % 64)) - 1
            };
            let mut unnamed = valid & !patch.touched_word(at);
            while unnamed != 0 {
                self.clear_token(Node((at * 64) as u32 + unnamed.trailing_zeros()));
                unnamed &= unnamed - 1;
            }
        }
    }

    /// Shallow: what lies below a top-level member that the message makes an object goes, except
    /// for what the message writes itself. (A token clears what is below when it is written.)
    #[inline(never)]
    fn clear_named(&mut self, patch: &Patch) {
        for op in patch
            .ops
            .iter()
            .filter(|op| op.first == OBJECT && op.node != Node::ROOT)
        {
            if self.layout.parent(op.node) == Node::ROOT {
                self.clear_members(op.node, Some(patch));
            }
        }
    }

    /// Clears all below a node, except what `keep` writes.
    #[cold]
    fn clear_members(&mut self, node: Node, keep: Option<&Patch>) {
        let layout = self.layout;
        for child in layout.children(node) {
            let Some(region) = layout.region(*child) else {
                continue;
            };
            let first = self.cells.get(region.cell)[0];
            if cell::is_object(first) {
                self.clear_members(*child, keep);
            }
            if !keep.is_some_and(|patch| patch.touched(*child)) {
                self.clear_token(*child);
            }
        }
    }

    /// Clears a node's own cells.
    #[inline]
    fn clear_token(&mut self, node: Node) {
        let Some(region) = self.layout.region(node) else {
            return;
        };
        let first = self.cells.get(region.cell)[0];
        if cell::is_absent(first) {
            return;
        }
        for cell in 1..cell::used_cells(first) {
            self.put_if_changed(region.cell + u32::from(cell), ABSENT);
        }
        self.put(region.cell, ABSENT);
        if cell::is_document(first) {
            self.drop_text(node);
        }
    }

    fn long_texts(&self) -> Option<&LongTexts> {
        match self.document.as_deref() {
            Some(Document::Long(texts)) => Some(texts),
            _ => None,
        }
    }

    fn set_long_texts(&mut self, texts: LongTexts) {
        *self.document = (!texts.is_empty()).then(|| Arc::new(Document::Long(texts)));
        self.change.document = true;
    }

    #[cold]
    fn drop_text(&mut self, node: Node) {
        if let Some(mut texts) = self.long_texts().cloned() {
            texts.remove(node);
            self.set_long_texts(texts);
        }
    }

    /// The record is a tree, or becomes one, or comes back from it.
    #[cold]
    fn merge_trees(&mut self, patch: &Patch, mode: Mode) {
        let old = match self.document.as_deref() {
            Some(Document::Whole(tree)) => Some(tree.clone()),
            _ => None,
        };
        match (&patch.tree, old) {
            (Some(tree), Some(old)) => {
                let new = old.merged(tree, mode);
                self.set_tree(Some(&old), new);
            }
            (Some(tree), None) => {
                let new = self.tree_of_cells().map(|old| old.merged(tree, mode));
                let new = new.unwrap_or_else(|| Tree::object([]).merged(tree, mode));
                self.set_tree(None, new);
            }
            (None, Some(old)) => {
                // The first operation is on the root: nothing is kept unless it is that there be
                // an object.
                let stays = mode != Mode::Replace
                    && old.is_object()
                    && patch
                        .ops
                        .first()
                        .is_some_and(|op| op.node == Node::ROOT && op.first == OBJECT);
                if stays {
                    let new = old.patched(patch, mode, self.layout);
                    self.set_tree(Some(&old), new);
                } else if !patch.is_empty() {
                    *self.document = None;
                    self.change.document = true;
                    self.clear_token(Node::ROOT);
                    self.merge_cells(patch, mode);
                }
            }
            (None, None) => {}
        }
    }

    fn set_tree(&mut self, old: Option<&Tree>, new: Tree) {
        if old == Some(&new) {
            return;
        }
        let root = self
            .layout
            .region(Node::ROOT)
            .map_or(0, |region| region.cell);
        let first = cell::document(new.kind(), new.to_json().as_bytes());
        for cell in 0..self.layout.cells() {
            self.put_if_changed(cell, if cell == root { first } else { ABSENT });
        }
        *self.document = Some(Arc::new(Document::Whole(new)));
        self.change.document = true;
    }

    fn tree_of_cells(&self) -> Option<Tree> {
        let words: Vec<u64> = (0..self.layout.cells())
            .flat_map(|cell| self.cells.get(cell))
            .collect();
        RecordRef::new(self.layout, &words, self.document.as_deref()).to_tree()
    }
}

/// Copies a record from one layout of its schema to a newer one. `put` is called for every cell
/// that is not absent; the new cells have to be absent before.
pub fn migrate(
    from: &Layout,
    to: &Layout,
    get: impl Fn(u32) -> [u64; 2],
    mut put: impl FnMut(u32, [u64; 2]),
) {
    for node in (0..from.nodes().min(to.nodes())).map(Node) {
        let (Some(old), Some(new)) = (from.region(node), to.region(node)) else {
            continue;
        };
        let first = get(old.cell);
        if cell::is_absent(first[0]) {
            continue;
        }
        put(new.cell, first);
        let used = cell::used_cells(first[0]).min(old.cells).min(new.cells);
        for at in 1..u32::from(used) {
            put(new.cell + at, get(old.cell + at));
        }
    }
}

#[cfg(test)]
mod tests;
