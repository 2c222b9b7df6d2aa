//! Ids come and are purged while the index grows; beside that whoever looks ids up, by handles that
//! outlive their slots, by key, by tables of their own, and by asking for what is not there yet.

use super::{fields, join, publish, spawn_hub};
use crate::Time;
use crate::key::IdRef;
use crate::store::fault::{Fault, inject};
use crate::store::wake::{Hub, Watched, Woken};
use crate::store::{Entity, Field, Lookup, Missing, Slot, Stamp, State, Store, StoreConfig};
use crate::sync::compose::{caught, compose};
use crate::sync::{Arc, thread};

/// How often an id is published, and purged but for the last time.
const LIVES: u64 = 3;

/// Ids that stand in each other's way: of one shard of the index, with neighbouring places in its
/// tables, more than the first of them holds.
struct Ids {
    /// Purged and made again.
    come_and_go: [i128; 2],
    /// There from the beginning, and never purged.
    stay: [i128; 2],
    /// Made in between.
    new: [i128; 2],
}

impl Ids {
    /// By the index's own hash, which is the same in every run of a model.
    fn new() -> Self {
        let store = Store::new(StoreConfig::default());
        let entity = store.entity("e").expect("room");
        let place = |id: i128| {
            let hash = entity.index().hash(IdRef::Int(id)).number();
            // The shard, and where a table of four begins to look.
            (hash >> 60, (hash as u32) >> 30)
        };
        let mut ids = (0..).filter(|id| place(*id) == place(0));
        let mut two = || [(); 2].map(|()| ids.next().expect("there are many"));
        Self {
            come_and_go: two(),
            stay: two(),
            new: two(),
        }
    }
}

struct World {
    entity: Arc<Entity>,
    ids: Ids,
    fields: [Field; 2],
    hub: Arc<Hub>,
}

/// What the owner says of an id in its n-th life.
fn value(id: i128, life: u64) -> String {
    format!("{id}{life}")
}

/// Asserts that a value is of this id; the life in which it was published, 0 without one.
fn life_of(world: &World, id: i128, slot: &Slot) -> u64 {
    let (head, [x, y]) = slot.read(world.fields);
    if !head.has_value() {
        return 0;
    }
    let life = y.u64().expect("a number");
    assert_eq!(
        x.raw(),
        value(id, life).as_bytes(),
        "of another id, or torn"
    );
    life
}

/// The owner: publishes, purges, and makes new ids, one batch after the other.
fn own(world: &World) {
    let mut writer = world.entity.claim("owner".into()).expect("free");
    let mut wakes = world.hub.wakes();
    let stamp = Stamp {
        whole: true,
        ..Stamp::default()
    };
    for life in 1..=LIVES {
        let number = life.to_string();
        for id in world.ids.come_and_go {
            publish(
                &mut writer,
                id,
                &[("x", &value(id, life)), ("y", &number)],
                &stamp,
            );
        }
        for id in world.ids.stay {
            publish(
                &mut writer,
                id,
                &[("x", &value(id, life)), ("y", &number)],
                &stamp,
            );
        }
        if let Some(id) = world.ids.new.get(life as usize - 1) {
            publish(
                &mut writer,
                *id,
                &[("x", &value(*id, LIVES)), ("y", &LIVES.to_string())],
                &stamp,
            );
        }
        writer.end_batch(&mut wakes.batch());
        // The next bytes are waited for.
        thread::yield_now();
        if life < LIVES {
            for id in world.ids.come_and_go {
                let at = writer
                    .locate(IdRef::Int(id), Missing::Ignore)
                    .expect("published");
                writer.purge(at);
            }
            writer.end_batch(&mut wakes.batch());
        }
    }
}

