//! Fetches, from when they are wanted to when an attempt begins: joined, begun anew, queued,
//! paused, retried.

use super::events::{Action, Update};
use super::ids::{FetchId, PromiseId, QueryIx};
use super::look::Values;
use super::machine::{At, Queries};
use super::policy::{NetworkMode, RefetchKind};
use super::state::{Flight, Phase};
use super::timers::Timer;
use super::want::{Cancel, Cause, Want, Wanted};
use crate::Time;

impl<E: Clone> Queries<E> {
    /// Fetches, or joins the fetch that is in flight. Whether observers are enabled does not
    /// matter.
    pub(crate) fn fetch(
        &mut self,
        query: QueryIx,
        want: Want,
        now: Time,
        values: &dyn Values,
    ) -> Wanted {
        let at = At::new(now, values);
        let Some(q) = self.registry.get(query) else {
            return Wanted::Gone;
        };
        if let Some(stale) = want.stale
            && !at.look(query).stale(stale, now)
        {
            return Wanted::Fresh;
        }
        if !q.fetchable {
            return Wanted::NoFetcher;
        }
        let promise = self.promise();
        self.request(query, want.restart, want.cause, vec![promise], at);
        let promise = self.share(query, promise);
        self.admit(at);
        Wanted::Waiting(promise)
    }

    /// Fetches those of `queries` that are of this kind and neither disabled nor static nor without
    /// a fetcher. Gives a promise for each whose fetch is not paused.
    ///
    /// Under [`Cause::Invalidation`] a promise is settled by a fetch that began after the last
    /// mark, and `restart` should be `false`: else a storm of invalidations is a storm of fetches.
    pub(crate) fn refetch(
        &mut self,
        queries: &[QueryIx],
        kind: RefetchKind,
        restart: bool,
        cause: Cause,
        now: Time,
        values: &dyn Values,
    ) -> Vec<PromiseId> {
        let at = At::new(now, values);
        let mut promises = Vec::new();
        for &query in queries {
            let Some(q) = self.registry.get(query) else {
                continue;
            };
            let wanted = match kind {
                RefetchKind::None => false,
                RefetchKind::Active => q.is_active(),
                RefetchKind::Inactive => !q.is_active(),
                RefetchKind::All => true,
            };
            let may = q.fetchable && !q.is_disabled(&at.look(query)) && !self.is_static(query);
            if !wanted || !may {
                continue;
            }
            let promise = self.promise();
            self.request(query, restart, cause, vec![promise], at);
            // Who refetches many does not wait for the network: what is paused counts as done.
            if let Some(q) = self.registry.get_mut(query)
                && let Some(flight) = &mut q.flight
                && flight.phase == Phase::Paused
            {
                flight.promises.retain(|waiting| *waiting != promise);
            } else {
                let promise = self.share(query, promise);
                promises.push(promise);
            }
        }
        self.admit(at);
        promises
    }

    /// Fetches a value that its stream has lost, in its time; or joins. Whether anybody observes it
    /// does not matter, nor whether its observers have a fetcher: the caller sees to that. What is
    /// healed before its time comes is not fetched, and its promise settled as if it were. `None`
    /// if the query is gone.
    pub(crate) fn resync(
        &mut self,
        query: QueryIx,
        now: Time,
        values: &dyn Values,
    ) -> Option<PromiseId> {
        let at = At::new(now, values);
        self.registry.get(query)?;
        let promise = self.promise();
        self.request(query, false, Cause::Resync, vec![promise], at);
        let promise = self.share(query, promise);
        self.admit(at);
        Some(promise)
    }

    /// No stream keeps up what this attempt would bring: it is given up, if it is for a resync alone.
    /// Whether it was.
    pub(crate) fn forgo(&mut self, fetch: FetchId, now: Time, values: &dyn Values) -> bool {
        let (query, at) = (fetch.query(), At::new(now, values));
        let is_resync = self.is_resync(fetch);
        if is_resync {
            self.cancel_flight(query, Cancel::Revert, at);
            self.admit(at);
        }
        is_resync
    }

    /// Whether the fetch is for a resync alone.
    pub(crate) fn is_resync(&self, fetch: FetchId) -> bool {
        self.registry.get(fetch.query()).is_some_and(|q| {
            // An observer may have joined it, and left.
            let alone = |it: &Flight<E>| {
                it.cause.is_paced() || (it.resyncs && !it.called && q.observers.is_empty())
            };
            let flight = q.flight.as_ref();
            flight.is_some_and(|it| it.id == fetch && alone(it))
        })
    }

    /// How many resyncs wait for their time.
    pub(crate) fn resyncs_waiting(&self) -> usize {
        self.budget.paced()
    }

    /// Whether the attempt occupies a place that others wait for, or a resync waits for it, so that it
    /// must not hang.
    pub(crate) fn is_limited(&self, fetch: FetchId) -> bool {
        let flight = self.registry.get(fetch.query());
        let flight = flight.and_then(|q| q.flight.as_ref());
        flight.is_some_and(|it| it.id == fetch && (it.counted || it.resyncs))
    }

