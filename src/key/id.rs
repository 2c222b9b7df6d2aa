//! Ids: which of an entity's values.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

#[derive(Clone)]
enum Repr {
    Int(i128),
    Text(Arc<str>),
}

/// The id of a value within its entity, owned: an integer or a text.
///
/// Ordered as [`IdRef`] is: integers by number, then texts by bytes. Cloning never allocates.
#[derive(Clone)]
pub struct Id(Repr);

/// A borrowed [`Id`]. It hashes, compares and prints as the owned one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IdRef<'a> {
    /// An integer; 128 bits hold every integer id in use, signed or not.
    Int(i128),
    /// A text, which may be empty.
    Text(&'a str),
}

impl Id {
    /// The same id, borrowed.
    #[must_use]
    #[inline]
    pub fn as_ref(&self) -> IdRef<'_> {
        match &self.0 {
            Repr::Int(number) => IdRef::Int(*number),
            Repr::Text(text) => IdRef::Text(text),
        }
    }
}

impl Id {
    /// The text, if it is one, to be shared.
    pub(super) fn shared_text(&self) -> Option<&Arc<str>> {
        match &self.0 {
            Repr::Int(_) => None,
            Repr::Text(text) => Some(text),
        }
    }
}

impl IdRef<'_> {
    /// The same id, owned; allocates if it is a text.
    #[must_use]
    pub fn to_owned(self) -> Id {
        match self {
            Self::Int(number) => Id(Repr::Int(number)),
            Self::Text(text) => Id(Repr::Text(text.into())),
        }
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Id {}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl hashbrown::Equivalent<Id> for IdRef<'_> {
    fn equivalent(&self, key: &Id) -> bool {
        *self == key.as_ref()
    }
}

impl fmt::Display for IdRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// Integers bare, texts quoted, so that `7` and `"7"` look different.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Int(number) => write!(f, "{number}"),
            Repr::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl From<IdRef<'_>> for Id {
    fn from(id: IdRef<'_>) -> Self {
        id.to_owned()
    }
}

impl<'a> From<&'a Id> for IdRef<'a> {
    fn from(id: &'a Id) -> Self {
        id.as_ref()
    }
}

impl<'a> From<&'a str> for IdRef<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self(Repr::Text(text.into()))
    }
}

impl From<String> for Id {
    fn from(text: String) -> Self {
        Self(Repr::Text(text.into()))
    }
}

impl From<&String> for Id {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<Arc<str>> for Id {
    fn from(text: Arc<str>) -> Self {
        Self(Repr::Text(text))
    }
}

impl From<&Self> for Id {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

macro_rules! from_integer {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Id {
            fn from(number: $integer) -> Self {
                Self(Repr::Int(number.into()))
            }
        }

        impl From<$integer> for IdRef<'_> {
            fn from(number: $integer) -> Self {
                Self::Int(number.into())
            }
        }
    )*};
}

from_integer!(i32 u32 i64 u64 i128);

#[cfg(test)]
mod tests {
    use super::*;
    use hashbrown::HashMap;

    #[test]
    fn integers_come_before_texts_and_texts_sort_by_bytes() {
        let mut ids: Vec<Id> = vec![
            "b".into(),
            10.into(),
            "".into(),
            "B".into(),
            (-1).into(),
            9.into(),
            "10".into(),
        ];
        ids.sort();
        let printed: Vec<String> = ids.iter().map(|id| format!("{id:?}")).collect();
        assert_eq!(
            printed,
            ["-1", "9", "10", "\"\"", "\"10\"", "\"B\"", "\"b\""]
        );
    }

    #[test]
    fn types_are_kept_apart_and_widths_are_not() {
        assert_ne!(Id::from(7), Id::from("7"));
        assert_eq!(Id::from(7_u64), Id::from(7_i32));
        assert_ne!(Id::from(0), Id::from(""));
        assert_eq!(Id::from(u64::MAX).to_string(), "18446744073709551615");
    }

    #[test]
    fn a_borrowed_id_finds_the_owned_one() {
        let mut map: HashMap<Id, u32, foldhash::fast::RandomState> = HashMap::default();
        for (at, id) in [Id::from(7), Id::from("7"), Id::from(""), Id::from(0)]
            .iter()
            .enumerate()
        {
            map.insert(id.clone(), u32::try_from(at).expect("small"));
        }
        assert_eq!(map.get(&IdRef::Int(7)), Some(&0));
        assert_eq!(map.get(&IdRef::Text("7")), Some(&1));
        assert_eq!(map.get(&IdRef::Text("")), Some(&2));
        assert_eq!(map.get(&IdRef::Int(0)), Some(&3));
        assert_eq!(map.get(&IdRef::Text("8")), None);
    }
}
