//! What a feed counts, and the two ledgers that balance at any quiet moment.
//!
//! * `messages = data + invalidation + control + unmapped + refused`
//! * `patches = applied + unchanged + missing + older + duplicate + foreign + forwarded + held + refused`
//!
//! What is `forwarded` is one of the slow plane's `patches` as well, with an outcome there.
//!
//! Every number is written by the feed's thread alone (`conflated` and `queue_refused` excepted),
//! those of the slow plane by whoever has its lock; so counting is a relaxed load and a relaxed store, and reading disturbs nobody. Numbers that
//! are read while the feed works may be one message apart.

use std::fmt;

mod histogram;
mod latency;

pub use histogram::Latency;
pub use latency::Latencies;
#[cfg(feature = "net")]
pub(crate) use latency::Sampler;
pub(crate) use latency::Since;
pub(crate) use latency::{LatencyCounters, Waiter};

use super::protocol::Refusal;
use crate::sync::{AtomicU64, Ordering};
use std::sync::OnceLock;

/// Unmapped channels that are counted by name; the messages of all others are counted together.
pub const NAMED_CHANNELS: usize = 32;

/// Longest channel name that is kept, in bytes; longer ones are counted with the others.
const MAX_CHANNEL_NAME: usize = 64;

/// A number with one writer. Nothing is published by it, so no order is needed.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds; only ever called by the one writer.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }

    /// Adds one; only ever called by the one writer.
    #[inline]
    pub(crate) fn bump(&self) {
        self.add(1);
    }

    /// Replaces the number: a gauge.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number with many writers, on paths that are not hot.
#[derive(Default)]
pub(crate) struct SharedCounter(AtomicU64);

