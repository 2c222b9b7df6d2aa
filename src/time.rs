//! Instants as the engine passes them about: nanoseconds since the Unix epoch, never going back.
//!
//! Only `io/clock.rs` reads a clock. Everything else is handed a [`Time`], so that a replay with
//! the same times is the same run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant: nanoseconds since the Unix epoch, from a clock that never goes back within a
/// process (it is anchored to the wall clock once, at start, and counts monotonically from there).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// Before every other instant.
    pub const ZERO: Self = Self(0);
    /// After every other instant: the deadline that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant this many nanoseconds after the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The same instant as a [`SystemTime`].
    #[must_use]
    pub fn as_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.0)
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant and `duration` more; [`Time::NEVER`] if that cannot be represented.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_saturates_and_since_never_goes_below_zero() {
        let t = Time::from_nanos(5);
        assert_eq!(t.after(Duration::MAX), Time::NEVER);
        assert_eq!(t.after(Duration::from_nanos(2)), Time::from_nanos(7));
        assert_eq!(t.since(Time::from_nanos(9)), Duration::ZERO);
        assert_eq!(Time::from_nanos(9).since(t), Duration::from_nanos(4));
    }
}
