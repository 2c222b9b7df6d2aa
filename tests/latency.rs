//! Latencies as a user reads them: every way of waiting is measured, in every mode of the feed's
//! thread, over a real socket; and what is not measured is empty.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a test is run by no model"
)]

mod kit;
mod server;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use kit::LONG;
use server::{Server, event};
use tickcache::cache::Field;
use tickcache::feed::{Backoff, Missing};
use tickcache::{Cache, Feed, Latencies, Slot, Waiting};

/// Enough for a hundred samples.
const MOST: u64 = 17 * 100;

/// Somebody who waits for the slot, and the last value that it has seen.
struct Waiter {
    seen: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Waiter {
    fn start(slot: &Slot, field: Field, wait: impl FnOnce(Slot, Note) + Send + 'static) -> Self {
        let seen = Arc::new(AtomicU64::new(0));
        let note = Note(Arc::clone(&seen), field);
        let slot = slot.clone();
        let thread = std::thread::spawn(move || wait(slot, note));
        Self { seen, thread }
    }
}

struct Note(Arc<AtomicU64>, Field);

impl Note {
    fn look(&self, slot: &Slot) {
        let [n] = slot.read([self.1]).even_if_stale();
        self.0.store(n.u64().unwrap_or(0), Ordering::Release);
    }
}

fn spins(slot: Slot, note: Note) {
    let end = slot.spin(|reader| {
        note.look(reader.slot());
        ControlFlow::<()>::Continue(())
    });
    end.expect_err("the cache is closed");
}

fn blocks(slot: Slot, note: Note) {
    let mut watch = slot.watch();
    while watch.wait(LONG).is_ok() {
        note.look(&slot);
    }
}

fn awaits(slot: Slot, note: Note) {
    let mut watch = slot.watch();
    pollster::block_on(async {
        while watch.changed().await.is_ok() {
            note.look(&slot);
        }
    });
}

/// From nothing: the first message may be there before the thread is.
fn blocks_on_the_entity(slot: Slot, note: Note) {
    let mut changes = slot.entity().changes_from_nothing();
    while changes.wait(LONG, |slot| note.look(slot)).is_ok() {}
}

fn awaits_the_entity(slot: Slot, note: Note) {
    let mut changes = slot.entity().changes_from_nothing();
    pollster::block_on(async { while changes.next(|slot| note.look(slot)).await.is_ok() {} });
}

/// A server that sends a message whenever it is told to.
fn server() -> (Server, Sender<u64>) {
    let (orders, ordered): (_, Receiver<u64>) = channel();
    let ordered = std::sync::Mutex::new(ordered);
    let server = Server::start(move |mut connection| {
        let ordered = ordered.lock().expect("one connection at a time");
        while let Ok(n) = ordered.recv() {
            connection = connection.say(&event(n));
        }
        connection.drop_it()
    });
    (server, orders)
}

/// Sends one message after another, each when `waiter` has seen the one before, until `is_enough`.
#[track_caller]
fn check(
    waiting: Waiting,
    wait: impl FnOnce(Slot, Note) + Send + 'static,
    is_enough: impl Fn(&Latencies) -> bool,
) -> Latencies {
    let (server, orders) = server();
    let cache = Cache::builder().build().expect("a cache");
    let feed = Feed::events().url(&server.url()).missing(Missing::Insert);
    let feed = feed
        .waiting(waiting)
        .backoff(Backoff::fixed(std::time::Duration::from_millis(1)));
    let feed = cache.attach(feed).expect("attached");
    let entity = cache.entity("job");
    let [field] = entity.fields(["n"]).expect("room");
    let waiter = Waiter::start(&entity.slot(1), field, wait);
    for n in 1..=MOST {
        let before = Instant::now();
        orders.send(n).expect("the server runs");
        while waiter.seen.load(Ordering::Acquire) < n {
            std::thread::yield_now();
        }
        let span = before.elapsed();
        let latencies = feed.latencies();
        if is_enough(&latencies) {
            // The first sample is of this message: begun after it was sent, seen before now.
            let of = [
                &latencies.spinning,
                &latencies.blocking,
                &latencies.asynchronous,
            ];
            let longest = of.iter().filter_map(|latency| latency.max()).max();
            assert!(longest <= Some(span), "{longest:?} of {span:?}");
            break;
        }
    }
    let latencies = feed.latencies();
    assert!(is_enough(&latencies), "{latencies:?}");
    assert!(latencies.first_visible.count() > 0, "{latencies:?}");
    let of_all = cache.latencies();
    assert_eq!(of_all.len(), 1);
    assert_eq!(of_all[0].0, "events");
    drop(orders);
    cache.close_blocking(LONG).expect("it ends");
    waiter.thread.join().expect("the waiter ends");
    latencies
}

const MODES: [Waiting; 3] = [Waiting::Block, Waiting::SPIN_THEN_PARK, Waiting::BusyPoll];

#[test]
fn a_spinning_reader_is_timed() {
    for waiting in MODES {
        let seen = check(waiting, spins, |seen| seen.spinning.count() > 0);
        assert_eq!(seen.blocking.count() + seen.asynchronous.count(), 0);
    }
}

#[test]
fn a_thread_that_sleeps_is_timed() {
    for waiting in MODES {
        let seen = check(waiting, blocks, |seen| seen.blocking.count() > 0);
        assert_eq!(seen.spinning.count() + seen.asynchronous.count(), 0);
    }
}

#[test]
fn a_task_that_sleeps_is_timed() {
    for waiting in MODES {
        let seen = check(waiting, awaits, |seen| seen.asynchronous.count() > 0);
        assert_eq!(seen.spinning.count() + seen.blocking.count(), 0);
    }
}

#[test]
fn whoever_follows_an_entity_is_timed() {
    check(Waiting::Block, blocks_on_the_entity, |seen| {
        seen.blocking.count() > 0
    });
    check(Waiting::Block, awaits_the_entity, |seen| {
        seen.asynchronous.count() > 0
    });
}

#[test]
fn a_feed_without_a_thread_measures_nothing() {
    let (cache, mut feed) = kit::open(Feed::events().whole());
    kit::say(&mut feed, event(1));
    for (name, latencies) in cache.latencies() {
        assert_eq!(latencies, Latencies::default(), "{name}");
    }
}
