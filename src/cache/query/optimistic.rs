//! Writes that are shown before the server has agreed to them.

use std::fmt;

use serde::Serialize;

use crate::cache::handle::Cache;
use crate::cache::set::SetError;
use crate::cache::shared::Shared;
use crate::io::command::{Command, OverlayChange, OverlayId};
use crate::io::inbox::{CommandError, Completion};
use crate::key::Key;
use crate::record::Mode;
use crate::store;
use crate::sync::Arc;

impl Cache {
    /// Shows a change of a value that the server has not agreed to yet: a merge patch, laid over
    /// whatever the value becomes meanwhile.
    ///
    /// Streamed updates and fetches go on underneath. [`commit`](Optimistic::commit) makes the
    /// change part of the value, under what came since; [`rollback`](Optimistic::rollback), or
    /// dropping the handle, takes it off and loses nothing of what came meanwhile (D7).
    ///
    /// # Errors
    /// If the key names no slot ([`SetError::NotASlot`]: a document has no stream whose updates
    /// could get lost, use [`set_with`](Self::set_with)), the change has no JSON form, or the owner
    /// of the entity cannot take it.
    pub fn optimistic<V: Serialize + ?Sized>(
        &self,
        key: &Key,
        patch: &V,
    ) -> Result<Optimistic, SetError> {
        self.optimistic_with(key, patch, Mode::Merge)
    }

    /// As [`optimistic`](Self::optimistic), in another mode: [`Mode::Replace`] shows a whole value.
    ///
    /// # Errors
    /// As [`optimistic`](Self::optimistic).
    pub fn optimistic_with<V: Serialize + ?Sized>(
        &self,
        key: &Key,
        change: &V,
        mode: Mode,
    ) -> Result<Optimistic, SetError> {
        let Some((entity, id)) = key.slot().filter(|_| !self.plane().is_list(key)) else {
            return Err(SetError::NotASlot(key.clone()));
        };
        let value = serde_json::to_vec(change).map_err(|error| SetError::Json(error.to_string()))?;
        let core = self.entity(entity).core().clone();
        let mut write = Optimistic {
            shared: Arc::clone(self.shared()),
            entity: core,
            key: key.clone(),
            overlay: OverlayId(self.plane().next_number()),
            shown: None,
            ended: false,
        };
        let id = id.to_owned();
        let put = OverlayChange::Put { value, mode };
        match write.send(id, put) {
            Ok(shown) => write.shown = Some(shown),
            Err(error) => {
                // Nothing was put, so there is nothing to take off.
                write.ended = true;
                return Err(error.into());
            }
        }
        Ok(write)
    }
}

/// A change that is shown before the server has agreed to it. Dropping it takes it off.
#[must_use = "dropping it rolls the change back"]
pub struct Optimistic {
    shared: Arc<Shared>,
    entity: Arc<store::Entity>,
    key: Key,
    overlay: OverlayId,
    shown: Option<Completion>,
    ended: bool,
}

impl Optimistic {
    /// The key of the value.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What became of showing it: to await, or to wait on. `None` the second time.
    pub fn shown(&mut self) -> Option<Completion> {
        self.shown.take()
    }

    /// The server has agreed: the change is part of the value from now on, under what came since.
    ///
    /// # Errors
    /// If the owner's inbox is full or the owner has ended; the change is then taken off.
    pub fn commit(mut self) -> Result<Completion, CommandError> {
        let done = self.end(OverlayChange::Commit)?;
        self.ended = true;
        Ok(done)
    }

    /// The server has refused: takes the change off. What came meanwhile stays.
    ///
    /// # Errors
    /// If the owner's inbox is full or the owner has ended. It is tried once more, without an
    /// answer, as when the handle is dropped.
    pub fn rollback(mut self) -> Result<Completion, CommandError> {
        let done = self.end(OverlayChange::Rollback)?;
        self.ended = true;
        Ok(done)
    }

    fn end(&self, change: OverlayChange) -> Result<Completion, CommandError> {
        let Some((_, id)) = self.key.slot() else {
            // It was made of a slot's key.
            return Err(CommandError::OwnerGone);
        };
        self.send(id.to_owned(), change)
    }

    fn send(
        &self,
        id: crate::key::Id,
        change: OverlayChange,
    ) -> Result<Completion, CommandError> {
        let command = Command::Overlay {
            entity: Arc::clone(self.entity.name()),
            id,
            overlay: self.overlay,
            change,
        };
        self.shared.owners().send(&self.entity, command)
    }
}

impl Drop for Optimistic {
    fn drop(&mut self) {
        if !self.ended {
            // An owner that is gone has nothing to take off; a full inbox is the user's to see, by
            // `rollback`.
            let _ = self.end(OverlayChange::Rollback);
        }
    }
}

impl fmt::Debug for Optimistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimistic")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
