//! A bad network between a server and the engine: frames are dropped, doubled, swapped, delayed,
//! cut and corrupted, connections are reset or hang. Real sockets, seeded chance.
//!
//! `SEED=n` runs one seed, `COUNT=n` so many of each kind; `CUTS=n` cuts whole connections so often
//! (`cuts.rs`), and `.ci/netns` has the kernel lose packets (`netns.rs`). In every run
//!
//! * whoever reads sees no live value that does not add up, wherever the numbering can show that
//!   something is missing;
//! * gaps are counted when there are any, and never when there are none; where only streams move
//!   the numbers they are counted exactly;
//! * in the end every value is live and the server's.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: this is another process in all but name"
)]

mod cuts;
mod desk;
mod door;
mod faults;
mod legs;
mod netns;
#[path = "../kit/random.rs"]
mod random;
#[path = "../kit/seeds.rs"]
mod seeds;
mod sockets;
mod wire;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tickcache::feed::Rule;
use tickcache::{Backoff, Cache, Feed, FeedRef, Fetched, QueryConfig, key};

use faults::{Faults, Proxy};
use random::Random;
use seeds::number;
use wire::Wire;
use world::{KEYS, World};

/// Longer than anything takes: reached only by what would never have come.
const LONG: Duration = Duration::from_secs(60);

/// Rules that can show that something is missing.
const SEEING: [Rule; 4] = [
    Rule::ContiguousPerKey,
    Rule::ContiguousRange,
    Rule::Chained,
    Rule::ContiguousPerConnection,
];

const ALL: [Rule; 8] = [
    Rule::ContiguousPerKey,
    Rule::ContiguousRange,
    Rule::Chained,
    Rule::ContiguousPerConnection,
    Rule::SparseRising,
    Rule::RisingEqualAllowed,
    Rule::Timestamp,
    Rule::None,
];

/// Runs every seed of a test, on two threads.
fn for_seeds(count: u64, run: impl Fn(u64) + Sync) {
    if let Some(seed) = number("SEED") {
        return run(seed);
    }
    let count = number("COUNT").unwrap_or(count);
    thread::scope(|scope| {
        for half in 0..2 {
            let run = &run;
            scope.spawn(move || {
                for seed in (half..count).step_by(2) {
                    let told = Told(seed);
                    run(seed);
                    std::mem::forget(told);
                }
            });
        }
    });
}

/// Says which seed it was.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        eprintln!("failed with SEED={}", self.0);
    }
}

/// One run: a world, a proxy before it, and a cache that watches through it.
struct Run {
    rule: Rule,
    world: World,
    proxy: Proxy,
    cache: Cache,
    feed: FeedRef,
    reading: Option<Reading>,
}

/// A thread that reads all the time, and counts live values that do not add up.
struct Reading {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<u64>,
}

fn adds_up(value: &Json) -> bool {
    let of = |name: &str| value[name].as_i64();
    let sum = of("a")
        .zip(of("b"))
        .zip(of("c"))
        .map(|((a, b), c)| a + b + c);
    sum.is_some() && sum == of("sum")
}

impl Run {
    fn start(rule: Rule, seed: u64, faults: Faults, with_fetcher: bool) -> Self {
        let world = World::start(rule, seed);
        let proxy = Proxy::start(world.address, faults, seed);
        let cache = Cache::builder().build().expect("a cache");
        if with_fetcher {
            let telling = world.telling();
            let defaults = cache
                .defaults(key!["e"])
                .config(QueryConfig::event_driven());
            defaults.fetch(move |cx| {
                let telling = telling.clone();
                async move {
                    let truth = telling(&cx.id()?.to_string());
                    Ok(Fetched::new(truth.value()).as_of(truth.number))
                }
            });
        }
        let url = format!("ws://{}/", proxy.address);
        let feed = Feed::custom(Wire { rule, url })
            .backoff(Backoff::fixed(Duration::from_millis(1)))
            .settings(|settings| {
                settings.close_timeout = Duration::from_millis(5);
                if faults.half_open > 0 {
                    settings.dead_after = Duration::from_millis(60);
                }
            });
        let feed = cache.attach(feed).expect("attached");
        let (reader, stop) = (cache.clone(), Arc::new(AtomicBool::new(false)));
        let stopping = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut wrong = 0;
            while !stopping.load(Ordering::SeqCst) {
                for key in KEYS {
                    let snapshot = reader.entity("e").slot(key).snapshot();
                    if snapshot.freshness().is_live() {
                        let value: Json = snapshot.deserialize().expect("a value");
                        wrong += u64::from(!adds_up(&value));
                    }
                }
                // The other threads have two cores at most.
                thread::sleep(Duration::from_micros(100));
            }
            wrong
        });
        Self {
            rule,
            world,
            proxy,
            cache,
            feed,
            reading: Some(Reading { stop, thread }),
        }
    }

    /// The market moves, in bursts, while the network does its worst.
    fn play(&self, seed: u64) {
        let mut random = Random::new(seed ^ 0xb0a7);
        self.until("the first connection", || self.feed.counters().data > 0);
        for _ in 0..12 {
            for _ in 0..1 + random.below(16) {
                self.world.step();
            }
            // A pace, so that connections come and go in between.
            thread::sleep(Duration::from_micros(300));
        }
    }

    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(
                began.elapsed() < LONG,
                "{what} does not come: {:?} {:?}\n{}",
                self.feed.state(),
                self.feed.counters(),
                self.shown()
            );
            thread::sleep(Duration::from_micros(100));
        }
    }

    fn shown(&self) -> String {
        let line = |key: &&str| {
            let snapshot = self.cache.entity("e").slot(*key).snapshot();
            let value: Result<Json, _> = snapshot.deserialize();
            let truth = self.world.truth(key);
            format!(
                "{key}: {} {:?} {value:?}, true is {truth:?}\n",
                snapshot.freshness(),
                snapshot.sequence()
            )
        };
        KEYS.iter().map(line).collect()
    }

    /// Whether every value is live and the server's.
    fn is_healed(&self) -> bool {
        KEYS.iter().all(|key| {
            let snapshot = self.cache.entity("e").slot(*key).snapshot();
            snapshot.freshness().is_live()
                && snapshot
                    .deserialize::<Json>()
                    .is_ok_and(|value| value == self.world.truth(key).value())
        })
    }

    /// Ends the run; gives what was delivered and what was counted.
    fn end(mut self, may_be_wrong: bool) -> (Vec<(usize, String)>, tickcache::CounterValues) {
        let reading = self.reading.take().expect("it reads");
        reading.stop.store(true, Ordering::SeqCst);
        let wrong = reading.thread.join().expect("the reader");
        if SEEING.contains(&self.rule) && !may_be_wrong {
            assert_eq!(wrong, 0, "live values that do not add up");
        }
        self.cache.close_blocking(LONG).expect("everything ends");
        let counted = self.feed.counters();
        assert!(counted.balanced(), "{counted:?}");
        let log = self.proxy.log.lock().expect("no panic").clone();
        (log, counted)
    }
}

