//! The data that a query begins with, put where nothing is known.
//!
//! A document's is there at once. A slot's and a list's items' go through the owner of their
//! entity, who takes them only where he has nothing: what a stream has written by then stays. Until
//! he has answered the query counts as having it, so that nobody fetches what is just coming.

use std::future::Future;
use std::sync::PoisonError;
use std::task::{Context, Waker};

use super::core::{Core, Effect};
use super::document::Restored;
use super::error::QueryError;
use super::fetch_error::FetchError;
use super::list::{Members, items};
use super::query::Query;
use super::turn::waking;
use super::{Place, Plane, Promise};
use crate::Time;
use crate::io::command::{Command, Origin};
use crate::key::Id;
use crate::query::{Cause, Look, RefetchKind};
use crate::store::Entity;
use crate::sync::Arc;

/// Initial data that owners were not asked to take yet, or have not answered for.
#[derive(Debug)]
pub(super) struct Coming {
    /// How old it is.
    at: Time,
    taken: Promise,
}

impl Query {
    /// What is to be known about the data, and nothing but that if its initial data is coming.
    pub(super) fn with_coming(&self, look: Look) -> Look {
        if look.known() {
            return look;
        }
        let coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
        coming.as_ref().map_or(look, |coming| Look {
            present: true,
            whole_at: Some(coming.at),
            received_at: coming.at,
            stamp: look.sum,
            ..look
        })
    }

    /// What to wait for before the data is there that the query counts as having.
    pub(super) fn taken(&self) -> Option<Promise> {
        let coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
        coming.as_ref().map(|coming| coming.taken.clone())
    }
}

impl Core {
    /// Puts the initial data in, where there is some and nothing is known.
    pub(super) fn begin_with_initial(&mut self, query: &Arc<Query>, now: Time) {
        let settings = query.settings();
        if let Some(initial) = &settings.initial
            && !query.look().known()
        {
            let at = initial.at.unwrap_or(now);
            match query.place() {
                Place::Document(document) => {
                    let restored = Restored {
                        tree: initial.tree.clone(),
                        at,
                        sequence: None,
                        trusted: true,
                    };
                    let old = document.restore(restored, query.word.sum());
                    self.throw_away(old);
                    let ix = self.enter(query, now);
                    self.publish(ix, now);
                }
                // Nothing says where the items are.
                Place::List(_) if settings.list.is_none() => {}
                Place::Slot(_) | Place::List(_) => {
                    let taken = Promise::new();
                    *query.coming.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(Coming { at, taken });
                    self.effects.push_back(Effect::Begin(Arc::clone(query), at));
                }
            }
        }
        self.throw_away(settings);
    }
}

impl Plane {
    /// Has the owner take the initial data of a slot or a list: before this returns where no feed
    /// owns it.
    pub(super) fn begin(self: &Arc<Self>, query: Arc<Query>, at: Time) {
        let name = format!("the initial data of {}", query.key());
        let beginning = Beginning {
            plane: Arc::clone(self),
            query,
        };
        let mut work = Box::pin(async move {
            let taken = beginning.plane.put_initial(&beginning.query, at).await;
            beginning.end(taken);
        });
        let now = &mut Context::from_waker(Waker::noop());
        if work.as_mut().poll(now).is_pending()
            && let Ok(executor) = self.executor()
        {
            executor.spawn(name, work);
        }
    }

    async fn put_initial(self: &Arc<Self>, query: &Arc<Query>, at: Time) -> Result<(), QueryError> {
        let settings = query.settings();
        let Some(initial) = &settings.initial else {
            return Ok(());
        };
        let json = initial.tree.to_json().into_bytes();
        match (query.place(), &settings.list) {
            (Place::Slot(slot), _) => {
                self.put_value(slot.entity(), slot.id(), &json, at, false)
                    .await?;
            }
            (Place::List(list), Some(shape)) => {
                let depth = self.store.config().limits.max_depth;
                let found = items(&json, shape, depth, |id, item| {
                    Ok((id, item.raw().to_vec()))
                })?;
                // Before the list that names them, so that it is never shown with holes.
                for (id, value) in &found {
                    self.put_value(list.entity(), id, value, at, true).await?;
                }
                let ids: Vec<Id> = found.into_iter().map(|(id, _)| id).collect();
                let slots = list.slots(&ids);
                self.with(|core, _| {
                    // A fetch, or what an earlier process had, may have come first.
                    if core.closed || list.members().whole_at.is_some() {
                        return;
                    }
                    let old = list.put(Members {
                        ids: ids.into(),
                        slots,
                        whole_at: Some(at),
                        stamp: query.word.sum(),
                        sequence: None,
                        restored: false,
                        version: 0,
                    });
                    core.throw_away(old);
                    core.note_members(query);
                });
            }
            _ => {}
        }
        Ok(())
    }

    async fn put_value(
        self: &Arc<Self>,
        entity: &Entity,
        id: &Id,
        value: &[u8],
        received_at: Time,
        partial: bool,
    ) -> Result<(), FetchError> {
        let command = || Command::Restore {
            entity: Arc::clone(entity.name()),
            id: id.clone(),
            value: value.to_vec(),
            received_at,
            sequence: None,
            partial,
            origin: Origin::Settings,
            report: Arc::default(),
        };
        self.tell(entity, command).await
    }
}

/// Initial data on its way. Dropped before its end, nobody waits for it any more.
struct Beginning {
    plane: Arc<Plane>,
    query: Arc<Query>,
}

impl Beginning {
    /// The query has what it has. If that is nothing, it is fetched where it is observed.
    fn end(&self, taken: Result<(), QueryError>) {
        let Self { plane, query } = self;
        let coming = query.coming.lock();
        let coming = coming.unwrap_or_else(PoisonError::into_inner).take();
        let Some(coming) = coming else { return };
        if let Err(error) = &taken {
            tracing::warn!(key = %query.key(), %error, "the initial data of a query is not taken");
        }
        plane.with(|core, now| {
            let at = *query.at.lock().unwrap_or_else(PoisonError::into_inner);
            let known = at.filter(|ix| core.table.queries.contains_key(ix));
            let (Some(ix), false) = (known, core.closed) else {
                return;
            };
            if !query.look().known() {
                let cause = Cause::Mount;
                // Nobody waits for it in particular.
                let _ = core.machine.refetch(
                    &[ix],
                    RefetchKind::Active,
                    false,
                    cause,
                    now,
                    &core.table,
                );
            }
            core.publish(ix, now);
        });
        coming.taken.set(taken, &waking());
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        self.end(Err(QueryError::Closed));
    }
}

impl From<FetchError> for QueryError {
    fn from(error: FetchError) -> Self {
        Self::Failed(error)
    }
}
