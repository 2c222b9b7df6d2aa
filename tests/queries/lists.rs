//! Lists: who is in them is theirs, what the items are worth is the items'.

use serde_json::{Value, json};
use tickcache::{Feed, Filter, Freshness, ListObserver, Reasons, key};

use crate::kit::{Lab, Server, poll};

fn ids(list: &mut ListObserver<Value>) -> Vec<String> {
    list.rows().iter().map(|row| row.id().to_string()).collect()
}

fn values(list: &mut ListObserver<Value>) -> Vec<Value> {
    let rows = list.rows().iter();
    rows.filter_map(|row| row.value().cloned()).collect()
}

/// A list of two items with some of their columns, and who serves it.
fn listed(lab: &mut Lab) -> (Server, ListObserver<Value>) {
    let server = Server::new();
    let key = key!["stream", "all", {"page": 1}];
    lab.cache
        .defaults(key.clone())
        .list("id")
        .fetch(server.fetcher());
    let list = lab.query(&key).stale_never().observe_list();
    lab.drive();
    server.answer(json!([{ "id": 2, "n": 2 }, { "id": 1, "n": 1 }]));
    lab.drive();
    (server, list)
}

#[test]
fn a_list_has_the_order_of_its_answer_and_its_items_are_partial() {
    let mut lab = Lab::new();
    let (_server, mut list) = listed(&mut lab);
    assert_eq!(ids(&mut list), ["2", "1"]);
    assert_eq!(
        values(&mut list),
        [json!({ "id": 2, "n": 2 }), json!({ "id": 1, "n": 1 })]
    );
    let item = lab.cache.entity("stream").slot(1);
    assert!(matches!(item.freshness(), Freshness::Stale(why) if why.contains(Reasons::PARTIAL)));
}

#[test]
fn a_partial_item_is_fetched_when_it_is_observed() {
    let mut lab = Lab::new();
    let (_server, mut list) = listed(&mut lab);
    let details = Server::replying(|_| json!({ "id": 1, "n": 1, "more": true }));
    lab.serve(&key!["stream"], &details);
    let observer = lab.query(&key!["stream", 1]).stale_never().observe();
    lab.drive();
    assert_eq!(details.calls(), 1);
    assert_eq!(
        observer.state().data(),
        Some(&json!({ "id": 1, "n": 1, "more": true }))
    );
    assert!(observer.state().freshness().is_live());
    assert_eq!(
        values(&mut list)[1],
        json!({ "id": 1, "n": 1, "more": true })
    );
}

#[test]
fn a_list_does_not_erase_what_it_does_not_name() {
    let mut lab = Lab::new();
    let key = key!["stream", 1];
    lab.set(&key, json!({ "id": 1, "n": 0, "more": { "a": 1 } }));
    let (server, mut list) = listed(&mut lab);
    assert_eq!(
        lab.get(&key),
        Some(json!({ "id": 1, "n": 1, "more": { "a": 1 } }))
    );
    drop(lab.cache.refetch(list.key().clone()));
    lab.drive();
    server.answer(json!([{ "id": 1, "more": { "b": 1 } }]));
    lab.drive();
    let named = json!({ "id": 1, "n": 1, "more": { "b": 1 } });
    assert_eq!(lab.get(&key), Some(named), "a field that is named is set");
    assert_eq!(ids(&mut list), ["1"]);
    assert!(
        lab.get(&key!["stream", 2]).is_some(),
        "out of the list, and still there"
    );
}

#[test]
fn a_message_of_the_stream_reaches_the_list_and_changes_no_membership() {
    let mut lab = Lab::with(
        Feed::events()
            .entities(["stream"])
            .missing(tickcache::Missing::Insert),
    );
    let (_server, mut list) = listed(&mut lab);
    assert!(poll(&mut std::pin::pin!(list.changed())).is_some());
    lab.hear(&json!({ "entity": "stream", "id": 1, "payload": { "n": 7 } }));
    assert!(
        poll(&mut std::pin::pin!(list.changed())).is_some(),
        "an item has changed"
    );
    assert_eq!(
        values(&mut list),
        [json!({ "id": 2, "n": 2 }), json!({ "id": 1, "n": 7 })]
    );
    lab.hear(&json!({ "entity": "stream", "id": 3, "payload": { "n": 3 } }));
    assert_eq!(ids(&mut list), ["2", "1"]);
    assert_eq!(lab.get(&key!["stream", 3]), Some(json!({ "n": 3 })));
}

#[test]
fn an_event_refetches_the_list_only_where_nobody_fetches_its_items() {
    for detail in [true, false] {
        let mut lab = Lab::new();
        let (server, _list) = listed(&mut lab);
        if detail {
            lab.serve(&key!["stream"], &Server::replying(|_| json!({ "id": 1 })));
            lab.drive();
        }
        lab.hear(&json!({ "entity": "stream", "id": 1 }));
        assert_eq!(server.waiting(), usize::from(!detail), "{detail}");
        lab.hear(&json!({ "entity": "stream", "id": 9 }));
        assert_eq!(
            server.waiting(),
            usize::from(!detail),
            "who is not in it does not matter"
        );
        lab.hear(&json!({ "entity": "stream" }));
        assert_eq!(server.waiting(), 1);
    }
}

#[test]
fn a_patch_during_the_fetch_of_a_list_is_laid_over_its_item() {
    let mut lab = Lab::new();
    let (server, mut list) = listed(&mut lab);
    drop(lab.cache.refetch(list.key().clone()));
    lab.drive();
    lab.hear(&json!({ "entity": "stream", "id": 1, "payload": { "n": 8 } }));
    server.answer(json!([{ "id": 1, "n": 1, "m": 1 }]));
    lab.drive();
    assert_eq!(values(&mut list), [json!({ "id": 1, "n": 8, "m": 1 })]);
    assert_eq!(lab.cache.is_fetching(Filter::all()), 0);
}
