//! Long messages on a feed's thread: who takes them apart.

use super::super::bulk::{Offload, Work};
use super::super::ingest::BulkOptions;
use super::super::runtime::Runtime;
use crate::feed::Settings;
use std::sync::Arc;

/// Commands that may wait for long messages. Beyond it others stay in the inbox.
pub(super) const PARKED: usize = 256;

/// The runtime's threads for blocking work; the feed's thread is woken when it is done, or when it
/// is clear that it will not be.
pub(super) fn offload(runtime: &Runtime, waker: Arc<mio::Waker>) -> Offload {
    let runtime = runtime.clone();
    Offload::new(move |work| {
        let errand = Errand {
            work: Some(work),
            _bell: Bell(Arc::clone(&waker)),
        };
        // A method of the whole: a closure over the work alone would leave the bell here.
        runtime.spawn_blocking(move || errand.run());
    })
}

/// How a feed's long messages are treated.
pub(super) fn options(offload: &Offload, settings: &Settings) -> BulkOptions {
    BulkOptions {
        offload: offload.clone(),
        max_bytes: settings.limits.max_message,
        overtaking: settings.overtaking,
    }
}

/// Work on its way. It is dropped before the bell, so whoever is woken finds what became of it.
struct Errand {
    work: Option<Work>,
    _bell: Bell,
}

impl Errand {
    fn run(mut self) {
        if let Some(work) = self.work.take() {
            work();
        }
    }
}

struct Bell(Arc<mio::Waker>);

impl Drop for Bell {
    fn drop(&mut self) {
        // Fails only where the poller is gone, and the feed with it.
        let _ = self.0.wake();
    }
}
