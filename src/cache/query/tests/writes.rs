use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::kit::{Server, cache, ms, now};
use crate::testing::TestFeed;
use crate::{Cache, EventKind, Feed, Filter, Key, QueryError, Update, key};

#[test]
fn writes_of_documents_and_slots_are_read_by_key() {
    let (cache, mut feed) = cache();
    for key in [key!["note"], key!["note", 1], key!["stream", 1]] {
        assert_eq!(cache.get::<Value>(&key), None);
        assert_eq!(
            cache
                .set_with(&key, |_: Option<&Value>| None)
                .expect("taken"),
            None
        );
        assert!(
            cache.queries(key.clone()).is_empty(),
            "{key}: nothing was made"
        );
        let mut done = cache.set(&key, &json!({ "a": 1, "b": 1 })).expect("taken");
        feed.settle();
        assert_eq!(now(&mut done), Some(Ok(())));
        assert_eq!(cache.get(&key).as_deref(), Some(&json!({ "a": 1, "b": 1 })));
        let _done = cache
            .patch(&key, &json!({ "a": 2, "b": null }))
            .expect("taken");
        feed.settle();
        assert_eq!(
            cache.get(&key).as_deref(),
            Some(&json!({ "a": 2 })),
            "{key}"
        );
        let more = |old: Option<&Value>| Some(json!({ "a": old?["a"].as_i64()? + 1 }));
        assert_eq!(
            cache.set_with(&key, more).expect("taken"),
            Some(json!({ "a": 3 }))
        );
        feed.settle();
        assert_eq!(cache.get(&key).as_deref(), Some(&json!({ "a": 3 })));
        let wrong = cache.set_with(&key, |old: Option<&Vec<u8>>| old.cloned());
        assert!(matches!(wrong, Err(QueryError::Decode(_))), "{wrong:?}");
        let _done = cache.unset(&key).expect("taken");
        feed.settle();
        assert_eq!(cache.get::<Value>(&key), None);
        assert!(
            cache.query::<Value>(&key).state().is_success(),
            "known to be none"
        );
    }
    let unfit: std::collections::HashMap<(u8, u8), u8> = [((1, 2), 3)].into();
    assert!(matches!(
        cache.set(&key!["note"], &unfit),
        Err(QueryError::Json(_))
    ));
}

#[test]
fn an_update_of_a_document_is_made_again_when_another_write_came_in_between() {
    let (cache, _feed) = cache();
    let key = key!["count"];
    let mut interfered = false;
    let set = cache.set_with(&key, |old: Option<&i64>| {
        if !std::mem::replace(&mut interfered, true) {
            drop(cache.set(&key, &10).expect("taken"));
        }
        Some(old.copied().unwrap_or(0) + 1)
    });
    assert_eq!(set.expect("taken"), Some(11));
    let endless = cache.set_with(&key, |old: Option<&i64>| {
        drop(
            cache
                .set(&key, &(old.copied().unwrap_or(0) + 1))
                .expect("taken"),
        );
        Some(0)
    });
    assert!(matches!(endless, Err(QueryError::Contended)), "{endless:?}");
}

#[test]
fn many_are_written_by_filter_and_none_is_made() {
    let (cache, _feed) = cache();
    for n in 1..=2 {
        drop(cache.set(&key!["key", n], &n).expect("taken"));
    }
    drop(cache.set(&key!["other"], &0).expect("taken"));
    let written = cache.set_many(key!["key"], |old: Option<&i64>| Some(old? + 5));
    let written: Vec<_> = written
        .into_iter()
        .map(|(key, new)| (key, new.expect("taken")))
        .collect();
    assert_eq!(
        written,
        [(key!["key", 1], Some(6)), (key!["key", 2], Some(7))]
    );
    assert_eq!(cache.get(&key!["key", 2]).as_deref(), Some(&7));
    assert!(
        cache
            .set_many(key!["none"], |_: Option<&i64>| Some(1))
            .is_empty()
    );
    assert_eq!(cache.queries(Filter::all()).len(), 3);
}

