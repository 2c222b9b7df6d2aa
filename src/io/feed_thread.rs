//! One feed on one thread of its own: the only writer of what it owns.
//!
//! The thread waits in one place, a poller over its socket, its waker and its next deadline. A turn
//! is: one clock read, then what has arrived (a connection, commands, bytes, deadlines), then what
//! the [`Machine`] wants done, then one flush for whoever waits. Every part of a turn is bounded,
//! so none starves another. Nothing in it blocks: name look-up, connecting and handshakes run on
//! the slow plane, and what they made arrives through the [`Connector`].
//!
//! A panic (of a custom protocol, say) ends the turn, not the process: it is caught, reported, the
//! feed's values are stopped and its inbox is closed, and the restart policy decides what follows.

use super::clock::Clock;
use super::command::Command;
use super::connect::{ConnectOptions, Connected};
use super::connector::Connector;
use super::endpoint::{Endpoint, EndpointSource};
use super::inbox::{Commands, Inbox, Reply, Request, inbox};
use super::latch::WakeOn;
use super::runtime::Runtime;
use super::socket::{ReadOutcome, Socket};
use super::status::{Board, FeedEnd, FeedStatus};
use super::target::Target;
use crate::Time;
use crate::feed::{
    Action, Backoff, Ended, Machine, Protocol, Random, Settled, Subscription, Ticket,
};
use hashbrown::HashMap;
use mio::{Events, Poll, Token};
use std::any::Any;
use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

/// Reads of one turn. With the read buffer of 64 KiB a flooded feed looks at its inbox and timers
/// at least every 512 KiB.
const READS_PER_TURN: usize = 8;

/// Commands of one turn: few enough that a flood of them does not hold up the socket.
const COMMANDS_PER_TURN: usize = 64;

/// The socket and the waker.
const EVENTS: usize = 2;

/// How a feed's thread waits when nothing is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// In the kernel, until something happens. Costs nothing while idle, and a wake-up (5-50 us)
    /// for each burst of messages.
    #[default]
    Sleep,
    /// Not at all: it asks the kernel again and again. Saves the wake-up and occupies a core.
    Busy,
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
            waiting: Waiting::default(),
            pin: None,
            inbox: 1024,
            restart: Restart::default(),
        }
    }
}

