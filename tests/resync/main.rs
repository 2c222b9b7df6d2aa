//! Values that a stream has lost, and how they come back: by hand, on a virtual clock, and over real
//! sockets.

#![allow(clippy::disallowed_types, reason = "what tests share needs no model")]

mod depth;
mod kit;
#[cfg(feature = "net")]
mod network;
mod pace;
mod rules;
#[cfg(feature = "net")]
#[path = "../server/mod.rs"]
mod server;
