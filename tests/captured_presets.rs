//! Coinbase and Kraken through memory: recordings end in the state that a reducer of a few lines
//! makes of them, nothing is refused, no gap is invented, and every message is accounted for; what
//! holes, reconnects and halted markets do is shown on messages with invented prices.

mod kit;

use std::collections::BTreeMap;
use std::path::PathBuf;

use kit::{open, say};
use serde_json::{Value as Json, json};
use tickcache::feed::{CounterValues, Protocol};
use tickcache::{Cache, Feed, Freshness, Reasons};

/// Values by entity (without the name of the feed) and id.
type State = BTreeMap<(String, String), Json>;
/// A value: entity, id, the number that decides if there is one, the value.
type Step = (&'static str, String, Option<u64>, Json);

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

fn text(value: &Json) -> String {
    value.as_str().expect("a text").to_owned()
}

fn number(value: &Json) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The state after messages, each taken apart by `read`: the highest number stays, else the last.
fn reduced(messages: &[String], read: impl Fn(&Json) -> Vec<Step>) -> State {
    let (mut state, mut numbers) = (State::new(), BTreeMap::new());
    for message in messages {
        let message = serde_json::from_str(message).expect("JSON");
        for (entity, id, number, value) in read(&message) {
            let key = (entity.to_owned(), id);
            if number.is_some() && number <= numbers.get(&key).copied() {
                continue;
            }
            if let Some(number) = number {
                numbers.insert(key.clone(), number);
            }
            state.insert(key, value);
        }
    }
    state
}

fn state(cache: &Cache, name: &str) -> State {
    let mut state = State::new();
    for entity in cache.entities() {
        let channel = entity.name().strip_prefix(name).expect("of this feed");
        for slot in entity.iter() {
            let value = slot.read_all(|view| view.record().to_json());
            let key = (channel[1..].to_owned(), slot.id().to_string());
            state.insert(key, serde_json::from_str(&value).expect("JSON"));
        }
    }
    state
}

/// Plays a recording; what was counted.
#[track_caller]
fn check<P: Protocol>(
    name: &str,
    feed: Feed<P>,
    messages: &[String],
    read: impl Fn(&Json) -> Vec<Step>,
    unmapped: &[(&str, u64)],
) -> CounterValues {
    let (cache, mut feed) = open(feed);
    for message in messages {
        say(&mut feed, message);
    }
    let expected = reduced(messages, read);
    assert!(!expected.is_empty());
    assert_eq!(state(&cache, name), expected);
    let counted = feed.counters();
    assert!(counted.balanced(), "{counted:?}");
    assert_eq!(counted.messages, messages.len() as u64);
    assert_eq!((counted.refused, counted.gaps), (0, 0));
    let by = counted.unmapped_by.iter();
    let mut by: Vec<_> = by.map(|(name, count)| (&**name, *count)).collect();
    by.sort_unstable();
    assert_eq!(by, unmapped);
    counted
}

fn coinbase_exchange(message: &Json) -> Vec<Step> {
    let (entity, number) = match message["type"].as_str() {
        Some("ticker") => ("ticker", &message["sequence"]),
        Some("match" | "last_match") => ("match", &message["trade_id"]),
        _ => return Vec::new(),
    };
    let id = text(&message["product_id"]);
    vec![(entity, id, number.as_u64(), message.clone())]
}

fn coinbase_advanced(message: &Json) -> Vec<Step> {
    let (entity, list) = match message["channel"].as_str() {
        Some("ticker") => ("ticker", "tickers"),
        Some("market_trades") => ("market_trades", "trades"),
        _ => return Vec::new(),
    };
    let events = message["events"].as_array().expect("a list");
    let values = events
        .iter()
        .flat_map(|event| event[list].as_array().expect("a list"));
    let step = |value: &Json| {
        let number = number(&value["trade_id"]);
        (entity, text(&value["product_id"]), number, value.clone())
    };
    values.map(step).collect()
}

fn kraken_v1(message: &Json) -> Vec<Step> {
    let entity = match message[2].as_str() {
        Some("ticker") => "ticker",
        Some("trade") => "trade",
        _ => return Vec::new(),
    };
    vec![(entity, text(&message[3]), None, message[1].clone())]
}

fn kraken_futures(message: &Json) -> Vec<Step> {
    let trade = |trade: &Json| {
        let id = text(&trade["product_id"]);
        ("trade", id, trade["seq"].as_u64(), trade.clone())
    };
    match message["feed"]
        .as_str()
        .filter(|_| message["event"].is_null())
    {
        Some("ticker_lite") => {
            let id = text(&message["product_id"]);
            vec![("ticker_lite", id, None, message.clone())]
        }
        Some("trade") => vec![trade(message)],
        Some("trade_snapshot") => {
            let trades = message["trades"].as_array().expect("a list");
            trades.iter().map(trade).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn coinbase_exchange_recorded() {
    let name = "coinbase-exchange-20210417";
    let Some(messages) = recording(name) else {
        return;
    };
    let unmapped = [("l2update", 9719), ("snapshot", 10)];
    let feed = Feed::coinbase_exchange();
    let counted = check(
        "coinbase-exchange",
        feed,
        &messages,
        coinbase_exchange,
        &unmapped,
    );
    assert_eq!((counted.data, counted.control), (107 + 107, 3));
    assert_eq!((counted.older, counted.duplicate), (0, 0));
}

#[test]
fn coinbase_advanced_recorded() {
    let name = "coinbase-advanced-20260809";
    let Some(mut messages) = recording(name) else {
        return;
    };
    let unmapped = [("candles", 6), ("l2_data", 775)];
    let run = |messages: &[String]| {
        let feed = Feed::coinbase_advanced();
        check(
            "coinbase-advanced",
            feed,
            messages,
            coinbase_advanced,
            &unmapped,
        )
    };
    let counted = run(&messages);
    assert_eq!((counted.data, counted.control), (160 + 59, 25 + 5));
    // A book that is not mapped is missing: everything of the connection is suspect.
    let book = |message: &String| message.starts_with(r#"{"channel":"l2_data""#);
    let at = messages.iter().position(book).expect("a book");
    messages.remove(at);
    let (cache, mut feed) = open(Feed::coinbase_advanced());
    for message in &messages {
        say(&mut feed, message);
    }
    assert_eq!(feed.counters().gaps, 1);
    assert!(!cache.entities().is_empty());
}

#[test]
fn kraken_v1_recorded() {
    let name = "kraken-v1-20210417";
    let Some(messages) = recording(name) else {
        return;
    };
    let feed = Feed::kraken_v1();
    let counted = check("kraken-v1", feed, &messages, kraken_v1, &[("book", 4279)]);
    assert_eq!((counted.data, counted.control), (18 + 8, 92 + 33));
}

#[test]
fn kraken_futures_recorded() {
    let name = "kraken-futures-20210722";
    let Some(messages) = recording(name) else {
        return;
    };
    let unmapped = [("book", 7014), ("book_snapshot", 10)];
    let feed = Feed::kraken_futures();
    let counted = check("kraken-futures", feed, &messages, kraken_futures, &unmapped);
    assert_eq!((counted.data, counted.control), (107 + 3 + 10, 31));
    // A snapshot of trades has the newest first.
    assert_eq!(counted.older, 10 * 99);
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
