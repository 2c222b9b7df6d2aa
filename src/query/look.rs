//! What the machine may ask about a value, and what follows for staleness.

use super::ids::QueryIx;
use super::policy::StaleTime;
use crate::Time;

/// Where the machine looks at values, which it neither holds nor understands.
pub(crate) trait Values {
    /// The state of this query's value now. Called under the machine's lock: must not wait.
    fn look(&self, query: QueryIx) -> Look;
}

/// What is to be known about a value, without the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Whether there is one.
    pub(crate) present: bool,
    /// When it was last known whole. Known to be absent counts: after a removal `present` is false
    /// and this is set.
    pub(crate) whole_at: Option<Time>,
    /// When it was last written, by whomever.
    pub(crate) received_at: Time,
    /// The invalidations that it is good for.
    pub(crate) stamp: u64,
    /// The invalidations that there have been.
    pub(crate) sum: u64,
    /// It is partial, has a gap or was restored: it needs a fetch whatever its age.
    pub(crate) unsure: bool,
    /// Its stream is silent or down, or it has none.
    pub(crate) quiet: bool,
}

impl Look {
    /// Whether anything is known, be it that there is no value.
    pub(crate) const fn known(&self) -> bool {
        self.present || self.whole_at.is_some()
    }

    /// Whether an invalidation came that it is not good for.
    pub(crate) const fn invalidated(&self) -> bool {
        self.stamp < self.sum
    }

    /// Whether it is stale to somebody with this stale time.
    pub(crate) fn stale(&self, stale: StaleTime, now: Time) -> bool {
        if !self.known() || self.unsure {
            return true;
        }
        if stale == StaleTime::Static {
            return false;
        }
        self.invalidated() || self.whole_at.is_none_or(|at| now >= stale.deadline(at))
    }

    /// When it was last known whole, or else written; `None` if nothing is known.
    pub(crate) fn updated_at(&self) -> Option<Time> {
        self.whole_at
            .or_else(|| self.present.then_some(self.received_at))
    }
}
