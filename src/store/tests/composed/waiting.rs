//! Two owners take turns of one entity; beside them whoever waits: threads and a task, for the same
//! slot and for different ones, for invalidations, for a time, for the end. Nobody sleeps on news,
//! nothing that an owner has counted is lost, and what was read before a mark does not undo it.

use super::{fields, join, publish};
use crate::Time;
use crate::key::IdRef;
use crate::store::fault::{Fault, inject};
use crate::store::wake::{self, Hub, Watched, Woken};
use crate::store::{Entity, EntityWriter, Field, Link, Slot, Stamp, Store, StoreConfig};
use crate::sync::compose::{caught, compose};
use crate::sync::{Arc, AtomicU64, Ordering, thread};
use std::future::poll_fn;

/// How often each of the two owners has its turn.
const TENURES: u64 = 2;
/// Batches in one turn.
const BATCHES: u64 = 2;
/// What the slots say in the end.
const LAST: u64 = 2 * TENURES * BATCHES;
/// How often the source changes: one after the other beside the owners, and then at once.
const CHANGES: u64 = 3 + 3;

/// An entity of two slots, and the source that its values are read from.
struct World {
    store: Arc<Store>,
    entity: Arc<Entity>,
    slots: [Arc<Slot>; 2],
    /// The count, the count again, and what the source said.
    fields: [Field; 3],
    hub: Arc<Hub>,
    /// How often the source has changed.
    source: AtomicU64,
    /// How many of its changes have been marked.
    marked: AtomicU64,
    /// A clock that is moved once, from 0 to 1.
    clock: AtomicU64,
}

impl World {
    /// The count in a slot and its publication.
    fn count(&self, slot: &Slot) -> u64 {
        self.value(slot).0
    }

    /// The count in a slot, what the source had said, and whether that is believed.
    fn value(&self, slot: &Slot) -> (u64, u64, bool) {
        let (head, [x, y, source]) = slot.read(self.fields);
        if !head.has_value() {
            return (0, 0, false);
        }
        let live = head.invalidation >= slot.invalidation() && head.link == slot.link();
        let number = |value: &crate::record::Value| value.u64().expect("a number");
        assert_eq!(number(&x), number(&y), "torn");
        (number(&x), number(&source), live)
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.clock.load(Ordering::Acquire))
    }
}

/// One batch, as a feed makes it: a point in the order of marks, the bytes, and only then what is
/// to be known of the entity. Both slots count one up.
fn batch(world: &World, writer: &mut EntityWriter, begun: &mut Begun) {
    let point = world.store.marks().point();
    let source = world.source.load(Ordering::Relaxed).to_string();
    // What was read takes its time to be taken apart.
    thread::yield_now();
    if begun.at != Some(point) {
        begun.at = Some(point);
        writer.begin_at(point);
        begun.link = writer.link_then().unwrap_or(begun.link);
    }
    for (id, slot) in (0..).zip(&world.slots) {
        let before = world.count(slot);
        let count = (before + 1).to_string();
        let members = [("x", &*count), ("y", &*count), ("source", &*source)];
        let stamp = Stamp {
            whole: true,
            link: begun.link,
            ..Stamp::default()
        };
        publish(writer, id, &members, &stamp);
        assert_eq!(
            world.count(slot),
            before + 1,
            "somebody else writes as well"
        );
    }
}

/// What an owner keeps of the batch before.
#[derive(Default)]
struct Begun {
    at: Option<crate::store::Point>,
    link: u64,
}

/// One owner: takes the entity when nobody has it, writes, hands it back.
fn own(world: &World, name: &str) {
    let mut wakes = world.hub.wakes();
    let mut begun = Begun::default();
    for _ in 0..TENURES {
        let mut writer = loop {
            match world.entity.claim(name.into()) {
                Ok(writer) => break writer,
                Err(_) => thread::yield_now(),
            }
        };
        // A writer of its own begins with sums of its own.
        begun.at = None;
        for _ in 0..BATCHES {
            batch(world, &mut writer, &mut begun);
            writer.end_batch(&mut wakes.batch());
        }
    }
}

/// The source changes, and whoever has changed it says so: what cannot be told from where it stood.
fn change(world: &World, changes: &[Change]) {
    for what in changes {
        world.source.fetch_add(1, Ordering::Relaxed);
        match what {
            Change::Everything => world.store.invalidate_all(),
            Change::Entity => world.entity.invalidate(),
            // One slot alone is not enough for the reader of both.
            Change::Slots => world.slots.iter().for_each(|slot| slot.invalidate()),
            Change::Link => world.entity.update_link(0, |part| Link {
                generation: part.generation + 1,
                ..part
            }),
        }
        world.marked.fetch_add(1, Ordering::Relaxed);
        world.hub.scan();
        read(world);
    }
}

#[derive(Clone, Copy)]
enum Change {
    Everything,
    Entity,
    Slots,
    Link,
}

/// Reads both slots: what is believed is no older than any mark made before.
fn read(world: &World) {
    let mut last = [0; 2];
    for _ in 0..2 {
        for (slot, last) in world.slots.iter().zip(&mut last) {
            let marked = world.marked.load(Ordering::Relaxed);
            let (count, source, live) = world.value(slot);
            assert!(count >= *last, "backwards");
            *last = count;
            assert!(!live || source >= marked, "undone by what was read before");
        }
    }
}

