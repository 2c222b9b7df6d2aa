//! The deadlines of one upstream, in a table: one real timer drives them all.

use crate::Time;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The next connection attempt.
    Reconnect,
    /// Nothing came for half of `dead_after`: ask with a ping.
    Probe,
    /// Nothing came for `dead_after`: the connection is dead.
    Dead,
    /// The socket has taken nothing of what waits for it for `dead_after`.
    Stuck,
    /// No data came for `silent_after`.
    Silent,
    /// The server owes an answer to our close frame.
    Close,
    /// The protocol's own heartbeat is due.
    Heartbeat,
    /// The pace of outgoing messages allows the next one.
    Send,
    /// The oldest request to the server goes unanswered.
    Answer,
    /// The server has not let the protocol in.
    Ready,
}

impl Timer {
    const ALL: [Self; 10] = [
        Self::Reconnect,
        Self::Probe,
        Self::Dead,
        Self::Stuck,
        Self::Silent,
        Self::Close,
        Self::Heartbeat,
        Self::Send,
        Self::Answer,
        Self::Ready,
    ];
}

/// One deadline for each [`Timer`]; [`Time::NEVER`] where none is set.
#[derive(Debug)]
pub(super) struct Timers([Time; Timer::ALL.len()]);

impl Timers {
    pub(super) const fn new() -> Self {
        Self([Time::NEVER; Timer::ALL.len()])
    }

    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        self.0[timer as usize] = at;
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize] != Time::NEVER
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.set(timer, Time::NEVER);
    }

    pub(super) fn clear_all(&mut self) {
        *self = Self::new();
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Time> {
        self.0.iter().copied().min().filter(|at| *at != Time::NEVER)
    }

    /// Takes one deadline that has come, in the order of the table.
    pub(super) fn take_expired(&mut self, now: Time) -> Option<Timer> {
        let timer = Timer::ALL
            .into_iter()
            .find(|t| self.0[*t as usize] <= now && self.0[*t as usize] != Time::NEVER)?;
        self.clear(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_comes_first_and_each_comes_once() {
        let mut timers = Timers::new();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Silent, Time::from_nanos(7));
        timers.set(Timer::Dead, Time::from_nanos(5));
        assert_eq!(timers.next(), Some(Time::from_nanos(5)));
        assert_eq!(timers.take_expired(Time::from_nanos(4)), None);
        assert_eq!(timers.take_expired(Time::from_nanos(7)), Some(Timer::Dead));
        assert_eq!(
            timers.take_expired(Time::from_nanos(7)),
            Some(Timer::Silent)
        );
        assert_eq!(timers.take_expired(Time::NEVER), None);
    }
}
