use std::time::Duration;

use super::*;
use crate::feed::presets::Exchange;
use crate::feed::presets::script::Script;
use crate::feed::testing::check;

fn feed() -> Exchange<Deribit> {
    Exchange::of(Deribit::default())
}

const HEARTBEAT_REQUEST: &str =
    r#"{"jsonrpc":"2.0","id":1000000001,"method":"public/set_heartbeat","params":{"interval":30}}"#;

fn subscribe(request: u64, channels: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{request},"method":"public/subscribe","params":{{"channels":[{channels}]}}}}"#
    )
}

fn note(channel: &str, data: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}"#
    )
}

#[test]
fn the_channel_says_what_a_notification_is() {
    let ticker = r#"{"instrument_name":"BTC-PERPETUAL","best_bid_price":null,"last_price":1.50,"timestamp":5,"stats":{"high":2.0}}"#;
    let quote = r#"{"timestamp":6,"instrument_name":"ETH-1JAN30-5-C","best_bid_price":null}"#;
    let trades = r#"[{"trade_seq":7,"timestamp":7,"instrument_name":"A"},{"trade_seq":9,"timestamp":8,"instrument_name":"B"}]"#;
    check(
        feed(),
        &[
            (
                &note("ticker.BTC-PERPETUAL.raw", ticker),
                &[&format!(
                    r#"whole+ deribit.ticker "BTC-PERPETUAL" {ticker} #5000000 @5000000"#
                )],
            ),
            (
                &note("quote.ETH-1JAN30-5-C", quote),
                &[&format!(
                    r#"whole+ deribit.quote "ETH-1JAN30-5-C" {quote} #6000000 @6000000"#
                )],
            ),
            (
                &note("trades.option.BTC.100ms", trades),
                &[
                    r#"whole+ deribit.trades "A" {"trade_seq":7,"timestamp":7,"instrument_name":"A"} #7 @7000000"#,
                    r#"whole+ deribit.trades "B" {"trade_seq":9,"timestamp":8,"instrument_name":"B"} #9 @8000000"#,
                ],
            ),
            (&note("trades.A.raw", "[]"), &["notice"]),
            (&note("book.BTC-PERPETUAL.raw", "{}"), &["unmapped book"]),
            (
                &note("deribit_price_index.btc_usd", "{}"),
                &["unmapped deribit_price_index"],
            ),
        ],
    );
}

