//! Frames without end, without sense or without a reader: refused within a frame of the limit, with
//! the right code, and with no more memory than the limits allow.

use std::io::{Read, Write};
use std::time::Duration;

use tickcache::feed::{Backoff, Lost, Pace};
use tickcache::ws::{Limits, ProtocolError};
use tickcache::{Cache, Feed};

use crate::counting::{Meter, alone};
use crate::kit::{BESIDE, LONG, attack, feed, flood, frame, until};
use crate::server::{End, Server, event};

const MESSAGE: usize = 1 << 20;
const LIMITS: Limits = Limits {
    max_message: MESSAGE,
    read_buffer: 64 << 10,
};

const TEXT: u8 = 0x81;
const TEXT_PART: u8 = 0x01;
const PART: u8 = 0x00;
const LAST: u8 = 0x80;
const PING: u8 = 0x89;

fn limited<P: tickcache::Protocol>(feed: Feed<P>) -> Feed<P> {
    feed.limits(LIMITS)
}

/// The bytes of a frame that announces `len` bytes, and brings none.
fn announce(first: u8, len: u64) -> Vec<u8> {
    [&[first, 127][..], &len.to_be_bytes()].concat()
}

#[test]
fn fragments_are_refused_within_one_frame_of_the_limit() {
    for size in [100, 4 << 10, 64 << 10, 300 << 10] {
        let outcome = attack("fragments", limited, move |stream| {
            stream.write_all(&frame(TEXT_PART, &vec![b'x'; size]))?;
            flood(stream, &frame(PART, &vec![b'x'; size]), 1 << 30)
        });
        let too_large = ProtocolError::TooLarge { limit: MESSAGE };
        assert_eq!(outcome.lost, Lost::Protocol(too_large), "{size}");
        assert_eq!(outcome.code, Some(1009), "{size}");
        assert_eq!(
            outcome.counters.messages, 2,
            "{size}: nothing was delivered"
        );
        // What was read of the message, and at most one frame and one read beyond it.
        let headers = 10 * (MESSAGE / size + 2);
        let most = MESSAGE + size + LIMITS.read_buffer + headers + 4096;
        let read = outcome.counters.bytes_received as usize;
        assert!(
            read <= most,
            "{size}: {read} bytes were read, {most} may be"
        );
        // Assembled once, twice for the moment in which the buffer grows; and what the attacker has.
        let bound = 3 * MESSAGE + 3 * size + BESIDE;
        assert!(
            outcome.peak <= bound,
            "{size}: {} of {bound} bytes",
            outcome.peak
        );
    }
}

#[test]
fn a_message_in_one_frame_is_refused_by_its_header() {
    let lengths = [MESSAGE as u64 + 1, 1 << 30, 1 << 40, 1 << 62, u64::MAX >> 1];
    for len in lengths {
        for first in [TEXT, 0x82, TEXT_PART] {
            let outcome = attack("announced", limited, move |stream| {
                stream.write_all(&announce(first, len))
            });
            let too_large = ProtocolError::TooLarge { limit: MESSAGE };
            assert_eq!(outcome.lost, Lost::Protocol(too_large), "{len}");
            assert_eq!(outcome.code, Some(1009), "{len}");
            assert!(outcome.peak <= BESIDE, "{len}: {} bytes", outcome.peak);
        }
    }
    for len in [1 << 63, u64::MAX] {
        let outcome = attack("overflowing", limited, move |stream| {
            stream.write_all(&announce(TEXT, len))
        });
        assert_eq!(outcome.lost, Lost::Protocol(ProtocolError::LengthOverflow));
        assert_eq!(outcome.code, Some(1002));
        assert!(outcome.peak <= BESIDE, "{len}: {} bytes", outcome.peak);
    }
}

/// The length that a header announces is believed as far as bytes come, and no further.
#[test]
fn nothing_is_held_for_what_was_only_announced() {
    let outcome = attack("announced", limited, |stream| {
        stream.write_all(&announce(TEXT, MESSAGE as u64))?;
        stream.write_all(&[b' '; 1000])?;
        stream.shutdown(std::net::Shutdown::Write)
    });
    assert!(matches!(outcome.lost, Lost::Ended), "{:?}", outcome.lost);
    assert!(outcome.peak <= BESIDE, "{} bytes", outcome.peak);
}

