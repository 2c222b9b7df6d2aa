//! An entity whose ids are texts: 7 and "7" are one id there, and so one query.

use serde_json::{Value, json};
use tickcache::feed::presets::Events;
use tickcache::testing::TestFeed;
use tickcache::{Cache, Feed, Filter, Status, key};

use crate::kit::{Lab, Server};

fn lab() -> Lab {
    let settings = Cache::builder().text_ids("e").text_ids("stream");
    let (cache, feed) = TestFeed::<Events>::with(settings, Feed::events().entities(["stream"]));
    Lab { cache, feed }
}

#[test]
fn an_integer_and_its_text_are_one_query() {
    let mut lab = lab();
    let (number, text) = (key!["e", 7], key!["e", "7"]);
    let server = lab.served(&key!["e"]);
    let first = lab.query(&number).stale_never().observe();
    let second = lab.query(&text).stale_never().observe();
    lab.drive();
    assert_eq!((server.calls(), server.waiting()), (1, 1));
    assert_eq!(server.last_call(|cx| cx.key().clone()), text);
    assert_eq!(server.last_call(|cx| cx.id().expect("one")), "7".into());
    server.answer(json!({ "p": 1 }));
    lab.drive();
    for state in [first.state(), second.state(), lab.state(&number)] {
        assert_eq!(state.data(), Some(&json!({ "p": 1 })));
    }
    assert_eq!(lab.matching(Filter::all()), std::slice::from_ref(&text));
    assert_eq!(lab.matching(&number), std::slice::from_ref(&text));
    assert_eq!(lab.matching(Filter::from(&number).exact()), [text]);
    drop(lab.cache.invalidate(&number));
    lab.drive();
    assert_eq!(server.calls(), 2, "both observe the one query");
}

#[test]
fn what_is_said_of_the_integer_holds_for_the_text() {
    let mut lab = lab();
    lab.serve(&key!["e", 7], &Server::replying(|_| json!({ "p": 1 })));
    let seven = lab.query(&key!["e", "7"]).observe();
    let below = lab.query(&key!["e", "7", "comments"]).observe();
    let eight = lab.query(&key!["e", "8"]).observe();
    lab.drive();
    assert_eq!(seven.state().status(), Status::Success);
    assert_eq!(below.state().status(), Status::Success);
    assert_eq!(eight.state().status(), Status::Pending);
    lab.set(&key!["e", 7, "comments"], json!("set"));
    assert_eq!(lab.get(&key!["e", "7", "comments"]), Some(json!("set")));
    assert_eq!(lab.cache.remove(key!["e", 7]), 2);
    assert_eq!(lab.matching(Filter::all()), [key!["e", "8"]]);
}

#[test]
fn elsewhere_they_differ() {
    let mut lab = lab();
    lab.set(&key!["other", 7], json!(1));
    assert_eq!(lab.get(&key!["other", "7"]), None);
    lab.set(&key!["e"], json!("whole"));
    lab.set(&key!["e", true], json!("no id"));
    assert_eq!(lab.get(&key!["e"]), Some(json!("whole")));
    assert_eq!(lab.matching(Filter::all()).len(), 3);
}

#[test]
fn a_list_and_its_details_meet_in_one_slot() {
    let mut lab = lab();
    let server = Server::replying(|_| json!([{ "id": 7, "p": 1 }, { "id": "8", "p": 2 }]));
    let key = key!["e", "all"];
    lab.serve(&key, &server);
    let mut list = lab.query(&key).list("id").observe_list();
    lab.drive();
    lab.set(&key!["e", 7], json!({ "id": 7, "p": 3, "q": 4 }));
    let rows: Vec<Value> = list
        .rows()
        .iter()
        .filter_map(|row| row.value().cloned())
        .collect();
    assert_eq!(rows[0], json!({ "id": 7, "p": 3, "q": 4 }));
    assert_eq!(list.state().data(), Some(&["7".into(), "8".into()][..]));
    drop(lab.cache.invalidate(key!["e", 7]));
    lab.drive();
    assert_eq!(server.calls(), 2, "nobody fetches the item alone");
}

#[test]
fn a_stream_writes_the_slot_that_the_query_names() {
    let mut lab = lab();
    let text = lab.query(&key!["stream", "7"]).observe();
    let number = lab.query(&key!["stream", 7]).observe();
    lab.hear(&json!({ "entity": "stream", "id": 7, "payload": { "p": 1 }, "whole": true }));
    lab.set(&key!["stream", 7], json!({ "p": 2 }));
    assert_eq!(text.state().data(), Some(&json!({ "p": 2 })));
    assert_eq!(number.state().data(), text.state().data());
}
