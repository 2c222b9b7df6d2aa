//! Sentences of what query-core does that are no numbered case, one test each.

use std::time::Duration;

use serde_json::{Value, json};
use tickcache::{FetchStatus, Filter, Poll, Refetch, RefetchKind, StaleTime, Status, key};

use crate::kit::{Lab, Server, ms, poll};

/// 1.2: the empty key means everything; a nested array is a prefix, too.
#[test]
fn the_empty_key_matches_all_and_nested_arrays_are_prefixes() {
    let mut lab = Lab::new();
    let keys = [
        key![],
        key![1],
        key!["a", [1, 2], {"x": [3, 4]}],
        key!["a", "b"],
    ];
    for key in &keys {
        lab.set(key, json!(1));
    }
    assert_eq!(lab.matching(key![]), keys);
    assert_eq!(lab.matching(key!["a", [1]]), [keys[2].clone()]);
    assert_eq!(
        lab.matching(key!["a", [1, 2], {"x": [3]}]),
        [keys[2].clone()]
    );
    assert_eq!(lab.matching(key!["a", [2]]), []);
    assert_eq!(lab.matching(key!["a", [1, 2, 3]]), []);
    assert_eq!(lab.matching(Filter::from(key![]).exact()), [key![]]);
}

/// 1.5: what is refetched goes by the kind of refetch, else by the activity that the filter names.
#[test]
fn an_invalidation_of_what_is_inactive_refetches_that() {
    let mut lab = Lab::new();
    let (seen, unseen) = (key!["a", "seen"], key!["a", "unseen"]);
    let servers = [&seen, &unseen].map(|key| {
        let server = Server::replying(|n| json!(n));
        lab.serve(key, &server);
        server
    });
    let _observer = lab.query(&seen).stale_never().observe();
    lab.query(&unseen).prefetch();
    lab.drive();
    let calls = || [servers[0].calls(), servers[1].calls()];
    assert_eq!(calls(), [1, 1]);
    drop(lab.cache.invalidate(Filter::from(key!["a"]).inactive()));
    lab.drive();
    assert_eq!(calls(), [1, 2]);
    drop(lab.cache.invalidate(Filter::from(key!["a"]).active()));
    lab.drive();
    assert_eq!(calls(), [2, 2]);
    let inactive = Filter::from(key!["a"]).inactive();
    drop(lab.cache.invalidate(inactive).refetch(RefetchKind::None));
    lab.drive();
    assert_eq!(calls(), [2, 2]);
    assert!(lab.state(&unseen).is_invalidated() && !lab.state(&seen).is_invalidated());
}

/// 1.5: static data is static to observers only.
#[test]
fn static_data_that_nobody_observes_is_refetched() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let observer = lab.query(&key).stale_static().observe();
    lab.drive();
    drop(lab.cache.invalidate(&key).refetch(RefetchKind::All));
    lab.drive();
    assert_eq!(server.calls(), 1);
    assert!(
        lab.state(&key).is_invalidated(),
        "the mark is set all the same"
    );
    drop(observer);
    drop(lab.cache.refetch(&key));
    lab.drive();
    assert_eq!(server.calls(), 2);
}

/// 1.5: what is paused is not waited for.
#[test]
fn a_refetch_of_many_does_not_wait_for_the_network() {
    let mut lab = Lab::new();
    let key = key!["a"];
    lab.serve(&key, &Server::replying(|n| json!(n)));
    let observer = lab.query(&key).observe();
    lab.drive();
    lab.cache.set_online(false);
    let refetched = lab.cache.refetch(&key);
    let mut refetched = refetched.into_future();
    lab.drive();
    assert!(refetched.is_empty() && poll(&mut refetched).is_some());
    assert_eq!(observer.state().fetch_status(), FetchStatus::Paused);
}

