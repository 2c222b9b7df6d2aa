//! Where fetches run: on tokio, or by hand, polled by whoever drives the plane.
//!
//! By hand, futures lie in a table; a waker puts the number of its future into a queue, and
//! [`Executor::poll_ready`] polls what is queued on the calling thread, with no lock held. A future
//! that panics is dropped, as tokio does.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
#[cfg(feature = "net")]
use std::sync::Condvar;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use hashbrown::HashMap;

use super::turn::let_fall;
#[cfg(feature = "net")]
use crate::io::runtime::Runtime;

/// What is run.
pub(super) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs futures. Clones run them in the same place.
#[derive(Clone)]
pub(super) enum Executor {
    ByHand(Arc<Hand>),
    #[cfg(feature = "net")]
    Tokio(Runtime, Arc<Live>),
}

/// One future that runs, or ran.
pub(super) enum Task {
    ByHand(Weak<Hand>, u64),
    #[cfg(feature = "net")]
    Tokio(tokio::task::AbortHandle),
}

impl Executor {
    pub(super) fn by_hand() -> Self {
        Self::ByHand(Arc::default())
    }

    /// Runs `work`, under a name for [`stragglers`](Self::stragglers). It is not polled here.
    pub(super) fn spawn(&self, name: String, work: Work) -> Task {
        match self {
            Self::ByHand(hand) => Task::ByHand(Arc::downgrade(hand), hand.add(name, work)),
            #[cfg(feature = "net")]
            Self::Tokio(runtime, live) => {
                let guard = live.enter(name);
                Task::Tokio(runtime.spawn(async move {
                    let _guard = guard;
                    work.await;
                }))
            }
        }
    }

    /// By hand: polls everything that can go on, once; whether there was anything. On tokio that
    /// happens by itself.
    pub(super) fn poll_ready(&self) -> bool {
        match self {
            Self::ByHand(hand) => hand.poll_ready(),
            #[cfg(feature = "net")]
            Self::Tokio(..) => false,
        }
    }

    /// By hand: drops whatever is left, now or as soon as it is not being polled. On tokio what is
    /// left ends by itself.
    pub(super) fn clear(&self) {
        match self {
            Self::ByHand(hand) => hand.clear(),
            #[cfg(feature = "net")]
            Self::Tokio(..) => {}
        }
    }

    /// Waits for what runs to end, and gives the names of what has not.
    pub(super) fn stragglers(&self, patience: Duration) -> Vec<String> {
        match self {
            // After `clear` only what is being polled is left.
            Self::ByHand(hand) => {
                let _ = patience;
                hand.names()
            }
            #[cfg(feature = "net")]
            Self::Tokio(_, live) => live.wait(patience),
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByHand(_) => "ByHand",
            #[cfg(feature = "net")]
            Self::Tokio(..) => "Tokio",
        })
    }
}

impl Task {
    /// Drops the future, now or as soon as it is not being polled.
    pub(super) fn abort(&self) {
        match self {
            Self::ByHand(hand, number) => {
                if let Some(hand) = hand.upgrade() {
                    hand.abort(*number);
                }
            }
            #[cfg(feature = "net")]
            Self::Tokio(task) => task.abort(),
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

/// Futures that are polled by hand.
#[derive(Default)]
pub(super) struct Hand(Mutex<Table>);

#[derive(Default)]
struct Table {
    entries: HashMap<u64, Entry, foldhash::fast::RandomState>,
    ready: VecDeque<u64>,
    numbers: u64,
}

struct Entry {
    name: String,
    /// Out while it is being polled.
    work: Option<Work>,
    waker: Waker,
    /// Its number is in the queue; or, while it is being polled, will be.
    queued: bool,
    /// To be dropped when its poll is over.
    aborted: bool,
}

impl Hand {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, name: String, work: Work) -> u64 {
        let mut table = self.lock();
        table.numbers += 1;
        let number = table.numbers;
        let bell = Bell {
            hand: Arc::downgrade(self),
            number,
        };
        let entry = Entry {
            name,
            work: Some(work),
            waker: Arc::new(bell).into(),
            queued: true,
            aborted: false,
        };
        table.entries.insert(number, entry);
        table.ready.push_back(number);
        number
    }

    fn poll_ready(&self) -> bool {
        // What becomes ready by this is for the next round.
        let rounds = self.lock().ready.len();
        for _ in 0..rounds {
            let Some((number, mut work, waker)) = self.take() else {
                continue;
            };
            let mut cx = Context::from_waker(&waker);
            let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut cx)));
            let pending = match polled {
                Ok(polled) => polled == Poll::Pending,
                Err(payload) => {
                    // What was thrown may panic in turn when dropped.
                    std::mem::forget(payload);
                    false
                }
            };
            let mut table = self.lock();
            let kept = table
                .entries
                .get_mut(&number)
                .filter(|entry| pending && !entry.aborted);
            // What is not put back is dropped below, with no lock held.
            let mut woken = false;
            let done = match kept {
                Some(entry) => {
                    woken = entry.queued;
                    entry.work.replace(work)
                }
                None => Some(work),
            };
            if woken {
                table.ready.push_back(number);
            }
            let over = if done.is_some() {
                table.entries.remove(&number)
            } else {
                None
            };
            drop(table);
            let_fall((done, over));
        }
        rounds > 0
    }

    /// The next one that can go on.
    fn take(&self) -> Option<(u64, Work, Waker)> {
        let mut table = self.lock();
        let number = table.ready.pop_front()?;
        let entry = table.entries.get_mut(&number)?;
        let work = entry.work.take()?;
        entry.queued = false;
        Some((number, work, entry.waker.clone()))
    }

    fn abort(&self, number: u64) {
        let mut table = self.lock();
        let Some(entry) = table.entries.get_mut(&number) else {
            return;
        };
        entry.aborted = true;
        let over = if entry.work.is_some() {
            table.entries.remove(&number)
        } else {
            None
        };
        drop(table);
        // A user's code may run in its drop: with no lock held.
        let_fall(over);
    }

    fn clear(&self) {
        let numbers: Vec<u64> = self.lock().entries.keys().copied().collect();
        for number in numbers {
            self.abort(number);
        }
    }

    fn ring(&self, number: u64) {
        let mut table = self.lock();
        if let Some(entry) = table.entries.get_mut(&number)
            && !entry.queued
        {
            entry.queued = true;
            // Woken while it is being polled, it is queued when that is over.
            if entry.work.is_some() {
                table.ready.push_back(number);
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let table = self.lock();
        table
            .entries
            .values()
            .map(|entry| entry.name.clone())
            .collect()
    }
}

/// The waker of one future.
struct Bell {
    hand: Weak<Hand>,
    number: u64,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(hand) = self.hand.upgrade() {
            hand.ring(self.number);
        }
    }
}

