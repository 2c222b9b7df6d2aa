//! Bybit v5, public: linear and inverse contracts, spot.
//!
//! Topics are `<channel>.<symbol>`. Entity: `<name>.<channel>`; id: the symbol inside the payload.
//!
//! * `tickers` of contracts: a `snapshot` is a whole value, a `delta` an RFC 7396 merge patch. A
//!   delta without a snapshot before it is ignored and counted as missing; on a new connection it
//!   never makes a value live, the snapshot that the server begins with does. `tickers` of spot are
//!   snapshots only.
//! * `publicTrade`, `allLiquidation`, and `liquidation`, which the latter replaces: each element is
//!   a whole value, the last one stays.
//! * `orderbook`, `kline` and whatever else comes are unmapped.
//!
//! Numbering: `cs` of `tickers` and `seq` of `publicTrade` rise and may repeat, with another
//! payload; each connection begins anew with a snapshot, so numbers of two are not compared. `ts`
//! is the source time. Liquidations have their time only. Ids of trades are no numbers.
//!
//! # What could not be verified
//!
//! * From memory: at most 10 topics in a request to spot; a request that names a topic twice, or
//!   one that is subscribed to, is answered `error:already subscribed` (clients report it).
//! * No rate of messages is documented: 10 a second is a choice of ours.
//! * 500 connections in 5 minutes from one address are allowed; this is not kept track of.

use std::collections::BTreeMap;
use std::time::Duration;

use super::exchange::is_array;
use super::members::members;
use super::requests::{list_request, quoted, verb_word};
use super::snapshots;
use super::venue::{Emit, Venue};
use crate::feed::config::Pace;
use crate::feed::outbox::{Outbox, OutboxFull};
use crate::feed::protocol::{
    Answer, Asked, Class, Control, Missing, Refusal, Sink, SubscribeError, Subscription, Update,
    Verb,
};
use crate::feed::reading::{TimeUnit, number};
use crate::feed::sequence::{Policy, Rule, Sequence};
use crate::feed::snapshot::Snapshot;
use crate::json::Value;
use crate::record::Mode;

/// Topics of one request to spot.
const SPOT_ARGS: usize = 10;
/// Characters of the topics that one connection to contracts may ask for, as their JSON array: with
/// two brackets, and no comma after the last.
const MAX_ARGS: usize = 21_000 - 1;
/// How often a sign of life is sent.
const BEAT: Duration = Duration::from_secs(20);
/// Messages a second.
const MESSAGES_PER_SECOND: u32 = 10;

/// One of Bybit's categories: each has an endpoint of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BybitCategory {
    /// Contracts settled in USDT and USDC.
    Linear,
    /// Contracts settled in coins.
    Inverse,
    /// Spot.
    Spot,
}

/// What is particular to Bybit.
#[derive(Clone, Debug)]
pub struct Bybit {
    category: BybitCategory,
    /// Characters of the topics that the present connection was asked for.
    args: usize,
    /// Those of each request that is not answered yet: a refused one gives them back.
    open: BTreeMap<u64, usize>,
}

impl Bybit {
    /// One of its categories.
    #[must_use]
    pub const fn of(category: BybitCategory) -> Self {
        Self {
            category,
            args: 0,
            open: BTreeMap::new(),
        }
    }

    /// How many of these topics one request may hold, and their characters.
    fn room(&self, verb: Verb, streams: &[&Subscription]) -> (usize, usize) {
        let held = match verb {
            Verb::Subscribe => self.args,
            Verb::Unsubscribe => 0,
        };
        let (most, budget) = match self.category {
            BybitCategory::Spot => (SPOT_ARGS, usize::MAX),
            _ => (usize::MAX, MAX_ARGS.saturating_sub(held)),
        };
        let (mut count, mut total) = (0, 0);
        for stream in streams.iter().take(most) {
            let length = arg_length(stream);
            if length > budget - total {
                break;
            }
            count += 1;
            total += length;
        }
        (count, total)
    }

    /// The server has answered a request.
    fn answered(&mut self, answer: Control<'_>) {
        match answer {
            Control::Granted(request) => {
                self.open.remove(&request);
            }
            Control::Denied(Some(request), _) => {
                let given_back = self.open.remove(&request).unwrap_or_default();
                self.args = self.args.saturating_sub(given_back);
            }
            _ => {}
        }
    }
}

/// `<channel>.<symbol>`.
fn topic(stream: &Subscription) -> String {
    format!("{}.{}", stream.channel, stream.id)
}

