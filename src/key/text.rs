//! Keys as JSON text, both ways.
//!
//! Numbers are read as the tokens they are, because a JSON reader's own numbers are floats beyond
//! 64 bits.

use std::fmt::{self, Write};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::part::Part;
use super::path::Key;

/// How deep arrays and objects may be nested in a text, the key's own array counted.
const MAX_DEPTH: u32 = 128;

/// Why a text is no [`Key`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not JSON; this is what the reader says.
    #[error("a key that is not JSON: {0}")]
    Json(String),
    /// It is JSON, but not an array.
    #[error("a key is a JSON array")]
    NotArray,
    /// It holds this number, which has a fraction or an exponent.
    #[error("{0} in a key: its numbers are integers, without fraction or exponent")]
    Fraction(String),
    /// It holds this integer, which does not fit 128 bits.
    #[error("{0} in a key: its integers have at most 128 bits")]
    TooBig(String),
    /// An object in it has this name more than once.
    #[error("an object of a key has the name {0:?} more than once")]
    Repeated(String),
    /// Arrays and objects are nested deeper than 128.
    #[error("arrays and objects of a key nested deeper than {MAX_DEPTH}")]
    TooDeep,
}

impl From<serde_json::Error> for KeyError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

pub(super) fn read_key(json: &str) -> Result<Key, KeyError> {
    let value: &RawValue = serde_json::from_str(json)?;
    match read_part(value, 1)? {
        Part::Array(parts) => Ok(parts.iter().cloned().collect()),
        _ => Err(KeyError::NotArray),
    }
}

/// `depth` is how deep an array or object here would be.
fn read_part(value: &RawValue, depth: u32) -> Result<Part, KeyError> {
    let text = value.get();
    if depth > MAX_DEPTH && text.starts_with(['[', '{']) {
        return Err(KeyError::TooDeep);
    }
    match text.as_bytes()[0] {
        b'n' => Ok(Part::Null),
        b't' => Ok(true.into()),
        b'f' => Ok(false.into()),
        b'"' => Ok(serde_json::from_str::<String>(text)?.into()),
        b'[' => {
            let parts: Vec<&RawValue> = serde_json::from_str(text)?;
            let parts = parts.into_iter().map(|part| read_part(part, depth + 1));
            Ok(Part::Array(parts.collect::<Result<_, _>>()?))
        }
        b'{' => {
            let Named(mut members) = serde_json::from_str(text)?;
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            if let Some(pair) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(KeyError::Repeated(pair[0].0.clone()));
            }
            let members = members
                .into_iter()
                .map(|(name, part)| Ok((name, read_part(part, depth + 1)?)));
            Ok(Part::object(members.collect::<Result<Vec<_>, KeyError>>()?))
        }
        _ if text.contains(['.', 'e', 'E']) => Err(KeyError::Fraction(text.to_owned())),
        _ => match text.parse() {
            Ok(number) => Ok(Part::Int(number)),
            Err(_) => Err(KeyError::TooBig(text.to_owned())),
        },
    }
}

/// The members of an object as they stand in the text.
struct Named<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Named<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Named<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Named(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

pub(super) fn write_part(part: &Part, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match part {
        Part::Null => f.write_str("null"),
        Part::Bool(truth) => write!(f, "{truth}"),
        Part::Int(number) => write!(f, "{number}"),
        Part::Text(text) => write_text(text, f),
        Part::Array(parts) => write_array(parts, f),
        Part::Object(members) => write_members(members, f),
    }
}

pub(super) fn write_array(parts: &[Part], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('[')?;
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_char(',')?;
        }
        write_part(part, f)?;
    }
    f.write_char(']')
}

pub(super) fn write_members(
    members: &[(impl AsRef<str>, Part)],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_char('{')?;
    for (at, (name, part)) in members.iter().enumerate() {
        if at > 0 {
            f.write_char(',')?;
        }
        write_text(name.as_ref(), f)?;
        f.write_char(':')?;
        write_part(part, f)?;
    }
    f.write_char('}')
}

/// As RFC 8259 wants it: quotes, backslashes and control characters escaped, nothing else.
fn write_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..0x20 => "",
            _ => continue,
        };
        f.write_str(&text[plain..at])?;
        plain = at + 1;
        if escape.is_empty() {
            write!(f, "\\u{byte:04x}")?;
        } else {
            f.write_str(escape)?;
        }
    }
    f.write_str(&text[plain..])?;
    f.write_char('"')
}
