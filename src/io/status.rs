//! Where a feed stands, as everyone may see it, and how it ended.

use super::connect::ConnectError;
use super::latch::{Latch, Waiting, WakeOn};
use crate::feed::{Lost, State};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Where a feed stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FeedStatus {
    /// What its connection does.
    pub state: State,
    /// Whether no data has come for `silent_after` on the open connection.
    pub silent: bool,
    /// Number of the present or last connection, from 1; 0 before the first.
    pub generation: u64,
    /// Attempts to connect so far.
    pub attempts: u64,
    /// Whom the last connection was made to: the server, or a proxy before it.
    pub peer: Option<SocketAddr>,
    /// Which of the offered subprotocols the server chose for it.
    pub subprotocol: Option<usize>,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<Arc<ConnectError>>,
    /// Why the last connection was lost.
    pub last_loss: Option<Lost>,
    /// Why the server refused the last connection that it refused.
    pub refusal: Option<Box<str>>,
    /// How often the feed was started again after a panic.
    pub restarts: u32,
}

impl Default for FeedStatus {
    fn default() -> Self {
        Self {
            state: State::Idle,
            silent: false,
            generation: 0,
            attempts: 0,
            peer: None,
            subprotocol: None,
            last_error: None,
            last_loss: None,
            refusal: None,
            restarts: 0,
        }
    }
}

/// How a feed ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedEnd {
    /// It was told to.
    Stopped,
    /// Its thread panicked, with this message, and the policy is not to start it again.
    Panicked(String),
    /// It could not go on, or not be started again after a panic, for this reason.
    Failed(String),
}

impl FeedEnd {
    /// Whether it ended because it was told to.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::Stopped
    }
}

/// The status board of one feed: its thread writes, anyone reads.
#[derive(Debug)]
pub(crate) struct Board {
    status: Mutex<FeedStatus>,
    end: Latch<FeedEnd>,
    wake_on: WakeOn,
}

impl Board {
    pub(crate) fn new(wake_on: WakeOn) -> Self {
        Self {
            status: Mutex::default(),
            end: Latch::new(),
            wake_on,
        }
    }

    /// The present status. Takes a lock that is held for moments only.
    pub(crate) fn status(&self) -> FeedStatus {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes the status.
    pub(crate) fn update(&self, change: impl FnOnce(&mut FeedStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Says that the feed has ended.
    pub(crate) fn ended(&self, end: FeedEnd) {
        self.update(|status| status.state = State::Stopped);
        self.end.set(end, &self.wake_on);
    }

    /// How the feed ended, once it has.
    pub(crate) fn end(&self) -> &Latch<FeedEnd> {
        &self.end
    }

    /// Waits for the end.
    pub(crate) fn finished(&self) -> Waiting<FeedEnd> {
        self.end.wait_async()
    }
}
