//! The cases of query-core's tests that can be shown without values.

use super::rig::*;
use crate::key;
use crate::query::*;

#[test]
fn case_09_filters_find_what_is_being_fetched() {
    let mut rig = Rig::new();
    let idle = rig.fetched(key!["todos", 1]);
    let busy = rig.fetched(key!["todos", 2]);
    rig.fetch(busy);
    let fetching = Filter::all().fetching(FetchStatus::Fetching);
    assert_eq!(rig.select(&fetching), [busy]);
    assert_eq!(rig.queries.fetching(), 1);
    rig.land(busy);
    assert_eq!(rig.select(&fetching), []);
    let resting = Filter::under(key!["todos"]).fetching(FetchStatus::Idle);
    assert_eq!(rig.select(&resting), [idle, busy]);
}

#[test]
fn case_19_to_21_and_23_invalidation_refetches_by_activity() {
    for (kind, expected) in [
        (RefetchKind::Active, [2, 1]),
        (RefetchKind::None, [1, 1]),
        (RefetchKind::Inactive, [1, 2]),
        (RefetchKind::All, [2, 2]),
    ] {
        let mut rig = Rig::new();
        let observed = rig.fetched(key!["a"]);
        let other = rig.fetched(key!["b"]);
        rig.observe(observed, lasting());
        rig.invalidate(&[observed, other], kind);
        rig.marks();
        assert_eq!(
            [rig.calls(observed), rig.calls(other)],
            expected,
            "{kind:?}"
        );
        assert!(rig.info(observed).invalidated);
    }
}

#[test]
fn case_20_a_disabled_observer_makes_inactive_and_disabled() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.observe(query, disabled());
    for kind in [RefetchKind::Active, RefetchKind::All] {
        assert_eq!(rig.invalidate(&[query], kind), []);
    }
    rig.marks();
    assert_eq!(rig.calls(query), 1);
    assert_eq!(rig.select(&Filter::all().inactive()), [query]);
}

#[test]
fn case_25_what_was_only_written_and_has_no_fetcher_is_not_fetched() {
    let mut rig = Rig::new();
    let (query, added) =
        rig.queries
            .insert(key!["a"], Options::default(), false, rig.now, &rig.store);
    assert!(added);
    rig.set(query);
    assert_eq!(rig.invalidate(&[query], RefetchKind::All), []);
    assert_eq!(rig.info(query).data_count, 1);
    assert_eq!(rig.want(query, call(None, false)), Wanted::NoFetcher);
    let fresh = call(Some(StaleTime::Static), false);
    assert_eq!(rig.want(query, fresh), Wanted::Fresh);
}

#[test]
fn case_27_a_refetch_joins_or_restarts() {
    for (restart, calls, aborts) in [(false, 2, 0), (true, 3, 1)] {
        let mut rig = Rig::new();
        let query = rig.fetched(key!["a"]);
        rig.observe(query, lasting());
        let first = rig.fetch(query);
        rig.heard();
        let second = rig.refetch(&[query], RefetchKind::Active, restart, Cause::User);
        assert_eq!((rig.calls(query), rig.aborts), (calls, aborts));
        assert_eq!(rig.heard(), [], "a restart says nothing");
        // Whoever waited for the first is told by its replacement.
        assert_eq!(rig.outcome(first), None);
        rig.land(query);
        assert_eq!(rig.outcome(first), Some(&Outcome::Data));
        assert_eq!(rig.outcome(second[0]), Some(&Outcome::Data));
    }
}

#[test]
fn a_first_fetch_is_joined_also_by_a_restart() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.fetch(query);
    rig.want(query, call(None, true));
    assert_eq!((rig.calls(query), rig.aborts), (1, 0));
}

#[test]
fn case_28_static_resists_invalidation_but_is_marked() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    let options = ObserverOptions {
        stale: StaleTime::Static,
        ..ObserverOptions::default()
    };
    rig.observe(query, options);
    rig.mark(query);
    rig.refetch(&[query], RefetchKind::All, true, Cause::User);
    assert_eq!(rig.calls(query), 1);
    assert!(rig.info(query).invalidated);
    assert!(!rig.info(query).stale);
}

#[test]
fn case_29_a_static_call_reads_what_is_there_even_if_invalidated() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.invalidate(&[query], RefetchKind::None);
    let wanted = rig.want(query, call(Some(StaleTime::Static), false));
    assert_eq!(wanted, Wanted::Fresh);
    let wanted = rig.want(query, call(Some(StaleTime::Never), false));
    assert!(matches!(wanted, Wanted::Waiting(_)));
}

#[test]
fn case_30_a_second_invalidation_changes_nothing() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.heard();
    rig.invalidate(&[query], RefetchKind::None);
    assert_eq!(rig.updates(), [Update::Invalidate]);
    let record = rig.info(query);
    rig.invalidate(&[query], RefetchKind::None);
    assert_eq!(rig.updates(), []);
    assert_eq!(rig.info(query), record);
    // A whole message in between makes the next one a new one.
    rig.whole(query);
    rig.invalidate(&[query], RefetchKind::None);
    assert_eq!(rig.updates(), [Update::Invalidate]);
}

