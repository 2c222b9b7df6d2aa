//! Caches that come and go leave nothing behind: what a process holds after a hundred of them is
//! what it held after ten.

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
            .missing(tickcache::feed::Missing::Insert)
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
            .missing(tickcache::feed::Missing::Insert)
            .entities(["job"])
            .url(&server.url());
        let mut watch = cache.entity("job").slot(1).watch();
        let feed = cache.attach(feed).expect("attached");
        let _ = watch.wait(LONG).expect("news");
        cache.close_blocking(LONG).expect("every thread ends");
        assert!(feed.counters().balanced());
    });
}
