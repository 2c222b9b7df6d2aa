//! Binance: spot, USD-M futures and COIN-M futures, combined or raw.
//!
//! Each message is a whole value, which replaces the old one: the `data` object of a combined
//! message or each element of a `data` array, a raw message itself or each of its elements.
//! Entity: `<name>.<channel>`; the channel is that of the stream without symbol, speed and `!…@arr`
//! (`btcusdt@markPrice@1s` and `!markPrice@arr` are both `markPrice`); id: the symbol `s` as it is
//! written, of `forceOrder` that of the order `o`, of `indexPrice` the pair `i`.
//!
//! Numbering: `u` of `bookTicker`, `t` of `trade` and `a` of `aggTrade` rise by any step and go on
//! over reconnects; the others have only their event time. Books, candles and all other channels,
//! and answers of the REST interface that stand in a recording, are unmapped.
//!
//! # What could not be verified
//!
//! * From memory: `/stream` and `/ws` accept connections without a stream in the URL; a wrong guess
//!   shows as a refused handshake.
//! * Streams that do not exist are acknowledged and stay silent. Only silence tells.
//! * USD-M is served on two routes since 2026-04 (`/public`: books and best prices; `/market`: the
//!   rest), and a stream that is asked for on the other route is acknowledged and stays silent: it
//!   is refused here instead. That `trade`, which is not documented there, is on `/public` is what
//!   one user saw. COIN-M has no routes, by what its clients say.
//! * How many streams a futures connection may hold was 200 and reads 1,024 elsewhere: 200 is kept.
//! * `serverShutdown` is documented for spot; futures are believed to send it in the same form.

use std::time::Duration;

use super::exchange::{Exchange, is_array};
use super::requests::{is_symbol, list_request};
use super::snapshots;
use super::venue::{Emit, Venue};
use crate::feed::config::Pace;
use crate::feed::outbox::Outbox;
use crate::feed::protocol::{
    Address, Answer, Asked, Class, Control, Refusal, Sink, SubscribeError, Subscription, Update,
    Verb,
};
use crate::feed::reading::TimeUnit;
use crate::feed::sequence::{Policy, Rule, Sequence};
use crate::feed::snapshot::Snapshot;
use crate::json::Value;
use crate::key::Id;

mod market;
mod wire;

use market::channel_of_stream;
pub use market::{BinanceMarket, BinanceRoute, Endpoint};
use wire::{
    Frame, channel_of, channel_of_event, is_book_ticker, members_of, percent_encoded, stream_name,
};

/// Bytes of a URL beyond which streams are asked for by message instead.
const MAX_URL: usize = 4000;
/// Streams and bytes of one request.
const MAX_PARAMS: usize = 200;
const MAX_REQUEST: usize = 4000;
/// How long a connection is valid.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The channel under which messages without a stream are counted.
const NO_STREAM: &str = "(no stream)";
/// Characters that would end a stream's name in a URL.
const FORBIDDEN: &str = "/@?#&%+!";

/// What is particular to Binance.
#[derive(Clone, Debug, Default)]
pub struct Binance {
    market: BinanceMarket,
    endpoint: Endpoint,
    unit: TimeUnit,
    route: Option<BinanceRoute>,
}

/// The protocol of Binance, spot unless its [`Venue`] says otherwise.
pub type BinanceSpot = Exchange<Binance>;

impl Binance {
    /// One of its markets.
    #[must_use]
    pub fn of(market: BinanceMarket) -> Self {
        Self {
            market,
            ..Self::default()
        }
    }

    /// Which endpoint to use. Messages of both are understood in any case.
    #[must_use]
    pub const fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// Asks the server for times in microseconds, and reads them so. Spot only: the others have no
    /// such choice, and go on in milliseconds.
    #[must_use]
    pub fn microseconds(mut self) -> Self {
        if self.market == BinanceMarket::Spot {
            self.unit = TimeUnit::Microseconds;
        }
        self
    }

    /// Which part of the streams of USD-M futures is carried. Default: that of the first stream
    /// that is wanted. Without effect where there are no routes, and with a base of one's own: that
    /// is used as it is.
    #[must_use]
    pub const fn route(mut self, route: BinanceRoute) -> Self {
        self.route = Some(route);
        self
    }

    /// The route of a connection to `base`, if there are routes.
    fn route_at(&self, base: &str) -> Option<BinanceRoute> {
        let has_routes = self.market == BinanceMarket::Usdm && base == self.base();
        has_routes.then(|| self.route.unwrap_or(BinanceRoute::Public))
    }

    #[inline]
    fn emit<S: Sink>(
        &self,
        channel: usize,
        data: Value<'_>,
        to: &mut Emit<'_, S>,
    ) -> Result<(), Refusal> {
        let word = self.market.channels()[channel];
        let [time, symbol, number] = data.pick(members_of(word));
        let time = time.map(|time| self.unit.nanos(time)).transpose()?;
        let update = Update::whole().timed(time);
        let update = match (word, time) {
            ("bookTicker" | "trade" | "aggTrade", _) => {
                let number = number.and_then(|number| number.u64());
                let at = Sequence::at(number.ok_or(Refusal::BadSequence)?);
                update.numbered(Policy::continuing(Rule::SparseRising), at)
            }
            (_, Some(time)) => {
                update.numbered(Policy::continuing(Rule::Timestamp), Sequence::at(time))
            }
            (_, None) => update,
        };
        let symbol = match word {
            "forceOrder" => symbol.and_then(|order| order.pick(&["s"])[0]),
            _ => symbol,
        };
        to.patch(channel, symbol, update, data)
    }

