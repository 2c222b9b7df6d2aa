//! One feed on one thread of its own: the only writer of what it owns.
//!
//! The thread waits in one place, by its mode ([`Waiting`]): a poller over its sockets, its waker and its
//! next deadline, or a loop that asks the sockets themselves (`feed_thread/pause.rs`). A turn
//! is: one clock read, then what has arrived (a connection, commands, bytes, deadlines), then what
//! the [`Group`] of its connections wants done, then one flush for whoever waits. Every part of a turn is bounded,
//! so none starves another. Nothing in it blocks: name look-up, connecting and handshakes run on
//! the slow plane, and what they made arrives through the [`Connector`].
//!
//! A panic (of a custom protocol, say) ends the turn, not the process: it is caught, reported, the
//! feed's values are stopped and its inbox is closed, and the restart policy decides what follows.

mod bulk;
#[cfg(feature = "testing")]
pub(crate) mod by_hand;
mod pause;
mod turn;

use super::bulk::Offload;
use super::clock::Clock;
use super::command::Command;
use super::connect::{ConnectError, ConnectOptions};
use super::connector::Connector;
use super::endpoint::{Endpoint, EndpointSource};
use super::inbox::{Commands, Inbox, Reply, inbox};
use super::latch::WakeOn;
use super::runtime::Runtime;
use super::status::{Board, FeedEnd, FeedStatus};
use super::target::Target;
use crate::Time;
use crate::feed::{Backoff, Group, Leg, Lost, Protocol, Random, Settled, Subscription, Ticket};
use hashbrown::HashMap;
use mio::{Events, Poll, Token};
use std::any::Any;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

/// The sockets come before it.
const WAKER: Token = Token(Leg::COUNT);

/// The sockets and the waker.
const EVENTS: usize = Leg::COUNT + 1;

const fn token_of(leg: Leg) -> Token {
    Token(leg.index())
}

fn leg_of(token: Token) -> Option<Leg> {
    Leg::ALL.get(token.0).copied()
}

/// How a feed's thread waits when nothing is there.
///
/// Whatever the mode, commands, timers and the end of the feed are looked at in every turn, and a
/// thread without a connection sleeps until there is one.
///
/// | mode | from the kernel to the slot | costs |
/// |---|---|---|
/// | [`Block`](Self::Block) | a wake-up, 5-50 us, for each burst of messages | nothing while idle |
/// | [`SpinThenPark`](Self::SpinThenPark) | none within `spin` of the last message, else as `Block` | up to `spin` of a core for each burst |
/// | [`BusyPoll`](Self::BusyPoll) | none | a core |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// Asleep in the kernel, until something happens. The default: a feed must not occupy a core
    /// unasked.
    #[default]
    Block,
    /// Asks the sockets again and again for so long after the last message, then as
    /// [`Block`](Self::Block). Messages that follow each other faster than `spin` come without
    /// a wake-up; of slower ones every single one burns `spin` and has its wake-up nevertheless.
    SpinThenPark {
        /// How long to go on asking; to within some 10 us. Zero never asks, and
        /// [`Duration::MAX`] is [`BusyPoll`](Self::BusyPoll).
        spin: Duration,
    },
    /// Asks the sockets again and again. Give the thread a core of its own
    /// ([`Feed::pin`](crate::Feed::pin)): where it has to share one, whoever shares it waits for the
    /// scheduler, and so does the feed.
    BusyPoll,
}

impl Waiting {
    /// Spins for 50 us, about what a wake-up costs: it at most doubles the price of a burst.
    pub const SPIN_THEN_PARK: Self = Self::SpinThenPark {
        spin: Duration::from_micros(50),
    };

    /// How long it asks before it sleeps.
    const fn spin(self) -> Duration {
        match self {
            Self::Block => Duration::ZERO,
            Self::SpinThenPark { spin } => spin,
            Self::BusyPoll => Duration::MAX,
        }
    }
}

/// What follows when a feed's thread panics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// The feed ends, and says why.
    #[default]
    Never,
    /// It begins anew, with nothing of what it held, after a delay that grows with each panic in
    /// a row. Subscriptions made at run time are asked for again.
    Always(Backoff),
}

/// How a feed's thread is set up.
#[derive(Clone, Debug)]
pub(crate) struct ThreadOptions {
    /// The feed's name; the thread is `feed-<name>`.
    pub(crate) name: String,
    /// How to connect.
    pub(crate) connect: ConnectOptions,
    /// Where to connect; where the protocol says, with the headers and texts of
    /// [`Endpoint`], if its URL is empty.
    pub(crate) endpoint: EndpointSource,
    /// Where a second connection goes to, if not to the same place.
    pub(crate) second: Option<EndpointSource>,
    /// How to wait.
    pub(crate) waiting: Waiting,
    /// The core to stay on (Linux; elsewhere it is ignored).
    pub(crate) pin: Option<usize>,
    /// How many commands may wait.
    pub(crate) inbox: usize,
    /// What a panic does.
    pub(crate) restart: Restart,
}

