//! What is resynced, when, and how often.

use std::sync::{Arc, Mutex};

use tickcache::{FetchError, Fetched, Freshness, Reasons, key};

use crate::kit::*;

/// A stream at 1, held whole.
fn lab(desk: &Desk) -> Lab {
    let mut lab = Lab::new(toy(["A"]).resync(desk.fetcher()));
    lab.whole("A", 1);
    lab
}

#[test]
fn a_gap_reads_stale_with_its_reason_until_the_answer_is_laid_under_the_stream() {
    let desk = Desk::new();
    let mut lab = lab(&desk);
    lab.change("A", 2);
    assert!(lab.freshness("A").is_live());
    lab.change("A", 4);
    assert_eq!(lab.freshness("A"), Freshness::Stale(Reasons::GAP));
    lab.pass(999);
    assert_eq!(desk.asked(), 0, "the stream has its time");
    lab.pass(600);
    assert_eq!(desk.asked(), 1, "and half as much again at most");
    let asked = desk.last();
    assert_eq!((&*asked.entity, &*asked.channel), ("toy.tick", "tick"));
    assert_eq!(
        (asked.id.to_string(), asked.reason),
        ("A".into(), Reasons::GAP)
    );
    assert_eq!((asked.sequence, asked.attempt), (Some(4), 1));
    lab.change("A", 5);
    assert_eq!(lab.freshness("A"), Freshness::Stale(Reasons::GAP));
    desk.value(4);
    lab.pass(0);
    assert!(lab.freshness("A").is_live());
    assert_eq!(
        lab.json("A"),
        r#"{"n":5,"fetched":4}"#,
        "laid under the stream"
    );
    lab.change("A", 6);
    assert!(lab.freshness("A").is_live());
    lab.pass(600_000);
    let counts = lab.counts();
    assert_eq!((counts.resyncs_asked, counts.resyncs_done), (1, 1));
    assert_eq!((counts.resyncs_skipped, counts.resyncs_failed), (0, 0));
}

#[test]
fn what_the_stream_heals_in_its_time_is_not_fetched() {
    let desk = Desk::new();
    let mut lab = lab(&desk);
    lab.change("A", 3);
    lab.pass(900);
    lab.whole("A", 4);
    lab.pass(600_000);
    assert_eq!(desk.asked(), 0);
    assert_eq!(lab.counts().resyncs_skipped, 1);
    assert!(lab.freshness("A").is_live());
}

#[test]
fn a_gap_of_the_whole_connection_and_a_reconnect_ask_for_every_value() {
    let desk = Desk::answering(|_| Ok(value(7)));
    let mut lab = Lab::new(toy(["A", "B"]).resync(desk.fetcher()));
    lab.whole("A", 1);
    lab.whole("B", 1);
    lab.feed.gap();
    assert_eq!(lab.freshness("B"), Freshness::Stale(Reasons::GAP));
    lab.pass(2_000);
    let mut symbols = desk.symbols();
    symbols.sort();
    assert_eq!(symbols, ["A", "B"]);
    assert!(lab.freshness("A").is_live() && lab.freshness("B").is_live());
    lab.feed.disconnect();
    lab.pass(60_000);
    assert_eq!(
        desk.asked(),
        2,
        "nobody is asked while there is no connection"
    );
    lab.feed.reconnect();
    lab.pass(2_000);
    assert_eq!(desk.asked(), 4);
    assert!(desk.last().reason.contains(Reasons::INVALIDATED));
    assert!(lab.freshness("A").is_live() && lab.freshness("B").is_live());
}

#[test]
fn a_connection_that_is_lost_again_gives_the_next_one_its_whole_time() {
    let desk = Desk::new();
    let mut lab = lab(&desk);
    lab.feed.reconnect();
    lab.pass(900);
    lab.feed.reconnect();
    lab.pass(950);
    assert_eq!(desk.asked(), 0);
    lab.pass(600);
    assert_eq!(desk.asked(), 1);
}

