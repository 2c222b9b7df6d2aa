//! A query as this room looks at it: what it holds, what is known about it, what to wait for.

use std::fmt;

use super::error::QueryError;
use super::state::{Machine, Version};
use crate::Time;
use crate::cache::entity::Entity;
use crate::cache::freshness::{Freshness, Reasons};
use crate::cache::shared::Shared;
use crate::cache::slot::{Slot, Snapshot};
use crate::io::plane::{self, Members, Observation, Place, Query, Settings, Shown};
use crate::key::{Id, Key};
use crate::query::FetchStatus;
use crate::record::Tree;
use crate::store::{self, Seen, State, Watched};
use crate::sync::Arc;

/// One query.
#[derive(Clone)]
pub(super) struct Source {
    shared: Arc<Shared>,
    key: Key,
    /// The query; a slot may be looked at without one.
    query: Option<Arc<Query>>,
    /// The entity of its slot or of its items, as handles of slots need it.
    entity: Option<Entity>,
    /// Its slot, if it is one: the one that was there at the last [`Source::follow`].
    slot: Option<Slot>,
}

/// One query that is being observed.
pub(super) struct Target {
    pub(super) source: Source,
    pub(super) observation: Observation,
}

/// What a query holds.
pub(super) enum Held {
    None,
    Slot(Snapshot),
    Document(Tree),
    /// The items that have a value, in the list's order.
    List(Vec<Snapshot>),
}

/// What a query holds, and what that is worth.
pub(super) struct Content {
    pub(super) held: Held,
    pub(super) version: Version,
    pub(super) freshness: Freshness,
    pub(super) updated_at: Option<Time>,
    pub(super) received_at: Option<Time>,
    pub(super) sequence: Option<u64>,
}

impl Source {
    pub(super) fn new(shared: Arc<Shared>, query: Arc<Query>) -> Self {
        let core = match query.place() {
            Place::Slot(place) => Some(place.entity()),
            Place::List(list) => Some(list.entity()),
            Place::Document(_) => None,
        };
        let entity = core.map(|core| Entity::new(Arc::clone(core), Arc::clone(&shared)));
        let mut source = Self {
            shared,
            key: query.key().clone(),
            query: Some(query),
            entity,
            slot: None,
        };
        source.follow();
        source
    }

