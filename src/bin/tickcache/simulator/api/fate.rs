//! What becomes of a request: seeded, and mostly bad.

use std::time::Duration;

use fastrand::Rng;
use hyper::StatusCode;

/// How badly answers behave. Probabilities are between 0 and 1; what is left over is answered well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Answers take up to this long, evenly spread.
    pub(crate) delay: Duration,
    /// A status of 500 or more.
    pub(crate) errors: f64,
    /// No answer at all.
    pub(crate) hangs: f64,
    /// A good status and half of the JSON.
    pub(crate) broken: f64,
    /// An answer as of some revisions ago, which says so truly.
    pub(crate) old: f64,
    /// How many revisions ago at most.
    pub(crate) lag: u64,
}

impl Faults {
    /// Everything is answered at once, truly and well.
    pub(crate) const NONE: Self = Self {
        delay: Duration::ZERO,
        errors: 0.0,
        hangs: 0.0,
        broken: 0.0,
        old: 0.0,
        lag: 0,
    };
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(400),
            errors: 0.12,
            hangs: 0.03,
            broken: 0.05,
            old: 0.35,
            lag: 60,
        }
    }
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The present state.
    Answered,
    /// The state of that many revisions ago.
    Old(u64),
    /// Refused with a status.
    Refused(StatusCode),
    /// Half of an answer.
    Broken,
    /// Nothing, for ever.
    Hung,
}

impl Faults {
    /// What becomes of the next request, and how long it takes.
    pub(crate) fn next(&self, rng: &mut Rng) -> (Duration, Fate) {
        let delay = self.delay.mul_f64(rng.f64());
        let mut left = rng.f64();
        let mut falls = |share: f64| {
            left -= share;
            left < 0.0
        };
        let fate = if falls(self.errors) {
            const ERRORS: [StatusCode; 3] = [
                StatusCode::INTERNAL_SERVER_ERROR,
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
            ];
            Fate::Refused(ERRORS[rng.usize(..ERRORS.len())])
        } else if falls(self.hangs) {
            Fate::Hung
        } else if falls(self.broken) {
            Fate::Broken
        } else if falls(self.old) && self.lag > 0 {
            Fate::Old(rng.u64(1..=self.lag))
        } else {
            Fate::Answered
        };
        (delay, fate)
    }
}
