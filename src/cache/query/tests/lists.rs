use std::sync::Arc;

use serde_json::{Value, json};

use super::kit::{Server, cache, now};
use crate::cache::query::list::in_list;
use crate::testing::TestFeed;
use crate::{
    Cache, Feed, FetchErrorKind, Freshness, ListObserver, QueryError, Reasons, Refusal, key,
};

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Item {
    id: u32,
    n: i64,
}

fn ns(list: &mut ListObserver<Item>) -> Vec<(u32, i64)> {
    let rows = list.rows().iter();
    rows.filter_map(|row| row.value())
        .map(|item| (item.id, item.n))
        .collect()
}

/// A list of three items of the entity `stream`, in the cache.
fn listed(cache: &Cache, server: &Server) -> ListObserver<Item> {
    cache
        .defaults(key!["stream", "all"])
        .list("id")
        .fetch(server.fetcher());
    let list = cache
        .query::<Item>(key!["stream", "all"])
        .stale_never()
        .observe_list();
    server.answer(r#"[{"id":2,"n":2},{"id":1,"n":1},{"id":3,"n":3}]"#);
    list
}

#[test]
fn rows_that_did_not_move_are_not_made_again() {
    let (cache, mut feed) = cache();
    let server = Server::default();
    let mut list = listed(&cache, &server);
    assert!(list.rows().is_empty() && list.state().is_pending());
    let first = now(list.changed()).expect("what there is").expect("open");
    assert!(first.is_empty());
    feed.settle();
    let rows = now(list.changed()).expect("news").expect("open").to_vec();
    let ids: Vec<String> = rows.iter().map(|row| row.id().to_string()).collect();
    assert_eq!(ids, ["2", "1", "3"], "in the order of the answer");
    assert_eq!(list.state().data().map(<[_]>::len), Some(3));
    assert!(
        rows.iter().all(|row| row.freshness().is_live()),
        "partial is nothing wrong here"
    );
    assert!(
        rows[0]
            .slot()
            .freshness()
            .reasons()
            .contains(Reasons::PARTIAL)
    );
    assert!(now(list.changed()).is_none());

    feed.message(r#"{"entity":"stream","id":1,"payload":{"id":1,"n":7}}"#)
        .expect("taken");
    let moved = now(list.changed()).expect("news").expect("open");
    assert_eq!(moved[1].value().map(|item| item.n), Some(7));
    for (at, same) in [(0, true), (1, false), (2, true)] {
        let pair = (
            rows[at].shared().expect("data"),
            moved[at].shared().expect("data"),
        );
        assert_eq!(Arc::ptr_eq(pair.0, pair.1), same, "row {at}");
    }
    feed.message(r#"{"entity":"stream","id":9,"payload":{"id":9,"n":9}}"#)
        .expect("taken");
    assert!(now(list.changed()).is_none(), "no member, no news");
    assert_eq!(
        ns(&mut list),
        [(2, 2), (1, 7), (3, 3)],
        "a message changes no membership"
    );
}

#[test]
fn a_new_membership_moves_rows_and_makes_only_new_ones() {
    let (cache, mut feed) = cache();
    let server = Server::default();
    let mut list = listed(&cache, &server);
    feed.settle();
    let before = list.rows().to_vec();
    drop(list.refetch());
    server.answer(r#"[{"id":3,"n":3},{"id":4,"n":4},{"id":2,"n":2},{"id":3,"n":3}]"#);
    feed.settle();
    let after = now(list.changed()).expect("news").expect("open");
    let ids: Vec<String> = after.iter().map(|row| row.id().to_string()).collect();
    assert_eq!(ids, ["3", "4", "2"], "what is named twice stands once");
    let same = |a: usize, b: usize| {
        Arc::ptr_eq(
            before[a].shared().expect("data"),
            after[b].shared().expect("data"),
        )
    };
    assert!(same(2, 0) && same(0, 2));
}

#[test]
fn rows_tell_what_they_are_worth_and_when_they_are_gone() {
    let (cache, mut feed) = cache();
    let server = Server::default();
    let mut list = listed(&cache, &server);
    feed.settle();
    assert!(now(list.changed()).is_some());
    let before = list.rows()[0].shared().cloned();
    feed.disconnect();
    let rows = now(list.changed()).expect("news").expect("open");
    assert!(
        rows.iter()
            .all(|row| row.freshness().reasons().contains(Reasons::DISCONNECTED))
    );
    let value = rows[0].shared().cloned();
    assert!(
        Arc::ptr_eq(&value.expect("data"), &before.expect("data")),
        "none is read again"
    );
    feed.reconnect();
    let _done = cache.unset(&key!["stream", 1]).expect("taken");
    feed.settle();
    let rows = list.rows();
    assert_eq!(
        (rows[1].freshness(), rows[1].value()),
        (Freshness::Removed, None)
    );
    let _done = cache
        .set(&key!["stream", 2], &json!({ "id": "two" }))
        .expect("taken");
    feed.settle();
    let row = &list.rows()[0];
    assert!(
        row.value().is_none() && row.decode_error().is_some(),
        "{row:?}"
    );
    let stale = |reasons| in_list(Freshness::Stale(reasons));
    assert_eq!(stale(Reasons::PARTIAL), Freshness::Live);
    let both = Reasons::PARTIAL.union(Reasons::GAP);
    assert_eq!(stale(both), Freshness::Stale(Reasons::GAP));
}

#[test]
fn a_list_reads_as_a_whole_too() {
    let (cache, mut feed) = cache();
    let server = Server::default();
    let list = listed(&cache, &server);
    feed.settle();
    let mut whole = cache
        .query::<Vec<Item>>(key!["stream", "all"])
        .stale_never()
        .observe();
    let state = now(whole.changed()).expect("what there is").expect("open");
    let ids: Vec<u32> = state
        .data()
        .expect("data")
        .iter()
        .map(|item| item.id)
        .collect();
    assert_eq!(ids, [2, 1, 3]);
    assert!(Arc::ptr_eq(
        &state.shared().expect("data"),
        &whole.state().shared().expect("data")
    ));
    feed.message(r#"{"entity":"stream","id":3,"payload":{"id":3,"n":8}}"#)
        .expect("taken");
    let state = now(whole.changed()).expect("news").expect("open");
    assert_eq!(state.data().expect("data")[2].n, 8);
    assert_eq!(
        cache.get::<Value>(&key!["stream", "all"]).expect("data")[2]["n"],
        8
    );
    drop(list);
}

#[test]
fn a_list_that_fails_half_way_keeps_its_members_and_what_was_written() {
    let settings = Cache::builder().max_ids(4);
    let events = Feed::events().entities(["stream"]).whole();
    let (cache, mut feed) = TestFeed::with(settings, events);
    let server = Server::default();
    let mut list = listed(&cache, &server);
    feed.settle();
    assert_eq!(ns(&mut list), [(2, 2), (1, 1), (3, 3)]);
    let failed = |list: &ListObserver<Item>| match list.state().error() {
        Some(QueryError::Fetch(error)) => error.clone(),
        other => panic!("{other:?}"),
    };
    drop(cache.defaults(key!["stream"]).retry(0));
    // There is room for one id more.
    drop(list.refetch());
    server.answer(r#"[{"id":1,"n":10},{"id":4,"n":4},{"id":5,"n":5}]"#);
    feed.settle();
    let error = failed(&list);
    let full = FetchErrorKind::Refused(Refusal::IdsFull);
    assert_eq!(format!("{:?}", error.kind()), format!("{full:?}"));
    assert_eq!(
        ns(&mut list),
        [(2, 2), (1, 10), (3, 3)],
        "true, and no more"
    );
    // What cannot be read is refused before anything is written.
    drop(list.refetch());
    server.answer(r#"[{"id":1,"n":11},{"n":4}]"#);
    feed.settle();
    let error = failed(&list);
    assert!(
        matches!(error.kind(), FetchErrorKind::NotAList { .. }),
        "{error:?}"
    );
    assert_eq!(ns(&mut list), [(2, 2), (1, 10), (3, 3)]);
}
