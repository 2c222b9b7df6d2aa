//! Latencies as users read them, and how those who wait for values take their own.

use super::entity::Entity;
use super::handle::Cache;
use crate::Time;
use crate::feed::{Counters, Latencies, Waiter};
use crate::sync::Arc;

impl Cache {
    /// How soon what feeds receive can be read, and how soon those who wait for it know: of every
    /// feed so far, by its name. Empty for those without a thread of their own. Measured all the
    /// time, by samples ([`Latencies`]). Allocates.
    #[must_use]
    pub fn latencies(&self) -> Vec<(String, Latencies)> {
        self.shared().owners().latencies()
    }
}

#[cfg(feature = "net")]
impl super::FeedRef {
    /// How soon what it receives can be read, and how soon those who wait for it know. Wait-free;
    /// allocates.
    #[must_use]
    pub fn latencies(&self) -> Latencies {
        self.0.counters.latencies()
    }
}

/// How often a waiter of something that nobody measures looks whether somebody does by now.
const LOOKS_PER_SEARCH: u32 = 64;

/// Takes the time of one waiter's wake-ups, of those that the feed has marked.
#[derive(Debug, Default)]
pub(super) struct WakeTimer {
    /// The owner's, and the word of the link with which it was found: another owner has another.
    counters: Option<Arc<Counters>>,
    link: u64,
    /// Looks until the owner is searched for again.
    left: u32,
    /// The last mark that was dealt with.
    noted: u64,
}

impl WakeTimer {
    /// The turn that is marked, if it is worth a look: a waiter that has woken for a version of
    /// this turn tells [`woke`](Self::woke). One load, nearly always.
    #[inline]
    pub(super) fn marked(&mut self, entity: &Entity, link: u64) -> Option<u64> {
        if self.link != link || self.counters.is_none() {
            self.search(entity, link);
            return None;
        }
        let turn = self.counters.as_ref()?.latency()?.marked_turn();
        (turn != self.noted).then_some(turn)
    }

    /// The waiter woke at `now` for the version of this turn.
    #[cold]
    pub(super) fn woke(&mut self, turn: u64, waiter: Waiter, now: Time) {
        self.noted = turn;
        let latency = self
            .counters
            .as_ref()
            .and_then(|counters| counters.latency());
        if let Some(latency) = latency
            && let Some(at) = latency.marked(turn)
        {
            latency.awoke(waiter, now.since(at));
        }
    }

    /// The mark is of something else that this waiter waits for too.
    pub(super) fn pass(&mut self, turn: u64) {
        self.noted = turn;
    }

    #[cold]
    fn search(&mut self, entity: &Entity, link: u64) {
        if self.link == link && self.left > 0 {
            self.left -= 1;
            return;
        }
        (self.link, self.left) = (link, LOOKS_PER_SEARCH);
        let owners = entity.shared().owners();
        let owner = entity.core().owner();
        self.counters = owner.and_then(|owner| owners.counters_of(&owner));
    }
}
