//! How a feed's thread waits between two turns: in the poller, or by asking its sockets.
//!
//! Asking *is* reading: a read that brings nothing is one system call, and one that brings
//! something has brought it already. What the poller alone knows (a connection that was made, room
//! to write) and the clock are looked at once in [`LOOKS_BETWEEN_CHECKS`] rounds.

use super::super::socket::{ReadOutcome, Socket};
use super::super::target::Target;
use super::turn::Feed;
use crate::Time;
use crate::feed::{Leg, Protocol};
use std::io;
use std::time::Duration;

/// A read that brings nothing takes 0.2-0.5 us: the poller and the clock are looked at about every
/// 10 us, at next to no cost for the reads in between.
const LOOKS_BETWEEN_CHECKS: u32 = 32;

/// What a read has brought while the thread waited.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) leg: Leg,
    /// How much it could have brought.
    pub(super) room: usize,
    pub(super) outcome: io::Result<ReadOutcome>,
}

/// What came of asking.
enum Asked {
    /// This was read.
    Taken(Taken),
    /// There is something else to do.
    Woken,
    /// Neither in time.
    Nothing,
}

impl<P: Protocol, T: Target> Feed<'_, P, T> {
    /// Waits until there is something to do, and gives what was read meanwhile. Measured from the
    /// turn's one clock read, so that a deadline is late by the length of a turn at most.
    pub(super) fn pause(&mut self, now: Time) -> io::Result<Option<Taken>> {
        let spin = self.post.options.waiting.spin();
        let due = self.due();
        if !spin.is_zero() && self.may_ask() {
            let until = due.unwrap_or(Time::NEVER).min(self.heard_at.after(spin));
            match self.ask(now, until)? {
                Asked::Taken(taken) => return Ok(Some(taken)),
                Asked::Woken => return Ok(None),
                Asked::Nothing => {}
            }
        }
        let timeout = if self.has_work() || self.may_read() {
            Some(Duration::ZERO)
        } else {
            due.map(|due| due.since(now))
        };
        self.post.wait(timeout)?;
        Ok(None)
    }

    /// Whether a read may bring something, and would be taken in.
    pub(super) fn may_read(&self) -> bool {
        self.sockets.iter().flatten().any(Socket::may_read) && !self.must_wait()
    }

    /// Whether reading is all there is to do, and something may be read. Without a connection there
    /// is nothing to be asked: the poller says when there is one.
    fn may_ask(&self) -> bool {
        let is_open = self.sockets.iter().any(Option::is_some);
        is_open && !self.has_work() && !self.must_wait()
    }

    /// Asks the sockets again and again, until `until`.
    fn ask(&mut self, now: Time, until: Time) -> io::Result<Asked> {
        loop {
            for _ in 0..LOOKS_BETWEEN_CHECKS {
                // What is invalidated while it reads is not undone by what it has read.
                self.target.begin(now);
                if let Some(taken) = self.look() {
                    // What the poller has said was for the turn before this one.
                    self.post.events.clear();
                    return Ok(Asked::Taken(taken));
                }
                if self.has_work() {
                    break;
                }
            }
            self.post.wait(Some(Duration::ZERO))?;
            if !self.post.events.is_empty() || self.has_work() {
                return Ok(Asked::Woken);
            }
            if self.post.clock.now() >= until {
                return Ok(Asked::Nothing);
            }
        }
    }

    /// Reads from each socket, until one of them has something.
    #[inline]
    fn look(&mut self) -> Option<Taken> {
        for _ in Leg::ALL {
            let leg = self.next_leg();
            let Some(socket) = &mut self.sockets[leg.index()] else {
                continue;
            };
            let space = self.group.space(leg);
            let room = space.len();
            let outcome = socket.read(space);
            if !matches!(outcome, Ok(ReadOutcome::Blocked)) {
                return Some(Taken { leg, room, outcome });
            }
        }
        None
    }
}
