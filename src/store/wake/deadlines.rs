//! The times at which a waiter is to be woken though nothing moved: silence, expiry, a timeout.
//!
//! A heap that forgets nothing and removes nothing early: a waiter that arms again for a later time
//! keeps its old node, which then is pushed on when its time comes. So arming for ever later times,
//! as whoever waits for silence does, costs nothing here.

use super::slab::Ticket;
use crate::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Nodes beyond twice the waiters at which the heap is made anew from the waiters.
const SLACK: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Time, Ticket)>>,
}

impl Deadlines {
    /// The earliest time, [`Time::NEVER`] if there is none.
    pub(super) fn next(&self) -> Time {
        self.heap
            .peek()
            .map_or(Time::NEVER, |Reverse((time, _))| *time)
    }

    pub(super) fn push(&mut self, time: Time, ticket: Ticket) {
        self.heap.push(Reverse((time, ticket)));
    }

    /// Takes the earliest node if its time has come.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<(Time, Ticket)> {
        let Reverse((time, _)) = self.heap.peek()?;
        if *time > now {
            return None;
        }
        self.heap.pop().map(|Reverse(node)| node)
    }

    /// Whether so many nodes are out of date that it pays to make the heap anew.
    pub(super) fn is_bloated(&self, waiters: usize) -> bool {
        self.heap.len() > 2 * waiters + SLACK
    }

    /// Makes the heap anew from the nodes that count.
    pub(super) fn rebuild(&mut self, nodes: impl Iterator<Item = (Time, Ticket)>) {
        self.heap.clear();
        self.heap.extend(nodes.map(Reverse));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}
