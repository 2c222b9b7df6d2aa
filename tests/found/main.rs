//! Every seed of a fuzz target, and every input that one of them has ever found, once more: in each
//! of them the targets' own checks have to hold.
//!
//! The bodies of the targets are here, so that they are compiled and run without a fuzzer. An input
//! that a fuzzer finds is put into `inputs/TARGET/` under a name that says what was wrong.

#![allow(clippy::disallowed_types, reason = "what tests share needs no model")]

mod bytes;
mod documents;
mod envelopes;
mod feeds;
mod handshake;
mod presets;
mod queries;
mod regressions;
mod values;

// The histories of `tests/histories`, whose steps are chosen by bytes here.
#[path = "../histories/desk.rs"]
mod desk;
#[path = "../histories/heal.rs"]
mod heal;
#[path = "../histories/history.rs"]
#[allow(dead_code, reason = "no seed chooses here")]
mod history;
#[path = "../histories/model.rs"]
mod model;
#[path = "../histories/run.rs"]
mod run;

use std::fs;
use std::path::Path;

/// Runs the seeds and the found inputs of a target. Says which it is that fails.
fn replay_all(target: &str, replay: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        root.join("fuzz/seeds").join(target),
        root.join("tests/found/inputs").join(target),
    ];
    let mut ran = 0;
    for folder in folders.iter().filter(|folder| folder.exists()) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let input = fs::read(&path).expect("a file");
            println!("{}", path.display());
            replay(&input);
            ran += 1;
        }
    }
    assert!(ran > 0, "{target} has no input");
}

/// Inputs that nobody chose: enough that a target whose body is wrong is found here.
fn replay_random(inputs: u64, replay: fn(&[u8])) {
    for seed in 0..inputs {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        };
        let length = 20 + usize::from(next()) * 3;
        let input: Vec<u8> = (0..length).map(|_| next()).collect();
        println!("random input {seed}");
        replay(&input);
    }
}

#[test]
fn feeds() {
    replay_all("feeds", feeds::replay);
    replay_random(100, feeds::replay);
}

#[test]
fn queries() {
    replay_all("queries", queries::replay);
    replay_random(100, queries::replay);
}

#[test]
fn handshake() {
    replay_all("handshake", handshake::replay);
}

#[test]
fn envelopes() {
    replay_all("envelopes", envelopes::replay);
}

#[test]
fn presets() {
    replay_all("presets", presets::replay);
}