#[test]
fn an_incremental_ticker_comes_whole_and_then_in_parts_in_which_null_is_a_value() {
    let whole = r#"{"type":"snapshot","instrument_name":"A","best_bid_price":1.5,"timestamp":1}"#;
    let part = r#"{"type":"change","instrument_name":"A","best_bid_price":null,"timestamp":2}"#;
    check(
        feed(),
        &[
            (
                &note("incremental_ticker.A", whole),
                &[&format!(
                    r#"whole+ deribit.incremental_ticker "A" {whole} #1000000 @1000000"#
                )],
            ),
            (
                &note("incremental_ticker.A", part),
                &[&format!(
                    r#"merge-null deribit.incremental_ticker "A" {part} #2000000 @2000000"#
                )],
            ),
            (
                &note("incremental_ticker.A", r#"{"instrument_name":"A"}"#),
                &["refused Shape"],
            ),
        ],
    );
}

#[test]
fn what_is_no_message_of_deribit_is_refused() {
    check(
        feed(),
        &[
            ("[]", &["refused Shape"]),
            (r#"{"jsonrpc":"2.0"}"#, &["refused Shape"]),
            (r#"{"method":"subscription"}"#, &["refused Shape"]),
            (
                r#"{"method":"subscription","params":{"channel":"ticker.A.raw"}}"#,
                &["refused NoPayload"],
            ),
            (&note("ticker.A.raw", "[]"), &["refused NoId"]),
            (&note("trades.A.raw", "{}"), &["refused Shape"]),
            (
                &note("trades.A.raw", r#"[{"instrument_name":"A"}]"#),
                &["refused BadSequence"],
            ),
            (
                &note("ticker.A.raw", r#"{"instrument_name":"A","timestamp":"x"}"#),
                &["refused BadTime"],
            ),
        ],
    );
}

#[test]
fn what_the_server_does_not_list_is_refused() {
    let feed = feed()
        .stream("ticker", ["BTC-PERPETUAL", "NO-SUCH"])
        .stream("incremental_ticker", ["BTC-PERPETUAL"]);
    let mut server = Script::open(feed);
    server.expect(&[
        HEARTBEAT_REQUEST,
        &subscribe(
            1,
            r#""ticker.BTC-PERPETUAL.100ms","ticker.NO-SUCH.100ms","incremental_ticker.BTC-PERPETUAL""#,
        ),
    ]);
    server.say(r#"{"jsonrpc":"2.0","id":1000000001,"result":"ok"}"#);
    server.say(
        r#"{"jsonrpc":"2.0","id":1,"result":["incremental_ticker.BTC-PERPETUAL","ticker.BTC-PERPETUAL.100ms"],"usDiff":5}"#,
    );
    assert_eq!(
        server.news(),
        [
            "opened 1",
            "settled -: refused by the server: not among the channels that the server granted"
        ]
    );
    server.pass(Duration::from_secs(12));
    server.say(r#"{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}"#);
    assert_eq!(server.news(), [""; 0]);
    server.close(1001);
    server.reconnect();
    server.expect(&[
        HEARTBEAT_REQUEST,
        &subscribe(
            2,
            r#""ticker.BTC-PERPETUAL.100ms","incremental_ticker.BTC-PERPETUAL""#,
        ),
    ]);
}

#[test]
fn an_error_refuses_its_request_and_an_end_is_confirmed() {
    let mut server = Script::open(feed());
    server.news();
    let bad = server.subscribe("quote", &["A"]);
    let error = r#"{"code":11050,"message":"bad_request","data":{"reason":"odd"}}"#;
    server.say(&format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#));
    assert_eq!(
        server.news(),
        [format!("settled {bad}: refused by the server: {error}")]
    );
    server.subscribe("quote", &["B"]);
    server.say(r#"{"jsonrpc":"2.0","id":2,"result":["quote.B"]}"#);
    server.news();
    server.texts();
    let end = server.unsubscribe("quote", &["B"]);
    server.expect(&[
        r#"{"jsonrpc":"2.0","id":3,"method":"public/unsubscribe","params":{"channels":["quote.B"]}}"#,
    ]);
    server.say(r#"{"jsonrpc":"2.0","id":3,"result":["quote.B"]}"#);
    assert_eq!(server.news(), [format!("settled {end}: ok")]);
    let silent = server.subscribe("quote", &["C"]);
    server.pass(Duration::from_secs(11));
    assert_eq!(
        server.news(),
        [format!("settled {silent}: the server did not answer")]
    );
}

#[test]
fn a_sign_of_life_is_given_when_asked_for_and_missed_when_withheld() {
    let mut server = Script::open(feed());
    server.texts();
    server.say(r#"{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}"#);
    server.expect(&[r#"{"jsonrpc":"2.0","id":1000000003,"method":"public/test","params":{}}"#]);
    server.say(r#"{"jsonrpc":"2.0","id":1000000003,"result":{"version":"1.2.26"}}"#);
    assert_eq!(server.counted().control, 2);
    server.pass(Duration::from_secs(31));
    assert_eq!(
        server.news(),
        ["opened 1", "lost: nothing came for longer than dead_after"]
    );
}

const LOGIN_REQUEST: &str = r#"{"jsonrpc":"2.0","id":1000000002,"method":"public/auth","params":{"grant_type":"client_credentials","client_id":"me","client_secret":"s3cret"}}"#;

fn private() -> Exchange<Deribit> {
    let with_key = |venue: Deribit| venue.interval(Interval::Raw).credentials("me", "s3cret");
    feed().with(with_key).stream("ticker", ["A"])
}

#[test]
fn streams_are_asked_for_after_the_login() {
    let mut server = Script::open(private());
    server.expect(&[LOGIN_REQUEST, HEARTBEAT_REQUEST]);
    server.say(r#"{"jsonrpc":"2.0","id":1000000001,"result":"ok"}"#);
    server.expect(&[]);
    server.say(r#"{"jsonrpc":"2.0","id":1000000002,"result":{"access_token":"x"}}"#);
    server.expect(&[&subscribe(1, r#""ticker.A.raw""#)]);
    // The login counts for its connection alone.
    server.cut();
    server.reconnect();
    server.expect(&[LOGIN_REQUEST, HEARTBEAT_REQUEST]);
}

#[test]
fn a_login_that_fails_or_is_not_answered_gives_the_connection_up() {
    let mut server = Script::open(private());
    let error = r#"{"code":13004,"message":"invalid_credentials"}"#;
    server.say(&format!(
        r#"{{"jsonrpc":"2.0","id":1000000002,"error":{error}}}"#
    ));
    let refused = format!("refused: {error}");
    assert_eq!(
        server.news(),
        ["opened 1", &refused, "lost: refused by the server"]
    );
    server.reconnect();
    server.pass(Duration::from_secs(10));
    assert_eq!(
        server.news(),
        [
            "opened 2",
            "lost: the server has not answered the login within answer_timeout"
        ]
    );
    assert!(!format!("{:?}", private()).contains("s3cret"));
}

#[test]
fn requests_are_bounded_and_paced() {
    let ids: Vec<_> = (0..2100).map(|n| format!("I{n}")).collect();
    let mut server = Script::open(feed().stream("quote", &ids));
    let counts = |texts: Vec<String>| -> Vec<usize> {
        let counted = texts.iter().map(|text| text.matches("quote.I").count());
        counted.filter(|count| *count > 0).collect()
    };
    assert_eq!(counts(server.texts()), [500, 500, 500]);
    server.pass(Duration::from_millis(999));
    assert_eq!(counts(server.texts()), [0; 0]);
    server.pass(Duration::from_millis(1));
    assert_eq!(counts(server.texts()), [500, 100]);
}

#[test]
fn what_cannot_be_asked_for_is_refused_here() {
    let mut server = Script::open(feed().with(|venue| venue.interval(Interval::Raw)));
    for (channel, id) in [("book", "A"), ("ticker", "A"), ("quote", "")] {
        assert!(
            server.try_subscribe(channel, &[id]).is_err(),
            "{channel} {id}"
        );
    }
    let value = |id| Deribit::default().value_of(&Subscription::new("trades", id));
    assert_eq!(value("A-B"), Some(("trades", Id::from("A-B"))));
    assert_eq!(value("future.BTC"), None);
}
