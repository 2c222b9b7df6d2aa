//! Several connections of one feed, over real sockets: whichever of them goes, nothing that a
//! reader sees turns stale, and nothing is lost.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a server with a pace and a bound on waiting, beside the library"
)]

mod kit;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kit::LONG;
use tickcache::feed::Protocol;
use tickcache::{
    Backoff, Cache, Endpoint, Feed, FeedRef, FeedStatus, Freshness, Record, Role, Slot, State,
};
use tungstenite::{Message, WebSocket};

/// A server that says the same on all of its connections.
struct Venue {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    lines: Mutex<Vec<Line>>,
    /// What a connection is told first.
    last: Mutex<Option<String>>,
    stop: AtomicBool,
    accepted: AtomicU64,
}

struct Line {
    socket: WebSocket<TcpStream>,
    /// Neither read nor written any more, and not closed.
    frozen: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Venue {
    fn open() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if own.stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut socket) = stream.map_err(drop).and_then(|stream| {
                    stream.set_nodelay(true).map_err(drop)?;
                    tungstenite::accept(stream).map_err(drop)
                }) else {
                    continue;
                };
                // Under the lock, or what is said meanwhile would be missing.
                let mut lines = lock(&own.lines);
                if let Some(last) = &*lock(&own.last) {
                    let _ = socket.send(Message::text(last.clone()));
                }
                let stream = socket.get_ref();
                stream.set_nonblocking(true).expect("a socket");
                own.accepted.fetch_add(1, Ordering::Relaxed);
                let frozen = false;
                lines.push(Line { socket, frozen });
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Says something on every connection, and reads what the clients say.
    fn say(&self, [text, first]: &[String; 2]) {
        let mut lines = lock(&self.shared.lines);
        *lock(&self.shared.last) = Some(first.clone());
        lines.retain_mut(|line| line.frozen || line.say(text).is_some());
    }

    /// Says something once, that a later connection is not told.
    fn tell(&self, text: &str) {
        let mut lines = lock(&self.shared.lines);
        lines.retain_mut(|line| line.frozen || line.say(text).is_some());
    }

    /// Cuts every connection.
    fn kill(&self) {
        for line in lock(&self.shared.lines).drain(..) {
            let _ = line.socket.get_ref().shutdown(Shutdown::Both);
        }
    }

    /// Goes on with none of the present connections, and closes none.
    fn freeze(&self) {
        for line in lock(&self.shared.lines).iter_mut() {
            line.frozen = true;
        }
    }

    fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Line {
    /// `None` once the client is gone.
    fn say(&mut self, text: &str) -> Option<()> {
        let mut bytes = [0; 256];
        // A client says goodbye, or hangs up.
        match self.socket.get_mut().read(&mut bytes) {
            Ok(0) => return None,
            Ok(read) if says_goodbye(&bytes[..read]) => {
                let _ = self.socket.get_mut().write_all(&[0x88, 0]);
                return None;
            }
            _ => {}
        }
        self.socket.send(Message::text(text)).ok()
    }
}

/// Whether there is a close frame among a client's, which are short and come whole.
fn says_goodbye(mut bytes: &[u8]) -> bool {
    while let [first, second, rest @ ..] = bytes {
        if *first == 0x88 {
            return true;
        }
        let mask = 4;
        let (wide, len) = match (second & 0x7F, rest) {
            (126, [high, low, ..]) => (2, usize::from(u16::from_be_bytes([*high, *low]))),
            (len, _) => (0, usize::from(len)),
        };
        bytes = rest.get(wide + mask + len..).unwrap_or_default();
    }
    false
}

impl Drop for Venue {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the one who accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is said for a number, and what a connection is told first from then on.
type Text = fn(u64) -> [String; 2];

/// A stream of numbered values of one id, on all connections of all venues, until it is ended.
struct Stream {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Stream {
    fn start(venues: &[&Arc<Venue>], text: Text) -> Self {
        let venues: Vec<_> = venues.iter().map(|venue| Arc::clone(venue)).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut number = 2;
            while !stopped.load(Ordering::Relaxed) {
                number += 1;
                for venue in &venues {
                    venue.say(&text(number));
                }
                // A pace, so that a frozen client's buffers last.
                thread::sleep(Duration::from_millis(1));
            }
            number
        });
        Self { stop, thread }
    }

    /// The last number.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the stream")
    }
}

/// A reader that looks all the time, once the value is live: how it is worth, and whether a number
/// ever goes back.
struct Eye {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Vec<Freshness>, u64)>,
}

