//! How much memory is a slot, and how often does a message allocate?
//!
//! Counted by an allocator around mimalloc: bytes that are asked for and not given back, the index
//! included, divided by the slots; and, per message or publication in steady state, allocations on
//! the thread that does the work. Values have 6 numeric fields. That ours allocates nothing is asserted, also
//! with an array among the fields and with a thread that takes snapshots. No time is measured here.

#![allow(unsafe_code, reason = "an allocator that counts has to be one")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use mimalloc::MiMalloc;
use support::background::{Beside, Paced};
use support::json::{STEPS, change, change_with_array, event, merge_serde_ref, whole};
use support::ours::{Ours, Published};
use support::outcome::{Line, counted, curve};
use support::paired::{is_test, is_wanted};
use support::{ENTITY, Round, Ticker, id};
use tokio::sync::watch;

mod support;

/// Counts what this thread allocates, and what the process holds.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

static HELD: AtomicI64 = AtomicI64::new(0);

fn count(bytes: i64) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    HELD.fetch_add(bytes, Relaxed);
}

// SAFETY: every call is passed on to mimalloc as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are mimalloc's conditions.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as above.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { MiMalloc.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as i64, Relaxed);
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocates on this thread, per unit of it, when it has been done for a while.
fn allocations(times: u64, mut work: impl FnMut(u64)) -> f64 {
    work(times);
    let before = ALLOCATIONS.get();
    work(times);
    (ALLOCATIONS.get() - before) as f64 / times as f64
}

/// What making something for so many slots adds to what is held, for each of them.
fn bytes<T>(slots: usize, make: impl FnOnce(usize) -> T) -> f64 {
    let before = HELD.load(Relaxed);
    let made = make(slots);
    let held = HELD.load(Relaxed) - before;
    drop(black_box(made));
    held as f64 / slots as f64
}

/// Six numbers.
fn payload(step: usize) -> String {
    format!(
        r#"{{"bid":"618{:02}.63000000","bidSize":"3.788260","ask":"61837.64000000","askSize":"1.546980","last":"61837.63","sequence":400900217}}"#,
        step % 100
    )
}

fn of_ours(slots: usize) -> f64 {
    bytes(slots, |slots| {
        let mut ours = Ours::whole(slots, &payload(0));
        // Both versions of each slot are there from the start; the second changes nothing.
        let messages: Vec<_> = (0..slots.min(64))
            .map(|n| event(&id(n), &payload(1)))
            .collect();
        ours.batch(&messages, || {});
        ours
    })
}

type Key = (String, String);

fn keys(slots: usize) -> impl Iterator<Item = Key> {
    (0..slots).map(|number| (ENTITY.to_owned(), id(number)))
}

fn value() -> serde_json::Value {
    serde_json::from_str(&payload(0)).expect("valid")
}

fn per_slot() {
    let name = "memory/bytes a slot";
    if !is_wanted(name) {
        return;
    }
    let slots = if is_test() { 100 } else { 100_000 };
    let all = of_ours(slots);
    let without = all - of_ours(1) / slots as f64;
    let mut rows = vec![
        ("tickcache, 6 numeric fields".to_owned(), all),
        ("tickcache, without the empty cache".to_owned(), without),
    ];
    let mut row = |name: &str, bytes: f64| rows.push((name.to_owned(), bytes));
    row(
        "DashMap<(String, String), serde_json::Value>",
        bytes(slots, |slots| {
            keys(slots)
                .map(|key| (key, value()))
                .collect::<DashMap<_, _>>()
        }),
    );
    row(
        "DashMap<String, watch of 64 B>",
        bytes(slots, |slots| {
            let watches = (0..slots).map(|n| (id(n), watch::Sender::new(Ticker::at(n))));
            watches.collect::<DashMap<_, _>>()
        }),
    );
    row(
        "DashMap<(String, String), Arc<ArcSwap<OwnedValue>>>",
        bytes(slots, |slots| {
            let object = simd_json::to_owned_value(&mut payload(0).into_bytes()).expect("valid");
            let value = |key| (key, Arc::new(ArcSwap::from_pointee(object.clone())));
            keys(slots).map(value).collect::<DashMap<_, _>>()
        }),
    );
    row(
        "papaya<String, 64 B>",
        bytes(slots, |slots| {
            let all = (0..slots).map(|number| (id(number), Ticker::at(number)));
            all.collect::<papaya::HashMap<_, _>>()
        }),
    );
    row(
        "HashMap<String, ArcSwap of 64 B>",
        bytes(slots, |slots| {
            let all = (0..slots).map(|n| (id(n), ArcSwap::from_pointee(Ticker::at(n))));
            all.collect::<HashMap<_, _>>()
        }),
    );
    counted(name, "B", &rows);
}

