//! The turns of a feed's thread: what arrived, what it means, what follows from it.

use super::super::command::Command;
use super::super::connect::Connected;
use super::super::endpoint::{Endpoint, EndpointSource};
use super::super::inbox::Request;
use super::super::socket::{ReadOutcome, Socket};
use super::super::target::Target;
use super::bulk::{PARKED, options};
use super::{Parts, Post, SOCKET, Waiting};
use crate::Time;
use crate::feed::{Action, Ended, Machine, Protocol};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Commands of one turn: few enough that a flood of them does not hold up the socket.
const COMMANDS_PER_TURN: usize = 64;

/// Reads of one turn. With the read buffer of 64 KiB a flooded feed looks at its inbox and timers
/// at least every 512 KiB.
const READS_PER_TURN: usize = 8;

/// One run of a feed.
pub(super) struct Feed<'a, P, T> {
    post: &'a mut Post,
    machine: Machine<P>,
    target: T,
    /// Commands about values, which come after the long messages that are on their way.
    parked: VecDeque<Request<Command>>,
    socket: Option<Socket>,
    stopping: bool,
    finished: bool,
}

impl<'a, P: Protocol, T: Target> Feed<'a, P, T> {
    pub(super) fn new(post: &'a mut Post, parts: Parts<P, T>) -> Self {
        let Parts {
            machine,
            mut target,
        } = parts;
        target.take_apart_elsewhere(options(&post.offload, machine.config().settings()));
        Self {
            post,
            machine,
            target,
            parked: VecDeque::new(),
            socket: None,
            stopping: false,
            finished: false,
        }
    }

    pub(super) fn run(mut self) -> io::Result<()> {
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
            self.land(now);
            self.read(now);
            if self.machine.poll_timeout().is_some_and(|due| due <= now) {
                self.machine.handle_timeout(now);
            }
        }
    }

    /// How long to wait. Measured from the turn's one clock read, so a deadline is late by the
    /// length of a turn at most.
    fn timeout(&mut self, now: Time) -> Option<Duration> {
        let may_read = self.socket.as_ref().is_some_and(Socket::may_read);
        let busy = self.post.options.waiting == Waiting::Busy
            || (may_read && !self.must_wait())
            || self.target.has_landing()
            || (!self.post.commands.is_empty() && self.parked.len() < PARKED)
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
            if self.parked.len() >= PARKED {
                break;
            }
            let Some(Request { command, reply }) = self.post.commands.pop() else {
                break;
            };
            match command {
                Command::Subscribe(wanted) => {
                    let ticket = self.post.replies.next_ticket();
                    match self.machine.subscribe(now, ticket, wanted.clone()) {
                        Ok(()) => {
                            self.post.wanted.extend(wanted);
                            self.post.replies.ask(ticket, reply, Vec::new());
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
                            self.post.replies.ask(ticket, reply, unwanted);
                        }
                        Err(error) => reply.finish(Err(error.into())),
                    }
                }
                command if self.target.awaits_long() || !self.parked.is_empty() => {
                    self.parked.push_back(Request { command, reply });
                }
                command => reply.finish(self.target.obey(command)),
            }
        }
    }

    /// Goes on with long messages, and with the commands that come after them.
    fn land(&mut self, now: Time) {
        self.machine.handle_deferred(now, &mut self.target);
        if !self.target.awaits_long() {
            for Request { command, reply } in self.parked.drain(..) {
                reply.finish(self.target.obey(command));
            }
        }
        self.act(now);
    }

    /// Whether nothing may be read. One more long message would hold the parked commands up again.
    fn must_wait(&mut self) -> bool {
        (!self.parked.is_empty() && self.machine.long_messages() > 1)
            || !self.machine.is_hungry(&self.target)
    }

    /// Reads what is there and hands it on.
    fn read(&mut self, now: Time) {
        for _ in 0..READS_PER_TURN {
            if self.must_wait() {
                return;
            }
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
            Action::Closing => tracing::info!(feed = name, "the server is about to close"),
            Action::Refused(reason) => {
                tracing::error!(feed = name, %reason, "the server refuses the connection");
                self.post
                    .board
                    .update(|status| status.refusal = Some(reason));
            }
            Action::Settled(settled) => {
                match (self.post.replies.take(&settled), settled.result) {
                    (Some(asked), result) => {
                        // After the server's answer: what was under way has come.
                        for subscription in asked.ended.iter().filter(|_| result.is_ok()) {
                            if let Some((entity, id)) =
                                self.machine.protocol().value_of(subscription)
                            {
                                self.target.unsubscribed(&entity, &id);
                            }
                        }
                        asked.reply.finish(result.map_err(Into::into));
                    }
                    (None, Err(error)) => {
                        tracing::warn!(feed = name, %error, "a subscription failed");
                    }
                    (None, Ok(())) => {}
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
