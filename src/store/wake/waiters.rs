//! Who waits for what: the hub's table, kept under its lock.

use super::deadlines::Deadlines;
use super::hub::{CHUNK, LOOKS};
use super::park::Parker;
use super::slab::{Slab, Ticket};
use super::{Key, Seen, Watched, key_of};
use crate::Time;
use crate::sync::Arc;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::task::Waker;

/// What a registration waits for; shared by it and the table.
pub(super) type Sources = Arc<[Arc<dyn Watched>]>;

/// How to wake one waiter.
#[derive(Debug)]
pub(super) enum Sleeper {
    /// Nobody sleeps yet; only the time of the first move is wanted.
    Note,
    Task(Waker),
    Thread(Arc<Parker>),
}

impl Sleeper {
    pub(super) fn wake(self) {
        match self {
            Self::Note => {}
            Self::Task(waker) => waker.wake(),
            Self::Thread(parker) => parker.unpark(),
        }
    }
}

pub(super) struct Waiter {
    sources: Sources,
    seen: Vec<Seen>,
    /// There while armed: taken by whoever wakes it.
    sleeper: Option<Sleeper>,
    /// To be woken at this time, moved or not.
    until: Time,
    /// The time of its node in the heap, [`Time::NEVER`] if it has none.
    queued: Time,
    /// When a source first moved since this was last asked, [`Time::NEVER`] if none did.
    moved_at: Time,
}

impl Waiter {
    /// Takes the sleeper, for whom something moved by `now`.
    fn take(&mut self, now: Time) -> Option<Sleeper> {
        let sleeper = self.sleeper.take()?;
        self.moved_at = self.moved_at.min(now);
        Some(sleeper)
    }
}

/// What became of arming.
pub(super) enum Armed {
    /// Asleep as soon as it likes. `sooner`: the hub sleeps longer than that, and has to be told.
    Asleep { sooner: bool },
    /// The time is over already.
    Due,
    /// The hub has stopped.
    Closed,
}

pub(super) struct Waiters {
    slab: Slab<Waiter>,
    listed: HashMap<Key, Vec<Ticket>, RandomState>,
    deadlines: Deadlines,
    /// The latest time the hub was told.
    now: Time,
    /// When the hub means to look at the deadlines again. Not always the earliest of them: it
    /// is not told of those that their waiters keep themselves.
    planned: Time,
    pub(super) closed: bool,
}

