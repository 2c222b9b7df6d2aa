use std::time::Duration;

use super::super::exchange::Exchange;
use super::super::script::Script;
use super::*;
use crate::feed::testing::{Desk, check};

const HEARTBEATS: &str = r#"{"type":"subscribe","channel":"heartbeats"}"#;

fn feed() -> Exchange<CoinbaseAdvanced> {
    Exchange::of(CoinbaseAdvanced::default())
}

fn request(verb: &str, channel: &str, products: &[&str]) -> String {
    serde_json::json!({"type": verb, "product_ids": products, "channel": channel}).to_string()
}

fn subscribe(channel: &str, products: &[&str]) -> String {
    request("subscribe", channel, products)
}

/// A message of a channel with one event.
fn message(channel: &str, number: u64, event: &str) -> String {
    format!(
        r#"{{"channel":"{channel}","timestamp":"1970-01-01T00:00:02.000000001Z","sequence_num":{number},"events":[{event}]}}"#
    )
}

fn held(number: u64, channels: &str) -> String {
    message(
        "subscriptions",
        number,
        &format!(r#"{{"subscriptions":{channels}}}"#),
    )
}

#[test]
fn each_product_of_each_event_is_a_whole_value() {
    let tickers = r#"{"type":"update","tickers":[{"product_id":"A","price":"1"},{"product_id":"B","price":"2"}]},{"type":"snapshot","tickers":[{"product_id":"C","price":"3"}]}"#;
    let trades = r#"{"type":"snapshot","trades":[{"product_id":"A","trade_id":"9","time":"1970-01-01T00:00:01Z"},{"product_id":"A","trade_id":"8","time":"1970-01-01T00:00:00Z"}]}"#;
    check(
        feed(),
        &[
            (
                &message("ticker", 0, tickers),
                &[
                    "advance 0",
                    r#"whole+ coinbase-advanced.ticker "A" {"product_id":"A","price":"1"} @2000000001"#,
                    r#"whole+ coinbase-advanced.ticker "B" {"product_id":"B","price":"2"} @2000000001"#,
                    r#"whole+ coinbase-advanced.ticker "C" {"product_id":"C","price":"3"} @2000000001"#,
                ],
            ),
            (
                &message("market_trades", 1, trades),
                &[
                    "advance 1",
                    r#"whole+ coinbase-advanced.market_trades "A" {"product_id":"A","trade_id":"9","time":"1970-01-01T00:00:01Z"} #9 @1000000000"#,
                    r#"whole+ coinbase-advanced.market_trades "A" {"product_id":"A","trade_id":"8","time":"1970-01-01T00:00:00Z"} #8 @0"#,
                ],
            ),
            (
                &message("ticker_batch", 2, r#"{"tickers":[{"product_id":"A"}]}"#),
                &[
                    "advance 2",
                    r#"whole+ coinbase-advanced.ticker_batch "A" {"product_id":"A"} @2000000001"#,
                ],
            ),
            (
                &message("ticker", 3, r#"{"tickers":[]}"#),
                &["advance 3", "notice"],
            ),
        ],
    );
}

#[test]
fn every_message_counts_in_the_numbering_of_the_connection() {
    check(
        feed(),
        &[
            (
                &message("l2_data", 0, r#"{"updates":[]}"#),
                &["advance 0", "unmapped l2_data"],
            ),
            (
                &message("candles", 1, r#"{"candles":[]}"#),
                &["advance 1", "unmapped candles"],
            ),
            (
                &message("heartbeats", 2, r#"{"heartbeat_counter":5}"#),
                &["advance 2", "heartbeat"],
            ),
            (&held(3, r#"{"ticker":["A"]}"#), &["advance 3", "notice"]),
        ],
    );
}

#[test]
fn trades_are_numbered_by_themselves() {
    let mut desk = Desk::new(feed());
    desk.take(&message(
        "market_trades",
        1,
        r#"{"trades":[{"product_id":"A","trade_id":"9"}]}"#,
    ));
    let [update] = desk.sink.updates[..] else {
        panic!("one update")
    };
    assert_eq!(update.policy, Policy::continuing(Rule::SparseRising));
}

#[test]
fn bad_messages_are_refused_with_their_reason() {
    check(
        feed(),
        &[
            ("[]", &["refused Shape"]),
            (r#"{"sequence_num":1}"#, &["refused Shape"]),
            (
                r#"{"channel":"ticker","sequence_num":"x","events":[]}"#,
                &["refused BadSequence"],
            ),
            // What has no place in the numbering would hide a hole.
            (
                r#"{"channel":"heartbeats","events":[]}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"channel":"ticker","sequence_num":1}"#,
                &["refused NoPayload"],
            ),
            (
                r#"{"channel":"ticker","sequence_num":1,"events":{}}"#,
                &["refused Shape"],
            ),
            (&message("ticker", 1, "{}"), &["refused NoPayload"]),
            (
                &message("ticker", 1, r#"{"tickers":{}}"#),
                &["refused Shape"],
            ),
            (
                &message("ticker", 1, r#"{"tickers":[7]}"#),
                &["refused NoId"],
            ),
            (
                &message("market_trades", 1, r#"{"trades":[{"product_id":"A"}]}"#),
                &["refused BadSequence"],
            ),
            (
                r#"{"channel":"ticker","timestamp":"soon","sequence_num":1,"events":[]}"#,
                &["refused BadTime"],
            ),
        ],
    );
}

#[test]
fn heartbeats_come_first_and_lists_acknowledge() {
    let mut server = Script::open(feed().stream("ticker", ["A", "B"]));
    server.expect(&[HEARTBEATS, &subscribe("ticker", &["A", "B"])]);
    let trades = server.subscribe("market_trades", &["A"]);
    server.expect(&[&subscribe("market_trades", &["A"])]);
    server.news();
    server.say(&held(0, r#"{"heartbeats":["heartbeats"]}"#));
    server.say(&held(
        1,
        r#"{"heartbeats":["heartbeats"],"ticker":["A","B"]}"#,
    ));
    assert_eq!(server.news(), [""; 0]);
    server.say(&held(2, r#"{"market_trades":["A"],"ticker":["A","B"]}"#));
    assert_eq!(server.news(), [format!("settled {trades}: ok")]);
    let ended = server.unsubscribe("ticker", &["B"]);
    server.expect(&[&request("unsubscribe", "ticker", &["B"])]);
    server.say(&held(3, r#"{"market_trades":["A"],"ticker":["A"]}"#));
    assert_eq!(server.news(), [format!("settled {ended}: ok")]);
}

#[test]
fn a_refusal_is_reported_with_its_reason() {
    let mut server = Script::open(feed());
    let bad = server.subscribe("ticker", &["NO-NE"]);
    server.news();
    server.say(&held(0, r#"{"heartbeats":["heartbeats"]}"#));
    server.say(r#"{"type":"error","message":"NO-NE is no product"}"#);
    let refused = "refused by the server: NO-NE is no product";
    assert_eq!(server.news(), [format!("settled {bad}: {refused}")]);
    // An error that answers nothing.
    server.say(r#"{"type":"error","message":"odd"}"#);
    assert_eq!(server.news(), [""; 0]);
    assert_eq!(server.counted().control, 3);
    server.cut();
    server.reconnect();
    server.expect(&[HEARTBEATS]);
}

#[test]
fn of_a_refused_request_the_others_are_asked_for_again() {
    let mut server = Script::open(feed().stream("ticker", ["A", "NO"]));
    server.texts();
    server.news();
    server.say(&held(0, r#"{"heartbeats":["heartbeats"]}"#));
    let error = r#"{"type":"error","message":"product NO: unknown"}"#;
    server.say(error);
    server.expect(&[&subscribe("ticker", &["A"]), &subscribe("ticker", &["NO"])]);
    server.say(&held(1, r#"{"ticker":["A"]}"#));
    server.say(error);
    let refused = "settled -: refused by the server: product NO: unknown";
    assert_eq!(server.news(), [refused]);
}

#[test]
fn a_server_that_withholds_its_heartbeats_is_given_up() {
    let mut server = Script::open(feed().stream("ticker", ["A"]));
    server.say(&held(0, r#"{"heartbeats":["heartbeats"]}"#));
    server.say(&held(1, r#"{"ticker":["A"]}"#));
    server.news();
    for number in 2..62 {
        server.pass(Duration::from_secs(1));
        server.say(&message("heartbeats", number, "{}"));
    }
    assert_eq!(server.counted().data, 0);
    assert_eq!(server.news(), [""; 0]);
    server.pass(Duration::from_secs(30));
    assert_eq!(
        server.news(),
        ["lost: nothing came for longer than dead_after"]
    );
}

#[test]
fn no_second_holds_more_than_the_server_allows_and_no_request_more_than_fits() {
    let products: Vec<_> = (0..3000).map(|n| format!("P{n}-USD")).collect();
    let mut server = Script::open(feed().stream("ticker", &products));
    let asked = server.asked(
        |_| Vec::new(),
        |text| {
            let Some(products) = text["product_ids"].as_array() else {
                return Vec::new();
            };
            assert!(products.len() <= 100);
            let text = |id: &serde_json::Value| id.as_str().expect("a text").to_owned();
            products.iter().map(text).collect()
        },
        |_| Vec::new(),
    );
    assert_eq!(asked.len(), products.len());
    assert!(server.sent() > 30);
    server.assert_pace(7, Duration::from_secs(1));
}

#[test]
fn a_new_connection_is_asked_for_the_same() {
    let mut server = Script::open(
        feed()
            .stream("ticker", ["A", "B"])
            .stream("market_trades", ["A"]),
    );
    let first = server.texts();
    assert_eq!(first.len(), 3);
    server.say(&held(0, r#"{"heartbeats":["heartbeats"]}"#));
    server.close(1012);
    server.reconnect();
    assert_eq!(server.texts(), first);
}
