//! What does a publication cost its writer, and does it depend on who reads?
//!
//! `n threads` are alive and have read every store once; then they sleep. `snapshots` has a thread
//! that takes whole, owned values of the slot as fast as it can.
//!
//! Our rows begin with the bytes of a message, since a feed has no other way in: 6 of 20 fields are
//! decoded, merged and published. `decode alone` is the same without the slot, so the difference is
//! the publication. The peers are given the value ready-made, 64 bytes of numbers: they have nothing
//! to decode or to merge.

use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use dashmap::DashMap;
use support::background::{Alive, Busy};
use support::cpu::CpuTime;
use support::json::{STEPS, change, event, whole};
use support::ours::Ours;
use support::{Round, Ticker, id};
use tickcache::cache::{Field, Slot};
use tickcache::json::{Decoder, compile};
use tickcache::record::{Limits, Mode, Patch, Schema};
use tokio::sync::watch;

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Everything that is published to.
struct Stores {
    ours: Ours,
    slot: Slot,
    fields: [Field; 2],
    swap: Arc<ArcSwap<Ticker>>,
    watch: watch::Sender<Ticker>,
    map: Arc<DashMap<String, Ticker>>,
}

impl Stores {
    fn new() -> Self {
        let ours = Ours::with(1, &whole());
        let map = DashMap::new();
        map.insert(id(0), Ticker::at(0));
        Self {
            slot: ours.slot(0),
            fields: ours
                .entity()
                .fields(["b", "a"])
                .expect("room for two fields"),
            ours,
            swap: Arc::new(ArcSwap::from_pointee(Ticker::at(0))),
            watch: watch::Sender::new(Ticker::at(0)),
            map: Arc::new(map),
        }
    }

    /// Threads that have read all of them.
    fn readers(&self, threads: usize) -> Alive {
        let (slot, fields, swap) = (self.slot.clone(), self.fields, Arc::clone(&self.swap));
        let (watch, map, id) = (self.watch.subscribe(), Arc::clone(&self.map), id(0));
        Alive::that_have(threads, move || {
            black_box(slot.read(fields).even_if_stale());
            black_box(swap.load().bid);
            black_box(watch.borrow().bid);
            black_box(map.get(&id).map(|ticker| ticker.bid));
        })
    }

    fn bench_decode(group: &mut BenchmarkGroup<'_, CpuTime>) {
        let (mut decoder, mut patch) = (Decoder::new(128), Patch::new());
        let (limits, mut schema) = (Limits::default(), Schema::new(Limits::default()));
        let mut messages = messages();
        group.bench_function("tickcache, decode alone", |b| {
            b.iter(|| {
                let message = decoder.decode(black_box(messages.next())).expect("valid");
                let payload = message.root().get("payload").expect("a payload");
                compile(payload, Mode::Merge, &limits, &mut schema, &mut patch).expect("in limits");
                patch.len()
            });
        });
    }

    fn bench_ours(&mut self, group: &mut BenchmarkGroup<'_, CpuTime>) {
        let mut messages = messages();
        group.bench_function("tickcache, decode and publish", |b| {
            b.iter_custom(|count| self.ours.time(&mut messages, count));
        });
        assert_eq!(self.ours.refused(), 0, "every message counts");
    }

    fn bench_swap(&self, group: &mut BenchmarkGroup<'_, CpuTime>) {
        let mut tickers = tickers();
        group.bench_function("arc_swap store", |b| {
            b.iter(|| self.swap.store(Arc::new(*black_box(tickers.next()))));
        });
    }

    fn bench_watch(&self, group: &mut BenchmarkGroup<'_, CpuTime>) {
        let mut tickers = tickers();
        group.bench_function("tokio watch send_replace", |b| {
            b.iter(|| self.watch.send_replace(*black_box(tickers.next())));
        });
    }

    fn bench_map(&self, group: &mut BenchmarkGroup<'_, CpuTime>) {
        let (mut tickers, id) = (tickers(), id(0));
        group.bench_function("DashMap get_mut", |b| {
            b.iter(|| *self.map.get_mut(black_box(&id)).expect("there") = *tickers.next());
        });
    }
}

fn messages() -> Round<Vec<u8>> {
    Round::new(
        (0..STEPS)
            .map(|step| event(&id(0), &change(step)))
            .collect(),
    )
}

fn tickers() -> Round<Ticker> {
    Round::new((0..STEPS).map(Ticker::at).collect())
}

fn threads(criterion: &mut Criterion<CpuTime>) {
    let mut stores = Stores::new();
    // In this order: what arc_swap keeps for a thread stays when the thread ends.
    for threads in [1, 8, 64] {
        let mut group = criterion.benchmark_group(format!("publish/{threads} threads"));
        let readers = stores.readers(threads);
        Stores::bench_decode(&mut group);
        stores.bench_ours(&mut group);
        stores.bench_swap(&mut group);
        stores.bench_watch(&mut group);
        stores.bench_map(&mut group);
        drop(readers);
        group.finish();
    }
}

fn snapshots(criterion: &mut Criterion<CpuTime>) {
    let mut stores = Stores::new();
    let mut group = criterion.benchmark_group("publish/snapshots");
    let slot = stores.slot.clone();
    let taker = Busy::looping(move || {
        black_box(slot.snapshot());
    });
    stores.bench_ours(&mut group);
    drop(taker);
    let swap = Arc::clone(&stores.swap);
    let taker = Busy::looping(move || {
        black_box(swap.load_full());
    });
    stores.bench_swap(&mut group);
    drop(taker);
    let watch = stores.watch.subscribe();
    let taker = Busy::looping(move || {
        black_box(*watch.borrow());
    });
    stores.bench_watch(&mut group);
    drop(taker);
    let (map, key) = (Arc::clone(&stores.map), id(0));
    let taker = Busy::looping(move || {
        black_box(map.get(&key).map(|ticker| *ticker));
    });
    stores.bench_map(&mut group);
    drop(taker);
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::quick();
    targets = snapshots, threads
}
criterion_main!(benches);
