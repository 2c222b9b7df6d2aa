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
