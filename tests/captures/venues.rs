//! What the messages of each venue mean, from the venues' documentation. Each function gives `None`
//! for a message that is none of its venue's.

use super::reference::{Change, Order, Said, Step, at, items, items_at, number, text};
use super::tree::Tree;

/// What one message says.
pub(crate) type Read = fn(&Tree) -> Option<Said>;

fn whole(entity: &'static str, id: String, value: &Tree, order: Order) -> Step {
    Step {
        entity,
        id,
        change: Change::Whole(value.clone()),
        order,
    }
}

/// Whole values, each with an id and a number of its own.
fn each(values: Vec<Tree>, step: impl Fn(&Tree) -> Option<Step>) -> Option<Said> {
    let steps = values.iter().map(step).collect::<Option<Vec<_>>>()?;
    Some(if steps.is_empty() {
        Said::Other
    } else {
        Said::Data(steps)
    })
}

/// One of these names, as one that lives for ever.
fn among(names: &'static [&'static str], word: &str) -> Option<&'static str> {
    names.iter().copied().find(|name| *name == word)
}

pub(crate) fn binance_spot(message: &Tree) -> Option<Said> {
    let mapped = &[
        "bookTicker",
        "trade",
        "aggTrade",
        "ticker",
        "miniTicker",
        "avgPrice",
        "ticker_1h",
        "ticker_4h",
        "ticker_1d",
    ];
    binance(message, mapped)
}

pub(crate) fn binance_futures(message: &Tree) -> Option<Said> {
    let mapped = &[
        "bookTicker",
        "trade",
        "aggTrade",
        "ticker",
        "miniTicker",
        "markPrice",
        "indexPrice",
        "forceOrder",
    ];
    binance(message, mapped)
}

/// Binance: combined streams name their channel behind the symbol, raw ones by the event in `e`.
fn binance(message: &Tree, mapped: &'static [&'static str]) -> Option<Said> {
    if let Some(stream) = text(message, "stream") {
        if stream == "!serverShutdown" {
            return Some(Said::Other);
        }
        let word = stream.trim_start_matches('!');
        let word = word.split_once('@').map_or(word, |(before, after)| {
            if stream.starts_with('!') {
                before
            } else {
                after
            }
        });
        let word = word.split('@').next()?;
        return binance_data(word, at(message, "data")?, mapped);
    }
    if let Some(event) = text(message, "e") {
        let word = match event.as_str() {
            "24hrTicker" => "ticker",
            "24hrMiniTicker" => "miniTicker",
            "1hTicker" => "ticker_1h",
            "4hTicker" => "ticker_4h",
            "1dTicker" => "ticker_1d",
            "markPriceUpdate" => "markPrice",
            "indexPriceUpdate" => "indexPrice",
            "serverShutdown" => return Some(Said::Other),
            other => other,
        };
        return binance_data(word, message, mapped);
    }
    if at(message, "u").is_some() && at(message, "A").is_some() {
        return binance_data("bookTicker", message, mapped);
    }
    let answer = ["result", "error", "code"]
        .iter()
        .any(|name| at(message, name).is_some());
    if answer {
        return Some(Said::Other);
    }
    // A snapshot of a book, fetched and put between.
    at(message, "lastUpdateId").map(|_| Said::Unmapped)
}

fn binance_data(word: &str, data: &Tree, mapped: &'static [&'static str]) -> Option<Said> {
    let Some(entity) = among(mapped, word) else {
        return Some(Said::Unmapped);
    };
    let values = items(data).unwrap_or_else(|| vec![data.clone()]);
    each(values, |value| {
        let order = match entity {
            "bookTicker" => Order::Highest(number(value, "u")?),
            "trade" => Order::Highest(number(value, "t")?),
            "aggTrade" => Order::Highest(number(value, "a")?),
            _ => Order::NotLower(number(value, "E")?),
        };
        let symbol = match entity {
            "forceOrder" => "o/s",
            "indexPrice" => "i",
            _ => "s",
        };
        Some(whole(entity, text(value, symbol)?, value, order))
    })
}

