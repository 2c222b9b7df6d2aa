//! Binance: `ticker/bookTicker` and `ticker/24hr`, whose members are those of the streams by their
//! long names.

use super::super::binance::BinanceMarket as Market;
use super::{Members, encoded, number, object, single};
use crate::feed::snapshot::{Snapshot, SnapshotError, TakeValue, Taken};
use serde_json::value::RawValue;

/// Long name, name in the stream.
type Names = &'static [(&'static str, &'static str)];

const BEST: Names = &[
    ("symbol", "s"),
    ("bidPrice", "b"),
    ("bidQty", "B"),
    ("askPrice", "a"),
    ("askQty", "A"),
];

const DAY: Names = &[
    ("symbol", "s"),
    ("priceChange", "p"),
    ("priceChangePercent", "P"),
    ("weightedAvgPrice", "w"),
    ("lastPrice", "c"),
    ("lastQty", "Q"),
    ("openPrice", "o"),
    ("highPrice", "h"),
    ("lowPrice", "l"),
    ("volume", "v"),
    ("openTime", "O"),
    ("closeTime", "C"),
    ("firstId", "F"),
    ("lastId", "L"),
    ("count", "n"),
];

const SPOT_DAY: Names = &[
    ("prevClosePrice", "x"),
    ("bidPrice", "b"),
    ("bidQty", "B"),
    ("askPrice", "a"),
    ("askQty", "A"),
];

const MINI: Names = &[
    ("symbol", "s"),
    ("lastPrice", "c"),
    ("openPrice", "o"),
    ("highPrice", "h"),
    ("lowPrice", "l"),
    ("volume", "v"),
];

/// Of all but COIN-M, where volumes are of contracts and of the coin.
const QUOTE: (&str, &str) = ("quoteVolume", "q");
const BASE: (&str, &str) = ("baseVolume", "q");
const PAIR: (&str, &str) = ("pair", "ps");

fn host(market: Market) -> (&'static str, &'static str) {
    match market {
        Market::Spot => ("https://api.binance.com", "/api/v3"),
        Market::Usdm => ("https://fapi.binance.com", "/fapi/v1"),
        Market::Coinm => ("https://dapi.binance.com", "/dapi/v1"),
    }
}

/// The object of one symbol: COIN-M answers with a list of it.
fn one(market: Market, body: &[u8]) -> Result<Members<'_>, SnapshotError> {
    if market != Market::Coinm {
        return Members::of(body);
    }
    let list: &RawValue =
        serde_json::from_slice(body).map_err(|error| SnapshotError::Shape(error.to_string()))?;
    Members::within(single(list)?)
}

/// The request for the present value of a stream.
pub(in crate::feed::presets) fn snapshot(
    market: Market,
    channel: &str,
    symbol: &str,
) -> Option<Snapshot> {
    use Market::{Coinm, Spot, Usdm};
    let (what, take): (_, TakeValue) = match (channel, market) {
        ("bookTicker", Spot) => ("bookTicker", |body| best(Spot, body)),
        ("bookTicker", Usdm) => ("bookTicker", |body| best(Usdm, body)),
        ("bookTicker", Coinm) => ("bookTicker", |body| best(Coinm, body)),
        ("ticker", Spot) => ("24hr", |body| day(Spot, body)),
        ("ticker", Usdm) => ("24hr", |body| day(Usdm, body)),
        ("ticker", Coinm) => ("24hr", |body| day(Coinm, body)),
        ("miniTicker", Spot) => ("24hr", |body| mini(Spot, body)),
        ("miniTicker", Usdm) => ("24hr", |body| mini(Usdm, body)),
        ("miniTicker", Coinm) => ("24hr", |body| mini(Coinm, body)),
        _ => return None,
    };
    let (host, root) = host(market);
    let path = format!("{root}/ticker/{what}?symbol={}", encoded(symbol));
    Some(Snapshot::new(host, path, take))
}

fn best(market: Market, body: &[u8]) -> Result<Taken, SnapshotError> {
    let answer = one(market, body)?;
    let id = answer.find("lastUpdateId");
    let mut value = Vec::new();
    if market != Market::Spot {
        value.push(("e", r#""bookTicker""#));
    }
    if let Some(id) = id {
        value.push(("u", id.get()));
    }
    rename(&answer, BEST, &mut value)?;
    if market == Market::Coinm {
        rename(&answer, &[PAIR], &mut value)?;
    }
    if market != Market::Spot {
        rename(&answer, &[("time", "T")], &mut value)?;
    }
    Ok(Taken::new(object(value.into_iter())).as_of(id.and_then(number)))
}

fn day(market: Market, body: &[u8]) -> Result<Taken, SnapshotError> {
    let answer = one(market, body)?;
    let mut value = vec![("e", r#""24hrTicker""#)];
    rename(&answer, DAY, &mut value)?;
    match market {
        Market::Spot => {
            rename(&answer, SPOT_DAY, &mut value)?;
            rename(&answer, &[QUOTE], &mut value)?;
        }
        Market::Usdm => rename(&answer, &[QUOTE], &mut value)?,
        Market::Coinm => rename(&answer, &[BASE, PAIR], &mut value)?,
    }
    Ok(Taken::new(object(value.into_iter())))
}

fn mini(market: Market, body: &[u8]) -> Result<Taken, SnapshotError> {
    let answer = one(market, body)?;
    let mut value = vec![("e", r#""24hrMiniTicker""#)];
    rename(&answer, MINI, &mut value)?;
    match market {
        Market::Coinm => rename(&answer, &[BASE, PAIR], &mut value)?,
        _ => rename(&answer, &[QUOTE], &mut value)?,
    }
    Ok(Taken::new(object(value.into_iter())))
}

fn rename<'a>(
    answer: &Members<'a>,
    names: &[(&'static str, &'static str)],
    into: &mut Vec<(&'a str, &'a str)>,
) -> Result<(), SnapshotError> {
    for (long, short) in names {
        into.push((short, answer.get(long)?.get()));
    }
    Ok(())
}
