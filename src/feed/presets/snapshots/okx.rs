//! OKX: `market/ticker`, which answers with what the channel sends.

use super::{Members, encoded, millis, single};
use crate::feed::snapshot::{Snapshot, SnapshotError, Taken};

/// The request for the present value of a stream.
pub(in crate::feed::presets) fn snapshot(channel: &str, symbol: &str) -> Option<Snapshot> {
    let path = format!("/api/v5/market/ticker?instId={}", encoded(symbol));
    (channel == "tickers").then(|| Snapshot::new("https://www.okx.com", path, take))
}

fn take(body: &[u8]) -> Result<Taken, SnapshotError> {
    let answer = Members::of(body)?;
    if answer.text("code")? != "0" {
        let says = answer.text("msg").unwrap_or_default();
        return Err(SnapshotError::Server(says.into_owned()));
    }
    let value = single(answer.get("data")?)?;
    let ticker = Members::within(value)?;
    // The stream is compared by the same time.
    Ok(Taken::new(value.get()).as_of(millis(ticker.find("ts"))))
}
