//! A thread that does nothing but look.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A thread that spins on something, and tells the last epoch it saw.
#[derive(Debug)]
pub(crate) struct Spinner {
    seen: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Spinner {
    /// `spin` calls its argument at every change with the epoch, until that answers `Break`.
    pub(crate) fn new(
        spin: impl FnOnce(&mut dyn FnMut(u64) -> ControlFlow<()>) + Send + 'static,
    ) -> Self {
        let (seen, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let spinner = Self {
            seen: Arc::clone(&seen),
            stop: Arc::clone(&stop),
        };
        std::thread::spawn(move || {
            spin(&mut |epoch| {
                seen.store(epoch, Ordering::Release);
                if stop.load(Ordering::Relaxed) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            seen.store(u64::MAX, Ordering::Release);
        });
        spinner
    }

    /// Returns when it has seen this epoch.
    #[inline]
    pub(crate) fn until_seen(&self, epoch: u64) {
        while self.seen.load(Ordering::Acquire) < epoch {
            std::hint::spin_loop();
        }
    }

    /// Ends the thread, with a last change so that it looks.
    pub(crate) fn end(self, change: impl FnOnce()) {
        self.stop.store(true, Ordering::Relaxed);
        change();
        self.until_seen(u64::MAX);
    }
}