/// 1.6: a fetch goes by the stale time of its call, and whether the query is enabled is no matter.
#[test]
fn a_call_has_its_own_stale_time_and_needs_nobodys_leave() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    lab.cache.defaults(key.clone()).enabled(false);
    let observer = lab.query(&key).observe();
    lab.drive();
    assert_eq!(server.calls(), 0);
    let by_state = |state: &tickcache::QueryState<Value>| match state.data() {
        Some(one) if *one == json!(1) => StaleTime::Never,
        _ => StaleTime::After(Duration::ZERO),
    };
    for (expected, calls) in [(1, 1), (1, 1)] {
        let mut fetching = lab.query(&key).stale_by(by_state).fetch();
        lab.drive();
        let fetched = poll(&mut fetching).expect("ended").expect("data");
        assert_eq!((&*fetched, server.calls()), (&json!(expected), calls));
    }
    let mut fetching = lab.query(&key).fetch();
    lab.drive();
    assert_eq!(
        *poll(&mut fetching).expect("ended").expect("data"),
        json!(2)
    );
    assert!(
        !observer.state().is_stale(),
        "to a disabled observer nothing is stale"
    );
}

/// 1.7: a call during a fetch whose observers have left lets it retry again.
#[test]
fn a_second_call_brings_retries_back() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let observer = lab.query(&key).observe();
    lab.drive();
    drop(observer);
    let again = lab.query(&key).observe();
    lab.drive();
    server.fail("once");
    lab.pass(1_000);
    assert_eq!((server.calls(), again.state().failure_count()), (2, 1));
    drop(again);
    server.fail("twice");
    lab.pass(100_000);
    assert_eq!(server.calls(), 2, "nobody is there");
    assert_eq!(lab.state(&key).status(), Status::Error);
}

/// 1.8: the first attempt needs no focus.
#[test]
fn a_first_attempt_needs_no_focus() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    lab.cache.set_focused(false);
    let _observer = lab.query(&key).observe();
    lab.drive();
    assert_eq!(server.calls(), 1);
    lab.cache.set_focused(false);
    lab.cache.set_online(true);
    lab.drive();
    assert_eq!(
        server.calls(),
        1,
        "saying what is known already is no occasion"
    );
}

/// 1.9: freshness is irrelevant to polls, and a poll is the observer's, not the query's.
#[test]
fn each_observer_polls_for_itself_however_fresh_the_data_is() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let slow = lab.query(&key).stale_static().poll_every(ms(100)).observe();
    let fast = lab.query(&key).stale_never().poll_every(ms(10)).observe();
    lab.pass(120);
    let calls = server.calls();
    assert!((9..=12).contains(&calls), "{calls}");
    drop(fast);
    lab.pass(120);
    assert!(server.calls() <= calls + 2, "{}", server.calls());
    drop(slow);
    let calls = server.calls();
    lab.pass(1_000);
    assert_eq!(server.calls(), calls);
}

/// 1.9: polling that a function has stopped is taken up when a push changes its mind.
#[test]
fn a_push_takes_polling_up_again() {
    for key in [key!["stream", 1], key!["document"]] {
        let mut lab = Lab::new();
        let server = Server::replying(|_| json!({ "done": true }));
        lab.serve(&key, &server);
        let observer = lab.query(&key).poll(|state| match state.data() {
            Some(data) if data["done"] == json!(true) => Poll::Stop,
            _ => Poll::every(ms(10)),
        });
        let observer = observer.stale_never().observe();
        lab.pass(1_000);
        assert_eq!(server.calls(), 1, "{key}");
        if key.len() == 2 {
            lab.hear(&json!({ "entity": "stream", "id": 1, "payload": { "done": false } }));
        } else {
            lab.set(&key, json!({ "done": false }));
        }
        assert_eq!(
            observer.state().data(),
            Some(&json!({ "done": false })),
            "{key}"
        );
        lab.pass(20);
        assert_eq!(server.calls(), 2, "{key}");
        lab.pass(1_000);
        assert_eq!(server.calls(), 2, "{key}");
    }
}

