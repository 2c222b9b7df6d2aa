//! A server that stops, freezes, talks nonsense or refuses: values turn stale, whoever watches is
//! told, no wrong value is ever shown, and the feed comes back by itself.

#[path = "../kit/mod.rs"]
mod kit;
mod panics;
#[path = "../server/mod.rs"]
mod server;

use std::io::{Read, Write};
use std::sync::mpsc::channel;
use std::time::Duration;

use kit::LONG;
use server::{Connection, End, Server, event};
use tickcache::feed::presets::Events;
use tickcache::feed::{
    Address, Backoff, Claims, Class, CounterValues, Covers, EntityIx, Lost, Outbox, Protocol,
    Refusal, Sink, Subscription, Update,
};
use tickcache::json::Message;
use tickcache::key::IdRef;
use tickcache::ws::Limits;
use tickcache::{Cache, CommandError, Feed, FeedEnd, FeedRef, Freshness, Reasons, Restart, Watch};

const AT_ONCE: Backoff = Backoff::fixed(Duration::from_millis(1));

fn feed(server: &Server) -> Feed<Events> {
    Feed::events()
        .whole()
        .entities(["job"])
        .url(&server.url())
        .backoff(AT_ONCE)
        // The servers hold connections and never answer a goodbye.
        .settings(|settings| settings.close_timeout = Duration::from_millis(10))
}

/// Waits for news until the value is worth what is wanted.
#[track_caller]
fn until(watch: &mut Watch, wanted: impl Fn(Freshness) -> bool) -> u64 {
    loop {
        let tick = watch.wait(LONG).expect("news");
        if wanted(tick.freshness()) {
            let number = tick.snapshot().record().get("n");
            return number.u64().expect("a number");
        }
    }
}

/// The first connection says 1 and misbehaves, every later one says 2 and stays; each when the
/// watcher has seen what was before.
///
/// A watcher sees 1 live, then 1 stale, then 2 live, and nothing else.
#[track_caller]
fn check(
    what: &str,
    change: impl FnOnce(Feed<Events>) -> Feed<Events>,
    misbehave: impl Fn(Connection) -> End + Send + 'static,
    is_expected: impl Fn(Lost) -> bool,
) -> CounterValues {
    let (go, told) = channel();
    let server = Server::start(move |connection| {
        if connection.number > 1 {
            told.recv_timeout(LONG)
                .expect("the watcher has seen the loss");
            return connection.say(&event(2)).hold();
        }
        let connection = connection.say(&event(1));
        told.recv_timeout(LONG)
            .expect("the watcher has seen the value");
        misbehave(connection)
    });
    let cache = Cache::builder().build().expect("a cache");
    let mut watch = cache.entity("job").slot(1).watch();
    let feed = cache.attach(change(feed(&server))).expect("attached");
    assert_eq!(until(&mut watch, Freshness::is_live), 1, "{what}");
    go.send(()).expect("the server waits");
    let stale = |freshness: Freshness| freshness.reasons().contains(Reasons::DISCONNECTED);
    assert_eq!(
        until(&mut watch, stale),
        1,
        "{what}: the last value stays visible"
    );
    go.send(()).expect("the server waits");
    assert_eq!(until(&mut watch, Freshness::is_live), 2, "{what}");
    let lost = feed
        .state()
        .last_loss
        .unwrap_or_else(|| panic!("{what}: nothing was lost"));
    assert!(is_expected(lost), "{what}: {lost:?}");
    cache.close_blocking(LONG).expect("every thread ends");
    let counters = feed.counters();
    assert!(counters.balanced(), "{what}: {counters:?}");
    assert_eq!((counters.opens, counters.reconnects), (2, 1), "{what}");
    assert_eq!(feed.wait_finished(LONG), Some(FeedEnd::Stopped));
    counters
}

fn same(feed: Feed<Events>) -> Feed<Events> {
    feed
}

