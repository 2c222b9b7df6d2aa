//! Queries on entities that feeds own, come to own, stop owning, or never owned.

use serde_json::{Value, json};
use tickcache::feed::presets::Events;
use tickcache::{Feed, Freshness, Reasons, Status, key};

use crate::kit::{Lab, Server, poll};

fn says(p: u64) -> Value {
    json!({ "entity": "stream", "id": 1, "payload": { "p": p } })
}

#[test]
fn a_query_on_an_entity_whose_feed_stopped_is_fetched() {
    let mut lab = Lab::new();
    let key = key!["stream", 1];
    let server = lab.served(&key);
    let observer = lab.query(&key).stale_never().observe();
    lab.drive();
    server.answer(json!({ "p": 1 }));
    lab.drive();
    lab.hear(&says(2));
    assert_eq!(observer.state().data(), Some(&json!({ "p": 2 })));
    let Lab { cache, feed } = lab;
    drop(feed);
    cache.drive();
    let reasons = observer.state().freshness().reasons();
    assert!(reasons.contains(Reasons::STOPPED), "{reasons:?}");
    let mut fetching = observer.refetch();
    cache.drive();
    server.answer(json!({ "p": 3 }));
    cache.drive();
    let fetched = poll(&mut fetching).expect("it has ended");
    assert_eq!(*fetched.expect("a value"), json!({ "p": 3 }));
    drop(
        cache
            .set(&key, &json!({ "p": 4 }))
            .expect("the slow plane owns it now"),
    );
    assert_eq!(observer.state().data(), Some(&json!({ "p": 4 })));
    drop(cache.patch(&key, &json!({ "q": 1 })).expect("a patch"));
    let shown = cache
        .optimistic(&key, &json!({ "q": 2 }))
        .expect("an overlay");
    assert_eq!(observer.state().data(), Some(&json!({ "p": 4, "q": 2 })));
    drop(shown);
    assert_eq!(observer.state().data(), Some(&json!({ "p": 4, "q": 1 })));
}

#[test]
fn a_feed_that_stops_during_a_fetch_takes_nothing_from_it() {
    let mut lab = Lab::new();
    let key = key!["stream", 1];
    let server = lab.served(&key);
    let observer = lab.query(&key).stale_never().observe();
    lab.drive();
    let Lab { cache, feed } = lab;
    drop(feed);
    cache.drive();
    // What the feed kept for the fetch is gone with it: it is made again, once.
    for p in [1, 2] {
        if server.waiting() > 0 {
            server.answer(json!({ "p": p }));
            cache.drive();
        }
    }
    assert_eq!(observer.state().status(), Status::Success);
    assert!(observer.state().data().is_some());
    assert_eq!(cache.is_fetching(&key), 0);
}

