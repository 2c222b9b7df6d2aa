//! Models of whole slots: growth under a reader, snapshots, purge and look-up, cuts.

use loom::thread;
use std::cell::Cell;

use super::ring_models::root_only;
use super::{explore, explore_within};
use crate::key::IdRef;
use crate::record::{Kind, Limits, Mode, Node, Patch, Schema, SchemaSource, Token, Value};
use crate::store::fault::{Fault, inject};
use crate::store::publish::{Batch, Outcome, Place};
use crate::store::shared::Shared;
use crate::store::{
    Field, Marks, Missing, Slot, Stamp, Stamps, State, Store, StoreConfig, TurnCounter, cut,
};
use crate::sync::Arc;

/// The owner of one slot, with a schema of its own.
struct Owner<const K: usize> {
    place: Place<K>,
    schema: Schema,
    batch: Batch,
}

impl<const K: usize> Owner<K> {
    fn new() -> Self {
        let shared = Arc::new(Shared::new(Limits::default(), Arc::new(Marks::new())));
        let slot = Arc::new(Slot::new(IdRef::Int(0), 0, 0, shared));
        Self {
            place: Place::adopt(slot),
            schema: Schema::new(Limits::default()),
            batch: Batch::default(),
        }
    }

    fn slot(&self) -> Arc<Slot<K>> {
        self.place.slot.clone()
    }

    /// Publishes a text as the whole value, in a turn.
    fn publish(&mut self, text: &str, turn: u64) {
        let mut patch = Patch::new();
        patch.set(
            &mut self.schema,
            Node::ROOT,
            Token::new(Kind::String, text.as_bytes()),
        );
        let stamp = Stamp {
            mode: Mode::Replace,
            whole: true,
            turn,
            ..Stamp::default()
        };
        assert_eq!(self.update(&patch, &stamp), Outcome::Applied);
    }

    /// As the owner of an entity does it. At once, wherever that may be.
    fn update(&mut self, patch: &Patch, stamp: &Stamp) -> Outcome {
        let layout = self.schema.layout();
        match self
            .place
            .update_at_once(patch, stamp, layout, &mut self.batch)
        {
            Some(outcome) => outcome,
            None => self.place.update(patch, stamp, layout, &mut self.batch),
        }
    }

    /// Publishes the same number in two fields, by a patch.
    fn publish_both(&mut self, number: u64, link: u64) {
        let (mut patch, text) = (Patch::new(), number.to_string());
        patch.object(self.schema.layout(), Node::ROOT);
        for name in ["x", "y"] {
            let node = self.schema.add(Node::ROOT, name).expect("room");
            let token = Token::new(Kind::Number, text.as_bytes());
            patch.set(&mut self.schema, node, token);
        }
        let stamp = Stamp {
            trust: 0,
            link,
            ..Stamp::default()
        };
        assert_eq!(self.update(&patch, &stamp), Outcome::Applied);
    }
}

fn two_fields(publications: u64) {
    let mut owner = Owner::<2>::new();
    let slot = owner.slot();
    owner.publish_both(1, 1 << 8);
    let layout = owner.schema.layout();
    let fields = ["x", "y"].map(|name| Field::new(layout, layout.find(&[name]).expect("added")));
    let publishing = thread::spawn(move || {
        (2..=publications).for_each(|number| owner.publish_both(number, number << 8));
    });
    let link = Cell::new(0);
    let accept = |stamps: Stamps| {
        link.set(stamps.link >> 8);
        true
    };
    if let Some(cells) = slot.cells_if(slot.shared(), &fields, accept) {
        let numbers = cells.map(|cell| Value::from_cell(cell).u64());
        assert_eq!(numbers, [Ok(link.get()); 2], "torn");
    }
    publishing.join().expect("no panic");
    assert_eq!(slot.epoch().number(), publications);
}

#[test]
fn what_is_published_at_once_is_never_torn() {
    explore_within(Some(2), || two_fields(3));
}

#[test]
#[should_panic = "torn"]
fn what_is_published_at_once_needs_the_fence() {
    inject(Fault::WriterFence, || {
        explore_within(Some(2), || two_fields(3))
    });
}

/// Longer than a cell: needs another block.
const LONG: &str = "a text of two cells";

fn root() -> Field {
    Field::new(&root_only(), Node::ROOT)
}

fn text<const K: usize>(slot: &Slot<K>) -> (u64, String) {
    let (head, [value]) = slot.read([root()]);
    (
        head.epoch,
        value.str().map(String::from).unwrap_or_default(),
    )
}

/// The text of each publication.
fn expect(epoch: u64, text: &str) {
    assert_eq!(text, ["", "a", LONG][epoch as usize], "torn");
}

