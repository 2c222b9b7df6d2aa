//! When a rule applies: what a message, or an item of one, has to hold.

use super::tables::Tables;
use super::take::{Found, Scope, Take};
use crate::feed::reading;
use crate::record::Kind;

/// What is asked of a member. Texts are compared byte by byte; a number, `true` and `false` are
/// compared as they are written, so that `7` and `"7"` are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Test {
    /// It is there; null is.
    Present,
    /// It is not there.
    Absent,
    /// It is one of these.
    Equals(Vec<String>),
    /// It begins with one of these.
    Prefix(Vec<String>),
    /// It ends with one of these.
    Suffix(Vec<String>),
    /// One of these is in it.
    Contains(Vec<String>),
    /// It is there, and none of these.
    Not(Vec<String>),
    /// It is of one of these types.
    Type(Vec<Type>),
    /// It is a whole number, bare or in a text.
    Number,
}

impl Test {
    /// It is this word.
    #[must_use]
    pub fn equals(word: &str) -> Self {
        Self::Equals(vec![word.to_owned()])
    }

    /// It begins with this text.
    #[must_use]
    pub fn prefix(text: &str) -> Self {
        Self::Prefix(vec![text.to_owned()])
    }
}

/// The types of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// A text.
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Type {
    fn is(self, kind: Kind) -> bool {
        match self {
            Self::String => matches!(kind, Kind::String | Kind::EscapedString),
            Self::Number => kind == Kind::Number,
            Self::Bool => matches!(kind, Kind::True | Kind::False),
            Self::Null => kind == Kind::Null,
            Self::Array => kind == Kind::Array,
            Self::Object => kind == Kind::Object,
        }
    }
}

/// A test of one member.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) take: Take,
    pub(super) test: Test,
}

impl Condition {
    #[inline]
    pub(super) fn holds(
        &self,
        scope: &Scope<'_, '_>,
        tables: &Tables,
        scratch: &mut String,
    ) -> bool {
        let found = self.take.find(scope, tables, scratch);
        let Some(found) = found else {
            return self.test == Test::Absent;
        };
        let any = |texts: &[String], test: fn(&str, &str) -> bool| {
            let text = found.text();
            text.is_some_and(|text| texts.iter().any(|known| test(text, known)))
        };
        match &self.test {
            Test::Present => true,
            Test::Absent => false,
            Test::Equals(words) => any(words, |text, word| text == word),
            Test::Prefix(texts) => any(texts, |text, start| text.starts_with(start)),
            Test::Suffix(texts) => any(texts, |text, end| text.ends_with(end)),
            Test::Contains(texts) => any(texts, |text, part| text.contains(part)),
            Test::Not(words) => !any(words, |text, word| text == word),
            Test::Type(types) => {
                let kind = match found {
                    Found::Value(value) => value.kind(),
                    Found::Text(_) => Kind::String,
                };
                types.iter().any(|ty| ty.is(kind))
            }
            Test::Number => match found {
                Found::Value(value) => reading::number(value).is_some(),
                Found::Text(text) => text.parse::<u64>().is_ok(),
            },
        }
    }
}

/// Whether all conditions hold.
#[inline]
pub(super) fn all_hold(
    conditions: &[Condition],
    scope: &Scope<'_, '_>,
    tables: &Tables,
    scratch: &mut String,
) -> bool {
    conditions
        .iter()
        .all(|condition| condition.holds(scope, tables, scratch))
}
