//! Polls have a clock of their own (D6).

use super::rig::*;
use crate::key;
use crate::query::polling::{MAX_POLL_BACKOFF, delay};
use crate::query::*;

#[test]
fn case_43_polling_ends_with_the_observer_and_gc_zero_collects() {
    let mut rig = Rig::new();
    let options = Options {
        gc: ms(0),
        ..Options::default()
    };
    let query = rig.make(key!["a"], options);
    let observer = rig.observe(query, poller(polling(ms(10))));
    assert_eq!(rig.calls(query), 1);
    rig.land(query);
    rig.advance(ms(10));
    assert_eq!(rig.calls(query), 2);
    rig.land(query);
    rig.advance(ms(5));
    rig.unobserve(observer);
    rig.advance(ms(5));
    assert_eq!(rig.removed, [key!["a"]]);
    assert_eq!(rig.calls(query), 2);
    assert_eq!(rig.queries.timers.len(), 0);
}

#[test]
fn case_44_an_interval_can_be_a_function_s_answer() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let options = ObserverOptions {
        asks: true,
        ..lasting()
    };
    let observer = rig.observe(query, options);
    rig.land(query);
    assert_eq!(rig.asked.pop(), Some(observer));
    rig.answer(observer, Some(polling(ms(10))));
    rig.advance(ms(10));
    // A poll that is due asks once more, since a stream may have said meanwhile that it is done.
    assert_eq!((rig.asked.pop(), rig.calls(query)), (Some(observer), 1));
    rig.answer(observer, Some(polling(ms(10))));
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn a_function_of_a_disabled_observer_is_not_asked() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    let options = ObserverOptions {
        asks: true,
        ..disabled()
    };
    rig.observe(query, options);
    rig.set(query);
    assert_eq!(rig.asked, []);
}

#[test]
fn a_function_can_stop_and_begin_again() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let options = ObserverOptions {
        asks: true,
        ..poller(polling(ms(10)))
    };
    let observer = rig.observe(query, options);
    rig.land(query);
    rig.advance(ms(10));
    rig.answer(observer, Some(Polling::default()));
    rig.advance(ms(100));
    assert_eq!(rig.calls(query), 1, "it said stop when it was asked");
    rig.asked.clear();
    rig.set(query);
    assert_eq!(rig.asked, [observer], "asked at the next change of state");
    rig.answer(observer, Some(polling(ms(10))));
    rig.advance(ms(9));
    assert_eq!(rig.calls(query), 1);
    rig.advance(ms(1));
    rig.answer(observer, Some(polling(ms(10))));
    assert_eq!(rig.calls(query), 2);
    rig.land(query);
    // Unasked, because a stream moved the value.
    rig.answer(observer, None);
    rig.advance(ms(100));
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn a_new_interval_counts_from_the_last_fetch() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let observer = rig.observe(query, poller(polling(ms(100))));
    rig.land(query);
    rig.advance(ms(30));
    rig.answer(observer, Some(polling(ms(40))));
    rig.advance(ms(9));
    assert_eq!(rig.calls(query), 1);
    rig.advance(ms(1));
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn d6_a_busy_stream_does_not_put_polls_off() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.observe(query, poller(polling(ms(50))));
    rig.land(query);
    // R13 of query-core: no poll in 400 ms.
    for _ in 0..20 {
        rig.advance(ms(20));
        rig.patch(query);
        rig.set(query);
        if rig.running.contains_key(&query) {
            rig.land(query);
        }
    }
    assert_eq!(rig.calls(query), 1 + 6);
}

#[test]
fn d6_the_interval_runs_from_settled_to_the_next_fetch() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let options = ObserverOptions {
        asks: true,
        ..poller(polling(ms(50)))
    };
    let observer = rig.observe(query, options);
    rig.asked.clear();
    rig.advance(ms(120));
    assert_eq!(rig.calls(query), 1, "what runs is the poll");
    assert_eq!(rig.asked, [], "and nobody need be asked for another");
    rig.land(query);
    rig.answer(observer, options.polling);
    rig.advance(ms(49));
    rig.answer(observer, options.polling);
    assert_eq!(rig.calls(query), 1);
    rig.advance(ms(1));
    rig.answer(observer, options.polling);
    assert_eq!(rig.calls(query), 2);
}

#[test]
fn polls_back_off_while_they_fail_and_recover() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.observe(query, poller(polling(ms(1000))));
    for (failures, wait) in [(1, 2000), (2, 4000), (3, 8000)] {
        rig.fail(query, None);
        rig.advance(ms(wait - 1));
        assert_eq!(rig.calls(query), failures);
        rig.advance(ms(1));
        assert_eq!(rig.calls(query), failures + 1);
    }
    rig.land(query);
    rig.advance(ms(1000));
    assert_eq!(rig.calls(query), 5);
}

