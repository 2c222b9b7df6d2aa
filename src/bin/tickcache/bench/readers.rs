//! Readers that wait for one id each, and say how long after its sending they had a message.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tickcache::cache::{Field, Slot};

use crate::args::Wait;
use crate::simulator::Clock;
use crate::ui::Recorder;

/// Longer than any bench: a wait ends with news or with the cache.
const LONG: Duration = Duration::from_secs(3600);

/// Where messages say when they were sent, and whether it matters now.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    pub(super) sent: Field,
    pub(super) clock: Clock,
    pub(super) measuring: Arc<AtomicBool>,
}

impl Stamp {
    /// Takes down how old the value is that was just read.
    fn note(&self, value: &tickcache::Value, into: &mut Recorder) {
        let now = Instant::now();
        let since = value
            .u64()
            .ok()
            .and_then(|sent| self.clock.since(sent, now));
        if let Some(since) = since.filter(|_| self.measuring.load(Ordering::Relaxed)) {
            into.record(since);
        }
    }
}

/// What readers have seen, by the way in which they wait.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) spinning: Recorder,
    pub(super) blocking: Recorder,
    pub(super) asynchronous: Recorder,
}

/// The threads of all readers. They end when the cache is closed.
#[derive(Debug)]
pub(super) struct Readers(Vec<(Wait, JoinHandle<Recorder>)>);

impl Readers {
    /// So many of each; `slot` gives the one that the next of them waits for.
    pub(super) fn start(
        readers: &[(Wait, usize)],
        mut slot: impl FnMut() -> Option<Slot>,
        stamp: Stamp,
    ) -> io::Result<Self> {
        let mut threads = Vec::new();
        for (wait, count) in readers.iter().copied().filter(|(_, count)| *count > 0) {
            if wait == Wait::Task {
                // One thread has all tasks, as a service would.
                let slots: Vec<_> = (0..count).filter_map(|_| slot()).collect();
                let stamp = stamp.clone();
                threads.push((wait, named("bench-tasks", move || tasks(slots, &stamp))?));
                continue;
            }
            for slot in (0..count).filter_map(|_| slot()) {
                let stamp = stamp.clone();
                let thread = match wait {
                    Wait::Spin => named("bench-spin", move || spin(&slot, &stamp)),
                    Wait::Block | Wait::Task => named("bench-block", move || block(&slot, &stamp)),
                };
                threads.push((wait, thread?));
            }
        }
        Ok(Self(threads))
    }

    /// Waits for their end.
    pub(super) fn join(self) -> Result<Seen, &'static str> {
        let [mut spinning, mut blocking, mut asynchronous] = [(); 3].map(|()| Recorder::new());
        for (wait, thread) in self.0 {
            let seen = thread.join().map_err(|_| "a reader panicked")?;
            match wait {
                Wait::Spin => spinning.add(&seen),
                Wait::Block => blocking.add(&seen),
                Wait::Task => asynchronous.add(&seen),
            }
        }
        Ok(Seen {
            spinning,
            blocking,
            asynchronous,
        })
    }
}

fn named(
    name: &str,
    body: impl FnOnce() -> Recorder + Send + 'static,
) -> io::Result<JoinHandle<Recorder>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
}

fn spin(slot: &Slot, stamp: &Stamp) -> Recorder {
    let mut seen = Recorder::new();
    // Ends with the cache.
    let _ = slot.spin(|reader| {
        let [sent] = reader.read([stamp.sent]).even_if_stale();
        stamp.note(&sent, &mut seen);
        ControlFlow::<()>::Continue(())
    });
    seen
}

fn block(slot: &Slot, stamp: &Stamp) -> Recorder {
    let (mut seen, mut watch) = (Recorder::new(), slot.watch());
    while watch.wait(LONG).is_ok() {
        let [sent] = slot.read([stamp.sent]).even_if_stale();
        stamp.note(&sent, &mut seen);
    }
    seen
}

fn tasks(slots: Vec<Slot>, stamp: &Stamp) -> Recorder {
    let mut seen = Recorder::new();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
        return seen;
    };
    let tasks = tokio::task::LocalSet::new();
    let all: Vec<_> = slots
        .into_iter()
        .map(|slot| tasks.spawn_local(follow(slot, stamp.clone())))
        .collect();
    runtime.block_on(tasks);
    for task in all {
        if let Ok(own) = runtime.block_on(task) {
            seen.add(&own);
        }
    }
    seen
}

async fn follow(slot: Slot, stamp: Stamp) -> Recorder {
    let (mut seen, mut watch) = (Recorder::new(), slot.watch());
    while watch.changed().await.is_ok() {
        let [sent] = slot.read([stamp.sent]).even_if_stale();
        stamp.note(&sent, &mut seen);
        // There may always be news: the others must get their turn.
        tokio::task::yield_now().await;
    }
    seen
}
