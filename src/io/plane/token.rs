//! How a fetcher learns that nobody wants its answer any more.

use std::fmt;

use crate::io::latch::{Latch, WakeOn};

/// Says whether a fetch was given up. Clones are of the same fetch.
///
/// Having taken it from the context says that the fetcher can be stopped: then the fetch is given
/// up when the last observer leaves. Without, it goes on and its answer is kept.
#[derive(Clone)]
pub struct CancelToken(Latch<()>);

impl CancelToken {
    pub(super) fn new() -> Self {
        Self(Latch::new())
    }

    /// Whether the fetch was given up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.get().is_some()
    }

    /// Waits until the fetch is given up; for ever, if it is not. Cancel safe.
    pub async fn cancelled(&self) {
        self.0.wait_async().await;
    }

    pub(super) fn cancel(&self, wake_on: &WakeOn) {
        self.0.set((), wake_on);
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}
