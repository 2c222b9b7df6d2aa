//! Waiting until a feed has a connection.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::attach::FeedRef;
use crate::io::status::WhyNotOpen;
use crate::store::Woken;
use crate::sync::Arc;

/// A feed has no connection at the deadline, or will never have one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the feed `{feed}` has no connection: {why}")]
pub struct NotOpenError {
    feed: Arc<str>,
    why: WhyNotOpen,
}

impl NotOpenError {
    /// What it is called.
    #[must_use]
    pub fn feed(&self) -> &str {
        &self.feed
    }

    /// Why it has none.
    #[must_use]
    pub const fn why(&self) -> &WhyNotOpen {
        &self.why
    }

    /// Whether waiting longer may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match &self.why {
            WhyNotOpen::Ended(_) => false,
            WhyNotOpen::Connect(error) => error.is_retryable(),
            _ => true,
        }
    }
}

impl FeedRef {
    /// Waits until the feed has a connection, on any executor; at once if it has. That the server
    /// has granted anything is another matter: see [`Slot::ready`](super::Slot::ready).
    ///
    /// # Errors
    /// At the deadline, counted from now: why the last attempt failed, or the last connection was
    /// lost or refused. At once if the feed has ended, or when the cache is closed.
    pub async fn opened(&self, deadline: Duration) -> Result<(), NotOpenError> {
        let shared = &self.0.shared;
        let until = shared.clock.now().after(deadline);
        let mut timer = shared.hub.register(Vec::new());
        loop {
            let mut gate = pin!(self.0.handle.board().gate().wait_async());
            let has_opened = poll_fn(|cx| {
                if gate.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                loop {
                    match timer.poll(cx, &[], until) {
                        Poll::Ready(Woken::Moved) => {}
                        Poll::Ready(Woken::Deadline | Woken::Closed) => return Poll::Ready(false),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            })
            .await;
            if let Some(outcome) = self.outcome(has_opened) {
                return outcome;
            }
        }
    }

    /// As [`opened`](Self::opened), blocking this thread.
    ///
    /// # Errors
    /// As [`opened`](Self::opened).
    pub fn wait_opened(&self, deadline: Duration) -> Result<(), NotOpenError> {
        let clock = &self.0.shared.clock;
        let until = clock.now().after(deadline);
        loop {
            let left = until.since(clock.now());
            let gate = self.0.handle.board().gate();
            let has_opened = gate.wait(Some(left)).is_some();
            if let Some(outcome) = self.outcome(has_opened) {
                return outcome;
            }
        }
    }

    /// The outcome of a wait; `None` if it goes on: the connection was lost at once.
    fn outcome(&self, has_opened: bool) -> Option<Result<(), NotOpenError>> {
        let board = self.0.handle.board();
        let has_ended = board.end().get().is_some();
        if !has_ended && board.gate().get().is_some() {
            return Some(Ok(()));
        }
        (has_ended || !has_opened).then(|| {
            Err(NotOpenError {
                feed: Arc::clone(&self.0.name),
                why: board.why_not_open().unwrap_or(WhyNotOpen::NotYet),
            })
        })
    }
}
