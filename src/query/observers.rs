//! Observers: who looks at a query, and what their coming, changing and leaving causes.

use super::events::EventKind;
use super::ids::{ObserverId, QueryIx};
use super::look::{Look, Values};
use super::machine::{At, Queries};
use super::notify::Shown;
use super::policy::{ObserverOptions, Refetch, StaleTime};
use super::state::Phase;
use super::timers::Timer;
use super::want::{Cancel, Cause};
use crate::Time;

/// One observer of one query.
#[derive(Debug)]
pub(super) struct Observer {
    pub(super) query: QueryIx,
    pub(super) options: ObserverOptions,
    /// What it saw last.
    pub(super) shown: Option<Shown>,
    /// From when its poll counts: its coming, or the last fetch that settled.
    pub(super) poll_from: Time,
    /// Whether a poll is due that waits for an answer.
    pub(super) due: bool,
    /// Whether an [`Action::Ask`](super::Action::Ask) is on its way.
    pub(super) asked: bool,
}

impl Observer {
    pub(super) fn is_static(&self) -> bool {
        self.options.stale == StaleTime::Static
    }

    /// Whether its coming fetches: without data always, else as it says.
    fn loads(&self, look: &Look, now: Time) -> bool {
        self.options.enabled
            && (!look.known()
                || self.wants(self.options.on_mount, look, now)
                || (self.is_static() && look.unsure && self.options.on_mount != Refetch::Never))
    }

    /// Whether an occasion fetches.
    pub(super) fn wants(&self, when: Refetch, look: &Look, now: Time) -> bool {
        self.options.enabled
            && !self.is_static()
            && match when {
                Refetch::Never => false,
                Refetch::IfStale => look.stale(self.options.stale, now),
                Refetch::Always => true,
            }
    }

    /// When the data turns stale to it; `NEVER` if it is stale, or does not by age.
    pub(super) fn stale_at(&self, look: &Look, now: Time) -> Time {
        if !self.options.enabled || look.stale(self.options.stale, now) {
            return Time::NEVER;
        }
        look.whole_at
            .map_or(Time::NEVER, |at| self.options.stale.deadline(at))
    }
}

impl<E: Clone> Queries<E> {
    /// Observes a query; `None` if it is gone. May start a fetch.
    pub(crate) fn observe(
        &mut self,
        query: QueryIx,
        options: ObserverOptions,
        now: Time,
        values: &dyn Values,
    ) -> Option<ObserverId> {
        let at = At::new(now, values);
        let q = self.registry.get_mut(query)?;
        let id = self.observers.insert(|_| Observer {
            query,
            options,
            shown: None,
            poll_from: now,
            due: false,
            asked: false,
        });
        q.observers.push(id);
        self.timers.clear(Timer::Collect(query));
        self.refresh(query, at);
        self.tell(query, EventKind::ObserverAdded);
        if options.enabled {
            self.enter(id, at);
        }
        self.arm_poll(id, at);
        Some(id)
    }

    /// Changes an observer's options. Enabling it fetches as the coming of a new one does.
    pub(crate) fn set_observer(
        &mut self,
        observer: ObserverId,
        options: ObserverOptions,
        now: Time,
        values: &dyn Values,
    ) {
        let at = At::new(now, values);
        let Some(o) = self.observers.get_mut(observer) else {
            return;
        };
        let query = o.query;
        let old = std::mem::replace(&mut o.options, options);
        let polls = |options: &ObserverOptions| options.polling.filter(|_| options.enabled);
        let newly_polled = polls(&old) != polls(&options);
        if newly_polled {
            o.poll_from = now;
            o.due = false;
        }
        self.refresh(query, at);
        match (old.enabled, options.enabled) {
            (false, true) => self.enter(observer, at),
            (true, false) => self.leave(query),
            _ => {}
        }
        if newly_polled {
            self.arm_poll(observer, at);
        }
    }

    /// An enabled observer has come. It answers for the marks that there have been: whether they
    /// fetch is its mount rule's to say, and a later mark is not to bring them up again.
    fn enter(&mut self, observer: ObserverId, at: At<'_>) {
        let Some(o) = self.observers.get(observer) else {
            return;
        };
        let query = o.query;
        let look = at.look(query);
        let loads = o.loads(&look, at.now);
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        q.enabled += 1;
        let first = q.enabled == 1;
        if first && q.flight.is_none() {
            q.acted = look.sum;
            q.doubted = look.unsure;
        }
        let fetchable = q.fetchable;
        if first {
            self.registry.set_active(query, true);
            self.mark_changed(query);
        }
        if loads && fetchable {
            self.request(query, false, Cause::Mount, Vec::new(), at);
        }
    }

    /// An enabled observer has gone.
    fn leave(&mut self, query: QueryIx) {
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        q.enabled -= 1;
        if q.enabled == 0 {
            self.registry.set_active(query, false);
            self.mark_changed(query);
        }
    }

    /// Ends an observation. With the last one, a fetch goes on without retries; unless the fetcher
    /// takes cancels or no attempt has begun: then it is cancelled, and the state goes back. A resync
    /// needs nobody who looks.
    pub(crate) fn unobserve(&mut self, observer: ObserverId, now: Time, values: &dyn Values) {
        let at = At::new(now, values);
        let Some(o) = self.observers.remove(observer) else {
            return;
        };
        self.timers.clear(Timer::Poll(observer));
        self.timers.clear(Timer::Stale(observer));
        let query = o.query;
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        q.observers.retain(|id| *id != observer);
        self.mark_changed(query);
        if o.options.enabled {
            self.leave(query);
        }
        self.tell(query, EventKind::ObserverRemoved);
        if let Some(q) = self.registry.get_mut(query)
            && q.observers.is_empty()
        {
            q.idle_since = now;
            self.let_go(query, at);
            self.arm_collect(query, at);
        }
        self.admit(at);
    }

    /// The last observer has left.
    fn let_go(&mut self, query: QueryIx, at: At<'_>) {
        let look = at.look(query);
        let Some(flight) = self.registry.get_mut(query).and_then(|q| q.flight.as_mut()) else {
            return;
        };
        if flight.resyncs {
            // The stream has lost the value still.
            return;
        }
        flight.no_retry = true;
        // Nobody looks any more: who waits for a fetch after this one is told by this one.
        if !flight.again {
            let next = std::mem::take(&mut flight.next);
            flight.promises.extend(next);
        }
        let first_paused = flight.phase == Phase::Paused && !look.known();
        let unwanted = flight.attempt == 0 && !flight.called;
        if flight.consumed || first_paused || unwanted {
            self.cancel_flight(query, Cancel::Revert, at);
        }
    }

    /// There is a fetcher now where there was none: observers that are there already are asked as
    /// if they came now.
    pub(super) fn became_fetchable(&mut self, query: QueryIx, at: At<'_>) {
        let Some(q) = self.registry.get(query) else {
            return;
        };
        let look = at.look(query);
        let observers = q.observers.clone();
        let loads = observers.iter().any(|id| {
            self.observers
                .get(*id)
                .is_some_and(|o| o.loads(&look, at.now))
        });
        if loads {
            self.request(query, false, Cause::Mount, Vec::new(), at);
        }
        for id in observers {
            if let Some(o) = self.observers.get_mut(id) {
                o.poll_from = at.now;
                self.arm_poll(id, at);
            }
        }
    }
}
