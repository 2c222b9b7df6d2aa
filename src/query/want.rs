//! What the plane asks for: settings of the machine, fetches and why, cancels and how.

use std::time::Duration;

use super::ids::PromiseId;
use super::policy::StaleTime;

/// What holds for all queries of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// How many fetches that a mass cause started (invalidation, reconnect, focus, resync) run at
    /// once; at least one does. The others wait their turn, first come, first served.
    pub(crate) max_background: usize,
    /// The mean time between the beginnings of two resyncs.
    pub(crate) resync_every: Duration,
    /// What the random part of that is drawn with.
    pub(crate) seed: u64,
    /// By how many percent at most a poll comes later than its interval, by the hash of its key.
    pub(crate) poll_jitter_percent: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_background: 16,
            resync_every: Duration::from_millis(100),
            seed: 0,
            poll_jitter_percent: 10,
        }
    }
}

/// Why a fetch is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// Somebody called for it.
    User,
    /// An observer came, or was enabled.
    Mount,
    /// A poll was due.
    Poll,
    /// The value was invalidated.
    Invalidation,
    /// The network is back.
    Reconnect,
    /// The focus is back.
    Focus,
    /// The stream that should keep the value up has lost it, and nobody else may care.
    Resync,
}

impl Cause {
    /// Whether it strikes any number of queries at once, so that the budget holds them back.
    pub(super) const fn is_mass(self) -> bool {
        matches!(
            self,
            Self::Invalidation | Self::Reconnect | Self::Focus | Self::Resync
        )
    }

    /// Whether those that it strikes begin one after the other, however many may run at once.
    pub(super) fn is_paced(self) -> bool {
        self == Self::Resync
    }

    /// Whether a fetch for it has to have begun after the last mark.
    pub(super) const fn follows_mark(self) -> bool {
        matches!(self, Self::Invalidation | Self::Resync)
    }

    /// The cause of a fetch that is wanted for both: the one that is held back less.
    pub(super) fn joined(self, other: Self) -> Self {
        if other == Self::Resync {
            self
        } else if self.is_mass() || other == Self::User {
            other
        } else {
            self
        }
    }
}

/// What kind of fetch is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    /// `Some`: only if stale by this; `None`: in any case.
    pub(crate) stale: Option<StaleTime>,
    /// A running fetch of a query that has data is aborted and begun anew; else it is joined.
    pub(crate) restart: bool,
    /// Why.
    pub(crate) cause: Cause,
}

/// What a wanted fetch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The data is fresh enough.
    Fresh,
    /// A fetch runs, waits its turn, or is paused;
    /// [`Action::Settle`](super::Action::Settle) will name this promise.
    Waiting(PromiseId),
    /// There is nothing to fetch with.
    NoFetcher,
    /// There is no such query any more.
    Gone,
}

/// How to cancel a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cancel<E> {
    /// The state goes back to what it was before the fetch, or to the last write since. Who waits
    /// gets the present data, if there is any.
    Revert,
    /// The query's status becomes an error, this one. Who waits is told that it was cancelled.
    Fail(E),
}
