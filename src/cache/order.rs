//! Slots of an entity in the order of one of their fields, kept up incrementally by whoever looks.
//!
//! An [`Ordered`] view holds a sorted set of (value, id) and a subscription to the entity's
//! changes. Each look takes the slots that moved since the last one and moves their entries,
//! O(log n) each; nothing is done on the feed's thread, and nothing at all while nobody looks.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

use super::changes::Changes;
use super::entity::{Entity, Field};
use super::freshness::Freshness;
use super::slot::{Slot, Snapshot};
use crate::key::Id;
use crate::record::{Decimal, FieldError, Value};

/// By which field, and which way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    path: Vec<String>,
    descending: bool,
}

/// The lowest value of this top-level field first.
#[allow(
    non_snake_case,
    reason = "read as a word of the query: top(20, Desc(\"q\"))"
)]
#[must_use]
pub fn Asc(name: &str) -> By {
    By::path(&[name])
}

/// The highest value of this top-level field first.
#[allow(
    non_snake_case,
    reason = "read as a word of the query: top(20, Desc(\"q\"))"
)]
#[must_use]
pub fn Desc(name: &str) -> By {
    By::path(&[name]).descending()
}

impl By {
    /// The lowest value of the field at this path first.
    #[must_use]
    pub fn path(path: &[&str]) -> Self {
        Self {
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            descending: false,
        }
    }

    /// The same, the highest value first.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.descending = true;
        self
    }
}

/// What a row is sorted by. Numbers, sent as such or as text, come before other texts.
#[derive(Clone, Debug)]
enum Rank {
    /// The nearest `f64`, and the exact value where it fits: it decides among equal floats.
    Number(f64, Option<Decimal>),
    Text(String),
}

impl Rank {
    /// `None` for a field that is missing, null or neither number nor text: it has no place.
    fn of(value: &Value) -> Option<Self> {
        match value.f64() {
            Ok(float) => Some(Self::Number(float, value.decimal().ok())),
            Err(FieldError::WrongType) => {
                value.str().ok().map(|text| Self::Text(text.into_owned()))
            }
            Err(_) => None,
        }
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a, exact_a), Self::Number(b, exact_b)) => {
                a.total_cmp(b).then_with(|| exact_a.cmp(exact_b))
            }
            (Self::Number(..), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(..)) => Ordering::Greater,
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
        }
    }
}
impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Rank {}

/// The slots of an entity in the order of a field.
///
/// Slots without a value, and those whose field is missing, null or neither number nor text, are
/// left out. Equal values are ordered by id. Stale values keep their place: each row carries its
/// freshness.
pub struct Ordered {
    changes: Changes,
    field: Option<Field>,
    descending: bool,
    limit: usize,
    sorted: BTreeSet<(Rank, Id)>,
    places: HashMap<Id, (Rank, Slot)>,
}

impl Ordered {
    pub(crate) fn new(entity: &Entity, by: By, limit: usize) -> Self {
        let path: Vec<&str> = by.path.iter().map(String::as_str).collect();
        Self {
            changes: entity.changes_unobserved(),
            // A schema without room for the field has no slot with it: the order stays empty.
            field: entity.field(&path).ok(),
            descending: by.descending,
            limit,
            sorted: BTreeSet::new(),
            places: HashMap::new(),
        }
    }

    /// Takes in what changed since the last look; whether anything did. Lock-free.
    pub fn update(&mut self) -> bool {
        let Self {
            changes,
            field,
            sorted,
            places,
            ..
        } = self;
        let Some(field) = field else { return false };
        let polled = changes.poll(|slot| {
            let id = slot.id().clone();
            if let Some((rank, _)) = places.remove(&id) {
                sorted.remove(&(rank, id.clone()));
            }
            let reading = slot.read([*field]);
            if matches!(reading.freshness(), Freshness::Empty | Freshness::Removed) {
                return;
            }
            let [value] = reading.even_if_stale();
            if let Some(rank) = Rank::of(&value) {
                sorted.insert((rank.clone(), id.clone()));
                places.insert(id, (rank, slot.clone()));
            }
        });
        polled.slots > 0
    }

    /// The rows as of now, in order: at most as many as were asked for, each an owned snapshot.
    pub fn rows(&mut self) -> Vec<Row> {
        self.slots()
            .into_iter()
            .map(|slot| Row {
                snapshot: slot.snapshot(),
                slot,
            })
            .collect()
    }

    /// The slots as of now, in order: at most as many as were asked for.
    pub fn slots(&mut self) -> Vec<Slot> {
        self.update();
        let slot = |(_, id): &(Rank, Id)| self.places.get(id).map(|(_, slot)| slot.clone());
        if self.descending {
            self.sorted
                .iter()
                .rev()
                .filter_map(slot)
                .take(self.limit)
                .collect()
        } else {
            self.sorted
                .iter()
                .filter_map(slot)
                .take(self.limit)
                .collect()
        }
    }

    /// How many slots have a place, in this order or beyond its limit, as of the last look.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether no slot has a place, as of the last look.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }
}

impl fmt::Debug for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ordered")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// One slot in an order, and its value when the rows were made.
#[derive(Clone, Debug)]
pub struct Row {
    slot: Slot,
    snapshot: Snapshot,
}

impl Row {
    /// The id of the slot.
    #[must_use]
    pub fn id(&self) -> &Id {
        self.slot.id()
    }

    /// The slot, for reading on.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// The value.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// A top-level field of the value, whatever its freshness.
    #[must_use]
    pub fn get(&self, name: &str) -> Value {
        self.snapshot.record().get(name)
    }

    /// A top-level field as an exact decimal, whatever its freshness.
    ///
    /// # Errors
    /// If the field is missing, null, no number, or beyond what [`Decimal`] holds.
    pub fn decimal(&self, name: &str) -> Result<Decimal, FieldError> {
        self.get(name).decimal()
    }

    /// What the value was worth when the rows were made.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.snapshot.freshness()
    }
}
