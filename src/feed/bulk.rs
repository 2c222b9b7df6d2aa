//! Long messages, taken apart elsewhere so that nothing of their feed waits for them.
//!
//! A message longer than [`Settings::bulk_above`](super::Settings::bulk_above) is handed, with a
//! copy of the protocol as it is at that moment, to whoever takes it
//! ([`Transaction::defer`]). What the copy learns is thrown away with it: a long message takes
//! effect by what it emits, answers and is, and by nothing that a protocol keeps for itself. So it
//! means what it would have meant if it had been taken apart where it came, since nothing that
//! came later is known to the copy; and what it alone would have taught the protocol (a name
//! resolved once more, a login acknowledged in a message of that size) is not learned.

use std::fmt;

use super::counters::Counters;
use super::intake::{self, Tap};
use super::outbox::Outbox;
use super::protocol::{Class, Control, Protocol, Refusal, Sink, Transaction};
use crate::json;

/// Names one long message to the sink that has taken it over, and to nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BulkId(u64);

impl BulkId {
    /// The message with this number, which only its sink gives out.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Which of the messages that come after a long one may be shown before it.
///
/// Whatever is chosen, in the end every value is what it would be if the long message had been
/// taken apart where it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overtaking {
    /// Those that are right whatever the long message says: whole values, removals, patches to a
    /// value that came whole since, and patches whose number follows that of the value. Other
    /// patches wait until the long message is through, since it may hold the value that they are
    /// for. A reader never sees a value that the source did not have.
    #[default]
    Complete,
    /// All. No value waits for a message that it may not even be in; one that *is* in it may for
    /// that long be the old value with new members.
    Everything,
}

/// A long message with all that is needed to take it apart on any thread.
pub struct Deferred<P> {
    pub(super) protocol: P,
    pub(super) text: Vec<u8>,
    pub(super) max_depth: u32,
    pub(super) outbox: Outbox,
    /// Somebody wants the text if it is of an unmapped channel.
    pub(super) tapped: bool,
}

impl<P: Protocol> Deferred<P> {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes it apart into `sink`, which forgets everything if the outcome is a refusal. Allocates,
    /// and takes as long as the message is long.
    ///
    /// # Panics
    /// If the protocol does.
    pub fn take_apart<S: Sink>(self, sink: &mut S) -> Outcome {
        let Self {
            mut protocol,
            text,
            max_depth,
            mut outbox,
            tapped,
        } = self;
        let mut json = json::Decoder::parsing_only(max_depth);
        let class = intake::classify(&mut protocol, &mut outbox, &mut json, &text, sink, |_| {})
            .map(OwnedClass::from);
        let wanted = tapped && matches!(class, Ok(OwnedClass::Unmapped(_)));
        Outcome {
            class,
            outbox,
            text: wanted.then_some(text),
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for Deferred<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred")
            .field("protocol", &self.protocol)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// What a long message was, once all that it said has taken effect.
#[derive(Debug)]
pub struct Outcome {
    class: Result<OwnedClass, Refusal>,
    pub(super) outbox: Outbox,
    text: Option<Vec<u8>>,
}

impl Outcome {
    /// Of a message that nobody has taken apart.
    #[must_use]
    pub fn refused(reason: Refusal) -> Self {
        Self {
            class: Err(reason),
            outbox: Outbox::new(0, 0),
            text: None,
        }
    }

    /// What the message was.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn class(&self) -> Result<Class<'_>, Refusal> {
        match &self.class {
            Ok(class) => Ok(class.borrowed()),
            Err(reason) => Err(*reason),
        }
    }

    /// Counts it in the first ledger, and shows it to `tap` if it is not mapped.
    pub(crate) fn count(&self, counters: &Counters, tap: Option<&mut Tap>) {
        counters.messages.bump();
        counters.bulk.bump();
        match self.class() {
            Ok(Class::Data) => counters.data.bump(),
            Ok(Class::Invalidation) => counters.invalidation.bump(),
            Ok(Class::Control(_)) => counters.control.bump(),
            Ok(Class::Unmapped(channel)) => {
                counters.unmap(channel);
                if let (Some(tap), Some(text)) = (tap, &self.text) {
                    tap(text);
                }
            }
            Err(reason) => counters.refuse(reason),
        }
    }
}

/// A [`Class`] that outlives its message.
#[derive(Clone, Debug)]
enum OwnedClass {
    Data,
    Invalidation,
    Granted(u64),
    Denied(Option<u64>, Box<str>),
    Heartbeat,
    Closing,
    Refused(Box<str>),
    Notice,
    Unmapped(Box<str>),
}

impl From<Class<'_>> for OwnedClass {
    fn from(class: Class<'_>) -> Self {
        match class {
            Class::Data => Self::Data,
            Class::Invalidation => Self::Invalidation,
            Class::Unmapped(channel) => Self::Unmapped(channel.into()),
            Class::Control(Control::Granted(request)) => Self::Granted(request),
            Class::Control(Control::Denied(request, why)) => Self::Denied(request, why.into()),
            Class::Control(Control::Heartbeat) => Self::Heartbeat,
            Class::Control(Control::Closing) => Self::Closing,
            Class::Control(Control::Refused(why)) => Self::Refused(why.into()),
            Class::Control(Control::Notice) => Self::Notice,
        }
    }
}

impl OwnedClass {
    fn borrowed(&self) -> Class<'_> {
        match self {
            Self::Data => Class::Data,
            Self::Invalidation => Class::Invalidation,
            Self::Unmapped(channel) => Class::Unmapped(channel),
            Self::Granted(request) => Class::Control(Control::Granted(*request)),
            Self::Denied(request, why) => Class::Control(Control::Denied(*request, why)),
            Self::Heartbeat => Class::Control(Control::Heartbeat),
            Self::Closing => Class::Control(Control::Closing),
            Self::Refused(why) => Class::Control(Control::Refused(why)),
            Self::Notice => Class::Control(Control::Notice),
        }
    }
}

/// How a protocol is copied, where it can be.
pub(super) type Copier<P> = fn(&P) -> P;

/// Hands a long message to the sink; if that takes none, takes it apart at once.
pub(super) fn hand_over<P: Protocol, S: Transaction>(
    message: Deferred<P>,
    sink: &mut S,
) -> Result<BulkId, Box<Outcome>> {
    sink.defer(message).map_err(|message| {
        let outcome = message.take_apart(sink);
        match outcome.class {
            Ok(_) => sink.commit(),
            Err(_) => sink.rollback(),
        }
        Box::new(outcome)
    })
}
