//! One error type for the whole face, composed of the small ones that each room gives.

use std::fmt;
use std::time::Duration;

use super::entity::Entity;
use super::freshness::{Freshness, Reasons};
use super::slot::Slot;
use crate::key::Id;
use crate::record::TypeError;
use crate::store;
use crate::sync::Arc;

/// A value that is not live, and why: what `live(..)` answers instead of a suspect value.
#[derive(Clone, Debug)]
pub struct NotLive {
    entity: Entity,
    of: Of,
    freshness: Freshness,
    age: Option<Duration>,
    decode: Option<Box<TypeError>>,
}

/// Whose value it is. A slot knows its id, and refusing to read one allocates nothing.
#[derive(Clone, Debug)]
enum Of {
    Slot(Arc<store::Slot>),
    NoSlot(Box<Id>),
}

impl NotLive {
    pub(crate) fn new(slot: &Slot, freshness: Freshness, age: Option<Duration>) -> Self {
        Self {
            entity: slot.entity().clone(),
            of: Of::Slot(slot.core().clone()),
            freshness,
            age,
            decode: None,
        }
    }

    /// There is no slot with this id.
    pub(crate) fn none(entity: &Entity, id: Id) -> Self {
        Self {
            entity: entity.clone(),
            of: Of::NoSlot(Box::new(id)),
            freshness: Freshness::Empty,
            age: None,
            decode: None,
        }
    }

    pub(crate) fn because(self, error: TypeError) -> Self {
        Self {
            decode: Some(Box::new(error)),
            ..self
        }
    }

    /// Of which entity the value is.
    #[must_use]
    pub fn entity(&self) -> &Entity {
        &self.entity
    }

    /// The id of the value.
    #[must_use]
    pub fn id(&self) -> &Id {
        match &self.of {
            Of::Slot(slot) => slot.own_id(),
            Of::NoSlot(id) => id,
        }
    }

    /// The state of the slot. [`Freshness::Live`] only if the value is live and cannot be decoded
    /// into the type asked for.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The reasons of a stale value; none if there is no value, or it cannot be decoded.
    #[must_use]
    pub fn reasons(&self) -> Reasons {
        self.freshness.reasons()
    }

    /// Time since the last data of any kind for this slot; `None` if there was none.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// Why the value could not be decoded into the type asked for, if that is what failed.
    #[must_use]
    pub fn decode_error(&self) -> Option<&TypeError> {
        self.decode.as_deref()
    }
}

impl fmt::Display for NotLive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entity, id) = (self.entity.name(), self.id());
        write!(f, "[{entity}, {id}] is not live: {}", self.freshness)?;
        match &self.decode {
            Some(error) => write!(f, ", and cannot be decoded: {error}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NotLive {}
