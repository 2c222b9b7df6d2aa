//! How the members that every protocol has (ids, times) are read.

use super::protocol::Refusal;
use crate::json::Value;
use crate::key::IdRef;

/// How ids are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ids {
    /// As they come: `7` and `"7"` are different ids.
    #[default]
    Typed,
    /// As texts: `7` is `"7"`.
    Text,
}

impl Ids {
    /// The id that a value is; `None` for null.
    #[inline]
    pub(super) fn read<'a>(self, value: Value<'a>) -> Result<Option<IdRef<'a>>, Refusal> {
        let id = value.id().map_err(|_| Refusal::BadId)?;
        if let (Self::Text, Some(IdRef::Int(_))) = (self, id) {
            let digits = std::str::from_utf8(value.raw()).map_err(|_| Refusal::BadId)?;
            return Ok(Some(IdRef::Text(digits)));
        }
        Ok(id)
    }
}

/// The unit of times on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    #[default]
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

impl TimeUnit {
    /// The nanoseconds since the Unix epoch that a time is.
    #[inline]
    pub(super) fn nanos(self, time: Value<'_>) -> Result<u64, Refusal> {
        let scale = match self {
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
            Self::Microseconds => 1000,
            Self::Nanoseconds => 1,
        };
        time.u64()
            .and_then(|time| time.checked_mul(scale))
            .ok_or(Refusal::BadTime)
    }
}
