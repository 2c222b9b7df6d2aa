//! Every preset by its name, and envelopes out of files, in `replay`, `watch` and `record`.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread::{JoinHandle, spawn};

use tungstenite::{Message, WebSocket};

use super::{Dir, Ran, data, ran, run, tickcache};
use crate::reference::{Tree, printed};
use crate::simulator::{Settings, Simulator, symbol_names};

const PRESETS: [&str; 15] = [
    "binance-spot",
    "binance-usdm",
    "binance-coinm",
    "bybit-linear",
    "bybit-inverse",
    "bybit-spot",
    "coinbase-exchange",
    "coinbase-advanced",
    "kraken-v1",
    "kraken-v2",
    "kraken-futures",
    "okx",
    "deribit",
    "alpaca-stocks",
    "polygon-stocks",
];

fn replay(file: &Path, options: &[&str]) -> Ran {
    let file = file.to_str().expect("UTF-8");
    run([&["replay", file, "--print"], options].concat()).ok()
}

#[test]
fn every_preset_replays_its_sample_in_both_ways() {
    for preset in PRESETS {
        let file = data(&format!("venues/{preset}.jsonl"));
        let [memory, websocket] = ["memory", "websocket"].map(|way| {
            let ran = replay(&file, &["--preset", preset, "--through", way]);
            assert_eq!(
                ran.counted("messages", "refused"),
                0,
                "{preset}: {}",
                ran.err
            );
            assert!(ran.err.contains("gaps 0"), "{preset}: {}", ran.err);
            assert!(ran.counted("messages", "data") > 0, "{preset}: {}", ran.err);
            ran.out
        });
        assert_eq!(memory, websocket, "{preset}");
        let prefix = format!("{{\"entity\":\"{preset}.");
        assert!(
            memory.lines().all(|line| line.starts_with(&prefix)),
            "{memory}"
        );
    }
}

/// Where a source numbers the messages of each connection, a replay has to know the connections.
#[test]
fn a_reconnect_in_a_recording_is_one_in_the_replay() {
    let dir = Dir::new("reconnects");
    let sample = std::fs::read_to_string(data("venues/coinbase-advanced.jsonl")).expect("it");
    let count = sample.lines().count();
    let row = |connection: usize| format!("1700000000000000000\t{connection}\n").repeat(count);
    let file = dir.file("a.jsonl", (sample.clone() + &sample).as_bytes());
    let rows = dir.file("a.recv.tsv", (row(0) + &row(1)).as_bytes());
    for way in ["memory", "websocket"] {
        let options = ["--preset", "coinbase-advanced", "--through", way];
        let known = replay(&file, &options);
        assert!(known.err.contains("gaps 0"), "{}", known.err);
        assert_eq!(known.counted("messages", "messages"), 2 * count as u64);
        // Trades go on with their numbers: of five a connection three come late, and all of the
        // second but the last, which confirms what is there.
        let late = known.counted("patches", "older") + known.counted("patches", "duplicate");
        assert_eq!(
            (late, known.counted("patches", "patches")),
            (7, 18),
            "{}",
            known.err
        );

        let one = replay(&file, &[&options[..], &["--connection", "1"]].concat());
        assert_eq!(one.counted("messages", "messages"), count as u64);
    }
    std::fs::remove_file(rows).expect("it was there");
    let unknown = replay(&file, &["--preset", "coinbase-advanced"]);
    let late = unknown.counted("patches", "duplicate") + unknown.counted("patches", "older");
    assert_eq!(
        late, 12,
        "all of the second is taken for what came already: {}",
        unknown.err
    );
}

const ENVELOPE: &str = r#"
name = "venue"

[[rule]]
when = { "/type" = "tick" }
entity = "venue.tick"
id = { at = "/topic", after = ":" }
payload = "/data"

[[rule]]
kind = "control"
"#;

#[test]
fn an_envelope_takes_the_place_of_a_preset() {
    let dir = Dir::new("envelope");
    let envelope = dir.file("venue.toml", ENVELOPE.as_bytes());
    let envelope = envelope.to_str().expect("UTF-8");
    let lines = "{\"type\":\"welcome\"}\n{\"type\":\"tick\",\"topic\":\"/ticker:AAA-BBB\",\"data\":{\"p\":1.50}}\n";
    let file = dir.file("a.jsonl", lines.as_bytes());
    let expected =
        "{\"entity\":\"venue.tick\",\"id\":\"AAA-BBB\",\"epoch\":1,\"value\":{\"p\":1.50}}\n";
    for way in ["memory", "websocket"] {
        let ran = replay(&file, &["--envelope", envelope, "--through", way]);
        assert_eq!(ran.out, expected, "{}", ran.err);
        assert_eq!(ran.counted("messages", "control"), 1);
    }
    let (url, served) = serve(|mut socket| {
        for line in lines.lines() {
            socket.send(Message::text(line)).expect("sent");
        }
        until_gone(socket);
    });
    let ran = run([
        "watch",
        &url,
        "--envelope",
        envelope,
        "--idle",
        "0.5",
        "--print",
    ])
    .ok();
    assert_eq!(ran.out, expected, "{}", ran.err);
    served.join().expect("the server");
}

