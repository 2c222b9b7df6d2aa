//! One message from its text to its effects: decoded, handed to the protocol, committed or rolled
//! back, and counted in the first ledger. Used by the [`Machine`](super::Machine), and alone where
//! messages come without a connection (a replay through memory, tests of a protocol).

use std::fmt;
use std::sync::Arc;

use super::bulk::{self, BulkId, Deferred, Outcome};
use super::counters::Counters;
use super::outbox::{Outbox, OutboxFull};
use super::protocol::{Class, Protocol, Refusal, Sink, Transaction};
use crate::json::{self, JsonError};

/// Gets the text of each message that the protocol does not map.
pub type Tap = Box<dyn FnMut(&[u8]) + Send>;

/// Takes messages for one protocol. Allocates nothing per message in steady state.
pub struct Intake<P> {
    pub(super) protocol: P,
    pub(super) outbox: Outbox,
    json: json::Decoder,
    /// Layouts that are counted already.
    learned: u64,
    counters: Arc<Counters>,
    tap: Option<Tap>,
    max_depth: u32,
}

impl<P: Protocol> Intake<P> {
    /// An intake that refuses messages nested deeper than `max_depth`; replies wait in `outbox`.
    #[must_use]
    pub fn new(protocol: P, max_depth: u32, outbox: Outbox, counters: Arc<Counters>) -> Self {
        Self {
            protocol,
            outbox,
            json: json::Decoder::new(max_depth),
            learned: 0,
            counters,
            tap: None,
            max_depth,
        }
    }

    /// Parses every message: nothing is learned of how messages are laid out. What becomes of them
    /// is the same; it takes several times as long. For tests that compare the two.
    #[must_use]
    pub fn parsing_only(mut self) -> Self {
        self.json = json::Decoder::parsing_only(self.max_depth);
        self
    }

    /// As [`text`](Self::text), for a long message, which the sink may have taken apart elsewhere.
    ///
    /// # Errors
    /// The sink takes none: what the message was. It has taken effect.
    #[cold]
    pub(crate) fn defer<S: Transaction>(
        &mut self,
        text: Vec<u8>,
        copier: fn(&P) -> P,
        sink: &mut S,
    ) -> Result<BulkId, Box<Outcome>> {
        let message = Deferred {
            protocol: copier(&self.protocol),
            text,
            max_depth: self.max_depth,
            outbox: self.outbox.like(),
            tapped: self.tap.is_some(),
        };
        bulk::hand_over(message, sink)
    }

    /// Counts a long message that is through, and queues its replies if its connection still is
    /// the present one. What does not fit the queue is dropped.
    pub(crate) fn conclude(&mut self, outcome: &mut Outcome, is_present: bool) {
        outcome.count(&self.counters, self.tap.as_mut());
        if is_present && self.outbox.append(&mut outcome.outbox).is_err() {
            tracing::warn!("replies to a long message do not fit the queue of outgoing messages");
        }
    }

    /// Shows every message that the protocol does not map to `tap`, on the caller's thread: it
    /// should take a copy and be done.
    pub fn tap(&mut self, tap: Tap) {
        self.tap = Some(tap);
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
            learned,
            counters,
            tap,
            ..
        } = self;
        let layouts = json.layout_counts().learned;
        if *learned != layouts {
            counters.layouts_learned.add(layouts - *learned);
            *learned = layouts;
        }
        let decoded = |matched: bool| {
            if matched {
                counters.layout_hits.bump();
            } else {
                counters.layout_misses.bump();
            }
        };
        match classify(protocol, outbox, json, text, sink, decoded) {
            Ok(class) => {
                sink.commit();
                match class {
                    Class::Data => counters.data.bump(),
                    Class::Invalidation => counters.invalidation.bump(),
                    Class::Control(_) => counters.control.bump(),
                    Class::Unmapped(channel) => {
                        counters.unmap(channel);
                        if let Some(tap) = tap {
                            tap(text);
                        }
                    }
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

impl<P: fmt::Debug> fmt::Debug for Intake<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("protocol", &self.protocol)
            .field("counters", &self.counters)
            .field("tapped", &self.tap.is_some())
            .finish_non_exhaustive()
    }
}

/// What a message is. `decoded` is told whether its layout was known, unless the protocol takes it
/// for no JSON.
#[inline]
pub(super) fn classify<'a, P: Protocol, S: Sink>(
    protocol: &mut P,
    outbox: &mut Outbox,
    json: &'a mut json::Decoder,
    text: &'a [u8],
    sink: &mut S,
    decoded: impl FnOnce(bool),
) -> Result<Class<'a>, Refusal> {
    if let Some(class) = protocol.text(text) {
        return Ok(class);
    }
    let message = match json.decode(text) {
        Ok(message) => message,
        Err(error) => {
            decoded(false);
            return Err(refusal(error));
        }
    };
    decoded(message.root().is_matched());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::presets::Events;
    use crate::feed::testing::Recording;
    use std::sync::Mutex;

    #[test]
    fn a_tap_gets_what_is_not_mapped_and_nothing_else() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let outbox = Outbox::new(1, 1);
        let protocol = Events::new().other_shapes();
        let mut intake = Intake::new(protocol, 128, outbox, Arc::default());
        let ear = Arc::clone(&heard);
        intake.tap(Box::new(move |text| {
            ear.lock().expect("no panic").push(text.to_vec());
        }));
        let mut sink = Recording::default();
        for text in [
            r#"{"entity":"a","id":1}"#,
            r#"{"type":"notice"}"#,
            r#"{"broken"#,
        ] {
            // What is refused is counted.
            let _ = intake.text(text.as_bytes(), &mut sink);
        }
        assert_eq!(
            *heard.lock().expect("no panic"),
            [br#"{"type":"notice"}"#.to_vec()]
        );
        let counted = intake.counters().snapshot();
        assert_eq!(
            (counted.invalidation, counted.unmapped, counted.refused),
            (1, 1, 1)
        );
    }
}
