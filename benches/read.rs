//! What does it cost to read two fields of a value, by handle? In CPU time of the reader.
//!
//! From one hot slot; from 10,000 slots in random order; and from one slot that is written a million
//! times a second, while it is read and not otherwise (a turn without such a writer is repeated).
//! Ours hands out the tokens as they were received, and says in the same breath that they are live;
//! `to f64` parses them too, which the peers, who keep numbers, have done when they wrote. The peers
//! say nothing about what a value is worth. The bound is a ring with the words of ours and nothing
//! else. Look-ups by key are in the bench `lookup`.

use std::hint::black_box;
use std::sync::{Arc, RwLock};

use arc_swap::ArcSwap;
use criterion::{Criterion, criterion_group};
use support::background::Paced;
use support::bare::Bare;
use support::cpu::CpuTime;
use support::json::STEPS;
use support::ours::{Ours, Published};
use support::paired::Contest;
use support::tickers::{SetTicker, Tickers};
use support::{Round, Ticker, in_random_order, visit};
use tickcache::cache::{Field, Slot};
use tokio::sync::watch;

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SLOTS: usize = 10_000;

/// Members of the value, and those of them that are read.
const CELLS: usize = 8;
const READ: [usize; 2] = [0, 2];

/// The value as a message brings it.
fn payload(step: usize) -> String {
    format!(
        r#"{{"bid":"618{step:02}.63000000","bidSize":"3.788260","ask":"618{step:02}.64000000","askSize":"1.546980","last":"61837.630000","volume":"8913.3000","count":18151,"time":1723161468414}}"#
    )
}

/// The tokens have to be there, but nothing is done with them.
#[inline]
fn tokens(slot: &Slot, fields: [Field; 2]) {
    black_box(&slot.live(fields).expect("live"));
}

#[inline]
fn numbers(slot: &Slot, fields: [Field; 2]) {
    let [bid, ask] = slot.live(fields).expect("live");
    black_box((bid.f64().expect("a number"), ask.f64().expect("a number")));
}

/// What a peer hands out: numbers.
#[inline]
fn both(ticker: &Ticker) {
    black_box((ticker.bid, ticker.ask));
}

fn by_handle(name: &str, slots: usize) {
    let ours = Ours::whole(slots, &payload(0));
    let fields = ours.entity().fields(["bid", "ask"]).expect("room");
    let tickers = || (0..slots).map(Ticker::at);
    let (mut own, mut at) = (in_random_order(ours.slots()), 0);
    let (mut same, mut same_at) = (own.clone(), 0);
    let swaps = tickers().map(|ticker| Arc::new(ArcSwap::from_pointee(ticker)));
    let (mut swaps, mut swap_at) = (in_random_order(swaps), 0);
    let caches = swaps
        .iter()
        .map(|swap| arc_swap::Cache::new(Arc::clone(swap)));
    let (mut caches, mut cache_at): (Vec<_>, _) = (caches.collect(), 0);
    let (mut bare, mut bare_at) = (in_random_order((0..slots).map(|_| Bare::new(CELLS))), 0);
    let senders: Vec<_> = tickers().map(watch::Sender::new).collect();
    let watches = senders.iter().map(watch::Sender::subscribe);
    let (mut watches, mut watch_at) = (in_random_order(watches), 0);
    let locks = tickers().map(|ticker| Arc::new(RwLock::new(ticker)));
    let (mut locks, mut lock_at) = (in_random_order(locks), 0);
    let (_writer, list) = Tickers::shared(tickers());
    let (mut places, mut place_at) = (in_random_order(0..slots), 0);

    Contest::new(format!("read/{name}"))
        .warmed_by(slots as u64)
        .row("tickcache", |times| {
            visit(&mut own, &mut at, times, |slot| {
                tokens(slot, black_box(fields));
            });
        })
        .row("tickcache, to f64", |times| {
            visit(&mut same, &mut same_at, times, |slot| {
                numbers(slot, black_box(fields));
            });
        })
        .numbers()
        .row("arc_swap load", |times| {
            visit(&mut swaps, &mut swap_at, times, |swap| both(&swap.load()));
        })
        .row("arc_swap Cache load", |times| {
            visit(&mut caches, &mut cache_at, times, |cache| {
                both(cache.load());
            });
        })
        .row("tokio watch borrow", |times| {
            visit(&mut watches, &mut watch_at, times, |watch| {
                both(&watch.borrow());
            });
        })
        .row("left-right enter", |times| {
            visit(&mut places, &mut place_at, times, |place| {
                both(&list.enter().expect("the writer lives").0[*place]);
            });
        })
        .row("std RwLock read", |times| {
            visit(&mut locks, &mut lock_at, times, |lock| {
                both(&lock.read().expect("no panic"));
            });
        })
        .row("bound: a bare ring of two", |times| {
            visit(&mut bare, &mut bare_at, times, |bare| {
                black_box(bare.read(black_box(READ)));
            });
        })
        .run();
}

