//! Writes that are shown before the server has agreed to them.

use std::fmt;

use serde::Serialize;

use super::client::to_json;
use super::error::QueryError;
use crate::cache::handle::Cache;
use crate::io::command::OverlayId;
use crate::io::inbox::Completion;
use crate::io::plane::{Plane, Query};
use crate::key::Key;
use crate::record::Mode;
use crate::sync::Arc;

impl Cache {
    /// Shows a change of a value that the server has not agreed to yet: a merge patch (RFC 7396),
    /// laid over whatever the value becomes meanwhile.
    ///
    /// Streamed updates and fetches go on underneath. [`commit`](Optimistic::commit) makes the
    /// change part of the value, under what came since; [`rollback`](Optimistic::rollback), or
    /// dropping the handle, takes it off and loses nothing of what came meanwhile (D7).
    ///
    /// # Errors
    /// If the change has no JSON form, the key is a list, there is no room for another entity or
    /// id, or the owner of the entity cannot take it.
    pub fn optimistic<V: Serialize + ?Sized>(
        &self,
        key: &Key,
        patch: &V,
    ) -> Result<Optimistic, QueryError> {
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
    ) -> Result<Optimistic, QueryError> {
        let json = to_json(change)?;
        let query = self.plane().query(key, None)?;
        let (overlay, shown) = self.plane().overlay(&query, json, mode)?;
        Ok(Optimistic {
            plane: Arc::clone(self.plane()),
            query,
            overlay: Some(overlay),
            shown,
        })
    }
}

/// A change that is shown before the server has agreed to it. Dropping it takes the change off; where
/// the owner's inbox is full just then, that is made up for as soon as it has room.
#[must_use = "dropping it rolls the change back"]
pub struct Optimistic {
    plane: Arc<Plane>,
    query: Arc<Query>,
    overlay: Option<OverlayId>,
    shown: Completion,
}

impl Optimistic {
    /// The key of the value.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.query.key()
    }

    /// What became of showing it: done at once, or by the feed that owns the entity between two of
    /// its batches.
    pub fn shown(&mut self) -> &mut Completion {
        &mut self.shown
    }

    /// The server has agreed: the change is part of the value from now on, under what came since.
    ///
    /// # Errors
    /// If the owner's inbox is full or the owner has ended; the handle then comes back with the
    /// error, to try again or to drop.
    pub fn commit(self) -> Result<Completion, (QueryError, Self)> {
        self.end(true)
    }

    /// The server has refused: takes the change off. What came meanwhile stays.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn rollback(self) -> Result<Completion, (QueryError, Self)> {
        self.end(false)
    }

    fn end(mut self, commit: bool) -> Result<Completion, (QueryError, Self)> {
        let Some(overlay) = self.overlay else {
            return Ok(Completion::done(Ok(())));
        };
        match self.plane.end_overlay(&self.query, overlay, commit) {
            Ok(done) => {
                self.overlay = None;
                Ok(done)
            }
            Err(error) => Err((error.into(), self)),
        }
    }
}

impl Drop for Optimistic {
    fn drop(&mut self) {
        if let Some(overlay) = self.overlay {
            self.plane.drop_overlay(&self.query, overlay);
        }
    }
}

impl fmt::Debug for Optimistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimistic")
            .field("key", self.key())
            .finish_non_exhaustive()
    }
}
