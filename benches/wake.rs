//! What does it cost to tell those who wait, and how soon do they know?
//!
//! `telling`: 1,000 slots move, on each of which a task sleeps. Counted is the CPU time of the
//! writer for telling them, per slot: for ours the end of the batch in which the slots were
//! published, for a `Notify` per slot a `notify_one` for each after its value was stored, for
//! `watch` the `send_replace`. Every task reads the value it was told of, and all of them sleep again
//! before the next round. What a `Notify` costs depends on the runtime its task is on: a
//! current-thread one has its driver woken by a system call for each task, a multi-thread one only
//! if no worker is awake.
//!
//! `until all have seen`: the same by the clock on the wall, until the last of them has read.
//!
//! `others wait`: messages about slots that nobody waits for, in a cache where 1,000 tasks wait for
//! other slots, beside one where nobody waits at all.
//!
//! `watchers`: messages about 1,000 slots, with more and more tasks that watch them.
//!
//! `invalidate all`: the call itself, and until each of 10,000 watchers has been told.
//!
//! `spinning`: from the beginning of a publication until the writer knows that a thread which does
//! nothing but look at the slot has seen it: there and back. Subtract `publish alone`.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a bench reads clocks, and is run by no model"
)]

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use sleepers::{On, Tasks, Wait};
use spinner::Spinner;
use support::cpu::thread_cpu;
use support::json::{STEPS, change, event, whole};
use support::paired::Contest;
use support::{ENTITY, Ticker, id};
use tickcache::cache::{Cache, Entity, Feed, LocalFeed};
use tickcache::feed::{Missing, presets::Events};
use tokio::sync::{Notify, watch};

#[path = "support/sleepers.rs"]
mod sleepers;
#[path = "support/spinner.rs"]
mod spinner;
mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SLOTS: usize = 1_000;
const WATCHERS: usize = 10_000;
/// Messages of a batch where it is not all slots: about what one read of a socket brings.
const BATCH: usize = 64;

/// Slots, and those who wait for them.
trait Store {
    type Waits: Wait;
    /// What one task waits for, for each slot.
    fn waits(&self) -> Vec<Self::Waits>;
    /// Publishes to each slot once and tells; the CPU time that telling took.
    fn round(&mut self) -> Duration;
}

/// Ours, driven by hand.
struct Ours {
    cache: Cache,
    entity: Entity,
    feed: LocalFeed<Events>,
    /// For each step the messages about all slots.
    steps: Arc<[Vec<Vec<u8>>]>,
    step: usize,
    bytes: Vec<u8>,
}

impl Ours {
    fn new(slots: usize) -> Self {
        let cache = Cache::builder().build().expect("a thread");
        let mut feed = cache
            .local(Feed::events().missing(Missing::Insert))
            .expect("nobody owns anything");
        feed.open();
        let of_step = |step| (0..slots).map(|n| event(&id(n), &change(step))).collect();
        let mut ours = Self {
            entity: cache.entity(ENTITY),
            cache,
            feed,
            steps: (0..STEPS).map(of_step).collect(),
            step: 0,
            bytes: Vec::new(),
        };
        let values: Vec<_> = (0..slots).map(|n| event(&id(n), &whole())).collect();
        ours.take(values.iter());
        assert_eq!(ours.entity.len(), slots, "every slot has a value");
        ours
    }

    /// One batch of these; the CPU time of its end.
    fn take<'a>(&mut self, messages: impl Iterator<Item = &'a Vec<u8>>) -> Duration {
        let mut batch = self.feed.batch();
        for message in messages {
            self.bytes.clear();
            self.bytes.extend_from_slice(message);
            batch.message(&mut self.bytes).expect("it is well-formed");
        }
        let start = thread_cpu();
        drop(batch);
        thread_cpu() - start
    }

    /// So many messages about the slots in `from..to`, in batches of `BATCH`.
    fn messages(&mut self, from: usize, to: usize, count: u64) {
        let mut left = count as usize;
        while left > 0 {
            self.step += 1;
            let steps = Arc::clone(&self.steps);
            for batch in steps[self.step % STEPS][from..to].chunks(BATCH) {
                let batch = &batch[..left.min(batch.len())];
                left -= batch.len();
                self.take(batch.iter());
            }
        }
    }

    /// One who watches the slot with this number, and has seen what is there.
    fn watch(&self, slot: usize) -> OnSlot {
        let mut watch = self.entity.slot(id(slot)).watch();
        watch.take().expect("the present value is news at first");
        OnSlot(watch)
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let closed = self.cache.close_blocking(Duration::from_secs(5));
        closed.expect("the cache ends");
    }
}

