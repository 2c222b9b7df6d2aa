//! Readers that misbehave: that stop, panic, are dropped, forget to poll, hold on to everything, or
//! come by the thousands. The writer and everybody else go on as if they were not there, and what
//! is held is what the readers hold themselves.
//!
//! Where it matters the writer is the test's own thread: it could not go on if anything waited.

#![allow(missing_docs, reason = "a test binary")]
#![allow(unsafe_code, reason = "an allocator that counts has to be one")]
#![allow(
    clippy::disallowed_types,
    reason = "the allocator counts what all threads hold"
)]

#[path = "../hostile/counting.rs"]
mod counting;
#[path = "../kit/mod.rs"]
mod kit;
#[path = "../server/mod.rs"]
mod server;

use std::future::Future;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::thread;

use counting::{Meter, alone};
use kit::{BOOK, LONG, open, say, venue, whole};
use tickcache::feed::Envelope;
use tickcache::{Cache, Field, Freshness, LocalFeed, RecordRef, Slot};

/// Two members that belong together, whatever the version.
fn value(n: u64) -> String {
    format!(r#"{{"n":{n},"twice":{},"text":"{n:020}"}}"#, 2 * n)
}

/// What version a record is of, if all of it is of one.
#[track_caller]
fn version(record: RecordRef<'_>) -> u64 {
    let n = record.get("n").u64().expect("a number");
    assert_eq!(record.get("twice").u64(), Ok(2 * n), "of two versions");
    assert_eq!(
        record.get("text").str().as_deref(),
        Ok(&*format!("{n:020}")),
        "of two versions"
    );
    n
}

fn publish(feed: &mut LocalFeed<Envelope>, from: u64, until: u64) {
    for n in from..until {
        say(feed, whole("1", &value(n)));
    }
}

fn slot(cache: &Cache) -> Slot {
    cache.entity(BOOK).slot(1)
}

#[test]
fn a_reader_that_stops_in_its_callback_stops_nobody() {
    let _alone = alone();
    let (cache, mut feed) = open(venue());
    publish(&mut feed, 0, 1);
    let (stopped, all_stopped) = channel();
    let mut threads = Vec::new();
    for which in 0..8 {
        let (slot, stopped) = (slot(&cache), stopped.clone());
        let (go, wait) = channel::<()>();
        let thread = thread::spawn(move || match which % 3 {
            0 => slot.read_all(|view| {
                stopped.send(()).expect("somebody waits");
                wait.recv_timeout(LONG).expect("told to go on");
                version(view.record())
            }),
            1 => {
                let n: [Field; 1] = slot.entity().fields(["n"]).expect("room");
                slot.spin(|reader| {
                    let seen = reader.read(n).even_if_stale()[0].u64();
                    stopped.send(()).expect("somebody waits");
                    wait.recv_timeout(LONG).expect("told to go on");
                    ControlFlow::Break(seen.expect("a number"))
                })
                .expect("a value")
            }
            _ => {
                let mut changes = slot.entity().changes_from_nothing();
                let mut seen = 0;
                changes.poll(|slot| {
                    stopped.send(()).expect("somebody waits");
                    wait.recv_timeout(LONG).expect("told to go on");
                    // Looked at now: the newest.
                    seen = version(slot.snapshot().record().as_ref());
                });
                seen
            }
        });
        threads.push((which % 3, go, thread));
    }
    threads
        .iter()
        .for_each(|_| all_stopped.recv_timeout(LONG).expect("all are inside"));

    let meter = Meter::start();
    let mut watch = slot(&cache).watch();
    publish(&mut feed, 1, 5001);
    assert_eq!(feed.counters().applied, 5001, "every publication was made");
    let tick = watch.wait(LONG).expect("news");
    assert_eq!(version(tick.snapshot().record().as_ref()), 5000);
    drop((tick, watch));
    assert!(meter.growth() < 256 << 10, "{} bytes", meter.growth());

    for (how, go, thread) in threads {
        go.send(()).expect("it waits");
        let seen = thread.join().expect("it goes on");
        // What was shown to a callback stays as it was; what it looks at later is later.
        assert_eq!(seen, if how == 2 { 5000 } else { 0 });
    }
}

#[test]
fn a_reader_that_panics_in_its_callback_leaves_nothing_behind() {
    let _alone = alone();
    let (cache, mut feed) = open(venue());
    publish(&mut feed, 0, 1);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let slot = slot(&cache);
    let panics = |round: u64| {
        let in_read = catch_unwind(AssertUnwindSafe(|| slot.read_all(|_| panic!("in a read"))));
        let inside = catch_unwind(AssertUnwindSafe(|| {
            slot.read_all(|outer| slot.read_all(|_| panic!("{:?}", outer.epoch())))
        }));
        let mut changes = cache.entity(BOOK).changes_from_nothing();
        let in_changes = catch_unwind(AssertUnwindSafe(|| changes.poll(|_| panic!("in a change"))));
        let in_spin = catch_unwind(AssertUnwindSafe(|| {
            slot.spin(|_| -> ControlFlow<()> { panic!("spinning") })
        }));
        let all = in_read.is_err() && inside.is_err() && in_changes.is_err() && in_spin.is_err();
        assert!(all, "round {round}: a panic went nowhere");
        // The same thread reads on, also inside of a read.
        let both = slot.read_all(|outer| {
            (
                version(outer.record()),
                slot.read_all(|inner| version(inner.record())),
            )
        });
        assert_eq!(both, (round, round));
    };
    panics(0);
    let meter = Meter::start();
    for round in 1..500 {
        publish(&mut feed, round, round + 1);
        panics(round);
    }
    std::panic::set_hook(hook);
    assert!(
        meter.growth() < 64 << 10,
        "{} bytes are left behind",
        meter.growth()
    );
    assert_eq!(feed.counters().applied, 500);
    let elsewhere = slot.clone();
    let seen = thread::spawn(move || elsewhere.read_all(|view| version(view.record())));
    assert_eq!(seen.join().expect("no panic"), 499);
}

/// Polls once, as a task that is then cancelled.
fn poll_once<F: Future>(future: F) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(pin!(future).poll(&mut context), Poll::Ready(_))
}

