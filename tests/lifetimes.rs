//! Caches and connections that come and go leave nothing behind: what a process holds after hundreds
//! of them is what it held after some.

#![cfg(feature = "net")]
#![allow(missing_docs, reason = "a test binary")]
#![allow(unsafe_code, reason = "an allocator that counts has to be one")]
#![allow(
    clippy::disallowed_types,
    reason = "the allocator counts what all threads hold"
)]

#[path = "hostile/counting.rs"]
mod counting;
mod server;

use std::time::Duration;

use counting::{Meter, alone};
use server::{Server, event};
use tickcache::feed::{Backoff, Missing};
use tickcache::{Cache, Feed};

/// Longer than anything takes: reached only by what would never have come.
const LONG: Duration = Duration::from_secs(60);

/// What a life is repeated until everything has been made that the process makes once.
const FIRST: usize = 30;
const THEN: usize = 400;

/// What comes and goes by itself in the process: a thread that ends late, a table that has grown.
const BESIDE: usize = 16 << 10;

#[track_caller]
fn nothing_is_left_of(what: &str, mut life: impl FnMut()) {
    let _alone = alone();
    (0..FIRST).for_each(|_| life());
    let meter = Meter::start();
    (0..THEN).for_each(|_| life());
    let left = meter.growth();
    eprintln!("{what}: {} B each", left as f64 / THEN as f64);
    assert!(left < BESIDE, "{what}: {THEN} of them left {left} B");
}

#[test]
fn a_cache_without_feeds() {
    nothing_is_left_of("a cache", || {
        let cache = Cache::builder().build().expect("a cache");
        let _slot = cache.entity("job").slot(1);
        cache.close_blocking(LONG).expect("every thread ends");
    });
}

#[test]
fn a_cache_that_is_fed_by_hand() {
    nothing_is_left_of("a local feed", || {
        let cache = Cache::builder().build().expect("a cache");
        let feed = Feed::events()
            .whole()
            .missing(Missing::Insert)
            .entities(["job"]);
        let mut feed = cache.local(feed).expect("a feed");
        feed.open();
        let mut watch = cache.entity("job").slot(1).watch();
        feed.batch()
            .message(&mut event(1).into_bytes())
            .expect("taken");
        let _ = watch.wait(LONG).expect("news");
        cache.close_blocking(LONG).expect("every thread ends");
    });
}

#[test]
fn a_cache_with_a_connection() {
    let server = Server::start(|connection| connection.say(&event(1)).until_gone());
    nothing_is_left_of("a connection", || {
        let cache = Cache::builder().build().expect("a cache");
        let feed = Feed::events()
            .whole()
            .missing(Missing::Insert)
            .entities(["job"])
            .url(&server.url());
        let mut watch = cache.entity("job").slot(1).watch();
        let feed = cache.attach(feed).expect("attached");
        let _ = watch.wait(LONG).expect("news");
        cache.close_blocking(LONG).expect("every thread ends");
        assert!(feed.counters().balanced());
    });
}

#[test]
fn a_server_that_flaps_for_long_makes_nothing_grow() {
    let _alone = alone();
    // Says something, leaves a frame half said, and goes: again and again.
    let server = Server::start(|connection| {
        let number = connection.number;
        connection
            .say(&event(number))
            .bytes(&[0x81, 100, b'{'])
            .drop_it()
    });
    let cache = Cache::builder().build().expect("a cache");
    let mut watch = cache.entity("job").slot(1).watch();
    let feed = Feed::events()
        .whole()
        .missing(Missing::Insert)
        .entities(["job"])
        .url(&server.url())
        .backoff(Backoff::fixed(Duration::from_millis(1)));
    let feed = cache.attach(feed).expect("attached");
    let mut last = 0;
    let mut play = |opens: u64| {
        while feed.counters().opens < opens {
            let tick = watch.wait(LONG).expect("news");
            let number = tick.snapshot().record().get("n").u64().unwrap_or_default();
            assert!(number >= last, "never back");
            last = number;
        }
    };
    play(100);
    let meter = Meter::start();
    play(600);
    // 500 connections that each left as much as a read buffer behind would hold 32 MiB.
    let left = meter.growth();
    assert!(left < 1 << 20, "500 connections left {left} B");
    cache.close_blocking(LONG).expect("every thread ends");
    let counters = feed.counters();
    assert!(counters.balanced(), "{counters:?}");
    assert_eq!(counters.reconnects + 1, counters.opens);
}
