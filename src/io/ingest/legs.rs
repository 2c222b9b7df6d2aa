//! The messages of a leg that is not shown.
//!
//! A whole value or a removal whose number strictly rises on every connection is applied whichever
//! leg brings it first: it has all that came before it in it, and the second copy is a duplicate.
//! Everything else a leg brings while it is not shown becomes its shadow ([`Shadows`]): without
//! numbers nobody can tell a copy from news, and a patch says nothing about the patches before it
//! that another leg has not brought yet.

mod reports;

use super::super::staging::{Item, What};
use super::apply::restarts;
use super::attention::Position;
use super::promote::Why;
use super::shadow::{Arrival, Cursor, Shadows};
use super::{Ingest, Role};
use crate::Time;
use crate::feed::{Across, EntityIx, Leg, Missing, Policy, Rule, Update, Verdict};
use crate::record::{Composed, Mode, Patch, SchemaSource};
use crate::store::{self, Locate, SlotIx};
use reports::Reports;
use std::time::Duration;

/// For so long a leg that is shown instead of another one may take to catch up with it. What is
/// older by its number then has to be news: the source has begun its numbering anew.
pub(super) const CATCHES_UP_WITHIN: Duration = Duration::from_secs(10);

/// What a feed knows of its legs.
#[derive(Debug, Default)]
pub(super) struct Legs {
    /// Whose messages come in.
    pub(super) speaking: Leg,
    pub(super) shown: Leg,
    /// Whether an update has to be looked at before it is applied.
    pub(super) special: bool,
    /// Whose connections are open.
    open: [bool; Leg::COUNT],
    beside: [Option<Box<Beside>>; Leg::COUNT],
    /// The number last seen on each connection, where its messages are counted together.
    pub(super) sequences: [Option<u64>; Leg::COUNT],
    /// When each connection opened.
    joined: [Time; Leg::COUNT],
    /// A promotion that is not through.
    pub(super) laying: Option<Laying>,
    /// Until when the shown leg may be behind what was shown before it.
    pub(super) lagging: Option<Time>,
    /// A leg misses messages, and the driver has to be told.
    pub(super) torn: Option<Leg>,
}

/// A leg that was promoted, and up to where its shadows have been laid over the values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Laying {
    pub(super) leg: Leg,
    pub(super) at: Cursor,
    pub(super) why: Why,
}

/// What is laid aside for one leg.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) shadows: Shadows,
    pub(super) reports: Reports,
    /// Entities of the slow writer that it has brought something for.
    forwarded: Vec<EntityIx>,
}

impl Legs {
    /// A connection is open: nothing is known of it yet.
    pub(super) fn join(&mut self, leg: Leg, now: Time) {
        self.leave(leg);
        self.open[leg.index()] = true;
        self.joined[leg.index()] = now;
    }

    /// When the leg's connection opened.
    pub(super) fn joined(&self, leg: Leg) -> Time {
        self.joined[leg.index()]
    }

    /// A connection is no more.
    pub(super) fn leave(&mut self, leg: Leg) {
        self.open[leg.index()] = false;
        self.beside[leg.index()] = None;
        self.sequences[leg.index()] = None;
    }

    /// What the leg has brought is void.
    pub(super) fn forget_leg(&mut self, leg: Leg) {
        if let Some(beside) = &mut self.beside[leg.index()] {
            beside.shadows = Shadows::default();
        }
    }

    pub(super) fn is_open(&self, leg: Leg) -> bool {
        self.open[leg.index()]
    }

    /// Messages of this leg follow.
    #[inline]
    pub(super) fn speak(&mut self, leg: Leg) {
        if self.speaking != leg {
            self.speaking = leg;
            self.look();
        }
    }

    /// This leg is shown. The one before, if its connection lives, is beside it from here on.
    pub(super) fn show(&mut self, leg: Leg) {
        self.shown = leg;
        self.look();
    }

    /// All that was laid aside for the shown leg is laid over the values, but for what is behind
    /// them.
    pub(super) fn through(&mut self, leg: Leg) {
        if self.lagging.is_none() {
            self.beside[leg.index()] = None;
        }
    }

    pub(super) fn look(&mut self) {
        self.special = self.speaking != self.shown
            || self.laying.is_some()
            || self.lagging.is_some()
            || self.torn.is_some();
    }

    /// Whether a connection is open beside the one that is shown.
    pub(super) fn has_company(&self) -> bool {
        let legs = Leg::ALL.into_iter();
        let mut others = legs.filter(|leg| *leg != self.shown);
        others.any(|leg| self.open[leg.index()])
    }

    pub(super) fn beside(&mut self, leg: Leg) -> &mut Beside {
        self.beside[leg.index()].get_or_insert_default()
    }

    pub(super) fn get(&mut self, leg: Leg) -> Option<&mut Beside> {
        self.beside[leg.index()].as_deref_mut()
    }

