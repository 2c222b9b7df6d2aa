//! The `tickcache` command as a user runs it: what it prints, what it accounts for, how it fails.

#![cfg(feature = "cli")]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "a test's own modules")]

#[path = "cli/mod.rs"]
mod cases;
mod reference;

#[allow(unused_imports, unused_qualifications, reason = "the simulator is a program of its own")]
#[path = "../src/bin/tickcache/simulator/mod.rs"]
mod simulator;
