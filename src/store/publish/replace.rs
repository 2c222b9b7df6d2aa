//! Publishing a whole record, whatever it was made from: for what is put together from several
//! updates. Cold: it allocates, and looks at every cell.

use super::{Batch, Next, Outcome, Place, catch_up, load};
use crate::record::{Cells, Mode, Patch, Record, Tree};
use crate::store::block::{Block, Body};
use crate::store::head::{Head, Header};

impl<const K: usize> Place<K> {
    /// The value, copied; `None` if there is none.
    pub(in crate::store) fn record(&self) -> Option<Record> {
        let block = self.block();
        let body = block.body().filter(|_| block.epoch.own().has_value())?;
        Some(own_record(block, body))
    }

    /// Publishes a whole record with these `terms` (their number and state are not looked at),
    /// unless it is what the slot holds and the stamps are the same. As one version, whatever made
    /// the record.
    #[cold]
    pub(in crate::store) fn replace(
        &mut self,
        record: &Record,
        terms: &Head,
        batch: &mut Batch<'_>,
    ) -> Outcome {
        let body = self
            .block()
            .body_or(|| Body::new::<K>(batch.layout.clone()));
        if record.as_ref().fits(&body.layout) {
            return self.replace_in_place(body, record, terms, batch);
        }
        let has_grown = self.grow(batch);
        let Some(body) = self.block().body() else {
            return Outcome::Unchanged;
        };
        if has_grown {
            return self.replace_in_place(body, record, terms, batch);
        }
        let mut whole = Record::absent(body.layout.clone());
        whole.apply(&whole_tree(record), Mode::Replace, batch.layout);
        self.replace_in_place(body, &whole, terms, batch)
    }

    fn replace_in_place(
        &self,
        body: &Body,
        record: &Record,
        terms: &Head,
        batch: &mut Batch<'_>,
    ) -> Outcome {
        let block = self.block();
        let epoch = block.epoch.own();
        let next = epoch.next();
        let from = body.version::<K>(epoch.number());
        let to = body.version::<K>(next.number());
        let old = Header::own(from.header);
        let mut words = vec![0; 2 * body.layout.cells() as usize];
        record.as_ref().migrate(&body.layout, |cell, value| {
            Cells::put(&mut words, cell, value);
        });

        block.epoch.begin();
        catch_up(from, to);
        let mut cells = Next::<K> {
            body,
            number: next.number(),
            cells: to.cells,
            chunk: 0,
            put: 0,
        };
        let mut changed = false;
        for cell in 0..body.layout.cells() {
            let value = Cells::get(&words, cell);
            if cells.get(cell) != value {
                cells.put(cell, value);
                changed = true;
            }
        }
        cells.flush();
        let before = if old.document == 0 {
            None
        } else {
            block.document(old.document)
        };
        let document = record.document().cloned();
        let redocumented = before != document;
        let mut header = terms.header(old.document);
        if epoch.has_value() && !changed && !redocumented && header.same_stamps(&old) {
            header.store_times(from.header);
            return Outcome::Unchanged;
        }
        if redocumented {
            header.document += 1;
            batch.retire(block.put_document(header.document, document));
        }
        header.store(to.header);
        block.epoch.publish(next);
        Outcome::Applied
    }
}

/// The newest version's value; the owner needs no check.
pub(super) fn own_record<const K: usize>(block: &Block<K>, body: &Body) -> Record {
    let version = body.version::<K>(block.epoch.own().number());
    let number = Header::own(version.header).document;
    let document = if number == 0 {
        None
    } else {
        block.document(number)
    };
    let words = version.cells.iter().flat_map(load).collect();
    Record::new(body.layout.clone(), words, document)
}

/// A patch that replaces a value by this one, as a tree.
pub(super) fn whole_tree(record: &Record) -> Patch {
    let tree = record.as_ref().to_tree();
    let mut whole = Patch::new();
    whole.set_tree(tree.unwrap_or_else(|| Tree::object([])));
    whole
}
