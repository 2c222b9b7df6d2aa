//! Any bytes as the answer to an opening handshake: `tests/found/handshake.rs`.

#![no_main]

#[path = "../../tests/found/handshake.rs"]
mod handshake;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    handshake::replay(input);
});
