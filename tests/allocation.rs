//! Steady state allocates nothing for a message, and reading allocates nothing: counted.
//!
//! Every allocation is counted for the thread that makes it, so that what tests and other threads
//! do beside it does not disturb the count.

#![allow(unsafe_code, reason = "an allocator that counts has to be one")]

mod kit;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::PathBuf;

use kit::open;
use tickcache::feed::{Envelope, MessageKind, Missing, Protocol};
use tickcache::{Feed, LocalFeed, Slot};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the system allocator's conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often `f` allocates on this thread.
fn allocations(f: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    f();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![0u8; 9]))), 1);
    let mut bytes = vec![0u8; 1];
    assert_eq!(allocations(|| bytes.reserve_exact(1000)), 1);
}

/// Takes all messages, one batch for every seven. What a message needs to be decoded in place is
/// copied beforehand.
fn play<P: Protocol>(feed: &mut LocalFeed<P>, messages: &mut [Vec<u8>]) {
    for batch in messages.chunks_mut(7) {
        let mut taken = feed.batch();
        for message in batch {
            // Refusals are part of some captures, and counted.
            let _ = taken.message(message);
        }
    }
}

/// Two rounds of messages bring everything to its size; a third one allocates nothing.
fn check<P: Protocol>(feed: &mut LocalFeed<P>, round: impl Fn(u64) -> Vec<String>) {
    let bytes = |number| -> Vec<_> { round(number).into_iter().map(String::into_bytes).collect() };
    for number in 0..2 {
        play(feed, &mut bytes(number));
    }
    let before = feed.counters();
    let mut third = bytes(2);
    let allocated = allocations(|| play(feed, &mut third));
    let after = feed.counters();
    assert_eq!(after.messages - before.messages, third.len() as u64);
    assert!(
        after.applied > before.applied,
        "something is published: {after:?}"
    );
    assert!(after.balanced(), "{after:?}");
    assert_eq!(allocated, 0, "allocations for {} messages", third.len());
}

/// A random walk without a generator: the same every time, and nothing repeats soon.
fn walk(step: u64) -> u64 {
    step.wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
        >> 33
}

/// A round of 700; the numbers of updates go on rising.
fn book_tickers(round: u64) -> Vec<String> {
    let symbols = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "1000SATSUSDT", "DOGEUSDT"];
    let one = |step| {
        let symbol = symbols[(walk(step) % 5) as usize];
        let (price, size) = (walk(step + 7) % 1_000_000, walk(step + 11) % 100_000);
        format!(
            r#"{{"stream":"{}@bookTicker","data":{{"u":{},"s":"{symbol}","b":"{price}.{size:08}","B":"{size}.00000000","a":"{}.5","A":"{size}"}}}}"#,
            symbol.to_lowercase(),
            400_900_217 + step,
            price + 1,
        )
    };
    (700 * round..700 * (round + 1)).map(one).collect()
}

#[test]
fn book_tickers_allocate_nothing_with_and_without_a_waiter() {
    let (cache, mut feed) = open(Feed::binance_spot().book_ticker(["BTCUSDT"]));
    check(&mut feed, book_tickers);
    let mut watch = cache
        .entity("binance-spot.bookTicker")
        .slot("BTCUSDT")
        .watch();
    watch.take().expect("a value");
    let waiter = std::thread::spawn(move || {
        while let Ok(tick) = watch.wait(kit::LONG) {
            std::hint::black_box(tick);
        }
    });
    check(&mut feed, |round| book_tickers(3 + round));
    cache
        .close_blocking(kit::LONG)
        .expect("nothing holds it up");
    waiter.join().expect("the waiter");
}

