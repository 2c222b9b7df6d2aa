//! Functions of a user's that run on the slow plane when something happens.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use super::error::QueryError;
use super::events::CacheEvents;
use crate::Time;
use crate::cache::entity::Entity;
use crate::cache::handle::Cache;
use crate::cache::shared::Shared;
use crate::key::Key;
use crate::query::CacheEvent;
use crate::store::{Flag, Registration, Seen, Woken};
use crate::sync::{Arc, AtomicU64, Ordering};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Cache {
    /// Runs `hook` for every event of the queries under a key (`key![]`: of all), one after the
    /// other, on the slow plane, until the handle is dropped.
    ///
    /// A hook that is slow holds up its own events alone, of which 1,024 wait and what comes beyond
    /// is dropped ([`CacheEvents::missed`] counts, for those who need to know). One that panics is
    /// reported through `tracing`, and goes on with the next event.
    ///
    /// # Errors
    /// If the system gives no thread to run it on.
    pub fn on_event<F, R>(&self, prefix: impl Into<Key>, mut hook: F) -> Result<Hook, QueryError>
    where
        F: FnMut(CacheEvent) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let mut events: CacheEvents = self.events();
        let (prefix, ran) = (prefix.into(), Arc::clone(&self.shared().hooks().ran));
        self.hook(async move {
            while let Ok(event) = events.next().await {
                if event.key.starts_with(&prefix) {
                    guarded(&ran, || hook(event)).await;
                }
            }
        })
    }

    /// Runs `hook` after the entity, or any slot of it, was marked as invalidated: by an event of a
    /// feed, by the client, by the opening of a connection. On the slow plane, until the handle is
    /// dropped. What comes while the hook runs is conflated into one more run.
    ///
    /// This is where an application reacts to events that concern more than the values they name:
    /// by invalidating other keys, by fetching what no query is about.
    ///
    /// # Errors
    /// If the system gives no thread to run it on.
    pub fn on_invalidation<F, R>(&self, entity: &str, mut hook: F) -> Result<Hook, QueryError>
    where
        F: FnMut(Entity) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let entity = self.entity(entity);
        let ran = Arc::clone(&self.shared().hooks().ran);
        let mut marks = Marks::new(&entity);
        self.hook(async move {
            while marks.moved().await {
                guarded(&ran, || hook(entity.clone())).await;
            }
        })
    }

    /// Runs `hook` for each item that `next` gives, one after the other, until there is none.
    pub(in crate::cache) fn hook_each<T, N, W, F, R>(
        &self,
        mut next: N,
        mut hook: F,
    ) -> Result<Hook, QueryError>
    where
        T: Send + 'static,
        N: FnMut() -> W + Send + 'static,
        W: Future<Output = Option<T>> + Send + 'static,
        F: FnMut(T) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let ran = Arc::clone(&self.shared().hooks().ran);
        self.hook(async move {
            while let Some(item) = next().await {
                guarded(&ran, || hook(item)).await;
            }
        })
    }

    fn hook(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<Hook, QueryError> {
        if self.plane().is_by_hand() {
            return Ok(self.shared().hooks().add(self.shared(), Box::pin(work)));
        }
        self.spawn_hook(work)
    }

    #[cfg(feature = "net")]
    fn spawn_hook(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Hook, QueryError> {
        let runtime = self
            .runtime()
            .map_err(|error| QueryError::NoRuntime(error.to_string()))?;
        Ok(Hook(Kind::Task(runtime.spawn(work))))
    }

    #[cfg(not(feature = "net"))]
    fn spawn_hook(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Hook, QueryError> {
        // Without a runtime every cache is driven by hand.
        Ok(self.shared().hooks().add(self.shared(), Box::pin(work)))
    }
}

/// A hook that runs. Dropping it ends that, at its next `.await` if it runs just now.
#[must_use = "dropping it ends the hook"]
pub struct Hook(Kind);

enum Kind {
    ByHand(Weak<Shared>, u64),
    #[cfg(feature = "net")]
    Task(tokio::task::AbortHandle),
    Detached,
}

impl Hook {
    /// Lets the hook run as long as the cache does.
    pub fn detach(mut self) {
        self.0 = Kind::Detached;
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        match &self.0 {
            Kind::ByHand(shared, number) => {
                if let Some(shared) = shared.upgrade() {
                    shared.hooks().remove(*number);
                }
            }
            #[cfg(feature = "net")]
            Kind::Task(task) => task.abort(),
            Kind::Detached => {}
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

/// The hooks of a cache that is driven by hand: polled by whoever drives it.
#[derive(Default)]
pub(crate) struct Hooks {
    table: Mutex<Table>,
    /// Runs that began or ended: whether driving has had any effect.
    ran: Arc<AtomicU64>,
}

#[derive(Default)]
struct Table {
    /// Without its work while that is polled.
    hooks: Vec<(u64, Option<Work>)>,
    numbers: u64,
}

impl Hooks {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, shared: &Arc<Shared>, work: Work) -> Hook {
        let mut table = self.table();
        table.numbers += 1;
        let number = table.numbers;
        table.hooks.push((number, Some(work)));
        Hook(Kind::ByHand(Arc::downgrade(shared), number))
    }

    fn remove(&self, number: u64) {
        let mut table = self.table();
        let at = table.hooks.iter().position(|(hook, _)| *hook == number);
        let removed = at.map(|at| table.hooks.remove(at));
        drop(table);
        // A user's code may run in its drop.
        drop(removed);
    }

    /// Polls every hook once, with no lock held. Whether one of them did anything.
    pub(crate) fn run(&self) -> bool {
        let before = self.ran.load(Ordering::Acquire);
        let numbers: Vec<u64> = self
            .table()
            .hooks
            .iter()
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            let mut table = self.table();
            let hook = table.hooks.iter_mut().find(|(hook, _)| *hook == number);
            let work = hook.and_then(|(_, work)| work.take());
            drop(table);
            let Some(mut work) = work else { continue };
            // Whoever drives looks at every hook each time: nobody has to be woken.
            let mut cx = Context::from_waker(Waker::noop());
            if work.as_mut().poll(&mut cx).is_ready() {
                self.remove(number);
                continue;
            }
            let mut table = self.table();
            let hook = table.hooks.iter_mut().find(|(hook, _)| *hook == number);
            let left = match hook {
                Some((_, place)) => place.replace(work),
                None => Some(work),
            };
            drop(table);
            // Removed by itself meanwhile.
            drop(left);
        }
        self.ran.load(Ordering::Acquire) != before
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("hooks", &self.table().hooks.len())
            .finish_non_exhaustive()
    }
}

/// Runs a hook to its end. A panic ends this run alone.
async fn guarded<R: Future<Output = ()>>(ran: &AtomicU64, hook: impl FnOnce() -> R) {
    ran.fetch_add(1, Ordering::AcqRel);
    let Some(running) = caught(hook) else { return };
    let mut running = pin!(running);
    poll_fn(|cx| caught(|| running.as_mut().poll(cx)).unwrap_or(Poll::Ready(()))).await;
    ran.fetch_add(1, Ordering::AcqRel);
}

fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => Some(result),
        Err(payload) => {
            tracing::error!("a hook panicked");
            // What was thrown may panic in turn when dropped.
            std::mem::forget(payload);
            None
        }
    }
}

/// Waits for invalidations of an entity and of its slots, and for no publication.
struct Marks {
    entity: Entity,
    scans: Arc<Flag>,
    registration: Registration,
    seen: (u64, u64),
}

impl Marks {
    fn new(entity: &Entity) -> Self {
        let hub = &entity.shared().hub;
        let scans = Arc::clone(hub.scans());
        Self {
            registration: hub.register(vec![scans.clone()]),
            scans,
            seen: marks(entity),
            entity: entity.clone(),
        }
    }

    /// Waits until something was marked; `false` once the cache has been closed.
    async fn moved(&mut self) -> bool {
        poll_fn(|cx| {
            loop {
                // Before the marks that it stands for.
                let scans = [Seen {
                    epoch: self.scans.level(),
                    ..Seen::default()
                }];
                let now = marks(&self.entity);
                if std::mem::replace(&mut self.seen, now) != now {
                    return Poll::Ready(true);
                }
                match self.registration.poll(cx, &scans, Time::NEVER) {
                    Poll::Ready(Woken::Closed) => return Poll::Ready(false),
                    Poll::Ready(Woken::Moved | Woken::Deadline) => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }
}

fn marks(entity: &Entity) -> (u64, u64) {
    let core = entity.core();
    (core.invalidations(), core.slots_invalidated())
}
