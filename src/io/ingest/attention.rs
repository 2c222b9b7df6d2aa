//! What the owner pays attention to beyond publishing: fetches that run, and optimistic writes.
//!
//! While a fetch of a value runs, what comes for it from elsewhere is published as always and kept
//! as well, composed, to be laid over the result. A fetch of a list keeps for every id of the
//! entity that anything comes for. Nobody pays for it while there is none of both: an entity
//! without attention is one branch.

use super::super::command::KeepId;
use super::overlay::Overlaid;
use crate::Time;
use crate::feed::{Missing, Policy, Rule, Sequence, Update};
use crate::key::{Id, IdRef};
use crate::record::{Composed, Layout, Mode, Patch, SchemaSource};
use crate::store::{Moment, Stamp, flags};
use hashbrown::HashMap;

/// Ids for which one fetch of a list keeps what comes. Beyond it the fetch has to be made again.
pub(super) const KEPT_IDS: usize = if cfg!(test) { 64 } else { 16_384 };

/// The fetches and optimistic writes of one entity.
#[derive(Debug, Default)]
pub(super) struct Attention {
    keeps: HashMap<KeepId, Keep, foldhash::fast::RandomState>,
    /// Those of lists.
    lists: Vec<KeepId>,
    slots: HashMap<Id, Attended, foldhash::fast::RandomState>,
    order: u64,
}

/// A fetch that runs.
#[derive(Clone, Debug)]
pub(super) struct Keep {
    /// What is fetched; `None` for a list.
    pub(super) id: Option<Id>,
    /// Its place among all fetches and writes, in the order in which they began.
    pub(super) order: u64,
    /// What was invalidated when it began.
    pub(super) moment: Moment,
    /// The link's word then, as a stamp.
    pub(super) link: u64,
    /// Connections opened until then.
    pub(super) opens: u64,
    pub(super) at: Time,
    /// Ids that something is kept for.
    ids: usize,
    /// More came than may be kept.
    pub(super) lost: bool,
}

impl Keep {
    pub(super) fn new(id: Option<Id>, moment: Moment, link: u64, opens: u64, at: Time) -> Self {
        Self {
            id,
            order: 0,
            moment,
            link,
            opens,
            at,
            ids: 0,
            lost: false,
        }
    }
}

/// What is kept for one id.
#[derive(Debug, Default)]
pub(super) struct Attended {
    kept: Vec<(KeepId, Kept)>,
    pub(super) overlaid: Option<Box<Overlaid>>,
}

impl Attended {
    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.overlaid.is_none()
    }

    /// Whether a fetch may give the id a value.
    pub(super) fn is_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    pub(super) fn kept(&self, fetch: KeepId) -> Option<&Kept> {
        let mut kept = self.kept.iter();
        kept.find(|(id, _)| *id == fetch).map(|(_, kept)| kept)
    }

    /// All that is kept, but for one fetch.
    pub(super) fn others(&mut self, but: Option<KeepId>) -> impl Iterator<Item = &mut Kept> {
        let kept = self.kept.iter_mut();
        kept.filter(move |(id, _)| Some(*id) != but)
            .map(|(_, kept)| kept)
    }

    /// The place of the last numbered patch that was kept for want of a value.
    pub(super) fn last(&self) -> Option<Position> {
        self.kept.iter().find_map(|(_, kept)| kept.last)
    }
}

/// Where a value stands in its source's numbering, and when it got there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) sequence: Option<u64>,
    pub(super) received_at: Time,
    pub(super) turn: u64,
}

/// What came for an id since a fetch began.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The place of its fetch among all that began.
    pub(super) order: u64,
    /// All patches since, or since the last whole value.
    pub(super) all: Composed,
    /// Of those, the ones since messages were last missing, and those without a number: what an
    /// answer that has the missing ones may not have.
    pub(super) recent: Composed,
    /// Of all, the ones without a number: no answer can be known to have them.
    pub(super) loose: Composed,
    /// The first numbered patch: it has to follow the answer.
    pub(super) first: Option<(Policy, Sequence)>,
    /// The highest number of a patch or whole value since.
    pub(super) highest: Option<u64>,
    last: Option<Position>,
    /// Connections opened until the last of them.
    pub(super) opens: u64,
    /// The number before all of them: an answer of before is older than what is shown.
    pub(super) floor: Option<u64>,
    /// A whole value or a removal came, and its number.
    pub(super) whole: Option<Option<u64>>,
    /// Messages are missing since, which an answer of this number has.
    pub(super) gap: Option<u64>,
    /// The stamps that something since has renewed; that of the connection for what was confirmed by
    /// [`trust`](Stamp::trust) or later.
    link: u64,
    trust: u64,
    pub(super) invalidation: u64,
    /// Flags that something since has set.
    pub(super) marks: u8,
    pub(super) source_time: u64,
    pub(super) received_at: Time,
    /// One of the patches makes a value where there is none.
    pub(super) inserts: bool,
    /// More came than can be kept.
    pub(super) lost: bool,
}

