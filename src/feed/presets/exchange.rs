//! What the exchanges have in common: entities `<name>.<channel>`, ids that are texts, streams of a
//! channel and a symbol, one connection that is asked for them.
//!
//! A [`Venue`] says what is particular to one exchange; [`Exchange`] makes a [`Protocol`] of it.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::feed::config::Pace;
use crate::feed::outbox::{Outbox, OutboxFull};
use crate::feed::protocol::{
    Address, Answer, Asked, Claims, Class, Covers, EntityIx, Protocol, Refusal, Sink,
    SubscribeError, Subscription, Update, Verb,
};
use crate::feed::shown::without_secrets;
use crate::feed::snapshot::Snapshot;
use crate::json::{Elements, Message, Value};
use crate::key::same;
use crate::key::{Id, IdRef};
use crate::record::Kind;

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

    /// How often a connection may be tried to be made: [`Protocol::connect_pace`].
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
    name: &'s str,
    channels: &'static [&'static str],
    entities: &'s mut [Option<EntityIx>],
    sink: &'s mut S,
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

fn entity_name(name: &str, channel: &str) -> String {
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

/// Whether an id can stand in a request: not empty, without white space, quotes, commas or
/// controls, which no exchange has in a symbol.
///
/// # Errors
/// [`SubscribeError::BadId`] with what is wrong.
pub fn is_symbol(id: &str) -> Result<(), SubscribeError> {
    if id.is_empty() {
        return Err(SubscribeError::BadId(id.into(), "the symbol is empty"));
    }
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || "\"\\,".contains(c);
    if id.chars().any(forbidden) {
        let why = "the symbol holds a character that no symbol has";
        return Err(SubscribeError::BadId(id.into(), why));
    }
    Ok(())
}

/// A request made of a list: `before`, the items that `item` writes for each stream with commas
/// between, `after`. Holds at most `most` streams and about `bytes` bytes, but one stream at least.
///
/// # Errors
/// The request does not fit the queue.
pub(super) fn list_request(
    (before, after): (&str, &str),
    (most, bytes): (usize, usize),
    streams: &[&Subscription],
    answer: Answer,
    item: impl Fn(&Subscription) -> String,
    out: &mut Outbox,
) -> Result<Asked, SubscribeError> {
    let mut text = before.to_owned();
    let mut count = 0;
    for stream in streams.iter().take(most) {
        let item = item(stream);
        if count > 0 && text.len() + item.len() + after.len() + 1 > bytes {
            break;
        }
        let comma = if count > 0 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{item}");
        count += 1;
    }
    text.push_str(after);
    out.push(text)?;
    Ok(Asked { count, answer })
}

/// A JSON string. Symbols are checked, channels known; this keeps even others from breaking out.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What most exchanges call it.
pub(super) const fn verb_word(verb: Verb) -> &'static str {
    match verb {
        Verb::Subscribe => "subscribe",
        Verb::Unsubscribe => "unsubscribe",
    }
}

/// The streams from the first on that are of its channel, for exchanges whose requests are of one
/// channel each.
pub(super) fn of_one_channel<'s, 'a>(streams: &'s [&'a Subscription]) -> &'s [&'a Subscription] {
    let first = streams.first().map(|stream| &stream.channel);
    let count = streams
        .iter()
        .take_while(|stream| Some(&stream.channel) == first)
        .count();
    &streams[..count]
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
