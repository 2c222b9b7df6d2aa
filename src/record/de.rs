//! From a record to a type of the caller's, through serde: token to number, without a float
//! between.
//!
//! One deserializer walks all forms a value may have: nodes of the schema, trees, and the text of
//! an array. Arrays are split into the texts of their elements and walked on, so that their
//! numbers are exact as well.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::cell::{Kind, Token};
use super::decimal;
use super::document::Tree;
use super::number;
use super::record::RecordRef;
use super::schema::Node;
use super::text;
use super::value::Value;

/// The value is not of the type asked for. Says which field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError {
    /// Names and indices from the outside in, joined with dots.
    path: String,
    message: String,
}

impl TypeError {
    /// The field it is about: names and array indices joined with dots; empty for the value
    /// itself.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    fn within(mut self, name: impl fmt::Display) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "field `{}`: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for TypeError {}

impl Error for TypeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            path: String::new(),
            message: message.to_string(),
        }
    }
}

/// Deserializes a whole record.
pub(super) fn from_record<T: DeserializeOwned>(record: RecordRef<'_>) -> Result<T, TypeError> {
    T::deserialize(De(match record.tree() {
        Some(tree) => Source::Tree(tree),
        None => Source::Node(record, Node::ROOT),
    }))
}

/// Deserializes one field.
pub(super) fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, TypeError> {
    T::deserialize(De(value.token().map_or(Source::Missing, Source::Token)))
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Missing,
    Node(RecordRef<'a>, Node),
    Tree(&'a Tree),
    Token(Token<'a>),
}

/// A value, looked into.
enum Opened<'a> {
    Object(Members<'a>),
    Leaf(Leaf<'a>),
}

enum Leaf<'a> {
    Value(Value),
    Token(Token<'a>),
}

impl Leaf<'_> {
    fn token(&self) -> Option<Token<'_>> {
        match self {
            Self::Value(value) => value.token(),
            Self::Token(token) => Some(*token),
        }
    }

    /// The text of a number, or of a string that may hold one.
    fn numeric(&self) -> Option<&[u8]> {
        let numeric = |token: &Token<'_>| matches!(token.kind, Kind::Number | Kind::String);
        self.token().filter(numeric).map(|token| token.text)
    }
}

struct De<'a>(Source<'a>);

impl<'a> De<'a> {
    fn json(text: &'a str) -> Self {
        Self(Source::Token(text::token(text)))
    }

    fn open(&self) -> Result<Opened<'a>, TypeError> {
        Ok(match self.0 {
            Source::Missing => Opened::Leaf(Leaf::Value(Value::missing())),
            Source::Node(record, node) if record.is_branch(node) => {
                let children = record.layout().children(node).iter();
                Opened::Object(Members::Nodes(record, children))
            }
            Source::Node(record, node) => Opened::Leaf(Leaf::Value(record.value(node))),
            Source::Tree(tree) => match tree.as_token() {
                Some(token) => Opened::Leaf(Leaf::Token(token)),
                None => Opened::Object(Members::Trees(tree.members().iter())),
            },
            Source::Token(Token {
                kind: Kind::Object,
                text,
            }) => {
                let text = text::utf8(text).map_err(TypeError::custom)?;
                let members = text::members(text).map_err(TypeError::custom)?;
                Opened::Object(Members::Texts(members.into_iter()))
            }
            Source::Token(token) => Opened::Leaf(Leaf::Token(token)),
        })
    }

    /// The value, if it is no object.
    fn leaf(&self) -> Result<Option<Leaf<'a>>, TypeError> {
        Ok(match self.open()? {
            Opened::Leaf(leaf) => Some(leaf),
            Opened::Object(_) => None,
        })
    }
}

