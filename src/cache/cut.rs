//! Several slots of one feed as of one frame.

use super::freshness::Freshness;
use super::handle::Cache;
use super::slot::Slot;
use crate::record::Record;
use crate::store::{self, Busy, Head};

/// The slots cannot be read as of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CutError {
    /// They moved faster than they could be read.
    #[error("the values moved while they were read; try again, or with fewer slots")]
    Busy,
    /// They are written by different feeds, or by none: there is no frame that they share.
    #[error("the slots are not all written by one feed")]
    DifferentFeeds,
}

impl CutError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy)
    }
}

impl From<Busy> for CutError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

/// Slots as they were when one frame had been taken in.
#[derive(Clone, Debug)]
pub struct Cut {
    turn: u64,
    values: Vec<(Head, Freshness, Record)>,
}

impl Cut {
    /// The number of the frame, counted by the feed.
    #[must_use]
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// The values in the order asked for, whatever they are worth; absent where there was none.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &Record> {
        self.values.iter().map(|(_, _, record)| record)
    }

    /// What each value is worth, in the order asked for.
    pub fn freshness(&self) -> impl ExactSizeIterator<Item = Freshness> + '_ {
        self.values.iter().map(|(_, freshness, _)| *freshness)
    }

    /// The number of each value's publication, in the order asked for.
    pub fn epochs(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.values.iter().map(|(head, ..)| head.epoch)
    }
}

impl Cache {
    /// Reads several slots of one feed as of one frame: no value is newer than another by a
    /// message that the other lacks. Optimistic and bounded; never makes the feed wait. It may be
    /// older than what this thread has just read of one of them.
    ///
    /// # Errors
    /// If the slots move too fast, or are not all written by one feed.
    pub fn cut<'a>(&self, slots: impl IntoIterator<Item = &'a Slot>) -> Result<Cut, CutError> {
        let slots: Vec<_> = slots.into_iter().map(Slot::current).collect();
        let Some(first) = slots.first() else {
            return Err(CutError::DifferentFeeds);
        };
        let owner = first
            .entity()
            .core()
            .owner()
            .ok_or(CutError::DifferentFeeds)?;
        if slots
            .iter()
            .any(|slot| slot.entity().core().owner().as_deref() != Some(&*owner))
        {
            return Err(CutError::DifferentFeeds);
        }
        let turns = self
            .shared()
            .owners()
            .turns(&owner)
            .ok_or(CutError::DifferentFeeds)?;
        let cores: Vec<&store::Slot> = slots.iter().map(|slot| &**slot.core()).collect();
        let cut = store::cut(&turns, &cores)?;
        let values = cut.values.into_iter().zip(slots);
        let values = values
            .map(|((head, record), slot)| (head, slot.judge(&head, slot.surroundings()), record))
            .collect();
        Ok(Cut {
            turn: cut.turn,
            values,
        })
    }
}
