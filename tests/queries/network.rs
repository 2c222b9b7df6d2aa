//! Retries, the network and focus: cases 46, 47 and 53, and section 1.8.

use serde_json::json;
use tickcache::{FetchStatus, NetworkMode, Refetch, Status, Update, key};

use crate::kit::{Lab, Server, happened, ms, poll, updates};

#[test]
fn case_46_gaining_focus_fetches_as_each_query_has_it() {
    let mut lab = Lab::new();
    let choices = [Refetch::Never, Refetch::IfStale, Refetch::Always];
    let servers = choices.map(|_| Server::replying(|n| json!(n)));
    let mut observers = Vec::new();
    for (n, choice) in choices.into_iter().enumerate() {
        let key = key!["a", {"n": n}];
        lab.serve(&key, &servers[n]);
        let query = lab.query(&key).stale_never().refetch_on_focus(choice);
        observers.push(query.observe());
    }
    lab.drive();
    lab.cache.set_focused(false);
    lab.cache.set_focused(true);
    lab.drive();
    assert_eq!(servers.each_ref().map(Server::calls), [1, 1, 2]);

    let fixed = key!["static"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&fixed, &server);
    let mount = || {
        lab.query(&fixed)
            .stale_static()
            .refetch_on_mount(Refetch::Always)
            .observe()
    };
    let _first = mount();
    let _second = mount();
    lab.drive();
    assert_eq!(server.calls(), 1, "what is static is not fetched on mount");
}

#[test]
fn what_is_stale_is_fetched_when_focus_comes_back() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let _observer = lab.query(&key).stale_after(ms(100)).observe();
    lab.drive();
    let blink = |lab: &mut Lab| {
        lab.cache.set_focused(false);
        lab.cache.set_focused(true);
        lab.drive();
    };
    blink(&mut lab);
    assert_eq!(server.calls(), 1);
    lab.pass(100);
    blink(&mut lab);
    assert_eq!(server.calls(), 2);
}

#[test]
fn case_47_offline_a_refetch_is_paused_unless_the_network_does_not_matter() {
    let mut lab = Lab::new();
    let (online, always) = (key!["online"], key!["always"]);
    let servers = [&online, &always].map(|key| {
        let server = Server::replying(|n| json!(n));
        lab.serve(key, &server);
        server
    });
    lab.cache
        .defaults(always.clone())
        .network(NetworkMode::Always);
    let _observers = [&online, &always].map(|key| lab.query(key).stale_never().observe());
    lab.drive();
    lab.cache.set_online(false);
    let mut done = [online.clone(), always].map(|key| lab.cache.refetch(key).into_future());
    lab.drive();
    assert_eq!(servers.each_ref().map(Server::calls), [1, 2]);
    for done in &mut done {
        assert!(
            poll(done).is_some(),
            "who waits is not kept until the network is back"
        );
    }
    assert_eq!(lab.state(&online).fetch_status(), FetchStatus::Paused);
    lab.cache.set_online(true);
    lab.drive();
    assert_eq!(servers[0].calls(), 2);
    assert_eq!(lab.state(&online).fetch_status(), FetchStatus::Idle);
}

#[test]
fn case_53_a_paused_first_fetch_ends_with_its_last_observer() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    lab.cache.set_online(false);
    let observer = lab.query(&key).observe();
    lab.drive();
    assert_eq!(observer.state().fetch_status(), FetchStatus::Paused);
    drop(observer);
    lab.drive();
    let state = lab.state(&key);
    assert_eq!(
        (state.status(), state.fetch_status()),
        (Status::Pending, FetchStatus::Idle)
    );
    lab.cache.set_online(true);
    lab.drive();
    assert_eq!(server.calls(), 0);
}

