//! Why messages are refused: one reason each, to be counted.

use thiserror::Error;

use super::outbox::OutboxFull;

/// Why a message was refused. It is counted by reason and has no effect at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not a JSON text.
    #[error("not a JSON text")]
    Malformed,
    /// A binary message, where only text is expected.
    #[error("a binary message")]
    Binary,
    /// JSON, but not of a shape that the protocol knows.
    #[error("not of a known shape")]
    Shape,
    /// The entity is absent or no text.
    #[error("no entity, or one that is no text")]
    NoEntity,
    /// The id is absent or null where one is needed.
    #[error("no id where one is needed")]
    NoId,
    /// The id is neither a text nor an integer.
    #[error("an id that is neither text nor integer")]
    BadId,
    /// A payload without an id: what is for a whole entity can only invalidate it.
    #[error("a payload for a whole entity")]
    WholeEntity,
    /// The payload is absent where one is needed.
    #[error("no payload where one is needed")]
    NoPayload,
    /// The sequence is absent or no unsigned 64-bit integer.
    #[error("no sequence number where one is needed")]
    BadSequence,
    /// The source's time is no number of nanoseconds after the Unix epoch.
    #[error("a source time that is none")]
    BadTime,
    /// Nested deeper than configured.
    #[error("nested too deep")]
    TooDeep,
    /// A message or value longer than configured.
    #[error("too large")]
    TooLarge,
    /// More patches in one message than configured.
    #[error("too many patches in one message")]
    TooMany,
    /// No further entity may be known.
    #[error("entities are full")]
    EntitiesFull,
    /// No further id may be known to the entity.
    #[error("ids of the entity are full")]
    IdsFull,
    /// The reply that the message asks for does not fit the queue of outgoing messages.
    #[error("outgoing messages are full")]
    OutboxFull,
    /// The feed ended before the message, a long one, was through.
    #[error("the feed ended first")]
    Ended,
    /// A reason of a custom protocol or sink.
    #[error("refused")]
    Other,
}

impl Refusal {
    /// Every reason, in the order of [`index`](Self::index).
    pub const ALL: [Self; 18] = [
        Self::Malformed,
        Self::Binary,
        Self::Shape,
        Self::NoEntity,
        Self::NoId,
        Self::BadId,
        Self::WholeEntity,
        Self::NoPayload,
        Self::BadSequence,
        Self::BadTime,
        Self::TooDeep,
        Self::TooLarge,
        Self::TooMany,
        Self::EntitiesFull,
        Self::IdsFull,
        Self::OutboxFull,
        Self::Ended,
        Self::Other,
    ];

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

const _: () = {
    let mut i = 0;
    while i < Refusal::ALL.len() {
        assert!(Refusal::ALL[i].index() == i);
        i += 1;
    }
    assert!(Refusal::Other.index() + 1 == Refusal::ALL.len());
};

impl From<OutboxFull> for Refusal {
    fn from(_: OutboxFull) -> Self {
        Self::OutboxFull
    }
}