/// Bybit: `data` of a `delta` holds what has changed.
pub(crate) fn bybit(message: &Tree) -> Option<Said> {
    let Some(topic) = text(message, "topic") else {
        let answer = at(message, "op").is_some() || at(message, "success").is_some();
        return answer.then_some(Said::Other);
    };
    match topic.split('.').next()? {
        "tickers" => {
            let data = at(message, "data")?;
            let change = match text(message, "type")?.as_str() {
                "snapshot" => Change::Whole(data.clone()),
                "delta" => Change::Patch(data.clone()),
                _ => return None,
            };
            let order = number(message, "cs").map_or(Order::Arrival, Order::NotLower);
            Some(Said::Data(vec![Step {
                entity: "tickers",
                id: text(data, "symbol")?,
                change,
                order,
            }]))
        }
        "publicTrade" => each(items_at(message, "data")?, |trade| {
            let order = Order::NotLower(number(trade, "seq")?);
            Some(whole("publicTrade", text(trade, "s")?, trade, order))
        }),
        "allLiquidation" => each(items_at(message, "data")?, |order| {
            Some(whole(
                "allLiquidation",
                text(order, "s")?,
                order,
                Order::Arrival,
            ))
        }),
        _ => Some(Said::Unmapped),
    }
}

/// Coinbase Exchange: the message is the value.
pub(crate) fn coinbase_exchange(message: &Tree) -> Option<Said> {
    let kind = text(message, "type")?;
    let (entity, order) = match kind.as_str() {
        "ticker" => ("ticker", Order::NotLower(number(message, "sequence")?)),
        "match" | "last_match" => ("match", Order::Highest(number(message, "trade_id")?)),
        "subscriptions" | "heartbeat" | "error" => return Some(Said::Other),
        _ => return Some(Said::Unmapped),
    };
    let id = text(message, "product_id")?;
    Some(Said::Data(vec![whole(entity, id, message, order)]))
}

/// Coinbase Advanced Trade: several events with several values each; trades newest first.
pub(crate) fn coinbase_advanced(message: &Tree) -> Option<Said> {
    let channel = text(message, "channel");
    let Some(channel) = channel else {
        return at(message, "type").map(|_| Said::Other);
    };
    let (entity, list) = match channel.as_str() {
        "ticker" => ("ticker", "tickers"),
        "ticker_batch" => ("ticker_batch", "tickers"),
        "market_trades" => ("market_trades", "trades"),
        "subscriptions" | "heartbeats" => return Some(Said::Other),
        _ => return Some(Said::Unmapped),
    };
    let mut values = Vec::new();
    for event in items_at(message, "events")? {
        values.extend(items_at(&event, list)?);
    }
    each(values, |value| {
        let order = match list {
            "trades" => Order::Highest(number(value, "trade_id")?),
            _ => Order::Arrival,
        };
        Some(whole(entity, text(value, "product_id")?, value, order))
    })
}

/// Kraken, version 1: arrays `[channel number, value, .., channel, pair]`.
pub(crate) fn kraken_v1(message: &Tree) -> Option<Said> {
    let Some(parts) = items(message) else {
        return at(message, "event").map(|_| Said::Other);
    };
    let [.., channel, pair] = &parts[..] else {
        return None;
    };
    let channel = channel.text()?;
    let Some(entity) = among(&["ticker", "trade", "spread"], channel.split('-').next()?) else {
        return Some(Said::Unmapped);
    };
    let step = whole(entity, pair.text()?, parts.get(1)?, Order::Arrival);
    Some(Said::Data(vec![step]))
}

/// Kraken, version 2.
pub(crate) fn kraken_v2(message: &Tree) -> Option<Said> {
    let Some(channel) = text(message, "channel") else {
        let answer = at(message, "method").is_some() || at(message, "error").is_some();
        return answer.then_some(Said::Other);
    };
    match channel.as_str() {
        "ticker" => each(items_at(message, "data")?, |value| {
            Some(whole(
                "ticker",
                text(value, "symbol")?,
                value,
                Order::Arrival,
            ))
        }),
        "trade" => each(items_at(message, "data")?, |value| {
            let order = Order::Highest(number(value, "trade_id")?);
            Some(whole("trade", text(value, "symbol")?, value, order))
        }),
        "heartbeat" | "status" => Some(Said::Other),
        _ => Some(Said::Unmapped),
    }
}