impl SharedCounter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Channel {
    name: OnceLock<Box<str>>,
    count: Counter,
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ident,)+) => {
        /// The numbers of one feed, shared by its thread (which writes) and everyone else.
        #[derive(Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub(crate) $name: $kind,)+
            refused_by: [Counter; Refusal::ALL.len()],
            channels: [Channel; NAMED_CHANNELS],
            other_channels: Counter,
            /// Made by a feed that measures.
            latency: OnceLock<Box<LatencyCounters>>,
        }

        /// The numbers of one feed at one moment.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct CounterValues {
            $($(#[doc = $doc])+ pub $name: u64,)+
            /// Refused messages by reason, those that occurred.
            pub refused_by: Vec<(Refusal, u64)>,
            /// Unmapped messages by channel, in the order of first appearance; beyond
            /// [`NAMED_CHANNELS`] channels the rest is under `(other)`.
            pub unmapped_by: Vec<(Box<str>, u64)>,
        }

        impl Counters {
            /// Reads every number. Wait-free; allocates.
            #[must_use]
            pub fn snapshot(&self) -> CounterValues {
                CounterValues {
                    $($name: self.$name.get(),)+
                    refused_by: self.read_refused(),
                    unmapped_by: self.read_unmapped(),
                }
            }
        }

        impl CounterValues {
            /// Every plain number with its name, in a fixed order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Messages: text and binary, whole; control frames are not messages.
    messages: Counter,
    /// Messages with at least one patch or removal.
    data: Counter,
    /// Messages with invalidations only.
    invalidation: Counter,
    /// Messages for the feed itself: acknowledgements, heartbeats, notices.
    control: Counter,
    /// Messages of channels that the protocol does not map.
    unmapped: Counter,
    /// Messages refused, by `refused_by`.
    refused: Counter,
    /// Patches and removals of the messages that were not refused.
    patches: Counter,
    /// Patches that became a publication.
    applied: Counter,
    /// Patches that changed neither value nor freshness.
    unchanged: Counter,
    /// Patches ignored because there was no value.
    missing: Counter,
    /// Patches overtaken by what is held.
    older: Counter,
    /// Patches with the number of what is held.
    duplicate: Counter,
    /// Patches for an entity of another feed.
    foreign: Counter,
    /// Patches handed to the slow plane, which owns the entity and counts what becomes of them.
    forwarded: Counter,
    /// Patches kept back: for a value that is being fetched and has none yet, because they came over
    /// a connection that is not the one that is shown, or behind a long message that never was
    /// through.
    held: Counter,
    /// Patches refused one by one: ids or bytes beyond the configured bounds.
    patches_refused: Counter,
    /// Holes in the source's numbering.
    gaps: Counter,
    /// Subscriptions that the server has refused or ended.
    subscriptions_denied: Counter,
    /// Subscriptions that the server has granted and brought nothing for in `first_data_within`.
    subscriptions_silent: Counter,
    /// Times that an entity fell silent by itself.
    entity_silences: Counter,
    /// Connections opened, the first included.
    opens: Counter,
    /// Connections opened in the place of one that was lost.
    reconnects: Counter,
    /// Times that another connection of the feed was shown from then on, with nothing stale.
    promotions: Counter,
    /// Connections replaced before their time was up.
    rotations: Counter,
    /// Holes in the numbering of one connection that another connection of the feed filled.
    bridged: Counter,
    /// Connections lost.
    losses: Counter,
    /// Connection attempts that failed.
    failures: Counter,
    /// Times that `silent_after` passed without data.
    silences: Counter,
    /// Bytes received, frame headers included.
    bytes_received: Counter,
    /// Bytes queued for the socket, frame headers included.
    bytes_sent: Counter,
    /// Frames that made an event: messages, pings, pongs, closes.
    frames: Counter,
    /// Pings received.
    pings: Counter,
    /// Pings received and left unanswered for a later one, because the server does not read.
    pings_skipped: Counter,
    /// Pings sent by the watchdog.
    probes: Counter,
    /// Text messages sent.
    texts_sent: Counter,
    /// Updates that readers skipped over because a newer one was there.
    conflated: SharedCounter,
    /// Times that a slot or a schema had to grow.
    growths: Counter,
    /// Commands in the owner's inbox when it was last looked at.
    queue_depth: Counter,
    /// Commands refused because the inbox was full.
    queue_refused: SharedCounter,
    /// Values that were asked for anew because the stream had lost them.
    resyncs_asked: SharedCounter,
    /// Values that the stream had lost and made whole again before they were fetched.
    resyncs_skipped: SharedCounter,
    /// Values that the stream had lost and a fetch has brought.
    resyncs_done: SharedCounter,
    /// Resyncs that failed, retries and all; each is asked for again while the value is suspect.
    resyncs_failed: SharedCounter,
    /// Patches that arrived for stale values which only a whole message can make live, where
    /// neither whole messages nor a fetcher were seen.
    unrecoverable: Counter,
    /// Messages that were taken apart elsewhere because they are long; also counted in their class.
    bulk: Counter,
    /// Bytes of such messages that are not through yet.
    bulk_bytes: Counter,
    /// Times that nothing was read until such messages were through.
    bulk_waits: Counter,
    /// Messages that were laid out as one before them and needed no parser.
    layout_hits: Counter,
    /// Messages that were parsed, or found to be no JSON.
    layout_misses: Counter,
    /// Layouts learned; those of the last message are counted with the next one.
    layouts_learned: Counter,
}

impl Counters {
    /// The latencies, made now if they were not. For who measures.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "there are no sockets")
    )]
    pub(crate) fn measure(&self) -> &LatencyCounters {
        self.latency.get_or_init(Box::default)
    }

    /// The latencies, if they are measured.
    #[inline]
    pub(crate) fn latency(&self) -> Option<&LatencyCounters> {
        self.latency.get().map(|latency| &**latency)
    }

    /// How soon what was received could be read, and those who waited knew. Wait-free; allocates.
    /// Empty for a feed without a thread.
    #[must_use]
    pub fn latencies(&self) -> Latencies {
        self.latency()
            .map(LatencyCounters::read)
            .unwrap_or_default()
    }

    /// Counts updates that a reader skipped over. From any thread.
    pub(crate) fn add_conflated(&self, updates: u64) {
        self.conflated.add(updates);
    }

    /// Counts a refused message.
    #[cold]
    pub(crate) fn refuse(&self, reason: Refusal) {
        self.refused.bump();
        self.refused_by[reason.index()].bump();
    }

    /// Counts an unmapped message. Allocates for the first of each of the named channels.
    pub(crate) fn unmap(&self, channel: &str) {
        self.unmapped.bump();
        for slot in &self.channels {
            match slot.name.get() {
                Some(name) if **name == *channel => return slot.count.bump(),
                Some(_) => {}
                None if channel.len() > MAX_CHANNEL_NAME => break,
                None => {
                    slot.name.get_or_init(|| channel.into());
                    return slot.count.bump();
                }
            }
        }
        self.other_channels.bump();
    }

    fn read_refused(&self) -> Vec<(Refusal, u64)> {
        let counts = Refusal::ALL
            .iter()
            .map(|reason| (*reason, self.refused_by[reason.index()].get()));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    fn read_unmapped(&self) -> Vec<(Box<str>, u64)> {
        let named = self
            .channels
            .iter()
            .map_while(|c| Some((c.name.get()?.clone(), c.count.get())));
        let others = Some(self.other_channels.get()).filter(|count| *count > 0);
        named
            .chain(others.map(|count| ("(other)".into(), count)))
            .collect()
    }
}

