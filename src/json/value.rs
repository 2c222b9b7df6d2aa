//! Handles to the values of a decoded message.

use std::fmt;

use super::{
    integer::Integer,
    items::Item,
    learned::{Hole, Template},
    pick::NOWHERE,
    pointer::Pointer,
    tape::Table,
};
use crate::{
    key::IdRef,
    record::{Kind, Token, Value as Field},
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
    #[inline]
    pub(super) fn new(table: Table<'a>, text: &'a [u8], at: u32) -> Self {
        Self { table, text, at }
    }

    /// The item `at` of a message that fits a template.
    #[inline]
    pub(super) fn of_template(template: &'a Template, text: &'a [u8], at: u32) -> Self {
        Self::new(Table::Matched(template), text, at)
    }

    #[inline]
    fn item(&self) -> Item {
        self.table.item(self.at)
    }

    #[inline]
    fn sibling(&self, at: u32) -> Self {
        Self { at, ..*self }
    }

    /// The template that the message fits, the text of the message, and which item this is.
    #[inline]
    pub(super) fn matched(&self) -> Option<(&'a Template, &'a [u8], u32)> {
        match self.table {
            Table::Matched(template) => Some((template, self.text, self.at)),
            Table::Parsed(_) => None,
        }
    }

    /// Whether the message was laid out as one before it, and not parsed.
    #[inline]
    pub(crate) fn is_matched(&self) -> bool {
        matches!(self.table, Table::Matched(_))
    }

    /// The item after this value and all that it holds.
    #[inline]
    fn after(&self) -> u32 {
        match self.table {
            Table::Matched(template) => template.places[self.at as usize].next,
            Table::Parsed(_) => {
                let item = self.item();
                if matches!(item.kind, Kind::Array | Kind::Object) {
                    item.extra
                } else {
                    self.at + 1
                }
            }
        }
    }

    /// The token of the value, if it is one of those in which messages of its template differ.
    #[inline(always)]
    fn hole(&self) -> Option<&'a Hole> {
        match self.table {
            Table::Matched(template) => {
                let hole = template.places[self.at as usize].hole;
                template.holes.get(hole as usize)
            }
            Table::Parsed(_) => None,
        }
    }

    /// What kind of token the value is.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> Kind {
        match self.table {
            Table::Matched(template) => template.kind(self.at),
            Table::Parsed(decoded) => decoded.items[self.at as usize].kind,
        }
    }

    /// The JSON text of the value as it was received: strings with their quotes and escapes, arrays
    /// and objects with the white space inside them.
    #[must_use]
    #[inline]
    pub fn raw(&self) -> &'a [u8] {
        let Item {
            kind, start, end, ..
        } = self.item();
        let quote = usize::from(matches!(kind, Kind::String | Kind::EscapedString));
        &self.text[start as usize - quote..end as usize + quote]
    }

    /// The value as a token: like [`raw`](Self::raw), but strings without their quotes.
    #[must_use]
    #[inline(always)]
    pub fn token(&self) -> Token<'a> {
        match self.hole() {
            Some(hole) => hole.token(self.text),
            None => self.fixed_token(),
        }
    }

    #[inline(never)]
    fn fixed_token(&self) -> Token<'a> {
        let Item {
            kind, start, end, ..
        } = self.item();
        Token {
            kind,
            text: &self.text[start as usize..end as usize],
        }
    }

    /// The value as a field of a record holds it: to be read as a number, whether it came as one or
    /// as a text that has one, as a decimal, into a type of the user's. Allocates if it has more
    /// than [`INLINE_VALUE`](crate::record::INLINE_VALUE) bytes.
    #[must_use]
    #[inline]
    pub fn field(&self) -> Field {
        match self.hole() {
            Some(hole) if hole.is_short() => Field::from_cell(hole.cell),
            _ => self.long_field(),
        }
    }

    #[inline(never)]
    fn long_field(&self) -> Field {
        if self.is_object() {
            // As received: with the white space inside.
            return Field::from_token(Token::new(Kind::Object, self.raw()));
        }
        Field::from_token(self.token())
    }

    /// The text of a string, unescaped; `None` for anything else.
    #[must_use]
    #[inline]
    pub fn str(&self) -> Option<&'a str> {
        // The message is UTF-8, and so is each of its strings.
        std::str::from_utf8(self.string()?).ok()
    }

    /// The bytes of [`str`](Self::str).
    #[inline]
    pub(crate) fn string(&self) -> Option<&'a [u8]> {
        let Token { kind, text } = self.token();
        match kind {
            Kind::String => Some(text),
            Kind::EscapedString => self.unescaped(),
            _ => None,
        }
    }

    #[cold]
    fn unescaped(&self) -> Option<&'a [u8]> {
        // No template has a string with escapes.
        let Table::Parsed(decoded) = self.table else {
            return None;
        };
        let Item { start, extra, .. } = self.item();
        decoded.plain.get(start as usize..(start + extra) as usize)
    }

    /// Whether its JSON text has more bytes than `limit`.
    #[inline]
    pub(super) fn is_longer_than(&self, limit: usize) -> bool {
        self.text.len() > limit && self.raw().len() > limit
    }

    /// The id that the value is: a string, or an integer written without fraction and exponent.
    /// Null is the absence of an id. `7` and `"7"` are different ids; `-0` is `0`.
    ///
    /// # Errors
    ///
    /// [`BadId`] for every other value.
    #[inline]
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
    #[inline]
    pub fn u64(&self) -> Option<u64> {
        self.integer()
    }

    /// The value of a number that is written as an integer; `None` if it is none or does not fit.
    #[must_use]
    #[inline]
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
    #[inline]
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// Whether the value is an object.
    #[must_use]
    #[inline]
    pub fn is_object(&self) -> bool {
        self.kind() == Kind::Object
    }

    /// The member of an object with this name, the last one if the name is repeated. `None` if
    /// there is none or the value is not an object. Looks at every member, so its cost is their
    /// number.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Self> {
        let at = match self.table {
            Table::Matched(template) => template.member(self.at, name.as_bytes())?,
            Table::Parsed(_) => {
                let [at] = self.search(&[name]);
                (at != NOWHERE).then_some(at)?
            }
        };
        Some(self.sibling(at))
    }

    /// The members of an object with these names, as [`get`](Self::get) finds them, in one pass.
    ///
    /// Where the message is laid out as an earlier one was, nothing is searched: what was found
    /// for the very same array of names then is found again.
    #[must_use]
    #[inline(always)]
    pub fn pick<const N: usize>(&self, names: &'static [&'static str; N]) -> [Option<Self>; N] {
        let places = match self.table {
            Table::Matched(template) => {
                let member = |name: &&str| template.member(self.at, name.as_bytes());
                let search = || names.each_ref().map(|name| member(name).unwrap_or(NOWHERE));
                template.memo.picks.find(self.at, names, search)
            }
            Table::Parsed(_) => self.search(names),
        };
        // Not `map`, which is not sure to be inlined.
        let mut found = [None; N];
        for (found, at) in found.iter_mut().zip(places) {
            if at != NOWHERE {
                *found = Some(self.sibling(at));
            }
        }
        found
    }

    /// The items of the members with these names, the last one of each.
    fn search<const N: usize>(&self, names: &[&str; N]) -> [u32; N] {
        let mut places = [NOWHERE; N];
        for (name, value) in self.members() {
            for (place, wanted) in places.iter_mut().zip(names) {
                if name.is(wanted) {
                    *place = value.at;
                }
            }
        }
        places
    }

    /// The value that a JSON pointer leads to from here.
    #[must_use]
    pub fn at(&self, pointer: &Pointer) -> Option<Self> {
        pointer.resolve(*self)
    }

    /// The members of an object in the order of the text, repeated names included; none of any
    /// other value.
    #[must_use]
    #[inline]
    pub fn members(&self) -> Members<'a> {
        let end = if self.kind() == Kind::Object {
            self.after()
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
        let array = self.unfolded().unwrap_or(*self);
        let end = if array.kind() == Kind::Array {
            array.after()
        } else {
            array.at + 1
        };
        Elements {
            next: array.sibling(array.at + 1),
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

    #[inline]
    fn integer<T: Integer>(&self) -> Option<T> {
        let Token { kind, text } = self.token();
        (kind == Kind::Number).then(|| T::read(text))?
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

    #[inline]
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

    #[inline]
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

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.next.at >= self.end {
            return None;
        }
        let value = self.next;
        self.next.at = value.after();
        Some(value)
    }
}
