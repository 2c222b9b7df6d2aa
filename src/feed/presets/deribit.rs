//! Deribit (JSON-RPC 2.0): `ticker`, `incremental_ticker`, `quote`, `trades`.
//!
//! `params.channel` says what a notification is; the id is the `instrument_name` of the object,
//! which is the value. `ticker` and `quote` come whole each time. `incremental_ticker` comes whole
//! first (`"type":"snapshot"`) and then with what has changed, nested, and with `null` where there
//! is no price: a merge in which `null` is a value. A ticker has a time and no number; `trades` are
//! numbered by `trade_seq`. Books and everything else are unmapped.
//!
//! `ticker` and `trades` are asked for at an [`Interval`]; `raw` is for those who log in. A stream
//! of `trades` may be of many instruments: its id is then `future.BTC`, say, and the values are
//! under the instruments' names.
//!
//! The server asks for a sign of life, and gets it. The result of a request lists what was granted;
//! what is missing in it counts as refused.
//!
//! Known from memory only: 500 channels a request, about three requests for streams a second, and
//! that a `ticker` leaves `null` where there is no bid.

use std::time::Duration;

use super::exchange::elements;
use super::members::members;
use super::pending::Pending;
use super::requests::{is_symbol, list_request, quoted};
use super::secret::Secret;
use super::snapshots;
use super::venue::{Emit, Venue};
use crate::feed::config::Pace;
use crate::feed::outbox::{Outbox, OutboxFull};
use crate::feed::protocol::{
    Answer, Asked, Class, Control, Refusal, Sink, SubscribeError, Subscription, Update, Verb,
};
use crate::feed::reading::{TimeUnit, number};
use crate::feed::sequence::{Policy, Rule, Sequence};
use crate::feed::snapshot::Snapshot;
use crate::json::Value;
use crate::key::Id;
use crate::record::Mode;

/// Streams and bytes of one request.
const MAX_CHANNELS: usize = 500;
const MAX_REQUEST: usize = 60_000;
/// Requests a second: each costs more of the server's credits than other messages do.
const REQUESTS_PER_SECOND: u32 = 3;
/// How often the server is to send a sign of life, in seconds.
const HEARTBEAT: u32 = 30;

/// Numbers of requests that are none for streams. Those count from 1 and never get here.
const SET_HEARTBEAT: u64 = 1_000_000_001;
const LOGIN: u64 = 1_000_000_002;
const TEST: u64 = 1_000_000_003;

const CHANNELS: &[&str] = &["ticker", "incremental_ticker", "quote", "trades"];
const TICKER: usize = 0;
const INCREMENTAL: usize = 1;
const TRADES: usize = 3;

/// How often `ticker` and `trades` send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Interval {
    /// On each change. Only after a [login](Deribit::credentials): the server refuses it to others.
    Raw,
    /// At most each 100 ms.
    #[default]
    Millis100,
    /// As the server sees fit, each second or so.
    Agg2,
}

impl Interval {
    const fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Millis100 => "100ms",
            Self::Agg2 => "agg2",
        }
    }
}

/// What is particular to Deribit.
#[derive(Clone, Debug, Default)]
pub struct Deribit {
    interval: Interval,
    credentials: Option<(Secret, Secret)>,
    is_let_in: bool,
    /// What was asked for and not answered yet.
    pending: Pending,
}

impl Deribit {
    /// How often `ticker` and `trades` send. Default: each 100 ms.
    #[must_use]
    pub const fn interval(mut self, interval: Interval) -> Self {
        self.interval = interval;
        self
    }

    /// Logs in on each connection, before any stream is asked for. The secret is shown in no log.
    #[must_use]
    pub fn credentials(mut self, client_id: &str, client_secret: &str) -> Self {
        self.credentials = Some((Secret::new(client_id), Secret::new(client_secret)));
        self
    }

    /// The stream's name on the wire.
    fn wire_name(&self, stream: &Subscription) -> String {
        let Subscription { channel, id } = stream;
        if has_interval(channel) {
            format!("{channel}.{id}.{}", self.interval.word())
        } else {
            format!("{channel}.{id}")
        }
    }

    /// The server has answered a request for streams: whether all of it was granted.
    fn settle(&mut self, request: u64, result: Value<'_>, out: &mut Outbox) {
        let Some(asked) = self.pending.take(request) else {
            return;
        };
        for stream in &asked.streams {
            let wire = self.wire_name(stream);
            let listed = result.elements().any(|name| name.str() == Some(&wire));
            match (asked.verb, listed) {
                (Verb::Subscribe, true) => out.granted(&stream.channel, &stream.id),
                (Verb::Subscribe, false) => {
                    let why = "not among the channels that the server granted";
                    out.refused(&stream.channel, &stream.id, why);
                }
                // What it does not list has ended before.
                (Verb::Unsubscribe, _) => out.ended(&stream.channel, &stream.id),
            }
        }
    }

    fn answer<'a>(&mut self, frame: &Frame<'a>, out: &mut Outbox) -> Control<'a> {
        let request = frame.id.and_then(number);
        if let Some(error) = frame.error {
            // With its number and its reason, which stand apart in it.
            let text = std::str::from_utf8(error.raw()).unwrap_or("no reason given");
            if request == Some(LOGIN) {
                return Control::Refused(text);
            }
            request.and_then(|request| self.pending.take(request));
            return Control::Denied(request, text);
        }
        match (request, frame.result) {
            (Some(LOGIN), _) => self.is_let_in = true,
            (Some(TEST), _) => return Control::Heartbeat,
            (Some(request), Some(result)) => self.settle(request, result, out),
            _ => {}
        }
        Control::Notice
    }
}