/// What a feed is made of: the machine that decides, and where its messages land.
#[derive(Debug)]
pub(crate) struct Parts<P, T> {
    pub(crate) machine: Machine<P>,
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
    let ring = move || {
        // Fails only where the poller is gone, and the feed with it.
        let _ = bell.wake();
    };
    let counters = Arc::clone(first.machine.counters());
    let (inbox, commands) = inbox(options.inbox, counters, wake_on.clone(), ring);
    let board = Arc::new(Board::new(wake_on));
    let connector = Connector::new(runtime.clone(), Arc::new(options.connect.clone()), waker);
    let thread = {
        let board = Arc::clone(&board);
        std::thread::Builder::new()
            .name(format!("feed-{}", options.name))
            .spawn(move || {
                pin(&options);
                let mut post = Post {
                    poll,
                    events: Events::with_capacity(EVENTS),
                    runtime,
                    connector,
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
            Feed::new(post, made?)
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
    events: Events,
    runtime: Runtime,
    connector: Connector,
    commands: Commands<Command>,
    board: Arc<Board>,
    clock: Clock,
    replies: Replies,
    /// Subscriptions made at run time, for the next run after a panic.
    wanted: BTreeSet<Subscription>,
    options: ThreadOptions,
}

impl Post {
    /// After a panic: everyone who waits is told.
    fn give_up(&mut self) {
        self.commands.close();
        self.replies.clear();
        self.connector.cancel();
        self.board.update(|status| {
            status.state = crate::feed::State::Idle;
            status.silent = false;
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

/// Who waits for the answers of the machine.
#[derive(Debug, Default)]
struct Replies {
    waiting: HashMap<Ticket, Reply, foldhash::fast::RandomState>,
    next: u64,
}

impl Replies {
    fn next_ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }

    fn settle(&mut self, settled: Settled) -> Option<Settled> {
        match settled
            .ticket
            .and_then(|ticket| self.waiting.remove(&ticket))
        {
            Some(reply) => {
                reply.finish(settled.result.map_err(Into::into));
                None
            }
            None => Some(settled),
        }
    }

    fn clear(&mut self) {
        // Dropping a reply answers it.
        self.waiting.clear();
    }
}

/// One run of a feed.
struct Feed<'a, P, T> {
    post: &'a mut Post,
    machine: Machine<P>,
    target: T,
    socket: Option<Socket>,
    stopping: bool,
    finished: bool,
}

impl<'a, P: Protocol, T: Target> Feed<'a, P, T> {
    fn new(post: &'a mut Post, parts: Parts<P, T>) -> Self {
        let Parts { machine, target } = parts;
        Self {
            post,
            machine,
            target,
            socket: None,
            stopping: false,
            finished: false,
        }
    }

    fn run(mut self) -> io::Result<()> {
        self.post.commands.adopt();
        let mut now = self.post.clock.now();
        self.target.begin(now);
        if !self.post.wanted.is_empty() {
            let ticket = self.post.replies.next_ticket();
            let wanted = self.post.wanted.iter().cloned().collect();
            if let Err(error) = self.machine.subscribe(now, ticket, wanted) {
                let name = &self.post.options.name;
                tracing::warn!(feed = name, %error, "the subscriptions of before are given up");
            }
        }
        self.machine.start(now);
        loop {
            self.act(now);
            self.write(now);
            self.target.finish();
            if let Some(waste) = self.target.waste() {
                // Dropping what is large takes its time, which is not this thread's.
                self.post.runtime.spawn(async move { drop(waste) });
            }
            if self.finished {
                return Ok(());
            }
            let timeout = self.timeout(now);
            self.post.wait(timeout)?;
            now = self.post.clock.now();
            self.target.begin(now);
            self.notice();
            self.arrive(now);
            self.obey(now);
            self.read(now);
            if self.machine.poll_timeout().is_some_and(|due| due <= now) {
                self.machine.handle_timeout(now);
            }
        }
    }

    /// How long to wait. Measured from the turn's one clock read, so a deadline is late by the
    /// length of a turn at most.
    fn timeout(&self, now: Time) -> Option<Duration> {
        let busy = self.post.options.waiting == Waiting::Busy
            || self.socket.as_ref().is_some_and(Socket::may_read)
            || !self.post.commands.is_empty()
            || (self.post.commands.is_stopping() && !self.stopping);
        if busy {
            return Some(Duration::ZERO);
        }
        self.machine
            .poll_timeout()
            .filter(|due| *due < Time::NEVER)
            .map(|due| due.since(now))
    }

    /// Takes note of what the poller said.
    fn notice(&mut self) {
        for event in &self.post.events {
            if event.token() == SOCKET
                && let Some(socket) = &mut self.socket
            {
                // The end of the stream and errors are seen by reading.
                let readable = event.is_readable() || event.is_read_closed() || event.is_error();
                socket.ready(readable, event.is_writable());
            }
        }
    }

    /// Takes over a connection that was made, or learns that it was not.
    fn arrive(&mut self, now: Time) {
        match self.post.connector.poll() {
            None => {}
            Some(Ok(connected)) => match self.install(connected, now) {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(feed = self.post.options.name, %error, "cannot use the socket");
                    self.socket = None;
                    self.machine.handle_failed(now);
                }
            },
            Some(Err(error)) => {
                let (retryable, retry_after) = (error.is_retryable(), error.retry_after());
                tracing::warn!(feed = self.post.options.name, %error, retryable, "not connected");
                self.post
                    .board
                    .update(|status| status.last_error = Some(Arc::new(error)));
                match retry_after {
                    Some(retry_after) => self.machine.handle_refused(now, retry_after),
                    None => self.machine.handle_failed(now),
                }
            }
        }
        self.act(now);
    }

    fn install(&mut self, connected: Connected, now: Time) -> io::Result<()> {
        let Connected {
            stream,
            tls,
            leftover,
            protocol,
            texts,
            peer,
        } = connected;
        let mut socket = Socket::new(stream, tls);
        socket.register(self.post.poll.registry(), SOCKET)?;
        self.socket = Some(socket);
        self.post.board.update(|status| {
            status.peer = Some(peer);
            status.subprotocol = protocol;
            status.last_error = None;
        });
        self.machine.handle_connected(now, &leftover, &texts);
        Ok(())
    }

    /// Carries out commands.
    fn obey(&mut self, now: Time) {
        if self.post.commands.is_stopping() && !self.stopping {
            self.stopping = true;
            self.machine.stop(now);
            self.act(now);
        }
        self.machine
            .counters()
            .queue_depth
            .set(self.post.commands.len() as u64);
        for _ in 0..COMMANDS_PER_TURN {
            let Some(Request { command, reply }) = self.post.commands.pop() else {
                break;
            };
            match command {
                Command::Set {
                    entity,
                    id,
                    update,
                    mut value,
                } => {
                    reply.finish(self.target.set(&entity, &id, update, &mut value));
                }
                Command::Remove { entity, id, update } => {
                    reply.finish(self.target.unset(&entity, &id, update));
                }
                Command::Subscribe(wanted) => {
                    let ticket = self.post.replies.next_ticket();
                    match self.machine.subscribe(now, ticket, wanted.clone()) {
                        Ok(()) => {
                            self.post.wanted.extend(wanted);
                            self.post.replies.waiting.insert(ticket, reply);
                        }
                        Err(error) => reply.finish(Err(error.into())),
                    }
                }
                Command::Unsubscribe(unwanted) => {
                    let ticket = self.post.replies.next_ticket();
                    match self.machine.unsubscribe(now, ticket, &unwanted) {
                        Ok(()) => {
                            for subscription in &unwanted {
                                self.post.wanted.remove(subscription);
                            }
                            self.post.replies.waiting.insert(ticket, reply);
                        }
                        Err(error) => reply.finish(Err(error.into())),
                    }
                }
                Command::Gap => {
                    self.target.gap();
                    reply.finish(Ok(()));
                }
            }
        }
    }

    /// Reads what is there and hands it on.
    fn read(&mut self, now: Time) {
        for _ in 0..READS_PER_TURN {
            let Some(socket) = &mut self.socket else {
                return;
            };
            if !socket.may_read() && self.post.options.waiting == Waiting::Sleep {
                return;
            }
            let space = self.machine.space();
            let room = space.len();
            match socket.read(space) {
                Ok(ReadOutcome::Filled(filled)) => {
                    self.machine.handle_filled(now, filled, &mut self.target);
                    if filled < room {
                        // Most likely all there was: nobody should wait for the read that says so.
                        self.target.finish();
                    }
                }
                Ok(ReadOutcome::Blocked) => return,
                Ok(ReadOutcome::Closed { .. }) => self.machine.handle_closed(now, Ended::Eof),
                Err(error) => {
                    tracing::debug!(feed = self.post.options.name, %error, "the socket failed");
                    self.machine.handle_closed(now, Ended::Error);
                }
            }
            self.act(now);
        }
    }

    /// Writes what is to be written, as far as the socket takes it.
    fn write(&mut self, now: Time) {
        while let Some(socket) = &mut self.socket {
            let bytes = self.machine.transmit();
            let written = if bytes.is_empty() {
                socket.flush().map(|()| 0)
            } else {
                socket.write(bytes)
            };
            match written {
                Ok(0) => return,
                Ok(written) => self.machine.handle_transmitted(now, written),
                Err(error) => {
                    tracing::debug!(feed = self.post.options.name, %error, "the socket failed");
                    self.machine.handle_closed(now, Ended::Error);
                    self.act(now);
                }
            }
        }
    }

    /// Does what the machine wants done.
    fn act(&mut self, now: Time) {
        let mut acted = false;
        while let Some(action) = self.machine.poll_action() {
            acted = true;
            self.perform(action, now);
        }
        if acted {
            self.publish_status();
        }
    }

    #[cold]
    fn perform(&mut self, action: Action, now: Time) {
        let name = &self.post.options.name;
        match action {
            Action::Connect { attempt } => {
                let source = match &self.post.options.endpoint {
                    EndpointSource::Fixed(endpoint) if endpoint.url.is_empty() => {
                        let url = self.machine.address().unwrap_or_default();
                        EndpointSource::Fixed(Endpoint {
                            url,
                            ..endpoint.clone()
                        })
                    }
                    source => source.clone(),
                };
                self.post
                    .connector
                    .request(source, attempt.saturating_sub(1));
            }
            Action::Disconnect => {
                self.post.connector.cancel();
                if let Some(mut socket) = self.socket.take() {
                    // The last words, if they fit; nobody waits for them.
                    let _ = socket.write(self.machine.transmit());
                    socket.close();
                    let _ = socket.deregister(self.post.poll.registry());
                }
            }
            Action::Opened { generation } => {
                tracing::info!(feed = name, generation, "connected");
                self.post
                    .board
                    .update(|status| status.generation = generation);
                self.target.opened();
                // Bytes may have come with the handshake.
                self.machine.handle_filled(now, 0, &mut self.target);
            }
            Action::Lost(reason) => {
                tracing::warn!(feed = name, %reason, "connection lost");
                self.post
                    .board
                    .update(|status| status.last_loss = Some(reason));
                self.target.lost();
            }
            Action::Silent => {
                tracing::warn!(feed = name, "no data for longer than silent_after");
                self.target.silent(true);
            }
            Action::Audible => self.target.silent(false),
            Action::Settled(settled) => {
                if let Some(Settled {
                    result: Err(error), ..
                }) = self.post.replies.settle(settled)
                {
                    tracing::warn!(feed = name, %error, "a subscription failed");
                }
            }
            Action::Finished => self.finished = true,
        }
    }

    fn publish_status(&self) {
        let (state, silent) = (self.machine.state(), self.machine.is_silent());
        let attempts = self.post.connector.attempts();
        self.post.board.update(|status| {
            status.state = state;
            status.silent = silent;
            status.attempts = attempts;
        });
    }
}

#[cfg(test)]
mod tests;
