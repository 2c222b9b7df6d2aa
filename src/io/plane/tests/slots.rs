//! Slots that streams write: fetched under what they send, watched, followed; lists of them.

use std::sync::Arc;
use std::time::Duration;

use super::rig::{Rig, Upstream, end, failure};
use crate::cache::{Cache, Feed};
use crate::io::plane::{FetchErrorKind, ListShape, NotAList, Promise, Query, Retry, Settings};
use crate::json::Pointer;
use crate::key;
use crate::key::{Id, Key};
use crate::query::{Cause, Filter, RefetchKind, StaleTime, Want};
use crate::record::Mode;
use crate::testing::TestFeed;

const NOW: Want = Want {
    stale: None,
    restart: false,
    cause: Cause::User,
};

fn settings(upstream: &Upstream) -> Settings {
    Settings {
        fetcher: Some(upstream.fetcher()),
        stale: Some(StaleTime::Never),
        retry: Some(Retry::Times(0)),
        ..Settings::default()
    }
}

fn list(upstream: &Upstream) -> Settings {
    let pointer = |text| Pointer::new(text).expect("a pointer");
    Settings {
        list: Some(ListShape {
            items: pointer(""),
            id: pointer("/id"),
        }),
        ..settings(upstream)
    }
}

fn query(cache: &Cache, key: Key, settings: &Settings) -> Arc<Query> {
    let plane = cache.shared().plane();
    plane.query(&key, Some(settings)).expect("a query")
}

fn fetch(cache: &Cache, query: &Arc<Query>) -> Promise {
    let plane = cache.shared().plane();
    plane.fetch(query, NOW).expect("a fetcher")
}

/// What the slot holds, as text.
fn held(query: &Query) -> String {
    let slot = query.slot().expect("a slot").slot();
    let snapshot = slot.snapshot();
    if snapshot.head.has_value() {
        snapshot.record().to_json()
    } else {
        "nothing".into()
    }
}

