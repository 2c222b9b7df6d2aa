//! Binance spot: `bookTicker`, `ticker` (24 hours) and `trade`, combined or raw.
//!
//! Each message is a whole value, which replaces the old one: the `data` object of a combined
//! message, a raw message itself. Entity: `<name>.<channel>`; id: the symbol `s`, as it is written.
//! Numbering: `u` of `bookTicker` and `t` of `trade` rise by any step and go on over reconnects;
//! `ticker` has only its event time. Other channels, and answers of the REST interface that stand
//! in a recording, are unmapped.
//!
//! Known from memory only, so that being wrong shows as an error of the server: `/stream` and `/ws`
//! accept connections without a stream in the URL.

use std::fmt::Write as _;
use std::time::Duration;

use crate::feed::config::Pace;
use crate::feed::outbox::Outbox;
use crate::feed::protocol::{
    Address, Answer, Asked, Claims, Class, Control, Covers, EntityIx, Protocol, Refusal, Sink,
    SubscribeError, Subscription, Update,
};
use crate::feed::reading::TimeUnit;
use crate::feed::sequence::{Policy, Rule, Sequence};
use crate::json::{Message, Value};
use crate::key::{Id, IdRef};

/// Streams that one connection may hold.
const MAX_STREAMS: usize = 1024;
/// Messages a second that the server accepts, less one: pongs count too and cannot wait.
const MESSAGES_PER_SECOND: u32 = 4;
/// Bytes of a URL beyond which streams are asked for by message instead.
const MAX_URL: usize = 4000;
/// Streams and bytes of one request.
const MAX_PARAMS: usize = 200;
const MAX_REQUEST: usize = 4000;
/// The channel under which messages without a stream are counted.
const NO_STREAM: &str = "(no stream)";
/// Characters that would end a stream's name in a URL or a JSON text.
const FORBIDDEN: &str = "\"\\/@?#&%+";

/// Which of Binance's endpoints is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endpoint {
    /// `/stream`: each message names its stream.
    #[default]
    Combined,
    /// `/ws`: messages come bare, and are recognised by what they hold.
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    BookTicker,
    Ticker,
    Trade,
}

impl Channel {
    const ALL: [Self; 3] = [Self::BookTicker, Self::Ticker, Self::Trade];

    const fn word(self) -> &'static str {
        match self {
            Self::BookTicker => "bookTicker",
            Self::Ticker => "ticker",
            Self::Trade => "trade",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.word() == word)
    }

    /// What a raw message calls itself in `e`.
    fn of_event(event: &str) -> Option<Self> {
        match event {
            "bookTicker" => Some(Self::BookTicker),
            "24hrTicker" => Some(Self::Ticker),
            "trade" => Some(Self::Trade),
            _ => None,
        }
    }
}

/// The protocol of Binance spot.
#[derive(Clone, Debug)]
pub struct BinanceSpot {
    name: Box<str>,
    base: Box<str>,
    endpoint: Endpoint,
    unit: TimeUnit,
    streams: Vec<Subscription>,
    entities: [Option<EntityIx>; Channel::ALL.len()],
}

impl Default for BinanceSpot {
    fn default() -> Self {
        Self::new()
    }
}