#[test]
fn control_frames_of_every_bad_kind_end_the_connection() {
    let bad: [(&str, Vec<u8>, u16); 20] = [
        ("a ping of 126 bytes", frame(PING, &[0; 126]), 1002),
        ("a pong of 126 bytes", frame(0x8a, &[0; 126]), 1002),
        ("a close of 126 bytes", frame(0x88, &[3; 126]), 1002),
        ("a ping of 1 TiB", announce(PING, 1 << 40), 1002),
        ("a ping in parts", frame(0x09, b"x"), 1002),
        ("a pong in parts", frame(0x0a, b""), 1002),
        ("a close in parts", frame(0x08, b""), 1002),
        ("a masked ping", vec![PING, 0x80, 1, 2, 3, 4], 1002),
        (
            "a masked close",
            vec![0x88, 0x82, 0, 0, 0, 0, 3, 0xe8],
            1002,
        ),
        ("RSV1 on a ping", frame(PING | 0x40, b""), 1002),
        ("RSV2 on a pong", frame(0xaa, b""), 1002),
        ("RSV3 on a close", frame(0x98, b""), 1002),
        ("opcode 11", frame(0x8b, b""), 1002),
        ("opcode 15", frame(0x8f, b"x"), 1002),
        ("opcode 3", frame(0x83, b"x"), 1002),
        ("a close of one byte", frame(0x88, &[3]), 1002),
        ("close code 0", frame(0x88, &[0, 0]), 1002),
        ("close code 1005", frame(0x88, &[3, 0xed]), 1002),
        ("close code 65535", frame(0x88, &[0xff, 0xff]), 1002),
        (
            "a close reason that is no UTF-8",
            frame(0x88, &[3, 0xe8, 0xc0, 0xaf]),
            1007,
        ),
    ];
    for (what, bytes, code) in bad {
        // Alone, and inside of a message that never ends.
        for begun in [Vec::new(), frame(TEXT_PART, b"{\"entity\":\"job\"")] {
            let bytes = [begun, bytes.clone()].concat();
            let outcome = attack(what, limited, move |stream| stream.write_all(&bytes));
            assert!(
                matches!(outcome.lost, Lost::Protocol(_)),
                "{what}: {:?}",
                outcome.lost
            );
            assert_eq!(outcome.code, Some(code), "{what}");
            assert_eq!(
                outcome.counters.messages, 2,
                "{what}: nothing was delivered"
            );
            assert!(outcome.peak <= BESIDE, "{what}: {} bytes", outcome.peak);
        }
    }
}

/// The first part of a message that shows 2.
fn halves() -> (String, String) {
    let whole = event(2);
    let (first, second) = whole.split_at(whole.len() / 2);
    (first.to_owned(), second.to_owned())
}

/// Two million empty parts are no bytes: the message is put together, and costs what it is long.
#[test]
fn empty_fragments_cost_nothing() {
    let _alone = alone();
    let server = Server::start(|mut connection| {
        let (first, second) = halves();
        let stream = connection.socket.get_mut();
        let said = stream
            .write_all(&frame(TEXT_PART, first.as_bytes()))
            .and_then(|()| flood(stream, &frame(PART, b""), 2_000_000))
            .and_then(|()| stream.write_all(&frame(LAST, second.as_bytes())));
        said.expect("the client bears it");
        connection.hold()
    });
    let cache = Cache::builder().build().expect("a cache");
    let meter = Meter::start();
    let mut watch = cache.entity("job").slot(1).watch();
    let attached = cache
        .attach(limited(feed(&server.url())))
        .expect("attached");
    assert_eq!(until(&mut watch, tickcache::Freshness::is_live), 2);
    let counters = attached.counters();
    assert_eq!((counters.messages, counters.opens), (1, 1));
    assert!(counters.bytes_received > 4_000_000);
    assert!(
        meter.peak() <= BESIDE + LIMITS.read_buffer,
        "{}",
        meter.peak()
    );
    cache.close_blocking(LONG).expect("every thread ends");
}

