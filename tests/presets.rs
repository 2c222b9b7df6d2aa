//! What exchanges say, and what the values are then: every message of the recordings is accounted
//! for by its channel; holes, reconnects, halted markets and null are shown on messages with invented
//! prices. That the final values are the venue's is tested in `tests/captures`.

mod kit;

use std::path::PathBuf;

use kit::{open, say};
use serde_json::{Value as Json, json};
use tickcache::feed::Protocol;
use tickcache::{Feed, Freshness, Reasons};

fn recording(name: &str) -> Option<Vec<String>> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    let folder = std::env::var_os("TICKCACHE_CAPTURES").map_or(beside, PathBuf::from);
    let path = folder.join(format!("{name}.jsonl.gz"));
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!(
            "skipped: {} is not there; set TICKCACHE_CAPTURES",
            path.display()
        );
        return None;
    };
    let text =
        std::io::read_to_string(flate2::read::GzDecoder::new(file)).expect("a gzip of UTF-8");
    Some(text.lines().map(str::to_owned).collect())
}

/// Plays a recording: so many messages of data and for the feed itself, and these that are not
/// mapped; all others would be an error.
#[track_caller]
fn check<P: Protocol>(name: &str, feed: Feed<P>, classes: [u64; 2], unmapped: &[(&str, u64)]) {
    let Some(messages) = recording(name) else {
        return;
    };
    let (_cache, mut feed) = open(feed);
    for message in &messages {
        say(&mut feed, message);
    }
    let counted = feed.counters();
    assert!(counted.balanced(), "{counted:?}");
    assert_eq!(counted.messages, messages.len() as u64);
    assert_eq!([counted.data, counted.control], classes);
    assert_eq!((counted.refused, counted.gaps), (0, 0));
    let by = counted.unmapped_by.iter();
    let mut by: Vec<_> = by.map(|(name, count)| (&**name, *count)).collect();
    by.sort_unstable();
    assert_eq!(by, unmapped, "{name}");
}

#[test]
fn every_recorded_message_is_accounted_for_by_its_channel() {
    let rest = "(no stream)";
    check(
        "binance-spot-btcusdt-20240808",
        Feed::binance_spot(),
        [7281 + 1791, 0],
        &[(rest, 1), ("depth", 927)],
    );
    check(
        "binance-usdm-btcusdt-20240808-start",
        Feed::binance_usdm(),
        [4598 + 912, 0],
        &[(rest, 1), ("depth", 489)],
    );
    check(
        "binance-usdm-btcusdt-20240808-burst",
        Feed::binance_usdm(),
        [3228 + 2576, 0],
        &[("depth", 196)],
    );
    check(
        "bybit-linear-v5-20260809",
        Feed::bybit_linear(),
        [4 + 754 + 102, 17],
        &[("kline", 71), ("orderbook", 4 + 1594)],
    );
    check(
        "coinbase-exchange-20210417",
        Feed::coinbase_exchange(),
        [107 + 107, 3],
        &[("l2update", 9719), ("snapshot", 10)],
    );
    check(
        "coinbase-advanced-20260809",
        Feed::coinbase_advanced(),
        [160 + 59, 25 + 5],
        &[("candles", 6), ("l2_data", 775)],
    );
    check(
        "kraken-v1-20210417",
        Feed::kraken_v1(),
        [18 + 8, 92 + 33],
        &[("book", 4279)],
    );
    check(
        "kraken-futures-20210722",
        Feed::kraken_futures(),
        [107 + 3 + 10, 31],
        &[("book", 7014), ("book_snapshot", 10)],
    );
    check(
        "okx-v5-20220513",
        Feed::okx(),
        [28 + 74, 18],
        &[("books", 290)],
    );
    check(
        "deribit-v2-20210722",
        Feed::deribit(),
        [89, 1],
        &[("book", 46)],
    );
}

