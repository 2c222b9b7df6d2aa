//! How long to wait before the next connection attempt: exponential, with jitter.
//!
//! Jitter spreads the clients of one server that went down together ("Exponential Backoff And
//! Jitter", AWS Architecture Blog, 2015). Random numbers come from a small generator whose seed
//! the caller gives, so that a run can be repeated.

use std::time::Duration;

/// How much of a delay is random.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// None: the delay is exact.
    None,
    /// Between half the delay and all of it.
    #[default]
    Half,
    /// Between nothing and the whole delay: spreads best, and may try again at once.
    Full,
}

/// Delays between connection attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Delay after the first failure. Default: 500 ms.
    pub first: Duration,
    /// What each further failure multiplies the delay by; 1 keeps it. Default: 2.
    pub factor: u32,
    /// No delay is longer. Default: 30 s. Longer spares a server in trouble, and takes as long to
    /// notice that it is back.
    pub max: Duration,
    /// How much of it is random. Default: [`Jitter::Half`].
    pub jitter: Jitter,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            factor: 2,
            max: Duration::from_secs(30),
            jitter: Jitter::default(),
        }
    }
}

impl Backoff {
    /// The same delay after every failure, without jitter.
    #[must_use]
    pub const fn fixed(delay: Duration) -> Self {
        Self {
            first: delay,
            factor: 1,
            max: delay,
            jitter: Jitter::None,
        }
    }

    /// The delay after so many failures in a row, counted from 1; `random` is any random number.
    #[must_use]
    pub fn delay(&self, failures: u32, random: u64) -> Duration {
        let mut delay = self.first.min(self.max);
        // At most a few rounds: the delay doubles at least, or does not grow at all.
        for _ in 1..failures {
            if self.factor <= 1 || delay >= self.max || delay.is_zero() {
                break;
            }
            delay = delay.saturating_mul(self.factor).min(self.max);
        }
        match self.jitter {
            Jitter::None => delay,
            Jitter::Half => delay - part(delay / 2, random),
            Jitter::Full => delay - part(delay, random),
        }
    }
}

/// A random part of `span`, from none of it to all of it.
pub(super) fn part(span: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let scaled = (u128::from(nanos) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(scaled).unwrap_or(nanos))
}

/// A small generator of random numbers, for jitter and frame masks; not for secrets.
///
/// SplitMix64 (Steele, Lea and Flood, 2014): one addition and three mixing steps.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator; the same seed gives the same numbers.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let backoff = Backoff {
            jitter: Jitter::None,
            ..Backoff::default()
        };
        let delays: Vec<_> = (1..=8).map(|n| backoff.delay(n, 0)).collect();
        let expected = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000].map(millis);
        assert_eq!(delays, expected);
        assert_eq!(backoff.delay(u32::MAX, 0), millis(30_000));
    }

    #[test]
    fn a_fixed_delay_is_exact() {
        let backoff = Backoff::fixed(millis(3000));
        for failures in [0, 1, 2, 77, u32::MAX] {
            assert_eq!(backoff.delay(failures, u64::MAX), millis(3000));
        }
    }

    #[test]
    fn jitter_stays_within_its_bounds() {
        let mut random = Random::seeded(7);
        let half = Backoff::default();
        let full = Backoff {
            jitter: Jitter::Full,
            ..half
        };
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let delay = half.delay(3, random.next_u64());
            assert!((millis(1000)..=millis(2000)).contains(&delay), "{delay:?}");
            assert!(full.delay(3, random.next_u64()) <= millis(2000));
            seen.insert(delay);
        }
        assert!(seen.len() > 900, "jitter hardly varies: {}", seen.len());
    }

    #[test]
    fn an_endless_delay_does_not_overflow() {
        let backoff = Backoff {
            first: Duration::MAX,
            max: Duration::MAX,
            ..Backoff::default()
        };
        assert!(backoff.delay(9, u64::MAX) > Duration::ZERO);
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let numbers = |seed| {
            let mut random = Random::seeded(seed);
            [random.next_u64(), random.next_u64(), random.next_u64()]
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
    }
}
