//! What every handle of a cache holds on to: the data plane. Threads and sockets are not in it, so
//! that a handle kept by a user does not keep a feed alive.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::entity::Entity;
use super::freshness::Policy;
use super::ready::near_misses;
use crate::io::clock::Clock;
use crate::store::{Flag, Hub, Store};
use crate::sync::Arc;

/// The data plane of one cache.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Clock,
    policies: HashMap<String, Policy>,
    owners: Mutex<Owners>,
    closed: Flag,
}

/// Who writes what, for errors and for the way in.
#[derive(Default)]
struct Owners {
    /// Feeds that claim what nobody owns.
    wildcards: usize,
}

impl Shared {
    pub(crate) fn new(
        store: Arc<Store>,
        hub: Arc<Hub>,
        clock: Clock,
        policies: HashMap<String, Policy>,
    ) -> Self {
        Self { store, hub, clock, policies, owners: Mutex::default(), closed: Flag::new() }
    }

    pub(crate) fn policy(&self, entity: &str) -> Policy {
        self.policies.get(entity).copied().unwrap_or_default()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.level() > 0
    }

    /// Marks the cache closed; `true` for the one who did.
    pub(crate) fn close(&self) {
        self.closed.raise();
    }

    /// A feed came (`1`) or went (`-1`) that claims entities nobody owns.
    pub(crate) fn count_wildcard(&self, by: isize) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.wildcards = owners.wildcards.saturating_add_signed(by);
    }

    /// Similar names of declared entities, if nobody declares this one.
    pub(crate) fn undeclared(&self, entity: &Entity) -> Option<Vec<String>> {
        if entity.core().owner().is_some() || self.wildcards() > 0 {
            return None;
        }
        let declared = self.store.entities();
        let declared = declared.iter().filter(|entity| entity.owner().is_some());
        Some(near_misses(entity.name(), declared.map(|entity| entity.name().to_string())))
    }

    fn wildcards(&self) -> usize {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).wildcards
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