/// Keeps a handle, waits with it, and looks again when its slot is dead, until the last life.
fn keep_handle(world: &World, id: i128) {
    let look = || world.entity.slot(IdRef::Int(id)).expect("room");
    let mut slot = look();
    let (mut epoch, mut life) = (0, 0);
    loop {
        let mut registration = world
            .hub
            .register(vec![Arc::clone(&slot) as Arc<dyn Watched>]);
        loop {
            let seen = slot.seen();
            let head = slot.head();
            assert!(head.epoch >= epoch, "backwards");
            epoch = head.epoch;
            if head.state == State::Dead {
                break;
            }
            let now = life_of(world, id, &slot);
            assert!(now == 0 || now >= life, "backwards");
            life = life.max(now);
            if life == LIVES {
                return;
            }
            let woken = registration.wait(&[seen], Time::NEVER, &|| Time::ZERO);
            assert_eq!(woken, Woken::Moved);
        }
        let next = look();
        // It may have been purged in turn, but is not the one that was dead before.
        assert!(!Arc::ptr_eq(&next, &slot), "found again");
        assert!(next.epoch().number() >= epoch, "backwards");
        slot = next;
    }
}

/// Reads by key: what stays is always found, what comes and goes is itself whenever it is found.
fn read_by_key(world: &World) {
    for _ in 0..4 {
        thread::yield_now();
        for id in world.ids.stay {
            let found = world
                .entity
                .with(IdRef::Int(id), |slot| life_of(world, id, slot));
            assert!(found.is_some(), "not found though it is there");
        }
        for id in world.ids.come_and_go {
            world
                .entity
                .with(IdRef::Int(id), |slot| life_of(world, id, slot));
        }
    }
}

/// Reads by a table of its own.
fn read_by_table(world: &World) {
    let mut lookup = Lookup::new(Arc::clone(&world.entity));
    for _ in 0..3 {
        thread::yield_now();
        for id in world.ids.stay.into_iter().chain(world.ids.come_and_go) {
            let id_ref = IdRef::Int(id);
            let known = lookup.known(id_ref, |slot| {
                let head = slot.head();
                (head.state != State::Dead).then(|| life_of(world, id, slot))
            });
            if known.is_none()
                && let Some(slot) = lookup.find(id_ref)
            {
                life_of(world, id, &slot);
            }
        }
    }
}

/// Asks for ids that the owner is about to make, or for ones that are nobody's: whoever is first
/// makes the slot for all.
fn ask(world: &World) {
    for id in world.ids.new {
        let slot = world.entity.slot(IdRef::Int(id)).expect("room");
        let found = world
            .entity
            .find(IdRef::Int(id))
            .expect("not found though it is there");
        assert!(Arc::ptr_eq(&slot, &found), "two slots of one id");
    }
}

fn ids() {
    let store = Store::new(StoreConfig::default());
    let entity = store.entity("e").expect("room");
    let (hub, runner) = Hub::new();
    let world = Arc::new(World {
        fields: fields(&entity, ["x", "y"]),
        entity,
        ids: Ids::new(),
        hub,
    });
    // In this order: what stays comes to lie behind what is going to be purged, and is moved.
    for id in [world.ids.come_and_go, world.ids.stay].concat() {
        world.entity.slot(IdRef::Int(id)).expect("room");
    }
    let hub_thread = spawn_hub(runner);
    let spawn = |run: fn(&World)| {
        let world = Arc::clone(&world);
        thread::spawn(move || run(&world))
    };
    join([
        spawn(own),
        spawn(|world| keep_handle(world, world.ids.come_and_go[0])),
        spawn(|world| keep_handle(world, world.ids.come_and_go[1])),
        spawn(|world| keep_handle(world, world.ids.stay[0])),
        spawn(read_by_key),
        spawn(read_by_table),
        spawn(ask),
        spawn(ask),
    ]);
    assert_eq!(world.entity.ids(), 6, "ids that nobody has asked for");
    for id in [world.ids.come_and_go, world.ids.stay, world.ids.new].concat() {
        let slot = world
            .entity
            .find(IdRef::Int(id))
            .expect("not found though it is there");
        assert_eq!(life_of(&world, id, &slot), LIVES, "the last one is shown");
    }
    world.hub.stop();
    join([hub_thread]);
}

#[test]
fn ids_are_found_while_others_come_and_go() {
    compose(ids);
}

#[test]
fn a_miss_believed_while_entries_move_is_wrong() {
    inject(Fault::MissUnchecked, || {
        caught("not found though it is there", ids)
    });
}

#[test]
fn a_slot_that_dies_before_it_leaves_is_found_again() {
    inject(Fault::DeadFirst, || caught("found again", ids));
}

#[test]
fn a_new_slot_that_starts_at_zero_goes_back() {
    inject(Fault::StartAtZero, || caught("backwards", ids));
}