fn while_written() {
    let mut published = Published::new(1, &payload(0));
    let (slot, place) = (published.slot(0), published.places()[0]);
    let fields = published.entity().fields(["bid", "ask"]).expect("room");
    let changes = (0..STEPS).map(|step| published.prepare(&payload(step)));
    let mut changes = Round::new(changes.collect());
    let ours = Paced::at_a_million_a_second(move || {
        published.publish(place, changes.next());
        published.finish();
    });
    // One for each row: both take turns.
    let mut tickers = Round::new((0..STEPS).map(Ticker::at).collect());
    let swap = Arc::new(ArcSwap::from_pointee(Ticker::at(0)));
    let (written, mut next) = (Arc::clone(&swap), tickers.clone());
    let swapping = Paced::at_a_million_a_second(move || written.store(Arc::new(*next.next())));
    let mut cache = arc_swap::Cache::new(Arc::clone(&swap));
    let sender = watch::Sender::new(Ticker::at(0));
    let (receiver, mut next) = (sender.subscribe(), tickers.clone());
    let watching = Paced::at_a_million_a_second(move || {
        sender.send_replace(*next.next());
    });
    let (mut writer, list) = Tickers::shared([Ticker::at(0)]);
    let mut next = tickers.clone();
    let absorbing = Paced::at_a_million_a_second(move || {
        writer.append(SetTicker(0, *next.next())).publish();
    });
    let bare = Bare::new(CELLS);
    let written = bare.clone();
    let mut step = 0;
    let ringing = Paced::at_a_million_a_second(move || {
        step += 1;
        written.publish([0, 1, 2, 3].map(|cell| (cell, [step; 2])));
    });
    let lock = Arc::new(RwLock::new(Ticker::at(0)));
    let written = Arc::clone(&lock);
    let locking = Paced::at_a_million_a_second(move || {
        *written.write().expect("no panic") = *tickers.next();
    });

    Contest::new("read/1 M writes a second")
        .row_beside("tickcache", &ours, |times| {
            for _ in 0..times {
                tokens(black_box(&slot), black_box(fields));
            }
        })
        .row_beside("tickcache, to f64", &ours, |times| {
            for _ in 0..times {
                numbers(black_box(&slot), black_box(fields));
            }
        })
        .numbers()
        .row_beside("arc_swap load", &swapping, |times| {
            for _ in 0..times {
                both(&black_box(&swap).load());
            }
        })
        .row_beside("arc_swap Cache load", &swapping, |times| {
            for _ in 0..times {
                both(black_box(&mut cache).load());
            }
        })
        .row_beside("tokio watch borrow", &watching, |times| {
            for _ in 0..times {
                both(&black_box(&receiver).borrow());
            }
        })
        .row_beside("left-right enter", &absorbing, |times| {
            for _ in 0..times {
                both(&black_box(&list).enter().expect("the writer lives").0[0]);
            }
        })
        .row_beside("std RwLock read", &locking, |times| {
            for _ in 0..times {
                both(&black_box(&lock).read().expect("no panic"));
            }
        })
        .row_beside("bound: a bare ring of two", &ringing, |times| {
            for _ in 0..times {
                black_box(black_box(&bare).read(black_box(READ)));
            }
        })
        .run();
}

/// Our own figures, to be compared with those of the run before.
fn own(criterion: &mut Criterion<CpuTime>) {
    let ours = Ours::whole(SLOTS, &payload(0));
    let fields = ours.entity().fields(["bid", "ask"]).expect("room");
    let mut group = criterion.benchmark_group("own/read");
    for (name, slots) in [("hot", 1), ("random of 10k", SLOTS)] {
        let mut slots = Round::new(in_random_order(ours.slots().into_iter().take(slots)));
        group.bench_function(name, |b| b.iter(|| tokens(slots.next(), black_box(fields))));
    }
    let snapshot = ours.slot(0);
    group.bench_function("snapshot", |b| b.iter(|| snapshot.snapshot()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::quick();
    targets = own
}

fn main() {
    by_handle("hot", 1);
    by_handle("random of 10k", SLOTS);
    while_written();
    support::own(benches);
}
