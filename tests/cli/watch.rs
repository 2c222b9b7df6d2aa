//! `watch` against servers of the test.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::{Dir, Ran, run};
use crate::reference::{Tree, printed};
use crate::simulator::{Rate, Settings, Simulator};

const SYMBOLS: usize = 6;

/// A simulator that falls silent after some messages.
fn exchange() -> Simulator {
    let rate = NonZeroU64::new(5000).expect("not zero");
    let settings = Settings {
        symbols: SYMBOLS,
        rate: Rate::PerSecond(rate),
        messages: Some(1000),
        ..Settings::default()
    };
    Simulator::start(settings).expect("a port on loopback")
}

#[test]
fn the_final_state_is_what_the_exchange_said_last() {
    let exchange = exchange();
    let streams = |channel: &str| {
        let names = crate::simulator::symbol_names(SYMBOLS);
        let names: Vec<_> = names
            .map(|name| format!("\"{}@{channel}\"", name.to_lowercase()))
            .collect();
        format!(
            r#"{{"method":"SUBSCRIBE","params":[{}],"id":1}}"#,
            names.join(",")
        )
    };
    let (books, tickers) = (streams("bookTicker"), streams("ticker"));
    let url = exchange.url();
    let args = [
        "watch",
        &url,
        "--preset",
        "binance-spot",
        "--idle",
        "1",
        "--print",
    ];
    let run = run([&args[..], &["--subscribe", &books, "--subscribe", &tickers]].concat()).ok();
    let values = printed(&run.out).expect("one object a line, in order");
    assert_eq!(values.len(), 2 * SYMBOLS, "{}", run.out);
    for ((entity, id), value) in &values {
        let channel = entity
            .strip_prefix("binance-spot.")
            .expect("the preset's prefix");
        let symbol = id.to_string().trim_matches('"').to_lowercase();
        let last = exchange
            .last(&format!("{symbol}@{channel}"))
            .expect("it was sent");
        assert_eq!(Some(value), Tree::parse(&last).as_ref(), "{entity} {id}");
    }
    assert_eq!(run.counted("messages", "data"), 1000);
    assert_eq!(
        run.counted("messages", "control"),
        2,
        "both subscriptions were acknowledged"
    );
}

#[test]
fn a_line_a_second_where_there_is_no_terminal() {
    let exchange = exchange();
    let url = format!("{}?streams=btcusdt@bookTicker", exchange.url());
    let run = run(["watch", &url, "--preset", "binance-spot", "--for", "2.5"]).ok();
    let lines: Vec<_> = run.out.lines().collect();
    assert!(!lines.is_empty(), "{}", run.err);
    for line in lines {
        assert!(
            line.contains("connected") && line.contains("live 1/1"),
            "{line}"
        );
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_one_line() {
    // Bound and never listened on by anybody else while the test runs.
    let free = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port");
    let url = format!("ws://{free}/");
    for end in ["--for", "--idle"] {
        let run = run(["watch", &url, "--preset", "events", "--print", end, "0.5"]);
        assert_eq!(run.code, Some(1), "{}", run.err);
        assert_eq!(run.out, "");
        assert_eq!(run.err.lines().count(), 1, "{}", run.err);
        assert!(
            run.err.contains(&free.to_string()) && run.err.contains("check"),
            "{}",
            run.err
        );
    }
}

/// A `wss` server with a certificate of its own; gives its address and the certificate as PEM.
fn secure(messages: &'static [&'static str]) -> (u16, String, JoinHandle<usize>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("they fit");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let server = std::thread::spawn(move || {
        // Clients that do not trust the certificate come and go; the first that does is served.
        for refused in 0.. {
            let (socket, _) = listener.accept().expect("a client");
            let tls = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let stream = rustls::StreamOwned::new(tls, socket);
            let Ok(mut client) = tungstenite::accept(stream) else {
                continue;
            };
            serve(&mut client, messages);
            return refused;
        }
        unreachable!("it is left by serving somebody")
    });
    (port, made.cert.pem(), server)
}

/// Sends the messages, then answers until the client closes.
fn serve<S: Read + Write>(client: &mut tungstenite::WebSocket<S>, messages: &[&str]) {
    for message in messages {
        client
            .send(tungstenite::Message::text(*message))
            .expect("it is read");
    }
    while client.read().is_ok() {}
}

#[test]
fn a_given_certificate_is_trusted_and_another_is_not() {
    let dir = Dir::new("wss");
    let (port, pem, server) = secure(&[
        r#"{"entity":"e","id":1,"payload":{"v":1.0}}"#,
        r#"{"entity":"e","id":1,"payload":{"w":"x"}}"#,
    ]);
    let url = format!("wss://localhost:{port}/");
    let watch = |ca: &str, pem: &str| -> Ran {
        let ca = dir.file(ca, pem.as_bytes());
        let ca = ca.to_str().expect("UTF-8");
        let inserting = ["--preset", "events", "--missing", "insert"];
        let options = ["--idle", "1", "--print", "--ca", ca];
        run([&["watch", &url], &inserting[..], &options].concat())
    };
    let other =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let refused = watch("other.pem", &other.cert.pem());
    assert_eq!(
        (refused.code, refused.out.as_str()),
        (Some(1), ""),
        "{}",
        refused.err
    );
    let run = watch("right.pem", &pem).ok();
    let line = r#"{"entity":"e","id":1,"epoch":2,"value":{"v":1.0,"w":"x"}}"#;
    assert_eq!(run.out.trim_end(), line);
    assert!(
        server.join().expect("it ends") > 0,
        "the first watch was turned away"
    );
}
