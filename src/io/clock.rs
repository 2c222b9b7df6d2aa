//! The only place that reads a clock.
//!
//! A real clock is anchored to the wall clock once per process and counts monotonically from
//! there, so two instants of one process can always be compared, and a step of the wall clock is
//! never seen. A virtual clock stands where it was set, for tests and replays.

#![allow(
    clippy::disallowed_methods,
    reason = "this is the file the lint sends everyone to"
)]

use crate::Time;
use std::sync::OnceLock;
#[cfg(any(test, feature = "testing"))]
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(test)]
use std::time::Duration;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of [`Time`]. Clones of a virtual clock share its hands.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Real(Anchor),
    #[cfg(any(test, feature = "testing"))]
    Virtual(Arc<Mutex<Time>>),
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    instant: Instant,
    wall: Time,
}

impl Anchor {
    /// The process's one anchor.
    fn shared() -> Self {
        static ANCHOR: OnceLock<Anchor> = OnceLock::new();
        *ANCHOR.get_or_init(|| {
            // A wall clock set before 1970 counts from the epoch: only differences matter then.
            let wall = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            Self {
                instant: read_instant(),
                wall: Time::ZERO.after(wall),
            }
        })
    }
}

fn read_instant() -> Instant {
    Instant::now()
}

impl Clock {
    /// The machine's clock.
    pub(crate) fn real() -> Self {
        Self(Kind::Real(Anchor::shared()))
    }

    /// A clock that moves only when told to.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn manual(start: Time) -> Self {
        Self(Kind::Virtual(Arc::new(Mutex::new(start))))
    }

    /// The present instant. Never goes back.
    pub(crate) fn now(&self) -> Time {
        match &self.0 {
            Kind::Real(anchor) => anchor
                .wall
                .after(read_instant().saturating_duration_since(anchor.instant)),
            #[cfg(any(test, feature = "testing"))]
            Kind::Virtual(hands) => *hands.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a virtual clock to `to`, if that is later than it stands, and gives where it stands
    /// then. A real clock moves by itself: for it this is [`Clock::now`].
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn advance_to(&self, to: Time) -> Time {
        match &self.0 {
            Kind::Real(_) => self.now(),
            Kind::Virtual(hands) => {
                let mut hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
                *hands = to.max(*hands);
                *hands
            }
        }
    }

    /// Moves a virtual clock on by `by`.
    #[cfg(test)]
    pub(crate) fn advance(&self, by: Duration) -> Time {
        self.advance_to(self.now().after(by))
    }

    #[cfg(test)]
    /// Whether it moves only when told to.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn is_manual(&self) -> bool {
        matches!(self.0, Kind::Virtual(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_clocks_share_an_anchor_and_never_go_back() {
        let (a, b) = (Clock::real(), Clock::real());
        let mut last = a.now();
        for turn in 0..1000 {
            let now = if turn % 2 == 0 { b.now() } else { a.now() };
            assert!(now >= last);
            last = now;
        }
        assert!(
            last > Time::from_nanos(1_600_000_000_000_000_000),
            "anchored to the wall clock"
        );
        assert!(!a.is_manual());
    }

    #[test]
    fn a_manual_clock_moves_only_when_told_and_never_back() {
        let clock = Clock::manual(Time::from_nanos(100));
        let other = clock.clone();
        assert_eq!(other.now(), Time::from_nanos(100));
        assert_eq!(
            clock.advance(Duration::from_nanos(5)),
            Time::from_nanos(105)
        );
        assert_eq!(
            clock.advance_to(Time::from_nanos(50)),
            Time::from_nanos(105)
        );
        assert_eq!(other.now(), Time::from_nanos(105));
        assert!(clock.is_manual());
    }
}