/// 1.10: the collection's time runs from when a fetch has settled, too.
#[test]
fn what_was_just_fetched_is_kept_for_its_time() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    drop(lab.query(&key).gc_after(ms(10)).fetch());
    lab.cache.defaults(key.clone()).gc_after(ms(10));
    lab.pass(100);
    server.answer(json!(1));
    lab.drive();
    lab.pass(9);
    assert_eq!(lab.get(&key), Some(json!(1)));
    lab.pass(1);
    assert_eq!(lab.matching(Filter::all()), []);
}

/// 1.13: initial data of a query that is observed fetches by its age.
#[test]
fn initial_data_is_fetched_by_its_age_and_counts_as_no_update() {
    let mut lab = Lab::new();
    let server = Server::replying(|n| json!(n));
    lab.serve(&key![], &server);
    let fresh = lab.query(&key!["fresh"]).initial(0).stale_after(ms(10));
    let fresh = fresh.observe();
    lab.drive();
    assert_eq!((server.calls(), fresh.state().update_count()), (0, 0));
    assert_eq!(fresh.state().status(), Status::Success);
    let stale = lab.query(&key!["stale"]).initial_at(0, lab.feed.now());
    lab.feed.advance(ms(20));
    let stale = stale.stale_after(ms(10)).observe();
    lab.drive();
    assert_eq!(stale.state().data(), Some(&json!(1)));
}

/// 1.8: the longest form of `Refetch` beats freshness, static data and disabling beat it.
#[test]
fn occasions_are_each_observers_own() {
    let mut lab = Lab::new();
    let server = Server::replying(|n| json!(n));
    lab.serve(&key![], &server);
    let always = |key| {
        let query = lab.query(&key).stale_never();
        query
            .refetch_on_focus(Refetch::Always)
            .refetch_on_reconnect(Refetch::Always)
    };
    let one = always(key!["one"]).observe();
    let disabled = always(key!["two"]).enabled(false).observe();
    let fixed = always(key!["three"]).stale_static().observe();
    lab.drive();
    assert_eq!(server.calls(), 2);
    for occasion in 1..=3 {
        lab.cache.set_focused(false);
        lab.cache.set_focused(true);
        lab.cache.set_online(false);
        lab.cache.set_online(true);
        lab.drive();
        assert_eq!(server.calls(), 2 + occasion, "one fetch serves both");
    }
    drop((one, disabled, fixed));
}

/// The same where nobody drives: whoever goes on by itself waits for the slot, too.
#[cfg(feature = "net")]
#[test]
fn a_push_takes_polling_up_again_by_itself() {
    let cache = tickcache::Cache::builder().build().expect("a cache");
    let mut feed = cache
        .local(tickcache::Feed::events().entities(["stream"]))
        .expect("a feed");
    feed.open();
    let key = key!["stream", 1];
    let server = Server::replying(|_| json!({ "done": true }));
    cache.defaults(key.clone()).fetch(server.fetcher());
    let query = cache.query::<Value>(key).stale_never();
    let mut observer = query
        .poll(|state| match state.data() {
            Some(data) if data["done"] == json!(true) => Poll::Stop,
            _ => Poll::every(ms(1)),
        })
        .observe();
    for round in 1..=3 {
        // A fetch of a feed's slot goes through the feed.
        let mut tries = 0..2_000;
        let fetched = loop {
            assert!(tries.next().is_some(), "nobody polls in round {round}");
            feed.settle();
            let polled = observer.until_state(|state| state.update_count() >= round);
            match polled.timeout(ms(5)).wait() {
                Ok(state) => break state,
                Err(tickcache::QueryError::TimedOut { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(fetched.data(), Some(&json!({ "done": true })));
        let push = r#"{"entity":"stream","id":1,"payload":{"done":false}}"#;
        feed.message(&mut push.as_bytes().to_vec()).expect("taken");
    }
}
