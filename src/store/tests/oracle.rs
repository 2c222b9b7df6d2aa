//! Random histories of one owner against a plain map.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::kit::{Dice, compile, json_of, merged, owner};
use crate::record::{Limits, Mode};
use crate::store::{
    EntityWriter, Field, Link, Locate, Missing, NO_TRUST, Outcome, Slot, Stamp, State, StoreConfig,
    flags,
};
use crate::sync::Arc;
use crate::time::Time;

/// What is expected of one id.
struct Expected {
    slot: Arc<Slot>,
    value: Option<Json>,
    epoch: u64,
    link: u64,
    invalidation: u64,
    flags: u8,
    sequence: Option<u64>,
    received_at: u64,
    whole_at: u64,
}

fn any_value(dice: &mut Dice, depth: u64) -> Json {
    match dice.roll(16 - 4 * depth.min(2)) {
        0..3 => json!(dice.roll(3)),
        3 => json!("short"),
        4 => json!("a text that takes more than one cell"),
        5 => json!("x".repeat(16 + dice.roll(300) as usize)),
        6 => Json::Null,
        7 => json!([1, null, "an array is one token"]),
        8 => json!("d".repeat(4_090 + dice.roll(20) as usize)),
        9.. if depth > 2 => json!(true),
        9.. => any_object(dice, depth + 1),
    }
}

fn any_object(dice: &mut Dice, depth: u64) -> Json {
    let names = if depth == 0 { 70 } else { 3 };
    let members = 0..dice.roll(6);
    Json::Object(
        members
            .map(|_| (format!("n{}", dice.roll(names)), any_value(dice, depth)))
            .collect(),
    )
}

struct History {
    dice: Dice,
    writer: EntityWriter,
    expected: HashMap<u64, Expected>,
    highest_purged: u64,
    clock: u64,
}

impl History {
    fn message(&mut self) {
        let id = self.dice.roll(6);
        let (mode, whole) = match self.dice.roll(6) {
            0 => (Mode::Replace, true),
            1 => (Mode::Shallow, false),
            2 => (Mode::Merge, true),
            _ => (Mode::Merge, false),
        };
        // Now and then what is there already.
        let present = self.expected.get(&id).and_then(|it| it.value.clone());
        let json = match present {
            Some(present) if self.dice.roll(4) == 0 => present,
            _ if self.dice.roll(20) == 0 => any_value(&mut self.dice, 0),
            _ => any_object(&mut self.dice, 0),
        };
        let patch = compile(&json, mode, self.writer.schema());
        self.clock += 1;
        let generation = Link::from_word(self.writer.link()).generation;
        let stamp = Stamp {
            mode,
            whole,
            trust: match self.dice.roll(4) {
                // Below, at or above the stamp of the value.
                0 => generation.saturating_sub(self.dice.roll(3)) << 8,
                _ => NO_TRUST,
            },
            link: generation << 8,
            sequence: (self.dice.roll(2) == 0).then_some(self.clock),
            received_at: Time::from_nanos(self.clock),
            turn: self.clock,
            ..Stamp::default()
        };
        let missing = if self.dice.roll(4) == 0 {
            Missing::Ignore
        } else {
            Missing::Insert
        };
        let name = id.to_string();
        let alive = self.expected.get(&id).is_some_and(|it| it.value.is_some());
        let at = match self.writer.locate(name.as_str().into(), missing) {
            Ok(at) => at,
            Err(Locate::Missing) => {
                assert!(!alive && missing == Missing::Ignore);
                return;
            }
            Err(Locate::Full) => panic!("there is room"),
        };
        assert!(alive || missing == Missing::Insert);
        let slot = self.writer.slot(at).expect("located").clone();
        let is_document = || {
            slot.snapshot()
                .record()
                .document()
                .is_some_and(|it| it.tree().is_some())
        };
        let was_document = is_document();
        let outcome = self.writer.publish(at, &patch, &stamp);
        let sum = slot.invalidation();
        let highest_purged = self.highest_purged;
        let it = self.expected.entry(id).or_insert_with(|| Expected {
            slot: slot.clone(),
            value: None,
            epoch: highest_purged,
            link: 0,
            invalidation: 0,
            flags: 0,
            sequence: None,
            received_at: 0,
            whole_at: 0,
        });
        assert!(Arc::ptr_eq(&it.slot, &slot), "one slot for one id");
        let value = merged(it.value.clone(), &json, mode);
        let fresh = whole || !alive;
        let link = if fresh || it.link >= stamp.trust {
            stamp.link
        } else {
            it.link
        };
        let invalidation = if fresh { sum } else { it.invalidation };
        let partial = if alive { it.flags } else { flags::PARTIAL };
        let new_flags = if whole { 0 } else { partial };
        let same = alive
            && it.value.as_ref() == Some(&value)
            && (it.link, it.invalidation, it.flags) == (link, invalidation, new_flags);
        // A value kept as a document may be published though only its form or its order is new.
        if !same || !(was_document || is_document()) {
            assert_eq!(outcome == Outcome::Unchanged, same, "{json} {mode:?}");
        }
        it.epoch += u64::from(outcome == Outcome::Applied);
        it.value = Some(value);
        (it.link, it.invalidation, it.flags) = (link, invalidation, new_flags);
        it.sequence = stamp.sequence.or(it.sequence);
        it.received_at = self.clock;
        it.whole_at = match (whole, alive) {
            (true, _) => self.clock,
            (false, true) => it.whole_at,
            (false, false) => 0,
        };
    }

