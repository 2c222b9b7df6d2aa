//! One owner publishes several slots of two entities, batch by batch, while their schemas grow;
//! beside it whoever reads: values, snapshots, cuts, and the changes of an entity.

use super::{fields, join, publish, shared, spawn_hub};
use crate::Time;
use crate::key::IdRef;
use crate::store::fault::{Fault, inject};
use crate::store::wake::{self, Hub, Wakes, Watched, Woken};
use crate::store::{
    Entity, EntityWriter, Field, Slot, SlotReader, Stamp, Store, StoreConfig, Subscriber,
    TurnCounter, cut,
};
use crate::sync::compose::{caught, compose};
use crate::sync::{Arc, thread};

/// Turns of the owner; each publishes every slot, and the first of either entity twice.
const TURNS: u64 = 4;
/// Ids of either entity.
const IDS: [i128; 2] = [3, 2];
/// The turn in which a member comes that no block has room for.
const NEW_MEMBER: u64 = 2;
/// The publication in which a member gets longer than its cells.
const LONGER: u64 = 3;

/// Two entities of one owner.
struct Market {
    entities: [Arc<Entity>; 2],
    /// All slots, those of the first entity first.
    slots: Vec<Arc<Slot>>,
    /// Of either entity: the number, the number again, and the long one.
    fields: [[Field; 3]; 2],
    counter: TurnCounter,
}

impl Market {
    fn new() -> Arc<Self> {
        let store = Store::new(StoreConfig::default());
        let entities = ["e", "f"].map(|name| store.entity(name).expect("room"));
        let slots = entities
            .iter()
            .zip(IDS)
            .flat_map(|(entity, ids)| (0..ids).map(|id| entity.slot(IdRef::Int(id)).expect("room")))
            .collect();
        let fields = entities
            .each_ref()
            .map(|entity| fields(entity, ["x", "y", "long"]));
        Arc::new(Self {
            entities,
            slots,
            fields,
            counter: TurnCounter::new(),
        })
    }

    /// The fields of a slot, by its place among all.
    fn fields(&self, at: usize) -> [Field; 3] {
        self.fields[usize::from(at as i128 >= IDS[0])]
    }

    /// The id of a slot, by its place among all.
    fn id(at: usize) -> i128 {
        at as i128 % IDS[0]
    }
}

/// How often an id is published in a turn.
fn times(id: i128) -> u64 {
    if id == 0 { 2 } else { 1 }
}

/// What the owner writes in a slot's n-th publication, as a number and as a longer one.
fn number(n: u64) -> String {
    format!("{n}.5")
}

fn long(n: u64) -> String {
    let times = if n == LONGER { 12 } else { 1 };
    n.to_string().repeat(times)
}

/// The owner's side: all turns, each a batch.
fn own(market: &Market, writers: &mut [EntityWriter; 2], wakes: &mut Wakes) {
    for turn in 1..=TURNS {
        for (writer, ids) in writers.iter_mut().zip(IDS) {
            writer.begin_batch();
            let all = (0..ids).flat_map(|id| (1..=times(id)).map(move |time| (id, time)));
            for (id, time) in all {
                let n = (turn - 1) * times(id) + time;
                let (number, long) = (number(n), long(n));
                let mut members = vec![("x", &*number), ("y", &*number), ("long", &*long)];
                if turn >= NEW_MEMBER && id == 0 {
                    members.push(("z", &number));
                }
                let stamp = Stamp {
                    whole: true,
                    turn,
                    ..Stamp::default()
                };
                publish(writer, id, &members, &stamp);
            }
        }
        market.counter.finish(turn);
        let mut batch = wakes.batch();
        for writer in writers.iter_mut() {
            writer.end_batch(&mut batch);
        }
        drop(batch);
        // The next bytes are waited for.
        thread::yield_now();
    }
}

/// Asserts that three members are of one publication, and says of the how-manieth; 0 if there is none.
fn checked(x: Option<String>, y: Option<String>, text: Option<String>) -> u64 {
    let Some(x) = x else {
        assert_eq!((y, text), (None, None), "torn");
        return 0;
    };
    let n = x.split('.').next().and_then(|n| n.parse().ok());
    let n = n.expect("a number of the owner's");
    assert_eq!((y, text), (Some(x), Some(long(n))), "torn");
    n
}

fn raw(value: &crate::record::Value) -> Option<String> {
    (!value.is_missing()).then(|| String::from_utf8(value.raw().to_vec()).expect("digits"))
}

