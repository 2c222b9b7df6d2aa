//! Which entities have a watchdog of their own: names as users write them, and as the feed has them.

use std::time::Duration;

use super::attach_error::AttachError;
use crate::feed::{ConfigError, Covers, Protocol};

/// A channel or entity, and how long it may be quiet.
pub(super) type Watched = (Box<str>, Duration);

/// The entities that are meant: by their name, or by that of a channel of the feed.
pub(super) fn entities<P: Protocol>(
    protocol: &P,
    watched: &[Watched],
) -> Result<Vec<Watched>, AttachError> {
    let claims = protocol.claims();
    let is_open = claims.wildcard || claims.covers == Covers::Unowned;
    let listed: &[Box<str>] = match &claims.covers {
        Covers::Listed(names) => names,
        Covers::Nothing | Covers::Unowned => &[],
    };
    let is_known = |name: &str| {
        let mut known = claims.entities.iter().chain(listed);
        known.any(|known| **known == *name)
    };
    let resolve = |(name, after): &Watched| {
        if after.is_zero() {
            return Err(ConfigError::Zero("entity_silent_after").into());
        }
        let channel = format!("{}.{name}", protocol.name());
        let entity: Box<str> = if is_known(name) {
            name.clone()
        } else if is_known(&channel) {
            channel.into()
        } else if is_open {
            name.clone()
        } else {
            return Err(AttachError::Unwatchable(name.clone()));
        };
        Ok((entity, *after))
    };
    watched.iter().map(resolve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Feed;

    #[track_caller]
    fn check<P: Protocol>(feed: &Feed<P>, expected: Result<&str, &str>) {
        let found = entities(&feed.protocol, &feed.watched);
        let found = found.map(|found| found[0].0.to_string());
        let expected = expected.map(ToOwned::to_owned).map_err(ToOwned::to_owned);
        assert_eq!(found.map_err(|error| error.to_string()), expected);
    }

    #[test]
    fn a_channel_or_an_entity_is_meant() {
        let second = Duration::from_secs(1);
        let spot = || Feed::binance_spot().named("spot");
        check(
            &spot().entity_silent_after("bookTicker", second),
            Ok("spot.bookTicker"),
        );
        check(
            &spot().entity_silent_after("spot.trade", second),
            Ok("spot.trade"),
        );
        check(
            &spot().entity_silent_after("tickers", second),
            Err("`entity_silent_after` names `tickers`, which this feed does not write"),
        );
        check(
            &spot().entity_silent_after("trade", Duration::ZERO),
            Err("a setting cannot work: entity_silent_after must be more than zero"),
        );
        // A wildcard feed may write anything.
        check(
            &Feed::events().entity_silent_after("jobs", second),
            Ok("jobs"),
        );
    }
}
