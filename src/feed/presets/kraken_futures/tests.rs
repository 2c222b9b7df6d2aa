use std::time::Duration;

use super::super::exchange::Exchange;
use super::super::script::Script;
use super::*;
use crate::feed::protocol::Protocol;
use crate::feed::testing::{Desk, check};

const HEARTBEAT: &str = r#"{"event":"subscribe","feed":"heartbeat"}"#;

fn feed() -> Exchange<KrakenFutures> {
    Exchange::of(KrakenFutures::default())
}

fn request(verb: &str, feed: &str, product: &str) -> String {
    format!(r#"{{"event":"{verb}","feed":"{feed}","product_ids":["{product}"]}}"#)
}

fn subscribe(feed: &str, product: &str) -> String {
    request("subscribe", feed, product)
}

fn error(message: &str) -> String {
    format!(r#"{{"event":"error","message":"{message}"}}"#)
}

#[test]
fn each_message_is_a_whole_value_of_its_product() {
    let trade =
        |seq: u64| format!(r#"{{"feed":"trade","product_id":"A","seq":{seq},"time":2,"qty":1.0}}"#);
    let traded = |seq: u64| {
        format!(
            r#"whole+ kraken-futures.trade "A" {} #{seq} @2000000"#,
            trade(seq)
        )
    };
    check(
        feed(),
        &[
            (
                r#"{"feed":"ticker_lite","product_id":"A","bid":1.50,"tickSize":null}"#,
                &[
                    r#"whole+ kraken-futures.ticker_lite "A" {"feed":"ticker_lite","product_id":"A","bid":1.50,"tickSize":null}"#,
                ],
            ),
            (
                r#"{"time":3,"product_id":"A","feed":"ticker","bid":1}"#,
                &[
                    r#"whole+ kraken-futures.ticker "A" {"time":3,"product_id":"A","feed":"ticker","bid":1} @3000000"#,
                ],
            ),
            (&trade(7), &[&traded(7)]),
            (
                &format!(
                    r#"{{"feed":"trade_snapshot","product_id":"A","trades":[{},{}]}}"#,
                    trade(9),
                    trade(8)
                ),
                &[&traded(9), &traded(8)],
            ),
            (
                r#"{"feed":"trade_snapshot","product_id":"A","trades":[]}"#,
                &["notice"],
            ),
        ],
    );
    let mut desk = Desk::new(feed());
    desk.take(&trade(7));
    let policy = Policy::restarting(Rule::SparseRising);
    assert_eq!(desk.sink.updates[0].policy, policy);
}

#[test]
fn what_is_no_value_is_none() {
    check(
        feed(),
        &[
            (
                r#"{"feed":"heartbeat","time":1534262350627}"#,
                &["heartbeat"],
            ),
            (r#"{"event":"info","version":1}"#, &["notice"]),
            (
                r#"{"feed":"book","product_id":"A","seq":1}"#,
                &["unmapped book"],
            ),
            (
                r#"{"feed":"book_snapshot","product_id":"A","tickSize":null}"#,
                &["unmapped book_snapshot"],
            ),
            (
                r#"{"event":"alert","message":"rate_limited"}"#,
                &["denied ? rate_limited"],
            ),
            (&error("Json Error"), &["denied ? Json Error"]),
            (r#"{"event":"new"}"#, &["unmapped new"]),
            // Answers to requests that are not the feed's own.
            (
                r#"{"event":"subscribed","feed":"book","product_ids":["A"]}"#,
                &["notice"],
            ),
        ],
    );
}

#[test]
fn bad_messages_are_refused_with_their_reason() {
    check(
        feed(),
        &[
            ("[]", &["refused Shape"]),
            (r#"{"product_id":"A"}"#, &["refused Shape"]),
            (r#"{"feed":"ticker"}"#, &["refused NoId"]),
            (r#"{"feed":"ticker","product_id":5}"#, &["refused BadId"]),
            (
                r#"{"feed":"ticker","product_id":"A","time":"soon"}"#,
                &["refused BadTime"],
            ),
            (
                r#"{"feed":"trade","product_id":"A"}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"feed":"trade_snapshot","product_id":"A"}"#,
                &["refused NoPayload"],
            ),
            (
                r#"{"feed":"trade_snapshot","trades":{}}"#,
                &["refused Shape"],
            ),
        ],
    );
}

#[test]
fn ids_are_in_capitals_whatever_was_asked_for() {
    let mut server = Script::open(feed());
    server.expect(&[HEARTBEAT]);
    let ticket = server.subscribe("ticker_lite", &["pi_xbtusd"]);
    server.expect(&[&subscribe("ticker_lite", "pi_xbtusd")]);
    server.news();
    server.say(r#"{"event":"subscribed","feed":"ticker_lite","product_ids":["PI_XBTUSD"]}"#);
    assert_eq!(server.news(), [format!("settled {ticket}: ok")]);
    let stream = Subscription::new("ticker_lite", "pi_xbtusd");
    let value = (
        "kraken-futures.ticker_lite".to_owned(),
        Id::from("PI_XBTUSD"),
    );
    assert_eq!(feed().value_of(&stream), Some(value));
    let ended = server.unsubscribe("ticker_lite", &["pi_xbtusd"]);
    server.expect(&[&request("unsubscribe", "ticker_lite", "pi_xbtusd")]);
    server.say(r#"{"event":"unsubscribed","feed":"ticker_lite","product_ids":["PI_XBTUSD"]}"#);
    assert_eq!(server.news(), [format!("settled {ended}: ok")]);
}

#[test]
fn as_many_errors_as_open_requests_are_their_answers() {
    let mut server = Script::open(feed());
    let good = server.subscribe("ticker", &["A", "B"]);
    let bad = server.subscribe("trade", &["NONE"]);
    server.news();
    server.say(&error("Invalid product id"));
    server.say(r#"{"event":"subscribed","feed":"heartbeat"}"#);
    server.say(r#"{"event":"subscribed","feed":"ticker","product_ids":["B"]}"#);
    // It could still be the answer to A.
    assert_eq!(server.news(), [""; 0]);
    server.say(r#"{"event":"subscribed","feed":"ticker","product_ids":["A"]}"#);
    let refused = "refused by the server: Invalid product id";
    assert_eq!(
        server.news(),
        [
            format!("settled {good}: ok"),
            format!("settled {bad}: {refused}")
        ]
    );
    server.cut();
    server.reconnect();
    server.expect(&[
        HEARTBEAT,
        &subscribe("ticker", "A"),
        &subscribe("ticker", "B"),
    ]);
}

#[test]
fn a_refusal_may_name_its_product() {
    let mut server = Script::open(feed().stream("ticker", ["A", "B"]));
    server.news();
    server
        .say(r#"{"event":"subscribed_failed","feed":"ticker","product_ids":["A"],"message":"no"}"#);
    assert_eq!(server.news(), ["settled -: refused by the server: no"]);
    server.say(r#"{"event":"subscribed","feed":"ticker","product_ids":["B"]}"#);
    let ended = server.unsubscribe("ticker", &["B"]);
    server.say(r#"{"event":"unsubscribed_failed","feed":"ticker","product_ids":["B"]}"#);
    let refused = "refused by the server: no reason given";
    assert_eq!(server.news(), [format!("settled {ended}: {refused}")]);
}

#[test]
fn a_request_that_is_dropped_is_reported_as_unanswered() {
    let mut server = Script::open(feed());
    let ticket = server.subscribe("ticker", &["A"]);
    server.news();
    server.say(r#"{"event":"alert","message":"rate_limited"}"#);
    server.pass(Duration::from_secs(10));
    assert_eq!(
        server.news(),
        [format!("settled {ticket}: the server did not answer")]
    );
    // It is asked for again with the next ping.
    server.texts();
    server.say(r#"{"feed":"heartbeat","time":1}"#);
    server.pass(Duration::from_secs(20));
    server.expect(&[&subscribe("ticker", "A")]);
}

/// However much the server sends: it demands frames of the client's.
#[test]
fn a_ping_frame_is_sent_within_every_minute() {
    let mut server = Script::open(feed().stream("ticker", ["A"]));
    server.texts();
    server.news();
    for _ in 0..120 {
        server.pass(Duration::from_secs(1));
        server.say(r#"{"feed":"heartbeat","time":1}"#);
    }
    assert_eq!(server.frames(), ["ping "; 4]);
    assert_eq!(server.counted().data, 0);
    // The stream that was never acknowledged is no matter here.
    server.news();
    server.pass(Duration::from_secs(30));
    assert_eq!(
        server.news(),
        ["lost: nothing came for longer than dead_after"]
    );
}

#[test]
fn no_second_holds_more_than_the_server_allows_and_no_request_more_than_one_product() {
    let products: Vec<_> = (0..500).map(|n| format!("PI_{n}")).collect();
    let mut server = Script::open(feed().stream("ticker", &products));
    let asked = server.asked(
        |_| Vec::new(),
        |text| {
            let Some(products) = text["product_ids"].as_array() else {
                return Vec::new();
            };
            assert_eq!(products.len(), 1);
            let text = |id: &serde_json::Value| id.as_str().expect("a text").to_owned();
            products.iter().map(text).collect()
        },
        |_| Vec::new(),
    );
    assert_eq!(asked.len(), products.len());
    server.assert_pace(90, Duration::from_secs(1));
}