    /// A combined message's payload: one value, or many.
    #[inline]
    fn combined<'a, S: Sink>(
        &self,
        channel: usize,
        data: Value<'a>,
        to: &mut Emit<'_, S>,
    ) -> Result<Class<'a>, Refusal> {
        if data.is_object() {
            self.emit(channel, data, to)?;
            return Ok(Class::Data);
        }
        if !is_array(data) {
            return Err(Refusal::Shape);
        }
        let mut class = Class::Control(Control::Notice);
        for element in data.elements() {
            if !element.is_object() {
                return Err(Refusal::Shape);
            }
            self.emit(channel, element, to)?;
            class = Class::Data;
        }
        Ok(class)
    }

    /// A raw message, or one of many.
    #[inline]
    fn raw<'a, S: Sink>(
        &self,
        data: Value<'a>,
        to: &mut Emit<'_, S>,
    ) -> Result<Class<'a>, Refusal> {
        let [event] = data.pick(&["e"]);
        let word = match event {
            Some(event) => channel_of_event(event.str().ok_or(Refusal::Shape)?),
            None if is_book_ticker(data) => "bookTicker",
            None => NO_STREAM,
        };
        if word == "serverShutdown" {
            return Ok(Class::Control(Control::Closing));
        }
        let Some(channel) = to.channel(word) else {
            return Ok(Class::Unmapped(word));
        };
        self.emit(channel, data, to)?;
        Ok(Class::Data)
    }
}

