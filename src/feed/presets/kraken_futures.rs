//! Kraken futures: `ticker`, `ticker_lite` and `trade`.
//!
//! Each message is a whole value: the object that came, nulls included. `ticker` and `ticker_lite`
//! hold all their fields each time. Each of `trades[]` of a `trade_snapshot` is a value of `trade`;
//! the trade of a product with the highest `seq` is the one that is kept, whatever the order in the
//! message. Source time: `time` of tickers and trades. Ids are in capitals, as in the messages,
//! whatever was asked for.
//!
//! A request holds one product: an error names no request, but with requests of one product as many
//! errors as there are unanswered requests tell which were refused. The server demands a ping frame
//! within every 60 s: one is sent every 30 s. Its `heartbeat` feed is subscribed to, and is never data.
//!
//! Could not be verified: whether `seq` goes on over a maintenance of the exchange (so a connection
//! begins a numbering of its own), and when an error is sent instead of `subscribed_failed`.

use std::time::Duration;

use super::pending::Pending;
use super::requests::{quoted, verb_word};
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
use crate::record::Kind;

const CHANNELS: [&str; 3] = ["ticker", "ticker_lite", "trade"];
const TRADE: usize = 2;

/// Messages a second that the server accepts, less some: pongs count too and cannot wait.
const MESSAGES_PER_SECOND: u32 = 90;
/// How often a ping frame is sent, of the 60 s that the server allows.
const PING: Duration = Duration::from_secs(30);

/// The protocol of Kraken's futures.
#[derive(Clone, Debug, Default)]
pub struct KrakenFutures {
    pending: Pending,
    /// Errors that could be the answer to any of the unanswered requests.
    errors: Vec<Box<str>>,
    /// The server has dropped requests for their rate.
    dropped: bool,
}

/// A request for one product.
fn text(verb: Verb, stream: &Subscription) -> String {
    let verb = verb_word(verb);
    let (feed, product) = (quoted(&stream.channel), quoted(&stream.id));
    format!(r#"{{"event":"{verb}","feed":{feed},"product_ids":[{product}]}}"#)
}

impl KrakenFutures {
    /// Products of a feed have their answer; `reason` if it is a refusal.
    fn answered<'a>(
        &mut self,
        verb: Verb,
        root: Value<'a>,
        reason: Option<&'a str>,
        out: &mut Outbox,
    ) -> Control<'a> {
        let feed = root.get("feed").and_then(|feed| feed.str()).unwrap_or("");
        let products = root.get("product_ids");
        let products = products.iter().flat_map(Value::elements);
        let mut products: Vec<_> = products.filter_map(|product| product.str()).collect();
        if products.is_empty() {
            // A feed without products: the heartbeat.
            products.push("");
        }
        let mut ended = None;
        for product in products {
            let is = |stream: &Subscription| {
                *stream.channel == *feed && stream.id.eq_ignore_ascii_case(product)
            };
            let Some((number, stream)) = self.pending.take_one(verb, is) else {
                continue;
            };
            match (verb, reason) {
                (Verb::Subscribe, None) => out.granted(feed, &stream.id),
                (Verb::Subscribe, Some(reason)) => out.refused(feed, &stream.id, reason),
                (Verb::Unsubscribe, _) => ended = number,
            }
        }
        self.blame(out);
        match (ended, reason) {
            (Some(number), None) => Control::Granted(number),
            (number, Some(reason)) => Control::Denied(number, reason),
            (None, None) => Control::Notice,
        }
    }

    /// Once there are no more unanswered requests than errors, those are what was refused.
    fn blame(&mut self, out: &mut Outbox) {
        if self.errors.is_empty() || self.errors.len() < self.pending.len() {
            return;
        }
        for reason in std::mem::take(&mut self.errors) {
            let Some(request) = self.pending.pop() else {
                continue;
            };
            // To end a stream that is refused its end there is nothing more to do: it is reported
            // as unanswered.
            if request.verb == Verb::Subscribe {
                for stream in &request.streams {
                    out.refused(&stream.channel, &stream.id, &reason);
                }
            }
        }
    }

    fn event<'a>(&mut self, event: &'a str, root: Value<'a>, out: &mut Outbox) -> Class<'a> {
        let message = root.get("message").and_then(|message| message.str());
        let reason = message.unwrap_or("no reason given");
        Class::Control(match event.trim() {
            "subscribed" => self.answered(Verb::Subscribe, root, None, out),
            "unsubscribed" => self.answered(Verb::Unsubscribe, root, None, out),
            "subscribed_failed" => self.answered(Verb::Subscribe, root, Some(reason), out),
            "unsubscribed_failed" => self.answered(Verb::Unsubscribe, root, Some(reason), out),
            "error" => {
                if self.pending.len() > self.errors.len() {
                    self.errors.push(reason.into());
                    self.blame(out);
                }
                Control::Denied(None, reason)
            }
            "alert" => {
                self.dropped |= reason.contains("rate_limited");
                Control::Denied(None, reason)
            }
            "info" | "pong" => Control::Notice,
            _ => return Class::Unmapped(event),
        })
    }

    /// A trade, by itself or of a snapshot.
    fn trade<S: Sink>(trade: Value<'_>, to: &mut Emit<'_, S>) -> Result<(), Refusal> {
        let [product, seq, time] = trade.pick(&["product_id", "seq", "time"]);
        let time = time.map(|time| TimeUnit::Milliseconds.nanos(time));
        let time = time.transpose()?;
        let at = Sequence::at(seq.and_then(number).ok_or(Refusal::BadSequence)?);
        let update = Update::whole()
            .timed(time)
            .numbered(Policy::restarting(Rule::SparseRising), at);
        to.patch(TRADE, product, update, trade)
    }
}

