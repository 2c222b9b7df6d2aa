//! The cache itself: wiring, start and stop.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::builder::CacheBuilder;
use super::entity::Entity;
use super::shared::Shared;
use crate::feed::CounterValues;
use crate::io::clock::Clock;
use crate::io::latch::{Latch, WakeOn};
use crate::io::plane::Driver;
use crate::store::{EntityConfig, Hub, Store};
use crate::sync::Arc;

/// A last-value stream cache. Clones share it.
///
/// Dropping the last clone tells every feed to stop and waits for nothing; [`close`](Self::close)
/// waits, and names what did not end. Slots and watches may outlive it: they keep the last values,
/// and waits end.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

/// A cache, for who must not keep it.
pub(super) struct WeakCache(Weak<Inner>);

impl WeakCache {
    pub(super) fn upgrade(&self) -> Option<Cache> {
        self.0.upgrade().map(Cache)
    }
}

struct Inner {
    shared: Arc<Shared>,
    control: Mutex<Control>,
    #[cfg(feature = "net")]
    runtimes: Arc<crate::io::runtime::Runtimes>,
}

/// Threads, and what stops them.
#[derive(Default)]
struct Control {
    feeds: BTreeMap<u64, Arc<dyn Stop>>,
    sources: u64,
    hub: Option<JoinHandle<()>>,
    /// Threads that were told to end.
    ending: Vec<Ending>,
}

/// A feed, as far as closing goes.
pub(super) trait Stop: Send + Sync {
    fn name(&self) -> &str;
    /// Tells it to end; waits for nothing.
    fn stop(&self);
    /// Waits until its thread has ended and joins it; `false` if it has not in time.
    fn join(&self, timeout: Duration) -> bool;
}

/// Threads that did not end in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these did not end in time: {}", .stragglers.join(", "))]
pub struct CloseError {
    stragglers: Vec<String>,
}

impl CloseError {
    /// The names of the threads, and of the fetches, that still run.
    #[must_use]
    pub fn stragglers(&self) -> &[String] {
        &self.stragglers
    }

    /// Whether closing again may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        true
    }
}

