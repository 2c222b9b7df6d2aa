//! Servers that attack: whatever they send, the memory that they cost is what the settings say, not
//! a byte of what is refused is shown, the counters say why, and the feed comes back by itself.

#![cfg(feature = "net")]
#![allow(missing_docs, reason = "a test binary")]
#![allow(unsafe_code, reason = "an allocator that counts has to be one")]
#![allow(
    clippy::disallowed_types,
    reason = "the allocator counts what all threads hold"
)]

mod counting;
mod dense;
mod floods;
mod handshakes;
mod kit;
mod log;
mod secrets;
#[path = "../server/mod.rs"]
mod server;
mod tls;
