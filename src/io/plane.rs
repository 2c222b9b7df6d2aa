//! The slow plane: runs what the machine of queries decides. Fetches, documents, lists, observers,
//! events.
//!
//! All that decides is one [`Queries`] under one lock. Under it nothing waits, nothing is parsed and
//! no user's code runs: closures, wakers, fetchers and the drops of what a user made come
//! afterwards, as *effects*, which one thread at a time carries out in order; another one that comes
//! by meanwhile leaves its own to that one. No feed's thread ever takes the lock.
//!
//! A mark (an invalidation) is a counter that a feed or a client raises beside the slots; nothing
//! else is told. Whoever drives the plane waits for the hub's count of scans, and then looks at the
//! queries that are observed. So a mark costs the feed one count, whatever the number of queries.
//!
//! [`Queries`]: crate::query::Queries

mod client;
mod core;
mod defaults;
mod document;
mod error;
mod events;
mod executor;
mod fetch_error;
mod fetched;
mod fetcher;
mod heed;
mod initial;
mod keep;
mod left;
mod list;
mod lists;
mod marks;
mod observe;
mod owed;
mod place;
mod query;
mod replace;
mod restore;
mod resync;
mod retry;
mod run;
mod settings;
mod sharing;
mod side_table;
mod timers;
mod token;
mod turn;
mod write;

#[cfg(feature = "net")]
mod driver;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use self::core::Core;
use self::events::Listener;
use self::executor::Executor;
use self::timers::Timers;
use super::clock::Clock;
use super::latch::Latch;
use super::owners::Owners;
use crate::Time;
use crate::key::Key;
use crate::query::Config;
use crate::store::{Entity, Hub, Store, Wakes};
use crate::sync::Arc;

pub(crate) use self::document::Shown;
pub(crate) use self::error::QueryError;
pub(crate) use self::events::EventQueue;
pub use self::fetch_error::{FetchError, FetchErrorKind, NotAList};
pub use self::fetched::Fetched;
pub use self::fetcher::FetchContext;
pub(crate) use self::fetcher::Fetcher;
pub(crate) use self::left::Left;
pub(crate) use self::list::Members;
pub(crate) use self::marks::Marked;
pub(crate) use self::observe::Observation;
pub(crate) use self::place::{Place, SlotPlace};
pub(crate) use self::query::{Query, State};
pub(crate) use self::restore::Restoring;
pub(crate) use self::resync::Resyncing;
pub(crate) use self::retry::{Retry, RetryDelay};
pub(crate) use self::settings::{Initial, ListShape, PollBy, Settings, StaleBy};
pub(crate) use self::side_table::{EntityObservation, SlotObservation};
pub use self::token::CancelToken;

/// How a fetch that was wanted ends. To be awaited, or waited for.
pub(crate) type Promise = Latch<Result<(), QueryError>>;

/// Whose plane it is. It keeps the plane, so the plane must not keep it.
pub(crate) type Keeper = Weak<dyn Any + Send + Sync>;

/// Who has the plane go on.
pub(crate) enum Driver {
    /// Whoever calls [`Plane::drive`]. Fetches run there.
    ByHand,
    /// A task on this runtime, which is asked for at the first use.
    #[cfg(feature = "net")]
    Tokio(Box<dyn Fn() -> std::io::Result<super::runtime::Runtime> + Send + Sync>),
}

/// What holds for all fetches of a cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchLimits {
    pub(crate) machine: Config,
    /// How long a fetcher may take where others wait for its place; `Duration::MAX`: for ever.
    pub(crate) patience: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            machine: Config::default(),
            patience: Duration::from_secs(10),
        }
    }
}

/// What is left to do when the lock is released: a user's code may run in these drops.
struct After {
    /// Something is due before whoever drives means to look again.
    sooner: bool,
    _moved: Vec<Arc<Query>>,
    _listeners: Vec<Arc<Listener>>,
    _trash: Vec<Box<dyn Any + Send>>,
}

/// The slow plane of one cache.
pub(crate) struct Plane {
    store: Arc<Store>,
    hub: Arc<Hub>,
    clock: Clock,
    owners: Arc<Owners>,
    /// Whose plane this is, for fetchers.
    keeper: OnceLock<Keeper>,
    /// In no store: its invalidations are those of everything.
    everything: Arc<Entity>,
    driver: Driver,
    executor: OnceLock<Executor>,
    /// Held while the executor is made.
    starting: Mutex<()>,
    /// How long a fetcher may take where others wait for its place.
    patience: Duration,
    /// Held while settings are changed, which runs a caller's closure.
    changing: Mutex<()>,
    core: Mutex<Core>,
    wakes: Mutex<Wakes>,
    timers: Timers,
    /// Somebody carries out effects.
    flushing: Mutex<bool>,
    #[cfg(feature = "net")]
    bell: Arc<tokio::sync::Notify>,
}

impl Plane {
    pub(crate) fn new(
        store: Arc<Store>,
        hub: Arc<Hub>,
        clock: Clock,
        owners: Arc<Owners>,
        driver: Driver,
        limits: FetchLimits,
    ) -> Arc<Self> {
        let everything = store.detached("");
        let wakes = Mutex::new(hub.wakes());
        Arc::new(Self {
            store,
            hub,
            clock,
            owners,
            everything,
            keeper: OnceLock::new(),
            driver,
            executor: OnceLock::new(),
            starting: Mutex::default(),
            patience: limits.patience,
            changing: Mutex::default(),
            core: Mutex::new(Core::new(limits.machine)),
            wakes,
            timers: Timers::default(),
            flushing: Mutex::new(false),
            #[cfg(feature = "net")]
            bell: Arc::default(),
        })
    }

