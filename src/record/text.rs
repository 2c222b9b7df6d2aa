//! JSON text in and out of trees, and escapes.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::cell::{Kind, Token};
use super::document::Tree;
use super::value::FieldError;

/// How many objects text may nest.
const MAX_DEPTH: u32 = 128;

pub(super) fn utf8(text: &[u8]) -> Result<&str, FieldError> {
    std::str::from_utf8(text).map_err(|_| FieldError::WrongType)
}

pub(super) fn into_string(text: Vec<u8>) -> String {
    String::from_utf8(text)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Resolves the escapes of a string token.
pub(super) fn unescape(raw: &str) -> Result<String, FieldError> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (character, after) = escape(&rest[at + 1..]).ok_or(FieldError::BadEscape)?;
        out.push(character);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Reads one escape after its backslash; gives what follows it too.
fn escape(text: &str) -> Option<(char, &str)> {
    let character = match text.as_bytes().first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(&text[1..]),
        _ => return None,
    };
    Some((character, &text[1..]))
}

fn unicode(text: &str) -> Option<(char, &str)> {
    let (high, after) = hex(text)?;
    if let Some(character) = char::from_u32(high) {
        return Some((character, after));
    }
    let (low, after) = hex(after.strip_prefix("\\u")?)?;
    let mut units = char::decode_utf16([u16::try_from(high).ok()?, u16::try_from(low).ok()?]);
    Some((units.next()?.ok()?, after))
}

fn hex(text: &str) -> Option<(u32, &str)> {
    let (digits, after) = text.split_at_checked(4)?;
    let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((
        u32::from_str_radix(digits, 16).ok().filter(|_| valid)?,
        after,
    ))
}

/// Appends a text as a JSON string.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..0x20 => out.extend(format!("\\u{byte:04x}").bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends a token as JSON text.
pub(super) fn write_token(token: Token<'_>, out: &mut Vec<u8>) {
    match token.kind {
        Kind::String | Kind::EscapedString => {
            out.push(b'"');
            out.extend_from_slice(token.text);
            out.push(b'"');
        }
        _ => out.extend_from_slice(token.text),
    }
}

/// Appends a tree as JSON text.
pub(super) fn write_tree(tree: &Tree, out: &mut Vec<u8>) {
    if let Some(token) = tree.as_token() {
        return write_token(token, out);
    }
    out.push(b'{');
    for (at, (name, member)) in tree.members().iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_tree(member, out);
    }
    out.push(b'}');
}

/// The token that a JSON text is; for an object, its whole text. The text has to be valid.
pub(super) fn token(json: &str) -> Token<'_> {
    let json = json.trim_matches([' ', '\t', '\n', '\r']);
    let kind = match json.as_bytes().first() {
        Some(b'"') => {
            let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or("");
            let kind = if inner.contains('\\') {
                Kind::EscapedString
            } else {
                Kind::String
            };
            return Token::new(kind, inner.as_bytes());
        }
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b't') => Kind::True,
        Some(b'f') => Kind::False,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    };
    Token::new(kind, json.as_bytes())
}

/// Reads JSON text as a tree.
pub(super) fn parse(json: &str) -> Result<Tree, serde_json::Error> {
    // Once for the whole, so that an error says where it is.
    let raw: &RawValue = serde_json::from_str(json)?;
    parse_valid(raw.get(), MAX_DEPTH)
}

fn parse_valid(json: &str, depth: u32) -> Result<Tree, serde_json::Error> {
    let token = token(json);
    if token.kind != Kind::Object {
        return Ok(Tree::token(token));
    }
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| Error::custom("objects nested too deep"))?;
    let members: Result<Vec<_>, serde_json::Error> = members(json)?
        .into_iter()
        .map(|(name, member)| Ok((Arc::from(name), parse_valid(member, depth)?)))
        .collect();
    Ok(Tree::object(members?))
}

/// Splits the text of an object into its members, repeated names included.
pub(super) fn members(json: &str) -> Result<Vec<(Cow<'_, str>, &str)>, serde_json::Error> {
    let members: Members<'_> = serde_json::from_str(json)?;
    Ok(members.0)
}

/// Splits the text of an array into its elements.
pub(super) fn elements(json: &str) -> Result<Vec<&str>, serde_json::Error> {
    let elements: Elements<'_> = serde_json::from_str(json)?;
    Ok(elements.0)
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;

        impl<'de> Visitor<'de> for Walk {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key_seed(Name)? {
                    members.push((name, map.next_value::<&RawValue>()?.get()));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Walk)
    }
}

/// A member name, borrowed unless it has escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

struct Elements<'a>(Vec<&'a str>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;

        impl<'de> Visitor<'de> for Walk {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Elements<'de>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element::<&RawValue>()? {
                    elements.push(element.get());
                }
                Ok(Elements(elements))
            }
        }

        deserializer.deserialize_seq(Walk)
    }
}

#[cfg(test)]
mod tests;