/// Kraken Futures: the message is the value, or holds a list of such.
pub(crate) fn kraken_futures(message: &Tree) -> Option<Said> {
    if at(message, "event").is_some() {
        return Some(Said::Other);
    }
    let trade = |trade: &Tree| {
        let order = Order::Highest(number(trade, "seq")?);
        Some(whole("trade", text(trade, "product_id")?, trade, order))
    };
    match text(message, "feed")?.as_str() {
        "trade" => each(vec![message.clone()], trade),
        "trade_snapshot" => each(items_at(message, "trades")?, trade),
        "heartbeat" => Some(Said::Other),
        feed => match among(&["ticker", "ticker_lite"], feed) {
            Some(entity) => each(vec![message.clone()], |value| {
                Some(whole(
                    entity,
                    text(value, "product_id")?,
                    value,
                    Order::Arrival,
                ))
            }),
            None => Some(Said::Unmapped),
        },
    }
}

/// OKX: `arg` names the channel, `data` is a list.
pub(crate) fn okx(message: &Tree) -> Option<Said> {
    if at(message, "event").is_some() {
        return Some(Said::Other);
    }
    let mapped = &[
        "tickers",
        "trades",
        "mark-price",
        "funding-rate",
        "index-tickers",
        "open-interest",
    ];
    let Some(entity) = among(mapped, &text(message, "arg/channel")?) else {
        return Some(Said::Unmapped);
    };
    each(items_at(message, "data")?, |value| {
        let order = match entity {
            "trades" => Order::Highest(number(value, "tradeId")?),
            _ => Order::NotLower(number(value, "ts")?),
        };
        Some(whole(entity, text(value, "instId")?, value, order))
    })
}

/// Deribit: notifications of JSON-RPC; the channel's first part is the entity.
pub(crate) fn deribit(message: &Tree) -> Option<Said> {
    at(message, "jsonrpc")?;
    let Some(channel) = text(message, "params/channel") else {
        return Some(Said::Other);
    };
    let data = at(message, "params/data")?;
    let mut parts = channel.split('.');
    let word = parts.next()?;
    match word {
        "ticker" | "quote" => {
            let entity = among(&["ticker", "quote"], word)?;
            let order = Order::NotLower(number(data, "timestamp")?);
            let id = text(data, "instrument_name")?;
            Some(Said::Data(vec![whole(entity, id, data, order)]))
        }
        "incremental_ticker" => {
            let change = match text(data, "type").as_deref() {
                Some("snapshot") => Change::Whole(data.clone()),
                _ => Change::Overlay(data.clone()),
            };
            Some(Said::Data(vec![Step {
                entity: "incremental_ticker",
                id: text(data, "instrument_name")?,
                change,
                order: Order::NotLower(number(data, "timestamp")?),
            }]))
        }
        "trades" => each(items(data)?, |trade| {
            let order = Order::Highest(number(trade, "trade_seq")?);
            Some(whole(
                "trades",
                text(trade, "instrument_name")?,
                trade,
                order,
            ))
        }),
        _ => Some(Said::Unmapped),
    }
}

/// Lists of events, each with its kind in a member.
fn events(
    message: &Tree,
    kind: &str,
    control: &[&str],
    entities: &[(&str, &'static str)],
    id: &str,
) -> Option<Said> {
    let (mut steps, mut unmapped) = (Vec::new(), false);
    for event in items(message)? {
        let word = text(&event, kind)?;
        if control.contains(&word.as_str()) {
            continue;
        }
        match entities.iter().find(|(known, _)| *known == word) {
            Some((_, entity)) => {
                steps.push(whole(entity, text(&event, id)?, &event, Order::Arrival));
            }
            None => unmapped = true,
        }
    }
    Some(match (steps.is_empty(), unmapped) {
        (false, _) => Said::Data(steps),
        (true, true) => Said::Unmapped,
        (true, false) => Said::Other,
    })
}

/// Alpaca: one letter for the kind.
pub(crate) fn alpaca(message: &Tree) -> Option<Said> {
    let control = ["success", "error", "subscription"];
    let mapped = [
        ("t", "trades"),
        ("q", "quotes"),
        ("b", "bars"),
        ("d", "dailyBars"),
        ("u", "updatedBars"),
        ("s", "statuses"),
        ("l", "lulds"),
    ];
    events(message, "T", &control, &mapped, "S")
}

/// Polygon: channels have one letter or two.
pub(crate) fn polygon(message: &Tree) -> Option<Said> {
    let mapped = [("Q", "Q"), ("T", "T"), ("A", "A"), ("AM", "AM")];
    events(message, "ev", &["status"], &mapped, "sym")
}
