//! The `tickcache` command: a demo, a recorder, a replay of recorded messages, a live view of a feed,
//! a soak.
//!
//! Exit codes: 0 after a run, 1 after a failure, 2 for a wrong command line. Either of the latter is
//! told in one line on standard error.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a command reads clocks and is run by no model"
)]

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use args::{Command, Halt};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod args;
mod bench;
mod demo;
mod engine;
mod input;
mod live;
mod preset;
mod pulse;
mod reader;
mod record;
mod replay;
mod rest;
#[allow(
    dead_code,
    unused_imports,
    reason = "stalls, cuts and last values are for tests, some of which include it by path"
)]
mod simulator;
#[cfg(test)]
#[path = "simulator/tests/mod.rs"]
mod simulator_tests;
mod slow;
mod soak;
mod state;
mod table;
mod tally;
mod ui;
mod watch;

const FAILURE: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    match args::parse(std::env::args_os()) {
        Ok(command) => match run(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => told(&failure, FAILURE),
        },
        Err(Halt::Usage(usage)) => told(&usage, USAGE),
        Err(Halt::Told(text)) => {
            // Whoever closed standard output has read enough of it.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
    }
}

/// One line on standard error, whatever the message has in it.
fn told(what: &dyn Display, code: u8) -> ExitCode {
    let line = what
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "tickcache: {line}");
    ExitCode::from(code)
}

/// Why a command failed, in words that say what to do.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Bench(args) => bench::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Watch(args) => watch::run(&args),
    }
}
