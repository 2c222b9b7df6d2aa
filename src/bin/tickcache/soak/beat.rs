//! How late this machine runs things. A process that is given no processor for a second can keep no
//! bound of a second: what its threads have waited for a processor is granted.
//!
//! Linux counts that for each thread. Elsewhere, or where it does not tell, it is what a thread that
//! only sleeps was late by, which is less: systems prefer those who sleep much.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it wants to be woken.
const EVERY: Duration = Duration::from_millis(10);

/// What it was late by is remembered for so long.
const REMEMBERED: Duration = Duration::from_secs(5);

/// How often it is asked what each thread has waited; reading it takes some microseconds for each.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// A thread that wants to be woken regularly, and notes how late it and the others were.
#[derive(Debug)]
pub(crate) struct Beat {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    stop: AtomicBool,
    /// In nanoseconds, over the last seconds; and at most of all that time.
    late: AtomicU64,
    most: AtomicU64,
}

impl Shared {
    /// Late by so much, in sum over the last five seconds.
    pub(crate) fn late(&self) -> Duration {
        Duration::from_nanos(self.late.load(Relaxed))
    }
}

impl Beat {
    pub(crate) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let inside = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("soak-beat".into())
            .spawn(move || run(&inside))?;
        Ok(Self { shared, thread })
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Ends it; gives the most that it was late by within five seconds.
    pub(crate) fn stop(self) -> Result<Duration, &'static str> {
        self.shared.stop.store(true, Relaxed);
        self.thread
            .join()
            .map_err(|_| "the beat's thread panicked")?;
        Ok(Duration::from_nanos(self.shared.most.load(Relaxed)))
    }
}

fn run(shared: &Shared) {
    let (mut sleeps, mut waits) = (Recent::default(), Recent::default());
    let mut waited = Waited::default();
    let mut asked = Instant::now();
    while !shared.stop.load(Relaxed) {
        let before = Instant::now();
        std::thread::sleep(EVERY);
        let now = Instant::now();
        sleeps.add(now, (now - before).saturating_sub(EVERY));
        if now - asked >= ASK_EVERY {
            asked = now;
            waits.add(now, waited.most_since_last());
        }
        let late = sleeps.sum.max(waits.sum);
        let nanos = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        shared.late.store(nanos, Relaxed);
        shared.most.fetch_max(nanos, Relaxed);
    }
}

/// A sum over the last seconds.
#[derive(Debug, Default)]
struct Recent {
    past: VecDeque<(Instant, Duration)>,
    sum: Duration,
}

impl Recent {
    fn add(&mut self, now: Instant, late: Duration) {
        self.past.push_back((now, late));
        self.sum += late;
        while let Some((at, late)) = self.past.front().copied()
            && now - at > REMEMBERED
        {
            self.past.pop_front();
            self.sum -= late;
        }
    }
}

/// How long each thread of this process has waited for a processor.
#[derive(Debug, Default)]
struct Waited(BTreeMap<OsString, u64>);

impl Waited {
    /// The longest that any thread has waited since this was last asked. A value passes through one
    /// thread after the other, but those that wait at the same time wait for the same.
    fn most_since_last(&mut self) -> Duration {
        let now: BTreeMap<_, _> = threads().collect();
        let since = now.iter().map(|(thread, waited)| {
            let before = self.0.get(thread).copied().unwrap_or(*waited);
            waited.saturating_sub(before)
        });
        let most = since.max().unwrap_or(0);
        self.0 = now;
        Duration::from_nanos(most)
    }
}

/// Each thread, and how long it has waited so far, in nanoseconds.
fn threads() -> impl Iterator<Item = (OsString, u64)> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks.flatten().filter_map(|task| {
        // Time on a processor, time in the queue for one, and how often it had one.
        let told = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let waited = told.split_whitespace().nth(1)?.parse().ok()?;
        Some((task.file_name(), waited))
    })
}
