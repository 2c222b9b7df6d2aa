//! One error type for the whole face, composed of the small ones that each room gives.

use std::time::Duration;

use super::entity::Entity;
use super::freshness::{Freshness, Reasons};
use super::slot::Slot;
use crate::key::Id;
use crate::record::TypeError;

/// A value that is not live, and why: what `live(..)` answers instead of a suspect value.
#[derive(Clone, Debug, thiserror::Error)]
#[error("[{}, {}] is not live: {freshness}{}", entity.name(), id, .decode.as_ref().map(|e| format!(", and cannot be decoded: {e}")).unwrap_or_default())]
pub struct NotLive {
    entity: Entity,
    id: Id,
    freshness: Freshness,
    age: Option<Duration>,
    decode: Option<Box<TypeError>>,
}

impl NotLive {
    pub(crate) fn new(slot: &Slot, freshness: Freshness, age: Option<Duration>) -> Self {
        let (entity, id) = (slot.entity().clone(), slot.id().clone());
        Self {
            entity,
            id,
            freshness,
            age,
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
        &self.id
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
