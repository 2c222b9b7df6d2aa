//! One message from its text to its effects: decoded, handed to the protocol, committed or rolled
//! back, and counted in the first ledger. Used by the [`Machine`](super::Machine), and alone where
//! messages come without a connection (a replay through memory, tests of a protocol).

use std::sync::Arc;

use super::counters::Counters;
use super::outbox::{Outbox, OutboxFull};
use super::protocol::{Class, Protocol, Refusal, Transaction};
use crate::json::{self, JsonError};

/// Takes messages for one protocol. Allocates nothing per message in steady state.
#[derive(Debug)]
pub struct Intake<P> {
    pub(super) protocol: P,
    pub(super) outbox: Outbox,
    json: json::Decoder,
    counters: Arc<Counters>,
}

impl<P: Protocol> Intake<P> {
    /// An intake that refuses messages nested deeper than `max_depth`; replies wait in `outbox`.
    #[must_use]
    pub fn new(protocol: P, max_depth: u32, outbox: Outbox, counters: Arc<Counters>) -> Self {
        Self {
            protocol,
            outbox,
            json: json::Decoder::new(max_depth),
            counters,
        }
    }

    /// A connection is open: the protocol forgets the last one, and queues its first texts.
    ///
    /// # Errors
    /// The texts do not fit the outbox.
    pub fn opened(&mut self) -> Result<(), OutboxFull> {
        self.outbox.clear();
        self.protocol.opened(&mut self.outbox)
    }

    /// Takes one text message. Its effects are committed to `sink`, or, if it is refused, none.
    ///
    /// # Errors
    /// Why it was refused. It is counted already.
    #[inline]
    pub fn text<'a, S: Transaction>(
        &'a mut self,
        text: &'a [u8],
        sink: &mut S,
    ) -> Result<Class<'a>, Refusal> {
        self.counters.messages.bump();
        let Self {
            protocol,
            outbox,
            json,
            counters,
        } = self;
        match classify(protocol, outbox, json, text, sink) {
            Ok(class) => {
                sink.commit();
                match class {
                    Class::Data => counters.data.bump(),
                    Class::Invalidation => counters.invalidation.bump(),
                    Class::Control(_) => counters.control.bump(),
                    Class::Unmapped(channel) => counters.unmap(channel),
                }
                Ok(class)
            }
            Err(reason) => {
                sink.rollback();
                counters.refuse(reason);
                Err(reason)
            }
        }
    }

    /// Refuses a binary message.
    #[cold]
    pub fn binary(&mut self) -> Refusal {
        self.counters.messages.bump();
        self.counters.refuse(Refusal::Binary);
        Refusal::Binary
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> &P {
        &self.protocol
    }

    /// Replies that the protocol has queued.
    pub const fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// What is counted.
    #[must_use]
    pub const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }
}

#[inline]
fn classify<'a, P: Protocol, S: Transaction>(
    protocol: &mut P,
    outbox: &mut Outbox,
    json: &'a mut json::Decoder,
    text: &'a [u8],
    sink: &mut S,
) -> Result<Class<'a>, Refusal> {
    if let Some(class) = protocol.text(text) {
        return Ok(class);
    }
    let message = json.decode(text).map_err(refusal)?;
    protocol.message(&message, sink, outbox)
}

#[cold]
fn refusal(error: JsonError) -> Refusal {
    match error {
        JsonError::TooDeep => Refusal::TooDeep,
        JsonError::TooLarge => Refusal::TooLarge,
        _ => Refusal::Malformed,
    }
}
