//! Coinbase Exchange: `ticker` and `match`.
//!
//! Each message is a whole value: the object that came. The `ticker_batch` channel arrives as
//! `ticker`; `last_match`, with which the channel `matches` begins, as `match`. Numbering: `sequence`
//! of `ticker` counts everything of the product and so rises by any step, as does `trade_id` of
//! `match`; both go on over reconnects. Source time: `time`.
//!
//! An answer (`subscriptions`) lists all that the connection holds, and an error names no request:
//! requests are answered in order, and a refused one of several products is asked for again by
//! halves. Once the first product is granted its `heartbeat` is asked for, which comes every second
//! and is never data.
//!
//! Known from memory only: that requests are answered in order, and that an error refuses the whole
//! request. Neither can make a value wrong: a stream without an answer is reported.

use std::time::Duration;

use super::members::members;
use super::pending::Pending;
use super::requests::{is_symbol, list_request, of_one_channel, quoted, verb_word};
use super::venue::{Emit, Venue};
use crate::feed::config::Pace;
use crate::feed::outbox::{Outbox, OutboxFull};
use crate::feed::protocol::{
    Answer, Asked, Class, Control, Refusal, Sink, SubscribeError, Subscription, Update, Verb,
};
use crate::feed::reading::{TimeUnit, number};
use crate::feed::sequence::{Policy, Rule, Sequence};
use crate::json::Value;
use crate::key::Id;

const CHANNELS: [&str; 2] = ["ticker", "match"];
const TICKER: usize = 0;
const MATCH: usize = 1;

/// Messages a second that the server accepts, less some: pongs count too and cannot wait.
const MESSAGES_PER_SECOND: u32 = 90;
/// Products and bytes of one request. The server documents no limit of its own.
const MAX_PRODUCTS: usize = 100;
const MAX_REQUEST: usize = 8000;

/// The protocol of Coinbase Exchange.
#[derive(Clone, Debug, Default)]
pub struct CoinbaseExchange {
    pending: Pending,
    /// Whether the heartbeat of a product was asked for on this connection.
    has_pulse: bool,
}

/// Streams that are asked for, next to what their messages are called.
fn mapped(stream: &str) -> Option<usize> {
    match stream {
        "ticker" | "ticker_batch" => Some(TICKER),
        "match" | "matches" => Some(MATCH),
        _ => None,
    }
}

/// What a channel is called in requests.
fn wire(channel: &str) -> &str {
    match channel {
        "match" => "matches",
        other => other,
    }
}

/// The texts around the list of products of a request.
fn around(verb: Verb, channel: &str) -> (String, &'static str) {
    let verb = verb_word(verb);
    let channel = quoted(wire(channel));
    let before = format!(r#"{{"type":"{verb}","channels":[{{"name":{channel},"product_ids":["#);
    (before, "]}]}")
}

impl CoinbaseExchange {
    /// The list of what is held: grants what is on it, and asks for a heartbeat.
    fn held<'a>(&mut self, root: Value<'a>, out: &mut Outbox) -> Control<'a> {
        let mut first = None;
        let channels = root.get("channels");
        for channel in channels.iter().flat_map(Value::elements) {
            let Some(name) = channel.get("name").and_then(|name| name.str()) else {
                continue;
            };
            let products = channel.get("product_ids");
            for product in products.iter().flat_map(Value::elements) {
                let Some(product) = product.str() else {
                    continue;
                };
                first.get_or_insert(product);
                out.granted(name, product);
                if name == "matches" {
                    out.granted("match", product);
                }
            }
        }
        let answer = self.pending.granted();
        if let (false, Some(product)) = (self.has_pulse, first) {
            let (before, after) = around(Verb::Subscribe, "heartbeat");
            let text = format!("{before}{}{after}", quoted(product));
            // A full queue is no harm: the next answer is another occasion.
            if out.push(text).is_ok() {
                self.has_pulse = true;
                self.pending.push(Verb::Subscribe, None, Vec::new());
            }
        }
        answer
    }

    fn failed<'a>(&mut self, root: Value<'a>) -> Control<'a> {
        let text = |name| root.get(name).and_then(|text: Value<'a>| text.str());
        let message = text("message").unwrap_or("no reason given");
        if is_goodbye(message) {
            return Control::Closing;
        }
        let reason = text("reason").unwrap_or(message);
        self.pending.denied(reason)
    }
}

/// Whether an error is the server's reason to close the connection.
fn is_goodbye(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["errslowconsume", "errslowread", "message too big"]
        .iter()
        .any(|reason| message.contains(reason))
}

impl Venue for CoinbaseExchange {
    fn name(&self) -> &'static str {
        "coinbase-exchange"
    }

    fn channels(&self) -> &'static [&'static str] {
        &CHANNELS
    }

    fn base(&self) -> &'static str {
        "wss://ws-feed.exchange.coinbase.com"
    }

    fn check(&self, stream: &Subscription) -> Result<(), SubscribeError> {
        if mapped(&stream.channel).is_none() {
            return Err(SubscribeError::UnknownChannel(stream.channel.clone()));
        }
        is_symbol(&stream.id)
    }

    fn value_of(&self, stream: &Subscription) -> Option<(&'static str, Id)> {
        Some((CHANNELS[mapped(&stream.channel)?], Id::from(&*stream.id)))
    }

    fn connect_pace(&self) -> Option<Pace> {
        // 8 a second from one address, for two connections.
        Pace::new(4, Duration::from_secs(1))
    }

    fn pace(&self) -> Option<Pace> {
        Pace::new(MESSAGES_PER_SECOND, Duration::from_secs(1))
    }

    fn opened(&mut self, _out: &mut Outbox) -> Result<(), OutboxFull> {
        self.pending.clear();
        self.has_pulse = false;
        Ok(())
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
            (&before, after),
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
        let kind = fields.kind.and_then(|kind| kind.str());
        let (channel, at) = match kind.ok_or(Refusal::Shape)? {
            "ticker" => (TICKER, fields.sequence),
            "match" | "last_match" => (MATCH, fields.trade),
            "heartbeat" => return Ok(Class::Control(Control::Heartbeat)),
            "subscriptions" => return Ok(Class::Control(self.held(root, out))),
            "error" => return Ok(Class::Control(self.failed(root))),
            other => return Ok(Class::Unmapped(other)),
        };
        let at = at.and_then(number).ok_or(Refusal::BadSequence)?;
        let time = fields.time.map(|time| TimeUnit::Rfc3339.nanos(time));
        let update = Update::whole()
            .timed(time.transpose()?)
            .numbered(Policy::continuing(Rule::SparseRising), Sequence::at(at));
        to.patch(channel, fields.product, update, root)?;
        Ok(Class::Data)
    }
}

members! {
    struct Fields {
        kind = "type",
        product = "product_id",
        sequence = "sequence",
        trade = "trade_id",
        time = "time",
    }
}

#[cfg(test)]
mod tests;
