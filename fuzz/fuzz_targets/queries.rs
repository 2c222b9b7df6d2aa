//! Histories of queries, with a stream and without one: `tests/found/queries.rs`.

#![no_main]

#[path = "../../tests/found/bytes.rs"]
#[allow(dead_code, reason = "each target has its own use of it")]
mod bytes;
#[path = "../../tests/histories/desk.rs"]
mod desk;
#[path = "../../tests/found/documents.rs"]
mod documents;
#[path = "../../tests/histories/heal.rs"]
mod heal;
#[path = "../../tests/histories/history.rs"]
#[allow(dead_code, reason = "no seed chooses here")]
mod history;
#[path = "../../tests/histories/model.rs"]
mod model;
#[path = "../../tests/found/queries.rs"]
mod queries;
#[path = "../../tests/histories/run.rs"]
mod run;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    queries::replay(input);
});