impl Waiters {
    pub(super) fn new() -> Self {
        Self {
            slab: Slab::new(),
            listed: HashMap::with_hasher(RandomState::default()),
            deadlines: Deadlines::default(),
            now: Time::ZERO,
            planned: Time::NEVER,
            closed: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn insert(&mut self, sources: Sources) -> Ticket {
        let ticket = self.slab.insert(Waiter {
            sources: Arc::clone(&sources),
            seen: Vec::with_capacity(sources.len()),
            sleeper: None,
            until: Time::NEVER,
            queued: Time::NEVER,
            moved_at: Time::NEVER,
        });
        for source in sources.iter() {
            let tickets = self.listed.entry(key_of(source.bell())).or_default();
            // The same source named twice stands next to itself.
            if tickets.last() != Some(&ticket) {
                tickets.push(ticket);
            }
        }
        ticket
    }

    /// Takes the entry out; to be dropped when the lock is released.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.slab.remove(ticket)?;
        for source in waiter.sources.iter() {
            let key = key_of(source.bell());
            let Some(tickets) = self.listed.get_mut(&key) else {
                continue;
            };
            if let Some(at) = tickets.iter().position(|other| *other == ticket) {
                tickets.swap_remove(at);
            }
            if tickets.is_empty() {
                self.listed.remove(&key);
            }
        }
        Some(waiter)
    }

    /// Enters how to wake it; `hub_keeps_time` unless it wakes by itself at `until`. The second is what stood there before, to be dropped when the lock
    /// is released.
    pub(super) fn arm(
        &mut self,
        ticket: Ticket,
        sleeper: Sleeper,
        seen: &[Seen],
        until: Time,
        hub_keeps_time: bool,
    ) -> (Armed, Option<Sleeper>) {
        if self.closed {
            return (Armed::Closed, Some(sleeper));
        }
        if until <= self.now {
            return (Armed::Due, Some(sleeper));
        }
        let waiter = self
            .slab
            .get_mut(ticket)
            .expect("a registration keeps its entry");
        waiter.seen.clear();
        waiter.seen.extend_from_slice(seen);
        waiter.until = until;
        let old = waiter.sleeper.replace(sleeper);
        if until < waiter.queued {
            waiter.queued = until;
            self.deadlines.push(until, ticket);
            if self.deadlines.is_bloated(self.slab.len()) {
                let queued = self
                    .slab
                    .iter()
                    .filter(|(_, waiter)| waiter.queued != Time::NEVER);
                self.deadlines
                    .rebuild(queued.map(|(ticket, waiter)| (waiter.queued, ticket)));
            }
        }
        let sooner = hub_keeps_time && until < self.planned;
        if sooner {
            self.planned = until;
        }
        (Armed::Asleep { sooner }, old)
    }

    /// It is `now`, and whatever is taken from here on moved by then.
    pub(super) fn observe(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    /// A source of this one has moved by `now`.
    pub(super) fn note_moved(&mut self, ticket: Ticket, now: Time) {
        if let Some(waiter) = self.slab.get_mut(ticket) {
            waiter.moved_at = waiter.moved_at.min(now);
        }
    }

    /// When a source of this one first moved since this was last asked.
    pub(super) fn take_moved_at(&mut self, ticket: Ticket) -> Option<Time> {
        let waiter = self.slab.get_mut(ticket)?;
        let moved_at = std::mem::replace(&mut waiter.moved_at, Time::NEVER);
        (moved_at != Time::NEVER).then_some(moved_at)
    }

    // Each of the following moves sleepers into `woken` until it holds `CHUNK`, or it has looked at
    // `LOOKS`, and answers whether it is done. If not: release the lock, wake them, and call it again with the same cursor,
    // which is `None` at first.

    /// Everybody armed who waits for `key`.
    ///
    /// From the end downwards: removals move only entries that were looked at already, and what is
    /// added has checked after the publication that this stands for.
    pub(super) fn take_listed(
        &mut self,
        key: Key,
        cursor: &mut Option<usize>,
        woken: &mut Vec<Sleeper>,
    ) -> bool {
        let Some(tickets) = self.listed.get(&key) else {
            return true;
        };
        let mut at = cursor.map_or(tickets.len(), |at| at.min(tickets.len()));
        while at > 0 {
            if woken.len() >= CHUNK {
                *cursor = Some(at);
                return false;
            }
            at -= 1;
            if let Some(waiter) = self.slab.get_mut(tickets[at]) {
                woken.extend(waiter.take(self.now));
            }
        }
        true
    }

    /// Everybody armed for whom something moved, or simply everybody.
    pub(super) fn take_moved(
        &mut self,
        everybody: bool,
        cursor: &mut Option<usize>,
        woken: &mut Vec<Sleeper>,
    ) -> bool {
        let start = cursor.unwrap_or(0);
        for at in start..self.slab.places() {
            if woken.len() >= CHUNK || at - start >= LOOKS {
                *cursor = Some(at);
                return false;
            }
            let Some(waiter) = self.slab.at_mut(at) else {
                continue;
            };
            if waiter.sleeper.is_some() && (everybody || moved(&waiter.sources, &waiter.seen)) {
                woken.extend(waiter.take(self.now));
            }
        }
        true
    }

    /// Everybody armed whose time has come.
    pub(super) fn take_due(&mut self, now: Time, woken: &mut Vec<Sleeper>) -> bool {
        self.observe(now);
        while woken.len() < CHUNK {
            let Some((time, ticket)) = self.deadlines.pop_due(self.now) else {
                return true;
            };
            let Some(waiter) = self.slab.get_mut(ticket) else {
                continue;
            };
            if waiter.queued != time {
                continue;
            }
            waiter.queued = Time::NEVER;
            if waiter.sleeper.is_none() {
                continue;
            }
            if waiter.until <= self.now {
                woken.extend(waiter.sleeper.take());
            } else if waiter.until != Time::NEVER {
                waiter.queued = waiter.until;
                self.deadlines.push(waiter.until, ticket);
            }
        }
        false
    }

    /// The earliest time at which [`Waiters::take_due`] may find somebody; the hub means to look
    /// again then.
    pub(super) fn plan(&mut self) -> Time {
        self.planned = self.deadlines.next();
        self.planned
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.slab.len(), self.listed.len(), self.deadlines.len())
    }
}

/// Whether any of the sources is no longer as it was seen.
pub(super) fn moved(sources: &[Arc<dyn Watched>], seen: &[Seen]) -> bool {
    sources
        .iter()
        .zip(seen)
        .any(|(source, seen)| source.moved(seen))
}

#[cfg(all(test, not(tickcache_model)))]
mod tests {
    use super::*;
    use crate::store::wake::Flag;

    fn thread() -> Sleeper {
        Sleeper::Thread(Arc::new(Parker::new()))
    }

    #[test]
    fn a_deadline_kept_by_its_waiter_hides_no_later_one_from_the_hub() {
        let mut waiters = Waiters::new();
        let tickets = [(); 3].map(|()| waiters.insert(vec![Arc::new(Flag::new()) as _].into()));
        let mut sooner = |ticket, until, hub_keeps_time| {
            let until = Time::from_nanos(until);
            match waiters
                .arm(ticket, thread(), &[Seen::default()], until, hub_keeps_time)
                .0
            {
                Armed::Asleep { sooner } => sooner,
                Armed::Due | Armed::Closed => panic!("the time has not come"),
            }
        };
        // The hub sleeps for ever: it is told of 20, though 10 is before it, and not of 30.
        assert!(!sooner(tickets[0], 10, false));
        assert!(sooner(tickets[1], 20, true));
        assert!(!sooner(tickets[2], 30, true));
        // The first now leaves its time to the hub; its node is there already.
        assert!(sooner(tickets[0], 15, true));
        assert_eq!(waiters.plan(), Time::from_nanos(10));
    }
}
