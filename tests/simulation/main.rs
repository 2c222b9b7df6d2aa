//! The whole engine but its sockets on virtual time, with a server and a network that a seed drives.
//!
//! **In it**, as they ship: the turns of a feed's thread (`io/feed_thread/turn`: reading, commands, timers, long
//! messages), the connections of a feed and their machines (connecting and back-off, subscriptions,
//! heartbeats, dead and silent peers, promotion, rotation), the frame decoder, the decoding of messages, sequences, ingest, slots, freshness,
//! resyncs and queries with their fetches, and the hub that wakes. Sockets are ends of local pairs, read and
//! written by the engine's own code.
//!
//! **Not in it**: name look-up, TCP, TLS and the handshake (an attempt has its outcome from the seed),
//! how a thread waits between two turns, the restart after a panic, `Feed::resync_rest`. Those
//! are tried with real sockets in `tests/proxy`, `tests/faults.rs` and `src/io/*/tests`. One thread
//! is real: the hub's. What it does is waited for, so that a run is the same each time; how
//! publications and reads of several threads mix is for the models and stress tests of `store`.
//!
//! `SEED=n cargo test --test simulation` runs one seed and shows what happened; `COUNT=n` runs so many
//! from the first on (or from `SEED` on), each test those of its form. `TRACE=n` shows so many lines of what
//! led to a failure. `.ci/simulate` runs thousands.

#![cfg(unix)]
#![allow(clippy::disallowed_types, reason = "what tests share needs no model")]

mod cases;
mod desk;
mod frames;
mod happen;
mod heal;
mod judge;
mod mischief;
mod net;
mod options;
#[path = "../kit/random.rs"]
mod random;
mod resume;
mod run;
#[path = "../kit/seeds.rs"]
mod seeds;
mod server;
mod tally;
mod trace;
mod truth;
mod venue;
mod waiters;

use std::panic::{AssertUnwindSafe, catch_unwind};

use options::{Form, Options};
use seeds::{number, seeds};
use tally::Tally;
use trace::Trace;

/// Seeds when nobody says how many: as many for each form.
const COUNT: u64 = 200;

/// After so many failures no further seed is run.
const SHOWN: usize = 12;

/// A panic of the engine is a failure of the run.
fn attempt(options: &Options, trace: Trace) -> (Result<(), String>, Tally, Trace) {
    let run = AssertUnwindSafe(|| run::run(options, trace));
    catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        let error = format!("panic: {}", text.unwrap_or_default());
        (Err(error), Tally::default(), Trace::default())
    })
}

/// Runs the seeds of a form. Of the usual ones each kind of event has to have occurred that `seen`
/// names.
fn simulate(form: Form, seen: &[&str]) {
    let mut total = Tally::default();
    let mut failed = Vec::new();
    for seed in seeds(COUNT) {
        let options = Options::of(seed);
        if options.form != form {
            continue;
        }
        let (outcome, tally, _) = attempt(&options, Trace::default());
        total.add(&tally);
        failed.extend(outcome.err().map(|error| (seed, error)));
        if failed.len() == SHOWN {
            break;
        }
    }
    if let Some((seed, error)) = failed.first() {
        // The same once more, in words.
        let options = Options::of(*seed);
        let (again, _, trace) = attempt(&options, Trace::in_words());
        let again = match again {
            Err(again) if again == *error => String::new(),
            again => format!("\nthe second time: {again:?}"),
        };
        let others = failed.iter().skip(1);
        let others: String = others
            .map(|(seed, error)| format!("SEED={seed}: {error}\n"))
            .collect();
        panic!(
            "{}SEED={seed}: {error}{again}\n{options:#?}\n{others}",
            trace.lines()
        );
    }
    println!("{form:?}: {total}");
    if number("SEED").is_some() || number("COUNT").is_some() {
        return;
    }
    let blind: Vec<_> = total
        .iter()
        .filter(|(name, count)| *count == 0 && (USUAL.contains(name) || seen.contains(name)))
        .collect();
    assert!(blind.is_empty(), "{form:?} never saw {blind:?}: {total}");
}

/// Seeds that have shown what was wrong: a value with a hole or without a subscription that read live,
/// an end that came before its answer, a resync that was let go or forgotten; or that showed what no
/// other test would (what a long message brings under a trusted source after a gap).
const TELLING: &[u64] = &[
    218, 1240, 1289, 1408, 2434, 2746, 3254, 3258, 3446, 4208, 4440, 4622, 5136, 7006, 7282, 8816,
    9634,
];

#[test]
fn seeds_that_have_shown_what_was_wrong() {
    for seed in TELLING {
        let (outcome, ..) = attempt(&Options::of(*seed), Trace::default());
        if let Err(error) = outcome {
            panic!("SEED={seed}: {error}");
        }
    }
}

/// What every form sees.
const USUAL: &[&str] = &[
    "messages",
    "changes",
    "bulk",
    "resumed",
    "missed",
    "connections",
    "failures",
    "cuts",
    "partitions",
    "crashes",
    "promotions",
    "rotations",
    "silences",
    "invalidations",
    "removals",
    "subscriptions",
    "stale_reads",
    "live_reads",
    "waiters",
    "wakes",
    "repeated",
];

#[test]
fn numbers_for_each_key() {
    simulate(
        Form::PerKey,
        &[
            "lost",
            "late",
            "gaps",
            "bridged",
            "dropped",
            "resyncs",
            "bad_fetches",
            "short_delays",
            "long_delays",
        ],
    );
}

#[test]
fn ranges_of_numbers() {
    simulate(Form::Range, &["lost", "late", "gaps", "dropped", "resyncs"]);
}

#[test]
fn chains_of_changes() {
    simulate(
        Form::Chained,
        &["lost", "late", "gaps", "dropped", "resyncs"],
    );
}

#[test]
fn rising_numbers_of_whole_values() {
    simulate(Form::Sparse, &["lost", "late", "dropped", "resyncs"]);
}

#[test]
fn rising_numbers_that_repeat() {
    simulate(Form::Equal, &["lost", "late", "dropped", "resyncs"]);
}

#[test]
fn numbers_that_begin_anew() {
    simulate(Form::Restarting, &["lost", "gaps", "dropped"]);
}

#[test]
fn numbers_of_the_connection() {
    simulate(Form::PerConnection, &["lost", "gaps"]);
}

#[test]
fn no_numbers() {
    simulate(Form::Plain, &[]);
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in 0..Form::ALL.len() as u64 {
        let options = Options::of(seed);
        let hashes = [(), ()].map(|()| attempt(&options, Trace::default()).2.hash);
        assert_eq!(hashes[0], hashes[1], "SEED={seed}");
    }
}