impl Store for Ours {
    type Waits = OnSlot;

    fn waits(&self) -> Vec<OnSlot> {
        (0..SLOTS).map(|slot| self.watch(slot)).collect()
    }

    fn round(&mut self) -> Duration {
        self.step += 1;
        let steps = Arc::clone(&self.steps);
        self.take(steps[self.step % STEPS].iter())
    }
}

struct OnSlot(tickcache::cache::Watch);

impl Wait for OnSlot {
    async fn wait(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// One who follows what moves in the whole entity: a thread's worth of watching in one task.
struct Follows(tickcache::cache::Changes, Arc<AtomicU64>);

impl Wait for Follows {
    async fn wait(&mut self) -> bool {
        let seen = &self.1;
        let news = self.0.next(|slot| {
            black_box(slot.epoch());
            seen.fetch_add(1, Ordering::Release);
        });
        news.await.is_ok()
    }
}

/// A value and a `Notify` for each slot.
struct Notifies {
    slots: Vec<Arc<(ArcSwap<Ticker>, Notify)>>,
    step: usize,
}

impl Notifies {
    fn new() -> Self {
        let slot = |n| Arc::new((ArcSwap::from_pointee(Ticker::at(n)), Notify::new()));
        Self {
            slots: (0..SLOTS).map(slot).collect(),
            step: 0,
        }
    }
}

impl Store for Notifies {
    type Waits = OnNotify;

    fn waits(&self) -> Vec<OnNotify> {
        self.slots.iter().cloned().map(OnNotify).collect()
    }

    fn round(&mut self) -> Duration {
        self.step += 1;
        for slot in &self.slots {
            slot.0.store(Arc::new(Ticker::at(black_box(self.step))));
        }
        let start = thread_cpu();
        for slot in &self.slots {
            slot.1.notify_one();
        }
        thread_cpu() - start
    }
}

struct OnNotify(Arc<(ArcSwap<Ticker>, Notify)>);

impl Wait for OnNotify {
    async fn wait(&mut self) -> bool {
        self.0.1.notified().await;
        black_box(**self.0.0.load());
        true
    }
}

/// A `watch` for each slot.
struct Watches {
    slots: Vec<watch::Sender<Ticker>>,
    step: usize,
}

impl Watches {
    fn new() -> Self {
        let slot = |n| watch::Sender::new(Ticker::at(n));
        Self {
            slots: (0..SLOTS).map(slot).collect(),
            step: 0,
        }
    }
}

impl Store for Watches {
    type Waits = OnWatch;

    fn waits(&self) -> Vec<OnWatch> {
        let each = self.slots.iter();
        each.map(|slot| OnWatch(slot.subscribe())).collect()
    }

    fn round(&mut self) -> Duration {
        self.step += 1;
        let start = thread_cpu();
        for slot in &self.slots {
            slot.send_replace(Ticker::at(black_box(self.step)));
        }
        thread_cpu() - start
    }
}

struct OnWatch(watch::Receiver<Ticker>);

impl Wait for OnWatch {
    async fn wait(&mut self) -> bool {
        let news = self.0.changed().await.is_ok();
        black_box(*self.0.borrow_and_update());
        news
    }
}

/// A store with a sleeping task on each slot.
struct Crowd<S> {
    store: S,
    tasks: Tasks,
}

impl<S: Store> Crowd<S> {
    fn new(store: S, on: On) -> RefCell<Self> {
        let tasks = Tasks::new(on, store.waits().into_iter());
        RefCell::new(Self { store, tasks })
    }

    /// Publishes to all slots while all tasks sleep. What telling took, and how long it was until
    /// all had seen.
    fn round(&mut self) -> (Duration, Duration) {
        self.tasks.until_asleep();
        let (before, start) = (self.tasks.woken(), Instant::now());
        let told = self.store.round();
        self.tasks.until_woken(before + self.tasks.len());
        (told, start.elapsed())
    }
}

/// What `count` slots take, if a round is about all of them: by the median of the rounds, since what
/// is timed is so short that one round in which others had the core would outweigh the rest.
fn per_slot(count: u64, mut round: impl FnMut() -> Duration) -> Duration {
    let rounds = count.div_ceil(SLOTS as u64);
    let mut took: Vec<_> = (0..rounds).map(|_| round()).collect();
    took.sort_unstable();
    took[took.len() / 2].mul_f64(count as f64 / SLOTS as f64)
}

fn thousand() {
    let nobody = RefCell::new(Ours::new(SLOTS));
    let ours = Crowd::new(Ours::new(SLOTS), On::CurrentThread);
    let ours_multi = Crowd::new(Ours::new(SLOTS), On::MultiThread);
    let notify = Crowd::new(Notifies::new(), On::CurrentThread);
    let notify_multi = Crowd::new(Notifies::new(), On::MultiThread);
    let watches = Crowd::new(Watches::new(), On::CurrentThread);
    let watches_multi = Crowd::new(Watches::new(), On::MultiThread);
    fn tells<S: Store>(crowd: &RefCell<Crowd<S>>) -> impl FnMut(u64) -> Duration + '_ {
        |count| per_slot(count, || crowd.borrow_mut().round().0)
    }
    fn sees<S: Store>(crowd: &RefCell<Crowd<S>>) -> impl FnMut(u64) -> Duration + '_ {
        |count| per_slot(count, || crowd.borrow_mut().round().1)
    }
    Contest::new("wake/telling 1,000 subscribed slots, per slot")
        .told("tickcache, current_thread", tells(&ours))
        .told("tickcache, multi_thread", tells(&ours_multi))
        .told("tickcache, nobody waits", |count| {
            per_slot(count, || nobody.borrow_mut().round())
        })
        .told("Notify per slot, current_thread", tells(&notify))
        .told("Notify per slot, multi_thread", tells(&notify_multi))
        .told("watch per slot, current_thread", tells(&watches))
        .told("watch per slot, multi_thread", tells(&watches_multi))
        .run();