impl BinanceSpot {
    /// The public endpoint, no streams yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            name: "binance-spot".into(),
            base: "wss://stream.binance.com:9443".into(),
            endpoint: Endpoint::default(),
            unit: TimeUnit::default(),
            streams: Vec::new(),
            entities: [None; Channel::ALL.len()],
        }
    }

    /// What the feed is called, and the prefix of its entities. Default: `binance-spot`.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Where to connect to: scheme, host and port, without a path.
    #[must_use]
    pub fn base(mut self, url: &str) -> Self {
        self.base = url.trim_end_matches('/').into();
        self
    }

    /// Which endpoint to use. Messages of both are understood in any case.
    #[must_use]
    pub const fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// Asks the server for times in microseconds, and reads them so.
    #[must_use]
    pub const fn microseconds(mut self) -> Self {
        self.unit = TimeUnit::Microseconds;
        self
    }

    /// Best bid and ask of these symbols, on each change.
    #[must_use]
    pub fn book_ticker<N: AsRef<str>>(self, symbols: impl IntoIterator<Item = N>) -> Self {
        self.streams(Channel::BookTicker, symbols)
    }

    /// Statistics of the last 24 hours of these symbols, each second.
    #[must_use]
    pub fn ticker<N: AsRef<str>>(self, symbols: impl IntoIterator<Item = N>) -> Self {
        self.streams(Channel::Ticker, symbols)
    }

    /// The last trade of these symbols.
    #[must_use]
    pub fn trade<N: AsRef<str>>(self, symbols: impl IntoIterator<Item = N>) -> Self {
        self.streams(Channel::Trade, symbols)
    }

    fn streams<N: AsRef<str>>(
        mut self,
        channel: Channel,
        symbols: impl IntoIterator<Item = N>,
    ) -> Self {
        let streams = symbols
            .into_iter()
            .map(|s| Subscription::new(channel.word(), s.as_ref()));
        self.streams.extend(streams);
        self
    }

    fn entity_name(&self, channel: Channel) -> String {
        format!("{}.{}", self.name, channel.word())
    }

    fn entity<S: Sink>(&mut self, channel: Channel, sink: &mut S) -> Result<EntityIx, Refusal> {
        if let Some(entity) = self.entities[channel as usize] {
            return Ok(entity);
        }
        let entity = sink.entity(&self.entity_name(channel))?;
        self.entities[channel as usize] = Some(entity);
        Ok(entity)
    }

    fn emit<'a, S: Sink>(
        &mut self,
        channel: Channel,
        data: Value<'a>,
        fields: &Fields<'a>,
        sink: &mut S,
    ) -> Result<Class<'a>, Refusal> {
        let symbol = fields
            .symbol
            .ok_or(Refusal::NoId)?
            .str()
            .ok_or(Refusal::BadId)?;
        let number =
            |value: Option<Value<'a>>| value.and_then(|v| v.u64()).ok_or(Refusal::BadSequence);
        let rising = Policy::continuing(Rule::SparseRising);
        let time = fields.time.map(|time| self.unit.nanos(time)).transpose()?;
        let update = Update::whole().timed(time);
        let update = match channel {
            Channel::BookTicker => update.numbered(rising, Sequence::at(number(fields.update)?)),
            Channel::Trade => update.numbered(rising, Sequence::at(number(fields.trade)?)),
            Channel::Ticker => match time {
                Some(time) => {
                    update.numbered(Policy::continuing(Rule::Timestamp), Sequence::at(time))
                }
                None => update,
            },
        };
        let entity = self.entity(channel, sink)?;
        sink.patch(entity, IdRef::Text(symbol), update, data)?;
        Ok(Class::Data)
    }

    /// One request, for as many streams as it may hold.
    fn request(
        method: &str,
        request: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let mut text = format!(r#"{{"method":"{method}","params":["#);
        let mut count = 0;
        for stream in streams.iter().take(MAX_PARAMS) {
            let name = stream_name(stream);
            if count > 0 && text.len() + name.len() > MAX_REQUEST {
                break;
            }
            let comma = if count > 0 { "," } else { "" };
            // Nothing in a checked name needs an escape; writing to a String cannot fail.
            let _ = write!(text, r#"{comma}"{name}""#);
            count += 1;
        }
        let _ = write!(text, r#"],"id":{request}}}"#);
        out.push(text)?;
        Ok(Asked {
            count,
            answer: Answer::Expected,
        })
    }
}

/// The members of a payload that decide what it is.
#[derive(Default)]
struct Fields<'a> {
    event: Option<Value<'a>>,
    symbol: Option<Value<'a>>,
    update: Option<Value<'a>>,
    trade: Option<Value<'a>>,
    time: Option<Value<'a>>,
    /// Which of `b`, `B`, `a`, `A` are there.
    book: u8,
}

impl<'a> Fields<'a> {
    fn of(data: Value<'a>) -> Self {
        let mut fields = Self::default();
        for (name, value) in data.members() {
            match name.as_str() {
                "e" => fields.event = Some(value),
                "s" => fields.symbol = Some(value),
                "u" => fields.update = Some(value),
                "t" => fields.trade = Some(value),
                "E" => fields.time = Some(value),
                "b" => fields.book |= 1,
                "B" => fields.book |= 2,
                "a" => fields.book |= 4,
                "A" => fields.book |= 8,
                _ => {}
            }
        }
        fields
    }

    /// A raw `bookTicker` carries no `e`: it is known by what it holds.
    fn is_book_ticker(&self) -> bool {
        self.book == 15 && self.symbol.is_some() && self.update.is_some()
    }
}

/// The members around a payload.
#[derive(Default)]
struct Frame<'a> {
    stream: Option<Value<'a>>,
    data: Option<Value<'a>>,
    result: Option<Value<'a>>,
    error: Option<Value<'a>>,
    id: Option<Value<'a>>,
    code: Option<Value<'a>>,
    msg: Option<Value<'a>>,
}

impl<'a> Frame<'a> {
    fn of(root: Value<'a>) -> Self {
        let mut frame = Self::default();
        for (name, value) in root.members() {
            match name.as_str() {
                "stream" => frame.stream = Some(value),
                "data" => frame.data = Some(value),
                "result" => frame.result = Some(value),
                "error" => frame.error = Some(value),
                "id" => frame.id = Some(value),
                "code" => frame.code = Some(value),
                "msg" => frame.msg = Some(value),
                _ => {}
            }
        }
        frame
    }

