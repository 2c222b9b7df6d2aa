//! The reference reducer against what is known without it: the vectors of RFC 7396 and two samples
//! small enough to be reduced by hand.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test's own modules"
)]

mod reference;

use reference::{Counts, Id, Merge, Missing, Preset, Reference, Tree, differences, printed};

const BINANCE: &str = include_str!("data/binance-spot-sample.jsonl");
const EVENTS: &str = include_str!("data/events-sample.jsonl");

fn tree(text: &str) -> Tree {
    Tree::parse(text).unwrap_or_else(|| panic!("JSON: {text}"))
}

fn events(merge: Merge, missing: Missing) -> Reference {
    Reference::of_lines(
        Preset::Events {
            merge,
            missing,
            text_ids: true,
        },
        EVENTS,
    )
}

fn value(reference: &Reference, entity: &str, id: &str) -> Tree {
    let key = (entity.to_owned(), Id::Text(id.to_owned()));
    reference
        .values()
        .get(&key)
        .unwrap_or_else(|| panic!("{entity} {id}"))
        .clone()
}

/// All of appendix A.
#[test]
fn the_vectors_of_rfc_7396() {
    for (original, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":{"b":"d","c":null}}"#,
            r#"{"a":{"b":"d"}}"#,
        ),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        assert_eq!(
            tree(original).merged(tree(patch)),
            tree(result),
            "{original} + {patch}"
        );
    }
}

