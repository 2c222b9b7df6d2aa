//! Who may write: the slow plane what nobody owns, one feed what it owns, and never two.

use super::*;

#[test]
fn what_nobody_owns_is_written_at_once() {
    let cache = Cache::builder().build().expect("a cache");
    let slot = cache.entity("settings").slot("theme");
    let mut watch = slot.watch();
    watch.take();
    let done = slot
        .set(&BTreeMap::from([("dark", true)]))
        .expect("there is no queue");
    assert_eq!(done.result(), Some(Ok(())));
    assert_eq!(slot.freshness(), Freshness::Live);
    assert_eq!(
        watch
            .wait(LONG)
            .expect("news")
            .snapshot()
            .record()
            .to_json(),
        r#"{"dark":true}"#
    );
    slot.set_json("1.50")
        .expect("sent")
        .wait(LONG)
        .expect("any JSON is a value");
    assert_eq!(slot.snapshot().record().to_json(), "1.50");
    let refused = slot.set_json("{nonsense").expect("sent").wait(LONG);
    assert!(
        refused
            .expect_err("no JSON")
            .to_string()
            .contains("not a JSON text")
    );
    let error = slot
        .set(&BTreeMap::from([((1, 2), 3)]))
        .expect_err("keys are texts");
    assert!(
        matches!(error, SetError::Json(_)) && !error.is_retryable(),
        "{error}"
    );
    assert_eq!(
        slot.snapshot().record().to_json(),
        "1.50",
        "and nothing has changed"
    );
    slot.remove().expect("sent").wait(LONG).expect("removed");
    assert_eq!(slot.freshness(), Freshness::Removed);
    let (mut feed, one) = (cache.local(Feed::events()).expect("attached"), slot.clone());
    feed.open();
    one.set(&1)
        .expect("sent")
        .wait(LONG)
        .expect("a wildcard feed claims with payloads only");
    assert_eq!(slot.freshness(), Freshness::Live);
}