    /// The promise of those who wait for the same as the one that came last: so a fetch that hangs
    /// can be called for without end, and nothing grows.
    fn share(&mut self, query: QueryIx, promise: PromiseId) -> PromiseId {
        let flight = self.registry.get_mut(query).and_then(|q| q.flight.as_mut());
        let Some(flight) = flight else {
            return promise;
        };
        for waiting in [&mut flight.promises, &mut flight.next] {
            if let [first, .., last] = waiting[..]
                && last == promise
            {
                waiting.pop();
                return first;
            }
        }
        promise
    }

    /// Fetches, or joins: whoever waits is told by the fetch that serves the request.
    pub(super) fn request(
        &mut self,
        query: QueryIx,
        restart: bool,
        cause: Cause,
        promises: Vec<PromiseId>,
        at: At<'_>,
    ) {
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        let Some(flight) = &mut q.flight else {
            return self.begin(query, cause, promises, at);
        };
        flight.no_retry = false;
        flight.cause = flight.cause.joined(cause);
        flight.called |= cause == Cause::User;
        let is_resync = cause == Cause::Resync;
        flight.resyncs |= is_resync;
        let look = at.look(query);
        let marked = cause.follows_mark() && look.sum > flight.sum;
        // Who comes now wants what the mark was about, also if it was excused before.
        q.acted = q.acted.min(flight.sum);
        match flight.phase {
            // Too late to begin anew: another fetch follows.
            Phase::Landing if restart || flight.discarded => {
                flight.again = true;
                flight.next.extend(promises);
                flight.resyncs_next |= is_resync;
            }
            Phase::Running | Phase::Waiting if restart && look.known() => {
                flight.promises.extend(promises);
                self.restart(query, at);
            }
            Phase::Running | Phase::Landing if marked => {
                flight.next.extend(promises);
                flight.resyncs_next |= is_resync;
            }
            Phase::Running | Phase::Landing | Phase::Waiting | Phase::Paused => {
                flight.promises.extend(promises);
            }
            Phase::Queued(ticket) => {
                flight.promises.extend(promises);
                if !flight.cause.is_mass() {
                    self.budget.leave(ticket);
                    self.attempt(query, false, at);
                } else if !flight.cause.is_paced() {
                    self.budget.hasten(ticket);
                }
            }
        }
    }

    /// A fetch begins.
    pub(super) fn begin(
        &mut self,
        query: QueryIx,
        cause: Cause,
        promises: Vec<PromiseId>,
        at: At<'_>,
    ) {
        let id = self.fetch_id(query);
        let look = at.look(query);
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        let before = q.reduce_begin(&look);
        q.flight = Some(Flight {
            id,
            // Until `attempt` decides, a few lines on.
            phase: Phase::Waiting,
            cause,
            attempt: 0,
            sum: look.sum,
            called: cause == Cause::User,
            resyncs: cause == Cause::Resync,
            consumed: false,
            no_retry: false,
            counted: false,
            promises,
            next: Vec::new(),
            resyncs_next: false,
            again: false,
            discarded: false,
            before,
        });
        self.registry.set_flying(query, true);
        self.timers.clear(Timer::Collect(query));
        let paused = !self.may_attempt(query);
        if paused {
            self.set_phase(query, Phase::Paused);
        }
        self.notify(query, Update::Fetch, at);
        if paused {
            self.notify(query, Update::Pause, at);
        } else {
            self.attempt(query, cause.is_mass(), at);
        }
    }

    /// Aborts the attempt and begins anew; whoever waits is told by the new fetch.
    pub(super) fn restart(&mut self, query: QueryIx, at: At<'_>) {
        let id = self.fetch_id(query);
        self.release(query);
        self.timers.clear(Timer::Retry(query));
        let Some(flight) = self.registry.get_mut(query).and_then(|q| {
            q.record.failure_count = 0;
            q.record.failure = None;
            q.flight.as_mut()
        }) else {
            return;
        };
        let old = std::mem::replace(&mut flight.id, id);
        let running = flight.phase == Phase::Running;
        flight.phase = Phase::Waiting;
        flight.attempt = 0;
        flight.consumed = false;
        flight.again = false;
        let next = std::mem::take(&mut flight.next);
        flight.promises.extend(next);
        flight.resyncs_next = false;
        let mass = flight.cause.is_mass();
        if running {
            self.act(Action::Abort { fetch: old });
        }
        self.mark_changed(query);
        self.attempt(query, mass, at);
    }

    /// Makes the next attempt now, or when the network, the focus and the budget allow it.
    pub(super) fn attempt(&mut self, query: QueryIx, mass: bool, at: At<'_>) {
        if !self.may_attempt(query) {
            self.set_phase(query, Phase::Paused);
            return self.notify(query, Update::Pause, at);
        }
        let paced = mass && self.is_paced(query);
        if paced && self.is_healed(query, at) {
            return self.heal(query, at);
        }
        if mass && !self.budget.take(paced, at.now) {
            let ticket = self.budget.queue(query, paced);
            return self.set_phase(query, Phase::Queued(ticket));
        }
        self.launch(query, mass, at);
    }

