//! The slots of an entity that moved: a conflated stream, each slot at most once per look.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use super::entity::Entity;
use super::latency::WakeTimer;
use super::slot::Slot;
use super::watch::{Closed, WaitError};
use crate::Time;
use crate::feed::Waiter;
use crate::io::plane::EntityObservation;
use crate::store::{Registration, Seen, Subscriber, Woken};

/// What one look came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Polled {
    /// How many slots had moved.
    pub slots: usize,
    /// So many changes came since the last look that the ring was overwritten and every slot was
    /// compared instead. Nothing that is there now was missed.
    pub lapped: bool,
    /// The freshness of the whole entity moved: a connection, an invalidation.
    pub freshness: bool,
}

/// A subscription to what moves in an entity. It costs the writer nothing more, however many there
/// are; it costs its holder eight bytes for each slot.
///
/// Publications of a slot between two looks are conflated. A change of the entity's freshness ends
/// a wait as a publication does, and is told once for the entity ([`Polled::freshness`]), never per
/// slot.
///
/// The entity counts as observed: where somebody has said how its values are fetched
/// ([`Cache::defaults`](super::Cache::defaults)), those that turn stale by an invalidation, a gap or
/// a reconnect are fetched.
pub struct Changes {
    entity: Entity,
    subscriber: Subscriber,
    registration: Option<Registration>,
    link: u64,
    invalidation: u64,
    /// It has gone to sleep since the last look.
    slept: bool,
    timer: WakeTimer,
    /// Who follows an entity observes what moves in it.
    _observed: Option<EntityObservation>,
}

impl Changes {
    /// `observed`: stale values are fetched, where somebody has said how.
    pub(crate) fn new(entity: Entity, subscriber: Subscriber, observed: bool) -> Self {
        let observe = || entity.shared().plane().observe_entity(entity.core());
        let observed = observed.then(observe);
        let now = entity.core().seen(0);
        Self {
            subscriber,
            registration: None,
            link: now.link,
            invalidation: now.invalidation,
            slept: false,
            timer: WakeTimer::default(),
            _observed: observed,
            entity,
        }
    }

    /// Calls `each` for every slot that moved since the last look, and says what there was. Does
    /// not wait; wait-free unless a slot is being published faster than it can be read.
    pub fn poll(&mut self, each: impl FnMut(&Slot)) -> Polled {
        self.slept = false;
        self.look(each)
    }

    /// As [`poll`](Self::poll), after a wait. Whoever has slept until something came says how long
    /// it took.
    fn awake(&mut self, mut each: impl FnMut(&Slot), waiter: Waiter) -> Polled {
        let slept = std::mem::take(&mut self.slept);
        let marked = slept.then(|| self.timer.marked(&self.entity, self.link));
        let Some(turn) = marked.flatten() else {
            return self.look(each);
        };
        let now = self.entity.shared().clock.now();
        let mut is_here = false;
        let polled = self.look(|slot| {
            is_here |= slot.core().head().turn == turn;
            each(slot);
        });
        if is_here {
            self.timer.woke(turn, waiter, now);
        } else {
            self.timer.pass(turn);
        }
        polled
    }

    fn look(&mut self, mut each: impl FnMut(&Slot)) -> Polled {
        let core = self.entity.core();
        let now = core.seen(0);
        let freshness = now.link != self.link || now.invalidation != self.invalidation;
        (self.link, self.invalidation) = (now.link, now.invalidation);
        let entity = &self.entity;
        let polled = self.subscriber.poll(
            || core.numbers(),
            |number| core.epoch_of(number),
            |number, _| {
                if let Some(slot) = core.numbered(number) {
                    each(&Slot::new(entity.clone(), slot));
                }
            },
        );
        Polled {
            slots: polled.slots,
            lapped: polled.lapped,
            freshness,
        }
    }

    /// Waits until something moved, then takes it as [`poll`](Self::poll) does. Cancelling the
    /// wait loses nothing.
    ///
    /// # Errors
    /// [`Closed`] once the cache has been closed.
    pub async fn next(&mut self, each: impl FnMut(&Slot)) -> Result<Polled, Closed> {
        poll_fn(|cx| self.poll_moved(cx)).await?;
        Ok(self.awake(each, Waiter::Task))
    }

    /// As [`next`](Self::next), blocking this thread.
    ///
    /// # Errors
    /// If nothing moved within `timeout`, or the cache has been closed.
    pub fn wait(
        &mut self,
        timeout: Duration,
        each: impl FnMut(&Slot),
    ) -> Result<Polled, WaitError> {
        let shared = self.entity.shared().clone();
        let until = shared.clock.now().after(timeout);
        let seen = [self.seen()];
        self.slept = !self.subscriber.is_behind();
        match self
            .registration()
            .wait(&seen, until, &|| shared.clock.now())
        {
            Woken::Moved => Ok(self.awake(each, Waiter::Block)),
            Woken::Deadline => Err(WaitError::TimedOut),
            Woken::Closed => Err(WaitError::Closed),
        }
    }

    fn poll_moved(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        if self.subscriber.is_behind() {
            return Poll::Ready(Ok(()));
        }
        let seen = [self.seen()];
        match self.registration().poll(cx, &seen, Time::NEVER) {
            Poll::Ready(Woken::Closed) => Poll::Ready(Err(Closed)),
            Poll::Ready(_) => Poll::Ready(Ok(())),
            Poll::Pending => {
                self.slept = true;
                Poll::Pending
            }
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen {
            epoch: self.subscriber.position(),
            link: self.link,
            invalidation: self.invalidation,
        }
    }

    fn registration(&mut self) -> &mut Registration {
        let Self {
            entity,
            registration,
            ..
        } = self;
        registration
            .get_or_insert_with(|| entity.shared().hub.register(vec![entity.core().clone()]))
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("entity", &self.entity.name())
            .finish_non_exhaustive()
    }
}
