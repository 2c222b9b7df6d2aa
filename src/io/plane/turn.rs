//! What the plane does when it goes on: marks, times, effects.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::task::Waker;

use super::Plane;
use super::core::{Effect, Running};
use super::heed::Heed;
use super::owed::OWED_PAUSE;
use super::query::Query;
use super::run::{Run, work};
use super::settings::Settings;
use super::token::CancelToken;
use crate::Time;
use crate::io::command::Command;
use crate::io::latch::WakeOn;
use crate::io::slow::SLOW;
use crate::key::{Id, Key};
use crate::query::{FetchId, ObserverId, QueryIx};
use crate::store::{Entity, Head, Slot};
use crate::sync::Arc;

/// Turns of one [`Plane::drive`]: more would be a fetcher that fails at once for ever.
const MAX_TURNS: usize = 4096;

impl Plane {
    /// By hand: runs everything that is due on this thread (marks, timeouts, effects, fetches that
    /// can go on), until nothing is. Gives when something is due next. With a runtime of its own the
    /// plane goes on by itself, and this only helps.
    pub(crate) fn drive(self: &Arc<Self>) -> Option<Time> {
        let executor = self.executor.get()?;
        for _ in 0..MAX_TURNS {
            let next = self.turn();
            let polled = executor.poll_ready();
            if self.is_closed() {
                return None;
            }
            if !polled && !self.is_due(next) {
                return next;
            }
        }
        Some(self.clock.now())
    }

    fn is_due(&self, next: Option<Time>) -> bool {
        next.is_some_and(|next| next <= self.clock.now())
            || self.lock().scans != self.hub.scans().level()
    }

    /// Does what is due. Gives when something is due next.
    pub(super) fn turn(self: &Arc<Self>) -> Option<Time> {
        self.timers.fire(self.clock.now(), &waking());
        // Before the generations that it stands for.
        let scans = self.hub.scans().level();
        let (marked, mut owed, heeding) = self.with(|core, now| {
            if core.closed {
                return Default::default();
            }
            let mut marked = Vec::new();
            if core.scans != scans {
                core.scans = scans;
                core.mark_lists();
                core.machine.handle_marks(now, &core.table);
                marked = core.side.take_marked();
            }
            core.machine.handle_timeout(now, &core.table);
            let heeding = core.ask_heeding(now);
            (marked, std::mem::take(&mut core.owed), heeding)
        });
        for entity in marked {
            self.refetch_entity(&entity);
        }
        let resyncing = self.resync_turn();
        owed.retain(|owed| !self.is_let_go(owed));
        let mut core = self.lock();
        core.owed.append(&mut owed);
        let again = (!core.owed.is_empty()).then(|| self.clock.now().after(OWED_PAUSE));
        let next = [
            core.machine.poll_timeout(),
            self.timers.next(),
            again,
            heeding,
            resyncing,
        ];
        let next = next.into_iter().flatten().min();
        core.planned = next.unwrap_or(Time::NEVER);
        next
    }

    /// Carries out the effects that wait, unless somebody does so already, who then takes these, too.
    pub(super) fn flush(self: &Arc<Self>) {
        loop {
            if std::mem::replace(&mut *self.is_flushing(), true) {
                return;
            }
            let done = Flushed(self);
            while let Some(effect) = self.next_effect() {
                self.carry_out(effect);
            }
            drop(done);
            // Left by somebody who found this busy just before it ended.
            if self.lock().effects.is_empty() {
                return;
            }
        }
    }

    fn next_effect(&self) -> Option<Effect> {
        self.lock().effects.pop_front()
    }