fn broken_rule(lost: Lost) -> bool {
    matches!(lost, Lost::Protocol(_))
}

fn ended(lost: Lost) -> bool {
    matches!(lost, Lost::Ended | Lost::Failed)
}

#[test]
fn a_server_that_goes_is_replaced() {
    check("dropped", same, Connection::drop_it, ended);
    check("closed", same, Connection::close, |lost| {
        matches!(lost, Lost::Closed(_))
    });
}

#[test]
fn a_frozen_server_is_given_up_within_the_watchdogs_time() {
    let watched = |feed: Feed<Events>| feed.dead_after(Duration::from_millis(100));
    let counters = check("frozen", watched, Connection::hold, |lost| {
        lost == Lost::Dead
    });
    assert!(
        counters.probes >= 1,
        "it was asked whether it lives: {counters:?}"
    );
}

#[test]
fn a_server_that_falls_silent_is_told_of_and_kept() {
    let (speak, spoken) = channel::<()>();
    let server = Server::start(move |connection| {
        let connection = connection.say(&event(1));
        let _ = spoken.recv_timeout(LONG);
        connection.say(&event(1)).hold()
    });
    let cache = Cache::builder().build().expect("a cache");
    let mut watch = cache.entity("job").slot(1).watch();
    let quiet = feed(&server).silent_after(Duration::from_millis(50));
    let feed = cache.attach(quiet).expect("attached");
    let silent = Freshness::Stale(Reasons::SILENT);
    assert_eq!(until(&mut watch, |freshness| freshness == silent), 1);
    assert!(feed.state().silent);
    speak.send(()).expect("it listens");
    until(&mut watch, Freshness::is_live);
    assert_eq!(feed.counters().opens, 1, "the connection is the same");
    cache.close_blocking(LONG).expect("every thread ends");
}

