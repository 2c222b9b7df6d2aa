//! What a feed's wire format has to say, and what it may say it into.
//!
//! A [`Protocol`] turns messages into patches on a [`Sink`]. It is a type parameter of the
//! [`Machine`](super::Machine), so that nothing is called through a pointer for each message.

mod address;

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::bulk::{BulkId, Deferred, Outcome};
use super::config::Pace;
use super::sequence::{Policy, Sequence};
use super::snapshot::Snapshot;
use crate::json::{Message, Value};
use crate::key::{Id, IdRef};
use crate::record::Mode;

use super::outbox::{Outbox, OutboxFull};
pub use super::refusal::Refusal;
pub use address::Address;

/// Number of an entity within one [`Sink`]: resolved once, kept by the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityIx(u32);

impl EntityIx {
    /// The entity with this number; only a sink knows what it stands for.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The number.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a protocol emits into. All calls made for one message are a transaction: they take effect
/// together when [`Protocol::message`] returns `Ok`, and not at all when it returns `Err`.
pub trait Sink {
    /// The number of an entity, the same for every call with that name. Claims nothing: a wildcard
    /// feed claims an entity with its first patch.
    ///
    /// # Errors
    /// [`Refusal::EntitiesFull`] if no further entity may be known.
    fn entity(&mut self, name: &str) -> Result<EntityIx, Refusal>;

    /// A new value, or a part of one, for an id.
    ///
    /// # Errors
    /// Why the value cannot be taken. The protocol passes the reason on.
    fn patch(
        &mut self,
        entity: EntityIx,
        id: IdRef<'_>,
        update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal>;

    /// The id has no value any more. Of `update`, sequence, policy and source time count.
    ///
    /// # Errors
    /// Why the removal cannot be taken.
    fn remove(&mut self, entity: EntityIx, id: IdRef<'_>, update: Update) -> Result<(), Refusal>;

    /// The value of the id, or without one those of the whole entity, can no longer be trusted.
    ///
    /// # Errors
    /// Why the invalidation cannot be taken.
    fn invalidate(&mut self, entity: EntityIx, id: Option<IdRef<'_>>) -> Result<(), Refusal>;

    /// The place of what follows in the numbering of its *connection*, where a source counts all
    /// of its messages together ([`Rule::ContiguousPerConnection`](super::Rule)). To be called for
    /// every message that has a number, also for those that bring no patch. A hole makes every
    /// value of the feed suspect; what comes a second time is dropped.
    ///
    /// # Errors
    /// Why it cannot be taken.
    fn advance(&mut self, number: u64) -> Result<(), Refusal>;
}

/// A [`Sink`] as the machine sees it: the machine alone ends transactions.
pub trait Transaction: Sink {
    /// Makes everything since the last end take effect.
    fn commit(&mut self);
    /// Forgets everything since the last end.
    fn rollback(&mut self);

    /// Takes over a long message, to be taken apart elsewhere: in the end it has the effect that it
    /// would have had now, with all that comes later laid over it.
    ///
    /// # Errors
    /// The message: this sink takes none. Nothing has happened.
    fn defer<P: Protocol>(&mut self, message: Deferred<P>) -> Result<BulkId, Deferred<P>> {
        Err(message)
    }

    /// Goes on with the oldest message that was deferred, if it is this one, as far as one call may
    /// go; what it was, once all of it has taken effect.
    ///
    /// # Panics
    /// As the protocol did while it took the message apart.
    fn resume(&mut self, message: BulkId) -> Option<Outcome> {
        let _ = message;
        None
    }

    /// Whether nothing may be read until messages that were deferred are through.
    fn is_full(&self) -> bool {
        false
    }
}

/// What a patch for an id without a value does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Missing {
    /// Nothing; it is counted.
    #[default]
    Ignore,
    /// It makes one. Made by a part of a value, it is partial until a whole one comes.
    Insert,
}

/// How a patch is to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// How the patch changes the old value.
    pub mode: Mode,
    /// Whether the patch is a whole value, which may make a stale one live.
    pub whole: bool,
    /// What happens if there is no old value.
    pub missing: Missing,
    /// Where the source's numbering stands, if it has one.
    pub sequence: Option<Sequence>,
    /// How that numbering is to be read.
    pub policy: Policy,
    /// When the source says it happened, in nanoseconds since the Unix epoch.
    pub source_time: Option<u64>,
}

impl Update {
    /// A whole value, which replaces the old one or makes the first.
    #[must_use]
    pub fn whole() -> Self {
        Self {
            mode: Mode::Replace,
            whole: true,
            missing: Missing::Insert,
            ..Self::patch()
        }
    }

