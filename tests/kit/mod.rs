//! What the integration tests share: a venue that can say everything, and a bound on waiting.

#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::time::Duration;

use tickcache::feed::{Envelope, EnvelopeBuilder, MessageKind, Missing, Protocol};
use tickcache::{Cache, Feed, LocalFeed};

/// Longer than anything takes: reached only by what would never have come.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The entities of [`venue`].
pub(crate) const BOOK: &str = "venue.book";
pub(crate) const TRADE: &str = "venue.trade";

/// A venue whose messages say what they do: `{"k":"whole","e":"book","i":1,"v":{..}}`, with `k` one
/// of `whole`, `patch`, `remove`, `drop` (an invalidation) and `beat`.
pub(crate) fn envelope() -> EnvelopeBuilder {
    Envelope::builder("venue")
        .entity("/e")
        .prefix("venue.")
        .entities(["book", "trade"])
        .id("/i")
        .payload("/v")
        .kind("/k")
        .word("whole", MessageKind::Whole)
        .word("patch", MessageKind::Patch)
        .word("remove", MessageKind::Remove)
        .word("drop", MessageKind::Invalidate)
        .word("beat", MessageKind::Control)
}

pub(crate) fn venue() -> Feed<Envelope> {
    Feed::envelope(envelope().build().expect("the pointers are right"))
}

/// As [`venue`], where patches may make a value.
pub(crate) fn inserting() -> Feed<Envelope> {
    Feed::envelope(
        envelope()
            .missing(Missing::Insert)
            .build()
            .expect("the pointers are right"),
    )
}

/// A message about an id of [`BOOK`]; `id` and `value` are JSON.
pub(crate) fn says(kind: &str, id: &str, value: &str) -> String {
    format!(r#"{{"k":"{kind}","e":"book","i":{id},"v":{value}}}"#)
}

pub(crate) fn whole(id: &str, value: &str) -> String {
    says("whole", id, value)
}

pub(crate) fn patch(id: &str, value: &str) -> String {
    says("patch", id, value)
}

pub(crate) fn remove(id: &str) -> String {
    format!(r#"{{"k":"remove","e":"book","i":{id}}}"#)
}

/// A cache with default settings and an open feed, driven by the test.
pub(crate) fn open<P: Protocol>(feed: Feed<P>) -> (Cache, LocalFeed<P>) {
    let cache = Cache::builder().build().expect("a cache");
    let mut feed = cache.local(feed).expect("nothing else is attached");
    feed.open();
    (cache, feed)
}

/// Has a feed take a message.
#[track_caller]
pub(crate) fn say<P: Protocol>(feed: &mut LocalFeed<P>, text: impl AsRef<str>) {
    let text = text.as_ref();
    feed.message(&mut text.as_bytes().to_vec())
        .unwrap_or_else(|refusal| panic!("{text} is refused: {refusal}"));
}
