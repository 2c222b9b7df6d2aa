//! Publications put together from several updates: one version each, with exact stamps.

use std::thread;

use serde_json::{Value as Json, json};

use super::kit::{Dice, compile, json_of, merged, owner, publish, whole};
use crate::record::{Limits, Mode, Patch, SchemaSource};
use crate::store::{
    EntityWriter, Head, Missing, Outcome, SlotIx, Stamp, State, StoreConfig, flags,
};
use crate::sync::{AtomicBool, Ordering};
use crate::time::Time;

const ROUNDS: u64 = if cfg!(miri) { 100 } else { 5_000 };

fn locate(writer: &mut EntityWriter, id: &str) -> SlotIx {
    writer.locate(id.into(), Missing::Insert).expect("room")
}

fn patches(writer: &mut EntityWriter, messages: &[(Json, Mode)]) -> Vec<(Patch, Mode)> {
    messages
        .iter()
        .map(|(json, mode)| (compile(json, *mode, writer.schema()), *mode))
        .collect()
}

/// Terms of a value without doubts, as of `number`.
fn terms(head: &Head, number: u64) -> Head {
    let stamp = Stamp {
        whole: true,
        sequence: Some(number),
        received_at: Time::from_nanos(number),
        ..Stamp::default()
    };
    head.stamped(&stamp, 0)
}

fn all(writer: &mut EntityWriter, at: SlotIx, messages: &[(Json, Mode)], terms: &Head) -> Outcome {
    let patches = patches(writer, messages);
    let mut record = writer.record(at);
    for (patch, mode) in &patches {
        record.apply(patch, *mode, writer.schema().layout());
    }
    writer.replace(at, &record, terms)
}

fn random_value(dice: &mut Dice, depth: u64) -> Json {
    match dice.roll(if depth < 3 { 14 } else { 9 }) {
        0 => Json::Null,
        1 => json!("0123456789abcdef".repeat(dice.roll(4) as usize)),
        2 => json!("long".repeat(1030)),
        3..9 => json!(dice.roll(3)),
        _ => random_object(dice, depth),
    }
}

