//! What is under the plane's lock: the machine, and the table of what its names stand for.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{PoisonError, Weak};

use hashbrown::{HashMap, HashSet};

use super::defaults::Defaults;
use super::error::QueryError;
use super::events::Listener;
use super::executor::Task;
use super::fetch_error::FetchError;
use super::heed::Heed;
use super::left::Left;
use super::list::Members;
use super::lists::ListMarks;
use super::owed::Owed;
use super::query::{Query, State};
use super::resync::Resyncs;
use super::settings::Settings;
use super::side_table::SideTable;
use super::token::CancelToken;
use super::{Place, Promise};
use crate::Time;
use crate::io::latch::WakeOn;
use crate::key::Key;
use crate::query::{
    Action, CacheEvent, Config, FetchId, FetchStatus, Look, ObserverId, Outcome, PromiseId,
    Queries, QueryIx, Values,
};
use crate::store::Entity;
use crate::sync::Arc;

/// Names that were met.
pub(super) type Set<T> = HashSet<T, foldhash::fast::RandomState>;
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What is under the lock.
pub(super) struct Core {
    pub(super) machine: Queries<FetchError>,
    pub(super) table: Table,
    pub(super) defaults: Defaults,
    pub(super) side: SideTable,
    pub(super) resyncs: Resyncs,
    /// The lists that the machine knows, and how their members' marks stood.
    pub(super) lists: Map<QueryIx, ListMarks>,
    promises: Map<PromiseId, Promise>,
    pub(super) fetches: Map<FetchId, Running>,
    /// Queries whose fetch was called for by somebody who tries again himself, if he wants to.
    pub(super) once: Set<QueryIx>,
    /// What observers go by, for their functions.
    pub(super) observers: Map<ObserverId, Arc<Settings>>,
    /// Whose functions are asked when a stream writes.
    pub(super) heeds: Map<ObserverId, Heed>,
    /// There is one more of them: whoever drives has to wait for its slot, too.
    pub(super) heeds_more: bool,
    listeners: Vec<Weak<Listener>>,
    /// Listeners that got an event.
    notified: bool,
    pub(super) effects: VecDeque<Effect>,
    /// Queries whose state or data moved: their waiters are to be told.
    pub(super) moved: Vec<Arc<Query>>,
    /// To be dropped when the lock is released: a user's code may run then.
    pub(super) trash: Vec<Box<dyn Any + Send>>,
    /// What owners had no room to be told of.
    pub(super) owed: Vec<Owed>,
    /// The count of scans up to which generations were looked at.
    pub(super) scans: u64,
    pub(super) numbers: u64,
    /// When whoever drives means to look again.
    pub(super) planned: Time,
    pub(super) closed: bool,
}

/// What the machine's names stand for.
#[derive(Default)]
pub(super) struct Table {
    pub(super) queries: Map<QueryIx, Arc<Query>>,
    /// Queries that somebody holds, in the machine or not.
    known: Map<Key, Weak<Query>>,
    /// With so many known, those are dropped that nobody holds any more.
    sweep_at: usize,
    /// The query that the machine is just being told of.
    entering: Option<Arc<Query>>,
}

impl Table {
    /// Handles to the query of this key are handles to no query of the machine from now on.
    pub(super) fn unknow(&mut self, key: &Key) {
        self.known.remove(key);
    }
}

impl Values for Table {
    fn look(&self, query: QueryIx) -> Look {
        self.queries
            .get(&query)
            .or(self.entering.as_ref())
            .map_or_else(Look::default, |query| query.look())
    }
}

/// A fetch that runs.
pub(super) struct Running {
    pub(super) query: Arc<Query>,
    pub(super) token: CancelToken,
    /// Once it is spawned.
    pub(super) task: Option<Task>,
}

impl Running {
    /// Drops the future and tells whoever has its token.
    pub(super) fn stop(self, wake_on: &WakeOn) {
        self.token.cancel(wake_on);
        if let Some(task) = self.task {
            task.abort();
        }
    }
}

