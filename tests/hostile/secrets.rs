//! Secrets go to the server and nowhere else: marked ones are sent through every way that takes
//! one, all that can be shown is shown, all that is logged is kept, and no mark is in it.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use tickcache::feed::{Counters, Envelope, Intake, Machine, Outbox, presets};
use tickcache::ws;
use tickcache::{
    Attempt, Backoff, Cache, Endpoint, Feed, Fetched, Freshness, Protocol, Proxy, Rest, key,
};

use crate::counting::alone;
use crate::kit::{LONG, feed, until};
use crate::log;
use crate::server::{Connection, End, Server, event};

/// What every secret of these tests is made of.
const MARK: &str = "s3cr3t";

#[track_caller]
fn hides(what: &str, shown: &str) {
    assert!(!shown.contains(MARK), "{what} shows a secret: {shown}");
    // As it would be in a header of basic authorization.
    assert!(
        !shown.contains("czNjcjN0"),
        "{what} shows a secret: {shown}"
    );
}

#[track_caller]
fn debug(what: &str, value: &impl Debug) {
    hides(what, &format!("{value:?}"));
    hides(what, &format!("{value:#?}"));
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(format!("{url}?token={MARK}-query&key={MARK}-key#"))
        .header("Authorization", format!("Bearer {MARK}-header"))
        .header("Cookie", format!("session={MARK}-cookie"))
        .text(format!(r#"{{"op":"auth","args":["{MARK}-text"]}}"#))
}

fn proxy(address: &str) -> Proxy {
    Proxy::new(&format!("http://user:{MARK}@{address}")).expect("an address")
}

/// A protocol, and all that is built around one.
#[track_caller]
fn protocol<P: Protocol + Debug + Clone>(what: &str, protocol: P) {
    debug(what, &protocol);
    let address = protocol.address(&[]);
    debug(what, &address);
    let counters = Arc::new(Counters::default());
    let mut intake = Intake::new(
        protocol.clone(),
        128,
        Outbox::new(9, 9999),
        Arc::clone(&counters),
    );
    let _ = intake.opened();
    debug(what, &intake);
    let config = tickcache::feed::Settings::default()
        .check()
        .expect("defaults");
    let mut machine = Machine::new(config, protocol.clone(), counters, 1).expect("a machine");
    machine.start(tickcache::Time::ZERO);
    machine.handle_connected(tickcache::Time::ZERO, b"", &[format!("{MARK}-first")]);
    debug(what, &machine);
    debug(what, &Feed::custom(protocol));
}

#[test]
fn whatever_can_be_shown_hides_them() {
    let url = format!("wss://feed.example/ws?token={MARK}");
    let events = presets::Events::new()
        .url(&url)
        .on_open(&format!("login {MARK}"));
    protocol("events", events);
    let binance = presets::Exchange::of(presets::Binance::default());
    protocol("an exchange", binance.base(&url));
    let okx = presets::Exchange::of(presets::Okx).base(&format!("wss://me:{MARK}@feed.example/"));
    protocol("another exchange", okx);
    let alpaca = presets::AlpacaStocks::default().credentials(MARK, MARK);
    protocol("alpaca", presets::Exchange::of(alpaca));
    let polygon = presets::PolygonStocks::default().key(MARK);
    protocol("polygon", presets::Exchange::of(polygon));
    let deribit = presets::Deribit::default().credentials(MARK, MARK);
    protocol("deribit", presets::Exchange::of(deribit));
    let envelope = Envelope::builder("venue").entity("/e").id("/i").url(&url);
    let envelope = envelope
        .on_open(&format!("hello {MARK}"))
        .on_open_secret(MARK);
    debug("the builder of an envelope", &envelope);
    protocol("an envelope", envelope.build().expect("an envelope"));

    debug("an endpoint", &endpoint("wss://me:s3cr3t@feed.example/ws"));
    debug("a proxy", &proxy("gate.example:3128"));
    let rest = Rest::new("https://api.example/v1").expect("an address");
    debug(
        "a REST client",
        &rest.header("X-Api-Key", MARK).expect("a header"),
    );
    let connected = Feed::events()
        .endpoint(endpoint("wss://feed.example/"))
        .redundant_via(endpoint("wss://other.example/"))
        .connect(|connect| connect.proxy(proxy("gate.example")))
        .on_open(MARK);
    debug("a feed", &connected);
    let hooked =
        Feed::events().endpoint_with(|_: Attempt| async { Ok(endpoint("ws://feed.example/")) });
    debug("a feed with a hook", &hooked);

    let path = format!("/ws?token={MARK}");
    let request = ws::Request::new("feed.example", &path, [7; 16]).expect("a request");
    let request = request.header("Authorization", MARK).expect("a header");
    debug("a handshake", &request);
    let error = ws::Request::new("feed.example", &format!("/w s?token={MARK}"), [7; 16]);
    debug("a bad path", &error);
    let error = ws::Request::new("feed.example", "/", [7; 16]).expect("a request");
    let error = error
        .header("X", &format!("{MARK}\r\nY: z"))
        .expect_err("a bad value");
    hides("a bad header", &format!("{error:?} {error}"));
    for bad in [
        "user:s3cr3t@gate",
        "http://me:%zzs3cr3t@gate",
        "socks5://me:s3cr3t@gate",
    ] {
        let error = Proxy::new(bad).expect_err("no proxy");
        hides("a bad proxy", &format!("{error:?} {error}"));
    }
}

/// An echo of what was asked is the commonest way for a token to get into a log.
#[test]
fn a_redirect_that_repeats_the_query_is_cut() {
    let request = ws::Request::new("feed.example", &format!("/ws?token={MARK}"), [7; 16]);
    let request = request.expect("a request");
    for location in [
        "https://feed.example/ws?token=s3cr3t",
        "/ws?token=s3cr3t#x",
        "?s3cr3t",
    ] {
        let headers = [("Location", location.as_bytes())];
        let error = request.verify(301, headers).expect_err("a redirect");
        hides("a redirect", &format!("{error:?} {error}"));
    }
}

/// Answers each attempt in another way that fails, and serves the last.
fn unwilling(answers: &'static [&'static str]) -> Server {
    Server::raw(move |mut stream, number| {
        if let Some(answer) = answers.get(number as usize - 1) {
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap_or_default();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let _ = stream.write_all(answer.replace("{path}", path).as_bytes());
            return End::Dropped;
        }
        let Ok(socket) = tungstenite::accept(stream) else {
            return End::Dropped;
        };
        let connection = Connection { socket, number };
        // Broken now and then, too.
        match number as usize - answers.len() {
            1 => connection.say(&event(1)).bytes(&[0xff, 0xff]).until_gone(),
            2 => connection.say(&event(1)).drop_it(),
            _ => connection.say(&event(2)).hold(),
        }
    })
}

const ANSWERS: &[&str] = &[
    "HTTP/1.1 301 Moved\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 403 {path}\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
    "{path}\r\n\r\n",
    "",
];

/// Through connections that fail, succeed, break and come again; at every level of every target.
#[test]
fn whatever_is_logged_and_said_hides_them() {
    let _alone = alone();
    log::listen();
    let server = unwilling(ANSWERS);
    let cache = Cache::builder().build().expect("a cache");
    let mut watch = cache.entity("job").slot(1).watch();
    let url = server.url();
    let good = Endpoint::new(format!("{url}?token={MARK}-query"))
        .header("Authorization", format!("Bearer {MARK}-header"))
        .text(format!("{MARK}-text"));
    let feed = feed("ws://unused.invalid/")
        .endpoint(good)
        .on_open(&format!("login {MARK}"));
    debug("a feed", &feed);
    let attached = cache.attach(feed).expect("attached");
    while until(&mut watch, Freshness::is_live) != 2 {
        debug("the state", &attached.state());
    }
    debug("a handle", &attached);
    debug("the state", &attached.state());
    debug("the counters", &attached.counters());
    debug("the counters of all", &cache.counters());
    debug("the cache", &cache);
    debug("a watch", &watch);
    debug("what is subscribed", &attached.subscriptions());
    assert_eq!(attached.counters().failures, ANSWERS.len() as u64);
    assert_eq!(attached.counters().opens, 3);

    // Addresses that cannot be used, or reached, say so and no more.
    let unreachable = [
        format!("ws://127.0.0.1:1/?token={MARK}"),
        format!("ws://no-such-host.invalid/?token={MARK}"),
        format!("http://127.0.0.1/?token={MARK}"),
        format!("ws://me:{MARK}@127.0.0.1/"),
        format!("ws://127.0.0.1/#{MARK}"),
        format!("ws://127.0.0.1/ {MARK}"),
        MARK.to_owned(),
    ];
    for (at, url) in unreachable.iter().enumerate() {
        let feed = Feed::events()
            .named(&format!("lost-{at}"))
            .entities([format!("lost-{at}")])
            .endpoint(Endpoint::new(url))
            .backoff(Backoff::fixed(LONG));
        let attached = cache.attach(feed).expect("attached");
        let opened = attached.wait_opened(Duration::from_millis(200));
        let error = opened.expect_err("nobody is there");
        hides("an error", &format!("{error} {error:?} {error:#?}"));
        debug("the state", &attached.state());
    }

    // The slow path.
    let rest = Rest::new(&server.url().replace("ws://", "http://")).expect("an address");
    let rest = rest.header("X-Api-Key", MARK).expect("a header");
    let answer = pollster::block_on(rest.get(&format!("/v1?apiKey={MARK}")));
    hides("an answer", &format!("{:?}", answer.as_ref().err()));
    cache
        .defaults(key!["slow"])
        .fetch(|_| async { Ok(Fetched::new(7)) });
    let observed = cache.query::<u64>(key!["slow", 1]).observe();
    debug("an observer", &observed);

    cache.close_blocking(LONG).expect("every thread ends");
    let said = log::said();
    assert!(
        said.contains("not connected") && said.contains("connection lost"),
        "{said}"
    );
    hides("the log", &said);
}

/// A reason that a server gives is shown, since someone has to read it: short, and on one line.
#[test]
fn reasons_of_a_server_write_no_lines_of_their_own() {
    let _alone = alone();
    log::listen();
    let (done, wait) = channel::<()>();
    let server = Server::start(move |connection| {
        let reason = format!(
            "denied\\n2026-01-01 ERROR forged\\u001b[2J{}",
            "x".repeat(100_000)
        );
        let connection = connection.say(r#"[{"T":"success","msg":"connected"}]"#);
        let connection =
            connection.say(&format!(r#"[{{"T":"error","code":402,"msg":"{reason}"}}]"#));
        let _ = wait.recv_timeout(LONG);
        connection.until_gone()
    });
    let alpaca = presets::AlpacaStocks::default().credentials("key", "secret");
    let cache = Cache::builder().build().expect("a cache");
    let feed = Feed::custom(presets::Exchange::of(alpaca).base(&server.url()));
    let attached = cache
        .attach(feed.backoff(Backoff::fixed(LONG)))
        .expect("attached");
    let refusal = loop {
        if let Some(refusal) = attached.state().refusal {
            break refusal;
        }
        std::thread::yield_now();
    };
    let _ = done.send(());
    cache.close_blocking(LONG).expect("every thread ends");
    assert!(
        refusal.starts_with("denied") && refusal.chars().count() <= 256,
        "{refusal}"
    );
    for said in [log::said(), refusal.into_string()] {
        assert!(!said.contains('\u{1b}'), "{said}");
        assert!(
            !said.lines().any(|line| line.starts_with("2026-01-01")),
            "{said}"
        );
    }
}
