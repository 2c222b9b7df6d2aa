//! How soon can a message be read, and how soon does somebody who looks for it know?
//!
//! `write to visible`: from right before a server's `write` of one frame over loopback until the
//! thread that wrote it can read the value. The frames are due 10, 100 and 1,000 us apart, whatever
//! the client does (an open loop), so that a client that is late is late for all that it makes
//! wait. One thread writes and looks: the client has the other core for itself. Ours in its three
//! modes of waiting, beside a stack as one would put it together (tokio-tungstenite,
//! `serde_json::Value` merged in a DashMap, told by `broadcast`). Each turn begins with a connection of its own.
//!
//! `bytes to seen`: no sockets. From the bytes of a message in memory until another thread, which
//! spins, has been called for it: decoding, merging, publishing, and the way to the other core.
//!
//! `publication to seen`: from right before the publication until a thread that spins has been called for it.
//! Beside it a bare counter that is stored and looked at, which is what the machine allows, and a
//! tokio `watch` that is looked at in the same way. Two readings of the clock are in all rows.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a bench reads clocks, and is run by no model"
)]

use std::hint::spin_loop;
use std::io::Write as _;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use latencies::{Race, Turn};
use server::{Server, push_frame};
use stacks::Stack;
use support::json::event;
use support::{ENTITY, id};
use tickcache::cache::{Cache, Feed, LocalFeed, Slot};
use tickcache::feed::presets::Events;
use tickcache::feed::{Claims, Class, Missing, Outbox, Protocol, Refusal, Sink};
use tickcache::json::Message;
use tickcache::{Time, Waiting};

mod support;

#[allow(dead_code, reason = "nothing is held here")]
#[path = "support/gate.rs"]
mod gate;
#[path = "support/latencies.rs"]
mod latencies;
#[allow(
    dead_code,
    reason = "here the bench itself writes, not the server's thread"
)]
#[path = "support/server.rs"]
mod server;
#[path = "support/stacks.rs"]
mod stacks;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Messages of a turn before any is measured, and those that are.
const WARM_UP: usize = 200;
const MEASURED: usize = 2_000;

/// The same, where messages are far apart.
const SELDOM: usize = 400;

const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// The message that makes the value another one for the `n`-th time.
fn message(n: usize) -> Vec<u8> {
    let payload = format!(
        r#"{{"bid":"618{:02}.63000000","bidSize":"3.788260","ask":"61837.64000000","askSize":"1.546980","sequence":400900217,"active":true}}"#,
        n % 100
    );
    event(&id(0), &payload)
}

fn frame(n: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    push_frame(&mut frame, &message(n));
    frame
}

/// Writes `count` frames, each when it is due, and looks in between how many are visible.
fn paced(
    socket: &mut TcpStream,
    (spacing, count): (Duration, usize),
    visible: &dyn Fn() -> u64,
    nanos: &mut Vec<u64>,
) {
    let frames: Vec<_> = (0..100).map(frame).collect();
    let before = visible();
    let (mut sent, mut seen) = (Vec::with_capacity(count), 0);
    let mut due = Instant::now();
    while seen < count {
        let now = Instant::now();
        if sent.len() < count && now >= due {
            // What the scheduler has made it miss is not made up for by a burst.
            due = (due + spacing).max(now);
            sent.push(Instant::now());
            let frame = &frames[sent.len() % frames.len()];
            socket.write_all(frame).expect("the client reads");
        }
        let arrived = (visible() - before) as usize;
        if arrived > seen {
            let now = Instant::now();
            let all = sent[seen..arrived].iter();
            nanos.extend(all.map(|sent| (now - *sent).as_nanos() as u64));
            seen = arrived;
        }
    }
}

/// A connection, one turn of messages over it, and its end.
fn turn(spacing: Duration, connect: impl FnOnce(&Server) -> Running) -> Turn {
    let (server, client) = Server::hand_over();
    let (visible, end) = connect(&server);
    let mut socket = client.recv().expect("a client");
    socket.set_nodelay(true).expect("a socket");
    // The first message makes the value, and whatever else is made at the beginning.
    socket.write_all(&frame(99)).expect("the client reads");
    while visible() == 0 {
        std::thread::yield_now();
    }
    let (warm_up, measured) = if spacing < Duration::from_millis(1) {
        (WARM_UP, MEASURED)
    } else {
        (WARM_UP / 10, SELDOM)
    };
    paced(&mut socket, (spacing, warm_up), &*visible, &mut Vec::new());
    let turn = Turn::of(|nanos| paced(&mut socket, (spacing, measured), &*visible, nanos));
    drop((visible, socket, server));
    end();
    turn
}

