//! What clients write: whole values, parts, optimistic ones. Documents here and now, slots through
//! the owner of their entity.

use super::document::Old;
use super::error::QueryError;
use super::query::Query;
use super::{Place, Plane};
use crate::Time;
use crate::feed::Update;
use crate::io::command::{Command, OverlayChange, OverlayId};
use crate::io::inbox::Completion;
use crate::record::{Mode, Tree};
use crate::sync::Arc;

impl Plane {
    /// Writes the whole value: JSON text. For a slot it is handed to the owner of the entity.
    ///
    /// # Errors
    /// It is a list or not JSON, the owner's inbox is full, the cache is closed.
    pub(crate) fn set(
        self: &Arc<Self>,
        query: &Arc<Query>,
        json: Vec<u8>,
    ) -> Result<Completion, QueryError> {
        match query.place() {
            Place::Slot(_) => self.write_slot(query, Update::whole(), Some(json)),
            Place::Document(document) => {
                let tree = self.parsed(query, &json)?;
                self.write_document(query, |stamp, now| {
                    Some(document.set(Some(tree), stamp, now))
                })
            }
            Place::List(_) => Err(QueryError::IsList(query.key().clone())),
        }
    }

    /// As [`set`](Self::set) of a document, if its version is still this one.
    ///
    /// # Errors
    /// [`QueryError::Moved`], and those of [`set`](Self::set).
    pub(crate) fn set_at(
        self: &Arc<Self>,
        query: &Arc<Query>,
        version: u64,
        json: &[u8],
    ) -> Result<(), QueryError> {
        let Some(document) = query.as_document() else {
            return Err(QueryError::OtherPlace(query.key().clone()));
        };
        let tree = self.parsed(query, json)?;
        let mut set = false;
        let _done = self.write_document(query, |stamp, now| {
            let old = document.set_at(version, Some(tree), stamp, now);
            set = old.is_some();
            old
        })?;
        if set { Ok(()) } else { Err(QueryError::Moved) }
    }

    /// Removes the value: it is known that there is none.
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    pub(crate) fn unset(self: &Arc<Self>, query: &Arc<Query>) -> Result<Completion, QueryError> {
        match query.place() {
            Place::Slot(_) => self.write_slot(query, Update::whole(), None),
            Place::Document(document) => {
                self.write_document(query, |stamp, now| Some(document.set(None, stamp, now)))
            }
            Place::List(_) => Err(QueryError::IsList(query.key().clone())),
        }
    }

    /// Lays a part of a value over it, where there is one; while a fetch runs it is kept for its
    /// result.
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    pub(crate) fn patch(
        self: &Arc<Self>,
        query: &Arc<Query>,
        json: Vec<u8>,
        mode: Mode,
    ) -> Result<Completion, QueryError> {
        match query.place() {
            Place::Slot(_) => {
                let update = Update {
                    mode,
                    ..Update::patch()
                };
                self.write_slot(query, update, Some(json))
            }
            Place::Document(document) => {
                let tree = parse(&json)?;
                self.write_document(query, |_, now| document.patch(&tree, mode, now))
            }
            Place::List(_) => Err(QueryError::IsList(query.key().clone())),
        }
    }

    /// Shows a part of a value over whatever it is, until [`end_overlay`](Self::end_overlay).
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    pub(crate) fn overlay(
        self: &Arc<Self>,
        query: &Arc<Query>,
        json: Vec<u8>,
        mode: Mode,
    ) -> Result<(OverlayId, Completion), QueryError> {
        let overlay = OverlayId(self.number());
        let completion = match query.place() {
            Place::Slot(_) => {
                let change = OverlayChange::Put { value: json, mode };
                self.change_overlay(query, overlay, change)?
            }
            Place::Document(document) => {
                let tree = parse(&json)?;
                self.show_document(query, |_| Some(document.put_overlay(overlay, tree, mode)))?
            }
            Place::List(_) => return Err(QueryError::IsList(query.key().clone())),
        };
        Ok((overlay, completion))
    }