impl Venue for KrakenFutures {
    fn name(&self) -> &'static str {
        "kraken-futures"
    }

    fn channels(&self) -> &'static [&'static str] {
        &CHANNELS
    }

    fn base(&self) -> &'static str {
        "wss://futures.kraken.com/ws/v1"
    }

    fn value_of(&self, stream: &Subscription) -> Option<(&'static str, Id)> {
        let mut channels = CHANNELS.into_iter();
        let channel = channels.find(|channel| *channel == &*stream.channel)?;
        Some((channel, Id::from(stream.id.to_ascii_uppercase())))
    }

    fn pace(&self) -> Option<Pace> {
        Pace::new(MESSAGES_PER_SECOND, Duration::from_secs(1))
    }

    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        self.pending.clear();
        self.errors.clear();
        self.dropped = false;
        let heartbeat = vec![Subscription::new("heartbeat", "")];
        self.pending.push(Verb::Subscribe, None, heartbeat);
        out.push(r#"{"event":"subscribe","feed":"heartbeat"}"#)
    }

    fn heartbeat(&self) -> Option<Duration> {
        Some(PING)
    }

    fn beat(&mut self, out: &mut Outbox) {
        out.ping();
        if std::mem::take(&mut self.dropped) {
            for (verb, stream) in self.pending.open_streams() {
                // Without room they stay unanswered, which is reported.
                let _ = out.push(text(verb, stream));
            }
        }
    }

    fn request(
        &mut self,
        verb: Verb,
        request: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let streams = &streams[..streams.len().min(1)];
        for stream in streams {
            out.push(text(verb, stream))?;
        }
        self.pending.asked(verb, request, streams);
        Ok(Asked {
            count: streams.len(),
            answer: Answer::Expected,
        })
    }

    fn message<'a, S: Sink>(
        &mut self,
        root: Value<'a>,
        to: &mut Emit<'_, S>,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let names = &["event", "feed", "product_id", "time", "trades"];
        let [event, feed, product, time, trades] = root.pick(names);
        if let Some(event) = event.and_then(|event| event.str()) {
            return Ok(self.event(event, root, out));
        }
        match feed.and_then(|feed| feed.str()).ok_or(Refusal::Shape)? {
            "heartbeat" => return Ok(Class::Control(Control::Heartbeat)),
            "trade" => Self::trade(root, to)?,
            "trade_snapshot" => {
                let trades = trades.ok_or(Refusal::NoPayload)?;
                if trades.kind() != Kind::Array {
                    return Err(Refusal::Shape);
                }
                for trade in trades.elements() {
                    Self::trade(trade, to)?;
                }
                if trades.is_empty() {
                    return Ok(Class::Control(Control::Notice));
                }
            }
            feed => {
                let Some(channel) = to.channel(feed) else {
                    return Ok(Class::Unmapped(feed));
                };
                let time = time.map(|time| TimeUnit::Milliseconds.nanos(time));
                let update = Update::whole().timed(time.transpose()?);
                to.patch(channel, product, update, root)?;
            }
        }
        Ok(Class::Data)
    }
}

#[cfg(test)]
mod tests;
