//! Ids: which of an entity's values.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::same::same;

/// Bytes of text that an [`Id`] holds itself: it is as large as for an integer.
const SHORT_TEXT: usize = 30;

#[derive(Clone)]
enum Repr {
    Int(i128),
    /// The bytes beyond the length are zero.
    Short {
        length: u8,
        bytes: [u8; SHORT_TEXT],
    },
    Long(Arc<str>),
}

const _: () = assert!(size_of::<Id>() == 32, "an integer and its tag");

/// The id of a value within its entity, owned: an integer or a text.
///
/// Ordered as [`IdRef`] is: integers by number, then texts by bytes. A text of up to 30 bytes is
/// held inline: neither making nor cloning one allocates. Longer ones are shared by their clones.
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
    #[inline]
    fn text(text: &str) -> Self {
        let length = text.len();
        if length > SHORT_TEXT {
            return Self(Repr::Long(text.into()));
        }
        let mut bytes = [0; SHORT_TEXT];
        bytes[..length].copy_from_slice(text.as_bytes());
        Self(Repr::Short {
            length: length as u8,
            bytes,
        })
    }

    /// The same id, borrowed. Checks the UTF-8 of a text of up to 30 bytes.
    #[must_use]
    #[inline]
    pub fn as_ref(&self) -> IdRef<'_> {
        match &self.0 {
            Repr::Int(number) => IdRef::Int(*number),
            Repr::Short { length, bytes } => {
                let text = std::str::from_utf8(&bytes[..usize::from(*length)]);
                IdRef::Text(text.expect("it was copied from a text"))
            }
            Repr::Long(text) => IdRef::Text(text),
        }
    }

    /// Whether it is this id: without the check of [`as_ref`](Self::as_ref).
    #[inline]
    pub(crate) fn is(&self, other: IdRef<'_>) -> bool {
        match (&self.0, other) {
            (Repr::Int(own), IdRef::Int(other)) => *own == other,
            (Repr::Short { length, bytes }, IdRef::Text(text)) => bytes
                .get(..usize::from(*length))
                .is_some_and(|own| same(own, text.as_bytes())),
            (Repr::Long(own), IdRef::Text(other)) => **own == *other,
            _ => false,
        }
    }

    /// The text, if it is one, to be shared.
    pub(super) fn shared_text(&self) -> Option<Arc<str>> {
        match (&self.0, self.as_ref()) {
            (Repr::Long(text), _) => Some(text.clone()),
            (_, IdRef::Text(text)) => Some(text.into()),
            (_, IdRef::Int(_)) => None,
        }
    }
}

impl IdRef<'_> {
    /// The same id, owned; allocates if it is a text of more than 30 bytes.
    #[must_use]
    #[inline]
    pub fn to_owned(self) -> Id {
        match self {
            Self::Int(number) => Id(Repr::Int(number)),
            Self::Text(text) => Id::text(text),
        }
    }
}

impl PartialEq for Id {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Int(own), Repr::Int(other)) => own == other,
            (Repr::Long(own), Repr::Long(other)) => own == other,
            (
                Repr::Short { length, bytes },
                Repr::Short {
                    length: others,
                    bytes: other,
                },
            ) => length == others && bytes == other,
            // A text has one form.
            _ => false,
        }
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
        key.is(*self)
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
        match self.as_ref() {
            IdRef::Int(number) => write!(f, "{number}"),
            IdRef::Text(text) => write!(f, "{text:?}"),
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

impl<'a> From<&'a String> for IdRef<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Arc<str>> for IdRef<'a> {
    fn from(text: &'a Arc<str>) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Id {
    #[inline]
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Id {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for Id {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<Arc<str>> for Id {
    fn from(text: Arc<str>) -> Self {
        if text.len() > SHORT_TEXT {
            Self(Repr::Long(text))
        } else {
            Self::text(&text)
        }
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
    fn an_id_is_what_it_was_made_from() {
        let texts = [
            "",
            "BTCUSDT",
            "30 bytes are kept in the id it",
            "31 bytes are shared instead ...",
            "ä",
            "7",
        ];
        let ids: Vec<IdRef<'_>> = texts
            .iter()
            .map(|text| IdRef::Text(text))
            .chain([0, -1, 7, i128::MAX].map(IdRef::Int))
            .collect();
        for (at, one) in ids.iter().enumerate() {
            let id = Id::from(*one);
            assert_eq!(id.as_ref(), *one);
            assert_eq!(id.clone(), id);
            for (other_at, other) in ids.iter().enumerate() {
                assert_eq!(id.is(*other), at == other_at, "{one:?} {other:?}");
                assert_eq!(id == Id::from(*other), at == other_at, "{one:?} {other:?}");
            }
        }
        for text in texts {
            assert_eq!(Id::from(Arc::<str>::from(text)), Id::from(text));
            assert_eq!(Id::from(text.to_owned()), Id::from(text));
        }
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
