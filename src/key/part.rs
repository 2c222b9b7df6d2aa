//! One part of a key: the typed values that JSON has, less fractions.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::id::{Id, IdRef};
use super::text;

/// One part of a [`Key`](super::Key).
///
/// Two parts are equal if type and content are: `1`, `"1"` and `true` are three parts, the order in
/// which an object's members were written does not matter. There are no fractions, since no two
/// ways to write one would be sure to be one key. Cloning never allocates. Ordered by type, in the
/// order below, then by content. `Debug` and `Display` are its JSON text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// Nothing, said outright. An absent part is left out instead.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer; 128 bits hold every integer id in use, signed or not.
    Int(i128),
    /// A text, which may be empty.
    Text(Arc<str>),
    /// Parts in order.
    Array(Arc<[Self]>),
    /// Named parts.
    Object(Members),
}

/// The members of an object in a key, sorted by name, each name once.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Members(Arc<[(Arc<str>, Part)]>);

impl Part {
    /// These parts, in this order.
    #[must_use]
    pub fn array(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::Array(parts.into_iter().collect())
    }

    /// These members, in whichever order they come. Of members with one name, the last counts.
    #[must_use]
    pub fn object<N: Into<Arc<str>>>(members: impl IntoIterator<Item = (N, Self)>) -> Self {
        let mut members: Vec<(Arc<str>, Self)> = members
            .into_iter()
            .map(|(name, part)| (name.into(), part))
            .collect();
        // The sort is stable, so the last of one name stands last; `dedup_by` keeps the first.
        members.reverse();
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        members.dedup_by(|(a, _), (b, _)| a == b);
        Self::Object(Members(members.into()))
    }

    /// The part as an id, if it is a text or an integer.
    #[must_use]
    pub fn as_id(&self) -> Option<IdRef<'_>> {
        match self {
            Self::Int(number) => Some(IdRef::Int(*number)),
            Self::Text(text) => Some(IdRef::Text(text)),
            _ => None,
        }
    }

    /// Whether this part has all that `filter` names; see
    /// [`Key::starts_with`](super::Key::starts_with).
    pub(super) fn has(&self, filter: &Self) -> bool {
        match (self, filter) {
            (Self::Array(parts), Self::Array(filter)) => begins_with(parts, filter),
            (Self::Object(members), Self::Object(filter)) => filter
                .iter()
                .all(|(name, filter)| members.get(name).is_some_and(|part| part.has(filter))),
            _ => self == filter,
        }
    }
}

/// Whether each of `filter` is had by the part at its place.
pub(super) fn begins_with(parts: &[Part], filter: &[Part]) -> bool {
    filter.len() <= parts.len()
        && parts
            .iter()
            .zip(filter)
            .all(|(part, filter)| part.has(filter))
}

impl Members {
    /// The member of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Part> {
        let at = self
            .0
            .binary_search_by(|(member, _)| (**member).cmp(name))
            .ok()?;
        Some(&self.0[at].1)
    }
}

impl Deref for Members {
    type Target = [(Arc<str>, Part)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_part(self, f)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_members(self, f)
    }
}

impl From<bool> for Part {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<Arc<str>> for Part {
    fn from(text: Arc<str>) -> Self {
        Self::Text(text)
    }
}

impl From<&Arc<str>> for Part {
    fn from(text: &Arc<str>) -> Self {
        Self::Text(Arc::clone(text))
    }
}

impl From<Id> for Part {
    fn from(id: Id) -> Self {
        Self::from(&id)
    }
}

impl From<&Id> for Part {
    fn from(id: &Id) -> Self {
        match id.shared_text() {
            Some(text) => Self::Text(text),
            None => id.as_ref().into(),
        }
    }
}

impl From<IdRef<'_>> for Part {
    fn from(id: IdRef<'_>) -> Self {
        match id {
            IdRef::Int(number) => Self::Int(number),
            IdRef::Text(text) => text.into(),
        }
    }
}

impl From<&Self> for Part {
    fn from(part: &Self) -> Self {
        part.clone()
    }
}

/// `None` is [`Part::Null`]. To leave an absent part out instead, write `?` before it in
/// [`key!`](crate::key!).
impl<T: Into<Self>> From<Option<T>> for Part {
    fn from(part: Option<T>) -> Self {
        part.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Part {
    fn from(parts: Vec<T>) -> Self {
        Self::array(parts.into_iter().map(Into::into))
    }
}

impl<T: Into<Self>, const N: usize> From<[T; N]> for Part {
    fn from(parts: [T; N]) -> Self {
        Self::array(parts.into_iter().map(Into::into))
    }
}

macro_rules! from_text {
    ($($text:ty)*) => {$(
        impl From<$text> for Part {
            fn from(text: $text) -> Self {
                Self::Text(text.into())
            }
        }
    )*};
}

from_text!(&str String Cow<'_, str>);

impl From<&String> for Part {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

macro_rules! from_integer {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Part {
            fn from(number: $integer) -> Self {
                Self::Int(number.into())
            }
        }
    )*};
}

from_integer!(i8 u8 i16 u16 i32 u32 i64 u64 i128);

macro_rules! from_size {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Part {
            fn from(number: $integer) -> Self {
                // No target has sizes of more than 64 bits.
                Self::Int(number as i128)
            }
        }
    )*};
}

from_size!(isize usize);