#[test]
fn an_envelope_that_cannot_be_used_is_one_line() {
    let dir = Dir::new("wrong-envelope");
    let wrong = dir.file("wrong.toml", b"name = \"x\"\n[[rule]]\nentity = 5\n");
    let wrong = wrong.to_str().expect("UTF-8");
    let sample = data("events-sample.jsonl");
    let sample = sample.to_str().expect("UTF-8");
    for (file, words) in [(wrong, "line 3"), ("/nowhere.toml", "check the path")] {
        let ran = run(["replay", sample, "--envelope", file]);
        assert_eq!(
            (ran.code, ran.err.lines().count()),
            (Some(1), 1),
            "{}",
            ran.err
        );
        assert!(
            ran.err.contains(words) && ran.err.contains(file),
            "{}",
            ran.err
        );
    }
    // It says nothing of where to connect.
    let envelope = dir.file("venue.toml", ENVELOPE.as_bytes());
    let envelope = envelope.to_str().expect("UTF-8");
    let out = dir.0.join("a.jsonl.gz");
    let out = out.to_str().expect("UTF-8");
    for args in [vec!["watch"], vec!["record", "--out", out]] {
        let ran = run([&args[..], &["--envelope", envelope]].concat());
        assert_eq!(
            (ran.code, ran.err.lines().count()),
            (Some(1), 1),
            "{}",
            ran.err
        );
        assert!(ran.err.contains("names no address"), "{}", ran.err);
    }
}

/// Serves one connection.
fn serve(
    talk: impl FnOnce(WebSocket<std::net::TcpStream>) + Send + 'static,
) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let url = format!("ws://{}/", listener.local_addr().expect("bound"));
    let thread = spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        talk(tungstenite::accept(stream).expect("a handshake"));
    });
    (url, thread)
}

fn until_gone(mut socket: WebSocket<std::net::TcpStream>) {
    while socket.read().is_ok() {}
}

