//! How soon what a feed receives can be read, and how soon those who wait know.
//!
//! One read of the socket in [`SAMPLED`] is timed, by the feed's thread, which alone writes those
//! histograms. The first message of such a read that is published is *marked*: its turn, and when
//! it was begun, are put where every reader can see them before the message can be. A reader that
//! wakes and finds that turn in its slot knows how long it took, at the price of one load for all
//! other wake-ups. So nothing is kept in slots for it.

use std::time::Duration;

use super::Counter;
use super::histogram::{Histogram, Latency};
use crate::Time;
use crate::sync::{AtomicU64, Ordering, fence};
use crossbeam_utils::CachePadded;

/// One read of the socket in so many is timed. A prime: sources like to send in rounds.
#[cfg_attr(
    not(feature = "net"),
    allow(dead_code, reason = "there are no sockets")
)]
pub(crate) const SAMPLED: u32 = 17;

/// How somebody waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// Looking at the slot again and again.
    Spin,
    /// A thread asleep.
    Block,
    /// A task asleep.
    Task,
}

/// The latencies of one feed, shared by its thread and those who wait for what it publishes.
#[derive(Debug, Default)]
pub(crate) struct LatencyCounters {
    pub(crate) first_visible: Histogram,
    pub(crate) last_visible: Histogram,
    /// By [`Waiter`].
    awake: [Histogram; 3],
    mark: CachePadded<Mark>,
}

/// The message that was marked last. Two words that belong together, as a sequence lock with the
/// turn in the place of the sequence: it never comes back.
#[derive(Debug)]
struct Mark {
    turn: AtomicU64,
    at: AtomicU64,
}

/// Turns begin at 1.
const NO_TURN: u64 = 0;

impl Default for Mark {
    fn default() -> Self {
        Self {
            turn: AtomicU64::new(NO_TURN),
            at: AtomicU64::new(0),
        }
    }
}

impl LatencyCounters {
    /// Marks the message with this turn, which was begun at `at` and is not visible yet. The
    /// feed's thread alone does. Wait-free.
    pub(crate) fn mark(&self, turn: u64, at: Time) {
        self.mark.turn.store(NO_TURN, Ordering::Relaxed);
        // Pairs with the fence in `marked`: who sees the new time does not see the old turn again.
        fence(Ordering::Release);
        self.mark.at.store(at.as_nanos(), Ordering::Relaxed);
        // Pairs with the first load in `marked`.
        self.mark.turn.store(turn, Ordering::Release);
    }

    /// The turn that was marked last: what has it is worth a look. A relaxed load.
    #[inline]
    pub(crate) fn marked_turn(&self) -> u64 {
        self.mark.turn.load(Ordering::Relaxed)
    }

    /// When the message with this turn was begun, if it is the one that was marked last.
    pub(crate) fn marked(&self, turn: u64) -> Option<Time> {
        if self.mark.turn.load(Ordering::Acquire) != turn {
            return None;
        }
        let at = self.mark.at.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        (self.mark.turn.load(Ordering::Relaxed) == turn).then(|| Time::from_nanos(at))
    }

    /// A waiter went on so long after what it waited for was begun. From any thread. Wait-free.
    pub(crate) fn awoke(&self, waiter: Waiter, after: Duration) {
        self.awake[waiter as usize].add_shared(after);
    }

    /// What was measured so far.
    pub(crate) fn read(&self) -> Latencies {
        let [spinning, blocking, asynchronous] = self.awake.each_ref().map(Histogram::read);
        Latencies {
            first_visible: self.first_visible.read(),
            last_visible: self.last_visible.read(),
            spinning,
            blocking,
            asynchronous,
        }
    }
}

/// How soon what a feed receives can be read, and how soon those who wait know. Samples: one read
/// of the socket in 17, and the readers that its first message wakes.
///
/// Empty for feeds without a thread of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latencies {
    /// From the end of the system call that brought some messages until the first of them that
    /// changed anything could be read.
    pub first_visible: Latency,
    /// From there until the last of them could be read.
    pub last_visible: Latency,
    /// From the begin of a publication until a thread in [`Slot::spin`](crate::Slot::spin) saw it.
    pub spinning: Latency,
    /// From there until a thread asleep in [`Watch::wait`](crate::Watch::wait) or
    /// [`Changes::wait`](crate::Changes::wait) went on. The hub is woken at the end of a batch: what
    /// came with the message is published in between.
    pub blocking: Latency,
    /// The same for a task in [`Watch::changed`](crate::Watch::changed) or
    /// [`Changes::next`](crate::Changes::next): what its executor takes is in it.
    pub asynchronous: Latency,
}

