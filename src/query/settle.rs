//! How fetches end: with a result, with an error, by being cancelled; and whether another one
//! follows, because an invalidation came meanwhile (D4).

use std::time::Duration;

use super::Outcome;
use super::events::{Action, Update};
use super::ids::{FetchId, QueryIx};
use super::look::Values;
use super::machine::{At, Queries};
use super::state::{Flight, Phase};
use super::timers::Timer;
use super::want::{Cancel, Cause};
use crate::Time;

/// Results in a row that leave a doubt, and are each followed by another fetch.
const MAX_DOUBTS: u32 = 3;

impl<E: Clone> Queries<E> {
    /// The fetcher has taken its cancellation token: it will notice a cancel.
    pub(crate) fn handle_consumed(&mut self, fetch: FetchId) {
        if let Some(flight) = self
            .registry
            .get_mut(fetch.query())
            .and_then(|q| q.attempt(fetch))
        {
            flight.consumed = true;
        }
    }

    /// Asked before a result is written. `false`: drop it. `true`: from here on a cancel comes too
    /// late; `handle_landed` or `handle_failed` must follow.
    pub(crate) fn may_land(&mut self, fetch: FetchId) -> bool {
        let query = fetch.query();
        let Some(flight) = self.registry.get_mut(query).and_then(|q| q.attempt(fetch)) else {
            return false;
        };
        flight.phase = Phase::Landing;
        true
    }

    /// The result has been written, or has given way to a newer value.
    pub(crate) fn handle_landed(&mut self, fetch: FetchId, now: Time, values: &dyn Values) {
        let at = At::new(now, values);
        let query = fetch.query();
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        let Some(flight) = q.attempt(fetch) else {
            return;
        };
        if flight.discarded {
            self.restore_again(query, at);
        } else {
            q.reduce_landed();
            self.finish(query, Update::Success, &Outcome::Data, at);
        }
        self.admit(at);
    }

    /// The attempt failed. `retry_in`: there should be another one, this long from now.
    pub(crate) fn handle_failed(
        &mut self,
        fetch: FetchId,
        error: E,
        retry_in: Option<Duration>,
        now: Time,
        values: &dyn Values,
    ) {
        let at = At::new(now, values);
        let query = fetch.query();
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        let Some(flight) = q.attempt(fetch) else {
            return;
        };
        if flight.discarded {
            self.restore_again(query, at);
        } else if flight.again {
            flight.phase = Phase::Waiting;
            self.restart(query, at);
        } else if let Some(delay) = retry_in
            && !flight.no_retry
        {
            flight.phase = Phase::Waiting;
            q.reduce_failed(error);
            self.release(query);
            self.timers.set(Timer::Retry(query), now.after(delay));
            self.notify(query, Update::Failed, at);
        } else {
            q.reduce_failed(error.clone());
            self.fail(query, error, at);
        }
        self.admit(at);
    }

    /// A retry that nobody wants any more: the last failure is final.
    pub(super) fn give_up(&mut self, query: QueryIx, at: At<'_>) {
        let failure = self
            .registry
            .get(query)
            .and_then(|q| q.record.failure.clone());
        if let Some(error) = failure {
            self.fail(query, error, at);
        }
    }

    fn fail(&mut self, query: QueryIx, error: E, at: At<'_>) {
        if let Some(q) = self.registry.get_mut(query) {
            q.reduce_error(error.clone(), at.now);
            q.failing = q.failing.saturating_add(1);
            self.finish(query, Update::Error, &Outcome::Failed(error), at);
        }
    }

    /// A fetch has settled, well or not. Tells everyone, then begins another one if it has to be.
    fn finish(&mut self, query: QueryIx, update: Update, outcome: &Outcome<E>, at: At<'_>) {
        let Some(flight) = self.end(query, at) else {
            return;
        };
        self.notify(query, update, at);
        self.settle(flight.promises, outcome);
        let wanted = self.follows_marks(query) || !flight.next.is_empty();
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        let look = at.look(query);
        // A success is good for its stamp; an error is good for nothing. Only marks that came since
        // the attempt began count, so this cannot go round by itself; and of those the excused ones
        // only if somebody waits for what comes after them.
        let acted = if flight.next.is_empty() {
            q.acted
        } else {
            flight.sum
        };
        let failed = matches!(outcome, Outcome::Failed(_));
        let marked = look.sum > acted && (failed || !look.known() || look.invalidated());
        // A result leaves a doubt if that came while it was fetched; or if no result can end it.
        q.doubted = look.unsure;
        q.doubts = if look.unsure {
            q.doubts.saturating_add(1)
        } else {
            0
        };
        let due = marked || look.unsure && !failed && q.doubts <= MAX_DOUBTS;
        let cause = match flight.again {
            true => flight.cause,
            false if due && wanted => Cause::Invalidation,
            false => {
                q.acted = look.sum;
                return self.settle(flight.next, outcome);
            }
        };
        self.begin(query, cause, flight.next, at);
        if let Some(next) = self.registry.get_mut(query).and_then(|q| q.flight.as_mut()) {
            next.resyncs |= flight.resyncs_next;
        }
    }

    /// Takes the flight out. What waits for a fetch to settle runs from here: collection, polls.
    pub(super) fn end(&mut self, query: QueryIx, at: At<'_>) -> Option<Flight<E>> {
        self.release(query);
        self.timers.clear(Timer::Retry(query));
        let q = self.registry.get_mut(query)?;
        let flight = q.flight.take()?;
        q.idle_since = at.now;
        self.registry.set_flying(query, false);
        self.arm_collect(query, at);
        self.restart_polls(query, at);
        Some(flight)
    }

    /// Cancels the fetch, unless its result is landing already. Idle queries are left alone.
    ///
    /// What was invalidated meanwhile stays stale, and is fetched at the next occasion.
    pub(crate) fn cancel(
        &mut self,
        query: QueryIx,
        how: Cancel<E>,
        now: Time,
        values: &dyn Values,
    ) {
        let at = At::new(now, values);
        self.cancel_flight(query, how, at);
        self.admit(at);
    }

    pub(super) fn cancel_flight(&mut self, query: QueryIx, how: Cancel<E>, at: At<'_>) {
        let Some(q) = self.registry.get(query) else {
            return;
        };
        if q.flight
            .as_ref()
            .is_none_or(|flight| flight.phase == Phase::Landing)
        {
            return;
        }
        let Some(flight) = self.end(query, at) else {
            return;
        };
        if flight.phase == Phase::Running {
            self.act(Action::Abort { fetch: flight.id });
        }
        let look = at.look(query);
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        q.acted = look.sum;
        let outcome = match &how {
            Cancel::Revert if look.known() => Outcome::Data,
            _ => Outcome::Cancelled,
        };
        match how {
            Cancel::Revert => {
                q.reduce_revert(flight.before);
                self.notify(query, Update::Cancel, at);
            }
            Cancel::Fail(error) => {
                q.reduce_error(error, at.now);
                self.notify(query, Update::Error, at);
            }
        }
        self.settle(flight.promises, &outcome);
        self.settle(flight.next, &outcome);
    }
}
