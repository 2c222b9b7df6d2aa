//! Recorded traffic of OKX and Deribit through the presets and a cache: what is there at the end is
//! what a reducer that knows nothing of either makes of it.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test's own modules"
)]

mod reference;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use reference::Tree;
use tickcache::Cache;
use tickcache::cache::Feed;
use tickcache::feed::{CounterValues, Protocol};

/// Values by entity and id.
type Values = BTreeMap<(String, String), Tree>;

fn capture(name: &str) -> Option<String> {
    let given = std::env::var_os("TICKCACHE_CAPTURES").map(PathBuf::from);
    let shared = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/captures"));
    let path = given.unwrap_or(shared).join(format!("{name}.jsonl.gz"));
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!(
            "skipped: no recording at {} (set TICKCACHE_CAPTURES)",
            path.display()
        );
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("it is gzipped text");
    Some(text)
}

/// What the cache holds for the keys of `expected` after these messages, and the counters.
fn replayed<P: Protocol>(feed: Feed<P>, text: &str, expected: &Values) -> (Values, CounterValues) {
    let cache = Cache::builder().build().expect("the settings can work");
    let mut feed = cache.local(feed).expect("nobody else owns it");
    feed.open();
    let mut batch = feed.batch();
    for line in text.lines() {
        // What is refused is counted.
        let _ = batch.message(&mut line.as_bytes().to_vec());
    }
    drop(batch);
    let held = expected.keys().map(|(entity, id)| {
        let record = cache.entity(entity).slot(id.as_str()).snapshot();
        let json = record.record().to_json();
        let tree = Tree::parse(&json).unwrap_or_else(|| panic!("{entity} {id}: {json:?}"));
        ((entity.clone(), id.clone()), tree)
    });
    let held = held.collect();
    let counters = feed.counters();
    let slots: usize = expected
        .keys()
        .map(|(entity, _)| entity)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .map(|entity| cache.entity(entity).len())
        .sum();
    assert_eq!(slots, expected.len(), "no other ids");
    assert!(counters.balanced(), "{counters:?}");
    (held, counters)
}

#[track_caller]
fn check(expected: &Values, (held, counters): &(Values, CounterValues)) {
    for (key, value) in expected {
        assert_eq!(held.get(key), Some(value), "{key:?}");
    }
    assert_eq!(counters.refused, 0);
    assert_eq!(counters.gaps, 0);
    assert_eq!(counters.older + counters.duplicate, 0);
}

fn text(tree: &Tree, name: &str) -> String {
    let member = tree.member(name).and_then(Tree::text);
    member.unwrap_or_else(|| panic!("{name} of {tree:?}"))
}

#[test]
fn okx_as_recorded() {
    let Some(recorded) = capture("okx-v5-20220513") else {
        return;
    };
    let (mut expected, mut data) = (Values::new(), 0);
    for line in recorded.lines() {
        let frame: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let channel = frame["arg"]["channel"].as_str().expect("each names one");
        if !["tickers", "trades"].contains(&channel) || frame.get("data").is_none() {
            continue;
        }
        // As it stands in the text: the frames of this recording end with the array.
        let (_, elements) = line.split_once(r#""data":["#).expect("there is data");
        let element = elements.strip_suffix("]}").expect("it ends there");
        assert_eq!(frame["data"].as_array().map(Vec::len), Some(1));
        let value = Tree::parse(element).expect("one object");
        let key = (format!("okx.{channel}"), text(&value, "instId"));
        expected.insert(key, value);
        data += 1;
    }
    assert_eq!(expected.len(), 6);
    let replayed = replayed(Feed::okx(), &recorded, &expected);
    check(&expected, &replayed);
    let counters = &replayed.1;
    assert_eq!(
        (counters.messages, counters.data, data),
        (410, 28 + 74, 102)
    );
    assert_eq!(counters.unmapped_by, [("books".into(), 290)]);
    assert_eq!(counters.control, 18);
}

#[test]
fn deribit_as_recorded() {
    let Some(recorded) = capture("deribit-v2-20210722") else {
        return;
    };
    let mut expected = Values::new();
    for line in recorded.lines() {
        let root = Tree::parse(line).expect("JSON");
        let Some(params) = root.member("params") else {
            continue;
        };
        if text(params, "channel").starts_with("ticker.") {
            let value = params.member("data").expect("there is data").clone();
            let key = ("deribit.ticker".into(), text(&value, "instrument_name"));
            expected.insert(key, value);
        }
    }
    assert_eq!(expected.len(), 10);
    let replayed = replayed(Feed::deribit(), &recorded, &expected);
    check(&expected, &replayed);
    let counters = &replayed.1;
    assert_eq!((counters.messages, counters.data), (136, 89));
    assert_eq!(counters.unmapped_by, [("book".into(), 46)]);
    assert_eq!(counters.control, 1);
}

/// Reduced by hand: nothing public has this feed.
#[test]
fn an_incremental_ticker_keeps_null() {
    let note = |data: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"incremental_ticker.A","data":{data}}}}}"#
        )
    };
    let lines = [
        // Before the first whole value there is nothing to change.
        note(r#"{"type":"change","instrument_name":"A","timestamp":1,"mark_price":9.0}"#),
        note(
            r#"{"type":"snapshot","instrument_name":"A","timestamp":2,"best_bid_price":1.50,"mark_price":2.0,"stats":{"high":3.0,"low":null}}"#,
        ),
        note(
            r#"{"type":"change","instrument_name":"A","timestamp":3,"best_bid_price":null,"stats":{"low":1.0}}"#,
        ),
    ];
    let held = r#"{"type":"change","instrument_name":"A","timestamp":3,"best_bid_price":null,"mark_price":2.0,"stats":{"high":3.0,"low":1.0}}"#;
    let key = ("deribit.incremental_ticker".into(), "A".into());
    let expected = Values::from([(key, Tree::parse(held).expect("JSON"))]);
    let replayed = replayed(Feed::deribit(), &lines.join("\n"), &expected);
    check(&expected, &replayed);
}
