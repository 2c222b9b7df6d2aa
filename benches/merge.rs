//! What does it cost to merge 6 of 20 fields into an object and to publish the outcome?
//!
//! In `at hand` the patch has been parsed before. Ours merges it into the cells of the next version
//! and publishes that; `merge alone` is the pure function under it (`record::apply`), which publishes
//! nothing. The peers clone the object, merge, and store it in an `arc_swap`, which is what it takes
//! to give readers whole objects without locks; `under a Mutex` they do without both. The
//! bound is a ring with the words of ours, into which six cells are put and nothing else. In `from bytes`
//! the same begins with the text of a message: it is parsed, its key is looked up, and the outcome is
//! published.
//!
//! Over one slot everything is in the first cache; over 10,000, in random order, hardly anything.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use criterion::{Criterion, criterion_group};
use simd_json::OwnedValue;
use simd_json::prelude::*;
use sonic_rs::{JsonContainerTrait as _, JsonValueMutTrait as _, JsonValueTrait as _};
use support::bare::Bare;
use support::cpu::{CpuTime, thread_cpu};
use support::json::{
    STEPS, change, event, merge_serde, merge_serde_ref, merge_simd, merge_simd_ref, whole,
};
use support::ours::{Ours, Published};
use support::paired::Contest;
use support::{Round, id, in_random_order, shuffled, visit};
use tickcache::json::{Decoder, compile};
use tickcache::record::{Layout, Limits, Mode, Patch, Schema, SchemaSource, apply};

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many slots.
const SLOTS: [usize; 3] = [1, 1_000, 10_000];

/// The merge without slots: patches, and records as plain cells.
struct Alone {
    patches: Round<Patch>,
    layout: Arc<Layout>,
    records: Vec<Vec<u64>>,
}

impl Alone {
    fn new(slots: usize) -> Self {
        let (mut schema, mut decoder) = (Schema::new(Limits::default()), Decoder::new(128));
        let mut patch = |text: &str| {
            let mut patch = Patch::new();
            let message = decoder.decode(text.as_bytes()).expect("valid");
            let limits = Limits::default();
            compile(
                message.root(),
                Mode::Merge,
                &limits,
                &mut schema,
                &mut patch,
            )
            .expect("within limits");
            patch
        };
        let first = patch(&whole());
        let patches = (0..STEPS).map(|step| patch(&change(step))).collect();
        let layout = Arc::clone(schema.layout());
        let mut records = vec![vec![0_u64; 2 * layout.cells() as usize]; slots];
        for record in &mut records {
            apply(&first, Mode::Merge, &layout, record, &mut None);
        }
        Self {
            patches: Round::new(patches),
            layout,
            records: in_random_order(records),
        }
    }
}

/// What a peer stores objects in.
fn stores<T: Clone>(slots: usize, object: &T) -> Vec<ArcSwap<T>> {
    in_random_order((0..slots).map(|_| ArcSwap::from_pointee(object.clone())))
}

fn parse_simd(text: &str) -> OwnedValue {
    simd_json::to_owned_value(&mut text.to_owned().into_bytes()).expect("valid")
}

/// RFC 7396 on sonic-rs' values, for objects of scalars.
fn merge_sonic(target: &mut sonic_rs::Value, patch: &sonic_rs::Value) {
    let target = target.as_object_mut().expect("an object");
    for (name, value) in patch.as_object().expect("an object") {
        if value.is_null() {
            target.remove(&name);
        } else {
            target.insert(name, value.clone());
        }
    }
}

fn at_hand(slots: usize) {
    let mut published = Published::new(slots, &whole());
    let mut places = Round::new(in_random_order(published.places().to_vec()));
    let changes = (0..STEPS).map(|step| published.prepare(&change(step)));
    let mut changes = Round::new(changes.collect());

    let mut alone = Alone::new(slots);
    let mut alone_at = 0;

    let (mut bare, mut bare_at) = (in_random_order((0..slots).map(|_| Bare::new(20))), 0);
    let mut step = 0;

    let patches = (0..STEPS).map(|step| serde_json::from_str(&change(step)).expect("valid"));
    let mut patches = Round::<serde_json::Value>::new(patches.collect());
    let mut kept = patches.clone();
    let object: serde_json::Value = serde_json::from_str(&whole()).expect("valid");
    let (mut serde, mut serde_at) = (stores(slots, &object), 0);
    let locked = (0..slots).map(|_| Mutex::new(object.clone()));
    let (mut locked, mut locked_at) = (in_random_order(locked), 0);

    let simd_patches = (0..STEPS).map(|step| parse_simd(&change(step)));
    let mut simd_patches = Round::<OwnedValue>::new(simd_patches.collect());
    let (mut simd, mut simd_at) = (stores(slots, &parse_simd(&whole())), 0);

    let sonic_patches = (0..STEPS).map(|step| sonic_rs::from_str(&change(step)).expect("valid"));
    let mut sonic_patches = Round::<sonic_rs::Value>::new(sonic_patches.collect());
    let object: sonic_rs::Value = sonic_rs::from_str(&whole()).expect("valid");
    let (mut sonic, mut sonic_at) = (stores(slots, &object), 0);

    Contest::new(format!("merge/at hand, {slots} slots"))
        .warmed_by(slots as u64)
        .row("tickcache, merge and publish", |times| {
            published.publish_many(&mut places, &mut changes, times);
        })
        .row("tickcache, merge alone", |times| {
            let (patches, layout) = (&mut alone.patches, &alone.layout);
            visit(&mut alone.records, &mut alone_at, times, |record| {
                let patch = black_box(patches.next());
                apply(patch, Mode::Merge, layout, record, &mut None);
            });
        })
        .row("serde_json Value, clone-merge-store", |times| {
            visit(&mut serde, &mut serde_at, times, |slot| {
                let mut value = serde_json::Value::clone(&slot.load());
                merge_serde_ref(&mut value, black_box(patches.next()));
                slot.store(Arc::new(value));
            });
        })
        .row("serde_json Value, in place under a Mutex", |times| {
            visit(&mut locked, &mut locked_at, times, |slot| {
                let slot: &Mutex<_> = slot;
                let mut value = slot.lock().expect("no panic");
                merge_serde_ref(&mut value, black_box(kept.next()));
            });
        })
        .row("simd-json OwnedValue, clone-merge-store", |times| {
            visit(&mut simd, &mut simd_at, times, |slot| {
                let mut value = OwnedValue::clone(&slot.load());
                merge_simd_ref(&mut value, black_box(simd_patches.next()));
                slot.store(Arc::new(value));
            });
        })
        .row("sonic-rs Value, clone-merge-store", |times| {
            visit(&mut sonic, &mut sonic_at, times, |slot| {
                let mut value = sonic_rs::Value::clone(&slot.load());
                merge_sonic(&mut value, black_box(sonic_patches.next()));
                slot.store(Arc::new(value));
            });
        })
        .row("bound: a bare ring of two", |times| {
            visit(&mut bare, &mut bare_at, times, |bare| {
                step += 1;
                bare.publish(black_box([0, 1, 2, 3, 4, 5].map(|cell| (cell, [step; 2]))));
            });
        })
        .run();
}

