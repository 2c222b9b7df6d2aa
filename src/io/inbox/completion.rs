//! A command on its way: what its sender waits on, and what its owner answers.

use super::super::latch::{Latch, Waiting, WakeOn};
use super::CommandError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::ThreadId;
use std::time::Duration;

/// A command and the promise to answer it.
pub(crate) struct Request<C> {
    pub(crate) command: C,
    pub(crate) reply: Reply,
}

/// Answers one command. Dropped without an answer, it says [`CommandError::OwnerGone`].
pub(crate) struct Reply {
    latch: Option<Latch<Result<(), CommandError>>>,
    wake_on: WakeOn,
}

impl Reply {
    /// Ends the command.
    pub(crate) fn finish(mut self, result: Result<(), CommandError>) {
        if let Some(latch) = self.latch.take() {
            latch.set(result, &self.wake_on);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(latch) = self.latch.take() {
            latch.set(Err(CommandError::OwnerGone), &self.wake_on);
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

/// The end of one command: to be awaited, waited for, or dropped. The command is carried out in
/// every case.
#[must_use = "the command is carried out either way; drop this to not learn how it went"]
pub struct Completion {
    latch: Latch<Result<(), CommandError>>,
    waiting: Waiting<Result<(), CommandError>>,
    owner: Owner,
}

impl Completion {
    /// Of a command that was carried out already.
    pub(crate) fn done(result: Result<(), CommandError>) -> Self {
        let latch = Latch::new();
        latch.set(result, &WakeOn::here());
        Self {
            waiting: latch.wait_async(),
            latch,
            owner: Owner::default(),
        }
    }

    /// Another end of the same command.
    pub(crate) fn twin(&self) -> Self {
        Self {
            latch: self.latch.clone(),
            waiting: self.latch.wait_async(),
            owner: Arc::clone(&self.owner),
        }
    }

    /// Blocks the calling thread until the owner has carried the command out.
    ///
    /// # Errors
    /// [`CommandError::TimedOut`] after `timeout`, [`CommandError::WouldDeadlock`] on the owner's
    /// own thread, else what became of the command.
    pub fn wait(&self, timeout: Duration) -> Result<(), CommandError> {
        if let Some(result) = self.latch.get() {
            return result;
        }
        if *lock(&self.owner) == Some(std::thread::current().id()) {
            return Err(CommandError::WouldDeadlock);
        }
        self.latch
            .wait(Some(timeout))
            .unwrap_or(Err(CommandError::TimedOut))
    }

    /// What became of the command, if it has ended.
    #[must_use]
    pub fn result(&self) -> Option<Result<(), CommandError>> {
        self.latch.get()
    }
}

/// Awaits the command. Cancel safe.
impl Future for Completion {
    type Output = Result<(), CommandError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.waiting).poll(cx)
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("result", &self.latch.get())
            .finish()
    }
}

/// The thread that takes the commands, while there is one.
pub(super) type Owner = Arc<Mutex<Option<ThreadId>>>;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Both ends of a command that is about to be sent.
pub(super) fn promise(owner: &Owner, wake_on: &WakeOn) -> (Completion, Reply) {
    let latch = Latch::new();
    let completion = Completion {
        waiting: latch.wait_async(),
        latch,
        owner: Arc::clone(owner),
    };
    let reply = Reply {
        latch: Some(completion.latch.clone()),
        wake_on: wake_on.clone(),
    };
    (completion, reply)
}
