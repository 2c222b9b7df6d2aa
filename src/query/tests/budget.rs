//! How many fetches of mass causes run at once.

use super::rig::*;
use crate::key;
use crate::query::*;

const MAX: usize = 4;

fn crowd(n: u32) -> (Rig, Vec<QueryIx>) {
    let mut rig = Rig::with(Config {
        max_background: MAX,
        poll_jitter_percent: 0,
        ..Config::default()
    });
    let queries: Vec<QueryIx> = (0..n).map(|i| rig.fetched(key!["a", i])).collect();
    for &query in &queries {
        rig.observe(query, lasting());
    }
    (rig, queries)
}

fn mark_all(rig: &mut Rig, queries: &[QueryIx]) {
    for &query in queries {
        rig.bump(query);
    }
    rig.marks();
}

#[test]
fn a_mass_invalidation_is_fetched_a_few_at_a_time_in_order() {
    let (mut rig, queries) = crowd(20);
    mark_all(&mut rig, &queries);
    for (done, &query) in queries.iter().enumerate() {
        let left = queries.len() - done;
        assert_eq!(rig.running.len(), left.min(MAX));
        assert_eq!(rig.queries.fetching(), left, "what is queued counts");
        assert!(rig.running.contains_key(&query), "first come, first served");
        if done % 2 == 0 {
            rig.land(query);
        } else {
            rig.fail(query, None);
        }
    }
    assert_eq!(rig.queries.fetching(), 0);
    assert_eq!(rig.queries.budget.running(), 0);
}

#[test]
fn calls_and_first_mounts_are_not_held_back() {
    let (mut rig, queries) = crowd(MAX as u32 + 1);
    mark_all(&mut rig, &queries);
    let last = queries[MAX];
    assert!(!rig.running.contains_key(&last));
    rig.fetch(last);
    assert!(rig.running.contains_key(&last), "the call takes it along");
    let new = rig.query(key!["b"]);
    rig.observe(new, lasting());
    assert!(rig.running.contains_key(&new));
    assert_eq!(rig.queries.budget.running(), MAX);
    assert_eq!(rig.queries.budget.queued(), 0);
}

#[test]
fn a_cancelled_fetch_gives_its_place_to_the_next() {
    let (mut rig, queries) = crowd(MAX as u32 + 2);
    mark_all(&mut rig, &queries);
    rig.cancel(queries[MAX], Cancel::Revert);
    assert_eq!(rig.queries.budget.queued(), 1);
    rig.cancel(queries[0], Cancel::Revert);
    assert!(rig.running.contains_key(&queries[MAX + 1]));
    rig.remove(queries[1]);
    assert_eq!(rig.queries.budget.running(), MAX - 1);
}

#[test]
fn a_retry_gives_its_place_up_meanwhile() {
    let (mut rig, queries) = crowd(MAX as u32 + 1);
    mark_all(&mut rig, &queries);
    rig.fail(queries[0], Some(ms(10)));
    assert!(rig.running.contains_key(&queries[MAX]));
    rig.advance(ms(10));
    assert!(!rig.running.contains_key(&queries[0]), "queued again");
    rig.land(queries[1]);
    assert_eq!(rig.running[&queries[0]].number, 2);
}

#[test]
fn the_last_observer_takes_what_is_queued_along() {
    let (mut rig, queries) = crowd(MAX as u32);
    let late = rig.fetched(key!["late"]);
    let observer = rig.observe(late, lasting());
    mark_all(&mut rig, &queries);
    rig.mark(late);
    assert_eq!(rig.info(late).fetch_status, FetchStatus::Fetching);
    rig.unobserve(observer);
    assert_eq!(rig.info(late).fetch_status, FetchStatus::Idle);
    assert_eq!(rig.queries.budget.queued(), 0);
    assert!(rig.info(late).invalidated);
}

