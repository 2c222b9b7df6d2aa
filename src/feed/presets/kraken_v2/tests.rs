use std::time::Duration;

use super::super::exchange::Exchange;
use super::super::script::Script;
use super::*;
use crate::feed::testing::{Desk, check};

fn feed() -> Exchange<KrakenV2> {
    Exchange::of(KrakenV2::default())
}

fn subscribe(number: u64, channel: &str, symbols: &[&str]) -> String {
    serde_json::json!({
        "method": "subscribe", "req_id": number,
        "params": {"channel": channel, "symbol": symbols, "snapshot": true}
    })
    .to_string()
}

fn unsubscribe(number: u64, channel: &str, symbols: &[&str]) -> String {
    serde_json::json!({
        "method": "unsubscribe", "req_id": number,
        "params": {"channel": channel, "symbol": symbols}
    })
    .to_string()
}

fn granted(verb: &str, number: u64, channel: &str, symbol: &str) -> String {
    format!(
        r#"{{"method":"{verb}","req_id":{number},"result":{{"channel":"{channel}","snapshot":true,"symbol":"{symbol}"}},"success":true,"time_in":"x","time_out":"y"}}"#
    )
}

/// A refusal names the symbol, and no channel.
fn refused(verb: &str, number: u64, symbol: &str, reason: &str) -> String {
    format!(
        r#"{{"error":"{reason}","method":"{verb}","req_id":{number},"success":false,"symbol":"{symbol}","time_in":"x"}}"#
    )
}

#[test]
fn each_element_is_a_whole_value_in_snapshots_and_updates() {
    check(
        feed(),
        &[
            (
                r#"{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","bid":105944.20,"bid_qty":2.50000000}]}"#,
                &[
                    r#"whole+ kraken-v2.ticker "BTC/USD" {"symbol":"BTC/USD","bid":105944.20,"bid_qty":2.50000000}"#,
                ],
            ),
            (
                r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":1,"timestamp":"1970-01-01T00:00:01.5Z"}]}"#,
                &[
                    r#"whole+ kraken-v2.ticker "BTC/USD" {"symbol":"BTC/USD","bid":1,"timestamp":"1970-01-01T00:00:01.5Z"} @1500000000"#,
                ],
            ),
            (
                r#"{"channel":"trade","type":"update","data":[{"symbol":"A/B","price":1.10,"trade_id":9},{"symbol":"A/B","price":1.2,"trade_id":10}]}"#,
                &[
                    r#"whole+ kraken-v2.trade "A/B" {"symbol":"A/B","price":1.10,"trade_id":9} #9"#,
                    r#"whole+ kraken-v2.trade "A/B" {"symbol":"A/B","price":1.2,"trade_id":10} #10"#,
                ],
            ),
            (
                r#"{"channel":"trade","type":"snapshot","data":[]}"#,
                &["notice"],
            ),
        ],
    );
}

