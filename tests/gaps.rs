//! What follows a gap is never read as live, whichever way it is read and whenever the reader looks.
//!
//! A gap of a connection is marked before the message after it is published. Who compares a value with
//! what was marked before the value was copied takes a value with a hole for a whole one.

#![allow(
    clippy::disallowed_types,
    reason = "the rules are the library's: a test is run by no model"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde::Deserialize;
use tickcache::feed::{Claims, Class, Covers, Outbox, Protocol, Refusal, Sink, Update};
use tickcache::json::Message;
use tickcache::{Cache, Feed, Slot};

/// How often a message is lost.
const GAPS: u64 = 30_000;

/// Messages that are counted over the whole connection.
#[derive(Debug)]
struct Counted;

impl Protocol for Counted {
    fn name(&self) -> &str {
        "counted"
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: vec!["e".into()],
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        _out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let root = message.root();
        let number = root.get("c").and_then(|number| number.u64());
        sink.advance(number.ok_or(Refusal::BadSequence)?)?;
        let update = match root.get("whole").and_then(|whole| whole.bool()) {
            Some(true) => Update::whole(),
            _ => Update::patch(),
        };
        let entity = sink.entity("e")?;
        let value = root.get("v").ok_or(Refusal::NoPayload)?;
        sink.patch(entity, 1.into(), update, value)?;
        Ok(Class::Data)
    }
}

/// Two numbers that are the same in every value that the source has.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Pair {
    a: u64,
    b: u64,
}

/// Gaps, while somebody reads in this way.
fn check(live: impl Fn(&Cache, &Slot) -> Option<Pair> + Send + 'static) {
    let cache = Cache::builder().build().expect("a cache");
    let feed = Feed::custom(Counted);
    let mut feed = cache.local(feed).expect("nobody owns anything");
    let stop = Arc::new(AtomicBool::new(false));
    let (reading, stopping) = (cache.clone(), Arc::clone(&stop));
    let reader = thread::spawn(move || {
        let slot = reading.entity("e").slot(1);
        let mut wrong = 0;
        while !stopping.load(Ordering::Relaxed) {
            let pair = live(&reading, &slot);
            wrong += u64::from(pair.is_some_and(|pair| pair.a != pair.b));
        }
        wrong
    });
    for round in 0..GAPS {
        feed.open();
        let whole = format!(r#"{{"c":1,"whole":true,"v":{{"a":{round},"b":{round}}}}}"#);
        feed.message(&mut whole.into_bytes()).expect("taken");
        // The second message, which had `a`, is lost.
        let patch = format!(r#"{{"c":3,"v":{{"b":{}}}}}"#, round + 1);
        feed.message(&mut patch.into_bytes()).expect("taken");
    }
    stop.store(true, Ordering::Relaxed);
    assert_eq!(feed.counters().gaps, GAPS);
    assert_eq!(reader.join().expect("the reader"), 0, "live, with a hole");
}

fn pair([a, b]: [tickcache::record::Value; 2]) -> Option<Pair> {
    Some(Pair {
        a: a.u64().ok()?,
        b: b.u64().ok()?,
    })
}

#[test]
fn live_fields_have_no_hole() {
    check(|_, slot| {
        let fields = slot.entity().fields(["a", "b"]).expect("room");
        pair(slot.live(fields).ok()?)
    });
}

#[test]
fn fields_that_are_judged_later_have_no_hole() {
    check(|_, slot| {
        let fields = slot.entity().fields(["a", "b"]).expect("room");
        let reading = slot.read(fields);
        let is_live = reading.freshness().is_live();
        pair(reading.even_if_stale()).filter(|_| is_live)
    });
}

#[test]
fn live_snapshots_have_no_hole() {
    check(|_, slot| {
        let snapshot = slot.snapshot();
        let is_live = snapshot.freshness().is_live();
        snapshot.deserialize().ok().filter(|_| is_live)
    });
}

#[test]
fn live_views_have_no_hole() {
    check(|_, slot| {
        slot.read_all(|view| {
            let value = view.record().deserialize().ok();
            value.filter(|_| view.freshness().is_live())
        })
    });
}

#[test]
fn live_fields_by_id_have_no_hole() {
    check(|_, slot| {
        let fields = slot.entity().fields(["a", "b"]).expect("room");
        pair(slot.entity().live(1, fields).ok()?)
    });
}

#[test]
fn a_cut_that_is_live_has_no_hole() {
    check(|cache, slot| {
        let cut = cache.cut([slot]).ok()?;
        let is_live = cut.freshness().all(|freshness| freshness.is_live());
        let value = cut.records().next()?.deserialize().ok();
        value.filter(|_| is_live)
    });
}
