//! The quickest read: the cells of some fields, if the value is as good as it can be.
//!
//! Nearly every read is of a value that nothing speaks against, each field in a cell of its own.
//! This answers only those, copies words and nothing else, and is inlined
//! whole where it is asked: what a caller gets is made in its place, and never moved. All else is
//! left to [`Slot::read`], which is total.
//!
//! Of a slot it touches the line that has the epoch and the stamps, and those of the cells. What
//! the slots of an entity share is handed in by who has it at hand. That includes whether any field
//! was moved since a field was looked up: asked of the newest layout of all, which is of no block in
//! particular; only if one was, the block's own layout is asked.

use crate::record::{ABSENT, Node, is_whole};
use crate::store::block::{Block, load};
use crate::store::reader::{Field, SlotReader};
use crate::store::shared::Shared;
use crate::store::slot::Slot;
use crate::store::stamps::Stamps;

impl<const K: usize> Block<K> {
    #[inline(always)]
    fn cells_if<F: Copy + Into<Field>, const N: usize>(
        &self,
        shared: &Shared,
        fields: &[F; N],
        accept: impl FnOnce(Stamps) -> bool,
    ) -> Option<[[u64; 2]; N]> {
        let epoch = self.epoch.load();
        if !epoch.has_value() {
            return None;
        }
        let words = self.words()?;
        let (start, count) = Self::cells_of(words, epoch.number());
        // Acquired with the epoch: no older than what the block's layout says.
        let widened = shared.schema().widened();
        // Neither `map` nor `zip`, which are not sure to be inlined.
        let mut cells = [ABSENT; N];
        for at in 0..N {
            let field = fields[at].into();
            let (cell, resolved) = (field.cell, field.resolved);
            cells[at] = if ((cell as usize) < count) & (widened <= resolved) {
                load(words.get(start + cell as usize)?)
            } else {
                self.moved_cell(epoch.number(), field.node, cell, resolved)
            };
        }
        let packed = self.stamps_of(epoch.number()).load();
        if !self.epoch.holds(epoch, K) {
            return None;
        }
        // An absent field may be in the document.
        let document = packed.has_document();
        let is_here = |cell: &[u64; 2]| is_whole(cell[0]) & ((cell[0] != 0) | !document);
        let are_here = cells.iter().fold(true, |all, cell| all & is_here(cell));
        (are_here && accept(packed.stamps())).then_some(cells)
    }

    /// What the first cell of a field holds in the version of this number, where that may be
    /// elsewhere than it was looked up. The field comes in parts: in one piece it would be put into
    /// memory on the quick way, too, and be waited for.
    #[cold]
    #[inline(never)]
    fn moved_cell(&self, number: u64, node: Node, cell: u32, resolved: u64) -> [u64; 2] {
        let field = Field {
            node,
            cell,
            resolved,
        };
        self.body().map_or(ABSENT, |body| {
            field.first_cell(body.layout, body.version(number))
        })
    }
}

impl<const K: usize> Slot<K> {
    /// The cells of these fields in the newest publication, if that is a value whose stamps are
    /// accepted, in the slot's first block, and each field [whole](is_whole) in its cell. `None`
    /// means no more than that a longer way has to be taken: first
    /// [`later_cells_if`](Self::later_cells_if). `shared` is what the slot has in common with its
    /// entity's others.
    #[inline(always)]
    pub(crate) fn cells_if<F: Copy + Into<Field>, const N: usize>(
        &self,
        shared: &Shared,
        fields: &[F; N],
        accept: impl FnOnce(Stamps) -> bool,
    ) -> Option<[[u64; 2]; N]> {
        self.first.cells_if(shared, fields, accept)
    }

    /// As [`cells_if`](Self::cells_if), of a slot that has grown. Not a part of that: the ways of
    /// the two must not meet, or what they give is put into memory and moved.
    #[inline(always)]
    pub(crate) fn later_cells_if<F: Copy + Into<Field>, const N: usize>(
        &self,
        shared: &Shared,
        fields: &[F; N],
        accept: impl FnOnce(Stamps) -> bool,
    ) -> Option<[[u64; 2]; N]> {
        if !self.first.epoch.load().is_closed() {
            return None;
        }
        self.newest().0.cells_if(shared, fields, accept)
    }
}

impl SlotReader {
    /// As [`Slot::cells_if`], of the block that it stays with; [`epoch`](Self::epoch) moves on.
    #[inline(always)]
    pub(crate) fn cells_if<F: Copy + Into<Field>, const N: usize>(
        &self,
        shared: &Shared,
        fields: &[F; N],
        accept: impl FnOnce(Stamps) -> bool,
    ) -> Option<[[u64; 2]; N]> {
        self.block().cells_if(shared, fields, accept)
    }
}
