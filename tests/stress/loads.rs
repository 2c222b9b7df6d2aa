//! Loads by the million: a feed publishes as fast as it can, and threads that live for a few thousand
//! loads read what it says as fast as they can.
//!
//! Each load is checked: its members belong together, and neither number nor epoch goes back.
//! `TICKCACHE_LOADS=1000000000` for as many by hand, in release mode.

use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use tickcache::feed::Missing;
use tickcache::feed::presets::Events;
use tickcache::record::Mode;
use tickcache::{Cache, Feed, Field, LocalFeed, Slot, Value};

const LOADS: u64 = 400_000;
/// What a thread reads before another one takes its place.
const LIFE: u64 = 20_000;
/// Threads at a time: more than there are cores, so that some stop in the middle of a load.
const READERS: usize = 4;
const SLOTS: u64 = 4;
/// Messages of one id in a row: whoever stops in the middle of a load is overtaken by one, two, three.
const RUN: u64 = 64;
const WIDE: usize = 40;
const NAMES: [&str; 3] = ["n", "beside", "text"];
/// Every so often a text outgrows its cell, and every so often a member comes that was never there.
const LONG_EVERY: u64 = 97;
const GROWS_EVERY: u64 = 100_000;

/// Of a value's number: what is said beside it.
const fn beside(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Members that only the first values have, to make versions that take a while to copy.
fn wide() -> String {
    let mut out = String::new();
    for at in 0..WIDE {
        out += &format!(r#","w{at}":"{at:014}""#);
    }
    out
}

fn message(n: u64, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let (id, text) = (
        n / RUN % SLOTS,
        if n.is_multiple_of(LONG_EVERY) { 60 } else { 9 },
    );
    out.clear();
    let beside = beside(n);
    let written = write!(
        out,
        r#"{{"entity":"e","id":{id},"payload":{{"n":{n},"beside":{beside},"text":"{n:0text$}""#
    );
    written.expect("memory takes everything");
    if n < RUN * SLOTS {
        out.extend_from_slice(wide().as_bytes());
    }
    if n.is_multiple_of(GROWS_EVERY) {
        let written = write!(out, r#","m{}":1"#, n / GROWS_EVERY);
        written.expect("memory takes everything");
    }
    out.extend_from_slice(b"}}");
}

/// The number of a value, 0 for none.
///
/// # Panics
/// If its members are not of one value.
fn number([n, other, text]: &[Value; 3]) -> u64 {
    let Ok(n) = n.u64() else {
        assert!(other.is_missing() && text.is_missing(), "torn: {other:?}");
        return 0;
    };
    assert_eq!(other.u64(), Ok(beside(n)), "torn: beside {n}");
    let text = text.str().expect("a text beside a number");
    assert_eq!(text.parse(), Ok(n), "torn: the text of {n}");
    n
}

/// What one thread has seen of one slot.
struct Seen {
    slot: Slot,
    n: u64,
    epoch: u64,
}

impl Seen {
    fn note(&mut self, n: u64, epoch: u64) {
        assert!(n >= self.n, "{n} after {}", self.n);
        assert!(epoch >= self.epoch, "epoch {epoch} after {}", self.epoch);
        (self.n, self.epoch) = (n, epoch);
    }

    fn load(&mut self, fields: [Field; 3], way: u64) {
        match way % 32 {
            0..2 => {
                let snapshot = self.slot.snapshot();
                let record = snapshot.record();
                let read = NAMES.map(|name| record.get(name));
                self.note(number(&read), snapshot.epoch());
            }
            2..8 => {
                let (read, epoch) = self.slot.read_all(|view| {
                    let record = view.record();
                    (NAMES.map(|name| record.get(name)), view.epoch())
                });
                self.note(number(&read), epoch);
            }
            8..16 => {
                if let Ok(read) = self.slot.live(fields) {
                    self.note(number(&read), self.epoch);
                }
            }
            _ => {
                let reading = self.slot.read(fields);
                let epoch = reading.epoch();
                self.note(number(&reading.even_if_stale()), epoch);
            }
        }
    }
}

/// Publishes until everything has been read; how often it did.
fn publish(feed: &mut LocalFeed<Events>, done: &AtomicBool) -> u64 {
    let mut text = Vec::new();
    let mut n = 0;
    while !done.load(Ordering::Acquire) {
        let mut batch = feed.batch();
        for _ in 0..256 {
            n += 1;
            message(n, &mut text);
            batch.message(&mut text).expect("nothing is wrong with it");
        }
    }
    let counters = feed.counters();
    assert!(counters.balanced() && counters.applied == n, "{counters:?}");
    n
}

#[test]
fn no_load_is_torn_or_goes_back() {
    let loads = env::var("TICKCACHE_LOADS").map_or(LOADS, |text| text.parse().expect("a number"));
    let cache = Cache::builder().build().expect("a cache");
    let feed = Feed::events()
        .merge(Mode::Merge)
        .missing(Missing::Insert)
        .entities(["e"]);
    let mut feed = cache.local(feed).expect("nobody owns it");
    feed.open();
    let entity = cache.entity("e");
    let fields = entity.fields(NAMES).expect("room");
    let (done, lives) = (AtomicBool::new(false), AtomicU64::new(0));
    // A life that is only begun counts, so that none too few are lived.
    let next = || lives.fetch_add(1, Ordering::Relaxed) < loads.div_ceil(LIFE);
    let live = |turn: u64| {
        let mut seen: Vec<_> = (0..SLOTS)
            .map(|id| Seen {
                slot: entity.slot(id),
                n: 0,
                epoch: 0,
            })
            .collect();
        for at in 0..LIFE {
            // A few loads in a row of the same slot, so that one meets the next publication.
            seen[((at / 4 + turn) % SLOTS) as usize].load(fields, at + turn);
        }
    };
    let published = thread::scope(|scope| {
        let writer = scope.spawn(|| publish(&mut feed, &done));
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut turn = 0;
                    while next() {
                        turn += 1;
                        let life = thread::scope(|scope| scope.spawn(|| live(turn)).join());
                        life.expect("it saw nothing wrong");
                    }
                })
            })
            .collect();
        let seen: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        done.store(true, Ordering::Release);
        for each in seen {
            each.expect("it saw nothing wrong");
        }
        writer.join().expect("it says nothing wrong")
    });
    let lives = loads.div_ceil(LIFE);
    let loads = lives * LIFE;
    println!("loads: {loads} by {lives} threads beside {published} publications, 0 violations");
}