#[test]
fn an_optimistic_write_of_a_document_is_an_overlay() {
    let (cache, _feed) = cache();
    let key = key!["profile"];
    drop(
        cache
            .set(&key, &json!({ "name": "a", "age": 1 }))
            .expect("taken"),
    );
    let shown = || cache.get::<Value>(&key).expect("data");
    let write = cache
        .optimistic(&key, &json!({ "name": "b" }))
        .expect("shown");
    assert_eq!(*shown(), json!({ "name": "b", "age": 1 }));
    let _done = cache
        .patch(&key, &json!({ "name": "c", "age": 2 }))
        .expect("taken");
    assert_eq!(*shown(), json!({ "name": "b", "age": 2 }));
    drop(write);
    assert_eq!(
        *shown(),
        json!({ "name": "c", "age": 2 }),
        "nothing that came is lost"
    );
    let write = cache
        .query::<Value>(&key)
        .optimistic(&json!({ "name": "d" }))
        .expect("shown");
    drop(write.commit().expect("taken"));
    assert_eq!(*shown(), json!({ "name": "d", "age": 2 }));
}

#[test]
fn an_optimistic_write_of_a_streamed_value_has_the_stream_underneath() {
    let (cache, mut feed) = cache();
    feed.message(r#"{"entity":"stream","id":1,"payload":{"p":1,"q":1}}"#)
        .expect("taken");
    let shown = || cache.get::<Value>(&key!["stream", 1]).expect("data");
    let mut write = cache
        .optimistic(&key!["stream", 1], &json!({ "p": 9 }))
        .expect("shown");
    feed.settle();
    assert_eq!(now(write.shown()), Some(Ok(())));
    assert_eq!(*shown(), json!({ "p": 9, "q": 1 }));
    feed.message(r#"{"entity":"stream","id":1,"payload":{"p":2,"q":2}}"#)
        .expect("taken");
    assert_eq!(*shown(), json!({ "p": 9, "q": 2 }));
    drop(write.rollback().expect("taken"));
    feed.settle();
    assert_eq!(*shown(), json!({ "p": 2, "q": 2 }));
}

#[test]
fn one_shot_calls_fetch_what_is_not_fresh() {
    let (cache, mut feed) = cache();
    let server = Server::default();
    let query = || cache.query::<i64>(key!["n"]);
    let refused = now(query().fetch());
    assert!(
        matches!(refused, Some(Err(QueryError::NoFetcher(_)))),
        "{refused:?}"
    );
    cache.defaults(key!["n"]).fetch(server.fetcher()).retry(0);
    server.answer("1");
    let mut fetching = query().fetch();
    assert!(now(&mut fetching).is_none());
    cache.drive();
    assert_eq!(
        now(&mut fetching).expect("ended").expect("good").as_ref(),
        &1
    );
    assert_eq!(*now(query().ensure()).expect("at once").expect("good"), 1);
    assert_eq!(
        *now(query().stale_after(ms(10)).fetch())
            .expect("fresh")
            .expect("good"),
        1
    );
    assert_eq!(server.calls(), 1);
    feed.advance(ms(10));
    query().stale_after(ms(10)).prefetch();
    cache.drive();
    assert_eq!((server.calls(), cache.is_fetching(key!["n"])), (2, 1));
    server.fail("down");
    let fetching = query().fetch();
    cache.drive();
    assert_eq!(cache.is_fetching(Filter::all()), 0);
    let failed = now(fetching);
    assert!(
        matches!(failed, Some(Err(QueryError::Fetch(_)))),
        "it joined: {failed:?}"
    );
    cache.defaults(key!["m"]).fetch(server.fetcher());
    let calls = server.calls();
    let fetching = cache.query::<i64>(key!["m"]).fetch();
    server.fail("down");
    feed.advance(ms(60_000));
    assert_eq!(
        server.calls(),
        calls + 1,
        "whoever asks tries again himself"
    );
    assert!(matches!(now(fetching), Some(Err(QueryError::Fetch(_)))));
    let observer = cache.query::<i64>(key!["m"]).observe();
    server.fail("down");
    feed.settle();
    server.answer("1");
    feed.advance(ms(1_000));
    assert_eq!(
        observer.state().data(),
        Some(&1),
        "an observer's fetch is tried again"
    );
    let many = cache.refetch(key!["n"]).into_future();
    assert_eq!(many.len(), 1);
    server.fail("still");
    cache.drive();
    let refetched = now(many).expect("ended");
    assert_eq!((refetched.ended, refetched.errors.len()), (1, 1));
}

#[test]
fn events_come_in_order_and_what_is_too_much_is_counted() {
    let (cache, _feed) = cache();
    let mut events = cache.events();
    assert!(now(events.next()).is_none());
    drop(cache.set(&key!["a"], &1).expect("taken"));
    let kinds: Vec<_> = std::iter::from_fn(|| events.try_next())
        .map(|e| e.kind)
        .collect();
    assert_eq!(kinds.first(), Some(&EventKind::Added));
    assert!(
        kinds.contains(&EventKind::Updated(Update::Set)),
        "{kinds:?}"
    );
    for n in 0..2000 {
        drop(cache.set(&key!["a"], &n).expect("taken"));
    }
    let taken = std::iter::from_fn(|| events.try_next()).count();
    assert!(taken >= 1 && events.missed() > 0);
    assert!(events.missed() >= 2000 - taken as u64);
    cache.remove(key!["a"]);
    let last = std::iter::from_fn(|| events.try_next()).last();
    assert_eq!(last.map(|event| event.kind), Some(EventKind::Removed));
}

#[test]
fn hooks_run_on_the_slow_plane_until_they_are_dropped() {
    let (cache, mut feed) = cache();
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&log);
    let updates = cache
        .on_event(key!["a"], move |event| {
            let told = Arc::clone(&told);
            async move {
                if event.kind == EventKind::Updated(Update::Set) {
                    told.lock().expect("the log").push(event.key.to_string());
                    panic!("on purpose");
                }
            }
        })
        .expect("it runs");
    let (told, of) = (Arc::clone(&log), cache.clone());
    let marks = cache
        .on_invalidation("stream", move |entity| {
            told.lock().expect("the log").push(entity.name().to_owned());
            of.invalidate(key!["a"]);
            std::future::ready(())
        })
        .expect("it runs");
    let taken = || std::mem::take(&mut *log.lock().expect("the log"));
    drop(cache.set(&key!["a"], &1).expect("taken"));
    drop(cache.set(&key!["b"], &1).expect("taken"));
    assert!(taken().is_empty(), "not in here");
    cache.drive();
    assert_eq!(taken(), [r#"["a"]"#]);
    drop(cache.set(&key!["a"], &2).expect("taken"));
    cache.drive();
    assert_eq!(taken(), [r#"["a"]"#], "a panic ends one run");
    feed.message(r#"{"entity":"stream","id":1,"payload":{}}"#)
        .expect("taken");
    cache.drive();
    assert!(taken().is_empty(), "a publication is no mark");
    feed.message(r#"{"entity":"stream","id":1}"#)
        .expect("taken");
    cache.drive();
    assert_eq!(taken(), ["stream"]);
    assert!(cache.query::<i64>(key!["a"]).state().is_invalidated());
    drop((updates, marks));
    drop(cache.set(&key!["a"], &3).expect("taken"));
    cache.invalidate(key!["stream"]);
    cache.drive();
    assert!(taken().is_empty());
}

#[test]
fn a_dropped_optimistic_write_is_taken_back_though_the_inbox_was_full() {
    let events = Feed::events().entities(["stream"]).whole();
    let (cache, mut feed) = TestFeed::new(events.inbox(1));
    let key = key!["stream", 1];
    feed.message(r#"{"entity":"stream","id":1,"payload":{"n":1}}"#)
        .expect("taken");
    let write = cache.optimistic(&key, &json!({ "n": 2 })).expect("room");
    feed.settle();
    assert_eq!(
        cache.get::<Value>(&key).as_deref(),
        Some(&json!({ "n": 2 }))
    );
    drop(cache.entity("stream").slot(2).set(&1).expect("room"));
    let (error, write) = write.rollback().expect_err("full");
    assert!(error.is_retryable());
    drop(write);
    feed.settle();
    assert_eq!(
        cache.get::<Value>(&key).as_deref(),
        Some(&json!({ "n": 1 }))
    );
}

#[test]
fn every_way_to_invalidate_fetches_what_is_observed() {
    type Way = fn(&Cache);
    let ways: [(&str, Way); 4] = [
        ("everything", Cache::invalidate_all),
        ("the entity", |cache| cache.entity("stream").invalidate()),
        ("the slot", |cache| {
            cache.entity("stream").slot(1).invalidate();
        }),
        ("the key", |cache| drop(cache.invalidate(key!["stream", 1]))),
    ];
    for (way, invalidate) in ways {
        let (cache, mut feed) = cache();
        let server = Server::default();
        let defaults = cache.defaults(key!["stream"]).stale_never();
        let _set = defaults.fetch(server.fetcher());
        let query = |key: &Key| cache.query::<Value>(key);
        let keys = [key!["stream", 1], key!["stream", 1, "orders"]];
        for key in &keys {
            drop(cache.set(key, &json!({ "n": 1 })).expect("taken"));
        }
        feed.settle();
        let _observed: Vec<_> = keys.iter().map(|key| query(key).observe()).collect();
        let _idle = query(&key!["stream", 1, "idle"]).enabled(false).observe();
        let _watch = cache.entity("stream").slot(1).watch();
        feed.settle();
        assert_eq!(server.calls(), 0, "{way}: it is fresh");
        invalidate(&cache);
        assert!(keys.iter().all(|key| query(key).state().is_invalidated()));
        feed.settle();
        assert_eq!(server.calls(), 2, "{way}: each is fetched, once");
        // Marks that come while it is fetched are one more (D4).
        invalidate(&cache);
        invalidate(&cache);
        feed.settle();
        assert_eq!(server.calls(), 2, "{way}");
        (0..4).for_each(|n| server.answer(&format!(r#"{{"n":{n}}}"#)));
        feed.settle();
        assert_eq!(server.calls(), 4, "{way}");
        assert!(
            keys.iter()
                .all(|key| query(key).state().freshness().is_live())
        );
    }
}

#[test]
fn a_wait_for_a_fetch_that_is_paused_says_so() {
    let (cache, _feed) = cache();
    let server = Server::default();
    cache.defaults(key!["n"]).fetch(server.fetcher());
    cache.set_online(false);
    let fetching = cache.query::<i64>(key!["n"]).fetch();
    cache.drive();
    let paused = |error: &QueryError| match error {
        QueryError::TimedOut { last: Some(last) } => matches!(**last, QueryError::Paused),
        _ => false,
    };
    let error = fetching.wait(ms(1)).expect_err("not in time");
    assert!(paused(&error) && error.is_retryable(), "{error:?}");
    let mut observer = cache.query::<i64>(key!["n"]).observe();
    let error = observer.until(|_| true).timeout(ms(0)).wait();
    let error = error.expect_err("not in time");
    assert!(paused(&error), "{error:?}");
    assert_eq!(server.calls(), 0);
}

#[test]
fn a_fetcher_reaches_its_cache_and_does_not_keep_it() {
    let (cache, feed) = cache();
    let (told, tell) = (Arc::new(Mutex::new(Vec::new())), Mutex::new(None));
    let log = Arc::clone(&told);
    let fetch = move |cx: crate::FetchContext| {
        let cache = cx.cache().expect("it fetches");
        drop(cache.set(&key!["seen"], &1).expect("taken"));
        log.lock().expect("the log").push(cx.key().to_json());
        let kept = Keeps(Arc::clone(&log));
        *tell.lock().expect("the context") = Some(cx);
        async move {
            let _kept = kept;
            std::future::pending().await
        }
    };
    let weak = cache.downgrade();
    drop(cache.query::<i64>(key!["n"]).fetch_with(fetch).fetch());
    cache.drive();
    assert_eq!(cache.get::<i64>(&key!["seen"]).as_deref(), Some(&1));
    drop((cache, feed));
    assert!(weak.upgrade().is_none(), "a fetch that runs keeps nothing");
    assert_eq!(*told.lock().expect("the log"), [r#"["n"]"#, "dropped"]);
}

/// Says that it is dropped.
struct Keeps(Arc<Mutex<Vec<String>>>);

impl Drop for Keeps {
    fn drop(&mut self) {
        self.0.lock().expect("the log").push("dropped".into());
    }
}
