//! Keys: the name of a query, as a path of parts.

use std::fmt;
use std::sync::Arc;

use super::id::{Id, IdRef};
use super::part::{Part, begins_with};
use super::text::{self, KeyError};

/// What a query is named by: a path of typed [`Part`]s, from the general to the particular.
///
/// Written with [`key!`](crate::key!). Keys are equal if their parts are, whatever the order in
/// which the members of an object were written. A clone is one reference count. Keys are ordered
/// part by part, as [`Part`]s are. `Display` and `Debug` are the JSON text, as [`Key::to_json`].
///
/// ```
/// use tickcache::key;
///
/// let open = key!["todos", {"state": "open", "page": 2}];
/// assert_eq!(open, key!["todos", {"page": 2, "state": "open"}]);
/// assert_ne!(open, key!["todos", {"page": "2", "state": "open"}]);
/// assert!(open.starts_with(&key!["todos"]));
/// assert!(open.starts_with(&key!["todos", {"state": "open"}]));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<[Part]>);

impl Key {
    /// The key of these parts.
    #[must_use]
    pub fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        Self(parts.into_iter().collect())
    }

    /// The key of one value of an entity, which is the key of the slot that feeds write.
    #[must_use]
    pub fn of_slot(entity: impl Into<Arc<str>>, id: impl Into<Id>) -> Self {
        Self::new([Part::Text(entity.into()), Part::from(id.into())])
    }

    /// Its parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// How many parts it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no part. As a filter, the empty key matches all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `prefix`, taken as a filter, matches this key.
    ///
    /// Each part of the filter must match the part at the same place:
    ///
    /// * a null, a truth value, an integer, a text matches its equal, of the same type;
    /// * an array matches an array that begins with it, by these same rules: `[]` matches any array
    ///   and nothing else;
    /// * an object matches an object that has at least its members, by these same rules: `{}`
    ///   matches any object and nothing else.
    ///
    /// A filter longer than the key never matches, and the empty filter always does. Every key
    /// starts with itself.
    #[must_use]
    pub fn starts_with(&self, prefix: &Self) -> bool {
        begins_with(&self.0, &prefix.0)
    }

    /// The first part, if it is a text: by convention the entity that the query is about.
    #[must_use]
    pub fn entity(&self) -> Option<&Arc<str>> {
        match self.0.first() {
            Some(Part::Text(entity)) => Some(entity),
            _ => None,
        }
    }

    /// The entity and the id, if the key is exactly those two: a text, and a text or an integer.
    #[must_use]
    pub fn slot(&self) -> Option<(&Arc<str>, IdRef<'_>)> {
        if self.len() == 2 {
            self.slot_prefix()
        } else {
            None
        }
    }

    /// The entity and the id that the key begins with, whatever follows them.
    #[must_use]
    pub fn slot_prefix(&self) -> Option<(&Arc<str>, IdRef<'_>)> {
        Some((self.entity()?, self.0.get(1)?.as_id()?))
    }

    /// The key as JSON text: an array, without spaces, the members of objects sorted by name. Equal
    /// keys have equal texts, and [`Key::from_json`] gives the key back.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.to_string()
    }

    /// The key that is written as this JSON text, with whatever spaces and order of members.
    ///
    /// # Errors
    /// The text is not JSON, or not an array; or it holds what a key cannot: a number with a
    /// fraction or an exponent, or of more than 128 bits, a name that an object has twice, arrays
    /// and objects nested deeper than 128.
    pub fn from_json(json: &str) -> Result<Self, KeyError> {
        text::read_key(json)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_array(&self.0, f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&Self> for Key {
    fn from(key: &Self) -> Self {
        key.clone()
    }
}

impl FromIterator<Part> for Key {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        Self::new(parts)
    }
}