#[test]
fn a_feed_that_comes_during_a_fetch_has_the_last_word() {
    let mut lab = Lab::new();
    let (slot, list) = (key!["late", 1], key!["late", "all"]);
    let (of_slot, of_list) = (lab.served(&slot), lab.served(&list));
    let first = lab.query(&slot).stale_never().observe();
    let mut second = lab.query(&list).stale_never().list("id").observe_list();
    lab.drive();
    let mut late = lab
        .feed
        .beside::<Events>(Feed::events().named("late").entities(["late"]));
    late.message(r#"{"entity":"late","id":1,"payload":{"id":1,"p":7},"whole":true}"#)
        .expect("taken");
    late.settle();
    lab.drive();
    for _ in 0..2 {
        while of_slot.waiting() > 0 {
            of_slot.answer(json!({ "id": 1, "p": 1 }));
            late.settle();
        }
        while of_list.waiting() > 0 {
            of_list.answer(json!([{ "id": 1, "p": 1, "q": 1 }]));
            late.settle();
        }
        lab.pass(10);
        late.settle();
    }
    let data = first.state().data().cloned().expect("a value");
    assert_eq!(second.rows().len(), 1);
    assert_eq!(lab.cache.is_fetching(key!["late"]), 0);
    late.message(r#"{"entity":"late","id":1,"payload":{"p":8}}"#)
        .expect("taken");
    late.settle();
    assert_eq!(
        first.state().data().expect("a value")["p"],
        json!(8),
        "{data}"
    );
}

#[test]
fn events_about_entities_that_no_feed_owns_reach_their_queries() {
    let mut lab = Lab::with(Feed::events());
    let (slot, list, below) = (key!["job", 1], key!["job", "all"], key!["job", 1, "log"]);
    let servers = [&slot, &list, &below].map(|key| lab.served(key));
    let detail = lab.query(&slot).stale_never().observe();
    let mut rows = lab.query(&list).stale_never().list("id").observe_list();
    let log = lab.query(&below).stale_never().observe();
    lab.drive();
    servers[0].answer(json!({ "id": 1, "p": 1, "more": true }));
    servers[1].answer(json!([{ "id": 1, "p": 1 }, { "id": 2, "p": 1 }]));
    servers[2].answer(json!([]));
    lab.drive();
    let calls = || [0, 1, 2].map(|n: usize| servers[n].calls());
    assert_eq!(calls(), [1, 1, 1]);
    lab.hear(&json!({ "entity": "job", "id": 1, "payload": { "p": 2 } }));
    assert_eq!(calls(), [1, 1, 1], "data is no invalidation");
    assert_eq!(
        detail.state().data(),
        Some(&json!({ "id": 1, "p": 2, "more": true }))
    );
    assert_eq!(rows.rows()[0].value().expect("a row")["p"], json!(2));
    lab.hear(&json!({ "entity": "job", "id": 1 }));
    assert_eq!(calls(), [2, 1, 2], "the item, and what is under it");
    servers[0].answer(json!({ "id": 1, "p": 3 }));
    servers[2].answer(json!([1]));
    lab.drive();
    lab.hear(&json!({ "entity": "job", "id": 2 }));
    assert_eq!(calls(), [2, 2, 2], "nobody fetches item 2 but the list");
    servers[1].answer(json!([{ "id": 1, "p": 3 }, { "id": 2, "p": 3 }]));
    lab.drive();
    lab.hear(&json!({ "entity": "job" }));
    assert_eq!(calls(), [3, 3, 3]);
    drop((detail, log));
}

#[test]
fn a_feed_of_everything_that_comes_after_queries_were_made() {
    let mut lab = Lab::new();
    let key = key!["job", 1];
    let server = lab.served(&key);
    let observer = lab.query(&key).stale_never().observe();
    lab.drive();
    server.answer(json!({ "p": 1 }));
    lab.drive();
    let mut late = lab.feed.beside::<Events>(Feed::events().named("late"));
    lab.drive();
    let settled = server.calls();
    if server.waiting() > 0 {
        server.answer(json!({ "p": 1 }));
        lab.drive();
    }
    late.message(r#"{"entity":"job","id":1,"payload":{"p":2}}"#)
        .expect("taken");
    late.settle();
    lab.drive();
    assert_eq!(observer.state().data(), Some(&json!({ "p": 2 })));
    late.message(r#"{"entity":"job","id":1}"#).expect("taken");
    late.settle();
    lab.drive();
    assert_eq!(server.calls(), settled + 1);
}

#[test]
fn a_first_fetch_that_a_feed_overtakes_is_a_success() {
    let mut lab = Lab::with(Feed::events().entities(["stream"]).whole());
    let key = key!["stream", 1];
    let server = lab.served(&key);
    let mut fetching = lab.query(&key).fetch();
    lab.drive();
    lab.hear(&says(2));
    server.answer(json!({ "p": 1 }));
    lab.drive();
    let fetched = poll(&mut fetching).expect("it has ended");
    assert_eq!(*fetched.expect("what the stream said"), json!({ "p": 2 }));
    let state = lab.state(&key);
    assert!(state.error().is_none() && !state.is_invalidated());
}

#[test]
fn gone_on_the_server_is_gone_here_and_comes_back() {
    let mut lab = Lab::new();
    let key = key!["job", 1];
    let removed = Server::new();
    lab.serve(&key, &removed);
    let observer = lab.query(&key).stale_never().observe();
    lab.drive();
    removed.answer_with(Ok(tickcache::Fetched::removed()));
    lab.drive();
    assert_eq!(
        (observer.state().data(), observer.state().status()),
        (None, Status::Success)
    );
    lab.drive();
    assert_eq!(removed.calls(), 1, "that there is none is an answer");
    let other = lab.query(&key).stale_never().observe();
    lab.drive();
    assert_eq!(removed.calls(), 1, "and fresh");
    assert_eq!(lab.state(&key).freshness(), Freshness::Removed);
    drop(lab.cache.invalidate(&key));
    lab.drive();
    assert_eq!(removed.calls(), 2, "until it is invalidated");
    removed.answer_with(Ok(tickcache::Fetched::removed()));
    drop((lab.drive(), other));
    drop(lab.cache.reset(&key));
    assert_eq!(observer.state().status(), Status::Pending);
    lab.drive();
    removed.answer_with(Ok(tickcache::Fetched::removed()));
    lab.drive();
    lab.set(&key, json!(1));
    assert_eq!(observer.state().data(), Some(&json!(1)));
}
