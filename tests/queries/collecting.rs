//! Polling and the collection of what nobody uses: cases 40, 43 and 44, and sections 1.9 and 1.10.

use std::slice::from_ref;

use serde_json::json;
use tickcache::{EventKind, Filter, Poll, key};

use crate::kit::{Lab, Server, happened, ms};

/// When a poll of 10 ms has come: a key may put its polls off by a tenth, so that those of many
/// keys do not stay together.
const LATEST: u64 = 11;

#[test]
fn case_40_what_was_never_fetched_is_collected_too() {
    let mut lab = Lab::new();
    let key = key!["a"];
    lab.cache.defaults(key.clone()).gc_after(ms(10));
    let mut events = lab.cache.events();
    lab.set(&key, json!("pushed"));
    lab.pass(9);
    assert_eq!(lab.matching(Filter::all()), from_ref(&key));
    lab.pass(1);
    assert_eq!(lab.matching(Filter::all()), []);
    assert_eq!(happened(&mut events, &key).pop(), Some(EventKind::Removed));
    assert_eq!(lab.get(&key), None);
}

#[test]
fn case_43_polling_ends_with_the_observer() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let observer = lab.query(&key).gc_after(ms(0)).poll_every(ms(10)).observe();
    lab.drive();
    assert_eq!(server.calls(), 1);
    lab.pass(LATEST);
    assert_eq!(server.calls(), 2);
    drop(observer);
    lab.pass(LATEST);
    assert_eq!(lab.matching(Filter::all()), []);
    assert_eq!(server.calls(), 2);
}

#[test]
fn case_44_the_interval_may_be_a_function() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let _observer = lab.query(&key).poll(|_| Poll::every(ms(10))).observe();
    lab.drive();
    assert_eq!(server.calls(), 1);
    lab.pass(LATEST);
    assert_eq!(server.calls(), 2);
}

#[test]
fn a_poll_function_decides_by_the_state_until_it_stops() {
    let mut lab = Lab::new();
    let key = key!["job", 42];
    let status = |n| if n < 3 { "running" } else { "completed" };
    let server = Server::replying(move |n| json!({ "status": status(n) }));
    lab.serve(&key!["job"], &server);
    let query = lab.query(&key).poll(|state| match state.data() {
        Some(job) if job["status"] == "completed" => Poll::Stop,
        _ => Poll::every(ms(10)),
    });
    let observer = query.observe();
    lab.pass(1_000);
    assert_eq!(server.calls(), 3);
    assert_eq!(
        observer.state().data(),
        Some(&json!({ "status": "completed" }))
    );
    // It is asked again at the next change of the state.
    lab.set(&key, json!({ "status": "running" }));
    lab.pass(LATEST);
    assert_eq!(server.calls(), 4);
}

#[test]
fn polling_rests_out_of_focus_unless_asked_otherwise() {
    let mut lab = Lab::new();
    let keys = [key!["a"], key!["b"]];
    let servers = keys.each_ref().map(|key| {
        let server = Server::replying(|n| json!(n));
        lab.serve(key, &server);
        server
    });
    let [front, back] = &keys;
    let _front = lab.query(front).poll_every(ms(10)).observe();
    let _back = lab
        .query(back)
        .poll_every(ms(10))
        .poll_in_background(true)
        .observe();
    lab.drive();
    lab.cache.set_focused(false);
    lab.pass(100);
    assert_eq!(servers[0].calls(), 1);
    assert!(servers[1].calls() > 5, "{}", servers[1].calls());
}

#[test]
fn a_poll_joins_the_fetch_that_runs() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let _observer = lab.query(&key).poll_every(ms(10)).observe();
    lab.pass(100);
    assert_eq!((server.calls(), server.aborted()), (1, 0));
    server.answer(json!(1));
    lab.drive();
    lab.pass(9);
    assert_eq!(
        server.calls(),
        1,
        "the interval counts from when it settled"
    );
    lab.pass(LATEST - 9);
    assert_eq!(server.calls(), 2);
}

