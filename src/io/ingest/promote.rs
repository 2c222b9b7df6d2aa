//! A leg that was not shown is shown from here on: what was laid aside is laid over the values.
//!
//! Each slot is one publication, whatever its shadow is made of. A whole value makes it live, or
//! keeps it so; patches renew nothing. Nothing is marked: the link keeps its generation.
//!
//! * **A slot without a shadow keeps its value, and stays live.** The leg was ready, so it was
//!   subscribed before the one before ended; had anything come for the slot since, the leg would
//!   have brought it. Values of subscriptions that it was not granted yet are invalidated.
//! * **A slot that is ahead of its shadow keeps its value**: by number, or by time where that is
//!   what the source gives. Its shadow is what the leg is behind by, and it will bring the rest.
//!   Where a lower number would be shown all the same, since it may begin the numbering anew, what
//!   the leg brings stays its shadow until it has caught up; it has [`CATCHES_UP_WITHIN`] for that,
//!   or else its numbers are new ones. They are at once if they went back on the leg itself, or
//!   are lower than what was shown long before it opened.
//!   Without numbers, what is shown may go back to what the leg has brought, for as long as the leg
//!   is behind: its stream goes on from there, so that nothing is lost and nothing is skipped. If
//!   all that it has brought for the slot are patches, the value has members of both for so long.
//! * **Patches without a whole value** are laid over what is shown. Those of them that the leg
//!   before has brought already do no harm: a run of merge patches may be applied again as a whole.
//!
//! The work of one turn is bounded ([`LAID_PER_TURN`]); the rest follows in the next ones. A slot
//! whose turn has not come and that the leg brings something for is laid first, so that the order
//! of the leg's messages is kept for each slot.
//!
//! The same is done for one slot where the shown leg has a hole in its numbers and another leg has
//! what is missing: before the update that shows the hole ([`Ingest::bridge`]), or as soon as the
//! other leg has brought it ([`Ingest::heal`]).

use super::super::staging::Item;
use super::legs::{CATCHES_UP_WITHIN, Laying};
use super::overlay::removal;
use super::shadow::{Cursor, Shadow};
use super::{Ingest, Role};
use crate::Time;
use crate::feed::{EntityIx, Leg, OnConnect, Update};
use crate::record::{Record, SchemaSource};
use crate::store::{Head, SlotIx, Stamp, State, flags};

/// Places of shadows that one turn looks at, some milliseconds' worth.
pub(super) const LAID_PER_TURN: usize = if cfg!(test) { 4 } else { 4096 };

/// How a shadow is laid over its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The feed has opened with its leg: that has invalidated what it covers.
    Opened,
    /// Its leg is shown from here on.
    Promoted,
    /// Its leg has been shown for so long that it cannot be behind.
    Overdue,
    /// It has what is missing between what is shown and the next update. What was missing before
    /// that, it may not have.
    Bridging,
    /// It has all that is missing in what is shown.
    Healing,
}

impl Ingest {
    /// The leg is shown from here on. `opened`: the feed has opened with it.
    #[cold]
    pub(super) fn show(&mut self, leg: Leg, opened: bool) {
        self.finish_laying();
        if self.legs.get(leg).is_some() {
            // Under what is laid aside, and in the order in which they came.
            self.land_all();
        }
        let before = self.legs.shown;
        self.legs.lagging = (before != leg && !opened).then(|| self.now.after(CATCHES_UP_WITHIN));
        self.legs.show(leg);
        if before != leg {
            self.forget_numbers();
            // Numbers of connections that begin anew are those of another one now.
            self.joined = (self.turn, self.now);
            self.opens += 1;
            self.slow_opened = self.slow.as_ref().map_or(0, |slow| slow.turns().last());
        }
        let Some(beside) = self.legs.get(leg) else {
            return;
        };
        let (marks, forwarded) = (beside.reports.take(), beside.take_forwarded());
        self.turn += 1;
        let mut sums = Vec::new();
        for (ix, id, turn) in marks {
            match id {
                None => {
                    self.entries[ix.index()].entity.invalidate();
                    sums.push((ix, turn));
                }
                Some(id) => self.mark_promoted(leg, ix, &id, turn),
            }
        }
        for (ix, turn) in sums {
            self.raise_sums(leg, ix, turn);
        }
        for ix in forwarded {
            // The slow writer has it from the other legs alone.
            self.entries[ix.index()].entity.invalidate();
        }
        self.renew();
        self.legs.laying = Some(Laying {
            leg,
            at: Cursor::default(),
            why: if opened { Why::Opened } else { Why::Promoted },
        });
        self.legs.look();
        self.done();
        self.lay_some(LAID_PER_TURN);
    }

    /// The leg has reported an invalidation of an id that the shown one has not.
    fn mark_promoted(&mut self, leg: Leg, ix: EntityIx, id: &crate::key::Id, turn: u64) {
        let entry = &mut self.entries[ix.index()];
        if let Role::Own(writer) = &mut entry.role
            && let Ok(slot) = writer.locate(id.as_ref(), crate::store::Missing::Insert)
            && let Some(beside) = self.legs.get(leg)
            && let Some(shadow) = beside.shadows.get(ix, slot)
            && shadow.whole
            && shadow.begun > turn
        {
            // A whole value came after it.
            return;
        }
        entry.entity.with(id.as_ref(), |slot| slot.invalidate());
    }

