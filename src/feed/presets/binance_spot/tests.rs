use std::io::Read as _;
use std::path::PathBuf;

use super::*;
use crate::feed::protocol::Missing;
use crate::feed::testing::{Desk, check};
use crate::record::Mode;

const BOOK: &str = r#"{"u":7,"s":"BTCUSDT","b":"1.0","B":"2.0","a":"1.1","A":"3.0"}"#;

#[test]
fn combined_messages_are_whole_values_of_their_symbol() {
    let book = format!(r#"{{"stream":"btcusdt@bookTicker","data":{BOOK}}}"#);
    let turned = format!(r#"{{"data":{BOOK},"stream":"btcusdt@bookTicker"}}"#);
    let line = format!(r#"whole+ binance-spot.bookTicker "BTCUSDT" {BOOK} #7"#);
    check(
        BinanceSpot::new(),
        &[
            (&book, &[&line]),
            (&turned, &[&line]),
            (
                r#"{"stream":"x@trade","data":{"e":"trade","E":2,"s":"X","t":9,"p":"1","T":1}}"#,
                &[
                    r#"whole+ binance-spot.trade "X" {"e":"trade","E":2,"s":"X","t":9,"p":"1","T":1} #9 @2000000"#,
                ],
            ),
            // Names that differ by case only are different names.
            (
                r#"{"stream":"x@ticker","data":{"e":"24hrTicker","E":3,"s":"X","S":"no","c":"1","C":5}}"#,
                &[
                    r#"whole+ binance-spot.ticker "X" {"e":"24hrTicker","E":3,"s":"X","S":"no","c":"1","C":5} #3000000 @3000000"#,
                ],
            ),
            // The symbol is the payload's, as it is written there.
            (
                r#"{"stream":"y@ticker","data":{"s":"测试usdt"}}"#,
                &[r#"whole+ binance-spot.ticker "测试usdt" {"s":"测试usdt"}"#],
            ),
        ],
    );
}

#[test]
fn raw_messages_are_recognised_by_what_they_hold() {
    let book = format!(r#"whole+ spot.bookTicker "BTCUSDT" {BOOK} #7"#);
    check(
        BinanceSpot::new().named("spot").microseconds(),
        &[
            (BOOK, &[&book]),
            (
                r#"{"e":"trade","E":2,"s":"X","t":9}"#,
                &[r#"whole+ spot.trade "X" {"e":"trade","E":2,"s":"X","t":9} #9 @2000"#],
            ),
            (
                r#"{"e":"24hrTicker","E":3,"s":"X","b":"1","B":"1","a":"1","A":"1","u":1}"#,
                &[
                    r#"whole+ spot.ticker "X" {"e":"24hrTicker","E":3,"s":"X","b":"1","B":"1","a":"1","A":"1","u":1} #3000 @3000"#,
                ],
            ),
            (
                r#"{"e":"depthUpdate","E":1,"s":"X","U":1,"u":2,"b":[],"a":[]}"#,
                &["unmapped depthUpdate"],
            ),
            // One member short of a book ticker.
            (
                r#"{"u":7,"s":"BTCUSDT","b":"1.0","B":"2.0","a":"1.1"}"#,
                &["unmapped (no stream)"],
            ),
        ],
    );
}

#[test]
fn other_channels_are_unmapped_by_name() {
    check(
        BinanceSpot::new(),
        &[
            (
                r#"{"stream":"btcusdt@depth@100ms","data":{}}"#,
                &["unmapped depth@100ms"],
            ),
            (
                r#"{"stream":"btcusdt@kline_1m","data":{}}"#,
                &["unmapped kline_1m"],
            ),
            (
                r#"{"stream":"!ticker@arr","data":[]}"#,
                &["unmapped !ticker@arr"],
            ),
            (r#"{"stream":"odd","data":[]}"#, &["unmapped odd"]),
            (
                r#"{"lastUpdateId":5,"bids":[],"asks":[]}"#,
                &["unmapped (no stream)"],
            ),
        ],
    );
}

#[test]
fn answers_and_notices_are_control() {
    check(
        BinanceSpot::new(),
        &[
            (r#"{"result":null,"id":12}"#, &["granted 12"]),
            (r#"{"id":12,"result":["btcusdt@trade"]}"#, &["granted 12"]),
            (r#"{"result":null,"id":"mine"}"#, &["notice"]),
            (
                r#"{"error":{"code":2,"msg":"no"},"id":3}"#,
                &["denied 3 no"],
            ),
            (r#"{"code":2,"msg":"no","id":3}"#, &["denied 3 no"]),
            (r#"{"code":2,"msg":"no"}"#, &["denied ? no"]),
            (r#"{"error":"odd","id":3}"#, &["denied 3 no reason given"]),
            (r#"{"e":"serverShutdown","E":1}"#, &["closing"]),
            (
                r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#,
                &["closing"],
            ),
        ],
    );
}

#[test]
fn bad_messages_are_refused_with_their_reason() {
    check(
        BinanceSpot::new(),
        &[
            (r#"{"stream":"x@trade"}"#, &["refused NoPayload"]),
            (r#"{"stream":"x@trade","data":null}"#, &["refused Shape"]),
            (r#"{"stream":"x@trade","data":[]}"#, &["refused Shape"]),
            (r#"{"stream":5,"data":{}}"#, &["refused Shape"]),
            (r#"{"stream":"x@trade","data":{"t":1}}"#, &["refused NoId"]),
            (
                r#"{"stream":"x@trade","data":{"t":1,"s":7}}"#,
                &["refused BadId"],
            ),
            (
                r#"{"stream":"x@trade","data":{"s":"X"}}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"stream":"x@bookTicker","data":{"s":"X","u":-1}}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"stream":"x@bookTicker","data":{"s":"X","u":"1"}}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"stream":"x@bookTicker","data":{"s":"X","u":18446744073709551616}}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"stream":"x@ticker","data":{"s":"X","E":"soon"}}"#,
                &["refused BadTime"],
            ),
            (
                r#"{"stream":"x@ticker","data":{"s":"X","E":18446744073709551}}"#,
                &["refused BadTime"],
            ),
            (r#"{"e":5}"#, &["refused Shape"]),
            ("[]", &["refused Shape"]),
            ("pong", &["refused Malformed"]),
        ],
    );
}

#[test]
fn updates_say_how_they_are_numbered() {
    let mut desk = Desk::new(BinanceSpot::new());
    desk.take(BOOK);
    let [update] = desk.sink.updates[..] else {
        panic!("one update")
    };
    assert_eq!(
        (update.mode, update.whole, update.missing),
        (Mode::Replace, true, Missing::Insert)
    );
    assert_eq!(update.policy, Policy::continuing(Rule::SparseRising));
    assert_eq!(update.sequence, Some(Sequence::at(7)));
}

#[track_caller]
fn check_url(protocol: BinanceSpot, expected: (&str, usize)) {
    let wanted = protocol.initial();
    let wanted: Vec<_> = wanted.iter().collect();
    let Address { url, carries } = protocol.address(&wanted).expect("it knows where");
    assert_eq!((url.as_str(), carries), expected);
}

#[test]
fn urls_name_streams_in_lower_case() {
    let here = || BinanceSpot::new().base("ws://h:1/");
    check_url(here(), ("ws://h:1/stream", 0));
    check_url(
        here()
            .book_ticker(["BTCUSDT"])
            .ticker(["BTCUSDT", "ETHUSDT"])
            .trade(["X"]),
        (
            "ws://h:1/stream?streams=btcusdt@bookTicker/btcusdt@ticker/ethusdt@ticker/x@trade",
            4,
        ),
    );
    check_url(
        here().ticker(["测X"]).microseconds(),
        (
            "ws://h:1/stream?streams=%E6%B5%8Bx@ticker&timeUnit=MICROSECOND",
            1,
        ),
    );
    // One raw stream fits the path; the others are asked for by message.
    check_url(
        here()
            .endpoint(Endpoint::Raw)
            .trade(["X", "Y"])
            .microseconds(),
        ("ws://h:1/ws/x@trade?timeUnit=MICROSECOND", 1),
    );
    check_url(here().endpoint(Endpoint::Raw), ("ws://h:1/ws", 0));
    check_url(
        BinanceSpot::new().trade(["X"]),
        ("wss://stream.binance.com:9443/stream?streams=x@trade", 1),
    );
}

#[test]
fn entities_carry_the_name_of_the_feed() {
    let claims = BinanceSpot::new().named("spot").claims();
    let expected = ["spot.bookTicker", "spot.ticker", "spot.trade"].map(Into::into);
    assert_eq!(claims.entities, expected);
    assert!(!claims.wildcard);
}

/// The folder of recordings, if there is one here.
fn captures() -> Option<PathBuf> {
    let given = std::env::var_os("TICKCACHE_CAPTURES").map(PathBuf::from);
    let shared = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/captures"));
    let folder = given.unwrap_or(shared);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: no recordings at {} (set TICKCACHE_CAPTURES)",
        folder.display()
    );
    None
}

#[test]
fn every_recorded_message_has_its_class() {
    let Some(folder) = captures() else { return };
    let path = folder.join("binance-spot-btcusdt-20240808.jsonl.gz");
    let file = std::fs::File::open(&path).expect("the recording can be read");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("it is gzipped text");
    let mut desk = Desk::new(BinanceSpot::new());
    for line in text.lines() {
        desk.take(line);
    }
    let values = desk.counters.snapshot();
    assert!(values.balanced());
    assert_eq!(values.messages, 10_000);
    assert_eq!(values.data, 7281 + 1791);
    assert_eq!(values.refused, 0);
    let unmapped = [("depth@100ms".into(), 927), ("(no stream)".into(), 1)];
    assert_eq!(values.unmapped_by, unmapped);
    // `u` strictly rises, so the rule drops nothing of it.
    let mut held = None;
    for update in desk
        .sink
        .updates
        .iter()
        .filter(|update| update.source_time.is_none())
    {
        let sequence = update.sequence.expect("a book ticker is numbered");
        assert!(held < Some(sequence.last));
        held = Some(sequence.last);
    }
}