#[test]
fn events_allocate_nothing_whatever_they_do() {
    let (_cache, mut feed) = open(Feed::events().missing(Missing::Insert));
    let one = |step: u64| {
        let (id, n) = (walk(step) % 20, walk(step + 3));
        match step % 20 {
            11 => format!(r#"{{"entity":"job","id":{id}}}"#),
            13 => format!(r#"{{"entity":"job","id":{id},"payload":null}}"#),
            17 => {
                format!(r#"{{"payload":{{"note":"\u00e9\n{n}"}},"id":"x{id}","entity":"order"}}"#)
            }
            19 => format!(
                r#"[{{"entity":"job","id":{id},"payload":{{"n":{n}}}}},{{"entity":"order","id":"x1","payload":{{"n":[{n},2,3]}}}}]"#
            ),
            _ => format!(
                r#"{{"entity":"job","id":{id},"payload":{{"status":"running","progress":{{"done":{n},"of":1e9}},"tags":["a","b",{n}],"error":null}}}}"#
            ),
        }
    };
    let messages: Vec<_> = (0..600).map(one).collect();
    check(&mut feed, |_| messages.clone());
}

/// Kraken's first protocol: arrays of channel number, payload, channel name and pair.
fn kraken() -> Feed<Envelope> {
    let kraken = Envelope::builder("kraken")
        .entity("/2")
        .prefix("kraken.")
        .entities(["ticker", "book-1000"])
        .id("/3")
        .payload("/1")
        .control_if("/event")
        .default_kind(MessageKind::Whole);
    Feed::envelope(kraken.build().expect("the pointers are right"))
}

#[test]
fn tickers_made_of_arrays_allocate_nothing() {
    let (cache, mut feed) = open(kraken());
    let one = |step: u64| {
        let (pair, price, size) = (
            walk(step) % 4,
            walk(step + 1) % 100_000,
            walk(step + 2) % 5000,
        );
        let members: Vec<_> = ["a", "b", "c", "v", "p", "t", "l", "h", "o"]
            .iter()
            .map(|name| format!(r#""{name}":["{price}.100000",{size},"{size}.72892241"]"#))
            .collect();
        format!(
            r#"[{},{{{}}},"ticker","P{pair}/EUR"]"#,
            1668 + pair,
            members.join(",")
        )
    };
    let mut messages: Vec<_> = (0..400).map(one).collect();
    messages.push(r#"{"event":"heartbeat"}"#.to_owned());
    messages
        .push(r#"[119,[["5541.2","0.15","1534614057.3","s","l",""]],"trade","P1/EUR"]"#.to_owned());
    check(&mut feed, |_| messages.clone());
    assert_eq!(cache.entity("kraken.ticker").len(), 4);
}

/// Envelopes of files, with what makes them work: conditions, cuts, items in items, names of members,
/// texts that are put together, numbers in texts, times as texts, numbers of the connection.
#[cfg(feature = "toml")]
#[test]
fn envelopes_of_files_allocate_nothing() {
    let files = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/envelopes");
    let feed = |name: &str| {
        let text = std::fs::read_to_string(files.join(name)).expect("a file");
        open(Feed::envelope(
            Envelope::from_toml(&text)
                .expect("a right file")
                .listening(),
        ))
    };
    let (_cache, mut kucoin) = feed("kucoin.toml");
    check(&mut kucoin, |round| {
        let one = |step: u64| {
            let symbol = ["BTC-USDT", "ETH-USDT", "XRP-USDT"][(step % 3) as usize];
            let price = walk(step) % 100_000;
            match step % 7 {
                0 => format!(r#"{{"type":"pong","id":"{step}"}}"#),
                1 => format!(r#"{{"type":"message","topic":"/market/level2:{symbol}"}}"#),
                _ => format!(
                    r#"{{"type":"message","topic":"/market/ticker:{symbol}","subject":"trade.ticker","data":{{"sequence":"{step}","price":"{price}","time":{}}}}}"#,
                    1_550_653_727_731 + step
                ),
            }
        };
        (700 * round..700 * (round + 1)).map(one).collect()
    });
    let (_cache, mut coinbase) = feed("coinbase-advanced.toml");
    check(&mut coinbase, |round| {
        let one = |step: u64| {
            let price = walk(step) % 100_000;
            let ticker =
                |id| format!(r#"{{"type":"ticker","product_id":"{id}","price":"{price}.{step}"}}"#);
            format!(
                r#"{{"channel":"ticker","timestamp":"2026-08-09T21:05:48.{:09}Z","sequence_num":{step},"events":[{{"type":"update","tickers":[{},{}]}}]}}"#,
                step,
                ticker("BTC-USD"),
                ticker("ETH-USD")
            )
        };
        (500 * round..500 * (round + 1)).map(one).collect()
    });
    let (_cache, mut gate) = feed("gate.toml");
    check(&mut gate, |round| {
        let one = |step: u64| {
            let (price, pair) = (walk(step) % 1000, step % 5);
            format!(
                r#"{{"time":1,"time_ms":{},"channel":"futures.tickers","event":"update","result":[{{"contract":"P{pair}","last":"{price}"}}]}}"#,
                1_541_659_086_000 + step
            )
        };
        (500 * round..500 * (round + 1)).map(one).collect()
    });
    let (_cache, mut hitbtc) = feed("hitbtc.toml");
    check(&mut hitbtc, |round| {
        let one = |step: u64| {
            let price = walk(step) % 1000;
            format!(
                r#"{{"ch":"ticker/1s","data":{{"BTCUSDT":{{"t":{step},"a":"{price}"}},"ETHBTC":{{"t":{step},"b":"{price}"}}}}}}"#
            )
        };
        (500 * round..500 * (round + 1)).map(one).collect()
    });
}

/// Where recordings of real feeds are, if they are there at all.
fn captures() -> PathBuf {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    std::env::var_os("TICKCACHE_CAPTURES").map_or(beside, PathBuf::from)
}

#[test]
fn a_recorded_kraken_feed_allocates_nothing() {
    let path = captures().join("kraken-v1-20210417.jsonl.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!(
            "skipped: {} is not there; set TICKCACHE_CAPTURES",
            path.display()
        );
        return;
    };
    let text =
        std::io::read_to_string(flate2::read::GzDecoder::new(file)).expect("a gzip of UTF-8");
    // The first state of a book is one array of a thousand levels: too long for a slot's ring, it
    // is a document, and comes once for each connection.
    let messages: Vec<_> = text
        .lines()
        .filter(|line| !line.contains(r#""as":"#))
        .map(str::to_owned)
        .collect();
    assert!(messages.len() > 4000);
    let (cache, mut feed) = open(kraken());
    check(&mut feed, |_| messages.clone());
    // What the recording says last.
    let xmr = cache.entity("kraken.ticker").slot("XMR/USD").snapshot();
    assert_eq!(
        xmr.record().get("a").json().as_deref(),
        Ok(r#"["354.38000000",4,"4.95600000"]"#)
    );
}

#[test]
fn reading_allocates_nothing() {
    let (cache, mut feed) = open(Feed::events().whole());
    let text = "twenty-seven characters....";
    assert_eq!(text.len(), 27);
    let value = format!(
        r#"{{"entity":"e","id":"a","payload":{{"b":"25.35190000","n":400900217,"t":"{text}"}}}}"#
    );
    kit::say(&mut feed, value);
    let slot = cache.entity("e").slot("a");
    let [b, n, t] = slot.entity().fields(["b", "n", "t"]).expect("room");
    let numbers = |slot: &Slot| {
        let [b, n] = slot.live([b, n]).expect("live");
        assert_eq!((b.f64(), n.u64()), (Ok(25.3519), Ok(400_900_217)));
        assert_eq!(b.decimal().expect("a decimal").to_f64(), 25.3519);
    };
    let texts = |slot: &Slot| {
        let [t] = slot.read([t]).even_if_stale();
        assert_eq!(t.str().as_deref(), Ok(text));
    };
    let everything = |slot: &Slot| {
        slot.read_all(|view| {
            assert_eq!(view.record().get("n").u64(), Ok(400_900_217));
            assert!(view.freshness().is_live());
        });
    };
    type Read<'a> = (&'a str, &'a dyn Fn(&Slot));
    let reads: [Read<'_>; 3] = [
        ("two fields", &numbers),
        ("a text", &texts),
        ("everything", &everything),
    ];
    for (what, read) in reads {
        read(&slot);
        assert_eq!(
            allocations(|| (0..100).for_each(|_| read(&slot))),
            0,
            "reading {what}"
        );
    }
    drop(slot.snapshot());
    assert_eq!(
        allocations(|| drop(slot.snapshot())),
        0,
        "a snapshot that is there is shared"
    );
    slot.invalidate();
    let refused = allocations(|| assert!(slot.live([b]).is_err()));
    assert_eq!(refused, 0, "nor does a read that is refused");
}

/// Beside the rest of a real feed: frames, sockets, timers.
#[cfg(feature = "net")]
mod over_a_socket {
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use tickcache::feed::presets::BinanceSpot;
    use tickcache::feed::{Address, Claims, Class, Outbox, Protocol, Refusal, Sink, Subscription};
    use tickcache::json::Message;
    use tickcache::{Cache, Feed};

    use super::{ALLOCATIONS, book_tickers, kit::LONG};

    /// Rounds that bring everything to its size, and rounds that are counted.
    const ROUNDS: [u64; 2] = [4, 8];
    const ROUND: u64 = 700;

    /// Binance's protocol, and how often the feed's thread had allocated when each counted span
    /// began and ended. The inner protocol is made on that thread, with everything it holds.
    struct Probe {
        inner: BinanceSpot,
        url: String,
        messages: u64,
        counts: Sender<u64>,
    }

    impl Clone for Probe {
        fn clone(&self) -> Self {
            let (url, counts) = (self.url.clone(), self.counts.clone());
            Self {
                inner: BinanceSpot::new(),
                url,
                messages: 0,
                counts,
            }
        }
    }

    impl Protocol for Probe {
        fn name(&self) -> &str {
            self.inner.name()
        }

        fn claims(&self) -> Claims {
            self.inner.claims()
        }

        fn address(&self, _wanted: &[&Subscription]) -> Option<Address> {
            Some(Address {
                url: self.url.clone(),
                carries: 0,
            })
        }

        fn message<'a, S: Sink>(
            &mut self,
            message: &Message<'a>,
            sink: &mut S,
            out: &mut Outbox,
        ) -> Result<Class<'a>, Refusal> {
            self.messages += 1;
            if ROUNDS.map(|rounds| rounds * ROUND).contains(&self.messages) {
                // Read before the sending, which may allocate itself.
                let count = ALLOCATIONS.get();
                let _ = self.counts.send(count);
                // What the channel needs is not of the feed.
                ALLOCATIONS.set(count);
            }
            self.inner.message(message, sink, out)
        }
    }

    fn serve(listener: TcpListener, until: Receiver<()>) {
        let (stream, _) = listener.accept().expect("the feed");
        let mut socket = tungstenite::accept(stream).expect("a WebSocket");
        for round in 0..=ROUNDS[1] {
            for text in book_tickers(round) {
                socket
                    .write(tungstenite::Message::text(text))
                    .expect("taken");
            }
            socket.flush().expect("sent");
        }
        let _ = until.recv_timeout(LONG);
    }

    #[test]
    fn a_feed_on_its_own_thread_allocates_nothing() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
        let url = format!("ws://{}/", listener.local_addr().expect("bound"));
        let (done, until) = channel();
        let server = thread::spawn(|| serve(listener, until));
        let (counts, counted) = channel();
        let cache = Cache::builder().build().expect("a cache");
        let mut watch = cache
            .entity("binance-spot.bookTicker")
            .slot("BTCUSDT")
            .watch();
        let waiter = thread::spawn(move || while watch.wait(LONG).is_ok() {});
        let probe = Probe {
            inner: BinanceSpot::new(),
            url,
            messages: 0,
            counts,
        };
        cache.attach(Feed::custom(probe)).expect("attached");
        let count = || counted.recv_timeout(LONG).expect("the server says so many");
        let (before, after) = (count(), count());
        drop(done);
        cache.close_blocking(LONG).expect("every thread ends");
        waiter.join().expect("the waiter");
        server.join().expect("the server");
        let messages = (ROUNDS[1] - ROUNDS[0]) * ROUND;
        assert_eq!(
            after - before,
            0,
            "allocations on the feed's thread in {messages} messages"
        );
    }
}
