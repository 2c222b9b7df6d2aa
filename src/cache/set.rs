//! Writing from outside a feed: enqueued for the feed that owns the entity, or published at once by
//! the slow plane, which owns what no feed does.

use serde::Serialize;

use super::slot::Slot;
use crate::feed::Update;
use crate::io::command::Command;
use crate::io::inbox::{CommandError, Completion};
use crate::sync::Arc;

/// A value cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// The value has no JSON form.
    #[error("the value has no JSON form: {0}")]
    Json(String),
    /// The owner cannot take it.
    #[error(transparent)]
    Owner(#[from] CommandError),
}

impl SetError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Owner(error) if error.is_retryable())
    }
}

impl Slot {
    /// Writes a whole value: it replaces the old one and is live. Returns at once, with a handle
    /// to await or wait on for what became of it; dropping the handle is fine.
    ///
    /// The feed that owns the entity publishes it, between two of its batches, also while it is
    /// disconnected. What no feed owns is written before this returns, by the slow plane on the
    /// calling thread, which may wait for another thread's write. It owns the entity from then on:
    /// a feed that claims what nobody owns goes on writing there through it, and one that declares
    /// the entity takes it over, values included.
    ///
    /// # Errors
    /// If the value has no JSON form, the feed's inbox is full, or the feed that owns the entity is
    /// just being attached or ending ([`CommandError::OwnerGone`]): try again.
    pub fn set<T: Serialize + ?Sized>(&self, value: &T) -> Result<Completion, SetError> {
        let json = serde_json::to_vec(value).map_err(|error| SetError::Json(error.to_string()))?;
        Ok(self.send(|entity, id| Command::Set {
            entity,
            id,
            update: Update::whole(),
            value: json,
        })?)
    }

    /// As [`set`](Self::set), with JSON text: tokens are kept exactly as they are.
    ///
    /// # Errors
    /// If the feed's inbox is full, or the feed is just being attached or ending. Text that is not
    /// JSON is refused through the handle.
    pub fn set_json(&self, json: &str) -> Result<Completion, SetError> {
        Ok(self.send(|entity, id| Command::Set {
            entity,
            id,
            update: Update::whole(),
            value: json.as_bytes().to_vec(),
        })?)
    }

    /// Removes the value. As [`set`](Self::set).
    ///
    /// # Errors
    /// If the feed's inbox is full, or the feed is just being attached or ending.
    pub fn remove(&self) -> Result<Completion, SetError> {
        Ok(self.send(|entity, id| Command::Remove {
            entity,
            id,
            update: Update::whole(),
        })?)
    }

    /// Forgets the id: its value, its slot and its place in the entity. Handles to it go on with
    /// the slot that the id gets if it comes again. As [`set`](Self::set).
    ///
    /// # Errors
    /// If the feed's inbox is full, or the feed is just being attached or ending.
    pub fn purge(&self) -> Result<Completion, SetError> {
        Ok(self.send(|entity, id| Command::Purge {
            entity,
            id,
            seen: None,
        })?)
    }

    fn send(
        &self,
        command: impl FnOnce(Arc<str>, crate::key::Id) -> Command,
    ) -> Result<Completion, CommandError> {
        let core = self.entity().core();
        let command = command(Arc::clone(core.name()), self.id().clone());
        self.entity().shared().owners().send(core, command)
    }
}
