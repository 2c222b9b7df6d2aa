//! Older answers against newer updates: a feed publishes without a pause while fetchers bring states
//! that it has left behind. `RACES=1000000` for as many answers by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tickcache::{Cache, FetchError, FetchErrorKind, QueryError, WaitError, key};

use crate::kit::{ASLEEP, Crew, Dice, Driven, LONG, Place};
use crate::streaming::{Seen, observe};
use crate::venue::{self, IDS, Numbers, Row, Venue};

const RACES: u64 = 2_000;
/// How many versions an answer may be behind when it is given.
const BACK: u64 = 9;
/// Updates of a batch, at most.
const BURST: u64 = 8;

fn races() -> u64 {
    std::env::var("RACES").map_or(RACES, |text| text.parse().expect("RACES is a number"))
}

/// Asks again and again, until so many answers have been brought; how many were refused as too old.
fn ask(cache: &Cache, id: u64, asked: &AtomicU64, races: u64) -> u64 {
    let mut refused = 0;
    while asked.load(Ordering::Relaxed) < races {
        let query = cache.query::<Row>(key!["job", id]);
        match query.stale_after(Duration::ZERO).fetch().wait(LONG) {
            Ok(_) => {}
            Err(QueryError::Fetch(error)) if is_too_old(&error) => refused += 1,
            Err(error) => panic!("{id}: {error}"),
        }
    }
    refused
}

fn is_too_old(error: &FetchError) -> bool {
    matches!(error.kind(), FetchErrorKind::TooOld { as_of, held } if as_of < held)
}

fn race(numbers: Numbers) {
    let races = races() / 2;
    let driven = Driven::new(Place::Own);
    let cache = driven.cache();
    let (truth, asked) = (Venue::default(), Arc::new(AtomicU64::new(0)));
    let (answers, counted) = (truth.clone(), Arc::clone(&asked));
    cache
        .defaults(key!["job"])
        .stale_never()
        .retry(0)
        .fetch(move |cx| {
            let (answers, id) = (answers.clone(), cx.id());
            let nth = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                let id: u64 = id?.to_string().parse()?;
                let answer = answers.older(id, nth % (BACK + 1));
                // What the stream says meanwhile makes it older still.
                tokio::task::yield_now().await;
                answer
            }
        });
    // The address is only written down: nothing connects.
    let feed = venue::feed("ws://localhost/", numbers);
    let mut feed = cache.local(feed).expect("nobody owns it");
    let (over, refused) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut crew = Crew::new();
    for id in 0..IDS {
        let (cache, asked) = (cache.clone(), Arc::clone(&asked));
        let refused: Arc<AtomicU64> = Arc::clone(&refused);
        crew.spawn(format!("asks for {id}"), move || {
            refused.fetch_add(ask(&cache, id, &asked, races), Ordering::Relaxed);
        });
    }
    let mut watchers = Crew::new();
    for id in 0..IDS {
        let mut observer = observe(&cache, id);
        watchers.spawn(format!("watches {id}"), move || {
            let mut seen = Seen::default();
            loop {
                match observer.wait(ASLEEP) {
                    Ok(state) => seen.look(id, &state),
                    Err(WaitError::Closed) => return,
                    Err(error) => panic!("{id}: {error}"),
                }
            }
        });
    }
    let (streaming, stop) = (truth.clone(), Arc::clone(&over));
    let mut writer = Crew::new();
    writer.spawn("the feed", move || {
        let mut dice = Dice::new(races);
        feed.open();
        while !stop.load(Ordering::Acquire) {
            let mut batch = feed.batch();
            for _ in 0..dice.roll(BURST) {
                let id = dice.roll(IDS);
                let text = match dice.roll(24) {
                    0 => venue::mark(Some(id)),
                    1 if numbers == Numbers::Rising => streaming.whole(id),
                    _ => streaming.step(id),
                };
                batch.message(&mut text.into_bytes()).expect("it is right");
            }
            drop(batch);
            feed.settle();
        }
        // The last of each, as it is.
        if numbers == Numbers::Rising {
            for id in 0..IDS {
                let mut text = streaming.whole(id).into_bytes();
                feed.message(&mut text).expect("it is right");
            }
        }
        let counters = feed.counters();
        assert!(counters.balanced(), "{counters:?}");
    });
    crew.join();
    over.store(true, Ordering::Release);
    writer.join();
    for id in 0..IDS {
        let slot = cache.entity("job").slot(id);
        let n = slot.snapshot().record().get("n").u64();
        if numbers == Numbers::Rising {
            assert_eq!(n, Ok(truth.version(id)), "{id} ends with the last");
        }
    }
    cache.close_blocking(LONG).expect("everything ends");
    watchers.join();
    driven.end();
    let [asked, refused] = [asked, refused].map(|count| count.load(Ordering::Relaxed));
    assert!(refused > 0, "none of {asked} answers was too old");
    println!("races: {asked} answers, {refused} of them too old, {numbers:?}");
}

#[test]
fn an_older_answer_never_replaces_a_newer_value() {
    race(Numbers::Contiguous);
    race(Numbers::Rising);
}