#[test]
fn a_failing_poll_goes_on_more_slowly() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::failing();
    lab.serve(&key, &server);
    let _observer = lab.query(&key).retry(0).poll_every(ms(100)).observe();
    lab.pass(1_000);
    let calls = server.calls();
    assert!((2..10).contains(&calls), "{calls}");
    lab.pass(600_000);
    assert!(server.calls() > calls, "it goes on");
}

#[test]
fn a_disabled_observer_does_not_poll() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let _observer = lab.query(&key).enabled(false).poll_every(ms(10)).observe();
    lab.pass(100);
    assert_eq!(server.calls(), 0);
}

#[test]
fn polling_may_wait_until_the_stream_is_quiet() {
    let mut lab = Lab::new();
    let key = key!["stream", 1];
    let server = Server::replying(|n| json!({ "n": n }));
    lab.serve(&key!["stream"], &server);
    let query = lab
        .query(&key)
        .poll_every(ms(10))
        .poll_only_if_quiet_for(ms(50));
    let _observer = query.observe();
    lab.drive();
    assert_eq!(server.calls(), 1);
    for n in 0..20 {
        lab.hear(&json!({ "entity": "stream", "id": 1, "payload": { "n": n } }));
        lab.pass(10);
    }
    assert_eq!(server.calls(), 1);
    lab.pass(100);
    assert!(server.calls() > 1);
}

#[test]
fn the_longest_time_given_counts() {
    let mut lab = Lab::new();
    let key = key!["a"];
    for gc in [100, 10] {
        drop(lab.query(&key).enabled(false).gc_after(ms(gc)).observe());
    }
    lab.pass(99);
    assert_eq!(lab.matching(Filter::all()), [key]);
    lab.pass(1);
    assert_eq!(lab.matching(Filter::all()), []);
}

#[test]
fn what_is_observed_or_fetching_is_kept() {
    let mut lab = Lab::new();
    let (seen, asked) = (key!["seen"], key!["asked"]);
    lab.cache.defaults(key![]).gc_after(ms(10));
    let server = lab.served(&asked);
    let observer = lab.query(&seen).observe();
    let _asked = lab.query(&asked).fetch();
    lab.pass(1_000);
    assert_eq!(lab.matching(Filter::all()).len(), 2);
    drop(observer);
    server.answer(json!(1));
    lab.pass(9);
    assert_eq!(lab.matching(Filter::all()).len(), 2);
    lab.pass(1);
    assert_eq!(lab.matching(Filter::all()), []);
}

/// D10: a write counts as use, unless it is told not to.
#[test]
fn a_write_puts_the_collection_off() {
    for keeps in [true, false] {
        let mut lab = Lab::new();
        let key = key!["a"];
        lab.cache
            .defaults(key.clone())
            .gc_after(ms(50))
            .writes_keep(keeps);
        lab.set(&key, json!(1));
        lab.pass(30);
        lab.set(&key, json!(2));
        lab.pass(20);
        assert_eq!(lab.matching(Filter::all()).is_empty(), !keeps, "{keeps}");
        lab.pass(30);
        assert_eq!(lab.matching(Filter::all()), [], "nobody has used it since");
    }
}

#[test]
fn a_write_of_the_stream_counts_as_use_too() {
    for keeps in [true, false] {
        let mut lab = Lab::new();
        let key = key!["stream", 1];
        lab.cache
            .defaults(key.clone())
            .gc_after(ms(50))
            .writes_keep(keeps);
        lab.set(&key, json!({ "n": 1 }));
        lab.pass(30);
        lab.hear(&json!({ "entity": "stream", "id": 1, "payload": { "n": 2 } }));
        lab.pass(20);
        assert_eq!(lab.matching(Filter::all()).is_empty(), !keeps, "{keeps}");
        lab.pass(30);
        assert_eq!(lab.matching(Filter::all()), []);
    }
}
