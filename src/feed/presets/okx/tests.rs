use std::time::Duration;

use super::*;
use crate::feed::presets::Exchange;
use crate::feed::presets::script::Script;
use crate::feed::testing::check;

fn feed() -> Exchange<Okx> {
    Exchange::of(Okx)
}

const SUBSCRIBE: &str = r#"{"id":"1","op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"},{"channel":"tickers","instId":"NO-SUCH"},{"channel":"trades","instId":"BTC-USDT"}]}"#;

fn grant(channel: &str, id: &str) -> String {
    format!(
        r#"{{"event":"subscribe","arg":{{"channel":"{channel}","instId":"{id}"}},"connId":"a"}}"#
    )
}

#[test]
fn each_element_is_a_value_of_its_instrument() {
    check(
        feed(),
        &[
            (
                r#"{"arg":{"channel":"tickers","instId":"B-U"},"data":[{"instId":"B-U","last":"1.50","ts":"1652459223003"}]}"#,
                &[
                    r#"whole+ okx.tickers "B-U" {"instId":"B-U","last":"1.50","ts":"1652459223003"} #1652459223003000000 @1652459223003000000"#,
                ],
            ),
            (
                r#"{"arg":{"channel":"trades","instId":"B-U"},"data":[{"instId":"B-U","tradeId":"7","ts":"1"},{"instId":"B-U","tradeId":"9","ts":"2"}]}"#,
                &[
                    r#"whole+ okx.trades "B-U" {"instId":"B-U","tradeId":"7","ts":"1"} #7 @1000000"#,
                    r#"whole+ okx.trades "B-U" {"instId":"B-U","tradeId":"9","ts":"2"} #9 @2000000"#,
                ],
            ),
            // Many instruments of one stream, and one without a time.
            (
                r#"{"data":[{"instId":"A","oi":"1"},{"instId":"B","oi":"2","ts":"3"}],"arg":{"channel":"open-interest"}}"#,
                &[
                    r#"whole+ okx.open-interest "A" {"instId":"A","oi":"1"}"#,
                    r#"whole+ okx.open-interest "B" {"instId":"B","oi":"2","ts":"3"} #3000000 @3000000"#,
                ],
            ),
            (
                r#"{"arg":{"channel":"tickers","instId":"B-U"},"data":[]}"#,
                &["notice"],
            ),
            (
                r#"{"arg":{"channel":"books5","instId":"B-U"},"action":"update","data":[{}]}"#,
                &["unmapped books5"],
            ),
            (
                r#"{"arg":{"channel":"candle1m","instId":"B-U"},"data":[["1"]]}"#,
                &["unmapped candle1m"],
            ),
        ],
    );
}

