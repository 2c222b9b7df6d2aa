//! Invalidating and refetching: cases 19 to 30, and section 1.5.

use serde_json::json;
use tickcache::{EventKind, FetchStatus, Filter, RefetchKind, Status, Update, key};

use crate::kit::{Lab, Server, happened, poll, updates};

/// Two keys that were fetched once each, and who serves them.
fn two_fetched(lab: &mut Lab) -> [Server; 2] {
    let servers = [1, 2].map(|n| {
        let server = Server::replying(move |_| json!(n));
        lab.serve(&key!["key", {"n": n}], &server);
        drop(lab.query(&key!["key", {"n": n}]).fetch());
        server
    });
    lab.drive();
    assert_eq!(servers.each_ref().map(Server::calls), [1, 1]);
    servers
}

#[test]
fn case_19_invalidating_refetches_what_is_observed() {
    let mut lab = Lab::new();
    let [first, second] = two_fetched(&mut lab);
    let key = key!["key", {"n": 1}];
    let _observer = lab.query(&key).stale_never().observe();
    lab.drive();
    drop(lab.cache.invalidate(key));
    lab.drive();
    assert_eq!((first.calls(), second.calls()), (2, 1));
}

#[test]
fn case_20_invalidating_leaves_what_only_disabled_observers_see() {
    let mut lab = Lab::new();
    let [first, second] = two_fetched(&mut lab);
    let key = key!["key", {"n": 1}];
    let _observer = lab.query(&key).enabled(false).stale_never().observe();
    lab.drive();
    drop(lab.cache.invalidate(key));
    lab.drive();
    assert_eq!((first.calls(), second.calls()), (1, 1));
}

#[test]
fn case_21_invalidating_may_refetch_nothing() {
    let mut lab = Lab::new();
    let [first, second] = two_fetched(&mut lab);
    let key = key!["key", {"n": 1}];
    let observer = lab.query(&key).stale_never().observe();
    lab.drive();
    drop(lab.cache.invalidate(key).refetch(RefetchKind::None));
    lab.drive();
    assert_eq!((first.calls(), second.calls()), (1, 1));
    assert!(observer.state().is_invalidated());
}

#[test]
fn case_23_invalidating_may_refetch_what_nobody_observes() {
    let mut lab = Lab::new();
    let [first, second] = two_fetched(&mut lab);
    let _observer = lab.query(&key!["key", {"n": 1}]).stale_never().observe();
    lab.drive();
    drop(lab.cache.invalidate(key!["key"]).refetch(RefetchKind::All));
    lab.drive();
    assert_eq!((first.calls(), second.calls()), (2, 2));
}

#[test]
fn case_25_what_has_no_fetcher_is_not_refetched() {
    let mut lab = Lab::new();
    for key in [key!["a"], key!["a", 1]] {
        lab.set(&key, json!("pushed"));
        drop(lab.cache.invalidate(key.clone()).refetch(RefetchKind::All));
        lab.pass(10_000);
        let state = lab.state(&key);
        assert_eq!(state.update_count(), 1);
        assert_eq!((state.status(), state.error_count()), (Status::Success, 0));
        assert_eq!(state.data(), Some(&json!("pushed")));
    }
}

/// A key with data that is being fetched.
fn fetching_with_data(lab: &mut Lab, server: &Server) -> tickcache::Key {
    let key = key!["a"];
    lab.serve(&key, server);
    lab.set(&key, json!(1));
    drop(lab.query(&key).fetch());
    lab.drive();
    assert_eq!((server.calls(), server.aborted()), (1, 0));
    key
}

#[test]
fn case_27_a_refetch_may_join_the_fetch_that_runs() {
    let mut lab = Lab::new();
    let server = Server::new().cancellable();
    let key = fetching_with_data(&mut lab, &server);
    drop(lab.cache.refetch(key).joining());
    lab.drive();
    assert_eq!((server.calls(), server.aborted()), (1, 0));
}

#[test]
fn a_refetch_starts_over_where_there_is_data() {
    let mut lab = Lab::new();
    let server = Server::new().cancellable();
    let key = fetching_with_data(&mut lab, &server);
    drop(lab.cache.refetch(key.clone()));
    lab.drive();
    assert_eq!((server.calls(), server.aborted()), (2, 1));
    server.answer(json!(2));
    lab.drive();
    assert_eq!(lab.get(&key), Some(json!(2)));
}

#[test]
fn a_refetch_joins_the_first_fetch() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    drop(lab.query(&key).fetch());
    lab.drive();
    drop(lab.cache.refetch(key));
    lab.drive();
    assert_eq!((server.calls(), server.aborted()), (1, 0));
}

#[test]
fn case_28_static_data_is_not_refetched_when_invalidated() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let _observer = lab.query(&key).stale_static().observe();
    lab.drive();
    assert_eq!(server.calls(), 1);
    drop(lab.cache.invalidate(Filter::all()));
    lab.drive();
    assert_eq!(server.calls(), 1);
}

