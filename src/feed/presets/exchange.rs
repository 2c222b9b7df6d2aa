//! What the exchanges have in common: entities `<name>.<channel>`, ids that are texts, streams of a
//! channel and a symbol, one connection that is asked for them.
//!
//! A [`Venue`] says what is particular to one exchange; [`Exchange`] makes a [`Protocol`] of it.

use std::fmt;
use std::time::Duration;

use super::requests::is_symbol;
use super::venue::{Emit, Venue};
use crate::feed::config::Pace;
use crate::feed::outbox::{Outbox, OutboxFull};
use crate::feed::protocol::{
    Address, Asked, Claims, Class, Covers, EntityIx, Protocol, Refusal, Sink, SubscribeError,
    Subscription, Verb,
};
use crate::feed::shown::without_secrets;
use crate::feed::snapshot::Snapshot;
use crate::json::{Elements, Message, Value};
use crate::key::{Id, IdRef};
use crate::record::Kind;

/// The [`Protocol`] of a [`Venue`].
#[derive(Clone)]
pub struct Exchange<V> {
    pub(super) venue: V,
    name: Box<str>,
    base: Box<str>,
    streams: Vec<Subscription>,
    entities: Box<[Option<EntityIx>]>,
}

impl<V: fmt::Debug> fmt::Debug for Exchange<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("venue", &self.venue)
            .field("name", &self.name)
            .field("base", &without_secrets(&self.base))
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

impl<V: Venue> Exchange<V> {
    /// The public endpoint, no streams yet.
    #[must_use]
    pub fn of(venue: V) -> Self {
        Self {
            name: venue.name().into(),
            base: venue.base().into(),
            streams: Vec::new(),
            entities: vec![None; venue.channels().len()].into(),
            venue,
        }
    }

    /// What the feed is called, and the prefix of its entities. Default: the name of the preset.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Where to connect to, in place of the public endpoint.
    #[must_use]
    pub fn base(mut self, url: &str) -> Self {
        self.base = url.trim_end_matches('/').into();
        self
    }

    /// Streams of a channel, as the exchange spells it, one for each id.
    #[must_use]
    pub fn stream<N: AsRef<str>>(
        mut self,
        channel: &str,
        ids: impl IntoIterator<Item = N>,
    ) -> Self {
        for id in ids {
            let stream = Subscription::new(channel, id.as_ref());
            self.venue.wants(&stream);
            self.streams.push(stream);
        }
        self
    }

    /// The venue.
    #[must_use]
    pub const fn venue(&self) -> &V {
        &self.venue
    }

    /// Changes a setting of the venue.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(V) -> V) -> Self {
        self.venue = change(self.venue);
        self
    }
}

/// The entity of a channel.
pub(super) fn entity_name(name: &str, channel: &str) -> String {
    format!("{name}.{channel}")
}

impl<V: Venue> Protocol for Exchange<V> {
    fn name(&self) -> &str {
        &self.name
    }

    fn claims(&self) -> Claims {
        let channels = self.venue.channels().iter();
        Claims {
            entities: channels
                .map(|channel| entity_name(&self.name, channel).into())
                .collect(),
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn address(&self, wanted: &[&Subscription]) -> Option<Address> {
        Some(self.venue.address(&self.base, wanted))
    }

    fn initial(&self) -> Vec<Subscription> {
        self.streams.clone()
    }

    fn capacity(&self) -> usize {
        self.venue.capacity()
    }

    fn pace(&self) -> Option<Pace> {
        self.venue.pace()
    }

    fn request_pace(&self) -> Option<Pace> {
        self.venue.request_pace()
    }

    fn connect_pace(&self) -> Option<Pace> {
        self.venue.connect_pace()
    }

    fn lifetime(&self) -> Option<Duration> {
        self.venue.lifetime()
    }

    fn is_ready(&self) -> bool {
        self.venue.is_ready()
    }

    fn check(&self, subscription: &Subscription) -> Result<(), SubscribeError> {
        self.venue.check(subscription)?;
        self.venue.serves(&self.base, subscription)
    }

    fn value_of(&self, subscription: &Subscription) -> Option<(String, Id)> {
        let (channel, id) = self.venue.value_of(subscription)?;
        Some((entity_name(&self.name, channel), id))
    }

    fn snapshot(&self, entity: &str, id: &Id) -> Option<Snapshot> {
        let channel = entity.strip_prefix(&*self.name)?.strip_prefix('.')?;
        match id.as_ref() {
            // Whatever a server may have called a symbol, it is sent to nobody unless it is one.
            IdRef::Text(symbol) if is_symbol(symbol).is_ok() => {
                let mut snapshot = self.venue.snapshot(channel, symbol)?;
                // Another server's values are asked of no other.
                if *self.base != *self.venue.base() {
                    snapshot.base = "";
                }
                Some(snapshot)
            }
            _ => None,
        }
    }

    fn subscribe(
        &mut self,
        request: u64,
        wanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        self.venue.request(Verb::Subscribe, request, wanted, out)
    }

    fn unsubscribe(
        &mut self,
        request: u64,
        unwanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        self.venue
            .request(Verb::Unsubscribe, request, unwanted, out)
    }

    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        self.venue.opened(out)
    }

    fn heartbeat(&self) -> Option<Duration> {
        self.venue.heartbeat()
    }

    fn beat(&mut self, out: &mut Outbox) {
        self.venue.beat(out);
    }

    #[inline]
    fn text<'a>(&mut self, text: &'a [u8]) -> Option<Class<'a>> {
        self.venue.text(text)
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let mut to = Emit {
            name: &self.name,
            channels: self.venue.channels(),
            entities: &mut self.entities,
            sink,
        };
        self.venue.message(message.root(), &mut to, out)
    }
}

/// Whether a value is an array.
#[inline]
pub(super) fn is_array(value: Value<'_>) -> bool {
    value.raw().first() == Some(&b'[')
}

/// Whether a message, without the white space around it, is this text.
#[inline]
pub(super) fn is_text(message: &[u8], text: &str) -> bool {
    message.trim_ascii() == text.as_bytes()
}

/// The elements of an array.
///
/// # Errors
/// [`Refusal::Shape`] if it is none.
#[inline]
pub(super) fn elements(data: Value<'_>) -> Result<Elements<'_>, Refusal> {
    if data.kind() == Kind::Array {
        Ok(data.elements())
    } else {
        Err(Refusal::Shape)
    }
}
