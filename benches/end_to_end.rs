//! How many messages a second does one core of a client take in, from the socket to a value that
//! any thread can read?
//!
//! A server on a thread of its own writes frames over loopback, encoded beforehand, for 1,000 ids.
//! Ours connects to it through the public API; the others are put together from the usual crates, as
//! somebody who knows them would:
//!
//! 1. tokio-tungstenite, `serde_json::Value`, merged in a DashMap, the key told by `broadcast`;
//! 2. tokio-tungstenite, serde into a struct, a `watch` for each key in a DashMap;
//! 3. fastwebsockets, simd-json's `OwnedValue`, cloned, merged and stored in an `arc_swap`.
//!
//! Beside them are the bounds of this machine: who reads and looks at nothing has what the kernel
//! takes, who splits frames and looks at nothing has what nobody can go below without another
//! protocol.
//!
//! What counts is CPU time of the client's thread, kernel included. The thread is held while the
//! server writes what comes next into its socket ([`gate`]), so nobody waits for a message, and how
//! often anybody would have been woken is no part of it. Reads are as large as each client makes them.
//! `to f64` adds, on the waiting thread, a read of all numbers for every message, which stack 2 has
//! done when it decoded. At the end every client is asked for a value, so that nothing is counted that
//! did not arrive.
//!
//! `random order`: the ids come in another order in every round, so that none can be foreseen.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a bench reads clocks, and is run by no model"
)]

use std::cell::RefCell;
use std::time::Duration;

use gate::Keeper;
use server::{Server, push_frame};
use stacks::{Client, EXTRA, Stack};
use support::cpu::thread_cpu;
use support::paired::Contest;
use support::{id, in_random_order, json::event};

mod support;

#[path = "support/gate.rs"]
mod gate;
#[path = "support/server.rs"]
mod server;
#[path = "support/stacks.rs"]
mod stacks;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IDS: usize = 1_000;
/// How many different values each id takes, one after the other. A multiple of ten digits.
const SWEEPS: usize = 16;

/// What is sent.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    frame_bytes: usize,
    /// Whether the message has the further numbers.
    long: bool,
    /// Whether the ids come in another order each time.
    shuffled: bool,
}

const SHAPES: [Shape; 3] = [
    Shape {
        name: "end to end/176 B, 1,000 ids",
        frame_bytes: 176,
        long: false,
        shuffled: false,
    },
    Shape {
        name: "end to end/176 B, 1,000 ids, random order",
        frame_bytes: 176,
        long: false,
        shuffled: true,
    },
    Shape {
        name: "end to end/594 B, 1,000 ids",
        frame_bytes: 594,
        long: true,
        shuffled: false,
    },
];

/// The best bid that an id has after this sweep.
fn bid(sweep: usize) -> String {
    format!("618{:02}.63000000", sweep % SWEEPS)
}

impl Shape {
    /// Frames for every id, once.
    fn sweep(self, sweep: usize) -> Vec<u8> {
        let (bid, mut frames) = (bid(sweep), Vec::new());
        let further = |name| format!(r#","{name}":"618{:02}.6300000""#, sweep % SWEEPS);
        let further: String = EXTRA.into_iter().map(further).collect();
        let further = if self.long { further } else { String::new() };
        let mut numbers: Vec<_> = (0..IDS).collect();
        if self.shuffled {
            // Another order in each sweep, and the same in each run.
            numbers.rotate_left(sweep * 61);
            numbers = in_random_order(numbers);
        }
        for number in numbers {
            let payload = format!(
                r#"{{"bid":"{bid}","bidSize":"3.788260","ask":"61837.64000000","askSize":"1.546980","sequence":400900217,"active":true{further}}}"#
            );
            push_frame(&mut frames, &event(&id(number), &payload));
        }
        assert_eq!(
            frames.len(),
            IDS * self.frame_bytes,
            "the frames are of the size they are said to be"
        );
        frames
    }
}

/// One client with its server.
struct Pair {
    shape: Shape,
    server: Server,
    keeper: Keeper,
    client: Client,
    sweeps: u64,
    /// So many sweeps are in the socket at a time.
    fill: u64,
}

impl Pair {
    fn new(shape: Shape, stack: Stack) -> Self {
        let server = Server::start((0..SWEEPS).map(|at| shape.sweep(at)).collect());
        let (keeper, gate) = gate::gate(IDS as u64);
        let client = (stack.connect)(&server, gate, shape.frame_bytes);
        let room = stacks::receive_room();
        let mut pair = Self {
            fill: (room / (IDS * shape.frame_bytes)).max(1) as u64,
            shape,
            server,
            keeper,
            client,
            sweeps: 0,
        };
        // Every id has a value before anything is measured: the gate lets it through.
        pair.server.write(1);
        pair.server.written();
        pair.keeper.closed();
        pair.sweeps = 1;
        pair
    }

    /// Sends `sweeps` messages to each id, and waits until they have been taken in: the client's
    /// CPU time.
    fn take(&mut self, sweeps: u64) -> Duration {
        let (mut left, mut took) = (sweeps, Duration::ZERO);
        while left > 0 {
            let fill = left.min(self.fill);
            left -= fill;
            self.server.write(usize::try_from(fill).expect("few"));
            let is_full = self.server.is_written_within(Duration::from_secs(1));
            self.keeper.open(fill * IDS as u64);
            took += self.keeper.closed();
            if !is_full {
                // The socket did not hold all of it.
                self.server.written();
            }
        }
        self.sweeps += sweeps;
        took
    }

    /// The same, and the time it takes to read the numbers of each message.
    fn take_and_read(&mut self, sweeps: u64) -> Duration {
        let taken = self.take(sweeps);
        let start = thread_cpu();
        for _ in 0..sweeps {
            std::hint::black_box(self.client.sum(self.shape.long));
        }
        taken + (thread_cpu() - start)
    }

    /// Asks for values, and ends both.
    fn check(self) {
        let Self {
            server,
            client,
            keeper,
            sweeps,
            ..
        } = self;
        // The gate opens for the last message.
        drop(keeper);
        let last: f64 = bid(sweeps as usize - 1).parse().expect("a number");
        client.until_received(sweeps * IDS as u64);
        for number in [0, IDS / 2, IDS - 1] {
            if let Some(bid) = client.bid(&id(number)) {
                assert_eq!(bid, Some(last), "every message has arrived");
            }
        }
        // The end of the connection is what ends the clients that we do not know how to stop.
        drop(server);
        client.end();
    }
}

fn main() {
    for shape in SHAPES {
        if !support::paired::is_wanted(shape.name) {
            continue;
        }
        let pairs = stacks::ALL.map(|stack| (stack.name, RefCell::new(Pair::new(shape, stack))));
        let mut contest = Contest::new(shape.name).turns_of(Duration::from_millis(10));
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
}
