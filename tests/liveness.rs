//! Which values are `Silent`, since when, and what is no sign of life of them: by a virtual clock.

mod kit;

use std::time::Duration;

use kit::venue;
use tickcache::testing::TestFeed;
use tickcache::{Cache, Feed, Freshness, Protocol, Reasons, Slot};

const SECOND: Duration = Duration::from_secs(1);
const SILENT: Freshness = Freshness::Stale(Reasons::SILENT);
const LIVE: Freshness = Freshness::Live;

#[track_caller]
fn take<P: Protocol>(feed: &mut TestFeed<P>, text: &str) {
    let taken = feed.message(text);
    assert_eq!(taken, Ok(()), "{text}");
}

fn whole(entity: &str, n: u32) -> String {
    format!(r#"{{"k":"whole","e":"{entity}","i":1,"v":{{"n":{n}}}}}"#)
}

/// A value of each entity of the venue, both there.
fn begun<P: Protocol>(feed: Feed<P>) -> (Cache, TestFeed<P>, Slot, Slot) {
    let (cache, mut feed) = TestFeed::new(feed);
    take(&mut feed, &whole("book", 1));
    take(&mut feed, &whole("trade", 1));
    let slot = |entity| cache.entity(entity).slot(1);
    let (book, trade) = (slot("venue.book"), slot("venue.trade"));
    (cache, feed, book, trade)
}

#[test]
fn an_entity_is_silent_alone_and_until_something_comes_for_it() {
    let watched = venue().entity_silent_after("book", 5 * SECOND);
    let (_cache, mut feed, book, trade) = begun(watched);
    feed.advance(4 * SECOND);
    assert_eq!(book.freshness(), LIVE);
    take(&mut feed, &whole("trade", 2));
    feed.advance(SECOND);
    assert_eq!((book.freshness(), trade.freshness()), (SILENT, LIVE));
    // Of the other entity, of no entity, and nothing but an event: not heard of.
    take(&mut feed, &whole("trade", 3));
    take(&mut feed, r#"{"k":"beat"}"#);
    take(&mut feed, r#"{"k":"drop","e":"trade","i":1}"#);
    assert_eq!(book.freshness(), SILENT);
    // Any value of it will do, and the same one once more, too.
    take(&mut feed, r#"{"k":"whole","e":"book","i":2,"v":{"n":1}}"#);
    assert_eq!(book.freshness(), LIVE);
    feed.advance(4 * SECOND);
    take(&mut feed, r#"{"k":"whole","e":"book","i":2,"v":{"n":1}}"#);
    feed.advance(4 * SECOND);
    assert_eq!(book.freshness(), LIVE);
    feed.advance(SECOND);
    assert_eq!(book.freshness(), SILENT);
    take(&mut feed, r#"{"k":"remove","e":"book","i":2}"#);
    assert_eq!(book.freshness(), LIVE);
    let counters = feed.counters();
    assert_eq!((counters.entity_silences, counters.silences), (2, 0));
}

#[test]
fn what_a_user_writes_is_nothing_that_came() {
    let watched = venue().entity_silent_after("venue.book", 5 * SECOND);
    let (_cache, mut feed, book, _) = begun(watched);
    feed.advance(4 * SECOND);
    let mut set = std::pin::pin!(book.set(&serde_json::json!({"n": 7})).expect("enqueued"));
    feed.settle();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(set.as_mut().poll(&mut cx).is_ready());
    assert_eq!(book.snapshot().record().to_json(), r#"{"n":7}"#);
    feed.advance(SECOND);
    assert_eq!(book.freshness(), SILENT);
}

#[test]
fn silence_counts_from_the_open_and_ends_with_the_connection() {
    let watched = venue()
        .entity_silent_after("book", 5 * SECOND)
        .entity_silent_after("trade", 7 * SECOND);
    let (cache, mut feed) = TestFeed::new(watched);
    let [book, trade] = ["venue.book", "venue.trade"].map(|entity| cache.entity(entity).slot(1));
    // Nothing was ever heard of either, and one of them speaks when it is silent already.
    feed.advance(6 * SECOND);
    take(&mut feed, &whole("trade", 1));
    assert_eq!(feed.counters().entity_silences, 1);
    take(&mut feed, &whole("book", 1));
    assert_eq!((book.freshness(), trade.freshness()), (LIVE, LIVE));
    feed.advance(5 * SECOND);
    assert_eq!((book.freshness(), trade.freshness()), (SILENT, LIVE));
    feed.disconnect();
    let lost = Freshness::Stale(Reasons::DISCONNECTED);
    assert_eq!(book.freshness(), lost, "a lost one is more than silent");
    feed.advance(50 * SECOND);
    assert_eq!((book.freshness(), trade.freshness()), (lost, lost));
    assert_eq!(feed.counters().entity_silences, 2);
    feed.reconnect();
    feed.advance(4 * SECOND);
    take(&mut feed, &whole("book", 1));
    assert_eq!(book.freshness(), LIVE);
    feed.advance(3 * SECOND);
    let reasons = trade.freshness().reasons();
    assert!(reasons.contains(Reasons::SILENT), "{reasons}");
    assert_eq!(book.freshness(), LIVE);
    drop(feed);
    let stopped = book.freshness().reasons();
    assert!(stopped.contains(Reasons::STOPPED) && !stopped.contains(Reasons::SILENT));
}

#[test]
fn the_connection_and_an_entity_are_silent_each_by_itself() {
    let watched = venue()
        .silent_after(3 * SECOND)
        .entity_silent_after("book", 5 * SECOND);
    let (_cache, mut feed, book, trade) = begun(watched);
    feed.advance(3 * SECOND);
    assert_eq!((book.freshness(), trade.freshness()), (SILENT, SILENT));
    take(&mut feed, &whole("trade", 2));
    assert_eq!((book.freshness(), trade.freshness()), (LIVE, LIVE));
    feed.advance(2 * SECOND);
    take(&mut feed, &whole("trade", 3));
    // The connection has spoken; the entity has not.
    assert_eq!((book.freshness(), trade.freshness()), (SILENT, LIVE));
    feed.advance(3 * SECOND);
    take(&mut feed, &whole("trade", 4));
    assert_eq!((book.freshness(), trade.freshness()), (SILENT, LIVE));
    take(&mut feed, &whole("book", 4));
    assert_eq!(book.freshness(), LIVE);
}

#[test]
fn a_silent_value_has_the_age_of_the_last_data_and_wakes_who_waits() {
    let watched = venue().entity_silent_after("book", 5 * SECOND);
    let (_cache, mut feed, book, _) = begun(watched);
    let [field] = book.entity().fields(["n"]).expect("room");
    let mut watch = book.watch();
    watch.take();
    feed.advance(2 * SECOND);
    // The same value again: no publication, and yet data.
    take(&mut feed, &whole("book", 1));
    feed.advance(8 * SECOND);
    let error = book.live([field]).expect_err("silent");
    assert_eq!(error.freshness(), SILENT);
    assert_eq!(error.age(), Some(8 * SECOND));
    assert_eq!(book.read([field]).age(), Some(8 * SECOND));
    let woken = watch.wait(SECOND).expect("the silence is news");
    assert_eq!(woken.freshness(), SILENT);
    feed.advance(SECOND);
    assert_eq!(book.read([field]).age(), Some(9 * SECOND));
}

#[test]
fn heartbeats_answers_and_states_of_kraken_are_no_data() {
    let kraken = Feed::kraken_v2()
        .silent_after(10 * SECOND)
        .entity_silent_after("ticker", 5 * SECOND);
    let (cache, mut feed) = TestFeed::new(kraken);
    let slot = cache.entity("kraken-v2.ticker").slot("BTC/USD");
    let ticker = |kind: &str, bid: &str, time: &str| {
        format!(
            r#"{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"BTC/USD","bid":{bid},"ask":{bid},"volume":{bid},"timestamp":"{time}"}}]}}"#
        )
    };
    take(
        &mut feed,
        &ticker("snapshot", "5.10", "2026-08-09T21:05:48Z"),
    );
    assert_eq!(slot.freshness(), LIVE);
    let status = r#"{"channel":"status","type":"update","data":[{"system":"maintenance","api_version":"v2","connection_id":1,"version":"2.0.0"}]}"#;
    for second in 1..=9 {
        feed.advance(SECOND);
        take(&mut feed, r#"{"channel":"heartbeat"}"#);
        take(&mut feed, r#"{"method":"pong","req_id":7}"#);
        take(&mut feed, status);
        let expected = if second < 5 { LIVE } else { SILENT };
        assert_eq!(slot.freshness(), expected, "after {second} s");
    }
    feed.advance(SECOND);
    assert_eq!(feed.counters().silences, 1, "of the connection, too");
    // A halted market: zeros, as of 1970. That is data, later than what was there.
    take(&mut feed, &ticker("update", "0.0", "1970-01-01T00:00:00Z"));
    assert_eq!(slot.freshness(), LIVE);
    let held = slot.snapshot();
    assert_eq!(held.record().get("bid").json().as_deref(), Ok("0.0"));
    assert_eq!(feed.counters().refused, 0);
    // And the market that opens again is not older than 1970 was.
    take(&mut feed, &ticker("update", "5.20", "2026-08-09T21:09:00Z"));
    let held = slot.snapshot();
    assert_eq!(held.record().get("bid").json().as_deref(), Ok("5.20"));
}

#[test]
fn a_pong_of_okx_is_no_data() {
    let okx = Feed::okx().silent_after(5 * SECOND);
    let (cache, mut feed) = TestFeed::new(okx);
    let slot = cache.entity("okx.tickers").slot("A");
    take(
        &mut feed,
        r#"{"arg":{"channel":"tickers","instId":"A"},"data":[{"instId":"A","last":"1"}]}"#,
    );
    feed.advance(4 * SECOND);
    take(&mut feed, "pong");
    take(
        &mut feed,
        r#"{"event":"subscribe","arg":{"channel":"trades","instId":"A"}}"#,
    );
    feed.advance(SECOND);
    assert_eq!(slot.freshness(), SILENT);
}

#[test]
fn an_entity_that_the_feed_does_not_write_cannot_be_watched() {
    let cache = Cache::builder().build().expect("a cache");
    let wrong = venue().entity_silent_after("boook", SECOND);
    let error = cache.local(wrong).expect_err("a slip of the pen");
    assert_eq!(
        error.to_string(),
        "`entity_silent_after` names `boook`, which this feed does not write"
    );
    // Nothing of it is left behind.
    drop(cache.local(venue()).expect("attached"));
}

#[test]
fn another_feed_may_take_over_what_fell_silent() {
    let events = Feed::events()
        .whole()
        .entity_silent_after("job", 5 * SECOND);
    let (cache, mut feed) = TestFeed::new(events);
    feed.advance(5 * SECOND);
    assert_eq!(feed.counters().entity_silences, 1);
    let mut other = feed.beside(Feed::events().named("other").whole().entities(["job"]));
    take(&mut other, r#"{"entity":"job","id":1,"payload":{"n":1}}"#);
    assert_eq!(cache.entity("job").slot(1).freshness(), LIVE);
}

#[test]
fn a_feed_has_nothing_to_say_of_the_silence_of_what_another_one_owns() {
    let events = Feed::events()
        .whole()
        .entity_silent_after("job", 5 * SECOND);
    let (cache, mut feed) = TestFeed::new(events);
    let mut other = feed.beside(Feed::events().named("other").whole().entities(["job"]));
    take(&mut other, r#"{"entity":"job","id":1,"payload":{"n":1}}"#);
    feed.advance(5 * SECOND);
    assert_eq!(feed.counters().entity_silences, 1);
    assert_eq!(cache.entity("job").slot(1).freshness(), LIVE);
}
