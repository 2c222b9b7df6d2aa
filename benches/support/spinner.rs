//! A thread that does nothing but look.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What the thread is to do at the next change.
const GO_ON: u8 = 0;
const REST: u8 = 1;
const STOP: u8 = 2;

/// A thread that spins on something, and tells the last epoch it saw.
#[derive(Debug)]
pub(crate) struct Spinner {
    seen: Arc<AtomicU64>,
    order: Arc<AtomicU8>,
    thread: std::thread::Thread,
}

/// In the place of an epoch: the thread sleeps.
const ASLEEP: u64 = u64::MAX - 1;
/// In the place of an epoch: it has ended.
const ENDED: u64 = u64::MAX;

impl Spinner {
    /// `spin` calls its argument at every change with the epoch, until that answers `Break`.
    pub(crate) fn new(
        spin: impl FnOnce(&mut dyn FnMut(u64) -> ControlFlow<()>) + Send + 'static,
    ) -> Self {
        let (seen, order) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU8::new(GO_ON)));
        let (told, ordered) = (Arc::clone(&seen), Arc::clone(&order));
        let thread = std::thread::spawn(move || {
            spin(&mut |epoch| {
                told.store(epoch, Ordering::Release);
                while ordered.load(Ordering::Acquire) == REST {
                    told.store(ASLEEP, Ordering::Release);
                    std::thread::park();
                }
                match ordered.load(Ordering::Relaxed) {
                    STOP => ControlFlow::Break(()),
                    _ => {
                        told.store(epoch, Ordering::Release);
                        ControlFlow::Continue(())
                    }
                }
            });
            told.store(ENDED, Ordering::Release);
        });
        Self {
            seen,
            order,
            thread: thread.thread().clone(),
        }
    }

    /// Returns when it has seen this epoch.
    #[inline]
    pub(crate) fn until_seen(&self, epoch: u64) {
        while self.seen.load(Ordering::Acquire) < epoch {
            std::hint::spin_loop();
        }
    }

    /// Has the thread sleep, with a change so that it looks: it would take a core from who is
    /// measured.
    #[allow(dead_code, reason = "where several take turns")]
    pub(crate) fn rest(&self, change: impl FnOnce()) {
        self.order.store(REST, Ordering::Release);
        change();
        self.until_seen(ASLEEP);
    }

    /// Has it look again. Returns when it does.
    #[allow(dead_code, reason = "where several take turns")]
    pub(crate) fn resume(&self) {
        self.order.store(GO_ON, Ordering::Release);
        self.thread.unpark();
        while self.seen.load(Ordering::Acquire) >= ASLEEP {
            std::hint::spin_loop();
        }
    }

    /// Ends the thread, with a last change so that it looks.
    pub(crate) fn end(self, change: impl FnOnce()) {
        self.order.store(STOP, Ordering::Release);
        self.thread.unpark();
        change();
        self.until_seen(ENDED);
    }
}