/// How many messages are visible by now, and what ends the client.
type Running = (Box<dyn Fn() -> u64>, Box<dyn FnOnce()>);

fn ours(waiting: Waiting) -> impl FnOnce(&Server) -> Running {
    move |server| {
        let cache = Cache::builder().build().expect("a thread");
        let feed = Feed::events().url(&server.url()).missing(Missing::Insert);
        let _feed = cache
            .attach(feed.waiting(waiting))
            .expect("nobody owns anything");
        let slot = cache.entity(ENTITY).slot(id(0));
        let end = move || cache.close_blocking(CLOSE_WITHIN).expect("the cache ends");
        // Every message changes the value, so every message is a publication.
        (Box::new(move || slot.epoch()), Box::new(end))
    }
}

/// Bytes of a frame.
const FRAME_BYTES: usize = 176;

/// As most write it.
const NAIVE: Stack = stacks::ALL[1];

fn naive(server: &Server) -> Running {
    // Nothing is ever held.
    let (_keeper, gate) = gate::gate(u64::MAX);
    let client = std::rc::Rc::new((NAIVE.connect)(server, gate, FRAME_BYTES));
    let counted = std::rc::Rc::clone(&client);
    let end = move || {
        let client = std::rc::Rc::into_inner(client).expect("nobody looks any more");
        assert!(client.bid(&id(0)).is_some(), "the value is there");
        client.end();
    };
    (Box::new(move || counted.received()), Box::new(end))
}

fn write_to_visible() {
    for micros in [10, 100, 1_000] {
        let spacing = Duration::from_micros(micros);
        Race::new(format!("latency/write to visible, {micros} us apart"))
            .row("tickcache, busy-poll", || {
                turn(spacing, ours(Waiting::BusyPoll))
            })
            .row("tickcache, spin 50 us then park", || {
                turn(spacing, ours(Waiting::SPIN_THEN_PARK))
            })
            .row("tickcache, block", || turn(spacing, ours(Waiting::Block)))
            .row(NAIVE.name, || turn(spacing, naive))
            .run();
    }
}

/// Nanoseconds since the process began, the same for all threads.
fn clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// When the reader has seen how many changes, and when the writer was about to publish.
#[derive(Debug, Default)]
struct Sight {
    changes: AtomicU64,
    at: AtomicU64,
}