/// Waits for slots until all of them say the last, as a thread or as a task.
fn await_last(world: &World, slots: &[usize], as_task: bool) {
    let slots: Vec<_> = slots.iter().map(|at| &world.slots[*at]).collect();
    let sources = slots
        .iter()
        .map(|slot| Arc::clone(slot) as Arc<dyn Watched>);
    let mut registration = world.hub.register(sources.collect());
    loop {
        let seen: Vec<_> = slots.iter().map(|slot| slot.seen()).collect();
        if slots.iter().all(|slot| world.count(slot) >= LAST) {
            return;
        }
        let woken = if as_task {
            shuttle::future::block_on(poll_fn(|cx| registration.poll(cx, &seen, Time::NEVER)))
        } else {
            registration.wait(&seen, Time::NEVER, &|| world.now())
        };
        assert_eq!(woken, Woken::Moved);
    }
}

/// Waits until all changes were marked, by what an entity shows of them.
fn await_marks(world: &World) {
    let mut registration = world
        .hub
        .register(vec![Arc::clone(world.hub.scans()) as Arc<dyn Watched>]);
    loop {
        let seen = crate::store::Seen {
            epoch: world.hub.scans().level(),
            ..Default::default()
        };
        if world.marked.load(Ordering::Relaxed) == CHANGES {
            return;
        }
        let woken = registration.wait(&[seen], Time::NEVER, &|| world.now());
        assert_eq!(woken, Woken::Moved);
    }
}

/// Waits for a time, or for the end: for something that never moves.
fn await_nothing(world: &World, until: Time, expected: Woken) {
    let never = Arc::new(crate::store::Flag::new());
    let seen = [crate::store::Seen::default()];
    let mut registration = world.hub.register(vec![never as Arc<dyn Watched>]);
    let woken = registration.wait(&seen, until, &|| world.now());
    assert_eq!(woken, expected);
}

fn world() {
    let store = Store::new(StoreConfig::default());
    let entity = store.entity("e").expect("room");
    let (hub, runner) = Hub::new();
    let world = Arc::new(World {
        slots: [0, 1].map(|id| entity.slot(IdRef::Int(id)).expect("room")),
        fields: fields(&entity, ["x", "y", "source"]),
        store,
        entity,
        hub,
        source: AtomicU64::new(0),
        marked: AtomicU64::new(0),
        clock: AtomicU64::new(0),
    });
    let spawn = |run: fn(&World)| {
        let world = Arc::clone(&world);
        thread::spawn(move || run(&world))
    };
    let hub_thread = {
        let world = Arc::clone(&world);
        thread::spawn(move || runner.run(&|| world.now()))
    };
    let last = spawn(|world| await_nothing(world, Time::NEVER, Woken::Closed));
    let owners = [
        spawn(|world| own(world, "one")),
        spawn(|world| own(world, "other")),
    ];
    let threads = [
        spawn(|world| change(world, &[Change::Slots, Change::Link, Change::Everything])),
        spawn(|world| await_last(world, &[0], false)),
        spawn(|world| await_last(world, &[0], true)),
        spawn(|world| await_last(world, &[1, 0], false)),
        spawn(await_marks),
    ];
    let due = spawn(|world| await_nothing(world, Time::from_nanos(1), Woken::Deadline));
    join(owners);
    let mut writer = world.entity.claim("last".into()).expect("free");
    let mut begun = Begun::default();
    let changers = [
        spawn(|world| change(world, &[Change::Slots])),
        spawn(|world| change(world, &[Change::Slots])),
        spawn(|world| change(world, &[Change::Entity])),
    ];
    batch(&world, &mut writer, &mut begun);
    join(changers);
    join(threads);
    read(&world);
    // Whatever that one has seen half-way, the next one heals.
    batch(&world, &mut writer, &mut begun);
    for slot in &world.slots {
        let (count, source, live) = world.value(slot);
        assert_eq!(count, LAST + 2, "one is lost");
        assert_eq!(source, CHANGES);
        assert!(live, "never healed");
    }
    // The clock is moved while the hub is about something else.
    world.hub.scan();
    world.clock.store(1, Ordering::Release);
    world.hub.advance();
    join([due]);
    world.hub.stop();
    join([last, hub_thread]);
}

#[test]
fn nobody_sleeps_on_news_whoever_owns_it() {
    compose(world);
}

#[test]
fn two_owners_at_once_lose_what_one_of_them_writes() {
    // One of them sees it, or a count is never reached and somebody waits for it.
    inject(Fault::ClaimTaken, || caught("", world));
}

#[test]
fn a_waiter_that_checks_before_it_rings_sleeps_on_news() {
    wake::inject(wake::Fault::CheckFirst, || caught("deadlock", world));
}

#[test]
fn a_waiter_that_does_not_check_again_sleeps_on_news() {
    wake::inject(wake::Fault::NoRecheck, || caught("deadlock", world));
}

#[test]
fn a_stop_that_leaves_no_mark_leaves_somebody_asleep() {
    wake::inject(wake::Fault::CloseUnmarked, || caught("deadlock", world));
}

#[test]
fn a_clock_read_before_the_reasons_is_missed() {
    wake::inject(wake::Fault::TimeFirst, || caught("deadlock", world));
}

#[test]
fn a_mark_counted_first_is_undone() {
    inject(Fault::CountFirst, || caught("undone by", world));
}

#[test]
fn a_mark_of_a_point_before_its_look_is_undone() {
    inject(Fault::PointFirst, || caught("undone by", world));
}

#[test]
fn sums_of_when_they_are_needed_undo_marks() {
    inject(Fault::SumsAsOfNow, || caught("undone by", world));
}

#[test]
fn a_link_of_when_it_is_needed_undoes_a_reconnect() {
    inject(Fault::LinkAsOfNow, || caught("undone by", world));
}
