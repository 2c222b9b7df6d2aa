//! Publishing a whole record, whatever it was made from: for what is put together from several
//! updates. Cold: it allocates, and looks at every cell.

use super::{Batch, Outcome, Place};
use crate::record::{Cells, Change, Layout, Mode, Patch, Record, Tree};
use crate::store::block::{Block, Body, own};
use crate::store::head::{Head, Header};
use crate::sync::Arc;

impl<const K: usize> Place<K> {
    /// The value, copied; `None` if there is none.
    pub(in crate::store) fn record(&self) -> Option<Record> {
        let block = self.block();
        let body = block.body().filter(|_| block.epoch.own().has_value())?;
        Some(own_record(block, body))
    }

    /// Publishes a whole record with these `terms` (their number and state are not looked at),
    /// unless it is what the slot holds and the stamps are the same. As one version, whatever made
    /// the record. `layout` is the entity's newest.
    #[cold]
    pub(in crate::store) fn replace(
        &mut self,
        record: &Record,
        terms: &Head,
        layout: &Arc<Layout>,
        batch: &mut Batch,
    ) -> Outcome {
        let Some(body) = self.block().make_room(layout) else {
            return Outcome::Unchanged;
        };
        if record.as_ref().fits(body.layout) || self.grow(layout, batch) {
            return self.replace_in_place(record, terms, batch);
        }
        let Some(body) = self.block().body() else {
            return Outcome::Unchanged;
        };
        let mut whole = Record::absent(body.layout.clone());
        whole.apply(&whole_tree(record), Mode::Replace, layout);
        self.replace_in_place(&whole, terms, batch)
    }

    fn replace_in_place(&mut self, record: &Record, terms: &Head, batch: &mut Batch) -> Outcome {
        let Some(mut making) = self.making() else {
            return Outcome::Unchanged;
        };
        let layout = making.layout;
        let mut words = vec![0; 2 * layout.cells() as usize];
        record.as_ref().migrate(layout, |cell, value| {
            Cells::put(&mut words, cell, value);
        });

        making.block.epoch.begin();
        for cell in 0..layout.cells() {
            let value = Cells::get(&words, cell);
            if making.cells.get(cell) != value {
                making.cells.put(cell, value);
            }
        }
        let document = record.document().cloned();
        let change = Change {
            cells: making.cells.any(),
            document: making.document() != document,
        };
        let old = Header::own(making.from);
        let header = terms.header(old.document);
        making.settle_as(header, &old, change, document, batch)
    }
}

/// The newest version's value; the owner needs no check.
pub(super) fn own_record<const K: usize>(block: &Block<K>, body: Body<'_, K>) -> Record {
    let version = body.version(block.epoch.own().number());
    let number = Header::own(version.header).document;
    let document = if number == 0 {
        None
    } else {
        block.document(number)
    };
    let words = version.cells.iter().flat_map(own).collect();
    Record::new(body.layout.clone(), words, document)
}

/// A patch that replaces a value by this one, as a tree.
pub(super) fn whole_tree(record: &Record) -> Patch {
    let tree = record.as_ref().to_tree();
    let mut whole = Patch::new();
    whole.set_tree(tree.unwrap_or_else(|| Tree::object([])));
    whole
}