    let store = RefCell::new(Ours::new(SLOTS));
    let seen = Arc::new(AtomicU64::new(0));
    let changes = Follows(store.borrow().entity.changes(), Arc::clone(&seen));
    let follower = Tasks::new(On::CurrentThread, std::iter::once(changes));
    let follows = |count| {
        per_slot(count, || {
            follower.until_asleep();
            let (before, start) = (seen.load(Ordering::Acquire), Instant::now());
            store.borrow_mut().round();
            while seen.load(Ordering::Acquire) < before + SLOTS as u64 {
                std::thread::yield_now();
            }
            start.elapsed()
        })
    };
    Contest::new("wake/until all of 1,000 have seen, per slot, publishing included")
        .told("tickcache, a task per slot, current_thread", sees(&ours))
        .told(
            "tickcache, a task per slot, multi_thread",
            sees(&ours_multi),
        )
        .told("tickcache, one task that follows changes()", follows)
        .told("Notify per slot, current_thread", sees(&notify))
        .told("Notify per slot, multi_thread", sees(&notify_multi))
        .told("watch per slot, current_thread", sees(&watches))
        .told("watch per slot, multi_thread", sees(&watches_multi))
        .run();
}

fn bystanders() {
    let (mut alone, mut among) = (Ours::new(2 * SLOTS), Ours::new(2 * SLOTS));
    let others = (SLOTS..2 * SLOTS).map(|slot| among.watch(slot));
    let _tasks = Tasks::new(On::MultiThread, others.collect::<Vec<_>>().into_iter());
    Contest::new("wake/a slot without a waiter, per message")
        .row("nobody waits for anything", |count| {
            alone.messages(0, SLOTS, count);
        })
        .row("1,000 tasks wait for other slots", |count| {
            among.messages(0, SLOTS, count);
        })
        .run();

    let mut crowds = [0, 100, 1_000, WATCHERS].map(|watchers| {
        let ours = Ours::new(SLOTS);
        let watches: Vec<_> = (0..watchers).map(|n| ours.watch(n % SLOTS)).collect();
        (
            watchers,
            Tasks::new(On::MultiThread, watches.into_iter()),
            ours,
        )
    });
    let mut contest = Contest::new("wake/watchers of 1,000 slots, per message");
    for (watchers, tasks, ours) in &mut crowds {
        contest = contest.row(format!("{watchers} watchers"), |count| {
            ours.messages(0, SLOTS, count);
            black_box(tasks.len());
        });
    }
    contest.run();
}

