//! Which seeds a test runs: `SEED=n` one, `COUNT=n` so many, from `SEED` on if both are given.

#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::env;
use std::ops::Range;

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    )
}

/// The seeds that are asked for; so many from 0 on if nobody says.
pub(crate) fn seeds(count: u64) -> Range<u64> {
    match (number("SEED"), number("COUNT")) {
        (Some(seed), None) => seed..seed + 1,
        (first, asked) => {
            let first = first.unwrap_or(0);
            first..first + asked.unwrap_or(count)
        }
    }
}
