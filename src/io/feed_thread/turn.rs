//! The turns of a feed's thread: what arrived, what it means, what follows from it.

use super::super::command::Command;
use super::super::connect::Connected;
use super::super::endpoint::{Endpoint, EndpointSource};
use super::super::inbox::Request;
use super::super::socket::Socket;
use super::super::target::Target;
use super::bulk::{PARKED, options};
use super::pause::Taken;
use super::{Parts, Post, leg_of, token_of};
use crate::Time;
use crate::feed::{
    Ended, Group, GroupAction, Leg, Lost, Protocol, Report, Sampler, Settled, SubscribeError,
    Subscription,
};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

mod reading;
mod report;
mod subscriptions;

/// Commands of one turn: few enough that a flood of them does not hold up the socket.
const COMMANDS_PER_TURN: usize = 64;

/// One run of a feed.
pub(super) struct Feed<'a, P, T> {
    pub(super) post: &'a mut Post,
    pub(super) group: Group<P>,
    pub(super) target: T,
    /// Commands about values, which come after the long messages that are on their way.
    parked: VecDeque<Request<Command>>,
    pub(super) sockets: [Option<Socket>; Leg::COUNT],
    /// Whose turn it is to be read first.
    first: usize,
    /// The target has more to do than it did in the last turn.
    behind: bool,
    /// When a subscription that was granted should have brought data.
    first_data_due: Time,
    stopping: bool,
    finished: bool,
    /// How long what was received before the end may take to be shown.
    close_timeout: Duration,
    /// When it has taken too long.
    ends_at: Time,
    /// When something last came, for who sleeps only after a while.
    pub(super) heard_at: Time,
    sampler: Sampler,
}

impl<'a, P: Protocol, T: Target> Feed<'a, P, T> {
    pub(super) fn new(post: &'a mut Post, parts: Parts<P, T>) -> Self {
        let Parts { group, mut target } = parts;
        let close_timeout = group.config().settings().close_timeout;
        group.counters().measure();
        target.measure(post.clock.clone());
        target.take_apart_elsewhere(options(&post.offload, group.config().settings()));
        // Of a run before this one.
        post.board.subscriptions(Report::clear);
        Self {
            post,
            group,
            target,
            parked: VecDeque::new(),
            sockets: [const { None }; Leg::COUNT],
            first: 0,
            behind: false,
            first_data_due: Time::NEVER,
            stopping: false,
            finished: false,
            close_timeout,
            ends_at: Time::NEVER,
            heard_at: Time::ZERO,
            sampler: Sampler::default(),
        }
    }

    pub(super) fn run(mut self) -> io::Result<()> {
        let mut now = self.begin();
        while !self.conclude(now) {
            let taken = self.pause(now)?;
            now = self.turn(taken);
        }
        Ok(())
    }

    /// Begins to connect, and to ask for what a run before this one was asked for.
    pub(super) fn begin(&mut self) -> Time {
        self.post.commands.adopt();
        let now = self.post.clock.now();
        self.target.begin(now);
        if !self.post.wanted.is_empty() {
            let ticket = self.post.replies.next_ticket();
            let wanted = self.post.wanted.iter().cloned().collect();
            if let Err(error) = self.group.subscribe(now, ticket, wanted) {
                let name = &self.post.options.name;
                tracing::warn!(feed = name, %error, "the subscriptions of before are given up");
            }
        }
        self.group.start(now);
        now
    }

    /// Does what follows from a turn, and tells who waits; whether the feed has ended.
    pub(super) fn conclude(&mut self, now: Time) -> bool {
        self.act(now);
        self.write(now);
        self.target.finish();
        if let Some(waste) = self.target.waste() {
            // Dropping what is large takes its time, which is not this thread's.
            self.post.runtime.spawn(async move { drop(waste) });
        }
        if !self.finished {
            return false;
        }
        self.ends_at = self.ends_at.min(now.after(self.close_timeout));
        // Long messages that were received whole are shown, if they are soon through.
        self.target.long_messages() == 0 || now >= self.ends_at
    }

    /// Learns what has arrived while the thread waited; when that was.
    pub(super) fn turn(&mut self, taken: Option<Taken>) -> Time {
        let now = self.post.clock.now();
        match &taken {
            // Its batch began before it was read.
            Some(_) => self.target.received(now),
            None => self.target.begin(now),
        }
        let more = taken.is_none_or(|taken| self.take(taken, now));
        self.behind = self.target.catch_up();
        self.notice();
        self.arrive(now);
        self.obey(now);
        self.land(now);
        if more {
            self.read(now);
        }
        if self.group.poll_timeout().is_some_and(|due| due <= now) {
            self.group.handle_timeout(now);
        }
        self.target.handle_timeout();
        self.look_at_subscriptions(now);
        now
    }

    /// Whether there is something to do beside reading.
    pub(super) fn has_work(&self) -> bool {
        self.behind
            || self.target.has_landing()
            || (!self.post.commands.is_empty() && self.parked.len() < PARKED)
            || (self.post.commands.is_stopping() && !self.stopping)
    }

