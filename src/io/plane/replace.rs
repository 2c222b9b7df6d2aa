//! What an earlier process has left under a key, when the application now says that it is something
//! else: a list that was a plain value then, or the other way about.

use super::Plane;
use super::core::Core;
use super::query::Query;
use super::settings::Settings;
use crate::Time;
use crate::query::FetchStatus;
use crate::sync::Arc;

/// The query itself, and the table's.
const UNHELD: usize = 2;

impl Query {
    /// Whether what its user says makes it a list, where it was none, or no list, where it was one.
    pub(super) fn is_misplaced(&self, more: Option<&Settings>) -> bool {
        let settings = self.settings();
        let own = more.and_then(|more| more.list.as_ref());
        let is_list = own.or(settings.list.as_ref()).is_some();
        let fetcher = more.and_then(|more| more.fetcher.as_ref());
        let is_fetched = fetcher.or(settings.fetcher.as_ref()).is_some();
        match self.as_list() {
            None => is_list,
            // Who only looks on need not say where the items are.
            Some(_) => is_fetched && !is_list,
        }
    }
}

impl Plane {
    /// Has the machine let go of a query that is what an earlier process has left and no more:
    /// nobody holds it. Whether it was one.
    pub(super) fn let_go_of_restored(self: &Arc<Self>, query: &Arc<Query>) -> bool {
        self.with(|core, now| core.let_go_of_restored(query, now))
    }
}

impl Core {
    fn let_go_of_restored(&mut self, query: &Arc<Query>, now: Time) -> bool {
        let Some(ix) = self.machine.find(query.key()) else {
            return false;
        };
        let Some(info) = self.machine.info(ix, now, &self.table) else {
            return false;
        };
        let idle = info.observers == 0 && info.fetch_status == FetchStatus::Idle;
        // Nobody gets another handle to it while the lock is held.
        if !idle || !query.look().unsure || Arc::strong_count(query) > UNHELD {
            return false;
        }
        self.machine.remove(ix, now, &self.table);
        self.drain(now);
        self.table.unknow(query.key());
        true
    }
}
