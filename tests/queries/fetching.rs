//! Fetching by hand, and what a fetch leaves: case 42, and sections 1.1 and 1.6.

use serde_json::json;
use tickcache::{FetchStatus, Fetched, QueryError, Status, key};

use crate::kit::{Lab, Server, ms, poll};

#[test]
fn case_42_a_fetch_asks_only_for_what_is_older_than_it_allows() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!({ "fetched": n }));
    lab.serve(&key, &server);
    lab.set(&key, json!("written"));
    let fetch = |lab: &mut Lab, stale| {
        let mut asked = lab.query(&key).stale_after(ms(stale)).fetch();
        lab.drive();
        let got = poll(&mut asked).expect("answered").expect("succeeded");
        (*got).clone()
    };
    assert_eq!(fetch(&mut lab, 100), json!("written"));
    lab.pass(10);
    assert_eq!(fetch(&mut lab, 10), json!({ "fetched": 1 }));
    assert_eq!(fetch(&mut lab, 10), json!({ "fetched": 1 }));
    lab.pass(10);
    assert_eq!(fetch(&mut lab, 10), json!({ "fetched": 2 }));
}

#[test]
fn the_two_statuses_are_two_facts() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let facts = |lab: &Lab| {
        let state = lab.state(&key);
        (state.status(), state.fetch_status(), state.failure_count())
    };
    assert_eq!(facts(&lab), (Status::Pending, FetchStatus::Idle, 0));
    let fetch = |lab: &mut Lab| {
        let asked = lab.query(&key).retry(0).fetch();
        lab.drive();
        asked
    };
    let _first = fetch(&mut lab);
    assert_eq!(facts(&lab), (Status::Pending, FetchStatus::Fetching, 0));
    server.fail("no");
    lab.drive();
    assert_eq!(facts(&lab), (Status::Error, FetchStatus::Idle, 1));
    let _second = fetch(&mut lab);
    assert_eq!(
        facts(&lab),
        (Status::Pending, FetchStatus::Fetching, 0),
        "there is no data"
    );
    server.answer(json!(1));
    lab.drive();
    assert_eq!(facts(&lab), (Status::Success, FetchStatus::Idle, 0));
    let _third = fetch(&mut lab);
    assert_eq!(facts(&lab), (Status::Success, FetchStatus::Fetching, 0));
    server.fail("no");
    lab.drive();
    assert_eq!(facts(&lab), (Status::Error, FetchStatus::Idle, 1));
    assert_eq!(lab.get(&key), Some(json!(1)), "the data stays");
    let _fourth = fetch(&mut lab);
    assert_eq!(
        facts(&lab),
        (Status::Error, FetchStatus::Fetching, 0),
        "until it is known better"
    );
}

#[test]
fn a_direct_fetch_is_not_tried_again() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::failing();
    lab.serve(&key, &server);
    let mut asked = lab.query(&key).fetch();
    lab.pass(60_000);
    assert_eq!(server.calls(), 1);
    let error = poll(&mut asked).expect("ended").expect_err("it failed");
    assert!(matches!(error, QueryError::Fetch(_)), "{error:?}");
}

#[test]
fn what_is_ensured_is_fetched_only_if_it_is_not_there() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    for _ in 0..2 {
        let mut ensured = lab.query(&key).ensure();
        lab.pass(1_000);
        assert_eq!(
            *poll(&mut ensured).expect("ended").expect("there"),
            json!(1)
        );
    }
    assert_eq!(server.calls(), 1);
}

#[test]
fn what_is_prefetched_is_there_for_the_next() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    lab.query(&key).prefetch();
    lab.drive();
    let observer = lab.query(&key).stale_never().observe();
    assert_eq!(observer.state().data(), Some(&json!(1)));
    lab.drive();
    assert_eq!(server.calls(), 1);
}

#[test]
fn without_a_fetcher_a_fetch_says_so() {
    let mut lab = Lab::new();
    let mut asked = lab.query(&key!["a"]).fetch();
    lab.drive();
    let error = poll(&mut asked)
        .expect("ended")
        .expect_err("nobody can fetch it");
    assert!(matches!(error, QueryError::NoFetcher(_)), "{error:?}");
}

#[test]
fn a_fetcher_is_told_what_for() {
    let mut lab = Lab::new();
    let server = lab.served(&key!["job"]);
    let key = key!["job", 42];
    lab.set(&key, json!({ "n": 1 }));
    let _asked = lab.query(&key).fetch();
    lab.drive();
    server.last_call(|cx| {
        assert_eq!(*cx.key(), key);
        assert_eq!(cx.id().expect("it has one").to_string(), "42");
        assert_eq!(cx.attempt(), 1);
        assert_eq!(cx.sequence(), None);
    });
    let _other = lab.query(&key!["job"]).fetch();
    lab.drive();
    server.last_call(|cx| assert!(cx.id().is_err(), "there is no id in it"));
}

#[test]
fn what_the_server_has_not_is_removed() {
    let mut lab = Lab::new();
    for key in [key!["a"], key!["a", 1]] {
        let server = lab.served(&key);
        lab.set(&key, json!({ "n": 1 }));
        let _asked = lab.query(&key).fetch();
        lab.drive();
        server.answer_with(Ok(Fetched::removed()));
        lab.drive();
        assert_eq!(lab.get(&key), None, "{key}");
        assert_eq!(lab.state(&key).error_count(), 0);
        assert_eq!(lab.state(&key).fetch_status(), FetchStatus::Idle);
    }
}

#[test]
fn what_is_no_json_is_an_error() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    lab.set(&key, json!(1));
    let mut asked = lab.query(&key).retry(0).fetch();
    lab.drive();
    server.answer_with(Ok(Fetched::json("{\"n\":")));
    lab.drive();
    assert!(poll(&mut asked).expect("ended").is_err());
    assert_eq!(lab.get(&key), Some(json!(1)));
}

#[test]
fn a_fetcher_that_panics_has_failed() {
    let mut lab = Lab::new();
    let key = key!["a"];
    lab.cache.defaults(key.clone()).fetch(|_| async {
        assert_eq!(1, 2, "a fault in the fetcher");
        Ok(Fetched::new(1))
    });
    let mut asked = lab.query(&key).retry(0).fetch();
    lab.drive();
    assert!(poll(&mut asked).expect("ended").is_err());
    assert_eq!(lab.state(&key).status(), Status::Error);
}