fn mild() -> Faults {
    Faults {
        drop: 2,
        duplicate: 2,
        reorder: 2,
        delay: 3,
        ..Faults::default()
    }
}

/// Only streams move the numbers: gaps are counted exactly. A new connection heals.
#[test]
fn gaps_are_counted_exactly_and_none_is_invented() {
    for_seeds(64, |seed| {
        let rule = ALL[seed as usize % ALL.len()];
        let faults = match seed as usize / ALL.len() % 3 {
            0 => Faults::default(),
            1 => mild(),
            _ => Faults { cut: 1, ..mild() },
        };
        let run = Run::start(rule, seed, faults, false);
        run.play(seed);
        run.proxy.clean();
        run.world.hang_up();
        run.until("the server's state", || run.is_healed());
        let (log, counted) = run.end(false);
        assert_eq!(counted.gaps, wire::gaps(rule, &log), "{rule:?} {counted:?}");
        assert_eq!(counted.refused, 0, "{counted:?}");
    });
}

/// A fetcher heals what the numbering shows to be missing, on the connection that is there.
#[test]
fn what_is_missing_is_fetched() {
    for_seeds(64, |seed| {
        let rule = SEEING[seed as usize % SEEING.len()];
        let faults = if seed % 3 == 0 {
            Faults {
                cut: 1,
                reset: 1,
                ..mild()
            }
        } else {
            mild()
        };
        let run = Run::start(rule, seed, faults, true);
        let observers: Vec<_> = KEYS
            .iter()
            .map(|id| run.cache.query::<Json>(key!["e", *id]).observe())
            .collect();
        run.play(seed);
        run.proxy.clean();
        run.world.step_all();
        run.until("the server's state", || run.is_healed());
        drop(observers);
        // The numbers of a connection say nothing about an answer: until the stream has caught up,
        // it may show a mixture of both.
        let (log, counted) = run.end(rule == Rule::ContiguousPerConnection);
        assert_eq!(counted.refused, 0, "{counted:?}");
        if wire::gaps(rule, &log) == 0 {
            assert_eq!(counted.gaps, 0, "{rule:?} {counted:?}");
        }
    });
}

/// Everything at once. What a flipped bit changes cannot always be seen; the next connection heals.
#[test]
fn whatever_happens_the_end_is_the_servers() {
    let injected = AtomicUsize::new(0);
    for_seeds(48, |seed| {
        let rule = ALL[seed as usize % ALL.len()];
        let rises = matches!(rule, Rule::SparseRising | Rule::RisingEqualAllowed);
        let faults = Faults {
            cut: 1,
            reset: 1,
            half_open: u64::from(seed % 4 == 0),
            // A number that a flipped bit has raised makes all that follows older, for good.
            corrupt: if rises { 0 } else { 2 },
            ..mild()
        };
        let run = Run::start(rule, seed, faults, seed % 2 == 0);
        run.play(seed);
        run.proxy.clean();
        run.world.hang_up();
        run.until("the server's state", || run.is_healed());
        injected.fetch_add(run.proxy.injected(), Ordering::SeqCst);
        run.end(true);
    });
    assert!(injected.into_inner() > 0, "nothing bad has happened");
}