fn random_object(dice: &mut Dice, depth: u64) -> Json {
    let members = dice.roll(4);
    (0..members)
        .map(|_| (format!("n{}", dice.roll(12)), random_value(dice, depth + 1)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Random lists of patches between publications of single ones, growth and documents included,
/// against plain values.
#[test]
fn several_patches_are_one_version() {
    for seed in 0..60 {
        let limits = Limits {
            max_fields: if seed % 3 == 0 { 6 } else { 1024 },
            ..Limits::default()
        };
        let (_store, mut writer) = owner(StoreConfig {
            limits,
            ..StoreConfig::default()
        });
        let dice = &mut Dice(seed);
        let at = locate(&mut writer, "a");
        let slot = writer.slot(at).expect("located").clone();
        let mut expected: Option<Json> = None;
        for step in 1..60 {
            let epoch = slot.epoch().number();
            let mode = [Mode::Merge, Mode::Shallow, Mode::Replace][dice.roll(3) as usize];
            if dice.roll(4) == 0 {
                let message = random_object(dice, 0);
                let stamp = Stamp {
                    mode,
                    whole: true,
                    ..Stamp::default()
                };
                publish(&mut writer, "a", &message, stamp);
                expected = Some(merged(expected, &message, mode));
            } else {
                let messages: Vec<_> = (0..1 + dice.roll(3))
                    .map(|_| (random_object(dice, 0), mode))
                    .collect();
                for (message, mode) in &messages {
                    expected = Some(merged(expected, message, *mode));
                }
                let terms = terms(&writer.head(at), step);
                let outcome = all(&mut writer, at, &messages, &terms);
                let head = slot.head();
                assert_eq!((head.sequence, head.flags), (Some(step), 0));
                assert_eq!(
                    head.epoch - epoch,
                    u64::from(outcome == Outcome::Applied),
                    "one version"
                );
                // Once more: no version.
                let record = writer.record(at);
                assert_eq!(writer.replace(at, &record, &terms), Outcome::Unchanged);
                assert_eq!(slot.head(), head);
            }
            assert_eq!(json_of(&slot), expected, "seed {seed}, step {step}");
        }
        assert_eq!(writer.entity().len(), 1);
    }
}

#[test]
fn terms_are_published_as_they_are_and_doubts_are_told() {
    let (_store, mut writer) = owner(StoreConfig::default());
    let at = locate(&mut writer, "a");
    let slot = writer.slot(at).expect("located").clone();
    assert_eq!(writer.head(at).state, State::Empty);
    let message = [(json!({"a": 1}), Mode::Replace)];
    let wanted = Head {
        link: 7 << 8,
        invalidation: 3,
        sequence: Some(9),
        received_at: Time::from_nanos(11),
        whole_at: Time::from_nanos(10),
        source_time: 5,
        turn: 4,
        flags: flags::RESTORED | flags::PARTIAL,
        ..writer.head(at)
    };
    assert_eq!(all(&mut writer, at, &message, &wanted), Outcome::Applied);
    let head = slot.head();
    assert_eq!(
        Head {
            state: wanted.state,
            epoch: wanted.epoch,
            ..head
        },
        wanted
    );
    assert_eq!((head.state, head.epoch), (State::Present, 1));
    assert!(writer.take_suspect() && !writer.take_suspect());
    // The same value, without the doubts: a version, and nothing to look after.
    let wanted = Head { flags: 0, ..wanted };
    assert_eq!(all(&mut writer, at, &message, &wanted), Outcome::Applied);
    assert_eq!(slot.head().flags, 0);
    assert!(!writer.take_suspect());
    // A patch that makes a value is to be looked after; one to a value is not.
    publish(&mut writer, "b", &json!({"a": 1}), Stamp::default());
    assert!(writer.take_suspect());
    publish(&mut writer, "b", &json!({"a": 2}), Stamp::default());
    publish(&mut writer, "c", &json!({"a": 2}), whole());
    assert!(!writer.take_suspect());
}

#[test]
fn a_fetch_is_good_for_what_was_invalidated_before_it() {
    let (store, mut writer) = owner(StoreConfig::default());
    let at = locate(&mut writer, "a");
    let slot = writer.slot(at).expect("located").clone();
    let other = locate(&mut writer, "b");
    slot.invalidate();
    store.invalidate_all();
    let moment = writer.moment();
    assert_eq!(writer.invalidation_at(at, moment), slot.invalidation());
    writer.begin_batch();
    assert_eq!(writer.invalidation_at(at, moment), slot.invalidation());
    let before = slot.invalidation();
    for _ in 0..3 {
        slot.invalidate();
        writer.begin_batch();
        let stamp = writer.invalidation_at(at, moment);
        assert!(stamp >= before.saturating_sub(1) && stamp < slot.invalidation());
    }
    let entity = writer.entity().clone();
    let unmarked = entity.find("b".into()).expect("made");
    assert_eq!(
        writer.invalidation_at(other, moment),
        unmarked.invalidation()
    );
    entity.invalidate();
    assert!(writer.invalidation_at(other, moment) < unmarked.invalidation());
}

/// Each publication is of two patches that say the opposite: readers see neither alone.
#[test]
fn no_reader_sees_what_lies_between_the_patches_of_one_version() {
    let (_store, mut writer) = owner(StoreConfig::default());
    let at = locate(&mut writer, "a");
    let slot = writer.slot(at).expect("located").clone();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            let (slot, done) = (&slot, &done);
            scope.spawn(move || {
                let mut last = 0;
                while !done.load(Ordering::Acquire) {
                    let taken = slot.snapshot();
                    assert!(taken.head.epoch >= last, "backwards");
                    last = taken.head.epoch;
                    if taken.head.has_value() {
                        let value: Json =
                            serde_json::from_str(&taken.record().to_json()).expect("JSON");
                        let number = taken.head.sequence.expect("numbered");
                        assert_eq!(value["n"], json!(number), "between");
                        assert_eq!(value["text"], json!(text(number)), "between");
                        assert_eq!(value.get("old"), None, "between");
                    }
                }
            });
        }
        let dice = &mut Dice(7);
        for number in 1..=ROUNDS {
            let mut messages = vec![
                (
                    json!({"n": "wrong", "old": 1, "text": "wrong"}),
                    Mode::Replace,
                ),
                (
                    json!({"n": number, "old": null, "text": text(number)}),
                    Mode::Merge,
                ),
            ];
            if dice.roll(ROUNDS / 10) == 0 {
                messages.push((json!({format!("f{number}"): number}), Mode::Merge));
            }
            let terms = terms(&writer.head(at), number);
            all(&mut writer, at, &messages, &terms);
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(slot.head().sequence, Some(ROUNDS));
    assert!(writer.growths() > 2);
}

fn text(number: u64) -> String {
    number.to_string().repeat(match number % 64 {
        0 => 2_000,
        1..8 => 8,
        _ => 1,
    })
}
