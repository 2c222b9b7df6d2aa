//! A reader of one slot that is woken when it moves: the newest value only, never a queue.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use super::error::NotLive;
use super::freshness::Freshness;
use super::latency::WakeTimer;
use super::slot::{Slot, Snapshot};
use crate::Time;
use crate::feed::Waiter;
use crate::io::plane::SlotObservation;
use crate::record::{Record, Value};
use crate::store::{Registration, Seen, Woken};

/// The cache has been closed: nothing will move any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cache has been closed")]
pub struct Closed;

/// Why a blocking wait ended without news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// Nothing moved in time.
    #[error("nothing moved in time")]
    TimedOut,
    /// The cache has been closed.
    #[error("the cache has been closed")]
    Closed,
}

impl WaitError {
    /// Whether waiting again may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::TimedOut)
    }
}

impl From<Closed> for WaitError {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// Watches one slot. The first look yields the present value; each further one waits until the
/// value or its freshness is another.
///
/// Everything that came between two looks is conflated into the newest: a slow watcher costs the
/// writer nothing and holds nothing up. Dropping a wait half-way loses nothing.
///
/// A watched slot counts as observed: where somebody has said how it is fetched
/// ([`Cache::defaults`](super::Cache::defaults)), it is fetched when it is stale, and refetched when
/// it is invalidated.
pub struct Watch {
    slot: Slot,
    registration: Option<Registration>,
    last: Option<Snapshot>,
    seen: Seen,
    /// It has gone to sleep since the last news.
    slept: bool,
    timer: WakeTimer,
    /// A watched slot is observed: fetched when it is stale, where somebody has said how.
    _observed: SlotObservation,
}

impl Watch {
    pub(crate) fn new(slot: Slot) -> Self {
        Self {
            _observed: slot.observed(),
            slot,
            registration: None,
            last: None,
            seen: Seen::default(),
            slept: false,
            timer: WakeTimer::default(),
        }
    }

    /// The slot.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Waits for news on any executor: a new value, a removal, or a change of freshness (loss of
    /// the connection, gap, silence, invalidation, expiry). The first call yields what there is.
    ///
    /// # Errors
    /// [`Closed`] once the cache has been closed and the last news was seen.
    pub async fn changed(&mut self) -> Result<Tick, Closed> {
        poll_fn(|cx| self.poll_changed(cx)).await
    }