/// What is to be done with no lock held, in order.
pub(super) enum Effect {
    Start {
        query: Arc<Query>,
        fetch: FetchId,
        attempt: u32,
        token: CancelToken,
    },
    Abort(Running),
    Settle(Promise, Result<(), QueryError>),
    Ask {
        query: Arc<Query>,
        observer: ObserverId,
        settings: Arc<Settings>,
    },
    /// Put a slot back to its initial data.
    Restore(QueryIx, Arc<Query>),
    /// Put the initial data of a slot or a list in, which is so old.
    Begin(Arc<Query>, Time),
    /// The query was let go: and so is its slot, where no feed owns it.
    Forget(Arc<Query>),
    /// A list was let go: and so are its items, where no feed owns them.
    Leave(Arc<Entity>, Arc<Members>),
}

/// What [`Core::close`] leaves to be told.
pub(super) struct Ended {
    /// Promises whose end was decided already.
    pub(super) settled: Vec<(Promise, Result<(), QueryError>)>,
    pub(super) promises: Vec<Promise>,
    pub(super) fetches: Vec<Running>,
    /// Queries whose state moved: their waiters are to be told.
    pub(super) moved: Vec<Arc<Query>>,
}

impl Core {
    pub(super) fn new(config: Config) -> Self {
        Self {
            machine: Queries::new(config),
            table: Table::default(),
            defaults: Defaults::default(),
            side: SideTable::default(),
            resyncs: Resyncs::new(config.seed),
            lists: Map::default(),
            promises: Map::default(),
            fetches: Map::default(),
            once: Set::default(),
            observers: Map::default(),
            heeds: Map::default(),
            heeds_more: false,
            listeners: Vec::new(),
            notified: false,
            effects: VecDeque::new(),
            moved: Vec::new(),
            trash: Vec::new(),
            owed: Vec::new(),
            scans: 0,
            numbers: 0,
            planned: Time::NEVER,
            closed: false,
        }
    }

    /// Has this dropped when the lock is released.
    pub(super) fn throw_away(&mut self, what: impl Any + Send) {
        self.trash.push(Box::new(what));
    }

    /// The query of a key, if anybody holds it or the machine knows it.
    pub(super) fn known(&self, key: &Key) -> Option<Arc<Query>> {
        self.table.known.get(key)?.upgrade()
    }

    /// Whether anybody holds the query of this key.
    pub(super) fn knows(&self, key: &Key) -> bool {
        let known = self.table.known.get(key);
        known.is_some_and(|query| query.strong_count() > 0)
    }

    /// Makes a query known, unless there is one of its key: then it is that one.
    pub(super) fn make_known(&mut self, query: Arc<Query>) -> Arc<Query> {
        if let Some(known) = self.known(query.key()) {
            self.throw_away(query);
            return known;
        }
        let Table {
            known, sweep_at, ..
        } = &mut self.table;
        if known.len() >= *sweep_at {
            known.retain(|_, query| query.strong_count() > 0);
            // Of what is left some may stay for long: a sweep pays for as many new ones.
            *sweep_at = 2 * known.len() + 64;
        }
        known.insert(query.key().clone(), Arc::downgrade(&query));
        query
    }

