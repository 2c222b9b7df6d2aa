//! One error type for the whole face, composed of the small ones that each room gives.

use std::time::Duration;

use super::freshness::{Freshness, Reasons};
use super::slot::Slot;
use crate::record::TypeError;

/// A value that is not live, and why: what `live(..)` answers instead of a suspect value.
#[derive(Clone, Debug, thiserror::Error)]
#[error("[{}, {}] is not live: {freshness}{}", slot.entity().name(), slot.id(), .decode.as_ref().map(|e| format!(", and cannot be decoded: {e}")).unwrap_or_default())]
pub struct NotLive {
    slot: Slot,
    freshness: Freshness,
    age: Option<Duration>,
    decode: Option<TypeError>,
}

impl NotLive {
    pub(crate) fn new(slot: &Slot, freshness: Freshness, age: Option<Duration>) -> Self {
        Self { slot: slot.clone(), freshness, age, decode: None }
    }

    pub(crate) fn because(self, error: TypeError) -> Self {
        Self { decode: Some(error), ..self }
    }

    /// Which slot.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
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
        self.decode.as_ref()
    }
}