    /// Says whose plane this is; once.
    pub(crate) fn kept_by(&self, keeper: Keeper) {
        let _ = self.keeper.set(keeper);
    }

    /// Whether it goes on only by [`drive`](Self::drive).
    pub(crate) fn is_by_hand(&self) -> bool {
        matches!(self.driver, Driver::ByHand)
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something under the lock, and then what follows from it: states are published before
    /// the lock is released, effects are carried out, or left to who does so already.
    fn with<R>(self: &Arc<Self>, act: impl FnOnce(&mut Core, Time) -> R) -> R {
        let (result, after) = self.decide(act);
        self.follow(after);
        result
    }

    /// The half of [`with`](Self::with) that runs no user's code.
    fn decide<R>(&self, act: impl FnOnce(&mut Core, Time) -> R) -> (R, After) {
        let now = self.clock.now();
        let mut core = self.lock();
        let result = act(&mut core, now);
        core.drain(now);
        let moved = std::mem::take(&mut core.moved);
        let listeners = core.take_notified();
        let trash = std::mem::take(&mut core.trash);
        let sooner = core.is_sooner_than_planned()
            | std::mem::take(&mut core.heeds_more)
            | core.may_resync(now);
        drop(core);
        self.wake(&moved, &listeners);
        let after = After {
            sooner,
            _moved: moved,
            _listeners: listeners,
            _trash: trash,
        };
        (result, after)
    }

    /// The other half.
    fn follow(self: &Arc<Self>, after: After) {
        let sooner = after.sooner;
        turn::let_fall(after);
        self.flush();
        if sooner {
            self.ring();
        }
    }

    /// Wakes who waits for queries that have moved, and for events.
    fn wake(&self, moved: &[Arc<Query>], listeners: &[Arc<Listener>]) {
        if moved.is_empty() && listeners.is_empty() {
            return;
        }
        let mut wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = wakes.batch();
        moved.iter().for_each(|query| batch.one(&**query));
        listeners
            .iter()
            .for_each(|listener| batch.one(listener.news()));
    }

    /// Has whoever drives look again.
    fn ring(&self) {
        #[cfg(feature = "net")]
        self.bell.notify_one();
    }

    /// The executor, made and driven from the first use on.
    fn executor(self: &Arc<Self>) -> Result<Executor, QueryError> {
        if let Some(executor) = self.executor.get() {
            return Ok(executor.clone());
        }
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(executor) = self.executor.get() {
            return Ok(executor.clone());
        }
        if self.lock().closed {
            return Err(QueryError::Closed);
        }
        let executor = match &self.driver {
            Driver::ByHand => Executor::by_hand(),
            #[cfg(feature = "net")]
            Driver::Tokio(runtime) => {
                let runtime =
                    runtime().map_err(|error| QueryError::NoRuntime(error.to_string()))?;
                Executor::Tokio(runtime, Arc::default())
            }
        };
        let executor = self.executor.get_or_init(|| executor).clone();
        #[cfg(feature = "net")]
        driver::start(self, &executor);
        Ok(executor)
    }

    /// Waits until the cache's clock shows `at`.
    fn wait_until(&self, at: Time) -> super::latch::Waiting<()> {
        let waiting = self.timers.wait_until(at);
        self.ring();
        waiting
    }

    /// A number that is never used twice.
    fn number(&self) -> u64 {
        let mut core = self.lock();
        core.numbers += 1;
        core.numbers
    }

    /// What is put under a key from now on is `resolve`d with this, too; what is there already as
    /// well. `change` gets what the key's level says so far.
    pub(crate) fn change_defaults(
        self: &Arc<Self>,
        prefix: &Key,
        change: impl FnOnce(&mut Settings),
    ) -> Result<(), QueryError> {
        self.executor()?;
        let prefix = &*place::canonical(&self.store, prefix);
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut level = self.lock().defaults.level(prefix);
        // A caller's closure, and drops of what it replaces: not under the lock.
        change(&mut level);
        let (changed, after) = self.decide(|core, now| {
            if core.closed {
                return Err(QueryError::Closed);
            }
            let old = core.defaults.put(prefix, level);
            core.throw_away(old);
            core.resolve_under(prefix, now);
            Ok(())
        });
        // What follows may be a function of the user's that changes defaults.
        drop(changing);
        self.follow(after);
        changed?;
        self.promote_under(prefix);
        Ok(())
    }

    /// What holds for a key by defaults alone.
    pub(crate) fn resolve(&self, key: &Key) -> Settings {
        let key = place::canonical(&self.store, key);
        self.lock().defaults.resolve(&key)
    }

    /// Ends it: fetches are dropped, whoever waits for one is told [`QueryError::Closed`]. Waits for
    /// nothing.
    pub(crate) fn stop(&self) {
        let (ended, trash) = {
            let mut core = self.lock();
            if core.closed {
                return;
            }
            core.close()
        };
        self.wake(&ended.moved, &[]);
        let wake_on = turn::waking();
        for (promise, result) in ended.settled {
            promise.set(result, &wake_on);
        }
        for promise in ended.promises {
            promise.set(Err(QueryError::Closed), &wake_on);
        }
        for running in ended.fetches {
            running.stop(&wake_on);
        }
        drop(trash);
        if let Some(executor) = self.executor.get() {
            executor.clear();
        }
        self.ring();
    }

    /// Waits for what [`stop`](Self::stop) told to end, and names what has not.
    pub(crate) fn join(&self, patience: Duration) -> Vec<String> {
        self.executor
            .get()
            .map_or_else(Vec::new, |executor| executor.stragglers(patience))
    }

    /// Whether it was stopped.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plane")
            .field("by_hand", &self.is_by_hand())
            .finish_non_exhaustive()
    }
}
