//! Random histories, taken at once and taken with long messages that land late.

use super::*;
use crate::store::Head;
use serde_json::{Value as Json, json};

const IDS: u64 = 3;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[derive(Debug)]
enum Event {
    Message(String, bool),
    Lost,
    Opened,
    Silent(bool),
    InvalidateAll,
    InvalidateEntity,
    InvalidateId(u64),
    Unsubscribed(u64),
}

/// How the source numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    None,
    Sparse,
    Key,
    Restarting,
    Connection,
}

struct Source {
    dice: Dice,
    numbering: Numbering,
    /// By id.
    numbers: [u64; IDS as usize],
    of_connection: u64,
    /// Whether numbers are missing, come twice, or late.
    faults: bool,
    value: u64,
    open: bool,
}

impl Source {
    fn number(&mut self, last: u64) -> u64 {
        if self.faults {
            match self.dice.roll(12) {
                0 => return last + 2,
                // A number of the connection that comes twice is one message: both are as good.
                1 if self.numbering != Numbering::Connection => return last,
                2 if self.numbering != Numbering::Connection => return last.saturating_sub(1),
                _ => {}
            }
        }
        last + 1
    }

    fn item(&mut self) -> Json {
        let id = self.dice.roll(IDS);
        let kind = match self.dice.roll(16) {
            0..4 => "whole",
            4..10 => "patch",
            10..12 => "insert",
            12..14 => "remove",
            _ => "invalidate",
        };
        if kind == "invalidate" {
            return match self.dice.roll(4) {
                0 => json!({"k": kind}),
                _ => json!({"k": kind, "i": id}),
            };
        }
        self.value += 1;
        let name = ["a", "b", "c"][self.dice.roll(3) as usize];
        let value = match self.dice.roll(6) {
            0 if kind == "patch" => json!({ name: null }),
            1 => json!({ name: {"d": self.value} }),
            _ => json!({ name: self.value }),
        };
        let mut item = json!({"i": id, "k": kind, "v": value});
        let rule = match self.numbering {
            Numbering::Sparse => Some("sparse"),
            Numbering::Key => Some("key"),
            Numbering::Restarting => Some("restarting"),
            Numbering::None | Numbering::Connection => None,
        };
        if let Some(rule) = rule {
            let last = self.number(self.numbers[id as usize]);
            self.numbers[id as usize] = last.max(self.numbers[id as usize]);
            (item["s"], item["r"]) = (json!(last), json!(rule));
        }
        item
    }

    fn message(&mut self, long: bool) -> Event {
        let most = if long { 6 } else { 2 };
        let mut items: Vec<Json> = Vec::new();
        for _ in 0..=self.dice.roll(most) {
            let item = self.item();
            items.push(item);
        }
        if self.numbering == Numbering::Connection && self.dice.roll(8) > 0 {
            let number = self.number(self.of_connection);
            self.of_connection = self.of_connection.max(number);
            items.insert(0, json!({ "n": number }));
        }
        if self.dice.roll(16) == 0 {
            // The whole message is refused.
            items.push(json!({"i": 1, "k": "whole"}));
        }
        Event::Message(Json::from(items).to_string(), long)
    }

    fn event(&mut self) -> Event {
        if !self.open {
            self.open = true;
            if matches!(
                self.numbering,
                Numbering::Connection | Numbering::Restarting
            ) {
                self.numbers.fill(0);
                self.of_connection = 0;
            }
            return Event::Opened;
        }
        match self.dice.roll(32) {
            0 => {
                self.open = false;
                Event::Lost
            }
            1 => Event::Silent(self.dice.roll(2) == 0),
            2 => Event::InvalidateId(self.dice.roll(IDS)),
            3 => match self.dice.roll(3) {
                0 => Event::InvalidateAll,
                _ => Event::InvalidateEntity,
            },
            4 => Event::Unsubscribed(self.dice.roll(IDS)),
            5..12 => self.message(true),
            _ => self.message(false),
        }
    }
}

/// What may be compared of a value.
#[derive(Debug, PartialEq)]
struct Seen {
    value: Option<Json>,
    state: State,
    live: bool,
    flags: u8,
    sequence: Option<u64>,
    source_time: u64,
    received_at: Time,
    whole_at: Time,
}

fn shown(desk: &Desk, id: u64) -> Option<Json> {
    desk.shows(id as i64)
}

fn seen(desk: &Desk, id: u64) -> Seen {
    let slot = desk.slot(id as i64);
    let head: Head = slot.head();
    Seen {
        value: shown(desk, id),
        state: head.state,
        live: is_live(&slot),
        flags: head.flags,
        sequence: head.sequence,
        source_time: head.source_time,
        received_at: head.received_at,
        // That of a removal is the one before it, whichever was shown.
        whole_at: if head.has_value() {
            head.whole_at
        } else {
            Time::ZERO
        },
    }
}

