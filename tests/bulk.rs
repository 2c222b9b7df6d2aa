//! Long messages over a real socket: what comes behind them is there before them, and nothing of
//! their feed waits. Orders of effects are asserted, never times: a gate holds the thread up that
//! takes them apart.

#![allow(
    clippy::disallowed_methods,
    reason = "a bound on waiting reads the clock"
)]

#[path = "bulk/capture.rs"]
mod capture;
mod kit;
mod server;

use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use kit::LONG;
use server::Server;
use tickcache::feed::{
    Address, Claims, Class, Control, Covers, Lost, Outbox, Protocol, Refusal, Sink, Update,
};
use tickcache::json::Message;
use tickcache::{Cache, CounterValues, Feed, FeedEnd, FeedRef, Freshness, Restart, Slot};
use tungstenite::Message as Frame;

/// Closed, it holds up who takes a long message apart.
#[derive(Clone, Debug, Default)]
struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    /// How many have come to it.
    arrived: usize,
}

impl Gate {
    fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().expect("no panic");
        state.arrived += 1;
        changed.notify_all();
        let _open = changed
            .wait_timeout_while(state, LONG, |state| !state.open)
            .expect("no panic");
    }

    fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().expect("no panic").open = true;
        changed.notify_all();
    }

    fn wait_for(&self, arrived: usize) {
        let (state, changed) = &*self.0;
        let state = state.lock().expect("no panic");
        let (state, _) = changed
            .wait_timeout_while(state, LONG, |state| state.arrived < arrived)
            .expect("no panic");
        assert!(state.arrived >= arrived, "nobody takes it apart");
    }
}

/// `[{"id":..,"n":..}, ..]`, whole values of `job`; with a first element `{"say":..}` something else.
#[derive(Clone, Debug)]
struct Script {
    url: String,
    gate: Gate,
}

impl Protocol for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: vec!["job".into()],
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn address(&self, _: &[&tickcache::feed::Subscription]) -> Option<Address> {
        Some(Address {
            url: self.url.clone(),
            carries: 0,
        })
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let entity = sink.entity("job")?;
        let mut class = Class::Data;
        for element in message.root().elements() {
            if element.get("long").is_some() {
                self.gate.pass();
                continue;
            }
            match element.get("say").and_then(|say| say.str()) {
                Some("hello") => {
                    out.push("hello")?;
                    class = Class::Control(Control::Notice);
                }
                Some("depth") => class = Class::Unmapped("depth"),
                Some("wrong") => return Err(Refusal::Shape),
                Some(_) => panic!("as it was told"),
                None => {
                    let id = element.get("id").and_then(|id| id.id().ok().flatten());
                    let id = id.ok_or(Refusal::NoId)?;
                    sink.patch(entity, id, Update::whole(), element)?;
                }
            }
        }
        Ok(class)
    }
}

/// What a snapshot of a venue's books may have.
const FIVE_MEGABYTES: usize = 5_000_000;

/// A long message with values for `ids`.
fn long(ids: std::ops::Range<usize>, n: u64) -> String {
    of_bytes(400_000, ids, n)
}

