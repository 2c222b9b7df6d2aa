//! The feed that a command line asks for: a preset, or an envelope out of a file.

use tickcache::cache::Feed;
use tickcache::feed::Protocol;
use tickcache::feed::presets::Events;
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

/// Makes the feed of a format, with these streams wanted from the start, and has it visited. `None`
/// if the format says nothing.
pub(crate) fn with<V: Visit>(
    format: &Format,
    streams: &[Stream],
    visit: V,
) -> Option<Result<V::Output, Failure>> {
    let preset = format.preset?;
    Some(Ok(match preset {
        Preset::Events => visit.visit(events(format)),
        Preset::BinanceSpot => visit.visit(Feed::binance_spot()),
    }))
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
