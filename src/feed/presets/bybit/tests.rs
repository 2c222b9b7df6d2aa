use super::*;
use crate::feed::presets::Exchange;
use crate::feed::presets::script::recording;
use crate::feed::protocol::Protocol;
use crate::feed::testing::{Desk, check};

fn linear() -> Exchange<Bybit> {
    Exchange::of(Bybit::of(BybitCategory::Linear))
}

#[test]
fn a_snapshot_replaces_and_a_delta_merges_whatever_the_order_of_members() {
    let whole = r#"{"symbol":"BTCUSDT","bid1Price":"1","nextFundingTime":""}"#;
    let part = r#"{"symbol":"BTCUSDT","bid1Price":"2"}"#;
    let as_whole =
        format!(r#"whole+ bybit-linear.tickers "BTCUSDT" {whole} #75 @1786310817883000000"#);
    let as_part = format!(r#"merge bybit-linear.tickers "BTCUSDT" {part} #76 @5000000"#);
    check(
        linear(),
        &[
            (
                &format!(
                    r#"{{"topic":"tickers.BTCUSDT","type":"snapshot","data":{whole},"cs":75,"ts":1786310817883}}"#
                ),
                &[&as_whole],
            ),
            (
                &format!(
                    r#"{{"topic":"tickers.BTCUSDT","type":"delta","data":{part},"cs":76,"ts":5}}"#
                ),
                &[&as_part],
            ),
            (
                &format!(
                    r#"{{"ts":5,"cs":"76","data":{part},"type":"delta","topic":"tickers.BTCUSDT"}}"#
                ),
                &[&as_part],
            ),
        ],
    );
}

#[test]
fn a_number_may_repeat_and_is_of_one_connection() {
    let mut desk = Desk::new(Exchange::of(Bybit::of(BybitCategory::Spot)));
    let ticker = r#"{"topic":"tickers.X","ts":5,"type":"snapshot","cs":9,"data":{"symbol":"X"}}"#;
    let line = r#"whole+ bybit-spot.tickers "X" {"symbol":"X"} #9 @5000000"#;
    for _ in 0..2 {
        assert_eq!(desk.take(ticker), [line]);
    }
    let policy = Policy::restarting(Rule::RisingEqualAllowed);
    assert!(desk.sink.updates.iter().all(|u| u.policy == policy));
}

#[test]
fn each_trade_and_liquidation_is_a_whole_value() {
    let trade = |id: u32, seq: u32| {
        format!(r#"{{"T":7,"s":"X","S":"Buy","v":"1","p":"2","i":"a-{id}","seq":{seq}}}"#)
    };
    let (one, two) = (trade(1, 5), trade(2, 5));
    let old = r#"{"T":7,"s":"X","p":"2"}"#;
    let liquidation = r#"{"T":7,"s":"X","S":"Sell","v":"20000","p":"0.04499"}"#;
    let earlier = r#"{"price":"0.03803","side":"Buy","size":"1","symbol":"X","updatedTime":7}"#;
    let of = |channel: &str, value: &str, number: u64| {
        format!(r#"whole+ bybit-linear.{channel} "X" {value} #{number} @7000000"#)
    };
    check(
        linear(),
        &[
            (
                &format!(
                    r#"{{"topic":"publicTrade.X","type":"snapshot","ts":8,"data":[{one},{two}]}}"#
                ),
                &[&of("publicTrade", &one, 5), &of("publicTrade", &two, 5)],
            ),
            // Without a number there is the time.
            (
                &format!(r#"{{"topic":"publicTrade.X","ts":8,"data":[{old}]}}"#),
                &[&of("publicTrade", old, 7_000_000)],
            ),
            (
                &format!(r#"{{"topic":"allLiquidation.X","ts":8,"data":[{liquidation}]}}"#),
                &[&of("allLiquidation", liquidation, 7_000_000)],
            ),
            (
                &format!(r#"{{"data":{earlier},"topic":"liquidation.X","ts":7}}"#),
                &[&of("liquidation", earlier, 7_000_000)],
            ),
            (r#"{"topic":"publicTrade.X","ts":8,"data":[]}"#, &["notice"]),
        ],
    );
}

#[test]
fn other_topics_are_unmapped_by_their_first_part() {
    check(
        linear(),
        &[
            (
                r#"{"topic":"orderbook.200.X","type":"delta","data":{},"ts":1}"#,
                &["unmapped orderbook"],
            ),
            (
                r#"{"topic":"kline.1.X","data":[],"ts":1,"type":"snapshot"}"#,
                &["unmapped kline"],
            ),
            (r#"{"topic":"odd"}"#, &["unmapped odd"]),
        ],
    );
    check(
        Exchange::of(Bybit::of(BybitCategory::Spot)),
        &[(
            r#"{"topic":"allLiquidation.X","data":[]}"#,
            &["unmapped allLiquidation"],
        )],
    );
}

#[test]
fn answers_and_signs_of_life_are_control() {
    check(
        linear(),
        &[
            (
                r#"{"success":true,"ret_msg":"","conn_id":"d","req_id":"12/3","op":"subscribe"}"#,
                &["granted 12"],
            ),
            (
                r#"{"success":true,"ret_msg":"","conn_id":"d","req_id":"12/3","op":"unsubscribe"}"#,
                &["granted 12"],
            ),
            // Of a text of the user's.
            (
                r#"{"success":true,"ret_msg":"","conn_id":"d","req_id":"","op":"subscribe"}"#,
                &["notice"],
            ),
            (
                r#"{"success":false,"ret_msg":"error:handler not found","req_id":"4/2","op":"subscribe"}"#,
                &["denied 4 error:handler not found"],
            ),
            (
                r#"{"success":false,"ret_msg":"","op":"subscribe"}"#,
                &["denied ? no reason given"],
            ),
            // Said of one topic, it is held; said of many, it may be about any.
            (
                r#"{"success":false,"ret_msg":"error:already subscribed,topic:a.b","req_id":"5/1","op":"subscribe"}"#,
                &["granted 5"],
            ),
            (
                r#"{"success":false,"ret_msg":"error:already subscribed,topic:a.b","req_id":"5/2","op":"subscribe"}"#,
                &["denied 5 error:already subscribed,topic:a.b"],
            ),
            (
                r#"{"success":true,"ret_msg":"pong","conn_id":"d","op":"ping"}"#,
                &["heartbeat"],
            ),
            (r#"{"args":["1"],"op":"pong"}"#, &["heartbeat"]),
            (r#"{"op":"auth","success":true}"#, &["notice"]),
        ],
    );
}

#[test]
fn bad_messages_are_refused_with_their_reason() {
    check(
        linear(),
        &[
            ("[]", &["refused Shape"]),
            ("{}", &["refused Shape"]),
            (r#"{"topic":7}"#, &["refused Shape"]),
            (r#"{"topic":"tickers.X"}"#, &["refused NoPayload"]),
            (
                r#"{"topic":"tickers.X","data":{},"cs":1,"type":"other"}"#,
                &["refused Shape"],
            ),
            (
                r#"{"topic":"tickers.X","data":{},"type":"delta"}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"topic":"tickers.X","data":{},"type":"delta","cs":1.5}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"topic":"tickers.X","data":{},"type":"delta","cs":1,"ts":"soon"}"#,
                &["refused BadTime"],
            ),
            (
                r#"{"topic":"tickers.X","data":{},"type":"delta","cs":1}"#,
                &["refused NoId"],
            ),
            (
                r#"{"topic":"tickers.X","data":[{"symbol":"X"}],"type":"delta","cs":1}"#,
                &["refused NoId"],
            ),
            (r#"{"topic":"publicTrade.X","data":7}"#, &["refused Shape"]),
            (
                r#"{"topic":"publicTrade.X","data":[{"s":"X"},{"s":7}]}"#,
                &["refused BadId"],
            ),
            (
                r#"{"topic":"publicTrade.X","data":[{"s":"X","seq":-1}]}"#,
                &["refused BadSequence"],
            ),
        ],
    );
}

#[test]
fn every_recorded_message_has_its_class() {
    let Some(lines) = recording("bybit-linear-v5-20260809") else {
        return;
    };
    let mut desk = Desk::new(linear());
    for line in &lines {
        desk.take(line);
    }
    let values = desk.counters.snapshot();
    assert!(values.balanced());
    assert_eq!(values.messages, 2546);
    assert_eq!((values.data, values.control), (758 + 102, 17));
    assert_eq!(values.refused_by, []);
    let unmapped = [("orderbook".into(), 1598), ("kline".into(), 71)];
    let mut counted = values.unmapped_by;
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    assert_eq!(counted, unmapped);
}

#[test]
fn two_endpoints_never_meet_in_a_slot() {
    let claims: Vec<_> = [
        BybitCategory::Linear,
        BybitCategory::Inverse,
        BybitCategory::Spot,
    ]
    .into_iter()
    .flat_map(|category| Exchange::of(Bybit::of(category)).claims().entities)
    .collect();
    let distinct: std::collections::BTreeSet<_> = claims.iter().collect();
    assert_eq!(distinct.len(), claims.len());
}
