//! What does it cost to tell those who wait, and how soon do they know?
//!
//! `writer`: 1,000 slots are published once each. One element is one slot, and only the writer's
//! CPU time counts, first with nobody waiting, then with one task asleep on each slot. Ours begins with
//! the bytes of messages, decodes and publishes, and wakes once at the end of the batch; the peers
//! have a value of 64 bytes at hand and wake slot by slot. So what waking costs is the difference
//! between the two rows of each.
//!
//! `until all have seen`: the same by the clock on the wall, until the last of the 1,000 tasks has
//! run.
//!
//! `spinning`: from the beginning of a publication until the writer knows that a thread which does
//! nothing but look at the slot has seen it: there and back. Subtract `publish alone`.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a bench reads clocks, and is run by no model"
)]

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use support::cpu::{CpuTime, thread_cpu};
use support::json::{STEPS, change, event, whole};
use support::ours::Ours;
use support::{Round, Ticker, id};
use tokio::sync::{Notify, watch};

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SLOTS: usize = 1_000;

/// The tasks that wait, on a thread of their own, and how often they were woken.
struct Tasks {
    runtime: tokio::runtime::Runtime,
    woken: Arc<AtomicU64>,
}

impl Tasks {
    /// A task for each of these, which waits again and again.
    fn new<W: Wait>(waits: impl Iterator<Item = W>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build();
        let tasks = Self {
            runtime: runtime.expect("a thread"),
            woken: Arc::default(),
        };
        for mut wait in waits {
            let woken = Arc::clone(&tasks.woken);
            tasks.runtime.spawn(async move {
                while wait.wait().await {
                    woken.fetch_add(1, Ordering::Release);
                }
            });
        }
        tasks.until_asleep();
        tasks
    }

    fn woken(&self) -> u64 {
        self.woken.load(Ordering::Acquire)
    }

    fn until_woken(&self, times: u64) {
        while self.woken() < times {
            std::thread::yield_now();
        }
    }

    /// The worker takes up new work after what is ready: then the last task sleeps, too.
    fn until_asleep(&self) {
        let asleep = self.runtime.spawn(tokio::task::yield_now());
        self.runtime.block_on(asleep).expect("the worker runs");
    }
}

/// What a task waits for; false when that has ended.
trait Wait: Send + 'static {
    fn wait(&mut self) -> impl Future<Output = bool> + Send;
}

struct OnSlot(tickcache::cache::Watch);

