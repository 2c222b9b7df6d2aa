//! Tests of the store's protocols, and their models.

#[cfg(not(tickcache_model))]
mod at_once;
#[cfg(tickcache_loom)]
mod beside_models;
#[cfg(not(tickcache_model))]
mod changes;
#[cfg(tickcache_loom)]
mod changes_models;
#[cfg(tickcache_shuttle)]
mod composed;
#[cfg(not(tickcache_model))]
mod kit;
#[cfg(not(tickcache_model))]
mod live;
#[cfg(not(tickcache_model))]
mod locate;
#[cfg(not(tickcache_model))]
mod lookup;
#[cfg(tickcache_loom)]
mod marks_models;
#[cfg(not(tickcache_model))]
mod oracle;
#[cfg(tickcache_loom)]
mod owner_models;
#[cfg(not(tickcache_model))]
mod replace;
#[cfg(tickcache_loom)]
mod ring_models;
#[cfg(not(tickcache_model))]
mod slot;
#[cfg(tickcache_loom)]
mod slot_models;
#[cfg(not(tickcache_model))]
mod slot_stress;
#[cfg(not(tickcache_model))]
mod wake;
#[cfg(tickcache_loom)]
mod wake_models;
#[cfg(not(tickcache_model))]
mod wake_stress;

#[cfg(not(tickcache_shuttle))]
use super::wake::{Bell, Seen, Watched};
#[cfg(not(tickcache_model))]
use super::{changes::Producer, wake::Wakes};
#[cfg(not(tickcache_shuttle))]
use crate::sync::{Arc, AtomicU64, Ordering};

/// The least that can be waited for: an epoch, a generation, a bell.
#[cfg(not(tickcache_shuttle))]
pub(super) struct Cell {
    epoch: AtomicU64,
    link: AtomicU64,
    bell: Bell,
}

#[cfg(not(tickcache_shuttle))]
impl Cell {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            epoch: AtomicU64::new(0),
            link: AtomicU64::new(0),
            bell: Bell::new(),
        })
    }

    fn publish(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    fn relink(&self, link: u64) {
        self.link.store(link, Ordering::Release);
    }

    fn seen(&self) -> Seen {
        Seen {
            epoch: self.epoch.load(Ordering::Acquire),
            link: self.link.load(Ordering::Acquire),
            ..Seen::default()
        }
    }
}

#[cfg(not(tickcache_shuttle))]
impl Watched for Cell {
    fn bell(&self) -> &Bell {
        &self.bell
    }

    fn moved(&self, seen: &Seen) -> bool {
        self.seen() != *seen
    }
}

/// Ends a batch over these cells, which are the slots by number.
#[cfg(not(tickcache_model))]
fn flush(wakes: &mut Wakes, moved: &mut Producer, cells: &[Arc<Cell>]) {
    let mut batch = wakes.batch();
    moved.end_batch(cells.len() as u32, |slot| {
        // A number without a slot is passed over, as that of a purged slot is.
        if let Some(cell) = cells.get(slot as usize) {
            batch.one(&**cell);
        }
    });
}

/// Runs a test that would hang if it failed; then it fails after a minute instead.
#[cfg(not(tickcache_model))]
fn guarded(test: impl FnOnce() + Send + 'static) {
    let (done, finished) = std::sync::mpsc::channel();
    let body = std::thread::spawn(move || {
        test();
        done.send(()).expect("the guard waits");
    });
    let waited = finished.recv_timeout(std::time::Duration::from_secs(60));
    assert_ne!(
        waited,
        Err(std::sync::mpsc::RecvTimeoutError::Timeout),
        "somebody waits for ever"
    );
    if let Err(panic) = body.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Explores every interleaving with up to three pre-emptions, and every value a load may see.
#[cfg(tickcache_loom)]
pub(super) fn explore(model: impl Fn() + Sync + Send + 'static) {
    explore_within(Some(3), model);
}

/// Explores every interleaving.
#[cfg(tickcache_loom)]
fn explore_all(model: impl Fn() + Sync + Send + 'static) {
    explore_within(None, model);
}

#[cfg(tickcache_loom)]
fn explore_within(preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    use std::sync::atomic::AtomicUsize;
    let runs = Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    });
    // loom can lose interleavings without a word: see `Own`.
    assert!(
        runs.load(Ordering::Relaxed) > 2,
        "the threads of the model do not meet"
    );
}