#[test]
fn a_failed_fetch_is_tried_three_times_more() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::failing();
    lab.serve(&key, &server);
    let mut events = lab.cache.events();
    let observer = lab.query(&key).observe();
    lab.drive();
    assert_eq!(server.calls(), 1);
    let state = observer.state();
    assert_eq!(
        (state.status(), state.fetch_status()),
        (Status::Pending, FetchStatus::Fetching)
    );
    assert_eq!(state.failure_count(), 1);
    assert_eq!(
        state.failure().map(ToString::to_string),
        Some("failure 1".into())
    );
    // One second, two, four, each shaken: by then all have come, whatever the shaking.
    lab.pass(30_000);
    assert_eq!(server.calls(), 4);
    let state = observer.state();
    assert_eq!(
        (state.status(), state.fetch_status()),
        (Status::Error, FetchStatus::Idle)
    );
    assert_eq!((state.failure_count(), state.error_count()), (4, 1));
    lab.pass(600_000);
    assert_eq!(server.calls(), 4);
    let told = updates(&happened(&mut events, &key));
    let expected = [
        Update::Fetch,
        Update::Failed,
        Update::Failed,
        Update::Failed,
        Update::Error,
    ];
    assert_eq!(told, expected);
}

#[test]
fn delays_double_and_are_bounded() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::failing();
    lab.serve(&key, &server);
    lab.cache
        .defaults(key.clone())
        .retry(1_000)
        .retry_delay(|n, _| ms(1 << n));
    let _observer = lab.query(&key).observe();
    lab.drive();
    let mut calls = vec![server.calls()];
    for delay in [1, 2, 4, 8, 16] {
        lab.pass(delay - 1);
        assert_eq!(
            server.calls(),
            *calls.last().expect("one"),
            "not before {delay} ms"
        );
        lab.pass(1);
        calls.push(server.calls());
    }
    assert_eq!(calls, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_function_may_decide_on_retries() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::failing();
    lab.serve(&key, &server);
    let twice = |failures: u32, error: &tickcache::FetchError| {
        failures < 2 && error.to_string().starts_with("failure")
    };
    lab.cache
        .defaults(key.clone())
        .retry_if(twice)
        .retry_delay(|_, _| ms(1));
    let observer = lab.query(&key).observe();
    lab.pass(1_000);
    assert_eq!(
        server.calls(),
        3,
        "it is told of the failures before this one: 0, 1, 2"
    );
    assert_eq!(observer.state().status(), Status::Error);
}

#[test]
fn a_retry_waits_for_focus_and_for_the_network() {
    for lose in [
        (|lab: &Lab, there| lab.cache.set_focused(there)) as fn(&Lab, bool),
        |lab, there| lab.cache.set_online(there),
    ] {
        let mut lab = Lab::new();
        let key = key!["a"];
        let server = Server::failing();
        lab.serve(&key, &server);
        lab.cache.defaults(key.clone()).retry_delay(|_, _| ms(10));
        let observer = lab.query(&key).observe();
        lab.drive();
        lose(&lab, false);
        lab.pass(60_000);
        assert_eq!(server.calls(), 1);
        assert_eq!(observer.state().fetch_status(), FetchStatus::Paused);
        lose(&lab, true);
        lab.drive();
        assert_eq!(server.calls(), 2);
    }
}

#[test]
fn offline_first_makes_one_attempt() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::failing();
    lab.serve(&key, &server);
    let defaults = lab.cache.defaults(key.clone());
    defaults
        .network(NetworkMode::OfflineFirst)
        .retry_delay(|_, _| ms(10));
    lab.cache.set_online(false);
    let observer = lab.query(&key).observe();
    lab.pass(1_000);
    assert_eq!(server.calls(), 1);
    assert_eq!(observer.state().fetch_status(), FetchStatus::Paused);
    lab.cache.set_online(true);
    lab.pass(1_000);
    assert_eq!(server.calls(), 4);
}

#[test]
fn coming_online_fetches_as_each_query_has_it() {
    let mut lab = Lab::new();
    let choices = [Refetch::Never, Refetch::IfStale, Refetch::Always];
    let servers = choices.map(|_| Server::replying(|n| json!(n)));
    let mut observers = Vec::new();
    for (n, choice) in choices.into_iter().enumerate() {
        let key = key!["a", {"n": n}];
        lab.serve(&key, &servers[n]);
        let query = lab
            .query(&key)
            .stale_after(ms(100))
            .refetch_on_reconnect(choice);
        observers.push(query.observe());
    }
    lab.drive();
    let blink = |lab: &mut Lab| {
        lab.cache.set_online(false);
        lab.cache.set_online(true);
        lab.drive();
    };
    blink(&mut lab);
    assert_eq!(servers.each_ref().map(Server::calls), [1, 1, 2]);
    lab.pass(100);
    blink(&mut lab);
    assert_eq!(servers.each_ref().map(Server::calls), [1, 2, 3]);
}
