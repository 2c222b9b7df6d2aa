//! Values that neither a stream nor a fetch has brought, but an earlier process.

use std::sync::OnceLock;

use super::document::Restored;
use super::error::QueryError;
use super::list::Members;
use super::query::Query;
use super::write::parse;
use super::{Place, Plane};
use crate::Time;
use crate::io::command::{self, Command, Origin};
use crate::io::inbox::{CommandError, Completion};
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
                    origin: Origin::Earlier,
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
            let held = list.members();
            if held.whole_at.is_some_and(|whole_at| {
                let held = (held.sequence, whole_at);
                !is_newer((sequence, at), held)
            }) {
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
}

/// Whether the first of two values is the newer one: by sequence where both have one, else by time.
pub(super) fn is_newer(
    (sequence, at): (Option<u64>, Time),
    (held, held_at): (Option<u64>, Time),
) -> bool {
    match (sequence, held) {
        (Some(sequence), Some(held)) => sequence > held,
        _ => at > held_at,
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