#[test]
fn what_is_no_message_of_okx_is_refused_whole() {
    check(
        feed(),
        &[
            ("[]", &["refused Shape"]),
            (r#"{"data":[]}"#, &["refused Shape"]),
            (r#"{"arg":{"channel":"tickers"}}"#, &["refused NoPayload"]),
            (
                r#"{"arg":{"channel":"tickers"},"data":{"instId":"A"}}"#,
                &["refused Shape"],
            ),
            (
                r#"{"arg":{"channel":"tickers"},"data":[{"last":"1"}]}"#,
                &["refused NoId"],
            ),
            // The good element goes with the bad one.
            (
                r#"{"arg":{"channel":"trades"},"data":[{"instId":"A","tradeId":"1"},{"instId":"A"}]}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"arg":{"channel":"tickers"},"data":[{"instId":"A","ts":"soon"}]}"#,
                &["refused BadTime"],
            ),
            (r#"{"event":"subscribe"}"#, &["refused Shape"]),
        ],
    );
}

#[test]
fn streams_are_granted_one_by_one_and_one_may_be_refused() {
    let feed = feed()
        .stream("tickers", ["BTC-USDT", "NO-SUCH"])
        .stream("trades", ["BTC-USDT"]);
    let mut server = Script::open(feed);
    assert_eq!(server.url(), "wss://ws.okx.com:8443/ws/v5/public");
    server.expect(&[SUBSCRIBE]);
    server.say(&grant("tickers", "BTC-USDT"));
    let why =
        "Wrong URL or channel:tickers,instId:NO-SUCH doesn't exist. Please use the correct URL.";
    server.say(&format!(
        r#"{{"id":"1","event":"error","code":"60018","msg":"{why}","connId":"a"}}"#
    ));
    server.say(&grant("trades", "BTC-USDT"));
    let refused = format!("settled -: refused by the server: {why}");
    assert_eq!(server.news(), ["opened 1", &refused]);
    // Nothing is unanswered, and what was refused is not asked for again.
    server.pass(Duration::from_secs(20));
    assert_eq!(server.news(), [""; 0]);
    server.cut();
    server.reconnect();
    server.expect(&[
        r#"{"id":"2","op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"},{"channel":"trades","instId":"BTC-USDT"}]}"#,
    ]);
}

#[test]
fn tickets_are_settled_by_the_streams_answers() {
    let mut server = Script::open(feed());
    let both = server.subscribe("tickers", &["A-B", "C-D"]);
    server.texts();
    server.say(&grant("tickers", "C-D"));
    assert_eq!(server.news(), ["opened 1"]);
    server.say(&grant("tickers", "A-B"));
    assert_eq!(server.news(), [format!("settled {both}: ok")]);

    let end = server.unsubscribe("tickers", &["A-B"]);
    server.expect(&[
        r#"{"id":"2","op":"unsubscribe","args":[{"channel":"tickers","instId":"A-B"}]}"#,
    ]);
    server.say(r#"{"event":"unsubscribe","arg":{"channel":"tickers","instId":"A-B"}}"#);
    assert_eq!(server.news(), [format!("settled {end}: ok")]);

    // A refusal that names no stream is one of its request.
    let bad = server.subscribe("tickers", &["E-F"]);
    server.say(r#"{"event":"error","id":"3","code":"60012","msg":"Invalid request"}"#);
    assert_eq!(
        server.news(),
        [format!(
            "settled {bad}: refused by the server: Invalid request"
        )]
    );
    let silent = server.subscribe("tickers", &["G-H"]);
    server.pass(Duration::from_secs(11));
    assert_eq!(
        server.news(),
        [format!("settled {silent}: the server did not answer")]
    );
}

#[test]
fn a_bare_ping_keeps_the_connection_and_a_pong_is_no_data() {
    let mut server = Script::open(feed());
    for _ in 0..3 {
        server.pass(BEAT);
        server.expect(&["ping"]);
        server.say("pong");
    }
    let counted = server.counted();
    assert_eq!((counted.control, counted.refused), (3, 0));
    // Nobody answers any more.
    server.pass(Duration::from_secs(29));
    assert_eq!(server.news(), ["opened 1"]);
    server.pass(Duration::from_secs(2));
    assert_eq!(
        server.news(),
        ["lost: nothing came for longer than dead_after"]
    );
}

#[test]
fn a_notice_of_an_upgrade_is_passed_on() {
    let mut server = Script::open(feed());
    server.news();
    server.say(r#"{"event":"notice","code":"64008","msg":"closing soon","connId":"a"}"#);
    assert_eq!(server.news(), ["closing"]);
    server.say(r#"{"event":"notice","code":"1","msg":"something else"}"#);
    assert_eq!(server.news(), [""; 0]);
}

#[test]
fn no_hour_sees_more_than_480_requests() {
    let mut server = Script::open(feed());
    for n in 0..=REQUESTS_PER_HOUR {
        server.subscribe("tickers", &[&format!("S{n}-USDT")]);
    }
    assert_eq!(server.texts().len(), REQUESTS_PER_HOUR as usize);
    // Signs of life are no requests: they go on.
    server.pass(Duration::from_secs(10));
    server.say("pong");
    assert_eq!(server.texts(), [""; 0]);
    let mut waited = 10;
    while server.texts().iter().all(|text| text == "ping") {
        server.say("pong");
        server.pass(Duration::from_secs(10));
        waited += 10;
        assert!(waited <= 3600);
    }
    assert_eq!(waited, 3600);
}

#[test]
fn a_request_stays_below_64_kilobytes() {
    let ids: Vec<_> = (0..3000).map(|n| format!("COIN{n:04}-USDT")).collect();
    let mut server = Script::open(feed().stream("tickers", &ids));
    let texts = server.texts();
    assert!(texts.iter().all(|text| text.len() <= MAX_REQUEST));
    let named = texts.iter().map(|text| text.matches("instId").count());
    assert_eq!((texts.len(), named.sum::<usize>()), (3, 3000));
}

#[test]
fn only_mapped_channels_and_symbols_can_be_asked_for() {
    let mut server = Script::open(feed());
    for (channel, id) in [("books", "A-B"), ("tickers", ""), ("tickers", "A\"B")] {
        assert!(
            server.try_subscribe(channel, &[id]).is_err(),
            "{channel} {id}"
        );
    }
}
