//! Polygon (now Massive) stocks: `T` (trades), `Q` (quotes), `A` and `AM` (aggregates of a second
//! and of a minute).
//!
//! Every frame is an array of events; `ev` is the channel and each event is a whole value of its
//! ticker `sym`. A login comes first. Streams are granted one by one in texts (`subscribed to:
//! T.AAPL`); an error names no stream and is taken to be about the oldest request without answer.
//!
//! # Numbering
//!
//! `q` of trades and quotes rises for each ticker by any step, and starts anew each session: also
//! on a connection that lives through the night. Read as it stands, a whole session would be
//! dropped as older than the evening before. So what is compared is the minute of the event's time
//! `t`, and `q` within it. The tape sets both when it publishes, so within a session they rise
//! together, and what comes late is late in both: it is dropped. Numbers that start anew do so in
//! a later minute and are newer; did it happen within a minute, that ticker would be behind until
//! the next one begins. The number kept with a value is `minute << 38 | q`. Aggregates have a time
//! only.
//!
//! Known from memory only: the texts of grants and errors, and that a second login with one key is
//! told `max_connections`. The venue's newer address is `wss://socket.massive.com/stocks`.

use super::alpaca::weightier;
use super::exchange::elements;
use super::members::members;
use super::pending::Pending;
use super::requests::{list_request, quoted, verb_word};
use super::secret::Secret;
use super::venue::{Emit, Venue};
use crate::feed::outbox::{Outbox, OutboxFull};
use crate::feed::protocol::{
    Answer, Asked, Class, Control, Refusal, Sink, SubscribeError, Subscription, Update, Verb,
};
use crate::feed::reading::{TimeUnit, number};
use crate::feed::sequence::{Policy, Rule, Sequence};
use crate::json::Value;
use crate::key::Id;

/// Streams and bytes of one request.
const MAX_PARAMS: usize = 1000;
const MAX_REQUEST: usize = 16_000;
/// The id that stands for all tickers.
const ALL: &str = "*";
/// Bits of `q` in a number; the minutes since 1970 are above them until the year 2097.
const NUMBER_BITS: u32 = 38;
const MINUTE: u64 = 60_000_000_000;

const CHANNELS: &[&str] = &["T", "Q", "A", "AM"];
/// The first of [`CHANNELS`] that has no `q`.
const AGGREGATES: usize = 2;

/// What is particular to Polygon.
#[derive(Clone, Debug, Default)]
pub struct PolygonStocks {
    key: Option<Secret>,
    is_let_in: bool,
    /// What was asked for and not answered yet, in order.
    pending: Pending,
}

impl PolygonStocks {
    /// The key, without which the server lets nobody in. It is shown in no log.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(Secret::new(key));
        self
    }

    fn log_in(&self, out: &mut Outbox) -> Result<Control<'static>, OutboxFull> {
        let Some(key) = &self.key else {
            return Ok(Control::Refused(
                "the server wants a login, and the feed has no key",
            ));
        };
        let key = quoted(key.reveal());
        out.push_secret(format!(r#"{{"action":"auth","params":{key}}}"#))?;
        Ok(Control::Notice)
    }

    /// Streams that are named in an answer, as `T.AAPL,Q.AAPL`.
    fn answered(&mut self, names: &str, hear: impl Fn(&mut Outbox, &str, &str), out: &mut Outbox) {
        for name in names.split(',') {
            let Some((channel, id)) = name.trim().split_once('.') else {
                continue;
            };
            self.pending.answered(channel, id);
            hear(out, channel, id);
        }
    }

    fn status<'a>(
        &mut self,
        status: &'a str,
        message: Option<&'a str>,
        out: &mut Outbox,
    ) -> Result<Control<'a>, Refusal> {
        let text = message.unwrap_or(status);
        Ok(match status {
            "connected" => self.log_in(out)?,
            "auth_success" => {
                self.is_let_in = true;
                Control::Notice
            }
            "auth_failed" | "auth_timeout" | "max_connections" => Control::Refused(text),
            "success" => {
                if let Some(names) = text.strip_prefix("subscribed to:") {
                    self.answered(names, Outbox::granted, out);
                } else if let Some(names) = text.strip_prefix("unsubscribed to:") {
                    self.answered(names, Outbox::ended, out);
                } else if text == "authenticated" {
                    self.is_let_in = true;
                }
                Control::Notice
            }
            "error" if !self.is_let_in => Control::Refused(text),
            "error" => {
                let request = self.pending.pop().and_then(|asked| asked.number);
                Control::Denied(request, text)
            }
            _ => Control::Notice,
        })
    }

    fn event<'a, S: Sink>(
        &mut self,
        event: Value<'a>,
        to: &mut Emit<'_, S>,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let fields = Fields::of(event);
        let kind = fields.kind.and_then(|kind| kind.str());
        let kind = kind.ok_or(Refusal::Shape)?;
        if let Some(channel) = to.channel(kind) {
            let update = fields.update(channel)?;
            to.patch(channel, fields.ticker, update, event)?;
            return Ok(Class::Data);
        }
        if kind != "status" {
            return Ok(Class::Unmapped(kind));
        }
        let status = fields.status.and_then(|status| status.str());
        let message = fields.message.and_then(|message| message.str());
        let control = self.status(status.ok_or(Refusal::Shape)?, message, out)?;
        Ok(Class::Control(control))
    }
}

