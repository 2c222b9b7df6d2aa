//! Coinbase Advanced Trade: `ticker`, `ticker_batch` and `market_trades`.
//!
//! Each of `events[].tickers[]` is a whole value, in a snapshot and in an update alike, and so is
//! each of `events[].trades[]`: the trade of a product with the highest `trade_id` is the one that
//! is kept, whatever the order in the message. Source time: `timestamp` of the message for tickers,
//! `time` of the trade for trades.
//!
//! `sequence_num` counts the messages of the connection, of every channel, acknowledgements and
//! heartbeats included: a hole makes every value of the feed suspect. A channel on which nothing
//! happens is closed after 60 to 90 s unless `heartbeats` is subscribed to, so it always is.
//!
//! Known from memory only: that requests are answered in order, and the form of errors
//! (`{"type":"error","message":".."}`, without a number), taken to refuse the oldest request.

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

const CHANNELS: [&str; 3] = ["ticker", "ticker_batch", "market_trades"];
const TRADES: usize = 2;

/// Messages a second that the server accepts of an address, less one: pongs cannot wait.
const MESSAGES_PER_SECOND: u32 = 7;
/// Products and bytes of one request. The server documents no limit of its own.
const MAX_PRODUCTS: usize = 100;
const MAX_REQUEST: usize = 8000;

/// The protocol of Coinbase Advanced Trade.
#[derive(Clone, Debug, Default)]
pub struct CoinbaseAdvanced {
    pending: Pending,
}

/// The texts around the list of products of a request.
fn around(verb: Verb, channel: &str) -> (String, String) {
    let verb = verb_word(verb);
    let before = format!(r#"{{"type":"{verb}","product_ids":["#);
    (before, format!(r#"],"channel":{}}}"#, quoted(channel)))
}

impl CoinbaseAdvanced {
    /// The list of what is held: grants what is on it.
    fn held<'a>(&mut self, events: Option<Value<'a>>, out: &mut Outbox) -> Control<'a> {
        for event in events.iter().flat_map(Value::elements) {
            let held = event.get("subscriptions");
            for (channel, products) in held.iter().flat_map(Value::members) {
                for product in products.elements().filter_map(|product| product.str()) {
                    out.granted(channel.as_str(), product);
                }
            }
        }
        self.pending.granted()
    }

    /// Every product of every event of a message; whether there was any.
    fn emit<S: Sink>(
        channel: usize,
        events: Value<'_>,
        time: Option<u64>,
        to: &mut Emit<'_, S>,
    ) -> Result<bool, Refusal> {
        let mut has_data = false;
        let list = match channel {
            TRADES => "trades",
            _ => "tickers",
        };
        for event in events.elements() {
            let values = event.get(list).ok_or(Refusal::NoPayload)?;
            if values.kind() != Kind::Array {
                return Err(Refusal::Shape);
            }
            for value in values.elements() {
                let update = match channel {
                    TRADES => traded(value)?,
                    _ => Update::whole().timed(time),
                };
                let [product] = value.pick(&["product_id"]);
                to.patch(channel, product, update, value)?;
                has_data = true;
            }
        }
        Ok(has_data)
    }
}

/// How a trade is numbered and timed.
fn traded(trade: Value<'_>) -> Result<Update, Refusal> {
    let [id, time] = trade.pick(&["trade_id", "time"]);
    let time = time.map(|time| TimeUnit::Rfc3339.nanos(time)).transpose()?;
    let id = id.and_then(number).ok_or(Refusal::BadSequence)?;
    let rising = Policy::continuing(Rule::SparseRising);
    Ok(Update::whole()
        .timed(time)
        .numbered(rising, Sequence::at(id)))
}

impl Venue for CoinbaseAdvanced {
    fn name(&self) -> &'static str {
        "coinbase-advanced"
    }

    fn channels(&self) -> &'static [&'static str] {
        &CHANNELS
    }

    fn base(&self) -> &'static str {
        "wss://advanced-trade-ws.coinbase.com"
    }

    fn pace(&self) -> Option<Pace> {
        Pace::new(MESSAGES_PER_SECOND, Duration::from_secs(1))
    }

    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        self.pending.clear();
        self.pending.push(Verb::Subscribe, None, Vec::new());
        out.push(r#"{"type":"subscribe","channel":"heartbeats"}"#)
    }

    fn request(
        &mut self,
        verb: Verb,
        request: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let streams = of_one_channel(streams);
        let channel = streams.first().map_or("", |stream| &stream.channel);
        let (before, after) = around(verb, channel);
        let asked = list_request(
            (&before, &after),
            (MAX_PRODUCTS, MAX_REQUEST),
            streams,
            Answer::Expected,
            |stream| quoted(&stream.id),
            out,
        )?;
        self.pending.asked(verb, request, &streams[..asked.count]);
        Ok(asked)
    }

    fn message<'a, S: Sink>(
        &mut self,
        root: Value<'a>,
        to: &mut Emit<'_, S>,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let fields = Fields::of(root);
        let text = |value: Option<Value<'a>>| value.and_then(|value| value.str());
        // Errors stand outside the numbering, of all that is seen.
        if let Some(at) = fields.sequence {
            to.advance(number(at).ok_or(Refusal::BadSequence)?)?;
        }
        let Some(channel) = text(fields.channel) else {
            return match text(fields.kind) {
                Some("error") => {
                    let reason = text(fields.message).unwrap_or("no reason given");
                    let answer = self.pending.denied(reason);
                    Ok(Class::Control(answer))
                }
                _ => Err(Refusal::Shape),
            };
        };
        if fields.sequence.is_none() {
            return Err(Refusal::BadSequence);
        }
        match channel {
            "heartbeats" => return Ok(Class::Control(Control::Heartbeat)),
            "subscriptions" => return Ok(Class::Control(self.held(fields.events, out))),
            _ => {}
        }
        let Some(mapped) = to.channel(channel) else {
            return Ok(Class::Unmapped(channel));
        };
        let time = fields.time.map(|time| TimeUnit::Rfc3339.nanos(time));
        let events = fields.events.ok_or(Refusal::NoPayload)?;
        if events.kind() != Kind::Array {
            return Err(Refusal::Shape);
        }
        Ok(match Self::emit(mapped, events, time.transpose()?, to)? {
            true => Class::Data,
            false => Class::Control(Control::Notice),
        })
    }
}

members! {
    struct Fields {
        channel = "channel",
        time = "timestamp",
        sequence = "sequence_num",
        events = "events",
        kind = "type",
        message = "message",
    }
}

#[cfg(test)]
mod tests;
