//! An exchange on loopback: the server that the demo and the tests connect to.
//!
//! It speaks the Binance spot market-data protocol over a real WebSocket: the combined endpoint
//! `/stream?streams=a@bookTicker/b@ticker` and the raw one `/ws/a@bookTicker`, `SUBSCRIBE`,
//! `UNSUBSCRIBE` and `LIST_SUBSCRIPTIONS` while connected, a ping every 20 s, and abrupt losses of
//! the connection. Prices are a seeded random walk, so a run can be repeated.
//!
//! **Open loop.** Under [`Rate::PerSecond`] message `k` of a connection has a fixed time at which it
//! is due ([`pace::Schedule`]), whatever the client does. A client that stalls makes later messages
//! late, never rarer, and a latency measured from the due time shows the stall.
//!
//! **Where the due time is.** In the message, at a place where an exchange puts an opaque rising
//! number: the update id `u` of a `bookTicker` and the last trade id `L` of a `ticker` are the due
//! time in nanoseconds since the simulator's [`Clock`] began. They rise strictly for each symbol,
//! as the exchange's do. A consumer in the same process turns them back into a latency with
//! [`Clock::since`]; nothing has to be shared or looked up.
//!
//! fastwebsockets does the handshake, reads what the client sends and writes the frame heads. The
//! frames of one wake are put into one buffer and written by one call ([`wire::Outbox`]).
//!
//! Beside the exchange, [`Api`] is a service with a REST interface and events, on a thread of its own.
//!
//! The module uses nothing of the engine, so that tests can include it by path; its own tests are
//! declared in `main.rs`, so that they do not run again there.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a program of its own beside the engine: it reads clocks and is run by no model"
)]

mod api;
mod clock;
mod cpu;
pub(crate) mod encode;
mod market;
pub(crate) mod pace;
mod playback;
pub(crate) mod protocol;
mod server;
mod session;
pub(crate) mod wire;

use std::num::NonZeroU64;
use std::time::Duration;

pub(crate) use api::{
    Api, ApiSettings, ApiStats, Change, ENTITY, Facts, Fate, Faults, REVISION, Told, Truth,
    content, told,
};
pub(crate) use clock::Clock;
pub(crate) use cpu::{process_cpu, thread_cpu};
pub(crate) use market::symbol_names;
pub(crate) use playback::{Playback, PlaybackError, Timed};
pub(crate) use server::{Flow, Simulator, Stats};

/// How fast messages are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// That many messages a second on each connection, by a fixed schedule.
    PerSecond(NonZeroU64),
    /// As many as the socket takes. There is no schedule: a message is due when it is made.
    Max,
}

/// What a simulator serves and how badly it behaves.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Port on 127.0.0.1; 0 lets the system choose.
    pub(crate) port: u16,
    /// Number of symbols on offer, at least 1.
    pub(crate) symbols: usize,
    /// Messages a second on each connection.
    pub(crate) rate: Rate,
    /// Each message is due by itself rather than in bursts, and its stamp is the time at which it is
    /// made, right before it is written: what a client's engine takes can be measured, and a
    /// sender that is late is not part of it. Occupies a core where messages are less than 20 us
    /// apart.
    pub(crate) even: bool,
    /// Seed of the random walk and of the times at which connections are lost.
    pub(crate) seed: u64,
    /// A connection is lost after about this long (between half and one and a half of it), once
    /// by a reset and once by an end in the middle of a frame. `None`: never.
    pub(crate) drop_every: Option<Duration>,
    /// Time between two pings. The exchange uses 20 s.
    pub(crate) ping_every: Duration,
    /// A connection whose ping is unanswered for this long is closed. The exchange uses 1 min.
    pub(crate) pong_within: Duration,
    /// Data messages sent in the whole, over all connections; then it falls silent. `None`: no end.
    pub(crate) messages: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 0,
            symbols: 200,
            rate: Rate::PerSecond(NonZeroU64::new(50_000).expect("not zero")),
            even: false,
            seed: 1,
            drop_every: None,
            ping_every: Duration::from_secs(20),
            pong_within: Duration::from_secs(60),
            messages: None,
        }
    }
}
