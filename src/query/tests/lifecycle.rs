//! How queries come and go: collection, reset, removal, options, filters.

use std::time::Duration;

use super::rig::*;
use crate::key;
use crate::query::*;

fn kept(gc: Duration) -> Options {
    Options {
        gc,
        ..Options::default()
    }
}

#[test]
fn case_40_collected_even_if_never_fetched_and_removed_is_the_last_event() {
    let mut rig = Rig::new();
    let query = rig.make(key!["a"], kept(ms(10)));
    rig.set(query);
    rig.advance(ms(9));
    assert_eq!(rig.removed, []);
    rig.advance(ms(1));
    assert_eq!(rig.removed, [key!["a"]]);
    assert_eq!(rig.heard().last(), Some(&EventKind::Removed));
    assert_eq!(rig.queries.find(&key!["a"]), None);
    assert_eq!(rig.queries.len(), 0);
}

#[test]
fn d10_a_write_by_a_stream_counts_as_use_unless_told_otherwise() {
    for writes_keep in [true, false] {
        let mut rig = Rig::new();
        let options = Options {
            writes_keep,
            ..kept(ms(50))
        };
        let query = rig.make(key!["a"], options);
        for _ in 0..20 {
            rig.advance(ms(10));
            rig.patch(query);
        }
        assert_eq!(rig.removed.is_empty(), writes_keep);
        rig.advance(ms(50));
        assert_eq!(rig.removed, [key!["a"]]);
    }
}

#[test]
fn collection_waits_for_observers_and_fetches() {
    let mut rig = Rig::new();
    let query = rig.make(key!["a"], kept(ms(10)));
    let observer = rig.observe(query, lasting());
    rig.advance(ms(100));
    rig.unobserve(observer);
    rig.advance(ms(100));
    assert_eq!(rig.removed, [], "it is being fetched");
    rig.land(query);
    rig.advance(ms(9));
    assert_eq!(rig.removed, []);
    rig.advance(ms(1));
    assert_eq!(rig.removed, [key!["a"]]);
}

#[test]
fn the_longest_time_ever_given_counts_and_max_is_for_ever() {
    let mut rig = Rig::new();
    let query = rig.make(key!["a"], kept(ms(10)));
    for gc in [ms(30), ms(20)] {
        rig.queries
            .set_options(query, kept(gc), true, rig.now, &rig.store);
    }
    rig.advance(ms(29));
    assert_eq!(rig.removed, []);
    rig.advance(ms(1));
    assert_eq!(rig.removed, [key!["a"]]);
    rig.make(key!["b"], kept(Duration::MAX));
    assert_eq!(rig.queries.poll_timeout(), None);
}

#[test]
fn an_old_name_is_harmless() {
    let mut rig = Rig::new();
    let old = rig.query(key!["a"]);
    let observer = rig.observe(old, lasting());
    let fetch = rig.running[&old].fetch;
    let promise = rig.fetch(old);
    rig.remove(old);
    assert_eq!(rig.outcome(promise), Some(&Outcome::Cancelled));
    assert_eq!(rig.aborts, 1);
    let new = rig.query(key!["a"]);
    assert_ne!(old, new);
    assert!(!rig.queries.may_land(fetch));
    rig.queries.handle_landed(fetch, rig.now, &rig.store);
    rig.unobserve(observer);
    rig.set(old);
    rig.cancel(old, Cancel::Revert);
    rig.mark(old);
    assert_eq!(rig.reset(old), None);
    assert_eq!(rig.want(old, call(None, false)), Wanted::Gone);
    assert_eq!(
        rig.queries.observe(old, lasting(), rig.now, &rig.store),
        None
    );
    rig.remove(old);
    assert_eq!(rig.queries.find(&key!["a"]), Some(new));
    assert_eq!(rig.info(new).status, Status::Pending);
}

#[test]
fn what_lands_after_a_removal_is_nobody_s() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let promise = rig.fetch(query);
    let fetch = rig.running[&query].fetch;
    assert!(rig.landing(query));
    rig.remove(query);
    assert_eq!(
        (rig.aborts, rig.outcome(promise)),
        (0, Some(&Outcome::Cancelled))
    );
    rig.queries.handle_landed(fetch, rig.now, &rig.store);
    rig.drain();
    assert_eq!(rig.queries.poll_timeout(), None);
}

#[test]
fn what_lands_after_a_reset_is_put_away_and_fetched_anew() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.observe(query, lasting());
    assert!(rig.landing(query));
    let promise = rig.reset(query).expect("it is active");
    rig.restore(None);
    // The landing goes on, and writes.
    assert_eq!(rig.calls(query), 1);
    rig.land(query);
    assert_eq!(rig.outcome(promise), None);
    assert_eq!(rig.restores, [query]);
    rig.restore(None);
    assert_eq!(rig.calls(query), 2);
    rig.land(query);
    assert_eq!(rig.outcome(promise), Some(&Outcome::Data));
    assert_eq!(rig.info(query).data_count, 1);
}

#[test]
fn a_reset_query_that_nobody_uses_is_still_collected() {
    let mut rig = Rig::new();
    let query = rig.make(key!["a"], kept(ms(10)));
    rig.advance(ms(5));
    rig.reset(query);
    rig.advance(ms(100));
    assert_eq!(rig.removed, [], "not while it is being restored");
    rig.restore(None);
    rig.advance(ms(10));
    assert_eq!(rig.removed, [key!["a"]]);
}

