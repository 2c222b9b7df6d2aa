//! The slow path under real threads and real runtimes: nothing waits for ever, nothing goes back,
//! nobody is left asleep, and closing ends it all.
//!
//! No test sleeps, and none looks at how long something takes: what would never come is given up
//! after [`LONG`](kit::LONG).

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a test gives up by the real clock, and is run by no model"
)]

#[path = "../server/mod.rs"]
mod server;

mod closing;
mod fetchers;
mod hammer;
mod kit;
mod races;
mod streaming;
mod venue;
mod waking;