    /// The stream has healed it meanwhile: there is nothing left to be fetched.
    fn heal(&mut self, query: QueryIx, at: At<'_>) {
        self.cancel_flight(query, Cancel::Revert, at);
    }

    fn is_paced(&self, query: QueryIx) -> bool {
        let flight = self.registry.get(query).and_then(|q| q.flight.as_ref());
        flight.is_some_and(|flight| flight.cause.is_paced())
    }

    /// Whether a value that should be resynced needs it no more.
    fn is_healed(&self, query: QueryIx, at: At<'_>) -> bool {
        let look = at.look(query);
        look.known() && !look.unsure && !look.invalidated()
    }

    /// An attempt begins: it is good for the invalidations that there have been so far.
    fn launch(&mut self, query: QueryIx, counted: bool, at: At<'_>) {
        let sum = at.look(query).sum;
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        q.acted = sum;
        let Some(flight) = &mut q.flight else {
            return;
        };
        flight.phase = Phase::Running;
        flight.counted = counted;
        flight.sum = sum;
        flight.attempt = flight.attempt.saturating_add(1);
        let (fetch, attempt) = (flight.id, flight.attempt);
        self.act(Action::Start {
            query,
            fetch,
            attempt,
        });
    }

    /// Lets those attempts begin for which the budget has places now.
    pub(super) fn admit(&mut self, at: At<'_>) {
        while let Some(query) = self.budget.admit(at.now) {
            if self.is_paced(query) && self.is_healed(query, at) {
                self.budget.refund();
                self.heal(query, at);
            } else if self.may_attempt(query) {
                self.launch(query, true, at);
            } else {
                self.budget.give();
                self.set_phase(query, Phase::Paused);
                self.notify(query, Update::Pause, at);
            }
        }
        self.timers.set(Timer::Admit, self.budget.next_admission());
    }

    /// The present attempt is over: its place is free.
    pub(super) fn release(&mut self, query: QueryIx) {
        let Some(flight) = self.registry.get_mut(query).and_then(|q| q.flight.as_mut()) else {
            return;
        };
        if std::mem::take(&mut flight.counted) {
            self.budget.give();
        }
        if let Phase::Queued(ticket) = flight.phase {
            self.budget.leave(ticket);
        }
    }

    /// The delay before a retry is over.
    pub(super) fn retry(&mut self, query: QueryIx, at: At<'_>) {
        let Some(flight) = self.registry.get(query).and_then(|q| q.flight.as_ref()) else {
            return;
        };
        if flight.no_retry {
            return self.give_up(query, at);
        }
        let mass = flight.cause.is_mass();
        self.attempt(query, mass, at);
    }

    /// Goes on with a fetch that was paused, if it may now. Many of them go on at once, so only
    /// what somebody called for is not held back.
    pub(super) fn resume(&mut self, query: QueryIx, at: At<'_>) {
        let Some(flight) = self.registry.get(query).and_then(|q| q.flight.as_ref()) else {
            return;
        };
        if flight.phase != Phase::Paused || !self.may_attempt(query) {
            return;
        }
        if flight.no_retry && flight.attempt > 0 {
            return self.give_up(query, at);
        }
        let mass = !flight.called;
        self.set_phase(query, Phase::Waiting);
        self.notify(query, Update::Continue, at);
        self.attempt(query, mass, at);
    }

    /// Whether the network allows the next attempt; and the focus, if it is a retry.
    fn may_attempt(&self, query: QueryIx) -> bool {
        let Some(q) = self.registry.get(query) else {
            return false;
        };
        let Some(flight) = &q.flight else {
            return false;
        };
        if flight.attempt == 0 {
            return self.network_allows(q.options.network);
        }
        self.focused && (self.online || q.options.network == NetworkMode::Always)
    }

    /// Whether the network allows a first attempt.
    pub(super) fn network_allows(&self, mode: NetworkMode) -> bool {
        self.online || mode != NetworkMode::Online
    }

    /// Whether one of its observers says that the data never changes.
    pub(super) fn is_static(&self, query: QueryIx) -> bool {
        self.registry.get(query).is_some_and(|q| {
            q.observers
                .iter()
                .any(|id| self.observers.get(*id).is_some_and(|o| o.is_static()))
        })
    }

    fn set_phase(&mut self, query: QueryIx, phase: Phase) {
        if let Some(flight) = self.registry.get_mut(query).and_then(|q| q.flight.as_mut()) {
            flight.phase = phase;
        }
    }

    fn fetch_id(&mut self, query: QueryIx) -> FetchId {
        self.fetches += 1;
        FetchId {
            query,
            number: self.fetches,
        }
    }
}