    /// When the next deadline is, if there is one.
    pub(super) fn due(&self) -> Option<Time> {
        let due = [
            self.group.poll_timeout(),
            self.target.poll_timeout(),
            Some(self.first_data_due),
            Some(self.ends_at),
        ];
        let due = due.into_iter().flatten().min();
        due.filter(|due| *due < Time::NEVER)
    }

    /// Takes note of what the poller said.
    fn notice(&mut self) {
        for event in &self.post.events {
            if let Some(leg) = leg_of(event.token())
                && let Some(socket) = &mut self.sockets[leg.index()]
            {
                socket.notice(event);
            }
        }
    }

    /// Takes over connections that were made, or learns that they were not.
    fn arrive(&mut self, now: Time) {
        for leg in Leg::ALL {
            let Some(outcome) = self.post.connectors[leg.index()].poll() else {
                continue;
            };
            match outcome {
                Ok(connected) => {
                    if let Err(error) = self.install(leg, connected, now) {
                        tracing::warn!(feed = self.post.options.name, %error, "cannot use the socket");
                        self.sockets[leg.index()] = None;
                        self.group.handle_failed(leg, now);
                    }
                }
                Err(error) => {
                    let (retryable, retry_after) = (error.is_retryable(), error.retry_after());
                    tracing::warn!(feed = self.post.options.name, %error, retryable, "not connected");
                    self.report_error(leg, Arc::new(error));
                    match retry_after {
                        Some(after) => self.group.handle_refused(leg, now, after),
                        None => self.group.handle_failed(leg, now),
                    }
                }
            }
        }
        self.act(now);
    }

    fn install(&mut self, leg: Leg, connected: Connected, now: Time) -> io::Result<()> {
        let Connected {
            stream,
            tls,
            leftover,
            protocol,
            texts,
            peer,
        } = connected;
        let mut socket = Socket::new(stream, tls);
        socket.register(self.post.poll.registry(), token_of(leg))?;
        self.sockets[leg.index()] = Some(socket);
        self.report_peer(leg, peer, protocol);
        self.group.handle_connected(leg, now, &leftover, &texts);
        Ok(())
    }

