//! Histories of two feeds, held against a model of each value: `tests/found/feeds.rs`.

#![no_main]

#[path = "../../tests/found/bytes.rs"]
#[allow(dead_code, reason = "each target has its own use of it")]
mod bytes;
#[path = "../../tests/found/feeds.rs"]
mod feeds;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    feeds::replay(input);
});
