//! Whether memory grows: resident memory once a second, and the slope of the line through it.
//!
//! The samples of a run lie on a curve that wanders, so the residuals of neighbours are alike and
//! the textbook's error would be too small. The samples are averaged in blocks, whose means are as
//! good as independent, and the line is laid through those.

use std::time::Duration;

use serde::Serialize;

/// Blocks that the samples are averaged in; fewer where there are not three samples for each.
const BLOCKS: usize = 20;

/// A run with fewer blocks says nothing about growth.
const FEWEST_BLOCKS: usize = 5;

/// Growth that counts as none: so many bytes a minute ..
const FLAT_BYTES: f64 = 1024.0 * 1024.0;

/// .. or that share of what is held, a minute, whichever is more.
const FLAT_SHARE: f64 = 0.01;

/// The resident memory of the process, over time.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    samples: Vec<(Duration, u64)>,
}

/// The line through the samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Slope {
    /// Bytes a minute.
    pub(crate) per_minute: f64,
    /// Half of the interval that holds the true slope with 95 %.
    pub(crate) error: f64,
    /// Bytes a minute that count as flat.
    pub(crate) bound: f64,
    /// Mean of the samples, in bytes.
    pub(crate) mean: f64,
    /// Seconds between the first and the last sample that count.
    pub(crate) seconds: f64,
}

impl Slope {
    /// Whether the samples are compatible with a growth within the bound: the whole interval lies
    /// above it only where something grows.
    pub(crate) fn is_flat(&self) -> bool {
        self.per_minute - self.error <= self.bound
    }
}

impl Memory {
    /// Takes a sample; nothing where the system does not tell.
    pub(crate) fn sample(&mut self, at: Duration) {
        self.samples.extend(resident().map(|bytes| (at, bytes)));
    }

    /// The last sample.
    pub(crate) fn last(&self) -> Option<u64> {
        self.samples.last().map(|(_, bytes)| *bytes)
    }

    /// The slope after the first fifth; `None` where there are too few samples for one.
    pub(crate) fn slope(&self) -> Option<Slope> {
        let warm = &self.samples[self.samples.len() / 5..];
        let blocks = BLOCKS.min(warm.len() / 3);
        if blocks < FEWEST_BLOCKS {
            return None;
        }
        let means: Vec<_> = (0..blocks)
            .map(|block| {
                let (from, to) = (
                    warm.len() * block / blocks,
                    warm.len() * (block + 1) / blocks,
                );
                let count = (to - from) as f64;
                let sum = warm[from..to].iter().fold((0.0, 0.0), |sum, (at, bytes)| {
                    (sum.0 + at.as_secs_f64() / 60.0, sum.1 + *bytes as f64)
                });
                (sum.0 / count, sum.1 / count)
            })
            .collect();
        let (per_minute, error, mean) = line(&means);
        let (first, last) = (warm.first()?.0, warm.last()?.0);
        Some(Slope {
            per_minute,
            error,
            bound: FLAT_BYTES.max(FLAT_SHARE * mean),
            mean,
            seconds: (last - first).as_secs_f64(),
        })
    }
}

/// Slope by least squares, half of its 95 % interval, and the mean.
fn line(points: &[(f64, f64)]) -> (f64, f64, f64) {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let shared: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let slope = shared / spread;
    let rest: f64 = points
        .iter()
        .map(|point| (point.1 - y - slope * (point.0 - x)).powi(2))
        .sum();
    let error = (rest / (count - 2.0) / spread).sqrt();
    (slope, student(points.len() - 2) * error, y)
}

/// The two-sided 95 % quantile of Student's distribution, by an expansion around the normal one
/// (Abramowitz and Stegun 26.7.5): within 1 % from three degrees of freedom on.
fn student(freedom: usize) -> f64 {
    let (z, n) = (1.959_964_f64, freedom.max(1) as f64);
    let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
    z + (z3 + z) / (4.0 * n)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * n * n)
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * n * n * n)
}

/// Resident memory of this process, in bytes; `None` where the system does not tell.
#[cfg(target_os = "linux")]
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(not(target_os = "linux"))]
fn resident() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(bytes: impl Fn(u64) -> u64) -> Memory {
        let samples = (0..300).map(|second| (Duration::from_secs(second), bytes(second)));
        Memory {
            samples: samples.collect(),
        }
    }

    const MIB: u64 = 1 << 20;

    /// What wanders without growing is flat, however it wanders.
    #[test]
    fn noise_is_flat() {
        let mut rng = fastrand::Rng::with_seed(5);
        for _ in 0..50 {
            let noise: Vec<_> = (0..300).map(|_| rng.u64(..4 * MIB)).collect();
            let slope = memory(|second| 60 * MIB + noise[second as usize]).slope();
            assert!(slope.expect("enough").is_flat());
            let saw = memory(|second| 60 * MIB + second % 37 * MIB / 8).slope();
            assert!(saw.expect("enough").is_flat());
        }
    }

    #[test]
    fn a_leak_is_seen_and_the_warm_up_is_not() {
        let mut rng = fastrand::Rng::with_seed(5);
        let noise: Vec<_> = (0..300).map(|_| rng.u64(..MIB)).collect();
        let leak = memory(|second| 60 * MIB + noise[second as usize] + second * 3 * MIB / 60);
        let slope = leak.slope().expect("enough");
        assert!(!slope.is_flat(), "{slope:?}");
        assert!(
            (slope.per_minute / MIB as f64 - 3.0).abs() < 0.5,
            "{slope:?}"
        );
        let warm = memory(|second| 60 * MIB + noise[second as usize] + second.min(50) * MIB);
        assert!(warm.slope().expect("enough").is_flat());
    }

    #[test]
    fn a_short_run_says_nothing() {
        let mut memory = memory(|second| second * MIB);
        memory.samples.truncate(12);
        assert_eq!(memory.slope(), None);
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, table) in [(3, 3.182), (5, 2.571), (10, 2.228), (18, 2.101)] {
            assert!((student(freedom) / table - 1.0).abs() < 0.01, "{freedom}");
        }
    }
}
