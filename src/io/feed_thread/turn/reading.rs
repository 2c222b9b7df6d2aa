//! What a turn reads, and how long it takes until that can be read by others.

use super::super::super::socket::ReadOutcome;
use super::super::super::target::Target;
use super::super::pause::Taken;
use super::Feed;
use crate::Time;
use crate::feed::{Ended, Leg, Protocol, Since};
use std::io;

/// Reads of one turn, of all connections together. With the read buffer of 64 KiB a flooded feed
/// looks at its inbox and timers at least every 512 KiB.
const READS_PER_TURN: usize = 8;

impl<P: Protocol, T: Target> Feed<'_, P, T> {
    /// Whether nothing may be read. One more long message would hold the parked commands up again.
    pub(in super::super) fn must_wait(&self) -> bool {
        self.target.is_full() || (!self.parked.is_empty() && self.target.long_messages() > 1)
    }

    /// Reads what is there and hands it on: of one connection after the other, so that none of
    /// them waits for a flood on another.
    pub(super) fn read(&mut self, now: Time) {
        let mut left = READS_PER_TURN;
        let mut idle = 0;
        while left > 0 && idle < Leg::COUNT {
            if self.must_wait() {
                return self.group.stall(&self.target);
            }
            let leg = self.next_leg();
            if self.read_one(leg, now) {
                left -= 1;
                idle = 0;
            } else {
                idle += 1;
            }
        }
    }

    /// The connections by turns, so that none of them is always read first.
    #[inline]
    pub(in super::super) fn next_leg(&mut self) -> Leg {
        let leg = Leg::ALL[self.first];
        self.first = (self.first + 1) % Leg::COUNT;
        leg
    }

    /// Reads once from a connection; whether there was anything to learn.
    #[inline]
    fn read_one(&mut self, leg: Leg, now: Time) -> bool {
        let Some(socket) = &mut self.sockets[leg.index()] else {
            return false;
        };
        if !socket.may_read() {
            return false;
        }
        let space = self.group.space(leg);
        let room = space.len();
        match socket.read(space) {
            Ok(ReadOutcome::Filled(filled)) => {
                let read_at = self.sampler.is_due().then(|| self.post.clock.now());
                self.fill(leg, now, filled, read_at);
                if filled < room {
                    // Most likely all there was: nobody should wait for the read that says so.
                    self.target.finish();
                }
            }
            Ok(ReadOutcome::Blocked) => return false,
            outcome => self.end(leg, now, outcome),
        }
        self.act(now);
        true
    }

    /// Hands on what was read while waiting; whether there may be more.
    pub(super) fn take(&mut self, taken: Taken, now: Time) -> bool {
        let Taken { leg, room, outcome } = taken;
        let more = match outcome {
            Ok(ReadOutcome::Filled(filled)) => {
                // The turn's clock was read right after it.
                let read_at = self.sampler.is_due().then_some(now);
                self.fill(leg, now, filled, read_at);
                self.target.finish();
                filled == room
            }
            outcome => {
                self.end(leg, now, outcome);
                true
            }
        };
        self.act(now);
        more
    }

    /// Has what was read taken in: everything of it is visible then. `read_at`: it is timed, and
    /// this is when the system call was through.
    #[inline]
    fn fill(&mut self, leg: Leg, now: Time, filled: usize, read_at: Option<Time>) {
        self.heard_at = now;
        self.target.speaks(leg);
        let timed = read_at.map(|read_at| self.begin_timing(read_at));
        self.group.handle_filled(leg, now, filled, &mut self.target);
        if let Some(timed) = timed {
            self.end_timing(timed);
        }
    }

    #[cold]
    fn begin_timing(&mut self, read_at: Time) -> (Time, Since) {
        self.target.time_first();
        (read_at, Since::now(&self.group.counters().applied))
    }

    #[cold]
    fn end_timing(&mut self, (read_at, applied): (Time, Since)) {
        let counters = self.group.counters();
        let latency = counters.measure();
        if let Some(first) = self.target.first_visible_at() {
            latency.first_visible.add(first.since(read_at));
        }
        if applied.has_moved(&counters.applied) {
            let now = self.post.clock.now();
            latency.last_visible.add(now.since(read_at));
        }
    }

    /// The leg's socket has ended, or failed.
    #[cold]
    fn end(&mut self, leg: Leg, now: Time, outcome: io::Result<ReadOutcome>) {
        let how = match outcome {
            Ok(_) => Ended::Eof,
            Err(error) => {
                tracing::debug!(feed = self.post.options.name, %error, "the socket failed");
                Ended::Error
            }
        };
        self.group.handle_closed(leg, now, how);
    }
}