/// Nobody reads the pongs: those that are owed are bounded, then one stands for all; and when the
/// server reads again, all goes on.
#[test]
fn pings_without_a_reader_are_owed_a_bounded_number_of_pongs() {
    const BOUND: usize = 32 << 10;
    let _alone = alone();
    let server = Server::start(|mut connection| {
        let stream = connection.socket.get_mut();
        // Far more than the buffers of two sockets hold.
        flood(stream, &frame(PING, &[b'p'; 125]), 300_000).expect("the client bears it");
        let mut answers = stream.try_clone().expect("a second handle");
        let reader = std::thread::spawn(move || {
            // Until the client hangs up.
            let mut bytes = [0; 4096];
            while answers.read(&mut bytes).is_ok_and(|read| read > 0) {}
        });
        let connection = connection.say(&event(2));
        reader.join().expect("it reads to the end");
        connection.hold()
    });
    let cache = Cache::builder().build().expect("a cache");
    let meter = Meter::start();
    let mut watch = cache.entity("job").slot(1).watch();
    let attached = limited(feed(&server.url())).settings(|s| s.max_outgoing_bytes = BOUND);
    let attached = cache.attach(attached).expect("attached");
    assert_eq!(until(&mut watch, tickcache::Freshness::is_live), 2);
    let peak = meter.peak();
    let counters = attached.counters();
    assert_eq!((counters.pings, counters.opens), (300_000, 1));
    assert!(counters.pings_skipped > 0, "the server read after all");
    assert!(peak <= BESIDE + LIMITS.read_buffer + 4 * BOUND, "{peak}");
    cache.close_blocking(LONG).expect("every thread ends");
}

/// A server that sends and never reads looks alive. What is owed to it is bounded, and then it is
/// given up for one that reads.
#[test]
fn a_server_that_never_reads_is_given_up() {
    const BOUND: usize = 32 << 10;
    let outcome = attack(
        "never reads",
        |feed| {
            feed.dead_after(Duration::from_millis(200))
                .settings(|settings| settings.max_outgoing_bytes = BOUND)
        },
        |stream| flood(stream, &frame(PING, &[b'p'; 125]), 1 << 30),
    );
    assert_eq!(outcome.lost, Lost::Stuck);
    assert!(outcome.counters.pings_skipped > 0);
    assert!(outcome.peak <= BESIDE + 4 * BOUND, "{} bytes", outcome.peak);
}

/// Requests to a server that reads none of them: those that wait are bounded in number and bytes,
/// and what finds no room is refused at once.
#[test]
fn requests_to_a_server_that_never_reads_are_bounded() {
    const BOUND: usize = 64 << 10;
    const ASKED: usize = 50_000;
    let _alone = alone();
    let server = Server::start(move |connection| {
        let value = r#"{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}"#;
        let value = format!(r#"{{"stream":"btcusdt@bookTicker","data":{value}}}"#);
        let mut connection = connection.say(&value);
        // It looks alive, until the client has had enough.
        let _ = flood(connection.socket.get_mut(), &frame(0x8a, b"alive"), 1 << 30);
        End::Dropped
    });
    let cache = Cache::builder().build().expect("a cache");
    let meter = Meter::start();
    let feed = Feed::binance_spot()
        .named("spot")
        .base(&server.url())
        .book_ticker(["BTCUSDT"]);
    let feed = limited(feed)
        .backoff(Backoff::fixed(LONG))
        .pace(Pace::new(1_000_000, Duration::from_secs(1)).expect("a pace"))
        .settings(|settings| {
            settings.max_outgoing_bytes = BOUND;
            settings.max_outgoing_texts = 64;
            settings.close_timeout = Duration::from_millis(10);
        });
    let mut watch = cache.entity("spot.bookTicker").slot("BTCUSDT").watch();
    let attached = cache.attach(feed).expect("attached");
    while !watch.wait(LONG).expect("news").freshness().is_live() {}
    let text = "x".repeat(100);
    for asked in 0..ASKED {
        // Nobody waits for an answer, and one that finds no room is refused at once.
        drop(attached.subscribe("bookTicker", [format!("{asked}{text}")]));
        drop(attached.unsubscribe("bookTicker", [format!("{asked}{text}")]));
    }
    let peak = meter.peak();
    // A command in the inbox, a wish in the registry and its slot: what the user asked for.
    let wishes = 2 * 1024 * 1024;
    assert!(peak <= 2 * BESIDE + 4 * BOUND + wishes, "{peak} bytes");
    cache.close_blocking(LONG).expect("every thread ends");
}