fn has_interval(channel: &str) -> bool {
    channel == CHANNELS[TICKER] || channel == CHANNELS[TRADES]
}

/// The channel of a stream's name on the wire.
fn channel_of(wire: &str) -> &str {
    wire.split('.').next().unwrap_or(wire)
}

members! {
    struct Frame {
        id = "id",
        method = "method",
        params = "params",
        result = "result",
        error = "error",
    }
}

impl Venue for Deribit {
    fn name(&self) -> &'static str {
        "deribit"
    }

    fn channels(&self) -> &'static [&'static str] {
        CHANNELS
    }

    fn snapshot(&self, channel: &str, symbol: &str) -> Option<Snapshot> {
        snapshots::deribit::snapshot(channel, symbol)
    }

    fn base(&self) -> &'static str {
        "wss://www.deribit.com/ws/api/v2"
    }

    fn check(&self, stream: &Subscription) -> Result<(), SubscribeError> {
        if !CHANNELS.contains(&&*stream.channel) {
            return Err(SubscribeError::UnknownChannel(stream.channel.clone()));
        }
        if self.interval == Interval::Raw
            && self.credentials.is_none()
            && has_interval(&stream.channel)
        {
            let why = "the interval raw needs credentials";
            return Err(SubscribeError::BadId(stream.id.clone(), why));
        }
        is_symbol(&stream.id)
    }

    fn value_of(&self, stream: &Subscription) -> Option<(&'static str, Id)> {
        let channel = CHANNELS.iter().find(|name| ***name == *stream.channel)?;
        // No instrument has a dot in its name: one says that the stream is of many of them.
        (!stream.id.contains('.')).then(|| (*channel, Id::from(&*stream.id)))
    }

    fn request_pace(&self) -> Option<Pace> {
        Pace::new(REQUESTS_PER_SECOND, Duration::from_secs(1))
    }

    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        self.pending.clear();
        self.is_let_in = false;
        if let Some((id, secret)) = &self.credentials {
            let (id, secret) = (quoted(id.reveal()), quoted(secret.reveal()));
            let grant = r#""grant_type":"client_credentials""#;
            out.push_secret(format!(
                r#"{{"jsonrpc":"2.0","id":{LOGIN},"method":"public/auth","params":{{{grant},"client_id":{id},"client_secret":{secret}}}}}"#
            ))?;
        }
        out.push(format!(
            r#"{{"jsonrpc":"2.0","id":{SET_HEARTBEAT},"method":"public/set_heartbeat","params":{{"interval":{HEARTBEAT}}}}}"#
        ))
    }

    fn is_ready(&self) -> bool {
        self.credentials.is_none() || self.is_let_in
    }

    fn request(
        &mut self,
        verb: Verb,
        request: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let method = match verb {
            Verb::Subscribe => "public/subscribe",
            Verb::Unsubscribe => "public/unsubscribe",
        };
        let before = format!(
            r#"{{"jsonrpc":"2.0","id":{request},"method":"{method}","params":{{"channels":["#
        );
        let asked = list_request(
            (&before, "]}}"),
            (MAX_CHANNELS, MAX_REQUEST),
            streams,
            Answer::Expected,
            |stream| quoted(&self.wire_name(stream)),
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
        if !root.is_object() {
            return Err(Refusal::Shape);
        }
        let frame = Frame::of(root);
        let Some(method) = frame.method else {
            if frame.id.is_none() && frame.error.is_none() {
                return Err(Refusal::Shape);
            }
            return Ok(Class::Control(self.answer(&frame, out)));
        };
        let params = frame.params.ok_or(Refusal::Shape)?;
        match method.str() {
            Some("subscription") => notification(params, to),
            Some("heartbeat") => {
                let what = params.get("type").and_then(|what| what.str());
                if what == Some("test_request") {
                    out.push(format!(
                        r#"{{"jsonrpc":"2.0","id":{TEST},"method":"public/test","params":{{}}}}"#
                    ))?;
                }
                Ok(Class::Control(Control::Heartbeat))
            }
            _ => Ok(Class::Control(Control::Notice)),
        }
    }
}

fn notification<'a, S: Sink>(
    params: Value<'a>,
    to: &mut Emit<'_, S>,
) -> Result<Class<'a>, Refusal> {
    let [wire, data] = params.pick(&["channel", "data"]);
    let wire = wire.and_then(|wire| wire.str());
    let word = channel_of(wire.ok_or(Refusal::Shape)?);
    let Some(channel) = to.channel(word) else {
        return Ok(Class::Unmapped(word));
    };
    let data = data.ok_or(Refusal::NoPayload)?;
    if channel != TRADES {
        emit(channel, data, to)?;
        return Ok(Class::Data);
    }
    let mut class = Class::Control(Control::Notice);
    for trade in elements(data)? {
        emit(channel, trade, to)?;
        class = Class::Data;
    }
    Ok(class)
}

fn emit<S: Sink>(channel: usize, data: Value<'_>, to: &mut Emit<'_, S>) -> Result<(), Refusal> {
    let names = &["instrument_name", "timestamp", "trade_seq", "type"];
    let [id, time, trade, kind] = data.pick(names);
    let update = match (channel, kind.and_then(|kind| kind.str())) {
        (INCREMENTAL, Some("change")) => Update {
            mode: Mode::MergeNull,
            ..Update::patch()
        },
        (INCREMENTAL, Some("snapshot")) => Update::whole(),
        (INCREMENTAL, _) => return Err(Refusal::Shape),
        _ => Update::whole(),
    };
    let time = time
        .map(|time| TimeUnit::Milliseconds.nanos(time))
        .transpose()?;
    let update = update.timed(time);
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
