//! The data that queries begin with, in each of the places where data can be.

use serde_json::{Value, json};

use super::kit::{Server, cache, ms, now};
use crate::testing::TestFeed;
use crate::{Cache, Feed, FetchStatus, Key, QueryBuilder, Reasons, key};

const HOUR: std::time::Duration = ms(3_600_000);

/// A document, a slot that no feed owns, and one that a feed owns.
fn places() -> [Key; 3] {
    [key!["note"], key!["user", 7], key!["stream", 1]]
}

fn query(cache: &Cache, server: &Server, key: &Key) -> QueryBuilder<Value> {
    let query = cache.query(key).fetch_with(server.fetcher());
    query.stale_after(HOUR)
}

#[test]
fn it_is_fresh_from_the_start_and_what_a_reset_goes_back_to() {
    for key in places() {
        let (cache, mut feed) = cache();
        let server = Server::default();
        let observer = query(&cache, &server, &key)
            .initial(json!({ "n": 0 }))
            .observe();
        // What a feed owns it takes in its own time, and nobody fetches meanwhile.
        cache.drive();
        assert_eq!(server.calls(), 0, "{key}");
        feed.settle();
        let state = observer.state();
        assert_eq!(state.data(), Some(&json!({ "n": 0 })), "{key}");
        assert!(state.freshness().is_live() && !state.is_stale(), "{key}");
        assert_eq!(state.updated_at(), Some(feed.now()), "{key}");
        assert_eq!((state.update_count(), server.calls()), (0, 0), "{key}");

        feed.advance(ms(5));
        drop(observer.refetch());
        server.answer(r#"{"n":1}"#);
        feed.settle();
        assert_eq!(observer.state().data(), Some(&json!({ "n": 1 })), "{key}");
        drop(observer);
        drop(cache.reset(&key));
        feed.settle();
        let kept = if key == key!["stream", 1] { 1 } else { 0 };
        let shown = cache.get::<Value>(&key).expect("data");
        assert_eq!(*shown, json!({ "n": kept }), "{key}: a feed's stays");
        assert_eq!(server.calls(), 1, "{key}: nobody observes it");
    }
}

#[test]
fn it_is_as_old_as_it_is_said_to_be() {
    for key in places() {
        let (cache, mut feed) = cache();
        let server = Server::default();
        let at = feed.now();
        feed.advance(ms(1_000));
        let initial = query(&cache, &server, &key).initial_at(json!({ "n": 0 }), at);
        let observer = initial.clone().stale_after(ms(1_001)).observe();
        feed.settle();
        assert_eq!(server.calls(), 0, "{key}");
        assert_eq!(observer.state().updated_at(), Some(at), "{key}");
        assert!(!observer.state().is_stale(), "{key}");
        feed.advance(ms(1));
        assert!(observer.state().is_stale(), "{key}");
        let _second = initial.stale_after(ms(1_001)).observe();
        feed.settle();
        assert_eq!(server.calls(), 1, "{key}");
    }
}

#[test]
fn it_covers_nothing_that_is_there() {
    for key in places() {
        let (cache, mut feed) = cache();
        let server = Server::default();
        drop(cache.set(&key, &json!({ "n": 9 })).expect("taken"));
        feed.settle();
        feed.advance(ms(5));
        let observer = query(&cache, &server, &key)
            .initial(json!({ "n": 0 }))
            .observe();
        feed.settle();
        assert_eq!(observer.state().data(), Some(&json!({ "n": 9 })), "{key}");
    }
}

#[test]
fn what_a_stream_says_before_it_is_taken_stays() {
    let (cache, mut feed) = cache();
    let server = Server::default();
    let key = key!["stream", 1];
    feed.advance(ms(5));
    let observer = query(&cache, &server, &key)
        .initial(json!({ "n": 0 }))
        .observe();
    feed.message(r#"{"entity":"stream","id":1,"payload":{"n":5}}"#)
        .expect("taken");
    feed.settle();
    assert_eq!(observer.state().data(), Some(&json!({ "n": 5 })));
    drop(cache.reset(&key));
    server.answer(r#"{"n":6}"#);
    feed.settle();
    assert_eq!(observer.state().data(), Some(&json!({ "n": 6 })));
}

#[test]
fn who_fetches_what_is_just_coming_gets_it() {
    for key in places() {
        let (cache, mut feed) = cache();
        let server = Server::default();
        let initial = query(&cache, &server, &key).initial(json!({ "n": 0 }));
        let mut fetching = initial.fetch();
        feed.settle();
        let data = now(&mut fetching).expect("ended").expect("data");
        assert_eq!((&*data, server.calls()), (&json!({ "n": 0 }), 0), "{key}");
    }
}

#[test]
fn a_list_has_its_items_and_its_members() {
    for entity in ["user", "stream"] {
        let (cache, mut feed) = cache();
        let server = Server::default();
        let key = key![entity, "all"];
        let item = cache.entity(entity).slot(2);
        drop(item.set(&json!({ "id": 2, "n": 9 })).expect("taken"));
        feed.settle();
        let rows = json!([{ "id": 3, "n": 3 }, { "id": 2, "n": 2 }]);
        let query = query(&cache, &server, &key).list("id").initial(rows);
        let mut list = query.clone().observe_list();
        feed.settle();
        let shown: Vec<_> = list.rows().iter().map(|row| row.value().cloned()).collect();
        let third = Some(json!({ "id": 3, "n": 3 }));
        // The item that was there already is newer.
        assert_eq!(shown, [third.clone(), Some(json!({ "id": 2, "n": 9 }))]);
        let state = list.state();
        assert!(
            state.freshness().is_live() && !state.is_stale(),
            "{state:?}"
        );
        assert_eq!(server.calls(), 0);
        let partial = cache.entity(entity).slot(3).freshness().reasons();
        assert_eq!(partial, Reasons::PARTIAL, "a list gives some fields");

        drop(list.refetch());
        server.answer("[]");
        feed.settle();
        assert!(list.rows().is_empty());
        drop(list);
        drop(cache.reset(&key));
        feed.settle();
        let ids = query.observe_list();
        assert_eq!(ids.state().data().map(<[_]>::len), Some(2));
        assert_eq!(server.calls(), 1);
    }
}

#[test]
fn a_list_gets_through_an_inbox_that_is_too_small_for_it() {
    let events = Feed::events().entities(["stream"]).whole();
    let (cache, mut feed) = TestFeed::new(events.inbox(1));
    let server = Server::default();
    let rows: Vec<Value> = (0..9).map(|n| json!({ "id": n })).collect();
    drop(cache.entity("stream").slot(99).set(&1).expect("room"));
    let query = query(&cache, &server, &key!["stream", "all"]);
    let mut list = query.list("id").initial(rows).observe_list();
    assert!(list.rows().is_empty(), "all or nothing");
    feed.advance(ms(1_000));
    assert_eq!((list.rows().len(), server.calls()), (9, 0));
}

#[test]
fn what_is_refused_is_fetched() {
    let (cache, mut feed) = cache();
    let server = Server::default();
    let query = query(&cache, &server, &key!["stream", "all"]);
    let list = query
        .list("id")
        .initial(json!({ "no": "list" }))
        .observe_list();
    feed.settle();
    assert_eq!(server.calls(), 1);
    assert_eq!(list.state().fetch_status(), FetchStatus::Fetching);
}
