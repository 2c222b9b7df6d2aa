//! Writes by the application, and what of the old value they keep: cases 10 to 18, and section 1.4.

use std::sync::Arc;

use serde_json::{Value, json};
use tickcache::{FetchStatus, Filter, Order, Status, key};

use crate::kit::{Lab, Server, happened, poll, updates};

#[test]
fn case_10_a_read_is_exact() {
    let mut lab = Lab::new();
    lab.set(&key!["K", "id"], json!("bar"));
    assert_eq!(lab.get(&key!["K"]), None);
    assert_eq!(lab.get(&key!["K", "id"]), Some(json!("bar")));
}

#[test]
fn case_11_a_write_makes_an_entry_and_no_write_makes_none() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let mut seen = Vec::new();
    let none = lab.cache.set_with(&key, |old: Option<&Value>| {
        seen.push(old.cloned());
        None::<Value>
    });
    assert!(none.is_ok());
    lab.drive();
    assert_eq!(seen, [None], "asked once, though there is nothing");
    assert_eq!(lab.matching(Filter::all()), []);
    lab.set(&key, json!("bar"));
    assert_eq!(lab.get(&key), Some(json!("bar")));
    assert_eq!(lab.matching(Filter::all()), [key]);
}

#[test]
fn case_12_no_write_leaves_what_is_there() {
    let mut lab = Lab::new();
    for key in [key!["a"], key!["a", 1]] {
        lab.set(&key, json!("qux"));
        let before = lab.state(&key).epoch();
        lab.cache
            .set_with(&key, |_: Option<&Value>| None::<Value>)
            .expect("nothing to refuse");
        lab.drive();
        assert_eq!(lab.get(&key), Some(json!("qux")));
        assert_eq!(lab.state(&key).epoch(), before);
    }
}

#[test]
fn case_13_an_update_is_a_function_of_the_old_value() {
    let mut lab = Lab::new();
    for key in [key!["a"], key!["a", 1]] {
        lab.set(&key, json!("test data"));
        let update = |old: Option<&String>| Some(format!("new data + {}", old?));
        lab.cache.set_with(&key, update).expect("taken");
        lab.drive();
        assert_eq!(lab.get(&key), Some(json!("new data + test data")));
    }
}

/// D1: the write came after the fetch began, and is whole: it stays. Only in the compatibility mode
/// the late result replaces it, as in query-core.
#[test]
fn case_14_a_write_during_a_fetch() {
    for (order, at_last) in [(Order::Underneath, 42), (Order::LastWriteWins, 23)] {
        for key in [key!["a"], key!["a", 1]] {
            let mut lab = Lab::new();
            let server = lab.served(&key);
            lab.cache.defaults(key.clone()).order(order);
            let mut asked = lab.query(&key).fetch();
            lab.pass(5);
            lab.set(&key, json!(42));
            let state = lab.state(&key);
            assert_eq!(state.data(), Some(&json!(42)));
            assert_eq!(state.fetch_status(), FetchStatus::Fetching);
            lab.pass(5);
            server.answer(json!(23));
            lab.drive();
            let state = lab.state(&key);
            assert_eq!(state.data(), Some(&json!(at_last)), "{order:?} of {key}");
            assert_eq!(state.fetch_status(), FetchStatus::Idle);
            let got = poll(&mut asked)
                .expect("it is answered")
                .expect("it succeeded");
            assert_eq!(*got, json!(at_last));
        }
    }
}

#[test]
fn case_15_a_bulk_update_changes_all_that_match() {
    let mut lab = Lab::new();
    let (one, two) = (key!["key", 1], key!["key", 2]);
    lab.set(&one, json!(1));
    lab.set(&two, json!(2));
    lab.set(&key!["other", 1], json!(1));
    let add = |old: Option<&Value>| Some(json!(old?.as_i64()? + 5));
    let changed = lab.cache.set_many(key!["key"], add);
    lab.drive();
    let changed: Vec<_> = changed
        .into_iter()
        .map(|(key, value)| (key, value.expect("taken")))
        .collect();
    assert_eq!(
        changed,
        [(one.clone(), Some(json!(6))), (two.clone(), Some(json!(7)))]
    );
    assert_eq!(lab.get(&one), Some(json!(6)));
    assert_eq!(lab.get(&two), Some(json!(7)));
    assert_eq!(lab.get(&key!["other", 1]), Some(json!(1)));
}

#[test]
fn case_17_an_equal_value_is_the_same_object_where_it_is_shared() {
    for sharing in [false, true] {
        let mut lab = Lab::new();
        let key = key!["a", {"x": 1}];
        lab.cache.defaults(key.clone()).sharing(sharing);
        let observer = lab.query(&key).stale_never().observe();
        let mut objects = Vec::new();
        for _ in 0..2 {
            lab.set(&key, json!({ "value": [true] }));
            objects.push(observer.state().shared().expect("it is there"));
        }
        assert_eq!(Arc::ptr_eq(&objects[0], &objects[1]), sharing);
        assert_eq!(objects[0], objects[1]);
    }
}