#[test]
fn filters_by_key_activity_and_age() {
    let mut rig = Rig::new();
    let options = Options {
        stale: StaleTime::After(ms(10)),
        ..Options::default()
    };
    let list = rig.make(key!["todos"], options);
    let one = rig.make(key!["todos", 1], options);
    let detail = rig.make(key!["todos", 1, {"x": 1, "y": 2}], options);
    let other = rig.make(key![{"x": 1}, 1], options);
    rig.set(one);
    assert_eq!(rig.select(&Filter::all()), [list, one, detail, other]);
    assert_eq!(rig.select(&key!["todos"].into()), [list, one, detail]);
    assert_eq!(rig.select(&Filter::under(key!["todos", 1]).exact()), [one]);
    assert_eq!(rig.select(&Filter::all().exact()), []);
    assert_eq!(rig.queries.under(&key!["todos", 1, {"y": 2}]), [detail]);
    assert_eq!(rig.queries.under(&key![{}]), [other]);
    assert_eq!(rig.queries.under(&key!["nothing"]), []);
    assert_eq!(rig.queries.under(&key![]), rig.queries.all());
    // Different from query-core: age counts also where nobody looks.
    assert_eq!(rig.select(&Filter::all().stale(false)), [one]);
    rig.advance(ms(10));
    assert_eq!(rig.select(&Filter::all().stale(false)), []);
    rig.observe(one, lasting());
    assert_eq!(rig.select(&Filter::all().stale(false)), [one]);
    assert_eq!(rig.select(&Filter::all().active()), [one]);
    assert_eq!(rig.select(&Filter::all().inactive()), [list, detail, other]);
    rig.remove(one);
    assert_eq!(rig.select(&key!["todos"].into()), [list, detail]);
    assert_eq!(rig.select(&Filter::all().active()), []);
}

#[test]
fn predicates_see_the_summary_and_are_left_to_the_caller() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    let never = Filter::all().predicate(|info| info.data_count > 1);
    assert_eq!(rig.select(&never), [query]);
    assert!(never.has_predicate());
    assert!(!never.accepts(&rig.info(query).summary()));
    rig.set(query);
    assert!(never.accepts(&rig.info(query).summary()));
}

#[test]
fn staleness_by_age_is_said_when_it_comes_and_streams_put_it_off() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    let options = ObserverOptions {
        stale: StaleTime::After(ms(10)),
        ..ObserverOptions::default()
    };
    let observer = rig.observe(query, options);
    rig.heard();
    rig.advance(ms(5));
    rig.whole(query);
    rig.advance(ms(9));
    assert!(!rig.queries.is_stale_to(observer, rig.now, &rig.store));
    rig.heard();
    let changed = rig.changed;
    rig.advance(ms(1));
    assert!(rig.queries.is_stale_to(observer, rig.now, &rig.store));
    assert_eq!(rig.heard(), [EventKind::ObserverResults]);
    assert_eq!(rig.changed, changed + 1);
}

#[test]
fn partial_or_doubtful_data_is_stale_whatever_its_age() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.store.0.get_mut(&query).expect("landed").unsure = true;
    for stale in [StaleTime::Never, StaleTime::Static] {
        let wanted = rig.want(query, call(Some(stale), false));
        assert!(matches!(wanted, Wanted::Waiting(_)));
    }
    rig.land(query);
    assert_eq!(
        rig.want(query, call(Some(StaleTime::Never), false)),
        Wanted::Fresh
    );
}

#[test]
fn a_known_absence_is_an_answer() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.store.0.get_mut(&query).expect("landed").present = false;
    assert_eq!(rig.info(query).status, Status::Success);
    rig.observe(query, lasting());
    assert_eq!(rig.calls(query), 1);
}

#[test]
fn what_is_due_does_not_look_at_the_others() {
    let mut rig = Rig::new();
    let crowd: Vec<QueryIx> = (0..10_000).map(|n| rig.query(key!["q", n])).collect();
    let query = crowd[5000];
    rig.observe(query, poller(polling(ms(10))));
    let looks = |rig: &Rig| rig.store.1.take();
    rig.land(query);
    looks(&rig);
    rig.advance(ms(10));
    assert_eq!(rig.calls(query), 2);
    assert!(looks(&rig) < 20);
    // D9: nor do generations that moved, where nobody looks.
    rig.marks();
    assert!(looks(&rig) < 20);
    rig.online(false);
    rig.online(true);
    assert!(looks(&rig) < 20);
}

#[test]
fn who_waits_for_the_same_fetch_shares_a_promise() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    let first = rig.fetch(query);
    assert_eq!(first, rig.fetch(query), "joined");
    // Marked meanwhile: these wait for the fetch that follows, and share it in turn.
    let later = rig.invalidate(&[query], RefetchKind::All);
    assert_ne!(later, [first]);
    for _ in 0..3 {
        assert_eq!(rig.invalidate(&[query], RefetchKind::All), later);
    }
    rig.land(query);
    assert!(rig.outcome(first).is_some());
    assert!(rig.outcome(later[0]).is_none());
    rig.land(query);
    assert!(rig.outcome(later[0]).is_some());
    // What is paused is not waited for by who refetches many, and is by who called for it.
    rig.online(false);
    let paused = rig.fetch(query);
    assert!(
        rig.refetch(&[query], RefetchKind::All, false, Cause::User)
            .is_empty()
    );
    rig.online(true);
    rig.land(query);
    assert!(rig.outcome(paused).is_some());
}
