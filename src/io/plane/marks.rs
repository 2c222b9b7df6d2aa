//! Invalidation by clients: marking, and deciding afterwards what is fetched again.
//!
//! What reaches exactly everything, an entity, or a slot and what is under it, is one counter, and
//! only what is observed is visited. Any other filter marks the queries that it means one by one.
//! What a client marks is fetched by its decision alone: the mark is excused from what the plane
//! does by itself.

use std::fmt;

use super::core::{Core, Set};
use super::place::Above;
use super::{Place, Plane, Promise};
use crate::Time;
use crate::key::Key;
use crate::query::{Cause, Filter, QueryIx, RefetchKind};
use crate::store::{Entity, Store};
use crate::sync::Arc;

impl Plane {
    /// Marks what the filter means. When this returns every read says so.
    ///
    /// What is fetched again is decided with [`Marked::refetch`]; dropped without, it is what is
    /// observed.
    pub(crate) fn mark(self: &Arc<Self>, filter: &Filter) -> Marked {
        let filter = &*self.canonical_filter(filter);
        // A predicate is a user's code, and asked before the lock is taken.
        let chosen = if filter.is_plain() {
            None
        } else {
            Some(self.select(filter))
        };
        let (queries, followed) = self.with(|core, now| {
            if core.closed {
                return Default::default();
            }
            core.mark(&self.store, filter, chosen, now)
        });
        self.hub.scan();
        Marked {
            plane: Arc::clone(self),
            all: filter.is_plain().then(|| filter.clone()),
            queries,
            followed,
        }
    }
}

impl Core {
    fn mark(
        &mut self,
        store: &Store,
        filter: &Filter,
        chosen: Option<Vec<QueryIx>>,
        now: Time,
    ) -> (Vec<QueryIx>, Vec<Arc<Entity>>) {
        let (queries, followed) = match (chosen, filter.key()) {
            (Some(chosen), _) => {
                let followed = self.mark_each(store, filter, &chosen);
                (chosen, followed)
            }
            (None, None) => self.mark_everything(store),
            (None, Some(key)) if key.is_empty() => self.mark_everything(store),
            (None, Some(key)) => {
                let mut concerned = self.machine.concerned_under(key);
                let followed = match (key.entity(), key.slot()) {
                    (Some(name), None) if key.len() == 1 => {
                        if let Some(entity) = store.find(name) {
                            entity.invalidate();
                        }
                        self.side.excuse_entities(Some(name))
                    }
                    (Some(name), Some((_, id))) => {
                        let entity = store.find(name);
                        if let Some(slot) = entity.and_then(|entity| entity.find(id)) {
                            slot.invalidate();
                        }
                        // A list under a slot's key hangs on the entity.
                        for query in self.lists.keys().filter_map(|ix| self.query(*ix)) {
                            if query.key().starts_with(key) {
                                query.word.mark();
                            }
                        }
                        self.side.excuse_slot(name).into_iter().collect()
                    }
                    _ => {
                        concerned = self.machine.under(key);
                        self.mark_each(store, filter, &concerned)
                    }
                };
                (concerned, followed)
            }
        };
        for ix in &queries {
            self.machine.excuse(*ix, 1, now, &self.table);
        }
        (queries, followed)
    }

    fn mark_everything(&mut self, store: &Store) -> (Vec<QueryIx>, Vec<Arc<Entity>>) {
        store.invalidate_all();
        let concerned = self.machine.concerned_under(&Key::new([]));
        (concerned, self.side.excuse_entities(None))
    }

    /// Marks these queries and no others: what is under a slot's key has the slot's marks, and is
    /// spared those that are not meant for it.
    fn mark_each(
        &mut self,
        store: &Store,
        filter: &Filter,
        chosen: &[QueryIx],
    ) -> Vec<Arc<Entity>> {
        let mut followed = Vec::new();
        let meant: Set<QueryIx> = chosen.iter().copied().collect();
        // Those that a slot has marked already.
        let mut marked: Set<QueryIx> = Set::default();
        let slots = chosen.iter().filter_map(|ix| self.query(*ix));
        let slots: Vec<_> = slots
            .filter(|query| matches!(query.place(), Place::Slot(_)))
            .collect();
        for query in &slots {
            query.word.mark();
            for below in self.machine.under(query.key()) {
                let Some(other) = self.query(below) else {
                    continue;
                };
                match &other.word.above {
                    Above::Slot(_) if meant.contains(&below) => {
                        marked.insert(below);
                    }
                    Above::Slot(_) => other.word.spare(),
                    _ => {}
                }
            }
            if let Some(slot) = query.slot() {
                followed.extend(self.side.excuse_slot(slot.entity().name()));
            }
        }
        for ix in chosen.iter().filter(|ix| !marked.contains(*ix)) {
            if let Some(query) = self.query(*ix)
                && query.slot().is_none()
            {
                query.word.mark();
            }
        }
        // A slot that streams write need not have a query to be marked.
        if chosen.is_empty()
            && filter.is_plain_but_exact()
            && let Some((name, id)) = filter.key().and_then(Key::slot)
            && let Some(slot) = store.find(name).and_then(|entity| entity.find(id))
        {
            slot.invalidate();
            if let Some(key) = filter.key() {
                for below in self.machine.under(key) {
                    if let Some(other) = self.query(below)
                        && matches!(other.word.above, Above::Slot(_))
                    {
                        other.word.spare();
                    }
                }
            }
            followed.extend(self.side.excuse_slot(name));
        }
        followed.dedup_by(|a, b| Arc::ptr_eq(a, b));
        followed
    }
}

/// What was marked. To be decided what is fetched again: dropped, it is what is observed.
#[must_use = "dropping it fetches what is observed"]
pub(crate) struct Marked {
    plane: Arc<Plane>,
    /// What it means, where more may be meant than was visited.
    all: Option<Filter>,
    queries: Vec<QueryIx>,
    followed: Vec<Arc<Entity>>,
}

impl Marked {
    /// Fetches those of this kind again. What the promises end with are fetches that began after
    /// the mark.
    pub(crate) fn refetch(mut self, kind: RefetchKind) -> Vec<Promise> {
        self.decide(kind)
    }

    fn decide(&mut self, kind: RefetchKind) -> Vec<Promise> {
        let mut queries = std::mem::take(&mut self.queries);
        if let Some(filter) = self.all.take()
            && matches!(kind, RefetchKind::Inactive | RefetchKind::All)
        {
            queries = self.plane.select(&filter);
        }
        let followed = std::mem::take(&mut self.followed);
        let promises = if queries.is_empty() || kind == RefetchKind::None {
            Vec::new()
        } else {
            self.plane
                .refetch_queries(&queries, kind, false, Cause::Invalidation)
        };
        if matches!(kind, RefetchKind::Active | RefetchKind::All) {
            for entity in followed {
                self.plane.refetch_entity(&entity);
            }
        }
        promises
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        self.decide(RefetchKind::Active);
    }
}

impl fmt::Debug for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marked")
            .field("queries", &self.queries.len())
            .finish_non_exhaustive()
    }
}
