//! How many fetches run at once that a mass cause started, and who is next.

use std::collections::BTreeMap;

use super::ids::QueryIx;

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Counts what runs, and queues what waits for its turn: first come, first served.
#[derive(Debug)]
pub(super) struct Budget {
    max: usize,
    running: usize,
    tickets: u64,
    queue: BTreeMap<Ticket, QueryIx>,
}

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            running: 0,
            tickets: 0,
            queue: BTreeMap::new(),
        }
    }

    /// Takes a place if one is free and nobody waits for it.
    pub(super) fn take(&mut self) -> bool {
        let free = self.running < self.max && self.queue.is_empty();
        if free {
            self.running += 1;
        }
        free
    }

    /// Gives a place back.
    pub(super) fn give(&mut self) {
        debug_assert!(self.running > 0, "a place is given back once");
        self.running = self.running.saturating_sub(1);
    }

    pub(super) fn queue(&mut self, query: QueryIx) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.queue.insert(ticket, query);
        ticket
    }

    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.queue.remove(&ticket);
    }

    /// Takes a free place for the first in the queue.
    pub(super) fn admit(&mut self) -> Option<QueryIx> {
        if self.running >= self.max {
            return None;
        }
        let (_, query) = self.queue.pop_first()?;
        self.running += 1;
        Some(query)
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