#[test]
fn an_answer_goes_under_the_patches_that_came_meanwhile() {
    let (cache, mut feed) = TestFeed::new(Feed::events());
    let upstream = Upstream::new();
    let job = query(&cache, key!["job", 42], &settings(&upstream));
    let promise = fetch(&cache, &job);
    feed.settle();
    assert_eq!(upstream.calls(), 1);
    // D2: there is nothing to patch yet, and it is not lost.
    let patch = r#"{"entity":"job","id":42,"payload":{"progress":7}}"#;
    feed.message(patch).expect("taken");
    assert_eq!(held(&job), "nothing");
    upstream.reply(Ok((r#"{"progress":1,"name":"x"}"#.into(), None)));
    feed.settle();
    assert_eq!(end(&promise), "data");
    assert_eq!(held(&job), r#"{"progress":7,"name":"x"}"#);
    assert!(job.state().error.is_none());
    assert!(!job.look().invalidated());
}

#[test]
fn a_slot_that_no_feed_owns_is_fetched_and_let_go() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let more = Settings {
        gc: Some(Duration::from_secs(1)),
        ..Settings::default()
    };
    let user = rig.query(key!["user", "a"], &upstream, more);
    let promise = rig.fetch(&user);
    upstream.answer(&rig, r#"{"name":"x"}"#);
    assert_eq!(
        (end(&promise), held(&user)),
        ("data".into(), r#"{"name":"x"}"#.into())
    );
    drop(
        rig.plane
            .patch(&user, br#"{"age":7}"#.to_vec(), Mode::Merge)
            .expect("sent"),
    );
    assert_eq!(held(&user), r#"{"name":"x","age":7}"#);
    assert_eq!(user.state().data_count, 2);
    rig.advance(Duration::from_secs(3));
    assert!(rig.plane.find(&key!["user", "a"]).is_none());
    assert_eq!(held(&user), "nothing", "collected with its query");
    // The handle goes on with the slot that the id gets then.
    rig.fetch(&user);
    upstream.answer(&rig, r#"{"name":"y"}"#);
    assert_eq!(held(&user), r#"{"name":"y"}"#);
}

#[test]
fn a_mark_by_the_stream_fetches_what_is_watched_and_only_that() {
    let (cache, mut feed) = TestFeed::new(Feed::events().whole());
    let plane = cache.shared().plane();
    let entity = cache.shared().store.entity("job").expect("room");
    let watched = plane.observe_slot(&entity, &Id::from(1));
    for id in [1, 2] {
        let text = format!(r#"{{"entity":"job","id":{id},"payload":{{"n":{id}}}}}"#);
        feed.message(&text).expect("taken");
    }
    feed.message(r#"{"entity":"job","id":1}"#)
        .expect("an invalidation");
    feed.settle();
    // A fetcher that comes later is for what is watched already.
    let upstream = Upstream::new();
    let level = settings(&upstream);
    plane
        .change_defaults(&key!["job"], |defaults| *defaults = level)
        .expect("open");
    feed.settle();
    assert_eq!(upstream.calls(), 1, "it was stale");
    upstream.reply(Ok((r#"{"n":10}"#.into(), None)));
    feed.settle();
    for id in [1, 2] {
        let text = format!(r#"{{"entity":"job","id":{id}}}"#);
        feed.message(&text).expect("an invalidation");
    }
    feed.settle();
    assert_eq!(upstream.calls(), 2);
    upstream.reply(Ok((r#"{"n":11}"#.into(), None)));
    feed.settle();
    drop(watched);
    feed.message(r#"{"entity":"job","id":1}"#)
        .expect("an invalidation");
    feed.settle();
    assert_eq!(upstream.calls(), 2, "nobody watches it any more");
}

#[test]
fn who_follows_an_entity_gets_what_is_stale_fetched() {
    let (cache, mut feed) = TestFeed::new(Feed::events().whole());
    let plane = cache.shared().plane();
    let upstream = Upstream::new();
    let level = settings(&upstream);
    plane
        .change_defaults(&key!["job"], |defaults| *defaults = level)
        .expect("open");
    for id in [1, 2, 3] {
        let text = format!(r#"{{"entity":"job","id":{id},"payload":{{"n":{id}}}}}"#);
        feed.message(&text).expect("taken");
    }
    let entity = cache.shared().store.entity("job").expect("room");
    let following = plane.observe_entity(&entity);
    feed.settle();
    assert_eq!(upstream.calls(), 0);
    feed.message(r#"{"entity":"job","id":2}"#)
        .expect("an invalidation");
    feed.settle();
    assert_eq!(upstream.calls(), 1);
    // Marked again while it is fetched: once more, afterwards.
    feed.message(r#"{"entity":"job","id":2}"#)
        .expect("an invalidation");
    feed.settle();
    assert_eq!(upstream.calls(), 1);
    upstream.reply(Ok((r#"{"n":20}"#.into(), None)));
    feed.settle();
    assert_eq!(upstream.calls(), 2);
    upstream.reply(Ok((r#"{"n":21}"#.into(), None)));
    feed.settle();
    plane
        .mark(&Filter::under(key!["job"]))
        .refetch(RefetchKind::None);
    feed.settle();
    assert_eq!(upstream.calls(), 2);
    drop(plane.mark(&Filter::under(key!["job"])));
    feed.settle();
    assert_eq!(upstream.calls(), 5);
    drop(following);
}

#[test]
fn a_list_holds_ids_and_its_items_are_the_streams() {
    let (cache, mut feed) = TestFeed::new(Feed::events());
    let upstream = Upstream::new();
    let open = query(&cache, key!["job", {"state": "open"}], &list(&upstream));
    fetch(&cache, &open);
    feed.settle();
    feed.message(r#"{"entity":"job","id":30,"payload":{"n":-1}}"#)
        .expect("kept");
    let items: Vec<String> = (0..40)
        .map(|id| format!(r#"{{"id":{id},"n":0}}"#))
        .collect();
    upstream.reply(Ok((format!("[{}]", items.join(",")), None)));
    feed.settle();
    let members = open.members().expect("a list");
    assert_eq!(members.ids.len(), 40);
    assert_eq!(members.ids[39], Id::from(39));
    let read = |at: usize| members.slots[at].snapshot().record().get("n").i64();
    assert_eq!((read(0), read(30)), (Ok(0), Ok(-1)));
    feed.message(r#"{"entity":"job","id":0,"payload":{"n":5}}"#)
        .expect("taken");
    assert_eq!(
        read(0),
        Ok(5),
        "D5: the list is not touched, and reads the slot"
    );
    let again = fetch(&cache, &open);
    feed.settle();
    upstream.reply(Ok((r#"[{"id":1,"n":1},{"n":2}]"#.into(), None)));
    feed.settle();
    let error = failure(&again);
    let kind = error.kind();
    let expected = matches!(
        kind,
        FetchErrorKind::NotAList {
            index: Some(1),
            why: NotAList::NoId
        }
    );
    assert!(expected, "{kind:?}");
    assert_eq!(open.members().expect("a list").ids.len(), 40);
    assert_eq!(read(1), Ok(0), "nothing of it was taken");
}

#[test]
fn a_list_is_fetched_for_an_item_that_nobody_else_can_fetch() {
    let (cache, mut feed) = TestFeed::new(Feed::events());
    let plane = cache.shared().plane();
    let upstream = Upstream::new();
    let all = query(&cache, key!["job"], &list(&upstream));
    let _observation = plane.observe(&all, None).expect("open");
    feed.settle();
    let answer = |feed: &mut TestFeed<_>| {
        upstream.reply(Ok((r#"[{"id":1},{"id":2}]"#.into(), None)));
        feed.settle();
    };
    answer(&mut feed);
    assert_eq!(upstream.calls(), 1);
    feed.message(r#"{"entity":"job","id":3}"#)
        .expect("an invalidation");
    feed.settle();
    assert_eq!(upstream.calls(), 1, "it is not in the list");
    feed.message(r#"{"entity":"job","id":2}"#)
        .expect("an invalidation");
    feed.settle();
    assert_eq!(upstream.calls(), 2);
    feed.message(r#"{"entity":"job","id":1}"#)
        .expect("an invalidation");
    feed.settle();
    answer(&mut feed);
    assert_eq!(upstream.calls(), 3, "marked while it was fetched");
    answer(&mut feed);
    assert_eq!(upstream.calls(), 3);
    let detail = Upstream::new();
    let _item = query(&cache, key!["job", 2], &settings(&detail));
    feed.message(r#"{"entity":"job","id":2}"#)
        .expect("an invalidation");
    feed.settle();
    assert_eq!(
        (upstream.calls(), detail.calls()),
        (3, 0),
        "its own fetcher is for that"
    );
}

#[test]
fn a_write_that_a_feed_carries_out_is_told_when_it_is_done() {
    let (cache, mut feed) = TestFeed::new(Feed::events().whole());
    feed.message(r#"{"entity":"job","id":1,"payload":{"n":1}}"#)
        .expect("taken");
    let plane = cache.shared().plane();
    let job = plane.query(&key!["job", 1], None).expect("a query");
    let write = plane.set(&job, br#"{"n":2}"#.to_vec()).expect("room");
    assert_eq!((write.result(), job.state().data_count), (None, 0));
    feed.settle();
    assert_eq!(write.result(), Some(Ok(())));
    assert_eq!(
        (held(&job), job.state().data_count),
        (r#"{"n":2}"#.into(), 1)
    );
}

#[test]
fn a_feed_without_room_is_asked_again() {
    let (cache, mut feed) = TestFeed::new(Feed::events().whole());
    let upstream = Upstream::new();
    feed.message(r#"{"entity":"job","id":1,"payload":{"n":1}}"#)
        .expect("taken");
    let job = query(&cache, key!["job", 1], &settings(&upstream));
    let plane = cache.shared().plane();
    let mut writes = 0;
    while plane.set(&job, br#"{"n":2}"#.to_vec()).is_ok() {
        writes += 1;
    }
    assert!(writes > 0);
    let promise = fetch(&cache, &job);
    plane.drive();
    assert_eq!(upstream.calls(), 0, "the feed has not begun to keep");
    feed.settle();
    feed.advance(Duration::from_millis(10));
    assert_eq!(upstream.calls(), 1);
    upstream.reply(Ok((r#"{"n":3}"#.into(), None)));
    feed.settle();
    assert_eq!(
        (end(&promise), held(&job)),
        ("data".into(), r#"{"n":3}"#.into())
    );
}

#[test]
fn a_fetch_that_is_given_up_leaves_nothing_with_the_owner() {
    let (cache, mut feed) = TestFeed::new(Feed::events());
    let upstream = Upstream::new();
    let job = query(&cache, key!["job", 1], &settings(&upstream));
    let plane = cache.shared().plane();
    fetch(&cache, &job);
    feed.settle();
    plane.cancel(&Filter::all(), true);
    feed.settle();
    feed.message(r#"{"entity":"job","id":1,"payload":{"n":1}}"#)
        .expect("taken");
    assert_eq!(feed.counters().held, 0, "nobody waits for it");
    // By hand, time and retries go on with the feed.
    let retried = Settings {
        retry: Some(Retry::Times(1)),
        ..Settings::default()
    };
    plane
        .query(&key!["job", 1], Some(&retried))
        .expect("a query");
    let promise = fetch(&cache, &job);
    feed.settle();
    upstream.reply(Err("no".into()));
    feed.advance(Duration::from_secs(1));
    assert_eq!((upstream.calls(), upstream.last().0), (3, 2));
    upstream.reply(Ok((r#"{"n":1}"#.into(), None)));
    feed.settle();
    assert_eq!(end(&promise), "data");
}

#[test]
fn items_are_let_go_with_their_list_unless_somebody_else_has_them() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let short = Settings {
        gc: Some(Duration::from_secs(1)),
        ..list(&upstream)
    };
    let open = rig.query(key!["job", {"state": "open"}], &upstream, short.clone());
    let mine = rig.query(key!["job", {"owner": "me"}], &upstream, list(&upstream));
    rig.fetch(&open);
    upstream.answer(&rig, r#"[{"id":1},{"id":2},{"id":3}]"#);
    rig.fetch(&mine);
    upstream.answer(&rig, r#"[{"id":2}]"#);
    let entity = rig.store.entity("job").expect("room");
    let _watch = rig.plane.observe_slot(&entity, &Id::from(3));
    assert_eq!(entity.len(), 3);
    rig.advance(Duration::from_secs(3));
    assert!(rig.plane.find(open.key()).is_none());
    let left = |id: i32| entity.find((&Id::from(id)).into()).is_some();
    assert_eq!([1, 2, 3].map(left), [false, true, true]);
    assert!(open.members().expect("a list").ids.is_empty());
}

#[test]
fn closing_ends_writes_that_no_feed_will_carry_out() {
    let (cache, mut feed) = TestFeed::new(Feed::events().whole());
    feed.message(r#"{"entity":"job","id":1,"payload":{"n":1}}"#)
        .expect("taken");
    let upstream = Upstream::new();
    let job = query(&cache, key!["job", 1], &settings(&upstream));
    let plane = cache.shared().plane();
    let _write = plane.set(&job, br#"{"n":2}"#.to_vec()).expect("room");
    let promise = fetch(&cache, &job);
    cache
        .close_blocking(Duration::ZERO)
        .expect("nothing is left");
    assert_eq!(end(&promise), "the cache has been closed");
}
