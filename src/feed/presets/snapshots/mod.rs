//! What exchanges answer over REST, as their streams would send it: pure functions over bodies.
//!
//! There is one only where the answer says all that the stream says *of the instrument*, under
//! names that map one to one. Members about the message itself (its kind, when it was sent) are
//! left out where the answer has none; nothing is made up, and every token stays as it came. What
//! the stream does not send is left out too: no message would ever renew it.
//!
//! | exchange | channels | what the answer lacks |
//! |---|---|---|
//! | Binance | `bookTicker`, `ticker`, `miniTicker` | `E`; `u` of spot's `bookTicker` |
//! | Bybit spot | `tickers` | nothing |
//! | OKX | `tickers` | nothing |
//! | Deribit | `ticker` | nothing |
//! | Alpaca | `quotes`, `trades` | nothing |
//!
//! None, and why: Bybit contracts (`tickDirection`, `singleOpenInterest` and its value are not in
//! the answer, and deltas would not bring them until they change); Deribit `incremental_ticker`
//! (whether its first message holds more is not documented); Kraken v1 (`o` is one price in the
//! answer and two in the stream), Kraken v2 and futures, Coinbase, Polygon (other shapes); trades of
//! the others (no such request for the last one alone, or without the symbol).
//!
//! All shapes are as documented by the exchanges; none was tried against a live server.

pub(super) mod alpaca;
pub(super) mod binance;
pub(super) mod bybit;
pub(super) mod deribit;
pub(super) mod okx;

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::feed::snapshot::SnapshotError;

/// The members of an object in their order, each value as it stands.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The object that a text is.
    fn of(text: &'a [u8]) -> Result<Self, SnapshotError> {
        serde_json::from_slice(text).map_err(|error| SnapshotError::Shape(error.to_string()))
    }

    /// Where there should be an object.
    fn within(value: &'a RawValue) -> Result<Self, SnapshotError> {
        Self::of(value.get().as_bytes())
    }

    fn find(&self, name: &str) -> Option<&'a RawValue> {
        let mut members = self.0.iter();
        members.find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    fn get(&self, name: &str) -> Result<&'a RawValue, SnapshotError> {
        self.find(name)
            .ok_or_else(|| SnapshotError::Shape(format!("it has no `{name}`")))
    }

    /// The text of a member.
    fn text(&self, name: &str) -> Result<Cow<'a, str>, SnapshotError> {
        text(self.get(name)?).ok_or_else(|| SnapshotError::Shape(format!("`{name}` is no text")))
    }

    /// The object with these members, all of which there must be, in this order.
    fn only(&self, names: &[&str]) -> Result<String, SnapshotError> {
        let members: Result<Vec<_>, _> = names
            .iter()
            .map(|name| Ok((*name, self.get(name)?.get())))
            .collect();
        Ok(object(members?.into_iter()))
    }
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        Ok(Members(members))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collect)
    }
}

/// A text, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(text.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(value.get())
        .ok()
        .map(|Name(text)| text)
}

/// The one element of an array.
fn single(value: &RawValue) -> Result<&RawValue, SnapshotError> {
    let elements: Vec<&RawValue> = serde_json::from_str(value.get())
        .map_err(|error| SnapshotError::Shape(error.to_string()))?;
    match elements[..] {
        [element] => Ok(element),
        _ => {
            let count = elements.len();
            Err(SnapshotError::Shape(format!(
                "an array of {count} where one should be"
            )))
        }
    }
}

/// A JSON object of these members.
fn object<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut object = String::from("{");
    for (n, (name, value)) in members.enumerate() {
        let comma = if n > 0 { "," } else { "" };
        let name = serde_json::Value::from(name);
        // Writing to a String cannot fail.
        let _ = write!(object, "{comma}{name}:{value}");
    }
    object.push('}');
    object
}

/// A number, bare or in a text.
fn number(value: &RawValue) -> Option<u64> {
    match text(value) {
        Some(text) => text.parse().ok(),
        None => value.get().parse().ok(),
    }
}

/// Milliseconds since the Unix epoch in nanoseconds, which times are compared in.
fn millis(value: Option<&RawValue>) -> Option<u64> {
    number(value?)?.checked_mul(1_000_000)
}

/// A symbol as a part of a query.
fn encoded(symbol: &str) -> String {
    let mut encoded = String::new();
    for byte in symbol.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
