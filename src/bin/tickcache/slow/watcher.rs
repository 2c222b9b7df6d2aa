//! A thread that looks at every job all the time, and has each look checked.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Map, Value};
use tickcache::cache::{Cache, Freshness, Slot};

use super::check::{Checker, Look};
use super::stream::Delivered;
use crate::simulator::{ENTITY, Facts, thread_cpu};

/// Time between two looks at all jobs. A look costs microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// The thread. It looks as anybody may: its reads make nobody fetch.
#[derive(Debug)]
pub(crate) struct Watcher {
    shared: Arc<Shared>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    checker: Mutex<Checker>,
    cpu_nanos: AtomicU64,
}

impl Watcher {
    /// Starts to look at the jobs 1 to `jobs`.
    pub(crate) fn start(
        cache: &Cache,
        jobs: usize,
        facts: Facts,
        delivered: Arc<Delivered>,
    ) -> io::Result<Self> {
        let entity = cache.entity(ENTITY);
        let slots: Vec<_> = (1..=jobs as u64).map(|id| (id, entity.slot(id))).collect();
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = mpsc::channel();
        let inside = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("tickcache-check".into())
            .spawn(move || {
                let mut text = Vec::new();
                // Ended by word, and by the end of its handle.
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK_EVERY) {
                    for (id, slot) in &slots {
                        look(*id, slot, &facts, &delivered, &inside, &mut text);
                    }
                    inside.note_cpu();
                }
            })?;
        Ok(Self {
            shared,
            stop,
            thread,
        })
    }

    /// What was found so far; more may be added to it.
    pub(crate) fn checker(&self) -> MutexGuard<'_, Checker> {
        self.shared.checker()
    }

    /// Its CPU time, as of the last looks.
    pub(crate) fn cpu(&self) -> Duration {
        self.shared.cpu()
    }

    /// Ends it. Gives its CPU time.
    pub(crate) fn join(self) -> Result<Duration, &'static str> {
        // It may have ended by a panic, which the next line tells.
        let _ = self.stop.send(());
        self.thread
            .join()
            .map_err(|_| "the checking thread panicked")?;
        Ok(self.shared.cpu())
    }
}

impl Shared {
    fn checker(&self) -> MutexGuard<'_, Checker> {
        self.checker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cpu(&self) -> Duration {
        // A number for people: nothing else goes with it.
        Duration::from_nanos(self.cpu_nanos.load(Ordering::Relaxed))
    }

    fn note_cpu(&self) {
        let nanos = thread_cpu().unwrap_or_default().as_nanos();
        self.cpu_nanos
            .store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Looks once, and has it checked. The order matters: what was delivered is asked for before the
/// look, and what is true after it.
fn look(
    id: u64,
    slot: &Slot,
    facts: &Facts,
    delivered: &Delivered,
    shared: &Shared,
    text: &mut Vec<u8>,
) {
    let delivered = delivered.version(id);
    text.clear();
    let live = slot.read_all(|view| {
        text.extend_from_slice(view.record().to_json().as_bytes());
        view.freshness() == Freshness::Live
    });
    let current = facts.version(id).unwrap_or_default();
    // Nothing yet, or removed.
    let Ok(value) = serde_json::from_slice::<Map<String, Value>>(text) else {
        return;
    };
    shared.checker().job(&Look {
        id,
        live,
        value: &value,
        delivered,
        current,
    });
}
