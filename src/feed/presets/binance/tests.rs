use super::*;
use crate::feed::presets::script::recording;
use crate::feed::protocol::{Missing, Protocol};
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
                &["unmapped depth"],
            ),
            (
                r#"{"stream":"btcusdt@kline_1m","data":{}}"#,
                &["unmapped kline_1m"],
            ),
            (
                r#"{"stream":"!contractInfo","data":{}}"#,
                &["unmapped contractInfo"],
            ),
            (
                r#"{"stream":"!assetIndex@arr","data":[]}"#,
                &["unmapped assetIndex"],
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
            (r#"{"stream":"x@trade","data":[1]}"#, &["refused Shape"]),
            (r#"{"stream":"x@trade","data":7}"#, &["refused Shape"]),
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
    assert!(claims.entities.contains(&"spot.bookTicker".into()));
    assert!(claims.entities.iter().all(|name| name.starts_with("spot.")));
    assert!(!claims.wildcard);
    let usdm = Exchange::of(Binance::of(BinanceMarket::Usdm)).claims();
    assert!(usdm.entities.contains(&"binance-usdm.markPrice".into()));
    let coinm = Exchange::of(Binance::of(BinanceMarket::Coinm)).claims();
    assert!(coinm.entities.contains(&"binance-coinm.indexPrice".into()));
}

#[test]
fn one_message_may_hold_many_symbols() {
    let array = r#"[{"e":"24hrMiniTicker","E":1,"s":"A","c":"1"},{"e":"24hrMiniTicker","E":2,"s":"B","c":"2"}]"#;
    let lines = [
        r#"whole+ binance-spot.miniTicker "A" {"e":"24hrMiniTicker","E":1,"s":"A","c":"1"} #1000000 @1000000"#,
        r#"whole+ binance-spot.miniTicker "B" {"e":"24hrMiniTicker","E":2,"s":"B","c":"2"} #2000000 @2000000"#,
    ];
    let combined = format!(r#"{{"stream":"!miniTicker@arr","data":{array}}}"#);
    check(
        BinanceSpot::new(),
        &[
            (array, &lines),
            (&combined, &lines),
            // Nothing changed.
            (r#"{"stream":"!miniTicker@arr","data":[]}"#, &["notice"]),
            (
                r#"[{"e":"contractInfo"},{"e":"avgPrice","s":"A"}]"#,
                &[r#"whole+ binance-spot.avgPrice "A" {"e":"avgPrice","s":"A"}"#],
            ),
            (r#"[{"e":"contractInfo"}]"#, &["unmapped contractInfo"]),
            // One bad element, and none is taken.
            (
                r#"[{"e":"avgPrice","s":"A"},{"e":"avgPrice"}]"#,
                &["refused NoId"],
            ),
            (r#"[{"e":"avgPrice","s":"A"},3]"#, &["refused Shape"]),
        ],
    );
}

#[test]
fn windows_and_averages_of_spot_are_channels_of_their_own() {
    let cases = [
        ("ticker_1h", "1hTicker"),
        ("ticker_4h", "4hTicker"),
        ("ticker_1d", "1dTicker"),
        ("avgPrice", "avgPrice"),
        ("miniTicker", "24hrMiniTicker"),
    ];
    for (channel, event) in cases {
        let value = format!(r#"{{"e":"{event}","E":5,"s":"X"}}"#);
        let combined = format!(r#"{{"stream":"x@{channel}","data":{value}}}"#);
        let line = format!(r#"whole+ binance-spot.{channel} "X" {value} #5000000 @5000000"#);
        check(
            BinanceSpot::new(),
            &[(&value, &[&line]), (&combined, &[&line])],
        );
    }
    let trade = r#"{"e":"aggTrade","E":5,"s":"X","a":12,"p":"1","f":10,"l":11,"T":4}"#;
    let line = format!(r#"whole+ binance-spot.aggTrade "X" {trade} #12 @5000000"#);
    check(BinanceSpot::new(), &[(trade, &[&line])]);
}

#[test]
fn futures_have_channels_and_forms_of_their_own() {
    let usdm = || Exchange::of(Binance::of(BinanceMarket::Usdm)).named("u");
    let book = r#"{"e":"bookTicker","u":7,"s":"X","b":"1","B":"2","a":"3","A":"4","T":8,"E":9}"#;
    let mark = r#"{"e":"markPriceUpdate","E":9,"s":"X","p":"1","i":"2","r":"3","T":4}"#;
    let order = r#"{"e":"forceOrder","E":9,"o":{"s":"X","S":"SELL","T":8}}"#;
    let of = |channel: &str, value: &str, number: &str| {
        format!(r#"whole+ u.{channel} "X" {value} #{number} @9000000"#)
    };
    check(
        usdm(),
        &[
            (book, &[&of("bookTicker", book, "7")]),
            (
                &format!(r#"{{"stream":"!bookTicker","data":{book}}}"#),
                &[&of("bookTicker", book, "7")],
            ),
            (mark, &[&of("markPrice", mark, "9000000")]),
            (
                &format!(r#"{{"data":{mark},"stream":"x@markPrice@1s"}}"#),
                &[&of("markPrice", mark, "9000000")],
            ),
            (
                &format!(r#"{{"stream":"!markPrice@arr@1s","data":[{mark},{mark}]}}"#),
                &[
                    &of("markPrice", mark, "9000000"),
                    &of("markPrice", mark, "9000000"),
                ],
            ),
            (order, &[&of("forceOrder", order, "9000000")]),
            // Said to be of all symbols, and comes one by one.
            (
                &format!(r#"{{"stream":"!forceOrder@arr","data":{order}}}"#),
                &[&of("forceOrder", order, "9000000")],
            ),
            (r#"{"e":"forceOrder","E":9,"s":"X"}"#, &["refused NoId"]),
            // Of the other markets.
            (
                r#"{"e":"indexPriceUpdate","E":9,"i":"XUSD","p":"1"}"#,
                &["unmapped indexPrice"],
            ),
            (r#"{"e":"avgPrice","s":"X"}"#, &["unmapped avgPrice"]),
        ],
    );
    let index = r#"{"e":"indexPriceUpdate","E":9,"i":"XUSD","p":"1"}"#;
    let both = format!(r#"{{"stream":"xusd@markPrice","data":[{mark}]}}"#);
    let coinm = Exchange::of(Binance::of(BinanceMarket::Coinm)).named("u");
    check(
        coinm,
        &[
            (
                index,
                &[&format!(
                    r#"whole+ u.indexPrice "XUSD" {index} #9000000 @9000000"#
                )],
            ),
            // All contracts of a pair.
            (&both, &[&of("markPrice", mark, "9000000")]),
        ],
    );
}

#[test]
fn what_a_stream_keeps_up_is_known() {
    let value_of = |market, channel: &str, id: &str| {
        let protocol = Exchange::of(Binance::of(market));
        let value = protocol.value_of(&Subscription::new(channel, id));
        value.map(|(entity, id)| format!("{entity} {id}"))
    };
    use BinanceMarket::{Coinm, Spot, Usdm};
    assert_eq!(
        value_of(Spot, "trade", "btcusdt").as_deref(),
        Some("binance-spot.trade BTCUSDT")
    );
    assert_eq!(
        value_of(Usdm, "markPrice@1s", "btcusdt").as_deref(),
        Some("binance-usdm.markPrice BTCUSDT")
    );
    assert_eq!(value_of(Usdm, "!markPrice@arr", ""), None);
    assert_eq!(
        value_of(Coinm, "markPrice", "btcusd_perp").as_deref(),
        Some("binance-coinm.markPrice BTCUSD_PERP")
    );
    assert_eq!(value_of(Coinm, "markPrice", "btcusd"), None);
}

/// A recording through a preset: nothing refused, everything counted by channel, and numbers that
/// its rule takes one and all.
#[track_caller]
fn check_recording<P: Protocol>(
    name: &str,
    protocol: P,
    messages: u64,
    data: u64,
    unmapped: &[(&str, u64)],
) {
    let Some(lines) = recording(name) else { return };
    let mut desk = Desk::new(protocol);
    for line in &lines {
        desk.take(line);
    }
    let values = desk.counters.snapshot();
    assert!(values.balanced());
    assert_eq!((values.messages, values.data), (messages, data));
    assert_eq!(values.refused_by, []);
    let counted: Vec<_> = values.unmapped_by.iter().map(|(n, c)| (&**n, *c)).collect();
    assert_eq!(counted, unmapped);
}

#[test]
fn every_recorded_message_has_its_class() {
    let usdm = || Exchange::of(Binance::of(BinanceMarket::Usdm));
    check_recording(
        "binance-spot-btcusdt-20240808",
        BinanceSpot::new(),
        10_000,
        7281 + 1791,
        &[("depth", 927), ("(no stream)", 1)],
    );
    check_recording(
        "binance-usdm-btcusdt-20240808-start",
        usdm(),
        6000,
        4598 + 912,
        &[("depth", 489), ("(no stream)", 1)],
    );
    check_recording(
        "binance-usdm-btcusdt-20240808-burst",
        usdm(),
        6000,
        3228 + 2576,
        &[("depth", 196)],
    );
}