#[test]
fn the_delay_is_capped_and_spread_by_key() {
    let (a, b) = (key!["a"], key!["b"]);
    let second = ms(1000);
    assert_eq!(delay(second, 40, 0, &a), MAX_POLL_BACKOFF);
    let hour = ms(3_600_000);
    assert_eq!(delay(hour, 3, 0, &a), hour, "longer than the cap: as told");
    for key in [&a, &b] {
        let jittered = delay(second, 0, 10, key);
        assert!(jittered >= second && jittered < second + second / 10);
        assert_eq!(jittered, delay(second, 0, 10, key));
    }
    assert_ne!(delay(second, 0, 10, &a), delay(second, 0, 10, &b));
    assert_eq!(delay(ms(1), 0, 0, &a), ms(1));
    assert!(delay(std::time::Duration::MAX, 9, 100, &a) > hour);
}

#[test]
fn polls_are_skipped_out_of_focus_unless_told_otherwise() {
    for (in_background, calls) in [(false, 1), (true, 2)] {
        let mut rig = Rig::new();
        let query = rig.query(key!["a"]);
        let polling = Polling {
            in_background,
            ..polling(ms(10))
        };
        rig.observe(query, poller(polling));
        rig.land(query);
        rig.focused(false);
        rig.advance(ms(19));
        assert_eq!(rig.calls(query), calls);
        if in_background {
            continue;
        }
        rig.focused(true);
        rig.advance(ms(1));
        assert_eq!(rig.calls(query), 2, "at its next time");
    }
}

#[test]
fn polls_are_skipped_offline_unless_the_network_does_not_matter() {
    for (network, calls) in [
        (NetworkMode::Online, 1),
        (NetworkMode::OfflineFirst, 2),
        (NetworkMode::Always, 2),
    ] {
        let mut rig = Rig::new();
        let options = Options {
            network,
            ..Options::default()
        };
        let query = rig.make(key!["a"], options);
        rig.observe(query, poller(polling(ms(10))));
        rig.land(query);
        rig.online(false);
        rig.advance(ms(15));
        assert_eq!(rig.calls(query), calls, "{network:?}");
    }
}

#[test]
fn a_poll_can_wait_until_the_stream_is_quiet() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    let polling = Polling {
        only_if_quiet_for: Some(ms(100)),
        ..polling(ms(10))
    };
    rig.observe(query, poller(polling));
    rig.land(query);
    rig.store.0.get_mut(&query).expect("landed").quiet = false;
    for _ in 0..10 {
        rig.advance(ms(20));
        rig.patch(query);
    }
    assert_eq!(rig.calls(query), 1);
    rig.advance(ms(99));
    assert_eq!(rig.calls(query), 1);
    rig.advance(ms(1));
    assert_eq!(rig.calls(query), 2, "silent for long enough");
    rig.land(query);
    rig.store.0.get_mut(&query).expect("landed").quiet = true;
    rig.advance(ms(10));
    assert_eq!(rig.calls(query), 3, "there is no stream to wait for");
}

#[test]
fn every_observer_polls_for_itself_and_what_one_fetches_counts_for_all() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    rig.observe(query, poller(polling(ms(30))));
    rig.observe(query, poller(polling(ms(50))));
    rig.land(query);
    for _ in 0..3 {
        rig.advance(ms(30));
        rig.land(query);
    }
    assert_eq!(rig.calls(query), 4);
}

#[test]
fn no_interval_is_no_polling() {
    let mut rig = Rig::new();
    let query = rig.query(key!["a"]);
    for every in [ms(0), std::time::Duration::MAX] {
        rig.observe(query, poller(polling(every)));
    }
    rig.land(query);
    assert_eq!(rig.queries.poll_timeout(), None);
}

#[test]
fn without_a_fetcher_there_is_nothing_to_poll_with() {
    let mut rig = Rig::new();
    let query = rig.fetched(key!["a"]);
    rig.observe(query, poller(polling(ms(10))));
    let set = |rig: &mut Rig, fetchable| {
        rig.queries
            .set_options(query, Options::default(), fetchable, rig.now, &rig.store);
        rig.drain();
    };
    set(&mut rig, false);
    rig.advance(ms(100));
    assert_eq!(rig.calls(query), 1);
    set(&mut rig, true);
    rig.advance(ms(10));
    assert_eq!(rig.calls(query), 2);
}
