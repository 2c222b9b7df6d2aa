//! What observers and listeners are told: cases 49 and 50, and sections 1.11 and 1.12.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tickcache::{EventKind, Status, Update, key};

use crate::kit::{Lab, Server, happened, ms, poll};

#[test]
fn case_49_the_order_of_events_until_a_query_is_stale() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let mut events = lab.cache.events();
    let mut told = Vec::new();
    let _observer = lab.query(&key).stale_after(ms(10)).observe();
    lab.drive();
    told.extend(happened(&mut events, &key));
    server.answer(json!(1));
    lab.drive();
    told.extend(happened(&mut events, &key));
    lab.pass(11);
    told.extend(happened(&mut events, &key));
    let expected = [
        EventKind::Added,
        EventKind::ObserverResults,
        EventKind::ObserverAdded,
        EventKind::ObserverResults,
        EventKind::Updated(Update::Fetch),
        EventKind::ObserverResults,
        EventKind::Updated(Update::Success),
        EventKind::ObserverResults,
    ];
    assert_eq!(told, expected);
}

/// D11: there are no callbacks inside a write; an observer that leaves when it is woken takes
/// nothing from the others.
#[test]
fn case_50_an_observer_may_leave_when_it_is_told() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let [mut first, mut second] = [(); 2].map(|()| lab.query(&key).observe());
    lab.drive();
    for observer in [&mut first, &mut second] {
        assert!(
            poll(&mut std::pin::pin!(observer.changed())).is_some(),
            "the present state"
        );
        assert!(poll(&mut std::pin::pin!(observer.changed())).is_none());
    }
    lab.set(&key, json!(1));
    assert!(poll(&mut std::pin::pin!(first.changed())).is_some());
    drop(first);
    lab.drive();
    let state = poll(&mut std::pin::pin!(second.changed()))
        .expect("told")
        .expect("open");
    assert_eq!(state.data(), Some(&json!(1)));
    assert!(
        poll(&mut std::pin::pin!(second.changed())).is_none(),
        "once"
    );
}

#[test]
fn what_looks_the_same_is_not_told() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let mut observer = lab.query(&key).stale_never().observe();
    lab.set(&key, json!({ "n": 1 }));
    assert!(poll(&mut std::pin::pin!(observer.changed())).is_some());
    lab.query(&key).prefetch();
    lab.drive();
    assert!(
        poll(&mut std::pin::pin!(observer.changed())).is_none(),
        "nobody can fetch it"
    );
}

#[test]
fn a_selection_is_made_once_for_the_same_data() {
    let mut lab = Lab::new();
    let key = key!["a", 1];
    lab.set(&key, json!({ "n": 1, "m": 1 }));
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let mut selected = lab
        .query(&key)
        .stale_never()
        .observe()
        .select(move |value| {
            counted.fetch_add(1, Ordering::Relaxed);
            value["n"].as_i64().unwrap_or_default()
        });
    for _ in 0..3 {
        assert_eq!(selected.state().data(), Some(&1));
    }
    assert_eq!(made.load(Ordering::Relaxed), 1);
    assert!(poll(&mut std::pin::pin!(selected.changed())).is_some());
    lab.set(&key, json!({ "n": 1, "m": 2 }));
    assert!(
        poll(&mut std::pin::pin!(selected.changed())).is_none(),
        "what is selected is the same"
    );
    lab.set(&key, json!({ "n": 2, "m": 2 }));
    let state = poll(&mut std::pin::pin!(selected.changed()))
        .expect("told")
        .expect("open");
    assert_eq!(state.data(), Some(&2));
}

#[test]
fn a_selector_that_fails_makes_its_own_observer_err() {
    let mut lab = Lab::new();
    let key = key!["a", 1];
    lab.set(&key, json!({ "n": 1 }));
    let observer = lab.query(&key).stale_never().observe();
    let mut selected = lab.query(&key).stale_never().observe().try_select(|value| {
        let n = value["n"].as_i64();
        n.ok_or_else(|| tickcache::FetchError::new("n is no number"))
    });
    assert_eq!(selected.state().data(), Some(&1));
    lab.set(&key, json!({ "n": "x" }));
    let state = selected.state();
    assert_eq!(state.status(), Status::Error);
    assert_eq!(state.data(), Some(&1), "the last good one");
    assert_eq!(observer.state().status(), Status::Success);
}

#[test]
fn until_ends_with_the_value_that_is_waited_for() {
    let mut lab = Lab::new();
    let key = key!["job", 42];
    let status = |n| if n < 3 { "running" } else { "completed" };
    lab.serve(
        &key,
        &Server::replying(move |n| json!({ "status": status(n) })),
    );
    let mut observer = lab.query(&key).poll_every(ms(100)).observe();
    let mut done = observer
        .until(|job| job["status"] == "completed")
        .timeout(ms(60_000));
    lab.drive();
    assert!(poll(&mut done).is_none());
    lab.pass(300);
    let job = poll(&mut done).expect("it came").expect("in time");
    assert_eq!(*job, json!({ "status": "completed" }));
}

#[test]
fn until_ends_in_time() {
    let mut lab = Lab::new();
    let key = key!["job", 42];
    lab.serve(&key, &Server::replying(|_| json!({ "status": "running" })));
    let mut observer = lab.query(&key).poll_every(ms(100)).observe();
    let mut done = observer
        .until(|job| job["status"] == "completed")
        .timeout(ms(1_000));
    lab.pass(999);
    assert!(poll(&mut done).is_none());
    lab.pass(1);
    let error = poll(&mut done).expect("it ended").expect_err("too late");
    assert!(
        matches!(error, tickcache::QueryError::TimedOut { .. }),
        "{error:?}"
    );
}

#[test]
fn an_observer_sees_what_the_stream_says() {
    let mut lab = Lab::new();
    let key = key!["stream", 1];
    lab.serve(
        &key!["stream"],
        &Server::replying(|_| json!({ "n": 0, "name": "one" })),
    );
    let mut observer = lab.query(&key).observe();
    lab.drive();
    assert!(poll(&mut std::pin::pin!(observer.changed())).is_some());
    lab.hear(&json!({ "entity": "stream", "id": 1, "payload": { "n": 1 } }));
    let state = poll(&mut std::pin::pin!(observer.changed()))
        .expect("told")
        .expect("open");
    assert_eq!(state.data(), Some(&json!({ "n": 1, "name": "one" })));
}
