//! What does it cost to read two fields of a value by its key, among 10,000 in random order?
//!
//! Nobody keeps a handle here. Each peer is asked as its documentation says it is fastest, and as
//! most people ask it: papaya with its guard held and without, DashMap with the default hasher and
//! with the one that ours uses. The keys are the ids, of ten bytes, borrowed; `(String, String)` is
//! the key of entity and id that a plain stack makes for each look-up. Ours looks up the slot, reads
//! tokens, and says that they are live: through a reader that a thread keeps, which is what its
//! documentation says is quickest, through the shared index, and by making a handle first; `to f64`
//! parses them too. The bound is a ring with the words of ours and nothing else, in a map that never changes.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, RwLock};

use arc_swap::ArcSwap;
use criterion::{Criterion, criterion_group};
use dashmap::DashMap;
use support::bare::Bare;
use support::cpu::CpuTime;
use support::ours::Ours;
use support::paired::Contest;
use support::{ENTITY, Round, Ticker, id, in_random_order, visit};
use tickcache::cache::NotLive;

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Fast = foldhash::fast::RandomState;

const SLOTS: usize = 10_000;

const PAYLOAD: &str = r#"{"bid":"61837.63000000","bidSize":"3.788260","ask":"61837.64000000","askSize":"1.546980","last":"61837.630000","volume":"8913.3000","count":18151,"time":1723161468414}"#;

type Both = [tickcache::Value; 2];

/// The tokens have to be there, but nothing is done with them.
#[inline]
fn tokens(values: Result<Both, NotLive>) {
    black_box(&values.expect("live"));
}

#[inline]
fn numbers(values: Result<Both, NotLive>) {
    let [bid, ask] = values.expect("live");
    black_box((bid.f64().expect("a number"), ask.f64().expect("a number")));
}

#[inline]
fn both(ticker: &Ticker) {
    black_box((ticker.bid, ticker.ask));
}

/// Goes round the ids in an order of its own.
fn each(mut with: impl FnMut(&str)) -> impl FnMut(u64) {
    let (mut ids, mut at) = (in_random_order((0..SLOTS).map(id)), 0);
    move |times| visit(&mut ids, &mut at, times, |id| with(black_box(id.as_str())))
}

fn by_key() {
    let ours = Ours::whole(SLOTS, PAYLOAD);
    let entity = ours.entity();
    let fields = entity.fields(["bid", "ask"]).expect("room");
    let (mut reader, mut read) = (entity.reader(), entity.reader());
    let all = || (0..SLOTS).map(|number| (id(number), Ticker::at(number)));
    let dash: DashMap<String, Ticker> = all().collect();
    let dash_fast: DashMap<String, Ticker, Fast> = all().collect();
    let pairs: DashMap<(String, String), Ticker> = all()
        .map(|(id, ticker)| ((ENTITY.to_owned(), id), ticker))
        .collect();
    let papaya: papaya::HashMap<String, Ticker, Fast> = all().collect();
    let pinned = papaya.pin();
    let scc: scc::HashMap<String, Ticker, Fast> = scc::HashMap::with_hasher(Fast::default());
    let moka = moka::sync::Cache::builder()
        .max_capacity(2 * SLOTS as u64)
        .build_with_hasher(Fast::default());
    for (id, ticker) in all() {
        assert!(scc.insert_sync(id.clone(), ticker).is_ok(), "each id once");
        moka.insert(id, ticker);
    }
    moka.run_pending_tasks();
    let frozen: HashMap<String, ArcSwap<Ticker>, Fast> = all()
        .map(|(id, ticker)| (id, ArcSwap::from_pointee(ticker)))
        .collect();
    let frozen = ArcSwap::from_pointee(frozen);
    // Made in one order and put into the map in another, as those of a stream are.
    let rings = in_random_order((0..SLOTS).map(|_| Bare::new(7)));
    let rings: HashMap<String, Bare, Fast> = (0..SLOTS).map(id).zip(rings).collect();
    let locked: Arc<RwLock<HashMap<String, Ticker>>> = Arc::new(RwLock::new(all().collect()));

    Contest::new("lookup/key of 10k")
        .warmed_by(SLOTS as u64)
        .row(
            "tickcache, a thread's reader",
            each(|id| tokens(reader.live(id, fields))),
        )
        .row(
            "tickcache, a thread's reader, to f64",
            each(|id| numbers(read.live(id, fields))),
        )
        .numbers()
        .row(
            "tickcache, shared",
            each(|id| tokens(entity.live(id, fields))),
        )
        .row(
            "tickcache, find a handle and read",
            each(|id| tokens(entity.find(id).expect("there").live(fields))),
        )
        .row(
            "DashMap get",
            each(|id| both(&dash.get(id).expect("there"))),
        )
        .row(
            "DashMap get, foldhash",
            each(|id| both(&dash_fast.get(id).expect("there"))),
        )
        .row(
            "DashMap get, (String, String)",
            each(|id| {
                let key = (ENTITY.to_owned(), id.to_owned());
                both(&pairs.get(&key).expect("there"));
            }),
        )
        .row(
            "papaya pin and get, foldhash",
            each(|id| both(papaya.pin().get(id).expect("there"))),
        )
        .row(
            "papaya get, guard held, foldhash",
            each(|id| both(pinned.get(id).expect("there"))),
        )
        .row(
            "scc read_sync, foldhash",
            each(|id| scc.read_sync(id, |_, ticker| both(ticker)).expect("there")),
        )
        .row(
            "moka get, foldhash",
            each(|id| both(&moka.get(id).expect("there"))),
        )
        .row(
            "arc_swap of a frozen map of arc_swaps, foldhash",
            each(|id| both(&frozen.load().get(id).expect("there").load())),
        )
        .row(
            "std RwLock<HashMap> read",
            each(|id| both(locked.read().expect("no panic").get(id).expect("there"))),
        )
        .row(
            "bound: a frozen map of bare rings, foldhash",
            each(|id| {
                black_box(rings.get(id).expect("there").read(black_box([0, 2])));
            }),
        )
        .run();
}

/// Our own figures, to be compared with those of the run before.
fn own(criterion: &mut Criterion<CpuTime>) {
    let ours = Ours::whole(SLOTS, PAYLOAD);
    let (entity, fields) = (
        ours.entity(),
        ours.entity().fields(["bid", "ask"]).expect("room"),
    );
    let mut ids = Round::new(in_random_order((0..SLOTS).map(id)));
    let mut group = criterion.benchmark_group("own/lookup");
    let mut reader = entity.reader();
    group.bench_function("a thread's reader", |b| {
        b.iter(|| tokens(reader.live(ids.next().as_str(), fields)));
    });
    group.bench_function("shared", |b| {
        b.iter(|| tokens(entity.live(ids.next().as_str(), fields)));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::quick();
    targets = own
}

fn main() {
    by_key();
    support::own(benches);
}