impl Venue for Binance {
    fn name(&self) -> &'static str {
        match self.market {
            BinanceMarket::Spot => "binance-spot",
            BinanceMarket::Usdm => "binance-usdm",
            BinanceMarket::Coinm => "binance-coinm",
        }
    }

    fn channels(&self) -> &'static [&'static str] {
        self.market.channels()
    }

    fn snapshot(&self, channel: &str, symbol: &str) -> Option<Snapshot> {
        let snapshot = snapshots::binance::snapshot(self.market, channel, symbol)?;
        Some(match self.unit {
            TimeUnit::Microseconds => snapshot.header("X-MBX-TIME-UNIT", "MICROSECOND"),
            _ => snapshot,
        })
    }

    fn base(&self) -> &'static str {
        match self.market {
            BinanceMarket::Spot => "wss://stream.binance.com:9443",
            BinanceMarket::Usdm => "wss://fstream.binance.com",
            BinanceMarket::Coinm => "wss://dstream.binance.com",
        }
    }

    fn address(&self, base: &str, wanted: &[&Subscription]) -> Address {
        let route = self.route_at(base).map_or("", BinanceRoute::path);
        let (path, most) = match self.endpoint {
            Endpoint::Combined => ("/stream", usize::MAX),
            Endpoint::Raw => ("/ws", 1),
        };
        let mut url = format!("{base}{route}{path}");
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
        Address { url, carries }
    }

    fn wants(&mut self, stream: &Subscription) {
        self.route
            .get_or_insert_with(|| BinanceRoute::of(&stream.channel));
    }

    fn serves(&self, base: &str, stream: &Subscription) -> Result<(), SubscribeError> {
        let why = match (self.route_at(base), BinanceRoute::of(&stream.channel)) {
            (Some(BinanceRoute::Public), BinanceRoute::Market) => {
                "it is served on /market, and this feed connects to /public: \
                 attach another feed, under a name of its own"
            }
            (Some(BinanceRoute::Market), BinanceRoute::Public) => {
                "it is served on /public, and this feed connects to /market: \
                 attach another feed, under a name of its own"
            }
            _ => return Ok(()),
        };
        Err(SubscribeError::BadId(stream.channel.clone(), why))
    }

    fn check(&self, stream: &Subscription) -> Result<(), SubscribeError> {
        let Subscription { channel, id } = stream;
        if channel.starts_with('!') {
            if !self.market.of_all().contains(&&**channel) {
                return Err(SubscribeError::UnknownChannel(channel.clone()));
            }
            if !id.is_empty() {
                let why = "a stream of all symbols takes an empty id";
                return Err(SubscribeError::BadId(id.clone(), why));
            }
            return Ok(());
        }
        let (word, speed) = channel.split_once('@').unwrap_or((channel, ""));
        let has_speed = matches!(word, "markPrice" | "indexPrice") && speed == "1s";
        let known = self.channels().contains(&word) && (word == &**channel || has_speed);
        if !known {
            return Err(SubscribeError::UnknownChannel(channel.clone()));
        }
        is_symbol(id)?;
        if id.chars().any(|c| FORBIDDEN.contains(c)) {
            let why = "the symbol holds a character that no symbol has";
            return Err(SubscribeError::BadId(id.clone(), why));
        }
        Ok(())
    }

    fn value_of(&self, stream: &Subscription) -> Option<(&'static str, Id)> {
        if stream.channel.starts_with('!') {
            return None;
        }
        let word = channel_of_stream(&stream.channel);
        let mut channels = self.channels().iter().copied();
        let channel = channels.find(|channel| *channel == word)?;
        // Of a pair come the values of all its contracts.
        let is_pair = self.market == BinanceMarket::Coinm && !stream.id.contains('_');
        if is_pair && channel == "markPrice" {
            return None;
        }
        Some((channel, Id::from(stream.id.to_uppercase())))
    }

    fn capacity(&self) -> usize {
        match self.market {
            BinanceMarket::Spot => 1024,
            BinanceMarket::Usdm | BinanceMarket::Coinm => 200,
        }
    }

    /// One less than allowed: pongs count too, and cannot wait.
    fn connect_pace(&self) -> Option<Pace> {
        // 300 in 5 minutes from one address, for two connections.
        Pace::new(300 / 2, Duration::from_secs(300))
    }

    fn pace(&self) -> Option<Pace> {
        let messages = match self.market {
            BinanceMarket::Spot => 5 - 1,
            BinanceMarket::Usdm | BinanceMarket::Coinm => 10 - 1,
        };
        Pace::new(messages, Duration::from_secs(1))
    }

    fn lifetime(&self) -> Option<Duration> {
        Some(LIFETIME)
    }

    fn request(
        &mut self,
        verb: Verb,
        request: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let method = match verb {
            Verb::Subscribe => "SUBSCRIBE",
            Verb::Unsubscribe => "UNSUBSCRIBE",
        };
        let before = format!(r#"{{"method":"{method}","params":["#);
        let after = format!(r#"],"id":{request}}}"#);
        // Nothing in a checked name needs an escape.
        let item = |stream: &Subscription| format!(r#""{}""#, stream_name(stream));
        let most = (MAX_PARAMS, MAX_REQUEST);
        list_request(
            (&before, &after),
            most,
            streams,
            Answer::Expected,
            item,
            out,
        )
    }

    #[inline]
    fn message<'a, S: Sink>(
        &mut self,
        root: Value<'a>,
        to: &mut Emit<'_, S>,
        _out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        if !root.is_object() {
            return self.array(root, to);
        }
        let [stream, data] = root.pick(&["stream", "data"]);
        if let Some(stream) = stream {
            let stream = stream.string().ok_or(Refusal::Shape)?;
            if stream == b"!serverShutdown" {
                return Ok(Class::Control(Control::Closing));
            }
            let word = channel_of(stream);
            let Some(channel) = to.channel_named(word) else {
                // It ends at an ASCII byte, and is a text as the whole is.
                let word = std::str::from_utf8(word).unwrap_or_default();
                return Ok(Class::Unmapped(word));
            };
            return self.combined(channel, data.ok_or(Refusal::NoPayload)?, to);
        }
        if let Some(control) = Frame::of(root).answer() {
            return Ok(Class::Control(control));
        }
        self.raw(root, to)
    }
}

impl Binance {
    /// A raw message of many values. It is data if any of them is.
    fn array<'a, S: Sink>(
        &self,
        root: Value<'a>,
        to: &mut Emit<'_, S>,
    ) -> Result<Class<'a>, Refusal> {
        let mut class = None;
        for element in root.elements() {
            if !element.is_object() {
                return Err(Refusal::Shape);
            }
            let this = self.raw(element, to)?;
            if class.is_none() || this == Class::Data {
                class = Some(this);
            }
        }
        class.ok_or(Refusal::Shape)
    }
}

impl BinanceSpot {
    /// Spot: the public endpoint, no streams yet.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Binance::default())
    }

    /// Which endpoint to use. Messages of both are understood in any case.
    #[must_use]
    pub fn endpoint(self, endpoint: Endpoint) -> Self {
        self.with(|venue| venue.endpoint(endpoint))
    }

    /// Asks the server for times in microseconds, and reads them so. Spot only.
    #[must_use]
    pub fn microseconds(self) -> Self {
        self.with(Binance::microseconds)
    }

    /// Best bid and ask of these symbols, on each change.
    #[must_use]
    pub fn book_ticker<N: AsRef<str>>(self, symbols: impl IntoIterator<Item = N>) -> Self {
        self.stream("bookTicker", symbols)
    }

    /// Statistics of the last 24 hours of these symbols, each second.
    #[must_use]
    pub fn ticker<N: AsRef<str>>(self, symbols: impl IntoIterator<Item = N>) -> Self {
        self.stream("ticker", symbols)
    }

    /// The last trade of these symbols.
    #[must_use]
    pub fn trade<N: AsRef<str>>(self, symbols: impl IntoIterator<Item = N>) -> Self {
        self.stream("trade", symbols)
    }
}

impl Default for BinanceSpot {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod scripts;
#[cfg(test)]
mod tests;
