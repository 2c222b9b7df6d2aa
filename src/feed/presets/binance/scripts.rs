//! The three markets against a scripted server.

use std::time::Duration;

use serde_json::Value as Json;

use super::*;
use crate::feed::config::Settings;
use crate::feed::presets::script::{Script, settings};

const SECOND: Duration = Duration::from_secs(1);
const MARKETS: [BinanceMarket; 3] = [
    BinanceMarket::Spot,
    BinanceMarket::Usdm,
    BinanceMarket::Coinm,
];

fn protocol(market: BinanceMarket) -> Exchange<Binance> {
    Exchange::of(Binance::of(market)).base("ws://here")
}

fn each(test: impl Fn(BinanceMarket)) {
    for market in MARKETS {
        test(market);
    }
}

/// The streams that a combined URL asks for.
fn of_url(url: &str) -> Vec<String> {
    let streams = url.split_once("?streams=").map(|(_, streams)| streams);
    let streams = streams.into_iter().flat_map(|streams| streams.split('/'));
    streams.map(str::to_owned).collect()
}

/// The streams that a request asks for.
fn of_request(request: &Json) -> Vec<String> {
    let params = request["params"].as_array().into_iter().flatten();
    assert_eq!(request["method"], "SUBSCRIBE");
    params
        .map(|stream| stream.as_str().expect("a name").to_owned())
        .collect()
}

