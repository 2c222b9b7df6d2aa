//! What a message, a publication, a read and a look-up cost against the number of slots, fields,
//! threads that have read, watchers and entities: flat, or explained here.
//!
//! * *Slots*: up to some thousand everything is in the caches of a core. Beyond that a random slot
//!   costs the misses of its lines, for ours as for the peers beside it.
//! * *Fields*: a message costs what it says, field by field; a message that says one thing of an
//!   object of many costs the same whatever the object has.
//! * *Readers*: a publication does not know who reads. `arc_swap` walks every thread that ever did.
//! * *Watchers*: a slot that nobody waits for costs the same however many wait elsewhere. Those that
//!   somebody waits for are listed, and one thread is woken, by the end of the batch.
//! * *Entities*: a message finds its entity by name.
//!
//! CPU time of the thread that does it. Messages come in batches of at most 64.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a bench reads clocks, and is run by no model"
)]

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use support::background::{Alive, Beside};
use support::curve::Curve;
use support::json::{STEPS, change, event, event_of, fields, whole};
use support::messages::Random;
use support::ours::{Ours, Published};
use support::paired::{is_test, is_wanted};
use support::{Round, Ticker, id, in_random_order};
use tickcache::cache::{Field, Slot};
use tokio::runtime::Runtime;

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// So many messages go round at most: what they are read from has to be streamed, not to be missed.
const MESSAGES: usize = 50_000;

/// Up to so many slots a point goes round once before its turn.
const WARM: u64 = 100_000;

/// Six numbers.
fn payload(step: usize) -> String {
    fields(6, step)
}

/// What is tried of these numbers.
fn upto(most: u64, all: &[u64]) -> Vec<u64> {
    let most = if is_test() { most.min(100) } else { most };
    all.iter().copied().filter(|x| *x <= most).collect()
}

/// A stream of whole messages for random ids.
fn random_events(slots: usize) -> Round<Vec<u8>> {
    let mut random = Random::new(slots as u64);
    let one = |step| {
        let number = random.below(slots as u64) as usize;
        event(&id(number), &payload(step))
    };
    let count = MESSAGES.min(16 * slots).max(STEPS);
    Round::new((0..count).map(one).collect())
}

fn read(slot: &Slot, fields: [Field; 2]) {
    black_box(&slot.live(fields).expect("live"));
}

/// Everything of one number of slots.
struct Slots {
    ours: Ours,
    published: Published,
    swaps: Vec<ArcSwap<Ticker>>,
    dash: DashMap<String, Ticker>,
}

impl Slots {
    fn new(slots: usize) -> Self {
        let tickers = || (0..slots).map(Ticker::at);
        Self {
            ours: Ours::whole(slots, &payload(0)),
            published: Published::new(slots, &payload(0)),
            swaps: in_random_order(tickers().map(ArcSwap::from_pointee)),
            dash: tickers().enumerate().map(|(n, t)| (id(n), t)).collect(),
        }
    }
}

fn against_slots() {
    let name = "scaling/slots";
    if !is_wanted(name) {
        return;
    }
    let counts = upto(1_000_000, &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000]);
    let mut all: Vec<_> = counts
        .iter()
        .map(|slots| Slots::new(*slots as usize))
        .collect();
    let mut curve = Curve::new(name, "slots");
    for (slots, x) in all.iter_mut().zip(counts) {
        let count = x as usize;
        // A million slots are in no cache that a round could fill.
        let warm = if x <= WARM { x } else { 0 };
        let handles = in_random_order(slots.ours.slots());
        let entity = slots.ours.entity().clone();
        let fields = entity.fields(["f0", "f1"]).expect("room");
        let mut next = random_events(count);
        let ours = &mut slots.ours;
        curve.warm_point("tickcache, a message", x, warm, move |times| {
            ours.time(&mut next, times);
        });
        let published = &mut slots.published;
        let mut places = Round::new(in_random_order(published.places().to_vec()));
        let changes = (0..STEPS).map(|step| published.prepare(&payload(step)));
        let mut changes = Round::new(changes.collect());
        curve.warm_point("tickcache, a publication", x, warm, move |times| {
            published.publish_many(&mut places, &mut changes, times);
        });
        let mut handles = Round::new(handles);
        curve.warm_point("tickcache, a read by handle", x, warm, move |times| {
            (0..times).for_each(|_| read(handles.next(), fields));
        });
        let ids = in_random_order((0..count).map(id));
        let (mut own_ids, mut reader) = (Round::new(ids.clone()), entity.reader());
        curve.warm_point("tickcache, a read by key", x, warm, move |times| {
            for _ in 0..times {
                let both = reader.live(black_box(own_ids.next().as_str()), fields);
                black_box(&both.expect("live"));
            }
        });
        let (swaps, mut at) = (&mut slots.swaps, 0);
        curve.warm_point("arc_swap load by handle", x, warm, move |times| {
            support::visit(swaps, &mut at, times, |swap| {
                let ticker = swap.load();
                black_box((ticker.bid, ticker.ask));
            });
        });
        let (dash, mut ids) = (&slots.dash, Round::new(ids));
        curve.warm_point("DashMap get by key", x, warm, move |times| {
            for _ in 0..times {
                let ticker = dash.get(black_box(ids.next())).expect("there");
                black_box((ticker.bid, ticker.ask));
            }
        });
    }
    curve.run();
}