#[test]
fn what_a_feed_owns_is_written_by_it_connected_or_not() {
    let (cache, mut feed) = open(venue().inbox(2));
    let slot = cache.entity(BOOK).slot(1);
    let set = slot.set_json(r#"{"n":1.0}"#).expect("room");
    assert_eq!(
        (slot.freshness(), set.result()),
        (Freshness::Empty, None),
        "not before its turn"
    );
    let second = slot.set_json("3").expect("room");
    let error = slot.remove().expect_err("two wait already");
    assert!(error.is_retryable(), "{error}");
    feed.settle();
    assert_eq!(
        (set.result(), second.result()),
        (Some(Ok(())), Some(Ok(())))
    );
    assert_eq!(slot.snapshot().record().to_json(), "3");
    assert_eq!(slot.freshness(), Freshness::Live);
    feed.close();
    let offline = slot.set_json(r#"{"n":2}"#).expect("room");
    let refused = slot.set_json("{").expect("room");
    feed.settle();
    assert_eq!(pollster::block_on(offline), Ok(()));
    assert_eq!(slot.snapshot().record().to_json(), r#"{"n":2}"#);
    assert!(refused.result().expect("an end").is_err());
    let own = slot.set_json("4").expect("room");
    let error = own.wait(LONG).expect_err("this thread is the owner");
    assert!(error.to_string().contains("own thread"), "{error}");
    let removed = slot.remove().expect("room");
    feed.settle();
    assert_eq!(removed.result(), Some(Ok(())));
    assert_eq!(slot.freshness(), Freshness::Removed);
    let late = slot.set_json("5").expect("room");
    assert!(feed.counters().balanced());
    drop(feed);
    let gone = late.wait(LONG).expect_err("nobody is left to do it");
    assert!(gone.to_string().contains("has ended"), "{gone}");
}

#[test]
fn two_feeds_never_write_one_entity() {
    let (cache, mut venue_feed) = open(venue());
    let (stopped, free) = (
        cache.entity("stopped").slot(1),
        cache.entity("free").slot(1),
    );
    let ended = Feed::events()
        .named("x")
        .entities(["stopped"])
        .covers(Covers::Nothing);
    let mut ended = cache.local(ended).expect("nobody owns it");
    ended.open();
    let set = stopped.set(&1).expect("room");
    ended.settle();
    assert_eq!(set.result(), Some(Ok(())));
    drop(ended);
    free.set(&1)
        .expect("sent")
        .wait(LONG)
        .expect("written here");
    let same_name = Feed::events().named("venue");
    let error = cache.local(same_name).expect_err("its name is taken");
    assert!(
        matches!(error, AttachError::Name(_)) && error.is_retryable(),
        "{error}"
    );
    let half = Feed::events()
        .named("z")
        .entities(["stopped", "free", BOOK]);
    let error = cache.local(half).expect_err("one of them is taken");
    assert!(
        matches!(error, AttachError::Claim(_)) && error.is_retryable(),
        "{error}"
    );
    assert_eq!(
        free.freshness(),
        Freshness::Live,
        "a feed refused leaves no mark"
    );
    assert!(
        stopped.freshness().reasons().contains(Reasons::STOPPED),
        "nor takes one away"
    );
    let mut events = cache.local(Feed::events().whole()).expect("another name");
    events.open();
    say(&mut venue_feed, whole("1", r#"{"n":1}"#));
    say(
        &mut events,
        r#"{"entity":"venue.book","id":1,"payload":{"n":2}}"#,
    );
    let slot = cache.entity(BOOK).slot(1);
    assert_eq!(slot.snapshot().record().to_json(), r#"{"n":1}"#);
    let counters = events.counters();
    assert_eq!(
        (counters.patches, counters.foreign, counters.applied),
        (1, 1, 0)
    );
    assert!(counters.balanced(), "{counters:?}");
    say(&mut events, r#"{"entity":"venue.book","id":1}"#);
    assert_eq!(
        slot.freshness(),
        Freshness::Stale(Reasons::INVALIDATED),
        "any may invalidate"
    );
    events.close();
    say(&mut venue_feed, whole("1", r#"{"n":1}"#));
    assert_eq!(
        slot.freshness(),
        Freshness::Live,
        "what another owns it does not vouch for"
    );
}

#[test]
fn a_wildcard_feed_claims_with_the_first_payload_and_vouches_for_what_nobody_owns() {
    let (cache, mut events) = open(Feed::events().whole());
    let (mine, free) = (cache.entity("mine").slot(1), cache.entity("free").slot(1));
    free.set(&1)
        .expect("sent")
        .wait(LONG)
        .expect("written here");
    say(&mut events, r#"{"entity":"mine","id":1}"#);
    assert_eq!(mine.freshness(), Freshness::Empty);
    let other = Feed::events().entities(["mine"]).covers(Covers::Nothing);
    drop(cache.local(other.named("x")).expect("not claimed yet"));
    say(&mut events, r#"{"entity":"mine","id":1,"payload":{"n":1}}"#);
    let taken = cache.local(Feed::events().named("y").entities(["mine"]));
    assert!(matches!(taken, Err(AttachError::Claim(_))));
    assert_eq!(
        (mine.freshness(), free.freshness()),
        (Freshness::Live, Freshness::Live)
    );
    events.close();
    for slot in [&mine, &free] {
        assert!(
            slot.freshness().reasons().contains(Reasons::DISCONNECTED),
            "{slot:?}"
        );
    }
    events.open();
    say(&mut events, r#"{"entity":"mine","id":1,"payload":{"n":1}}"#);
    assert!(mine.freshness().is_live());
    assert!(!free.freshness().is_live(), "its value may be outdated");
    free.set(&2)
        .expect("sent")
        .wait(LONG)
        .expect("written here");
    assert!(free.freshness().is_live());
    assert!(events.counters().balanced());
}
