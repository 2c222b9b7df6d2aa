//! What clients may ask: fetch, write, refetch, reset, remove, cancel, listen.

use std::sync::OnceLock;

use super::core::{Core, Effect};
use super::document::{Old, Restored};
use super::error::QueryError;
use super::events::EventQueue;
use super::fetch_error::{FetchError, FetchErrorKind};
use super::list::Members;
use super::query::Query;
use super::{Place, Plane, Promise};
use crate::Time;
use crate::feed::Update;
use crate::io::command::{self, Command, OverlayChange, OverlayId};
use crate::io::inbox::{CommandError, Completion};
use crate::io::latch::WakeOn;
use crate::key::Id;
use crate::query::{Cancel, Cause, Filter, Info, QueryIx, RefetchKind, Want, Wanted};
use crate::record::{Mode, Tree};
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
    /// Fetches, or joins the fetch that runs; `want` may find the data fresh enough.
    ///
    /// # Errors
    /// [`QueryError::NoFetcher`], [`QueryError::Closed`].
    pub(crate) fn fetch(
        self: &Arc<Self>,
        query: &Arc<Query>,
        want: Want,
    ) -> Result<Promise, QueryError> {
        self.with(|core, now| {
            if core.closed {
                return Err(QueryError::Closed);
            }
            let ix = core.enter(query, now);
            match core.machine.fetch(ix, want, now, &core.table) {
                Wanted::Fresh => {
                    let promise = Promise::new();
                    promise.set(Ok(()), &WakeOn::here());
                    Ok(promise)
                }
                Wanted::Waiting(promise) => Ok(core.promise(promise)),
                Wanted::NoFetcher => Err(QueryError::NoFetcher(query.key().clone())),
                Wanted::Gone => Err(QueryError::Cancelled),
            }
        })
    }

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
            Place::Slot(slot) => self.write(
                query,
                Command::Set {
                    entity: Arc::clone(slot.entity().name()),
                    id: slot.id().clone(),
                    update: Update::whole(),
                    value: json,
                },
            ),
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
            Place::Slot(slot) => self.write(
                query,
                Command::Remove {
                    entity: Arc::clone(slot.entity().name()),
                    id: slot.id().clone(),
                    update: Update::whole(),
                },
            ),
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
            Place::Slot(slot) => self.write(
                query,
                Command::Set {
                    entity: Arc::clone(slot.entity().name()),
                    id: slot.id().clone(),
                    update: Update {
                        mode,
                        ..Update::patch()
                    },
                    value: json,
                },
            ),
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

    /// Hands a write to the owner of a slot; the machine is told once it is done.
    fn write(
        self: &Arc<Self>,
        query: &Arc<Query>,
        command: Command,
    ) -> Result<Completion, QueryError> {
        let Some(slot) = query.slot() else {
            return Err(QueryError::OtherPlace(query.key().clone()));
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
    fn show_document(
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

    /// The names of the queries that a filter means. Runs its predicate, with no lock held.
    pub(super) fn select(&self, filter: &Filter) -> Vec<QueryIx> {
        let now = self.clock.now();
        let core = self.lock();
        let mut chosen = core.machine.select(filter, now, &core.table);
        if !filter.has_predicate() {
            return chosen;
        }
        let infos: Vec<Option<Info<FetchError>>> = chosen
            .iter()
            .map(|ix| core.machine.info(*ix, now, &core.table))
            .collect();
        drop(core);
        let mut infos = infos.into_iter();
        chosen.retain(|_| {
            let info = infos.next().flatten();
            info.is_some_and(|info| filter.accepts(&info.summary()))
        });
        chosen
    }

    /// The queries that a filter means, in the order in which they were made.
    pub(crate) fn queries(&self, filter: &Filter) -> Vec<Arc<Query>> {
        let chosen = self.select(filter);
        let core = self.lock();
        chosen.iter().filter_map(|ix| core.query(*ix)).collect()
    }

    /// Fetches what a filter means of this kind again. `restart`: what is being fetched and has data
    /// is begun anew.
    pub(crate) fn refetch(
        self: &Arc<Self>,
        filter: &Filter,
        kind: RefetchKind,
        restart: bool,
    ) -> Vec<Promise> {
        let chosen = self.select(filter);
        self.refetch_queries(&chosen, kind, restart, Cause::User)
    }

    pub(super) fn refetch_queries(
        self: &Arc<Self>,
        chosen: &[QueryIx],
        kind: RefetchKind,
        restart: bool,
        cause: Cause,
    ) -> Vec<Promise> {
        self.with(|core, now| {
            let promises = core
                .machine
                .refetch(chosen, kind, restart, cause, now, &core.table);
            promises.into_iter().map(|p| core.promise(p)).collect()
        })
    }

    /// Puts what a filter means back to its initial state, and fetches what of it is observed.
    pub(crate) fn reset(self: &Arc<Self>, filter: &Filter) -> Vec<Promise> {
        let chosen = self.select(filter);
        self.with(|core, now| {
            let promises: Vec<_> = chosen
                .iter()
                .filter_map(|ix| core.machine.reset(*ix, now, &core.table))
                .collect();
            promises.into_iter().map(|p| core.promise(p)).collect()
        })
    }

    /// Drops what a filter means; who waits for a fetch is told that it was cancelled. Gives how many
    /// queries there were.
    pub(crate) fn remove(self: &Arc<Self>, filter: &Filter) -> usize {
        let chosen = self.select(filter);
        self.with(|core, now| {
            for ix in &chosen {
                core.machine.remove(*ix, now, &core.table);
            }
        });
        chosen.len()
    }

    /// Cancels the fetches of what a filter means. `revert`: the state is as before; else the query
    /// has failed.
    pub(crate) fn cancel(self: &Arc<Self>, filter: &Filter, revert: bool) {
        let chosen = self.select(filter);
        self.with(|core, now| {
            for ix in chosen {
                let how = if revert {
                    Cancel::Revert
                } else {
                    Cancel::Fail(FetchError::of(FetchErrorKind::Cancelled))
                };
                core.machine.cancel(ix, how, now, &core.table);
            }
        });
    }

    /// How many queries are being fetched.
    pub(crate) fn fetching(&self) -> usize {
        self.lock().machine.fetching()
    }

    /// Says whether the network is there.
    pub(crate) fn set_online(self: &Arc<Self>, online: bool) {
        self.with(|core, now| core.machine.set_online(online, now, &core.table));
    }

    pub(crate) fn is_online(&self) -> bool {
        self.lock().machine.is_online()
    }

    /// Says whether the application has the focus.
    pub(crate) fn set_focused(self: &Arc<Self>, focused: bool) {
        self.with(|core, now| core.machine.set_focused(focused, now, &core.table));
    }

    pub(crate) fn is_focused(&self) -> bool {
        self.lock().machine.is_focused()
    }

    /// What happens to queries from now on.
    pub(crate) fn events(&self) -> EventQueue {
        let (queue, listener) = EventQueue::new();
        self.lock().listen(&listener);
        queue
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
                let slow = entity.owner().is_none_or(|o| &*o == crate::io::slow::SLOW);
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
                let Ok(items) = super::list::items(&json, shape, None, depth) else {
                    return;
                };
                let ids: Vec<Id> = items.iter().map(|item| item.id.clone()).collect();
                for item in items {
                    let name = list.entity().name();
                    let value = item.value.unwrap_or_default();
                    let command = self.restoring(&item.id, name, value, at, true);
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

fn parse(json: &[u8]) -> Result<Tree, QueryError> {
    let not_json = |error: String| QueryError::NotJson(error);
    let text = std::str::from_utf8(json).map_err(|error| not_json(error.to_string()))?;
    Tree::parse(text).map_err(|error| not_json(error.to_string()))
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
