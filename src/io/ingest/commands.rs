//! What other threads ask of the owner, carried out as its messages are.

use super::super::command::{Command, LandReport, Landed};
use super::super::inbox::CommandError;
use super::{Ingest, Role};
use crate::feed::{EntityIx, Refusal, Sink, Transaction, Update};
use crate::json::{self, JsonError};
use crate::key::Id;
use crate::store;

impl Ingest {
    /// Carries a command about values out, within a batch.
    pub(super) fn carry_out(&mut self, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Set {
                entity,
                id,
                update,
                mut value,
            } => self.set(&entity, &id, update, &mut value),
            Command::Remove { entity, id, update } => {
                self.command(&entity, |ingest, ix| ingest.remove(ix, id.as_ref(), update))
            }
            Command::Purge { entity, id } => self.purge(&entity, &id),
            Command::Land { items, report, .. } => {
                let landed = items.iter().map(|_| Landed::Lost).collect();
                let _ = report.set(LandReport { landed });
                Ok(())
            }
            Command::Abandon { .. } => Ok(()),
            Command::Keep { .. } | Command::Overlay { .. } | Command::Restore { .. } => {
                Err(Refusal::Other.into())
            }
            // The driver's.
            Command::Subscribe(_) | Command::Unsubscribe(_) => Err(CommandError::OwnerGone),
        }
    }

    /// The value of a command, taken as a message of the feed would be.
    fn command(
        &mut self,
        entity: &str,
        stage: impl FnOnce(&mut Self, EntityIx) -> Result<(), Refusal>,
    ) -> Result<(), CommandError> {
        let ix = self.entity(entity)?;
        if !self.owns(ix) {
            return Err(CommandError::Foreign);
        }
        match stage(self, ix) {
            Ok(()) => {
                self.commit();
                Ok(())
            }
            Err(refusal) => {
                self.rollback();
                Err(refusal.into())
            }
        }
    }

    fn set(
        &mut self,
        entity: &str,
        id: &Id,
        update: Update,
        value: &mut [u8],
    ) -> Result<(), CommandError> {
        let max_depth = self.config.limits.max_depth;
        let mut decoder = self
            .decoder
            .take()
            .unwrap_or_else(|| Box::new(json::Decoder::new(max_depth)));
        let result = match decoder.decode(value) {
            Ok(message) => self.command(entity, |ingest, ix| {
                ingest.patch(ix, id.as_ref(), update, message.root())
            }),
            Err(JsonError::TooDeep) => Err(Refusal::TooDeep.into()),
            Err(JsonError::TooLarge) => Err(Refusal::TooLarge.into()),
            Err(_) => Err(Refusal::Malformed.into()),
        };
        self.decoder = Some(decoder);
        result
    }

    #[cold]
    fn purge(&mut self, entity: &str, id: &Id) -> Result<(), CommandError> {
        let ix = self.entity(entity)?;
        let Role::Own(writer) = &mut self.entries[ix.index()].role else {
            return Err(CommandError::Foreign);
        };
        // An id that was only asked for has a slot as well, and no value.
        if writer.entity().find(id.as_ref()).is_some()
            && let Ok(slot) = writer.locate(id.as_ref(), store::Missing::Insert)
        {
            writer.purge(slot);
            self.moved = true;
        }
        Ok(())
    }
}