    /// The machine's name for a query, which is told of it if it does not know it (any more).
    pub(super) fn enter(&mut self, query: &Arc<Query>, now: Time) -> QueryIx {
        let mut at = query.at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ix) = at.filter(|ix| self.table.queries.contains_key(ix)) {
            return ix;
        }
        let settings = query.settings();
        let fetchable = settings.fetcher.is_some();
        self.table.entering = Some(Arc::clone(query));
        let (ix, _) = self.machine.insert(
            query.key().clone(),
            settings.options(),
            fetchable,
            now,
            &self.table,
        );
        self.table.entering = None;
        *at = Some(ix);
        drop(at);
        self.throw_away(query.leave(None));
        self.table.queries.insert(ix, Arc::clone(query));
        if let Place::List(list) = query.place() {
            self.lists.insert(ix, ListMarks::new(list));
        }
        self.publish(ix, now);
        self.throw_away(settings);
        ix
    }

    /// The query that a name stands for.
    pub(super) fn query(&self, ix: QueryIx) -> Option<Arc<Query>> {
        self.table.queries.get(&ix).cloned()
    }

    /// What a fetch that was wanted is waited for by: one for all who wait for the same.
    pub(super) fn promise(&mut self, promise: PromiseId) -> Promise {
        self.promises
            .entry(promise)
            .or_insert_with(Promise::new)
            .clone()
    }

    /// Settings of a prefix have changed: merges them anew for the queries under it.
    pub(super) fn resolve_under(&mut self, prefix: &Key, now: Time) {
        let known: Vec<Arc<Query>> = self
            .table
            .known
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        for query in known {
            if query.key().starts_with(prefix) {
                self.resolve(&query, None, now);
            }
            self.throw_away(query);
        }
    }

    /// Merges the settings of a query anew, and tells the machine if it knows it.
    pub(super) fn resolve(&mut self, query: &Arc<Query>, more: Option<&Settings>, now: Time) {
        let base = self.defaults.resolve(query.key());
        let old = query.resolve(more, &base);
        self.throw_away((old, base));
        let at = *query.at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ix) = at.filter(|ix| self.table.queries.contains_key(ix)) {
            let settings = query.settings();
            let (options, fetchable) = (settings.options(), settings.fetcher.is_some());
            self.machine
                .set_options(ix, options, fetchable, now, &self.table);
            self.throw_away(settings);
        }
    }

    /// Says what the machine says of a query.
    pub(super) fn publish(&mut self, ix: QueryIx, now: Time) {
        let Some(query) = self.query(ix) else { return };
        if let Some(info) = self.machine.info(ix, now, &self.table) {
            if info.fetch_status == FetchStatus::Idle {
                self.once.remove(&ix);
            }
            let old = query.publish(State::new(info));
            self.throw_away(old);
            self.moved.push(query);
        }
    }

    /// Somebody listens from now on.
    pub(super) fn listen(&mut self, listener: &Arc<Listener>) {
        self.listeners.push(Arc::downgrade(listener));
        self.machine.listen(true);
    }

    fn tell(&mut self, event: &CacheEvent) {
        let trash = &mut self.trash;
        self.listeners.retain(|listener| match listener.upgrade() {
            Some(listener) => {
                listener.push(event.clone());
                // It may be the last handle, and what waits in it has a user's errors.
                trash.push(Box::new(listener));
                true
            }
            None => false,
        });
        self.notified = !self.listeners.is_empty();
        if self.listeners.is_empty() {
            self.machine.listen(false);
        }
    }

    /// The listeners whose waiters are to be told.
    pub(super) fn take_notified(&mut self) -> Vec<Arc<Listener>> {
        if std::mem::take(&mut self.notified) {
            self.listeners.iter().filter_map(Weak::upgrade).collect()
        } else {
            Vec::new()
        }
    }

    /// Whether something is due before whoever drives means to look again.
    pub(super) fn is_sooner_than_planned(&self) -> bool {
        self.machine
            .poll_timeout()
            .is_some_and(|due| due < self.planned)
    }

    /// Takes what the machine says: states are published at once, all else becomes effects.
    pub(super) fn drain(&mut self, now: Time) {
        while let Some(action) = self.machine.poll_action() {
            self.take(action, now);
        }
    }

    fn take(&mut self, action: Action<FetchError>, now: Time) {
        match action {
            Action::Start {
                query,
                fetch,
                attempt,
            } => {
                let Some(query) = self.query(query) else {
                    return;
                };
                let token = CancelToken::new();
                let running = Running {
                    query: Arc::clone(&query),
                    token: token.clone(),
                    task: None,
                };
                self.fetches.insert(fetch, running);
                self.effects.push_back(Effect::Start {
                    query,
                    fetch,
                    attempt,
                    token,
                });
            }
            Action::Abort { fetch } => {
                if let Some(running) = self.fetches.remove(&fetch) {
                    self.effects.push_back(Effect::Abort(running));
                }
            }
            Action::Settle { promise, outcome } => {
                self.resync_settled(promise, &outcome, now);
                if let Some(promise) = self.promises.remove(&promise) {
                    let result = match outcome {
                        Outcome::Data => Ok(()),
                        Outcome::Failed(error) => Err(QueryError::Failed(error)),
                        Outcome::Cancelled => Err(QueryError::Cancelled),
                    };
                    self.effects.push_back(Effect::Settle(promise, result));
                } else {
                    self.throw_away(outcome);
                }
            }
            Action::Changed { query } => self.publish(query, now),
            Action::Ask { query, observer } => {
                let settings = self.observers.get(&observer).cloned();
                if let (Some(query), Some(settings)) = (self.query(query), settings) {
                    self.effects.push_back(Effect::Ask {
                        query,
                        observer,
                        settings,
                    });
                }
            }
            Action::Restore { query } => self.restore(query, now),
            Action::Removed { query, .. } => self.forget(query),
            Action::Event(event) => self.tell(&event),
        }
    }

    /// Puts the initial data back.
    fn restore(&mut self, ix: QueryIx, now: Time) {
        let Some(query) = self.query(ix) else { return };
        match query.place() {
            Place::Slot(_) => {
                self.effects.push_back(Effect::Restore(ix, query));
                return;
            }
            Place::Document(document) => self.throw_away(document.clear()),
            Place::List(list) => {
                let old = list.put(Members::default());
                self.note_members(&query);
                self.leave_members(list, &old);
                self.throw_away(old);
            }
        }
        self.begin_with_initial(&query, now);
        self.machine.handle_restored(ix, now, &self.table);
        self.moved.push(query);
    }

    /// The machine has let go of a query.
    fn forget(&mut self, ix: QueryIx) {
        self.lists.remove(&ix);
        self.once.remove(&ix);
        let Some(query) = self.table.queries.remove(&ix) else {
            return;
        };
        *query.at.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // Somebody may be about to look at what a fetch has brought him.
        if Arc::strong_count(&query) > 1 {
            self.throw_away(query.leave(Left::of(query.place())));
        }
        match query.place() {
            Place::Slot(slot) => {
                slot.set_none(None);
                self.effects.push_back(Effect::Forget(Arc::clone(&query)));
            }
            Place::Document(document) => self.throw_away(document.clear()),
            Place::List(list) => {
                let members = list.put(Members::default());
                let entity = Arc::clone(list.entity());
                self.effects.push_back(Effect::Leave(entity, members));
            }
        }
        self.side.forget(query.key());
        self.throw_away(query.publish(State::blank()));
        self.moved.push(query);
    }

    /// Ends everything; what is given has to be told and dropped with no lock held.
    pub(super) fn close(&mut self) -> (Ended, impl Sized + use<>) {
        self.closed = true;
        let mut ended = Ended {
            settled: Vec::new(),
            promises: self.promises.drain().map(|(_, promise)| promise).collect(),
            fetches: self.fetches.drain().map(|(_, running)| running).collect(),
            moved: std::mem::take(&mut self.moved),
        };
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Settle(promise, result) => ended.settled.push((promise, result)),
                Effect::Abort(running) => ended.fetches.push(running),
                other => self.throw_away(other),
            }
        }
        let fetching: Set<Key> = ended
            .fetches
            .iter()
            .map(|running| running.query.key().clone())
            .collect();
        for query in self.table.queries.values() {
            let state = query.state();
            if fetching.contains(query.key()) || state.fetch_status != FetchStatus::Idle {
                let idle = State {
                    fetch_status: FetchStatus::Idle,
                    ..State::clone(&state)
                };
                self.trash.push(Box::new(query.publish(idle)));
                ended.moved.push(Arc::clone(query));
            }
            self.trash.push(Box::new(state));
        }
        let closed = Self {
            closed: true,
            numbers: self.numbers,
            ..Self::new(Config::default())
        };
        (ended, std::mem::replace(self, closed))
    }
}