/// A book that is not mapped is missing: everything of its connection is suspect.
#[test]
fn a_recorded_message_that_is_left_out_is_one_gap() {
    let Some(mut messages) = recording("coinbase-advanced-20260809") else {
        return;
    };
    let book = |message: &String| message.starts_with(r#"{"channel":"l2_data""#);
    let at = messages.iter().position(book).expect("a book");
    messages.remove(at);
    let (_cache, mut feed) = open(Feed::coinbase_advanced());
    for message in &messages {
        say(&mut feed, message);
    }
    assert_eq!(feed.counters().gaps, 1);
}

fn advanced(channel: &str, number: u64, event: &str) -> String {
    format!(
        r#"{{"channel":"{channel}","timestamp":"2026-01-01T00:00:00Z","sequence_num":{number},"events":[{event}]}}"#
    )
}

#[test]
fn a_hole_in_the_numbers_of_a_connection_marks_every_value_until_it_comes_whole() {
    let (cache, mut feed) = open(Feed::coinbase_advanced());
    let ticker = |id: &str, price: u64| {
        format!(r#"{{"type":"update","tickers":[{{"product_id":"{id}","price":"{price}"}}]}}"#)
    };
    let entity = cache.entity("coinbase-advanced.ticker");
    let (a, b) = (entity.slot("A"), entity.slot("B"));
    say(&mut feed, advanced("ticker", 0, &ticker("A", 1)));
    say(&mut feed, advanced("heartbeats", 1, "{}"));
    say(&mut feed, advanced("ticker", 2, &ticker("B", 1)));
    assert_eq!(
        (a.freshness(), b.freshness()),
        (Freshness::Live, Freshness::Live)
    );
    // Once more, and with something else in it: dropped.
    say(&mut feed, advanced("ticker", 2, &ticker("B", 7)));
    assert_eq!(feed.counters().gaps, 0);
    // 3 is missing, whatever it was; only a heartbeat tells.
    say(&mut feed, advanced("heartbeats", 4, "{}"));
    let gap = Freshness::Stale(Reasons::GAP);
    assert_eq!((a.freshness(), b.freshness()), (gap, gap));
    assert_eq!(feed.counters().gaps, 1);
    say(&mut feed, advanced("ticker", 5, &ticker("A", 2)));
    assert_eq!((a.freshness(), b.freshness()), (Freshness::Live, gap));
    // Another connection counts from zero.
    feed.close();
    feed.open();
    say(&mut feed, advanced("ticker", 0, &ticker("B", 3)));
    assert_eq!(feed.counters().gaps, 1);
    assert_eq!(b.freshness(), Freshness::Live);
    let price = b.read_all(|view| view.record().to_json());
    assert_eq!(price, r#"{"product_id":"B","price":"3"}"#);
}

#[test]
fn a_snapshot_after_a_reconnect_replaces_and_is_never_merged() {
    let (cache, mut feed) = open(Feed::kraken_v2());
    let ticker = |kind: &str, value: &str| {
        format!(r#"{{"channel":"ticker","type":"{kind}","data":[{value}]}}"#)
    };
    let snapshot = r#"{"symbol":"A/B","bid":1.10,"old":true,"timestamp":"2026-01-01T00:00:00Z"}"#;
    say(&mut feed, ticker("snapshot", snapshot));
    feed.close();
    feed.open();
    let slot = cache.entity("kraken-v2.ticker").slot("A/B");
    assert!(!slot.freshness().is_live());
    // A halted market: zeros, and a time long ago.
    let halted = r#"{"symbol":"A/B","bid":0,"timestamp":"1970-01-01T00:00:00Z"}"#;
    say(&mut feed, ticker("snapshot", halted));
    assert_eq!(slot.read_all(|view| view.record().to_json()), halted);
    assert_eq!(slot.freshness(), Freshness::Live);
    assert_eq!(feed.counters().older, 0);
}

#[test]
fn values_that_are_arrays_are_kept_as_they_came() {
    let (cache, mut feed) = open(Feed::kraken_v1());
    for trades in [r#"[["1.0","2"],["1.10","3"]]"#, r#"[["1.20","4"]]"#] {
        say(&mut feed, format!(r#"[7,{trades},"trade","A/B"]"#));
        let slot = cache.entity("kraken-v1.trade").slot("A/B");
        assert_eq!(slot.read_all(|view| view.record().to_json()), trades);
        assert_eq!(slot.freshness(), Freshness::Live);
    }
}

#[test]
fn the_newest_trade_stays_whatever_the_order() {
    let (cache, mut feed) = open(Feed::kraken_v2());
    let trade = |id: u64| json!({"symbol": "A/B", "trade_id": id});
    let message = |ids: &[u64]| {
        let trades: Vec<_> = ids.iter().map(|id| trade(*id)).collect();
        json!({"channel": "trade", "type": "update", "data": trades}).to_string()
    };
    let held = || {
        let slot = cache.entity("kraken-v2.trade").slot("A/B");
        let value = slot.read_all(|view| view.record().to_json());
        serde_json::from_str::<Json>(&value).expect("JSON")["trade_id"].as_u64()
    };
    for (ids, newest) in [
        (&[7, 8][..], 8),
        (&[11, 10, 9], 11),
        (&[10], 11),
        (&[12], 12),
    ] {
        say(&mut feed, message(ids));
        assert_eq!(held(), Some(newest));
    }
    // The snapshot of the next connection begins with what is held.
    feed.close();
    feed.open();
    say(&mut feed, message(&[11, 12]));
    let slot = cache.entity("kraken-v2.trade").slot("A/B");
    assert_eq!((held(), slot.freshness()), (Some(12), Freshness::Live));
}

/// A side without an offer: null is what it says, and deletes nothing.
#[test]
fn an_incremental_ticker_keeps_null() {
    let (cache, mut feed) = open(Feed::deribit());
    let note = |data: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"incremental_ticker.A","data":{data}}}}}"#
        )
    };
    for data in [
        // Before the first whole value there is nothing to change.
        r#"{"type":"change","instrument_name":"A","timestamp":1,"mark_price":9.0}"#,
        r#"{"type":"snapshot","instrument_name":"A","timestamp":2,"best_bid_price":1.50,"mark_price":2.0,"stats":{"high":3.0,"low":null}}"#,
        r#"{"type":"change","instrument_name":"A","timestamp":3,"best_bid_price":null,"stats":{"low":1.0}}"#,
    ] {
        say(&mut feed, note(data));
    }
    let slot = cache.entity("deribit.incremental_ticker").slot("A");
    let held = slot.read_all(|view| view.record().to_json());
    let held: Json = serde_json::from_str(&held).expect("JSON");
    assert_eq!(
        held,
        json!({
            "type": "change", "instrument_name": "A", "timestamp": 3, "best_bid_price": null,
            "mark_price": 2.0, "stats": {"high": 3.0, "low": 1.0}
        })
    );
    assert_eq!(feed.counters().missing, 1);
}