    fn is_flushing(&self) -> std::sync::MutexGuard<'_, bool> {
        self.flushing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry_out(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Start {
                query,
                fetch,
                attempt,
                token,
            } => self.start(query, fetch, attempt, token),
            Effect::Abort(running) => running.stop(&waking()),
            Effect::Settle(promise, result) => {
                promise.set(result, &waking());
            }
            Effect::Ask {
                query,
                observer,
                settings,
            } => self.ask(&query, observer, &settings),
            Effect::Restore(ix, query) => self.restore_slot(ix, &query),
            Effect::Begin(query, at) => self.begin(query, at),
            Effect::Forget(query) => {
                if let Some(slot) = query.slot() {
                    self.purge(slot.entity(), slot.id(), &slot.slot());
                }
            }
            Effect::Leave(entity, members) => {
                for (id, slot) in members.ids.iter().zip(&*members.slots) {
                    self.purge(&entity, id, slot);
                }
            }
        }
    }

    fn start(
        self: &Arc<Self>,
        query: Arc<Query>,
        fetch: FetchId,
        attempt: u32,
        token: CancelToken,
    ) {
        if !self.lock().fetches.contains_key(&fetch) {
            return;
        }
        let is_unkept = self.lock().resyncs.is_unkept(&query);
        if is_unkept && self.with(|core, now| core.machine.forgo(fetch, now, &core.table)) {
            return;
        }
        let executor = match self.executor() {
            Ok(executor) => executor,
            Err(error) => return self.fail(fetch, error.into(), None),
        };
        let name = format!("the fetch of {}", query.key());
        let run = Run {
            plane: Arc::clone(self),
            executor: executor.clone(),
            settings: query.settings(),
            query,
            fetch,
            attempt,
            token,
            told: false,
            landing: false,
        };
        let task = executor.spawn(name, work(run));
        let mut core = self.lock();
        match core.fetches.get_mut(&fetch) {
            Some(running) => running.task = Some(task),
            None => {
                // Given up, or at its end, before it was here.
                drop(core);
                task.abort();
            }
        }
    }

    /// Asks an observer's functions of the state.
    fn ask(self: &Arc<Self>, query: &Arc<Query>, observer: ObserverId, settings: &Settings) {
        let heed = Heed::look(query, settings);
        let state = query.state();
        let stale = settings.stale_now(query, &state);
        let polling = settings.polling_now(query, &state);
        self.with(|core, now| {
            if !core.closed {
                core.machine
                    .answer(observer, polling, stale, now, &core.table);
                if core.observers.contains_key(&observer) {
                    core.heed(observer, heed, polling, now);
                }
            }
        });
    }

    /// Puts a slot back to its initial data. What a feed writes stays: it is the stream's.
    fn restore_slot(self: &Arc<Self>, ix: QueryIx, query: &Arc<Query>) {
        if let Some(slot) = query.slot() {
            self.purge_slot(slot.entity(), slot.id(), &slot.slot(), None);
            slot.set_none(None);
        }
        self.with(|core, now| {
            if !core.closed {
                core.begin_with_initial(query, now);
                core.machine.handle_restored(ix, now, &core.table);
                core.publish(ix, now);
            }
        });
    }

    /// Lets go of a value that was fetched, unless somebody still looks at it: a query, a watch, a
    /// list.
    fn purge(&self, entity: &Arc<Entity>, id: &Id, slot: &Slot) {
        let key = Key::of_slot(Arc::clone(entity.name()), id.clone());
        let core = self.lock();
        let wanted = core.side.is_watched(&key)
            || core.machine.find(&key).is_some()
            || core.is_listed(entity, slot);
        let seen = Box::new(slot.head());
        drop(core);
        // Somebody may want it from here on, and have it written: then it stays.
        if !wanted {
            self.purge_slot(entity, id, slot, Some(seen));
        }
    }

    /// Ends a slot that no feed owns.
    fn purge_slot(&self, entity: &Arc<Entity>, id: &Id, slot: &Slot, seen: Option<Box<Head>>) {
        if entity.owner().is_some_and(|owner| &*owner != SLOW) || slot.is_detached() {
            return;
        }
        let command = Command::Purge {
            entity: Arc::clone(entity.name()),
            id: id.clone(),
            seen,
        };
        // A feed that has come just now has the value in its care.
        let _ = self.owners.send(entity, command);
    }
}

/// The end of carrying out effects, reached by a panic as well.
struct Flushed<'a>(&'a Plane);

impl Drop for Flushed<'_> {
    fn drop(&mut self) {
        *self.0.is_flushing() = false;
    }
}

/// Drops what a user made, and lives through a drop that panics.
pub(super) fn let_fall(what: impl Sized) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(what))) {
        std::mem::forget(payload);
    }
}

/// Runs wakers here, and lives through one that panics: it is another one's task.
pub(super) fn waking() -> WakeOn {
    WakeOn::elsewhere(|wakers| {
        for waker in wakers {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| Waker::wake(waker))) {
                std::mem::forget(payload);
            }
        }
    })
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("key", self.query.key())
            .finish_non_exhaustive()
    }
}
