//! How late this machine runs things. A process that is given no processor for a second can keep no
//! bound of a second: what a thread that does nothing was late by is granted to everybody else.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it wants to be woken.
const EVERY: Duration = Duration::from_millis(10);

/// What it was late by is remembered for so long.
const REMEMBERED: Duration = Duration::from_secs(5);

/// A thread that wants to be woken regularly, and notes how late it was.
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
    let mut past: VecDeque<(Instant, Duration)> = VecDeque::new();
    let mut sum = Duration::ZERO;
    while !shared.stop.load(Relaxed) {
        let before = Instant::now();
        std::thread::sleep(EVERY);
        let now = Instant::now();
        let late = (now - before).saturating_sub(EVERY);
        past.push_back((now, late));
        sum += late;
        while let Some((at, late)) = past.front().copied()
            && now - at > REMEMBERED
        {
            past.pop_front();
            sum -= late;
        }
        let nanos = u64::try_from(sum.as_nanos()).unwrap_or(u64::MAX);
        shared.late.store(nanos, Relaxed);
        shared.most.fetch_max(nanos, Relaxed);
    }
}