fn act(desk: &mut Desk, event: &Event, defers: bool) {
    match event {
        Event::Message(text, true) if defers => desk.later(text),
        Event::Message(text, _) => desk.now(text),
        Event::Lost => desk.lose(),
        Event::Opened => desk.in_batch(|desk| desk.target.opened(Leg::FIRST)),
        Event::Silent(silent) => desk.in_batch(|desk| desk.target.silent(*silent)),
        Event::Unsubscribed(id) => {
            desk.in_batch(|desk| desk.target.unsubscribed("e", &Id::from(*id as i64)));
        }
        Event::InvalidateAll => desk.world.store.invalidate_all(),
        Event::InvalidateEntity => desk.world.store.entity("e").expect("room").invalidate(),
        Event::InvalidateId(id) => desk.slot(*id as i64).invalidate(),
    }
}

/// Runs a history both ways, with long messages landing whenever `dice` says, and compares.
fn check(numbering: Numbering, faults: bool, overtaking: Overtaking, wild: bool) {
    for seed in 0..600_u64 {
        let case = format!("{numbering:?}, faults {faults}, {overtaking:?}, seed {seed}");
        let claims = if wild { wildcard() } else { owning(&["e"]) };
        let mut source = Source {
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            numbering,
            numbers: [0; IDS as usize],
            of_connection: 0,
            faults,
            value: 0,
            open: true,
        };
        let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
        let mut at_once = Desk::new(&claims, overtaking);
        let mut late = Desk::new(&claims, overtaking);
        let mut history: [Vec<Option<Json>>; IDS as usize] = Default::default();
        history.iter_mut().for_each(|values| values.push(None));
        let mut told = Vec::new();
        for _ in 0..24 {
            let event = source.event();
            // Values inside one message are shown one after the other, and are not told apart.
            act(&mut at_once, &event, false);
            act(&mut late, &event, true);
            late.world.now = at_once.world.now;
            told.push(event);
            for id in 0..IDS {
                let now = shown(&at_once, id);
                history[id as usize].push(now);
            }
            while dice.roll(3) == 0 {
                let now = late.world.now;
                if dice.roll(2) == 0 {
                    late.hands.work();
                } else {
                    late.turn();
                }
                late.world.now = now;
                for id in 0..IDS {
                    let value = shown(&late, id);
                    assert!(
                        overtaking == Overtaking::Everything
                            || faults
                            || history[id as usize].contains(&value),
                        "{case}, id {id}: {value:?} never was\n{told:#?}"
                    );
                }
            }
        }
        late.land_all();
        let gaps = late.counters.snapshot().gaps;
        for id in 0..IDS {
            let (late, at_once) = (seen(&late, id), seen(&at_once, id));
            // What is missing of a connection is known later; and of an entity that was claimed
            // while messages for it were on their way single invalidations are not told apart.
            let doubtful = (numbering == Numbering::Connection && gaps > 0) || wild;
            if doubtful {
                assert!(!late.live || at_once.live, "{case}, id {id}\n{told:#?}");
                assert_eq!(late.value, at_once.value, "{case}, id {id}\n{told:#?}");
                assert_eq!(late.flags, at_once.flags, "{case}, id {id}\n{told:#?}");
            } else {
                assert_eq!(late, at_once, "{case}, id {id}\n{told:#?}");
            }
        }
        let (late, at_once) = (late.counters.snapshot(), at_once.counters.snapshot());
        assert!(late.balanced(), "{case}: {late:?}");
        assert_eq!(late.messages, at_once.messages, "{case}");
        assert_eq!(late.patches, at_once.patches, "{case}");
        assert_eq!(late.refused, at_once.refused, "{case}");
        // A hole in the numbering of a connection that is gone is not looked for any more.
        let lost = told.iter().any(|event| matches!(event, Event::Lost));
        if numbering == Numbering::Connection && lost {
            assert!(
                late.gaps <= at_once.gaps,
                "{case}: {late:?} {at_once:?}\n{told:#?}"
            );
        } else {
            assert_eq!(
                late.gaps > 0,
                at_once.gaps > 0,
                "{case}: {late:?}\n{told:#?}"
            );
        }
        assert_eq!(late.bulk_bytes, 0, "{case}");
    }
}

#[test]
fn without_numbers() {
    check(Numbering::None, false, Overtaking::Complete, false);
    check(Numbering::None, false, Overtaking::Everything, false);
}

#[test]
fn with_numbers_that_rise() {
    check(Numbering::Sparse, false, Overtaking::Complete, false);
    check(Numbering::Sparse, true, Overtaking::Complete, false);
    check(Numbering::Sparse, true, Overtaking::Everything, false);
}

#[test]
fn with_numbers_of_keys() {
    check(Numbering::Key, false, Overtaking::Complete, false);
    check(Numbering::Key, true, Overtaking::Complete, false);
    check(Numbering::Key, true, Overtaking::Everything, false);
}

#[test]
fn with_numbers_that_restart() {
    check(Numbering::Restarting, true, Overtaking::Complete, false);
}

#[test]
fn with_numbers_of_the_connection() {
    check(Numbering::Connection, false, Overtaking::Complete, false);
    check(Numbering::Connection, true, Overtaking::Complete, false);
}

#[test]
fn for_entities_claimed_by_what_comes() {
    check(Numbering::None, false, Overtaking::Complete, true);
    check(Numbering::Key, true, Overtaking::Complete, true);
}