#[test]
fn a_subscription_that_has_brought_nothing_is_asked_for() {
    let desk = Desk::new();
    let mut lab = Lab::new(toy(["A", "B"]).resync(desk.fetcher()));
    lab.whole("A", 1);
    lab.pass(2_000);
    assert_eq!(desk.symbols(), ["B"]);
    assert!(desk.last().reason.is_empty());
    // Changes of what was never whole are kept for the answer.
    lab.change("B", 8);
    assert_eq!(lab.freshness("B"), Freshness::Empty);
    desk.value(7);
    lab.pass(0);
    assert_eq!(lab.json("B"), r#"{"n":8,"fetched":7}"#);
    assert!(lab.freshness("B").is_live());
}

#[test]
fn an_answer_that_there_is_none_is_one() {
    let desk = Desk::answering(|_| Ok(Fetched::removed()));
    let mut lab = Lab::new(toy(["B"]).resync(desk.fetcher()));
    lab.pass(60_000);
    assert_eq!(desk.asked(), 1);
    assert_eq!(lab.counts().resyncs_done, 1);
}

#[test]
fn any_number_of_marks_during_a_resync_are_exactly_one_more() {
    let desk = Desk::new();
    let mut lab = lab(&desk);
    lab.feed.gap();
    lab.pass(1_600);
    assert_eq!(desk.asked(), 1);
    for _ in 0..3 {
        lab.slot("A").invalidate();
        lab.pass(10);
    }
    lab.feed.gap();
    lab.pass(5_000);
    assert_eq!(desk.asked(), 1, "one at a time");
    desk.value(1);
    lab.pass(0);
    let reasons = lab.freshness("A").reasons();
    assert!(
        reasons.contains(Reasons::GAP),
        "the answer is older than it"
    );
    lab.pass(1_600);
    assert_eq!(desk.asked(), 2);
    desk.value(1);
    lab.pass(0);
    assert!(lab.freshness("A").is_live());
    lab.pass(600_000);
    assert_eq!(desk.asked(), 2);
    assert_eq!(lab.counts().resyncs_done, 2);
}

#[test]
fn a_failure_is_tried_again_reported_and_not_the_end() {
    let desk = Desk::answering(|resync| {
        if resync.attempt < 4 {
            return Err(FetchError::new("out of order"));
        }
        Ok(value(1))
    });
    let mut lab = lab(&desk);
    lab.feed.gap();
    lab.pass(30_000);
    assert_eq!(desk.asked(), 4);
    assert_eq!(desk.last().attempt, 4);
    assert!(lab.freshness("A").is_live());
    assert_eq!(lab.counts().resyncs_failed, 0);

    let desk = Desk::answering(|_| Err(FetchError::new("gone for good")));
    let mut lab = self::lab(&desk);
    lab.feed.gap();
    lab.pass(20_000);
    assert_eq!(desk.asked(), 4);
    assert_eq!(lab.counts().resyncs_failed, 1);
    let key = key!["toy.tick", "A"];
    let state = lab.cache.query::<serde_json::Value>(key).state();
    assert_eq!(
        state.error().expect("reported").to_string(),
        "the fetch failed: gone for good"
    );
    assert_eq!(lab.freshness("A"), Freshness::Stale(Reasons::GAP));
    lab.pass(80_000);
    assert_eq!(desk.asked(), 8, "later, and later each time");
    // The stream ends it at last.
    lab.whole("A", 9);
    lab.pass(600_000);
    assert_eq!(desk.asked(), 8);
    assert_eq!(lab.counts().resyncs_skipped, 1);
}

#[test]
fn an_answer_older_than_the_stream_is_asked_for_again() {
    let desk = Desk::new();
    let mut lab = lab(&desk);
    lab.change("A", 5);
    lab.pass(1_600);
    desk.value(3);
    lab.pass(10);
    assert_eq!(lab.freshness("A"), Freshness::Stale(Reasons::GAP));
    assert_eq!(lab.json("A"), r#"{"n":5}"#, "never behind what was shown");
    lab.pass(2_000);
    assert_eq!((desk.asked(), desk.last().attempt), (2, 2));
    desk.value(6);
    lab.pass(0);
    assert_eq!(lab.json("A"), r#"{"n":6,"fetched":6}"#);
    assert!(lab.freshness("A").is_live());
}

#[test]
fn a_gap_while_it_is_fetched_starts_over() {
    let desk = Desk::new();
    let mut lab = lab(&desk);
    lab.change("A", 3);
    lab.pass(1_600);
    lab.change("A", 4);
    lab.change("A", 8);
    desk.value(4);
    lab.pass(0);
    assert_eq!(lab.freshness("A"), Freshness::Stale(Reasons::GAP));
    lab.pass(1_600);
    assert_eq!(desk.asked(), 2);
    desk.value(8);
    lab.pass(0);
    assert!(lab.freshness("A").is_live());
    assert_eq!(lab.json("A"), r#"{"n":8,"fetched":8}"#);
}

#[test]
fn a_fetch_of_the_same_key_that_hangs_holds_up_no_resync() {
    let desk = Desk::new();
    let mut lab = lab(&desk);
    let key = key!["toy.tick", "A"];
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    let calls = || *calls.lock().expect("nothing panics with it");
    lab.cache.defaults(key.clone()).fetch(move |_| {
        let mut calls = counted.lock().expect("nothing panics with it");
        *calls += 1;
        let first = *calls == 1;
        async move {
            if first {
                std::future::pending::<()>().await;
            }
            Ok(value(5))
        }
    });
    let fetching = lab.cache.query::<serde_json::Value>(key).fetch();
    // Somebody who calls for it may wait for as long as he likes ...
    lab.pass(60_000);
    assert_eq!(calls(), 1);
    // ... but not who has lost the value.
    lab.feed.gap();
    lab.pass(1_600);
    assert!(!lab.freshness("A").is_live());
    lab.pass(60_000);
    assert_eq!(calls(), 2, "after the rest of one that has failed");
    assert!(lab.freshness("A").is_live());
    drop(fetching);
}

#[test]
fn a_fetch_of_the_same_key_by_a_query_is_one_with_it() {
    let desk = Desk::new();
    let mut lab = lab(&desk);
    lab.feed.gap();
    lab.pass(1_600);
    assert_eq!(desk.asked(), 1);
    let key = key!["toy.tick", "A"];
    let own = |_| async { Ok(Fetched::json(r#"{"own":1}"#)) };
    lab.cache.defaults(key.clone()).fetch(own);
    let fetching = lab.cache.query::<serde_json::Value>(key).fetch();
    lab.pass(100);
    desk.value(1);
    lab.pass(0);
    drop(fetching);
    assert_eq!(
        lab.json("A"),
        r#"{"n":1,"fetched":1}"#,
        "it joined what ran"
    );
    assert!(lab.freshness("A").is_live());
    // A fetcher that the key has of its own goes before.
    lab.feed.gap();
    lab.pass(1_600);
    assert_eq!(lab.json("A"), r#"{"own":1}"#);
    assert_eq!((desk.asked(), lab.counts().resyncs_done), (1, 2));
}

#[test]
fn a_channel_of_its_own_goes_before_all() {
    let (all, own) = (Desk::new(), Desk::new());
    let feed = toy(["A"]).resync(all.fetcher());
    let feed = feed
        .resync_channel("tick", own.fetcher())
        .resync_after(ms(100));
    let mut lab = Lab::new(feed);
    lab.pass(200);
    assert_eq!((all.asked(), own.asked()), (0, 1));
}

#[test]
fn nothing_is_asked_for_without_being_told_to() {
    let desk = Desk::new();
    let mut lab = Lab::new(toy(["A"]).resync_channel("other", desk.fetcher()));
    lab.whole("A", 1);
    lab.feed.gap();
    lab.pass(600_000);
    assert_eq!(desk.asked(), 0);
    assert_eq!(lab.counts().resyncs_asked, 0);
    assert_eq!(lab.freshness("A"), Freshness::Stale(Reasons::GAP));
}

#[test]
fn closing_during_a_resync_ends_it() {
    let desk = Desk::new();
    let mut lab = lab(&desk);
    lab.feed.gap();
    lab.pass(1_600);
    assert_eq!(desk.waiting(), 1);
    lab.cache
        .close_blocking(ms(10_000))
        .expect("nothing is left");
    assert_eq!((desk.waiting(), desk.dropped()), (0, 1));
    lab.pass(600_000);
    assert_eq!(desk.asked(), 1);
}