impl Latencies {
    /// Each with its name, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Latency)> {
        [
            ("first_visible", &self.first_visible),
            ("last_visible", &self.last_visible),
            ("spinning", &self.spinning),
            ("blocking", &self.blocking),
            ("asynchronous", &self.asynchronous),
        ]
        .into_iter()
    }

    /// Adds what another feed, or another run, has measured.
    pub fn merge(&mut self, other: &Self) {
        self.first_visible.merge(&other.first_visible);
        self.last_visible.merge(&other.last_visible);
        self.spinning.merge(&other.spinning);
        self.blocking.merge(&other.blocking);
        self.asynchronous.merge(&other.asynchronous);
    }

    /// What was measured after `earlier`, a reading of the same feeds.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            first_visible: self.first_visible.since(&earlier.first_visible),
            last_visible: self.last_visible.since(&earlier.last_visible),
            spinning: self.spinning.since(&earlier.spinning),
            blocking: self.blocking.since(&earlier.blocking),
            asynchronous: self.asynchronous.since(&earlier.asynchronous),
        }
    }
}

/// Which reads are timed, and what became of the one that is.
#[cfg_attr(
    not(feature = "net"),
    allow(dead_code, reason = "there are no sockets")
)]
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    /// Reads that are still to be passed over.
    left: u32,
}

#[cfg_attr(
    not(feature = "net"),
    allow(dead_code, reason = "there are no sockets")
)]
impl Sampler {
    /// Whether this read is timed: the first one, then one in [`SAMPLED`].
    #[inline]
    pub(crate) fn is_due(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                false
            }
            None => {
                self.left = SAMPLED - 1;
                true
            }
        }
    }
}

/// Whether a counter has moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since(u64);

impl Since {
    pub(crate) fn now(counter: &Counter) -> Self {
        Self(counter.get())
    }

    pub(crate) fn has_moved(self, counter: &Counter) -> bool {
        counter.get() != self.0
    }
}

#[cfg(all(test, not(tickcache_model)))]
mod tests {
    use super::*;

    #[test]
    fn one_read_in_so_many_is_timed_and_the_first_is() {
        let mut sampler = Sampler::default();
        let due: Vec<_> = (0..SAMPLED * 3).filter(|_| sampler.is_due()).collect();
        assert_eq!(due, [0, SAMPLED, SAMPLED * 2]);
    }

    /// A reader gets the time of the turn it asks for, or none, while marks follow each other.
    #[test]
    fn a_mark_is_read_whole_or_not_at_all() {
        let latency = LatencyCounters::default();
        assert_eq!(latency.marked(1), None);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for turn in 1..=200_000 {
                    latency.mark(turn, Time::from_nanos(turn * 10));
                }
            });
            let mut last = 0;
            while last < 200_000 {
                let turn = latency.marked_turn();
                if turn == NO_TURN {
                    continue;
                }
                if let Some(at) = latency.marked(turn) {
                    assert_eq!(at, Time::from_nanos(turn * 10));
                }
                assert!(turn >= last);
                last = turn;
            }
        });
    }

    #[test]
    fn readings_of_feeds_add_up() {
        let latency = LatencyCounters::default();
        latency.first_visible.add(Duration::from_nanos(10));
        latency.last_visible.add(Duration::from_nanos(20));
        for (waiter, nanos) in [(Waiter::Spin, 1), (Waiter::Block, 2), (Waiter::Task, 3)] {
            latency.awoke(waiter, Duration::from_nanos(nanos));
        }
        let once = latency.read();
        let maxima = |of: &Latencies| -> Vec<_> {
            of.iter()
                .map(|(_, it)| (it.count(), it.max().map(|max| max.as_nanos())))
                .collect()
        };
        let expected = [10, 20, 1, 2, 3].map(|nanos| (1, Some(nanos)));
        assert_eq!(maxima(&once), expected);
        let mut twice = once.clone();
        twice.merge(&once);
        assert_eq!(maxima(&twice), expected.map(|(_, max)| (2, max)));
        assert_eq!(maxima(&twice.since(&once)), expected);
    }
}
