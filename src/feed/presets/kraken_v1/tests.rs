use std::time::Duration;

use super::super::exchange::Exchange;
use super::super::script::Script;
use super::*;
use crate::feed::testing::check;

fn feed() -> Exchange<KrakenV1> {
    Exchange::of(KrakenV1::default())
}

fn request(verb: &str, number: u64, channel: &str, pairs: &[&str]) -> String {
    serde_json::json!({
        "event": verb, "reqid": number, "pair": pairs, "subscription": {"name": channel}
    })
    .to_string()
}

/// The server's word on one pair of request `number`.
fn status(status: &str, number: u64, pair: &str) -> String {
    format!(
        r#"{{"channelID":7,"channelName":"ticker","event":"subscriptionStatus","pair":"{pair}","reqid":{number},"status":"{status}","subscription":{{"name":"ticker"}}}}"#
    )
}

fn refusal(number: u64, pair: &str, reason: &str) -> String {
    format!(
        r#"{{"errorMessage":"{reason}","event":"subscriptionStatus","pair":"{pair}","reqid":{number},"status":"error","subscription":{{"name":"ticker"}}}}"#
    )
}

#[test]
fn the_second_element_is_a_whole_value() {
    check(
        feed(),
        &[
            (
                r#"[1668,{"c":["1.0",1]},"ticker","XBT/USD"]"#,
                &[r#"whole+ kraken-v1.ticker "XBT/USD" {"c":["1.0",1]}"#],
            ),
            (
                r#"[993,[["354.1","0.8","1618678142.5","s","l",""],["354.0","1","1618678142.6","s","l",""]],"trade","XMR/USD"]"#,
                &[
                    r#"whole+ kraken-v1.trade "XMR/USD" [["354.1","0.8","1618678142.5","s","l",""],["354.0","1","1618678142.6","s","l",""]]"#,
                ],
            ),
            (
                r#"[2,["1.0","1.1","1542057299.545897","1","2"],"spread","XBT/USD"]"#,
                &[r#"whole+ kraken-v1.spread "XBT/USD" ["1.0","1.1","1542057299.545897","1","2"]"#],
            ),
        ],
    );
}

#[test]
fn channels_are_counted_without_depth_and_interval() {
    check(
        feed(),
        &[
            (
                r#"[1360,{"as":[],"bs":[]},"book-1000","GRT/ETH"]"#,
                &["unmapped book"],
            ),
            (
                r#"[1920,{"a":[]},{"b":[],"c":"1"},"book-1000","SC/EUR"]"#,
                &["unmapped book"],
            ),
            (r#"[5,["1"],"ohlc-5","XBT/USD"]"#, &["unmapped ohlc"]),
            (r#"[5,{},"odd-name","XBT/USD"]"#, &["unmapped odd-name"]),
            (r#"{"event":"new"}"#, &["unmapped new"]),
        ],
    );
}

#[test]
fn notices_are_control() {
    check(
        feed(),
        &[
            (r#"{"event":"heartbeat"}"#, &["heartbeat"]),
            (r#"{"event":"pong","reqid":4}"#, &["heartbeat"]),
            // The number of the connection does not fit a signed integer.
            (
                r#"{"connectionID":17843232920108168701,"event":"systemStatus","status":"maintenance","version":"1.8.3"}"#,
                &["notice"],
            ),
            (
                r#"{"errorMessage":"Malformed request","event":"error","reqid":3}"#,
                &["denied 3 Malformed request"],
            ),
            (
                r#"{"Error":"Exceeded msg rate"}"#,
                &["denied ? Exceeded msg rate"],
            ),
            // Answers to requests that are not the feed's own.
            (&status("subscribed", 99, "XBT/USD"), &["notice"]),
            (&refusal(99, "X", "no"), &["denied ? no"]),
        ],
    );
}

#[test]
fn bad_messages_are_refused_with_their_reason() {
    check(
        feed(),
        &[
            ("5", &["refused Shape"]),
            ("{}", &["refused Shape"]),
            (r#"[1,{},"ticker"]"#, &["refused Shape"]),
            (r#"[1,{},7,"XBT/USD"]"#, &["refused Shape"]),
            (r#"[1,"x","ticker","XBT/USD"]"#, &["refused Shape"]),
            (r#"[1,{},{},"ticker","XBT/USD"]"#, &["refused Shape"]),
            (r#"[1,{},"ticker",7]"#, &["refused BadId"]),
        ],
    );
}

#[test]
fn each_pair_is_acknowledged_by_itself() {
    let mut server = Script::open(feed());
    let ticket = server.subscribe("ticker", &["XBT/USD", "NO/NE", "XMR/USD"]);
    let pairs = ["XBT/USD", "NO/NE", "XMR/USD"];
    server.expect(&[&request("subscribe", 1, "ticker", &pairs)]);
    server.news();
    server.say(&status("subscribed", 1, "XMR/USD"));
    server.say(&refusal(1, "NO/NE", "Currency pair not supported NO/NE"));
    assert_eq!(server.news(), [""; 0]);
    server.say(&status("subscribed", 1, "XBT/USD"));
    let refused = "refused by the server: Currency pair not supported NO/NE";
    assert_eq!(server.news(), [format!("settled {ticket}: {refused}")]);
    let ended = server.unsubscribe("ticker", &["XBT/USD", "XMR/USD"]);
    server.expect(&[&request(
        "unsubscribe",
        2,
        "ticker",
        &["XBT/USD", "XMR/USD"],
    )]);
    server.say(&status("unsubscribed", 2, "XBT/USD"));
    assert_eq!(server.news(), [""; 0]);
    server.say(&status("unsubscribed", 2, "XMR/USD"));
    assert_eq!(server.news(), [format!("settled {ended}: ok")]);
}

#[test]
fn a_pair_that_is_called_otherwise_is_still_acknowledged() {
    let mut server = Script::open(feed());
    let ticket = server.subscribe("ticker", &["BTC/USD", "BTC/EUR"]);
    server.news();
    server.say(&status("subscribed", 1, "XBT/USD"));
    server.say(&status("subscribed", 1, "XBT/EUR"));
    assert_eq!(server.news(), [format!("settled {ticket}: ok")]);
}

#[test]
fn the_last_answer_may_be_the_refusal() {
    let mut server = Script::open(feed().stream("ticker", ["A/B"]));
    let ticket = server.subscribe("ticker", &["C/D"]);
    server.news();
    server.say(&refusal(1, "A/B", "no A/B"));
    server.say(&refusal(2, "C/D", "no C/D"));
    assert_eq!(
        server.news(),
        [
            "settled -: refused by the server: no A/B".to_owned(),
            format!("settled {ticket}: refused by the server: no C/D"),
        ]
    );
    server.cut();
    server.reconnect();
    server.expect(&[]);
}

#[test]
fn an_end_may_be_refused() {
    let mut server = Script::open(feed().stream("ticker", ["A/B"]));
    server.say(&status("subscribed", 1, "A/B"));
    server.news();
    let ended = server.unsubscribe("ticker", &["A/B"]);
    server.say(&refusal(2, "A/B", "Subscription Not Found"));
    let refused = "refused by the server: Subscription Not Found";
    assert_eq!(server.news(), [format!("settled {ended}: {refused}")]);
}

#[test]
fn a_ping_is_sent_and_silence_ends_the_connection() {
    let mut server = Script::open(feed().stream("ticker", ["A/B"]));
    server.texts();
    server.say(&status("subscribed", 1, "A/B"));
    server.news();
    for _ in 0..59 {
        server.pass(Duration::from_secs(1));
        server.say(r#"{"event":"heartbeat"}"#);
    }
    server.expect(&[r#"{"event":"ping"}"#]);
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
    let pairs: Vec<_> = (0..3000).map(|n| format!("P{n}/USD")).collect();
    let mut server = Script::open(feed().stream("ticker", &pairs));
    let asked = server.asked(
        |_| Vec::new(),
        |text| {
            let Some(pairs) = text["pair"].as_array() else {
                return Vec::new();
            };
            assert!(pairs.len() <= 100);
            let text = |id: &serde_json::Value| id.as_str().expect("a text").to_owned();
            pairs.iter().map(text).collect()
        },
        |_| vec![r#"{"event":"heartbeat"}"#.to_owned()],
    );
    assert_eq!(asked.len(), pairs.len());
    server.assert_pace(10, Duration::from_secs(1));
}

#[test]
fn a_new_connection_is_asked_for_the_same() {
    let feed = feed()
        .stream("ticker", ["A/B", "C/D"])
        .stream("trade", ["A/B"]);
    let mut server = Script::open(feed);
    server.expect(&[
        &request("subscribe", 1, "ticker", &["A/B", "C/D"]),
        &request("subscribe", 2, "trade", &["A/B"]),
    ]);
    server.say(&status("subscribed", 1, "A/B"));
    server.close(1012);
    server.reconnect();
    server.expect(&[
        &request("subscribe", 3, "ticker", &["A/B", "C/D"]),
        &request("subscribe", 4, "trade", &["A/B"]),
    ]);
}

#[test]
fn what_was_too_much_at_once_is_asked_for_again_later() {
    let mut server = Script::open(feed().stream("ticker", ["A/B", "C/D"]));
    server.texts();
    server.news();
    server.say(&status("subscribed", 1, "A/B"));
    server.say(&refusal(1, "C/D", "Exceeded msg rate"));
    let mut sent = Vec::new();
    for _ in 0..30 {
        server.pass(Duration::from_secs(1));
        server.say(r#"{"event":"heartbeat"}"#);
        sent.extend(server.texts());
    }
    let [ping, again] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!(ping, r#"{"event":"ping"}"#);
    let again: serde_json::Value = serde_json::from_str(again).expect("JSON");
    let number = again["reqid"].as_u64().expect("a number");
    let expected = request("subscribe", number, "ticker", &["C/D"]);
    assert_eq!(again.to_string(), expected);
    // Meanwhile it counts as unanswered. Another refusal is about the pair.
    assert_eq!(server.news(), ["settled -: the server did not answer"]);
    server.say(&refusal(number, "C/D", "no C/D"));
    assert_eq!(server.news(), ["settled -: refused by the server: no C/D"]);
    server.cut();
    server.reconnect();
    server.expect(&[&request("subscribe", 2, "ticker", &["A/B"])]);
}