impl Kept {
    /// Takes note of a patch.
    pub(super) fn patch(&mut self, patch: &Patch, update: &Update, layout: &Layout) {
        self.inserts |= update.missing == Missing::Insert;
        self.lost |= self.all.push(patch, update.mode, layout).is_err();
        self.lost |= self.recent.push(patch, update.mode, layout).is_err();
        match update.sequence {
            None => self.lost |= self.loose.push(patch, update.mode, layout).is_err(),
            Some(sequence) => {
                self.first.get_or_insert((update.policy, sequence));
                self.highest = self.highest.max(Some(sequence.last));
            }
        }
    }

    /// Takes note of a whole value or a removal: what came before it is part of it.
    pub(super) fn replaced(&mut self, sequence: Option<u64>, link: u64, invalidation: u64) {
        (self.all, self.loose) = (Composed::new(), Composed::new());
        self.recent = Composed::new();
        self.first = None;
        self.whole = Some(sequence);
        self.highest = sequence;
        self.gap = None;
        (self.link, self.trust) = (self.link.max(link), 0);
        self.invalidation = self.invalidation.max(invalidation);
        self.marks = 0;
        self.inserts = false;
    }

    /// Messages are missing before the one that comes now.
    pub(super) fn torn(&mut self) {
        self.recent = self.loose.clone();
    }

    /// The slot has a value of this number by another fetch. What came up to it is in any answer
    /// that may still land, and what lies between has been dropped as older.
    pub(super) fn superseded(&mut self, number: Option<u64>) {
        if self.highest <= number {
            self.all = self.loose.clone();
            self.recent = self.loose.clone();
            self.first = None;
            self.highest = None;
        }
    }

    /// The stamp of the connection of an answer that this is laid over, whose own is `link`.
    pub(super) fn link_over(&self, link: u64) -> u64 {
        if link >= self.trust {
            link.max(self.link)
        } else {
            link
        }
    }

    /// Takes note of what is common to both.
    pub(super) fn note(&mut self, update: &Update, stamp: &Stamp, opens: u64, gap: Option<u64>) {
        self.opens = opens;
        self.received_at = stamp.received_at;
        self.source_time = stamp.source_time;
        if let Some(sequence) = update.sequence {
            self.last = Some(Position {
                sequence: Some(sequence.last),
                received_at: stamp.received_at,
                turn: stamp.turn,
            });
        }
        if self.link == 0 {
            (self.link, self.trust) = (stamp.link, stamp.trust);
        } else if stamp.confirms(self.link) {
            self.link = self.link.max(stamp.link);
        }
        if stamp.flags & flags::GAP != 0 {
            self.gap = self.gap.max(gap).or(Some(u64::MAX));
        }
    }

    /// Takes note of a write that was shown optimistically and is now part of the value; it was
    /// put at `order`, and `since` came after it.
    pub(super) fn committed(
        &mut self,
        (patch, mode): (&Patch, Mode),
        order: u64,
        since: &Composed,
        schema: &mut impl SchemaSource,
    ) {
        let mut push = |composed: &mut Composed, since: Option<&Composed>| {
            composed.push(patch, mode, schema.layout())?;
            since.map_or(Ok(()), |since| composed.append(since, schema))
        };
        let pushed = if self.order < order {
            push(&mut self.all, Some(since)).and_then(|()| push(&mut self.loose, None))
        } else {
            // What was kept came later.
            let (all, loose) = (
                std::mem::take(&mut self.all),
                std::mem::take(&mut self.loose),
            );
            push(&mut self.all, Some(&all)).and_then(|()| push(&mut self.loose, Some(&loose)))
        };
        // Under what came since messages were missing, whenever it was written.
        let recent = std::mem::take(&mut self.recent);
        self.lost |= pushed.is_err() || push(&mut self.recent, Some(&recent)).is_err();
    }

    /// The number of the last message, if it came over the present connection.
    pub(super) fn last_of(&self, opens: u64) -> Option<u64> {
        self.last
            .filter(|_| self.opens == opens)
            .and_then(|last| last.sequence)
    }
}

