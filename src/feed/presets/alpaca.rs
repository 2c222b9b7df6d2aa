//! Alpaca stocks, real-time: `trades`, `quotes`, `bars`, `dailyBars`, `updatedBars`, `statuses`,
//! `lulds`, as they are spelled in a subscription.
//!
//! Every frame is an array of objects whose `T` says what each is; each is a whole value of its
//! symbol `S`. Names of members differ by case only (`T` and `t`, `S` and `s`). There are no
//! numbers, only times `t` of nanoseconds. Corrections, cancelled trades and imbalances are
//! unmapped.
//!
//! A login comes first. The server answers a request with the list of *all* that it keeps up; what
//! was asked for and is not in it counts as refused. An error names no request: it is taken to be
//! about the oldest that has no answer.
//!
//! The id `*` stands for all symbols; the values are under each of them.
//!
//! Known from memory only: the codes of errors but 406, and how long a request may be.

use std::fmt::Write as _;

use super::exchange::elements;
use super::members::members;
use super::pending::Pending;
use super::requests::{quoted, verb_word};
use super::secret::Secret;
use super::snapshots;
use super::venue::{Emit, Venue};
use crate::feed::outbox::{Outbox, OutboxFull};
use crate::feed::protocol::{
    Address, Answer, Asked, Class, Control, Refusal, Sink, SubscribeError, Subscription, Update,
    Verb,
};
use crate::feed::reading::{TimeUnit, number};
use crate::feed::sequence::{Policy, Rule, Sequence};
use crate::feed::snapshot::Snapshot;
use crate::json::Value;
use crate::key::Id;

/// Streams and bytes of one request.
const MAX_SYMBOLS: usize = 400;
const MAX_REQUEST: usize = 14_000;
/// The id that stands for all symbols.
const ALL: &str = "*";

/// Channels by what `T` says.
const MAPPED: &[&str] = &["t", "q", "b", "d", "u", "s", "l"];
const CHANNELS: &[&str] = &[
    "trades",
    "quotes",
    "bars",
    "dailyBars",
    "updatedBars",
    "statuses",
    "lulds",
];
/// Those that come along unasked, and are not mapped.
const UNMAPPED: &[(&str, &str)] = &[
    ("c", "corrections"),
    ("x", "cancelErrors"),
    ("i", "imbalances"),
];

/// Which of the consolidated feeds is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StockFeed {
    /// The IEX exchange alone.
    #[default]
    Iex,
    /// All exchanges, for those who subscribe to it.
    Sip,
    /// All exchanges, 15 minutes late.
    DelayedSip,
}

impl StockFeed {
    const fn word(self) -> &'static str {
        match self {
            Self::Iex => "iex",
            Self::Sip => "sip",
            Self::DelayedSip => "delayed_sip",
        }
    }
}

/// What is particular to Alpaca.
#[derive(Clone, Debug, Default)]
pub struct AlpacaStocks {
    feed: StockFeed,
    credentials: Option<(Secret, Secret)>,
    is_let_in: bool,
    /// What was asked for and not answered yet, in order.
    pending: Pending,
}

impl AlpacaStocks {
    /// Which feed to use. Default: IEX.
    #[must_use]
    pub const fn feed(mut self, feed: StockFeed) -> Self {
        self.feed = feed;
        self
    }

    /// The key and its secret, without which the server lets nobody in. They are shown in no log.
    #[must_use]
    pub fn credentials(mut self, key: &str, secret: &str) -> Self {
        self.credentials = Some((Secret::new(key), Secret::new(secret)));
        self
    }