impl Cache {
    /// Settings of a new cache.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::default()
    }

    pub(super) fn start(settings: CacheBuilder) -> io::Result<Self> {
        let store = Store::new(settings.store);
        for name in &settings.text_ids {
            if let Ok(entity) = store.entity(name) {
                let config = EntityConfig {
                    text_ids: true,
                    ..entity.config()
                };
                // It was just made: it has no ids yet.
                let configured = entity.configure(config);
                debug_assert!(configured.is_ok(), "a new entity has no ids");
            }
        }
        let clock = settings.clock.unwrap_or_else(Clock::real);
        let (hub, runner) = Hub::new();
        let time = clock.clone();
        let waker = std::thread::Builder::new()
            .name("tickcache-hub".into())
            .spawn(move || runner.run(&|| time.now()))?;
        let control = Control {
            hub: Some(waker),
            ..Control::default()
        };
        let mut fetches = settings.fetches;
        if !settings.by_hand {
            // By hand it is the same every time.
            fetches.machine.seed = getrandom::u64().unwrap_or_default();
        }
        #[cfg(feature = "net")]
        let runtimes = Arc::new(crate::io::runtime::Runtimes::new(settings.runtime));
        #[cfg(feature = "net")]
        let driver = if settings.by_hand {
            Driver::ByHand
        } else {
            let runtimes = Arc::clone(&runtimes);
            Driver::Tokio(Box::new(move || runtimes.get()))
        };
        #[cfg(not(feature = "net"))]
        let driver = Driver::ByHand;
        let inner = Arc::new(Inner {
            shared: Arc::new(Shared::new(
                store,
                hub,
                clock,
                settings.policies,
                driver,
                fetches,
            )),
            control: Mutex::new(control),
            #[cfg(feature = "net")]
            runtimes,
        });
        let keeper = Arc::downgrade(&inner);
        inner.shared.plane().kept_by(keeper);
        Ok(Self(inner))
    }

    /// The cache that keeps a plane.
    pub(super) fn of_keeper(keeper: Arc<dyn Any + Send + Sync>) -> Option<Self> {
        keeper.downcast::<Inner>().ok().map(Self)
    }

    pub(super) fn downgrade(&self) -> WeakCache {
        WeakCache(Arc::downgrade(&self.0))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.0
            .control
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a feed among those that vouch for values.
    pub(super) fn next_source(&self) -> u64 {
        let mut control = self.control();
        control.sources += 1;
        control.sources
    }

    #[cfg(feature = "net")]
    pub(super) fn keep(&self, source: u64, feed: Arc<dyn Stop>) {
        let mut control = self.control();
        // Those that have ended need nobody to stop them.
        control.feeds.retain(|_, feed| !feed.join(Duration::ZERO));
        control.feeds.insert(source, feed);
    }

    #[cfg(feature = "net")]
    pub(super) fn runtime(&self) -> io::Result<crate::io::runtime::Runtime> {
        self.0.runtimes.get()
    }

    /// What the clock shows.
    #[cfg(feature = "testing")]
    pub(crate) fn now(&self) -> crate::Time {
        self.0.shared.clock.now()
    }

    /// Moves a virtual clock, and has those looked at who wait for a time.
    #[cfg(feature = "testing")]
    pub(crate) fn advance_to(&self, to: crate::Time) {
        self.0.shared.clock.advance_to(to);
        self.0.shared.hub.advance();
    }

    /// The entity of a name, made if there is none: a handle may exist before any feed.
    ///
    /// Where the configured number of entities is reached, the handle stays empty, and
    /// [`ready`](super::Slot::ready) says why. Resolve once; it hashes and allocates.
    #[must_use]
    pub fn entity(&self, name: &str) -> Entity {
        let store = &self.0.shared.store;
        let core = store.entity(name).unwrap_or_else(|_| store.detached(name));
        Entity::new(core, Arc::clone(&self.0.shared))
    }

    /// All entities, by name.
    #[must_use]
    pub fn entities(&self) -> Vec<Entity> {
        let mut cores = self.0.shared.store.entities();
        cores.sort_by(|a, b| a.name().cmp(b.name()));
        cores
            .into_iter()
            .map(|core| Entity::new(core, Arc::clone(&self.0.shared)))
            .collect()
    }

    /// Marks every value of every entity stale with the reason `Invalidated`, now: by one count,
    /// whatever the number of values. Documents and lists are marked with them.
    ///
    /// What of it is observed and has a fetcher is fetched again, as by
    /// [`invalidate`](Self::invalidate), which can choose, and be awaited.
    pub fn invalidate_all(&self) {
        self.0.shared.store.invalidate_all();
        self.0.shared.hub.scan();
    }

    /// The counters of every feed so far, attached or driven by hand, by its name.
    #[must_use]
    pub fn counters(&self) -> Vec<(String, CounterValues)> {
        self.0.shared.owners().counters()
    }

    /// How many wakers of users panicked when the hub called them. Each such task is its executor's
    /// to deal with; the others were woken all the same.
    #[must_use]
    pub fn waker_panics(&self) -> u64 {
        self.0.shared.hub.panics()
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.shared.is_closed()
    }

    /// Closes the cache: stops and joins every feed, drops every fetch, then ends every wait with
    /// [`Closed`](super::Closed). Values stay readable. Works on any executor.
    ///
    /// # Errors
    /// The names of what did not end within `deadline`; it may be called again.
    pub fn close(
        &self,
        deadline: Duration,
    ) -> impl Future<Output = Result<(), CloseError>> + Send + use<> {
        let cache = self.clone();
        let done = Latch::new();
        let closed = done.clone();
        // Joining blocks, and an executor must not be blocked.
        let closing = std::thread::Builder::new()
            .name("tickcache-close".into())
            .spawn(move || {
                closed.set(cache.close_blocking(deadline), &WakeOn::here());
            });
        let spawned = closing.is_ok();
        let cache = self.clone();
        async move {
            if spawned {
                done.wait_async().await
            } else {
                cache.close_blocking(deadline)
            }
        }
    }

    /// As [`close`](Self::close), blocking this thread.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_blocking(&self, deadline: Duration) -> Result<(), CloseError> {
        // Deadlines of threads are real time, whatever clock the cache has.
        let clock = Clock::real();
        let until = clock.now().after(deadline);
        self.0.shared.close();
        let feeds: Vec<_> = self.control().feeds.values().cloned().collect();
        feeds.iter().for_each(|feed| feed.stop());
        let late = |feed: &&Arc<dyn Stop>| !feed.join(until.since(clock.now()));
        let mut stragglers: Vec<String> = feeds
            .iter()
            .filter(late)
            .map(|feed| format!("feed-{}", feed.name()))
            .collect();
        // After the feeds, whose last messages fetches may still be laid under; before the hub, so
        // that whoever waits for a fetch has seen that it ended.
        let plane = self.0.shared.plane();
        plane.stop();
        stragglers.extend(plane.join(until.since(clock.now()).max(JOIN_GRACE)));
        #[cfg(feature = "net")]
        let runtime = self.0.runtimes.shut_down();
        #[cfg(not(feature = "net"))]
        let runtime = None;
        // Last, so that waiters have seen whatever the feeds published before.
        self.0.shared.hub.stop();
        let ending = {
            let mut control = self.control();
            let threads = [control.hub.take(), runtime];
            control
                .ending
                .extend(threads.into_iter().flatten().map(Ending::new));
            control.ending.clone()
        };
        for thread in ending {
            let patience = until.since(clock.now()).max(JOIN_GRACE);
            if thread.ended.wait(Some(patience)).is_none() {
                stragglers.push(thread.name);
            }
        }
        if stragglers.is_empty() {
            Ok(())
        } else {
            Err(CloseError { stragglers })
        }
    }
}

/// How long threads that only had to be told to end are waited for even if a feed has used up the
/// deadline: so that only those are named that it is about.
const JOIN_GRACE: Duration = Duration::from_millis(100);

/// A thread of the cache's own that was told to end. Clones name the same one.
#[derive(Clone)]
struct Ending {
    name: String,
    ended: Latch<()>,
}

impl Ending {
    fn new(thread: JoinHandle<()>) -> Self {
        let name = thread.thread().name().unwrap_or("a thread").to_owned();
        let ended = Latch::new();
        let done = ended.clone();
        // Joining knows no timeout. Without a joiner the thread is named as one that runs.
        let _joiner = std::thread::Builder::new()
            .name("tickcache-join".into())
            .spawn(move || {
                // A panic was reported by the thread itself.
                let _ = thread.join();
                done.set((), &WakeOn::here());
            });
        Self { name, ended }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close();
        let control = self
            .control
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        control.feeds.values().for_each(|feed| feed.stop());
        // Handles that are kept hold on to inboxes, and those to the runtime: told to end now, its
        // thread does not outlive the cache for their sake.
        self.shared.plane().stop();
        #[cfg(feature = "net")]
        drop(self.runtimes.shut_down());
        self.shared.hub.stop();
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("store", &self.0.shared.store)
            .finish_non_exhaustive()
    }
}
