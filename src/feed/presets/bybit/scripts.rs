//! The three categories against a scripted server.

use std::time::Duration;

use serde_json::Value as Json;

use super::*;
use crate::feed::config::Settings;
use crate::feed::presets::Exchange;
use crate::feed::presets::script::{Script, settings};

const SECOND: Duration = Duration::from_secs(1);
const CATEGORIES: [BybitCategory; 3] = [
    BybitCategory::Linear,
    BybitCategory::Inverse,
    BybitCategory::Spot,
];
const PONG: &str = r#"{"success":true,"ret_msg":"pong","conn_id":"d","op":"ping"}"#;

fn protocol(category: BybitCategory) -> Exchange<Bybit> {
    Exchange::of(Bybit::of(category))
}

fn each(test: impl Fn(BybitCategory)) {
    for category in CATEGORIES {
        test(category);
    }
}

/// The topics of a request.
fn topics(request: &Json) -> Vec<String> {
    let args = request["args"].as_array().into_iter().flatten();
    args.map(|topic| topic.as_str().expect("a topic").to_owned())
        .collect()
}

fn answer(request: &Json, success: bool, reason: &str) -> Vec<String> {
    if request["op"] == "ping" {
        return vec![PONG.to_owned()];
    }
    let (name, op) = (&request["req_id"], &request["op"]);
    vec![format!(
        r#"{{"success":{success},"ret_msg":"{reason}","conn_id":"d","req_id":{name},"op":{op}}}"#
    )]
}

fn grant(request: &Json) -> Vec<String> {
    answer(request, true, "")
}

