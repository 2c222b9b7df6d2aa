//! The simulator against a client that is not ours: tungstenite.

mod api;
mod playback;

use std::collections::HashMap;
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, Message, WebSocket};

use crate::simulator::*;

type Client = WebSocket<MaybeTlsStream<TcpStream>>;

fn start(settings: Settings) -> Simulator {
    Simulator::start(settings).expect("the simulator starts")
}

/// A market that sends at most `messages` and then falls silent.
fn bounded(messages: u64) -> Settings {
    Settings {
        symbols: 4,
        rate: Rate::Max,
        messages: Some(messages),
        ..Settings::default()
    }
}

fn connect(url: &str) -> Client {
    let (client, _) = tungstenite::connect(url).expect("the handshake succeeds");
    let MaybeTlsStream::Plain(socket) = client.get_ref() else {
        panic!("a plain socket")
    };
    // Only so that a defect fails instead of hanging.
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout can be set");
    client
}

fn text(client: &mut Client) -> String {
    loop {
        match client.read().expect("a message") {
            Message::Text(text) => return text.as_str().to_owned(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

fn json(client: &mut Client) -> Value {
    serde_json::from_str(&text(client)).expect("JSON")
}

/// Reads until the connection ends and gives the error that ended it.
fn end(client: &mut Client) -> Error {
    loop {
        if let Err(error) = client.read() {
            return error;
        }
    }
}

#[test]
fn combined_streams_carry_both_channels_in_the_exchanges_form() {
    let simulator = start(bounded(40));
    let url = format!(
        "{}?streams=btcusdt@bookTicker/btcusdt@ticker",
        simulator.url()
    );
    let mut client = connect(&url);
    let mut seen = HashMap::<String, Vec<Value>>::new();
    for _ in 0..40 {
        let message = json(&mut client);
        let stream = message["stream"].as_str().expect("a stream").to_owned();
        seen.entry(stream)
            .or_default()
            .push(message["data"].clone());
    }
    assert_eq!(simulator.stats().messages, 40);
    let keys = |data: &Value| {
        let mut keys: Vec<_> = data
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        keys.sort();
        keys.concat()
    };
    let books = &seen["btcusdt@bookTicker"];
    let tickers = &seen["btcusdt@ticker"];
    assert_eq!(books.len() + tickers.len(), 40);
    assert!(books.len() > tickers.len());
    assert!(
        books
            .iter()
            .all(|data| keys(data) == "ABabsu" && data["s"] == "BTCUSDT")
    );
    assert!(
        tickers
            .iter()
            .all(|data| keys(data) == "ABCEFLOPQabcehlnopqsvwx")
    );
    assert!(
        tickers
            .iter()
            .all(|data| data["e"] == "24hrTicker" && data["s"] == "BTCUSDT")
    );
    for (list, id) in [(books, "u"), (tickers, "L")] {
        let ids: Vec<_> = list
            .iter()
            .map(|data| data[id].as_u64().expect("an id"))
            .collect();
        assert!(
            ids.is_sorted_by(|a, b| a < b),
            "{id} rises strictly: {ids:?}"
        );
    }
    for data in books {
        let number = |key: &str| {
            data[key]
                .as_str()
                .expect("a text")
                .parse::<f64>()
                .expect("a number")
        };
        assert!(number("b") < number("a") && number("B") > 0.0 && number("A") > 0.0);
        assert_eq!(
            data["b"]
                .as_str()
                .and_then(|b| b.split_once('.'))
                .map(|(_, p)| p.len()),
            Some(8)
        );
    }
    for data in tickers {
        let id = |key: &str| data[key].as_u64().expect("a number");
        assert_eq!(id("L") - id("F") + 1, id("n"));
        assert_eq!(id("C") - id("O"), 86_400_000);
    }
    // The server can say what it sent last, so that a test can compare final states.
    let last: Value =
        serde_json::from_str(&simulator.last("btcusdt@bookTicker").expect("sent")).expect("JSON");
    assert_eq!(&last, books.last().expect("at least one"));
    simulator.stop().expect("it stops");
}

#[test]
fn raw_streams_carry_the_data_alone() {
    let simulator = start(bounded(3));
    let base = format!("ws://{}", simulator.addr());
    let mut client = connect(&format!("{base}/ws/ethusdt%40bookTicker"));
    for _ in 0..3 {
        assert_eq!(json(&mut client)["s"], "ETHUSDT");
    }
}

#[test]
fn requests_are_acknowledged_and_carried_out() {
    let simulator = start(Settings {
        symbols: 3,
        ..bounded(u64::MAX)
    });
    simulator.set_flow(Flow::Silent);
    let mut client = connect(&simulator.url());
    let mut ask = |request: &str| {
        client.send(Message::text(request)).expect("sent");
        text(&mut client)
    };
    let subscribe = r#"{"method":"SUBSCRIBE","params":["btcusdt@bookTicker","ethusdt@ticker","nobody@trade"],"id":7}"#;
    assert_eq!(ask(subscribe), r#"{"result":null,"id":7}"#);
    let list = r#"{"method":"LIST_SUBSCRIPTIONS","id":"x1"}"#;
    let listed = r#"{"result":["btcusdt@bookTicker","ethusdt@ticker"],"id":"x1"}"#;
    assert_eq!(ask(list), listed);
    let unsubscribe = r#"{"method":"UNSUBSCRIBE","params":["btcusdt@bookTicker"],"id":null}"#;
    assert_eq!(ask(unsubscribe), r#"{"result":null,"id":null}"#);
    assert_eq!(ask(list), r#"{"result":["ethusdt@ticker"],"id":"x1"}"#);
    assert!(ask("not json").starts_with(r#"{"error":{"code":3,"msg":"Invalid JSON: "#));
    assert_eq!(
        ask(r#"{"method":"DANCE","id":9}"#),
        r#"{"error":{"code":2,"msg":"Invalid request: unknown variant DANCE"},"id":9}"#
    );
    simulator.set_flow(Flow::Running);
    assert!((0..50).all(|_| json(&mut client)["stream"] == "ethusdt@ticker"));
}

#[test]
fn other_addresses_are_refused() {
    let simulator = start(bounded(1));
    let base = format!("ws://{}", simulator.addr());
    for path in ["/", "/streams", "/ws/%zz"] {
        match tungstenite::connect(format!("{base}{path}")) {
            Err(Error::Http(response)) => assert_eq!(response.status(), 404, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[test]
fn a_schedule_is_fixed_and_what_is_late_says_so() {
    let rate = NonZeroU64::new(20_000).expect("not zero");
    let simulator = start(Settings {
        rate: Rate::PerSecond(rate),
        ..bounded(400)
    });
    let mut client = connect(&format!("{}?streams=btcusdt@bookTicker", simulator.url()));
    let mut stamps = Vec::new();
    for _ in 0..400 {
        let message = json(&mut client);
        let stamp = message["data"]["u"].as_u64().expect("an id");
        let late = simulator.clock().since(stamp, Instant::now());
        assert!(late.is_some(), "never sent before it is due");
        stamps.push(stamp);
    }
    // 5 messages of a 250 us step share one due time; ids of one symbol rise all the same.
    let step = 250_000;
    for (k, stamp) in stamps.iter().enumerate() {
        let due = stamps[0] + (k as u64 / 5) * step;
        assert_eq!(*stamp, due + k as u64 % 5, "message {k}");
    }
}

#[test]
fn ids_go_on_rising_on_the_next_connection_after_a_cut() {
    let simulator = start(Settings {
        symbols: 1,
        ..bounded(u64::MAX)
    });
    let url = format!("{}?streams=btcusdt@bookTicker", simulator.url());
    let mut last = 0;
    for round in 0..3 {
        let mut client = connect(&url);
        for _ in 0..10 {
            let id = json(&mut client)["data"]["u"].as_u64().expect("an id");
            assert!(id > last, "round {round}");
            last = id;
        }
        simulator.cut();
        assert!(
            !matches!(end(&mut client), Error::ConnectionClosed),
            "no closing handshake"
        );
    }
    assert_eq!(simulator.stats().connections, 3);
    assert_eq!(simulator.stats().drops, 3);
}

#[test]
fn connections_are_lost_abruptly_both_ways() {
    let drop_every = Some(Duration::from_millis(30));
    let simulator = start(Settings {
        drop_every,
        ..bounded(u64::MAX)
    });
    let url = format!("{}?streams=btcusdt@bookTicker", simulator.url());
    for _ in 0..4 {
        match end(&mut connect(&url)) {
            Error::Protocol(_) | Error::Io(_) => {}
            other => panic!("an orderly end: {other:?}"),
        }
    }
    assert_eq!(simulator.stats().drops, 4);
}

/// Without data the half frame is all there is to read.
#[test]
fn every_second_loss_is_in_the_middle_of_a_frame() {
    let drop_every = Some(Duration::from_millis(10));
    let simulator = start(Settings {
        drop_every,
        ..bounded(0)
    });
    let mut ends = [0, 0];
    for round in 0..4 {
        let mut client = connect(&simulator.url());
        let MaybeTlsStream::Plain(socket) = client.get_mut() else {
            panic!("a plain socket")
        };
        let mut bytes = Vec::new();
        match std::io::Read::read_to_end(socket, &mut bytes) {
            Ok(_) => {
                let whole = 2 + usize::from(bytes[1]);
                assert!(
                    bytes[0] == 0x81 && bytes.len() < whole,
                    "round {round}: {bytes:?}"
                );
                ends[0] += 1;
            }
            Err(error) => {
                assert_eq!(
                    error.kind(),
                    std::io::ErrorKind::ConnectionReset,
                    "round {round}"
                );
                ends[1] += 1;
            }
        }
    }
    assert_eq!(ends, [2, 2]);
}

#[test]
fn a_client_that_answers_no_ping_is_closed() {
    let settings = Settings {
        ping_every: Duration::from_millis(20),
        pong_within: Duration::from_millis(100),
        ..bounded(0)
    };
    let simulator = start(settings);
    let mut client = connect(&simulator.url());
    // tungstenite writes a pong with the next read or flush. Reading from the socket beneath it
    // takes the pings without answering them.
    let MaybeTlsStream::Plain(socket) = client.get_mut() else {
        panic!("a plain socket")
    };
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(socket, &mut bytes).expect("the server ends the connection");
    assert_eq!(bytes[0], 0x89, "a ping first");
    let close = [&[0x88, 9, 0x03, 0xF0][..], b"no pong"].concat();
    assert!(bytes.ends_with(&close), "a close frame with code 1008 last");
}

#[test]
fn a_client_that_answers_pings_stays() {
    let settings = Settings {
        ping_every: Duration::from_millis(5),
        pong_within: Duration::from_secs(1),
        ..bounded(0)
    };
    let simulator = start(settings);
    let mut client = connect(&simulator.url());
    // For longer than a pong may take.
    for _ in 0..300 {
        assert!(matches!(client.read(), Ok(Message::Ping(_))));
    }
    client.send(Message::Ping("hello".into())).expect("sent");
    let answer = loop {
        match client.read().expect("a message") {
            Message::Ping(_) => {}
            other => break other,
        }
    };
    assert_eq!(answer, Message::Pong("hello".into()));
    client.close(None).expect("sent");
    assert!(matches!(end(&mut client), Error::ConnectionClosed));
}

#[test]
fn a_frozen_server_says_nothing_and_goes_on_later() {
    let simulator = start(Settings {
        symbols: 1,
        ..bounded(u64::MAX)
    });
    simulator.set_flow(Flow::Frozen);
    let url = format!("{}?streams=btcusdt@bookTicker", simulator.url());
    let waiting = std::thread::spawn(move || json(&mut connect(&url)));
    assert_eq!(simulator.stats().messages, 0);
    assert_eq!(simulator.stats().connections, 0);
    simulator.set_flow(Flow::Running);
    assert_eq!(
        waiting.join().expect("no panic")["stream"],
        "btcusdt@bookTicker"
    );
}

#[test]
fn a_frozen_server_answers_nobody() {
    let simulator = start(Settings {
        symbols: 1,
        ..bounded(u64::MAX)
    });
    let mut client = connect(&format!("{}?streams=btcusdt@bookTicker", simulator.url()));
    text(&mut client);
    simulator.set_flow(Flow::Frozen);
    // What was on its way is read; then nothing comes, an answer neither.
    let MaybeTlsStream::Plain(socket) = client.get_ref() else {
        panic!("a plain socket")
    };
    let timeout = |limit| Some(Duration::from_millis(limit));
    socket
        .set_read_timeout(timeout(100))
        .expect("a timeout can be set");
    while client.read().is_ok() {}
    client.send(Message::Ping("anybody?".into())).expect("sent");
    assert!(matches!(client.read(), Err(Error::Io(_))));
    simulator.set_flow(Flow::Silent);
    let MaybeTlsStream::Plain(socket) = client.get_ref() else {
        panic!("a plain socket")
    };
    socket
        .set_read_timeout(timeout(20_000))
        .expect("a timeout can be set");
    assert_eq!(
        client.read().expect("an answer"),
        Message::Pong("anybody?".into())
    );
}

#[test]
fn a_client_that_does_not_read_can_still_be_stopped() {
    let simulator = start(Settings {
        symbols: 1,
        ..bounded(u64::MAX)
    });
    let client = connect(&format!("{}?streams=btcusdt@bookTicker", simulator.url()));
    // Nobody reads: what is written piles up in the kernel, then in the server.
    while simulator.stats().bytes < 256 * 1024 {
        std::thread::yield_now();
    }
    simulator.stop().expect("it stops");
    drop(client);
}

#[test]
fn due_counts_agree_with_due_times() {
    let start = Instant::now();
    for rate in [1, 3, 999, 4000, 4001, 50_000, 1_500_000, 30_000_000] {
        let schedule = pace::Schedule::new(start, NonZeroU64::new(rate).expect("not zero"));
        assert_eq!(
            schedule.due(start),
            schedule.due(start + pace::GRID - Duration::from_nanos(1))
        );
        for k in (0..50).chain([rate, 7 * rate + 3, 3600 * rate]) {
            let at = schedule.at(k);
            assert!(schedule.due(at) > k, "rate {rate}, message {k}");
            if let Some(before) = at
                .checked_sub(Duration::from_nanos(1))
                .filter(|b| *b >= start)
            {
                assert!(schedule.due(before) <= k, "rate {rate}, message {k}");
            }
        }
        assert_eq!(schedule.at(rate), start + Duration::from_secs(1));
    }
}

#[test]
fn decimals_are_written_exactly() {
    let decimal = |value: u64| {
        let mut out = Vec::new();
        encode::decimal(&mut out, value);
        String::from_utf8(out).expect("ASCII")
    };
    assert_eq!(decimal(0), "0.00000000");
    assert_eq!(decimal(1), "0.00000001");
    assert_eq!(decimal(6_183_763_000_000), "61837.63000000");
    assert_eq!(decimal(u64::MAX), "184467440737.09551615");
    for value in [0, 7, 10, 99, 100, 101, 12_345, 999_999, u64::MAX] {
        let mut out = Vec::new();
        encode::integer(&mut out, value);
        assert_eq!(out, value.to_string().into_bytes());
    }
}

#[cfg(unix)]
#[test]
fn processor_time_is_told_and_rises() {
    let simulator = start(Settings {
        symbols: 1,
        ..bounded(u64::MAX)
    });
    let mut client = connect(&format!("{}?streams=btcusdt@bookTicker", simulator.url()));
    while simulator.stats().cpu.is_zero() {
        text(&mut client);
    }
    let whole = process_cpu().expect("told on Unix");
    assert!(whole >= simulator.stats().cpu && whole >= thread_cpu().expect("told on Unix"));
}
