//! How queries come, change, are written, start over and go.

use super::Outcome;
use super::events::{Action, EventKind, Update};
use super::ids::{PromiseId, QueryIx};
use super::look::Values;
use super::machine::{At, Queries};
use super::policy::Options;
use super::state::{Phase, Query, Record};
use super::timers::Timer;
use super::want::Cause;
use crate::Time;
use crate::key::Key;

impl<E: Clone> Queries<E> {
    /// The query of this key; made, if there is none, with these options (`true`: it was made). The
    /// options of one that exists are left alone. `fetchable`: it has a fetcher.
    pub(crate) fn insert(
        &mut self,
        key: Key,
        options: Options,
        fetchable: bool,
        now: Time,
        values: &dyn Values,
    ) -> (QueryIx, bool) {
        if let Some(query) = self.registry.find(&key) {
            return (query, false);
        }
        let query = self.registry.insert(&key.clone(), |number| Query {
            key,
            number,
            options,
            fetchable,
            record: Record::default(),
            flight: None,
            observers: Vec::new(),
            enabled: 0,
            failing: 0,
            idle_since: now,
            acted: 0,
            doubted: false,
            doubts: 0,
            flagged: None,
            restores: 0,
            restoring: Vec::new(),
            changed: false,
        });
        self.tell(query, EventKind::Added);
        self.arm_collect(query, At::new(now, values));
        (query, true)
    }

    /// Changes the options; of gc times, the longest ever given stays.
    pub(crate) fn set_options(
        &mut self,
        query: QueryIx,
        options: Options,
        fetchable: bool,
        now: Time,
        values: &dyn Values,
    ) {
        let at = At::new(now, values);
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        let gc = q.options.gc.max(options.gc);
        q.options = Options { gc, ..options };
        let fetchable_now = fetchable && !q.fetchable;
        q.fetchable = fetchable;
        self.arm_collect(query, at);
        if fetchable_now {
            self.became_fetchable(query, at);
        } else if !fetchable {
            self.stop_polls(query, at);
        }
    }

    /// The application wrote the value (not: a stream did).
    pub(crate) fn handle_set(&mut self, query: QueryIx, now: Time, values: &dyn Values) {
        if let Some(q) = self.registry.get_mut(query) {
            q.reduce_set();
            self.notify(query, Update::Set, At::new(now, values));
        }
    }

    /// Puts a query back to its initial state ([`Action::Restore`]), then fetches it if it is
    /// active. The promise, if there is one, is settled by that fetch. Who waited for a fetch is
    /// told that it was cancelled; a result that is landing is put away after it has.
    pub(crate) fn reset(
        &mut self,
        query: QueryIx,
        now: Time,
        values: &dyn Values,
    ) -> Option<PromiseId> {
        let at = At::new(now, values);
        self.registry.get(query)?;
        self.abandon(query, at);
        let refetches = self.follows_marks(query);
        let promise = refetches.then(|| self.promise());
        let q = self.registry.get_mut(query)?;
        q.record = Record::default();
        q.failing = 0;
        q.flagged = None;
        q.restores += 1;
        q.restoring.extend(promise);
        if let Some(flight) = &mut q.flight {
            flight.before.error = None;
        }
        q.idle_since = now;
        self.mark_changed(query);
        self.arm_collect(query, at);
        self.act(Action::Restore { query });
        self.admit(at);
        promise
    }

    /// Ends the fetch without a word but to those who wait; one that is landing is marked.
    fn abandon(&mut self, query: QueryIx, at: At<'_>) {
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        let Some(flight) = &mut q.flight else {
            return;
        };
        let mut waiting = std::mem::take(&mut flight.promises);
        waiting.append(&mut flight.next);
        let (fetch, phase) = (flight.id, flight.phase);
        if phase == Phase::Landing {
            flight.discarded = true;
            flight.again = false;
        } else {
            self.end(query, at);
        }
        if phase == Phase::Running {
            self.act(Action::Abort { fetch });
        }
        self.settle(waiting, &Outcome::Cancelled);
    }

    /// A result has landed, or failed to, after the query was reset.
    pub(super) fn restore_again(&mut self, query: QueryIx, at: At<'_>) {
        let Some(flight) = self.end(query, at) else {
            return;
        };
        if let Some(q) = self.registry.get_mut(query) {
            q.restores += 1;
            q.restoring.extend(flight.next);
            self.act(Action::Restore { query });
        }
    }

    /// What [`Action::Restore`] asked for has been done.
    pub(crate) fn handle_restored(&mut self, query: QueryIx, now: Time, values: &dyn Values) {
        let at = At::new(now, values);
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        if q.restores == 0 {
            return;
        }
        q.restores -= 1;
        if q.restores > 0 {
            return;
        }
        let promises = std::mem::take(&mut q.restoring);
        let fetchable = q.fetchable;
        self.notify(query, Update::Reset, at);
        if fetchable && (self.follows_marks(query) || !promises.is_empty()) {
            self.request(query, false, Cause::User, promises, at);
        } else {
            self.settle(promises, &Outcome::Cancelled);
            self.arm_collect(query, at);
        }
    }

    /// Drops a query, its observers and its fetch. Who waits is told that it was cancelled. An
    /// observer of it names nothing from here on, also if a query of the same key is made later.
    pub(crate) fn remove(&mut self, query: QueryIx, now: Time, values: &dyn Values) {
        let at = At::new(now, values);
        self.drop_query(query, at);
        self.admit(at);
    }

    fn drop_query(&mut self, query: QueryIx, at: At<'_>) {
        self.abandon(query, at);
        // What is landing cannot be held up; when it reports, nobody will know it.
        self.release(query);
        let Some(q) = self.registry.remove(query) else {
            return;
        };
        self.timers.clear(Timer::Collect(query));
        self.timers.clear(Timer::Retry(query));
        for observer in q.observers {
            self.observers.remove(observer);
            self.timers.clear(Timer::Poll(observer));
            self.timers.clear(Timer::Stale(observer));
        }
        self.settle(q.restoring, &Outcome::Cancelled);
        let key = q.key.clone();
        self.act(Action::Removed { query, key: q.key });
        self.tell_of(key, EventKind::Removed);
    }

    /// Sets when the query is to be collected, if it is idle and nobody observes it.
    pub(super) fn arm_collect(&mut self, query: QueryIx, at: At<'_>) {
        let Some(q) = self.registry.get(query) else {
            return;
        };
        let idle = q.observers.is_empty() && q.flight.is_none();
        let deadline = if idle && q.restores == 0 {
            q.idle_since.after(q.options.gc).max(at.now)
        } else {
            Time::NEVER
        };
        self.timers.set(Timer::Collect(query), deadline);
    }

    /// Nobody has used the query for its gc time; unless it was written and that counts (D10).
    pub(super) fn collect(&mut self, query: QueryIx, at: At<'_>) {
        let Some(q) = self.registry.get(query) else {
            return;
        };
        let written = at.look(query).received_at.after(q.options.gc);
        if q.options.writes_keep && written > at.now {
            return self.timers.set(Timer::Collect(query), written);
        }
        self.drop_query(query, at);
    }
}
