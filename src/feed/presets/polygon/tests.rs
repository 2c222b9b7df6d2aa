use std::time::Duration;

use super::*;
use crate::feed::presets::Exchange;
use crate::feed::presets::script::Script;
use crate::feed::sequence::{Connection, Held, Verdict};
use crate::feed::testing::{Desk, check};

fn feed() -> Exchange<PolygonStocks> {
    Exchange::of(PolygonStocks::default()).with(|venue| venue.key("s3cret"))
}

const CONNECTED: &str =
    r#"[{"ev":"status","status":"connected","message":"Connected Successfully"}]"#;
const LET_IN: &str = r#"[{"ev":"status","status":"auth_success","message":"authenticated"}]"#;
const LOGIN: &str = r#"{"action":"auth","params":"s3cret"}"#;

fn granted(names: &str) -> String {
    format!(r#"[{{"ev":"status","status":"success","message":"subscribed to: {names}"}}]"#)
}

fn open(feed: Exchange<PolygonStocks>) -> Script<Exchange<PolygonStocks>> {
    let mut server = Script::open(feed);
    server.expect(&[]);
    server.say(CONNECTED);
    server.expect(&[LOGIN]);
    server.say(LET_IN);
    assert_eq!(server.news(), ["opened 1"]);
    server
}

#[test]
fn each_event_is_a_value_of_its_ticker() {
    let quote = r#"{"ev":"Q","sym":"AAPL","bp":192.30,"t":60000,"q":5}"#;
    let trade = r#"{"ev":"T","sym":"AAPL","p":192.31,"t":119999,"q":7}"#;
    let bar = r#"{"ev":"AM","sym":"SPY","s":1,"e":60000}"#;
    check(
        feed(),
        &[
            (
                &format!("[{quote},{trade},{bar}]"),
                &[
                    &format!(
                        r#"whole+ polygon-stocks.Q "AAPL" {quote} #{} @60000000000"#,
                        (1_u64 << 38) + 5
                    ),
                    &format!(
                        r#"whole+ polygon-stocks.T "AAPL" {trade} #{} @119999000000"#,
                        (1_u64 << 38) + 7
                    ),
                    &format!(r#"whole+ polygon-stocks.AM "SPY" {bar} #60000000000 @60000000000"#),
                ],
            ),
            (r#"[{"ev":"LULD","sym":"A"}]"#, &["unmapped LULD"]),
            ("[]", &["refused Shape"]),
            ("{}", &["refused Shape"]),
            (r#"[{"sym":"A"}]"#, &["refused Shape"]),
            (r#"[{"ev":"Q","t":1,"q":1}]"#, &["refused NoId"]),
            (
                r#"[{"ev":"Q","sym":"A","t":1}]"#,
                &[r#"whole+ polygon-stocks.Q "A" {"ev":"Q","sym":"A","t":1} @1000000"#],
            ),
            (
                r#"[{"ev":"Q","sym":"A","t":1,"q":-1}]"#,
                &["refused BadSequence"],
            ),
            (r#"[{"ev":"Q","sym":"A","q":1}]"#, &["refused BadTime"]),
            (
                r#"[{"ev":"Q","sym":"A","q":1,"t":9000000000000}]"#,
                &["refused BadTime"],
            ),
            (
                r#"[{"ev":"Q","sym":"A","t":1,"q":274877906944}]"#,
                &["refused BadSequence"],
            ),
        ],
    );
}

/// The update of a quote at this millisecond with this `q`.
fn update(millis: u64, number: u64) -> Update {
    let mut desk = Desk::new(feed());
    let taken = desk.take(&format!(
        r#"[{{"ev":"Q","sym":"A","t":{millis},"q":{number}}}]"#
    ));
    assert_eq!(taken.len(), 1);
    desk.sink.updates[0]
}

#[test]
fn what_comes_late_is_dropped_and_a_new_session_is_not() {
    const EVENING: u64 = 1_748_476_801_240;
    const HOURS: u64 = 3_600_000;
    let before = update(EVENING, 1000);
    for connection in [Connection::Same, Connection::Earlier] {
        let held = before.sequence.map(|sequence| Held {
            last: sequence.last,
            connection,
        });
        let judge = |millis, number| {
            let update = update(millis, number);
            let sequence = update.sequence.expect("a quote is numbered");
            update.policy.judge(held, sequence, update.whole)
        };
        // Late within the minute, and from an earlier one.
        assert_eq!(judge(EVENING - 5, 999), Verdict::Older);
        assert_eq!(judge(EVENING - 60_000, 990), Verdict::Older);
        assert_eq!(judge(EVENING + 5, 1001), Verdict::Fresh);
        assert_eq!(judge(EVENING + 60_000, 5000), Verdict::Fresh);
        // Next morning the numbers start anew.
        assert_eq!(judge(EVENING + 12 * HOURS, 1), Verdict::Fresh);
        // And if they did so at once, they would be behind for the rest of a minute at most.
        assert_eq!(judge(EVENING + 60_000, 2), Verdict::Fresh);
    }
}

#[test]
fn streams_are_granted_by_name_after_the_login() {
    let feed = feed().stream("T", ["AAPL", "NOPE"]).stream("Q", ["AAPL"]);
    let mut server = open(feed);
    assert_eq!(server.url(), "wss://socket.polygon.io/stocks");
    server.expect(&[r#"{"action":"subscribe","params":"T.AAPL,T.NOPE,Q.AAPL"}"#]);
    server.say(&granted("T.AAPL,Q.AAPL"));
    server.say(r#"[{"ev":"status","status":"error","message":"not authorized"}]"#);
    assert_eq!(
        server.news(),
        ["settled -: refused by the server: not authorized"]
    );
    server.pass(Duration::from_secs(12));
    assert_eq!(server.news(), [""; 0]);
    server.cut();
    server.reconnect();
    server.say(CONNECTED);
    server.say(LET_IN);
    server.expect(&[LOGIN, r#"{"action":"subscribe","params":"T.AAPL,Q.AAPL"}"#]);
}

#[test]
fn an_error_is_about_the_oldest_request_without_answer() {
    let mut server = open(feed());
    let first = server.subscribe("T", &["A"]);
    let second = server.subscribe("T", &["B"]);
    server.say(&granted("T.A"));
    server.say(r#"[{"ev":"status","status":"error","message":"no such channel"}]"#);
    assert_eq!(
        server.news(),
        [
            format!("settled {first}: ok"),
            format!("settled {second}: refused by the server: no such channel"),
        ]
    );
    server.texts();
    let end = server.unsubscribe("T", &["A"]);
    server.expect(&[r#"{"action":"unsubscribe","params":"T.A"}"#]);
    server.say(r#"[{"ev":"status","status":"success","message":"unsubscribed to: T.A"}]"#);
    assert_eq!(server.news(), [format!("settled {end}: ok")]);
    let silent = server.subscribe("T", &["D"]);
    server.pass(Duration::from_secs(11));
    assert_eq!(
        server.news(),
        [format!("settled {silent}: the server did not answer")]
    );
}

#[track_caller]
fn check_refused(before: &[&str], status: &str, message: &str) {
    let mut server = Script::open(feed());
    server.news();
    before.iter().for_each(|text| server.say(text));
    server.say(&format!(
        r#"[{{"ev":"status","status":"{status}","message":"{message}"}}]"#
    ));
    let refused = format!("refused: {message}");
    assert_eq!(
        server.news(),
        [&refused, "lost: refused by the server"],
        "{status}"
    );
}

#[test]
fn a_connection_that_is_refused_is_given_up_with_the_reason() {
    check_refused(&[CONNECTED], "auth_failed", "authentication failed");
    check_refused(&[CONNECTED], "error", "authentication failed");
    check_refused(&[CONNECTED], "auth_timeout", "no login in time");
    let second = "Maximum number of connections exceeded";
    check_refused(&[CONNECTED, LET_IN], "max_connections", second);
}

#[test]
fn a_login_needs_a_key_and_an_answer() {
    let mut server = Script::open(Exchange::of(PolygonStocks::default()));
    server.say(CONNECTED);
    assert_eq!(
        server.news(),
        [
            "opened 1",
            "refused: the server wants a login, and the feed has no key",
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
    let mut desk = Desk::new(feed());
    desk.take(CONNECTED);
    assert!(desk.intake.outbox().is_secret());
    assert!(!format!("{:?}", desk.intake).contains("s3cret"));
}

#[test]
fn pings_are_answered_and_silence_is_noticed() {
    let mut server = open(feed());
    server.ping("now");
    assert_eq!(server.frames(), ["pong now"]);
    server.pass(Duration::from_secs(30));
    assert_eq!(
        server.news(),
        ["lost: nothing came for longer than dead_after"]
    );
}

#[test]
fn a_request_holds_what_fits() {
    let ids: Vec<_> = (0..1500).map(|n| format!("S{n}")).collect();
    let mut server = open(feed().stream("T", &ids));
    let counts: Vec<_> = server
        .texts()
        .iter()
        .map(|t| t.matches("T.S").count())
        .collect();
    assert_eq!(counts, [1000, 500]);
    let mut server = open(feed());
    assert!(server.try_subscribe("LULD", &["A"]).is_err());
    assert!(server.try_subscribe("T", &["A,T.B"]).is_err());
    let value = |id| PolygonStocks::default().value_of(&Subscription::new("T", id));
    assert_eq!(value("*"), None);
    assert_eq!(value("A"), Some(("T", Id::from("A"))));
}