impl Default for ThreadOptions {
    fn default() -> Self {
        Self {
            name: "feed".into(),
            connect: ConnectOptions::default(),
            endpoint: EndpointSource::Fixed(Endpoint::default()),
            second: None,
            waiting: Waiting::default(),
            pin: None,
            inbox: 1024,
            restart: Restart::default(),
        }
    }
}

/// What a feed is made of: what decides over its connections, and where its messages land.
#[derive(Debug)]
pub(crate) struct Parts<P, T> {
    pub(crate) group: Group<P>,
    pub(crate) target: T,
}

/// A running feed, seen from outside.
#[derive(Debug)]
pub(crate) struct FeedHandle {
    inbox: Inbox<Command>,
    board: Arc<Board>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl FeedHandle {
    /// The way in for commands.
    pub(crate) fn inbox(&self) -> &Inbox<Command> {
        &self.inbox
    }

    /// Where the feed stands.
    pub(crate) fn status(&self) -> FeedStatus {
        self.board.status()
    }

    /// Status and end.
    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Tells the feed to say goodbye and end. It never connects again.
    pub(crate) fn stop(&self) {
        self.inbox.stop();
    }

    /// Blocks until the thread has ended and joins it, or gives up after `timeout` and answers
    /// `false`. On the feed's own thread it answers `false` at once.
    pub(crate) fn join(&self, timeout: Duration) -> bool {
        let own = |thread: &JoinHandle<()>| thread.thread().id() == std::thread::current().id();
        if self.lock_thread().as_ref().is_some_and(own) {
            return false;
        }
        if self.board.end().wait(Some(timeout)).is_none() {
            return false;
        }
        if let Some(thread) = self.lock_thread().take() {
            // The end was its last word: this waits for moments. Panics were caught inside.
            let _ = thread.join();
        }
        true
    }

    fn lock_thread(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a feed. `rebuild` makes new parts after a panic, when the old ones are gone.
///
/// # Errors
/// If the system gives no poller or thread.
pub(crate) fn spawn<P, T, B>(
    options: ThreadOptions,
    runtime: Runtime,
    clock: Clock,
    first: Parts<P, T>,
    mut rebuild: B,
) -> io::Result<FeedHandle>
where
    P: Protocol,
    T: Target + Send + 'static,
    B: FnMut() -> Result<Parts<P, T>, String> + Send + 'static,
{
    let poll = Poll::new()?;
    let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
    let wake_on = {
        // A user's waker is run on the slow plane, never here.
        let runtime = runtime.clone();
        WakeOn::elsewhere(move |wakers| {
            let wakers = Errand(wakers);
            runtime.spawn(async move { drop(wakers) });
        })
    };
    let bell = Arc::clone(&waker);
    let landing = Arc::clone(&waker);
    let ring = move || {
        // Fails only where the poller is gone, and the feed with it.
        let _ = bell.wake();
    };
    let counters = Arc::clone(first.group.counters());
    let (inbox, commands) = inbox(options.inbox, counters, wake_on.clone(), ring);
    let first_data_within = first.group.config().settings().first_data_within;
    let board = Arc::new(Board::new(wake_on, first_data_within));
    let connect = Arc::new(options.connect.clone());
    let connectors =
        Leg::ALL.map(|_| Connector::new(runtime.clone(), Arc::clone(&connect), Arc::clone(&waker)));
    let thread = {
        let board = Arc::clone(&board);
        std::thread::Builder::new()
            .name(format!("feed-{}", options.name))
            .spawn(move || {
                pin(&options);
                let mut post = Post {
                    poll,
                    offload: bulk::offload(&runtime, landing),
                    events: Events::with_capacity(EVENTS),
                    runtime,
                    connectors,
                    legs: Default::default(),
                    commands,
                    board,
                    clock,
                    replies: Replies::default(),
                    wanted: BTreeSet::new(),
                    options,
                };
                let end = supervise(&mut post, first, &mut rebuild);
                let board = Arc::clone(&post.board);
                // Everything the feed holds is gone before it is said to have ended.
                drop((post, rebuild));
                board.ended(end);
            })?
    };
    Ok(FeedHandle {
        inbox,
        board,
        thread: Mutex::new(Some(thread)),
    })
}

/// Wakers to be run: even where the runtime that should run them has ended, nobody sleeps on.
struct Errand(Vec<Waker>);

impl Drop for Errand {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

#[cfg(target_os = "linux")]
fn pin(options: &ThreadOptions) {
    if let Some(core) = options.pin
        && !core_affinity::set_for_current(core_affinity::CoreId { id: core })
    {
        tracing::warn!(
            feed = options.name,
            core,
            "the feed's thread could not be pinned"
        );
    }
}

#[cfg(not(target_os = "linux"))]
fn pin(options: &ThreadOptions) {
    if let Some(core) = options.pin {
        tracing::warn!(
            feed = options.name,
            core,
            "threads are pinned on Linux only"
        );
    }
}

/// Runs the feed until it stops, through as many panics as the policy allows.
fn supervise<P, T, B>(post: &mut Post, first: Parts<P, T>, rebuild: &mut B) -> FeedEnd
where
    P: Protocol,
    T: Target,
    B: FnMut() -> Result<Parts<P, T>, String>,
{
    let mut parts = Some(first);
    let mut panics_in_a_row = 0;
    loop {
        let began = post.clock.now();
        // The parts are moved in and dropped inside, so nothing broken is seen afterwards; of the
        // post only the replies are half-way through anything, and they are given up below.
        let run = catch_unwind(AssertUnwindSafe(|| {
            let made = match parts.take() {
                Some(parts) => Ok(parts),
                None => rebuild(),
            };
            turn::Feed::new(post, made?)
                .run()
                .map_err(|error| format!("the poller failed: {error}"))
        }));
        match run {
            Ok(Ok(())) => return FeedEnd::Stopped,
            Ok(Err(reason)) => {
                tracing::error!(feed = post.options.name, reason, "the feed cannot go on");
                return FeedEnd::Failed(reason);
            }
            Err(panic) => {
                let message = text_of(&*panic);
                let name = &post.options.name;
                tracing::error!(feed = name, panic = message, "the feed's thread panicked");
                post.give_up();
                let Restart::Always(backoff) = post.options.restart else {
                    return FeedEnd::Panicked(message);
                };
                let now = post.clock.now();
                if now.since(began) > backoff.max {
                    panics_in_a_row = 0;
                }
                panics_in_a_row += 1;
                let random = Random::seeded(now.as_nanos()).next_u64();
                match post.rest(now.after(backoff.delay(panics_in_a_row, random))) {
                    Ok(true) => {}
                    Ok(false) => return FeedEnd::Stopped,
                    Err(error) => return FeedEnd::Failed(format!("the poller failed: {error}")),
                }
                post.board.update(|status| status.restarts += 1);
                post.commands.reopen();
            }
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".into())
}

/// What outlives a panic: everything that is not of one run.
struct Post {
    poll: Poll,
    offload: Offload,
    events: Events,
    runtime: Runtime,
    connectors: [Connector; Leg::COUNT],
    /// What is known of the connections beside what the group knows.
    legs: [Seen; Leg::COUNT],
    commands: Commands<Command>,
    board: Arc<Board>,
    clock: Clock,
    replies: Replies,
    /// Subscriptions made at run time, for the next run after a panic.
    wanted: BTreeSet<Subscription>,
    options: ThreadOptions,
}

/// What the thread has seen of one connection.
#[derive(Debug, Default)]
struct Seen {
    peer: Option<SocketAddr>,
    last_error: Option<Arc<ConnectError>>,
    last_loss: Option<Lost>,
}

impl Post {
    /// After a panic: everyone who waits is told.
    fn give_up(&mut self) {
        self.commands.close();
        self.replies.clear();
        self.connectors.iter_mut().for_each(Connector::cancel);
        self.legs = Default::default();
        self.board.lost();
        self.board.update(|status| {
            status.state = crate::feed::State::Idle;
            status.silent = false;
            status.legs.clear();
        });
    }

    /// Waits until `until`; `false` if the feed was told to stop meanwhile.
    fn rest(&mut self, until: Time) -> io::Result<bool> {
        loop {
            if self.commands.is_stopping() {
                return Ok(false);
            }
            let left = until.since(self.clock.now());
            if left.is_zero() {
                return Ok(true);
            }
            self.wait(Some(left))?;
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            // A signal; the next turn comes back here.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            waited => waited,
        }
    }
}

/// Who waits for an answer, and what nothing keeps up once it has come.
#[derive(Debug)]
struct Asked {
    reply: Reply,
    ended: Vec<Subscription>,
}

/// Who waits for the answers of the machine.
#[derive(Debug, Default)]
struct Replies {
    waiting: HashMap<Ticket, Asked, foldhash::fast::RandomState>,
    next: u64,
}

impl Replies {
    fn next_ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }

    fn ask(&mut self, ticket: Ticket, reply: Reply, ended: Vec<Subscription>) {
        self.waiting.insert(ticket, Asked { reply, ended });
    }

    /// Who asked for this; `None` if the feed itself did.
    fn take(&mut self, settled: &Settled) -> Option<Asked> {
        self.waiting.remove(&settled.ticket?)
    }

    fn clear(&mut self) {
        // Dropping a reply answers it.
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests;