#[test]
fn futures_that_are_dropped_at_every_point_cost_nothing() {
    let _alone = alone();
    let (cache, mut feed) = open(venue());
    publish(&mut feed, 0, 1);
    let slot = slot(&cache);
    let mut kept = slot.watch();
    let mut changes = cache.entity(BOOK).changes();
    assert!(poll_once(kept.changed()), "the first one is there at once");
    let mut round = |n: u64| {
        // Dropped before the first poll, after it, and with the watch itself.
        drop(kept.changed());
        assert!(!poll_once(kept.changed()));
        assert!(!poll_once(kept.changed()), "asked again");
        let mut other = slot.watch();
        assert!(poll_once(other.changed()));
        assert!(!poll_once(other.changed()));
        drop(other);
        assert!(!poll_once(cache.entity(BOOK).slot("never").ready(LONG)));
        drop(cache.entity(BOOK).slot("never").ready(LONG));
        drop(changes.next(|_| {}));
        let _ = poll_once(changes.next(|_| {}));
        let _ = poll_once(changes.next(|_| {}));
        publish(&mut feed, n, n + 1);
        // Nothing was lost by what was dropped.
        assert!(poll_once(kept.changed()), "publication {n} was not seen");
        assert!(
            poll_once(changes.next(|_| {})),
            "publication {n} moved nothing"
        );
    };
    (1..100).for_each(&mut round);
    let meter = Meter::start();
    (100..3000).for_each(&mut round);
    assert!(
        meter.growth() < 64 << 10,
        "{} bytes are left behind",
        meter.growth()
    );
}

#[test]
fn a_watch_that_was_cancelled_is_woken_when_it_waits_again() {
    let _alone = alone();
    let (cache, mut feed) = open(venue());
    publish(&mut feed, 0, 1);
    let mut watch = slot(&cache).watch();
    let (seen, told) = channel();
    let reader = thread::spawn(move || {
        let mut last = 0;
        while last < 200 {
            // Given up again and again, in every state.
            for _ in 0..3 {
                let _ = poll_once(async { drop(watch.changed()) });
            }
            let tick = watch.wait(LONG).expect("news");
            last = version(tick.snapshot().record().as_ref());
            seen.send(last).expect("somebody listens");
        }
    });
    assert_eq!(told.recv_timeout(LONG), Ok(0));
    for n in 1..=200 {
        publish(&mut feed, n, n + 1);
        assert_eq!(told.recv_timeout(LONG), Ok(n), "it was woken for each");
    }
    reader.join().expect("no panic");
}

#[test]
fn thousands_who_forget_to_poll_cost_the_writer_nothing_more() {
    const WATCHES: usize = 5000;
    let _alone = alone();
    let (cache, mut feed) = open(venue());
    publish(&mut feed, 0, 1);
    let slot = slot(&cache);
    let mut idle: Vec<_> = (0..WATCHES).map(|_| slot.watch()).collect();
    for watch in &mut idle {
        assert!(poll_once(watch.changed()));
        // Registered, and never polled again.
        assert!(!poll_once(watch.changed()));
    }
    let mut lists: Vec<_> = (0..100).map(|_| cache.entity(BOOK).changes()).collect();
    let handles: Vec<_> = (0..WATCHES)
        .map(|_| (slot.clone(), slot.reader()))
        .collect();
    for _ in 0..100 {
        // Not even dropped.
        let mut leaked = slot.watch();
        let _ = poll_once(leaked.changed());
        std::mem::forget(leaked);
    }
    // Those who sleep are woken by the first; from then on nobody is there to wake.
    publish(&mut feed, 1, 100);
    let mut busy = slot.watch();
    assert_eq!(
        version(busy.wait(LONG).expect("news").snapshot().record().as_ref()),
        99
    );
    let meter = Meter::start();
    publish(&mut feed, 100, 5100);
    let grown = meter.growth();
    assert!(grown < 64 << 10, "{grown} bytes for 5,000 messages");
    assert_eq!(feed.counters().applied, 5100);
    // Whoever remembers finds the newest, once.
    for watch in &mut idle {
        let tick = watch.take().expect("news");
        assert_eq!(version(tick.snapshot().record().as_ref()), 5099);
        assert!(watch.take().is_none());
    }
    for changes in &mut lists {
        let mut moved = 0;
        changes.poll(|_| moved += 1);
        assert_eq!(moved, 1, "a slot that moved is listed once");
    }
    drop(handles);
}