fn grant(request: &Json) -> Vec<String> {
    vec![format!(r#"{{"result":null,"id":{}}}"#, request["id"])]
}

#[test]
fn a_stream_is_granted_by_the_answer_to_its_request() {
    each(|market| {
        let mut server = Script::open(protocol(market));
        server.subscribe("bookTicker", &["BTCUSDT", "ETHUSDT"]);
        server.subscribe("aggTrade", &["BTCUSDT"]);
        server.expect(&[
            r#"{"id":1,"method":"SUBSCRIBE","params":["btcusdt@bookTicker","ethusdt@bookTicker"]}"#,
            r#"{"id":2,"method":"SUBSCRIBE","params":["btcusdt@aggTrade"]}"#,
        ]);
        assert_eq!(server.news(), ["opened 1"]);
        server.say(r#"{"result":null,"id":2}"#);
        assert_eq!(server.news(), ["settled 2: ok"]);
        server.say(r#"{"id":1,"result":null}"#);
        assert_eq!(server.news(), ["settled 1: ok"]);
        server.unsubscribe("bookTicker", &["ETHUSDT"]);
        server.expect(&[r#"{"id":3,"method":"UNSUBSCRIBE","params":["ethusdt@bookTicker"]}"#]);
        server.say(r#"{"result":null,"id":3}"#);
        assert_eq!(server.news(), ["settled 3: ok"]);
        assert_eq!(server.counted().control, 3);
    });
}

#[test]
fn a_refusal_is_reported_with_its_reason() {
    let forms = [
        r#"{"error":{"code":2,"msg":"Invalid request: unknown stream"},"id":1}"#,
        r#"{"code":2,"msg":"Invalid request: unknown stream","id":1}"#,
    ];
    for form in forms {
        each(|market| {
            let mut server = Script::open(protocol(market));
            server.subscribe("bookTicker", &["NOPE"]);
            server.say(form);
            let refused = "settled 1: refused by the server: Invalid request: unknown stream";
            assert_eq!(server.news(), ["opened 1", refused]);
            // It is wanted no more.
            server.cut();
            assert!(!server.reconnect().contains("nope"));
        });
    }
}

#[test]
fn of_many_only_those_that_the_server_refuses_are_given_up() {
    let mut server = Script::open(protocol(BinanceMarket::Spot));
    server.subscribe("trade", &["A", "B", "NOPE", "C", "D"]);
    let granted = server.asked(
        of_url,
        |request| {
            let streams = of_request(request);
            let refused = streams.contains(&"nope@trade".to_owned());
            if refused { Vec::new() } else { streams }
        },
        |request| {
            let refused = request.to_string().contains("nope");
            let refusal = r#"{"error":{"code":2,"msg":"no"},"id":"#;
            let refusal = format!("{refusal}{}}}", request["id"]);
            if refused {
                vec![refusal]
            } else {
                grant(request)
            }
        },
    );
    assert_eq!(granted, ["a@trade", "b@trade", "c@trade", "d@trade"]);
    let news = ["opened 1", "settled 1: refused by the server: no"];
    assert_eq!(server.news(), news);
}

#[test]
fn what_is_granted_and_then_silent_is_reported() {
    each(|market| {
        let settings = Settings {
            silent_after: 5 * SECOND,
            ..settings()
        };
        let mut server = Script::with(settings, protocol(market));
        server.subscribe("bookTicker", &["BTCUSDT"]);
        server.say(r#"{"result":null,"id":1}"#);
        assert_eq!(server.news(), ["opened 1", "settled 1: ok"]);
        server.ping("not data");
        server.pass(5 * SECOND);
        assert_eq!(server.news(), ["silent"]);
    });
}

#[test]
fn a_request_without_an_answer_is_reported_and_stays_wanted() {
    let mut server = Script::open(protocol(BinanceMarket::Spot));
    server.subscribe("bookTicker", &["BTCUSDT"]);
    server.pass(10 * SECOND);
    assert_eq!(
        server.news(),
        ["opened 1", "settled 1: the server did not answer"]
    );
    server.cut();
    assert_eq!(
        server.reconnect(),
        "ws://here/stream?streams=btcusdt@bookTicker"
    );
}

#[test]
fn pings_are_answered_with_their_payload_and_their_lack_ends_the_connection() {
    each(|market| {
        let mut server = Script::open(protocol(market).trade(["BTCUSDT"]));
        for minute in 0..5 {
            server.pass(20 * SECOND);
            let time = format!("16{minute}");
            server.ping(&time);
            assert!(server.frames().contains(&format!("pong {time}")));
        }
        assert_eq!(server.news(), ["opened 1"]);
        // The server is gone without a word: asked once, then given up.
        server.pass(15 * SECOND);
        assert_eq!(server.frames(), ["ping "]);
        server.pass(15 * SECOND);
        let lost = "lost: nothing came for longer than dead_after";
        assert_eq!(server.news(), [lost]);
        assert!(server.reconnect().ends_with("?streams=btcusdt@trade"));
    });
}

#[test]
fn no_second_holds_more_than_the_server_allows() {
    for (market, allowed) in MARKETS.into_iter().zip([5, 10, 10]) {
        let mut server = Script::open(protocol(market));
        // One request each, since each waits for another ticket.
        for n in 0..60 {
            server.subscribe("bookTicker", &[&format!("SYMBOL{n}")]);
            server.pass(Duration::from_millis(50));
            if n % 20 == 0 {
                server.ping("x");
            }
        }
        server.pass(20 * SECOND);
        assert!(server.sent() > 2 * allowed, "{}", server.sent());
        server.assert_pace(allowed, SECOND);
    }
}

#[test]
fn a_connection_holds_no_more_streams_than_it_may() {
    for (market, limit) in MARKETS.into_iter().zip([1024, 200, 200]) {
        let symbols: Vec<_> = (0..=limit).map(|n| format!("SYMBOL{n}")).collect();
        let symbols: Vec<_> = symbols.iter().map(String::as_str).collect();
        let mut server = Script::open(protocol(market));
        server.subscribe("bookTicker", &symbols[1..]);
        let refused = server.try_subscribe("bookTicker", &symbols[..1]);
        let wanted = limit + 1;
        assert_eq!(refused, Err(SubscribeError::TooMany { limit, wanted }));
        let asked = server.asked(of_url, of_request, |request| {
            assert!(request["params"].as_array().expect("a list").len() <= MAX_PARAMS);
            assert!(request.to_string().len() <= MAX_REQUEST);
            grant(request)
        });
        let mut expected: Vec<_> = symbols[1..]
            .iter()
            .map(|symbol| format!("{}@bookTicker", symbol.to_lowercase()))
            .collect();
        expected.sort_unstable();
        assert_eq!(asked, expected);
        // The next connection: what the URL holds, and the rest by message.
        server.cut();
        let url = server.reconnect();
        assert!(url.len() <= MAX_URL);
        assert_eq!(server.asked(of_url, of_request, grant), expected);
    }
}

#[test]
fn the_next_connection_is_asked_for_the_same_streams() {
    let base = protocol(BinanceMarket::Usdm)
        .stream("markPrice@1s", ["BTCUSDT", "ETHUSDT"])
        .stream("!miniTicker@arr", [""]);
    let mut server = Script::open(base);
    server.subscribe("aggTrade", &["BTCUSDT"]);
    server.subscribe("forceOrder", &["BTCUSDT"]);
    server.unsubscribe("markPrice@1s", &["ETHUSDT"]);
    // Speeds are as they were asked for.
    let expected = [
        "!miniTicker@arr",
        "btcusdt@aggTrade",
        "btcusdt@forceOrder",
        "btcusdt@markPrice@1s",
    ];
    for _ in 0..3 {
        server.close(1008);
        server.reconnect();
        assert_eq!(server.asked(of_url, of_request, grant), expected);
    }
}

#[test]
fn a_notice_of_shutdown_is_passed_on() {
    each(|market| {
        let mut server = Script::open(protocol(market).trade(["BTCUSDT"]));
        server.say(r#"{"e":"serverShutdown","E":1770123456789}"#);
        server.say(r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#);
        assert_eq!(server.news(), ["opened 1", "closing", "closing"]);
        assert_eq!(server.counted().control, 2);
        assert_eq!(protocol(market).venue().lifetime(), Some(86_400 * SECOND));
    });
}

#[test]
fn usd_margined_futures_are_asked_on_the_route_that_serves_them() {
    let usdm = || Exchange::of(Binance::of(BinanceMarket::Usdm));
    let server = Script::open(usdm().book_ticker(["BTCUSDT"]));
    assert_eq!(
        server.url(),
        "wss://fstream.binance.com/public/stream?streams=btcusdt@bookTicker"
    );
    let mut server = Script::open(usdm().stream("markPrice@1s", ["BTCUSDT"]));
    assert_eq!(
        server.url(),
        "wss://fstream.binance.com/market/stream?streams=btcusdt@markPrice@1s"
    );
    let refused = server.try_subscribe("bookTicker", &["BTCUSDT"]);
    let refused = refused.expect_err("the server would stay silent");
    assert!(refused.to_string().contains("/public"), "{refused}");
    server.subscribe("aggTrade", &["BTCUSDT"]);
    server.expect(&[r#"{"id":1,"method":"SUBSCRIBE","params":["btcusdt@aggTrade"]}"#]);

    let chosen = usdm().with(|venue| venue.route(BinanceRoute::Market));
    let server = Script::open(chosen.with(|venue| venue.endpoint(Endpoint::Raw)));
    assert_eq!(server.url(), "wss://fstream.binance.com/market/ws");
    // A base of one's own has the routes that one says.
    let mut server = Script::open(usdm().base("ws://here/market").book_ticker(["X"]));
    assert_eq!(server.url(), "ws://here/market/stream?streams=x@bookTicker");
    server.subscribe("markPrice", &["X"]);
    let server = Script::open(Exchange::of(Binance::of(BinanceMarket::Coinm)).ticker(["X"]));
    assert_eq!(
        server.url(),
        "wss://dstream.binance.com/stream?streams=x@ticker"
    );
}

#[test]
fn what_cannot_be_asked_for_is_refused_at_once() {
    let mut server = Script::open(protocol(BinanceMarket::Spot));
    for (channel, id) in [
        ("depth", "BTCUSDT"),
        ("markPrice", "BTCUSDT"),
        ("trade@1s", "BTCUSDT"),
        ("!bookTicker", ""),
        ("!ticker", ""),
    ] {
        assert_eq!(
            server.try_subscribe(channel, &[id]),
            Err(SubscribeError::UnknownChannel(channel.into()))
        );
    }
    for (channel, id) in [
        ("trade", ""),
        ("trade", "a/b"),
        ("trade", "!ticker"),
        ("trade", "BTC USDT"),
        ("!ticker@arr", "BTCUSDT"),
    ] {
        let refused = server.try_subscribe(channel, &[id]);
        assert!(matches!(refused, Err(SubscribeError::BadId(..))), "{id:?}");
    }
    let mut server = Script::open(protocol(BinanceMarket::Coinm));
    server.subscribe("indexPrice@1s", &["BTCUSD"]);
    server.subscribe("!bookTicker", &[""]);
    server.expect(&[
        r#"{"id":1,"method":"SUBSCRIBE","params":["btcusd@indexPrice@1s"]}"#,
        r#"{"id":2,"method":"SUBSCRIBE","params":["!bookTicker"]}"#,
    ]);
}
