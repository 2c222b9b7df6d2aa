//! What every handle of a cache holds on to: the data plane. Threads and sockets are not in it, so
//! that a handle kept by a user does not keep a feed alive.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::entity::Entity;
use super::freshness::Policy;
use super::ready::near_misses;
use crate::feed::{CounterValues, Counters};
use crate::io::clock::Clock;
use crate::io::command::Command;
use crate::io::inbox::Inbox;
use crate::io::slow::Slow;
use crate::store::{Flag, Hub, Store, TurnCounter};
use crate::sync::Arc;

/// The data plane of one cache.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Clock,
    policies: HashMap<String, Policy>,
    owners: Mutex<HashMap<Arc<str>, Owner>>,
    slow: Slow,
    closed: Flag,
}

/// A feed as others need to know it.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) inbox: Inbox<Command>,
    pub(crate) turns: Arc<TurnCounter>,
    pub(crate) counters: Arc<Counters>,
    /// It claims what nobody owns.
    pub(crate) wildcard: bool,
}

impl Shared {
    pub(crate) fn new(
        store: Arc<Store>,
        hub: Arc<Hub>,
        clock: Clock,
        policies: HashMap<String, Policy>,
    ) -> Self {
        let slow = Slow::new(Arc::clone(&store), &hub, clock.clone());
        let owners = Mutex::default();
        Self {
            store,
            hub,
            clock,
            policies,
            owners,
            slow,
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
        self.closed.raise();
    }

    /// Who writes what no feed owns.
    pub(crate) fn slow(&self) -> &Slow {
        &self.slow
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<Arc<str>, Owner>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a feed of that name is attached.
    pub(crate) fn is_attached(&self, name: &str) -> bool {
        self.owners()
            .get(name)
            .is_some_and(|present| !present.inbox.is_closed())
    }

    /// Makes a feed known; `false` if there is one of that name.
    pub(crate) fn register(&self, name: &Arc<str>, owner: Owner) -> bool {
        let mut owners = self.owners();
        // One that has ended makes room for its successor.
        if owners
            .get(name)
            .is_some_and(|present| !present.inbox.is_closed())
        {
            return false;
        }
        owners.insert(Arc::clone(name), owner);
        true
    }

    /// The feed of a name.
    pub(crate) fn owner(&self, name: &str) -> Option<Owner> {
        self.owners().get(name).cloned()
    }

    /// The counters of every feed so far, by its name.
    pub(crate) fn counters(&self) -> Vec<(String, CounterValues)> {
        let mut feeds: Vec<_> = self
            .owners()
            .iter()
            .map(|(name, owner)| (name.to_string(), owner.counters.snapshot()))
            .collect();
        feeds.sort_by(|a, b| a.0.cmp(&b.0));
        feeds
    }

    /// Counts updates of an entity that a reader skipped over.
    pub(crate) fn count_conflated(&self, entity: &Entity, updates: u64) {
        if let Some(owner) = entity.core().owner().and_then(|name| self.owner(&name)) {
            owner.counters.add_conflated(updates);
        }
    }

    /// Similar names of declared entities, if nobody declares this one.
    pub(crate) fn undeclared(&self, entity: &Entity) -> Option<Vec<String>> {
        let wildcard = self
            .owners()
            .values()
            .any(|owner| owner.wildcard && !owner.inbox.is_closed());
        if wildcard || entity.core().owner().is_some() {
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