/// What a topic takes of the array: its quotes and a comma, too.
fn arg_length(stream: &Subscription) -> usize {
    quoted(&topic(stream)).chars().count() + 1
}

/// The name of a request: its number, and for how many topics it asks.
fn request_name(request: u64, topics: usize) -> String {
    format!("{request}/{topics}")
}

/// The number of a request, and whether it asks for one topic only.
fn request_of(name: &str) -> (Option<u64>, bool) {
    let (request, topics) = name.split_once('/').unwrap_or((name, ""));
    (request.parse().ok(), topics == "1")
}

/// Whether a refusal says no more than that the topic is held already.
fn is_repetition(reason: &str) -> bool {
    reason.contains("already subscribed")
}

members! {
    /// The members of a message.
    struct Frame {
        topic = "topic",
        kind = "type",
        data = "data",
        number = "cs",
        time = "ts",
        op = "op",
        success = "success",
        reason = "ret_msg",
        request = "req_id",
    }
}

impl<'a> Frame<'a> {
    /// What a message without a topic says.
    fn control(&self) -> Result<Control<'a>, Refusal> {
        let op = self.op.and_then(|op| op.str());
        let success = self.success.and_then(|success| success.bool());
        let reason = self.reason.and_then(|reason| reason.str());
        let request = self.request.and_then(|request| request.str());
        let (request, is_single) = request.map_or((None, false), request_of);
        match (op, success) {
            (Some("ping" | "pong"), _) => Ok(Control::Heartbeat),
            (Some("subscribe" | "unsubscribe"), Some(true)) => {
                Ok(request.map_or(Control::Notice, Control::Granted))
            }
            // On another connection of the same session, or for a part of an earlier request.
            (Some("subscribe"), Some(false)) if is_single && reason.is_some_and(is_repetition) => {
                Ok(request.map_or(Control::Notice, Control::Granted))
            }
            (_, Some(false)) => {
                let reason = reason.filter(|reason| !reason.is_empty());
                Ok(Control::Denied(
                    request,
                    reason.unwrap_or("no reason given"),
                ))
            }
            (Some(_), _) => Ok(Control::Notice),
            (None, _) => Err(Refusal::Shape),
        }
    }
}

impl Frame<'_> {
    /// The update, with the number if there is one, and the time.
    fn numbered(update: Update, number: Option<u64>, time: Option<u64>) -> Update {
        let update = update.timed(time);
        match (number, time) {
            (Some(number), _) => update.numbered(
                Policy::restarting(Rule::RisingEqualAllowed),
                Sequence::at(number),
            ),
            (None, Some(time)) => {
                update.numbered(Policy::continuing(Rule::Timestamp), Sequence::at(time))
            }
            (None, None) => update,
        }
    }

    fn tickers<S: Sink>(&self, channel: usize, to: &mut Emit<'_, S>) -> Result<(), Refusal> {
        let data = self.data.ok_or(Refusal::NoPayload)?;
        let update = match self.kind.and_then(|kind| kind.str()) {
            Some("snapshot") => Update::whole(),
            Some("delta") => Update {
                mode: Mode::Merge,
                missing: Missing::Ignore,
                ..Update::patch()
            },
            _ => return Err(Refusal::Shape),
        };
        let cs = self.number.ok_or(Refusal::BadSequence)?;
        let cs = number(cs).ok_or(Refusal::BadSequence)?;
        let time = self.time.map(|time| MILLIS.nanos(time)).transpose()?;
        let update = Self::numbered(update, Some(cs), time);
        let [symbol] = data.pick(&["symbol"]);
        to.patch(channel, symbol, update, data)
    }

    /// Elements that are whole values, or one that stands alone.
    fn elements<S: Sink>(&self, channel: usize, to: &mut Emit<'_, S>) -> Result<bool, Refusal> {
        let data = self.data.ok_or(Refusal::NoPayload)?;
        if data.is_object() {
            self.element(channel, data, to)?;
            return Ok(true);
        }
        if !is_array(data) {
            return Err(Refusal::Shape);
        }
        let mut any = false;
        for element in data.elements() {
            self.element(channel, element, to)?;
            any = true;
        }
        Ok(any)
    }

    fn element<S: Sink>(
        &self,
        channel: usize,
        element: Value<'_>,
        to: &mut Emit<'_, S>,
    ) -> Result<(), Refusal> {
        // Either is called by one of two names, depending on the channel.
        let names = &["s", "symbol", "seq", "T", "updatedTime"];
        let [symbol, long_symbol, seq, time, long_time] = element.pick(names);
        let (symbol, time) = (symbol.or(long_symbol), time.or(long_time));
        let seq = seq.map(|seq| number(seq).ok_or(Refusal::BadSequence));
        let time = time.or(self.time).map(|time| MILLIS.nanos(time));
        let update = Self::numbered(Update::whole(), seq.transpose()?, time.transpose()?);
        to.patch(channel, symbol, update, element)
    }
}

