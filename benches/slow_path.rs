//! What does the slow path cost the hot one, and what does it cost to say that values are outdated?
//!
//! `beside`: the CPU time of the thread that a feed has, for messages that change 6 of 20 fields of
//! one of 1,000 slots, while a fetch of one of those slots hangs, so that what comes for it is kept;
//! while eight queries are fetched a thousand times a second and fail each time; and while a
//! document of 10 MB is fetched again and again. Before each sample the same number of messages is
//! taken in with nothing else going on, and a table of the medians of both and of their ratios
//! follows, for the mean of all messages and for the slowest of a hundred batches of 64. This is how much *work* the feed's thread has: on a machine with few cores the slow path
//! also takes time from it, as any other thread does, and that is not counted here.
//!
//! `invalidate`: the calling thread's CPU time for telling that a slot, an entity of 1, 1,000 or
//! 1,000,000 slots that nobody looks at, or everything is outdated.
//!
//! `queries`: the same for 10,000 queries of which 10 are looked at; first for the calling thread,
//! which only marks, then for the whole process until those 10 have been fetched again.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a bench reads clocks, and is run by no model"
)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use support::cpu::{CpuTime, process_cpu, thread_cpu};
use support::json::{STEPS, change, event, whole};
use support::ours::Ours;
use support::{ENTITY, Round, id};
use tickcache::{Cache, FetchError, Fetched, Filter, Observer, RefetchKind, key};

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SLOTS: usize = 1_000;
/// Messages of one sample: long enough for several documents of 10 MB to land meanwhile.
const BLOCK: u64 = 200_000;
const LARGE_BYTES: usize = 10_000_000;
const FAILING: u64 = 8;
const MILLISECOND: Duration = Duration::from_millis(1);

/// The slow path at work: what observes, and how many attempts it has led to.
struct Slow {
    observers: Vec<Observer<Value>>,
    attempts: Arc<AtomicU64>,
}

/// Starts the slow path on something, and says what.
type Disturb = fn(&Cache) -> Slow;

/// A fetch of a slot of the feed that is never answered.
fn hanging(cache: &Cache) -> Slow {
    let attempts = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&attempts);
    let query = cache.query(key![ENTITY, id(0)]).fetch_with(move |cx| {
        // Whoever has it can be stopped: the fetch ends with its observer.
        let token = cx.token();
        counted.fetch_add(1, Relaxed);
        async move {
            token.cancelled().await;
            Err(FetchError::new("given up"))
        }
    });
    Slow {
        observers: vec![query.observe()],
        attempts,
    }
}

/// Queries that fail at once, again and again.
fn erring(cache: &Cache) -> Slow {
    let attempts = Arc::new(AtomicU64::new(0));
    let query = |number| {
        let counted = Arc::clone(&attempts);
        let query = cache.query(key!["failing", number]).fetch_with(move |_cx| {
            counted.fetch_add(1, Relaxed);
            async { Err(FetchError::new("no")) }
        });
        query
            .retry_if(|_, _| true)
            .retry_delay(|_, _| MILLISECOND)
            .observe()
    };
    Slow {
        observers: (0..FAILING).map(query).collect(),
        attempts,
    }
}

/// A document of 10 MB, fetched again as soon as it has landed.
fn large(cache: &Cache) -> Slow {
    static ROWS: LazyLock<String> = LazyLock::new(|| {
        let row = r#"{"symbol":"BTCUSDT","price":"61837.63000000","volume":8913.3},"#;
        let rows = row.repeat(LARGE_BYTES / row.len());
        format!("[{}]", rows.trim_end_matches(','))
    });
    let attempts = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&attempts);
    let query = cache.query(key!["large"]).fetch_with(move |_cx| {
        // Another answer each time, so that it lands.
        let number = counted.fetch_add(1, Relaxed);
        async move {
            let rows = &*ROWS;
            Ok(Fetched::json(format!(
                r#"{{"number":{number},"rows":{rows}}}"#
            )))
        }
    });
    Slow {
        observers: vec![query.poll_every(MILLISECOND).observe()],
        attempts,
    }
}

