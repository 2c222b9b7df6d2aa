//! Kraken spot, version 1 of the interface: `ticker`, `trade` and `spread`.
//!
//! A message is an array: number of the channel, payload, channel, pair. The payload is a whole
//! value: an object for `ticker`; for `trade` the array of the trades that came together, for
//! `spread` an array of five, kept as they are. Nothing is numbered. Books and candles are unmapped,
//! counted without their depth and interval: `book`, `ohlc`.
//!
//! Each pair of a request is acknowledged by itself, under the number of the request. The server
//! sends a heartbeat about every second in which it sends nothing else; a ping is sent every 30 s.
//!
//! What is refused with `Exceeded msg rate` is asked for again with the next ping.
//!
//! Could not be verified: that rate, which is not documented; whether a server that closes for maintenance says so before.

use std::time::Duration;

use super::pending::Pending;
use super::requests::{list_request, of_one_channel, quoted, verb_word};
use super::venue::{Emit, Venue};
use crate::feed::config::Pace;
use crate::feed::outbox::{Outbox, OutboxFull};
use crate::feed::protocol::{
    Answer, Asked, Class, Control, Refusal, Sink, SubscribeError, Subscription, Update, Verb,
};
use crate::feed::reading::number;
use crate::json::Value;
use crate::record::Kind;

const CHANNELS: [&str; 3] = ["ticker", "trade", "spread"];

/// Messages a second: 20 were named by the exchange's support once, and it counts both ways.
const MESSAGES_PER_SECOND: u32 = 10;
/// Pairs and bytes of one request. The server documents no limit of its own.
const MAX_PAIRS: usize = 100;
const MAX_REQUEST: usize = 8000;
/// How often a ping is sent.
const PING: Duration = Duration::from_secs(30);

/// The protocol of version 1 of Kraken's interface.
#[derive(Clone, Debug, Default)]
pub struct KrakenV1 {
    pending: Pending,
}

/// The channel without its depth or interval: `book` of `book-1000`.
fn bare(channel: &str) -> &str {
    match channel.rsplit_once('-') {
        Some((bare, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => channel,
    }
}

impl KrakenV1 {
    /// `[number, payload, .., channel, pair]`; a book may come in two payloads.
    fn payload<'a, S: Sink>(root: Value<'a>, to: &mut Emit<'_, S>) -> Result<Class<'a>, Refusal> {
        let count = root.len();
        if count < 4 {
            return Err(Refusal::Shape);
        }
        let (mut payload, mut channel, mut pair) = (None, None, None);
        for (at, element) in root.elements().enumerate() {
            match at {
                1 => payload = Some(element),
                _ if at + 2 == count => channel = element.str(),
                _ if at + 1 == count => pair = Some(element),
                _ => {}
            }
        }
        let channel = bare(channel.ok_or(Refusal::Shape)?);
        let Some(mapped) = to.channel(channel) else {
            return Ok(Class::Unmapped(channel));
        };
        let payload = payload.ok_or(Refusal::NoPayload)?;
        if count != 4 || !matches!(payload.kind(), Kind::Array | Kind::Object) {
            return Err(Refusal::Shape);
        }
        let pair = pair.ok_or(Refusal::NoId)?.str().ok_or(Refusal::BadId)?;
        to.patch_any(mapped, pair, Update::whole(), payload)?;
        Ok(Class::Data)
    }

    /// One pair of a request has its answer.
    fn answered<'a>(&mut self, root: Value<'a>, out: &mut Outbox) -> Control<'a> {
        let mut answer = Fields::default();
        for (name, value) in root.members() {
            match name.as_str() {
                "status" => answer.status = value.str(),
                "pair" => answer.pair = value.str(),
                "reqid" => answer.request = number(value),
                "errorMessage" => answer.error = value.str(),
                "subscription" => {
                    answer.channel = value.get("name").and_then(|name| name.str());
                }
                _ => {}
            }
        }
        let (channel, pair) = (answer.channel.unwrap_or(""), answer.pair.unwrap_or(""));
        let is = |stream: &Subscription| *stream.channel == *channel && *stream.id == *pair;
        let (status, request) = (answer.status.unwrap_or(""), answer.request);
        if status == "error" {
            let reason = answer.error.unwrap_or("no reason given");
            return self.pending.refused_one(request, is, reason, out);
        }
        if status == "subscribed" {
            out.granted(channel, pair);
        }
        self.pending.granted_one(request, is)
    }
}

#[derive(Default)]
struct Fields<'a> {
    status: Option<&'a str>,
    pair: Option<&'a str>,
    request: Option<u64>,
    error: Option<&'a str>,
    channel: Option<&'a str>,
}

/// One request, for as many streams of one channel as it may hold.
fn request(
    pending: &mut Pending,
    verb: Verb,
    number: u64,
    streams: &[&Subscription],
    out: &mut Outbox,
) -> Result<Asked, SubscribeError> {
    let streams = of_one_channel(streams);
    let channel = quoted(streams.first().map_or("", |stream| &stream.channel));
    let verb_text = verb_word(verb);
    let before = format!(r#"{{"event":"{verb_text}","reqid":{number},"pair":["#);
    let after = format!(r#"],"subscription":{{"name":{channel}}}}}"#);
    let asked = list_request(
        (&before, &after),
        (MAX_PAIRS, MAX_REQUEST),
        streams,
        Answer::Expected,
        |stream| quoted(&stream.id),
        out,
    )?;
    pending.asked(verb, number, &streams[..asked.count]);
    Ok(asked)
}

impl Venue for KrakenV1 {
    fn name(&self) -> &'static str {
        "kraken-v1"
    }

    fn channels(&self) -> &'static [&'static str] {
        &CHANNELS
    }

    fn base(&self) -> &'static str {
        "wss://ws.kraken.com"
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
        let _ = out.push(r#"{"event":"ping"}"#);
        self.pending.again(out, |pending, number, streams, out| {
            let asked = request(pending, Verb::Subscribe, number, streams, out);
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
        request(&mut self.pending, verb, number, streams, out)
    }

    fn message<'a, S: Sink>(
        &mut self,
        root: Value<'a>,
        to: &mut Emit<'_, S>,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        if root.kind() == Kind::Array {
            return Self::payload(root, to);
        }
        let event = root.get("event").and_then(|event| event.str());
        Ok(match event {
            Some("heartbeat" | "pong") => Class::Control(Control::Heartbeat),
            Some("subscriptionStatus") => Class::Control(self.answered(root, out)),
            Some("systemStatus") => Class::Control(Control::Notice),
            Some("error") => {
                let reason = root.get("errorMessage").and_then(|text| text.str());
                let request = root.get("reqid").and_then(number);
                let reason = reason.unwrap_or("no reason given");
                Class::Control(Control::Denied(request, reason))
            }
            Some(other) => Class::Unmapped(other),
            // The limit of the rate is told so, without an event.
            None => match root.get("Error").and_then(|text| text.str()) {
                Some(reason) => Class::Control(Control::Denied(None, reason)),
                None => return Err(Refusal::Shape),
            },
        })
    }
}

#[cfg(test)]
mod tests;
