//! How many fetches run at once that a mass cause started, how fast those of streams' resyncs begin,
//! and who is next.
//!
//! Places are handed out first come, first served. Resyncs need a place like all others, and their
//! time besides: one begins some while after the one before, by a span that is random between half
//! and one and a half of the mean, so that what a server sees is no burst and has no beat.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ids::QueryIx;
use crate::Time;

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Counts what runs, and queues what waits for its turn.
#[derive(Debug)]
pub(super) struct Budget {
    max: usize,
    running: usize,
    tickets: u64,
    queue: BTreeMap<Ticket, QueryIx>,
    /// Those that need their time besides.
    paced: BTreeMap<Ticket, QueryIx>,
    /// The mean time between two of them.
    every: Duration,
    /// When the next of them may begin.
    next: Time,
    /// What that was before the last of them.
    before: Time,
    random: u64,
}

impl Budget {
    pub(super) fn new(max: usize, every: Duration, seed: u64) -> Self {
        Self {
            max: max.max(1),
            running: 0,
            tickets: 0,
            queue: BTreeMap::new(),
            paced: BTreeMap::new(),
            every,
            next: Time::ZERO,
            before: Time::ZERO,
            random: seed,
        }
    }

    /// Takes a place if one is free and nobody waits for it.
    pub(super) fn take(&mut self, paced: bool, now: Time) -> bool {
        let turn = !paced || self.paced.is_empty() && now >= self.next;
        let free = self.running < self.max && self.queue.is_empty() && turn;
        if free {
            self.occupy(paced, now);
        }
        free
    }

    /// Gives a place back.
    pub(super) fn give(&mut self) {
        debug_assert!(self.running > 0, "a place is given back once");
        self.running = self.running.saturating_sub(1);
    }

    /// Gives back what [`admit`](Self::admit) gave last, a turn at its time included.
    pub(super) fn refund(&mut self) {
        self.give();
        self.next = self.before;
    }

    pub(super) fn queue(&mut self, query: QueryIx, paced: bool) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let queue = if paced {
            &mut self.paced
        } else {
            &mut self.queue
        };
        queue.insert(ticket, query);
        ticket
    }

    /// It need not wait for its time any more, and keeps its place in the order.
    pub(super) fn hasten(&mut self, ticket: Ticket) {
        if let Some(query) = self.paced.remove(&ticket) {
            self.queue.insert(ticket, query);
        }
    }

    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.queue.remove(&ticket);
        self.paced.remove(&ticket);
    }

    /// Takes a free place for the first in the queue.
    pub(super) fn admit(&mut self, now: Time) -> Option<QueryIx> {
        if self.running >= self.max {
            return None;
        }
        let due = self.paced.first_entry().filter(|_| now >= self.next);
        let first = self.queue.first_entry();
        let (entry, paced) = match (first, due) {
            (Some(first), Some(due)) if due.key() < first.key() => (due, true),
            (Some(first), _) => (first, false),
            (None, Some(due)) => (due, true),
            (None, None) => return None,
        };
        let query = entry.remove();
        self.occupy(paced, now);
        Some(query)
    }

    /// When [`admit`](Self::admit) has one that waits for its time alone.
    pub(super) fn next_admission(&self) -> Time {
        if self.running < self.max && !self.paced.is_empty() {
            self.next
        } else {
            Time::NEVER
        }
    }

    /// How many wait for their time.
    pub(super) fn paced(&self) -> usize {
        self.paced.len()
    }

    fn occupy(&mut self, paced: bool, now: Time) {
        self.running += 1;
        self.before = self.next;
        if paced {
            self.next = now.after(self.every.mul_f64(0.5 + self.fraction()));
        }
    }

    /// A random number from 0 to 1, by SplitMix64 (Steele, Lea and Flood, 2014).
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let high = u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or_default();
        f64::from(high) / f64::from(u32::MAX)
    }

    #[cfg(test)]
    pub(super) const fn running(&self) -> usize {
        self.running
    }

    #[cfg(test)]
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }
}