members! {
    struct Fields {
        kind = "ev",
        ticker = "sym",
        time = "t",
        end = "e",
        number = "q",
        status = "status",
        message = "message",
    }
}

impl<'a> Fields<'a> {
    fn update(&self, channel: usize) -> Result<Update, Refusal> {
        let is_aggregate = channel >= AGGREGATES;
        let time = if is_aggregate { self.end } else { self.time };
        let time = time.map(|time| TimeUnit::Milliseconds.nanos(time));
        let time = time.transpose()?;
        let update = Update::whole().timed(time);
        if is_aggregate {
            let rule = Policy::continuing(Rule::Timestamp);
            return Ok(match time {
                Some(time) => update.numbered(rule, Sequence::at(time)),
                None => update,
            });
        }
        let Some(value) = self.number else {
            // Some have been seen without one: as they come.
            return Ok(update);
        };
        let number = number(value).ok_or(Refusal::BadSequence)?;
        let minute = time.ok_or(Refusal::BadTime)? / MINUTE;
        if number >> NUMBER_BITS != 0 {
            return Err(Refusal::BadSequence);
        }
        if minute >> (u64::BITS - NUMBER_BITS) != 0 {
            return Err(Refusal::BadTime);
        }
        let number = Sequence::at(minute << NUMBER_BITS | number);
        Ok(update.numbered(Policy::continuing(Rule::SparseRising), number))
    }
}

impl Venue for PolygonStocks {
    fn name(&self) -> &'static str {
        "polygon-stocks"
    }

    fn channels(&self) -> &'static [&'static str] {
        CHANNELS
    }

    fn base(&self) -> &'static str {
        "wss://socket.polygon.io/stocks"
    }

    fn value_of(&self, stream: &Subscription) -> Option<(&'static str, Id)> {
        let channel = CHANNELS.iter().find(|name| ***name == *stream.channel)?;
        (&*stream.id != ALL).then(|| (*channel, Id::from(&*stream.id)))
    }

    fn opened(&mut self, _out: &mut Outbox) -> Result<(), OutboxFull> {
        self.pending.clear();
        self.is_let_in = false;
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.is_let_in
    }

    fn request(
        &mut self,
        verb: Verb,
        request: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let action = verb_word(verb);
        let before = format!(r#"{{"action":"{action}","params":""#);
        let asked = list_request(
            (&before, r#""}"#),
            (MAX_PARAMS, MAX_REQUEST),
            streams,
            Answer::Expected,
            // Checked symbols need no escapes.
            |stream| format!("{}.{}", stream.channel, stream.id),
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
        let mut class = None;
        for event in elements(root)? {
            let next = self.event(event, to, out)?;
            class = Some(class.map_or(next, |before| weightier(before, next)));
        }
        class.ok_or(Refusal::Shape)
    }
}

#[cfg(test)]
mod tests;