fn of_bytes(bytes: usize, ids: std::ops::Range<usize>, n: u64) -> String {
    let filler = "x".repeat(bytes / ids.len().max(1));
    let items = ids.map(|id| format!(r#",{{"id":{id},"n":{n},"filler":"{filler}"}}"#));
    format!(r#"[{{"long":1}}{}]"#, items.collect::<String>())
}

/// A long message that says only this.
fn long_saying(what: &str) -> String {
    let filler = "x".repeat(400_000);
    format!(r#"[{{"long":"{filler}"}},{{"say":"{what}"}}]"#)
}

fn short(id: usize, n: u64) -> String {
    format!(r#"[{{"id":{id},"n":{n}}}]"#)
}

/// Waits until the feed has counted what is wanted. Nothing tells of counters: they are looked at.
fn counted(feed: &FeedRef, what: impl Fn(&CounterValues) -> bool) {
    let begun = Instant::now();
    while !what(&feed.counters()) {
        assert!(begun.elapsed() < LONG, "{:?}", feed.counters());
        std::thread::yield_now();
    }
}

struct Scene {
    cache: Cache,
    feed: FeedRef,
    gate: Gate,
    /// Held, so that it serves on.
    _server: Server,
}

impl Scene {
    /// The first connection says these, one after the other, and stays; later ones say nothing.
    fn new(texts: Vec<String>, change: impl FnOnce(Feed<Script>) -> Feed<Script>) -> Self {
        let server = Server::start(move |connection| {
            if connection.number > 1 {
                return connection.hold();
            }
            let connection = texts
                .iter()
                .fold(connection, |connection, text| connection.say(text));
            connection.hold()
        });
        Self::on(server, change)
    }

    fn on(server: Server, change: impl FnOnce(Feed<Script>) -> Feed<Script>) -> Self {
        let gate = Gate::default();
        let script = Script {
            url: server.url(),
            gate: gate.clone(),
        };
        let feed = Feed::custom(script).settings(|settings| {
            settings.close_timeout = std::time::Duration::from_millis(10);
            // A wake-up that is lost is not made good by a timer.
            settings.dead_after = std::time::Duration::MAX;
        });
        let cache = Cache::builder().build().expect("a cache");
        let feed = cache.attach(change(feed)).expect("attached");
        Self {
            cache,
            feed,
            gate,
            _server: server,
        }
    }

    fn slot(&self, id: usize) -> Slot {
        self.cache.entity("job").slot(id as i64)
    }

    #[track_caller]
    fn until(&self, id: usize, n: u64) {
        let mut watch = self.slot(id).watch();
        while self.n(id) != Some(n) {
            watch.wait(LONG).expect("news");
        }
    }

    fn n(&self, id: usize) -> Option<u64> {
        self.slot(id).snapshot().record().get("n").u64().ok()
    }

    fn counted(&self, what: impl Fn(&CounterValues) -> bool) {
        counted(&self.feed, what);
    }
}

#[test]
fn short_messages_behind_a_long_one_are_there_before_it() {
    let scene = Scene::new(
        vec![
            short(1, 1),
            of_bytes(FIVE_MEGABYTES, 0..1_000, 2),
            short(1, 3),
            short(2_000, 3),
        ],
        |feed| feed,
    );
    scene.until(2_000, 3);
    scene.gate.wait_for(1);
    assert_eq!(scene.n(1), Some(3));
    assert_eq!(scene.n(2), None, "nobody has taken the long one apart");
    let counted = scene.feed.counters();
    assert_eq!((counted.messages, counted.bulk), (3, 0));
    assert!(counted.bulk_bytes > 5_000_000);
    // A command about a value comes after it; what others see of the feed goes on.
    let set = scene.slot(3).set(&serde_json::json!({"n": 9}));
    let set = set.expect("it is JSON");
    assert!(scene.slot(1).freshness().is_live());
    scene.gate.open();
    scene.until(999, 2);
    set.wait(LONG).expect("carried out");
    assert_eq!(scene.n(3), Some(9), "after the long one");
    assert_eq!(scene.n(1), Some(3), "which came before what overtook it");
    assert_eq!(scene.slot(500).freshness(), Freshness::Live);
    scene.counted(|counted| counted.bulk == 1 && counted.balanced());
    let counted = scene.feed.counters();
    assert_eq!(
        (counted.messages, counted.data, counted.bulk_bytes),
        (4, 4, 0)
    );
}

#[test]
fn answers_pings_and_counts_are_those_of_any_message() {
    let server = Server::start(|mut connection| {
        for what in ["hello", "depth", "wrong"] {
            connection = connection.say(&long_saying(what));
        }
        // The pong comes although nobody has taken anything apart: the gate is opened by it.
        let _ = connection.socket.send(Frame::Ping(vec![7].into()));
        let mut heard = Vec::new();
        while heard.len() < 2 {
            match connection.socket.read() {
                Ok(Frame::Pong(_)) => {
                    heard.push("pong".to_owned());
                    connection = connection.say(&short(1, 1));
                }
                Ok(Frame::Text(text)) => heard.push(text.to_string()),
                Ok(_) => {}
                Err(_) => return server::End::Dropped,
            }
        }
        assert_eq!(heard, ["pong", "hello"]);
        connection.say(&short(1, 2)).hold()
    });
    let scene = Scene::on(server, |feed| feed);
    scene.until(1, 1);
    assert_eq!(scene.feed.counters().messages, 1);
    scene.gate.open();
    scene.until(1, 2);
    scene.counted(|counted| counted.bulk == 3 && counted.balanced());
    let counted = scene.feed.counters();
    assert_eq!(
        (counted.control, counted.unmapped, counted.refused),
        (1, 1, 1)
    );
    assert_eq!(counted.refused_by, [(Refusal::Shape, 1)]);
    assert_eq!(counted.unmapped_by, [("depth".into(), 1)]);
}

#[test]
fn what_was_received_whole_lands_after_the_connection_is_lost_and_is_not_live() {
    let server = Server::start(|connection| {
        if connection.number > 1 {
            return connection.say(&short(2_000, 1)).hold();
        }
        connection
            .say(&long(0..100, 2))
            .say(&short(3_000, 1))
            .drop_it()
    });
    let scene = Scene::on(server, |feed| {
        feed.backoff(tickcache::Backoff::fixed(std::time::Duration::from_millis(
            1,
        )))
    });
    scene.until(2_000, 1);
    scene.gate.open();
    scene.until(99, 2);
    assert!(!scene.slot(99).freshness().is_live());
    assert!(scene.slot(2_000).freshness().is_live());
    assert_eq!(scene.feed.state().last_loss, Some(Lost::Ended));
}

#[test]
fn a_bound_on_what_is_on_its_way_stops_the_reading_and_nothing_is_lost() {
    let texts = (0..8)
        .flat_map(|n| [long(0..10, n), short(2_000, n)])
        .collect();
    let scene = Scene::new(texts, |feed| {
        feed.settings(|settings| settings.limits.max_message = 450_000)
    });
    scene.counted(|counted| counted.bulk_waits == 1);
    scene.gate.wait_for(1);
    let counted = scene.feed.counters();
    assert!(counted.bulk_bytes <= 2 * 450_000, "{counted:?}");
    scene.gate.open();
    scene.until(2_000, 7);
    scene.until(9, 7);
    scene.counted(|counted| counted.bulk == 8 && counted.balanced());
    assert_eq!(scene.feed.counters().messages, 16);
}

#[test]
fn a_panic_on_the_other_thread_ends_the_feed_as_its_own_would() {
    let scene = Scene::new(vec![long_saying("panic")], |feed| feed);
    scene.gate.open();
    let end = scene.feed.wait_finished(LONG).expect("it ends");
    assert_eq!(end, FeedEnd::Panicked("as it was told".into()));
    let counted = scene.feed.counters();
    assert!(counted.balanced());
    assert_eq!(counted.refused_by, [(Refusal::Ended, 1)]);
}

#[test]
fn a_feed_that_is_restarted_goes_on_after_such_a_panic() {
    let server = Server::start(|connection| {
        let text = match connection.number {
            1 => long_saying("panic"),
            _ => long(0..10, 5),
        };
        connection.say(&text).hold()
    });
    let scene = Scene::on(server, |feed| {
        let at_once = tickcache::Backoff::fixed(std::time::Duration::from_millis(1));
        feed.restart(Restart::Always(at_once))
    });
    scene.gate.open();
    scene.until(9, 5);
    assert_eq!(scene.feed.state().restarts, 1);
}

#[test]
fn a_feed_can_be_stopped_while_one_is_on_its_way() {
    let scene = Scene::new(vec![long(0..10, 1), short(2_000, 1)], |feed| feed);
    scene.until(2_000, 1);
    scene.gate.wait_for(1);
    drop(scene.feed.stop());
    let end = scene.feed.wait_finished(LONG).expect("it ends");
    assert_eq!(end, FeedEnd::Stopped);
    let counted = scene.feed.counters();
    assert!(counted.balanced());
    assert_eq!(counted.refused_by, [(Refusal::Ended, 1)]);
    scene.gate.open();
    assert_eq!(scene.n(9), None);
}

#[test]
fn switched_off_they_are_taken_where_they_come() {
    let scene = Scene::new(vec![long(0..10, 1), short(2_000, 1)], |feed| {
        feed.settings(|settings| settings.bulk_above = usize::MAX)
    });
    scene.gate.wait_for(1);
    assert_eq!(scene.n(2_000), None);
    scene.gate.open();
    scene.until(2_000, 1);
    assert_eq!(scene.n(9), Some(1));
    assert_eq!(scene.feed.counters().bulk, 0);
}

/// A reader sees nothing that the source did not have, in its order.
#[test]
fn a_watcher_sees_values_in_the_order_of_the_source() {
    let scene = Scene::new(
        vec![short(1, 1), long(0..10, 2), short(1, 3), short(1, 4)],
        |feed| feed,
    );
    scene.until(1, 4);
    let mut watch = scene.slot(1).watch();
    let mut last = 0;
    scene.gate.open();
    scene.until(9, 2);
    while let Some(tick) = watch.take() {
        let n = tick.snapshot().record().get("n").u64().expect("a number");
        assert!(n >= last, "{n} after {last}");
        last = n;
    }
    assert_eq!(scene.n(1), Some(4));
}

#[test]
fn what_was_received_whole_is_shown_before_the_feed_ends() {
    let scene = Scene::new(vec![long(0..10, 1), short(2_000, 1)], |feed| feed);
    scene.until(2_000, 1);
    scene.gate.wait_for(1);
    drop(scene.feed.stop());
    scene.gate.open();
    let end = scene.feed.wait_finished(LONG).expect("it ends");
    assert_eq!(end, FeedEnd::Stopped);
    let counted = scene.feed.counters();
    assert!(counted.balanced());
    assert_eq!(counted.refused_by, []);
    assert_eq!(scene.n(9), Some(1));
}