#[test]
fn case_32_a_cancel_goes_back_and_gives_what_is_there() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    let before = rig.info(query);
    let promise = rig.fetch(query);
    rig.cancel(query, Cancel::Revert);
    assert_eq!(rig.aborts, 1);
    assert_eq!(rig.outcome(promise), Some(&Outcome::Data));
    assert_eq!(rig.info(query), before);
    assert_eq!(before.status, Status::Success);
}

#[test]
fn a_cancel_of_a_first_fetch_leaves_nothing() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let promise = rig.fetch(query);
    rig.cancel(query, Cancel::Revert);
    assert_eq!(rig.outcome(promise), Some(&Outcome::Cancelled));
    let info = rig.info(query);
    assert_eq!(info.status, Status::Pending);
    assert_eq!(info.fetch_status, FetchStatus::Idle);
}

#[test]
fn a_cancel_goes_back_to_an_error_but_not_past_a_write() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.fetch(query);
    rig.fail(query, None);
    rig.fetch(query);
    assert_eq!(rig.info(query).status, Status::Pending);
    rig.cancel(query, Cancel::Revert);
    assert_eq!(rig.info(query).error, Some("broken"));
    rig.fetch(query);
    rig.set(query);
    assert_eq!(rig.info(query).fetch_status, FetchStatus::Fetching);
    rig.cancel(query, Cancel::Revert);
    assert_eq!(rig.info(query).status, Status::Success);
}

#[test]
fn case_34_a_cancel_can_be_an_error() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    let promise = rig.fetch(query);
    rig.cancel(query, Cancel::Fail("cancelled"));
    let info = rig.info(query);
    assert_eq!(info.status, Status::Error);
    // D8: an error does not invalidate what is there.
    assert!(!info.invalidated);
    assert_eq!(rig.outcome(promise), Some(&Outcome::Cancelled));
}

#[test]
fn case_36_two_fetches_of_one_query_are_one() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.heard();
    let promises = [rig.fetch(query), rig.fetch(query)];
    rig.land(query);
    assert_eq!(
        rig.heard(),
        [
            EventKind::Updated(Update::Fetch),
            EventKind::Updated(Update::Success)
        ]
    );
    for promise in promises {
        assert_eq!(rig.outcome(promise), Some(&Outcome::Data));
    }
}

#[test]
fn case_37_a_cancel_after_the_end_changes_nothing() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    let before = rig.info(query);
    rig.cancel(query, Cancel::Revert);
    assert_eq!(rig.info(query), before);
    rig.fetch(query);
    rig.fail(query, None);
    let before = rig.info(query);
    assert_eq!(before.error, Some("broken"));
    rig.cancel(query, Cancel::Fail("other"));
    assert_eq!(rig.info(query), before);
}

#[test]
fn case_38_the_last_observer_leaves_and_the_token_was_not_taken() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let observer = rig.observe(query, lasting());
    rig.unobserve(observer);
    assert_eq!(rig.aborts, 0);
    rig.land(query);
    assert_eq!(rig.info(query).status, Status::Success);
}

#[test]
fn case_38_the_last_observer_leaves_and_the_token_was_taken() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let observer = rig.observe(query, lasting());
    let fetch = rig.running[&query].fetch;
    rig.queries.handle_consumed(fetch);
    rig.unobserve(observer);
    assert_eq!(rig.aborts, 1);
    assert!(!rig.queries.may_land(fetch), "the late result is dropped");
    let info = rig.info(query);
    assert_eq!(info.status, Status::Pending);
    assert_eq!(info.fetch_status, FetchStatus::Idle);
}

#[test]
fn the_last_observer_ends_retries_and_a_new_one_allows_them() {
    for (returns, calls) in [(false, 1), (true, 2)] {
        let mut rig = Rig::new();
        let query = rig.query(key!["a"]);
        let observer = rig.observe(query, lasting());
        rig.fail(query, Some(ms(1000)));
        assert_eq!(rig.info(query).failure_count, 1);
        rig.unobserve(observer);
        if returns {
            rig.observe(query, lasting());
        }
        rig.advance(ms(1000));
        assert_eq!(rig.calls(query), calls);
        let gave_up = rig.info(query).status == Status::Error;
        assert_eq!(gave_up, !returns);
    }
}

#[test]
fn case_42_a_call_fetches_only_what_is_older_than_it_allows() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.set(query);
    let after = |t| call(Some(StaleTime::After(ms(t))), false);
    assert_eq!(rig.want(query, after(100)), Wanted::Fresh);
    rig.advance(ms(10));
    assert!(matches!(rig.want(query, after(10)), Wanted::Waiting(_)));
    rig.land(query);
    assert_eq!(rig.want(query, after(10)), Wanted::Fresh);
    rig.advance(ms(10));
    assert!(matches!(rig.want(query, after(10)), Wanted::Waiting(_)));
}

