//! What does it cost to read two fields of a value? In CPU time of the reader.
//!
//! By handle from one hot slot; from 10,000 slots in random order; from one slot that is written a
//! million times a second (if the writer gets a core to itself); and by key. Ours hands out the tokens as they were received, and says in
//! the same breath that they are live; `to f64` parses them too, which the peers, who keep numbers,
//! have done when they wrote. The peers say nothing about what a value is worth.
//!
//! The maps are read by key in every group: they have no handles.

use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use dashmap::DashMap;
use support::background::Busy;
use support::cpu::CpuTime;
use support::json::{STEPS, event};
use support::ours::Ours;
use support::{Round, Ticker, id, shuffled};
use tickcache::cache::{Field, Slot};
use tokio::sync::watch;

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SLOTS: usize = 10_000;

/// The value as a message brings it.
fn payload(step: usize) -> String {
    format!(
        r#"{{"bid":"618{step:02}.63000000","bidSize":"3.788260","ask":"618{step:02}.64000000","askSize":"1.546980","last":"61837.630000","volume":"8913.3000","count":18151,"time":1723161468414}}"#
    )
}

/// The same values, kept by us and by every peer.
struct Stores {
    ours: Ours,
    fields: [Field; 2],
    swaps: Vec<Arc<ArcSwap<Ticker>>>,
    watches: Vec<watch::Sender<Ticker>>,
    dash: Arc<DashMap<String, Ticker>>,
    papaya: Arc<papaya::HashMap<String, Ticker>>,
}

impl Stores {
    fn new(slots: usize) -> Self {
        let ours = Ours::whole(slots, &payload(0));
        let all = || (0..slots).map(|number| (id(number), Ticker::at(number)));
        Self {
            fields: ours
                .entity()
                .fields(["bid", "ask"])
                .expect("room for two fields"),
            ours,
            swaps: all()
                .map(|(_, ticker)| Arc::new(ArcSwap::from_pointee(ticker)))
                .collect(),
            watches: all()
                .map(|(_, ticker)| watch::Sender::new(ticker))
                .collect(),
            dash: Arc::new(all().collect()),
            papaya: Arc::new(all().collect()),
        }
    }

    fn bench_ours(&self, group: &mut BenchmarkGroup<'_, CpuTime>) {
        let fields = self.fields;
        let mut slots = Round::new(in_order(self.ours.slots()));
        group.bench_function("tickcache", |b| {
            b.iter(|| tokens(slots.next(), black_box(fields)));
        });
        group.bench_function("tickcache, to f64", |b| {
            b.iter(|| numbers(slots.next(), black_box(fields)));
        });
    }

    fn bench_swap(&self, group: &mut BenchmarkGroup<'_, CpuTime>) {
        let mut slots = Round::new(in_order(self.swaps.clone()));
        group.bench_function("arc_swap load", |b| {
            b.iter(|| {
                let ticker = slots.next().load();
                (ticker.bid, ticker.ask)
            });
        });
    }

    fn bench_watch(&self, group: &mut BenchmarkGroup<'_, CpuTime>) {
        let watches = self.watches.iter().map(watch::Sender::subscribe).collect();
        let mut slots = Round::new(in_order(watches));
        group.bench_function("tokio watch borrow", |b| {
            b.iter(|| {
                let ticker = slots.next().borrow();
                (ticker.bid, ticker.ask)
            });
        });
    }

    fn bench_dash(&self, group: &mut BenchmarkGroup<'_, CpuTime>) {
        let mut ids = self.ids();
        group.bench_function("DashMap get", |b| {
            b.iter(|| {
                let ticker = self.dash.get(black_box(ids.next())).expect("there");
                (ticker.bid, ticker.ask)
            });
        });
    }

    fn bench_papaya(&self, group: &mut BenchmarkGroup<'_, CpuTime>) {
        let mut ids = self.ids();
        group.bench_function("papaya pin and get", |b| {
            b.iter(|| {
                let map = self.papaya.pin();
                let ticker = map.get(black_box(ids.next())).expect("there");
                (ticker.bid, ticker.ask)
            });
        });
    }