    /// Carries out commands.
    fn obey(&mut self, now: Time) {
        if self.post.commands.is_stopping() && !self.stopping {
            self.stopping = true;
            self.group.stop(now);
            self.act(now);
        }
        self.group
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
                    match self.group.subscribe(now, ticket, wanted.clone()) {
                        Ok(()) => {
                            for subscription in &wanted {
                                let value = self.group.protocol().value_of(subscription);
                                if let Some((entity, id)) = value {
                                    self.target.subscribed(&entity, &id);
                                }
                            }
                            self.post.wanted.extend(wanted);
                            self.post.replies.ask(ticket, reply, Vec::new());
                        }
                        Err(error) => reply.finish(Err(error.into())),
                    }
                }
                Command::Unsubscribe(unwanted) => {
                    let ticket = self.post.replies.next_ticket();
                    match self.group.unsubscribe(now, ticket, &unwanted) {
                        Ok(()) => {
                            for subscription in &unwanted {
                                self.post.wanted.remove(subscription);
                            }
                            self.post.replies.ask(ticket, reply, unwanted);
                        }
                        Err(error) => reply.finish(Err(error.into())),
                    }
                }
                command if self.target.long_messages() > 0 || !self.parked.is_empty() => {
                    self.parked.push_back(Request { command, reply });
                }
                command => reply.finish(self.target.obey(command)),
            }
        }
    }

    /// Goes on with long messages, and with the commands that come after them.
    fn land(&mut self, now: Time) {
        if self.target.long_messages() == 0 {
            return;
        }
        self.target.land_some();
        for leg in Leg::ALL {
            self.target.speaks(leg);
            self.group.handle_deferred(leg, now, &mut self.target);
        }
        self.target.disown();
        if self.target.long_messages() == 0 {
            for Request { command, reply } in self.parked.drain(..) {
                reply.finish(self.target.obey(command));
            }
        }
        self.act(now);
    }

    /// Writes what is to be written, as far as the sockets take it.
    fn write(&mut self, now: Time) {
        for leg in Leg::ALL {
            while let Some(socket) = &mut self.sockets[leg.index()] {
                let bytes = self.group.transmit(leg);
                let written = if bytes.is_empty() {
                    socket.flush().map(|()| 0)
                } else {
                    socket.write(bytes)
                };
                match written {
                    Ok(0) => break,
                    Ok(written) => self.group.handle_transmitted(leg, now, written),
                    Err(error) => {
                        tracing::debug!(feed = self.post.options.name, %error, "the socket failed");
                        self.group.handle_closed(leg, now, Ended::Error);
                        self.act(now);
                    }
                }
            }
        }
    }

    /// Does what the group wants done.
    fn act(&mut self, now: Time) {
        let mut acted = false;
        loop {
            while let Some(action) = self.group.poll_action() {
                acted = true;
                self.perform(action, now);
            }
            let Some(leg) = self.target.torn() else {
                break;
            };
            if !self.group.handle_torn(leg, now) {
                self.target.gap();
            }
        }
        self.note_standings(now);
        while let Some(denied) = self.group.poll_denied() {
            if let Some((entity, id)) = self.group.protocol().value_of(&denied) {
                self.target.unsubscribed(&entity, &id);
            }
        }
        if self.group.take_news() | acted {
            self.publish_status();
        }
    }

    #[cold]
    fn perform(&mut self, action: GroupAction, now: Time) {
        let name = &self.post.options.name;
        match action {
            GroupAction::Connect { leg, path, attempt } => {
                let source = self.source(leg, path);
                self.post.connectors[leg.index()].request(source, attempt.saturating_sub(1));
            }
            GroupAction::Disconnect { leg } => {
                self.post.connectors[leg.index()].cancel();
                if let Some(mut socket) = self.sockets[leg.index()].take() {
                    // The last words, if they fit; nobody waits for them.
                    let _ = socket.write(self.group.transmit(leg));
                    socket.close();
                    let _ = socket.deregister(self.post.poll.registry());
                }
            }
            GroupAction::Opened { leg, generation } => {
                tracing::info!(feed = name, generation, "connected");
                self.post
                    .board
                    .update(|status| status.generation = generation);
                self.target.opened(leg);
                self.greet(leg, now);
                self.post.board.opened();
            }
            GroupAction::Joined { leg } => {
                tracing::info!(feed = name, leg = leg.index(), "connected as well");
                self.target.joined(leg);
                self.greet(leg, now);
            }
            GroupAction::Ready { .. } => {}
            GroupAction::Left { leg, reason } => {
                self.report_loss(leg, reason);
                self.target.left(leg);
            }
            GroupAction::Promoted { leg, unsettled } => {
                tracing::info!(
                    feed = name,
                    leg = leg.index(),
                    "another connection is shown"
                );
                self.target.promoted(leg);
                for subscription in &unsettled {
                    if let Some((entity, id)) = self.group.protocol().value_of(subscription) {
                        self.target.doubt(&entity, &id);
                    }
                }
                // What is left of it is done before anything else is waited for.
                self.behind = true;
            }
            GroupAction::Lost(reason) => {
                tracing::warn!(feed = name, %reason, "connection lost");
                self.target.lost();
                self.post.board.lost();
            }
            GroupAction::Silent => {
                tracing::warn!(feed = name, "no data for longer than silent_after");
                self.target.silent(true);
            }
            GroupAction::Audible => self.target.silent(false),
            GroupAction::Closing { .. } => {
                tracing::info!(feed = name, "the server is about to close");
            }
            GroupAction::Refused { reason, .. } => {
                tracing::error!(feed = name, %reason, "the server refuses the connection");
                self.post
                    .board
                    .update(|status| status.refusal = Some(reason));
            }
            GroupAction::Settled(settled) => self.settle(settled),
            GroupAction::Gone { leg } => {
                self.post.legs[leg.index()] = super::Seen::default();
            }
            GroupAction::Finished => self.finished = true,
        }
    }

    /// Bytes may have come with the handshake.
    fn greet(&mut self, leg: Leg, now: Time) {
        self.target.speaks(leg);
        self.group.handle_filled(leg, now, 0, &mut self.target);
    }

    /// Where a leg is to be connected to.
    fn source(&mut self, leg: Leg, path: usize) -> EndpointSource {
        let options = &self.post.options;
        let source = match &options.second {
            Some(second) if path > 0 => second,
            _ => &options.endpoint,
        };
        match source {
            EndpointSource::Fixed(endpoint) if endpoint.url.is_empty() => {
                let url = self.group.address(leg).unwrap_or_default();
                EndpointSource::Fixed(Endpoint {
                    url,
                    ..endpoint.clone()
                })
            }
            source => source.clone(),
        }
    }

    fn settle(&mut self, settled: Settled) {
        match (self.post.replies.take(&settled), settled.result) {
            (Some(asked), result) => {
                // After the server's answer: what was under way has come. Without one nobody knows
                // whether the value is kept up.
                let may_have = matches!(result, Ok(()) | Err(SubscribeError::Unanswered));
                let ended: &[Subscription] = if may_have { &asked.ended } else { &[] };
                for subscription in ended {
                    if let Some((entity, id)) = self.group.protocol().value_of(subscription) {
                        self.target.unsubscribed(&entity, &id);
                        if self.post.wanted.contains(subscription) {
                            // Asked for again before all connections had ended it.
                            self.target.subscribed(&entity, &id);
                        }
                    }
                }
                asked.reply.finish(result.map_err(Into::into));
            }
            (None, Err(error)) => {
                let name = &self.post.options.name;
                tracing::warn!(feed = name, %error, "a subscription failed");
            }
            (None, Ok(())) => {}
        }
    }
}

/// Whether a loss is one, and not the end of what was told to end.
pub(super) fn is_loss(reason: Lost) -> bool {
    reason != Lost::Stopped
}
