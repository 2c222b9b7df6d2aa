//! Counts of durations in buckets that grow with the duration, as in HdrHistogram: written with
//! relaxed stores by one thread, or with relaxed additions by many, and read by anybody.

use std::fmt;
use std::time::Duration;

use crate::sync::{AtomicU64, Ordering};

/// Buckets of one doubling, as a power of two: a bucket is 1/32 of its durations wide at most.
const STEPS: u32 = 5;
/// Durations of 2^36 ns (69 s) and more are counted with those right below.
const DOUBLINGS: u32 = 36;
/// Up to 2^6 ns each nanosecond has a bucket; from there each doubling has 2^5.
const BUCKETS: usize = ((DOUBLINGS - STEPS + 1) as usize) << STEPS;

const _: () = assert!(BUCKETS == 1024, "8 KiB");

/// The bucket of a duration in nanoseconds.
#[inline]
const fn bucket(nanos: u64) -> usize {
    let nanos = if nanos >> DOUBLINGS == 0 {
        nanos
    } else {
        (1 << DOUBLINGS) - 1
    };
    // The highest set bit and the five after it.
    let shift = (nanos | 1 << STEPS).ilog2() - STEPS;
    ((shift as usize) << STEPS) + (nanos >> shift) as usize
}

/// The longest duration of a bucket, in nanoseconds.
const fn longest(bucket: usize) -> u64 {
    let shift = (bucket >> STEPS).saturating_sub(1);
    let first = (bucket - (shift << STEPS)) as u64;
    ((first + 1) << shift) - 1
}

