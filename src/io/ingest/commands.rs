//! What other threads ask of the owner, carried out as its messages are.

use super::super::command::{Begun, Command, KeepId, LandReport, Origin, Restored};
use super::super::inbox::CommandError;
use super::attention::{Keep, Position};
use super::coverage::open_word;
use super::{Ingest, Role};
use crate::Time;
use crate::feed::{EntityIx, Refusal, Sink, Transaction, Update};
use crate::json::{self, JsonError, Value};
use crate::key::Id;
use crate::record::{Mode, Patch, Record, SchemaSource};
use crate::store::{self, Head, State, flags};

/// What was stored of a value beside its text.
#[derive(Clone, Copy, Debug)]
struct Stored {
    received_at: Time,
    sequence: Option<u64>,
    partial: bool,
    origin: Origin,
}

/// Why a value is refused, as a message's would be.
pub(in crate::io) fn refusal(refused: json::Refused) -> Refusal {
    match refused {
        json::Refused::TooDeep => Refusal::TooDeep,
        json::Refused::TooLarge => Refusal::TooLarge,
    }
}

impl Ingest {
    /// Carries a command about values out, within a batch.
    pub(super) fn carry_out(&mut self, command: Command) -> Result<(), CommandError> {
        // Nobody's stream says it.
        self.legs.speak(self.legs.shown);
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
            Command::Purge { entity, id, seen } => self.purge(&entity, &id, seen.as_deref()),
            Command::Keep {
                entity,
                id,
                fetch,
                begun,
            } => {
                // The first one stays: a cell is used once.
                let _ = begun.set(self.keep(&entity, id.as_ref(), fetch)?);
                Ok(())
            }
            Command::Land {
                entity,
                fetch,
                items,
                last,
                order,
                report,
            } => {
                let landed = self.land(&entity, fetch, items, last, order);
                let _ = report.set(LandReport { landed });
                Ok(())
            }
            Command::Abandon { entity, fetch } => {
                if let Some(ix) = self.names.get(&*entity) {
                    self.end_keep(*ix, fetch);
                }
                Ok(())
            }
            Command::Overlay {
                entity,
                id,
                overlay,
                change,
            } => self.overlay(&entity, &id, overlay, change),
            Command::Restore {
                entity,
                id,
                mut value,
                received_at,
                sequence,
                partial,
                origin,
                report,
            } => {
                let stored = Stored {
                    received_at,
                    sequence,
                    partial,
                    origin,
                };
                let _ = report.set(self.restore(&entity, &id, &mut value, stored)?);
                Ok(())
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
                if self.legs.has_company() || self.legs.lagging.is_some() {
                    self.echo_all();
                }
                // What a user writes is nothing that the source has said.
                let heard_at = self.entries[ix.index()].heard_at;
                self.commit();
                self.entries[ix.index()].heard_at = heard_at;
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
        self.decoded(value, |ingest, value| {
            ingest.command(entity, |ingest, ix| {
                ingest.patch(ix, id.as_ref(), update, value)
            })
        })?
    }

    /// Hands JSON text on, taken apart.
    fn decoded<R>(
        &mut self,
        text: &mut [u8],
        then: impl FnOnce(&mut Self, Value<'_>) -> R,
    ) -> Result<R, Refusal> {
        let max_depth = self.config.limits.max_depth;
        let mut decoder = self
            .decoder
            .take()
            .unwrap_or_else(|| Box::new(json::Decoder::new(max_depth)));
        let result = match decoder.decode(text) {
            Ok(message) => Ok(then(self, message.root())),
            Err(JsonError::TooDeep) => Err(Refusal::TooDeep),
            Err(JsonError::TooLarge) => Err(Refusal::TooLarge),
            Err(_) => Err(Refusal::Malformed),
        };
        self.decoder = Some(decoder);
        result
    }

    /// JSON text, as a patch to values of an entity that this feed owns.
    pub(super) fn compiled(
        &mut self,
        ix: EntityIx,
        text: &mut [u8],
        mode: Mode,
    ) -> Result<Patch, Refusal> {
        self.decoded(text, |ingest, value| {
            let Role::Own(writer) = &mut ingest.entries[ix.index()].role else {
                return Err(Refusal::Other);
            };
            let mut patch = Patch::new();
            json::compile(
                value,
                mode,
                &ingest.config.limits,
                writer.schema(),
                &mut patch,
            )
            .map_err(refusal)?;
            Ok(patch)
        })?
    }

    /// Begins to keep what comes, for a fetch.
    #[cold]
    fn keep(
        &mut self,
        entity: &str,
        id: Option<&Id>,
        fetch: KeepId,
    ) -> Result<Begun, CommandError> {
        let ix = self.entity(entity)?;
        if !self.owns(ix) {
            return Err(CommandError::Foreign);
        }
        self.claimed.clear();
        let entry = &mut self.entries[ix.index()];
        let Role::Own(writer) = &mut entry.role else {
            return Err(CommandError::Foreign);
        };
        let slot = match id {
            None => None,
            Some(id) => Some(
                writer
                    .locate(id.as_ref(), store::Missing::Insert)
                    .map_err(|_| Refusal::IdsFull)?,
            ),
        };
        let id = id.map(|id| writer.entity().canonical(id.as_ref()));
        let moment = writer.moment();
        // A value is not worth less for having been asked for while the feed was silent.
        let link = open_word(writer.link());
        let attention = entry.attention.get_or_insert_default();
        let overlaid = id
            .as_ref()
            .and_then(|id| attention.get(id)?.overlaid.as_ref());
        let head = match (overlaid, slot) {
            (Some(overlaid), _) => Some(overlaid.head),
            (None, slot) => slot.map(|slot| writer.head(slot)),
        };
        let sequence = head.and_then(|head| head.sequence);
        let floor =
            head.filter(|head| !entry.restarts || Position::from(head).is_since(self.joined));
        let begun = Begun {
            link,
            invalidation: match slot {
                Some(slot) => writer.invalidation_at(slot, moment),
                None => writer.entity().invalidations(),
            },
            sequence,
        };
        let keep = Keep::new(id, moment, link, self.opens, self.now);
        attention.begin(fetch, keep, floor.and_then(|head| head.sequence));
        // There is a fetcher that can heal it.
        entry.whole_seen = true;
        Ok(begun)
    }

    /// Publishes a value from where an earlier process left it, unless what is held is as new; or
    /// from the settings, unless anything is held.
    #[cold]
    fn restore(
        &mut self,
        entity: &str,
        id: &Id,
        text: &mut [u8],
        stored: Stored,
    ) -> Result<Restored, CommandError> {
        let ix = self.entity(entity)?;
        if !self.owns(ix) {
            return Err(CommandError::Foreign);
        }
        self.claimed.clear();
        let patch = self.compiled(ix, text, Mode::Replace)?;
        let turn = self.turn + 1;
        let entry = &mut self.entries[ix.index()];
        let Role::Own(writer) = &mut entry.role else {
            return Err(CommandError::Foreign);
        };
        let slot = writer
            .locate(id.as_ref(), store::Missing::Insert)
            .map_err(|_| Refusal::IdsFull)?;
        let key = writer.entity().canonical(id.as_ref());
        let attended = entry.attention.as_mut().and_then(|it| it.get_mut(&key));
        let overlaid = attended.and_then(|attended| attended.overlaid.as_deref_mut());
        let head = overlaid
            .as_ref()
            .map_or_else(|| writer.head(slot), |overlaid| overlaid.head);
        let newer = match (head.state, head.sequence, stored.sequence) {
            (State::Empty | State::Dead, ..) => true,
            _ if stored.origin == Origin::Settings => false,
            (_, Some(held), Some(stored)) => stored > held,
            _ => stored.received_at > head.received_at,
        };
        if !newer {
            return Ok(Restored::Older);
        }
        let partial = if stored.partial { flags::PARTIAL } else { 0 };
        let doubt = match stored.origin {
            Origin::Earlier => flags::RESTORED,
            Origin::Settings => 0,
        };
        let terms = Head {
            state: State::Present,
            link: entry.link,
            invalidation: writer.invalidation(slot),
            sequence: stored.sequence,
            received_at: stored.received_at,
            whole_at: if stored.partial {
                Time::ZERO
            } else {
                stored.received_at
            },
            source_time: 0,
            turn,
            flags: doubt | partial,
            ..head
        };
        let mut record = Record::absent(writer.schema().layout().clone());
        record.apply(&patch, Mode::Replace, writer.schema().layout());
        match overlaid {
            Some(overlaid) => {
                overlaid.land(Some(record), &terms, 0);
                overlaid.publish(writer, slot, turn);
            }
            None => {
                writer.replace(slot, &record, &terms);
            }
        }
        self.turn = turn;
        self.done();
        Ok(Restored::Applied)
    }

    /// A turn that was not a message's is over.
    pub(super) fn done(&mut self) {
        self.moved = true;
        self.turns.finish(self.turn);
    }

    /// Pays no more attention to an entity if there is nothing left to pay it to.
    pub(super) fn unattended(&mut self, ix: EntityIx) {
        if self.has_flights() {
            return;
        }
        let attention = &mut self.entries[ix.index()].attention;
        if attention.as_ref().is_some_and(|it| it.is_empty()) {
            *attention = None;
        }
    }

    #[cold]
    fn purge(&mut self, entity: &str, id: &Id, seen: Option<&Head>) -> Result<(), CommandError> {
        let ix = self.entity(entity)?;
        let entry = &mut self.entries[ix.index()];
        let Role::Own(writer) = &mut entry.role else {
            return Err(CommandError::Foreign);
        };
        let slot = writer.entity().find(id.as_ref());
        if seen.is_some_and(|seen| slot.is_some_and(|slot| slot.head() != *seen)) {
            return Ok(());
        }
        // An id that was only asked for has a slot as well, and no value.
        if writer.entity().find(id.as_ref()).is_some()
            && let Ok(slot) = writer.locate(id.as_ref(), store::Missing::Insert)
        {
            writer.purge(slot);
            self.legs.forget(ix, slot);
            self.moved = true;
        }
        let id = writer.entity().canonical(id.as_ref());
        if let Some(attention) = &mut entry.attention {
            // What was written over the value goes with it. A fetch that runs may bring it back.
            if let Some(attended) = attention.get_mut(&id) {
                attended.overlaid = None;
            }
            attention.settle(&id);
            self.unattended(ix);
        }
        Ok(())
    }
}