/// Reads all slots, by handles that start at the first block and by ones that stay with the last.
fn read_values(market: &Market) {
    let mut last = vec![0; market.slots.len()];
    let mut readers: Vec<_> = market.slots.iter().cloned().map(SlotReader::new).collect();
    for round in 0..3 {
        for (at, slot) in market.slots.iter().enumerate() {
            let fields = market.fields(at);
            let (head, [x, y, long]) = if round % 2 == 0 {
                slot.read(fields)
            } else {
                readers[at].read(fields)
            };
            let n = checked(raw(&x), raw(&y), raw(&long));
            assert_eq!(head.epoch, n, "torn: of another publication");
            assert!(n >= last[at], "backwards");
            last[at] = n;
            thread::yield_now();
        }
    }
}

/// Takes snapshots of all slots; what is kept for the next taker never gets older.
fn take_snapshots(market: &Market) {
    let mut last = vec![0; market.slots.len()];
    let mut last_kept = last.clone();
    for _ in 0..3 {
        for (at, slot) in market.slots.iter().enumerate() {
            let snapshot = slot.snapshot();
            let record = snapshot.record();
            let member = |name| raw(&record.get(name));
            let n = checked(member("x"), member("y"), member("long"));
            assert_eq!(snapshot.head.epoch, n, "torn: of another publication");
            assert!(n >= last[at], "backwards");
            last[at] = n;
            let kept = slot.cached.load().as_ref().map_or(0, |kept| kept.epoch);
            assert!(kept >= last_kept[at], "an older snapshot over a newer one");
            last_kept[at] = kept;
        }
        thread::yield_now();
    }
}

/// Takes cuts of both entities.
fn take_cuts(market: &Market) {
    let slots: Vec<_> = market.slots.iter().map(|slot| &**slot).collect();
    let mut last = 0;
    for _ in 0..3 {
        thread::yield_now();
        let Ok(taken) = cut(&market.counter, &slots) else {
            continue;
        };
        assert!(taken.turn >= last, "backwards");
        last = taken.turn;
        for (at, (_, record)) in taken.values.iter().enumerate() {
            let record = record.as_ref();
            let member = |name| raw(&record.get(name));
            let n = checked(member("x"), member("y"), member("long"));
            assert_eq!(n, taken.turn * times(Market::id(at)), "of another turn");
        }
    }
}

/// Follows the changes of the first entity until it has been told of the last of every slot.
fn follow(market: &Market, hub: &Arc<Hub>) {
    let entity = &market.entities[0];
    let epoch = |slot| entity.epoch_of(slot);
    let mut subscriber = Subscriber::from_nothing(entity.changes());
    let mut last = vec![0; entity.numbers() as usize];
    let mut registration = hub.register(vec![Arc::clone(entity) as Arc<dyn Watched>]);
    loop {
        subscriber.poll(
            || entity.numbers(),
            epoch,
            |slot, epoch| {
                assert!(epoch > last[slot as usize], "reported twice, or backwards");
                last[slot as usize] = epoch;
            },
        );
        let ends = (0..).map(|id| TURNS * times(id));
        if last.iter().copied().eq(ends.take(last.len())) {
            return;
        }
        let seen = [entity.seen(subscriber.position())];
        let woken = registration.wait(&seen, Time::NEVER, &|| Time::ZERO);
        assert_eq!(woken, Woken::Moved);
    }
}

fn market() {
    let market = Market::new();
    let (hub, runner) = Hub::new();
    let hub_thread = spawn_hub(runner);
    let mut writers =
        shared(&market.entities).map(|entity| entity.claim("owner".into()).expect("free"));
    let mut wakes = hub.wakes();
    let beside: [fn(&Market); 4] = [read_values, take_snapshots, take_snapshots, take_cuts];
    let mut threads: Vec<_> = beside
        .map(|reads| {
            let market = Arc::clone(&market);
            thread::spawn(move || reads(&market))
        })
        .into();
    threads.push({
        let (market, hub) = (Arc::clone(&market), Arc::clone(&hub));
        thread::spawn(move || follow(&market, &hub))
    });
    own(&market, &mut writers, &mut wakes);
    join(threads);
    read_values(&market);
    hub.stop();
    join([hub_thread]);
}

#[test]
fn a_market_is_read_whole_and_forwards() {
    compose(market);
}

#[test]
fn accepted_too_late_a_copy_is_torn() {
    inject(Fault::AcceptLate, || caught("torn", market));
}

#[test]
fn a_block_closed_first_leads_nowhere() {
    inject(Fault::CloseFirst, || {
        caught("a closed block has a successor", market);
    });
}

#[test]
fn a_cut_of_the_newest_versions_is_of_no_turn() {
    inject(Fault::CutNewest, || caught("of another turn", market));
}

#[test]
fn a_lapped_subscriber_that_looks_first_sleeps_on_news() {
    wake::inject(wake::Fault::PositionLate, || caught("deadlock", market));
}
