//! Envelopes in files: one for each of many venues, with messages in the shape of theirs and what
//! each of them comes to; and every recording, read through a file alone.
//!
//! `NAME.toml` is an envelope, and `NAME.txt` beside it a conversation: lines that begin with `> `
//! are messages, those below each are what it does. `UPDATE_EXPECTED=1` writes what it does now.

mod captures;
mod errors;
mod kit;
mod venues;