#[test]
fn case_46_mount_and_focus_go_by_their_rule_and_static_wins() {
    let cases = [
        (StaleTime::Never, Refetch::Never, 0),
        (StaleTime::Never, Refetch::IfStale, 0),
        (StaleTime::Never, Refetch::Always, 1),
        (StaleTime::Static, Refetch::Always, 0),
        (StaleTime::After(ms(0)), Refetch::IfStale, 1),
        (StaleTime::After(ms(0)), Refetch::Never, 0),
    ];
    for (stale, rule, expected) in cases {
        let rules = ObserverOptions {
            stale,
            on_mount: Refetch::Never,
            on_focus: Refetch::Never,
            ..ObserverOptions::default()
        };
        let mut rig = Rig::new();
        let query = rig.fetched(key!["a"]);
        let on_mount = ObserverOptions {
            on_mount: rule,
            ..rules
        };
        rig.observe(query, on_mount);
        assert_eq!(rig.calls(query) - 1, expected, "mount {stale:?} {rule:?}");

        let mut rig = Rig::new();
        let query = rig.fetched(key!["a"]);
        let on_focus = ObserverOptions {
            on_focus: rule,
            ..rules
        };
        rig.observe(query, on_focus);
        rig.focused(true);
        assert_eq!(rig.calls(query), 1, "it had the focus");
        rig.focused(false);
        rig.focused(true);
        assert_eq!(rig.calls(query) - 1, expected, "focus {stale:?} {rule:?}");
    }
}

#[test]
fn a_mount_loads_what_is_in_doubt_though_it_is_static() {
    for (rule, expected) in [(Refetch::IfStale, 2), (Refetch::Never, 1)] {
        let mut rig = Rig::new();
        let query = rig.fetched(key!["a"]);
        rig.store.0.entry(query).or_default().unsure = true;
        let options = ObserverOptions {
            stale: StaleTime::Static,
            on_mount: rule,
            ..ObserverOptions::default()
        };
        rig.observe(query, options);
        assert_eq!(rig.calls(query), expected, "{rule:?}");
    }
}

#[test]
fn case_46_without_data_a_mount_loads_whatever_the_rule() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let options = ObserverOptions {
        on_mount: Refetch::Never,
        stale: StaleTime::Static,
        ..ObserverOptions::default()
    };
    rig.observe(query, options);
    assert_eq!(rig.calls(query), 1);
}

#[test]
fn case_49_the_eight_events_of_a_mount() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let options = ObserverOptions {
        stale: StaleTime::After(ms(10)),
        ..ObserverOptions::default()
    };
    rig.observe(query, options);
    rig.land(query);
    rig.advance(ms(11));
    assert_eq!(
        rig.heard(),
        [
            EventKind::Added,
            EventKind::ObserverResults,
            EventKind::ObserverAdded,
            EventKind::ObserverResults,
            EventKind::Updated(Update::Fetch),
            EventKind::ObserverResults,
            EventKind::Updated(Update::Success),
            EventKind::ObserverResults,
        ]
    );
}

#[test]
fn case_50_an_observer_that_leaves_does_not_keep_the_others_from_being_told() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let first = rig.observe(query, lasting());
    rig.observe(query, lasting());
    rig.heard();
    rig.land(query);
    let results = |heard: Vec<EventKind>| {
        heard
            .into_iter()
            .filter(|kind| *kind == EventKind::ObserverResults)
            .count()
    };
    assert_eq!(results(rig.heard()), 2);
    rig.unobserve(first);
    rig.heard();
    rig.set(query);
    assert_eq!(results(rig.heard()), 1);
}

#[test]
fn case_51_reset_restores_and_refetches_what_is_observed() {
    let mut rig = Rig::new();
    let observed = rig.fetched(key!["a"]);
    let other = rig.fetched(key!["b"]);
    rig.observe(observed, lasting());
    rig.heard();
    let promise = rig.reset(observed).expect("it is active");
    assert_eq!(rig.reset(other), None);
    let initial = rig.now;
    rig.restore(Some(initial));
    assert_eq!([rig.calls(observed), rig.calls(other)], [2, 1]);
    let info = rig.info(other);
    assert_eq!((info.status, info.data_count), (Status::Success, 0));
    rig.land(observed);
    assert_eq!(rig.outcome(promise), Some(&Outcome::Data));
    assert_eq!(
        rig.updates(),
        [Update::Reset, Update::Fetch, Update::Reset, Update::Success]
    );
}

#[test]
fn case_51_reset_while_pending_is_no_error() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let promise = rig.fetch(query);
    rig.reset(query);
    rig.restore(None);
    let info = rig.info(query);
    assert_eq!(info.status, Status::Pending);
    assert_eq!(info.fetch_status, FetchStatus::Idle);
    assert_eq!(rig.outcome(promise), Some(&Outcome::Cancelled));
    assert_eq!(rig.aborts, 1);
}
