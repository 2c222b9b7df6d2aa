//! What a value is worth, and when that changes: every transition between live, stale and removed,
//! on a virtual clock, and that whoever waits is told of each.

#[path = "../kit/mod.rs"]
mod kit;
mod told;

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use kit::{BOOK, LONG, TRADE, envelope, inserting, patch, remove, venue, whole};
use tickcache::cache::CacheBuilder;
use tickcache::feed::{Envelope, OnConnect, Policy, Rule};
use tickcache::testing::TestFeed;
use tickcache::{Cache, Feed, Freshness, Reasons, Slot};

type Venue = TestFeed<Envelope>;

const SECOND: Duration = Duration::from_secs(1);
const LIVE: Freshness = Freshness::Live;

const fn stale(reasons: Reasons) -> Freshness {
    Freshness::Stale(reasons)
}

/// A feed that has said `{"n":1}` of the id 1.
fn begun(feed: Feed<Envelope>) -> (Slot, Venue) {
    let (cache, feed) = TestFeed::new(feed);
    begin(&cache, feed)
}

fn begin(cache: &Cache, mut feed: Venue) -> (Slot, Venue) {
    let slot = cache.entity(BOOK).slot(1);
    assert_eq!(slot.freshness(), Freshness::Empty);
    take(&mut feed, &whole("1", r#"{"n":1}"#));
    assert_eq!(slot.freshness(), LIVE);
    (slot, feed)
}

#[track_caller]
fn take(feed: &mut Venue, text: &str) {
    feed.message(text)
        .unwrap_or_else(|refusal| panic!("{text} is refused: {refusal}"));
}

fn n(slot: &Slot) -> String {
    slot.snapshot()
        .record()
        .get("n")
        .json()
        .expect("a value")
        .into_owned()
}

#[test]
fn what_comes_before_the_first_open_is_not_live() {
    let cache = Cache::builder().build().expect("a cache");
    let mut feed = cache.local(venue()).expect("attached");
    let slot = cache.entity(BOOK).slot(1);
    kit::say(&mut feed, whole("1", r#"{"n":1}"#));
    assert_eq!(slot.freshness(), stale(Reasons::DISCONNECTED));
    feed.open();
    assert!(!slot.freshness().is_live(), "the open confirms nothing");
    kit::say(&mut feed, whole("1", r#"{"n":1}"#));
    assert_eq!(slot.freshness(), LIVE);
}

#[test]
fn after_a_reconnect_only_a_whole_value_is_live() {
    let (slot, mut feed) = begun(venue());
    feed.disconnect();
    assert_eq!(slot.freshness(), stale(Reasons::DISCONNECTED));
    feed.reconnect();
    let doubted = stale(Reasons::DISCONNECTED.union(Reasons::INVALIDATED));
    assert_eq!(slot.freshness(), doubted);
    take(&mut feed, &patch("1", r#"{"n":2}"#));
    assert!(
        !slot.freshness().is_live(),
        "a patch confirms nothing of what it does not name"
    );
    assert!(slot.freshness().reasons().contains(Reasons::INVALIDATED));
    assert_eq!(n(&slot), "2", "and is applied all the same");
    take(&mut feed, &whole("1", r#"{"n":2}"#));
    assert_eq!(slot.freshness(), LIVE, "with the very value it had");
}

#[test]
fn a_trusted_source_needs_one_message_of_any_kind() {
    let (slot, mut feed) = begun(venue().on_connect(OnConnect::Trust));
    take(&mut feed, &whole("2", r#"{"n":1}"#));
    let other = slot.entity().slot(2);
    feed.disconnect();
    feed.reconnect();
    assert_eq!(
        slot.freshness(),
        stale(Reasons::DISCONNECTED),
        "not by the open itself"
    );
    take(&mut feed, &patch("1", r#"{"m":1}"#));
    assert_eq!(slot.freshness(), LIVE);
    assert_eq!(
        other.freshness(),
        stale(Reasons::DISCONNECTED),
        "each by its own"
    );
    take(&mut feed, &patch("2", "{}"));
    assert_eq!(other.freshness(), LIVE, "even by one that changes nothing");
}

#[test]
fn trust_takes_no_patch_for_an_answer_to_an_invalidation() {
    let (slot, mut feed) = begun(venue().on_connect(OnConnect::Trust));
    slot.invalidate();
    take(&mut feed, &patch("1", r#"{"n":2}"#));
    assert_eq!(slot.freshness(), stale(Reasons::INVALIDATED));
    take(&mut feed, &whole("1", r#"{"n":2}"#));
    assert_eq!(slot.freshness(), LIVE);
}

#[test]
fn an_invalidation_reaches_what_it_names_before_it_returns() {
    let check = |mark: &dyn Fn(&Cache, &mut Venue), reached: [bool; 3]| {
        let (cache, feed) = TestFeed::new(venue());
        let (first, mut feed) = begin(&cache, feed);
        take(&mut feed, &whole("2", r#"{"n":1}"#));
        take(&mut feed, r#"{"k":"whole","e":"trade","i":1,"v":{"n":1}}"#);
        let slots = [
            first.clone(),
            first.entity().slot(2),
            cache.entity(TRADE).slot(1),
        ];
        mark(&cache, &mut feed);
        for (slot, reached) in slots.iter().zip(reached) {
            let expected = if reached {
                stale(Reasons::INVALIDATED)
            } else {
                LIVE
            };
            assert_eq!(slot.freshness(), expected, "{slot:?}");
        }
        take(&mut feed, &patch("1", r#"{"n":5}"#));
        assert_eq!(
            first.freshness().is_live(),
            !reached[0],
            "a patch heals nothing"
        );
        take(&mut feed, &whole("1", r#"{"n":5}"#));
        assert_eq!(first.freshness(), LIVE);
        assert_eq!(
            slots[1].freshness().is_live(),
            !reached[1],
            "each by its own message"
        );
    };
    check(
        &|cache, _| cache.entity(BOOK).slot(1).invalidate(),
        [true, false, false],
    );
    check(
        &|cache, _| cache.entity(BOOK).invalidate(),
        [true, true, false],
    );
    check(&|cache, _| cache.invalidate_all(), [true, true, true]);
    check(
        &|_, feed| take(feed, r#"{"k":"drop","e":"book","i":1}"#),
        [true, false, false],
    );
    check(
        &|_, feed| take(feed, r#"{"k":"drop","e":"book"}"#),
        [true, true, false],
    );
}

#[test]
fn a_gap_stays_until_a_whole_value_comes_even_for_a_trusted_source() {
    for on_connect in [OnConnect::Invalidate, OnConnect::Trust] {
        let (slot, mut feed) = begun(venue().on_connect(on_connect));
        feed.gap();
        assert_eq!(slot.freshness(), stale(Reasons::GAP));
        take(&mut feed, &patch("1", r#"{"n":2}"#));
        assert!(slot.freshness().reasons().contains(Reasons::GAP));
        take(&mut feed, &whole("1", r#"{"n":2}"#));
        assert_eq!(slot.freshness(), LIVE);
        assert_eq!(feed.counters().gaps, 1);
    }
}

#[test]
fn a_hole_in_the_numbers_of_one_key_is_a_gap_of_that_key() {
    let policy = Policy {
        rule: Rule::ContiguousPerKey,
        ..Policy::default()
    };
    let feed = Feed::envelope(envelope().sequence("/q", policy).build().expect("right"));
    let (cache, mut feed) = TestFeed::new(feed);
    let numbered = |kind: &str, id: u64, number: u64| {
        format!(r#"{{"k":"{kind}","e":"book","i":{id},"v":{{"n":{number}}},"q":{number}}}"#)
    };
    let (first, second) = (cache.entity(BOOK).slot(1), cache.entity(BOOK).slot(2));
    take(&mut feed, &numbered("whole", 1, 10));
    take(&mut feed, &numbered("whole", 2, 10));
    take(&mut feed, &numbered("patch", 1, 11));
    assert_eq!(first.freshness(), LIVE);
    take(&mut feed, &numbered("patch", 1, 13));
    assert_eq!(first.freshness(), stale(Reasons::GAP));
    assert_eq!(second.freshness(), LIVE);
    take(&mut feed, &numbered("patch", 1, 12));
    assert_eq!(n(&first), "13", "what was overtaken changes nothing");
    take(&mut feed, &numbered("whole", 1, 20));
    assert_eq!(first.freshness(), LIVE);
    let counters = feed.counters();
    assert_eq!((counters.gaps, counters.older), (1, 1));
    assert!(counters.balanced(), "{counters:?}");
}

#[test]
fn a_feed_that_ends_leaves_its_values_stopped_and_its_successor_revives_them() {
    let (cache, feed) = TestFeed::new(venue());
    let (slot, feed) = begin(&cache, feed);
    drop(feed);
    assert_eq!(slot.freshness(), stale(Reasons::STOPPED));
    assert_eq!(n(&slot), "1", "the last value stays visible");
    let mut next = cache
        .local(venue())
        .expect("name and entities are free again");
    next.open();
    assert!(!slot.freshness().is_live());
    kit::say(&mut next, whole("1", r#"{"n":2}"#));
    assert_eq!(slot.freshness(), LIVE);
}

#[test]
fn a_removed_value_is_removed_and_comes_back_with_the_next_whole_one() {
    let (slot, mut feed) = begun(venue());
    let [field] = slot.entity().fields(["n"]).expect("room");
    feed.advance(SECOND);
    take(&mut feed, &remove("1"));
    assert_eq!(slot.freshness(), Freshness::Removed);
    let error = slot.live([field]).expect_err("there is no value");
    assert_eq!(error.freshness(), Freshness::Removed);
    assert!(error.reasons().is_empty());
    let [value] = slot.read([field]).even_if_stale();
    assert!(value.is_missing(), "{value:?}");
    feed.disconnect();
    feed.reconnect();
    assert_eq!(
        slot.freshness(),
        Freshness::Removed,
        "what is not there cannot be stale"
    );
    take(&mut feed, &whole("1", r#"{"n":7}"#));
    assert_eq!(slot.freshness(), LIVE);
    assert_eq!(n(&slot), "7");
}

#[test]
fn a_value_made_by_patches_is_partial_until_a_whole_one_comes() {
    let (cache, mut feed) = TestFeed::new(inserting());
    let slot = cache.entity(BOOK).slot(1);
    take(&mut feed, &patch("1", r#"{"n":1}"#));
    assert_eq!(slot.freshness(), stale(Reasons::PARTIAL));
    take(&mut feed, &patch("1", r#"{"m":1}"#));
    assert_eq!(slot.freshness(), stale(Reasons::PARTIAL));
    take(&mut feed, &whole("1", r#"{"n":1,"m":1}"#));
    assert_eq!(
        slot.freshness(),
        LIVE,
        "by a whole value equal to what was there"
    );
    let (cache, mut feed) = TestFeed::new(venue());
    take(&mut feed, &patch("1", r#"{"n":1}"#));
    assert_eq!(
        cache.entity(BOOK).slot(1).freshness(),
        Freshness::Empty,
        "unless told to"
    );
    assert_eq!(feed.counters().missing, 1);
}

#[test]
fn expiry_counts_from_the_last_whole_value() {
    let settings = Cache::builder().stale_after(BOOK, 10 * SECOND);
    let (cache, feed) = TestFeed::with(settings, venue());
    let (slot, mut feed) = begin(&cache, feed);
    feed.advance(9 * SECOND);
    take(&mut feed, &patch("1", r#"{"n":2}"#));
    assert_eq!(slot.freshness(), LIVE);
    feed.advance(SECOND);
    assert_eq!(
        slot.freshness(),
        stale(Reasons::EXPIRED),
        "a patch does not renew it"
    );
    take(&mut feed, &whole("1", r#"{"n":2}"#));
    assert_eq!(slot.freshness(), LIVE, "the same value, whole, does");
    feed.advance(10 * SECOND);
    feed.disconnect();
    assert_eq!(
        slot.freshness(),
        stale(Reasons::EXPIRED.union(Reasons::DISCONNECTED))
    );
    take(&mut feed, r#"{"k":"whole","e":"trade","i":1,"v":{"n":1}}"#);
    feed.advance(1000 * SECOND);
    let other = cache.entity(TRADE).slot(1);
    assert!(
        !other.freshness().reasons().contains(Reasons::EXPIRED),
        "others never expire"
    );
}

#[test]
fn silence_is_the_absence_of_data_and_ends_with_it() {
    let (slot, mut feed) = begun(venue().silent_after(5 * SECOND));
    feed.advance(4 * SECOND);
    take(&mut feed, r#"{"k":"beat"}"#);
    feed.advance(SECOND);
    assert_eq!(
        slot.freshness(),
        stale(Reasons::SILENT),
        "a heartbeat is not data"
    );
    take(&mut feed, &whole("2", r#"{"n":1}"#));
    assert_eq!(slot.freshness(), LIVE, "the connection speaks");
    feed.advance(SECOND * 5);
    assert_eq!(slot.freshness(), stale(Reasons::SILENT));
    feed.disconnect();
    assert_eq!(
        slot.freshness(),
        stale(Reasons::DISCONNECTED),
        "a lost one is more than silent"
    );
    feed.advance(SECOND * 50);
    assert_eq!(slot.freshness(), stale(Reasons::DISCONNECTED));
    assert_eq!(feed.counters().silences, 2);
}

#[test]
fn live_errs_with_reasons_and_age() {
    let (slot, mut feed) = begun(venue());
    let [field] = slot.entity().fields(["n"]).expect("room");
    let [value] = slot.live([field]).expect("live");
    assert_eq!(value.i64(), Ok(1));
    feed.advance(3 * SECOND);
    feed.disconnect();
    slot.invalidate();
    let error = slot.live([field]).expect_err("stale");
    assert_eq!(
        error.reasons(),
        Reasons::DISCONNECTED.union(Reasons::INVALIDATED)
    );
    assert_eq!(error.age(), Some(3 * SECOND));
    assert_eq!(
        error.to_string(),
        "[venue.book, 1] is not live: stale (disconnected+invalidated)"
    );
    let [value] = slot.read([field]).even_if_stale();
    assert_eq!(value.i64(), Ok(1), "the suspect value, asked for by name");
    let nothing = slot.entity().slot(404).live([field]).expect_err("empty");
    assert_eq!(
        (nothing.freshness(), nothing.age()),
        (Freshness::Empty, None)
    );
}

#[test]
fn a_message_that_changes_nothing_moves_the_time_and_no_more() {
    let (slot, mut feed) = begun(venue());
    let before = slot.snapshot();
    feed.advance(SECOND);
    take(&mut feed, &whole("1", r#"{"n":1}"#));
    let after = slot.snapshot();
    assert_eq!(after.epoch(), before.epoch());
    assert_eq!(after.received_at(), before.received_at().after(SECOND));
    feed.advance(SECOND);
    feed.disconnect();
    feed.reconnect();
    take(&mut feed, &whole("1", r#"{"n":1}"#));
    assert!(
        slot.epoch() > before.epoch(),
        "stale to live is news, whatever the value"
    );
}

/// By handle, by id, and by id with a reader: one answer, whatever happens to the value.
#[test]
fn reads_by_id_say_what_reads_by_handle_say() {
    let settings = Cache::builder().stale_after(BOOK, 10 * SECOND);
    read_every_way(settings, false);
    read_every_way(Cache::builder(), true);
}

fn read_every_way(settings: CacheBuilder, lasting: bool) {
    let (cache, mut feed) = TestFeed::with(settings, venue());
    let entity = cache.entity(BOOK);
    let [n, text] = entity.fields(["n", "t"]).expect("room");
    let [foreign] = cache.entity(TRADE).fields(["n"]).expect("room");
    let mut reader = entity.reader();
    let none = entity.live(1, [n]).expect_err("nobody has said anything");
    assert_eq!((none.freshness(), none.id()), (Freshness::Empty, &1.into()));
    assert_eq!(none.to_string(), format!("[{BOOK}, 1] is not live: empty"));
    assert_eq!(reader.live(1, [n]).expect_err("nor here").id(), &1.into());
    assert!(entity.find(1).is_none(), "asking makes no slot");

    let (slot, mut check) = (entity.slot(1), 0);
    let mut same = |is_live: bool| {
        check += 1;
        let fields = [n, text, foreign];
        let by_handle = slot.live(fields).map_err(|not| not.freshness());
        let by_id = entity.live(1, fields).map_err(|not| not.freshness());
        let by_reader = reader.live(1, fields).map_err(|not| not.freshness());
        let staying = slot.reader().live(fields).map_err(|not| not.freshness());
        assert_eq!(by_handle.is_ok(), is_live, "{check}: {by_handle:?}");
        for other in [by_id, by_reader, staying] {
            assert_eq!(other, by_handle, "{check}");
        }
        if let Ok([n, text, foreign]) = by_handle {
            assert!(n.u64().is_ok() && foreign.is_missing(), "{check}: {text:?}");
        }
    };
    same(false);
    take(&mut feed, &whole("1", r#"{"n":1}"#));
    same(true);
    take(
        &mut feed,
        &whole("1", r#"{"n":2,"t":"as long as two cells are"}"#),
    );
    same(true);
    feed.disconnect();
    same(false);
    feed.reconnect();
    same(false);
    take(&mut feed, &whole("1", r#"{"n":3}"#));
    same(true);
    entity.invalidate();
    same(false);
    take(&mut feed, &whole("1", r#"{"n":4}"#));
    same(true);
    feed.advance(20 * SECOND);
    same(lasting);
    take(&mut feed, &whole("1", r#"{"n":5}"#));
    same(true);
    take(&mut feed, &remove("1"));
    same(false);
    take(&mut feed, &whole("1", r#"{"n":6}"#));
    same(true);
    cache.invalidate_all();
    same(false);
}
