//! How many messages a second does one core of a client take in, from the socket to a value that
//! any thread can read?
//!
//! A server on a thread of its own writes frames of 176 bytes over loopback, encoded beforehand,
//! one for each of 1,000 ids and round again, as fast as the client takes them. Ours connects to it
//! through the public API; the others are put together from the usual crates, as somebody who knows
//! them would:
//!
//! 1. tokio-tungstenite, `serde_json::Value`, merged in a DashMap, the key told by `broadcast`;
//! 2. tokio-tungstenite, serde into a struct, a `watch` for each key in a DashMap;
//! 3. fastwebsockets, simd-json's `OwnedValue`, cloned, merged and stored in an `arc_swap`.
//!
//! What counts is CPU time of the client: that of the process, less the server's thread and the one
//! that waits for the end; the others sleep while one has its turn. `to f64` adds, on the waiting thread, a read
//! of all four numbers for every message, which stack 2 has done when it decoded. At the end every client is
//! asked for a value, so that nothing is counted that did not arrive.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a bench reads clocks, and is run by no model"
)]

use std::cell::RefCell;
use std::time::Duration;

use server::{Server, push_frame};
use stacks::Client;
use support::cpu::{process_cpu, thread_cpu};
use support::paired::Contest;
use support::{id, json::event};

mod support;

#[path = "support/server.rs"]
mod server;
#[path = "support/stacks.rs"]
mod stacks;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IDS: usize = 1_000;
/// How many different values each id takes, one after the other. A multiple of ten digits.
const SWEEPS: usize = 16;
const FRAME_BYTES: usize = 176;

/// The best bid that an id has after this sweep.
fn bid(sweep: usize) -> String {
    format!("618{:02}.63000000", sweep % SWEEPS)
}

/// Frames for every id, once.
fn sweep(sweep: usize) -> Vec<u8> {
    let (bid, mut frames) = (bid(sweep), Vec::new());
    for number in 0..IDS {
        let payload = format!(
            r#"{{"bid":"{bid}","bidSize":"3.788260","ask":"61837.64000000","askSize":"1.546980","sequence":400900217,"active":true}}"#
        );
        push_frame(&mut frames, &event(&id(number), &payload));
    }
    assert_eq!(
        frames.len(),
        IDS * FRAME_BYTES,
        "the frames are of the size they are said to be"
    );
    frames
}

/// One client with its server.
struct Pair {
    server: Server,
    client: Client,
    sweeps: u64,
}

impl Pair {
    fn new(connect: fn(&Server) -> Client) -> Self {
        let server = Server::start((0..SWEEPS).map(sweep).collect());
        let client = connect(&server);
        let mut pair = Self {
            server,
            client,
            sweeps: 0,
        };
        // Every id has a value before anything is measured.
        pair.take(1);
        pair
    }

    /// Sends `sweeps` messages to each id, and waits until they have been taken in: the client's
    /// CPU time.
    fn take(&mut self, sweeps: u64) -> Duration {
        self.sweeps += sweeps;
        let until = self.sweeps * IDS as u64;
        let (process, own) = (process_cpu(), thread_cpu());
        self.server.write(usize::try_from(sweeps).expect("few"));
        while self.client.received() < until {
            std::thread::sleep(Duration::from_micros(50));
        }
        let client = process_cpu() - process;
        client.saturating_sub(self.server.written() + (thread_cpu() - own))
    }

    /// The same, and the time it takes to read the numbers of each message.
    fn take_and_read(&mut self, sweeps: u64) -> Duration {
        let taken = self.take(sweeps);
        let start = thread_cpu();
        for _ in 0..sweeps {
            std::hint::black_box(self.client.sum());
        }
        taken + (thread_cpu() - start)
    }

    /// Asks for values, and ends both.
    fn check(self) {
        let last: f64 = bid(self.sweeps as usize - 1).parse().expect("a number");
        for number in [0, IDS / 2, IDS - 1] {
            assert_eq!(
                self.client.bid(&id(number)),
                Some(last),
                "every message has arrived"
            );
        }
        assert_eq!(
            self.client.received(),
            self.sweeps * IDS as u64,
            "and none twice"
        );
        let Self { server, client, .. } = self;
        // The end of the connection is what ends the clients that we do not know how to stop.
        drop(server);
        client.end();
    }
}

fn main() {
    let name = "end to end/176 B, 1,000 ids";
    if !support::paired::is_wanted(name) {
        return;
    }
    let pairs = stacks::ALL.map(|(name, connect)| (name, RefCell::new(Pair::new(connect))));
    let mut contest = Contest::new(name).turns_of(Duration::from_millis(20));
    for (at, (name, pair)) in pairs.iter().enumerate() {
        let take = |sweeps| pair.borrow_mut().take(sweeps);
        contest = contest.measured(*name, IDS as f64, take);
        if at == 0 {
            let take = |sweeps| pair.borrow_mut().take_and_read(sweeps);
            let name = format!("{name}, to f64");
            contest = contest.measured(name, IDS as f64, take).numbers();
        }
    }
    contest.run();
    for (_, pair) in pairs {
        pair.into_inner().check();
    }
}