#[test]
fn shallow_is_a_spread() {
    for (old, patch, result) in [
        (
            r#"{"a":1,"b":{"x":1}}"#,
            r#"{"b":{"y":2}}"#,
            r#"{"a":1,"b":{"y":2}}"#,
        ),
        (r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":null}"#),
        ("{}", "{}", "{}"),
        (r#"{"a":1}"#, "[2]", "[2]"),
        ("[2]", r#"{"a":1}"#, r#"{"a":1}"#),
    ] {
        assert_eq!(
            tree(old).shallow(tree(patch)),
            tree(result),
            "{old} + {patch}"
        );
    }
}

#[test]
fn tokens_are_kept_and_names_are_decoded() {
    let text = r#"{"n":1.50e+3,"s":"\u0041","\u0062":[1, 2 ],"B":{},"b":[3, {"x" :4}]}"#;
    let expected = r#"{"B":{},"b":[3, {"x" :4}],"n":1.50e+3,"s":"\u0041"}"#;
    assert_eq!(tree(text).to_string(), expected);
    for wrong in [
        "",
        "{",
        "{\"a\":1,}",
        "[1",
        "01",
        "{\"a\" 1}",
        "1 2",
        "nul",
        "\"\n\"",
        "{1:2}",
    ] {
        assert_eq!(Tree::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn the_binance_sample_reduced_by_hand() {
    let reference = Reference::of_lines(Preset::BinanceSpot, BINANCE);
    assert!(reference.counts().balanced());
    let expected = Counts {
        messages: 60,
        data: 38,
        // Four answers and two shutdown notices.
        control: 6,
        // Four depth messages, one snapshot, four channels that are not taken.
        unmapped: 9,
        refused: 7,
        patches: 38,
        applied: 34,
        // One book, and a trade that came twice.
        older: 3,
        duplicate: 1,
        ..Counts::default()
    };
    assert_eq!(reference.counts(), expected);
    let keys: Vec<_> = reference
        .values()
        .keys()
        .map(|(e, id)| format!("{e} {id}"))
        .collect();
    let expected = [
        "binance-spot.bookTicker \"AAAUSDT\"",
        "binance-spot.bookTicker \"BBBUSDT\"",
        "binance-spot.bookTicker \"CCCUSDT\"",
        "binance-spot.bookTicker \"DDDUSDT\"",
        "binance-spot.bookTicker \"GGGUSDT\"",
        "binance-spot.bookTicker \"HHHUSDT\"",
        "binance-spot.bookTicker \"币安USDT\"",
        "binance-spot.ticker \"AAAUSDT\"",
        "binance-spot.ticker \"FFFUSDT\"",
        "binance-spot.ticker \"GGGUSDT\"",
        "binance-spot.trade \"AAAUSDT\"",
        "binance-spot.trade \"EÉUSDT\"",
        "binance-spot.trade \"GGGUSDT\"",
    ];
    assert_eq!(keys, expected);
    for (channel, id, expected) in [
        (
            "bookTicker",
            "AAAUSDT",
            r#"{"A":"1.50000000","B":"2.00000000","a":"100.50000000","b":"100.40000000","s":"AAAUSDT","u":6000}"#,
        ),
        (
            "bookTicker",
            "CCCUSDT",
            r#"{"A":"3.00000000","B":"4.00000000","a":"7.20000000","b":"7.11000000","s":"CCCUSDT","u":42}"#,
        ),
        (
            "bookTicker",
            "DDDUSDT",
            r#"{"A":"1.00000000","B":"1.00000000","a":"1.10000000","b":"1.00000000","s":"DDD\u0055SDT","u":7}"#,
        ),
        (
            "bookTicker",
            "HHHUSDT",
            r#"{"A":"1.00000000","B":"1.00000000","a":"2.00000000","b":"1.50000000","s":"HHHUSDT","u":1}"#,
        ),
        // Replaced whole: `gone` is gone, null is a value, no digit is lost.
        (
            "ticker",
            "FFFUSDT",
            r#"{"E":2,"L":18446744073709551615,"c":null,"e":"24hrTicker","s":"FFFUSDT","v":1.0E+5,"w":123456789012345678901234567890.10,"x":{"a":1,"b":{}},"y":[1, 2.50,{"k":null}],"z":-0}"#,
        ),
    ] {
        let found = value(&reference, &format!("binance-spot.{channel}"), id);
        assert_eq!(found.to_string(), expected);
    }
}

#[test]
fn the_events_sample_reduced_by_hand() {
    let known = Counts {
        messages: 48,
        data: 38,
        invalidation: 3,
        refused: 7,
        patches: 38,
        ..Counts::default()
    };
    let patched = events(Merge::Rfc7396, Missing::Insert);
    assert!(patched.counts().balanced());
    assert_eq!(
        patched.counts(),
        Counts {
            applied: 34,
            unchanged: 2,
            missing: 2,
            ..known
        }
    );
    let shallow = events(Merge::Shallow, Missing::Insert);
    assert_eq!(
        shallow.counts(),
        Counts {
            applied: 34,
            unchanged: 2,
            missing: 2,
            ..known
        }
    );
    // Nothing in this preset is a whole message, so nothing can be the first.
    let ignored = events(Merge::Rfc7396, Missing::Ignore);
    assert_eq!(
        ignored.counts(),
        Counts {
            missing: 38,
            ..known
        }
    );
    assert!(ignored.values().is_empty());

    for (entity, id, by_patch, by_spread) in [
        (
            "job",
            "a",
            r#"{"meta":{"room":{"floor":2},"tags":["r"]},"progress":10,"status":"queued"}"#,
            r#"{"meta":{"tags":["r"]},"progress":10,"status":"queued"}"#,
        ),
        ("job", "b", r#"{"status":"again"}"#, r#"{"status":"again"}"#),
        ("edge", "1", r#"{"a":{}}"#, r#"{"a":{"a":null}}"#),
        ("edge", "2", r#"{"a":{}}"#, r#"{"a":{"b":null}}"#),
        ("edge", "3", r#"{"a":{"d":2}}"#, r#"{"a":{"d":2}}"#),
        (
            "edge",
            "4",
            r#"{"a":{"0":1},"c":[1, 2]}"#,
            r#"{"a":{"0":1},"c":[1, 2]}"#,
        ),
        ("edge", "5", r#"{"a":{"y":2}}"#, r#"{"a":{"y":2}}"#),
        ("edge", "6", r#"{"b":1}"#, r#"{"a":null,"b":1}"#),
        ("list", "x", "[1,2]", "[1,2]"),
        (
            "list",
            "y",
            r#"{"now":"an object"}"#,
            r#"{"now":"an object"}"#,
        ),
        ("list", "z", "false", "false"),
        (
            "id",
            "7",
            r#"{"v":"first","w":"second"}"#,
            r#"{"v":"first","w":"second"}"#,
        ),
        ("id", "", r#"{"v":"empty"}"#, r#"{"v":"empty"}"#),
        ("order", "o", r#"{"v":1}"#, r#"{"v":1}"#),
    ] {
        assert_eq!(
            value(&patched, entity, id).to_string(),
            by_patch,
            "{entity} {id}"
        );
        assert_eq!(
            value(&shallow, entity, id).to_string(),
            by_spread,
            "{entity} {id}"
        );
    }
    let tokens = r#"{"Key":1,"big":18446744073709551615,"esc":"\u0041\/\n","exp":1E-7,"key":3,"long":0.10000000000000000001,"neg":-0.0,"zeros":5.00}"#;
    assert_eq!(value(&patched, "token", "t").to_string(), tokens);
}

#[test]
fn ids_may_keep_their_type() {
    let preset = Preset::Events {
        merge: Merge::Rfc7396,
        missing: Missing::Insert,
        text_ids: false,
    };
    let reference = Reference::of_lines(preset, EVENTS);
    let ids = reference
        .values()
        .keys()
        .filter(|(entity, _)| entity == "id");
    let ids: Vec<_> = ids.map(|(_, id)| id.to_string()).collect();
    assert_eq!(ids, ["-3", "0", "7", "9", "10", r#""""#, r#""7""#]);
}

#[test]
fn printed_states_are_read_and_compared() {
    let text = r#"{"entity":"a","id":9,"epoch":3,"value":{"x":1.0}}
{"entity":"a","id":10,"epoch":1,"value":{"y":[1]}}
{"entity":"a","id":"7","epoch":1,"value":null}
"#;
    let state = printed(text).expect("well-formed");
    assert_eq!(state.len(), 3);
    assert!(differences(&state, &state).is_empty());
    let other = printed(&text.replace("1.0", "1").replace("\"7\"", "\"8\"")).expect("well-formed");
    assert_eq!(
        differences(&state, &other),
        [
            "a 9\n  expected {\"x\":1.0}\n  found    {\"x\":1}",
            "a \"7\" is missing",
            "a \"8\" should not be there",
        ]
    );
    let swapped: Vec<_> = text.lines().rev().collect();
    assert!(
        printed(&swapped.join("\n"))
            .expect_err("out of order")
            .starts_with("not in order")
    );
    for wrong in [
        r#"{"entity":"a","id":9,"value":1}"#,
        r#"{"entity":"a","id":9.5,"epoch":1,"value":1}"#,
        r#"{"entity":"a","id":9,"epoch":1,"value":1,"more":1}"#,
        "text",
    ] {
        assert!(printed(wrong).is_err(), "{wrong}");
    }
}