impl Wait for OnSlot {
    async fn wait(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

struct OnNotify(Arc<Notify>);

impl Wait for OnNotify {
    async fn wait(&mut self) -> bool {
        self.0.notified().await;
        true
    }
}

struct OnWatch(watch::Receiver<Ticker>);

impl Wait for OnWatch {
    async fn wait(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// Which part of a round counts.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    WriterDone,
    AllHaveSeen,
}

/// A kind of slots, and how to wait for one of them.
trait Store {
    const NAME: &'static str;
    /// Publishes to each slot once.
    fn publish(&mut self);
    fn tasks(&self) -> Tasks;
}

/// Ours, with the messages of each round.
struct Cache {
    ours: Ours,
    rounds: Round<Vec<Vec<u8>>>,
}

impl Store for Cache {
    const NAME: &'static str = "tickcache, from messages";

    fn publish(&mut self) {
        self.ours.batch(&*self.rounds.next(), || {});
    }

    fn tasks(&self) -> Tasks {
        Tasks::new(self.ours.slots().into_iter().map(|slot| {
            let mut watch = slot.watch();
            watch.take().expect("the present value is news at first");
            OnSlot(watch)
        }))
    }
}

/// A value and a `Notify` for each slot.
struct Notifies {
    slots: Vec<(ArcSwap<Ticker>, Arc<Notify>)>,
    step: usize,
}

impl Store for Notifies {
    const NAME: &'static str = "arc_swap store and Notify";

    fn publish(&mut self) {
        self.step += 1;
        for (value, notify) in &self.slots {
            value.store(Arc::new(Ticker::at(black_box(self.step))));
            notify.notify_one();
        }
    }

    fn tasks(&self) -> Tasks {
        // A permit that is left from rounds without waiters would be taken for news.
        for (_, notify) in &self.slots {
            pollster::block_on(async {
                notify.notify_one();
                notify.notified().await;
            });
        }
        Tasks::new(
            self.slots
                .iter()
                .map(|(_, notify)| OnNotify(Arc::clone(notify))),
        )
    }
}

/// A `watch` for each slot.
struct Watches {
    slots: Vec<watch::Sender<Ticker>>,
    step: usize,
}

impl Store for Watches {
    const NAME: &'static str = "tokio watch";

    fn publish(&mut self) {
        self.step += 1;
        for slot in &self.slots {
            slot.send_replace(Ticker::at(black_box(self.step)));
        }
    }

    fn tasks(&self) -> Tasks {
        Tasks::new(self.slots.iter().map(|slot| OnWatch(slot.subscribe())))
    }
}

type Group<'a> = BenchmarkGroup<'a, CpuTime>;

fn bench<S: Store>(group: &mut Group<'_>, store: &mut S, row: &str, tasks: bool, until: Until) {
    let tasks = tasks.then(|| store.tasks());
    group.bench_function(BenchmarkId::new(S::NAME, row), |b| {
        b.iter_custom(|rounds| {
            let mut took = Duration::ZERO;
            for _ in 0..rounds {
                let before = tasks.as_ref().map_or(0, Tasks::woken);
                let (start, cpu) = (Instant::now(), thread_cpu());
                store.publish();
                if until == Until::WriterDone {
                    took += thread_cpu() - cpu;
                }
                let Some(tasks) = &tasks else { continue };
                tasks.until_woken(before + SLOTS as u64);
                if until == Until::AllHaveSeen {
                    took += start.elapsed();
                }
                tasks.until_asleep();
            }
            took
        });
    });
}

fn writer<S: Store>(group: &mut Group<'_>, store: &mut S) {
    bench(group, store, "nobody waits", false, Until::WriterDone);
    bench(group, store, "1,000 tasks wait", true, Until::WriterDone);
}

fn thousand(criterion: &mut Criterion<CpuTime>) {
    let of_step = |step| (0..SLOTS).map(|n| event(&id(n), &change(step))).collect();
    let mut cache = Cache {
        ours: Ours::with(SLOTS, &whole()),
        rounds: Round::new((0..STEPS).map(of_step).collect()),
    };
    let slot = |n| {
        (
            ArcSwap::from_pointee(Ticker::at(n)),
            Arc::new(Notify::new()),
        )
    };
    let mut notifies = Notifies {
        slots: (0..SLOTS).map(slot).collect(),
        step: 0,
    };
    let slot = |n| watch::Sender::new(Ticker::at(n));
    let mut watches = Watches {
        slots: (0..SLOTS).map(slot).collect(),
        step: 0,
    };

    let mut group = criterion.benchmark_group("wake/writer");
    group.throughput(Throughput::Elements(SLOTS as u64));
    writer(&mut group, &mut cache);
    writer(&mut group, &mut notifies);
    writer(&mut group, &mut watches);
    group.finish();

    let mut group = criterion.benchmark_group("wake/until all have seen");
    group.throughput(Throughput::Elements(SLOTS as u64));
    let row = "1,000 tasks wait";
    bench(&mut group, &mut cache, row, true, Until::AllHaveSeen);
    bench(&mut group, &mut notifies, row, true, Until::AllHaveSeen);
    bench(&mut group, &mut watches, row, true, Until::AllHaveSeen);
    group.finish();
}

/// A thread that spins on something, and tells the last epoch it saw.
struct Spinner {
    seen: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Spinner {
    /// `spin` calls its argument at every change with the epoch, until that answers `Break`.
    fn new(spin: impl FnOnce(&mut dyn FnMut(u64) -> ControlFlow<()>) + Send + 'static) -> Self {
        let (seen, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let spinner = Self {
            seen: Arc::clone(&seen),
            stop: Arc::clone(&stop),
        };
        std::thread::spawn(move || {
            spin(&mut |epoch| {
                seen.store(epoch, Ordering::Release);
                if stop.load(Ordering::Relaxed) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            seen.store(u64::MAX, Ordering::Release);
        });
        spinner
    }

    #[inline]
    fn until_seen(&self, epoch: u64) {
        while self.seen.load(Ordering::Acquire) < epoch {
            std::hint::spin_loop();
        }
    }

    /// Ends the thread, with a last change so that it looks.
    fn end(self, change: impl FnOnce()) {
        self.stop.store(true, Ordering::Relaxed);
        change();
        self.until_seen(u64::MAX);
    }
}

fn spinning(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("wake/spinning");

    let mut ours = Ours::with(1, &whole());
    let mut messages = Round::new(
        (0..STEPS)
            .map(|step| event(&id(0), &change(step)))
            .collect(),
    );
    group.bench_function("tickcache, publish alone (from messages)", |b| {
        b.iter_custom(|count| ours.time(&mut messages, count));
    });
    let slot = ours.slot(0);
    let subscriber = slot.clone();
    let spinner = Spinner::new(move |each| {
        let ended = subscriber.spin(|slot| each(slot.epoch()));
        ended.expect("the cache is open");
    });
    group.bench_function("tickcache, there and back (from messages)", |b| {
        b.iter_custom(|count| {
            ours.time_with(&mut messages, count, || spinner.until_seen(slot.epoch()))
        });
    });
    spinner.end(|| ours.batch(messages.some(1), || {}));

    let store = Arc::new((ArcSwap::from_pointee(Ticker::at(0)), AtomicU64::new(1)));
    let subscriber = Arc::clone(&store);
    let spinner = Spinner::new(move |each| {
        let mut last = 0;
        loop {
            let epoch = subscriber.1.load(Ordering::Acquire);
            if epoch == last {
                std::hint::spin_loop();
                continue;
            }
            last = epoch;
            black_box(subscriber.0.load().bid);
            if each(epoch).is_break() {
                return;
            }
        }
    });
    let mut epoch = 1;
    let mut publish = || {
        epoch += 1;
        store.0.store(Arc::new(Ticker::at(epoch as usize)));
        store.1.store(epoch, Ordering::Release);
        epoch
    };
    group.bench_function("arc_swap and an epoch, there and back", |b| {
        b.iter(|| spinner.until_seen(publish()));
    });
    spinner.end(|| {
        publish();
    });

    let store = watch::Sender::new((0, Ticker::at(0)));
    let mut subscriber = store.subscribe();
    let spinner = Spinner::new(move |each| {
        loop {
            if !subscriber.has_changed().expect("the sender is there") {
                std::hint::spin_loop();
                continue;
            }
            let epoch = subscriber.borrow_and_update().0;
            if each(epoch).is_break() {
                return;
            }
        }
    });
    let mut epoch = 1;
    let mut publish = || {
        epoch += 1;
        store.send_replace((epoch, Ticker::at(epoch as usize)));
        epoch
    };
    group.bench_function("tokio watch, there and back", |b| {
        b.iter(|| spinner.until_seen(publish()));
    });
    spinner.end(|| {
        publish();
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::quick();
    targets = thousand, spinning
}
criterion_main!(benches);