fn against_fields() {
    let name = "scaling/fields";
    if !is_wanted(name) {
        return;
    }
    let counts = upto(64, &[1, 2, 4, 8, 16, 32, 64]);
    let mut all: Vec<_> = counts
        .iter()
        .map(|count| {
            let first = fields(*count as usize, 0);
            (
                Ours::with(1, &first),
                Ours::with(1, &first),
                Published::new(1, &first),
            )
        })
        .collect();
    let mut curve = Curve::new(name, "fields");
    for ((every, one, published), x) in all.iter_mut().zip(counts) {
        let count = x as usize;
        let round = |payload: &dyn Fn(usize) -> String| {
            let messages = (0..STEPS).map(|step| event(&id(0), &payload(step)));
            Round::new(messages.collect::<Vec<_>>())
        };
        let mut next = round(&|step| fields(count, step));
        curve.point("a message that changes every field", x, move |times| {
            every.time(&mut next, times);
        });
        let mut next = round(&|step| fields(1, step));
        curve.point("a message that changes one field", x, move |times| {
            one.time(&mut next, times);
        });
        let mut places = Round::new(published.places().to_vec());
        let changes = (0..STEPS).map(|step| published.prepare(&fields(1, step)));
        let mut changes = Round::new(changes.collect());
        curve.point("a publication of one field", x, move |times| {
            published.publish_many(&mut places, &mut changes, times);
        });
    }
    curve.run();
}

fn against_readers() {
    let name = "scaling/readers";
    if !is_wanted(name) {
        return;
    }
    let mut published = Published::new(1, &whole());
    let slot = published.slot(0);
    let fields = published.entity().fields(["b", "a"]).expect("room");
    let changes = (0..STEPS).map(|step| published.prepare(&change(step)));
    let (mut changes, mut places) = (
        Round::new(changes.collect()),
        Round::new(published.places().to_vec()),
    );
    let swap = Arc::new(ArcSwap::from_pointee(Ticker::at(0)));
    let mut tickers = Round::new((0..STEPS).map(Ticker::at).collect());
    let (published, changes, places) = (
        RefCell::new(&mut published),
        RefCell::new(&mut changes),
        RefCell::new(&mut places),
    );
    let tickers = RefCell::new(&mut tickers);
    let mut curve = Curve::new(name, "threads that have read");
    for threads in upto(256, &[1, 2, 4, 8, 16, 32, 64, 128, 256]) {
        let (slot, read_swap) = (slot.clone(), Arc::clone(&swap));
        let readers = Alive::that_have(threads as usize, move || {
            read(&slot, fields);
            black_box(read_swap.load().bid);
        });
        curve.point("tickcache, a publication", threads, |times| {
            published.borrow_mut().publish_many(
                &mut places.borrow_mut(),
                &mut changes.borrow_mut(),
                times,
            );
        });
        curve.point("arc_swap store", threads, |times| {
            for _ in 0..times {
                swap.store(Arc::new(*tickers.borrow_mut().next()));
            }
        });
        // While they are alive.
        curve.measure();
        drop(readers);
    }
    curve.run();
}

