//! Deadlines: one ordered table for any number of queries.
//!
//! A B-tree of (instant, what for), beside a map of what is set for when. Setting one anew takes
//! the old entry out at once, so nothing dead is ever kept and the first entry is the next to do:
//! each operation is logarithmic in the number of timers, none walks the queries.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::ids::{ObserverId, QueryIx};
use crate::Time;

/// What is due. Of several at one instant, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The next attempt of a fetch that failed.
    Retry(QueryIx),
    /// The next poll of an observer.
    Poll(ObserverId),
    /// The data turns stale to an observer.
    Stale(ObserverId),
    /// Nobody has used the query for long.
    Collect(QueryIx),
    /// A fetch may begin that has waited for its time.
    Admit,
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    order: BTreeSet<(Time, Timer)>,
    set: HashMap<Timer, Time, foldhash::fast::RandomState>,
}

impl Timers {
    /// Sets a timer, in place of what it was set for; at [`Time::NEVER`] it is cleared.
    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        if at == Time::NEVER {
            return self.clear(timer);
        }
        match self.set.insert(timer, at) {
            Some(old) if old == at => return,
            Some(old) => {
                self.order.remove(&(old, timer));
            }
            None => {}
        }
        self.order.insert((at, timer));
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        if let Some(old) = self.set.remove(&timer) {
            self.order.remove(&(old, timer));
        }
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out the first timer that is due.
    pub(super) fn pop(&mut self, now: Time) -> Option<Timer> {
        let (at, timer) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.clear(timer);
        Some(timer)
    }

    #[cfg(test)]
    pub(super) fn get(&self, timer: Timer) -> Option<Time> {
        self.set.get(&timer).copied()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.order.len(), self.set.len(), "two views of one table");
        self.order.len()
    }
}
