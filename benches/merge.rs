//! What does it cost to merge 6 of 20 fields into an object and to publish the outcome?
//!
//! In `at hand` the patch has been parsed before. Our rows are the pure merge into cells
//! (`record::apply`, which publishes nothing) and the merge with its publication. The peers clone
//! the object, merge, and store it in an `arc_swap`, which is what it takes to give readers whole
//! objects without locks. In `from bytes` the same begins with the text of a message: it is parsed,
//! its key is looked up, and the outcome is published.
//!
//! Over one slot everything is in the first cache; over 10,000, in random order, hardly anything.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use simd_json::OwnedValue;
use simd_json::prelude::*;
use support::cpu::CpuTime;
use support::json::{
    STEPS, change, event, merge_serde, merge_serde_ref, merge_simd, merge_simd_ref, whole,
};
use support::ours::Ours;
use support::{Round, id, shuffled};
use tickcache::json::{Decoder, compile};
use tickcache::record::{Limits, Mode, Patch, Schema, SchemaSource, apply};

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many slots.
const SLOTS: [usize; 3] = [1, 1_000, 10_000];

fn at_hand(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("merge/at hand");
    for slots in SLOTS {
        let order = shuffled(slots);

        let (mut schema, mut decoder) = (Schema::new(Limits::default()), Decoder::new(128));
        let mut patch = |text: &str, schema: &mut Schema| {
            let mut patch = Patch::new();
            let message = decoder.decode(text.as_bytes()).expect("valid");
            compile(
                message.root(),
                Mode::Merge,
                &Limits::default(),
                schema,
                &mut patch,
            )
            .expect("within limits");
            patch
        };
        let first = patch(&whole(), &mut schema);
        let patches = (0..STEPS)
            .map(|step| patch(&change(step), &mut schema))
            .collect();
        let layout = Arc::clone(schema.layout());
        let mut records = vec![vec![0_u64; 2 * layout.cells() as usize]; slots];
        for record in &mut records {
            apply(&first, Mode::Merge, &layout, record, &mut None);
        }
        let (mut patches, mut next) = (Round::<Patch>::new(patches), Round::new(order.clone()));
        group.bench_function(BenchmarkId::new("tickcache, merge alone", slots), |b| {
            b.iter(|| {
                let record = &mut records[*next.next() as usize];
                apply(
                    black_box(patches.next()),
                    Mode::Merge,
                    &layout,
                    record,
                    &mut None,
                )
            });
        });

        let patches = (0..STEPS).map(|step| serde_json::from_str(&change(step)).expect("valid"));
        let mut patches = Round::<serde_json::Value>::new(patches.collect());
        let object: serde_json::Value = serde_json::from_str(&whole()).expect("valid");
        let store: Vec<_> = (0..slots)
            .map(|_| ArcSwap::from_pointee(object.clone()))
            .collect();
        let mut next = Round::new(order.clone());
        group.bench_function(
            BenchmarkId::new("serde_json clone-merge-store", slots),
            |b| {
                b.iter(|| {
                    let slot = &store[*next.next() as usize];
                    let mut value = serde_json::Value::clone(&slot.load());
                    merge_serde_ref(&mut value, black_box(patches.next()));
                    slot.store(Arc::new(value));
                });
            },
        );

        let patches = (0..STEPS).map(|step| parse_simd(&change(step)));
        let mut patches = Round::<OwnedValue>::new(patches.collect());
        let object = parse_simd(&whole());
        let store: Vec<_> = (0..slots)
            .map(|_| ArcSwap::from_pointee(object.clone()))
            .collect();
        let mut next = Round::new(order);
        group.bench_function(
            BenchmarkId::new("simd-json clone-merge-store", slots),
            |b| {
                b.iter(|| {
                    let slot = &store[*next.next() as usize];
                    let mut value = OwnedValue::clone(&slot.load());
                    merge_simd_ref(&mut value, black_box(patches.next()));
                    slot.store(Arc::new(value));
                });
            },
        );
    }
    group.finish();
}

fn parse_simd(text: &str) -> OwnedValue {
    simd_json::to_owned_value(&mut text.to_owned().into_bytes()).expect("valid")
}

type Key = (String, String);

fn from_bytes(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("merge/from bytes");
    for slots in SLOTS {
        let messages: Vec<_> = shuffled(slots.max(STEPS))
            .into_iter()
            .map(|number| number as usize)
            .map(|number| event(&id(number % slots), &change(number)))
            .collect();

        let mut ours = Ours::with(slots, &whole());
        let mut next = Round::new(messages.clone());
        group.bench_function(BenchmarkId::new("tickcache", slots), |b| {
            b.iter_custom(|count| ours.time(&mut next, count));
        });
        assert_eq!(ours.refused(), 0, "every message counts");
        drop(ours);

        let object: serde_json::Value = serde_json::from_str(&whole()).expect("valid");
        let store = index(slots, &object);
        let mut next = Round::new(messages.clone());
        group.bench_function(
            BenchmarkId::new("serde_json clone-merge-store", slots),
            |b| {
                b.iter(|| {
                    let mut message: serde_json::Value =
                        serde_json::from_slice(black_box(next.next())).expect("valid");
                    let mut text = |name: &str| match message[name].take() {
                        serde_json::Value::String(text) => text,
                        _ => unreachable!("a text"),
                    };
                    let key = (text("entity"), text("id"));
                    let slot = &store[&key];
                    let mut value = serde_json::Value::clone(&slot.load());
                    merge_serde(&mut value, message["payload"].take());
                    slot.store(Arc::new(value));
                });
            },
        );
        drop(store);

        let store = index(slots, &parse_simd(&whole()));
        let (mut buffers, mut copy) = (simd_json::Buffers::default(), Vec::new());
        let mut next = Round::new(messages);
        group.bench_function(
            BenchmarkId::new("simd-json clone-merge-store", slots),
            |b| {
                b.iter(|| {
                    copy.clear();
                    copy.extend_from_slice(black_box(next.next()));
                    let mut message =
                        simd_json::to_owned_value_with_buffers(&mut copy, &mut buffers)
                            .expect("valid");
                    let mut text = |name: &str| match message.remove(name) {
                        Ok(Some(OwnedValue::String(text))) => text,
                        _ => unreachable!("a text"),
                    };
                    let key = (text("entity"), text("id"));
                    let slot = &store[&key];
                    let mut value = OwnedValue::clone(&slot.load());
                    let payload = message.remove("payload").ok().flatten().expect("a payload");
                    merge_simd(&mut value, payload);
                    slot.store(Arc::new(value));
                });
            },
        );
    }
    group.finish();
}

fn index<T: Clone>(slots: usize, value: &T) -> HashMap<Key, ArcSwap<T>> {
    let slot = |number| {
        let key = (support::ENTITY.to_owned(), id(number));
        (key, ArcSwap::from_pointee(value.clone()))
    };
    (0..slots).map(slot).collect()
}

criterion_group! {
    name = benches;
    config = support::quick();
    targets = at_hand, from_bytes
}
criterion_main!(benches);
