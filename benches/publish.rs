//! What does a publication cost its writer, and does it depend on who reads?
//!
//! Ours merges 6 of 20 dynamic fields, or one, into the value and publishes the outcome; `and an array` has
//! one of ten levels among them; `from bytes` begins with the text of a message. The peers are given
//! a new value ready-made, 64 bytes of numbers: they have nothing to decode or to merge.
//!
//! `n threads` are alive and have read every store once; then they sleep. The same threads have read
//! ours and every peer. `snapshots` has a thread, while a row has its turn, that takes whole, owned
//! values of what is written as fast as it can. That ours allocates nothing in all of these is
//! asserted in the bench `memory`, where allocations are counted.

use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use criterion::{Criterion, criterion_group};
use dashmap::DashMap;
use left_right::{ReadHandle, WriteHandle};
use support::background::{Alive, Paced};
use support::cpu::CpuTime;
use support::json::{STEPS, change, change_with_array, event, small_change, whole};
use support::ours::{Ours, Published};
use support::paired::Contest;
use support::tickers::{SetTicker, Tickers};
use support::{Round, Ticker, id};
use tickcache::cache::publisher::{Place, Prepared};
use tickcache::cache::{Field, Slot};
use tokio::sync::watch;

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Fast = foldhash::fast::RandomState;

/// One slot of ours, and what is published to it.
struct Own {
    published: Published,
    places: Round<Place>,
    changes: Round<Prepared>,
}

impl Own {
    fn new(change: fn(usize) -> String) -> Self {
        let mut published = Published::new(1, &whole());
        let changes = (0..STEPS).map(|step| published.prepare(&change(step)));
        Self {
            changes: Round::new(changes.collect()),
            places: Round::new(published.places().to_vec()),
            published,
        }
    }

    #[inline]
    fn publish(&mut self, times: u64) {
        self.published
            .publish_many(&mut self.places, &mut self.changes, times);
    }

    fn slot(&self) -> Slot {
        self.published.slot(0)
    }

    fn fields(&self) -> [Field; 2] {
        let entity = self.published.entity();
        entity.fields(["b", "a"]).expect("room for two fields")
    }
}

/// Everything that is published to.
struct Stores {
    own: Own,
    small: Own,
    arrays: Own,
    messages: Ours,
    swap: Arc<ArcSwap<Ticker>>,
    watch: watch::Sender<Ticker>,
    list: (WriteHandle<Tickers, SetTicker>, ReadHandle<Tickers>),
    dash: Arc<DashMap<String, Ticker, Fast>>,
    papaya: Arc<papaya::HashMap<String, Ticker, Fast>>,
    scc: Arc<scc::HashMap<String, Ticker, Fast>>,
    moka: moka::sync::Cache<String, Ticker, Fast>,
}

impl Stores {
    fn new() -> Self {
        let first = || (id(0), Ticker::at(0));
        let scc = scc::HashMap::with_hasher(Fast::default());
        assert!(scc.insert_sync(id(0), Ticker::at(0)).is_ok(), "it is empty");
        let moka = moka::sync::Cache::builder()
            .max_capacity(1000)
            .build_with_hasher(Fast::default());
        moka.insert(id(0), Ticker::at(0));
        Self {
            own: Own::new(change),
            small: Own::new(small_change),
            arrays: Own::new(change_with_array),
            messages: Ours::with(1, &whole()),
            swap: Arc::new(ArcSwap::from_pointee(Ticker::at(0))),
            watch: watch::Sender::new(Ticker::at(0)),
            list: Tickers::shared([Ticker::at(0)]),
            dash: Arc::new([first()].into_iter().collect()),
            papaya: Arc::new([first()].into_iter().collect()),
            scc: Arc::new(scc),
            moka,
        }
    }

    /// Threads that have read all of them.
    fn readers(&self, threads: usize) -> Alive {
        let (slot, fields) = (self.own.slot(), self.own.fields());
        let (array, array_fields) = (self.arrays.slot(), self.arrays.fields());
        let (message, message_fields) = (
            self.messages.slot(0),
            self.messages.entity().fields(["b", "a"]).expect("room"),
        );
        let (swap, watch) = (Arc::clone(&self.swap), self.watch.subscribe());
        let (list, dash, scc) = (
            self.list.1.clone(),
            Arc::clone(&self.dash),
            Arc::clone(&self.scc),
        );
        let (papaya, moka, id) = (Arc::clone(&self.papaya), self.moka.clone(), id(0));
        Alive::that_have(threads, move || {
            black_box(slot.live(fields).expect("live"));
            black_box(array.live(array_fields).expect("live"));
            black_box(message.read(message_fields).even_if_stale());
            black_box(swap.load().bid);
            black_box(watch.borrow().bid);
            black_box(list.enter().expect("the writer lives").0[0].bid);
            black_box(dash.get(&id).map(|ticker| ticker.bid));
            black_box(papaya.pin().get(&id).map(|ticker| ticker.bid));
            black_box(scc.read_sync(&id, |_, ticker| ticker.bid));
            black_box(moka.get(&id).map(|ticker| ticker.bid));
        })
    }
}

fn messages() -> Round<Vec<u8>> {
    let messages = (0..STEPS).map(|step| event(&id(0), &change(step)));
    Round::new(messages.collect())
}

