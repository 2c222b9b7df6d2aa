//! Values that neither a stream nor a fetch has brought: from an earlier process, or from the
//! settings.

use std::sync::OnceLock;

use super::core::{Core, Effect};
use super::document::Restored;
use super::error::QueryError;
use super::list::{Members, items};
use super::query::Query;
use super::write::parse;
use super::{Place, Plane};
use crate::Time;
use crate::feed::Update;
use crate::io::command::{self, Command};
use crate::io::inbox::{CommandError, Completion};
use crate::io::slow::SLOW;
use crate::key::Id;
use crate::sync::Arc;

/// A value from elsewhere that is being put in.
#[derive(Debug)]
pub(crate) enum Restoring {
    /// Whether it was taken; `false`: what is held is as new.
    Done(bool),
    /// The owner of its slot is being asked.
    Waiting(Completion, Arc<OnceLock<command::Restored>>),
}

impl Plane {
    /// Puts a value in that an earlier process had, unless what is held is as new. It is stale until
    /// a fetch or a stream confirms it.
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    pub(crate) fn restore(
        self: &Arc<Self>,
        query: &Arc<Query>,
        json: Vec<u8>,
        at: Time,
        sequence: Option<u64>,
        partial: bool,
    ) -> Result<Restoring, QueryError> {
        match query.place() {
            Place::Slot(slot) => {
                let report = Arc::default();
                let command = Command::Restore {
                    entity: Arc::clone(slot.entity().name()),
                    id: slot.id().clone(),
                    value: json,
                    received_at: at,
                    sequence,
                    partial,
                    report: Arc::clone(&report),
                };
                let completion = self.owners.send(slot.entity(), command)?;
                self.republish(query);
                Ok(Restoring::Waiting(completion, report))
            }
            Place::Document(document) => {
                let restored = Restored {
                    tree: parse(&json)?,
                    at,
                    sequence,
                    trusted: false,
                };
                let mut taken = false;
                let _done = self.show_document(query, |_| {
                    let old = document.restore(restored, query.word.sum());
                    taken = old.is_some();
                    old
                })?;
                self.republish(query);
                Ok(Restoring::Done(taken))
            }
            Place::List(_) => Err(QueryError::IsList(query.key().clone())),
        }
    }

    /// As [`restore`](Self::restore), the members of a list; the items are restored by themselves.
    ///
    /// # Errors
    /// [`QueryError::OtherPlace`] if it is no list, [`QueryError::Closed`].
    pub(crate) fn restore_members(
        self: &Arc<Self>,
        query: &Arc<Query>,
        ids: Vec<Id>,
        at: Time,
        sequence: Option<u64>,
    ) -> Result<bool, QueryError> {
        let Some(list) = query.as_list() else {
            return Err(QueryError::OtherPlace(query.key().clone()));
        };
        let ids = list.distinct(ids.iter());
        let slots = list.slots(&ids);
        let taken = self.with(|core, _| {
            if core.closed {
                return Err(QueryError::Closed);
            }
            if list.members().whole_at.is_some_and(|held| held >= at) {
                return Ok(false);
            }
            let old = list.put(Members {
                ids: ids.into(),
                slots,
                whole_at: Some(at),
                stamp: query.word.sum(),
                sequence,
                restored: true,
                version: 0,
            });
            core.throw_away(old);
            core.note_members(query);
            Ok(true)
        })?;
        self.republish(query);
        Ok(taken)
    }

    /// Has the state of a query said again.
    pub(super) fn republish(self: &Arc<Self>, query: &Arc<Query>) {
        self.with(|core, now| {
            if !core.closed {
                let ix = core.enter(query, now);
                core.publish(ix, now);
            }
        });
    }

    /// Writes the initial data of a slot or a list, where nothing is known.
    pub(super) fn begin(self: &Arc<Self>, query: &Arc<Query>) {
        let settings = query.settings();
        let Some(initial) = &settings.initial else {
            return;
        };
        if query.look().known() {
            return;
        }
        let json = initial.tree.to_json().into_bytes();
        let at = initial.at.unwrap_or_else(|| self.clock.now());
        match query.place() {
            Place::Slot(slot) => {
                let entity = slot.entity();
                let slow = entity.owner().is_none_or(|o| &*o == SLOW);
                let command = if slow && initial.at.is_none() {
                    Command::Set {
                        entity: Arc::clone(entity.name()),
                        id: slot.id().clone(),
                        update: Update::whole(),
                        value: json,
                    }
                } else {
                    // A stream may have written by then, and that stays.
                    self.restoring(slot.id(), entity.name(), json, at, false)
                };
                // Nobody waits for it, and without it there is no data, which is no lie.
                let _ = self.owners.send(entity, command);
            }
            Place::List(list) => {
                let Some(shape) = &settings.list else { return };
                let depth = self.store.config().limits.max_depth;
                let found = items(&json, shape, depth, |id, item| {
                    Ok((id, item.raw().to_vec()))
                });
                let Ok(found) = found else { return };
                let ids: Vec<Id> = found.iter().map(|(id, _)| id.clone()).collect();
                for (id, value) in found {
                    let name = list.entity().name();
                    let command = self.restoring(&id, name, value, at, true);
                    let _ = self.owners.send(list.entity(), command);
                }
                let _ = self.restore_members(query, ids, at, None);
            }
            Place::Document(_) => {}
        }
        self.republish(query);
    }

    fn restoring(
        &self,
        id: &Id,
        entity: &Arc<str>,
        value: Vec<u8>,
        received_at: Time,
        partial: bool,
    ) -> Command {
        Command::Restore {
            entity: Arc::clone(entity),
            id: id.clone(),
            value,
            received_at,
            sequence: None,
            partial,
            report: Arc::default(),
        }
    }
}

impl Core {
    /// Puts the initial data in, where there is some and nothing is known.
    pub(super) fn begin_with_initial(&mut self, query: &Arc<Query>, now: Time) {
        let settings = query.settings();
        if let Some(initial) = &settings.initial
            && !query.look().known()
        {
            match query.place() {
                Place::Document(document) => {
                    let restored = Restored {
                        tree: initial.tree.clone(),
                        at: initial.at.unwrap_or(now),
                        sequence: None,
                        trusted: true,
                    };
                    let old = document.restore(restored, query.word.sum());
                    self.throw_away(old);
                    let ix = self.enter(query, now);
                    self.publish(ix, now);
                }
                Place::Slot(_) | Place::List(_) => {
                    self.effects.push_back(Effect::Begin(Arc::clone(query)));
                }
            }
        }
        self.throw_away(settings);
    }
}

impl From<Restoring> for Result<bool, CommandError> {
    /// What is known so far: of a slot that its owner has not been asked yet, that it was not taken.
    fn from(restoring: Restoring) -> Self {
        match restoring {
            Restoring::Done(taken) => Ok(taken),
            Restoring::Waiting(completion, report) => match completion.result() {
                Some(Err(error)) => Err(error),
                _ => Ok(report.get() == Some(&command::Restored::Applied)),
            },
        }
    }
}