fn heard(socket: &mut WebSocket<std::net::TcpStream>) -> serde_json::Value {
    loop {
        match socket.read().expect("a text") {
            Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Streams are asked for as the exchange wants it, and a refused one is told by its name.
#[test]
fn streams_are_subscribed_to_and_refusals_are_told() {
    let (url, served) = serve(|mut socket| {
        let mut asked: Vec<String> = Vec::new();
        while asked.len() < 2 {
            let request = heard(&mut socket);
            assert_eq!(request["params"]["channel"], "ticker");
            for symbol in request["params"]["symbol"].as_array().expect("a list") {
                asked.push(symbol.as_str().expect("a text").to_owned());
                let id = &request["req_id"];
                let answer = if symbol == "AAA/USD" {
                    format!(
                        r#"{{"method":"subscribe","req_id":{id},"success":true,"result":{{"channel":"ticker","symbol":{symbol},"event_trigger":"trades","snapshot":true}}}}"#
                    )
                } else {
                    format!(
                        r#"{{"method":"subscribe","req_id":{id},"success":false,"symbol":{symbol},"error":"Currency pair not supported BAD/USD"}}"#
                    )
                };
                socket.send(Message::text(answer)).expect("sent");
            }
        }
        let value =
            r#"{"channel":"ticker","type":"snapshot","data":[{"symbol":"AAA/USD","last":1.50}]}"#;
        socket.send(Message::text(value)).expect("sent");
        until_gone(socket);
    });
    let args = [
        "watch",
        &url,
        "--preset",
        "kraken-v2",
        "--idle",
        "1",
        "--print",
    ];
    let ran = run([&args[..], &["--stream", "ticker:AAA/USD,BAD/USD"]].concat()).ok();
    assert!(
        ran.out
            .starts_with("{\"entity\":\"kraken-v2.ticker\",\"id\":\"AAA/USD\""),
        "{}",
        ran.out
    );
    let told = "stream ticker:BAD/USD: refused by the server: Currency pair not supported BAD/USD";
    assert!(ran.err.lines().any(|line| line == told), "{}", ran.err);
    served.join().expect("the server");
}

#[test]
fn a_channel_that_a_preset_does_not_know_is_one_line() {
    let args = ["watch", "--preset", "okx", "--stream", "nonsense:BTC-USDT"];
    let ran = run(args);
    assert_eq!(
        (ran.code, ran.err.lines().count()),
        (Some(1), 1),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("nonsense"), "{}", ran.err);
}

/// A live feed, recorded and replayed, ends in what the exchange said last.
#[test]
fn what_a_preset_records_it_replays() {
    let dir = Dir::new("recorded");
    let out = dir.0.join("a.jsonl.gz");
    let out = out.to_str().expect("UTF-8");
    let settings = Settings {
        symbols: 3,
        messages: Some(300),
        ..Settings::default()
    };
    let exchange = Simulator::start(settings).expect("a port on loopback");
    let names: Vec<_> = symbol_names(3).collect();
    let streams = format!("bookTicker:{}", names.join(","));
    let url = exchange.url();
    let args = ["record", &url, "--out", out, "--preset", "binance-spot"];
    // The answer to the request is a message as well.
    let told = run([&args[..], &["--stream", &streams, "--messages", "301"]].concat())
        .ok()
        .err;
    assert!(told.contains("recorded 301 messages"), "{told}");
    let sent = std::fs::read_to_string(dir.0.join("a.sent.jsonl")).expect("the file");
    assert!(
        sent.contains("SUBSCRIBE") && sent.lines().count() == 1,
        "{sent}"
    );
    for way in ["memory", "websocket"] {
        let replayed = replay(
            Path::new(out),
            &["--preset", "binance-spot", "--through", way],
        );
        let values = printed(&replayed.out).expect("one object a line");
        assert_eq!(values.len(), 3);
        for ((_, id), value) in values {
            let symbol = id.to_string().trim_matches('"').to_lowercase();
            let last = exchange
                .last(&format!("{symbol}@bookTicker"))
                .expect("it was sent");
            assert_eq!(Some(value), Tree::parse(&last), "{symbol}");
        }
    }
}

#[test]
fn two_connections_carry_the_same_streams() {
    let settings = Settings {
        symbols: 2,
        ..Settings::default()
    };
    let exchange = Simulator::start(settings).expect("a port on loopback");
    let names: Vec<_> = symbol_names(2).collect();
    let streams = format!("bookTicker:{}", names.join(","));
    let url = exchange.url();
    let args = [
        "watch",
        &url,
        "--preset",
        "binance-spot",
        "--redundant",
        "--print",
    ];
    let ran = run([&args[..], &["--stream", &streams, "--for", "1.5"]].concat()).ok();
    assert_eq!(printed(&ran.out).expect("one object a line").len(), 2);
    assert_eq!(exchange.stats().connections, 2, "{}", ran.err);
}

fn recorder(args: &[&str]) -> Command {
    let mut command = tickcache([&["record"], args].concat());
    command
        .env_remove("APCA_API_KEY_ID")
        .env_remove("APCA_API_SECRET_KEY");
    command
}

/// The login comes from the environment and is nowhere in the files.
#[test]
fn keys_come_from_the_environment_and_are_not_recorded() {
    let dir = Dir::new("keys");
    let out = dir.0.join("a.jsonl.gz");
    let out = out.to_str().expect("UTF-8");
    let (url, served) = serve(|mut socket| {
        socket
            .send(Message::text(r#"[{"T":"success","msg":"connected"}]"#))
            .expect("sent");
        let login = heard(&mut socket);
        assert_eq!(
            (&login["action"], &login["key"], &login["secret"]),
            (&"auth".into(), &"KEY-7".into(), &"SECRET-7".into())
        );
        socket
            .send(Message::text(r#"[{"T":"success","msg":"authenticated"}]"#))
            .expect("sent");
        assert_eq!(heard(&mut socket)["quotes"], serde_json::json!(["AAA"]));
        let granted = r#"[{"T":"subscription","trades":[],"quotes":["AAA"],"bars":[]}]"#;
        socket.send(Message::text(granted)).expect("sent");
        let quote = r#"[{"T":"q","S":"AAA","bp":1.5,"t":"2024-01-02T15:04:05Z"}]"#;
        socket.send(Message::text(quote)).expect("sent");
        until_gone(socket);
    });
    let args = [
        url.as_str(),
        "--out",
        out,
        "--preset",
        "alpaca-stocks",
        "--stream",
        "quotes:AAA",
        "--messages",
        "4",
    ];
    let none = ran(recorder(&args).output().expect("the binary runs"));
    assert_eq!(
        (none.code, none.err.lines().count()),
        (Some(1), 1),
        "{}",
        none.err
    );
    assert!(
        none.err.contains("set APCA_API_KEY_ID in the environment"),
        "{}",
        none.err
    );

    let keyed = recorder(&args)
        .env("APCA_API_KEY_ID", "KEY-7")
        .env("APCA_API_SECRET_KEY", "SECRET-7")
        .output();
    let told = ran(keyed.expect("the binary runs")).ok().err;
    assert!(told.contains("sent 2 texts, 1 with a login"), "{told}");
    served.join().expect("the server");
    let sent = std::fs::read_to_string(dir.0.join("a.sent.jsonl")).expect("the file");
    let sent: Vec<serde_json::Value> = sent
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(
        (&sent[0]["text"], &sent[0]["withheld"]),
        (&"".into(), &true.into())
    );
    assert!(
        sent[1]["text"]
            .as_str()
            .expect("a text")
            .contains("\"quotes\":[\"AAA\"]"),
        "{sent:?}"
    );
    for file in std::fs::read_dir(&dir.0).expect("the directory") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("a file");
        assert!(!bytes.windows(5).any(|bytes| bytes == b"KEY-7"));
    }
    let replayed = replay(Path::new(out), &["--preset", "alpaca-stocks"]);
    assert_eq!(replayed.out.lines().count(), 1, "{}", replayed.out);
}
