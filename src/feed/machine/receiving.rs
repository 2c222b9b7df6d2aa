//! What a machine receives: bytes into messages, and what those say about the connection.

use super::{Action, Lost, Machine, State};
use crate::Time;
use crate::feed::protocol::{Class, Control, Protocol, Transaction};
use crate::feed::shown;
use crate::feed::timer::Timer;
use crate::ws::Event;

impl<P: Protocol> Machine<P> {
    /// Where to read to. Not empty after [`handle_filled`](Self::handle_filled).
    pub fn space(&mut self) -> &mut [u8] {
        self.frames.space()
    }

    /// The first `n` bytes of [`space`](Self::space) were read at `now`: every message among them
    /// is decoded and goes to `sink`, in order. Says how many there were.
    ///
    /// # Panics
    /// If `n` is more than the space there was.
    pub fn handle_filled<S: Transaction>(&mut self, now: Time, n: usize, sink: &mut S) -> usize {
        if !matches!(self.state, State::Open | State::Closing) {
            // The rest of a connection that was given up.
            return 0;
        }
        self.frames.filled(n);
        if n > 0 {
            self.counters.bytes_received.add(n as u64);
            if self.state == State::Open {
                self.touch(now);
            }
        }
        let mut messages = 0;
        let mut has_data = false;
        let end = loop {
            let event = match self.frames.next() {
                Ok(Some(event)) => event,
                Ok(None) => {
                    if self.refill() {
                        continue;
                    }
                    break None;
                }
                Err(error) => break Some(Lost::Protocol(error)),
            };
            self.counters.frames.bump();
            match event {
                // After our close frame only the server's counts.
                Event::Text(_) | Event::Binary(_) if self.state == State::Closing => {}
                Event::Text(text) if text.len() > self.deferred.above => {
                    messages += 1;
                    let text = match text.len() <= self.config.settings().limits.read_buffer {
                        true => text.to_vec(),
                        false => self.frames.take_lent(),
                    };
                    match self.defer(now, text, sink) {
                        Ok(()) if self.deferred.stalled => break None,
                        Ok(()) => {}
                        Err(lost) => break Some(lost),
                    }
                }
                Event::Text(text) => {
                    messages += 1;
                    match self.intake.text(text, sink) {
                        Ok(Class::Data | Class::Invalidation) => has_data = true,
                        Ok(Class::Control(control)) => {
                            if let Control::Refused(reason) = control {
                                self.actions
                                    .push_back(Action::Refused(shown::reason(reason)));
                                break Some(Lost::Refused);
                            }
                            self.registry.hear(control);
                            if control == Control::Closing {
                                self.actions.push_back(Action::Closing);
                            }
                        }
                        Ok(Class::Unmapped(_)) | Err(_) => {}
                    }
                    if self.intake.outbox.has_answers() {
                        self.answers();
                    }
                }
                Event::Binary(_) => {
                    messages += 1;
                    self.intake.binary();
                }
                Event::Ping(payload) => {
                    self.counters.pings.bump();
                    if self.state == State::Open
                        && self
                            .outgoing
                            .pong(payload, &mut self.random, &self.counters)
                    {
                        self.window.note(now);
                    }
                }
                Event::Pong(_) => {}
                Event::Close(frame) => break Some(Lost::Closed(frame.map(|frame| frame.code))),
            }
        };
        if has_data {
            self.heard(now);
        }
        match (end, self.state) {
            (None, _) => self.pump(now),
            (Some(_), State::Closing) => self.finish(),
            (Some(reason), _) => {
                let code = match reason {
                    Lost::Closed(code) => code,
                    Lost::Protocol(error) => Some(error.close_code()),
                    _ => None,
                };
                self.outgoing.close(code, &mut self.random, &self.counters);
                self.lose(now, reason);
            }
        }
        messages
    }

    /// Bytes came: the connection lives.
    pub(super) fn touch(&mut self, now: Time) {
        let dead_after = self.config.settings().dead_after;
        self.timers.set(Timer::Probe, now.after(dead_after / 2));
        self.timers.set(Timer::Dead, now.after(dead_after));
    }

    /// Data came: the source speaks, and the connection has proved itself.
    pub(super) fn heard(&mut self, now: Time) {
        self.has_data = true;
        self.timers.set(
            Timer::Silent,
            now.after(self.config.settings().silent_after),
        );
        if self.silent {
            self.silent = false;
            self.actions.push_back(Action::Audible);
        }
    }

    /// What a message has answered about single streams.
    #[cold]
    pub(super) fn answers(&mut self) {
        for (subscription, reply) in self.intake.outbox.take_answers() {
            self.registry.answered(&subscription, &reply);
        }
    }

    /// Moves what came with the handshake into the read buffer; whether there was any.
    fn refill(&mut self) -> bool {
        if self.leftover.is_empty() {
            return false;
        }
        let n = self.frames.extend(&self.leftover);
        self.leftover.drain(..n);
        n > 0
    }
}