    /// Makes what was shown a part of the value, or takes it back.
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    pub(crate) fn end_overlay(
        self: &Arc<Self>,
        query: &Arc<Query>,
        overlay: OverlayId,
        commit: bool,
    ) -> Result<Completion, QueryError> {
        match query.place() {
            Place::Slot(_) => {
                let change = if commit {
                    OverlayChange::Commit
                } else {
                    OverlayChange::Rollback
                };
                self.change_overlay(query, overlay, change)
            }
            Place::Document(document) => {
                self.show_document(query, |now| document.end_overlay(overlay, commit, now))
            }
            Place::List(_) => Err(QueryError::IsList(query.key().clone())),
        }
    }

    fn change_overlay(
        &self,
        query: &Query,
        overlay: OverlayId,
        change: OverlayChange,
    ) -> Result<Completion, QueryError> {
        let Some(slot) = query.slot() else {
            return Err(QueryError::OtherPlace(query.key().clone()));
        };
        let command = Command::Overlay {
            entity: Arc::clone(slot.entity().name()),
            id: slot.id().clone(),
            overlay,
            change,
        };
        Ok(self.owners.send(slot.entity(), command)?)
    }

    /// Hands a write to the owner of a slot, of JSON text or (`None`) that there is no value; the
    /// machine is told once it is done.
    fn write_slot(
        self: &Arc<Self>,
        query: &Arc<Query>,
        update: Update,
        value: Option<Vec<u8>>,
    ) -> Result<Completion, QueryError> {
        let Some(slot) = query.slot() else {
            return Err(QueryError::OtherPlace(query.key().clone()));
        };
        let (entity, id) = (Arc::clone(slot.entity().name()), slot.id().clone());
        let command = match value {
            Some(value) => Command::Set {
                entity,
                id,
                update,
                value,
            },
            None => Command::Remove { entity, id, update },
        };
        let executor = self.executor()?;
        let completion = self.owners.send(slot.entity(), command)?;
        match completion.result() {
            Some(Ok(())) => self.is_set(query),
            Some(Err(_)) => {}
            None => {
                let (plane, query) = (Arc::clone(self), Arc::clone(query));
                let done = completion.twin();
                let name = format!("a write of {}", query.key());
                let work = async move {
                    if done.await.is_ok() {
                        plane.is_set(&query);
                    }
                };
                executor.spawn(name, Box::pin(work));
            }
        }
        Ok(completion)
    }

    fn is_set(self: &Arc<Self>, query: &Arc<Query>) {
        self.with(|core, now| {
            if !core.closed {
                let ix = core.enter(query, now);
                core.machine.handle_set(ix, now, &core.table);
            }
        });
    }

    /// Writes a document under the lock, and tells the machine if anything was written.
    fn write_document(
        self: &Arc<Self>,
        query: &Arc<Query>,
        write: impl FnOnce(u64, Time) -> Option<Old>,
    ) -> Result<Completion, QueryError> {
        self.with(|core, now| {
            if core.closed {
                return Err(QueryError::Closed);
            }
            let ix = core.enter(query, now);
            if let Some(old) = write(query.word.sum(), now) {
                core.throw_away(old);
                core.machine.handle_set(ix, now, &core.table);
                core.publish(ix, now);
            }
            Ok(Completion::done(Ok(())))
        })
    }

    /// Changes what is shown of a document, which is no write.
    pub(super) fn show_document(
        self: &Arc<Self>,
        query: &Arc<Query>,
        change: impl FnOnce(Time) -> Option<Old>,
    ) -> Result<Completion, QueryError> {
        self.with(|core, now| {
            if core.closed {
                return Err(QueryError::Closed);
            }
            if let Some(old) = change(now) {
                core.throw_away(old);
                query.moved();
                core.moved.push(Arc::clone(query));
            }
            Ok(Completion::done(Ok(())))
        })
    }

    /// JSON text as a document, sharing with the present one what is equal.
    fn parsed(&self, query: &Query, json: &[u8]) -> Result<Tree, QueryError> {
        let tree = parse(json)?;
        Ok(match query.as_document() {
            Some(document) if query.settings().sharing.unwrap_or(true) => document.share(&tree),
            _ => tree,
        })
    }
}

/// JSON text as a document.
pub(super) fn parse(json: &[u8]) -> Result<Tree, QueryError> {
    let not_json = |error: String| QueryError::NotJson(error);
    let text = std::str::from_utf8(json).map_err(|error| not_json(error.to_string()))?;
    Tree::parse(text).map_err(|error| not_json(error.to_string()))
}