/// What runs elsewhere and has not ended.
#[cfg(feature = "net")]
#[derive(Default)]
pub(super) struct Live {
    names: Mutex<(u64, HashMap<u64, String, foldhash::fast::RandomState>)>,
    ended: Condvar,
}

#[cfg(feature = "net")]
impl Live {
    pub(super) fn enter(self: &Arc<Self>, name: String) -> Alive {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.0 += 1;
        let number = names.0;
        names.1.insert(number, name);
        Alive {
            live: Arc::clone(self),
            number,
        }
    }

    fn wait(&self, patience: Duration) -> Vec<String> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let (names, _) = self
            .ended
            .wait_timeout_while(names, patience, |names| !names.1.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        names.1.values().cloned().collect()
    }
}

/// Kept by a future for as long as there is one.
#[cfg(feature = "net")]
pub(super) struct Alive {
    live: Arc<Live>,
    number: u64,
}

#[cfg(feature = "net")]
impl Drop for Alive {
    fn drop(&mut self) {
        let mut names = self
            .live
            .names
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        names.1.remove(&self.number);
        self.live.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn ran(log: &Arc<Mutex<Vec<u32>>>, what: u32) {
        log.lock().expect("the log").push(what);
    }

    #[test]
    fn a_future_is_polled_when_it_was_woken_and_not_before() {
        let executor = Executor::by_hand();
        let log = Arc::new(Mutex::new(Vec::new()));
        let waker = Arc::new(Mutex::new(None::<Waker>));
        let (noted, kept) = (Arc::clone(&log), Arc::clone(&waker));
        let mut polls = 0;
        executor.spawn(
            "two polls".into(),
            Box::pin(poll_fn(move |cx| {
                polls += 1;
                ran(&noted, polls);
                *kept.lock().expect("the waker") = Some(cx.waker().clone());
                if polls == 2 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })),
        );
        assert!(log.lock().expect("the log").is_empty(), "not when spawned");
        assert!(executor.poll_ready());
        assert!(!executor.poll_ready(), "nobody has woken it");
        let waker = waker.lock().expect("the waker").take().expect("polled");
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert!(executor.poll_ready());
        assert!(!executor.poll_ready());
        assert_eq!(*log.lock().expect("the log"), [1, 2]);
        assert!(executor.stragglers(Duration::ZERO).is_empty());
        waker.wake();
    }

    #[test]
    fn an_abort_drops_the_future_even_from_inside_itself() {
        struct Dropped(Arc<Mutex<Vec<u32>>>, u32);
        impl Drop for Dropped {
            fn drop(&mut self) {
                ran(&self.0, self.1);
            }
        }
        let executor = Executor::by_hand();
        let log = Arc::new(Mutex::new(Vec::new()));
        let guard = Dropped(Arc::clone(&log), 1);
        let idle = executor.spawn(
            "idle".into(),
            Box::pin(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            }),
        );
        executor.poll_ready();
        idle.abort();
        assert_eq!(*log.lock().expect("the log"), [1]);

        let own: Arc<Mutex<Option<Task>>> = Arc::default();
        let (inside, guard) = (Arc::clone(&own), Dropped(Arc::clone(&log), 2));
        *own.lock().expect("the task") = Some(executor.spawn(
            "own".into(),
            Box::pin(async move {
                let _guard = guard;
                if let Some(task) = inside.lock().expect("the task").take() {
                    task.abort();
                }
                std::future::pending::<()>().await;
            }),
        ));
        executor.poll_ready();
        assert_eq!(*log.lock().expect("the log"), [1, 2]);
        assert!(executor.stragglers(Duration::ZERO).is_empty());
    }

    #[test]
    fn a_panic_ends_one_future_and_no_other() {
        let executor = Executor::by_hand();
        let log = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&log);
        executor.spawn("panics".into(), Box::pin(async { panic!("on purpose") }));
        executor.spawn("goes on".into(), Box::pin(async move { ran(&noted, 1) }));
        executor.poll_ready();
        assert_eq!(*log.lock().expect("the log"), [1]);
        assert!(executor.stragglers(Duration::ZERO).is_empty());
    }
}