    /// A part of a value, by RFC 7396, ignored where there is no value.
    #[must_use]
    pub fn patch() -> Self {
        Self {
            mode: Mode::Merge,
            whole: false,
            missing: Missing::Ignore,
            sequence: None,
            policy: Policy::default(),
            source_time: None,
        }
    }

    /// The same, numbered.
    #[must_use]
    pub fn numbered(mut self, policy: Policy, sequence: Sequence) -> Self {
        self.policy = policy;
        self.sequence = Some(sequence);
        self
    }

    /// The same, with the source's time in nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn timed(mut self, source_time: Option<u64>) -> Self {
        self.source_time = source_time;
        self
    }
}

/// What a message was: `messages = data + invalidation + control + unmapped + refused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class<'a> {
    /// At least one patch or removal.
    Data,
    /// Invalidations only.
    Invalidation,
    /// For the feed itself.
    Control(Control<'a>),
    /// Well formed, but of this channel, which the protocol does not map.
    Unmapped(&'a str),
}

/// What a message for the feed itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control<'a> {
    /// The request with this number was granted.
    Granted(u64),
    /// A request was refused: its number if the server names it, and why.
    Denied(Option<u64>, &'a str),
    /// The server is there; not data.
    Heartbeat,
    /// The server says that it will close the connection.
    Closing,
    /// The server refuses the connection itself, for this reason: a wrong key, a second session.
    /// The connection is given up.
    Refused(&'a str),
    /// Anything else that needs no answer from the machine.
    Notice,
}

/// One stream of an upstream: a channel, and mostly one id of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subscription {
    /// The channel, as the venue calls it.
    pub channel: Box<str>,
    /// The id, as the venue calls it; empty for a channel without ids.
    pub id: Box<str>,
}

impl Subscription {
    /// The stream of `id` on `channel`.
    #[must_use]
    pub fn new(channel: &str, id: &str) -> Self {
        Self {
            channel: channel.into(),
            id: id.into(),
        }
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.channel, self.id)
    }
}

/// Why a subscription was not made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The protocol has no subscriptions at run time.
    #[error("this feed has no subscriptions")]
    Unsupported,
    /// The protocol does not know the channel.
    #[error("unknown channel {0:?}")]
    UnknownChannel(Box<str>),
    /// The id cannot be asked for.
    #[error("{0:?} cannot be subscribed to: {1}")]
    BadId(Box<str>, &'static str),
    /// One connection may not hold so many.
    #[error("a connection holds at most {limit} subscriptions, {wanted} are wanted")]
    TooMany {
        /// What one connection may hold.
        limit: usize,
        /// What it would have to hold.
        wanted: usize,
    },
    /// The request does not fit the queue of outgoing messages.
    #[error("outgoing messages are full")]
    OutboxFull,
    /// The server refused, for this reason.
    #[error("refused by the server: {0}")]
    Denied(Box<str>),
    /// The server did not answer in time. The subscription stays wanted.
    #[error("the server did not answer")]
    Unanswered,
    /// It was taken back before it was made.
    #[error("unsubscribed before the server answered")]
    Withdrawn,
    /// The feed stopped.
    #[error("the feed has stopped")]
    Stopped,
}

impl SubscribeError {
    /// Whether asking again, unchanged, may succeed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::OutboxFull | Self::Unanswered)
    }
}

impl From<OutboxFull> for SubscribeError {
    fn from(_: OutboxFull) -> Self {
        Self::OutboxFull
    }
}

/// What is to be asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// To begin streams.
    Subscribe,
    /// To end them.
    Unsubscribe,
}

/// What one request to the server asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How many of the given subscriptions, from the first on, the request holds.
    pub count: usize,
    /// How it ends.
    pub answer: Answer,
}

/// How a request to the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With [`Control::Granted`] or [`Control::Denied`] under its number, or stream by stream with
    /// [`Outbox::granted`] and [`Outbox::refused`].
    Expected,
    /// Unanswered: it counts as granted once it is queued.
    None,
}

