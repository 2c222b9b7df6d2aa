//! Every recording, read through a file alone: nothing refused, and the state that a reducer which
//! knows nothing of the crate comes to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use tickcache::{Cache, Feed};

use crate::kit::envelope;

type State = BTreeMap<(String, String), Value>;

/// Where recordings of real feeds are, if they are there at all.
fn captures() -> PathBuf {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    std::env::var_os("TICKCACHE_CAPTURES").map_or(beside, PathBuf::from)
}

fn messages(capture: &str) -> Option<Vec<String>> {
    let path = captures().join(capture).with_extension("jsonl.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!(
            "skipped: {} is not there; set TICKCACHE_CAPTURES",
            path.display()
        );
        return None;
    };
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(file));
    let text = text.expect("a gzip of UTF-8");
    Some(text.lines().map(str::to_owned).collect())
}

/// What the reducer is told: entity, id, value, whether it is whole, and its number.
type Told = (String, String, Value, bool, Option<u64>);

/// The last value of each id; patches are RFC 7396, lower and equal numbers are dropped.
fn reduce(messages: &[String], read: fn(&Value) -> Vec<Told>) -> (State, u64) {
    let mut state = State::new();
    let mut numbers = BTreeMap::new();
    let mut data = 0;
    for text in messages {
        let message: Value = serde_json::from_str(text).expect("JSON");
        let told = read(&message);
        data += u64::from(!told.is_empty());
        for (entity, id, value, whole, number) in told {
            let key = (entity, id);
            if let Some(number) = number {
                let last = numbers.entry(key.clone()).or_insert(None);
                if last.is_some_and(|last| number <= last) {
                    continue;
                }
                *last = Some(number);
            }
            if whole {
                state.insert(key, value);
            } else if let Some(old) = state.get_mut(&key) {
                merge(old, &value);
            }
        }
    }
    (state, data)
}

