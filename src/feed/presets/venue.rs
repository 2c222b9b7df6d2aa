//! What is particular to one exchange, and where its values go.

use std::fmt;
use std::time::Duration;

use super::exchange::entity_name;
use super::requests::is_symbol;
use crate::feed::config::Pace;
use crate::feed::outbox::{Outbox, OutboxFull};
use crate::feed::protocol::{
    Address, Asked, Class, EntityIx, Refusal, Sink, SubscribeError, Subscription, Update, Verb,
};
use crate::feed::snapshot::Snapshot;
use crate::json::Value;
use crate::key::{Id, IdRef, same};

/// What is particular to one exchange.
pub trait Venue: Clone + fmt::Debug + Send + 'static {
    /// What a feed of it is called unless it is named: the prefix of its entities.
    fn name(&self) -> &'static str;

    /// The channels that are mapped, as the exchange spells them: one entity each.
    fn channels(&self) -> &'static [&'static str];

    /// The public endpoint: scheme, host and port, and the path if it has one.
    fn base(&self) -> &'static str;

    /// Where to connect to, and how many of the wanted streams the URL asks for.
    fn address(&self, base: &str, wanted: &[&Subscription]) -> Address {
        let _ = wanted;
        Address {
            url: base.to_owned(),
            carries: 0,
        }
    }

    /// A stream is wanted from the start. An exchange with several endpoints may choose by it.
    fn wants(&mut self, stream: &Subscription) {
        let _ = stream;
    }

    /// Whether the endpoint at `base` carries the stream, where an exchange has several.
    ///
    /// # Errors
    /// Why not, and who does.
    fn serves(&self, base: &str, stream: &Subscription) -> Result<(), SubscribeError> {
        let _ = (base, stream);
        Ok(())
    }

    /// Whether a stream can be asked for. Default: a mapped channel, and an id that [`is_symbol`].
    ///
    /// # Errors
    /// Why not.
    fn check(&self, stream: &Subscription) -> Result<(), SubscribeError> {
        if !self.channels().contains(&&*stream.channel) {
            return Err(SubscribeError::UnknownChannel(stream.channel.clone()));
        }
        is_symbol(&stream.id)
    }

    /// The channel and the id under which the stream's values are kept, if it is of one value.
    fn value_of(&self, stream: &Subscription) -> Option<(&'static str, Id)> {
        let channels = self.channels().iter();
        let channel = channels.copied().find(|name| **name == *stream.channel)?;
        Some((channel, Id::from(&*stream.id)))
    }

    /// The request that answers with the present value of a symbol on a channel, if there is one
    /// whose answer maps exactly to what the channel sends.
    fn snapshot(&self, channel: &str, symbol: &str) -> Option<Snapshot> {
        let _ = (channel, symbol);
        None
    }

    /// How many streams one connection may hold.
    fn capacity(&self) -> usize {
        usize::MAX
    }

    /// How fast the server allows messages to be sent.
    fn pace(&self) -> Option<Pace> {
        None
    }

    /// How fast it allows requests for streams.
    fn request_pace(&self) -> Option<Pace> {
        None
    }

    /// How often a connection may be tried to be made:
    /// [`Protocol::connect_pace`](crate::feed::Protocol::connect_pace).
    fn connect_pace(&self) -> Option<Pace> {
        None
    }

    /// How long the server lets a connection live.
    fn lifetime(&self) -> Option<Duration> {
        None
    }

    /// A connection is open: what was known of the last one is void.
    ///
    /// # Errors
    /// The texts do not fit the queue.
    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        let _ = out;
        Ok(())
    }

    /// Whether streams can be asked for, after a login, say.
    fn is_ready(&self) -> bool {
        true
    }

    /// How often [`beat`](Self::beat) is called.
    fn heartbeat(&self) -> Option<Duration> {
        None
    }

    /// Queues the venue's own sign of life.
    fn beat(&mut self, out: &mut Outbox) {
        let _ = out;
    }

    /// Queues one request for as many of `streams`, from the first on, as it may hold.
    ///
    /// # Errors
    /// The request does not fit the queue.
    fn request(
        &mut self,
        verb: Verb,
        request: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError>;

    /// Looks at a message before it is taken for JSON.
    #[inline]
    fn text<'a>(&mut self, text: &'a [u8]) -> Option<Class<'a>> {
        let _ = text;
        None
    }

    /// Takes a message apart.
    ///
    /// # Errors
    /// Why the message is refused, with all that it said.
    fn message<'a, S: Sink>(
        &mut self,
        root: Value<'a>,
        to: &mut Emit<'_, S>,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal>;
}

/// Where a venue's values go.
#[derive(Debug)]
pub struct Emit<'s, S> {
    pub(super) name: &'s str,
    pub(super) channels: &'static [&'static str],
    pub(super) entities: &'s mut [Option<EntityIx>],
    pub(super) sink: &'s mut S,
}

impl<S: Sink> Emit<'_, S> {
    /// The number of a channel among those that are mapped.
    #[inline]
    #[must_use]
    pub fn channel(&self, word: &str) -> Option<usize> {
        self.channel_named(word.as_bytes())
    }

    /// As [`channel`](Self::channel), of the bytes of a word.
    #[inline]
    pub(super) fn channel_named(&self, word: &[u8]) -> Option<usize> {
        let mut channels = self.channels.iter();
        channels.position(|channel| same(channel.as_bytes(), word))
    }

    /// A value, or a part of one, of a symbol on the channel with this number.
    ///
    /// # Errors
    /// As [`Sink::patch`]; [`Refusal::NoId`] if there is no symbol, [`Refusal::BadId`] if it is no
    /// text.
    #[inline]
    pub fn patch(
        &mut self,
        channel: usize,
        symbol: Option<Value<'_>>,
        update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let symbol = symbol.ok_or(Refusal::NoId)?.str().ok_or(Refusal::BadId)?;
        self.patch_id(channel, symbol, update, value)
    }

    /// As [`patch`](Self::patch), for a symbol that is a part of another text.
    ///
    /// # Errors
    /// As [`Sink::patch`].
    #[inline]
    pub fn patch_id(
        &mut self,
        channel: usize,
        symbol: &str,
        update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        if !value.is_object() {
            return Err(Refusal::Shape);
        }
        self.patch_any(channel, symbol, update, value)
    }

    /// As [`patch_id`](Self::patch_id), for an exchange whose values are not all objects.
    ///
    /// # Errors
    /// As [`Sink::patch`].
    #[inline]
    pub fn patch_any(
        &mut self,
        channel: usize,
        symbol: &str,
        update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let entity = match self.entities[channel] {
            Some(entity) => entity,
            None => self.meet(channel)?,
        };
        self.sink.patch(entity, IdRef::Text(symbol), update, value)
    }

    /// The place of the message among all of its connection: [`Sink::advance`].
    ///
    /// # Errors
    /// As [`Sink::advance`].
    #[inline]
    pub fn advance(&mut self, number: u64) -> Result<(), Refusal> {
        self.sink.advance(number)
    }

    #[cold]
    fn meet(&mut self, channel: usize) -> Result<EntityIx, Refusal> {
        let name = entity_name(self.name, self.channels[channel]);
        let entity = self.sink.entity(&name)?;
        self.entities[channel] = Some(entity);
        Ok(entity)
    }
}