fn tickers() -> Round<Ticker> {
    Round::new((0..STEPS).map(Ticker::at).collect())
}

/// Does something with the tickers in turn.
fn each(mut with: impl FnMut(Ticker)) -> impl FnMut(u64) {
    let mut tickers = tickers();
    move |times| {
        for _ in 0..times {
            with(*black_box(tickers.next()));
        }
    }
}

fn threads(stores: &mut Stores, threads: usize) {
    let readers = stores.readers(threads);
    let (own, small, arrays) = (&mut stores.own, &mut stores.small, &mut stores.arrays);
    let ours = &mut stores.messages;
    let (swap, watch, list) = (&stores.swap, &stores.watch, &mut stores.list.0);
    let (dash, papaya, scc, moka) = (&stores.dash, &stores.papaya, &stores.scc, &stores.moka);
    let (mut texts, id) = (messages(), id(0));
    Contest::new(format!("publish/{threads} threads"))
        .row("tickcache, 6 of 20 fields", |times| own.publish(times))
        .row("tickcache, 1 of 20 fields", |times| small.publish(times))
        .row("tickcache, and an array", |times| arrays.publish(times))
        .row("tickcache, from bytes", |times| {
            ours.time(&mut texts, times);
        })
        .row(
            "arc_swap store",
            each(|ticker| swap.store(Arc::new(ticker))),
        )
        .row(
            "tokio watch send_replace",
            each(|ticker| {
                black_box(watch.send_replace(ticker));
            }),
        )
        .row(
            "left-right append and publish",
            each(|ticker| {
                list.append(SetTicker(0, ticker)).publish();
            }),
        )
        .row(
            "DashMap get_mut, foldhash",
            each(|ticker| *dash.get_mut(&id).expect("there") = ticker),
        )
        .row(
            "papaya insert, foldhash",
            each(|ticker| {
                papaya.pin().insert(id.clone(), ticker);
            }),
        )
        .row(
            "scc update_sync, foldhash",
            each(|ticker| {
                let updated = scc.update_sync(&id, |_, held| *held = ticker);
                updated.expect("there");
            }),
        )
        .row(
            "moka insert, foldhash",
            each(|ticker| moka.insert(id.clone(), ticker)),
        )
        .run();
    assert_eq!(stores.messages.refused(), 0, "every message counts");
    drop(readers);
}

fn snapshots(stores: &mut Stores) {
    let slot = stores.own.slot();
    let of_own = Paced::looping(move || drop(black_box(slot.snapshot())));
    let slot = stores.arrays.slot();
    let of_arrays = Paced::looping(move || drop(black_box(slot.snapshot())));
    let swap = Arc::clone(&stores.swap);
    let of_swap = Paced::looping(move || drop(black_box(swap.load_full())));
    let receiver = stores.watch.subscribe();
    let of_watch = Paced::looping(move || {
        black_box(*receiver.borrow());
    });
    let list = stores.list.1.clone();
    let of_list = Paced::looping(move || {
        black_box(list.enter().expect("the writer lives").0[0]);
    });
    let (dash, key) = (Arc::clone(&stores.dash), id(0));
    let of_dash = Paced::looping(move || {
        black_box(dash.get(&key).map(|ticker| *ticker));
    });

    let (own, arrays) = (&mut stores.own, &mut stores.arrays);
    let (swap, watch, list, dash) = (
        &stores.swap,
        &stores.watch,
        &mut stores.list.0,
        &stores.dash,
    );
    let id = id(0);
    Contest::new("publish/snapshots")
        .row_beside("tickcache, 6 of 20 fields", &of_own, |times| {
            own.publish(times);
        })
        .row_beside("tickcache, and an array", &of_arrays, |times| {
            arrays.publish(times);
        })
        .row_beside(
            "arc_swap store",
            &of_swap,
            each(|ticker| swap.store(Arc::new(ticker))),
        )
        .row_beside(
            "tokio watch send_replace",
            &of_watch,
            each(|ticker| {
                black_box(watch.send_replace(ticker));
            }),
        )
        .row_beside(
            "left-right append and publish",
            &of_list,
            each(|ticker| {
                list.append(SetTicker(0, ticker)).publish();
            }),
        )
        .row_beside(
            "DashMap get_mut, foldhash",
            &of_dash,
            each(|ticker| *dash.get_mut(&id).expect("there") = ticker),
        )
        .run();
}

/// Our own figures, to be compared with those of the run before.
fn own(criterion: &mut Criterion<CpuTime>) {
    let (mut plain, mut arrays) = (Own::new(change), Own::new(change_with_array));
    let mut group = criterion.benchmark_group("own/publish");
    let mut bench = |name, own: &mut Own| {
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let start = support::cpu::thread_cpu();
                own.publish(times);
                support::cpu::thread_cpu() - start
            });
        });
    };
    bench("6 of 20 fields", &mut plain);
    bench("and an array", &mut arrays);
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::quick();
    targets = own
}

fn main() {
    let mut stores = Stores::new();
    snapshots(&mut stores);
    // In this order: what arc_swap keeps for a thread stays when the thread ends.
    for count in [1, 64, 256] {
        threads(&mut stores, count);
    }
    support::own(benches);
}