/// The number from which on an answer has what a gap lost; `found` as the verdict names it.
pub(super) fn covers_gap(policy: Policy, found: u64) -> u64 {
    match policy.rule {
        // The predecessor is missing itself.
        Rule::Chained => found,
        _ => found.saturating_sub(1),
    }
}

impl Attention {
    /// Nothing is kept, and no write is shown.
    pub(super) fn is_empty(&self) -> bool {
        self.keeps.is_empty() && self.slots.is_empty()
    }

    /// Whether anything about the id is to be noted.
    pub(super) fn covers(&self, id: IdRef<'_>) -> bool {
        !self.lists.is_empty() || self.slots.contains_key(&id)
    }

    pub(super) fn keep(&self, fetch: KeepId) -> Option<&Keep> {
        self.keeps.get(&fetch)
    }

    pub(super) fn get(&self, id: &Id) -> Option<&Attended> {
        self.slots.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &Id) -> Option<&mut Attended> {
        self.slots.get_mut(id)
    }

    /// The next place in the order of what begins.
    pub(super) fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    /// A fetch begins. `floor` is the number that its slot has.
    pub(super) fn begin(&mut self, fetch: KeepId, mut keep: Keep, floor: Option<u64>) {
        self.end(fetch);
        keep.order = self.next_order();
        match &keep.id {
            None => self.lists.push(fetch),
            Some(id) => {
                let kept = Kept {
                    order: keep.order,
                    floor,
                    ..Kept::default()
                };
                let attended = self.slots.entry(id.clone()).or_default();
                attended.kept.push((fetch, kept));
            }
        }
        self.keeps.insert(fetch, keep);
    }

    /// A fetch is over: what was kept for it goes.
    pub(super) fn end(&mut self, fetch: KeepId) {
        let Some(keep) = self.keeps.remove(&fetch) else {
            return;
        };
        self.forget(fetch, keep.id.as_ref());
    }

    fn forget(&mut self, fetch: KeepId, id: Option<&Id>) {
        match id {
            Some(id) => {
                if let Some(attended) = self.slots.get_mut(id) {
                    attended.kept.retain(|(of, _)| *of != fetch);
                    if attended.is_empty() {
                        self.slots.remove(id);
                    }
                }
            }
            None => {
                self.lists.retain(|of| *of != fetch);
                self.slots.retain(|_, attended| {
                    attended.kept.retain(|(of, _)| *of != fetch);
                    !attended.is_empty()
                });
            }
        }
    }

    /// What there is for an id of which something has come, for fetches of lists too. `floor` is
    /// the number that the slot had before.
    pub(super) fn attend(&mut self, id: &Id, floor: Option<u64>) -> &mut Attended {
        self.attend_but(None, id, floor)
    }

    /// As [`attend`](Self::attend), of what has come by a fetch itself: that keeps nothing of it, or
    /// an answer could have no more items than may be kept.
    pub(super) fn attend_but(
        &mut self,
        fetch: Option<KeepId>,
        id: &Id,
        floor: Option<u64>,
    ) -> &mut Attended {
        let mut full = Vec::new();
        let attended = self.slots.entry(id.clone()).or_default();
        for list in &self.lists {
            if Some(*list) == fetch || attended.kept(*list).is_some() {
                continue;
            }
            let Some(keep) = self.keeps.get_mut(list) else {
                continue;
            };
            keep.ids += 1;
            if keep.ids > KEPT_IDS {
                keep.lost = true;
                full.push(*list);
                continue;
            }
            let kept = Kept {
                order: keep.order,
                floor,
                ..Kept::default()
            };
            attended.kept.push((*list, kept));
        }
        for list in full {
            self.forget(list, None);
        }
        // It may have been let go of with a list.
        self.slots.entry(id.clone()).or_default()
    }

    /// The value of an id got these flags by something that is no update.
    pub(super) fn mark(&mut self, id: &Id, flags: u8) {
        if !self.covers(id.as_ref()) {
            return;
        }
        let attended = self.attend(id, None);
        if let Some(overlaid) = &mut attended.overlaid {
            overlaid.head.flags |= flags;
        }
        attended.others(None).for_each(|kept| kept.marks |= flags);
        self.settle(id);
    }

    /// Forgets the id if nothing is kept for it any more.
    pub(super) fn settle(&mut self, id: &Id) {
        if self.slots.get(id).is_some_and(Attended::is_empty) {
            self.slots.remove(id);
        }
    }

    /// The ids with optimistic writes.
    pub(super) fn overlaid(&self) -> Vec<Id> {
        let overlaid = self.slots.iter();
        overlaid
            .filter(|(_, attended)| attended.overlaid.is_some())
            .map(|(id, _)| id.clone())
            .collect()
    }
}
