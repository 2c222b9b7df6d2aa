//! The feed of a preset, as the options of `replay` and `watch` make it.

use tickcache::cache::Feed;
use tickcache::feed::presets::Events;
use tickcache::record::Mode;

use crate::args::{Merge, Missing};

/// Plain events. What is not given is as the preset has it: RFC 7396, and unknown ids are ignored.
pub(crate) fn events(merge: Option<Merge>, missing: Option<Missing>) -> Feed<Events> {
    let merge = match merge {
        None | Some(Merge::Rfc7396) => Mode::Merge,
        Some(Merge::Shallow) => Mode::Shallow,
    };
    let missing = match missing {
        None | Some(Missing::Ignore) => tickcache::feed::Missing::Ignore,
        Some(Missing::Insert) => tickcache::feed::Missing::Insert,
    };
    Feed::events().merge(merge).missing(missing)
}
