use super::*;
use crate::feed::protocol::Missing;
use crate::feed::reading::TimeUnit;
use crate::feed::sequence::{Policy, Rule, Sequence};
use crate::feed::testing::{Desk, check};
use crate::record::Mode;

/// Bybit's tickers: whole values, then patches; the kind may stand anywhere.
fn bybit() -> EnvelopeBuilder {
    Envelope::builder("bybit")
        .entity("/topic")
        .entity_until('.')
        .prefix("bybit.")
        .entities(["tickers"])
        .id("/data/symbol")
        .payload("/data")
        .kind("/type")
        .word("snapshot", MessageKind::Whole)
        .word("delta", MessageKind::Patch)
        .control_if("/op")
        .sequence("/cs", Policy::continuing(Rule::RisingEqualAllowed))
        .source_time("/ts", TimeUnit::Milliseconds)
}

#[test]
fn kinds_sequences_and_times_are_found_by_pointer() {
    check(
        bybit().build().unwrap(),
        &[
            (
                r#"{"topic":"tickers.X","type":"snapshot","data":{"symbol":"X","a":null},"cs":5,"ts":7}"#,
                &[r#"whole+ bybit.tickers "X" {"symbol":"X","a":null} #5 @7000000"#],
            ),
            (
                r#"{"cs":6,"ts":8,"data":{"a":1,"symbol":"X"},"type":"delta","topic":"tickers.X"}"#,
                &[r#"merge bybit.tickers "X" {"a":1,"symbol":"X"} #6 @8000000"#],
            ),
            (
                r#"{"topic":"tickers.X","type":"odd","data":{},"cs":1,"ts":1}"#,
                &["unmapped odd"],
            ),
            (
                r#"{"topic":"orderbook.1.X","type":"delta","data":{}}"#,
                &["unmapped orderbook"],
            ),
            (r#"{"success":true,"op":"subscribe"}"#, &["notice"]),
            (r#"{"topic":"tickers.X"}"#, &["unmapped (no kind)"]),
            (r#"{"topic":"tickers.X","type":5}"#, &["unmapped 5"]),
            (r#"{"type":"delta","data":{}}"#, &["refused NoEntity"]),
            (
                r#"{"topic":"tickers.X","type":"delta","data":{},"cs":1,"ts":1}"#,
                &["refused NoId"],
            ),
            (
                r#"{"topic":"tickers.X","type":"delta","data":{"symbol":"X"},"ts":1}"#,
                &["refused BadSequence"],
            ),
            (
                r#"{"topic":"tickers.X","type":"delta","data":{"symbol":"X"},"cs":1}"#,
                &["refused BadTime"],
            ),
            (
                r#"{"topic":"tickers.X","type":"delta","data":{"symbol":[]},"cs":1,"ts":1}"#,
                &["refused BadId"],
            ),
        ],
    );
    let claims = bybit().build().unwrap().claims();
    assert_eq!(claims.entities, ["bybit.tickers".into()]);
    assert!(!claims.wildcard);
}

#[test]
fn every_kind_has_its_effect() {
    let envelope = Envelope::builder("e")
        .constant_entity("a")
        .id("/id")
        .payload("/v")
        .kind("/k")
        .word("whole", MessageKind::Whole)
        .word("patch", MessageKind::Patch)
        .word("remove", MessageKind::Remove)
        .word("forget", MessageKind::Invalidate)
        .word("hello", MessageKind::Control)
        .merge(Mode::Shallow)
        .missing(Missing::Insert)
        .build()
        .unwrap();
    check(
        envelope,
        &[
            // Null is a value of a whole message, and removes in a part of one.
            (r#"{"k":"whole","id":1,"v":null}"#, &["whole+ a 1 null"]),
            (r#"{"k":"patch","id":1,"v":null}"#, &["remove a 1"]),
            (
                r#"{"k":"patch","id":1,"v":{"x":2}}"#,
                &[r#"shallow+ a 1 {"x":2}"#],
            ),
            (r#"{"k":"remove","id":"1"}"#, &[r#"remove a "1""#]),
            (r#"{"k":"remove"}"#, &["refused NoId"]),
            (r#"{"k":"forget","id":1}"#, &["invalidate a 1"]),
            (r#"{"k":"forget"}"#, &["invalidate a"]),
            (r#"{"k":"hello"}"#, &["notice"]),
            (r#"{"k":"patch","id":1}"#, &["refused NoPayload"]),
            (r#"{"k":"patch","v":1}"#, &["refused NoId"]),
        ],
    );
}

#[test]
fn one_message_may_hold_several_items() {
    let envelope = Envelope::builder("okx")
        .entity("/arg/channel")
        .items("/data")
        .id("/instId")
        .ids(Ids::Text)
        .default_kind(MessageKind::Whole)
        .sequence("/seq", Policy::continuing(Rule::Chained))
        .previous_sequence("/prev")
        .build()
        .unwrap();
    check(
        envelope,
        &[
            (
                r#"{"arg":{"channel":"t"},"data":[{"instId":"A","seq":2,"prev":1},{"instId":5,"seq":4,"prev":3}]}"#,
                &[
                    r#"whole+ t "A" {"instId":"A","seq":2,"prev":1} #2"#,
                    r#"whole+ t "5" {"instId":5,"seq":4,"prev":3} #4"#,
                ],
            ),
            // What an item lacks may stand in the message.
            (
                r#"{"arg":{"channel":"t"},"instId":"B","seq":9,"prev":8,"data":[{"x":1}]}"#,
                &[r#"whole+ t "B" {"x":1} #9"#],
            ),
            // All or nothing.
            (
                r#"{"arg":{"channel":"t"},"data":[{"instId":"A","seq":2,"prev":1},{}]}"#,
                &["refused BadSequence"],
            ),
            (r#"{"arg":{"channel":"t"}}"#, &["refused NoPayload"]),
            (r#"{"arg":{"channel":"t"},"data":{}}"#, &["refused Shape"]),
            (r#"{"arg":{},"data":[{}]}"#, &["refused NoEntity"]),
            // No item says nothing.
            (r#"{"arg":{},"data":[]}"#, &["notice"]),
        ],
    );
}

#[test]
fn numbers_and_times_reach_the_update() {
    let envelope = Envelope::builder("e")
        .constant_entity("a")
        .id("/id")
        .sequence("/u", Policy::continuing(Rule::ContiguousRange))
        .first_sequence("/U")
        .source_time("/t", TimeUnit::Seconds)
        .build()
        .unwrap();
    let mut desk = Desk::new(envelope);
    desk.take(r#"{"id":1,"U":3,"u":5,"t":2}"#);
    let [update] = desk.sink.updates[..] else {
        panic!("one update")
    };
    assert_eq!(update.sequence, Some(Sequence::range(3, 5)));
    assert_eq!(update.policy, Policy::continuing(Rule::ContiguousRange));
    assert_eq!(update.source_time, Some(2_000_000_000));
}

#[test]
fn answers_are_matched_by_number() {
    let envelope = Envelope::builder("e")
        .constant_entity("a")
        .id("/id")
        .answers("/req", "/error")
        .requests(Answer::Expected, |ask| {
            let verb = if ask.verb == Verb::Subscribe {
                "sub"
            } else {
                "unsub"
            };
            (format!("{verb} {} {}", ask.request, ask.streams[0]), 1)
        })
        .build()
        .unwrap();
    let mut desk = Desk::new(envelope);
    assert_eq!(desk.take(r#"{"req":4}"#), ["granted 4"]);
    assert_eq!(desk.take(r#"{"req":4,"error":null}"#), ["granted 4"]);
    assert_eq!(desk.take(r#"{"req":4,"error":"no"}"#), ["denied 4 no"]);
    assert_eq!(
        desk.take(r#"{"req":4,"error":{"c":1}}"#),
        [r#"denied 4 {"c":1}"#]
    );
    let stream = Subscription::new("c", "X");
    let asked = desk
        .intake
        .protocol
        .subscribe(9, &[&stream, &stream], &mut desk.intake.outbox);
    assert_eq!(
        asked,
        Ok(Asked {
            count: 1,
            answer: Answer::Expected
        })
    );
    assert_eq!(desk.intake.outbox.pop().as_deref(), Some("sub 9 c/X"));
}

#[test]
fn a_mark_needs_neither_number_nor_time() {
    let envelope = Envelope::builder("e")
        .constant_entity("a")
        .id("/id")
        .payload("/v")
        .kind("/k")
        .word("patch", MessageKind::Patch)
        .word("forget", MessageKind::Invalidate)
        .sequence("/s", Policy::continuing(Rule::ContiguousPerKey))
        .source_time("/t", TimeUnit::Milliseconds)
        .build()
        .unwrap();
    check(
        envelope,
        &[
            (r#"{"k":"forget","id":1}"#, &["invalidate a 1"]),
            (r#"{"k":"forget","s":"no number"}"#, &["invalidate a"]),
            (
                r#"{"k":"patch","id":1,"t":1,"v":{}}"#,
                &["refused BadSequence"],
            ),
            (r#"{"k":"patch","id":1,"s":1,"v":{}}"#, &["refused BadTime"]),
        ],
    );
}

#[test]
fn what_is_missing_or_wrong_is_named_when_it_is_built() {
    let error = Envelope::builder("e").id("/id").build().unwrap_err();
    assert_eq!(error, EnvelopeError::NoEntity);
    let error = Envelope::builder("e")
        .constant_entity("a")
        .build()
        .unwrap_err();
    assert_eq!(error, EnvelopeError::NoId);
    let error = Envelope::builder("e")
        .constant_entity("a")
        .id("id")
        .payload("p")
        .build();
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with(r#""id" for id: "#), "{error}");
}
