//! Who writes what: the slow plane owns what no feed does, feeds hand it what they bring for it, and
//! a feed that declares an entity takes it over.

mod kit;

use std::sync::Barrier;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;

use kit::{BOOK, LONG, inserting, patch, say, venue, whole};
use tickcache::feed::{
    CounterValues, Covers, Envelope, EnvelopeBuilder, MessageKind, OnConnect, Policy, Rule,
};
use tickcache::{AttachError, Cache, CommandError, Feed, Freshness, LocalFeed, Reasons, Slot};

const SLOW: &str = "(slow plane)";

/// As the kit's venue, for whatever entity comes.
fn wild(name: &str) -> EnvelopeBuilder {
    Envelope::builder(name)
        .entity("/e")
        .id("/i")
        .payload("/v")
        .kind("/k")
        .word("whole", MessageKind::Whole)
        .word("patch", MessageKind::Patch)
        .word("remove", MessageKind::Remove)
        .word("drop", MessageKind::Invalidate)
}

fn feed(builder: EnvelopeBuilder) -> Feed<Envelope> {
    Feed::envelope(builder.build().expect("the pointers are right"))
}

/// A cache in which the slow plane owns `e`, with 1 there; and an open feed.
fn begun(feed: Feed<Envelope>) -> (Cache, Slot, LocalFeed<Envelope>) {
    let cache = Cache::builder().build().expect("a cache");
    let slot = cache.entity("e").slot(1);
    set(&slot, r#"{"n":1}"#);
    let mut feed = cache.local(feed).expect("nothing else is attached");
    feed.open();
    (cache, slot, feed)
}

#[track_caller]
fn set(slot: &Slot, json: &str) {
    let done = slot.set_json(json).expect("there is no queue");
    assert_eq!(done.result(), Some(Ok(())));
}

fn json(slot: &Slot) -> String {
    slot.snapshot().record().to_json()
}

fn reasons(slot: &Slot) -> Reasons {
    slot.freshness().reasons()
}

/// What the slow plane has counted.
fn slow(cache: &Cache) -> CounterValues {
    let all = cache.counters();
    let slow = all.into_iter().find(|(name, _)| name == SLOW);
    slow.expect("it has done something").1
}

#[test]
fn what_the_slow_plane_owns_is_forwarded_to_it() {
    let (cache, slot, mut feed) = begun(feed(wild("all")));
    let mut watch = slot.watch();
    watch.take();
    say(
        &mut feed,
        r#"{"k":"whole","e":"e","i":1,"v":{"n":2,"m":1}}"#,
    );
    assert!(watch.wait(LONG).is_ok(), "whoever waits is told");
    {
        let mut batch = feed.batch();
        let mut text = br#"{"k":"patch","e":"e","i":1,"v":{"n":3}}"#.to_vec();
        batch.message(&mut text).expect("taken");
        assert_eq!(json(&slot), r#"{"n":3,"m":1}"#, "before the batch ends");
    }
    assert_eq!(slot.freshness(), Freshness::Live);
    say(&mut feed, r#"{"k":"patch","e":"e","i":"none","v":{"n":3}}"#);
    say(&mut feed, r#"{"k":"remove","e":"e","i":1}"#);
    assert_eq!(slot.freshness(), Freshness::Removed);
    say(&mut feed, r#"{"k":"whole","e":"own","i":1,"v":1}"#);
    let (fed, slow) = (feed.counters(), slow(&cache));
    assert!(fed.balanced() && slow.balanced(), "{fed:?} {slow:?}");
    assert_eq!(
        (fed.patches, fed.forwarded, fed.applied, fed.foreign),
        (5, 4, 1, 0)
    );
    assert_eq!(
        (slow.patches, slow.applied, slow.missing, slow.messages),
        (5, 4, 1, 0)
    );
    set(&slot, "7");
    assert_eq!(
        (json(&slot).as_str(), slot.freshness()),
        ("7", Freshness::Live)
    );
}

#[test]
fn a_refused_message_forwards_nothing() {
    let cache = Cache::builder().max_value(64).build().expect("a cache");
    let slot = cache.entity("e").slot(1);
    set(&slot, "1");
    let builder = wild("all").items("/items");
    let mut all = cache.local(feed(builder)).expect("attached");
    all.open();
    let long = "x".repeat(100);
    let text =
        format!(r#"{{"k":"whole","e":"e","items":[{{"i":1,"v":2}},{{"i":2,"v":"{long}"}}]}}"#);
    all.message_text(&text).expect_err("one is too large");
    assert_eq!(json(&slot), "1");
    say(
        &mut all,
        r#"{"k":"whole","e":"e","items":[{"i":1,"v":2},{"i":2,"v":3}]}"#,
    );
    assert_eq!(json(&slot), "2");
    let counters = all.counters();
    assert_eq!((counters.refused, counters.forwarded), (1, 2));
    assert!(counters.balanced());
}

#[test]
fn a_forwarded_value_is_as_good_as_its_connection() {
    for covers in [
        Covers::Nothing,
        Covers::Unowned,
        Covers::Listed(vec!["e".into()]),
    ] {
        let (cache, slot, mut feed) = begun(feed(wild("all").covers(covers.clone())));
        let other = cache.entity("e").slot(2);
        for id in [1, 2] {
            say(
                &mut feed,
                format!(r#"{{"k":"whole","e":"e","i":{id},"v":{{"n":2}}}}"#),
            );
        }
        feed.close();
        assert!(reasons(&slot).contains(Reasons::DISCONNECTED), "{covers:?}");
        feed.open();
        assert!(!slot.freshness().is_live(), "{covers:?}");
        say(&mut feed, r#"{"k":"patch","e":"e","i":1,"v":{"n":3}}"#);
        assert!(!slot.freshness().is_live(), "a patch confirms nothing");
        say(&mut feed, r#"{"k":"whole","e":"e","i":1,"v":{"n":3}}"#);
        assert_eq!(slot.freshness(), Freshness::Live, "{covers:?}");
        assert!(!other.freshness().is_live(), "it has not been confirmed");
        say(&mut feed, r#"{"k":"drop","e":"e","i":1}"#);
        assert_eq!(reasons(&slot), Reasons::INVALIDATED);
        drop(feed);
        assert!(reasons(&slot).contains(Reasons::STOPPED), "{covers:?}");
        let mut next = cache.local(super_feed("next")).expect("another name");
        next.open();
        say(&mut next, r#"{"k":"whole","e":"e","i":1,"v":{"n":4}}"#);
        if covers != Covers::Listed(vec!["e".into()]) {
            assert_eq!(slot.freshness(), Freshness::Live, "{covers:?}");
        }
    }
}

fn super_feed(name: &str) -> Feed<Envelope> {
    feed(wild(name))
}

#[test]
fn a_trusted_source_heals_by_forwarded_patches() {
    let (_cache, slot, mut feed) = begun(feed(wild("all")).on_connect(OnConnect::Trust));
    say(&mut feed, r#"{"k":"whole","e":"e","i":1,"v":{"n":2}}"#);
    feed.close();
    feed.open();
    assert!(!slot.freshness().is_live());
    say(&mut feed, r#"{"k":"patch","e":"e","i":1,"v":{"n":2}}"#);
    assert_eq!(slot.freshness(), Freshness::Live);
}

#[test]
fn sequences_of_what_is_forwarded_are_judged() {
    let builder = wild("all").sequence("/s", Policy::continuing(Rule::SparseRising));
    let (cache, slot, mut feed) = begun(feed(builder));
    for (at, n) in [(10, "a"), (9, "b"), (10, "c"), (12, "d")] {
        say(
            &mut feed,
            format!(r#"{{"k":"whole","e":"e","i":1,"s":{at},"v":"{n}"}}"#),
        );
    }
    assert_eq!(json(&slot), r#""d""#);
    let counted = slow(&cache);
    assert_eq!((counted.older, counted.duplicate), (1, 1));
    feed.close();
    feed.open();
    say(&mut feed, r#"{"k":"whole","e":"e","i":1,"s":12,"v":"d"}"#);
    assert_eq!(
        slot.freshness(),
        Freshness::Live,
        "confirmed on the new connection"
    );
    say(&mut feed, r#"{"k":"whole","e":"e","i":1,"s":12,"v":"e"}"#);
    assert_eq!(
        (json(&slot).as_str(), slow(&cache).duplicate),
        (r#""d""#, 2)
    );
    assert_eq!(feed.counters().forwarded, 6);
    assert!(slow(&cache).balanced());
}

#[test]
fn the_numbers_of_a_connection_run_through_owned_and_forwarded_values() {
    let policy = Policy::restarting(Rule::ContiguousPerConnection);
    let (cache, slot, mut feed) = begun(feed(wild("all").sequence("/s", policy)));
    let own = cache.entity("own").slot(1);
    let tell = |feed: &mut LocalFeed<Envelope>, entity: &str, at: u64| {
        say(
            feed,
            format!(r#"{{"k":"whole","e":"{entity}","i":1,"s":{at},"v":{at}}}"#),
        );
    };
    for (entity, at) in [("own", 1), ("e", 2), ("own", 3), ("e", 3), ("e", 4)] {
        tell(&mut feed, entity, at);
    }
    assert_eq!((json(&own).as_str(), json(&slot).as_str()), ("3", "4"));
    let counters = feed.counters();
    assert_eq!(
        (counters.gaps, counters.duplicate, counters.forwarded),
        (0, 1, 2)
    );
    say(&mut feed, r#"{"k":"patch","e":"e","i":2,"s":7,"v":7}"#);
    for slot in [&own, &slot] {
        assert!(reasons(slot).contains(Reasons::GAP), "{slot:?}");
    }
    tell(&mut feed, "e", 8);
    assert_eq!(slot.freshness(), Freshness::Live);
    assert_eq!(feed.counters().gaps, 1);
    assert!(feed.counters().balanced() && slow(&cache).balanced());
}

#[test]
fn a_feed_that_declares_an_entity_takes_it_over_with_its_values() {
    let cache = Cache::builder().build().expect("a cache");
    let (one, two) = (cache.entity(BOOK).slot(1), cache.entity(BOOK).slot(2));
    set(&one, r#"{"n":1}"#);
    for n in 0..100 {
        set(&two, &format!(r#"{{"n":{n}}}"#));
    }
    let mut owner = cache.local(venue()).expect("the slow plane gives it up");
    assert_eq!(
        (json(&one).as_str(), json(&two).as_str()),
        (r#"{"n":1}"#, r#"{"n":99}"#)
    );
    assert_eq!(reasons(&one), Reasons::DISCONNECTED);
    owner.open();
    say(&mut owner, patch("1", r#"{"m":2}"#));
    assert_eq!(json(&one), r#"{"n":1,"m":2}"#, "laid over what was there");
    let cut = cache.cut([&one, &two]).expect("turns go on");
    assert_eq!(cut.epochs().len(), 2);
    say(&mut owner, whole("1", r#"{"n":3}"#));
    assert_eq!(one.freshness(), Freshness::Live);
    let waits = two.set_json("5").expect("room");
    assert_eq!(waits.result(), None, "the feed owns it");
    owner.settle();
    assert_eq!((waits.result(), json(&two).as_str()), (Some(Ok(())), "5"));

    drop(owner);
    assert!(reasons(&one).contains(Reasons::STOPPED));
    set(&one, r#"{"n":4}"#);
    assert_eq!(json(&one), r#"{"n":4}"#, "written by the slow plane");
    assert!(
        reasons(&one).contains(Reasons::STOPPED),
        "which vouches for nothing"
    );
    cache.cut([&one, &two]).expect("turns go on");
    let mut all = cache.local(feed(wild("all"))).expect("attached");
    all.open();
    say(
        &mut all,
        r#"{"k":"whole","e":"venue.book","i":1,"v":{"n":5}}"#,
    );
    assert_eq!(
        (json(&one).as_str(), one.freshness()),
        (r#"{"n":5}"#, Freshness::Live),
        "the feed does"
    );
    let mut owner = cache.local(inserting()).expect("attached");
    owner.open();
    say(
        &mut all,
        r#"{"k":"whole","e":"venue.book","i":1,"v":{"n":6}}"#,
    );
    assert_eq!(json(&one), r#"{"n":5}"#, "another feed's");
    all.close();
    say(&mut owner, whole("1", r#"{"n":7}"#));
    assert_eq!(
        one.freshness(),
        Freshness::Live,
        "nobody else vouches for it"
    );
    assert!(all.counters().balanced() && slow(&cache).balanced());
}

#[test]
fn an_attach_that_fails_takes_nothing_over() {
    let cache = Cache::builder().build().expect("a cache");
    let free = cache.entity("venue.trade").slot(1);
    set(&free, "1");
    let events = Feed::events().entities([BOOK]).covers(Covers::Nothing);
    let _book = cache.local(events).expect("nobody owns it");
    let error = cache.local(venue()).expect_err("one of two is taken");
    assert!(matches!(error, AttachError::Claim(_)), "{error}");
    set(&free, "2");
    assert_eq!(free.freshness(), Freshness::Live);
    let named = Feed::events().named(SLOW).covers(Covers::Nothing);
    let error = cache.local(named).expect_err("not a name for a feed");
    assert!(matches!(error, AttachError::Name(_)), "{error}");
}

#[test]
fn a_refused_write_leaves_no_claim() {
    let cache = Cache::builder().build().expect("a cache");
    let slot = cache.entity("e").slot(1);
    let refused = slot.set_json("{nonsense").expect("there is no queue");
    assert!(matches!(
        refused.result(),
        Some(Err(CommandError::Refused(_)))
    ));
    let mut all = cache.local(feed(wild("all"))).expect("attached");
    all.open();
    say(&mut all, r#"{"k":"whole","e":"e","i":1,"v":1}"#);
    assert_eq!(all.counters().applied, 1, "the feed owns it");
}

#[test]
fn a_feed_that_is_down_does_not_spoil_what_another_declares() {
    let cache = Cache::builder().build().expect("a cache");
    let slot = cache.entity(BOOK).slot(1);
    let down = cache.local(Feed::events()).expect("attached");
    assert_eq!(slot.freshness(), Freshness::Empty);
    let mut owner = cache.local(venue()).expect("attached");
    owner.open();
    say(&mut owner, whole("1", "1"));
    assert_eq!(slot.freshness(), Freshness::Live);
    drop(down);
    assert_eq!(slot.freshness(), Freshness::Live);
}

/// The value that a thread has written last, of those that were taken.
fn number(slot: &Slot) -> u64 {
    json(slot).parse().expect("a number")
}

/// What does not fit the queue to the slow writer, because its thread was not run for so long, is
/// refused, and said: the count has it, and the value reads stale.
#[test]
fn feeds_and_threads_that_write_one_entity_lose_nothing_unsaid() {
    const ROUNDS: u64 = 3_000;
    const FEEDS: u64 = 2;
    let cache = Cache::builder().build().expect("a cache");
    let slots: Vec<Slot> = (0..=FEEDS + 1)
        .map(|id| cache.entity("e").slot(id))
        .collect();
    set(&slots[0], "0");
    set(&slots[FEEDS as usize + 1], "0");
    let start = Barrier::new(FEEDS as usize + 2);
    let (end, ended) = mpsc::channel::<()>();
    let counted: Vec<CounterValues> = thread::scope(|scope| {
        let feeds: Vec<_> = (1..=FEEDS)
            .map(|own| {
                let (cache, start) = (&cache, &start);
                scope.spawn(move || {
                    let all = feed(wild(&format!("feed {own}")));
                    let mut all = cache.local(all).expect("another name");
                    all.open();
                    start.wait();
                    for n in 1..=ROUNDS {
                        // An id of its own, and one that everybody writes.
                        for id in [own, FEEDS + 1] {
                            let value = n * 10 + own;
                            say(
                                &mut all,
                                format!(r#"{{"k":"whole","e":"e","i":{id},"v":{value}}}"#),
                            );
                        }
                    }
                    all.counters()
                })
            })
            .collect();
        let (slots, start) = (&slots, &start);
        let reader = scope.spawn(move || {
            let mut seen = vec![0; FEEDS as usize + 1];
            start.wait();
            while ended.try_recv() == Err(TryRecvError::Empty) {
                for (slot, seen) in slots.iter().zip(&mut seen) {
                    let snapshot = slot.snapshot();
                    if let Ok(now) = snapshot.record().to_json().parse::<u64>() {
                        assert!(now >= *seen, "{now} after {seen}");
                        *seen = now;
                    }
                }
            }
        });
        start.wait();
        for n in 1..=ROUNDS {
            set(&slots[0], &(n * 10).to_string());
            set(&slots[FEEDS as usize + 1], &(n * 10).to_string());
        }
        let counted = feeds.into_iter().map(|feed| feed.join().expect("it ends"));
        let counted = counted.collect();
        drop(end);
        reader.join().expect("it ends");
        counted
    });
    let (mut forwarded, mut refused) = (0, 0);
    for feed in &counted {
        assert!(feed.balanced(), "{feed:?}");
        assert_eq!(feed.patches, 2 * ROUNDS);
        assert_eq!(feed.forwarded + feed.patches_refused, feed.patches);
        forwarded += feed.forwarded;
        refused += feed.patches_refused;
    }
    let is_said = |slot: &Slot| refused > 0 && !slot.freshness().is_live();
    for (own, slot) in (0..).zip(&slots[..=FEEDS as usize]) {
        let last = number(slot) == ROUNDS * 10 + own;
        assert!(last || is_said(slot), "the last of each writer: {slot:?}");
    }
    let shared = number(&slots[FEEDS as usize + 1]);
    let last = shared / 10 == ROUNDS;
    assert!(last || is_said(&slots[FEEDS as usize + 1]), "{shared}");
    let slow = slow(&cache);
    assert!(slow.balanced(), "{slow:?}");
    assert_eq!(slow.patches, forwarded + 2 * ROUNDS + 2);
    assert_eq!(slow.applied + slow.unchanged, slow.patches);
    assert_eq!(slow.queue_refused, 0);
}

#[test]
fn an_entity_that_changes_hands_keeps_what_was_written() {
    const ROUNDS: u64 = 500;
    let cache = Cache::builder().build().expect("a cache");
    let slot = cache.entity(BOOK).slot(1);
    set(&slot, "0");
    let (last, refused, taken) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut last, mut refused) = (0, 0);
            for n in 1..=ROUNDS {
                let sent = slot.set_json(&n.to_string());
                match sent.and_then(|sent| Ok(sent.wait(LONG)?)) {
                    Ok(()) => last = n,
                    Err(error) => {
                        assert_eq!(error.to_string(), CommandError::OwnerGone.to_string());
                        refused += 1;
                    }
                }
                let shown = number(&slot);
                assert_eq!(shown, last, "what was answered is what is there");
            }
            (last, refused)
        });
        let mut taken = 0;
        while !writer.is_finished() {
            let mut owner = cache.local(venue()).expect("nobody else declares it");
            owner.open();
            for _ in 0..3 {
                owner.settle();
            }
            taken += owner.counters().patches;
        }
        let (last, refused) = writer.join().expect("it ends");
        (last, refused, taken)
    });
    assert_eq!(number(&slot), last);
    assert_eq!(
        slow(&cache).patches + taken,
        1 + ROUNDS - refused,
        "each write was carried out once"
    );
}
