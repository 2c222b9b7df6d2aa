//! How long do short messages wait behind a snapshot of five megabytes?
//!
//! A server writes one frame of 20,000 whole values, five megabytes together, and right behind it 64
//! frames of one value each, of other ids. What is measured, with the clock on the wall, is the time
//! from when the last byte of the snapshot was handed to the kernel until a task that waits for the
//! first, or the last, of the short ones has been told; and until the last value of the snapshot is
//! there. First with nothing in front of the short ones, then with the snapshot taken apart where
//! it comes, then elsewhere. The three take turns, so that all see the same machine; a table of
//! medians, 90th percentiles and maxima follows.
//!
//! Of the second and third line the difference is what a long message does to its neighbours. On a
//! machine with few cores both also have the reading of the frame in them, and the server.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a bench reads clocks, and is run by no model"
)]

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tickcache::{Cache, Feed, FeedRef, Watch};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VALUES: usize = 20_000;
const SHORT: usize = 64;
const ROUNDS: usize = 60;
const LONG: Duration = Duration::from_secs(60);

fn event(entity: &str, id: usize, n: usize) -> String {
    format!(
        r#"{{"entity":"{entity}","id":{id},"payload":{{"n":{n},"bid":"61837.63000000","bidSize":"3.788260","ask":"61837.64000000","askSize":"1.546980","last":"61837.63","volume":"8913.34812000","low":"60812.12000000","high":"62745.14000000","count":1815{id},"active":true}}}}"#
    )
}

fn push_frame(frames: &mut Vec<u8>, payload: &[u8]) {
    match u16::try_from(payload.len()) {
        Ok(len) => {
            frames.extend([0x81, 126]);
            frames.extend(len.to_be_bytes());
        }
        Err(_) => {
            frames.extend([0x81, 127]);
            frames.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frames.extend(payload);
}

/// The frames of one round: the snapshot, and what is behind it.
fn frames(n: usize) -> (Vec<u8>, Vec<u8>) {
    let values: Vec<_> = (0..VALUES).map(|id| event("snapshot", id, n)).collect();
    let (mut long, mut short) = (Vec::new(), Vec::new());
    push_frame(&mut long, format!("[{}]", values.join(",")).as_bytes());
    for id in 0..SHORT {
        push_frame(&mut short, event("short", id, n).as_bytes());
    }
    (long, short)
}

/// Writes when it is told to, and says when the snapshot was written.
fn serve(
    listener: &TcpListener,
    orders: &Receiver<usize>,
    written: &Sender<Instant>,
    with_long: bool,
) {
    let (stream, _) = listener.accept().expect("a client");
    let mut socket = tungstenite::accept(stream).expect("a handshake");
    let stream: &mut TcpStream = socket.get_mut();
    for n in orders {
        let (long, short) = frames(n);
        if with_long {
            stream.write_all(&long).expect("a client that reads");
        }
        written.send(Instant::now()).expect("somebody measures");
        stream.write_all(&short).expect("a client that reads");
    }
}

/// One way of taking the snapshot.
struct Way {
    name: &'static str,
    orders: Sender<usize>,
    written: Receiver<Instant>,
    /// The first and the last of the short ones, and the last of the snapshot.
    watches: Vec<Watch>,
    feed: FeedRef,
    delays: Vec<Vec<Duration>>,
    _cache: Cache,
}

impl Way {
    fn new(name: &'static str, with_long: bool, bulk_above: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("ws://{}/", listener.local_addr().expect("bound"));
        let (orders, ordered) = channel();
        let (wrote, written) = channel();
        std::thread::spawn(move || serve(&listener, &ordered, &wrote, with_long));
        let cache = Cache::builder().build().expect("a cache");
        let feed = Feed::events()
            .whole()
            .entities(["short", "snapshot"])
            .url(&url)
            .settings(|settings| settings.bulk_above = bulk_above);
        let feed = cache.attach(feed).expect("attached");
        let mut slots = vec![("short", 0), ("short", SHORT - 1)];
        if with_long {
            slots.push(("snapshot", VALUES - 1));
        }
        let watches = slots
            .into_iter()
            .map(|(entity, id)| cache.entity(entity).slot(id as i64).watch());
        Self {
            name,
            orders,
            written,
            watches: watches.collect(),
            feed,
            delays: Vec::new(),
            _cache: cache,
        }
    }

    fn round(&mut self, n: usize) {
        self.orders.send(n).expect("a server");
        let written = self.written.recv().expect("a server");
        // One waits for each, or waiting for one would hide another.
        let delays = std::thread::scope(|scope| {
            let waits = self.watches.iter_mut().map(|watch| {
                scope.spawn(move || {
                    while watch.slot().snapshot().record().get("n").u64().ok() != Some(n as u64) {
                        let _ = watch.wait(LONG);
                    }
                    written.elapsed()
                })
            });
            let waits: Vec<_> = waits.collect();
            let delays = waits.into_iter().map(|wait| wait.join().expect("no panic"));
            delays.collect()
        });
        self.delays.push(delays);
    }

    fn report(&self) {
        for (at, what) in ["first behind", "last behind", "the long one"]
            .iter()
            .enumerate()
            .take(self.watches.len())
        {
            let mut delays: Vec<_> = self.delays.iter().map(|delays| delays[at]).collect();
            delays.sort();
            let millis = |at: usize| delays[at.min(delays.len() - 1)].as_secs_f64() * 1e3;
            println!(
                "{:24} {:14} {:9.3} {:9.3} {:9.3}",
                self.name,
                what,
                millis(delays.len() / 2),
                millis(delays.len() * 9 / 10),
                millis(delays.len()),
            );
        }
        let counted = self.feed.counters();
        assert!(counted.balanced() && counted.refused == 0, "{counted:?}");
    }
}

fn main() {
    // Run as a test, it only shows that it works.
    let rounds = if std::env::args().any(|arg| arg == "--bench") {
        ROUNDS
    } else {
        2
    };
    let mut ways = [
        Way::new("nothing in front", false, usize::MAX),
        Way::new("where it comes", true, usize::MAX),
        Way::new("elsewhere", true, 256 << 10),
    ];
    for n in 1..=rounds + 1 {
        for way in &mut ways {
            way.round(n);
        }
    }
    println!(
        "{:24} {:14} {:>9} {:>9} {:>9}   ms, {rounds} rounds",
        "a snapshot of 5 MB", "", "median", "p90", "max"
    );
    for way in &mut ways {
        // The first makes slots, schemas and buffers.
        way.delays.remove(0);
        way.report();
    }
}