type Key = (String, String);

fn index<T: Clone>(slots: usize, value: &T) -> HashMap<Key, ArcSwap<T>> {
    let slot = |number| {
        let key = (support::ENTITY.to_owned(), id(number));
        (key, ArcSwap::from_pointee(value.clone()))
    };
    (0..slots).map(slot).collect()
}

fn from_bytes(slots: usize) {
    let messages: Vec<_> = shuffled(slots.max(STEPS))
        .into_iter()
        .map(|number| number as usize)
        .map(|number| event(&id(number % slots), &change(number)))
        .collect();
    let mut ours = Ours::with(slots, &whole());
    let mut next = Round::new(messages.clone());

    let object: serde_json::Value = serde_json::from_str(&whole()).expect("valid");
    let serde = index(slots, &object);
    let (mut serde_messages, mut serde_at) = (messages.clone(), 0);

    let simd = index(slots, &parse_simd(&whole()));
    let (mut buffers, mut copy) = (simd_json::Buffers::default(), Vec::new());
    let (mut simd_messages, mut simd_at) = (messages, 0);

    Contest::new(format!("merge/from bytes, {slots} slots"))
        .warmed_by(slots as u64)
        .row("tickcache", |times| {
            ours.time(&mut next, times);
        })
        .row("serde_json Value, clone-merge-store", |times| {
            visit(&mut serde_messages, &mut serde_at, times, |message| {
                let mut message: serde_json::Value =
                    serde_json::from_slice(black_box(message)).expect("valid");
                let mut text = |name: &str| match message[name].take() {
                    serde_json::Value::String(text) => text,
                    _ => unreachable!("a text"),
                };
                let key = (text("entity"), text("id"));
                let slot = &serde[&key];
                let mut value = serde_json::Value::clone(&slot.load());
                merge_serde(&mut value, message["payload"].take());
                slot.store(Arc::new(value));
            });
        })
        .row("simd-json OwnedValue, clone-merge-store", |times| {
            visit(&mut simd_messages, &mut simd_at, times, |message| {
                copy.clear();
                copy.extend_from_slice(black_box(message));
                let mut message =
                    simd_json::to_owned_value_with_buffers(&mut copy, &mut buffers).expect("valid");
                let mut text = |name: &str| match message.remove(name) {
                    Ok(Some(OwnedValue::String(text))) => text,
                    _ => unreachable!("a text"),
                };
                let key = (text("entity"), text("id"));
                let slot = &simd[&key];
                let mut value = OwnedValue::clone(&slot.load());
                let payload = message.remove("payload").ok().flatten().expect("a payload");
                merge_simd(&mut value, payload);
                slot.store(Arc::new(value));
            });
        })
        .run();
    assert_eq!(ours.refused(), 0, "every message counts");
}

/// Our own figures, to be compared with those of the run before.
fn own(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("own/merge and publish");
    for slots in SLOTS {
        let mut published = Published::new(slots, &whole());
        let mut places = Round::new(in_random_order(published.places().to_vec()));
        let changes = (0..STEPS).map(|step| published.prepare(&change(step)));
        let mut changes = Round::new(changes.collect());
        group.bench_function(format!("{slots} slots"), |b| {
            b.iter_custom(|times| {
                let start = thread_cpu();
                published.publish_many(&mut places, &mut changes, times);
                thread_cpu() - start
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::quick();
    targets = own
}

fn main() {
    SLOTS.into_iter().for_each(at_hand);
    SLOTS.into_iter().for_each(from_bytes);
    support::own(benches);
}
