//! Polls: each observer's own clock (D6), the functions that set it, and what makes a poll wait.

use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::FixedState;

use super::ids::{ObserverId, QueryIx};
use super::look::Values;
use super::machine::{At, Queries};
use super::policy::{Poll, Polling, StaleTime};
use super::timers::Timer;
use super::want::Cause;
use crate::Time;
use crate::key::Key;

/// How far failures put off a poll at most; an interval above this one is not put off.
pub(super) const MAX_POLL_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// How soon a poll that waits for a quiet stream looks again at the earliest.
const MIN_QUIET_WAIT: Duration = Duration::from_millis(1);

/// How long after the last fetch the next poll comes: the interval, doubled with every failure in
/// a row up to a cap, and up to `percent` more of that, by the key's hash, so that queries which
/// came together do not stay together.
pub(super) fn delay(interval: Duration, failing: u32, percent: u32, key: &Key) -> Duration {
    let doubled = interval.saturating_mul(2_u32.saturating_pow(failing));
    let backed_off = doubled.min(MAX_POLL_BACKOFF).max(interval);
    // A fixed seed: the same key waits equally long in every run.
    let hash = FixedState::with_seed(0).hash_one(key) >> 48;
    let share = u128::from(percent) * u128::from(hash);
    let jitter = backed_off.as_nanos().saturating_mul(share) / (100 << 16);
    backed_off.saturating_add(Duration::from_nanos(
        u64::try_from(jitter).unwrap_or(u64::MAX),
    ))
}

impl<E: Clone> Queries<E> {
    /// What the functions of an observer say of the present state. `polling`: how it polls from
    /// now on, `None` not at all; `stale`: its stale time, `None` leaves it.
    ///
    /// May be called unasked, when a stream has moved the value. An interval that changes counts
    /// from the last fetch; polling that was stopped begins with an interval from now.
    pub(crate) fn answer(
        &mut self,
        observer: ObserverId,
        polling: Option<Polling>,
        stale: Option<StaleTime>,
        now: Time,
        values: &dyn Values,
    ) {
        let at = At::new(now, values);
        let Some(o) = self.observers.get_mut(observer) else {
            return;
        };
        let query = o.query;
        let restale = stale.is_some_and(|stale| stale != o.options.stale);
        o.options.stale = stale.unwrap_or(o.options.stale);
        let before = interval(o.options.polling);
        let after = interval(polling);
        o.options.polling = polling;
        let due = std::mem::take(&mut o.due);
        if restale {
            self.refresh(query, at);
        }
        let Some(o) = self.observers.get_mut(observer) else {
            return;
        };
        if before.is_none() {
            o.poll_from = now;
        }
        if before != after || due {
            // A poll that is still due is due now, and has its answer.
            if due && after.is_some() && self.poll_at(observer).is_some_and(|next| next <= now) {
                self.tick(observer, at);
            } else {
                self.arm_poll(observer, at);
            }
        }
    }

    /// When the next poll of an observer is, by its clock; `None` if it does not poll.
    fn poll_at(&self, observer: ObserverId) -> Option<Time> {
        let o = self.observers.get(observer)?;
        let q = self.registry.get(o.query)?;
        let interval = interval(o.options.polling)?;
        if !o.options.enabled || !q.fetchable {
            return None;
        }
        let percent = self.config.poll_jitter_percent;
        Some(
            o.poll_from
                .after(delay(interval, q.failing, percent, &q.key)),
        )
    }

    pub(super) fn arm_poll(&mut self, observer: ObserverId, at: At<'_>) {
        let next = self.poll_at(observer);
        let next = next.map_or(Time::NEVER, |next| next.max(at.now));
        self.timers.set(Timer::Poll(observer), next);
    }

    /// A fetch has settled: the clocks of all observers run from here.
    pub(super) fn restart_polls(&mut self, query: QueryIx, at: At<'_>) {
        let Some(q) = self.registry.get(query) else {
            return;
        };
        for id in q.observers.clone() {
            if let Some(o) = self.observers.get_mut(id) {
                o.poll_from = at.now;
                o.due = false;
                self.arm_poll(id, at);
            }
        }
    }

    /// There is nothing to poll with.
    pub(super) fn stop_polls(&mut self, query: QueryIx, at: At<'_>) {
        let observers = self.registry.get(query).map(|q| q.observers.clone());
        for id in observers.unwrap_or_default() {
            self.arm_poll(id, at);
        }
    }

    /// The poll of an observer is due. Whoever polls by a function is asked first, since a stream
    /// may have moved the value without the machine having been told.
    pub(super) fn poll(&mut self, observer: ObserverId, at: At<'_>) {
        let Some(o) = self.observers.get_mut(observer) else {
            return;
        };
        // A running fetch is this poll; when it settles the clock starts anew.
        if self
            .registry
            .get(o.query)
            .is_none_or(|q| q.flight.is_some())
        {
            return;
        }
        if o.options.asks {
            o.due = true;
            self.ask_one(observer);
        } else {
            self.tick(observer, at);
        }
    }

    /// Polls now, unless something is in the way: then in an interval, or when the stream is quiet.
    fn tick(&mut self, observer: ObserverId, at: At<'_>) {
        let Some(o) = self.observers.get_mut(observer) else {
            return;
        };
        let (query, Some(polling)) = (o.query, o.options.polling) else {
            return;
        };
        let Some(q) = self.registry.get(query) else {
            return;
        };
        if !q.fetchable {
            return;
        }
        let mode = q.options.network;
        if !(self.focused || polling.in_background) || !self.network_allows(mode) {
            if let Some(o) = self.observers.get_mut(observer) {
                o.poll_from = at.now;
            }
            return self.arm_poll(observer, at);
        }
        let look = at.look(query);
        if let Some(quiet_for) = polling.only_if_quiet_for
            && !look.quiet
            && at.now.since(look.received_at) < quiet_for
        {
            let next = look.received_at.after(quiet_for);
            let next = next.max(at.now.after(MIN_QUIET_WAIT));
            return self.timers.set(Timer::Poll(observer), next);
        }
        self.request(query, false, Cause::Poll, Vec::new(), at);
    }
}

fn interval(polling: Option<Polling>) -> Option<Duration> {
    polling
        .map_or(Poll::Stop, |polling| polling.every)
        .interval()
}
