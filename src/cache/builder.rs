//! Making a cache: bounds, policies, clock, runtime.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use super::Cache;
use super::freshness::Policy;
use crate::io::clock::Clock;
use crate::io::plane::FetchLimits;
use crate::record::Limits;
use crate::store::StoreConfig;

/// Settings of a [`Cache`]. Every bound says what happens beyond it.
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct CacheBuilder {
    pub(super) store: StoreConfig,
    pub(super) policies: HashMap<String, Policy>,
    pub(super) text_ids: Vec<String>,
    pub(super) clock: Option<Clock>,
    pub(super) by_hand: bool,
    pub(super) fetches: FetchLimits,
    #[cfg(feature = "net")]
    pub(super) runtime: Option<tokio::runtime::Handle>,
}

/// The cache cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The system gave no thread for the waker.
    #[error("the system gave no thread: {0}")]
    Thread(#[source] io::Error),
    /// A bound is zero.
    #[error("{0} must be more than zero")]
    Zero(&'static str),
}

impl BuildError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Thread(_))
    }
}

impl CacheBuilder {
    /// Entities that there may be. Default 4,096. What names another is refused and counted, as is a
    /// name of more than 1,024 bytes.
    pub fn max_entities(mut self, entities: usize) -> Self {
        self.store.max_entities = entities;
        self
    }

    /// Ids that one entity may have. Default 1,000,000. A patch for another is refused and counted, as
    /// is one for an id of more than 1,024 bytes.
    pub fn max_ids(mut self, ids: usize) -> Self {
        self.store.max_ids = ids;
        self
    }

    /// Of those, ids that readers asked for and nobody ever wrote. Default 100,000. A handle beyond
    /// it stays empty, and [`ready`](super::Slot::ready) says why.
    pub fn max_unwritten_ids(mut self, ids: usize) -> Self {
        self.store.max_empty = ids;
        self
    }

    /// Field paths that an entity's schema may hold. Default 1,024. A value with more falls over to
    /// the document form by itself, alone: reads go on working, at the price of a look-up.
    pub fn max_fields(mut self, fields: u32) -> Self {
        self.store.limits.max_fields = fields;
        self
    }

    /// Bytes of JSON that one value may have. Default 1 MiB. A longer one is refused and counted.
    pub fn max_value(mut self, bytes: usize) -> Self {
        self.store.limits.max_value = bytes;
        self
    }

    /// All bounds of a value at once.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.store.limits = limits;
        self
    }

    /// Values of this entity turn `Expired` when the last *whole* one is so old. Default: never.
    /// An entity whose values expire has its reads look at the clock.
    pub fn stale_after(mut self, entity: &str, age: Duration) -> Self {
        self.policies
            .entry(entity.to_owned())
            .or_default()
            .stale_after = age;
        self
    }

    /// The ids of this entity are texts: `7` and `"7"` are the same one.
    pub fn text_ids(mut self, entity: &str) -> Self {
        self.text_ids.push(entity.to_owned());
        self
    }

    /// Has queries go on only when [`Cache::drive`] is called, and run their fetchers there, on the
    /// calling thread: for programs with a loop of their own, and for tests. Default: they go on by
    /// themselves, on the runtime. Without the feature `net` it is always by hand.
    pub fn by_hand(mut self) -> Self {
        self.by_hand = true;
        self
    }

    /// The runtime on which connections are made and fetchers run. Default: the one that
    /// [`Cache::attach`], or the first use of a query, is called in, else a small one of the cache's own on its own thread.
    #[cfg(feature = "net")]
    pub fn runtime(mut self, handle: tokio::runtime::Handle) -> Self {
        self.runtime = Some(handle);
        self
    }

    /// How many fetches run at once that nobody called for: those that marks, a network that is
    /// back, and resyncs begin. Default 16. The others wait, first come, first served.
    pub fn background_fetches(mut self, fetches: usize) -> Self {
        self.fetches.machine.max_background = fetches;
        self
    }

    /// How long a fetcher may take that occupies one of those places; then it is dropped, and has
    /// failed. Default 10 s; `Duration::MAX` is for ever, and lets fetchers that hang hold up all
    /// others of their kind. A fetch that somebody called for has its own time,
    /// unless a resync waits for it as well.
    pub fn background_fetch_timeout(mut self, timeout: Duration) -> Self {
        self.fetches.patience = timeout;
        self
    }

    /// How many [resyncs](super::Feed::resync) begin in a second, over all feeds, on average.
    /// Default 10. The time between two is random, between half the mean and one and a half, so
    /// that a server sees neither bursts nor a beat. More heals sooner after a reconnect, and asks
    /// more of the servers; see what they allow.
    pub fn resyncs_per_second(mut self, resyncs: u32) -> Self {
        let second = Duration::from_secs(1);
        self.fetches.machine.resync_every = second.checked_div(resyncs).unwrap_or(Duration::MAX);
        self
    }

    #[cfg(feature = "testing")]
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Makes the cache and starts its waker thread.
    ///
    /// # Errors
    /// If a bound is zero, or the system gives no thread.
    pub fn build(self) -> Result<Cache, BuildError> {
        let bounds = [
            ("max_entities", self.store.max_entities),
            ("max_ids", self.store.max_ids),
            ("max_fields", self.store.limits.max_fields as usize),
            ("max_value", self.store.limits.max_value),
            ("max_depth", self.store.limits.max_depth as usize),
            ("background_fetches", self.fetches.machine.max_background),
        ];
        if let Some((name, _)) = bounds.iter().find(|(_, bound)| *bound == 0) {
            return Err(BuildError::Zero(name));
        }
        if self.fetches.patience.is_zero() {
            return Err(BuildError::Zero("background_fetch_timeout"));
        }
        if self.fetches.machine.resync_every == Duration::MAX {
            return Err(BuildError::Zero("resyncs_per_second"));
        }
        Cache::start(self).map_err(BuildError::Thread)
    }
}
