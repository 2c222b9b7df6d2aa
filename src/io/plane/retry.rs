//! Whether a fetch that failed is tried again, and when.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::fetch_error::FetchError;

/// How often a fetch is tried again by default.
pub(crate) const RETRIES: u32 = 3;
/// The first delay, doubled each time.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest delay.
const LAST_DELAY: Duration = Duration::from_secs(30);

type RetryIf = dyn Fn(u32, &FetchError) -> bool + Send + Sync;
type DelayBy = dyn Fn(u32, &FetchError) -> Duration + Send + Sync;

/// Whether a fetch that failed is tried again.
#[derive(Clone)]
pub(crate) enum Retry {
    /// So often.
    Times(u32),
    /// If the function says so, given the failures before this one and the error.
    If(Arc<RetryIf>),
}

impl Retry {
    /// `failures`: how often this fetch has failed before this time.
    pub(super) fn again(&self, failures: u32, error: &FetchError) -> bool {
        match self {
            Self::Times(times) => failures < *times,
            Self::If(again) => again(failures, error),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::Times(RETRIES)
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => write!(f, "Times({times})"),
            Self::If(_) => f.write_str("If(..)"),
        }
    }
}

/// How long to wait before trying again.
#[derive(Clone, Default)]
pub(crate) enum RetryDelay {
    /// 1 s, 2 s, 4 s .. 30 s.
    #[default]
    Doubling,
    /// As the function says, given the failures before this one and the error.
    By(Arc<DelayBy>),
}

impl RetryDelay {
    /// `steady`: without the random part, so that a run by hand is the same every time.
    pub(super) fn after(&self, failures: u32, error: &FetchError, steady: bool) -> Duration {
        let delay = match self {
            Self::Doubling => {
                let full = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
                let full = FIRST_DELAY.saturating_mul(full).min(LAST_DELAY);
                if steady { full } else { jittered(full) }
            }
            Self::By(delay) => delay(failures, error),
        };
        match error.retry_after() {
            // Those who were told the same do not all come back in the same moment.
            Some(after) => after.saturating_add(if steady { delay } else { jittered(delay) }),
            None => delay,
        }
    }
}

impl fmt::Debug for RetryDelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Doubling => "Doubling",
            Self::By(_) => "By(..)",
        })
    }
}

/// Up to a quarter less, so that what failed together does not come again together.
#[cfg(feature = "net")]
fn jittered(full: Duration) -> Duration {
    full.mul_f64(1.0 - 0.25 * fastrand::f64())
}

#[cfg(not(feature = "net"))]
fn jittered(full: Duration) -> Duration {
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_half_a_minute_and_are_never_longer() {
        let error = FetchError::new("no");
        let seconds = |failures| RetryDelay::Doubling.after(failures, &error, true).as_secs();
        assert_eq!([0, 1, 2, 4, 5, 40].map(seconds), [1, 2, 4, 16, 30, 30]);
        for failures in 0..8 {
            let full = RetryDelay::Doubling.after(failures, &error, true);
            let less = RetryDelay::Doubling.after(failures, &error, false);
            assert!(less <= full && less >= full.mul_f64(0.74), "{less:?}");
        }
    }

    #[test]
    fn a_server_that_asks_to_be_left_alone_is() {
        let minute = Duration::from_secs(60);
        let error = FetchError::later(minute, "429");
        let delay = |steady| RetryDelay::Doubling.after(0, &error, steady);
        assert_eq!(delay(true), minute + Duration::from_secs(1));
        assert!(delay(false) >= minute);
        assert_eq!(error.to_string(), "429 (to be asked again after 60s)");
    }

    #[test]
    fn three_retries_unless_said_otherwise() {
        let error = FetchError::new("no");
        let tried = (0..10)
            .take_while(|n| Retry::default().again(*n, &error))
            .count();
        assert_eq!(tried, 3);
        let picky = Retry::If(Arc::new(|n, error| n < 1 && error.to_string() == "no"));
        assert!(picky.again(0, &error) && !picky.again(1, &error));
        assert!(!picky.again(0, &FetchError::new("never")));
    }
}
