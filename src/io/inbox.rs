//! The owner's inbox: bounded, and the only way another thread changes what an owner owns.
//!
//! The owner takes commands without a lock (an [`ArrayQueue`]), so a stopped sender never holds it
//! up. Senders take one uncontended lock, which makes closing exact: a command is either taken by
//! the owner, drained when the inbox closes, or refused; none is left lying. Every command has a
//! [`Completion`] that ends in all three cases.

use super::latch::{Latch, Waiting, WakeOn};
use crate::feed::{Counters, Refusal, SubscribeError};
use crate::sync::{self, ArrayQueue};
use std::fmt;
use std::future::Future;
use std::ops::DerefMut;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::ThreadId;
use std::time::Duration;

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

/// Whether a model wants the senders' lock given up too early.
#[cfg(not(all(test, tickcache_loom)))]
#[inline]
const fn lets_go_early() -> bool {
    false
}
#[cfg(all(test, tickcache_loom))]
use models::{lets_go_early, rings_first};

/// Whether a model wants the bell rung before there is anything to hear.
#[cfg(not(all(test, tickcache_loom)))]
#[inline]
const fn rings_first() -> bool {
    false
}

/// The thread that takes the commands, while there is one.
type Owner = Arc<Mutex<Option<ThreadId>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The senders' end.
pub(crate) struct Inbox<C>(Arc<Shared<C>>);

impl<C> Inbox<C> {
    /// Enqueues `command` without waiting.
    ///
    /// # Errors
    /// [`CommandError::InboxFull`] and [`CommandError::OwnerGone`]; nothing is enqueued then.
    pub(crate) fn send(&self, command: C) -> Result<Completion, CommandError> {
        let latch = Latch::new();
        let completion = Completion {
            waiting: latch.wait_async(),
            latch,
            owner: Arc::clone(&self.0.owner),
        };
        let reply = Reply {
            latch: Some(completion.latch.clone()),
            wake_on: self.0.wake_on.clone(),
        };
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

#[cfg(all(test, tickcache_loom))]
mod models;

#[cfg(all(test, not(tickcache_loom)))]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn silent<C>(capacity: usize) -> (Inbox<C>, Commands<C>) {
        inbox(capacity, Arc::default(), WakeOn::here(), || {})
    }

    #[test]
    fn commands_are_taken_in_order_and_their_ends_are_seen_both_ways() {
        let (rang, bell) = std::sync::mpsc::channel();
        let (inbox, mut commands) = inbox(4, Arc::default(), WakeOn::here(), move || {
            rang.send(()).expect("heard");
        });
        let blocking = inbox.send("first").expect("room");
        let awaited = inbox.send("second").expect("room");
        assert_eq!((bell.try_iter().count(), inbox.len()), (2, 2));
        let owner = std::thread::spawn(move || {
            commands.adopt();
            let first = commands.pop().expect("the first");
            assert_eq!(first.command, "first");
            first.reply.finish(Ok(()));
            let second = commands.pop().expect("the second");
            assert_eq!(second.command, "second");
            second.reply.finish(Err(CommandError::Foreign));
        });
        assert_eq!(blocking.wait(LONG), Ok(()));
        assert_eq!(pollster::block_on(awaited), Err(CommandError::Foreign));
        owner.join().expect("the owner");
    }

    #[test]
    fn a_full_inbox_refuses_and_enqueues_nothing() {
        let (inbox, mut commands) = silent(1);
        let first = inbox.send(1).expect("room");
        assert_eq!(inbox.send(2).expect_err("no room"), CommandError::InboxFull);
        commands.pop().expect("one").reply.finish(Ok(()));
        assert!(commands.pop().is_none() && commands.is_empty());
        assert_eq!(first.result(), Some(Ok(())));
        assert!(CommandError::InboxFull.is_retryable());
    }

    #[test]
    fn whatever_an_owner_leaves_behind_ends_with_owner_gone() {
        let (inbox, mut commands) = silent(4);
        let waiting = inbox.send(1).expect("room");
        let taken = inbox.send(2).expect("room");
        let kept = inbox.send(3).expect("room");
        let first = commands.pop().expect("the first");
        first.reply.finish(Ok(()));
        let held = commands.pop().expect("the second");
        drop(commands);
        assert_eq!(kept.wait(LONG), Err(CommandError::OwnerGone));
        assert_eq!(waiting.wait(LONG), Ok(()));
        assert_eq!(taken.result(), None, "still in the owner's hands");
        drop(held);
        assert_eq!(taken.wait(LONG), Err(CommandError::OwnerGone));
        assert!(inbox.is_closed());
        assert_eq!(inbox.send(4).expect_err("closed"), CommandError::OwnerGone);
    }

    #[test]
    fn no_command_is_lost_between_senders_and_a_closing_owner() {
        for _ in 0..50 {
            let (inbox, mut commands) = silent(1024);
            let senders: Vec<_> = (0..3)
                .map(|_| {
                    let inbox = inbox.clone();
                    std::thread::spawn(move || {
                        (0..20)
                            .map_while(|n| inbox.send(n).ok())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            for _ in 0..7 {
                if let Some(request) = commands.pop() {
                    request.reply.finish(Ok(()));
                }
            }
            drop(commands);
            for completion in senders
                .into_iter()
                .flat_map(|s| s.join().expect("a sender"))
            {
                let end = completion.result();
                assert!(
                    matches!(end, Some(Ok(()) | Err(CommandError::OwnerGone))),
                    "{end:?}"
                );
            }
        }
    }

    #[test]
    fn a_blocking_wait_on_the_owners_thread_is_refused() {
        let (inbox, mut commands) = silent(2);
        commands.adopt();
        let completion = inbox.send(()).expect("room");
        assert_eq!(completion.wait(LONG), Err(CommandError::WouldDeadlock));
        commands.pop().expect("one").reply.finish(Ok(()));
        assert_eq!(
            completion.wait(LONG),
            Ok(()),
            "nothing to wait for any more"
        );
        let elsewhere = inbox.send(()).expect("room");
        let waiter = std::thread::spawn(move || elsewhere.wait(Duration::ZERO));
        assert_eq!(
            waiter.join().expect("the waiter"),
            Err(CommandError::TimedOut)
        );
    }

    #[test]
    fn an_inbox_opens_again_after_a_restart() {
        let (inbox, mut commands) = silent(2);
        commands.close();
        assert!(inbox.send(1).is_err());
        commands.reopen();
        let completion = inbox.send(2).expect("open again");
        commands.pop().expect("one").reply.finish(Ok(()));
        assert_eq!(completion.result(), Some(Ok(())));
    }
}
