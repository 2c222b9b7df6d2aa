//! Offline and online, out of focus and back, and what waits for it.

use super::rig::*;
use crate::key;
use crate::query::*;

fn with_mode(network: NetworkMode) -> Options {
    Options {
        network,
        ..Options::default()
    }
}

#[test]
fn case_47_offline_a_refetch_is_done_at_once() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.observe(query, lasting());
    rig.online(false);
    let promises = rig.refetch(&[query], RefetchKind::All, true, Cause::User);
    assert_eq!(promises, [], "nobody has to wait for the network");
    assert_eq!(rig.calls(query), 1);
    assert_eq!(rig.info(query).fetch_status, FetchStatus::Paused);
    rig.online(true);
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn case_47_the_network_does_not_matter_to_mode_always() {
    let mut rig = Rig::new();
    let query = rig.make(key!["a"], with_mode(NetworkMode::Always));
    rig.online(false);
    rig.fetch(query);
    assert_eq!(rig.calls(query), 1);
    rig.fail(query, Some(ms(10)));
    rig.advance(ms(10));
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn offline_first_makes_one_attempt_and_then_waits() {
    let mut rig = Rig::new();
    let query = rig.make(key!["a"], with_mode(NetworkMode::OfflineFirst));
    rig.online(false);
    rig.fetch(query);
    assert_eq!(rig.calls(query), 1);
    rig.fail(query, Some(ms(10)));
    rig.advance(ms(10));
    assert_eq!(rig.info(query).fetch_status, FetchStatus::Paused);
    rig.online(true);
    assert_eq!(rig.calls(query), 2);
    assert_eq!(rig.running[&query].number, 2, "the same fetch");
}

#[test]
fn a_fetch_that_is_called_for_waits_for_the_network() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.heard();
    rig.online(false);
    let promise = rig.fetch(query);
    assert_eq!(rig.updates(), [Update::Fetch, Update::Pause]);
    rig.advance(ms(1000));
    assert_eq!((rig.calls(query), rig.outcome(promise)), (0, None));
    rig.online(true);
    assert_eq!(rig.updates(), [Update::Continue]);
    rig.land(query);
    assert_eq!(rig.outcome(promise), Some(&Outcome::Data));
}

#[test]
fn a_retry_needs_the_focus_and_a_first_attempt_does_not() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.focused(false);
    rig.fetch(query);
    assert_eq!(rig.calls(query), 1);
    rig.fail(query, Some(ms(10)));
    rig.heard();
    rig.advance(ms(10));
    assert_eq!(rig.updates(), [Update::Pause]);
    rig.focused(true);
    assert_eq!(rig.updates(), [Update::Continue]);
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn an_attempt_that_runs_is_left_alone_when_the_network_goes() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.fetch(query);
    rig.online(false);
    rig.land(query);
    assert_eq!(rig.info(query).status, Status::Success);
}

#[test]
fn case_53_a_paused_first_fetch_goes_with_its_last_observer() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.online(false);
    let observer = rig.observe(query, lasting());
    assert_eq!(rig.info(query).fetch_status, FetchStatus::Paused);
    rig.unobserve(observer);
    let info = rig.info(query);
    assert_eq!(info.status, Status::Pending);
    assert_eq!(info.fetch_status, FetchStatus::Idle);
    rig.online(true);
    assert_eq!(rig.calls(query), 0);
}

#[test]
fn going_online_refetches_by_rule_and_joins() {
    for (rule, stale, expected) in [
        (Refetch::Never, StaleTime::After(ms(0)), 1),
        (Refetch::IfStale, StaleTime::Never, 1),
        (Refetch::IfStale, StaleTime::After(ms(0)), 2),
        (Refetch::Always, StaleTime::Never, 2),
        (Refetch::Always, StaleTime::Static, 1),
    ] {
        let mut rig = Rig::new();
        let query = rig.fetched(key!["a"]);
        let options = ObserverOptions {
            on_mount: Refetch::Never,
            on_reconnect: rule,
            stale,
            ..ObserverOptions::default()
        };
        rig.observe(query, options);
        rig.online(true);
        assert_eq!(rig.calls(query), 1, "it was online");
        rig.online(false);
        rig.online(true);
        assert_eq!(rig.calls(query), expected, "{rule:?} {stale:?}");
        rig.online(false);
        rig.online(true);
        assert_eq!(rig.calls(query), expected, "what runs is joined");
    }
}

#[test]
fn a_disabled_observer_wants_nothing() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let options = ObserverOptions {
        enabled: false,
        on_mount: Refetch::Always,
        on_reconnect: Refetch::Always,
        on_focus: Refetch::Always,
        polling: Some(polling(ms(10))),
        ..ObserverOptions::default()
    };
    let observer = rig.observe(query, options);
    rig.online(false);
    rig.online(true);
    rig.focused(false);
    rig.focused(true);
    rig.mark(query);
    rig.advance(ms(100));
    assert_eq!(rig.calls(query), 0);
    assert!(!rig.info(query).stale, "nor finds anything stale");
    let enabled = ObserverOptions {
        enabled: true,
        ..options
    };
    rig.queries
        .set_observer(observer, enabled, rig.now, &rig.store);
    rig.drain();
    assert_eq!(rig.calls(query), 1);
}

#[test]
fn failures_are_counted_and_the_last_is_the_error() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.heard();
    let promise = rig.fetch(query);
    rig.fail(query, Some(ms(1000)));
    assert_eq!(rig.info(query).fetch_status, FetchStatus::Fetching);
    rig.advance(ms(999));
    assert_eq!(rig.calls(query), 2);
    rig.advance(ms(1));
    assert_eq!(rig.calls(query), 3);
    rig.fail(query, None);
    let info = rig.info(query);
    // D8: the data stays what it is beside the error.
    assert_eq!((info.error, info.failure_count), (Some("broken"), 2));
    assert_eq!((info.error_count, info.error_at), (1, Some(rig.now)));
    assert!(!info.invalidated);
    assert!(info.updated_at.is_some());
    assert_eq!(rig.outcome(promise), Some(&Outcome::Failed("broken")));
    assert_eq!(
        rig.updates(),
        [Update::Fetch, Update::Failed, Update::Error]
    );
    rig.fetch(query);
    assert_eq!(rig.info(query).status, Status::Error, "until it is better");
    rig.land(query);
    let info = rig.info(query);
    assert_eq!((info.status, info.failure_count), (Status::Success, 0));
}