/// Zeros and times that are none come as they are, and nothing is older for it.
#[test]
fn a_market_that_stands_still_is_shown_as_it_is() {
    let ticker = |time: &str| format!(r#"{{"symbol":"A/B","bid":0,"timestamp":{time}}}"#);
    let message = |time: &str| format!(r#"{{"channel":"ticker","data":[{}]}}"#, ticker(time));
    let mut desk = Desk::new(feed());
    for (time, shown) in [
        (r#""1970-01-01T00:00:00.000000Z""#, " @0"),
        (r#""0001-01-01T00:00:00Z""#, ""),
        ("null", ""),
    ] {
        let line = format!(r#"whole+ kraken-v2.ticker "A/B" {}{shown}"#, ticker(time));
        assert_eq!(desk.take(&message(time)), [line]);
    }
    let numbered = desk.sink.updates.iter().any(|u| u.sequence.is_some());
    assert!(!numbered, "a time never makes an update older");
    assert_eq!(desk.take(&message(r#""soon""#)), ["refused BadTime"]);
}

#[test]
fn what_is_no_value_is_none() {
    check(
        feed(),
        &[
            (r#"{"channel":"heartbeat"}"#, &["heartbeat"]),
            (
                r#"{"method":"pong","req_id":4,"time_in":"x","time_out":"y"}"#,
                &["heartbeat"],
            ),
            (
                r#"{"channel":"status","type":"update","data":[{"system":"maintenance","connection_id":17843232920108168701}]}"#,
                &["notice"],
            ),
            (
                r#"{"channel":"book","type":"snapshot","data":[{}]}"#,
                &["unmapped book"],
            ),
            (
                r#"{"channel":"ohlc","type":"update","data":[{}]}"#,
                &["unmapped ohlc"],
            ),
            (
                r#"{"error":"Malformed request","method":"error","success":false}"#,
                &["denied ? Malformed request"],
            ),
            (
                r#"{"error":"Method not found","method":"subscribe","req_id":7,"success":false}"#,
                &["denied 7 Method not found"],
            ),
            // Answers to requests that are not the feed's own.
            (&granted("subscribe", 99, "ticker", "A/B"), &["notice"]),
            (&refused("subscribe", 99, "A/B", "no"), &["denied ? no"]),
        ],
    );
}

#[test]
fn bad_messages_are_refused_with_their_reason() {
    check(
        feed(),
        &[
            ("[]", &["refused Shape"]),
            (r#"{"type":"update"}"#, &["refused Shape"]),
            (r#"{"channel":"ticker"}"#, &["refused NoPayload"]),
            (r#"{"channel":"ticker","data":{}}"#, &["refused Shape"]),
            (r#"{"channel":"ticker","data":[{}]}"#, &["refused NoId"]),
            (
                r#"{"channel":"ticker","data":[{"symbol":5}]}"#,
                &["refused BadId"],
            ),
            (
                r#"{"channel":"trade","data":[{"symbol":"A/B"}]}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"channel":"ticker","data":[{"symbol":"A","timestamp":5}]}"#,
                &["refused BadTime"],
            ),
        ],
    );
}

#[test]
fn each_symbol_is_acknowledged_by_itself() {
    let mut server = Script::open(feed());
    let symbols = ["A/B", "NO/NE", "C/D"];
    let ticket = server.subscribe("ticker", &symbols);
    server.expect(&[&subscribe(1, "ticker", &symbols)]);
    let trade = server.subscribe("trade", &["NO/NE"]);
    server.expect(&[&subscribe(2, "trade", &["NO/NE"])]);
    server.news();
    server.say(&granted("subscribe", 1, "ticker", "C/D"));
    // The number tells of which channel it is.
    let reason = "Currency pair not supported NO/NE";
    server.say(&refused("subscribe", 1, "NO/NE", reason));
    assert_eq!(server.news(), [""; 0]);
    server.say(&granted("subscribe", 1, "ticker", "A/B"));
    let refusal = format!("refused by the server: {reason}");
    assert_eq!(server.news(), [format!("settled {ticket}: {refusal}")]);
    server.say(&granted("subscribe", 2, "trade", "NO/NE"));
    assert_eq!(server.news(), [format!("settled {trade}: ok")]);
    let ended = server.unsubscribe("ticker", &["A/B", "C/D"]);
    server.expect(&[&unsubscribe(3, "ticker", &["A/B", "C/D"])]);
    server.say(&granted("unsubscribe", 3, "ticker", "A/B"));
    assert_eq!(server.news(), [""; 0]);
    server.say(&granted("unsubscribe", 3, "ticker", "C/D"));
    assert_eq!(server.news(), [format!("settled {ended}: ok")]);
}

#[test]
fn a_request_that_is_not_understood_is_refused_whole() {
    let mut server = Script::open(feed());
    let ticket = server.subscribe("ticker", &["A/B"]);
    server.news();
    server.say(r#"{"error":"Field is missing","method":"subscribe","req_id":1,"success":false}"#);
    let refused = "refused by the server: Field is missing";
    assert_eq!(server.news(), [format!("settled {ticket}: {refused}")]);
}

#[test]
fn a_new_connection_is_asked_for_the_same_with_its_options() {
    let bbo = feed().with(|venue| venue.trigger(Trigger::Bbo));
    let mut server = Script::open(bbo.stream("ticker", ["A/B"]).stream("trade", ["A/B"]));
    let ticker = |number| {
        serde_json::json!({
            "method": "subscribe", "req_id": number,
            "params": {
                "channel": "ticker", "symbol": ["A/B"], "event_trigger": "bbo", "snapshot": true
            }
        })
        .to_string()
    };
    server.expect(&[&ticker(1), &subscribe(2, "trade", &["A/B"])]);
    server.say(&granted("subscribe", 1, "ticker", "A/B"));
    server.close(1012);
    server.reconnect();
    server.expect(&[&ticker(3), &subscribe(4, "trade", &["A/B"])]);
}

#[test]
fn a_ping_is_sent_and_silence_ends_the_connection() {
    let mut server = Script::open(feed().stream("ticker", ["A/B"]));
    server.texts();
    server.say(&granted("subscribe", 1, "ticker", "A/B"));
    server.news();
    for _ in 0..59 {
        server.pass(Duration::from_secs(1));
        server.say(r#"{"channel":"heartbeat"}"#);
    }
    server.expect(&[r#"{"method":"ping"}"#]);
    assert_eq!(server.news(), [""; 0]);
    assert_eq!(server.counted().data, 0);
    server.pass(Duration::from_secs(30));
    assert_eq!(
        server.news(),
        ["lost: nothing came for longer than dead_after"]
    );
}

#[test]
fn no_second_holds_more_than_is_kept_to_and_no_request_more_than_fits() {
    let symbols: Vec<_> = (0..3000).map(|n| format!("P{n}/USD")).collect();
    let mut server = Script::open(feed().stream("ticker", &symbols));
    let asked = server.asked(
        |_| Vec::new(),
        |text| {
            let Some(symbols) = text["params"]["symbol"].as_array() else {
                return Vec::new();
            };
            assert!(symbols.len() <= 100);
            let text = |id: &serde_json::Value| id.as_str().expect("a text").to_owned();
            symbols.iter().map(text).collect()
        },
        |_| vec![r#"{"channel":"heartbeat"}"#.to_owned()],
    );
    assert_eq!(asked.len(), symbols.len());
    server.assert_pace(10, Duration::from_secs(1));
}
