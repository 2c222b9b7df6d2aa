//! What is in a list and what leaves it; several lists that hold the same items.

use serde_json::{Value, json};
use tickcache::{Filter, Id, Key, ListObserver, Status, key};

use crate::kit::{Lab, Server, poll};

fn values(list: &mut ListObserver<Value>) -> Vec<Option<Value>> {
    list.rows().iter().map(|row| row.value().cloned()).collect()
}

fn ids(list: &ListObserver<Value>) -> Vec<Id> {
    list.state().data().unwrap_or_default().to_vec()
}

fn list_of(lab: &mut Lab, key: &Key) -> (Server, ListObserver<Value>) {
    let server = lab.served(key);
    let list = lab.query(key).list("id").stale_never().observe_list();
    lab.drive();
    (server, list)
}

#[test]
fn an_item_that_left_every_list_is_let_go() {
    let mut lab = Lab::new();
    let (all, some) = (key!["item", "all"], key!["item", "some"]);
    let (of_all, mut first) = list_of(&mut lab, &all);
    let (of_some, mut second) = list_of(&mut lab, &some);
    of_all.answer(json!([{ "id": 1, "p": 1 }, { "id": 2, "p": 2 }, { "id": 3, "p": 3 }]));
    of_some.answer(json!([{ "id": 2, "p": 2 }]));
    lab.drive();
    let watched = lab.query(&key!["item", 3]).observe();
    drop(lab.cache.refetch(Filter::from(&all).exact()));
    lab.drive();
    of_all.answer(json!([{ "id": 4, "p": 4 }]));
    lab.drive();
    assert_eq!(values(&mut first), [Some(json!({ "id": 4, "p": 4 }))]);
    assert_eq!(lab.get(&key!["item", 1]), None, "nobody has it any more");
    assert_eq!(
        lab.get(&key!["item", 2]),
        Some(json!({ "id": 2, "p": 2 })),
        "listed"
    );
    assert_eq!(values(&mut second), [Some(json!({ "id": 2, "p": 2 }))]);
    assert_eq!(
        watched.state().data(),
        Some(&json!({ "id": 3, "p": 3 })),
        "observed"
    );
    drop((first, second, watched));
    lab.pass(11 * 60 * 1_000);
    for id in 1..=4 {
        assert_eq!(lab.get(&key!["item", id]), None, "{id}");
    }
}

#[test]
fn a_reset_list_lets_its_items_go() {
    let mut lab = Lab::new();
    let key = key!["item", "all"];
    let (server, mut list) = list_of(&mut lab, &key);
    server.answer(json!([{ "id": 1 }]));
    lab.drive();
    drop(lab.cache.reset(&key));
    assert_eq!(list.state().status(), Status::Pending);
    assert_eq!(values(&mut list), []);
    assert_eq!(lab.get(&key!["item", 1]), None);
    lab.drive();
    server.answer(json!([{ "id": 1, "p": 1 }]));
    lab.drive();
    assert_eq!(values(&mut list), [Some(json!({ "id": 1, "p": 1 }))]);
}

#[test]
fn an_id_that_comes_twice_is_one_item() {
    let mut lab = Lab::new();
    let (server, mut list) = list_of(&mut lab, &key!["item", "all"]);
    server.answer(json!([{ "id": 1, "p": 1 }, { "id": 2 }, { "id": 1, "q": 2 }]));
    lab.drive();
    assert_eq!(ids(&list), [Id::from(1), Id::from(2)]);
    let both = json!({ "id": 1, "p": 1, "q": 2 });
    assert_eq!(values(&mut list), [Some(both), Some(json!({ "id": 2 }))]);
    lab.set(&key!["item", 1], json!({ "p": 3 }));
    assert_eq!(values(&mut list)[0], Some(json!({ "p": 3 })));
}

#[test]
fn an_item_of_two_lists_is_one_value() {
    let mut lab = Lab::new();
    let (of_a, mut a) = list_of(&mut lab, &key!["item", "a"]);
    let (of_b, mut b) = list_of(&mut lab, &key!["item", "b"]);
    of_a.answer(json!([{ "id": 1, "p": 1 }]));
    of_b.answer(json!([{ "id": 1, "q": 1 }]));
    lab.drive();
    let both = vec![Some(json!({ "id": 1, "p": 1, "q": 1 }))];
    assert_eq!(values(&mut a), both);
    assert_eq!(values(&mut b), both);
    drop(lab.cache.patch(&key!["item", 1], &json!({ "p": 2 })));
    assert_eq!(values(&mut a), values(&mut b));
    drop(lab.cache.invalidate(key!["item", 1]));
    lab.drive();
    assert_eq!(
        (of_a.calls(), of_b.calls()),
        (2, 2),
        "both hold it, both are asked"
    );
}

#[test]
fn an_empty_list_and_one_that_is_none() {
    let mut lab = Lab::new();
    let key = key!["item", "all"];
    let (server, mut list) = list_of(&mut lab, &key);
    server.answer(json!([]));
    lab.drive();
    assert_eq!(
        (values(&mut list), list.state().status()),
        (vec![], Status::Success)
    );
    for wrong in [
        json!({ "id": 1 }),
        json!([1]),
        json!([{ "p": 1 }]),
        json!(null),
    ] {
        let mut fetching = list.refetch();
        lab.drive();
        server.answer(wrong.clone());
        lab.pass(0);
        drop(lab.cache.cancel(&key));
        assert!(list.state().failure().is_none(), "the cancel reverts");
        let _ = poll(&mut fetching);
    }
    assert_eq!(list.state().data(), Some(&[][..]));
}

