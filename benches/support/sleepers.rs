//! Tasks that sleep until something moves, and are known to be asleep before it does.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// What a task waits for, again and again; it looks at the news each time.
pub(crate) trait Wait: Send + 'static {
    /// Ready with the news, false when there will be none any more.
    fn wait(&mut self) -> impl Future<Output = bool> + Send;
}

/// The runtime that the tasks are on: one thread of its own, with the drivers for sockets and
/// timers that every service has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    /// `#[tokio::main(flavor = "current_thread")]`: waking a task from outside writes to the driver.
    CurrentThread,
    /// One worker of the other flavour: waking writes only if the worker sleeps.
    MultiThread,
}

#[derive(Debug, Default)]
struct Counts {
    asleep: AtomicU64,
    woken: AtomicU64,
}

/// The tasks that wait. Dropping this ends them.
#[derive(Debug)]
pub(crate) struct Tasks {
    counts: Arc<Counts>,
    tasks: u64,
    runtime: Option<Runtime>,
    thread: Option<(oneshot::Sender<()>, std::thread::JoinHandle<()>)>,
}

impl Tasks {
    /// A task for each of these; returns when all of them sleep.
    pub(crate) fn new<W: Wait>(on: On, waits: impl Iterator<Item = W>) -> Self {
        let mut tasks = Self {
            counts: Arc::default(),
            tasks: 0,
            runtime: None,
            thread: None,
        };
        let handle = match on {
            On::MultiThread => {
                let runtime = Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build();
                let runtime = runtime.expect("a thread");
                tasks.runtime.insert(runtime).handle().clone()
            }
            On::CurrentThread => {
                let runtime = Builder::new_current_thread().enable_all().build();
                let runtime = runtime.expect("the drivers start");
                let handle = runtime.handle().clone();
                let (end, ended) = oneshot::channel();
                let thread = std::thread::spawn(move || {
                    // Ended by a message or by the sender's end: the same.
                    let _ = runtime.block_on(ended);
                });
                tasks.thread = Some((end, thread));
                handle
            }
        };
        for wait in waits {
            tasks.spawn(&handle, wait);
        }
        tasks.until_asleep();
        tasks
    }

    fn spawn<W: Wait>(&mut self, handle: &Handle, mut wait: W) {
        self.tasks += 1;
        let counts = Arc::clone(&self.counts);
        handle.spawn(async move {
            loop {
                let mut next = pin!(wait.wait());
                let mut asleep = false;
                let news = poll_fn(|cx| {
                    if std::mem::take(&mut asleep) {
                        counts.asleep.fetch_sub(1, Ordering::Relaxed);
                    }
                    let poll = next.as_mut().poll(cx);
                    if poll.is_pending() {
                        asleep = true;
                        counts.asleep.fetch_add(1, Ordering::Release);
                    }
                    poll
                });
                if !news.await {
                    return;
                }
                counts.woken.fetch_add(1, Ordering::Release);
            }
        });
    }

    /// How often a task had news, over all tasks.
    pub(crate) fn woken(&self) -> u64 {
        self.counts.woken.load(Ordering::Acquire)
    }

    /// Returns when so many tasks have had news.
    pub(crate) fn until_woken(&self, times: u64) {
        while self.woken() < times {
            std::thread::yield_now();
        }
    }

    /// Returns when every task sleeps.
    pub(crate) fn until_asleep(&self) {
        while self.counts.asleep.load(Ordering::Acquire) < self.tasks {
            std::thread::yield_now();
        }
    }

    /// How many tasks there are.
    pub(crate) fn len(&self) -> u64 {
        self.tasks
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.thread.take() {
            drop(end);
            thread.join().expect("the runtime's thread ends");
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
