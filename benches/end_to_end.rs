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
//! What criterion reports is CPU time: that of the process, less the server's thread and the one
//! that waits for the end. One element is one message. The four take turns three times, and a table
//! of medians, with the rate by the clock on the wall, follows. At the end every client is asked for
//! a value, so that nothing is counted that did not arrive.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a bench reads clocks, and is run by no model"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use server::{Server, push_frame};
use stacks::Client;
use support::cpu::{CpuTime, process_cpu, thread_cpu};
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
const ROUNDS: usize = 3;

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

/// What some messages took.
struct Sample {
    messages: u64,
    cpu: Duration,
    wall: Duration,
}

impl Sample {
    fn per_second(&self, of: Duration) -> f64 {
        self.messages as f64 / of.as_secs_f64().max(f64::MIN_POSITIVE)
    }
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

    /// Sends `sweeps` messages to each id, and waits until they have been taken in.
    fn take(&mut self, sweeps: u64) -> Sample {
        self.sweeps += sweeps;
        let until = self.sweeps * IDS as u64;
        let (wall, process, own) = (Instant::now(), process_cpu(), thread_cpu());
        self.server.write(usize::try_from(sweeps).expect("few"));
        while self.client.received() < until {
            std::thread::sleep(Duration::from_micros(50));
        }
        let wall = wall.elapsed();
        let client = process_cpu() - process;
        let cpu = client.saturating_sub(self.server.written() + (thread_cpu() - own));
        Sample {
            messages: sweeps * IDS as u64,
            cpu,
            wall,
        }
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

fn end_to_end(criterion: &mut Criterion<CpuTime>) {
    let mut samples: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
    for round in 1..=ROUNDS {
        let mut group = criterion.benchmark_group(format!("end to end, CPU time/round {round}"));
        group.throughput(Throughput::Elements(IDS as u64));
        for (name, connect) in stacks::ALL {
            let samples = samples.entry(name).or_default();
            let mut pair = None;
            group.bench_function(name, |b| {
                b.iter_custom(|sweeps| {
                    let sample = pair.get_or_insert_with(|| Pair::new(connect)).take(sweeps);
                    let cpu = sample.cpu;
                    samples.push(sample);
                    cpu
                });
            });
            if let Some(pair) = pair {
                pair.check();
            }
        }
        group.finish();
    }
    tell(&samples);
}

/// Prints the medians.
fn tell(samples: &BTreeMap<&str, Vec<Sample>>) {
    let median = |samples: &[Sample], rate: fn(&Sample) -> f64| {
        let mut rates: Vec<f64> = samples.iter().map(rate).collect();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2] / 1e6
    };
    let mut ours = None;
    for (name, _) in stacks::ALL {
        let Some(samples) = samples.get(name).filter(|samples| !samples.is_empty()) else {
            continue;
        };
        let cpu = median(samples, |sample| sample.per_second(sample.cpu));
        let wall = median(samples, |sample| sample.per_second(sample.wall));
        let ratio = *ours.get_or_insert(cpu) / cpu;
        eprintln!(
            "{name:45} {cpu:7.3} M/s of CPU  {wall:7.3} M/s of wall  tickcache is {ratio:5.2}x"
        );
    }
}

criterion_group! {
    name = benches;
    config = support::quick().sample_size(10);
    targets = end_to_end
}
criterion_main!(benches);
