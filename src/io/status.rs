//! Where a feed stands, as everyone may see it, and how it ended.

use super::connect::ConnectError;
use super::latch::{Latch, Waiting, WakeOn};
use crate::feed::{Lost, Report, Role, State};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where a feed stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FeedStatus {
    /// What its connection does; of several, the one that is furthest.
    pub state: State,
    /// Whether no data has come for `silent_after` on any open connection.
    pub silent: bool,
    /// How often it has opened, from 1; 0 before the first time. A connection that takes the place
    /// of another without a break does not count.
    pub generation: u64,
    /// Attempts to connect so far, of all connections.
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
    /// Its connections, the one that is shown first.
    pub legs: Vec<LegStatus>,
}

/// Where one connection of a feed stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LegStatus {
    /// What it is there for.
    pub role: Role,
    /// What it does.
    pub state: State,
    /// Whether it could be shown at once with nothing missing.
    pub ready: bool,
    /// Whether no data has come over it for `silent_after`.
    pub silent: bool,
    /// Number of its present or last connection among all that the feed has opened, from 1; 0
    /// before the first.
    pub generation: u64,
    /// Whom its last connection was made to: the server, or a proxy before it.
    pub peer: Option<SocketAddr>,
    /// Why its last attempt failed, if it did.
    pub last_error: Option<Arc<ConnectError>>,
    /// Why its last connection was lost.
    pub last_loss: Option<Lost>,
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
            legs: Vec::new(),
        }
    }
}

/// Why a feed has no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WhyNotOpen {
    /// No attempt to connect has ended yet.
    #[error("no attempt to connect has ended yet")]
    NotYet,
    /// The last attempt failed.
    #[error("{0}")]
    Connect(Arc<ConnectError>),
    /// The server refused the last connection: a wrong key, a second session.
    #[error("refused by the server: {0}")]
    Refused(Box<str>),
    /// The last connection was lost.
    #[error("the last connection was lost: {0}")]
    Lost(Lost),
    /// The feed has ended.
    #[error("the feed has ended ({0:?})")]
    Ended(FeedEnd),
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
    /// Set while the feed has a connection, and once it has ended. Another one each time that a
    /// connection is lost.
    gate: Mutex<Latch<()>>,
    subscriptions: Mutex<Report>,
    wake_on: WakeOn,
}

impl Board {
    pub(crate) fn new(wake_on: WakeOn, first_data_within: Duration) -> Self {
        Self {
            status: Mutex::default(),
            end: Latch::new(),
            gate: Mutex::new(Latch::new()),
            subscriptions: Mutex::new(Report::new(first_data_within)),
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
        self.opened();
    }

    /// The feed has a connection.
    pub(crate) fn opened(&self) {
        self.gate().set((), &self.wake_on);
    }

    /// It has none any more.
    pub(crate) fn lost(&self) {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if gate.get().is_some() {
            *gate = Latch::new();
        }
    }

    /// Set once the feed has a connection, or has ended.
    pub(crate) fn gate(&self) -> Latch<()> {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        gate.clone()
    }

    /// Looks at how far the subscriptions are. Takes a lock that is held for moments only.
    pub(crate) fn subscriptions<R>(&self, look: impl FnOnce(&mut Report) -> R) -> R {
        let report = self.subscriptions.lock();
        look(&mut report.unwrap_or_else(PoisonError::into_inner))
    }

    /// Why there is no connection, if there is none.
    pub(crate) fn why_not_open(&self) -> Option<WhyNotOpen> {
        if let Some(end) = self.end.get() {
            return Some(WhyNotOpen::Ended(end));
        }
        let status = self.status();
        let refused = status.last_loss == Some(Lost::Refused);
        match (
            status.state,
            status.refusal,
            status.last_error,
            status.last_loss,
        ) {
            (State::Open, ..) => None,
            (_, Some(reason), _, _) if refused => Some(WhyNotOpen::Refused(reason)),
            (_, _, Some(error), _) => Some(WhyNotOpen::Connect(error)),
            (_, _, None, Some(loss)) => Some(WhyNotOpen::Lost(loss)),
            (_, _, None, None) => Some(WhyNotOpen::NotYet),
        }
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