/// Durations as they come. Nothing is published by it, so no order is needed.
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            max: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Counts a duration; only ever called by one thread. Wait-free.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feeds' threads measure")
    )]
    #[inline]
    pub(crate) fn add(&self, duration: Duration) {
        let nanos = nanos(duration);
        let count = &self.buckets[bucket(nanos)];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if nanos > self.max.load(Ordering::Relaxed) {
            self.max.store(nanos, Ordering::Relaxed);
        }
    }

    /// Counts a duration, from any thread, where no thread calls [`add`](Self::add). Wait-free.
    pub(crate) fn add_shared(&self, duration: Duration) {
        let nanos = nanos(duration);
        self.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.max.fetch_max(nanos, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn read(&self) -> Latency {
        let counts = self
            .buckets
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        Latency {
            counts: counts.collect(),
            max: self.max.load(Ordering::Relaxed),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How long something took, over and over: a histogram, as it was at one moment.
///
/// Resolution: a quantile is the upper end of a bucket, so it is never too low and too high by a
/// 32nd (3.2 %) at most, and exact below 64 ns. From 69 s on only [`max`](Self::max) tells durations
/// apart. It takes 8 KiB once something was counted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Latency {
    /// Empty, or one for each bucket.
    counts: Vec<u64>,
    max: u64,
}

impl Latency {
    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The duration that this part of all (0 to 1) do not exceed; `None` before the first.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        // Up to 2^53 the product is exact; nobody waits for more samples than that.
        let rank = ((part.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut below = 0;
        let at = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        let is_last = at + 1 == BUCKETS;
        let nanos = if is_last {
            self.max
        } else {
            longest(at).min(self.max)
        };
        Some(Duration::from_nanos(nanos))
    }

    /// The median.
    #[must_use]
    pub fn p50(&self) -> Option<Duration> {
        self.quantile(0.5)
    }

    /// Nine of ten are no longer.
    #[must_use]
    pub fn p90(&self) -> Option<Duration> {
        self.quantile(0.9)
    }

    /// 99 of 100 are no longer.
    #[must_use]
    pub fn p99(&self) -> Option<Duration> {
        self.quantile(0.99)
    }

    /// 999 of 1,000 are no longer.
    #[must_use]
    pub fn p999(&self) -> Option<Duration> {
        self.quantile(0.999)
    }

    /// The longest of all, exactly.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_nanos(self.max))
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
        } else {
            for (count, more) in self.counts.iter_mut().zip(&other.counts) {
                *count += more;
            }
        }
        self.max = self.max.max(other.max);
    }

    /// What was counted after `earlier`, a reading of the same histogram. Its
    /// [`max`](Self::max) is as exact as a quantile, unless it is a new one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.counts.iter().chain(std::iter::repeat(&0));
        let counts: Vec<_> = self
            .counts
            .iter()
            .zip(before)
            .map(|(count, before)| count.saturating_sub(*before))
            .collect();
        let last = counts.iter().rposition(|count| *count > 0);
        let max = match last {
            _ if self.max > earlier.max => self.max,
            Some(last) => longest(last).min(self.max),
            None => 0,
        };
        Self { counts, max }
    }

    /// The buckets that are not empty, shortest first: the longest duration of each, and how many
    /// there are.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counts = self.counts.iter().enumerate();
        counts
            .filter(|(_, count)| **count > 0)
            .map(|(at, count)| (Duration::from_nanos(longest(at)), *count))
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency")
            .field("count", &self.count())
            .field("p50", &self.p50())
            .field("p99", &self.p99())
            .field("p999", &self.p999())
            .field("max", &self.max())
            .finish()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

#[cfg(all(test, not(tickcache_model)))]
mod tests {
    use super::*;

    fn of(durations: impl IntoIterator<Item = u64>) -> Latency {
        let histogram = Histogram::default();
        for nanos in durations {
            histogram.add(Duration::from_nanos(nanos));
        }
        histogram.read()
    }

    #[test]
    fn buckets_follow_each_other_and_are_a_32nd_wide_at_most() {
        let (mut last, mut nanos) = (0, 0_u64);
        while nanos < 1 << (DOUBLINGS + 2) {
            let at = bucket(nanos);
            assert!(at == last || at == last + 1, "{nanos}: {last}, {at}");
            if at + 1 < BUCKETS {
                assert!(longest(at) >= nanos, "{nanos}");
                assert!(longest(at) - nanos <= nanos / 32, "{nanos}");
                // The next bucket begins right after it.
                nanos = longest(at);
                assert_eq!(bucket(nanos), at);
                assert_eq!(bucket(nanos + 1), at + 1);
            } else {
                nanos *= 2;
            }
            last = at;
            nanos += 1;
        }
        assert_eq!(last, BUCKETS - 1);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(longest(BUCKETS - 1), (1 << DOUBLINGS) - 1);
    }

    #[test]
    fn quantiles_are_never_too_low_and_little_too_high() {
        assert_eq!(of([]).p50(), None);
        assert_eq!(of([]).max(), None);
        let few = of([7, 9, 11]);
        assert_eq!(few.p50(), Some(Duration::from_nanos(9)));
        assert_eq!(few.quantile(0.0), Some(Duration::from_nanos(7)));
        assert_eq!(few.quantile(2.0), Some(Duration::from_nanos(11)));
        let many = of((1..=100_000).map(|n| n * 37));
        assert_eq!(many.count(), 100_000);
        for (part, exact) in [
            (0.5, 50_000),
            (0.9, 90_000),
            (0.99, 99_000),
            (0.999, 99_900),
        ] {
            let exact = exact * 37;
            let told = many.quantile(part).expect("counted").as_nanos() as u64;
            assert!(told >= exact, "{part}: {told} < {exact}");
            assert!(told <= exact + exact / 31, "{part}: {told} > {exact}");
        }
        assert_eq!(many.max(), Some(Duration::from_nanos(3_700_000)));
        let long = of([1 << 40, 3]);
        assert_eq!(long.quantile(1.0), Some(Duration::from_nanos(1 << 40)));
    }

    #[test]
    fn readings_add_up_and_are_taken_apart_again() {
        let (first, second) = (of([5, 100, 9_000]), of([6, 20_000]));
        let mut both = Latency::default();
        both.merge(&first);
        both.merge(&second);
        assert_eq!(both, of([5, 100, 9_000, 6, 20_000]));
        assert_eq!(both.since(&first), second);
        assert_eq!(both.since(&both).count(), 0);
        assert_eq!(both.since(&both).max(), None);
        assert_eq!(both.since(&Latency::default()), both);
        // The longest of the part is not the longest of all.
        let later = both.since(&second);
        assert_eq!(later.count(), 3);
        let max = later.max().expect("counted").as_nanos();
        assert!((9_000..=9_000 + 9_000 / 32).contains(&max), "{max}");
        assert_eq!(both.buckets().map(|(_, count)| count).sum::<u64>(), 5);
    }

    #[test]
    fn many_threads_may_count() {
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for thread in 1..=4_u64 {
                let histogram = &histogram;
                scope.spawn(move || {
                    for nanos in 0..10_000 {
                        histogram.add_shared(Duration::from_nanos(nanos * thread));
                    }
                });
            }
        });
        assert_eq!(histogram.read().count(), 40_000);
        assert_eq!(histogram.read().max(), Some(Duration::from_nanos(39_996)));
    }
}