impl CounterValues {
    /// Whether both ledgers balance, and the breakdowns add up. At a quiet moment they do.
    #[must_use]
    pub fn balanced(&self) -> bool {
        let classes = [
            self.data,
            self.invalidation,
            self.control,
            self.unmapped,
            self.refused,
        ];
        let outcomes = [
            self.applied,
            self.unchanged,
            self.missing,
            self.older,
            self.duplicate,
            self.foreign,
            self.forwarded,
            self.held,
            self.patches_refused,
        ];
        self.messages == classes.iter().sum::<u64>()
            && self.patches == outcomes.iter().sum::<u64>()
            && self.refused == self.refused_by.iter().map(|(_, count)| count).sum::<u64>()
            && self.unmapped == self.unmapped_by.iter().map(|(_, count)| count).sum::<u64>()
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledgers_balance_only_when_everything_is_accounted_for() {
        let counters = Counters::default();
        assert!(counters.snapshot().balanced());
        counters.messages.add(4);
        assert!(!counters.snapshot().balanced());
        counters.data.bump();
        counters.invalidation.bump();
        counters.unmap("depth");
        counters.refuse(Refusal::NoId);
        assert!(counters.snapshot().balanced());
        counters.patches.add(2);
        counters.applied.bump();
        assert!(!counters.snapshot().balanced());
        counters.older.bump();
        let values = counters.snapshot();
        assert!(values.balanced());
        assert_eq!(values.refused_by, [(Refusal::NoId, 1)]);
        assert_eq!(values.unmapped_by, [("depth".into(), 1)]);
        assert!(
            values
                .iter()
                .any(|(name, value)| name == "older" && value == 1)
        );
    }

    #[test]
    fn channels_beyond_the_bound_are_counted_together() {
        let counters = Counters::default();
        counters.unmap(&"x".repeat(MAX_CHANNEL_NAME + 1));
        for round in 0..2 {
            for channel in 0..NAMED_CHANNELS + 3 {
                counters.unmap(&format!("channel {channel}"));
            }
            let values = counters.snapshot();
            assert_eq!(values.unmapped_by.len(), NAMED_CHANNELS + 1);
            let others = 1 + 3 * (round + 1);
            assert_eq!(values.unmapped_by.last(), Some(&("(other)".into(), others)));
            assert_eq!(values.unmapped_by[0].1, round + 1);
        }
    }
}
