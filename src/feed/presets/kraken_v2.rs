//! Kraken spot, version 2 of the interface: `ticker` and `trade`.
//!
//! Each element of `data` is a whole value, in a snapshot and in an update alike: a snapshot after a
//! reconnect replaces what was held. `ticker` has no numbering: what comes later is newer, whatever
//! its `timestamp` (a halted market may send zeros and a time of 1970). Of the trades of a symbol the
//! one with the highest `trade_id` is kept. Numbers are kept digit by digit.
//!
//! Each symbol of a request is acknowledged by itself, under the number of the request. The server
//! sends a heartbeat about every second in which it sends nothing else; a ping is sent every 30 s.
//! What is refused for the rate of requests is asked for again with it.
//! `status`, sent on connecting and when the trading engine changes its state, is control.
//!
//! Could not be verified, since no recording was found: the whole of it rests on the exchange's
//! documentation. Not documented at all: the rate limit, and how many symbols a request may hold.

use std::time::Duration;

use super::members::members;
use super::pending::Pending;
use super::requests::{list_request, of_one_channel, quoted, verb_word};
use super::venue::{Emit, Venue};
use crate::feed::config::Pace;
use crate::feed::outbox::{Outbox, OutboxFull};
use crate::feed::protocol::{
    Answer, Asked, Class, Control, Refusal, Sink, SubscribeError, Subscription, Update, Verb,
};
use crate::feed::reading::{TimeUnit, number};
use crate::feed::sequence::{Policy, Rule, Sequence};
use crate::json::Value;
use crate::record::Kind;

const CHANNELS: [&str; 2] = ["ticker", "trade"];
const TICKER: &str = "ticker";
const TRADE: usize = 1;

/// Messages a second. The limit is not documented, and varies with the load of the server.
const MESSAGES_PER_SECOND: u32 = 10;
/// Symbols and bytes of one request. The server documents no limit of its own.
const MAX_SYMBOLS: usize = 100;
const MAX_REQUEST: usize = 8000;
/// How often a ping is sent.
const PING: Duration = Duration::from_secs(30);

/// What makes the server send a ticker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trigger {
    /// Every trade: the server's own default. The best prices are as of the last trade.
    #[default]
    Trades,
    /// Every change of the best bid or ask: many more messages.
    Bbo,
}

/// The protocol of version 2 of Kraken's interface.
#[derive(Clone, Debug, Default)]
pub struct KrakenV2 {
    trigger: Trigger,
    pending: Pending,
}

impl KrakenV2 {
    /// What makes the server send a ticker, on every connection. Default: trades.
    #[must_use]
    pub const fn trigger(mut self, trigger: Trigger) -> Self {
        self.trigger = trigger;
        self
    }

    /// One symbol of a request has its answer.
    fn answered<'a>(&mut self, fields: &Fields<'a>, out: &mut Outbox) -> Control<'a> {
        let request = fields.request.and_then(number);
        let symbol_of = |value: Option<Value<'a>>| value?.get("symbol")?.str();
        let symbol = symbol_of(fields.result).or_else(|| fields.symbol?.str());
        let symbol = symbol.unwrap_or("");
        // A refusal does not name the channel: a request is of one.
        let is = |stream: &Subscription| *stream.id == *symbol;
        if fields.success.and_then(|success| success.bool()) == Some(true) {
            let channel = fields.result.and_then(|result| result.get("channel"));
            let channel = channel.and_then(|channel| channel.str());
            let method = fields.method.and_then(|method| method.str());
            if let (Some("subscribe"), Some(channel)) = (method, channel) {
                out.granted(channel, symbol);
            }
            return self.pending.granted_one(request, is);
        }
        let reason = fields.error.and_then(|error| error.str());
        let reason = reason.unwrap_or("no reason given");
        if symbol.is_empty() {
            // The request itself was not understood.
            return Control::Denied(request, reason);
        }
        self.pending.refused_one(request, is, reason, out)
    }
}

/// The time of a value. A market that stands still may have one that is none.
fn time_of(time: Value<'_>) -> Result<Option<u64>, Refusal> {
    let before_1970 = |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) && text < "1970";
    if time.is_null() || time.str().is_some_and(before_1970) {
        return Ok(None);
    }
    TimeUnit::Rfc3339.nanos(time).map(Some)
}

