//! Models of marks: what is invalidated while a batch is under way is not undone by what was read
//! before, whoever invalidates what, and however late the owner comes to look at the sums.

use loom::thread;

use super::explore_within;
use crate::key::IdRef;
use crate::record::{Kind, Mode, Node, Patch, SchemaSource, Token};
use crate::store::fault::{Fault, inject};
use crate::store::{
    Entity, EntityWriter, Link, Missing, Point, Slot, SlotIx, Stamp, Store, StoreConfig,
};
use crate::sync::{Arc, AtomicU64, Ordering};

/// What is marked.
#[derive(Clone, Copy, Debug)]
enum What {
    Everything,
    Entity,
    Slot,
    /// Not a mark: the connection is a new one.
    Link,
}

/// The source's value, and where it is kept.
struct World {
    store: Arc<Store>,
    entity: Arc<Entity>,
    /// What the source would answer now.
    source: AtomicU64,
}

impl World {
    fn new() -> Arc<Self> {
        let store = Store::new(StoreConfig::default());
        let entity = store.entity("e").expect("room");
        Arc::new(Self {
            store,
            entity,
            source: AtomicU64::new(0),
        })
    }

    /// The source changes, and whoever has changed it says so. Relaxed: that the mark carries the
    /// change with it is what is to be shown.
    fn change(&self, what: What, slot: &Slot) {
        self.source.store(1, Ordering::Relaxed);
        match what {
            What::Everything => self.store.invalidate_all(),
            What::Entity => self.entity.invalidate(),
            What::Slot => slot.invalidate(),
            What::Link => self.entity.update_link(2, |part| Link {
                generation: part.generation + 1,
                ..part
            }),
        }
    }
}

/// An owner, as a feed drives it.
struct Owner {
    writer: EntityWriter,
    at: SlotIx,
    /// Where its stamps are from.
    begun: Option<Point>,
    link: u64,
}

impl Owner {
    fn new(world: &World) -> Self {
        let mut writer = world.entity.claim("model".into()).expect("free");
        let at = writer.locate(IdRef::Int(1), Missing::Insert).expect("room");
        Self {
            writer,
            at,
            begun: None,
            link: 0,
        }
    }

    fn slot(&self) -> Arc<Slot> {
        self.writer.slot(self.at).expect("located").clone()
    }

    /// One batch: the point, the bytes, and only then whatever an entity needs of it.
    fn batch(&mut self, world: &World) -> u64 {
        let point = world.store.marks().point();
        let read = world.source.load(Ordering::Relaxed);
        self.publish(point, read);
        read
    }

    fn publish(&mut self, point: Point, read: u64) {
        if self.begun != Some(point) {
            self.begun = Some(point);
            self.writer.begin_at(point);
            self.link = self.writer.link_then().unwrap_or(self.link);
        }
        let mut patch = Patch::new();
        let token = Token::new(Kind::Number, if read == 0 { b"0" } else { b"1" });
        patch.set(self.writer.schema(), Node::ROOT, token);
        let stamp = Stamp {
            mode: Mode::Replace,
            whole: true,
            link: self.link,
            ..Stamp::default()
        };
        self.writer.publish(self.at, &patch, &stamp);
    }
}

fn is_live(slot: &Slot) -> bool {
    let head = slot.head();
    head.invalidation >= slot.invalidation() && head.link == slot.link()
}

/// Somebody changes the source while a batch is read.
fn late(what: What) {
    let world = World::new();
    let mut owner = Owner::new(&world);
    let slot = owner.slot();
    let changing = {
        let (world, slot) = (world.clone(), slot.clone());
        thread::spawn(move || world.change(what, &slot))
    };
    let read = owner.batch(&world);
    changing.join().expect("no panic");
    assert!(
        read == 1 || !is_live(&slot),
        "undone by what was read before"
    );
    // Whatever it saw half-way through, the next batch heals.
    owner.batch(&world);
    assert!(is_live(&slot), "never healed");
}

const ALL: [What; 4] = [What::Everything, What::Entity, What::Slot, What::Link];

