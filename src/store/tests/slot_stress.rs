//! Slots under real threads: checksums, growth, long documents, never backwards.
//!
//! On x86 this cannot show a missing fence (the models do); it shows the code around them.

use std::thread;

use serde_json::json;

use super::kit::{Dice, compile, owner};
use crate::record::{Mode, SchemaSource};
use crate::store::{
    Field, Missing, Scratch, SlotReader, Stamp, State, StoreConfig, TurnCounter, cut,
};
use crate::sync::{AtomicBool, Ordering};

const ROUNDS: u64 = if cfg!(miri) { 200 } else { 30_000 };

#[test]
fn readers_see_whole_records_and_never_go_back() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    let slot = entity.slot("a".into()).expect("room");
    let done = AtomicBool::new(false);
    let fields = ["n", "same", "text"].map(|name| entity.schema().field(&[name]).expect("room"));
    thread::scope(|scope| {
        for reader in 0..3 {
            let (slot, done) = (&slot, &done);
            scope.spawn(move || {
                let mut scratch = Scratch::default();
                let mut stays = SlotReader::new(slot.clone());
                let mut last = 0;
                while !done.load(Ordering::Acquire) {
                    let (head, [n, same, text]) = match reader {
                        0 => slot.read(fields),
                        1 => stays.read(fields),
                        _ => slot.read_all(&mut scratch, |head, record| {
                            (*head, fields.map(|field| record.value(field.node())))
                        }),
                    };
                    assert!(head.epoch >= last, "backwards");
                    last = head.epoch;
                    let taken = slot.snapshot();
                    assert!(taken.head.epoch >= last, "backwards");
                    if taken.head.has_value() {
                        let record = taken.record();
                        assert_eq!(record.get("n").u64().ok(), taken.head.sequence);
                        assert_eq!(record.get("same"), record.get("n"), "torn");
                    }
                    if head.has_value() {
                        assert_eq!((n.u64().ok(), &same), (head.sequence, &n), "torn");
                        let n = n.u64().expect("a number");
                        let text = text.str().expect("a text").into_owned();
                        assert_eq!(text, n.to_string().repeat(length(n)), "torn");
                    }
                }
            });
        }
        let mut dice = Dice(1);
        for n in 1..=ROUNDS {
            let mut message = json!({"n": n, "same": n, "text": n.to_string().repeat(length(n))});
            if dice.roll(ROUNDS / 20) == 0 {
                // A field that no block has room for.
                message[format!("f{n}")] = json!(n);
            }
            let patch = compile(&message, Mode::Merge, writer.schema());
            let at = writer.locate("a".into(), Missing::Insert).expect("room");
            if dice.roll(200) == 0 {
                writer.remove(at, &Stamp::default());
            }
            writer.publish(
                at,
                &patch,
                &Stamp {
                    sequence: Some(n),
                    ..Stamp::default()
                },
            );
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(slot.head().sequence, Some(ROUNDS));
    assert!(writer.growths() > 3);
}

/// How often the text repeats the number: mostly in one cell, now and then in the document.
fn length(n: u64) -> usize {
    match n % 64 {
        0 => 2_000,
        1..8 => 8,
        _ => 1,
    }
}

#[test]
fn handles_find_their_way_through_purges() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            let (entity, done) = (&entity, &done);
            scope.spawn(move || {
                let mut slot = entity.slot("a".into()).expect("room");
                let mut last = 0;
                let mut lookups = 0_u64;
                while !done.load(Ordering::Acquire) {
                    let head = slot.head();
                    assert!(head.epoch >= last, "backwards");
                    last = head.epoch;
                    if head.state == State::Dead {
                        slot = entity.slot("a".into()).expect("room");
                        lookups += 1;
                    }
                }
                lookups
            });
        }
        for n in 0..ROUNDS {
            let patch = compile(&json!(n), Mode::Replace, writer.schema());
            let at = writer.locate("a".into(), Missing::Insert).expect("room");
            writer.publish(
                at,
                &patch,
                &Stamp {
                    whole: true,
                    ..Stamp::default()
                },
            );
            if n % 3 == 0 {
                writer.purge(at);
            }
        }
        done.store(true, Ordering::Release);
    });
    assert!(entity.ids() <= 1);
}

#[test]
fn cuts_are_of_one_turn() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    let counter = TurnCounter::new();
    let ids = ["a", "b", "c", "d"];
    let slots = ids.map(|id| entity.slot(id.into()).expect("room"));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let taking = scope.spawn(|| {
            let slots = slots.each_ref().map(|slot| &**slot);
            let mut last = 0;
            let mut taken = 0;
            while !done.load(Ordering::Acquire) {
                let Ok(cut) = cut(&counter, &slots) else {
                    continue;
                };
                assert!(cut.turn >= last, "backwards");
                last = cut.turn;
                for (head, record) in &cut.values {
                    // All slots are published in each turn.
                    assert_eq!(head.has_value(), cut.turn > 0);
                    let expected = (cut.turn > 0).then_some(cut.turn);
                    assert_eq!(
                        record.as_ref().value(crate::record::Node::ROOT).u64().ok(),
                        expected
                    );
                }
                taken += 1;
            }
            taken
        });
        for turn in 1..=ROUNDS {
            let patch = compile(&json!(turn), Mode::Replace, writer.schema());
            for id in ids {
                let at = writer.locate(id.into(), Missing::Insert).expect("room");
                writer.publish(
                    at,
                    &patch,
                    &Stamp {
                        whole: true,
                        turn,
                        ..Stamp::default()
                    },
                );
            }
            counter.finish(turn);
            if turn % 64 == 0 {
                thread::yield_now();
            }
        }
        done.store(true, Ordering::Release);
        let _: u64 = taking.join().expect("no panic");
    });
    let slots = slots.each_ref().map(|slot| &**slot);
    assert_eq!(cut(&counter, &slots).map(|cut| cut.turn), Ok(ROUNDS));
}

#[test]
fn fields_may_be_added_by_anybody() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for at in 0..300 {
                    let name = format!("f{at}");
                    let field = entity.schema().field(&[&name]).expect("room");
                    let layout = entity.schema().layout();
                    assert_eq!(layout.find(&[&name]), Some(field.node()));
                    assert_eq!(Field::new(&layout, field.node()), field);
                }
            });
        }
        for at in (0..300).rev() {
            let name = format!("f{at}");
            let patch = compile(&json!({ &name: at }), Mode::Merge, writer.schema());
            let slot = writer.locate("a".into(), Missing::Insert).expect("room");
            writer.publish(slot, &patch, &Stamp::default());
            let node = writer.schema().layout().find(&[&name]).expect("added");
            let field = Field::new(writer.schema().layout(), node);
            let read = writer.slot(slot).expect("located").read([field]).1;
            assert_eq!(read[0].u64(), Ok(at));
        }
    });
    assert_eq!(entity.schema().layout().nodes(), 301);
}