#[test]
fn what_was_paused_goes_on_a_few_at_a_time() {
    let (mut rig, queries) = crowd(0);
    assert!(queries.is_empty());
    rig.online(false);
    let mounted: Vec<QueryIx> = (0..10).map(|i| rig.query(key!["m", i])).collect();
    for &query in &mounted {
        rig.observe(query, lasting());
    }
    let called = rig.query(key!["called"]);
    rig.fetch(called);
    assert_eq!(rig.queries.fetching(), 0);
    rig.online(true);
    assert_eq!(rig.running.len(), MAX + 1);
    assert!(rig.running.contains_key(&called), "somebody waits for it");
}

#[test]
fn the_network_may_go_while_fetches_wait_their_turn() {
    let (mut rig, queries) = crowd(MAX as u32 + 3);
    mark_all(&mut rig, &queries);
    rig.online(false);
    rig.land(queries[0]);
    assert_eq!(rig.running.len(), MAX - 1);
    assert_eq!(rig.info(queries[MAX]).fetch_status, FetchStatus::Paused);
    rig.online(true);
    assert_eq!(rig.running.len(), MAX);
    assert_eq!(rig.queries.budget.queued(), 2);
}

#[test]
fn a_budget_of_none_is_one() {
    let mut rig = Rig::with(Config {
        max_background: 0,
        ..Config::default()
    });
    let query = rig.fetched(key!["a"]);
    rig.observe(query, lasting());
    rig.mark(query);
    assert_eq!(rig.calls(query), 2);
}

/// Marked queries that nobody observes, each with the promise of a resync.
fn lost(n: u32) -> (Rig, Vec<QueryIx>, Vec<PromiseId>) {
    let mut rig = Rig::with(Config {
        max_background: MAX,
        poll_jitter_percent: 0,
        resync_every: ms(100),
        seed: 7,
    });
    let queries: Vec<QueryIx> = (0..n).map(|i| rig.fetched(key!["a", i])).collect();
    for &query in &queries {
        rig.bump(query);
    }
    rig.starts.clear();
    let promises = queries.iter().map(|query| rig.resync(*query)).collect();
    (rig, queries, promises)
}

#[test]
fn resyncs_begin_one_after_the_other_at_times_that_are_not_regular() {
    let (mut rig, queries, promises) = lost(40);
    let mut spans = std::collections::BTreeSet::new();
    let mut since = 0;
    for (done, &query) in queries.iter().enumerate() {
        while !rig.running.contains_key(&query) {
            assert!(rig.running.is_empty(), "in order, and one at a time");
            assert_eq!(rig.queries.resyncs_waiting(), queries.len() - done);
            rig.advance(ms(1));
            since += 1;
        }
        if done > 0 {
            assert!((50..=151).contains(&since), "{since} ms");
            spans.insert(since);
        }
        since = 0;
        rig.land(query);
        assert_eq!(rig.outcome(promises[done]), Some(&Outcome::Data));
    }
    assert!(spans.len() > 20, "{spans:?}");
    assert_eq!(rig.queries.budget.running(), 0);
    assert!(rig.starts.values().all(|starts| *starts == 1));
}

#[test]
fn a_resync_needs_nobody_who_looks() {
    let (mut rig, queries, promises) = lost(1);
    let query = queries[0];
    let observer = rig.observe(query, lasting());
    rig.fail(query, Some(ms(500)));
    rig.unobserve(observer);
    rig.advance(ms(700));
    assert_eq!(rig.calls(query), 2, "tried again");
    rig.land(query);
    assert_eq!(rig.outcome(promises[0]), Some(&Outcome::Data));
}

#[test]
fn a_resync_that_waits_for_the_next_fetch_is_not_forgotten_with_this_one() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.fetch(query);
    rig.bump(query);
    let promise = rig.resync(query);
    rig.land(query);
    assert_eq!(
        rig.outcome(promise),
        None,
        "its answer was from before the mark"
    );
    // Who calls for it takes its next attempt out of the budget: a resync waits for it all the same.
    rig.fail(query, Some(ms(500)));
    rig.fetch(query);
    rig.advance(ms(700));
    assert!(rig.queries.is_limited(rig.running[&query].fetch));
    rig.land(query);
    assert_eq!(rig.outcome(promise), Some(&Outcome::Data));
}

