use serde_json::{Value, json};

use super::kit::{Server, cache, now};
use crate::{
    DehydrateOptions, Hydrated, Id, JsonText, QueryError, Reasons, Stored, StoredQuery,
    StoredValue, Time, key,
};

fn hydrated(added: usize, newer: usize, older: usize) -> Hydrated {
    let mut hydrated = Hydrated::default();
    (hydrated.added, hydrated.newer, hydrated.older) = (added, newer, older);
    hydrated
}

/// Through the text, as after a restart.
fn restart(stored: &Stored) -> Stored {
    Stored::from_json(&stored.to_json()).expect("it was just written")
}

#[test]
fn what_is_stored_comes_back_and_is_restored_until_confirmed() {
    let (old, mut feed) = cache();
    drop(
        old.set(&key!["note"], &json!({ "a": 1.50 }))
            .expect("taken"),
    );
    drop(
        old.set(&key!["user", 7], &json!({ "name": "x" }))
            .expect("taken"),
    );
    feed.message(r#"{"entity":"stream","id":1,"payload":{"p":"0.10"}}"#)
        .expect("taken");
    assert_eq!(old.dehydrate(DehydrateOptions::new()).queries.len(), 2);
    let all = DehydrateOptions::new()
        .entities(["stream", "user"])
        .buster("v1");
    let stored = old.dehydrate(all);
    assert_eq!(
        (stored.queries.len(), stored.buster.as_deref()),
        (3, Some("v1"))
    );

    let (new, mut feed) = cache();
    let mut hydrating = new.hydrate(restart(&stored));
    assert!(
        now(&mut hydrating).is_none(),
        "the feed has not taken its value yet"
    );
    assert_eq!(hydrating.so_far().added, 2);
    feed.settle();
    assert_eq!(now(&mut hydrating), Some(hydrated(3, 0, 0)));
    let keys = [key!["note"], key!["user", 7], key!["stream", 1]];
    for key in &keys {
        let state = new.query::<Value>(key).state();
        assert_eq!(state.shared(), old.get(key), "{key}");
        assert!(
            state.freshness().reasons().contains(Reasons::RESTORED),
            "{key}: {state:?}"
        );
        assert!(state.is_stale());
    }
    let again = new.hydrate(restart(&stored));
    feed.settle();
    assert_eq!(
        now(again),
        Some(hydrated(0, 0, 3)),
        "of equal age is not newer"
    );
    feed.message(r#"{"entity":"stream","id":1,"payload":{"p":"0.20"}}"#)
        .expect("taken");
    drop(new.set(&key!["note"], &json!(2)).expect("taken"));
    for key in [&keys[0], &keys[2]] {
        assert!(
            new.query::<Value>(key).state().freshness().is_live(),
            "{key}"
        );
    }
}

#[test]
fn a_list_takes_its_items_along() {
    let (old, mut feed) = cache();
    let server = Server::default();
    let lists = key!["stream", "all"];
    old.defaults(&lists).list("id").fetch(server.fetcher());
    let list = old.query::<Value>(&lists).observe_list();
    server.answer(r#"[{"id":2,"n":2},{"id":1,"n":1}]"#);
    feed.settle();
    let stored = old.dehydrate(DehydrateOptions::new().only(&lists));
    assert_eq!(stored.queries.len(), 3);
    drop(list);

    let (new, mut feed) = cache();
    let hydrating = new.hydrate(restart(&stored));
    feed.settle();
    assert_eq!(now(hydrating), Some(hydrated(3, 0, 0)));
    let mut list = new.query::<Value>(&lists).list("id").observe_list();
    assert_eq!(list.rows().len(), 2);
    assert_eq!(list.rows()[0].value(), Some(&json!({ "id": 2, "n": 2 })));
    assert!(
        list.state()
            .freshness()
            .reasons()
            .contains(Reasons::RESTORED)
    );
}

#[test]
fn older_never_replaces_newer() {
    let key = key!["note"];
    let at = |value: i32, advance: u64| {
        let (cache, mut feed) = cache();
        feed.advance(std::time::Duration::from_secs(advance));
        drop(cache.set(&key, &value).expect("taken"));
        cache.dehydrate(DehydrateOptions::new())
    };
    let (first, second) = (at(1, 0), at(2, 1));
    let (cache, _feed) = cache();
    assert_eq!(cache.hydrate(first.clone()).so_far(), hydrated(1, 0, 0));
    assert_eq!(cache.hydrate(second).so_far(), hydrated(0, 1, 0));
    assert_eq!(cache.hydrate(first).so_far(), hydrated(0, 0, 1));
    assert_eq!(cache.get(&key).as_deref(), Some(&2));
}

fn whole(key: crate::Key, json: &str, at: u64) -> StoredQuery {
    let json = JsonText::new(json).expect("JSON");
    StoredQuery::new(key, StoredValue::Whole(json), Time::from_nanos(at))
}

fn list(key: crate::Key, ids: &[i64], at: u64) -> StoredQuery {
    let ids = ids.iter().map(|id| Id::from(*id)).collect();
    StoredQuery::new(key, StoredValue::List(ids), Time::from_nanos(at))
}

fn all(queries: impl Into<Vec<StoredQuery>>) -> Stored {
    let mut stored = Stored::new(Time::from_nanos(9));
    stored.queries = queries.into();
    restart(&stored)
}

#[test]
fn items_come_before_the_lists_that_name_them() {
    for entity in ["user", "stream"] {
        let (cache, mut feed) = cache();
        let lists = key![entity, "all"];
        let mut rows = cache.query::<Value>(&lists).list("id").observe_list();
        let item = |id: i64| whole(key![entity, id], &format!(r#"{{"id":{id}}}"#), 5);
        let stored = all([list(lists, &[1, 2], 5), item(1), item(2)]);
        let mut hydrating = cache.hydrate(stored);
        let mut known = || rows.rows().iter().all(|row| row.value().is_some());
        assert!(known(), "before the feed has taken them");
        feed.settle();
        assert_eq!(now(&mut hydrating), Some(hydrated(3, 0, 0)));
        assert!(known());
        assert_eq!(rows.last_rows().len(), 2);
    }
}

#[test]
fn a_list_is_told_where_its_items_are_when_it_is_declared() {
    for by_default in [false, true] {
        let (cache, _feed) = cache();
        let server = Server::default();
        let lists = key!["user", "all"];
        let stored = all([
            whole(key!["user", 1], r#"{"key":1}"#, 5),
            list(lists.clone(), &[1], 5),
        ]);
        assert_eq!(cache.hydrate(stored).so_far(), hydrated(2, 0, 0));
        let ids: Vec<Value> = cache.get(&lists).as_deref().cloned().expect("a list");
        assert_eq!(ids, [json!({ "key": 1 })], "undeclared, it can be read");
        let query = || cache.query::<Value>(&lists);
        let mut rows = if by_default {
            let defaults = cache.defaults(key!["user"]);
            let _set = defaults
                .list_at(&["rows"], &["key"])
                .fetch(server.fetcher());
            query().observe_list()
        } else {
            let declared = query().list_at(&["rows"], &["key"]);
            declared.fetch_with(server.fetcher()).observe_list()
        };
        assert_eq!(rows.rows().len(), 1, "shown while it is fetched");
        server.answer(r#"{"rows":[{"key":2},{"key":1}]}"#);
        cache.drive();
        assert_eq!(server.calls(), 1);
        assert!(rows.state().error().is_none(), "{:?}", rows.state());
        assert_eq!(rows.rows().len(), 2);
    }
}

#[test]
fn a_key_that_is_something_else_now_begins_anew() {
    let (cache, _feed) = cache();
    let server = Server::default();
    let (was_list, was_value) = (key!["user", "all"], key!["user", "mine", 1]);
    let stored = all([
        list(was_list.clone(), &[1], 5),
        whole(was_value.clone(), r#"{"old":1}"#, 5),
    ]);
    assert_eq!(cache.hydrate(stored.clone()).so_far(), hydrated(2, 0, 0));
    let value = cache.query::<Value>(&was_list).fetch_with(server.fetcher());
    let value = value.observe();
    server.answer(r#"{"n":1}"#);
    cache.drive();
    assert_eq!(value.state().data(), Some(&json!({ "n": 1 })));
    let declared = cache.query::<Value>(&was_value).list("id");
    let mut list = declared.fetch_with(server.fetcher()).observe_list();
    server.answer(r#"[{"id":3}]"#);
    cache.drive();
    assert_eq!(list.rows().len(), 1, "{:?}", list.state());
    // What does not fit what the keys are now is refused, and nothing else.
    let mut refused = hydrated(0, 0, 0);
    refused.refused = 2;
    assert_eq!(cache.hydrate(stored).so_far(), refused);
}

#[test]
fn what_was_stored_and_is_in_use_stays_what_it_is() {
    let (cache, _feed) = cache();
    let server = Server::default();
    let lists = key!["user", "all"];
    drop(cache.hydrate(all([list(lists.clone(), &[1], 5)])));
    let looker = cache.query::<Vec<Value>>(&lists).observe();
    let wrong = cache.query::<Value>(&lists).fetch_with(server.fetcher());
    let state = wrong.clone().observe().state();
    assert!(
        matches!(state.error(), Some(QueryError::OtherPlace(_))),
        "{state:?}"
    );
    drop(looker);
    cache.drive();
    assert!(wrong.observe().state().error().is_none());
}

#[test]
fn a_key_that_is_stored_twice_ends_as_the_newer_one() {
    let twice = |first, second| {
        let (cache, _feed) = cache();
        let note = |n, at| whole(key!["note"], &format!("{n}"), at);
        let stored = all([note(1, first), note(2, second)]);
        let counts = cache.hydrate(stored).so_far();
        (counts, cache.get::<i64>(&key!["note"]).as_deref().copied())
    };
    assert_eq!(twice(5, 6), (hydrated(1, 1, 0), Some(2)));
    assert_eq!(twice(6, 5), (hydrated(1, 0, 1), Some(1)));
    assert_eq!(twice(5, 5), (hydrated(1, 0, 1), Some(1)));
}

#[test]
fn a_sequence_says_more_than_a_time() {
    for key in [key!["note"], key!["user", 7], key!["user", "all"]] {
        let (cache, _feed) = cache();
        let numbered = |n: i64, at, sequence| {
            let mut query = if key == key!["user", "all"] {
                list(key.clone(), &[n], at)
            } else {
                whole(key.clone(), &format!(r#"{{"id":{n}}}"#), at)
            };
            query.sequence = Some(sequence);
            cache.hydrate(all([query])).so_far()
        };
        assert_eq!(numbered(1, 5, 10), hydrated(1, 0, 0), "{key}");
        assert_eq!(numbered(2, 6, 9), hydrated(0, 0, 1), "{key}");
        assert_eq!(numbered(3, 4, 11), hydrated(0, 1, 0), "{key}");
    }
}

#[test]
fn what_is_nested_too_deep_is_refused_alone() {
    let (cache, mut feed) = cache();
    let deep = format!("{}1{}", r#"{"a":"#.repeat(1_000), "}".repeat(1_000));
    let keys = [key!["note"], key!["user", 7], key!["stream", 1]];
    let mut queries: Vec<StoredQuery> = Vec::new();
    for key in &keys {
        queries.push(whole(key.clone(), &deep, 5));
        queries.push(whole(key!["fine", key.to_json()], "1", 5));
    }
    let hydrating = cache.hydrate(all(queries));
    feed.settle();
    let counts = now(hydrating).expect("all of it");
    assert_eq!((counts.added, counts.refused), (3, 3), "{counts:?}");
    assert!(keys.iter().all(|key| cache.get::<Value>(key).is_none()));
}

#[test]
fn observers_are_shown_what_is_restored_and_it_is_fetched() {
    for key in [key!["note"], key!["user", 7], key!["stream", 1]] {
        let (cache, mut feed) = cache();
        let server = Server::default();
        let query = cache.query::<Value>(&key).stale_never();
        let looker = query.clone().enabled(false).observe();
        let hydrating = cache.hydrate(all([whole(key.clone(), r#"{"n":1}"#, 5)]));
        feed.settle();
        assert_eq!(now(hydrating), Some(hydrated(1, 0, 0)), "{key}");
        let state = looker.state();
        assert_eq!(state.data(), Some(&json!({ "n": 1 })), "{key}");
        assert_eq!(state.freshness().reasons(), Reasons::RESTORED, "{key}");
        let observer = query.fetch_with(server.fetcher()).observe();
        feed.settle();
        assert_eq!(server.calls(), 1, "{key}: what is restored is in doubt");
        server.answer(r#"{"n":2}"#);
        feed.settle();
        let state = observer.state();
        assert_eq!(state.live(), Some(&json!({ "n": 2 })), "{key}");
        drop(cache.reset(&key));
        server.answer(r#"{"n":3}"#);
        feed.settle();
        let state = observer.state();
        assert_eq!(state.live(), Some(&json!({ "n": 3 })), "{key}");
    }
}