fn invalidation() {
    let (few, many) = (Ours::new(1), Ours::new(10 * SLOTS));
    let watched = Ours::new(SLOTS);
    let watches: Vec<_> = (0..WATCHERS).map(|n| watched.watch(n % SLOTS)).collect();
    let tasks = Tasks::new(On::MultiThread, watches.into_iter());
    let (called, told) = (RefCell::new(Vec::new()), &tasks);
    let mut all_told = |count: u64| {
        let mut took = Duration::ZERO;
        for _ in 0..count {
            told.until_asleep();
            let (before, start) = (told.woken(), Instant::now());
            watched.cache.invalidate_all();
            called.borrow_mut().push(start.elapsed());
            told.until_woken(before + WATCHERS as u64);
            took += start.elapsed();
        }
        took
    };
    Contest::new("wake/invalidate all")
        .row("1 slot", |count| {
            (0..count).for_each(|_| few.cache.invalidate_all());
        })
        .row("10,000 slots", |count| {
            (0..count).for_each(|_| many.cache.invalidate_all());
        })
        .told("until 10,000 watchers are told", &mut all_told)
        .run();
    let mut called = called.into_inner();
    called.sort();
    if let Some(median) = called.get(called.len() / 2) {
        println!("  the call, with 10,000 watchers asleep: {median:?} (median)");
    }
}

/// Ours is published from the bytes of a message, the rivals' from a value at hand.
fn spinning() {
    let mut alone = Ours::new(1);
    let mut ours = Ours::new(1);
    let slot = ours.entity.slot(id(0));
    let (subscriber, looker) = (slot.clone(), slot.clone());
    let spinner = Spinner::new(move |each| {
        let ended = subscriber.spin(|slot| each(slot.epoch()));
        ended.expect("the cache is open");
    });

    let store = Arc::new((ArcSwap::from_pointee(Ticker::at(0)), AtomicU64::new(1)));
    let subscriber = Arc::clone(&store);
    let swap_spinner = Spinner::new(move |each| {
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
    let mut swap = || {
        epoch += 1;
        store.0.store(Arc::new(Ticker::at(epoch as usize)));
        store.1.store(epoch, Ordering::Release);
        epoch
    };

    let sender = watch::Sender::new((0, Ticker::at(0)));
    let mut subscriber = sender.subscribe();
    let watch_spinner = Spinner::new(move |each| {
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
    let mut sent = 1;
    let mut send = || {
        sent += 1;
        sender.send_replace((sent, Ticker::at(sent as usize)));
        sent
    };
    Contest::new("wake/spinning, there and back")
        .row("tickcache, publish alone (from messages)", |count| {
            (0..count).for_each(|_| alone.messages(0, 1, 1));
        })
        .row("tickcache (from messages)", |count| {
            for _ in 0..count {
                ours.messages(0, 1, 1);
                spinner.until_seen(looker.epoch());
            }
        })
        .row("arc_swap and an epoch", |count| {
            (0..count).for_each(|_| swap_spinner.until_seen(swap()));
        })
        .row("tokio watch", |count| {
            (0..count).for_each(|_| watch_spinner.until_seen(send()));
        })
        .run();
    spinner.end(|| ours.messages(0, 1, 1));
    swap_spinner.end(|| {
        swap();
    });
    watch_spinner.end(|| {
        send();
    });
}

fn main() {
    thousand();
    bystanders();
    invalidation();
    spinning();
}
