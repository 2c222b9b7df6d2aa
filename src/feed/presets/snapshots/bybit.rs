//! Bybit spot: `market/tickers`, less what the stream does not send.

use super::{Members, encoded, number, single};
use crate::feed::snapshot::{Snapshot, SnapshotError, Taken};

/// What the stream of spot sends.
const MEMBERS: &[&str] = &[
    "symbol",
    "lastPrice",
    "highPrice24h",
    "lowPrice24h",
    "prevPrice24h",
    "volume24h",
    "turnover24h",
    "price24hPcnt",
    "usdIndexPrice",
];

/// The request for the present value of a stream of spot.
pub(in crate::feed::presets) fn spot(channel: &str, symbol: &str) -> Option<Snapshot> {
    let symbol = encoded(symbol);
    let path = format!("/v5/market/tickers?category=spot&symbol={symbol}");
    (channel == "tickers").then(|| Snapshot::new("https://api.bybit.com", path, take))
}

fn take(body: &[u8]) -> Result<Taken, SnapshotError> {
    let answer = Members::of(body)?;
    if number(answer.get("retCode")?) != Some(0) {
        let says = answer.text("retMsg").unwrap_or_default();
        return Err(SnapshotError::Server(says.into_owned()));
    }
    let result = Members::within(answer.get("result")?)?;
    let ticker = Members::within(single(result.get("list")?)?)?;
    Ok(Taken::new(ticker.only(MEMBERS)?))
}