impl Slow {
    /// Until it is at work.
    fn begun(&self, ours: &mut Ours) {
        while self.attempts.load(Relaxed) == 0 {
            ours.settle();
            std::thread::sleep(MILLISECOND);
        }
    }

    /// Ends it, and waits until nothing is left of it.
    fn end(self, ours: &mut Ours) {
        drop(self.observers);
        ours.cache().cancel(Filter::all());
        while ours.cache().is_fetching(Filter::all()) > 0 {
            ours.settle();
            std::thread::sleep(MILLISECOND);
        }
        ours.cache().remove(Filter::all());
        ours.settle();
    }
}

fn beside(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("slow path/beside");
    group.throughput(Throughput::Elements(BLOCK));
    let mut ours = Ours::whole(SLOTS, &whole());
    let mut messages = Round::new(
        (0..STEPS * SLOTS)
            .map(|at| event(&id(at % SLOTS), &change(at / SLOTS)))
            .collect(),
    );
    let kinds: [(&str, Disturb); 3] = [
        ("a fetch hangs", hanging),
        ("fetches fail", erring),
        ("10 MB land", large),
    ];
    for (name, disturb) in kinds {
        let mut samples = Vec::new();
        let mut attempts = 0;
        group.bench_function(name, |b| {
            b.iter_custom(|blocks| {
                let count = blocks * BLOCK;
                let alone = Sample::take(&mut ours, &mut messages, count);
                let slow = disturb(ours.cache());
                slow.begun(&mut ours);
                let beside = Sample::take(&mut ours, &mut messages, count);
                attempts += slow.attempts.load(Relaxed);
                slow.end(&mut ours);
                let spent = beside.spent;
                samples.push((alone, beside));
                spent
            });
        });
        assert_eq!(ours.refused(), 0, "every message counts");
        if !samples.is_empty() {
            tell(name, &samples, attempts);
        }
    }
    group.finish();
}

/// What a number of messages took.
struct Sample {
    spent: Duration,
    /// Nanoseconds for each.
    mean: f64,
    /// Of batches of 64: nanoseconds for each message of the batch that 99 of 100 do not exceed.
    p99: f64,
}

impl Sample {
    fn take(ours: &mut Ours, messages: &mut Round<Vec<u8>>, count: u64) -> Self {
        let mut batches = Vec::new();
        let spent = ours.time_settling(messages, count, &mut batches);
        batches.sort_unstable();
        let late = batches[batches.len() * 99 / 100];
        Self {
            spent,
            mean: spent.as_nanos() as f64 / count as f64,
            p99: late.as_nanos() as f64 * batches.len() as f64 / count as f64,
        }
    }
}

/// Prints the medians of the samples and of their ratios.
fn tell(name: &str, samples: &[(Sample, Sample)], attempts: u64) {
    eprintln!("{name} ({attempts} attempts to fetch):");
    tell_part("mean", samples, |sample| sample.mean);
    tell_part("p99 of batches", samples, |sample| sample.p99);
}

