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
    /// its turns, and reads only while the sink is not [full](Transaction::is_full).
    pub fn defer_long(&mut self)
    where
        P: Clone,
    {
        self.deferred.above = self.config.settings().bulk_above;
        self.deferred.copier = Some(P::clone);
    }

    /// Whether it has handed over long messages that are not through, or waits for some.
    pub(in crate::feed) fn is_deferring(&self) -> bool {
        self.deferred.stalled || !self.deferred.messages.is_empty()
    }

    /// Nothing is read, because long messages take up all the room there is for what is not
    /// through. Counts it, once until [`handle_deferred`](Self::handle_deferred) ends it.
    pub(in crate::feed) fn stall(&mut self) {
        if !std::mem::replace(&mut self.deferred.stalled, true) {
            self.counters.bulk_waits.bump();
        }
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
                self.actions
                    .push_back(Action::Refused(crate::feed::shown::reason(reason)));
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
