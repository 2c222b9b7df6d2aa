//! A server, its stream, fetches of it that answer late, and what is shown meanwhile.

use super::fetches::Answered;
use super::fetches::{abandon, keep, land, overlay};
use super::*;
use crate::io::command::{KeepId, Landed, OverlayChange, OverlayId};
use crate::record::Mode;
use serde_json::{Map, Value as Json, json};
use std::collections::VecDeque;

const IDS: i64 = 3;

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

fn merged(old: Option<&Json>, patch: &Json) -> Json {
    let Json::Object(members) = patch else {
        return patch.clone();
    };
    let mut object = match old {
        Some(Json::Object(object)) => object.clone(),
        _ => Map::new(),
    };
    for (name, member) in members {
        if member.is_null() {
            object.remove(name);
        } else {
            let old = object.remove(name);
            object.insert(name.clone(), merged(old.as_ref(), member));
        }
    }
    Json::Object(object)
}

/// One id at the server: its value after each change, the number of the change being the place.
struct Record {
    history: Vec<Option<Json>>,
}

impl Record {
    fn now(&self) -> (u64, Option<Json>) {
        let last = self.history.len() - 1;
        (last as u64, self.history[last].clone())
    }
}

/// A fetch that runs, and what the server answered, once it has.
struct Fetch {
    fetch: KeepId,
    /// `None`: all ids.
    id: Option<i64>,
    answer: Option<Vec<(i64, u64, Option<Json>)>>,
}

struct Run {
    dice: Dice,
    world: World,
    feed: Feed,
    numbered: bool,
    server: Vec<Record>,
    stream: VecDeque<String>,
    fetches: Vec<Fetch>,
    overlays: Vec<(i64, OverlayId)>,
    next: u64,
    /// The cache has been told of the whole value, and of every change since.
    known: Vec<bool>,
}

