//! The whole slow path of the demo, against the clock.

use std::time::Instant;

use super::*;

/// Runs until the slow path is as wanted; a minute is far more than either needs.
fn until(order: Order, mut wanted: impl FnMut(&Slow) -> bool) -> Slow {
    let cache = Cache::builder().build().expect("a cache");
    let mut path = SlowPath::start(&cache, 7, order).expect("it starts");
    let give_up = Instant::now() + Duration::from_secs(60);
    let mut slow = path.sample();
    while !wanted(&slow) && Instant::now() < give_up {
        std::thread::sleep(Duration::from_millis(10));
        slow = path.sample();
    }
    let end = cache.close_blocking(Duration::from_secs(10));
    end.expect("every thread ends");
    path.end().expect("ends in order");
    slow
}

#[test]
fn late_failing_and_old_answers_show_nothing_wrong() {
    let slow = until(Order::Underneath, |slow| {
        let (fetches, served) = (&slow.fetches, &slow.served);
        let happened = [
            fetches.older,
            fetches.by_events,
            fetches.polls,
            fetches.retried,
            served.late,
            served.errors,
        ];
        slow.checked.wrong > 0 || happened.iter().all(|times| *times >= 3)
    });
    assert_eq!(slow.checked.wrong, 0, "{:?}", slow.checked.first);
    let fetches = &slow.fetches;
    assert!(
        fetches.older >= 3 && fetches.by_events >= 3 && fetches.polls >= 3,
        "{slow:?}"
    );
    assert!(
        slow.queries.iter().all(|query| query.observers > 0),
        "{slow:?}"
    );
}

/// The check is one: with the order that answers have in query-core it finds what is wrong.
#[test]
fn last_write_wins_shows_wrong_values() {
    let slow = until(Order::LastWriteWins, |slow| slow.checked.wrong > 0);
    let first = slow.checked.first.expect("something is found");
    assert!(
        first.contains("went back") || first.contains("live in version"),
        "{first}"
    );
}