    fn log_in(&self, out: &mut Outbox) -> Result<Control<'static>, OutboxFull> {
        let Some((key, secret)) = &self.credentials else {
            return Ok(Control::Refused(
                "the server wants a login, and the feed has no credentials",
            ));
        };
        let (key, secret) = (quoted(key.reveal()), quoted(secret.reveal()));
        out.push_secret(format!(
            r#"{{"action":"auth","key":{key},"secret":{secret}}}"#
        ))?;
        Ok(Control::Notice)
    }

    /// The server lists all that it keeps up.
    fn listed(&mut self, list: Value<'_>, out: &mut Outbox) {
        for (name, symbols) in list.members() {
            if CHANNELS.contains(&name.as_str()) {
                let symbols = symbols.elements().filter_map(|symbol| symbol.str());
                symbols.for_each(|symbol| out.granted(name.as_str(), symbol));
            }
        }
        let Some(asked) = self.pending.pop() else {
            return;
        };
        for Subscription { channel, id } in &asked.streams {
            let listed = list.get(channel).is_some_and(|symbols| {
                let mut symbols = symbols.elements();
                symbols.any(|symbol| symbol.str() == Some(id))
            });
            match (asked.verb, listed) {
                (Verb::Subscribe, false) => {
                    let why = "not in the server's list of what it keeps up";
                    out.refused(channel, id, why);
                }
                (Verb::Unsubscribe, false) => out.ended(channel, id),
                (_, true) => {}
            }
        }
    }

    fn error<'a>(&mut self, error: Value<'a>) -> Control<'a> {
        let text = error.get("msg").and_then(|msg| msg.str());
        let text = text.unwrap_or("no reason given");
        match error.get("code").and_then(number) {
            // Not let in, let in too late, one connection too many, too slow, or the server's own.
            Some(401 | 402 | 404 | 406 | 407 | 408 | 500) => Control::Refused(text),
            // Let in already.
            Some(403) => Control::Notice,
            _ if !self.is_let_in => Control::Refused(text),
            _ => {
                let request = self.pending.pop().and_then(|asked| asked.number);
                Control::Denied(request, text)
            }
        }
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
        if let Some(channel) = MAPPED.iter().position(|mapped| *mapped == kind) {
            let time = fields.time.map(|time| TimeUnit::Rfc3339.nanos(time));
            let time = time.transpose()?;
            let update = Update::whole().timed(time);
            let rule = Policy::continuing(Rule::Timestamp);
            let update = match time {
                Some(time) => update.numbered(rule, Sequence::at(time)),
                None => update,
            };
            to.patch(channel, fields.symbol, update, event)?;
            return Ok(Class::Data);
        }
        let control = match kind {
            "success" => match fields.message.and_then(|message| message.str()) {
                Some("connected") => self.log_in(out)?,
                Some("authenticated") => {
                    self.is_let_in = true;
                    Control::Notice
                }
                _ => Control::Notice,
            },
            "subscription" => {
                self.listed(event, out);
                Control::Notice
            }
            "error" => self.error(event),
            other => {
                let named = UNMAPPED.iter().find(|(kind, _)| *kind == other);
                return Ok(Class::Unmapped(named.map_or(other, |(_, name)| name)));
            }
        };
        Ok(Class::Control(control))
    }
}

members! {
    struct Fields {
        kind = "T",
        symbol = "S",
        time = "t",
        message = "msg",
    }
}

impl Venue for AlpacaStocks {
    fn name(&self) -> &'static str {
        "alpaca-stocks"
    }

    fn channels(&self) -> &'static [&'static str] {
        CHANNELS
    }

    fn snapshot(&self, channel: &str, symbol: &str) -> Option<Snapshot> {
        let (key, secret) = self.credentials.as_ref()?;
        let credentials = (key.reveal(), secret.reveal());
        snapshots::alpaca::snapshot(channel, symbol, self.feed.word(), credentials)
    }

    fn base(&self) -> &'static str {
        "wss://stream.data.alpaca.markets/v2"
    }

    fn address(&self, base: &str, _wanted: &[&Subscription]) -> Address {
        Address {
            url: format!("{base}/{}", self.feed.word()),
            carries: 0,
        }
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
        let mut bytes = 0;
        let fit = streams.iter().take(MAX_SYMBOLS).take_while(|stream| {
            bytes += stream.id.len() + 4;
            bytes <= MAX_REQUEST
        });
        let count = fit.count().max(1).min(streams.len());
        let mut text = format!(r#"{{"action":"{action}""#);
        for channel in CHANNELS {
            let of_it = streams[..count].iter().filter(|s| *s.channel == **channel);
            let ids: Vec<_> = of_it.map(|stream| quoted(&stream.id)).collect();
            if !ids.is_empty() {
                // Writing to a String cannot fail.
                let _ = write!(text, r#","{channel}":[{}]"#, ids.join(","));
            }
        }
        text.push('}');
        out.push(text)?;
        self.pending.asked(verb, request, &streams[..count]);
        Ok(Asked {
            count,
            answer: Answer::Expected,
        })
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

/// What a frame of both is: what the machine has to act upon comes first, then values.
pub(super) fn weightier<'a>(a: Class<'a>, b: Class<'a>) -> Class<'a> {
    let weight = |class: &Class<'_>| match class {
        Class::Control(Control::Refused(_)) => 6,
        Class::Control(Control::Closing) => 5,
        Class::Control(Control::Denied(..) | Control::Granted(_)) => 4,
        Class::Data => 3,
        Class::Invalidation => 2,
        Class::Control(_) => 1,
        Class::Unmapped(_) => 0,
    };
    if weight(&b) > weight(&a) { b } else { a }
}

#[cfg(test)]
mod tests;