    fn ids(&self) -> Round<String> {
        Round::new(
            shuffled(self.swaps.len())
                .into_iter()
                .map(|n| id(n as usize))
                .collect(),
        )
    }
}

/// The tokens have to be there, but nothing is done with them.
fn tokens(slot: &Slot, fields: [Field; 2]) {
    black_box(&slot.live(fields).expect("live"));
}

fn numbers(slot: &Slot, fields: [Field; 2]) -> (f64, f64) {
    let [bid, ask] = slot.live(fields).expect("live");
    (bid.f64().expect("a number"), ask.f64().expect("a number"))
}

/// The items in random order, but beside each other: only what they point at is far away.
fn in_order<T>(items: Vec<T>) -> Vec<T> {
    let mut items: Vec<_> = items.into_iter().map(Some).collect();
    shuffled(items.len())
        .into_iter()
        .filter_map(|number| items[number as usize].take())
        .collect()
}

fn by_handle(criterion: &mut Criterion<CpuTime>) {
    for (name, slots) in [("hot", 1), ("random of 10k", SLOTS)] {
        let stores = Stores::new(slots);
        let mut group = criterion.benchmark_group(format!("read/{name}"));
        stores.bench_ours(&mut group);
        stores.bench_swap(&mut group);
        stores.bench_watch(&mut group);
        stores.bench_dash(&mut group);
        stores.bench_papaya(&mut group);
        group.finish();
    }
}

fn by_key(criterion: &mut Criterion<CpuTime>) {
    let stores = Stores::new(SLOTS);
    let mut group = criterion.benchmark_group("read/key of 10k");
    let (entity, fields) = (stores.ours.entity(), stores.fields);
    let mut ids = stores.ids();
    group.bench_function("tickcache", |b| {
        b.iter(|| {
            let slot = entity.find(black_box(ids.next().as_str())).expect("there");
            tokens(&slot, fields);
        });
    });
    stores.bench_dash(&mut group);
    stores.bench_papaya(&mut group);
    group.finish();
}

fn while_written(criterion: &mut Criterion<CpuTime>) {
    let stores = Stores::new(1);
    let mut group = criterion.benchmark_group("read/1 M writes a second");
    let mut tickers = Round::new((0..STEPS).map(Ticker::at).collect());

    // Its own, because the feed moves to the thread that writes.
    let mut writer = Ours::whole(1, &payload(0));
    let fields = writer
        .entity()
        .fields(["bid", "ask"])
        .expect("room for two fields");
    let slot = writer.slot(0);
    let messages = (0..STEPS).map(|step| event(&id(0), &payload(step)));
    let mut messages = Round::new(messages.collect());
    let busy = Busy::at_a_million_a_second(move || writer.batch(messages.some(1), || {}));
    group.bench_function("tickcache", |b| {
        b.iter(|| tokens(&slot, black_box(fields)));
    });
    group.bench_function("tickcache, to f64", |b| {
        b.iter(|| numbers(&slot, black_box(fields)));
    });
    drop(busy);

    let swap = Arc::clone(&stores.swaps[0]);
    let mut next = tickers.clone();
    let busy = Busy::at_a_million_a_second(move || swap.store(Arc::new(*next.next())));
    stores.bench_swap(&mut group);
    drop(busy);

    let watch = stores.watches[0].clone();
    let mut next = tickers.clone();
    let busy = Busy::at_a_million_a_second(move || {
        watch.send_replace(*next.next());
    });
    stores.bench_watch(&mut group);
    drop(busy);

    let (dash, key) = (Arc::clone(&stores.dash), id(0));
    let mut next = tickers.clone();
    let busy = Busy::at_a_million_a_second(move || {
        *dash.get_mut(&key).expect("there") = *next.next();
    });
    stores.bench_dash(&mut group);
    drop(busy);

    let (papaya, key) = (Arc::clone(&stores.papaya), id(0));
    let busy = Busy::at_a_million_a_second(move || {
        papaya.pin().insert(key.clone(), *tickers.next());
    });
    stores.bench_papaya(&mut group);
    drop(busy);
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::quick();
    targets = by_handle, by_key, while_written
}
criterion_main!(benches);
