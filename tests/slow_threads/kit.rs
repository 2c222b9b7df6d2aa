//! What the tests share: threads that must end, futures that must resolve, runtimes to be on.

use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use tickcache::{Cache, CacheBuilder};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Longer than anything takes: reached only by what would never have come.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// How long an observer sleeps whom somebody watches for [`LONG`]: at its end it would look again,
/// and hide that nobody has woken it.
pub(crate) const ASLEEP: Duration = Duration::from_secs(2 * LONG.as_secs());

/// Threads of a test. All of them have to end.
pub(crate) struct Crew {
    ended: (Sender<usize>, Receiver<usize>),
    threads: Vec<(String, Option<JoinHandle<()>>)>,
}

impl Crew {
    pub(crate) fn new() -> Self {
        Self {
            ended: channel(),
            threads: Vec::new(),
        }
    }

    pub(crate) fn spawn(&mut self, name: impl Into<String>, work: impl FnOnce() + Send + 'static) {
        let (number, name) = (self.threads.len(), name.into());
        let ended = self.ended.0.clone();
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            // The test may have failed already.
            let _ = ended.send(number);
            if let Err(payload) = result {
                resume_unwind(payload);
            }
        });
        self.threads.push((name, Some(thread.expect("a thread"))));
    }

    /// Waits for all of them, and names those that do not end.
    #[track_caller]
    pub(crate) fn join(mut self) {
        let mut left = self.threads.len();
        while left > 0 {
            let Ok(number) = self.ended.1.recv_timeout(LONG) else {
                let stuck = self.threads.iter().filter(|(_, thread)| thread.is_some());
                let stuck: Vec<_> = stuck.map(|(name, _)| name).collect();
                panic!("these threads do not end: {stuck:?}");
            };
            left -= 1;
            let (name, thread) = &mut self.threads[number];
            let thread = thread.take().expect("it ends once");
            assert!(thread.join().is_ok(), "{name} panicked");
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread. It has to resolve.
#[track_caller]
pub(crate) fn block_on<F: IntoFuture>(what: &str, future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let waker: Waker = Arc::new(Unpark(thread::current())).into();
    let give_up = Instant::now() + LONG;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let left = give_up.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{what} does not resolve");
        thread::park_timeout(left);
    }
}

/// Looks again and again until it is so. For what nobody can wait for.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < give_up, "{what}: never");
        thread::yield_now();
    }
}

/// Where the slow path runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Own,
    MultiThread,
    CurrentThread,
}

pub(crate) const PLACES: [Place; 3] = [Place::Own, Place::MultiThread, Place::CurrentThread];

/// A runtime that is driven for as long as this is there.
pub(crate) enum Driven {
    Own,
    Multi(Runtime),
    Current {
        handle: tokio::runtime::Handle,
        stop: oneshot::Sender<()>,
        thread: JoinHandle<()>,
    },
}

impl Driven {
    pub(crate) fn new(place: Place) -> Self {
        match place {
            Place::Own => Self::Own,
            Place::MultiThread => {
                let mut builder = Builder::new_multi_thread();
                let runtime = builder.worker_threads(2).enable_all().build();
                Self::Multi(runtime.expect("a runtime"))
            }
            Place::CurrentThread => {
                let (stop, stopped) = oneshot::channel::<()>();
                let (made, making) = channel();
                let thread = thread::spawn(move || {
                    let runtime = Builder::new_current_thread().enable_all().build();
                    let runtime = runtime.expect("a runtime");
                    made.send(runtime.handle().clone()).expect("somebody waits");
                    let _ = runtime.block_on(stopped);
                });
                Self::Current {
                    handle: making.recv_timeout(LONG).expect("a runtime"),
                    stop,
                    thread,
                }
            }
        }
    }

    pub(crate) fn builder(&self) -> CacheBuilder {
        match self {
            Self::Own => Cache::builder(),
            Self::Multi(runtime) => Cache::builder().runtime(runtime.handle().clone()),
            Self::Current { handle, .. } => Cache::builder().runtime(handle.clone()),
        }
    }

    pub(crate) fn cache(&self) -> Cache {
        self.builder().build().expect("a cache")
    }

    /// Runs a task: there, or, where there is no runtime but the cache's own, on a thread.
    pub(crate) fn task(
        &self,
        crew: &mut Crew,
        name: &str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let handle = match self {
            Self::Own => {
                let what = name.to_owned();
                return crew.spawn(name, move || block_on(&what, work));
            }
            Self::Multi(runtime) => runtime.handle().clone(),
            Self::Current { handle, .. } => handle.clone(),
        };
        let task = handle.spawn(work);
        let what = name.to_owned();
        crew.spawn(name, move || {
            block_on(&what, task).expect("no panic, and the runtime is there");
        });
    }

    /// Ends the runtime, if it is not the cache's own.
    pub(crate) fn end(self) {
        match self {
            Self::Own => {}
            Self::Multi(runtime) => runtime.shutdown_timeout(LONG),
            Self::Current { stop, thread, .. } => {
                let _ = stop.send(());
                thread.join().expect("the runtime's thread");
            }
        }
    }
}

/// Numbers that look like chance and are the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}