    /// What there is under a key, without making anything: a query, or else a slot.
    pub(super) fn find(shared: &Arc<Shared>, key: &Key) -> Option<Self> {
        if let Some(query) = shared.plane().find(key) {
            return Some(Self::new(Arc::clone(shared), query));
        }
        let (entity, id) = key.slot()?;
        let core = shared.store.find(entity)?;
        let slot = core.find(id)?;
        let entity = Entity::new(core, Arc::clone(shared));
        Some(Self {
            shared: Arc::clone(shared),
            key: key.clone(),
            query: None,
            slot: Some(Slot::new(entity.clone(), slot)),
            entity: Some(entity),
        })
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn query(&self) -> Option<&Arc<Query>> {
        self.query.as_ref()
    }

    fn place(&self) -> Option<&Place> {
        self.query.as_deref().map(Query::place)
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// Takes the slot that the key has now; whether it is another.
    pub(super) fn follow(&mut self) -> bool {
        let (Some(Place::Slot(place)), Some(entity)) = (self.place(), &self.entity) else {
            return false;
        };
        let now = place.slot();
        if self
            .slot
            .as_ref()
            .is_some_and(|slot| Arc::ptr_eq(slot.core(), &now))
        {
            return false;
        }
        self.slot = Some(Slot::new(entity.clone(), now));
        true
    }

    /// The slot, if the query is one.
    pub(super) fn slot(&self) -> Option<&Slot> {
        self.slot.as_ref()
    }

    /// The entity of the items, if the query is a list.
    pub(super) fn list_entity(&self) -> Option<&Entity> {
        self.entity
            .as_ref()
            .filter(|_| matches!(self.place(), Some(Place::List(_))))
    }

    /// The members, if the query is a list.
    pub(super) fn members(&self) -> Option<Arc<Members>> {
        self.query.as_ref()?.members()
    }

    /// What the state machine knows.
    pub(super) fn machine(&self) -> Machine {
        match &self.query {
            Some(query) => Machine::of(&query.state()),
            None => Machine::idle(),
        }
    }

    /// What is held now. Decodes nothing.
    pub(super) fn content(&self) -> Content {
        match self.place() {
            Some(Place::Document(document)) => self.document_content(&document.shown()),
            Some(Place::List(list)) => self.list_content(&list.members()),
            Some(Place::Slot(_)) | None => self.slot_content(),
        }
    }

    fn slot_content(&self) -> Content {
        let Some(slot) = &self.slot else {
            return Content::none();
        };
        let snapshot = slot.snapshot();
        let head = *snapshot.head();
        if head.state == State::Empty
            && let Some(Place::Slot(place)) = self.place()
            && let Some(none) = place.none()
        {
            return Content {
                freshness: Freshness::Removed,
                updated_at: Some(none.at),
                received_at: Some(none.at),
                ..Content::none()
            };
        }
        let freshness = snapshot.freshness();
        let there = matches!(head.state, State::Present | State::Removed);
        Content {
            version: Version::Slot(snapshot.epoch()),
            freshness,
            updated_at: (there && head.whole_at > Time::ZERO).then_some(head.whole_at),
            received_at: there.then_some(head.received_at),
            sequence: head.sequence,
            held: if head.state == State::Present {
                Held::Slot(snapshot)
            } else {
                Held::None
            },
        }
    }

    fn document_content(&self, shown: &Shown) -> Content {
        let freshness = self.worth(shown.tree.is_some(), shown.whole_at, shown.restored);
        Content {
            version: match &shown.tree {
                Some(tree) => Version::Document(shown.version, tree.clone()),
                None => Version::None,
            },
            freshness,
            updated_at: shown.whole_at,
            received_at: shown.tree.is_some().then_some(shown.received_at),
            sequence: shown.sequence,
            held: shown.tree.clone().map_or(Held::None, Held::Document),
        }
    }

    /// What the membership of a list, or a document, is worth.
    fn worth(&self, there: bool, whole_at: Option<Time>, restored: bool) -> Freshness {
        if !there {
            return match whole_at {
                Some(_) => Freshness::Removed,
                None => Freshness::Empty,
            };
        }
        let invalidated = self
            .query
            .as_ref()
            .is_some_and(|query| query.look().invalidated());
        let reasons = [
            (Reasons::INVALIDATED, invalidated),
            (Reasons::RESTORED, restored),
            // Made by a client's patches alone.
            (Reasons::PARTIAL, whole_at.is_none()),
        ];
        let reasons = reasons
            .into_iter()
            .filter(|(_, holds)| *holds)
            .fold(Reasons::NONE, |all, (reason, _)| all.union(reason));
        if reasons.is_empty() {
            Freshness::Live
        } else {
            Freshness::Stale(reasons)
        }
    }

    fn list_content(&self, members: &Members) -> Content {
        let (Some(entity), Some(whole_at)) = (self.list_entity(), members.whole_at) else {
            return Content::none();
        };
        let items: Vec<Snapshot> = members
            .slots
            .iter()
            .map(|core| {
                let slot = Slot::new(entity.clone(), Arc::clone(core));
                slot.current().snapshot()
            })
            .collect();
        let epochs = items.iter().map(Snapshot::epoch).collect();
        // The list is worth what its membership is, and no more than its items are.
        let mut reasons = self.worth(true, Some(whole_at), members.restored).reasons();
        for item in &items {
            reasons = reasons.union(super::list::in_list(item.freshness()).reasons());
        }
        let received_at = items.iter().map(Snapshot::received_at).max();
        Content {
            version: Version::List(members.version, epochs),
            freshness: if reasons.is_empty() {
                Freshness::Live
            } else {
                Freshness::Stale(reasons)
            },
            updated_at: Some(whole_at),
            received_at: received_at.max(Some(whole_at)),
            sequence: members.sequence,
            held: Held::List(
                items
                    .into_iter()
                    .filter(|item| item.head().state == State::Present)
                    .collect(),
            ),
        }
    }

    /// The membership of a list without its items: ids, and what the membership is worth.
    pub(super) fn membership(&self) -> (Option<Arc<[Id]>>, Content) {
        let Some(members) = self.members().filter(|members| members.whole_at.is_some()) else {
            return (None, Content::none());
        };
        let content = Content {
            held: Held::None,
            version: super::list::membership(members.version),
            freshness: self.worth(true, members.whole_at, members.restored),
            updated_at: members.whole_at,
            received_at: members.whole_at,
            sequence: members.sequence,
        };
        (Some(Arc::clone(&members.ids)), content)
    }

    /// When what is held turns stale by the entity's `stale_after`; of a list, the first item.
    pub(super) fn expires_at(&self) -> Time {
        let Some(entity) = &self.entity else {
            return Time::NEVER;
        };
        let policy = entity.policy();
        if !policy.expires() {
            return Time::NEVER;
        }
        let expiry = |slot: &store::Slot| policy.expires_at(&slot.head());
        match (&self.slot, self.members()) {
            (Some(slot), _) => expiry(slot.core()),
            (None, Some(members)) => {
                let items = members.slots.iter().map(|slot| expiry(slot));
                items.min().unwrap_or(Time::NEVER)
            }
            (None, None) => Time::NEVER,
        }
    }

    /// What to wait for: the state, the data, and the generations that say what the data is worth.
    pub(super) fn watched(&self) -> Vec<Arc<dyn Watched>> {
        let mut watched = self.watched_without_items();
        if let Some(entity) = self.list_entity() {
            watched.push(entity.core().clone());
        }
        watched
    }

    /// As [`watched`](Self::watched), for who follows the items himself.
    pub(super) fn watched_without_items(&self) -> Vec<Arc<dyn Watched>> {
        let mut watched: Vec<Arc<dyn Watched>> = Vec::with_capacity(3);
        if let Some(query) = &self.query {
            watched.push(query.clone());
        }
        if let Some(slot) = &self.slot {
            watched.push(slot.core().clone());
        }
        watched
    }

    /// What of [`watched`](Self::watched) is seen by who looks after this.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let mut seen = self.seen_without_items();
        if let Some(entity) = self.list_entity() {
            seen.push(entity.core().seen(entity.core().changes().position()));
        }
        seen
    }

    pub(super) fn seen_without_items(&self) -> Vec<Seen> {
        let mut seen: Vec<Seen> = self.query.iter().map(|query| query.seen()).collect();
        if let Some(slot) = &self.slot {
            seen.push(slot.core().seen());
        }
        seen
    }
}

impl Target {
    /// Whether the observation makes the query active.
    pub(super) fn set_enabled(&mut self, enabled: bool) {
        self.observation.change(&Settings {
            enabled: Some(enabled),
            ..Settings::default()
        });
    }
}

impl Content {
    pub(super) fn none() -> Self {
        Self {
            held: Held::None,
            version: Version::None,
            freshness: Freshness::Empty,
            updated_at: None,
            received_at: None,
            sequence: None,
        }
    }
}

impl Machine {
    pub(super) fn of(state: &plane::State) -> Self {
        Self {
            fetch_status: state.fetch_status,
            error: state.error.clone().map(|error| {
                if error.is_cancelled() {
                    QueryError::Cancelled
                } else {
                    QueryError::Fetch(error)
                }
            }),
            error_at: state.error_at,
            errors: state.error_count,
            failures: state.failure_count,
            failure: state.failure.clone(),
            updates: state.data_count,
        }
    }

    /// Nothing was ever asked for.
    pub(super) fn idle() -> Self {
        Self {
            fetch_status: FetchStatus::Idle,
            error: None,
            error_at: None,
            errors: 0,
            failures: 0,
            failure: None,
            updates: 0,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(self.key()).finish()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(self.source.key()).finish()
    }
}