impl Eye {
    /// `rises`: older values are told from newer ones.
    fn open(slot: Slot, name: &'static str, rises: bool) -> Self {
        until(|| slot.freshness().is_live());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut seen, mut last, mut looks) = (Vec::new(), 0, 0);
            while !stopped.load(Ordering::Relaxed) {
                let snapshot = slot.snapshot();
                let freshness = snapshot.freshness();
                if !seen.contains(&freshness) {
                    seen.push(freshness);
                }
                let number = snapshot.record().get(name).u64().expect("a number");
                assert!(!rises || number >= last, "{last} and then {number}");
                last = number;
                looks += 1;
            }
            (seen, looks)
        });
        Self { stop, thread }
    }

    /// Every look was at a live value.
    #[track_caller]
    fn saw_nothing_stale(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (seen, looks) = self.thread.join().expect("the reader");
        assert_eq!(seen, [Freshness::Live], "in {looks} looks");
        assert!(looks > 0);
    }
}

#[track_caller]
fn until(done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LONG, "it never comes");
        thread::yield_now();
    }
}

/// Waits until the feed stands as wanted.
#[track_caller]
fn stands(feed: &FeedRef, wanted: impl Fn(&FeedStatus) -> bool) {
    let started = Instant::now();
    while !wanted(&feed.state()) {
        assert!(started.elapsed() < LONG, "{:?}", feed.state());
        thread::yield_now();
    }
}

fn both_ready(status: &FeedStatus) -> bool {
    let ready = |role| {
        let mut legs = status.legs.iter();
        legs.any(|leg| leg.role == role && leg.ready && !leg.silent)
    };
    ready(Role::Shown) && ready(Role::Backup)
}

/// Number of the connection that is shown.
fn shown(feed: &FeedRef) -> u64 {
    feed.state().legs.first().map_or(0, |leg| leg.generation)
}

fn quick<P: Protocol>(feed: Feed<P>) -> Feed<P> {
    feed.backoff(Backoff::fixed(Duration::from_millis(1)))
        .settings(|settings| {
            settings.close_timeout = Duration::from_millis(50);
            settings.answer_timeout = Duration::from_millis(100);
        })
}

fn twice(text: String) -> [String; 2] {
    [text.clone(), text]
}

fn plain(number: u64) -> [String; 2] {
    twice(format!(
        r#"{{"entity":"job","id":1,"payload":{{"n":{number}}}}}"#
    ))
}

fn numbered(number: u64) -> [String; 2] {
    twice(format!(
        r#"{{"stream":"x@bookTicker","data":{{"u":{number},"s":"X","b":"{number}","B":"1","a":"2","A":"1"}}}}"#
    ))
}

