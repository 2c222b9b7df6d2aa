//! Names and members of Binance's messages.

use std::fmt::Write as _;

use super::super::members::members;
use crate::feed::protocol::{Control, Subscription};
use crate::json::Value;

/// The members that say when, of what and with which number a value of a channel is. The name in
/// place of a number that the channel does not have is of no member.
#[inline]
pub(super) fn members_of(channel: &str) -> &'static [&'static str; 3] {
    match channel {
        "bookTicker" => &["E", "s", "u"],
        "trade" => &["E", "s", "t"],
        "aggTrade" => &["E", "s", "a"],
        "forceOrder" => &["E", "o", ""],
        "indexPrice" => &["E", "i", ""],
        _ => &["E", "s", ""],
    }
}

/// A raw `bookTicker` of spot carries no `e`: it is known by what it holds.
pub(super) fn is_book_ticker(data: Value<'_>) -> bool {
    let members = data.pick(&["s", "u", "b", "B", "a", "A"]);
    members.iter().all(Option::is_some)
}

members! {
    /// The members around a payload.
    pub(super) struct Frame {
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
pub(super) fn channel_of(stream: &[u8]) -> &[u8] {
    let rest = match stream.strip_prefix(b"!") {
        Some(rest) => rest,
        None => at_sign(stream).map_or(stream, |at| &stream[at + 1..]),
    };
    at_sign(rest).map_or(rest, |at| &rest[..at])
}

/// Where the first `@` is, looked for eight bytes at a time: names are too short for a call.
#[inline]
fn at_sign(text: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut words = text.chunks_exact(8);
    for (number, word) in words.by_ref().enumerate() {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        let differs = word ^ (ONES * b'@' as u64);
        // The lowest byte that is zero has its highest bit set; those above it do not matter.
        let zero = differs.wrapping_sub(ONES) & !differs & (ONES << 7);
        if zero != 0 {
            return Some(8 * number + (zero.trailing_zeros() / 8) as usize);
        }
    }
    let rest = words.remainder();
    let at = rest.iter().position(|byte| *byte == b'@')?;
    Some(text.len() - rest.len() + at)
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
