//! One field, copied out of a record: its token, read as a number, a text, ... when asked.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::cell::{self, Kind, Token};
use super::de::{self, TypeError};
use super::decimal::Decimal;
use super::document::Tree;
use super::number::Short;
use super::{digits, number, text};

/// Why a field is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The record has no such field.
    #[error("the field is missing")]
    Missing,
    /// The field is `null`.
    #[error("the field is null")]
    Null,
    /// The field is of another type: no number, no text, no number in its text.
    #[error("the field is of another type")]
    WrongType,
    /// The number does not fit the type asked for: too large, negative for an unsigned one, or a
    /// fraction for an integer.
    #[error("the number does not fit the type asked for")]
    Range,
    /// The text has an escape that stands for no character: half of a surrogate pair. Its raw
    /// token can still be read.
    #[error("the text has an escape that stands for no character")]
    BadEscape,
}

/// Bytes of token that a [`Value`] holds without allocating.
pub const INLINE_VALUE: usize = 30;

/// In whole words, the kind of a boxed text too, and with it the word that says which of these it
/// is: a value is written in words and moved in words. Moved in other pieces than it was written
/// in, it waits for the store: that costs more than to read it.
#[derive(Clone, PartialEq, Eq)]
enum Repr {
    /// The bytes of one cell, as they are.
    Cell(Words<2>),
    /// The bytes of two cells, as they are.
    Two(Words<4>),
    /// The first word of a cell of its kind, and the text.
    Boxed(u64, Box<[u8]>),
}

const _: () = assert!(
    size_of::<Value>() == 40,
    "four words, and one that says which"
);

/// Words that can be lent as bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(align(8))]
struct Words<const N: usize>([[u8; 8]; N]);

impl<const N: usize> Words<N> {
    #[inline(always)]
    const fn new(words: [u64; N]) -> Self {
        let mut bytes = [[0; 8]; N];
        let mut at = 0;
        while at < N {
            bytes[at] = words[at].to_le_bytes();
            at += 1;
        }
        Self(bytes)
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at])
    }

    /// The text of the token in them.
    #[inline]
    fn text(&self) -> &[u8] {
        match self.kind().and_then(Kind::literal) {
            Some(literal) => literal,
            None => {
                let range = cell::text_range(self.word(0));
                self.0.as_flattened().get(range).unwrap_or(&[])
            }
        }
    }

    #[inline]
    fn kind(&self) -> Option<Kind> {
        cell::kind(self.word(0))
    }
}

/// A field copied out of a record. Owned; tokens of up to 30 bytes are copied without allocating.
///
/// Nothing is parsed before it is asked for. Numbers may come as JSON numbers or as strings that
/// hold one (`"61837.63"`, as exchanges send prices): both read alike. Leading zeros are allowed
/// in such a string, a plus sign, spaces, `NaN` and hexadecimal digits are not.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Repr);

impl Value {
    /// The value of a field that is not there.
    #[must_use]
    #[inline]
    pub const fn missing() -> Self {
        Self(Repr::Cell(Words::new(cell::ABSENT)))
    }

    /// The value of one cell. Missing if its text lives in the document
    /// ([`is_document`](cell::is_document)), or if its token takes more cells.
    #[must_use]
    #[inline]
    pub fn from_cell(words: [u64; 2]) -> Self {
        if cell::is_whole(words[0]) {
            Self::from_whole(words)
        } else {
            Self::missing()
        }
    }

    /// The value of one cell that is [whole](cell::is_whole).
    #[inline(always)]
    fn from_whole(words: [u64; 2]) -> Self {
        debug_assert!(cell::is_whole(words[0]), "all of the token");
        Self(Repr::Cell(Words::new(words)))
    }

    /// The values of cells that are [whole](cell::is_whole), made in their place.
    #[inline(always)]
    pub(crate) fn from_cells_whole<const N: usize>(cells: &[[u64; 2]; N]) -> [Self; N] {
        // Neither `map` nor `zip`, which are not sure to be inlined.
        let mut values = [const { Self::missing() }; N];
        for at in 0..N {
            values[at] = Self::from_whole(cells[at]);
        }
        values
    }