#[test]
fn case_29_static_data_is_read_from_the_cache_though_invalidated() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!({ "n": n }));
    lab.serve(&key, &server);
    let mut first = lab.query(&key).stale_static().fetch();
    lab.drive();
    let first = poll(&mut first).expect("answered").expect("succeeded");
    drop(lab.cache.invalidate(key.clone()).refetch(RefetchKind::None));
    lab.drive();
    let mut again = lab.query(&key).stale_static().fetch();
    lab.drive();
    let again = poll(&mut again).expect("answered").expect("succeeded");
    assert_eq!(first, again);
    assert_eq!(server.calls(), 1);
}

#[test]
fn case_30_a_second_invalidation_changes_nothing() {
    let mut lab = Lab::new();
    let key = key!["a"];
    lab.set(&key, json!(1));
    let observer = lab.query(&key).stale_never().observe();
    lab.drive();
    let mut events = lab.cache.events();
    drop(lab.cache.invalidate(key.clone()));
    lab.drive();
    let once = observer.state();
    assert!(once.is_invalidated());
    assert_eq!(updates(&happened(&mut events, &key)), [Update::Invalidate]);
    drop(lab.cache.invalidate(key.clone()));
    lab.drive();
    let twice = observer.state();
    assert_eq!(happened(&mut events, &key), []);
    assert_eq!(once.epoch(), twice.epoch());
    assert_eq!(once.updated_at(), twice.updated_at());
}

#[test]
fn what_was_invalidated_unobserved_is_fetched_when_observed() {
    let mut lab = Lab::new();
    let [first, _] = two_fetched(&mut lab);
    let key = key!["key", {"n": 1}];
    lab.cache.defaults(key![]).stale_never();
    drop(lab.cache.invalidate(key.clone()));
    lab.drive();
    assert_eq!(first.calls(), 1);
    let observer = lab.query(&key).observe();
    lab.drive();
    assert_eq!(first.calls(), 2);
    assert!(!observer.state().is_invalidated());
}

#[test]
fn an_invalidation_is_seen_before_it_returns() {
    let mut lab = Lab::new();
    let keys = [
        key!["a"],
        key!["a", 1],
        key!["a", 1, "comments"],
        key!["a", {"x": 1}],
    ];
    for key in &keys {
        lab.set(key, json!(1));
    }
    let observers = keys
        .each_ref()
        .map(|key| lab.query(key).stale_never().observe());
    lab.drive();
    assert!(
        observers
            .iter()
            .all(|observer| observer.state().freshness().is_live())
    );
    drop(lab.cache.invalidate(key!["a", 1]));
    let marked = observers
        .each_ref()
        .map(|observer| observer.state().is_invalidated());
    assert_eq!(
        marked,
        [false, true, true, false],
        "no call to drive in between"
    );
}

#[test]
fn the_refetch_of_an_invalidation_can_be_waited_for() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let observer = lab.query(&key).observe();
    lab.drive();
    server.answer(json!(1));
    lab.drive();
    let mut done = lab.cache.invalidate(key).into_future();
    lab.drive();
    assert!(poll(&mut done).is_none());
    server.answer(json!(2));
    lab.drive();
    assert!(poll(&mut done).is_some());
    assert_eq!(observer.state().data(), Some(&json!(2)));
}

#[test]
fn a_disabled_query_is_not_refetched() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let _observer = lab.query(&key).enabled(false).observe();
    lab.set(&key, json!("pushed"));
    drop(lab.cache.refetch(Filter::all()));
    drop(
        lab.cache
            .invalidate(Filter::all())
            .refetch(RefetchKind::All),
    );
    lab.drive();
    assert_eq!(server.calls(), 0);
    assert_eq!(lab.state(&key).fetch_status(), FetchStatus::Idle);
}

#[test]
fn an_event_for_an_entity_reaches_its_queries() {
    let mut lab = Lab::with(tickcache::Feed::events());
    let server = Server::replying(|n| json!({ "n": n }));
    lab.serve(&key!["todo"], &server);
    let keys = [
        key!["todo", 1],
        key!["todo", 2],
        key!["todo", 1, "comments"],
        key!["todo", {"p": 1}],
    ];
    let _observers = keys
        .each_ref()
        .map(|key| lab.query(key).stale_never().observe());
    lab.drive();
    assert_eq!(server.calls(), 4);
    lab.hear(&json!({ "entity": "todo", "id": 1 }));
    assert_eq!(server.calls(), 6, "the value and what is about it");
    lab.hear(&json!({ "entity": "todo" }));
    assert_eq!(server.calls(), 10, "all of them");
    lab.hear(&json!({ "entity": "other" }));
    assert_eq!(server.calls(), 10);
}

#[test]
fn an_invalidation_is_told_before_the_fetch_that_follows_it() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let _observer = lab.query(&key).observe();
    lab.drive();
    let mut events = lab.cache.events();
    drop(lab.cache.invalidate(key.clone()));
    lab.drive();
    let kinds = happened(&mut events, &key);
    assert_eq!(
        updates(&kinds),
        [Update::Invalidate, Update::Fetch, Update::Success]
    );
    assert!(kinds.contains(&EventKind::ObserverResults));
}
