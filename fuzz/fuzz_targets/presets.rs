//! Any lines as the messages of a venue: `tests/found/presets.rs`.

#![no_main]

#[path = "../../tests/found/presets.rs"]
mod presets;
#[path = "../../tests/found/values.rs"]
mod values;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    presets::replay(input);
});
