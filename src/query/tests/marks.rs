//! Invalidation by generations: D3, D4 and D9.

use super::rig::*;
use crate::key;
use crate::query::*;

#[test]
fn d4_a_storm_of_marks_during_one_fetch_is_one_more_fetch() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.observe(query, lasting());
    for _ in 0..1000 {
        rig.mark(query);
    }
    rig.land(query);
    assert_eq!(rig.calls(query), 2);
    rig.land(query);
    assert_eq!(rig.calls(query), 2);
    let info = rig.info(query);
    assert!(!info.invalidated);
    assert_eq!(info.fetch_status, FetchStatus::Idle);
}

#[test]
fn d4_also_when_the_machine_hears_of_the_marks_only_later() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.observe(query, lasting());
    rig.bump(query);
    rig.land(query);
    assert_eq!(rig.calls(query), 2);
    rig.marks();
    rig.land(query);
    rig.marks();
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn d4_a_result_that_began_late_enough_is_good_for_the_mark() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.observe(query, lasting());
    // The owner of the value hears of the fetch after the mark, and only then is it run.
    rig.mark(query);
    rig.kept(query);
    rig.land(query);
    rig.marks();
    assert_eq!(rig.calls(query), 1);
}

#[test]
fn d4_a_mark_during_a_fetch_that_fails_is_one_more_fetch() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.observe(query, lasting());
    rig.mark(query);
    assert_eq!(rig.calls(query), 2);
    rig.mark(query);
    rig.mark(query);
    rig.fail(query, None);
    assert_eq!(rig.calls(query), 3);
    rig.fail(query, None);
    assert_eq!(rig.calls(query), 3, "nothing came since it began");
    rig.marks();
    assert_eq!(rig.calls(query), 3);
    assert!(rig.info(query).invalidated, "and it says so");
}

#[test]
fn d4_a_retry_covers_the_marks_before_it() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.observe(query, lasting());
    rig.mark(query);
    rig.fail(query, Some(ms(10)));
    rig.mark(query);
    rig.advance(ms(10));
    assert_eq!(rig.calls(query), 3);
    rig.land(query);
    assert_eq!(rig.calls(query), 3);
}

#[test]
fn d4_who_waits_for_an_invalidation_waits_for_a_fetch_that_began_after_it() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    let early = rig.fetch(query);
    // Nobody observes it: it is fetched again because somebody waits.
    let late = rig.invalidate(&[query], RefetchKind::All)[0];
    rig.land(query);
    assert_eq!(rig.outcome(early), Some(&Outcome::Data));
    assert_eq!(rig.outcome(late), None);
    assert_eq!(rig.calls(query), 3);
    rig.land(query);
    assert_eq!(rig.outcome(late), Some(&Outcome::Data));
    assert_eq!(rig.calls(query), 3);
}

#[test]
fn d4_who_waits_is_told_at_once_if_a_whole_message_was_quicker() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.fetch(query);
    let late = rig.invalidate(&[query], RefetchKind::All)[0];
    rig.whole(query);
    rig.land(query);
    assert_eq!(rig.outcome(late), Some(&Outcome::Data));
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn d9_only_what_is_active_is_fetched_and_the_next_mount_sees_to_the_rest() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.mark(query);
    assert_eq!(rig.calls(query), 1);
    // D3: a patch does not clear the mark.
    rig.patch(query);
    assert!(rig.info(query).invalidated);
    rig.observe(query, lasting());
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn a_mark_that_a_mount_did_not_follow_is_not_brought_up_by_another_query_s() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.mark(query);
    let options = ObserverOptions {
        on_mount: Refetch::Never,
        ..lasting()
    };
    rig.observe(query, options);
    rig.marks();
    assert_eq!(rig.calls(query), 1);
    rig.mark(query);
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn a_mount_during_a_fetch_that_began_before_the_mark_is_followed_up() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.fetch(query);
    rig.bump(query);
    rig.observe(query, lasting());
    rig.land(query);
    assert_eq!(rig.calls(query), 3);
}

#[test]
fn a_whole_message_makes_a_fetch_unnecessary() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.observe(query, lasting());
    rig.bump(query);
    rig.whole(query);
    rig.marks();
    assert_eq!(rig.calls(query), 1);
}

