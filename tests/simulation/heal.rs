//! When nothing goes wrong any more: everything has to come right, in time.

use std::time::Duration;

use serde_json::Value;
use tickcache::{Lost, Time};

use crate::net::Event;
use crate::options::{Asking, FETCH_TIMEOUT, RESYNC_AFTER};
use crate::run::{Failure, Run};
use crate::venue::name;

/// How long what has happened at the server takes to be read, at most, when all is well: it is put
/// together, is on its way, and waits to be taken apart.
const ON_ITS_WAY: Duration = Duration::from_millis(300);

/// How long nothing changes before the last look.
const REST: Duration = Duration::from_millis(1_000);

impl Run<'_, '_> {
    /// Ends all faults, and waits until everything is as it should be.
    pub(crate) fn heal(&mut self) -> Result<(), Failure> {
        let began = self.wire.now();
        (self.is_up, self.is_reachable, self.is_quiet) = (true, true, false);
        (self.server.losses, self.server.repeats) = (0, 0);
        let conns: Vec<_> = self.net.conns.keys().copied().collect();
        for conn in conns {
            self.net.repair(conn, began);
        }
        for key in 0..self.options.keys {
            if self.server.truth.now(key).value.is_none() {
                self.net.at(began, Event::Return(key));
            }
        }
        let bound = self.heals_within();
        let deadline = began.after(bound);
        // A connection that is dead looks well until that shows.
        let shows = began.after(self.options.dead_after + Duration::from_secs(1));
        let (mut healed, mut now) = (began, began);
        while now < shows.max(healed.after(ON_ITS_WAY)) {
            self.step(shows.max(now.after(ON_ITS_WAY)))?;
            now = self.wire.now();
            if let Err(wrong) = self.is_well() {
                healed = now;
                if now > deadline {
                    return Err(format!("{bound:?} after the last fault: {wrong}"));
                }
            }
        }
        let took = healed.since(began);
        self.tally.slowest_heal_ms = took.as_millis() as u64;
        self.come_to_rest()
    }

    /// Nothing changes any more: everybody has and is told the last state.
    fn come_to_rest(&mut self) -> Result<(), Failure> {
        self.is_changing = false;
        let until = self.wire.now().after(REST);
        while self.wire.now() < until {
            self.step(until)?;
        }
        for key in 0..self.options.keys {
            let truth = &self.server.truth.now(key).value;
            let (slot, is_wanted) = (&self.slots[key], self.is_wanted(key));
            let snapshot = slot.snapshot();
            let shown: Option<Value> = serde_json::from_str(&snapshot.record().to_json()).ok();
            if is_wanted && (!slot.freshness().is_live() || shown != *truth) {
                return Err(format!(
                    "at rest {} is {:?}, {shown:?}; the server has {truth:?}",
                    name(key),
                    slot.freshness()
                ));
            }
        }
        let truth: Vec<_> = (0..self.options.keys)
            .map(|key| {
                let value = self.server.truth.now(key).value.clone();
                value.filter(|_| self.is_wanted(key))
            })
            .collect();
        self.waiters.conclude(&self.slots, &truth)
    }

    fn is_wanted(&self, key: usize) -> bool {
        self.judge.keys[key].wanted_since.is_some()
    }

    /// What is not as it should be.
    fn is_well(&self) -> Result<(), String> {
        let now = self.wire.now();
        let then = now.as_nanos() - ON_ITS_WAY.as_nanos() as u64;
        for key in (0..self.options.keys).filter(|key| self.is_wanted(*key)) {
            let freshness = self.slots[key].freshness();
            if !freshness.is_live() {
                return Err(format!("{} is {freshness:?}", name(key)));
            }
            let due = self.server.truth.version_at(key, Time::from_nanos(then));
            let shown = self.judge.version(key);
            if shown.is_none_or(|shown| shown < due) {
                return Err(format!("{} is at {shown:?}, not {due}", name(key)));
            }
        }
        Ok(())
    }

    /// How long healing may take: until there is a connection, and then until whole values have come:
    /// with the connection, with their time, or by a resync.
    fn heals_within(&self) -> Duration {
        let connected = self.options.reconnects_within();
        let whole = match self.options.periodic {
            Some(every) => every + ON_ITS_WAY,
            None => self.resyncs_within(),
        };
        connected + whole
    }

    /// How long a resync takes, from when the value is lost: the stream has its time, the places and the pace
    /// are shared, an answer may have to be asked for twice, and whoever has failed before waits.
    fn resyncs_within(&self) -> Duration {
        let counters = self.wire.feed().counters();
        let first = RESYNC_AFTER * 3 / 2 + Duration::from_millis(150) * self.options.keys as u32;
        let asked = FETCH_TIMEOUT * 2 + Duration::from_secs(10);
        // Where queries fetch as well, one that was let go counts as a failure, and is counted nowhere.
        let failed = match self.options.asking {
            Asking::Both => 5,
            _ => counters.resyncs_failed.min(5) as u32,
        };
        let penalty = match failed {
            0 => Duration::ZERO,
            n => (Duration::from_secs(30) * 2_u32.pow(n - 1)).min(Duration::from_secs(300)) * 3 / 2,
        };
        first + asked + penalty
    }

    /// Counts what the feed has counted, and that it adds up.
    pub(crate) fn sum_up(&mut self, began: Time) -> Result<(), Failure> {
        let now = self.wire.now();
        let counters = self.wire.feed().counters();
        let tally = &mut self.tally;
        tally.virtual_ms = now.since(began).as_millis() as u64;
        tally.messages = counters.messages;
        tally.gaps = counters.gaps;
        tally.bridged = counters.bridged;
        tally.dropped = counters.older + counters.duplicate;
        tally.bulk = counters.bulk;
        tally.promotions = counters.promotions;
        tally.rotations = counters.rotations;
        tally.silences = counters.silences;
        tally.failures = counters.failures;
        let opened = (counters.opens, tally.connections);
        if opened.0 != opened.1 {
            return Err(format!(
                "{} connections were made, {} counted",
                opened.1, opened.0
            ));
        }
        let state = self.wire.feed().state();
        let dead = state
            .legs
            .iter()
            .filter(|leg| leg.last_loss == Some(Lost::Dead));
        tally.dead = dead.count() as u64;
        Ok(())
    }
}
