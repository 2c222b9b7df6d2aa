use std::time::Duration;

use super::super::exchange::Exchange;
use super::super::script::Script;
use super::*;
use crate::feed::protocol::Protocol;
use crate::feed::testing::check;

const TICKER: &str = r#"{"type":"ticker","sequence":7,"product_id":"A-B","price":"1.50","time":"1970-01-01T00:00:01.5Z","trade_id":3}"#;

fn feed() -> Exchange<CoinbaseExchange> {
    Exchange::of(CoinbaseExchange::default())
}

/// The request for these products of a channel.
fn request(verb: &str, channel: &str, products: &[&str]) -> String {
    let products = serde_json::to_string(products).expect("texts");
    format!(r#"{{"type":"{verb}","channels":[{{"name":"{channel}","product_ids":{products}}}]}}"#)
}

fn subscribe(channel: &str, products: &[&str]) -> String {
    request("subscribe", channel, products)
}

/// The server's list of what it holds.
fn held(channels: &[(&str, &[&str])]) -> String {
    let channels: Vec<_> = channels
        .iter()
        .map(|(name, products)| serde_json::json!({"name": name, "product_ids": products}))
        .collect();
    serde_json::json!({"type": "subscriptions", "channels": channels}).to_string()
}

fn error(reason: &str) -> String {
    format!(r#"{{"type":"error","message":"Failed to subscribe","reason":"{reason}"}}"#)
}

#[test]
fn each_message_is_a_whole_value_of_its_product() {
    let ticker = format!(r#"whole+ coinbase-exchange.ticker "A-B" {TICKER} #7 @1500000000"#);
    let trade =
        |kind: &str| format!(r#"{{"product_id":"A-B","sequence":9,"trade_id":4,"type":"{kind}"}}"#);
    let traded = |kind: &str| format!(r#"whole+ coinbase-exchange.match "A-B" {} #4"#, trade(kind));
    check(
        feed(),
        &[
            (TICKER, &[&ticker]),
            (&trade("last_match"), &[&traded("last_match")]),
            (&trade("match"), &[&traded("match")]),
        ],
    );
}

#[test]
fn what_is_no_value_is_none() {
    check(
        feed(),
        &[
            (
                r#"{"type":"heartbeat","sequence":9,"last_trade_id":4,"product_id":"A-B","time":"x"}"#,
                &["heartbeat"],
            ),
            (
                r#"{"type":"l2update","product_id":"A-B","changes":[]}"#,
                &["unmapped l2update"],
            ),
            (
                r#"{"type":"snapshot","product_id":"A-B","bids":[],"asks":[]}"#,
                &["unmapped snapshot"],
            ),
            // Types may be added at any time.
            (r#"{"type":"new","sequence":"?"}"#, &["unmapped new"]),
            (
                r#"{"type":"error","message":"ErrSlowConsume"}"#,
                &["closing"],
            ),
            (
                r#"{"type":"error","message":"Message too big"}"#,
                &["closing"],
            ),
            (r#"{"type":"error","message":"odd"}"#, &["denied ? odd"]),
            (r#"{"type":"error"}"#, &["denied ? no reason given"]),
        ],
    );
}

#[test]
fn bad_messages_are_refused_with_their_reason() {
    check(
        feed(),
        &[
            ("[]", &["refused Shape"]),
            (r#"{"sequence":7}"#, &["refused Shape"]),
            (r#"{"type":"ticker","sequence":7}"#, &["refused NoId"]),
            (
                r#"{"type":"ticker","sequence":7,"product_id":5}"#,
                &["refused BadId"],
            ),
            (
                r#"{"type":"ticker","product_id":"A","trade_id":1}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"type":"match","product_id":"A","sequence":1}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"type":"ticker","sequence":7,"product_id":"A","time":"soon"}"#,
                &["refused BadTime"],
            ),
        ],
    );
}

#[test]
fn the_list_of_what_is_held_acknowledges() {
    let mut server = Script::open(feed().stream("ticker", ["A-B", "C-D"]));
    // The server waits no more than 5 s for it.
    server.expect(&[&subscribe("ticker", &["A-B", "C-D"])]);
    let ticket = server.subscribe("match", &["A-B"]);
    server.expect(&[&subscribe("matches", &["A-B"])]);
    server.news();
    server.say(&held(&[("ticker", &["C-D", "A-B"])]));
    assert_eq!(server.news(), [""; 0]);
    // A product is known to exist: its heartbeat is asked for, once.
    server.expect(&[&subscribe("heartbeat", &["C-D"])]);
    server.say(&held(&[("matches", &["A-B"]), ("ticker", &["C-D", "A-B"])]));
    assert_eq!(server.news(), [format!("settled {ticket}: ok")]);
    server.expect(&[]);
    assert_eq!(server.counted().control, 2);
    let ended = server.unsubscribe("ticker", &["A-B"]);
    server.expect(&[&request("unsubscribe", "ticker", &["A-B"])]);
    // The answer to the heartbeat comes first.
    let list = [("heartbeat", &["C-D"][..]), ("ticker", &["C-D"])];
    server.say(&held(&list));
    assert_eq!(server.news(), [""; 0]);
    server.say(&held(&list));
    assert_eq!(server.news(), [format!("settled {ended}: ok")]);
}

#[test]
fn a_product_is_asked_for_under_either_name_of_its_channel() {
    let mut server = Script::open(feed());
    let ticket = server.subscribe("matches", &["A-B"]);
    server.expect(&[&subscribe("matches", &["A-B"])]);
    server.news();
    server.say(&held(&[("matches", &["A-B"])]));
    assert_eq!(server.news(), [format!("settled {ticket}: ok")]);
    let value = |channel| feed().value_of(&Subscription::new(channel, "A-B"));
    let of = |entity: &str| Some((entity.to_owned(), Id::from("A-B")));
    assert_eq!(value("matches"), of("coinbase-exchange.match"));
    assert_eq!(value("match"), of("coinbase-exchange.match"));
    assert_eq!(value("ticker_batch"), of("coinbase-exchange.ticker"));
}

#[test]
fn of_a_refused_request_the_streams_that_can_be_had_are_had() {
    let mut server = Script::open(feed());
    let good = server.subscribe("ticker", &["A-B"]);
    let bad = server.subscribe("ticker", &["C-D", "NO-NE", "E-F"]);
    server.expect(&[
        &subscribe("ticker", &["A-B"]),
        &subscribe("ticker", &["C-D", "NO-NE", "E-F"]),
    ]);
    server.news();
    server.say(&held(&[("ticker", &["A-B"])]));
    server.expect(&[&subscribe("heartbeat", &["A-B"])]);
    assert_eq!(server.news(), [format!("settled {good}: ok")]);
    let reason = "NO-NE is not a valid product";
    server.say(&error(reason));
    server.expect(&[
        &subscribe("ticker", &["C-D", "NO-NE"]),
        &subscribe("ticker", &["E-F"]),
    ]);
    // The answers come in order: to the heartbeat, and to the halves.
    server.say(&held(&[("ticker", &["A-B"]), ("heartbeat", &["A-B"])]));
    server.say(&error(reason));
    server.expect(&[
        &subscribe("ticker", &["C-D"]),
        &subscribe("ticker", &["NO-NE"]),
    ]);
    server.say(&held(&[("ticker", &["A-B", "E-F"])]));
    server.say(&held(&[("ticker", &["A-B", "C-D", "E-F"])]));
    assert_eq!(server.news(), [""; 0]);
    server.say(&error(reason));
    assert_eq!(
        server.news(),
        [format!("settled {bad}: refused by the server: {reason}")]
    );
    // What is left is asked for on the next connection.
    server.cut();
    server.reconnect();
    server.expect(&[&subscribe("ticker", &["A-B", "C-D", "E-F"])]);
}

#[test]
fn an_answer_that_leaves_a_stream_out_is_none_for_it() {
    let mut server = Script::open(feed());
    let ticket = server.subscribe("ticker", &["A", "B"]);
    server.say(&held(&[("ticker", &["A"])]));
    server.news();
    server.pass(Duration::from_secs(10));
    assert_eq!(
        server.news(),
        [format!("settled {ticket}: the server did not answer")]
    );
}

#[test]
fn a_server_without_a_sign_of_life_is_given_up() {
    let mut server = Script::open(feed().stream("ticker", ["A"]));
    server.say(&held(&[("ticker", &["A"])]));
    server.news();
    let beat = r#"{"type":"heartbeat","sequence":9,"last_trade_id":4,"product_id":"A"}"#;
    for _ in 0..60 {
        server.pass(Duration::from_secs(1));
        server.say(beat);
    }
    // Heartbeats keep the connection, and are no data.
    assert_eq!(server.news(), [""; 0]);
    assert_eq!(server.counted().data, 0);
    server.pass(Duration::from_secs(30));
    assert_eq!(
        server.news(),
        ["lost: nothing came for longer than dead_after"]
    );
}

#[test]
fn no_second_holds_more_than_the_server_allows_and_no_request_more_than_fits() {
    let products: Vec<_> = (0..20_000).map(|n| format!("P{n}-USD")).collect();
    let mut server = Script::open(feed().stream("ticker", &products));
    let asked = server.asked(
        |_| Vec::new(),
        |text| {
            let products = &text["channels"][0]["product_ids"];
            let products = products.as_array().expect("a list");
            assert!(products.len() <= 100);
            assert!(text.to_string().len() <= 8000);
            let text = |id: &serde_json::Value| id.as_str().expect("a text").to_owned();
            products.iter().map(text).collect()
        },
        |_| Vec::new(),
    );
    assert_eq!(asked.len(), products.len());
    assert!(server.sent() >= 200);
    server.assert_pace(90, Duration::from_secs(1));
}

#[test]
fn a_new_connection_is_asked_for_the_same() {
    let mut server = Script::open(feed().stream("ticker", ["A", "B"]).stream("match", ["A"]));
    let first = server.texts();
    assert_eq!(first.len(), 2);
    server.say(&held(&[("ticker", &["A", "B"])]));
    server.expect(&[&subscribe("heartbeat", &["A"])]);
    server.say(r#"{"type":"error","message":"ErrSlowConsume"}"#);
    server.close(1008);
    server.reconnect();
    assert_eq!(server.texts(), first);
    // Answers of the last connection are forgotten, its heartbeat as well.
    server.say(&held(&[("ticker", &["A", "B"])]));
    server.expect(&[&subscribe("heartbeat", &["A"])]);
}

#[test]
fn channels_that_are_not_mapped_cannot_be_asked_for() {
    let mut server = Script::open(feed());
    let unknown = |channel: &str| Err(SubscribeError::UnknownChannel(channel.into()));
    assert_eq!(server.try_subscribe("level2", &["A"]), unknown("level2"));
    assert!(matches!(
        server.try_subscribe("ticker", &["A\"B"]),
        Err(SubscribeError::BadId(..))
    ));
}