impl Run {
    fn new(seed: u64, numbered: bool) -> Self {
        let mut world = World::new();
        let feed = world.open(OnConnect::Invalidate);
        Self {
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            world,
            feed,
            numbered,
            server: (0..IDS)
                .map(|_| Record {
                    history: vec![None],
                })
                .collect(),
            stream: VecDeque::new(),
            fetches: Vec::new(),
            overlays: Vec::new(),
            next: 0,
            known: vec![false; IDS as usize],
        }
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn value(&mut self, depth: u64) -> Json {
        match self.dice.roll(if depth < 2 { 6 } else { 4 }) {
            0 => Json::Null,
            1..4 => json!(self.next()),
            _ => self.object(depth + 1),
        }
    }

    fn object(&mut self, depth: u64) -> Json {
        let members = self.dice.roll(3) + u64::from(depth == 0);
        let members = (0..members).map(|_| {
            let name = ["a", "b", "c"][self.dice.roll(3) as usize].to_owned();
            (name, self.value(depth))
        });
        members.collect::<Map<_, _>>().into()
    }

    /// The server changes a value, and says so.
    fn change(&mut self) {
        let id = self.dice.roll(IDS as u64);
        let (last, old) = self.server[id as usize].now();
        let kind = match (self.dice.roll(12), &old) {
            (_, None) | (0..2, _) => "whole",
            (2, _) => "remove",
            _ => "patch",
        };
        let value = self.object(0);
        let new = match kind {
            "remove" => None,
            // A whole value without nulls, as merging leaves none either.
            "whole" => Some(merged(None, &value)),
            _ => Some(merged(old.as_ref(), &value)),
        };
        let mut message = json!({"i": id, "k": kind});
        message["v"] = match (kind, &new) {
            ("whole", Some(new)) => new.clone(),
            _ => value,
        };
        if self.numbered {
            message["s"] = json!(last + 1);
        }
        self.server[id as usize].history.push(new);
        self.stream.push_back(json!([message]).to_string());
    }

    fn deliver(&mut self) {
        if let Some(text) = self.stream.pop_front() {
            let message: Json = serde_json::from_str(&text).expect("JSON");
            let id = message[0]["i"].as_u64().expect("an id") as usize;
            match message[0]["k"].as_str() {
                Some("whole") => self.known[id] = true,
                Some("remove") => self.known[id] = false,
                _ => {}
            }
            self.world.deliver(&mut self.feed, &text);
        }
    }

    fn begin(&mut self) {
        let id = match self.dice.roll(IDS as u64 + 1) as i64 {
            IDS => None,
            id => Some(id),
        };
        let fetch = KeepId(self.next());
        keep(&mut self.world, &mut self.feed, id, fetch);
        self.fetches.push(Fetch {
            fetch,
            id,
            answer: None,
        });
    }

    /// The server answers a fetch, with what it has now; the answer is under way.
    fn answer(&mut self) {
        let waiting = self.fetches.iter_mut().find(|it| it.answer.is_none());
        if let Some(fetch) = waiting {
            let ids = fetch.id.map_or(0..IDS, |id| id..id + 1);
            let now = |id: i64| {
                let (number, value) = self.server[id as usize].now();
                (id, number, value)
            };
            fetch.answer = Some(ids.map(now).collect());
        }
    }

    /// An answer arrives, in any order.
    fn arrive(&mut self) {
        if self.fetches.is_empty() {
            return;
        }
        let at = self.dice.roll(self.fetches.len() as u64) as usize;
        let Some(answer) = self.fetches[at].answer.clone() else {
            return;
        };
        let fetch = self.fetches.swap_remove(at).fetch;
        if self.dice.roll(8) == 0 {
            return abandon(&mut self.world, &mut self.feed, fetch);
        }
        let items = answer.iter().map(|(id, number, value)| Answered {
            id: (*id).into(),
            value: value.as_ref().map(|value| value.to_string().into_bytes()),
            whole: true,
            as_of: self.numbered.then_some(*number),
        });
        let items = items.collect();
        let landed = land(&mut self.world, &mut self.feed, fetch, items);
        for ((id, _, value), landed) in answer.iter().zip(landed) {
            if matches!(landed, Landed::Applied | Landed::Unchanged) && value.is_some() {
                self.known[*id as usize] = true;
            }
        }
    }

    fn write(&mut self) {
        if self.overlays.len() < 2 && self.dice.roll(2) == 0 {
            let id = self.dice.roll(IDS as u64) as i64;
            let overlay_id = OverlayId(self.next());
            let change = OverlayChange::Put {
                value: self.object(0).to_string().into_bytes(),
                mode: Mode::Merge,
            };
            overlay(&mut self.world, &mut self.feed, id, overlay_id, change);
            self.overlays.push((id, overlay_id));
        } else {
            self.take_back();
        }
    }

    fn take_back(&mut self) {
        if !self.overlays.is_empty() {
            let at = self.dice.roll(self.overlays.len() as u64) as usize;
            let (id, overlay_id) = self.overlays.swap_remove(at);
            let change = OverlayChange::Rollback;
            overlay(&mut self.world, &mut self.feed, id, overlay_id, change);
        }
    }

    /// The connection is lost, with what was under way, and comes back.
    fn reconnect(&mut self) {
        self.feed.local.lost(self.world.tick());
        for _ in 0..self.dice.roll(4) {
            self.change();
        }
        self.stream.clear();
        self.known.fill(false);
        self.feed.local.opened(self.world.tick());
    }

    fn step(&mut self, losses: bool) {
        match self.dice.roll(20) {
            0..6 => self.change(),
            6..12 => self.deliver(),
            12..14 => self.begin(),
            14..16 => self.answer(),
            16..18 => self.arrive(),
            18 => self.write(),
            _ if losses => self.reconnect(),
            _ => {}
        }
    }

    /// What is shown is what the server had, as of the number that is shown with it.
    fn check(&self, case: &str) {
        if !self.numbered {
            return;
        }
        for id in 0..IDS {
            let slot = self.world.slot("e", id);
            if self.overlays.iter().any(|(of, _)| *of == id) || !is_live(&slot) {
                continue;
            }
            let number = slot.head().sequence.expect("a number");
            let had = &self.server[id as usize].history[number as usize];
            assert_eq!(shown(&slot).as_ref(), had.as_ref(), "{case}, id {id}");
        }
    }

    /// Everything arrives.
    fn quiet(&mut self, losses: bool, case: &str) {
        while !self.stream.is_empty() || !self.fetches.is_empty() || !self.overlays.is_empty() {
            self.deliver();
            self.answer();
            self.arrive();
            self.take_back();
            self.check(case);
        }
        for id in 0..IDS {
            let slot = self.world.slot("e", id);
            let (_, now) = self.server[id as usize].now();
            if slot.head().has_value() && (!losses || is_live(&slot)) {
                assert_eq!(shown(&slot), now, "{case}, id {id}, at the end");
            }
            if !losses && self.known[id as usize] {
                assert!(slot.head().has_value() || now.is_none(), "{case}, id {id}");
            }
        }
        let counters = self.feed.counters.snapshot();
        assert!(counters.balanced(), "{case}: {counters:?}");
    }
}

fn shown(slot: &Slot) -> Option<Json> {
    let has_value = slot.head().has_value();
    has_value.then(|| serde_json::from_str(&value(slot)).expect("JSON"))
}

fn check(numbered: bool, losses: bool) {
    for seed in 0..1_000 {
        let mut run = Run::new(seed, numbered);
        for step in 0..60 {
            run.step(losses);
            run.check(&format!("seed {seed}, step {step}"));
        }
        run.quiet(losses, &format!("seed {seed}"));
    }
}

#[test]
fn d1_with_numbers_every_live_value_is_the_servers_of_its_number() {
    check(true, false);
}

#[test]
fn d1_without_numbers_values_converge() {
    check(false, false);
}

#[test]
fn d3_d4_with_losses_every_live_value_is_the_servers_of_its_number() {
    check(true, true);
}

#[test]
fn d3_d4_with_losses_and_without_numbers_live_values_converge() {
    check(false, true);
}
