//! What one kind of message says.

use super::condition::Condition;
use super::take::{Origin, Take};
use super::template::Template;
use crate::feed::protocol::Missing;
use crate::feed::reading::TimeUnit;
use crate::feed::sequence::Policy;
use crate::json::Pointer;
use crate::record::Mode;

/// What a message does, to the value of its id or to the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageKind {
    /// Its payload is the whole value; null is a value.
    Whole,
    /// Its payload is a part of the value; a payload of null removes it.
    Patch,
    /// The id has no value any more.
    Remove,
    /// The value of the id, or without one those of the entity, cannot be trusted.
    Invalidate,
    /// For the feed itself.
    Control,
    /// A sign of life; not data.
    Heartbeat,
    /// Grants a request, or a stream.
    Granted,
    /// Denies a request, or a stream.
    Denied,
    /// Says that a stream has ended, as was asked.
    Ended,
    /// Answers a request: denies it if there is an error in it, and grants it otherwise.
    Answer,
    /// From now on subscriptions may be asked for: the login was accepted.
    Ready,
    /// The server will close the connection.
    Closing,
    /// The server refuses the connection itself.
    Refused,
    /// Not mapped: counted under its channel.
    Unmapped,
}

impl MessageKind {
    /// Whether it is about a value.
    pub(super) const fn is_data(self) -> bool {
        matches!(
            self,
            Self::Whole | Self::Patch | Self::Remove | Self::Invalidate
        )
    }

    /// Whether it ends a request.
    pub(super) const fn is_answer(self) -> bool {
        matches!(
            self,
            Self::Granted | Self::Denied | Self::Ended | Self::Answer
        )
    }
}

/// How a rule knows what a message does.
#[derive(Clone, Debug)]
pub(super) enum KindOf {
    Always(MessageKind),
    Word {
        at: Take,
        words: Vec<(Box<str>, MessageKind)>,
        /// Of other words, and without one.
        default: Option<MessageKind>,
    },
}

impl KindOf {
    /// Every kind that it can come to.
    pub(super) fn all(&self) -> impl Iterator<Item = MessageKind> {
        let (one, words, default) = match self {
            Self::Always(kind) => (Some(*kind), &[][..], None),
            Self::Word { words, default, .. } => (None, &words[..], *default),
        };
        let words = words.iter().map(|(_, kind)| *kind);
        one.into_iter().chain(words).chain(default)
    }
}

/// One step from a message to its items.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) at: Pointer,
    pub(super) over: Over,
}

/// What stands where the items are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// An array; its elements are the items.
    Elements,
    /// An object; the values of its members are.
    Members,
    /// An array, or one item.
    OneOrMany,
}

#[derive(Clone, Debug)]
pub(super) enum Payload {
    At(Pointer, Origin),
    /// The constant with this number.
    Constant(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub(super) last: Take,
    pub(super) first: Option<Take>,
    pub(super) previous: Option<Take>,
    pub(super) policy: Policy,
    pub(super) optional: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) at: Take,
    pub(super) unit: TimeUnit,
    pub(super) optional: bool,
}

/// The part of a rule that is about values.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) entity: Take,
    /// Without one only whole entities can be invalidated.
    pub(super) id: Option<Take>,
    pub(super) payload: Payload,
    pub(super) mode: Mode,
    pub(super) missing: Missing,
    pub(super) numbers: Option<Numbers>,
    pub(super) time: Option<Moment>,
}

/// The part of a rule that is about the feed itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    /// The number of the request that is answered.
    pub(super) request: Option<Take>,
    /// Channel and id of the stream that is answered.
    pub(super) stream: Option<(Take, Option<Take>)>,
    /// Why something is denied; that of an answer, if it denies.
    pub(super) reason: Option<Take>,
    /// What the server wants to hear.
    pub(super) reply: Option<Template>,
    pub(super) learn: Vec<Lesson>,
}

/// What is to be remembered for this connection.
#[derive(Clone, Debug)]
pub(super) struct Lesson {
    pub(super) table: Box<str>,
    pub(super) key: Take,
    pub(super) text: Take,
}

/// What one kind of message says, and which messages are of that kind.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) when: Vec<Condition>,
    pub(super) items: Vec<Step>,
    /// Items that do not hold this are left out.
    pub(super) only: Vec<Condition>,
    pub(super) kind: KindOf,
    pub(super) data: Option<Data>,
    pub(super) service: Service,
    /// Whether the rules after it are looked at as well.
    pub(super) more: bool,
}

impl Rule {
    /// A rule about the feed itself.
    pub(super) fn service(when: Vec<Condition>, kind: MessageKind) -> Self {
        Self {
            when,
            items: Vec::new(),
            only: Vec::new(),
            kind: KindOf::Always(kind),
            data: None,
            service: Service::default(),
            more: false,
        }
    }
}
