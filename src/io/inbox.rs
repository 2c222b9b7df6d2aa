//! The owner's inbox: bounded, and the only way another thread changes what an owner owns.
//!
//! The owner takes commands without a lock (an [`ArrayQueue`]), so a stopped sender never holds it
//! up. Senders take one uncontended lock, which makes closing exact: a command is either taken by
//! the owner, drained when the inbox closes, or refused; none is left lying. Every command has a
//! [`Completion`] that ends in all three cases.

mod completion;

pub use completion::Completion;
#[cfg(feature = "net")]
pub(crate) use completion::Reply;
pub(crate) use completion::Request;

use super::fault::{lets_go_early, rings_first};
use super::latch::WakeOn;
use crate::feed::{Counters, Refusal, SubscribeError};
use crate::sync::{self, ArrayQueue};
use completion::{Owner, lock, promise};
use std::fmt;
use std::ops::DerefMut;
use std::sync::{Arc, PoisonError};

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The owner's inbox holds as many commands as it may. Nothing was enqueued.
    #[error("the inbox of the feed is full; wait for earlier commands or raise its capacity")]
    InboxFull,
    /// The feed has stopped, failed or panicked, before or while the command waited; or it is just
    /// being attached. What it owned has another owner in a moment, who takes writes.
    #[error("the feed that owns this has ended")]
    OwnerGone,
    /// A blocking wait on the feed's own thread, which could never end.
    #[error("waiting for a feed on its own thread would never end")]
    WouldDeadlock,
    /// The wait was given up. The command may still be carried out.
    #[error("the feed did not answer in time")]
    TimedOut,
    /// It was refused as a message of the feed with the same content would have been.
    #[error("the value is refused: {0}")]
    Refused(#[from] Refusal),
    /// The owner has ended with the cache.
    #[error("the cache has been closed")]
    Closed,
    /// Another feed owns the entity.
    #[error("another feed owns this entity")]
    Foreign,
    /// A subscription was not made, or not ended.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}

impl CommandError {
    /// Whether the same call may succeed later. Of a subscription with a feed that has ended
    /// ([`OwnerGone`](Self::OwnerGone)) that is another feed's call.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::InboxFull | Self::TimedOut | Self::OwnerGone => true,
            Self::Subscribe(error) => error.is_retryable(),
            _ => false,
        }
    }
}

/// Makes the two ends of an inbox for at most `capacity` commands (at least 1). `bell` is run by a
/// sender after each command: it gets the owner out of its poller. What is refused because the
/// inbox is full is counted.
pub(crate) fn inbox<C>(
    capacity: usize,
    counters: Arc<Counters>,
    wake_on: WakeOn,
    bell: impl Fn() + Send + Sync + 'static,
) -> (Inbox<C>, Commands<C>) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(capacity.max(1)),
        stop: ArrayQueue::new(1),
        counters,
        state: sync::Mutex::new(State { closed: false }),
        owner: Arc::default(),
        wake_on,
        bell: Box::new(bell),
    });
    (Inbox(Arc::clone(&shared)), Commands(shared))
}

struct Shared<C> {
    queue: ArrayQueue<Request<C>>,
    counters: Arc<Counters>,
    /// Not empty once the owner was told to stop: of its own, so that no full queue can refuse it.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feed threads need it")
    )]
    stop: ArrayQueue<()>,
    state: sync::Mutex<State>,
    owner: Owner,
    wake_on: WakeOn,
    bell: Box<dyn Fn() + Send + Sync>,
}

struct State {
    closed: bool,
}

impl<C> Shared<C> {
    fn state(&self) -> impl DerefMut<Target = State> + '_ {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The senders' end.
pub(crate) struct Inbox<C>(Arc<Shared<C>>);

impl<C> Inbox<C> {
    /// Enqueues `command` without waiting.
    ///
    /// # Errors
    /// [`CommandError::InboxFull`] and [`CommandError::OwnerGone`]; nothing is enqueued then.
    pub(crate) fn send(&self, command: C) -> Result<Completion, CommandError> {
        let (completion, reply) = promise(&self.0.owner, &self.0.wake_on);
        // Held over the push: or the command could come to lie in an inbox that is closed.
        let mut state = Some(self.0.state());
        let closed = state.as_ref().is_some_and(|state| state.closed);
        if lets_go_early() {
            state = None;
        }
        let refused = if closed {
            Some((CommandError::OwnerGone, Request { command, reply }))
        } else {
            self.0
                .queue
                .push(Request { command, reply })
                .err()
                .map(|r| (CommandError::InboxFull, r))
        };
        drop(state);
        if let Some((error, _request)) = refused {
            if error == CommandError::InboxFull {
                self.0.counters.queue_refused.add(1);
            }
            return Err(error);
        }
        (self.0.bell)();
        Ok(completion)
    }

    /// Tells the owner to stop. Never refused; once is enough.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feed threads need it")
    )]
    pub(crate) fn stop(&self) {
        if rings_first() {
            (self.0.bell)();
        }
        // A full place means that it was told already.
        let _ = self.0.stop.push(());
        if !rings_first() {
            (self.0.bell)();
        }
    }

    /// How many commands wait.
    pub(crate) fn len(&self) -> usize {
        self.0.queue.len()
    }

    /// Whether no owner will ever take what is sent now.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.state().closed
    }
}

impl<C> Clone for Inbox<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for Inbox<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// The owner's end. Dropping it closes the inbox.
pub(crate) struct Commands<C>(Arc<Shared<C>>);

impl<C> Commands<C> {
    /// Says that the calling thread is the owner from now on, so that a blocking wait on it is
    /// refused instead of never ending.
    pub(crate) fn adopt(&mut self) {
        *lock(&self.0.owner) = Some(std::thread::current().id());
    }

    /// The next command, if one waits. Lock-free.
    pub(crate) fn pop(&mut self) -> Option<Request<C>> {
        self.0.queue.pop()
    }

    /// Whether a command waits.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feed threads need it")
    )]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.queue.is_empty()
    }

    /// How many commands wait.
    pub(crate) fn len(&self) -> usize {
        self.0.queue.len()
    }

    /// Whether the owner was told to stop. Stays so.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feed threads need it")
    )]
    pub(crate) fn is_stopping(&self) -> bool {
        !self.0.stop.is_empty()
    }

    /// Refuses new commands and ends those that wait with [`CommandError::OwnerGone`].
    pub(crate) fn close(&mut self) {
        self.0.state().closed = true;
        // Dropping a request answers it.
        while self.0.queue.pop().is_some() {}
        *lock(&self.0.owner) = None;
    }

    /// Takes commands again, after a restart.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feed threads restart")
    )]
    pub(crate) fn reopen(&mut self) {
        self.0.state().closed = false;
    }
}

impl<C> Drop for Commands<C> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<C> fmt::Debug for Commands<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands")
            .field("len", &self.0.queue.len())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, tickcache_loom))]
mod models;

#[cfg(all(test, not(tickcache_model)))]
mod tests;