    fn remove(&mut self) {
        let id = self.dice.roll(6);
        let Some(it) = self.expected.get_mut(&id) else {
            return;
        };
        let name = id.to_string();
        let at = self
            .writer
            .locate(name.as_str().into(), Missing::Insert)
            .expect("room");
        self.clock += 1;
        let stamp = Stamp {
            link: Link::from_word(self.writer.link()).generation << 8,
            received_at: Time::from_nanos(self.clock),
            ..Stamp::default()
        };
        let outcome = self.writer.remove(at, &stamp);
        if it.value.take().is_some() {
            assert_eq!(outcome, Outcome::Applied);
        }
        it.epoch += u64::from(outcome == Outcome::Applied);
        it.received_at = self.clock;
        (it.flags, it.link, it.invalidation) = (0, stamp.link, it.slot.invalidation());
    }

    fn purge(&mut self) {
        let id = self.dice.roll(6);
        let Some(it) = self.expected.remove(&id) else {
            return;
        };
        let name = id.to_string();
        let at = self
            .writer
            .locate(name.as_str().into(), Missing::Insert)
            .expect("room");
        self.writer.purge(at);
        assert_eq!(
            (it.slot.head().state, it.slot.head().epoch),
            (State::Dead, it.epoch + 1)
        );
        self.highest_purged = self.highest_purged.max(it.epoch + 1);
    }

    fn step(&mut self) {
        match self.dice.roll(60) {
            0 => self.purge(),
            1..5 => self.remove(),
            5 => {
                let entity = self.writer.entity().clone();
                entity.invalidate();
                self.writer.begin_batch();
            }
            6 => {
                if let Some(it) = self.expected.get(&self.dice.roll(6)) {
                    it.slot.invalidate();
                }
                self.writer.begin_batch();
            }
            7 => {
                self.clock += 1;
                let link = Link {
                    generation: self.clock,
                    bits: 0,
                };
                self.writer.entity().set_link(1, link);
            }
            _ => self.message(),
        }
    }

    fn hand_over(self) -> Self {
        let Self {
            dice,
            writer,
            expected,
            highest_purged,
            clock,
        } = self;
        let entity = writer.entity().clone();
        drop(writer);
        let writer = entity.claim("the next".into()).expect("returned");
        Self {
            dice,
            writer,
            expected,
            highest_purged,
            clock,
        }
    }

    fn check(&mut self) {
        let entity = self.writer.entity().clone();
        let present = self
            .expected
            .values()
            .filter(|it| it.value.is_some())
            .count();
        assert_eq!((entity.len(), entity.ids()), (present, self.expected.len()));
        for (id, it) in &self.expected {
            let head = it.slot.head();
            assert_eq!(head.epoch, it.epoch, "{id}");
            assert_eq!(head.has_value(), it.value.is_some());
            let stamps = (head.link, head.invalidation, head.flags);
            assert_eq!(stamps, (it.link, it.invalidation, it.flags));
            assert_eq!(
                (head.sequence, head.received_at.as_nanos()),
                (it.sequence, it.received_at)
            );
            if it.value.is_some() {
                assert_eq!(head.whole_at.as_nanos(), it.whole_at);
            }
            let value = json_of(&it.slot);
            assert_eq!(value, it.value);
            let snapshot = it.slot.snapshot();
            assert_eq!(snapshot.head, head);
            let text = snapshot.record().to_json();
            assert_eq!(serde_json::from_str(&text).ok(), it.value);
            let layout = entity.schema().layout();
            let name = format!("n{}", self.dice.roll(70));
            let Some(node) = layout.find(&[&name]) else {
                continue;
            };
            let (again, [read]) = it.slot.read([Field::new(&layout, node)]);
            assert_eq!(again, head);
            match it.value.as_ref().and_then(|value| value.get(&name)) {
                None => assert!(read.is_missing()),
                Some(Json::Object(_)) => assert_eq!(read.kind(), Some(crate::record::Kind::Object)),
                Some(field) => assert_eq!(read.json().expect("a token"), field.to_string()),
            }
        }
    }
}

fn run(seed: u64, limits: Limits, steps: u32) {
    let (_store, writer) = owner(StoreConfig {
        limits,
        ..StoreConfig::default()
    });
    let mut history = History {
        dice: Dice(seed),
        writer,
        expected: HashMap::new(),
        highest_purged: 0,
        clock: 0,
    };
    for step in 1..=steps {
        history.step();
        history.check();
        if step % 300 == 0 {
            history = history.hand_over();
        }
    }
    // Nobody but the handles knows of what is not there any more.
    assert!(history.writer.entity().numbers() <= 6);
}

#[test]
fn slots_hold_what_a_map_holds() {
    for seed in 0..6 {
        run(seed, Limits::default(), 1_500);
    }
}

#[test]
fn also_when_the_schema_is_too_small() {
    for seed in 0..6 {
        run(
            seed,
            Limits {
                max_fields: 20,
                ..Limits::default()
            },
            1_500,
        );
    }
}
