//! A sequence of messages, one a line, through decoder, compiler and merge onto one record,
//! compared after each with serde_json and a plain merge. The first byte chooses the modes and the
//! schema's room.

#![no_main]

use tickcache::{json, record};

#[path = "../../src/json/tests/oracle.rs"]
mod oracle;
#[path = "../../src/json/tests/replay.rs"]
mod replay;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    replay::replay(input);
});