/// The members of an object, of whatever form.
enum Members<'a> {
    Nodes(RecordRef<'a>, std::slice::Iter<'a, Node>),
    Trees(std::slice::Iter<'a, (std::sync::Arc<str>, Tree)>),
    Texts(std::vec::IntoIter<(Cow<'a, str>, &'a str)>),
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, De<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Nodes(record, children) => {
                let node = *children.find(|node| record.is_present(**node))?;
                let name = record.layout().name(node);
                Some((Cow::Borrowed(name), De(Source::Node(*record, node))))
            }
            Self::Trees(members) => {
                let (name, tree) = members.next()?;
                Some((Cow::Borrowed(&**name), De(Source::Tree(tree))))
            }
            Self::Texts(members) => {
                let (name, text) = members.next()?;
                Some((name, De::json(text)))
            }
        }
    }
}

fn visit_leaf<'de, V: Visitor<'de>>(leaf: &Leaf<'_>, visitor: V) -> Result<V::Value, TypeError> {
    let Some(Token { kind, text }) = leaf.token() else {
        return Err(TypeError::custom("there is no value"));
    };
    match kind {
        Kind::Null => visitor.visit_unit(),
        Kind::True => visitor.visit_bool(true),
        Kind::False => visitor.visit_bool(false),
        Kind::Number => visit_number(text, visitor),
        Kind::String => visitor.visit_str(text::utf8(text).map_err(TypeError::custom)?),
        Kind::EscapedString => {
            let text = text::utf8(text)
                .and_then(text::unescape)
                .map_err(TypeError::custom)?;
            visitor.visit_string(text)
        }
        Kind::Array => {
            let text = text::utf8(text).map_err(TypeError::custom)?;
            let elements = text::elements(text).map_err(TypeError::custom)?;
            let count = elements.len();
            let mut walk = Elements {
                elements: elements.into_iter(),
                at: 0,
            };
            let value = visitor.visit_seq(&mut walk)?;
            if walk.elements.len() == 0 {
                Ok(value)
            } else {
                Err(TypeError::invalid_length(count, &"fewer elements"))
            }
        }
        Kind::Object => De(Source::Token(Token { kind, text })).deserialize_any(visitor),
    }
}

/// A number for a visitor that takes any: the narrowest of the types that serde buffers.
fn visit_number<'de, V: Visitor<'de>>(text: &[u8], visitor: V) -> Result<V::Value, TypeError> {
    let integer = text != b"-0" && !text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if integer {
        if let Ok(number) = number::u64(text) {
            return visitor.visit_u64(number);
        }
        if let Ok(number) = number::i64(text) {
            return visitor.visit_i64(number);
        }
    }
    visitor.visit_f64(number::f64(text).map_err(|error| out_of_range(text, error))?)
}

#[cold]
fn out_of_range(text: &[u8], error: impl fmt::Display) -> TypeError {
    TypeError::custom(format_args!("{}: {error}", String::from_utf8_lossy(text)))
}