#[test]
fn a_mark_fetches_an_observed_query_that_has_nothing() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.observe(query, lasting());
    rig.cancel(query, Cancel::Revert);
    // R8 of query-core: pending and idle, until something triggers a fetch. A mark does.
    rig.marks();
    assert_eq!(rig.calls(query), 1);
    rig.mark(query);
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn a_cancel_answers_for_the_marks_so_far_and_the_value_stays_stale() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.observe(query, lasting());
    rig.mark(query);
    rig.mark(query);
    rig.cancel(query, Cancel::Revert);
    rig.marks();
    assert_eq!(rig.calls(query), 2);
    // R7 of query-core: a push clears the flag and nobody fetches again. Here a patch does not.
    rig.patch(query);
    assert!(rig.info(query).stale);
    rig.focused(false);
    rig.focused(true);
    assert_eq!(rig.calls(query), 3);
}

#[test]
fn excused_marks_do_not_fetch_and_swallow_no_other() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.observe(query, lasting());
    rig.invalidate(&[query], RefetchKind::None);
    rig.marks();
    assert_eq!(rig.calls(query), 1);
    // One by the application, excused; one by a feed in between, not.
    rig.bump(query);
    rig.invalidate(&[query], RefetchKind::None);
    rig.marks();
    assert_eq!(rig.calls(query), 2);
    // An excuse too many excuses nothing that is to come.
    rig.land(query);
    rig.queries.excuse(query, 5, rig.now, &rig.store);
    rig.mark(query);
    assert_eq!(rig.calls(query), 3);
}

#[test]
fn excused_marks_during_a_fetch_are_not_followed_up() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.observe(query, lasting());
    rig.fetch(query);
    rig.invalidate(&[query], RefetchKind::None);
    rig.land(query);
    assert_eq!(rig.calls(query), 2);
    assert!(rig.info(query).invalidated);
}

#[test]
fn an_excuse_too_many_takes_nothing_from_who_waits_for_a_fetch_after_a_mark() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.fetch(query);
    rig.bump(query);
    let promises = rig.refetch(&[query], RefetchKind::All, false, Cause::Invalidation);
    rig.queries.excuse(query, 5, rig.now, &rig.store);
    rig.land(query);
    assert_eq!((rig.calls(query), rig.outcome(promises[0])), (3, None));
    rig.land(query);
    assert_eq!(rig.outcome(promises[0]), Some(&Outcome::Data));
}

#[test]
fn a_restart_while_a_result_lands_is_a_fetch_after_it() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    let first = rig.fetch(query);
    assert!(rig.landing(query));
    let Wanted::Waiting(second) = rig.want(query, call(None, true)) else {
        panic!("there is a fetcher");
    };
    assert_eq!(rig.aborts, 0);
    rig.land(query);
    assert_eq!(rig.outcome(first), Some(&Outcome::Data));
    assert_eq!((rig.outcome(second), rig.calls(query)), (None, 3));
    rig.land(query);
    assert_eq!(rig.outcome(second), Some(&Outcome::Data));
}

#[test]
fn a_cancel_while_a_result_lands_comes_too_late() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let promise = rig.fetch(query);
    assert!(rig.landing(query));
    rig.cancel(query, Cancel::Revert);
    assert_eq!(rig.outcome(promise), None);
    rig.land(query);
    assert_eq!(rig.outcome(promise), Some(&Outcome::Data));
}

fn doubt(rig: &mut Rig, query: QueryIx, unsure: bool) {
    rig.store.0.entry(query).or_default().unsure = unsure;
}

#[test]
fn a_doubt_about_the_value_is_one_fetch() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.observe(query, lasting());
    assert_eq!(rig.calls(query), 1);
    doubt(&mut rig, query, true);
    rig.marks();
    rig.marks();
    assert_eq!(rig.calls(query), 2);
    rig.fail(query, None);
    rig.marks();
    assert_eq!(rig.calls(query), 2, "the same doubt, and its fetch failed");
    doubt(&mut rig, query, false);
    rig.marks();
    doubt(&mut rig, query, true);
    rig.marks();
    assert_eq!(rig.calls(query), 3, "another doubt");
}

#[test]
fn a_doubt_that_its_result_leaves_is_one_more_fetch() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.observe(query, lasting());
    rig.land_with(query, |rig| doubt(rig, query, true));
    assert_eq!(rig.calls(query), 2);
    rig.marks();
    assert_eq!(rig.calls(query), 2);
    rig.land(query);
    rig.marks();
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn a_doubt_that_no_result_ends_is_not_fetched_for_ever() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.observe(query, lasting());
    while rig.running.contains_key(&query) {
        rig.land_with(query, |rig| doubt(rig, query, true));
        assert!(rig.calls(query) < 10);
    }
    assert_eq!(rig.calls(query), 4);
}