/// All times.
const MILLIS: TimeUnit = TimeUnit::Milliseconds;

impl Venue for Bybit {
    fn name(&self) -> &'static str {
        match self.category {
            BybitCategory::Linear => "bybit-linear",
            BybitCategory::Inverse => "bybit-inverse",
            BybitCategory::Spot => "bybit-spot",
        }
    }

    fn channels(&self) -> &'static [&'static str] {
        match self.category {
            BybitCategory::Linear | BybitCategory::Inverse => {
                &["tickers", "publicTrade", "allLiquidation", "liquidation"]
            }
            BybitCategory::Spot => &["tickers", "publicTrade"],
        }
    }

    fn snapshot(&self, channel: &str, symbol: &str) -> Option<Snapshot> {
        let spot = self.category == BybitCategory::Spot;
        spot.then(|| snapshots::bybit::spot(channel, symbol))?
    }

    fn base(&self) -> &'static str {
        match self.category {
            BybitCategory::Linear => "wss://stream.bybit.com/v5/public/linear",
            BybitCategory::Inverse => "wss://stream.bybit.com/v5/public/inverse",
            BybitCategory::Spot => "wss://stream.bybit.com/v5/public/spot",
        }
    }

    fn connect_pace(&self) -> Option<Pace> {
        // 500 in 5 minutes from one address, for two connections.
        Pace::new(500 / 2, Duration::from_secs(300))
    }

    fn pace(&self) -> Option<Pace> {
        Pace::new(MESSAGES_PER_SECOND, Duration::from_secs(1))
    }

    fn opened(&mut self, _out: &mut Outbox) -> Result<(), OutboxFull> {
        self.args = 0;
        self.open.clear();
        Ok(())
    }

    fn heartbeat(&self) -> Option<Duration> {
        Some(BEAT)
    }

    fn beat(&mut self, out: &mut Outbox) {
        // If the queue is full, something is under way.
        let _ = out.push(r#"{"op":"ping"}"#);
    }

    fn request(
        &mut self,
        verb: Verb,
        request: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let op = verb_word(verb);
        let (most, length) = self.room(verb, streams);
        if most == 0 {
            let why = "the connection holds the 21,000 characters of topics that it may";
            let first = streams.first().map(|stream| stream.id.clone());
            return Err(SubscribeError::BadId(first.unwrap_or_default(), why));
        }
        let name = request_name(request, most);
        let before = format!(r#"{{"req_id":"{name}","op":"{op}","args":["#);
        let item = |stream: &Subscription| quoted(&topic(stream));
        let limits = (most, usize::MAX);
        let asked = list_request(
            (&before, "]}"),
            limits,
            streams,
            Answer::Expected,
            item,
            out,
        )?;
        match verb {
            Verb::Subscribe => {
                self.args += length;
                self.open.insert(request, length);
            }
            Verb::Unsubscribe => self.args = self.args.saturating_sub(length),
        }
        Ok(asked)
    }

    #[inline]
    fn message<'a, S: Sink>(
        &mut self,
        root: Value<'a>,
        to: &mut Emit<'_, S>,
        _out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        if !root.is_object() {
            return Err(Refusal::Shape);
        }
        let frame = Frame::of(root);
        let Some(topic) = frame.topic else {
            let control = frame.control()?;
            self.answered(control);
            return Ok(Class::Control(control));
        };
        let topic = topic.str().ok_or(Refusal::Shape)?;
        let word = topic.split_once('.').map_or(topic, |(word, _)| word);
        let Some(channel) = to.channel(word) else {
            return Ok(Class::Unmapped(word));
        };
        if word == "tickers" {
            frame.tickers(channel, to)?;
            return Ok(Class::Data);
        }
        let any = frame.elements(channel, to)?;
        Ok(if any {
            Class::Data
        } else {
            Class::Control(Control::Notice)
        })
    }
}

#[cfg(test)]
mod scripts;
#[cfg(test)]
mod tests;
