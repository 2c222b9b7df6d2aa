//! The way from one owner to the hub: a bounded ring of keys, one producer, one consumer, after
//! Lamport, with the other side's position cached as in rtrb. Neither side ever waits.

use super::Key;
use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

/// Keys that one owner may have under way. More is answered by a scan, which costs the hub a look
/// at each waiter; models make it tiny so that this happens.
pub(super) const LANE: usize = if cfg!(tickcache_model) { 2 } else { 1024 };

const _: () = assert!(LANE.is_power_of_two());

/// What owner and hub share.
#[derive(Debug)]
pub(super) struct Lane {
    keys: Box<[AtomicU64]>,
    tail: CachePadded<AtomicU64>,
    head: CachePadded<AtomicU64>,
    gone: AtomicBool,
}

impl Lane {
    /// A new lane and its two ends.
    pub(super) fn new() -> (Sender, Arc<Self>) {
        let lane = Arc::new(Self {
            keys: (0..LANE).map(|_| AtomicU64::new(0)).collect(),
            tail: CachePadded::new(AtomicU64::new(0)),
            head: CachePadded::new(AtomicU64::new(0)),
            gone: AtomicBool::new(false),
        });
        (
            Sender {
                lane: Arc::clone(&lane),
                tail: 0,
                published: 0,
                head: 0,
            },
            lane,
        )
    }

    /// What was published by now, to be read once. The runner alone calls this.
    pub(super) fn published(&self) -> Published<'_> {
        Published {
            lane: self,
            head: self.head.load(Ordering::Relaxed),
            // Pairs with the release in `publish`.
            tail: self.tail.load(Ordering::Acquire),
        }
    }

    /// Whether the owner is gone and everything was drained.
    pub(super) fn is_over(&self) -> bool {
        // In this order: the owner publishes before it goes.
        self.gone.load(Ordering::Acquire)
            && self.head.load(Ordering::Relaxed) == self.tail.load(Ordering::Relaxed)
    }
}

/// Keys on their way out of a lane. Those that are not taken stay.
#[derive(Debug)]
pub(super) struct Published<'a> {
    lane: &'a Lane,
    head: u64,
    tail: u64,
}

impl Iterator for Published<'_> {
    type Item = Key;

    fn next(&mut self) -> Option<Key> {
        if self.head == self.tail {
            return None;
        }
        let key = self.lane.keys[self.head as usize & (LANE - 1)].load(Ordering::Relaxed);
        self.head += 1;
        // Pairs with the acquire in `has_room`: the place is read before it is written again.
        self.lane.head.store(self.head, Ordering::Release);
        Some(key)
    }
}

/// The owner's end.
#[derive(Debug)]
pub(super) struct Sender {
    lane: Arc<Lane>,
    tail: u64,
    published: u64,
    /// The hub's position when it was last looked at.
    head: u64,
}

impl Sender {
    /// Whether there is room for one more.
    #[inline(always)]
    pub(super) fn has_room(&mut self) -> bool {
        if self.tail - self.head < LANE as u64 {
            return true;
        }
        self.look_again()
    }

    #[cold]
    fn look_again(&mut self) -> bool {
        self.head = self.lane.head.load(Ordering::Acquire);
        self.tail - self.head < LANE as u64
    }

    /// Adds a key; there has to be room. The hub sees it once published.
    #[inline(always)]
    pub(super) fn push(&mut self, key: Key) {
        debug_assert!(
            self.tail - self.head < LANE as u64,
            "room was not asked for"
        );
        self.lane.keys[self.tail as usize & (LANE - 1)].store(key, Ordering::Relaxed);
        self.tail += 1;
    }

    /// Shows the hub what was added; `true` if that is anything.
    pub(super) fn publish(&mut self) -> bool {
        let any = self.published != self.tail;
        if any {
            self.lane.tail.store(self.tail, Ordering::Release);
            self.published = self.tail;
        }
        any
    }

    /// Says that nothing more will come.
    pub(super) fn close(&mut self) {
        self.publish();
        self.lane.gone.store(true, Ordering::Release);
    }
}