#[test]
fn topics_are_granted_by_the_answer_to_their_request() {
    each(|category| {
        let mut server = Script::open(protocol(category).stream("tickers", ["BTCUSDT", "ETHUSDT"]));
        let url = match category {
            BybitCategory::Linear => "wss://stream.bybit.com/v5/public/linear",
            BybitCategory::Inverse => "wss://stream.bybit.com/v5/public/inverse",
            BybitCategory::Spot => "wss://stream.bybit.com/v5/public/spot",
        };
        assert_eq!(server.url(), url);
        server.subscribe("publicTrade", &["BTCUSDT"]);
        server.expect(&[
            r#"{"op":"subscribe","req_id":"1/2","args":["tickers.BTCUSDT","tickers.ETHUSDT"]}"#,
            r#"{"op":"subscribe","req_id":"2/1","args":["publicTrade.BTCUSDT"]}"#,
        ]);
        server
            .say(r#"{"success":true,"ret_msg":"","conn_id":"d","req_id":"1/2","op":"subscribe"}"#);
        assert_eq!(server.news(), ["opened 1"]);
        server
            .say(r#"{"success":true,"ret_msg":"","conn_id":"d","req_id":"2/1","op":"subscribe"}"#);
        assert_eq!(server.news(), ["settled 1: ok"]);
        server.unsubscribe("tickers", &["ETHUSDT"]);
        server.expect(&[r#"{"op":"unsubscribe","req_id":"3/1","args":["tickers.ETHUSDT"]}"#]);
        server.say(
            r#"{"success":true,"ret_msg":"","conn_id":"d","req_id":"3/1","op":"unsubscribe"}"#,
        );
        assert_eq!(server.news(), ["settled 2: ok"]);
        assert_eq!(server.counted().control, 3);
    });
}

#[test]
fn a_refusal_is_reported_with_its_reason() {
    each(|category| {
        let mut server = Script::open(protocol(category).stream("tickers", ["NOPE"]));
        server.say(
            r#"{"success":false,"ret_msg":"error:handler not found,topic:tickers.NOPE","conn_id":"d","req_id":"1/1","op":"subscribe"}"#,
        );
        let refused =
            "settled -: refused by the server: error:handler not found,topic:tickers.NOPE";
        assert_eq!(server.news(), ["opened 1", refused]);
        server.cut();
        server.reconnect();
        server.expect(&[]);
    });
}

/// Those before a bad one may have been taken: asked for again, they are held already.
#[test]
fn of_many_only_those_that_the_server_refuses_are_given_up() {
    let protocol = protocol(BybitCategory::Linear);
    let mut server = Script::open(protocol.stream("tickers", ["A", "B", "NOPE", "C"]));
    let mut held = Vec::new();
    for _ in 0..8 {
        for text in server.texts() {
            let request = serde_json::from_str(&text).expect("JSON");
            let mut reason = "";
            for topic in topics(&request) {
                if topic == "tickers.NOPE" {
                    reason = "error:handler not found";
                    break;
                }
                if held.contains(&topic) {
                    reason = "error:already subscribed";
                    break;
                }
                held.push(topic);
            }
            for answer in answer(&request, reason.is_empty(), reason) {
                server.say(&answer);
            }
        }
    }
    assert_eq!(held, ["tickers.A", "tickers.B", "tickers.C"]);
    assert_eq!(
        server.news(),
        [
            "opened 1",
            "settled -: refused by the server: error:handler not found"
        ]
    );
}

#[test]
fn what_is_granted_and_then_silent_is_reported() {
    each(|category| {
        let settings = Settings {
            silent_after: 25 * SECOND,
            ..settings()
        };
        let mut server = Script::with(settings, protocol(category).stream("tickers", ["X"]));
        server.say(r#"{"success":true,"req_id":"1/1","op":"subscribe"}"#);
        server.pass(20 * SECOND);
        // Not data.
        server.say(PONG);
        assert_eq!(server.news(), ["opened 1"]);
        server.pass(5 * SECOND);
        assert_eq!(server.news(), ["silent"]);
    });
}

#[test]
fn a_sign_of_life_is_sent_every_20_seconds_and_its_lack_ends_the_connection() {
    each(|category| {
        let mut server = Script::open(protocol(category).stream("tickers", ["X"]));
        server.texts();
        for _ in 0..10 {
            server.pass(20 * SECOND - Duration::from_millis(1));
            server.expect(&[]);
            server.pass(Duration::from_millis(1));
            server.expect(&[r#"{"op":"ping"}"#]);
            server.say(PONG);
        }
        let news = server.news();
        assert_eq!(news, ["opened 1", "settled -: the server did not answer"]);
        assert_eq!(server.counted().control, 10);
        server.pass(30 * SECOND);
        let lost = "lost: nothing came for longer than dead_after";
        assert_eq!(server.news(), [lost]);
    });
}

#[test]
fn requests_hold_no_more_than_the_server_takes() {
    let symbols: Vec<_> = (0..95).map(|n| format!("SYMBOL{n:02}USDT")).collect();
    let mut server = Script::open(protocol(BybitCategory::Spot).stream("tickers", &symbols));
    let mut expected: Vec<_> = symbols.iter().map(|s| format!("tickers.{s}")).collect();
    expected.sort_unstable();
    for _ in 0..2 {
        let asked = server.asked(
            |_| Vec::new(),
            |request| {
                let topics = topics(request);
                assert!(topics.len() <= 10, "{request}");
                topics
            },
            grant,
        );
        assert_eq!(asked, expected);
        server.assert_pace(10, SECOND);
        server.cut();
        server.reconnect();
    }
}

#[test]
fn a_connection_to_contracts_holds_21000_characters_of_topics() {
    // 30 characters each, with quotes and comma.
    let symbols: Vec<_> = (0..700).map(|n| format!("SYMBOL-NUMBER-{n:05}")).collect();
    let mut server = Script::open(protocol(BybitCategory::Linear).stream("tickers", &symbols));
    let asked = |server: &mut Script<_>, answer: fn(&Json) -> Vec<String>| {
        let chars = |request: &Json| request["args"].to_string().len() <= 21_000;
        server.asked(
            |_| Vec::new(),
            |request| {
                assert!(chars(request));
                topics(request)
            },
            answer,
        )
    };
    assert_eq!(asked(&mut server, grant).len(), 699);
    let full = "settled -: \"SYMBOL-NUMBER-00699\" cannot be subscribed to: \
                the connection holds the 21,000 characters of topics that it may";
    assert_eq!(server.news(), ["opened 1", full]);
    // What ends makes room, and so does what is refused.
    server.unsubscribe("tickers", &["SYMBOL-NUMBER-00003"]);
    for _ in 0..3 {
        server.subscribe("tickers", &["X"]);
        let no = |request: &Json| {
            let is_refused = request["op"] == "subscribe";
            answer(request, !is_refused, "no")
        };
        asked(&mut server, no);
    }
    server.subscribe("tickers", &["SYMBOL-NUMBER-00900"]);
    asked(&mut server, grant);
    let news = server.news();
    assert_eq!(news.last().map(String::as_str), Some("settled 5: ok"));
    // The next connection begins anew.
    server.cut();
    server.reconnect();
    assert_eq!(asked(&mut server, grant).len(), 699);
}

#[test]
fn the_next_connection_is_asked_for_the_same_topics() {
    each(|category| {
        let protocol = protocol(category).stream("tickers", ["A", "B"]);
        let mut server = Script::open(protocol);
        server.subscribe("publicTrade", &["A", "C"]);
        server.unsubscribe("tickers", &["B"]);
        server.cut();
        for _ in 0..3 {
            server.reconnect();
            let asked = server.asked(|_| Vec::new(), topics, grant);
            assert_eq!(asked, ["publicTrade.A", "publicTrade.C", "tickers.A"]);
            server.close(1001);
        }
    });
}

/// A value is never made of parts alone, and never live by a part.
#[test]
fn a_delta_says_that_it_is_a_part() {
    let mut server = Script::open(protocol(BybitCategory::Linear).stream("tickers", ["X"]));
    server.check(
        r#"{"topic":"tickers.X","type":"delta","data":{"symbol":"X","a":"1"},"cs":5,"ts":1}"#,
        &[r#"merge bybit-linear.tickers "X" {"symbol":"X","a":"1"} #5 @1000000"#],
    );
}

#[test]
fn what_cannot_be_asked_for_is_refused_at_once() {
    let mut server = Script::open(protocol(BybitCategory::Spot));
    for channel in ["orderbook.50", "kline", "allLiquidation"] {
        assert_eq!(
            server.try_subscribe(channel, &["X"]),
            Err(SubscribeError::UnknownChannel(channel.into()))
        );
    }
    for id in ["", "B TC", "a,b", "\"", "\n"] {
        let refused = server.try_subscribe("tickers", &[id]);
        assert!(matches!(refused, Err(SubscribeError::BadId(..))), "{id:?}");
    }
    server.expect(&[]);
}
