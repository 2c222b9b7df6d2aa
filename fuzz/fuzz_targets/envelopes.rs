//! Any text as the file of an envelope, and then as its messages: `tests/found/envelopes.rs`.

#![no_main]

#[path = "../../tests/found/envelopes.rs"]
mod envelopes;
#[path = "../../tests/found/values.rs"]
mod values;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    envelopes::replay(input);
});
