//! Which queries there are: by key, by the first part of the key, by what is to be visited.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::filter::Filter;
use super::ids::{ObserverId, QueryIx};
use super::slab::{Name, Slab};
use super::state::Query;
use crate::key::{Key, Part};

impl Name for QueryIx {
    fn new(at: u32, tenant: u32) -> Self {
        Self { at, tenant }
    }
    fn at(self) -> u32 {
        self.at
    }
    fn tenant(self) -> u32 {
        self.tenant
    }
}

impl Name for ObserverId {
    fn new(at: u32, tenant: u32) -> Self {
        Self { at, tenant }
    }
    fn at(self) -> u32 {
        self.at
    }
    fn tenant(self) -> u32 {
        self.tenant
    }
}

/// Queries in the order in which they were made.
pub(super) type Ordered = BTreeMap<u64, QueryIx>;

type Hashed<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The queries of a cache, and the sets that make visiting cheap.
#[derive(Debug)]
pub(super) struct Registry<E> {
    queries: Slab<QueryIx, Query<E>>,
    by_key: Hashed<Key, QueryIx>,
    /// By the first part; a key without parts is only in `all`.
    groups: Hashed<Part, Ordered>,
    all: Ordered,
    /// Those with an enabled observer.
    active: Ordered,
    /// Those with a fetch in flight.
    flying: Ordered,
    made: u64,
}

impl<E> Registry<E> {
    pub(super) fn new() -> Self {
        Self {
            queries: Slab::new(),
            by_key: Hashed::default(),
            groups: Hashed::default(),
            all: Ordered::new(),
            active: Ordered::new(),
            flying: Ordered::new(),
            made: 0,
        }
    }

    /// Adds the query that `make` gives for its number. There is none of this key yet.
    pub(super) fn insert(&mut self, key: &Key, make: impl FnOnce(u64) -> Query<E>) -> QueryIx {
        let number = self.made;
        self.made += 1;
        let query = self.queries.insert(|_| make(number));
        self.by_key.insert(key.clone(), query);
        self.all.insert(number, query);
        if let Some(first) = key.parts().first() {
            self.groups
                .entry(first.clone())
                .or_default()
                .insert(number, query);
        }
        query
    }

    pub(super) fn remove(&mut self, query: QueryIx) -> Option<Query<E>> {
        let gone = self.queries.remove(query)?;
        self.by_key.remove(&gone.key);
        self.all.remove(&gone.number);
        self.active.remove(&gone.number);
        self.flying.remove(&gone.number);
        if let Some(first) = gone.key.parts().first()
            && let Some(group) = self.groups.get_mut(first)
        {
            group.remove(&gone.number);
            if group.is_empty() {
                self.groups.remove(first);
            }
        }
        Some(gone)
    }

    pub(super) fn get(&self, query: QueryIx) -> Option<&Query<E>> {
        self.queries.get(query)
    }

    pub(super) fn get_mut(&mut self, query: QueryIx) -> Option<&mut Query<E>> {
        self.queries.get_mut(query)
    }

    pub(super) fn find(&self, key: &Key) -> Option<QueryIx> {
        self.by_key.get(key).copied()
    }

    #[cfg(test)]
    pub(super) const fn all(&self) -> &Ordered {
        &self.all
    }

    pub(super) const fn active(&self) -> &Ordered {
        &self.active
    }

    pub(super) const fn flying(&self) -> &Ordered {
        &self.flying
    }

    /// The queries that may be under a key: one group where its first part can match only its
    /// equal, else all.
    pub(super) fn candidates(&self, key: &Key) -> Vec<QueryIx> {
        match key.parts().first() {
            Some(Part::Array(_) | Part::Object(_)) | None => self.all.values().copied().collect(),
            Some(first) => self
                .groups
                .get(first)
                .map(|group| group.values().copied().collect())
                .unwrap_or_default(),
        }
    }

    /// The queries that a filter may mean, as far as its key and activity tell cheaply.
    pub(super) fn candidates_of(&self, filter: &Filter) -> Vec<QueryIx> {
        match filter.key() {
            Some(key) if filter.is_exact() => self.find(key).into_iter().collect(),
            Some(key) => self.candidates(key),
            None if filter.is_exact() => Vec::new(),
            None => self.all.values().copied().collect(),
        }
    }

    /// Whether it is to be visited when generations move.
    pub(super) fn set_active(&mut self, query: QueryIx, active: bool) {
        let Some(number) = self.get(query).map(|q| q.number) else {
            return;
        };
        if active {
            self.active.insert(number, query);
        } else {
            self.active.remove(&number);
        }
    }

    /// Whether a fetch is in flight for it.
    pub(super) fn set_flying(&mut self, query: QueryIx, flying: bool) {
        let Some(number) = self.get(query).map(|q| q.number) else {
            return;
        };
        if flying {
            self.flying.insert(number, query);
        } else {
            self.flying.remove(&number);
        }
    }
}
