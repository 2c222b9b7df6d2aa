//! Random histories of a stream, fetches, events and lost connections, held against a model of the
//! server.
//!
//! `SEED=n` runs one history, `COUNT=n` so many from the first on. A failure prints its seed and the
//! shortest part of the history that still fails.

#![allow(clippy::disallowed_types, reason = "what tests share needs no model")]

mod desk;
mod heal;
mod history;
mod model;
mod run;
#[path = "../kit/seeds.rs"]
mod seeds;

use std::panic::{AssertUnwindSafe, catch_unwind};

use history::{Setup, Step};
use seeds::seeds;

/// Histories of each kind when nobody says how many.
const COUNT: u64 = 1_000;

/// A panic of the engine is a failure of the history too.
fn attempt(setup: Setup, steps: &[Step]) -> Result<(), run::Failure> {
    catch_unwind(AssertUnwindSafe(|| run::run(setup, steps))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// Leaves out what is not needed for the history to fail.
fn shorten(setup: Setup, mut steps: Vec<Step>) -> Vec<Step> {
    let mut length = steps.len().div_ceil(2);
    while length > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + length).min(steps.len()));
            if attempt(setup, &fewer).is_err() {
                steps = fewer;
            } else {
                at += length;
            }
        }
        length /= 2;
    }
    steps
}

fn histories(sequences: bool) {
    for seed in seeds(COUNT) {
        let (setup, steps) = history::generate(seed, sequences);
        if let Err(error) = attempt(setup, &steps) {
            let short = shorten(setup, steps);
            let last = attempt(setup, &short).err().unwrap_or_default();
            let listing: String = short.iter().map(|step| format!("  {step:?}\n")).collect();
            panic!("SEED={seed}: {error}\n{setup:?}\n{listing}{last}");
        }
    }
}

#[test]
fn with_sequences_nothing_older_is_ever_shown() {
    histories(true);
}

#[test]
fn without_sequences_everything_converges() {
    histories(false);
}