    /// Whole values that came after an invalidation of their entity, which takes effect only now.
    fn raise_sums(&mut self, leg: Leg, ix: EntityIx, turn: u64) {
        if let Some(beside) = self.legs.get(leg) {
            beside.shadows.each_of(ix, |shadow| {
                if shadow.whole && shadow.begun > turn {
                    shadow.sum += 1;
                }
            });
        }
    }

    /// Lays some of the shadows of the shown leg over the values.
    pub(super) fn lay_some(&mut self, mut looks: usize) {
        let Some(mut laying) = self.legs.laying.take() else {
            return;
        };
        self.touch_all();
        self.turn += 1;
        while let Some(beside) = self.legs.get(laying.leg)
            && let Some((ix, shadow)) = beside.shadows.next(&mut laying.at, &mut looks)
        {
            self.lay_or_wait(ix, *shadow, laying.why);
        }
        let beside = self.legs.get(laying.leg);
        if beside.is_some_and(|beside| !beside.shadows.is_through(laying.at)) {
            self.legs.laying = Some(laying);
        } else {
            self.legs.through(laying.leg);
        }
        self.legs.look();
        self.done();
    }

    /// Lays all that is left.
    pub(super) fn finish_laying(&mut self) {
        while self.legs.laying.is_some() {
            self.lay_some(usize::MAX);
        }
    }

    /// What has not caught up by now is not older, but new.
    pub(super) fn end_lagging(&mut self) {
        if self.legs.lagging.is_none_or(|until| self.now < until) || self.legs.laying.is_some() {
            return;
        }
        self.legs.lagging = None;
        self.legs.laying = Some(Laying {
            leg: self.legs.shown,
            at: Cursor::default(),
            why: Why::Overdue,
        });
        self.legs.look();
    }

    /// Lays what the shown leg has brought over one slot, or lets it catch up first.
    pub(super) fn lay_or_wait(&mut self, ix: EntityIx, shadow: Shadow, why: Why) {
        let waits = why == Why::Promoted && self.legs.lagging.is_some() && shadow.shows_older();
        if waits
            && let Role::Own(writer) = &self.entries[ix.index()].role
            && shadow.is_behind(&writer.head(shadow.slot))
        {
            return self.legs.beside(self.legs.shown).shadows.put(ix, shadow);
        }
        self.lay(ix, shadow, why);
    }

    /// The shown leg brings something for a slot that was not laid yet.
    pub(super) fn lay_first(&mut self, item: &Item) {
        let Some(laying) = self.legs.laying else {
            return;
        };
        let Some(slot) = self.slot_of(item) else {
            return;
        };
        if let Some(beside) = self.legs.get(laying.leg)
            && let Some(shadow) = beside.shadows.take(item.entity, slot)
        {
            self.lay_or_wait(item.entity, *shadow, laying.why);
        }
    }

    /// The shown leg has a hole before an update of a slot. Whether another leg's shadow has filled
    /// it.
    #[cold]
    pub(super) fn bridge(&mut self, ix: EntityIx, slot: SlotIx, update: &Update) -> bool {
        let Role::Own(writer) = &mut self.entries[ix.index()].role else {
            return false;
        };
        let head = writer.head(slot);
        let (shown, has_gap) = (head.sequence, head.flags & flags::GAP != 0);
        let speaking = self.legs.speaking;
        for leg in Leg::ALL {
            if leg == speaking || !self.legs.is_open(leg) {
                continue;
            }
            let beside = self.legs.beside(leg);
            let shadow = beside.shadows.of(ix, slot);
            if shadow.bridges(shown, update) {
                if let Some(shadow) = beside.shadows.take(ix, slot) {
                    self.counters.bridged.bump();
                    self.lay(ix, *shadow, Why::Bridging);
                    return true;
                }
            } else if !has_gap || shadow.hole.is_some() {
                // It may yet bring what is missing, if nothing was before this.
                shadow.hole = match (shadow.hole, shown) {
                    (Some(hole), Some(shown)) => Some(hole.min(shown)),
                    (hole, shown) => hole.or(shown),
                };
            }
        }
        false
    }

    /// A leg's shadow has what is missing in a slot.
    #[cold]
    pub(super) fn heal(&mut self, leg: Leg, ix: EntityIx, slot: SlotIx) {
        let taken = self.legs.get(leg).and_then(|it| it.shadows.take(ix, slot));
        if let Some(shadow) = taken {
            self.lay(ix, *shadow, Why::Healing);
        }
    }

