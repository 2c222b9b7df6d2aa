//! Writing what no feed owns, on the calling thread.
//!
//! The claim is taken for the moment of the publication and returned, so that a feed which comes
//! later, or claims at its first payload, finds the entity free.

mod combine;

use super::clock::Clock;
use super::command::Command;
use super::inbox::{CommandError, Completion};
use super::ingest::open_word;
use crate::feed::{Counters, Missing, Refusal, Update};
use crate::json;
use crate::key::Id;
use crate::record::Patch;
use crate::store::{self, EntityWriter, Hub, Stamp, Store, TurnCounter, Wakes};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What the owner of what no feed owns is called.
pub(super) const SLOW: &str = "(slow plane)";

/// The owner of what nobody else owns, for one command at a time.
pub(crate) struct Slow {
    store: Arc<Store>,
    clock: Clock,
    writing: Mutex<Writing>,
    counters: Arc<Counters>,
    turns: Arc<TurnCounter>,
}

struct Writing {
    wakes: Wakes,
    decoder: json::Decoder,
    patch: Patch,
    turn: u64,
}

impl Slow {
    pub(crate) fn new(store: Arc<Store>, hub: &Arc<Hub>, clock: Clock) -> Self {
        let decoder = json::Decoder::new(store.config().limits.max_depth);
        let writing = Writing {
            wakes: hub.wakes(),
            decoder,
            patch: Patch::new(),
            turn: 0,
        };
        Self {
            store,
            clock,
            writing: Mutex::new(writing),
            counters: Arc::default(),
            turns: Arc::new(TurnCounter::new()),
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

    /// Carries a command out, now, on this thread. Blocks for the command of another one.
    pub(crate) fn carry_out(&self, command: Command) -> Completion {
        Completion::done(self.try_carry_out(command))
    }

    fn try_carry_out(&self, command: Command) -> Result<(), CommandError> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let claim = |entity: &str| {
            let entity = self
                .store
                .entity(entity)
                .map_err(|_| Refusal::EntitiesFull)?;
            // Claimed meanwhile by a feed: that is the one to ask.
            entity
                .claim(SLOW.into())
                .map_err(|_| CommandError::OwnerGone)
        };
        match command {
            Command::Set {
                entity,
                id,
                update,
                mut value,
            } => {
                let mut writer = claim(&entity)?;
                self.set(&mut writing, &mut writer, &id, &update, &mut value)
            }
            Command::Remove { entity, id, update } => {
                let mut writer = claim(&entity)?;
                let stamp = self.stamp(&mut writing, &writer, &update);
                if let Ok(slot) = writer.locate(id.as_ref(), store::Missing::Ignore) {
                    writer.remove(slot, &stamp);
                    writer.end_batch(&mut writing.wakes.batch());
                }
                Ok(())
            }
            Command::Purge { entity, id } => {
                let mut writer = claim(&entity)?;
                if writer.entity().find(id.as_ref()).is_some()
                    && let Ok(slot) = writer.locate(id.as_ref(), store::Missing::Insert)
                {
                    writer.purge(slot);
                    writer.end_batch(&mut writing.wakes.batch());
                }
                Ok(())
            }
            _ => Err(CommandError::OwnerGone),
        }
    }

    fn set(
        &self,
        writing: &mut Writing,
        writer: &mut EntityWriter,
        id: &Id,
        update: &Update,
        value: &mut [u8],
    ) -> Result<(), CommandError> {
        let limits = &self.store.config().limits;
        let stamp = self.stamp(writing, writer, update);
        let Writing {
            decoder,
            patch,
            wakes,
            ..
        } = writing;
        let message = decoder.decode(value).map_err(|_| Refusal::Malformed)?;
        json::compile(message.root(), update.mode, limits, writer.schema(), patch).map_err(
            |refused| match refused {
                json::Refused::TooDeep => Refusal::TooDeep,
                json::Refused::TooLarge => Refusal::TooLarge,
            },
        )?;
        let missing = match update.missing {
            Missing::Insert => store::Missing::Insert,
            Missing::Ignore => store::Missing::Ignore,
        };
        match writer.locate(id.as_ref(), missing) {
            Ok(slot) => {
                writer.publish(slot, patch, &stamp);
                writer.end_batch(&mut wakes.batch());
                Ok(())
            }
            Err(store::Locate::Missing) => Ok(()),
            Err(store::Locate::Full) => Err(Refusal::IdsFull.into()),
        }
    }

    fn stamp(&self, writing: &mut Writing, writer: &EntityWriter, update: &Update) -> Stamp {
        writing.turn += 1;
        Stamp {
            mode: update.mode,
            whole: update.whole,
            link: open_word(writer.link()),
            received_at: self.clock.now(),
            source_time: update.source_time.unwrap_or(0),
            turn: writing.turn,
            ..Stamp::default()
        }
    }
}

impl fmt::Debug for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slow").finish_non_exhaustive()
    }
}