fn all_late() {
    for what in ALL {
        explore_within(Some(3), move || late(what));
    }
}

#[test]
fn what_was_read_before_a_mark_does_not_undo_it() {
    all_late();
}

#[test]
#[should_panic = "undone by what was read before"]
fn a_batch_acquires_what_came_before_it() {
    inject(Fault::PointRelaxed, all_late);
}

#[test]
#[should_panic = "undone by what was read before"]
fn a_mark_says_when_before_it_counts() {
    inject(Fault::CountFirst, all_late);
}

#[test]
#[should_panic = "undone by what was read before"]
fn the_sums_are_those_of_the_beginning() {
    inject(Fault::SumsAsOfNow, all_late);
}

#[test]
#[should_panic = "undone by what was read before"]
fn the_link_is_that_of_the_beginning() {
    inject(Fault::LinkAsOfNow, all_late);
}

#[test]
#[should_panic = "never healed"]
fn a_mark_moves_the_clock_when_it_is_made() {
    inject(Fault::MarkedOnce, all_late);
}

/// Two mark one slot at once; the batch begins between the two.
fn both_at_once() {
    let world = World::new();
    let mut owner = Owner::new(&world);
    let slot = owner.slot();
    let other = {
        let slot = slot.clone();
        thread::spawn(move || slot.invalidate())
    };
    let changing = {
        let (world, slot) = (world.clone(), slot.clone());
        thread::spawn(move || world.change(What::Slot, &slot))
    };
    let read = owner.batch(&world);
    other.join().expect("no panic");
    changing.join().expect("no panic");
    // A message of the same batch that comes late.
    let point = owner.begun.expect("there was one");
    owner.publish(point, read);
    assert!(
        read == 1 || !is_live(&slot),
        "undone by what was read before"
    );
}

#[test]
fn of_two_marks_the_later_one_counts() {
    explore_within(Some(2), both_at_once);
}

#[test]
#[should_panic = "undone by what was read before"]
fn the_point_of_a_mark_is_taken_after_a_look_at_the_slot() {
    inject(Fault::PointFirst, || {
        explore_within(Some(2), both_at_once);
    });
}

/// An entity changes hands in the middle of the next owner's batch.
fn handed_over(what: What) {
    let world = World::new();
    let mut before = Owner::new(&world);
    let slot = before.slot();
    before.batch(&world);
    let changing = {
        let (world, slot) = (world.clone(), slot.clone());
        thread::spawn(move || world.change(what, &slot))
    };
    let point = world.store.marks().point();
    let read = world.source.load(Ordering::Relaxed);
    drop(before);
    let mut after = Owner::new(&world);
    after.publish(point, read);
    changing.join().expect("no panic");
    assert!(
        read == 1 || !is_live(&slot),
        "undone by what was read before"
    );
    after.batch(&world);
    assert!(is_live(&slot), "never healed");
}

#[test]
fn what_was_read_before_a_claim_does_not_undo_a_mark() {
    for what in ALL {
        explore_within(Some(2), move || handed_over(what));
    }
}

/// Who is not the owner prepares an update, which the owner publishes later.
fn carried(what: What) {
    let world = World::new();
    let mut owner = Owner::new(&world);
    let slot = owner.slot();
    owner.batch(&world);
    let changing = {
        let (world, slot) = (world.clone(), slot.clone());
        thread::spawn(move || world.change(what, &slot))
    };
    let mut courier = world.entity.courier();
    let point = world.store.marks().point();
    let read = world.source.load(Ordering::Relaxed);
    courier.begin_at(point);
    let (sum, link) = (courier.invalidation(IdRef::Int(1)), courier.link());
    changing.join().expect("no panic");
    let is_good = sum >= slot.invalidation() && link == Some(slot.link());
    assert!(read == 1 || !is_good, "undone by what was read before");
}

#[test]
fn what_was_read_before_a_mark_is_not_carried_over_it() {
    for what in ALL {
        explore_within(Some(3), move || carried(what));
    }
}
