//! The feed that a command line asks for: a preset, or an envelope out of a file.

use std::path::Path;

use tickcache::cache::Feed;
use tickcache::feed::presets::{Events, Exchange, Venue};
use tickcache::feed::{Envelope, Protocol};
use tickcache::record::Mode;

use crate::Failure;
use crate::args::{Format, Merge, Missing, Preset, Stream};

/// What is done with a feed, whatever it speaks.
pub(crate) trait Visit {
    /// What comes of it.
    type Output;

    /// Does it.
    fn visit<P: Protocol + Clone>(self, feed: Feed<P>) -> Self::Output;
}

/// What a feed is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum For<'a> {
    /// A live server, which is asked for these streams, with the keys of the environment.
    Live(&'a [Stream]),
    /// A recording: nobody listens to what is asked.
    Replay,
}

/// Makes the feed of a format and has it visited. `None` if the format says nothing.
///
/// # Errors
/// If an envelope's file cannot be used, or a key is missing.
pub(crate) fn with<V: Visit>(
    format: &Format,
    what: For<'_>,
    visit: V,
) -> Option<Result<V::Output, Failure>> {
    if let Some(path) = &format.envelope {
        let made = envelope(path);
        return Some(made.map(|made| visit.visit(Feed::envelope(made))));
    }
    let feed = Visited { what, visit };
    Some(match format.preset? {
        Preset::Events => Ok(feed.visit.visit(events(format))),
        Preset::BinanceSpot => feed.exchange(Feed::binance_spot()),
        Preset::BinanceUsdm => feed.exchange(Feed::binance_usdm()),
        Preset::BinanceCoinm => feed.exchange(Feed::binance_coinm()),
        Preset::BybitLinear => feed.exchange(Feed::bybit_linear()),
        Preset::BybitInverse => feed.exchange(Feed::bybit_inverse()),
        Preset::BybitSpot => feed.exchange(Feed::bybit_spot()),
        Preset::CoinbaseExchange => feed.exchange(Feed::coinbase_exchange()),
        Preset::CoinbaseAdvanced => feed.exchange(Feed::coinbase_advanced()),
        Preset::KrakenV1 => feed.exchange(Feed::kraken_v1()),
        Preset::KrakenV2 => feed.exchange(Feed::kraken_v2()),
        Preset::KrakenFutures => feed.exchange(Feed::kraken_futures()),
        Preset::Okx => feed.exchange(Feed::okx()),
        Preset::Deribit => feed.exchange(Feed::deribit()),
        Preset::AlpacaStocks => {
            let keys = what.keys(["APCA_API_KEY_ID", "APCA_API_SECRET_KEY"]);
            keys.and_then(|[key, secret]| {
                let stocks = Feed::alpaca_stocks();
                feed.exchange(stocks.venue(|venue| venue.credentials(&key, &secret)))
            })
        }
        Preset::PolygonStocks => what.keys(["POLYGON_API_KEY"]).and_then(|[key]| {
            let stocks = Feed::polygon_stocks();
            feed.exchange(stocks.venue(|venue| venue.key(&key)))
        }),
    })
}

struct Visited<'a, V> {
    what: For<'a>,
    visit: V,
}

impl<V: Visit> Visited<'_, V> {
    fn exchange<X: Venue>(self, feed: Feed<Exchange<X>>) -> Result<V::Output, Failure> {
        let streams = match self.what {
            For::Live(streams) => streams,
            For::Replay => &[],
        };
        let feed = streams.iter().fold(feed, |feed, Stream { channel, ids }| {
            if ids.is_empty() {
                feed.stream(channel, [""])
            } else {
                feed.stream(channel, ids)
            }
        });
        Ok(self.visit.visit(feed))
    }
}

impl For<'_> {
    /// The values of these variables of the environment. The server of a recording takes any.
    fn keys<const N: usize>(self, names: [&'static str; N]) -> Result<[String; N], Failure> {
        let mut keys = names.map(str::to_owned);
        if matches!(self, Self::Replay) {
            return Ok(keys);
        }
        for key in &mut keys {
            let value = std::env::var(&*key).ok().filter(|value| !value.is_empty());
            *key = value.ok_or_else(|| format!("no key: set {key} in the environment"))?;
        }
        Ok(keys)
    }
}

/// Plain events. What is not given is as the preset has it: RFC 7396, and unknown ids are ignored.
fn events(format: &Format) -> Feed<Events> {
    let merge = match format.merge {
        None | Some(Merge::Rfc7396) => Mode::Merge,
        Some(Merge::Shallow) => Mode::Shallow,
    };
    let missing = match format.missing {
        None | Some(Missing::Ignore) => tickcache::feed::Missing::Ignore,
        Some(Missing::Insert) => tickcache::feed::Missing::Insert,
    };
    Feed::events().merge(merge).missing(missing)
}

/// An envelope out of its file.
fn envelope(path: &Path) -> Result<Envelope, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the envelope in {shown}: {error}; check the path"))?;
    let read = Envelope::from_toml(&text);
    Ok(read.map_err(|error| format!("cannot use the envelope in {shown}: {error}"))?)
}
