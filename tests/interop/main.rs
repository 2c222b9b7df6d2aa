//! The engine against servers that nobody here wrote: npm's `ws`, PyPI's `websockets` and `picows`,
//! `nats-server`, and nginx and haproxy ending TLS in front of one of them.
//!
//! They are not part of a Rust toolchain. `.ci/interop` installs them and names their folder in
//! `TICKCACHE_INTEROP`; without it, or without one of them, its tests say so and pass.

#![allow(
    clippy::disallowed_methods,
    reason = "foreign processes live in real time"
)]

mod fronts;
mod nats;
#[path = "../kit/random.rs"]
mod random;

mod servers;
mod story;

use servers::{installed, node, python};
use story::{check, feed};

#[test]
fn the_server_of_npm() {
    let Some(folder) = installed() else { return };
    let (_server, port) = node(&folder, 0);
    check(feed(&format!("ws://127.0.0.1:{port}/")));
}

#[test]
fn the_server_of_pypi() {
    let Some(folder) = installed() else { return };
    let (_server, port) = python(&folder, "websockets_server.py");
    check(feed(&format!("ws://127.0.0.1:{port}/")));
}

#[test]
fn the_server_in_cython() {
    let Some(folder) = installed() else { return };
    let (_server, port) = python(&folder, "picows_server.py");
    check(feed(&format!("ws://127.0.0.1:{port}/")));
}