#[test]
fn garbage_on_the_wire_ends_the_connection_and_shows_nothing() {
    let text = |payload: &[u8]| {
        let mut frame = vec![0x81, u8::try_from(payload.len()).expect("short")];
        frame.extend_from_slice(payload);
        frame
    };
    let wrong = event(666);
    let masked = {
        let mut frame = text(wrong.as_bytes());
        frame[1] |= 0x80;
        frame
    };
    let reserved = {
        let mut frame = text(wrong.as_bytes());
        frame[0] |= 0x40;
        frame
    };
    let mut not_utf8 = text(wrong.replace("job", "j\u{e9}").as_bytes());
    let at = not_utf8
        .iter()
        .position(|byte| *byte == 0xc3)
        .expect("two bytes");
    not_utf8[at] = 0xff;
    let huge = [
        &[0x81, 127][..],
        &(1u64 << 40).to_be_bytes(),
        wrong.as_bytes(),
    ]
    .concat();
    let continuation = [&[0x80][..], &text(wrong.as_bytes())[1..]].concat();
    let long_ping = [&[0x89, 126, 0, 200][..], &[0; 200]].concat();
    let noise: Vec<u8> = (0..500u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let frames = [
        ("masked", masked),
        ("a reserved bit", reserved),
        ("not UTF-8", not_utf8),
        ("a length beyond the limit", huge),
        ("a continuation of nothing", continuation),
        ("a long ping", long_ping),
        ("noise", [&[0xff][..], &noise].concat()),
    ];
    for (what, bytes) in frames {
        let misbehave = move |connection: Connection| connection.bytes(&bytes).until_gone();
        let counters = check(what, same, misbehave, broken_rule);
        assert_eq!(counters.messages, 2, "{what}");
    }
}

#[test]
fn a_frame_cut_short_shows_nothing_of_itself() {
    let wrong = event(666);
    let mut whole = vec![0x81, u8::try_from(wrong.len()).expect("short")];
    whole.extend_from_slice(wrong.as_bytes());
    for cut in [1, 2, 3, whole.len() / 2, whole.len() - 1] {
        let bytes = whole[..cut].to_vec();
        let misbehave = move |connection: Connection| connection.bytes(&bytes).drop_it();
        let counters = check("cut", same, misbehave, ended);
        assert_eq!(counters.messages, 2, "cut at {cut}");
    }
}

#[test]
fn garbage_in_messages_is_counted_and_the_connection_goes_on() {
    let garbage = [
        "",
        "{",
        "null",
        r#"{"entity":"job","id":1,"payload":{"n":666}"#,
        r#"{"entity":"job","id":1.5,"payload":{"n":666}}"#,
        r#"{"entity":7,"id":1,"payload":{"n":666}}"#,
        r#"{"entity":"job","payload":{"n":666}}"#,
        r#"[{"entity":"job","id":1,"payload":{"n":666}},{"entity":"job","payload":{}}]"#,
    ];
    let deep = "[".repeat(100_000);
    let server = Server::start(move |connection| {
        let mut connection = connection.say(&event(1)).bytes(&[0x82, 1, 0]);
        for text in garbage {
            connection = connection.say(text);
        }
        connection.say(&deep).say(&event(2)).hold()
    });
    let cache = Cache::builder().build().expect("a cache");
    let mut watch = cache.entity("job").slot(1).watch();
    let feed = cache.attach(feed(&server)).expect("attached");
    let mut last = 0;
    while last < 2 {
        let tick = watch.wait(LONG).expect("news");
        if let Ok(record) = tick.live() {
            last = record.get("n").u64().expect("a number");
            assert!([1, 2].contains(&last), "{last}");
        }
    }
    cache.close_blocking(LONG).expect("every thread ends");
    let counters = feed.counters();
    assert_eq!((counters.opens, counters.applied), (1, 2));
    assert_eq!(counters.refused, garbage.len() as u64 + 2);
    assert!(counters.balanced(), "{counters:?}");
    for reason in [
        Refusal::Malformed,
        Refusal::Binary,
        Refusal::BadId,
        Refusal::WholeEntity,
    ] {
        assert!(
            counters.refused_by.iter().any(|(by, _)| *by == reason),
            "{reason:?}"
        );
    }
}

#[test]
fn a_server_that_refuses_is_tried_again() {
    let answers: [&[u8]; 5] = [
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: wrong\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        b"\x00\xff garbage \r\n\r\n",
        b"",
    ];
    let server = Server::raw(move |mut stream, number| {
        let Some(answer) = usize::try_from(number - 1)
            .ok()
            .and_then(|at| answers.get(at))
        else {
            let Ok(socket) = tungstenite::accept(stream) else {
                return End::Dropped;
            };
            return Connection { socket, number }.say(&event(2)).hold();
        };
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(answer);
        End::Dropped
    });
    let cache = Cache::builder().build().expect("a cache");
    let feed = cache.attach(feed(&server)).expect("attached");
    let slot = cache.entity("job").slot(1);
    slot.wait_ready(LONG).expect("the sixth attempt");
    let counters = feed.counters();
    assert_eq!(
        (counters.failures, counters.opens),
        (answers.len() as u64, 1)
    );
    assert_eq!(feed.state().attempts, 6);
    assert!(
        feed.state().last_error.is_none(),
        "the last attempt went well"
    );
    cache.close_blocking(LONG).expect("every thread ends");
}

#[test]
fn a_message_beyond_the_limit_ends_the_connection_before_it_is_stored() {
    let limits = Limits {
        max_message: 1000,
        ..Limits::default()
    };
    let small = |feed: Feed<Events>| feed.limits(limits);
    let long = format!(
        r#"{{"entity":"job","id":1,"payload":{{"n":666,"x":"{}"}}}}"#,
        "x".repeat(1000)
    );
    check(
        "long",
        small,
        move |connection| connection.say(&long).until_gone(),
        broken_rule,
    );
}
