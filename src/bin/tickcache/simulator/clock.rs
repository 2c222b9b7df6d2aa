//! The time line that the update ids count.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Ids begin here rather than at 0, so that first ids (`L - n + 1`) stay positive.
const FIRST_STAMP: u64 = 1_000_000_000_000;

/// Turns instants into stamps (nanoseconds, starting at 10^12) and back into latencies.
///
/// A stamp stays below 2^53 for 100 days, so that it survives consumers that read numbers as floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    /// Unix time at the origin.
    unix: Duration,
}

impl Clock {
    /// A time line that begins now.
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            unix: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// The stamp of an instant; instants before the origin share the first one.
    pub(crate) fn stamp(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.origin);
        FIRST_STAMP.saturating_add(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long before `now` a stamped message was due. `None` for a number that is no stamp of
    /// this clock: before its origin, or more than `now`.
    pub(crate) fn since(&self, stamp: u64, now: Instant) -> Option<Duration> {
        let due = Duration::from_nanos(stamp.checked_sub(FIRST_STAMP)?);
        now.checked_duration_since(self.origin)?.checked_sub(due)
    }

    /// Unix time in milliseconds, for event times.
    pub(crate) fn unix_millis(&self, at: Instant) -> u64 {
        let unix = self.unix + at.saturating_duration_since(self.origin);
        u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
    }
}
