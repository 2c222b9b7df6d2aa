use std::time::Duration;

use super::*;
use crate::feed::presets::Exchange;
use crate::feed::presets::script::Script;
use crate::feed::testing::{Desk, check};

fn feed() -> Exchange<AlpacaStocks> {
    Exchange::of(AlpacaStocks::default()).with(|venue| venue.credentials("key", "s3cret"))
}

const CONNECTED: &str = r#"[{"T":"success","msg":"connected"}]"#;
const AUTHENTICATED: &str = r#"[{"T":"success","msg":"authenticated"}]"#;
const LOGIN: &str = r#"{"action":"auth","key":"key","secret":"s3cret"}"#;

/// Let in, with the first requests still to be looked at.
fn open(feed: Exchange<AlpacaStocks>) -> Script<Exchange<AlpacaStocks>> {
    let mut server = Script::open(feed);
    server.expect(&[]);
    server.say(CONNECTED);
    server.expect(&[LOGIN]);
    server.say(AUTHENTICATED);
    assert_eq!(server.news(), ["opened 1"]);
    server
}

#[test]
fn each_object_of_a_frame_is_a_value_of_its_symbol() {
    let quote = r#"{"T":"q","S":"AAPL","bp":87.66,"t":"2021-02-22T15:51:45.335689322Z","s":"small","z":"C"}"#;
    let trade = r#"{"T":"t","S":"AAPL","p":87.70,"t":"2021-02-22T15:51:44Z"}"#;
    let bar = r#"{"T":"b","S":"SPY","o":1,"t":"2021-02-22T15:51:00Z"}"#;
    let quote_line = format!(
        r#"whole+ alpaca-stocks.quotes "AAPL" {quote} #1614009105335689322 @1614009105335689322"#
    );
    let trade_line = format!(
        r#"whole+ alpaca-stocks.trades "AAPL" {trade} #1614009104000000000 @1614009104000000000"#
    );
    let bar_line = format!(
        r#"whole+ alpaca-stocks.bars "SPY" {bar} #1614009060000000000 @1614009060000000000"#
    );
    check(
        feed(),
        &[
            (
                &format!("[{quote},{trade},{bar}]"),
                &[&quote_line, &trade_line, &bar_line],
            ),
            (&format!(r#"[{{"T":"c","S":"A"}},{trade}]"#), &[&trade_line]),
            (
                r#"[{"T":"s","S":"A"},{"T":"l","S":"A"},{"T":"d","S":"A"},{"T":"u","S":"A"}]"#,
                &[
                    r#"whole+ alpaca-stocks.statuses "A" {"T":"s","S":"A"}"#,
                    r#"whole+ alpaca-stocks.lulds "A" {"T":"l","S":"A"}"#,
                    r#"whole+ alpaca-stocks.dailyBars "A" {"T":"d","S":"A"}"#,
                    r#"whole+ alpaca-stocks.updatedBars "A" {"T":"u","S":"A"}"#,
                ],
            ),
            (r#"[{"T":"x","S":"A"}]"#, &["unmapped cancelErrors"]),
            (r#"[{"T":"n","S":"A"}]"#, &["unmapped n"]),
            ("[]", &["refused Shape"]),
            (r#"{"T":"q","S":"A"}"#, &["refused Shape"]),
            (r#"[{"t":"q","S":"A"}]"#, &["refused Shape"]),
            (r#"[{"T":"q","s":"A"}]"#, &["refused NoId"]),
            (
                r#"[{"T":"q","S":"A"},{"T":"q","S":"B","t":"yesterday"}]"#,
                &["refused BadTime"],
            ),
        ],
    );
}

#[test]
fn streams_of_several_channels_are_asked_for_at_once_after_the_login() {
    let feed = feed()
        .stream("quotes", ["AAPL", "NOPE"])
        .stream("trades", ["AAPL", "MSFT"])
        .stream("bars", ["*"]);
    let mut server = open(feed.clone());
    assert_eq!(server.url(), "wss://stream.data.alpaca.markets/v2/iex");
    server.expect(&[
        r#"{"action":"subscribe","trades":["AAPL","MSFT"],"quotes":["AAPL","NOPE"],"bars":["*"]}"#,
    ]);
    server.say(
        r#"[{"T":"subscription","trades":["AAPL","MSFT"],"quotes":["AAPL"],"bars":["*"],"corrections":["AAPL"]}]"#,
    );
    assert_eq!(
        server.news(),
        ["settled -: refused by the server: not in the server's list of what it keeps up"]
    );
    server.pass(Duration::from_secs(12));
    assert_eq!(server.news(), [""; 0]);

    server.cut();
    server.reconnect();
    server.say(CONNECTED);
    server.say(AUTHENTICATED);
    server.expect(&[
        LOGIN,
        r#"{"action":"subscribe","trades":["AAPL","MSFT"],"quotes":["AAPL"],"bars":["*"]}"#,
    ]);
}

#[test]
fn answers_come_in_order_and_lists_tell_what_has_ended() {
    let mut server = open(feed());
    let first = server.subscribe("quotes", &["A"]);
    let over = server.subscribe("quotes", &["B"]);
    server.say(r#"[{"T":"subscription","quotes":["A"]}]"#);
    server.say(r#"[{"T":"error","code":405,"msg":"symbol limit exceeded"}]"#);
    assert_eq!(
        server.news(),
        [
            format!("settled {first}: ok"),
            format!("settled {over}: refused by the server: symbol limit exceeded"),
        ]
    );
    server.texts();
    let end = server.unsubscribe("quotes", &["A"]);
    server.expect(&[r#"{"action":"unsubscribe","quotes":["A"]}"#]);
    server.say(r#"[{"T":"subscription","quotes":[]}]"#);
    assert_eq!(server.news(), [format!("settled {end}: ok")]);
    let silent = server.subscribe("quotes", &["D"]);
    server.pass(Duration::from_secs(11));
    assert_eq!(
        server.news(),
        [format!("settled {silent}: the server did not answer")]
    );
}

#[track_caller]
fn check_refused(before: &[&str], message: &str, reason: &str) {
    let mut server = Script::open(feed());
    server.news();
    before.iter().for_each(|text| server.say(text));
    server.say(message);
    let refused = format!("refused: {reason}");
    assert_eq!(
        server.news(),
        [&refused, "lost: refused by the server"],
        "{message}"
    );
}

#[test]
fn a_connection_that_is_refused_is_given_up_with_the_reason() {
    check_refused(
        &[CONNECTED],
        r#"[{"T":"error","code":402,"msg":"auth failed"}]"#,
        "auth failed",
    );
    check_refused(
        &[],
        r#"[{"T":"error","code":406,"msg":"connection limit exceeded"}]"#,
        "connection limit exceeded",
    );
    check_refused(
        &[CONNECTED],
        r#"[{"T":"error","code":409,"msg":"insufficient subscription"}]"#,
        "insufficient subscription",
    );
    check_refused(
        &[CONNECTED, AUTHENTICATED],
        r#"[{"T":"q","S":"A"},{"T":"error","code":407,"msg":"slow client"}]"#,
        "slow client",
    );
}

#[test]
fn a_login_needs_credentials_and_an_answer() {
    let mut server = Script::open(Exchange::of(AlpacaStocks::default()));
    server.say(CONNECTED);
    assert_eq!(
        server.news(),
        [
            "opened 1",
            "refused: the server wants a login, and the feed has no credentials",
            "lost: refused by the server"
        ]
    );
    let mut server = Script::open(feed());
    server.say(CONNECTED);
    server.pass(Duration::from_secs(10));
    assert_eq!(
        server.news(),
        [
            "opened 1",
            "lost: the server has not answered the login within answer_timeout"
        ]
    );
}

#[test]
fn a_secret_is_marked_and_never_shown() {
    let mut desk = Desk::new(feed());
    assert_eq!(desk.take(CONNECTED), ["notice"]);
    assert!(desk.intake.outbox().is_secret());
    let shown = format!("{:?}{:?}", desk.intake, feed());
    assert!(
        !shown.contains("s3cret") && !shown.contains("\"key\""),
        "{shown}"
    );
}

#[test]
fn a_server_that_falls_silent_is_noticed() {
    let mut server = open(feed());
    server.pass(Duration::from_secs(15));
    assert_eq!(server.frames(), ["ping "]);
    server.pass(Duration::from_secs(15));
    assert_eq!(
        server.news(),
        ["lost: nothing came for longer than dead_after"]
    );
}

#[test]
fn a_request_holds_what_fits() {
    let ids: Vec<_> = (0..900).map(|n| format!("S{n}")).collect();
    let mut server = open(feed().stream("quotes", &ids));
    let counts: Vec<_> = server
        .texts()
        .iter()
        .map(|t| t.matches("\"S").count())
        .collect();
    assert_eq!(counts, [400, 400, 100]);
    let long: Vec<_> = (0..20).map(|n| format!("{n:0>1000}")).collect();
    let mut server = open(feed().stream("quotes", &long));
    assert!(server.texts().iter().all(|text| text.len() < 16_384));
    let url = |feed| Exchange::of(AlpacaStocks::default().feed(feed)).base("ws://h:1/");
    assert_eq!(Script::open(url(StockFeed::Sip)).url(), "ws://h:1/sip");
}