fn merge(old: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *old = patch.clone();
        return;
    };
    if !old.is_object() {
        *old = Value::Object(serde_json::Map::new());
    }
    let Value::Object(old) = old else { return };
    for (name, value) in patch {
        if value.is_null() {
            old.remove(name);
        } else {
            merge(old.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

#[track_caller]
fn check(file: &str, capture: &str, unmapped: &[&str], read: fn(&Value) -> Vec<Told>) {
    let Some(messages) = messages(capture) else {
        return;
    };
    let cache = Cache::builder().build().expect("a cache");
    let feed = Feed::envelope(envelope(file));
    let mut feed = cache.local(feed).expect("nothing else is attached");
    feed.open();
    for text in &messages {
        let taken = feed.message(&mut text.as_bytes().to_vec());
        taken.unwrap_or_else(|refusal| panic!("{text} is refused: {refusal}"));
    }
    let counters = feed.counters();
    assert!(counters.balanced(), "{counters:?}");
    assert_eq!(counters.messages, messages.len() as u64);
    assert_eq!(counters.gaps, 0, "{counters:?}");
    let counted: Vec<_> = counters
        .unmapped_by
        .iter()
        .map(|(name, _)| &**name)
        .collect();
    assert_eq!(counted, unmapped);

    let mut state = State::new();
    for entity in cache.entities() {
        for slot in entity.iter() {
            let text = slot.snapshot().record().to_json();
            let value = serde_json::from_str(&text).expect("JSON");
            state.insert((entity.name().to_owned(), slot.id().to_string()), value);
        }
    }
    let (expected, data) = reduce(&messages, read);
    assert!(
        !expected.is_empty() && data > 0,
        "the reducer understands the recording"
    );
    assert_eq!(counters.data, data, "{counters:?}");
    assert_eq!(
        state.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (key, value) in &expected {
        assert_eq!(&state[key], value, "{key:?}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn each(values: &Value) -> impl Iterator<Item = &Value> {
    values.as_array().into_iter().flatten()
}

fn binance(name: &str, message: &Value) -> Vec<Told> {
    let stream = message["stream"].as_str().unwrap_or_default();
    let data = &message["data"];
    let (channel, number) = match stream.rsplit('@').next() {
        Some("bookTicker") => ("bookTicker", &data["u"]),
        Some("trade") => ("trade", &data["t"]),
        _ => return Vec::new(),
    };
    let entity = format!("{name}.{channel}");
    vec![(
        entity,
        text(&data["s"]),
        data.clone(),
        true,
        number.as_u64(),
    )]
}

#[test]
fn binance_spot() {
    let capture = "binance-spot-btcusdt-20240808";
    let unmapped = ["depth", "(no channel)"];
    check("binance-spot", capture, &unmapped, |m| {
        binance("binance-spot", m)
    });
}

#[test]
fn binance_usdm() {
    let read = |m: &Value| binance("binance-usdm", m);
    let capture = "binance-usdm-btcusdt-20240808-start";
    check("binance-usdm", capture, &["depth", "(no channel)"], read);
    let capture = "binance-usdm-btcusdt-20240808-burst";
    check("binance-usdm", capture, &["depth"], read);
}

#[test]
fn bybit_linear() {
    let unmapped = ["orderbook", "kline"];
    check("bybit-linear", "bybit-linear-v5-20260809", &unmapped, |m| {
        let topic = m["topic"].as_str().unwrap_or_default();
        let one = |data: &Value, entity: &str, id: &Value, whole| {
            (
                format!("bybit-linear.{entity}"),
                text(id),
                data.clone(),
                whole,
                None,
            )
        };
        if topic.starts_with("tickers.") {
            let whole = m["type"] == "snapshot";
            return vec![one(&m["data"], "tickers", &m["data"]["symbol"], whole)];
        }
        if topic.starts_with("publicTrade.") {
            let trades = each(&m["data"]);
            return trades
                .map(|t| one(t, "publicTrade", &t["s"], true))
                .collect();
        }
        Vec::new()
    });
}

#[test]
fn coinbase_exchange() {
    let unmapped = ["snapshot", "l2update"];
    let capture = "coinbase-exchange-20210417";
    check("coinbase-exchange", capture, &unmapped, |m| {
        let (channel, number) = match m["type"].as_str() {
            Some("ticker") => ("ticker", &m["sequence"]),
            Some("match" | "last_match") => ("match", &m["trade_id"]),
            _ => return Vec::new(),
        };
        let entity = format!("coinbase-exchange.{channel}");
        vec![(
            entity,
            text(&m["product_id"]),
            m.clone(),
            true,
            number.as_u64(),
        )]
    });
}

#[test]
fn coinbase_advanced() {
    let unmapped = ["candles", "l2_data"];
    let capture = "coinbase-advanced-20260809";
    check("coinbase-advanced", capture, &unmapped, |m| {
        let channel = m["channel"].as_str().unwrap_or_default();
        let list = match channel {
            "ticker" => "tickers",
            "market_trades" => "trades",
            _ => return Vec::new(),
        };
        let entity = format!("coinbase-advanced.{channel}");
        let items = each(&m["events"]).flat_map(|event| each(&event[list]));
        let told = items.map(|item| {
            let number = item["trade_id"]
                .as_str()
                .map(|n| n.parse().expect("a number"));
            (
                entity.clone(),
                text(&item["product_id"]),
                item.clone(),
                true,
                number,
            )
        });
        told.collect()
    });
}

#[test]
fn kraken_futures() {
    let unmapped = ["book_snapshot", "book"];
    let capture = "kraken-futures-20210722";
    check("kraken-futures", capture, &unmapped, |m| {
        if m.get("event").is_some() {
            return Vec::new();
        }
        let one = |channel: &str, item: &Value| {
            let entity = format!("kraken-futures.{channel}");
            let number = item["seq"].as_u64();
            (
                entity,
                text(&item["product_id"]),
                item.clone(),
                true,
                number,
            )
        };
        match m["feed"].as_str() {
            Some("ticker_lite") => vec![one("ticker_lite", m)],
            Some("trade") => vec![one("trade", m)],
            Some("trade_snapshot") => each(&m["trades"]).map(|t| one("trade", t)).collect(),
            _ => Vec::new(),
        }
    });
}

#[test]
fn kraken_v1() {
    check("kraken-v1", "kraken-v1-20210417", &["book-1000"], |m| {
        let Some([.., channel, pair]) = m.as_array().map(Vec::as_slice) else {
            return Vec::new();
        };
        let channel = text(channel);
        if channel != "ticker" && channel != "trade" {
            return Vec::new();
        }
        let entity = format!("kraken-v1.{channel}");
        vec![(entity, text(pair), m[1].clone(), true, None)]
    });
}

#[test]
fn okx() {
    check("okx", "okx-v5-20220513", &["books"], |m| {
        let channel = m["arg"]["channel"].as_str().unwrap_or_default();
        if m.get("event").is_some() || !["tickers", "trades"].contains(&channel) {
            return Vec::new();
        }
        let told = each(&m["data"]).map(|item| {
            let number = item["tradeId"]
                .as_str()
                .map(|n| n.parse().expect("a number"));
            let entity = format!("okx.{channel}");
            (entity, text(&item["instId"]), item.clone(), true, number)
        });
        told.collect()
    });
}

#[test]
fn deribit() {
    check("deribit", "deribit-v2-20210722", &["book"], |m| {
        let channel = m["params"]["channel"].as_str().unwrap_or_default();
        let Some(rest) = channel.strip_prefix("ticker.") else {
            return Vec::new();
        };
        let id = rest.trim_end_matches(".raw").to_owned();
        let data = m["params"]["data"].clone();
        vec![("deribit.ticker".to_owned(), id, data, true, None)]
    });
}