    /// As [`changed`](Self::changed), for hand-written futures.
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Tick, Closed>> {
        loop {
            if let Some(tick) = self.news() {
                self.note_wake(&tick, Waiter::Task);
                return Poll::Ready(Ok(tick));
            }
            let (seen, until) = ([self.seen], self.until());
            match self.registration().poll(cx, &seen, until) {
                Poll::Ready(Woken::Closed) => return Poll::Ready(Err(Closed)),
                Poll::Ready(Woken::Moved | Woken::Deadline) => {}
                Poll::Pending => {
                    self.slept = true;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Waits for news, blocking this thread for `timeout` at most.
    ///
    /// # Errors
    /// If there was no news in time, or the cache has been closed.
    pub fn wait(&mut self, timeout: Duration) -> Result<Tick, WaitError> {
        let shared = self.slot.entity().shared().clone();
        let give_up = shared.clock.now().after(timeout);
        loop {
            if let Some(tick) = self.news() {
                self.note_wake(&tick, Waiter::Block);
                return Ok(tick);
            }
            self.slept = true;
            let (seen, until) = ([self.seen], self.until().min(give_up));
            match self
                .registration()
                .wait(&seen, until, &|| shared.clock.now())
            {
                Woken::Closed => return Err(WaitError::Closed),
                Woken::Deadline if until == give_up => {
                    return self.take().ok_or(WaitError::TimedOut);
                }
                Woken::Moved | Woken::Deadline => {}
            }
        }
    }

    /// The news, if there is any, without waiting.
    pub fn take(&mut self) -> Option<Tick> {
        self.slept = false;
        self.news()
    }

    /// Whoever has slept until this news came says how long it took.
    #[inline]
    fn note_wake(&mut self, tick: &Tick, waiter: Waiter) {
        if !std::mem::take(&mut self.slept) {
            return;
        }
        let (entity, turn) = (self.slot.entity(), tick.snapshot.head().turn);
        if self.timer.marked(entity, self.seen.link) == Some(turn) {
            let now = entity.shared().clock.now();
            self.timer.woke(turn, waiter, now);
        }
    }

    fn news(&mut self) -> Option<Tick> {
        let now = self.slot.surroundings();
        let moved = self.last.is_none()
            || self.slot.epoch() != self.seen.epoch
            || (now.link, now.invalidation) != (self.seen.link, self.seen.invalidation)
            || self.until() <= self.slot.entity().shared().clock.now();
        if moved { self.look() } else { None }
    }

    fn look(&mut self) -> Option<Tick> {
        if let std::borrow::Cow::Owned(slot) = self.slot.current() {
            // Purged: go on with the slot that the key has now.
            self.slot = slot;
            self.registration = None;
        }
        let moved_at = self
            .registration
            .as_mut()
            .and_then(Registration::take_moved_at);
        // Before the value: whatever moves afterwards is news.
        let now = self.slot.surroundings();
        let snapshot = self.slot.snapshot();
        self.seen = Seen {
            epoch: snapshot.epoch(),
            link: now.link,
            invalidation: now.invalidation,
        };
        let before = self.last.replace(snapshot.clone());
        // From here on the time of the first unseen update is taken down.
        let (seen, shared) = ([self.seen], self.slot.entity().shared().clone());
        self.registration().note(&seen, &|| shared.clock.now());
        let epoch_before = before.as_ref().map_or(0, Snapshot::epoch);
        let same = before.as_ref().is_some_and(|before| {
            before.epoch() == snapshot.epoch() && before.freshness() == snapshot.freshness()
        });
        if same {
            return None;
        }
        let updates = snapshot.epoch().saturating_sub(epoch_before);
        let tick = Tick {
            slot: self.slot.clone(),
            updates,
            moved_at,
            before,
            snapshot,
        };
        if tick.conflated() > 0 {
            shared.count_conflated(self.slot.entity(), tick.conflated());
        }
        Some(tick)
    }

    /// When what was last seen turns stale by time alone.
    fn until(&self) -> Time {
        let Some(last) = &self.last else {
            return Time::NEVER;
        };
        if last
            .freshness()
            .reasons()
            .contains(super::freshness::Reasons::EXPIRED)
        {
            return Time::NEVER;
        }
        self.slot.entity().policy().expires_at(last.head())
    }

    fn registration(&mut self) -> &mut Registration {
        let Self {
            slot, registration, ..
        } = self;
        registration.get_or_insert_with(|| {
            slot.entity()
                .shared()
                .hub
                .register(vec![slot.core().clone()])
        })
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

/// News about one slot: its newest version, and what it stands for.
#[derive(Clone, Debug)]
pub struct Tick {
    slot: Slot,
    snapshot: Snapshot,
    before: Option<Snapshot>,
    updates: u64,
    moved_at: Option<Time>,
}

impl Tick {
    /// The value, if it is live.
    ///
    /// # Errors
    /// [`NotLive`], with the state, the reasons and the age.
    pub fn live(&self) -> Result<&Record, NotLive> {
        match self.snapshot.freshness() {
            Freshness::Live => Ok(self.snapshot.record()),
            _ => Err(self.not_live()),
        }
    }

    pub(crate) fn not_live(&self) -> NotLive {
        self.slot
            .not_live(self.snapshot.head(), self.snapshot.freshness())
    }

    /// The version as a whole, whatever it is worth.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What the version is worth.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.snapshot.freshness()
    }

    /// The number of the publication.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.snapshot.epoch()
    }

    /// How many publications this reader never saw because a newer one was there: those between
    /// the last look and this version. 0 for a change of freshness alone, and for the first look.
    #[must_use]
    pub fn conflated(&self) -> u64 {
        if self.before.is_none() {
            0
        } else {
            self.updates.saturating_sub(1)
        }
    }

    /// When the oldest update that this stands for arrived; `None` if it stands for none, a change
    /// of freshness alone. Exact if nothing was conflated; else late by no more than the hub took
    /// to learn of it.
    #[must_use]
    pub fn oldest_unseen_at(&self) -> Option<Time> {
        let newest = self.snapshot.received_at();
        match self.updates {
            0 => None,
            1 => Some(newest),
            _ => Some(
                self.moved_at
                    .map_or(newest, |moved_at| moved_at.min(newest)),
            ),
        }
    }

    /// The names of the top-level fields that differ from what this reader saw last, those that
    /// came or vanished included, with their present value. Computed by the reader; everything on
    /// the first look.
    #[must_use]
    pub fn delta(&self) -> Vec<(&str, Value)> {
        let now = self.snapshot.record();
        let Some(before) = self.before.as_ref().map(Snapshot::record) else {
            return now.members().collect();
        };
        let came = now
            .members()
            .filter(|(name, value)| before.get(name) != *value);
        let vanished = before
            .members()
            .filter(|(name, _)| now.get(name).is_missing())
            .map(|(name, _)| (name, Value::missing()));
        came.chain(vanished).collect()
    }
}