fn against_slots() {
    let name = "memory/bytes a slot, by slots";
    if !is_wanted(name) {
        return;
    }
    let many: &[usize] = if is_test() {
        &[1, 10]
    } else {
        &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000]
    };
    let point = |figure: f64| [figure; 3];
    let ours = many
        .iter()
        .map(|slots| (*slots as u64, point(of_ours(*slots))));
    let maps = many.iter().map(|slots| {
        let held = bytes(*slots, |slots| {
            keys(slots)
                .map(|key| (key, value()))
                .collect::<DashMap<_, _>>()
        });
        (*slots as u64, point(held))
    });
    let lines: [Line; 2] = [
        (
            "tickcache, 6 numeric fields, all included".to_owned(),
            ours.collect(),
        ),
        (
            "DashMap<(String, String), serde_json::Value>".to_owned(),
            maps.collect(),
        ),
    ];
    curve(name, "slots", "B", &lines);
}

fn against_fields() {
    let name = "memory/bytes a slot, by fields";
    if !is_wanted(name) {
        return;
    }
    let slots = if is_test() { 10 } else { 10_000 };
    let point = |fields: usize| {
        let payload = support::json::fields(fields, 0);
        let held = bytes(slots, |slots| Ours::whole(slots, &payload));
        (fields as u64, [held; 3])
    };
    let ours = [1, 2, 4, 8, 16, 32, 64].map(point).to_vec();
    curve(name, "fields", "B", &[("tickcache".to_owned(), ours)]);
}

fn per_message() {
    let name = "memory/allocations a message";
    if !is_wanted(name) {
        return;
    }
    let times = if is_test() { 64 } else { 100_000 };
    let publications = |change: fn(usize) -> String, beside: bool| {
        let mut published = Published::new(1, &whole());
        let slot = published.slot(0);
        let snapshots = Paced::looping(move || drop(black_box(slot.snapshot())));
        let mut places = Round::new(published.places().to_vec());
        let changes = (0..STEPS).map(|step| published.prepare(&change(step)));
        let mut changes = Round::new(changes.collect());
        if beside {
            snapshots.begin();
        }
        allocations(times, |times| {
            published.publish_many(&mut places, &mut changes, times);
        })
    };
    let messages = |change: fn(usize) -> String, beside: bool| {
        let mut ours = Ours::with(1, &whole());
        let slot = ours.slot(0);
        let snapshots = Paced::looping(move || drop(black_box(slot.snapshot())));
        let messages = (0..STEPS).map(|step| event(&id(0), &change(step)));
        let mut messages = Round::new(messages.collect());
        if beside {
            snapshots.begin();
        }
        let allocated = allocations(times, |times| {
            ours.time(&mut messages, times);
        });
        assert_eq!(ours.refused(), 0, "every message counts");
        allocated
    };
    let mut rows = vec![
        (
            "tickcache, publication".to_owned(),
            publications(change, false),
        ),
        (
            "tickcache, publication with an array".to_owned(),
            publications(change_with_array, false),
        ),
        (
            "tickcache, publication beside snapshots".to_owned(),
            publications(change, true),
        ),
        (
            "tickcache, the same with an array".to_owned(),
            publications(change_with_array, true),
        ),
        ("tickcache, message".to_owned(), messages(change, false)),
        (
            "tickcache, message with an array".to_owned(),
            messages(change_with_array, false),
        ),
        (
            "tickcache, message beside snapshots".to_owned(),
            messages(change, true),
        ),
    ];
    for (name, allocated) in &rows {
        assert!(*allocated == 0.0, "{name}: {allocated} allocations each");
    }
    let swap = ArcSwap::from_pointee(Ticker::at(0));
    rows.push((
        "arc_swap store of 64 B".to_owned(),
        allocations(times, |times| {
            (0..times).for_each(|step| swap.store(Arc::new(Ticker::at(step as usize))));
        }),
    ));
    let object: serde_json::Value = serde_json::from_str(&whole()).expect("valid");
    let swap = ArcSwap::from_pointee(object);
    let patches = (0..STEPS).map(|step| serde_json::from_str(&change(step)).expect("valid"));
    let mut patches = Round::<serde_json::Value>::new(patches.collect());
    rows.push((
        "serde_json Value, clone-merge-store".to_owned(),
        allocations(times, |times| {
            for _ in 0..times {
                let mut value = serde_json::Value::clone(&swap.load());
                merge_serde_ref(&mut value, patches.next());
                swap.store(Arc::new(value));
            }
        }),
    ));
    counted(name, "allocations", &rows);
}

fn main() {
    per_slot();
    against_slots();
    against_fields();
    per_message();
}
