//! What every handle of a cache holds on to: the data plane. Threads and sockets are not in it, so
//! that a handle kept by a user does not keep a feed alive.

use std::collections::HashMap;
use std::fmt;

use super::entity::Entity;
use super::freshness::Policy;
use super::query::Hooks;
use super::ready::near_misses;
use crate::io::clock::Clock;
use crate::io::owners::Owners;
use crate::io::plane::{Driver, FetchLimits, Plane};
use crate::store::{Flag, Hub, Store};
use crate::sync::Arc;

/// The data plane of one cache.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Clock,
    policies: HashMap<String, Policy>,
    owners: Arc<Owners>,
    plane: Arc<Plane>,
    hooks: Hooks,
    closed: Flag,
}

impl Shared {
    pub(crate) fn new(
        store: Arc<Store>,
        hub: Arc<Hub>,
        clock: Clock,
        policies: HashMap<String, Policy>,
        driver: Driver,
        fetches: FetchLimits,
    ) -> Self {
        let owners = Arc::new(Owners::new(Arc::clone(&store), &hub, clock.clone()));
        let plane = Plane::new(
            Arc::clone(&store),
            Arc::clone(&hub),
            clock.clone(),
            Arc::clone(&owners),
            driver,
            fetches,
        );
        Self {
            store,
            hub,
            clock,
            policies,
            owners,
            plane,
            hooks: Hooks::default(),
            closed: Flag::new(),
        }
    }

    pub(crate) fn policy(&self, entity: &str) -> Policy {
        self.policies.get(entity).copied().unwrap_or_default()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.level() > 0
    }

    pub(crate) fn close(&self) {
        self.owners.close();
        self.closed.raise();
    }

    /// Who fetches what.
    pub(crate) fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// Hooks of a cache that is driven by hand.
    pub(crate) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Who writes what.
    pub(crate) fn owners(&self) -> &Arc<Owners> {
        &self.owners
    }

    /// Counts updates of an entity that a reader skipped over.
    pub(crate) fn count_conflated(&self, entity: &Entity, updates: u64) {
        if let Some(owner) = entity.core().owner() {
            self.owners.count_conflated(&owner, updates);
        }
    }

    /// Similar names of declared entities, if nobody declares this one.
    pub(crate) fn undeclared(&self, entity: &Entity) -> Option<Vec<String>> {
        if self.owners.has_wildcard() || entity.core().owner().is_some() {
            return None;
        }
        let declared = self.store.entities();
        let declared = declared.iter().filter(|entity| entity.owner().is_some());
        Some(near_misses(
            entity.name(),
            declared.map(|entity| entity.name().to_string()),
        ))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