#[test]
fn a_removed_item_keeps_its_place_until_the_list_says_otherwise() {
    let mut lab = Lab::new();
    let key = key!["item", "all"];
    let (server, mut list) = list_of(&mut lab, &key);
    server.answer(json!([{ "id": 1, "p": 1 }, { "id": 2, "p": 2 }]));
    lab.drive();
    drop(lab.cache.unset(&key!["item", 1]));
    lab.drive();
    assert_eq!(values(&mut list), [None, Some(json!({ "id": 2, "p": 2 }))]);
    assert_eq!(lab.get(&key), Some(json!([{ "id": 2, "p": 2 }])));
    assert_eq!(lab.cache.remove(Filter::from(key!["item", 2]).exact()), 0);
    drop(lab.cache.refetch(&key));
    lab.drive();
    server.answer(json!([{ "id": 2, "p": 3 }]));
    lab.drive();
    assert_eq!(values(&mut list), [Some(json!({ "id": 2, "p": 3 }))]);
}

#[test]
fn a_stream_adds_to_no_list_and_takes_from_none() {
    let mut lab = Lab::new();
    let key = key!["stream", "all"];
    let (server, mut list) = list_of(&mut lab, &key);
    server.answer(json!([{ "id": 1, "p": 1 }]));
    lab.drive();
    lab.hear(&json!({ "entity": "stream", "id": 2, "payload": { "p": 2 } }));
    lab.hear(&json!({ "entity": "stream", "id": 1, "payload": { "p": 9 } }));
    assert_eq!(ids(&list), [Id::from(1)]);
    assert_eq!(values(&mut list), [Some(json!({ "id": 1, "p": 9 }))]);
    assert_eq!(server.calls(), 1, "a message with data is no invalidation");
}

#[test]
fn marks_of_entity_and_item_reach_what_they_should() {
    let mut lab = Lab::new();
    let (server, list) = list_of(&mut lab, &key!["stream", "all"]);
    server.answer(json!([{ "id": 1, "p": 1 }]));
    lab.drive();
    let detail = lab.served(&key!["stream", 1]);
    let comments = lab.served(&key!["stream", 1, "comments"]);
    let below = lab.query(&key!["stream", 1, "comments"]).stale_never();
    let below = below.observe();
    lab.drive();
    comments.answer(json!([]));
    lab.drive();
    assert_eq!(
        (server.calls(), detail.calls(), comments.calls()),
        (1, 0, 1)
    );
    lab.hear(&json!({ "entity": "stream", "id": 1 }));
    assert_eq!(
        (server.calls(), detail.calls(), comments.calls()),
        (1, 0, 2)
    );
    assert!(lab.state(&key!["stream", 1]).is_invalidated());
    comments.answer(json!([1]));
    lab.drive();
    lab.hear(&json!({ "entity": "stream" }));
    assert_eq!(
        (server.calls(), detail.calls(), comments.calls()),
        (2, 0, 3)
    );
    let seen = lab.query(&key!["stream", 1]).stale_never().observe();
    lab.drive();
    assert_eq!(detail.calls(), 1, "when it is next observed");
    drop((list, below, seen));
}

#[test]
fn what_did_not_change_is_not_copied() {
    let mut lab = Lab::new();
    let key = key!["item", "all"];
    let (server, mut list) = list_of(&mut lab, &key);
    let answer = || json!([{ "id": 1, "p": 1 }, { "id": 2, "p": 2 }]);
    server.answer(answer());
    lab.drive();
    let before: Vec<_> = list
        .rows()
        .iter()
        .map(|row| row.shared().cloned())
        .collect();
    drop(lab.cache.patch(&key!["item", 2], &json!({ "p": 3 })));
    let after: Vec<_> = list
        .rows()
        .iter()
        .map(|row| row.shared().cloned())
        .collect();
    let same = |at: usize| {
        std::sync::Arc::ptr_eq(
            before[at].as_ref().expect("a value"),
            after[at].as_ref().expect("a value"),
        )
    };
    assert!(same(0) && !same(1));
}

#[test]
fn names_of_any_characters_are_entities() {
    let mut lab = Lab::new();
    for name in [
        "",
        " ",
        "a/b",
        "ünï",
        "\u{0}",
        "\"quoted\"",
        "*",
        "#",
        "[1]",
        "a\nb",
    ] {
        let (slot, list) = (key![name, ""], key![name, "all"]);
        lab.serve(&list, &Server::replying(|_| json!([{ "id": "", "p": 1 }])));
        let mut rows = lab.query(&list).list("id").observe_list();
        lab.drive();
        assert_eq!(
            values(&mut rows),
            [Some(json!({ "id": "", "p": 1 }))],
            "{name:?}"
        );
        assert_eq!(
            lab.get(&slot),
            Some(json!({ "id": "", "p": 1 })),
            "{name:?}"
        );
        drop(lab.cache.invalidate(key![name]));
        assert!(lab.state(&slot).is_invalidated(), "{name:?}");
        let null = key![name, null];
        lab.set(&null, json!("a document"));
        assert_eq!(lab.get(&null), Some(json!("a document")), "{name:?}");
        assert_eq!(lab.matching(&null), std::slice::from_ref(&null));
    }
}
