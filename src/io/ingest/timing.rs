//! When the first message of a timed batch became visible.

use super::super::clock::Clock;
use super::Ingest;
use crate::Time;
use crate::feed::Since;

/// The clock of a feed that measures, and the batch that is timed.
#[derive(Debug, Default)]
pub(super) struct Timing {
    clock: Option<Clock>,
    /// The next message that publishes is the first of a timed batch.
    armed: bool,
    shown: Option<Time>,
}

impl Timing {
    pub(super) fn with(clock: Clock) -> Self {
        Self {
            clock: Some(clock),
            ..Self::default()
        }
    }

    /// A timed batch begins.
    pub(super) fn arm(&mut self) {
        self.armed = self.clock.is_some();
        self.shown = None;
    }

    /// Whether the message that is about to be published is timed.
    #[inline]
    pub(super) fn is_armed(&self) -> bool {
        self.armed
    }

    /// The batch is over: when the first of its messages that published anything had done so.
    pub(super) fn disarm(&mut self) -> Option<Time> {
        self.armed = false;
        self.shown.take()
    }
}

impl Ingest {
    /// Publishes what is staged, as [`commit`](crate::feed::Transaction::commit) does, and takes
    /// down when that began and when it was done. A message that published nothing leaves it to
    /// the next one.
    #[cold]
    pub(super) fn apply_timed(&mut self) {
        let Some(clock) = self.timing.clock.clone() else {
            return self.apply_all();
        };
        let counters = std::sync::Arc::clone(&self.counters);
        let applied = Since::now(&counters.applied);
        // Before anything can be seen of it.
        counters.measure().mark(self.turn, clock.now());
        self.apply_all();
        if applied.has_moved(&counters.applied) {
            self.timing.armed = false;
            self.timing.shown = Some(clock.now());
        }
    }
}