fn tell_part(part: &str, samples: &[(Sample, Sample)], of: fn(&Sample) -> f64) {
    let median = |of: &dyn Fn(&(Sample, Sample)) -> f64| {
        let mut values: Vec<_> = samples.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    eprintln!(
        "  {part:15} {:7.1} ns a message, {:7.1} ns alone: {:5.3}x",
        median(&|(_, beside)| of(beside)),
        median(&|(alone, _)| of(alone)),
        median(&|(alone, beside)| of(beside) / of(alone).max(f64::MIN_POSITIVE)),
    );
}

fn invalidate(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("slow path/invalidate");
    for slots in [1, 1_000, 1_000_000] {
        let ours = Ours::whole(slots, r#"{"bid":"61837.63","ask":"61837.64","n":1}"#);
        let entity = ours.entity().clone();
        assert!(
            ours.slot(0).freshness().is_live(),
            "there is something to mark"
        );
        entity.invalidate();
        assert!(!ours.slot(0).freshness().is_live(), "it reaches the slots");
        group.bench_function(format!("an entity of {slots}"), |b| {
            b.iter(|| entity.invalidate());
        });
        group.bench_function(format!("an entity of {slots}, by key"), |b| {
            let key = key![ENTITY];
            b.iter(|| ours.cache().invalidate(key.clone()));
        });
        let slot = ours.slot(slots / 2);
        group.bench_function(format!("one slot of {slots}"), |b| {
            b.iter(|| slot.invalidate());
        });
        group.bench_function(format!("everything, {slots}"), |b| {
            b.iter(|| ours.cache().invalidate_all());
        });
    }
    group.finish();
}

/// Queries registered under one entity, the first of them observed.
struct Registered {
    cache: Cache,
    observers: Vec<Observer<Value>>,
    fetches: Arc<AtomicU64>,
}

impl Registered {
    const QUERIES: u64 = 10_000;
    const ACTIVE: u64 = 10;

    fn new() -> Self {
        let cache = Cache::builder().build().expect("a thread");
        let fetches = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&fetches);
        cache.defaults(key!["report"]).fetch(move |_cx| {
            counted.fetch_add(1, Relaxed);
            async { Ok(Fetched::json("[1,2,3]")) }
        });
        let query = |number| cache.query::<Value>(key!["report", number, "rows"]);
        for number in Self::ACTIVE..Self::QUERIES {
            query(number).prefetch();
        }
        let observers = (0..Self::ACTIVE)
            .map(|number| query(number).observe())
            .collect();
        let registered = Self {
            cache,
            observers,
            fetches,
        };
        registered.until_fetched(Self::QUERIES);
        registered
    }

    fn until_fetched(&self, fetches: u64) {
        while self.fetches.load(Relaxed) < fetches || self.cache.is_fetching(Filter::all()) > 0 {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

fn queries(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("slow path/10,000 queries");
    let registered = Registered::new();
    bench_marks(&mut group, &registered);
    bench_refetches(&mut group, &registered);
    assert_eq!(registered.observers.len() as u64, Registered::ACTIVE);
    group.finish();
    let end = registered.cache.close_blocking(Duration::from_secs(5));
    end.expect("the cache ends");
}

fn bench_marks(group: &mut BenchmarkGroup<'_, CpuTime>, registered: &Registered) {
    // As an event of a feed marks.
    let entity = registered.cache.entity("report");
    group.bench_function("the entity is marked", |b| {
        b.iter(|| entity.invalidate());
    });
    for (name, kind) in [
        ("marked by key", RefetchKind::None),
        ("marked by key, 10 to be fetched", RefetchKind::Active),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| registered.cache.invalidate(key!["report"]).refetch(kind));
        });
    }
}

fn bench_refetches(group: &mut BenchmarkGroup<'_, CpuTime>, registered: &Registered) {
    group.bench_function("until 10 are fetched, the whole process", |b| {
        b.iter_custom(|count| {
            let mut spent = Duration::ZERO;
            for _ in 0..count {
                let before = registered.fetches.load(Relaxed);
                let (process, own) = (process_cpu(), thread_cpu());
                drop(registered.cache.invalidate(key!["report"]));
                let marked = thread_cpu() - own;
                registered.until_fetched(before + Registered::ACTIVE);
                let waiting = thread_cpu() - own - marked;
                spent += (process_cpu() - process).saturating_sub(waiting);
            }
            spent
        });
    });
}

criterion_group! {
    name = benches;
    config = support::quick().sample_size(10);
    targets = beside, invalidate, queries
}
criterion_main!(benches);
