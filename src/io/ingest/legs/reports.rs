//! Invalidations that several legs report.
//!
//! An invalidation is no value that could be compared, but the mark of an event that every leg
//! reports. Reported by a leg that is not shown it waits until the shown leg reports it as well;
//! what that one has not reported by the time it ends takes effect then.

use super::super::super::staging::Item;
use super::super::Ingest;
use crate::Time;
use crate::feed::{EntityIx, Leg};
use crate::key::Id;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use std::time::Duration;

/// For so long a report of the shown leg waits for its copies on the other legs.
const COPIES_WITHIN: Duration = Duration::from_secs(10);

/// What one leg has reported and the shown one has not, or the other way about.
#[derive(Debug, Default)]
pub(in crate::io::ingest) struct Reports {
    marks: HashMap<(EntityIx, Option<Id>), Mark, foldhash::fast::RandomState>,
}

/// Reports of one invalidation: those of the leg less those of the shown one.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    ahead: i32,
    at: Time,
    turn: u64,
}

impl Reports {
    /// Takes note of a report of the leg, or of the shown one.
    fn note(&mut self, key: (EntityIx, Option<Id>), by_leg: bool, now: Time, turn: u64) {
        let entry = self.marks.entry(key);
        let mut mark = match &entry {
            Entry::Occupied(held) => *held.get(),
            Entry::Vacant(_) => Mark::default(),
        };
        if mark.ahead < 0 && now.since(mark.at) > COPIES_WITHIN {
            // Reported before the leg had subscribed.
            mark.ahead = 0;
        }
        mark.ahead += if by_leg { 1 } else { -1 };
        mark.at = now;
        if by_leg && mark.ahead > 0 {
            mark.turn = turn;
        }
        if mark.ahead != 0 {
            entry.insert(mark);
        } else if let Entry::Occupied(held) = entry {
            held.remove();
        }
    }

    /// Reports that wait for their copies.
    #[cfg(test)]
    pub(in crate::io::ingest) fn count(&self) -> usize {
        self.marks.len()
    }

    /// What the leg has reported and the shown one has not, with the turn of the report.
    pub(in crate::io::ingest) fn take(&mut self) -> Vec<(EntityIx, Option<Id>, u64)> {
        let marks = std::mem::take(&mut self.marks).into_iter();
        let ahead = marks.filter(|(_, mark)| mark.ahead > 0);
        ahead
            .map(|((entity, id), mark)| (entity, id, mark.turn))
            .collect()
    }
}

impl Ingest {
    /// A leg that is not shown reports an invalidation.
    pub(in crate::io::ingest) fn hold_mark(&mut self, leg: Leg, item: &Item) {
        let Some(key) = self.mark_key(item) else {
            return;
        };
        let (now, turn) = (self.now, self.turn);
        self.legs.beside(leg).reports.note(key, true, now, turn);
    }

    /// The shown leg reports an invalidation: the others have, or will.
    pub(in crate::io::ingest) fn note_mark(&mut self, item: &Item) {
        let shown = self.legs.shown;
        let (now, turn) = (self.now, self.turn);
        let Some(key) = self.mark_key(item) else {
            return;
        };
        for leg in Leg::ALL {
            if leg != shown && self.legs.open[leg.index()] {
                let beside = self.legs.beside(leg);
                beside.reports.note(key.clone(), false, now, turn);
            }
        }
    }

    /// What an invalidation is of. `None`: of what is not there, and so cannot be stale.
    fn mark_key(&self, item: &Item) -> Option<(EntityIx, Option<Id>)> {
        let entity = &self.entries[item.entity.index()].entity;
        match self.staging.id(item) {
            None => Some((item.entity, None)),
            Some(id) => {
                entity.with(id, |_| ())?;
                Some((item.entity, Some(entity.canonical(id))))
            }
        }
    }
}
