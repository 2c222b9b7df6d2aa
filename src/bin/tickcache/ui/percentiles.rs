//! Percentiles in nanoseconds, for JSON and tables.

use std::time::Duration;

use serde::Serialize;
use tickcache::Latency;

use super::model::Recorder;

/// Percentiles of a latency, in nanoseconds, and of how many samples they are.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) samples: u64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

impl Percentiles {
    fn new(samples: u64, at: impl Fn(f64) -> Duration) -> Option<Self> {
        let nanos = |part| u64::try_from(at(part).as_nanos()).unwrap_or(u64::MAX);
        (samples > 0).then(|| Self {
            samples,
            p50: nanos(0.5),
            p90: nanos(0.9),
            p99: nanos(0.99),
            p999: nanos(0.999),
            max: nanos(1.0),
        })
    }

    /// Of what the engine has measured; `None` if that is nothing.
    pub(crate) fn of(latency: &Latency) -> Option<Self> {
        Self::new(latency.count(), |part| {
            latency.quantile(part).unwrap_or_default()
        })
    }

    /// Of what a recorder has collected; `None` before the first.
    pub(crate) fn seen(recorder: &Recorder) -> Option<Self> {
        Self::new(recorder.count(), |part| recorder.quantile(part))
    }
}