/// Tasks that wait for slots, again and again.
struct Waiters {
    runtime: Runtime,
    /// What is waited for, and the last publication that its task has seen.
    seen: Vec<(Slot, Arc<AtomicU64>)>,
}

impl Waiters {
    fn of(slots: impl Iterator<Item = Slot>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .expect("a thread");
        let wait = |slot: Slot| {
            let seen = Arc::new(AtomicU64::new(0));
            let (mut watch, told) = (slot.watch(), Arc::clone(&seen));
            runtime.spawn(async move {
                while let Ok(tick) = watch.changed().await {
                    told.store(tick.epoch(), Release);
                }
            });
            (slot, seen)
        };
        let seen = slots.map(wait).collect();
        Self { runtime, seen }
    }
}

impl Beside for Waiters {
    /// Every task has seen the newest value, and waits for the next one.
    fn begin(&self) {
        for (slot, seen) in &self.seen {
            while seen.load(Acquire) < slot.epoch() {
                std::thread::yield_now();
            }
        }
        // The worker takes up new work after what is ready: then the last task waits, too.
        let asleep = self.runtime.spawn(tokio::task::yield_now());
        self.runtime.block_on(asleep).expect("the worker runs");
    }

    fn end(&self) -> bool {
        true
    }
}

fn against_watchers() {
    let name = "scaling/watchers";
    if !is_wanted(name) {
        return;
    }
    /// Behind the watched slots there are as many that nobody watches.
    const WATCHED: usize = 10_000;
    let ours = RefCell::new(Ours::whole(2 * WATCHED, &payload(0)));
    let slots = ours.borrow().slots();
    let rounds: Vec<_> = upto(WATCHED as u64, &[0, 1, 10, 100, 1_000, 10_000])
        .into_iter()
        .map(|watchers| {
            // The same working set for every point.
            let steps = |from: usize| {
                let numbers = (0..4 * WATCHED).map(|n| (n, from + n % WATCHED));
                let messages = numbers.map(|(n, number)| event(&id(number), &payload(n / WATCHED)));
                RefCell::new(Round::new(messages.collect::<Vec<_>>()))
            };
            (watchers, steps(0), steps(WATCHED))
        })
        .collect();
    let mut curve = Curve::new(name, "watchers");
    for (watchers, watched, unwatched) in &rounds {
        let waiters = slots.iter().take(*watchers as usize).cloned();
        let waiters = Rc::new(Waiters::of(waiters));
        let line = "a message for a slot that nobody waits for";
        curve.point_beside(line, *watchers, Rc::clone(&waiters), |times| {
            ours.borrow_mut().time(&mut unwatched.borrow_mut(), times);
        });
        let line = "a message for one of 10,000 of which so many are waited for";
        curve.point_beside(line, *watchers, waiters, |times| {
            ours.borrow_mut().time(&mut watched.borrow_mut(), times);
        });
        // While they wait.
        curve.measure();
    }
    curve.run();
}

fn against_entities() {
    let name = "scaling/entities";
    if !is_wanted(name) {
        return;
    }
    let counts = upto(1_000, &[1, 10, 100, 1_000]);
    let mut all: Vec<_> = counts.iter().map(|_| Ours::whole(1, &payload(0))).collect();
    let mut curve = Curve::new(name, "entities");
    for (ours, x) in all.iter_mut().zip(counts) {
        // As many slots in all cases: what differs is how they are spread.
        let slots = 1_000;
        let messages = (0..STEPS * slots).map(|n| {
            let entity = format!("entity-{}", n as u64 % x);
            event_of(&entity, &id(n % slots / x as usize), &payload(n / slots))
        });
        let messages: Vec<_> = messages.collect();
        ours.batch(&messages, || {});
        let mut next = Round::new(in_random_order(messages));
        let line = "a message for one of 1,000 slots";
        curve.warm_point(line, x, 4 * slots as u64, move |times| {
            ours.time(&mut next, times);
        });
    }
    curve.run();
}

fn main() {
    against_slots();
    against_fields();
    against_readers();
    against_watchers();
    against_entities();
}