macro_rules! numbers {
    ($($method:ident $read:path, $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
            let leaf = self.leaf()?;
            match leaf.as_ref().and_then(Leaf::numeric).map($read) {
                Some(Ok(number)) => visitor.$visit(number),
                // It says better what is wrong.
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

fn read_u128(text: &[u8]) -> Result<u128, TypeError> {
    let whole = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    whole.map_or_else(
        || {
            number::i128(text)
                .map_err(TypeError::custom)?
                .try_into()
                .map_err(TypeError::custom)
        },
        Ok,
    )
}

fn read_f32(text: &[u8]) -> Result<f32, TypeError> {
    number::f64(text).map_err(TypeError::custom)?;
    text::utf8(text)
        .map_err(TypeError::custom)?
        .parse()
        .map_err(TypeError::custom)
}

impl<'de> Deserializer<'de> for De<'_> {
    type Error = TypeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.open()? {
            Opened::Leaf(leaf) => visit_leaf(&leaf, visitor),
            Opened::Object(members) => visitor.visit_map(Object {
                members,
                value: None,
            }),
        }
    }

    numbers! {
        deserialize_u8 number::u64, visit_u64;
        deserialize_u16 number::u64, visit_u64;
        deserialize_u32 number::u64, visit_u64;
        deserialize_u64 number::u64, visit_u64;
        deserialize_u128 read_u128, visit_u128;
        deserialize_i8 number::i64, visit_i64;
        deserialize_i16 number::i64, visit_i64;
        deserialize_i32 number::i64, visit_i64;
        deserialize_i64 number::i64, visit_i64;
        deserialize_i128 number::i128, visit_i128;
        deserialize_f32 read_f32, visit_f32;
        deserialize_f64 number::f64, visit_f64;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.leaf()?.as_ref().map(Leaf::token) {
            Some(
                None
                | Some(Token {
                    kind: Kind::Null, ..
                }),
            ) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        if name != decimal::NEWTYPE {
            return visitor.visit_newtype_struct(self);
        }
        match self.leaf()?.as_ref().and_then(Leaf::numeric) {
            Some(text) => visitor.visit_str(text::utf8(text).map_err(TypeError::custom)?),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        match self.open()? {
            Opened::Leaf(leaf) => match leaf.token() {
                Some(Token {
                    kind: Kind::String,
                    text,
                }) => {
                    let text = text::utf8(text).map_err(TypeError::custom)?;
                    let variant: StrDeserializer<'_, TypeError> = text.into_deserializer();
                    visitor.visit_enum(variant)
                }
                Some(Token {
                    kind: Kind::EscapedString,
                    text,
                }) => {
                    let text = text::utf8(text)
                        .and_then(text::unescape)
                        .map_err(TypeError::custom)?;
                    visitor.visit_enum(text.into_deserializer())
                }
                _ => visit_leaf(&leaf, visitor),
            },
            Opened::Object(mut members) => match (members.next(), members.next()) {
                (Some((name, value)), None) => visitor.visit_enum(Variant { name, value }),
                _ => Err(TypeError::invalid_value(
                    Unexpected::Map,
                    &"an object with one member, the variant's name",
                )),
            },
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier
    }
}

struct Object<'a> {
    members: Members<'a>,
    value: Option<(Cow<'a, str>, De<'a>)>,
}

impl<'de> MapAccess<'de> for Object<'_> {
    type Error = TypeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, TypeError> {
        let Some((name, value)) = self.members.next() else {
            return Ok(None);
        };
        let key = seed.deserialize(De(Source::Token(Token::new(Kind::String, name.as_bytes()))))?;
        self.value = Some((name, value));
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, TypeError> {
        let Some((name, value)) = self.value.take() else {
            return Err(TypeError::custom("a value was asked for before its name"));
        };
        seed.deserialize(value).map_err(|error| error.within(name))
    }
}

struct Elements<'a> {
    elements: std::vec::IntoIter<&'a str>,
    at: usize,
}

impl<'de> SeqAccess<'de> for &mut Elements<'_> {
    type Error = TypeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, TypeError> {
        let Some(element) = self.elements.next() else {
            return Ok(None);
        };
        let at = self.at;
        self.at += 1;
        seed.deserialize(De::json(element))
            .map(Some)
            .map_err(|error| error.within(at))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.elements.len())
    }
}

struct Variant<'a> {
    name: Cow<'a, str>,
    value: De<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = TypeError;
    type Variant = Content<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Content<'a>), TypeError> {
        let name: StrDeserializer<'_, TypeError> = (&*self.name).into_deserializer();
        Ok((seed.deserialize(name)?, Content(self.value)))
    }
}

/// What a variant holds.
struct Content<'a>(De<'a>);

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = TypeError;

    fn unit_variant(self) -> Result<(), TypeError> {
        serde::Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, TypeError> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TypeError> {
        self.0.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        self.0.deserialize_any(visitor)
    }
}

#[cfg(test)]
mod tests;