/// Which parts of a value are the same object is seen by who looks at a part: he is told of those
/// that were replaced, and of no other.
#[test]
fn case_18_what_did_not_change_stays_the_same_object() {
    let mut lab = Lab::new();
    let key = key!["a", {"x": 1}];
    let value = |done: bool| {
        json!({
            "todo": { "id": "1", "meta": { "createdAt": 0 }, "state": { "done": done } },
            "other": { "list": [1] },
        })
    };
    lab.set(&key, value(false));
    let parts = ["", "/todo", "/todo/state", "/todo/meta", "/other"];
    let mut observers = parts.map(|part| {
        let observer = lab.query(&key).stale_never().observe();
        observer.select(move |value| value.pointer(part).cloned())
    });
    let before = observers.each_mut().map(|observer| {
        assert!(
            poll(&mut std::pin::pin!(observer.changed())).is_some(),
            "the present one"
        );
        observer.state().shared().expect("it is there")
    });
    lab.set(&key, value(true));
    let after = observers
        .each_mut()
        .map(|o| o.state().shared().expect("it is there"));
    let kept = std::array::from_fn(|n| Arc::ptr_eq(&before[n], &after[n]));
    assert_eq!(kept, [false, false, false, true, true], "{parts:?}");
    let told = observers
        .each_mut()
        .map(|o| poll(&mut std::pin::pin!(o.changed())).is_some());
    assert_eq!(told, [true, true, true, false, false], "{parts:?}");
}

#[test]
fn null_is_data() {
    let mut lab = Lab::new();
    let key = key!["a"];
    lab.set(&key, Value::Null);
    assert_eq!(lab.state(&key).status(), Status::Success);
    assert_eq!(lab.get(&key), Some(Value::Null));
}

#[test]
fn a_write_is_told_as_one_and_an_equal_one_too() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let mut events = lab.cache.events();
    lab.set(&key, json!(1));
    lab.set(&key, json!(1));
    let told = updates(&happened(&mut events, &key));
    assert_eq!(told, [tickcache::Update::Set; 2]);
    assert_eq!(lab.state(&key).update_count(), 2);
}

#[test]
fn a_write_clears_an_error_and_aborts_nothing() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let mut failing = lab.query(&key).retry(0).fetch();
    lab.drive();
    server.fail("no");
    lab.drive();
    assert!(poll(&mut failing).expect("it has ended").is_err());
    assert_eq!(lab.state(&key).status(), Status::Error);
    let _again = lab.query(&key).fetch();
    lab.drive();
    lab.set(&key, json!(1));
    let state = lab.state(&key);
    assert_eq!(
        (state.status(), state.error().is_none()),
        (Status::Success, true)
    );
    assert_eq!(state.fetch_status(), FetchStatus::Fetching);
    assert_eq!((server.waiting(), server.aborted()), (1, 0));
}

#[test]
fn a_bulk_update_makes_nothing() {
    let lab = Lab::new();
    let changed = lab
        .cache
        .set_many(key!["none"], |_: Option<&Value>| Some(json!(1)));
    assert!(changed.is_empty());
    assert_eq!(lab.matching(Filter::all()), []);
}

#[test]
fn a_patch_of_the_application_changes_what_it_names() {
    let mut lab = Lab::new();
    for key in [key!["a"], key!["a", 1], key!["stream", 1]] {
        lab.set(&key, json!({ "a": 1, "b": { "c": 1, "d": 1 } }));
        let patch = json!({ "a": null, "b": { "c": 2 } });
        drop(lab.cache.patch(&key, &patch).expect("taken"));
        lab.drive();
        assert_eq!(
            lab.get(&key),
            Some(json!({ "b": { "c": 2, "d": 1 } })),
            "{key}"
        );
    }
}

/// The first fetch's result is whole, the patch of the stream is not: it is laid over it (D1, D2).
#[test]
fn a_patch_of_the_application_during_a_fetch_is_laid_over_its_result() {
    let mut lab = Lab::new();
    let server = Server::new();
    for key in [key!["a"], key!["a", 1]] {
        lab.serve(&key, &server);
        lab.set(&key, json!({ "a": 1, "b": 1 }));
        let _asked = lab.query(&key).fetch();
        lab.drive();
        drop(lab.cache.patch(&key, &json!({ "b": 2 })).expect("taken"));
        lab.drive();
        server.answer(json!({ "a": 3, "b": 1 }));
        lab.drive();
        assert_eq!(lab.get(&key), Some(json!({ "a": 3, "b": 2 })), "{key}");
    }
}
