//! A sequence of messages, one a line, through an intake that learns layouts and one that parses
//! every message: equal refusals, patches and records. The first byte chooses the protocol.

#![no_main]

#[path = "../../tests/layouts/replay.rs"]
mod replay;
#[path = "../../tests/layouts/twins.rs"]
#[allow(dead_code, reason = "each target has its own use of it")]
mod twins;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    replay::replay(input);
});