    /// The value of the token whose cells begin here, two words each; there may be more words than
    /// it takes. Missing if the text lives in the document, or if there are too few words.
    #[must_use]
    #[inline]
    pub fn from_cells(words: &[u64]) -> Self {
        let Some(pair) = words.first_chunk::<2>() else {
            return Self::missing();
        };
        match cell::used_cells(pair[0]) {
            1 => Self::from_cell(*pair),
            2 => words
                .first_chunk::<4>()
                .map_or_else(Self::missing, |words| Self(Repr::Two(Words::new(*words)))),
            cells => Self::from_many(words, cells),
        }
    }

    #[cold]
    fn from_many(words: &[u64], cells: u16) -> Self {
        let Some(words) = words.get(..2 * usize::from(cells)) else {
            return Self::missing();
        };
        let Some(kind) = cell::kind(words[0]) else {
            return Self::missing();
        };
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Self::boxed(kind, bytes[cell::text_range(words[0])].into())
    }

    /// The value of a token.
    #[must_use]
    pub fn from_token(token: Token<'_>) -> Self {
        if token.kind == Kind::Object {
            return Self::object(token.text.to_vec());
        }
        match token.cells() {
            1 if token.text.len() <= cell::SHORT_TOKEN || token.kind.literal().is_some() => {
                Self::from_cell(cell::short(token))
            }
            2 => {
                let mut words = Vec::with_capacity(4);
                cell::wide(token, &mut words);
                Self::from_cells(&words)
            }
            _ => Self::boxed(token.kind, token.text.into()),
        }
    }

    /// The value of an object, from its JSON text.
    pub(super) fn object(json: Vec<u8>) -> Self {
        Self::boxed(Kind::Object, json.into())
    }

    fn boxed(kind: Kind, text: Box<[u8]>) -> Self {
        Self(Repr::Boxed(cell::of_kind(kind), text))
    }