/// Each number is said in one of three members; a connection begins with all of them.
fn patched(number: u64) -> [String; 2] {
    let name = ["a", "b", "c"][(number % 3) as usize];
    let patch = kit::patch("1", &format!(r#"{{"n":{number},"{name}":{number}}}"#));
    [patch, kit::whole("1", &members(number))]
}

fn members(number: u64) -> String {
    let last = |residue| number - (number + 3 - residue) % 3;
    let (a, b, c) = (last(0), last(1), last(2));
    format!(r#"{{"n":{number},"a":{a},"b":{b},"c":{c}}}"#)
}

fn events(first: &Venue, second: &Venue) -> Feed<tickcache::feed::presets::Events> {
    let feed = Feed::events().entities(["job"]).url(&first.url());
    quick(feed).redundant_via(Endpoint::new(second.url()))
}

/// Kills the venue of the shown connection, again and again, the other one's next.
fn kill_by_turns<P: Protocol + Clone>(
    feed: Feed<P>,
    venues: [&Arc<Venue>; 2],
    text: Text,
    (entity, id, name): (&str, &str, &'static str),
    rises: bool,
) -> Record {
    let cache = Cache::builder().build().expect("a cache");
    // Or there would be nothing to begin with.
    venues.iter().for_each(|venue| venue.say(&text(2)));
    let feed = cache.attach(feed).expect("attached");
    let slot = match id.parse::<i64>() {
        Ok(number) => cache.entity(entity).slot(number),
        Err(_) => cache.entity(entity).slot(id),
    };
    let stream = Stream::start(&venues, text);
    stands(&feed, both_ready);
    let eye = Eye::open(slot.clone(), name, rises);
    for round in 0..6 {
        stands(&feed, both_ready);
        venues[round % 2].kill();
        // Whichever it was, it is replaced.
        until(|| feed.counters().opens >= 3 + round as u64);
    }
    let last = stream.end();
    let number = || slot.snapshot().record().get(name).u64();
    until(|| number() == Ok(last));
    eye.saw_nothing_stale();
    let counters = feed.counters();
    assert!(counters.balanced(), "{counters:?}");
    assert_eq!((counters.losses, counters.gaps), (6, 0), "{counters:?}");
    assert!(counters.promotions >= 1, "{counters:?}");
    assert_eq!(feed.state().generation, 1, "the feed itself never went");
    cache.close_blocking(LONG).expect("every thread ends");
    assert_eq!(feed.state().state, State::Stopped);
    slot.snapshot().record().clone()
}

fn venues() -> [Arc<Venue>; 2] {
    [Arc::new(Venue::open()), Arc::new(Venue::open())]
}

#[test]
fn numbered_values_survive_the_loss_of_either_connection() {
    let [one, two] = venues();
    let feed = Feed::binance_spot().book_ticker(["X"]);
    let feed = quick(feed)
        .endpoint(Endpoint::new(one.url()))
        .redundant_via(Endpoint::new(two.url()));
    let place = ("binance-spot.bookTicker", "X", "u");
    kill_by_turns(feed, [&one, &two], numbered, place, true);
}

#[test]
fn values_without_numbers_survive_the_loss_of_either_connection() {
    let [one, two] = venues();
    let feed = events(&one, &two).whole();
    kill_by_turns(feed, [&one, &two], plain, ("job", "1", "n"), false);
}

#[test]
fn patches_survive_the_loss_of_either_connection() {
    let [one, two] = venues();
    let feed = quick(kit::venue())
        .endpoint(Endpoint::new(one.url()))
        .redundant_via(Endpoint::new(two.url()));
    let shown = kill_by_turns(feed, [&one, &two], patched, (kit::BOOK, "1", "n"), false);
    let number = shown.get("n").u64().expect("a number");
    assert_eq!(shown.to_json(), members(number));
}

#[test]
fn a_connection_that_freezes_is_noticed_by_its_silence() {
    let [one, two] = venues();
    let feed = events(&one, &two)
        .whole()
        .silent_after(Duration::from_secs(2));
    let cache = Cache::builder().build().expect("a cache");
    let feed = cache.attach(feed).expect("attached");
    let slot = cache.entity("job").slot(1);
    let stream = Stream::start(&[&one, &two], plain);
    stands(&feed, both_ready);
    let eye = Eye::open(slot.clone(), "n", false);
    let before = shown(&feed);
    // The venue of the shown connection.
    let peer = feed.state().legs[0].peer.expect("connected");
    let frozen = if peer == one.address { &one } else { &two };
    frozen.freeze();
    stands(&feed, |status| {
        status
            .legs
            .first()
            .is_some_and(|leg| leg.generation != before)
    });
    let last = stream.end();
    until(|| slot.snapshot().record().get("n").u64() == Ok(last));
    eye.saw_nothing_stale();
    let counters = feed.counters();
    assert_eq!((counters.promotions, counters.losses), (1, 0));
    cache.close_blocking(LONG).expect("every thread ends");
}

#[test]
fn connections_are_replaced_before_their_time_is_up() {
    for redundant in [false, true] {
        let venue = Arc::new(Venue::open());
        let feed = Feed::events().whole().entities(["job"]).url(&venue.url());
        let feed = quick(feed).lifetime(Duration::from_millis(300));
        let feed = if redundant { feed.redundant() } else { feed };
        let cache = Cache::builder().build().expect("a cache");
        let feed = cache.attach(feed).expect("attached");
        let slot = cache.entity("job").slot(1);
        let stream = Stream::start(&[&venue], plain);
        let eye = Eye::open(slot.clone(), "n", false);
        until(|| feed.counters().rotations >= 5);
        let last = stream.end();
        until(|| slot.snapshot().record().get("n").u64() == Ok(last));
        eye.saw_nothing_stale();
        let counters = feed.counters();
        assert_eq!((counters.losses, feed.state().generation), (0, 1));
        assert!(venue.accepted() > counters.rotations);
        cache.close_blocking(LONG).expect("every thread ends");
    }
}

#[test]
fn a_notice_is_followed_by_a_successor_and_no_stale_moment() {
    let venue = Arc::new(Venue::open());
    let feed = Feed::binance_spot().book_ticker(["X"]);
    let feed = quick(feed).endpoint(Endpoint::new(venue.url()));
    let cache = Cache::builder().build().expect("a cache");
    let feed = cache.attach(feed).expect("attached");
    let slot = cache.entity("binance-spot.bookTicker").slot("X");
    let stream = Stream::start(&[&venue], numbered);
    let eye = Eye::open(slot.clone(), "u", true);
    for round in 1..=3 {
        venue.tell(r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown"}}"#);
        until(|| feed.counters().rotations >= round);
        stands(&feed, |status| status.legs.len() == 1);
    }
    let last = stream.end();
    until(|| slot.snapshot().record().get("u").u64() == Ok(last));
    eye.saw_nothing_stale();
    let counters = feed.counters();
    assert_eq!((counters.losses, feed.state().generation), (0, 1));
    assert!(counters.balanced(), "{counters:?}");
    cache.close_blocking(LONG).expect("every thread ends");
}
