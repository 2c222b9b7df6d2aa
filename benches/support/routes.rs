//! What the messages of each venue hold, as somebody who needs only that would dig it out of a
//! `serde_json::Value`: the same values that the presets map.

use serde_json::Value;

/// Entity, id, value, and whether it is whole.
pub(crate) type Routed = (String, String, Value, bool);

/// The values in a message; none in one that the presets do not map.
pub(crate) fn values(venue: &str, message: Value) -> Vec<Routed> {
    let family = venue.split('-').next().unwrap_or_default();
    let routed = match (family, venue) {
        ("binance", _) => binance(message),
        ("bybit", _) => bybit(message),
        (_, "coinbase-exchange") => by_kind(message, "type", &["ticker", "match", "last_match"]),
        (_, "coinbase-advanced") => coinbase_advanced(message),
        (_, "kraken-v1") => kraken_v1(message),
        (_, "kraken-v2") => listed(message, "/channel", "symbol", &["ticker", "trade"]),
        (_, "kraken-futures") => kraken_futures(message),
        ("okx", _) => listed(message, "/arg/channel", "instId", OKX),
        ("deribit", _) => deribit(message),
        ("alpaca", _) => events(message, "T", "S", &["t", "q", "b", "d", "u", "s", "l"]),
        ("polygon", _) => events(message, "ev", "sym", &["Q", "T", "A", "AM"]),
        _ => None,
    };
    routed.unwrap_or_default()
}

const OKX: &[&str] = &[
    "tickers",
    "trades",
    "mark-price",
    "funding-rate",
    "index-tickers",
    "open-interest",
];

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(str::to_owned)
}

fn whole(entity: &str, id: &str, value: Value) -> Option<Routed> {
    let id = value[id].as_str()?.to_owned();
    Some((entity.to_owned(), id, value, true))
}

fn all(entity: &str, id: &str, list: Value) -> Option<Vec<Routed>> {
    match list {
        Value::Array(list) => list
            .into_iter()
            .map(|value| whole(entity, id, value))
            .collect(),
        value => Some(vec![whole(entity, id, value)?]),
    }
}

fn binance(mut message: Value) -> Option<Vec<Routed>> {
    let stream = text(&message, "/stream")?;
    let (before, after) = stream.split_once('@').unwrap_or((&stream, ""));
    let channel = before.strip_prefix('!').unwrap_or(after);
    if channel.starts_with("depth") {
        return None;
    }
    let id = if channel.starts_with("forceOrder") {
        "ps"
    } else {
        "s"
    };
    all(channel, id, message["data"].take())
}

fn bybit(mut message: Value) -> Option<Vec<Routed>> {
    let topic = text(&message, "/topic")?;
    match topic.split('.').next()? {
        "tickers" => {
            let whole = message["type"] == "snapshot";
            let data = message["data"].take();
            let id = data["symbol"].as_str()?.to_owned();
            Some(vec![("tickers".to_owned(), id, data, whole)])
        }
        channel @ ("publicTrade" | "allLiquidation") => all(channel, "s", message["data"].take()),
        _ => None,
    }
}

/// The message is the value.
fn by_kind(message: Value, kind: &str, entities: &[&str]) -> Option<Vec<Routed>> {
    let entity = message[kind].as_str()?.to_owned();
    let known = entities.contains(&entity.as_str());
    known.then(|| whole(&entity, "product_id", message).into_iter().collect())
}

/// A list in `data`, of a channel.
fn listed(mut message: Value, channel: &str, id: &str, entities: &[&str]) -> Option<Vec<Routed>> {
    let entity = text(&message, channel)?;
    if !entities.contains(&entity.as_str()) || message["event"].is_string() {
        return None;
    }
    all(&entity, id, message["data"].take())
}

fn coinbase_advanced(mut message: Value) -> Option<Vec<Routed>> {
    let entity = text(&message, "/channel")?;
    let list = match entity.as_str() {
        "ticker" | "ticker_batch" => "tickers",
        "market_trades" => "trades",
        _ => return None,
    };
    let events = message["events"].as_array_mut()?;
    let lists = events.iter_mut().map(|event| event[list].take());
    let routed: Option<Vec<_>> = lists.map(|list| all(&entity, "product_id", list)).collect();
    Some(routed?.into_iter().flatten().collect())
}

fn kraken_v1(mut message: Value) -> Option<Vec<Routed>> {
    let parts = message.as_array_mut()?;
    let [_, value, .., channel, pair] = &mut parts[..] else {
        return None;
    };
    let entity = channel.as_str()?.split('-').next()?;
    let known = ["ticker", "trade", "spread"].contains(&entity);
    known.then(|| {
        let id = pair.as_str().unwrap_or_default().to_owned();
        vec![(entity.to_owned(), id, value.take(), true)]
    })
}

fn kraken_futures(mut message: Value) -> Option<Vec<Routed>> {
    match message["feed"].as_str()? {
        "trade_snapshot" => all("trade", "product_id", message["trades"].take()),
        _ => by_kind(message, "feed", &["ticker", "ticker_lite", "trade"]),
    }
}

fn deribit(mut message: Value) -> Option<Vec<Routed>> {
    let channel = text(&message, "/params/channel")?;
    let entity = channel.split('.').next()?;
    let known = ["ticker", "quote", "incremental_ticker", "trades"].contains(&entity);
    let data = message["params"]["data"].take();
    if known {
        all(entity, "instrument_name", data)
    } else {
        None
    }
}

/// A list of values, each with its kind.
fn events(message: Value, kind: &str, id: &str, entities: &[&str]) -> Option<Vec<Routed>> {
    let Value::Array(list) = message else {
        return None;
    };
    let routed = list.into_iter().filter_map(|value| {
        let entity = value[kind].as_str()?.to_owned();
        let known = entities.contains(&entity.as_str());
        if known {
            whole(&entity, id, value)
        } else {
            None
        }
    });
    Some(routed.collect())
}