    /// What it is; `None` if missing.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> Option<Kind> {
        match &self.0 {
            Repr::Cell(words) => words.kind(),
            Repr::Two(words) => words.kind(),
            Repr::Boxed(first, _) => cell::kind(*first),
        }
    }

    /// Whether the record has no such field.
    #[must_use]
    #[inline]
    pub fn is_missing(&self) -> bool {
        self.kind().is_none()
    }

    /// Whether the field is there and `null`.
    #[must_use]
    #[inline]
    pub fn is_null(&self) -> bool {
        self.kind() == Some(Kind::Null)
    }

    /// The token as it came: strings without quotes, escapes as they were. Empty if missing, and
    /// for an object that was read as a field.
    #[must_use]
    #[inline]
    pub fn raw(&self) -> &[u8] {
        match &self.0 {
            Repr::Cell(words) => words.text(),
            Repr::Two(words) => words.text(),
            Repr::Boxed(_, text) => text,
        }
    }

    /// The token; `None` if missing.
    #[must_use]
    pub fn token(&self) -> Option<Token<'_>> {
        self.kind().map(|kind| Token::new(kind, self.raw()))
    }

    /// The plain decimal in a cell: nearly every number.
    #[inline(always)]
    fn plain(&self) -> Option<Short> {
        match &self.0 {
            Repr::Cell(words) => digits::of_cell([words.word(0), words.word(1)]),
            _ => None,
        }
    }

    /// The text of a number, or of a string, in which there may be one.
    fn numeric(&self) -> Result<&[u8], FieldError> {
        match self.kind() {
            Some(Kind::Number | Kind::String) => Ok(self.raw()),
            kind => Err(Self::other(kind)),
        }
    }

    #[cold]
    fn other(kind: Option<Kind>) -> FieldError {
        match kind {
            None => FieldError::Missing,
            Some(Kind::Null) => FieldError::Null,
            Some(_) => FieldError::WrongType,
        }
    }

    /// The number, rounded to the nearest `f64`.
    ///
    /// # Errors
    /// `Missing`, `Null`, `WrongType`; `Range` if it is beyond the largest finite `f64`.
    #[inline]
    pub fn f64(&self) -> Result<f64, FieldError> {
        match self.plain() {
            // A cell has fewer digits than an `f64` holds.
            Some(plain) => Ok(plain.to_f64()),
            None => self.f64_any(),
        }
    }

    #[cold]
    #[inline(never)]
    fn f64_any(&self) -> Result<f64, FieldError> {
        number::f64(self.numeric()?)
    }

    /// The number, exactly; `1e3` is 1000, `2.0` is 2.
    ///
    /// # Errors
    /// `Missing`, `Null`, `WrongType`; `Range` if it is no whole number or does not fit.
    #[inline]
    pub fn i64(&self) -> Result<i64, FieldError> {
        match self.plain() {
            // A cell has fewer digits than an `i64` holds.
            Some(plain) if plain.fraction == 0 => Ok(plain.to_i64()),
            _ => self.i64_any(),
        }
    }

    #[cold]
    #[inline(never)]
    fn i64_any(&self) -> Result<i64, FieldError> {
        number::i64(self.numeric()?)
    }

    /// The number, exactly; `1e3` is 1000, `2.0` is 2.
    ///
    /// # Errors
    /// `Missing`, `Null`, `WrongType`; `Range` if it is negative, no whole number, or too large.
    #[inline]
    pub fn u64(&self) -> Result<u64, FieldError> {
        match self.plain() {
            Some(plain) if plain.fraction == 0 && !plain.negative => Ok(plain.digits),
            _ => self.u64_any(),
        }
    }

    #[cold]
    #[inline(never)]
    fn u64_any(&self) -> Result<u64, FieldError> {
        number::u64(self.numeric()?)
    }

    /// The number, exactly, with the trailing zeros it was written with.
    ///
    /// # Errors
    /// `Missing`, `Null`, `WrongType`; `Range` if it has more significant digits than fit.
    #[inline]
    pub fn decimal(&self) -> Result<Decimal, FieldError> {
        match self.plain() {
            Some(plain) => Ok(plain.into()),
            None => Decimal::parse(self.numeric()?),
        }
    }

    /// The text of a string, its escapes resolved. Borrowed if it has none.
    ///
    /// # Errors
    /// `Missing`, `Null`, `WrongType` (numbers included); `BadEscape` for half a surrogate pair.
    pub fn str(&self) -> Result<Cow<'_, str>, FieldError> {
        match self.token() {
            Some(Token {
                kind: Kind::String,
                text,
            }) => text::utf8(text).map(Cow::Borrowed),
            Some(Token {
                kind: Kind::EscapedString,
                text,
            }) => text::unescape(text::utf8(text)?).map(Cow::Owned),
            other => Err(Self::other(other.map(|token| token.kind))),
        }
    }

    /// Whether it is `true` or `false`.
    ///
    /// # Errors
    /// `Missing`, `Null`, `WrongType`.
    pub fn bool(&self) -> Result<bool, FieldError> {
        match self.kind() {
            Some(Kind::True) => Ok(true),
            Some(Kind::False) => Ok(false),
            kind => Err(Self::other(kind)),
        }
    }

    /// The value as JSON text: the token as it came, strings with their quotes.
    ///
    /// # Errors
    /// `Missing`; `WrongType` for an object that was read as a field of a slot (its members are
    /// fields of their own; read the whole record for the object).
    pub fn json(&self) -> Result<Cow<'_, str>, FieldError> {
        match self.token() {
            None => Err(FieldError::Missing),
            Some(Token {
                kind: Kind::String | Kind::EscapedString,
                text,
            }) => Ok(Cow::Owned(format!("\"{}\"", text::utf8(text)?))),
            Some(Token {
                kind: Kind::Object,
                text: [],
            }) => Err(FieldError::WrongType),
            Some(token) => text::utf8(token.text).map(Cow::Borrowed),
        }
    }

    /// The value as a type of the caller's. Numbers go from token to type without a float between;
    /// see [`Record::deserialize`](super::Record::deserialize).
    ///
    /// # Errors
    /// The value is not of that type, or missing and the type is not optional.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, TypeError> {
        de::from_value(self)
    }

    /// The value as a tree; `null` if missing.
    pub(super) fn to_tree(&self) -> Tree {
        let null = Token::new(Kind::Null, b"");
        Tree::token(self.token().unwrap_or(null))
    }
}

impl Default for Value {
    fn default() -> Self {
        Self::missing()
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.json() {
            Ok(json) => f.write_str(&json),
            Err(FieldError::Missing) => f.write_str("missing"),
            Err(_) => write!(f, "{:?}", self.kind()),
        }
    }
}

#[cfg(test)]
mod tests;