#[test]
fn what_is_healed_before_its_time_is_not_fetched_and_takes_nobody_elses() {
    let (mut rig, queries, promises) = lost(5);
    rig.land(queries[0]);
    for &query in &queries[1..4] {
        rig.whole(query);
    }
    rig.advance(ms(151));
    assert!(rig.running.contains_key(&queries[4]), "the next in need");
    for n in 1..4 {
        assert_eq!(rig.outcome(promises[n]), Some(&Outcome::Data));
        assert_eq!(rig.calls(queries[n]), 0, "never fetched");
    }
    // A retry of what has been healed meanwhile is none, either.
    rig.fail(queries[4], Some(ms(500)));
    rig.whole(queries[4]);
    rig.advance(ms(1000));
    assert!(rig.running.is_empty());
    assert_eq!(rig.outcome(promises[4]), Some(&Outcome::Data));
}

#[test]
fn retries_wait_for_their_time_as_well() {
    let (mut rig, queries, _) = lost(10);
    rig.fail(queries[0], Some(ms(1)));
    rig.advance(ms(20));
    assert!(!rig.running.contains_key(&queries[0]));
    rig.advance(ms(131));
    assert!(
        rig.running.contains_key(&queries[1]),
        "first come, first served"
    );
}

#[test]
fn who_looks_or_calls_does_not_wait_for_the_time() {
    let (mut rig, queries, promises) = lost(8);
    assert_eq!(rig.running.len(), 1);
    rig.fetch(queries[7]);
    assert!(rig.running.contains_key(&queries[7]), "it was called for");
    rig.observe(queries[6], lasting());
    assert!(rig.running.contains_key(&queries[6]), "somebody looks");
    rig.land(queries[6]);
    assert_eq!(rig.outcome(promises[6]), Some(&Outcome::Data));
    // One that is looked at already, and is marked while its turn has not come.
    let never = ObserverOptions {
        on_mount: Refetch::Never,
        ..lasting()
    };
    rig.observe(queries[5], never);
    assert!(!rig.running.contains_key(&queries[5]));
    rig.mark(queries[5]);
    assert!(rig.running.contains_key(&queries[5]));
    assert_eq!(rig.queries.budget.queued(), 0);
}

#[test]
fn a_place_is_needed_as_well_as_a_time() {
    let (mut rig, queries, _) = lost(MAX as u32 + 3);
    rig.advance(ms(10_000));
    assert_eq!(rig.running.len(), MAX);
    assert_eq!(rig.queries.resyncs_waiting(), 3);
    assert!(rig.queries.is_limited(rig.running[&queries[0]].fetch));
    rig.land(queries[1]);
    assert!(rig.running.contains_key(&queries[MAX]));
    let called = rig.query(key!["b"]);
    rig.fetch(called);
    assert!(!rig.queries.is_limited(rig.running[&called].fetch));
}

#[test]
fn what_is_marked_again_and_again_waits_behind_the_others() {
    let (mut rig, queries) = crowd(MAX as u32 + 1);
    mark_all(&mut rig, &queries);
    let (first, last) = (queries[0], queries[MAX]);
    rig.bump(first);
    rig.land(first);
    assert!(rig.running.contains_key(&last), "its turn had come");
    assert!(!rig.running.contains_key(&first), "queued again");
    rig.land(queries[1]);
    assert!(rig.running.contains_key(&first));
}

#[test]
fn what_is_refetched_does_not_wait_for_the_time_of_a_resync() {
    let (mut rig, queries, promises) = lost(8);
    let query = queries[5];
    let refetched = rig.refetch(&[query], RefetchKind::All, false, Cause::Invalidation);
    assert!(rig.running.contains_key(&query));
    assert_eq!(rig.queries.resyncs_waiting(), 6);
    rig.land(query);
    for promise in [promises[5], refetched[0]] {
        assert_eq!(rig.outcome(promise), Some(&Outcome::Data));
    }
}