    /// Lays a shadow over its slot, as one publication.
    fn lay(&mut self, ix: EntityIx, shadow: Shadow, why: Why) {
        let (now, turn, opens) = (self.now, self.turn, self.opens);
        let invalidates = self.config.on_connect == OnConnect::Invalidate;
        let entry = &mut self.entries[ix.index()];
        let Role::Own(writer) = &mut entry.role else {
            return;
        };
        let slot = shadow.slot;
        let mut head = writer.head(slot);
        if head.state == State::Dead {
            return;
        }
        let key = entry.attention.as_ref().and_then(|_| {
            let slot = writer.entity().numbered(slot.number())?;
            Some(slot.id().to_owned())
        });
        let mut attended = match (&mut entry.attention, &key) {
            (Some(attention), Some(key)) if attention.covers(key.as_ref()) => {
                Some(attention.attend(key, head.sequence))
            }
            _ => None,
        };
        let mut overlaid = attended
            .as_mut()
            .and_then(|attended| attended.overlaid.take());
        if let Some(overlaid) = &overlaid {
            head = overlaid.head;
        }
        let update = shadow.update();
        let patches = shadow.over.patches(writer.schema());
        let makes_value = shadow.inserts || shadow.blank || shadow.whole;
        let is_behind = match why {
            Why::Bridging | Why::Healing => false,
            Why::Promoted => shadow.is_behind(&head),
            Why::Opened | Why::Overdue => shadow.is_behind(&head) && !shadow.begins_anew(),
        };
        let has_effect = head.has_value() || makes_value;
        // What came before the end of its subscription was forgotten with it.
        let mut flags = if shadow.whole {
            0
        } else {
            head.flags & flags::UNSUBSCRIBED
        };
        let gap = why != Why::Healing && shadow.leaves_gap(&head);
        if gap {
            flags |= flags::GAP;
        }
        let stamp = Stamp {
            whole: shadow.whole,
            link: entry.link,
            sequence: shadow.last,
            // Of numbers that begin anew, this one is the present connection's.
            received_at: if shadow.restarts() {
                now
            } else {
                shadow.received_at.max(head.received_at)
            },
            source_time: shadow.source_time,
            turn,
            flags,
            ..Stamp::default()
        };
        let sum = if shadow.whole || (shadow.blank && patches.is_empty()) {
            let own = shadow.sum + u64::from(why == Why::Opened && invalidates);
            own.max(head.invalidation)
        } else {
            writer.invalidation(slot)
        };
        let is_removal = shadow.blank && !shadow.whole && patches.is_empty();
        if !is_behind && has_effect {
            entry.whole_seen |= shadow.whole;
            if gap && head.flags & flags::GAP == 0 {
                self.counters.gaps.bump();
                writer.suspect();
            }
            match overlaid.as_deref_mut() {
                Some(overlaid) => {
                    if shadow.blank {
                        overlaid.remove(&stamp, sum);
                    }
                    for (patch, mode) in &patches {
                        let stamp = Stamp {
                            mode: *mode,
                            ..stamp
                        };
                        overlaid.update(patch, &stamp, sum, writer.schema());
                    }
                    if why == Why::Healing {
                        overlaid.head.flags &= !flags::GAP;
                    }
                    overlaid.publish(writer, slot, turn);
                }
                None if is_removal => {
                    let gone = Head {
                        state: State::Removed,
                        ..head.stamped(
                            &Stamp {
                                whole: true,
                                ..stamp
                            },
                            sum,
                        )
                    };
                    writer.remove(slot, &removal(&gone, turn));
                }
                None => {
                    let layout = writer.schema().layout().clone();
                    let mut record = if shadow.blank || !head.has_value() {
                        Record::absent(layout.clone())
                    } else {
                        writer.record(slot)
                    };
                    for (patch, mode) in &patches {
                        record.apply(patch, *mode, &layout);
                    }
                    let terms = terms(&shadow, &head, &stamp, sum, why);
                    writer.replace(slot, &record, &terms);
                }
            }
        }
        if let Some(attended) = attended {
            for kept in attended.others(None).filter(|_| !is_behind) {
                if shadow.blank || shadow.whole {
                    kept.replaced(shadow.last, stamp.link, sum);
                } else {
                    for (patch, mode) in &patches {
                        let update = Update {
                            mode: *mode,
                            ..update
                        };
                        kept.patch(patch, &update, writer.schema().layout());
                    }
                }
                kept.note(&update, &stamp, opens, gap.then_some(u64::MAX));
            }
            attended.overlaid = overlaid;
        }
        if let (Some(attention), Some(key)) = (&mut entry.attention, &key) {
            attention.settle(key);
        }
    }
}

/// What the value says about itself with a shadow laid over it.
fn terms(shadow: &Shadow, head: &Head, stamp: &Stamp, sum: u64, why: Why) -> Head {
    let before = if shadow.blank {
        // A value that begins here has nothing in it from before.
        Head {
            state: State::Removed,
            ..*head
        }
    } else {
        *head
    };
    let after = before.stamped(stamp, sum);
    let healed = if why == Why::Healing { flags::GAP } else { 0 };
    Head {
        state: State::Present,
        whole_at: if shadow.whole {
            shadow.whole_at.max(head.whole_at)
        } else if head.has_value() && !shadow.blank {
            head.whole_at
        } else {
            Time::ZERO
        },
        flags: after.flags & !healed,
        ..after
    }
}
