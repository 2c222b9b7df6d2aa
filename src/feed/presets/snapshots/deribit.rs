//! Deribit: `public/ticker`, which answers with what the channel `ticker` sends.

use super::{Members, encoded, millis};
use crate::feed::snapshot::{Snapshot, SnapshotError, Taken};

/// The request for the present value of a stream.
pub(in crate::feed::presets) fn snapshot(channel: &str, symbol: &str) -> Option<Snapshot> {
    let path = format!("/api/v2/public/ticker?instrument_name={}", encoded(symbol));
    (channel == "ticker").then(|| Snapshot::new("https://www.deribit.com", path, take))
}

fn take(body: &[u8]) -> Result<Taken, SnapshotError> {
    let answer = Members::of(body)?;
    if let Some(error) = answer.find("error") {
        let error = Members::within(error)?;
        let says = error.text("message").unwrap_or_default();
        return Err(SnapshotError::Server(says.into_owned()));
    }
    let value = answer.get("result")?;
    let ticker = Members::within(value)?;
    // The stream is compared by the same time.
    Ok(Taken::new(value.get()).as_of(millis(ticker.find("timestamp"))))
}
