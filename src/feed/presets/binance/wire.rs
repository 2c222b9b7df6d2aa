//! Names and members of Binance's messages.

use std::fmt::Write as _;

use super::super::members::members;
use crate::feed::protocol::{Control, Subscription};
use crate::json::Value;

/// The members of a payload that decide what it is.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) event: Option<Value<'a>>,
    pub(super) symbol: Option<Value<'a>>,
    pub(super) update: Option<Value<'a>>,
    pub(super) trade: Option<Value<'a>>,
    pub(super) aggregate: Option<Value<'a>>,
    pub(super) time: Option<Value<'a>>,
    pub(super) index: Option<Value<'a>>,
    pub(super) order: Option<Value<'a>>,
    /// Which of `b`, `B`, `a`, `A` are there.
    book: u8,
}

impl<'a> Fields<'a> {
    #[inline]
    pub(super) fn of(data: Value<'a>) -> Self {
        let mut fields = Self::default();
        for (name, value) in data.members() {
            match name.as_str() {
                "e" => fields.event = Some(value),
                "s" => fields.symbol = Some(value),
                "u" => fields.update = Some(value),
                "t" => fields.trade = Some(value),
                "E" => fields.time = Some(value),
                "i" => fields.index = Some(value),
                "o" => fields.order = Some(value),
                "b" => fields.book |= 1,
                "B" => fields.book |= 2,
                "a" => {
                    fields.book |= 4;
                    fields.aggregate = Some(value);
                }
                "A" => fields.book |= 8,
                _ => {}
            }
        }
        fields
    }

    /// A raw `bookTicker` of spot carries no `e`: it is known by what it holds.
    pub(super) const fn is_book_ticker(&self) -> bool {
        self.book == 15 && self.symbol.is_some() && self.update.is_some()
    }
}

members! {
    /// The members around a payload.
    pub(super) struct Frame {
        pub(super) stream = "stream",
        pub(super) data = "data",
        result = "result",
        error = "error",
        id = "id",
        code = "code",
        msg = "msg",
    }
}

impl<'a> Frame<'a> {
    /// The answer to a request, if that is what the message is.
    pub(super) fn answer(&self) -> Option<Control<'a>> {
        let request = self.id.and_then(|id| id.u64());
        let text =
            |msg: Option<Value<'a>>| msg.and_then(|msg| msg.str()).unwrap_or("no reason given");
        if let Some(error) = self.error {
            return Some(Control::Denied(request, text(error.get("msg"))));
        }
        if self.code.is_some() && self.msg.is_some() {
            return Some(Control::Denied(request, text(self.msg)));
        }
        match (self.result, self.id) {
            (Some(_), Some(_)) => Some(request.map_or(Control::Notice, Control::Granted)),
            _ => None,
        }
    }
}

/// The channel of a stream: without symbol, speed, and the marks of streams of all symbols.
/// `btcusdt@markPrice@1s`, `!markPrice@arr` and `!markPrice@arr@1s` are `markPrice`.
#[inline]
pub(super) fn channel_of(stream: &str) -> &str {
    let rest = match stream.strip_prefix('!') {
        Some(rest) => rest,
        None => stream.split_once('@').map_or(stream, |(_, rest)| rest),
    };
    rest.split_once('@').map_or(rest, |(channel, _)| channel)
}

/// The channel of an event, by what a payload calls itself in `e`.
#[inline]
pub(super) fn channel_of_event(event: &str) -> &str {
    match event {
        "24hrTicker" => "ticker",
        "24hrMiniTicker" => "miniTicker",
        "1hTicker" => "ticker_1h",
        "4hTicker" => "ticker_4h",
        "1dTicker" => "ticker_1d",
        "markPriceUpdate" => "markPrice",
        "indexPriceUpdate" => "indexPrice",
        other => other,
    }
}

/// The stream's name on the wire: symbols are written small there, and streams of all symbols are
/// named by their channel alone.
pub(super) fn stream_name(stream: &Subscription) -> String {
    if stream.channel.starts_with('!') {
        return stream.channel.to_string();
    }
    format!("{}@{}", stream.id.to_lowercase(), stream.channel)
}

/// Symbols may hold letters beyond ASCII, URLs may not.
pub(super) fn percent_encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'@' | b'.' | b'_' | b'-' | b'!' => encoded.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => encoded.push(byte.into()),
            // Writing to a String cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}
