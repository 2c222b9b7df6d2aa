//! Long messages, as the machine sees them: handed over, and heard of again when they are through.

use std::collections::VecDeque;

use super::{Lost, Machine, State};
use crate::Time;
use crate::feed::bulk::{BulkId, Copier, Outcome};
use crate::feed::machine::Action;
use crate::feed::protocol::{Class, Control, Protocol, Transaction};

/// Long messages that are not through.
#[derive(Debug)]
pub(super) struct Deferring<P> {
    /// Messages longer than this are handed over.
    pub(super) above: usize,
    copier: Option<Copier<P>>,
    /// In the order of arrival, each with the generation of its connection.
    messages: VecDeque<(BulkId, u64)>,
    /// Nothing is taken from the socket, nor from what was read of it, until there is room.
    pub(super) stalled: bool,
}

impl<P> Default for Deferring<P> {
    fn default() -> Self {
        Self {
            above: usize::MAX,
            copier: None,
            messages: VecDeque::new(),
            stalled: false,
        }
    }
}

impl<P: Protocol> Machine<P> {
    /// Lets the sink take messages longer than [`bulk_above`](super::super::Settings::bulk_above)
    /// apart elsewhere. The driver then calls [`handle_deferred`](Self::handle_deferred) in each of
    /// its turns, and reads only while it is [hungry](Self::is_hungry).
    pub fn defer_long(&mut self)
    where
        P: Clone,
    {
        self.deferred.above = self.config.settings().bulk_above;
        self.deferred.copier = Some(P::clone);
    }

    /// How many long messages have been handed over and are not through.
    #[must_use]
    pub fn long_messages(&self) -> usize {
        self.deferred.messages.len()
    }

    /// Whether the socket may be read: not while long messages take up all the room there is for
    /// what is not through. Counts when that begins.
    pub fn is_hungry<S: Transaction>(&mut self, sink: &S) -> bool {
        if sink.is_full() && !self.deferred.stalled {
            self.stall();
        }
        !self.deferred.stalled
    }

    /// Goes on with long messages that were handed over: what is through is counted, and answered.
    pub fn handle_deferred<S: Transaction>(&mut self, now: Time, sink: &mut S) {
        while let Some(&(message, generation)) = self.deferred.messages.front() {
            let Some(outcome) = sink.resume(message) else {
                break;
            };
            self.deferred.messages.pop_front();
            if let Err(lost) = self.conclude(now, outcome, generation) {
                self.lose(now, lost);
            }
        }
        if self.deferred.stalled && !sink.is_full() {
            self.deferred.stalled = false;
            // What was read before.
            self.handle_filled(now, 0, sink);
        }
    }

    #[cold]
    fn stall(&mut self) {
        self.deferred.stalled = true;
        self.counters.bulk_waits.bump();
    }

    /// Hands a long message over.
    #[cold]
    pub(super) fn defer<S: Transaction>(
        &mut self,
        now: Time,
        text: Vec<u8>,
        sink: &mut S,
    ) -> Result<(), Lost> {
        let Some(copier) = self.deferred.copier else {
            return Ok(());
        };
        match self.intake.defer(text, copier, sink) {
            Ok(message) => {
                self.deferred.messages.push_back((message, self.generation));
                if sink.is_full() {
                    self.stall();
                }
                Ok(())
            }
            Err(outcome) => self.conclude(now, *outcome, self.generation),
        }
    }

    /// A long message is through.
    fn conclude(&mut self, now: Time, mut outcome: Outcome, generation: u64) -> Result<(), Lost> {
        // The registry, and the server, have forgotten the connection of before.
        let is_present = generation == self.generation && self.state == State::Open;
        self.intake.conclude(&mut outcome, is_present);
        if !is_present {
            return Ok(());
        }
        match outcome.class() {
            Ok(Class::Data | Class::Invalidation) => self.heard(now),
            Ok(Class::Control(Control::Refused(reason))) => {
                self.actions.push_back(Action::Refused(reason.into()));
                return Err(Lost::Refused);
            }
            Ok(Class::Control(control)) => {
                self.registry.hear(control);
                if control == Control::Closing {
                    self.actions.push_back(Action::Closing);
                }
                self.answers();
            }
            Ok(Class::Unmapped(_)) | Err(_) => {}
        }
        self.pump(now);
        Ok(())
    }
}
