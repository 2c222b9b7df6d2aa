//! The owner of what no feed owns.
//!
//! It is an [`Ingest`] behind a lock, so that values mean here what they mean for a feed. Commands
//! run on the thread that gives them. Feeds never wait for the lock: what a wildcard feed brings
//! for an entity that is owned here goes through a bounded queue ([`combine`]).
//!
//! Whatever was written here stays owned here, until a feed declares it. There is no connection:
//! the link of an entity stays as the feeds have left it.

mod combine;
#[cfg(all(test, tickcache_shuttle))]
mod composed;

use super::clock::Clock;
use super::command::Command;
use super::inbox::{CommandError, Completion};
use super::ingest::{Forwarded, Ingest, IngestConfig, NO_SOURCE, is_unowned};
use super::target::Target;
use crate::feed::{Claims, Counters, Covers, OnConnect};
use crate::store::{Hub, Store, TurnCounter};
use combine::{Combiner, Combining};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// What the owner of what no feed owns is called.
pub(crate) const SLOW: &str = "(slow plane)";

/// How many forwarded updates may wait: many batches of a busy feed, since whoever has the lock
/// has it for one command.
const FORWARDED: usize = 4096;

/// The owner of what no feed owns.
pub(crate) struct Slow {
    work: Combining<Writer, Forwarded>,
    counters: Arc<Counters>,
    turns: Arc<TurnCounter>,
}

struct Writer {
    store: Arc<Store>,
    counters: Arc<Counters>,
    ingest: Ingest,
    clock: Clock,
}

impl Slow {
    pub(crate) fn new(store: Arc<Store>, hub: &Arc<Hub>, clock: Clock) -> Self {
        Self::with_room(store, hub, clock, FORWARDED)
    }

    fn with_room(store: Arc<Store>, hub: &Arc<Hub>, clock: Clock, room: usize) -> Self {
        let counters = Arc::new(Counters::default());
        let turns = Arc::new(TurnCounter::new());
        let config = IngestConfig {
            feed: SLOW.into(),
            source: NO_SOURCE,
            claims: Claims {
                entities: Vec::new(),
                wildcard: true,
                covers: Covers::Nothing,
            },
            on_connect: OnConnect::Invalidate,
            limits: store.config().limits,
            // Commands are bounded by those who give them.
            silence: Vec::new(),
            max_items: usize::MAX,
        };
        let ingest = Ingest::unclaimed(
            config,
            Arc::clone(&store),
            hub,
            Arc::clone(&counters),
            Arc::clone(&turns),
        );
        let writer = Writer {
            store,
            counters: Arc::clone(&counters),
            ingest,
            clock,
        };
        Self {
            work: Combining::new(writer, room),
            counters,
            turns,
        }
    }

    /// What it counts.
    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Its turns, for cuts.
    pub(crate) fn turns(&self) -> &Arc<TurnCounter> {
        &self.turns
    }

    /// Carries a command out, now, on this thread. Blocks for the command of another one, and for
    /// what feeds have forwarded; never for a feed. Not for feeds' threads.
    ///
    /// # Errors
    /// A feed owns the entity: the command comes back.
    pub(crate) fn carry_out(&self, command: Command) -> Result<Completion, Box<Command>> {
        let Some(_holding) = Holding::begin(self) else {
            return Ok(Completion::done(Err(CommandError::WouldDeadlock)));
        };
        let result = self.work.with(|writer| writer.carry_out(command))?;
        Ok(Completion::done(result))
    }

    /// Gives up what is owned here of `entities` and lets `claim` claim it, before anything else
    /// can be claimed through here. If it fails, everything stays as it was; but what was kept for
    /// fetches may be lost.
    ///
    /// # Errors
    /// Those of `claim`.
    pub(crate) fn hand_over<T, E>(
        &self,
        entities: &[Box<str>],
        claim: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let _holding = Holding::begin(self);
        self.work.with(|writer| writer.hand_over(entities, claim))
    }

    /// Has a feed's update published, by this thread or by the one that is writing here. Waits for
    /// nobody.
    ///
    /// # Errors
    /// As many wait as may; it comes back.
    pub(super) fn forward(&self, update: Forwarded) -> Result<(), Box<Forwarded>> {
        let _holding = Holding::begin(self);
        self.work.push(update).map_err(|refused| {
            self.counters.queue_refused.add(1);
            Box::new(refused)
        })
    }
}

impl Writer {
    fn carry_out(&mut self, command: Command) -> Result<Result<(), CommandError>, Box<Command>> {
        let Some(entity) = command.entity().cloned() else {
            // There is nobody to subscribe with.
            return Ok(Err(CommandError::OwnerGone));
        };
        let owned = match self.ingest.begin_for(&entity, self.clock.now()) {
            Ok(owned) => owned,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        if !owned {
            return Err(Box::new(command));
        }
        // Nothing is written by the end of a fetch that is not known here.
        let claims = !matches!(command, Command::Land { .. } | Command::Abandon { .. });
        let result = self.ingest.obey(command);
        self.ingest.settle_claims(claims && result.is_ok());
        self.finish();
        Ok(result)
    }

    fn hand_over<T, E>(
        &mut self,
        entities: &[Box<str>],
        claim: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let is_free = |name: &str| {
            self.store
                .entity(name)
                .is_ok_and(|entity| is_unowned(&entity))
        };
        let released = if entities.iter().all(|name| is_free(name)) {
            self.ingest.release(entities.iter().map(|name| &**name))
        } else {
            Vec::new()
        };
        let claimed = claim();
        if claimed.is_err() {
            for name in released {
                // A feed that was quicker has it now.
                let _ = self.ingest.begin_for(name, self.clock.now());
                self.ingest.settle_claims(true);
            }
        }
        claimed
    }

    fn finish(&mut self) {
        self.ingest.finish();
        drop(self.ingest.waste());
    }
}

impl Combiner<Forwarded> for Writer {
    fn combine(&mut self, updates: impl Iterator<Item = Forwarded>) {
        let mut taken = 0;
        for update in updates {
            self.ingest.take_over(update);
            taken += 1;
        }
        self.counters.queue_depth.set(taken);
        self.finish();
    }
}

std::thread_local! {
    /// The slow writers whose lock this thread has, or is about to ask for.
    static HELD: RefCell<Vec<*const Slow>> = const { RefCell::new(Vec::new()) };
}

/// A thread between asking for a slow writer's lock and having returned it. What runs under the
/// lock may be a subscriber of `tracing`, who must not wait for the lock.
struct Holding(*const Slow);

impl Holding {
    /// `None` if the thread is there already.
    fn begin(slow: &Slow) -> Option<Self> {
        let slow = std::ptr::from_ref(slow);
        HELD.with_borrow_mut(|held| {
            let again = held.contains(&slow);
            (!again).then(|| {
                held.push(slow);
                Self(slow)
            })
        })
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| held.retain(|slow| *slow != self.0));
    }
}

impl fmt::Debug for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slow")
            .field("work", &self.work)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