/// Which entities a feed writes, and whose values it vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Entities it owns from the start; attaching fails if one is taken.
    pub entities: Vec<Box<str>>,
    /// Whether it also claims, at the first payload, entities that nobody owns.
    pub wildcard: bool,
    /// Which values go stale with its connection, besides those of its own entities.
    pub covers: Covers,
}

/// Which entities of others a feed covers: losing the feed makes their values stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covers {
    /// None.
    Nothing,
    /// Every entity that no other feed owns.
    Unowned,
    /// These.
    Listed(Vec<Box<str>>),
}

/// One wire format: how to subscribe, and what the messages mean.
///
/// Everything is called on the feed's thread and must neither block nor panic.
pub trait Protocol: Send + 'static {
    /// What the feed is called; presets prefix their entities with it.
    fn name(&self) -> &str;

    /// Which entities it writes. Asked once.
    fn claims(&self) -> Claims;

    /// Where to connect to, if the protocol knows. Asked for each attempt, with what is wanted then.
    fn address(&self, wanted: &[&Subscription]) -> Option<Address> {
        let _ = wanted;
        None
    }

    /// Subscriptions wanted from the start.
    fn initial(&self) -> Vec<Subscription> {
        Vec::new()
    }

    /// How many subscriptions one connection may hold.
    fn capacity(&self) -> usize {
        usize::MAX
    }

    /// How fast the server allows messages to be sent, unless configured otherwise.
    fn pace(&self) -> Option<Pace> {
        None
    }

    /// How fast it allows requests for subscriptions, which count in [`pace`](Self::pace) as well.
    fn request_pace(&self) -> Option<Pace> {
        None
    }

    /// How often a connection may be tried to be made. A feed with two counts for each of them, so
    /// this is to be half of what the server allows an address.
    fn connect_pace(&self) -> Option<Pace> {
        None
    }

    /// How long the server lets a connection live.
    fn lifetime(&self) -> Option<Duration> {
        None
    }

    /// Whether subscriptions can be asked for on the present connection: after a login, say. If
    /// not within `answer_timeout` of its opening, the connection is given up.
    fn is_ready(&self) -> bool {
        true
    }

    /// Whether a subscription can be asked for.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, subscription: &Subscription) -> Result<(), SubscribeError> {
        let _ = subscription;
        Err(SubscribeError::Unsupported)
    }

    /// Which value a subscription keeps up: its entity and id. When the subscription has ended,
    /// that value reads `Unsubscribed`. `None` if it is of many values, or of none.
    fn value_of(&self, subscription: &Subscription) -> Option<(String, Id)> {
        let _ = subscription;
        None
    }

    /// The request that answers with the present value of an id, if the exchange has one whose
    /// answer maps exactly to what its streams send.
    fn snapshot(&self, entity: &str, id: &Id) -> Option<Snapshot> {
        let _ = (entity, id);
        None
    }

    /// Queues one message that asks for as many of `wanted`, from the first on, as one message may
    /// hold (at least one), under the number `request`.
    ///
    /// # Errors
    /// Why none can be asked for; the first of `wanted` is then given up.
    fn subscribe(
        &mut self,
        request: u64,
        wanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let _ = (request, wanted, out);
        Err(SubscribeError::Unsupported)
    }

    /// As [`subscribe`](Self::subscribe), to end subscriptions.
    ///
    /// # Errors
    /// Why none can be ended; the first of `unwanted` is then given up.
    fn unsubscribe(
        &mut self,
        request: u64,
        unwanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let _ = (request, unwanted, out);
        Err(SubscribeError::Unsupported)
    }

    /// A connection is open; whatever was known of the last one is void. Texts queued here go out
    /// before any subscription.
    ///
    /// # Errors
    /// The texts do not fit the queue; the connection is given up.
    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        let _ = out;
        Ok(())
    }

    /// How often [`beat`](Self::beat) is called while a connection is open.
    fn heartbeat(&self) -> Option<Duration> {
        None
    }

    /// Queues the protocol's own sign of life. A full queue is no harm: something is under way.
    fn beat(&mut self, out: &mut Outbox) {
        let _ = out;
    }

    /// Looks at a message before it is taken for JSON; `None` if it is nothing special.
    #[inline]
    fn text<'a>(&mut self, text: &'a [u8]) -> Option<Class<'a>> {
        let _ = text;
        None
    }

    /// Takes a message apart into `sink`. A reply goes to `out`.
    ///
    /// # Errors
    /// Why the message is refused, with all that it said.
    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal>;
}
