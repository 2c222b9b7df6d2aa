//! A reader as a service would have it: a thread with tasks that wait for changes, here to measure
//! how long each took from its scheduled send until it could be read.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tickcache::cache::{Entity, Field};
use tokio::task::LocalSet;

use crate::simulator::{Clock, thread_cpu};
use crate::ui::{Latency, Recorder};

/// How often the thread notes its CPU time.
const CPU_EVERY: Duration = Duration::from_millis(50);

/// An entity to follow, and the field that holds the time at which a message was due.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) entity: Entity,
    pub(crate) due: Field,
}

/// The reader's thread. It ends when the cache is closed.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    /// Since it was last asked for.
    recent: Mutex<Recorder>,
    cpu_nanos: AtomicU64,
}

impl Reader {
    /// Starts to follow the entities.
    pub(crate) fn start(entities: Vec<Followed>, clock: Clock) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            clock,
            recent: Mutex::new(Recorder::new()),
            cpu_nanos: AtomicU64::new(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let inside = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("tickcache-reader".into())
            .spawn(move || {
                let tasks = LocalSet::new();
                for followed in entities {
                    tasks.spawn_local(follow(followed, Arc::clone(&inside)));
                }
                runtime.block_on(tasks);
                inside.note_cpu();
            })?;
        Ok(Self { shared, thread })
    }

    /// Takes what was measured since this was last called.
    pub(crate) fn take(&self, into: &mut Recorder) {
        let mut recent = self.shared.recent();
        into.reset();
        into.add(&recent);
        recent.reset();
    }

    /// Its CPU time, at most 50 ms old.
    pub(crate) fn cpu(&self) -> Duration {
        // A number for people: nothing else goes with it.
        Duration::from_nanos(self.shared.cpu_nanos.load(Ordering::Relaxed))
    }

    /// Waits for its end, once the cache is closed; gives what was not taken yet.
    pub(crate) fn join(self, into: &mut Recorder) -> Result<Duration, &'static str> {
        self.thread
            .join()
            .map_err(|_| "the reader's thread panicked")?;
        into.reset();
        into.add(&self.shared.recent());
        Ok(Duration::from_nanos(
            self.shared.cpu_nanos.load(Ordering::Relaxed),
        ))
    }
}

impl Shared {
    fn recent(&self) -> MutexGuard<'_, Recorder> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_cpu(&self) {
        let nanos = thread_cpu().unwrap_or_default().as_nanos();
        self.cpu_nanos
            .store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Measures every change of an entity until the cache is closed.
async fn follow(Followed { entity, due }: Followed, shared: Arc<Shared>) {
    let mut changes = entity.changes_from_nothing();
    let mut seen = Vec::new();
    let mut noted = Instant::now();
    loop {
        let looked = changes.next(|slot| {
            let [stamp] = slot.read([due]).even_if_stale();
            let now = Instant::now();
            seen.extend(
                stamp
                    .u64()
                    .ok()
                    .and_then(|stamp| shared.clock.since(stamp, now)),
            );
        });
        if looked.await.is_err() {
            return;
        }
        {
            let mut recent = shared.recent();
            seen.drain(..).for_each(|latency| recent.record(latency));
        }
        if noted.elapsed() >= CPU_EVERY {
            noted = Instant::now();
            shared.note_cpu();
        }
        // Under full load there is always a change: the other entities must get their turn.
        tokio::task::yield_now().await;
    }
}

/// The latencies of the last seconds, and of the whole run.
#[derive(Debug)]
pub(crate) struct Latencies {
    seconds: Vec<Recorder>,
    next: usize,
    whole: Recorder,
}

impl Latencies {
    /// Keeps that many seconds apart.
    pub(crate) fn new(seconds: usize) -> Self {
        let recorder = Recorder::new();
        Self {
            seconds: vec![recorder.clone(); seconds.max(1)],
            next: 0,
            whole: recorder,
        }
    }

    /// Takes in another second in place of the oldest.
    pub(crate) fn second(&mut self, take: impl FnOnce(&mut Recorder)) {
        let second = &mut self.seconds[self.next];
        take(second);
        self.whole.add(second);
        self.next = (self.next + 1) % self.seconds.len();
    }

    /// Percentiles of the last seconds.
    pub(crate) fn recent(&self) -> Option<Latency> {
        let mut sum = Recorder::new();
        self.seconds.iter().for_each(|second| sum.add(second));
        sum.latency()
    }

    /// Percentiles of the whole run.
    pub(crate) fn whole(&self) -> Option<Latency> {
        self.whole.latency()
    }
}