    /// All that is laid aside, of whatever leg.
    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut Beside> {
        self.beside.iter_mut().flatten().map(|beside| &mut **beside)
    }

    /// What was laid aside for a slot is void.
    pub(super) fn forget(&mut self, entity: EntityIx, slot: SlotIx) {
        for beside in self.each() {
            beside.shadows.take(entity, slot);
        }
    }

    /// A fetch that began at `begun` has landed: it knows what came before.
    pub(super) fn landed(&mut self, entity: EntityIx, slot: SlotIx, begun: Time) {
        for beside in self.each() {
            let shadow = beside.shadows.get(entity, slot);
            if shadow.is_some_and(|shadow| shadow.received_at < begun) {
                beside.shadows.take(entity, slot);
            }
        }
    }

    /// An optimistic write has become part of the value, and what came since is laid over it.
    pub(super) fn committed(
        &mut self,
        (entity, slot): (EntityIx, SlotIx),
        (patch, mode): (&Patch, Mode),
        since: &Composed,
        schema: &mut impl SchemaSource,
    ) {
        for beside in self.each() {
            if let Some(shadow) = beside.shadows.get(entity, slot) {
                shadow.lay(patch, mode, schema.layout());
                shadow.append(since, schema);
            }
        }
    }
}

impl Beside {
    /// Entities of the slow writer that the leg has brought something for.
    pub(super) fn take_forwarded(&mut self) -> Vec<EntityIx> {
        std::mem::take(&mut self.forwarded)
    }
}

/// Whether an update with a lower number than what is held may be shown, and the numbers of two
/// connections can be compared all the same.
pub(super) fn shows_older(policy: Policy) -> bool {
    let may = matches!(
        policy.rule,
        Rule::ContiguousPerKey | Rule::ContiguousRange | Rule::Chained | Rule::Timestamp
    );
    may && policy.across == Across::Continues
}

/// Whether an update says the same whichever leg brings it.
fn is_shared(update: &Update, is_whole: bool) -> bool {
    is_whole
        && update.sequence.is_some()
        && update.policy.rule == Rule::SparseRising
        && update.policy.across == Across::Continues
}

impl Ingest {
    /// An item, where legs matter. Whether nothing is left to be done about it.
    #[cold]
    #[inline(never)]
    pub(super) fn apply_beside(&mut self, item: &Item) -> bool {
        let leg = self.legs.speaking;
        // What comes after a hole in all of the connection's messages is not shown before it is
        // known who has what is missing.
        let is_torn = leg == self.legs.shown && self.legs.torn == Some(leg);
        if leg == self.legs.shown && !is_torn {
            self.lay_first(item);
            return self.hold_lagging(leg, item);
        }
        match item.what {
            What::Advance(_) | What::Foreign => false,
            What::Invalidate if is_torn => false,
            What::Invalidate => {
                self.hold_mark(leg, item);
                true
            }
            What::Forward(_, update) => {
                if is_shared(&update, update.whole) {
                    return false;
                }
                self.counters.patches.bump();
                self.counters.held.bump();
                let forwarded = &mut self.legs.beside(leg).forwarded;
                if !forwarded.contains(&item.entity) {
                    forwarded.push(item.entity);
                }
                true
            }
            What::Patch(_, update) | What::Remove(update) => {
                let is_whole = update.whole || matches!(item.what, What::Remove(_));
                if is_shared(&update, is_whole) {
                    self.outdate(leg, item);
                    return false;
                }
                self.counters.patches.bump();
                self.hold(leg, item, &update);
                true
            }
        }
    }

    /// The leg brings a whole value that is shown at once: it continues what it brings from here.
    fn outdate(&mut self, leg: Leg, item: &Item) {
        let Some(slot) = self.slot_of(item) else {
            return;
        };
        if let Some(beside) = self.legs.get(leg) {
            beside.shadows.take(item.entity, slot);
        }
    }

    /// The slot of an item, if there is one.
    pub(super) fn slot_of(&mut self, item: &Item) -> Option<SlotIx> {
        let id = self.staging.id(item)?;
        let Role::Own(writer) = &mut self.entries[item.entity.index()].role else {
            return None;
        };
        match writer.locate(id, store::Missing::Ignore) {
            Ok(slot) => Some(slot),
            Err(_) if writer.entity().find(id).is_some() => {
                writer.locate(id, store::Missing::Insert).ok()
            }
            Err(_) => None,
        }
    }

