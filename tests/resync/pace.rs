//! Storms: what is asked at once, and what is asked at all.

use std::collections::BTreeSet;
use std::time::Duration;

use tickcache::{Cache, FetchError, Filter};

use crate::kit::*;

const MANY: usize = 500;

fn symbols() -> Vec<String> {
    (0..MANY).map(|n| format!("S{n}")).collect()
}

/// A storm whose first four fetches hang, and take all places that there are.
fn hanging_storm(desk: &Desk) -> Lab {
    let settings = Cache::builder()
        .background_fetches(4)
        .resyncs_per_second(1000);
    let mut lab = storm(settings, desk);
    lab.pass(2_000);
    assert_eq!((desk.asked(), desk.waiting()), (4, 4));
    lab
}

/// Many values, and the connection made anew.
fn storm(settings: tickcache::CacheBuilder, desk: &Desk) -> Lab {
    let mut lab = Lab::with(settings, toy(symbols()).resync(desk.fetcher()));
    for symbol in symbols() {
        lab.whole(&symbol, 1);
    }
    lab.pass(100);
    lab.feed.reconnect();
    lab.feed.settle();
    lab
}

#[test]
fn a_reconnect_of_many_is_spread_out_and_each_is_asked_for_once() {
    let desk = Desk::answering(|_| Ok(value(1)));
    let settings = Cache::builder().resyncs_per_second(50);
    let mut lab = storm(settings, &desk);
    // Half of them come by themselves in time, another hundred while the others are fetched.
    for symbol in &symbols()[..MANY / 2] {
        lab.whole(symbol, 1);
    }
    let mut spans = BTreeSet::new();
    let (mut seen, mut last, mut now) = (0, None, 0_u64);
    for step in 0..12_000 {
        if step == 1_800 {
            for symbol in &symbols()[MANY - 100..] {
                if !desk.symbols().contains(symbol) {
                    lab.whole(symbol, 1);
                }
            }
        }
        lab.feed.advance(Duration::from_millis(1));
        lab.feed.settle();
        now += 1;
        let asked = desk.asked();
        assert!(asked - seen <= 1, "{} in a millisecond", asked - seen);
        if asked > seen {
            if let Some(last) = last.replace(now) {
                spans.insert(now - last);
            }
            seen = asked;
        }
    }
    let asked = desk.symbols();
    let distinct: BTreeSet<&String> = asked.iter().collect();
    assert_eq!(distinct.len(), asked.len(), "each once");
    let healed: BTreeSet<String> = symbols()[..MANY / 2].iter().cloned().collect();
    assert!(
        asked.iter().all(|symbol| !healed.contains(symbol)),
        "those never"
    );
    let first = *spans.first().expect("some");
    let longest = *spans.last().expect("some");
    assert!(
        first >= 9 && longest <= 32,
        "between half and one and a half: {spans:?}"
    );
    assert!(spans.len() > 10, "no beat: {spans:?}");
    assert!(
        symbols()
            .iter()
            .all(|symbol| lab.freshness(symbol).is_live())
    );
    let counts = lab.counts();
    assert_eq!(counts.resyncs_done as usize, asked.len());
    assert_eq!(
        (counts.resyncs_skipped + counts.resyncs_done) as usize,
        MANY
    );
    assert!(
        asked.len() < MANY / 2,
        "the others were healed in the queue"
    );
    assert_eq!(counts.resyncs_failed, 0);
}

#[test]
fn those_that_hang_hold_up_the_others_for_no_longer_than_their_time() {
    let desk = Desk::new();
    let mut lab = hanging_storm(&desk);
    lab.pass(10_000);
    assert_eq!(
        (desk.asked(), desk.dropped()),
        (8, 4),
        "four others have their turn"
    );
    while desk.waiting() > 0 {
        desk.value(1);
    }
    lab.pass(20);
    assert_eq!(desk.waiting(), 4);
}

#[test]
fn a_server_that_asks_to_be_left_alone_is_asked_for_nothing() {
    let desk = Desk::answering(|resync| {
        if resync.attempt == 1 {
            let minute = Duration::from_secs(60);
            return Err(FetchError::later(minute, "too many requests"));
        }
        Ok(value(1))
    });
    let settings = Cache::builder().resyncs_per_second(20);
    let mut lab = storm(settings, &desk);
    lab.pass(1_200);
    let at_once = desk.asked();
    assert!(at_once > 0);
    lab.pass(58_000);
    assert!(
        desk.asked() <= at_once + 16,
        "{} more",
        desk.asked() - at_once
    );
    lab.pass(20_000);
    assert!(desk.asked() > at_once + 16);
}

/// The others wait as a key and a time.
#[test]
fn of_a_storm_few_are_queries_before_their_turn() {
    let desk = Desk::new();
    let lab = hanging_storm(&desk);
    let queries = lab.cache.queries(Filter::all()).len();
    assert!((4..=4 + 16).contains(&queries), "{queries} of {MANY}");
}
