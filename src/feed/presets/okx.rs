//! OKX v5, public channels: `tickers`, `trades`, `mark-price`, `funding-rate`, `index-tickers`,
//! `open-interest`.
//!
//! Each element of `data` is a whole value of its `instId`. `trades` are numbered by `tradeId`,
//! which rises by any step (a message may stand for several trades) and goes on over reconnects;
//! the others have a time only. Books and candles are unmapped.
//!
//! Streams are granted one by one. A refusal names its stream in its text alone: that is read, and
//! where it cannot be the whole request counts as refused.
//!
//! Known from memory only: that requests may carry an `id` on the public endpoint, and that the
//! refusal of one stream leaves the others of its request alone.

use std::time::Duration;

use super::exchange::{elements, is_text};
use super::members::members;
use super::requests::{list_request, quoted, verb_word};
use super::snapshots;
use super::venue::{Emit, Venue};
use crate::feed::config::Pace;
use crate::feed::outbox::Outbox;
use crate::feed::protocol::{
    Answer, Asked, Class, Control, Refusal, Sink, SubscribeError, Subscription, Update, Verb,
};
use crate::feed::reading::{TimeUnit, number};
use crate::feed::sequence::{Policy, Rule, Sequence};
use crate::feed::snapshot::Snapshot;
use crate::json::Value;

/// Requests an hour that one connection accepts.
const REQUESTS_PER_HOUR: u32 = 480;
/// Bytes of one request; the server takes 64 KB.
const MAX_REQUEST: usize = 60_000;
/// The server closes a connection on which nothing was sent either way for 30 s.
const BEAT: Duration = Duration::from_secs(25);
/// The code of the notice that the connection is about to be closed.
const UPGRADE: &str = "64008";
/// The number of `trades` among [`CHANNELS`].
const TRADES: usize = 1;
const CHANNELS: &[&str] = &[
    "tickers",
    "trades",
    "mark-price",
    "funding-rate",
    "index-tickers",
    "open-interest",
];

/// What is particular to OKX.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Okx;

members! {
    struct Frame {
        event = "event",
        arg = "arg",
        data = "data",
        code = "code",
        msg = "msg",
        id = "id",
    }
}

impl<'a> Frame<'a> {
    /// The stream that an answer is about.
    fn stream(&self) -> Result<(&'a str, &'a str), Refusal> {
        let arg = self.arg.ok_or(Refusal::Shape)?;
        let member = |name| arg.get(name).and_then(|value| value.str());
        let channel = member("channel").ok_or(Refusal::Shape)?;
        Ok((channel, member("instId").unwrap_or_default()))
    }

    fn control(&self, event: &str, out: &mut Outbox) -> Result<Control<'a>, Refusal> {
        Ok(match event {
            "subscribe" => {
                let (channel, id) = self.stream()?;
                out.granted(channel, id);
                Control::Notice
            }
            "unsubscribe" => {
                let (channel, id) = self.stream()?;
                out.ended(channel, id);
                Control::Notice
            }
            "error" => {
                let text = self.msg.and_then(|msg| msg.str());
                let text = text.unwrap_or("no reason given");
                if let Some((channel, id)) = named(text) {
                    out.refused(channel, id, text);
                    Control::Denied(None, text)
                } else {
                    Control::Denied(self.id.and_then(number), text)
                }
            }
            "notice" if self.code.is_some_and(is_upgrade) => Control::Closing,
            _ => Control::Notice,
        })
    }
}

fn is_upgrade(code: Value<'_>) -> bool {
    code.str().unwrap_or_default() == UPGRADE || code.raw() == UPGRADE.as_bytes()
}

/// The stream that a refusal names: `.. channel:tickers,instId:FOO-BAR doesn't exist ..`.
fn named(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once("channel:")?;
    let (channel, rest) = rest.split_once(',')?;
    let (_, rest) = rest.split_once("instId:")?;
    let id = rest.split([' ', ',']).next()?;
    Some((channel.trim(), id))
}

impl Venue for Okx {
    fn name(&self) -> &'static str {
        "okx"
    }

    fn channels(&self) -> &'static [&'static str] {
        CHANNELS
    }

    fn snapshot(&self, channel: &str, symbol: &str) -> Option<Snapshot> {
        snapshots::okx::snapshot(channel, symbol)
    }

    fn base(&self) -> &'static str {
        "wss://ws.okx.com:8443/ws/v5/public"
    }

    fn connect_pace(&self) -> Option<Pace> {
        // 3 a second from one address, for two connections.
        Pace::new(1, Duration::from_secs(1))
    }

    fn request_pace(&self) -> Option<Pace> {
        Pace::new(REQUESTS_PER_HOUR, Duration::from_secs(3600))
    }

    fn heartbeat(&self) -> Option<Duration> {
        Some(BEAT)
    }

    fn beat(&mut self, out: &mut Outbox) {
        // Where the queue is full, something is under way.
        let _ = out.push("ping");
    }

    fn request(
        &mut self,
        verb: Verb,
        request: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let op = verb_word(verb);
        let before = format!(r#"{{"id":"{request}","op":"{op}","args":["#);
        list_request(
            (&before, "]}"),
            (usize::MAX, MAX_REQUEST),
            streams,
            Answer::Expected,
            |stream| {
                let (channel, id) = (quoted(&stream.channel), quoted(&stream.id));
                format!(r#"{{"channel":{channel},"instId":{id}}}"#)
            },
            out,
        )
    }

    #[inline]
    fn text<'a>(&mut self, text: &'a [u8]) -> Option<Class<'a>> {
        is_text(text, "pong").then_some(Class::Control(Control::Heartbeat))
    }

    fn message<'a, S: Sink>(
        &mut self,
        root: Value<'a>,
        to: &mut Emit<'_, S>,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        if !root.is_object() {
            return Err(Refusal::Shape);
        }
        let frame = Frame::of(root);
        if let Some(event) = frame.event {
            let event = event.str().ok_or(Refusal::Shape)?;
            return frame.control(event, out).map(Class::Control);
        }
        let arg = frame.arg.ok_or(Refusal::Shape)?;
        let [word] = arg.pick(&["channel"]);
        let word = word.and_then(|word| word.str());
        let word = word.ok_or(Refusal::Shape)?;
        let Some(channel) = to.channel(word) else {
            return Ok(Class::Unmapped(word));
        };
        let data = frame.data.ok_or(Refusal::NoPayload)?;
        let mut class = Class::Control(Control::Notice);
        for element in elements(data)? {
            emit(channel, element, to)?;
            class = Class::Data;
        }
        Ok(class)
    }
}

fn emit<S: Sink>(channel: usize, data: Value<'_>, to: &mut Emit<'_, S>) -> Result<(), Refusal> {
    let [id, time, trade] = data.pick(&["instId", "ts", "tradeId"]);
    let unit = TimeUnit::Milliseconds;
    let time = time.map(|time| unit.nanos(time)).transpose()?;
    let update = Update::whole().timed(time);
    let update = if channel == TRADES {
        let trade = trade.and_then(number).ok_or(Refusal::BadSequence)?;
        update.numbered(Policy::continuing(Rule::SparseRising), Sequence::at(trade))
    } else if let Some(time) = time {
        update.numbered(Policy::continuing(Rule::Timestamp), Sequence::at(time))
    } else {
        update
    };
    to.patch(channel, id, update, data)
}

#[cfg(test)]
mod tests;