    /// The shown leg has taken the place of one that was further ahead, and catches up: what is
    /// older than what that one has brought is not shown. Whether the item is laid aside.
    fn hold_lagging(&mut self, leg: Leg, item: &Item) -> bool {
        let (What::Patch(_, update) | What::Remove(update)) = item.what else {
            return false;
        };
        if self.legs.lagging.is_none() || !shows_older(update.policy) {
            return false;
        }
        let (Some(sequence), Some(slot)) = (update.sequence, self.slot_of(item)) else {
            return false;
        };
        let held = self
            .legs
            .get(leg)
            .is_some_and(|beside| beside.shadows.get(item.entity, slot).is_some());
        let Role::Own(writer) = &mut self.entries[item.entity.index()].role else {
            return false;
        };
        let head = writer.head(slot);
        let is_older = head.sequence.is_some_and(|shown| sequence.last < shown)
            && !Position::from(&head).is_since(self.joined);
        if !held && !is_older {
            return false;
        }
        self.counters.patches.bump();
        self.hold(leg, item, &update);
        let Role::Own(writer) = &mut self.entries[item.entity.index()].role else {
            return true;
        };
        let head = writer.head(slot);
        let shadow = self.legs.get(leg).and_then(|beside| {
            let shadow = beside.shadows.get(item.entity, slot)?;
            (!shadow.is_behind(&head)).then(|| beside.shadows.take(item.entity, slot))?
        });
        if let Some(shadow) = shadow {
            self.lay_or_wait(item.entity, *shadow, Why::Promoted);
        }
        true
    }

    /// Lays an update aside, and counts it.
    fn hold(&mut self, leg: Leg, item: &Item, update: &Update) {
        let patch = match item.what {
            What::Patch(number, _) => Some(number),
            _ => None,
        };
        let slot = match self.slot_of(item) {
            Some(slot) => slot,
            // What would be ignored makes no slot either.
            None if patch.is_none() || update.missing == Missing::Ignore => {
                return self.counters.missing.bump();
            }
            None => match self.make_slot(item) {
                Ok(slot) => slot,
                Err(_) => return self.counters.patches_refused.bump(),
            },
        };
        let counters = &*self.counters;
        let entry = &mut self.entries[item.entity.index()];
        let Role::Own(writer) = &mut entry.role else {
            return;
        };
        let head = writer.head(slot);
        let arrival = Arrival {
            now: self.now,
            turn: self.turn,
            sum: writer.invalidation(slot),
            shown: head.sequence,
            is_recent: self.legs.joined(leg).since(head.received_at) < CATCHES_UP_WITHIN,
        };
        let shadow = self.legs.beside(leg).shadows.of(item.entity, slot);
        let ignores = patch.is_some() && update.missing == Missing::Ignore;
        if ignores && !update.whole && shadow.has_value() == Some(false) {
            return counters.missing.bump();
        }
        match shadow.judge(update) {
            Verdict::Fresh => {}
            Verdict::Older => return counters.older.bump(),
            Verdict::Duplicate => return counters.duplicate.bump(),
            Verdict::Gap { expected, found } => {
                // The shown leg has brought what is missing here, or will.
                counters.bridged.bump();
                tracing::debug!(
                    feed = &*self.config.feed,
                    expected,
                    found,
                    "a gap on a connection that is not shown"
                );
                shadow.tear();
            }
        }
        counters.held.bump();
        entry.restarts |= update.sequence.is_some() && restarts(update.policy);
        let patch = patch.map(|number| self.staging.patch(number));
        shadow.take(patch, update, arrival, writer.schema().layout());
        // What heals while long messages are on their way is not what is shown in the end.
        if shadow.heals(&writer.head(slot)) && !self.has_flights() {
            self.heal(leg, item.entity, slot);
        }
    }

    fn make_slot(&mut self, item: &Item) -> Result<SlotIx, Locate> {
        let (Role::Own(writer), Some(id)) = (
            &mut self.entries[item.entity.index()].role,
            self.staging.id(item),
        ) else {
            return Err(Locate::Missing);
        };
        writer.locate(id, store::Missing::Insert)
    }

    /// What a command is about to write is no leg's: it is laid over what is laid aside as well.
    #[cold]
    pub(super) fn echo_all(&mut self) {
        for at in 0..self.staging.len() {
            let item = self.item(at);
            if let What::Patch(_, update) | What::Remove(update) = item.what {
                self.echo(&item, &update);
            }
        }
    }

    fn echo(&mut self, item: &Item, update: &Update) {
        let Some(slot) = self.slot_of(item) else {
            return;
        };
        let patch = match item.what {
            What::Patch(number, _) => Some(number),
            _ => None,
        };
        let Role::Own(writer) = &mut self.entries[item.entity.index()].role else {
            return;
        };
        for beside in self.legs.each() {
            let Some(shadow) = beside.shadows.get(item.entity, slot) else {
                continue;
            };
            match patch.map(|number| self.staging.patch(number)) {
                Some(patch) if !update.whole => {
                    shadow.lay(patch, update.mode, writer.schema().layout());
                }
                // The value is of nobody's stream now, and that goes on from here.
                _ => {
                    beside.shadows.take(item.entity, slot);
                }
            }
        }
    }
}
