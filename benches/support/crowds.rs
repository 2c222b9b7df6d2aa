//! Thousands of slots with somebody asleep on each: ours, a `Notify` per slot, a `watch` per slot.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tickcache::cache::{Cache, Entity, Feed, LocalFeed};
use tickcache::feed::{Missing, presets::Events};
use tokio::sync::{Notify, watch};

use crate::sleepers::{On, Tasks, Wait};
use crate::support::cpu::thread_cpu;
use crate::support::json::{STEPS, change, event, whole};
use crate::support::{ENTITY, Ticker, id};

/// Slots of one store.
pub(crate) const SLOTS: usize = 1_000;
/// Messages of a batch where it is not all slots: about what one read of a socket brings.
const BATCH: usize = 64;

/// Slots, and those who wait for them.
pub(crate) trait Store {
    type Waits: Wait;
    /// What one task waits for, for each slot.
    fn waits(&self) -> Vec<Self::Waits>;
    /// Publishes to each slot once and tells; the CPU time that telling took.
    fn round(&mut self) -> Duration;
}

/// Ours, driven by hand.
pub(crate) struct Ours {
    pub(crate) cache: Cache,
    pub(crate) entity: Entity,
    feed: LocalFeed<Events>,
    /// For each step the messages about all slots.
    steps: Arc<[Vec<Vec<u8>>]>,
    step: usize,
    bytes: Vec<u8>,
}

impl Ours {
    /// Messages are merged into the values.
    pub(crate) fn new(slots: usize) -> Self {
        Self::with(Feed::events(), slots)
    }

    /// Messages replace the values, which are live.
    pub(crate) fn whole(slots: usize) -> Self {
        Self::with(Feed::events().whole(), slots)
    }

    fn with(feed: Feed<Events>, slots: usize) -> Self {
        let cache = Cache::builder().build().expect("a thread");
        let mut feed = cache
            .local(feed.missing(Missing::Insert))
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
    pub(crate) fn take<'a>(&mut self, messages: impl Iterator<Item = &'a Vec<u8>>) -> Duration {
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

    /// One message about a slot, as a batch of its own.
    pub(crate) fn one(&mut self, slot: usize) {
        self.step += 1;
        let message = &self.steps[self.step % STEPS][slot];
        self.bytes.clear();
        self.bytes.extend_from_slice(message);
        let mut batch = self.feed.batch();
        batch.message(&mut self.bytes).expect("it is well-formed");
    }

    /// So many messages about the slots in `from..to`, in batches of `BATCH`.
    pub(crate) fn messages(&mut self, from: usize, to: usize, count: u64) {
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
    pub(crate) fn watch(&self, slot: usize) -> OnSlot {
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

pub(crate) struct OnSlot(tickcache::cache::Watch);

impl Wait for OnSlot {
    async fn wait(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// One who follows what moves in the whole entity: a thread's worth of watching in one task.
pub(crate) struct Follows(
    pub(crate) tickcache::cache::Changes,
    pub(crate) Arc<AtomicU64>,
);

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
pub(crate) struct Notifies {
    slots: Vec<Arc<(ArcSwap<Ticker>, Notify)>>,
    step: usize,
}

impl Notifies {
    pub(crate) fn new() -> Self {
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

pub(crate) struct OnNotify(Arc<(ArcSwap<Ticker>, Notify)>);

impl Wait for OnNotify {
    async fn wait(&mut self) -> bool {
        self.0.1.notified().await;
        black_box(**self.0.0.load());
        true
    }
}

/// A `watch` for each slot.
pub(crate) struct Watches {
    slots: Vec<watch::Sender<Ticker>>,
    step: usize,
}

impl Watches {
    pub(crate) fn new() -> Self {
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

pub(crate) struct OnWatch(watch::Receiver<Ticker>);

impl Wait for OnWatch {
    async fn wait(&mut self) -> bool {
        let news = self.0.changed().await.is_ok();
        black_box(*self.0.borrow_and_update());
        news
    }
}

/// A store with a sleeping task on each slot.
pub(crate) struct Crowd<S> {
    store: S,
    tasks: Tasks,
}

impl<S: Store> Crowd<S> {
    pub(crate) fn new(store: S, on: On) -> RefCell<Self> {
        let tasks = Tasks::new(on, store.waits().into_iter());
        RefCell::new(Self { store, tasks })
    }

    /// Publishes to all slots while all tasks sleep. What telling took, and how long it was until
    /// all had seen.
    pub(crate) fn round(&mut self) -> (Duration, Duration) {
        self.tasks.until_asleep();
        let (before, start) = (self.tasks.woken(), Instant::now());
        let told = self.store.round();
        self.tasks.until_woken(before + self.tasks.len());
        (told, start.elapsed())
    }
}
