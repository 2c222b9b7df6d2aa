//! Alpaca stocks: the latest quote and trade, which lack the kind and the symbol that every message
//! of the stream has; the answer has the symbol beside.

use super::{Members, encoded, object};
use crate::feed::reading::rfc3339;
use crate::feed::snapshot::{Snapshot, SnapshotError, TakeValue, Taken};

/// The request for the present value of a stream, on this feed (`iex`, `sip`), with these
/// credentials.
pub(in crate::feed::presets) fn snapshot(
    channel: &str,
    symbol: &str,
    feed: &str,
    (key, secret): (&str, &str),
) -> Option<Snapshot> {
    let (what, take): (_, TakeValue) = match channel {
        "quotes" => ("quotes", |body| latest(body, "quote", r#""q""#)),
        "trades" => ("trades", |body| latest(body, "trade", r#""t""#)),
        _ => return None,
    };
    let (symbol, feed) = (encoded(symbol), encoded(feed));
    let path = format!("/v2/stocks/{symbol}/{what}/latest?feed={feed}");
    let snapshot = Snapshot::new("https://data.alpaca.markets", path, take)
        .header("APCA-API-KEY-ID", key)
        .header("APCA-API-SECRET-KEY", secret);
    Some(snapshot)
}

fn latest(body: &[u8], what: &str, kind: &str) -> Result<Taken, SnapshotError> {
    let answer = Members::of(body)?;
    let symbol = answer.get("symbol")?;
    let latest = Members::within(answer.get(what)?)?;
    let head = [("T", kind), ("S", symbol.get())];
    let rest = latest.0.iter().map(|(name, value)| (&**name, value.get()));
    let value = object(head.into_iter().chain(rest));
    // The stream is compared by the same time.
    let as_of = rfc3339(&latest.text("t")?);
    Ok(Taken::new(value).as_of(as_of))
}
