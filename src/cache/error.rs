//! One error type for the whole face, composed of the small ones that each room gives.

use std::time::Duration;

use super::entity::Entity;
use super::freshness::{Freshness, Reasons};
use crate::key::Id;
use crate::record::TypeError;

/// A value that is not live, and why: what `live(..)` answers instead of a suspect value.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct NotLive(Box<Inner>);

/// Boxed, so that the answer of a read is no larger for what it hardly ever is.
#[derive(Clone, Debug, thiserror::Error)]
#[error("[{}, {}] is not live: {freshness}{}", entity.name(), id, .decode.as_ref().map(|e| format!(", and cannot be decoded: {e}")).unwrap_or_default())]
struct Inner {
    entity: Entity,
    id: Id,
    freshness: Freshness,
    age: Option<Duration>,
    decode: Option<Box<TypeError>>,
}

impl NotLive {
    pub(crate) fn new(
        entity: &Entity,
        id: &Id,
        freshness: Freshness,
        age: Option<Duration>,
    ) -> Self {
        Self(Box::new(Inner {
            entity: entity.clone(),
            id: id.clone(),
            freshness,
            age,
            decode: None,
        }))
    }

    pub(crate) fn because(mut self, error: TypeError) -> Self {
        self.0.decode = Some(Box::new(error));
        self
    }

    /// Of which entity the value is.
    #[must_use]
    pub fn entity(&self) -> &Entity {
        &self.0.entity
    }

    /// The id of the value.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.0.id
    }

    /// The state of the slot. [`Freshness::Live`] only if the value is live and cannot be decoded
    /// into the type asked for.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.0.freshness
    }

    /// The reasons of a stale value; none if there is no value, or it cannot be decoded.
    #[must_use]
    pub fn reasons(&self) -> Reasons {
        self.0.freshness.reasons()
    }

    /// Time since the last data of any kind for this slot; `None` if there was none.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.0.age
    }

    /// Why the value could not be decoded into the type asked for, if that is what failed.
    #[must_use]
    pub fn decode_error(&self) -> Option<&TypeError> {
        self.0.decode.as_deref()
    }
}