impl Sight {
    fn note(&self) {
        self.at.store(clock(), Ordering::Relaxed);
        self.changes
            .store(self.changes.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

/// How far publications are apart: the reader is back to looking long before.
const APART_NANOS: u64 = 5_000;

/// Publishes again and again; each time until the reader has noted it. `publish` gives the time
/// from which it counts.
fn watched(sight: &Sight, mut publish: impl FnMut(usize) -> u64) -> Turn {
    let mut once = |n| {
        let until = clock() + APART_NANOS;
        while clock() < until {
            spin_loop();
        }
        let before = sight.changes.load(Ordering::Acquire);
        let begun = publish(n);
        while sight.changes.load(Ordering::Acquire) == before {
            spin_loop();
        }
        sight.at.load(Ordering::Relaxed).saturating_sub(begun)
    };
    (0..WARM_UP).for_each(|n| {
        once(n);
    });
    Turn::of(|nanos| nanos.extend((0..MEASURED).map(once)))
}

/// A protocol that says when it was through with a message: what follows is the publication.
#[derive(Clone, Debug)]
struct Timed {
    events: Events,
    through: Arc<AtomicU64>,
}

impl Protocol for Timed {
    fn name(&self) -> &str {
        self.events.name()
    }

    fn claims(&self) -> Claims {
        self.events.claims()
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let class = self.events.message(message, sink, out);
        self.through.store(clock(), Ordering::Relaxed);
        class
    }
}

/// A cache without sockets, and a thread that spins on its one slot.
struct Spun {
    cache: Cache,
    feed: LocalFeed<Timed>,
    through: Arc<AtomicU64>,
    sight: Arc<Sight>,
    reader: JoinHandle<()>,
    bytes: Vec<u8>,
    now: u64,
}

impl Spun {
    fn new() -> Self {
        let cache = Cache::builder().build().expect("a thread");
        let through = Arc::default();
        let timed = Timed {
            events: Events::new().missing(Missing::Insert),
            through: Arc::clone(&through),
        };
        let mut feed = cache
            .local(Feed::custom(timed))
            .expect("nobody owns anything");
        feed.open();
        feed.message(&mut message(99)).expect("valid");
        let entity = cache.entity(ENTITY);
        let [bid] = entity.fields(["bid"]).expect("room for a field");
        let slot: Slot = entity.slot(id(0));
        let sight: Arc<Sight> = Arc::default();
        let noted = Arc::clone(&sight);
        let reader = std::thread::spawn(move || {
            let mut last = None;
            let _ = slot.spin(|reader| {
                noted.note();
                let [value] = reader.read([bid]).even_if_stale();
                last = Some(value);
                ControlFlow::<()>::Continue(())
            });
            assert!(last.is_some(), "it has seen something");
        });
        // The present value counts as a change.
        while sight.changes.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        Self {
            cache,
            feed,
            through,
            sight,
            reader,
            bytes: Vec::new(),
            now: 1,
        }
    }

    /// One turn; `from_bytes`: the time counts from there, else from the publication.
    fn turn(mut self, from_bytes: bool) -> Turn {
        let messages: Vec<_> = (0..100).map(message).collect();
        let sight = Arc::clone(&self.sight);
        let turn = watched(&sight, |n| {
            self.bytes.clear();
            self.bytes.extend_from_slice(&messages[n % messages.len()]);
            self.now += 1;
            let mut batch = self.feed.batch_at(Time::from_nanos(self.now));
            let begun = clock();
            batch.message(&mut self.bytes).expect("valid");
            if from_bytes {
                begun
            } else {
                self.through.load(Ordering::Relaxed)
            }
        });
        self.cache
            .close_blocking(CLOSE_WITHIN)
            .expect("the cache ends");
        self.reader.join().expect("the reader ends");
        turn
    }
}

/// A thread that looks at something until it is told to end.
fn looking(
    sight: &Arc<Sight>,
    mut has_changed: impl FnMut() -> bool + Send + 'static,
) -> (Arc<AtomicU64>, JoinHandle<()>) {
    let stop: Arc<AtomicU64> = Arc::default();
    let (sight, stopped) = (Arc::clone(sight), Arc::clone(&stop));
    let thread = std::thread::spawn(move || {
        while stopped.load(Ordering::Relaxed) == 0 {
            if has_changed() {
                sight.note();
            }
            spin_loop();
        }
    });
    (stop, thread)
}

fn bare_counter() -> Turn {
    let (word, sight): (Arc<AtomicU64>, Arc<Sight>) = (Arc::default(), Arc::default());
    let (looked, mut last) = (Arc::clone(&word), 0);
    let (stop, thread) = looking(&sight, move || {
        let now = looked.load(Ordering::Acquire);
        std::mem::replace(&mut last, now) != now
    });
    let turn = watched(&sight, |_| {
        let begun = clock();
        word.store(word.load(Ordering::Relaxed) + 1, Ordering::Release);
        begun
    });
    stop.store(1, Ordering::Relaxed);
    thread.join().expect("it ends");
    turn
}

fn tokio_watch() -> Turn {
    let sight: Arc<Sight> = Arc::default();
    let (sender, mut receiver) = tokio::sync::watch::channel(support::Ticker::default());
    let (stop, thread) = looking(&sight, move || {
        let changed = receiver.has_changed().unwrap_or(false);
        if changed {
            std::hint::black_box(*receiver.borrow_and_update());
        }
        changed
    });
    let turn = watched(&sight, |n| {
        let ticker = support::Ticker::at(n);
        let begun = clock();
        sender.send_replace(ticker);
        begun
    });
    stop.store(1, Ordering::Relaxed);
    thread.join().expect("it ends");
    turn
}

fn in_process() {
    Race::new("latency/bytes to seen on another core")
        .row("tickcache, from the bytes of a message", || {
            Spun::new().turn(true)
        })
        .run();
    Race::new("latency/publication to seen on another core")
        .row("tickcache, Slot::spin", || Spun::new().turn(false))
        .row("a bare counter", bare_counter)
        .row("tokio watch", tokio_watch)
        .run();
}

fn main() {
    write_to_visible();
    in_process();
}
