//! Where the slow plane runs: a given tokio runtime, else the current one, else a small one of our
//! own on its own thread.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// How long our own runtime waits at its end for blocking work (a look-up that hangs in the
/// resolver). What takes longer is left to end by itself.
const BLOCKING_GRACE: Duration = Duration::from_millis(100);

/// A runtime to spawn on. Clones share it; the last one stops a runtime of our own.
#[derive(Clone)]
pub(crate) struct Runtime {
    handle: Handle,
    own: Option<Arc<Own>>,
}

/// The runtime of one cache, made by whoever needs it first.
#[derive(Debug)]
pub(crate) struct Runtimes {
    given: Option<Handle>,
    made: Mutex<Option<Runtime>>,
}

impl Runtimes {
    pub(crate) fn new(given: Option<Handle>) -> Self {
        Self {
            given,
            made: Mutex::new(None),
        }
    }

    /// The runtime, as [`Runtime::new`] makes it for the first who asks.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub(crate) fn get(&self) -> io::Result<Runtime> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*made {
            return Ok(runtime.clone());
        }
        let runtime = Runtime::new(self.given.clone())?;
        *made = Some(runtime.clone());
        Ok(runtime)
    }

    /// As [`Runtime::shut_down`], if it was made.
    pub(crate) fn shut_down(&self) -> Option<JoinHandle<()>> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.as_ref().and_then(Runtime::shut_down)
    }
}

/// A runtime of our own. Dropping it tells the thread to end and waits for nothing, so it may
/// happen anywhere, an async task included.
struct Own {
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Runtime {
    /// The given runtime, else the caller's own, else a new one.
    ///
    /// # Errors
    /// If a new one is needed and the system gives no thread or poller.
    pub(crate) fn new(given: Option<Handle>) -> io::Result<Self> {
        match given.or_else(|| Handle::try_current().ok()) {
            Some(handle) => Ok(Self { handle, own: None }),
            None => Self::own(),
        }
    }

    fn own() -> io::Result<Self> {
        // Built inside its thread, because that is where it must be dropped.
        let (built, building) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("tickcache-slow".into())
            .spawn(move || {
                let runtime = Builder::new_current_thread()
                    .enable_all()
                    .thread_name("tickcache-blocking")
                    .build();
                match runtime {
                    Ok(runtime) => {
                        // The receiver waits just below; if it is gone, nobody needs the runtime.
                        let _ = built.send(Ok(runtime.handle().clone()));
                        // Either a message or the sender's end means stop.
                        let _ = runtime.block_on(stopped);
                        runtime.shutdown_timeout(BLOCKING_GRACE);
                    }
                    Err(error) => {
                        let _ = built.send(Err(error));
                    }
                }
            })?;
        let handle = building
            .recv()
            .map_err(|_| io::Error::other("the runtime's thread ended at once"))??;
        let own = Own {
            stop: Mutex::new(Some(stop)),
            thread: Mutex::new(Some(thread)),
        };
        Ok(Self {
            handle,
            own: Some(Arc::new(own)),
        })
    }

    /// Whether the runtime is our own.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Runs `work` on it. If the runtime is gone, the future is dropped at once.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(work).abort_handle()
    }

    /// Runs what takes long and never waits where it holds up nothing else.
    ///
    /// # Errors
    /// The runtime is ending, or the work has panicked.
    pub(crate) async fn offload<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        Ok(self.handle.spawn_blocking(work).await?)
    }

    /// As [`offload`](Self::offload), for who waits in a way of its own. If the runtime is gone, the
    /// work is dropped.
    pub(crate) fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        drop(self.handle.spawn_blocking(work));
    }

    /// Tells our own runtime to end and gives its thread to join, once; `None` for a runtime that
    /// is not ours, which is left alone. Never blocks.
    pub(crate) fn shut_down(&self) -> Option<JoinHandle<()>> {
        self.own.as_ref().and_then(|own| own.shut_down())
    }
}

impl Own {
    fn shut_down(&self) -> Option<JoinHandle<()>> {
        let stop = self
            .stop
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(stop) = stop {
            // A thread that has ended already needs no telling.
            let _ = stop.send(());
        }
        self.thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("own", &self.is_own())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn without_a_runtime_one_is_made_and_its_thread_joins() {
        let runtime = Runtime::new(None).expect("a runtime");
        assert!(runtime.is_own());
        let (send, sent) = mpsc::channel();
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            send.send(std::thread::current().name().map(str::to_owned))
                .expect("heard");
        });
        assert_eq!(
            sent.recv_timeout(LONG).expect("it ran").as_deref(),
            Some("tickcache-slow")
        );
        let thread = runtime.shut_down().expect("its thread");
        thread.join().expect("no panic");
        assert!(runtime.shut_down().is_none(), "only once");
        let (send, sent) = mpsc::channel::<()>();
        runtime.spawn(async move { drop(send) });
        assert_eq!(
            sent.recv_timeout(LONG),
            Err(mpsc::RecvTimeoutError::Disconnected)
        );
    }

    #[test]
    fn the_callers_runtime_is_used_and_left_alone() {
        let theirs = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let theirs = theirs.expect("a runtime");
        let current = theirs.block_on(async { Runtime::new(None).expect("the current one") });
        assert!(!current.is_own() && current.shut_down().is_none());
        let given = Runtime::new(Some(theirs.handle().clone())).expect("the given one");
        assert!(!given.is_own());
        let (send, sent) = mpsc::channel();
        given.spawn(async move { send.send(()).expect("heard") });
        sent.recv_timeout(LONG).expect("it runs on");
    }

    #[test]
    fn a_runtime_of_our_own_may_be_dropped_inside_a_task() {
        let ours = Runtime::new(None).expect("a runtime");
        let theirs = Builder::new_current_thread().build().expect("a runtime");
        theirs.block_on(async move { drop(ours) });
    }
}