    /// The answer to a request, if that is what the message is.
    fn answer(&self) -> Option<Control<'a>> {
        let request = self.id.and_then(|id| id.u64());
        let text =
            |msg: Option<Value<'a>>| msg.and_then(|msg| msg.str()).unwrap_or("no reason given");
        if let Some(error) = self.error {
            return Some(Control::Denied(request, text(error.get("msg"))));
        }
        if self.code.is_some() && self.msg.is_some() {
            return Some(Control::Denied(request, text(self.msg)));
        }
        match (self.result, self.id) {
            (Some(_), Some(_)) => Some(request.map_or(Control::Notice, Control::Granted)),
            _ => None,
        }
    }
}

impl Protocol for BinanceSpot {
    fn name(&self) -> &str {
        &self.name
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: Channel::ALL
                .map(|channel| self.entity_name(channel).into())
                .into(),
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn address(&self, wanted: &[&Subscription]) -> Option<Address> {
        let (path, most) = match self.endpoint {
            Endpoint::Combined => ("/stream", usize::MAX),
            Endpoint::Raw => ("/ws", 1),
        };
        let mut url = format!("{}{path}", self.base);
        let mut carries = 0;
        for stream in wanted.iter().take(most) {
            let name = percent_encoded(&stream_name(stream));
            if url.len() + name.len() > MAX_URL {
                break;
            }
            url.push_str(match (self.endpoint, carries) {
                (Endpoint::Combined, 0) => "?streams=",
                _ => "/",
            });
            url.push_str(&name);
            carries += 1;
        }
        if self.unit == TimeUnit::Microseconds {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str("timeUnit=MICROSECOND");
        }
        Some(Address { url, carries })
    }

    fn initial(&self) -> Vec<Subscription> {
        self.streams.clone()
    }

    fn capacity(&self) -> usize {
        MAX_STREAMS
    }

    fn pace(&self) -> Option<Pace> {
        Pace::new(MESSAGES_PER_SECOND, Duration::from_secs(1))
    }

    fn value_of(&self, subscription: &Subscription) -> Option<(String, Id)> {
        let channel = Channel::of_word(&subscription.channel)?;
        Some((
            self.entity_name(channel),
            Id::from(subscription.id.to_uppercase()),
        ))
    }

    fn check(&self, subscription: &Subscription) -> Result<(), SubscribeError> {
        let Subscription { channel, id } = subscription;
        if Channel::of_word(channel).is_none() {
            return Err(SubscribeError::UnknownChannel(channel.clone()));
        }
        if id.is_empty() {
            return Err(SubscribeError::BadId(id.clone(), "the symbol is empty"));
        }
        if id
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || FORBIDDEN.contains(c))
        {
            let why = "the symbol holds a character that no symbol has";
            return Err(SubscribeError::BadId(id.clone(), why));
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        request: u64,
        wanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        Self::request("SUBSCRIBE", request, wanted, out)
    }

    fn unsubscribe(
        &mut self,
        request: u64,
        unwanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        Self::request("UNSUBSCRIBE", request, unwanted, out)
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        _out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let root = message.root();
        if !root.is_object() {
            return Err(Refusal::Shape);
        }
        let frame = Frame::of(root);
        if let Some(stream) = frame.stream {
            let stream = stream.str().ok_or(Refusal::Shape)?;
            if stream == "!serverShutdown" {
                return Ok(Class::Control(Control::Closing));
            }
            // Streams of all symbols begin with `!` and are named whole.
            let word = match stream.split_once('@') {
                Some((_, word)) if !stream.starts_with('!') => word,
                _ => stream,
            };
            let Some(channel) = Channel::of_word(word) else {
                return Ok(Class::Unmapped(word));
            };
            let data = frame.data.ok_or(Refusal::NoPayload)?;
            if !data.is_object() {
                return Err(Refusal::Shape);
            }
            return self.emit(channel, data, &Fields::of(data), sink);
        }
        if let Some(control) = frame.answer() {
            return Ok(Class::Control(control));
        }
        let fields = Fields::of(root);
        let event = fields
            .event
            .map(|event| event.str().ok_or(Refusal::Shape))
            .transpose()?;
        match event {
            Some("serverShutdown") => Ok(Class::Control(Control::Closing)),
            Some(event) => match Channel::of_event(event) {
                Some(channel) => self.emit(channel, root, &fields, sink),
                None => Ok(Class::Unmapped(event)),
            },
            None if fields.is_book_ticker() => self.emit(Channel::BookTicker, root, &fields, sink),
            None => Ok(Class::Unmapped(NO_STREAM)),
        }
    }
}

/// The stream's name on the wire: symbols are written small there.
fn stream_name(stream: &Subscription) -> String {
    format!("{}@{}", stream.id.to_lowercase(), stream.channel)
}

/// Symbols may hold letters beyond ASCII, URLs may not.
fn percent_encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'@' | b'.' | b'_' | b'-' | b'!' => encoded.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => encoded.push(byte.into()),
            // Writing to a String cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
