//! Readers of every kind.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tickcache::{Entity, Field, Record, Slot};

use crate::value::whole;
use crate::world::{ENTITIES, IDS, PURGED, World};

/// Longer than anything takes: reached only by what would never have come.
const LONG: Duration = Duration::from_secs(300);
/// Reads in the life of a thread.
const READS: usize = 400;

/// The number of a record, which is whole.
fn number(record: &Record) -> Option<u64> {
    whole(&record.get("n"), &record.get("sum"), &record.get("text"))
}

/// What one thread has seen of one key.
struct Seen {
    slot: Slot,
    fields: [Field; 3],
    /// By turns, the last number and the last epoch.
    n: u64,
    epoch: u64,
}

impl Seen {
    fn new(entity: &Entity, fields: [Field; 3], id: u64) -> Self {
        Self {
            slot: entity.slot(id),
            fields,
            n: 0,
            epoch: 0,
        }
    }

    /// Takes a number down. Of a key that is purged there may be none now and then.
    fn note(&mut self, n: Option<u64>, epoch: u64) {
        assert!(epoch >= self.epoch, "epoch {epoch} after {}", self.epoch);
        self.epoch = epoch;
        if let Some(n) = n {
            assert!(n >= self.n, "{n} after {}", self.n);
            self.n = n;
        }
    }

    /// One read, in one of the ways.
    fn read(&mut self, way: usize) {
        match way % 6 {
            0 | 1 => {
                let reading = self.slot.read(self.fields);
                let epoch = reading.epoch();
                let [n, sum, text] = reading.even_if_stale();
                self.note(whole(&n, &sum, &text), epoch);
            }
            2 => {
                if let Ok([n, sum, text]) = self.slot.live(self.fields) {
                    let n = whole(&n, &sum, &text).expect("what is live is there");
                    self.note(Some(n), self.epoch);
                }
            }
            3 => {
                let snapshot = self.slot.snapshot();
                self.note(number(snapshot.record()), snapshot.epoch());
            }
            4 => {
                let (n, epoch) = self.slot.read_all(|view| {
                    let record = view.record();
                    let n = whole(&record.get("n"), &record.get("sum"), &record.get("text"));
                    (n, view.epoch())
                });
                self.note(n, epoch);
            }
            _ => {
                let epoch = self.slot.epoch();
                self.note(None, epoch);
            }
        }
    }
}

/// The life of a short-lived thread.
pub(crate) fn read_for_a_while(world: &World, life: usize) {
    world.counted.threads.fetch_add(1, Ordering::Relaxed);
    let mut seen: Vec<Seen> = Vec::new();
    for name in ENTITIES {
        let (entity, fields) = world.entity(name);
        let ids = IDS.iter().chain(&[PURGED]);
        seen.extend(ids.map(|id| Seen::new(&entity, fields, *id)));
    }
    let (entity, _) = world.entity(ENTITIES[life % 2]);
    let slots = IDS.map(|id| entity.slot(id));
    let mut turn = 0;
    for at in 0..READS {
        let keys = seen.len();
        // The same key twice in a row, in two ways: what one has shown the other may not take back.
        seen[(at / 2 + life) % keys].read(at + life);
        if at % 16 == 0
            && let Ok(cut) = world.cache.cut(&slots)
        {
            assert!(cut.turn() >= turn, "turn {} after {turn}", cut.turn());
            turn = cut.turn();
            let numbers: Vec<_> = cut.records().map(number).collect();
            assert!(
                numbers.iter().all(|n| *n == numbers[0]),
                "of several messages: {numbers:?}"
            );
            world.counted.cuts.fetch_add(1, Ordering::Relaxed);
        }
    }
    world
        .counted
        .loads
        .fetch_add(READS as u64, Ordering::Relaxed);
}

/// Blocks this thread for each change of one key until its last value.
pub(crate) fn wait_for_last(world: &World, entity: &str) {
    let mut watch = world.cache.entity(entity).slot(IDS[0]).watch();
    let mut last = 0;
    while last < world.rounds {
        let tick = watch.wait(LONG).expect("it is woken");
        let n = number(tick.snapshot().record()).unwrap_or(0);
        assert!(n >= last, "{n} after {last}");
        last = n;
        world.counted.loads.fetch_add(1, Ordering::Relaxed);
    }
}

/// Awaits each change of one key until its last value. The watch is dropped and made anew now and then.
pub(crate) fn await_last(world: &World, entity: &str) {
    let slot = world.cache.entity(entity).slot(IDS[1]);
    let mut last = 0;
    while last < world.rounds {
        let mut watch = slot.watch();
        for _ in 0..50 {
            let tick = pollster::block_on(watch.changed()).expect("the cache is open");
            let n = number(tick.snapshot().record()).unwrap_or(0);
            assert!(n >= last, "{n} after {last}");
            last = n;
            world.counted.loads.fetch_add(1, Ordering::Relaxed);
            if last == world.rounds {
                break;
            }
        }
    }
}

/// Follows all keys of an entity until each has its last value.
pub(crate) fn follow_changes(world: &World) {
    let entity = world.cache.entity(ENTITIES[0]);
    let mut changes = entity.changes_from_nothing();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let is_over = |last: &BTreeMap<String, u64>| {
        let numbers = IDS.iter().map(|id| last.get(&id.to_string()));
        numbers.into_iter().all(|n| n == Some(&world.rounds))
    };
    while !is_over(&last) {
        changes.poll(|slot| {
            let n = number(slot.snapshot().record());
            world.counted.loads.fetch_add(1, Ordering::Relaxed);
            let before = last.entry(slot.id().to_string()).or_default();
            if let Some(n) = n {
                assert!(n >= *before, "{n} after {before}");
                *before = n;
            }
        });
        std::thread::yield_now();
    }
}