#[test]
fn snapshots_that_are_held_keep_their_version_and_nothing_else() {
    const HELD: u64 = 2000;
    let _alone = alone();
    let (cache, mut feed) = open(venue());
    publish(&mut feed, 0, 100);
    let slot = slot(&cache);
    let meter = Meter::start();
    let mut held = Vec::new();
    for n in 100..100 + HELD {
        publish(&mut feed, n, n + 1);
        // Many who ask for one version share it.
        held.push([slot.snapshot(), slot.snapshot(), slot.snapshot()]);
    }
    let each = meter.growth() / HELD as usize;
    assert!(each < 1024, "{each} bytes for a version of 60");
    publish(&mut feed, 100 + HELD, 5000);
    let after = meter.growth() / HELD as usize;
    assert!(
        after < 1024,
        "those who hold are not charged for what comes later: {after}"
    );
    for (n, snapshots) in (100..).zip(&held) {
        for snapshot in snapshots {
            assert_eq!(version(snapshot.record().as_ref()), n);
        }
    }
    drop(held);
    assert!(
        meter.growth() < 64 << 10,
        "{} bytes are left behind",
        meter.growth()
    );
}

/// Readers come and go with the cache that they read, in any order.
#[test]
fn readers_that_outlive_the_writer_are_told() {
    let _alone = alone();
    let (cache, mut feed) = open(venue());
    publish(&mut feed, 0, 1);
    let slot = slot(&cache);
    let (mut watch, snapshot) = (slot.watch(), slot.snapshot());
    assert!(watch.wait(LONG).is_ok());
    let sleeper = thread::spawn(move || {
        while watch.wait(LONG).is_ok() {}
        watch
    });
    drop(feed);
    cache.close_blocking(LONG).expect("nobody holds it up");
    let mut watch = sleeper.join().expect("it was woken");
    assert!(poll_once(watch.changed()));
    assert_eq!(version(snapshot.record().as_ref()), 0);
    assert!(matches!(slot.freshness(), Freshness::Stale(_)));
    assert_eq!(slot.read_all(|view| version(view.record())), 0);
}

/// The same through a socket and a thread of its own: a reader inside its callback all the while.
#[cfg(feature = "net")]
mod streamed {
    use super::*;
    use crate::server::{Server, event};
    use tickcache::Feed;

    #[test]
    fn a_feed_goes_on_while_readers_are_stopped() {
        const MESSAGES: u64 = 20_000;
        let _alone = alone();
        let (go, told) = channel::<()>();
        let server = Server::start(move |mut connection| {
            connection = connection.say(&event(0));
            let _ = told.recv_timeout(LONG);
            for n in 1..=MESSAGES {
                connection = connection.say(&event(n));
            }
            connection.until_gone()
        });
        let cache = Cache::builder().build().expect("a cache");
        let feed = Feed::events().whole().entities(["job"]).url(&server.url());
        let attached = cache.attach(feed).expect("attached");
        let slot = cache.entity("job").slot(1);
        slot.wait_ready(LONG).expect("the first value");
        let (stopped, all_stopped) = channel();
        let mut waiting = Vec::new();
        for _ in 0..4 {
            let (slot, stopped) = (slot.clone(), stopped.clone());
            let (end, wait) = channel::<()>();
            let thread = thread::spawn(move || {
                slot.read_all(|view| {
                    stopped.send(()).expect("somebody waits");
                    wait.recv_timeout(LONG).expect("told to go on");
                    view.record().get("n").u64()
                })
            });
            all_stopped.recv_timeout(LONG).expect("it is inside");
            waiting.push((end, thread));
        }
        go.send(()).expect("the server waits");
        let mut watch = slot.watch();
        while watch
            .wait(LONG)
            .expect("news")
            .snapshot()
            .record()
            .get("n")
            .u64()
            != Ok(MESSAGES)
        {}
        let counters = attached.counters();
        assert_eq!(
            (counters.applied, counters.messages),
            (MESSAGES + 1, MESSAGES + 1)
        );
        for (end, thread) in waiting {
            end.send(()).expect("it waits");
            assert_eq!(thread.join().expect("no panic"), Ok(0));
        }
        cache.close_blocking(LONG).expect("every thread ends");
    }
}