/// Where an element of `data` belongs and how it is numbered and timed.
fn read<'a>(channel: usize, value: Value<'a>) -> Result<(Option<Value<'a>>, Update), Refusal> {
    let [symbol, id, time] = value.pick(&["symbol", "trade_id", "timestamp"]);
    let time = time.map_or(Ok(None), time_of)?;
    let mut update = Update::whole().timed(time);
    if channel == TRADE {
        let id = id.and_then(number);
        let at = Sequence::at(id.ok_or(Refusal::BadSequence)?);
        update = update.numbered(Policy::continuing(Rule::SparseRising), at);
    }
    Ok((symbol, update))
}

members! {
    struct Fields {
        channel = "channel",
        data = "data",
        method = "method",
        request = "req_id",
        success = "success",
        result = "result",
        symbol = "symbol",
        error = "error",
    }
}

/// One request, for as many streams of one channel as it may hold.
fn request(
    trigger: Trigger,
    pending: &mut Pending,
    verb: Verb,
    number: u64,
    streams: &[&Subscription],
    out: &mut Outbox,
) -> Result<Asked, SubscribeError> {
    let streams = of_one_channel(streams);
    let channel = streams.first().map_or("", |stream| &*stream.channel);
    let verb_text = verb_word(verb);
    let trigger = match trigger {
        Trigger::Bbo if channel == TICKER => r#","event_trigger":"bbo""#,
        _ => "",
    };
    let snapshot = match verb {
        Verb::Subscribe => r#","snapshot":true"#,
        Verb::Unsubscribe => "",
    };
    let channel = quoted(channel);
    let before = format!(r#"{{"method":"{verb_text}","params":{{"channel":{channel},"symbol":["#);
    let after = format!(r#"]{trigger}{snapshot}}},"req_id":{number}}}"#);
    let asked = list_request(
        (&before, &after),
        (MAX_SYMBOLS, MAX_REQUEST),
        streams,
        Answer::Expected,
        |stream| quoted(&stream.id),
        out,
    )?;
    pending.asked(verb, number, &streams[..asked.count]);
    Ok(asked)
}

impl Venue for KrakenV2 {
    fn name(&self) -> &'static str {
        "kraken-v2"
    }

    fn channels(&self) -> &'static [&'static str] {
        &CHANNELS
    }

    fn base(&self) -> &'static str {
        "wss://ws.kraken.com/v2"
    }

    fn pace(&self) -> Option<Pace> {
        Pace::new(MESSAGES_PER_SECOND, Duration::from_secs(1))
    }

    fn opened(&mut self, _out: &mut Outbox) -> Result<(), OutboxFull> {
        self.pending.clear();
        Ok(())
    }

    fn heartbeat(&self) -> Option<Duration> {
        Some(PING)
    }

    fn beat(&mut self, out: &mut Outbox) {
        // A full queue is no harm: something is under way.
        let _ = out.push(r#"{"method":"ping"}"#);
        let trigger = self.trigger;
        self.pending.again(out, |pending, number, streams, out| {
            let asked = request(trigger, pending, Verb::Subscribe, number, streams, out);
            asked.ok().map(|asked| asked.count)
        });
    }

    fn request(
        &mut self,
        verb: Verb,
        number: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        request(self.trigger, &mut self.pending, verb, number, streams, out)
    }

    fn message<'a, S: Sink>(
        &mut self,
        root: Value<'a>,
        to: &mut Emit<'_, S>,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let fields = Fields::of(root);
        let text = |value: Option<Value<'a>>| value.and_then(|value| value.str());
        let channel = match (text(fields.channel), text(fields.method)) {
            (Some("heartbeat"), _) | (_, Some("pong")) => {
                return Ok(Class::Control(Control::Heartbeat));
            }
            (Some("status"), _) => return Ok(Class::Control(Control::Notice)),
            (Some(channel), _) => channel,
            (None, _) if fields.success.is_some() || fields.error.is_some() => {
                return Ok(Class::Control(self.answered(&fields, out)));
            }
            (None, _) => return Err(Refusal::Shape),
        };
        let Some(mapped) = to.channel(channel) else {
            return Ok(Class::Unmapped(channel));
        };
        let data = fields.data.ok_or(Refusal::NoPayload)?;
        if data.kind() != Kind::Array {
            return Err(Refusal::Shape);
        }
        for value in data.elements() {
            let (symbol, update) = read(mapped, value)?;
            to.patch(mapped, symbol, update, value)?;
        }
        Ok(match data.is_empty() {
            true => Class::Control(Control::Notice),
            false => Class::Data,
        })
    }
}

#[cfg(test)]
mod tests;