fn growth() {
    let mut owner = Owner::<2>::new();
    let slot = owner.slot();
    owner.publish("a", 1);
    let growing = thread::spawn(move || {
        owner.publish(LONG, 2);
        assert_eq!(owner.batch.growths, 1);
    });
    let (first, value) = text(&slot);
    expect(first, &value);
    let (second, value) = text(&slot);
    expect(second, &value);
    assert!(second >= first, "backwards");
    growing.join().expect("no panic");
    assert_eq!(text(&slot), (2, LONG.into()), "the last one is shown");
}

#[test]
fn a_reader_follows_growth() {
    explore(growth);
}

#[test]
#[should_panic = "a closed block has a successor"]
fn the_next_block_comes_before_the_end_of_this_one() {
    inject(Fault::CloseFirst, || explore(growth));
}

#[test]
fn the_first_publication_is_seen_whole_or_not_at_all() {
    explore(|| {
        let mut owner = Owner::<2>::new();
        let slot = owner.slot();
        let publishing = thread::spawn(move || owner.publish("a", 1));
        let (epoch, value) = text(&slot);
        expect(epoch, &value);
        publishing.join().expect("no panic");
    });
}

fn snapshots() {
    let mut owner = Owner::<2>::new();
    let slot = owner.slot();
    owner.publish("a", 1);
    let other = {
        let slot = slot.clone();
        thread::spawn(move || {
            let first = slot.snapshot();
            owner.publish("b", 2);
            let second = slot.snapshot();
            assert_eq!((first.head.epoch, second.head.epoch), (1, 2));
            // From now on what is kept is never older than this, if it was kept at all.
            slot.cached.load().as_ref().map_or(0, |kept| kept.epoch)
        })
    };
    let taken = slot.snapshot();
    let expected = if taken.head.epoch == 1 { "a" } else { "b" };
    assert_eq!(
        taken.record().value(Node::ROOT).str().as_deref(),
        Ok(expected)
    );
    let kept = other.join().expect("no panic");
    let now = slot.cached.load().as_ref().map_or(0, |kept| kept.epoch);
    assert!(now >= kept, "an older snapshot over a newer one");
}

#[test]
fn a_snapshot_is_never_replaced_by_an_older_one() {
    explore(snapshots);
}

#[test]
#[should_panic = "an older snapshot over a newer one"]
fn a_builder_looks_before_it_keeps() {
    inject(Fault::SnapshotAnyway, || explore(snapshots));
}

fn purge() {
    let store = Store::new(StoreConfig::default());
    let entity = store.entity("e").expect("room");
    let mut writer = entity.claim("model".into()).expect("free");
    let at = writer.locate(IdRef::Int(1), Missing::Insert).expect("room");
    let slot = writer.slot(at).expect("located").clone();
    let purging = thread::spawn(move || {
        writer.purge(at);
        writer
    });
    if slot.epoch().is_dead() {
        let last = slot.epoch().number();
        let next = entity.slot(IdRef::Int(1)).expect("room");
        assert_ne!(next.head().state, State::Dead, "found again");
        assert!(next.epoch().number() >= last, "backwards");
    }
    drop(purging.join().expect("no panic"));
}

#[test]
fn who_sees_a_dead_slot_finds_another() {
    explore(purge);
}

#[test]
#[should_panic = "found again"]
fn a_slot_leaves_the_index_before_it_is_dead() {
    inject(Fault::DeadFirst, || explore(purge));
}

#[test]
#[should_panic = "backwards"]
fn a_new_slot_starts_above_the_purged_one() {
    inject(Fault::StartAtZero, || explore(purge));
}

fn turns<const K: usize>() {
    let counter = Arc::new(TurnCounter::new());
    let mut owners = [Owner::<K>::new(), Owner::<K>::new()];
    let slots = owners.each_ref().map(Owner::slot);
    owners.iter_mut().for_each(|owner| owner.publish("1", 1));
    counter.finish(1);
    let publishing = {
        let counter = counter.clone();
        thread::spawn(move || {
            owners.iter_mut().for_each(|owner| owner.publish("2", 2));
            counter.finish(2);
        })
    };
    if let Ok(taken) = cut(&counter, &slots.each_ref().map(|slot| &**slot)) {
        for (_, record) in &taken.values {
            assert_eq!(
                record.value(Node::ROOT).i64(),
                Ok(taken.turn as i64),
                "of another turn"
            );
        }
    }
    publishing.join().expect("no panic");
}

#[test]
fn a_cut_of_three_versions_is_of_one_turn() {
    explore(turns::<3>);
}

#[test]
fn a_cut_of_two_versions_is_of_one_turn() {
    explore(turns::<2>);
}

#[test]
#[should_panic = "of another turn"]
fn a_cut_looks_at_the_turns() {
    inject(Fault::CutNewest, || explore(turns::<3>));
}
