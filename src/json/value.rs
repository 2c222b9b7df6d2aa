//! Handles to the values of a decoded message.

use std::fmt;

use super::{items::Item, pointer::Pointer, tape::Table};
use crate::{
    key::IdRef,
    record::{Kind, Token},
};

/// One value of a decoded message. A handle is a few words; copying one is free.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    table: Table<'a>,
    text: &'a [u8],
    at: u32,
}

/// The name of an object's member.
#[derive(Clone, Copy)]
pub struct Name<'a>(Value<'a>);

/// A value that cannot be an id: neither text nor integer nor null, or an integer beyond 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is a text or an integer")]
pub struct BadId;

impl<'a> Value<'a> {
    pub(super) fn new(table: Table<'a>, text: &'a [u8], at: u32) -> Self {
        Self { table, text, at }
    }

    fn item(&self) -> Item {
        self.table.item(self.at)
    }

    fn sibling(&self, at: u32) -> Self {
        Self { at, ..*self }
    }

    /// The item after this value and all that it holds.
    fn after(&self) -> u32 {
        let item = self.item();
        if matches!(item.kind, Kind::Array | Kind::Object) {
            item.extra
        } else {
            self.at + 1
        }
    }

    /// What kind of token the value is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.item().kind
    }

    /// The JSON text of the value as it was received: strings with their quotes and escapes, arrays
    /// and objects with the white space inside them.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        let Item {
            kind, start, end, ..
        } = self.item();
        let quote = usize::from(matches!(kind, Kind::String | Kind::EscapedString));
        &self.text[start as usize - quote..end as usize + quote]
    }

    /// The value as a token: like [`raw`](Self::raw), but strings without their quotes.
    #[must_use]
    pub fn token(&self) -> Token<'a> {
        let Item {
            kind, start, end, ..
        } = self.item();
        Token {
            kind,
            text: &self.text[start as usize..end as usize],
        }
    }

    /// The text of a string, unescaped; `None` for anything else.
    #[must_use]
    pub fn str(&self) -> Option<&'a str> {
        let Item {
            kind,
            start,
            end,
            extra,
        } = self.item();
        match kind {
            Kind::String => std::str::from_utf8(self.text.get(start as usize..end as usize)?).ok(),
            Kind::EscapedString => {
                // No template has such a string.
                let Table::Parsed(decoded) = self.table else {
                    return None;
                };
                let plain = &decoded.plain[start as usize..(start + extra) as usize];
                std::str::from_utf8(plain).ok()
            }
            _ => None,
        }
    }

    /// The id that the value is: a string, or an integer written without fraction and exponent.
    /// Null is the absence of an id. `7` and `"7"` are different ids; `-0` is `0`.
    ///
    /// # Errors
    ///
    /// [`BadId`] for every other value.
    pub fn id(&self) -> Result<Option<IdRef<'a>>, BadId> {
        match self.kind() {
            Kind::Null => Ok(None),
            Kind::String | Kind::EscapedString => {
                self.str().map(|text| Some(IdRef::Text(text))).ok_or(BadId)
            }
            Kind::Number => self
                .integer()
                .map(|number| Some(IdRef::Int(number)))
                .ok_or(BadId),
            _ => Err(BadId),
        }
    }

    /// The value of a number that is written as an integer; `None` if it is none or does not fit.
    #[must_use]
    pub fn u64(&self) -> Option<u64> {
        self.integer()
    }

    /// The value of a number that is written as an integer; `None` if it is none or does not fit.
    #[must_use]
    pub fn i64(&self) -> Option<i64> {
        self.integer()
    }

    /// The value of `true` and `false`; `None` for anything else.
    #[must_use]
    pub fn bool(&self) -> Option<bool> {
        match self.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    /// Whether the value is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// Whether the value is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.kind() == Kind::Object
    }

    /// The member of an object with this name, the last one if the name is repeated. `None` if
    /// there is none or the value is not an object. Looks at every member, so its cost is their
    /// number.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Self> {
        self.members()
            .filter(|(member, _)| member.is(name))
            .last()
            .map(|(_, value)| value)
    }

    /// The value that a JSON pointer leads to from here.
    #[must_use]
    pub fn at(&self, pointer: &Pointer) -> Option<Self> {
        pointer.resolve(*self)
    }

    /// The members of an object in the order of the text, repeated names included; none of any
    /// other value.
    #[must_use]
    pub fn members(&self) -> Members<'a> {
        let end = if self.kind() == Kind::Object {
            self.item().extra
        } else {
            self.at + 1
        };
        Members {
            next: self.sibling(self.at + 1),
            end,
        }
    }

    /// The elements of an array in order; none of any other value.
    #[must_use]
    pub fn elements(&self) -> Elements<'a> {
        if let Some(array) = self.unfolded() {
            return array.elements();
        }
        let end = if self.kind() == Kind::Array {
            self.item().extra
        } else {
            self.at + 1
        };
        Elements {
            next: self.sibling(self.at + 1),
            end,
        }
    }

    /// The value as a parsed one, if it is an array in a hole of a template.
    fn unfolded(&self) -> Option<Self> {
        let Table::Matched(template) = self.table else {
            return None;
        };
        let decoded = template.inside(self.at, self.text)?;
        Some(Self::new(Table::Parsed(decoded), self.raw(), 0))
    }

    /// Members of an object (repeated names counted each time) or elements of an array; 0 for
    /// anything else. Its cost is their number.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.is_object() {
            self.members().count()
        } else {
            self.elements().count()
        }
    }

    /// Whether [`len`](Self::len) is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members().next().is_none() && self.elements().next().is_none()
    }

    fn integer<T: std::str::FromStr>(&self) -> Option<T> {
        let Item {
            kind: Kind::Number,
            start,
            end,
            ..
        } = self.item()
        else {
            return None;
        };
        let text = self.text.get(start as usize..end as usize)?;
        std::str::from_utf8(text).ok()?.parse().ok()
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.raw()))
    }
}

impl<'a> Name<'a> {
    /// The name, unescaped.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        // A name is a string item by construction of the table, and simd-json proved that it is
        // UTF-8.
        self.0.str().unwrap_or_default()
    }

    /// The name as it was received, with quotes and escapes.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.0.raw()
    }

    fn is(&self, name: &str) -> bool {
        let Token { kind, text } = self.0.token();
        if kind == Kind::String {
            text == name.as_bytes()
        } else {
            self.as_str() == name
        }
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Iterator over the members of an object.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    next: Value<'a>,
    end: u32,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Name<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next.at >= self.end {
            return None;
        }
        let name = Name(self.next);
        let value = self.next.sibling(self.next.at + 1);
        self.next.at = value.after();
        Some((name, value))
    }
}

/// Iterator over the elements of an array.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    next: Value<'a>,
    end: u32,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next.at >= self.end {
            return None;
        }
        let value = self.next;
        self.next.at = value.after();
        Some(value)
    }
}
