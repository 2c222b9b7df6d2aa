//! Durations and counts at both ends of what their types hold.

use std::time::Duration;

use serde_json::json;
use tickcache::{FetchStatus, Filter, Poll, Status, key};

use crate::kit::{Lab, Server, poll};

/// query-core gives a fetch its result whatever becomes of the entry.
#[test]
fn a_fetch_gives_its_result_though_nothing_is_kept() {
    let mut lab = Lab::new();
    for key in [key!["slot", 1], key!["document"], key!["slot", 1, "below"]] {
        lab.serve(&key, &Server::replying(|_| json!({ "p": 1 })));
        let mut fetching = lab.query(&key).gc_after(Duration::ZERO).fetch();
        lab.drive();
        assert_eq!(lab.matching(Filter::from(&key).exact()), [], "{key}");
        let fetched = poll(&mut fetching).expect("it has ended");
        assert_eq!(*fetched.expect("a value"), json!({ "p": 1 }), "{key}");
        assert_eq!(lab.get(&key), None, "{key}");
    }
}

#[test]
fn a_fetch_of_a_list_gives_its_rows_though_nothing_is_kept() {
    let mut lab = Lab::new();
    let key = key!["item", "all"];
    lab.serve(&key, &Server::replying(|_| json!([{ "id": 1, "p": 1 }])));
    let list = lab.query(&key).list("id").gc_after(Duration::ZERO);
    let mut fetching = list.fetch();
    lab.drive();
    let fetched = poll(&mut fetching).expect("it has ended");
    assert_eq!(*fetched.expect("rows"), json!([{ "id": 1, "p": 1 }]));
    assert_eq!(lab.get(&key!["item", 1]), None, "its items go with it");
}

#[test]
fn a_removal_does_not_take_a_result_back() {
    let mut lab = Lab::new();
    let key = key!["document"];
    lab.serve(&key, &Server::replying(|_| json!(1)));
    let mut fetching = lab.query(&key).fetch();
    lab.drive();
    assert_eq!(lab.cache.remove(&key), 1);
    lab.drive();
    let fetched = poll(&mut fetching).expect("it has ended");
    assert_eq!(*fetched.expect("a value"), json!(1));
}

#[test]
fn what_never_ends_is_no_timer() {
    let mut lab = Lab::new();
    let key = key!["a"];
    lab.serve(&key, &Server::replying(|n| json!(n)));
    let observer = lab
        .query(&key)
        .stale_after(Duration::MAX)
        .gc_after(Duration::MAX)
        .poll_every(Duration::MAX)
        .poll_only_if_quiet_for(Duration::MAX)
        .observe();
    assert_eq!(lab.drive(), None);
    assert!(!observer.state().is_stale());
    drop(observer);
    assert_eq!(lab.drive(), None, "it is kept for ever");
    lab.pass(1_000_000_000);
    assert_eq!(lab.get(&key), Some(json!(1)));
}

#[test]
fn waits_without_end_and_without_time() {
    let mut lab = Lab::new();
    let key = key!["a"];
    lab.serve(&key, &Server::replying(|n| json!(n)));
    let mut observer = lab.query(&key).observe();
    lab.drive();
    let seen = observer.wait(Duration::MAX).expect("news");
    assert_eq!(seen.data(), Some(&json!(1)));
    assert!(observer.wait(Duration::ZERO).is_err());
    let found = observer.until(|v| *v == json!(1)).timeout(Duration::MAX);
    assert_eq!(*found.wait().expect("it is there"), json!(1));
    let found = observer.until(|v| *v == json!(2)).timeout(Duration::ZERO);
    assert!(found.wait().is_err());
    let fetched = lab.query(&key).stale_never().fetch().wait(Duration::MAX);
    assert_eq!(*fetched.expect("fresh"), json!(1));
}

#[test]
fn delays_of_nothing_and_of_for_ever() {
    let mut lab = Lab::new();
    let (eager, lazy) = (key!["eager"], key!["lazy"]);
    let (at_once, never) = (Server::failing(), Server::failing());
    lab.serve(&eager, &at_once);
    lab.serve(&lazy, &never);
    let defaults = lab.cache.defaults(eager.clone());
    defaults.retry(500).retry_delay(|_, _| Duration::ZERO);
    let defaults = lab.cache.defaults(lazy.clone());
    defaults.retry(u32::MAX).retry_delay(|_, _| Duration::MAX);
    let first = lab.query(&eager).observe();
    let second = lab.query(&lazy).observe();
    lab.pass(1);
    assert_eq!((at_once.calls(), never.calls()), (501, 1));
    assert_eq!(first.state().failure_count(), 501);
    assert_eq!(first.state().status(), Status::Error);
    let waiting = second.state();
    assert_eq!(waiting.fetch_status(), FetchStatus::Fetching);
    drop(lab.cache.cancel(&lazy));
    assert_eq!(second.state().fetch_status(), FetchStatus::Idle);
}

#[test]
fn the_delay_before_the_hundredth_retry_is_bounded() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::failing();
    lab.serve(&key, &server);
    lab.cache.defaults(key.clone()).retry(u32::MAX);
    let _observer = lab.query(&key).observe();
    lab.pass(31_000 + 30_000 * 100);
    assert_eq!(server.calls(), 106);
}

#[test]
fn intervals_of_nothing_do_not_poll() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let _fixed = lab.query(&key).poll_every(Duration::ZERO).observe();
    let _asked = lab.query(&key).poll(|_| Poll::every(Duration::ZERO));
    let _asked = _asked.observe();
    lab.drive();
    let calls = server.calls();
    lab.pass(10_000);
    assert_eq!(server.calls(), calls);
}

#[test]
fn the_shortest_interval_polls_and_lets_time_pass() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let observer = lab
        .query(&key)
        .poll_every(Duration::from_nanos(1))
        .observe();
    for _ in 0..50 {
        lab.drive();
        lab.feed.advance(Duration::from_nanos(2));
    }
    assert!(server.calls() >= 50, "{}", server.calls());
    drop(observer);
    lab.pass(10);
    let calls = server.calls();
    lab.pass(10);
    assert_eq!(server.calls(), calls);
}

#[test]
fn a_gc_time_of_nothing_spares_what_is_used() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let defaults = lab.cache.defaults(key.clone());
    defaults.gc_after(Duration::ZERO).retry(0);
    let mut fetching = lab.query(&key).fetch();
    lab.pass(10);
    assert_eq!(lab.state(&key).fetch_status(), FetchStatus::Fetching);
    server.fail("no");
    lab.drive();
    let error = poll(&mut fetching).expect("ended").expect_err("failed");
    assert!(error.to_string().contains("no"), "{error}");
    assert_eq!(lab.matching(Filter::all()), []);
    let _observer = lab.query(&key).observe();
    lab.pass(100);
    assert_eq!(lab.matching(Filter::all()), [key]);
}
