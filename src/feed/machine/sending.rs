//! What a machine sends: texts, requests for what the registry has pending, frames for the socket.

use std::time::Duration;

use super::{Machine, State};
use crate::Time;
use crate::feed::intake::Intake;
use crate::feed::protocol::{Protocol, SubscribeError, Subscription, Verb};
use crate::feed::registry::Ticket;
use crate::feed::timer::Timer;

impl<P: Protocol> Machine<P> {
    /// Bytes to be written to the socket, in order.
    #[must_use]
    pub fn transmit(&self) -> &[u8] {
        self.outgoing.bytes()
    }

    /// The socket took the first `n` bytes of [`transmit`](Self::transmit).
    pub fn handle_transmitted(&mut self, now: Time, n: usize) {
        self.outgoing.taken(n);
        if self.state == State::Open {
            if n > 0 {
                self.timers.clear(Timer::Stuck);
            }
            if self.outgoing.settle(&mut self.random, &self.counters) {
                self.window.note(now);
            }
            self.pump(now);
        }
    }

    /// Wants subscriptions, all or none, from now on and on every further connection. The ticket
    /// is settled when the server has answered for all of them; without one only failures are
    /// reported.
    ///
    /// # Errors
    /// If they cannot be asked for at all; the ticket is then not used.
    pub fn subscribe(
        &mut self,
        now: Time,
        ticket: impl Into<Option<Ticket>>,
        wanted: Vec<Subscription>,
    ) -> Result<(), SubscribeError> {
        if matches!(self.state, State::Closing | State::Stopped) {
            return Err(SubscribeError::Stopped);
        }
        let protocol = &self.intake.protocol;
        wanted
            .iter()
            .try_for_each(|subscription| protocol.check(subscription))?;
        self.registry
            .subscribe(ticket.into(), wanted, protocol.capacity())?;
        self.pump(now);
        Ok(())
    }

    /// Takes subscriptions back. What is not subscribed to is left alone.
    ///
    /// # Errors
    /// If the feed has stopped; the ticket is then not used.
    pub fn unsubscribe(
        &mut self,
        now: Time,
        ticket: impl Into<Option<Ticket>>,
        unwanted: &[Subscription],
    ) -> Result<(), SubscribeError> {
        if matches!(self.state, State::Closing | State::Stopped) {
            return Err(SubscribeError::Stopped);
        }
        self.registry.unsubscribe(ticket.into(), unwanted);
        self.pump(now);
        Ok(())
    }

    /// Sets when the protocol's own heartbeat is due.
    pub(super) fn arm_heartbeat(&mut self, now: Time) {
        let every = self.intake.protocol.heartbeat().unwrap_or(Duration::MAX);
        // A protocol that beats without pause would starve everything else.
        let every = every.max(Duration::from_millis(1));
        self.timers.set(Timer::Heartbeat, now.after(every));
    }

    /// Queues requests for what the registry has pending, and texts for the socket, as far as pace
    /// and room allow.
    pub(super) fn pump(&mut self, now: Time) {
        if self.state == State::Open {
            self.queue(now);
            self.watch_writes(now);
        }
    }

    /// A server that sends and never reads looks alive by what it sends: what waits for it has to
    /// move as well.
    pub(super) fn watch_writes(&mut self, now: Time) {
        if !self.outgoing.bytes().is_empty() && !self.timers.is_set(Timer::Stuck) {
            let dead_after = self.config.settings().dead_after;
            self.timers.set(Timer::Stuck, now.after(dead_after));
        }
    }

    fn queue(&mut self, now: Time) {
        loop {
            while !self.intake.outbox.is_empty() {
                let free_at = self.window.free_at(now);
                if free_at > now {
                    self.timers.set(Timer::Send, free_at);
                    return;
                }
                if !self.outgoing.has_room() {
                    // Goes on when the socket has taken something.
                    return;
                }
                if let Some(text) = self.intake.outbox.pop() {
                    self.outgoing.text(&text, &mut self.random, &self.counters);
                    self.window.note(now);
                }
            }
            if !self.registry.is_pending() || !self.intake.protocol.is_ready() {
                return;
            }
            let free_at = self.requests.free_at(now);
            if free_at > now {
                self.timers.set(Timer::Send, free_at);
                return;
            }
            self.requests.note(now);
            self.ask(now);
        }
    }

    /// Queues one request for what the registry has pending. Each call asks for something or gives
    /// something up, so asking ends.
    #[cold]
    fn ask(&mut self, now: Time) {
        let request = self.registry.next_request();
        let Some((verb, pending)) = self.registry.pending() else {
            return;
        };
        let Intake {
            protocol, outbox, ..
        } = &mut self.intake;
        let asked = match verb {
            Verb::Subscribe => protocol.subscribe(request, &pending, outbox),
            Verb::Unsubscribe => protocol.unsubscribe(request, &pending, outbox),
        };
        match asked {
            Ok(asked) if asked.count > 0 => {
                let deadline = now.after(self.config.settings().answer_timeout);
                self.registry
                    .asked(verb, request, asked.count, asked.answer, deadline);
                self.timers.set(Timer::Answer, self.registry.deadline());
            }
            Ok(_) => self.registry.give_up(verb, &SubscribeError::Unsupported),
            Err(error) => self.registry.give_up(verb, &error),
        }
    }
}
