//! What a leg that is not shown has brought: laid aside, slot by slot, until it is.
//!
//! A shadow is what a slot would become by one leg's messages, composed: from the last whole value
//! or removal on, or, where none came, patches over whatever is shown. It is bounded by the schema
//! and by the number of slots, whatever the traffic. A slot without a shadow has had nothing from
//! the leg since it opened or was last shown.

use super::legs::shows_older;
use crate::Time;
use crate::feed::{
    Across, Connection, EntityIx, Held, Missing, Policy, Rule, Sequence, Update, Verdict,
};
use crate::record::{Composed, Layout, Mode, Patch, SchemaSource};
use crate::store::{Head, SlotIx, flags};

/// What one leg has brought for one slot since it was last laid over it.
#[derive(Debug)]
pub(super) struct Shadow {
    pub(super) slot: SlotIx,
    /// The value begins here: nothing of what is shown is left.
    pub(super) blank: bool,
    /// Some of it was a whole value, which renews the stamps.
    pub(super) whole: bool,
    pub(super) over: Composed,
    /// The first numbered update of an unbroken run, and its rule.
    first: Option<(Policy, Sequence)>,
    /// The number of the last one.
    pub(super) last: Option<u64>,
    /// The source has, or may have, begun its numbering anew, as some rules let it do with a whole
    /// value: then what is shown may have a higher number and be older.
    reset: bool,
    /// More came before than could be kept, or than came.
    torn: bool,
    /// One of the patches makes a value where there is none.
    pub(super) inserts: bool,
    pub(super) source_time: u64,
    pub(super) received_at: Time,
    pub(super) whole_at: Time,
    /// The turn of the last whole value or removal.
    pub(super) begun: u64,
    /// The sum of invalidations that the last whole value is good for.
    pub(super) sum: u64,
    /// The number before a hole that the shown leg has: to be filled from here.
    pub(super) hole: Option<u64>,
}

/// What is common to all updates of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) now: Time,
    pub(super) turn: u64,
    pub(super) sum: u64,
    /// The number of what is shown.
    pub(super) shown: Option<u64>,
    /// Whether that came since the leg's connection opened, or was on its way then.
    pub(super) is_recent: bool,
}

impl Shadow {
    fn new(slot: SlotIx) -> Self {
        Self {
            slot,
            blank: false,
            whole: false,
            over: Composed::new(),
            first: None,
            last: None,
            reset: false,
            torn: false,
            inserts: false,
            source_time: 0,
            received_at: Time::ZERO,
            whole_at: Time::ZERO,
            begun: 0,
            sum: 0,
            hole: None,
        }
    }

    /// What an update is next to what the leg has brought before.
    pub(super) fn judge(&self, update: &Update) -> Verdict {
        let Some(sequence) = update.sequence else {
            return Verdict::Fresh;
        };
        update.policy.judge(self.held(), sequence, update.whole)
    }

    fn held(&self) -> Option<Held> {
        let connection = Connection::Same;
        self.last.map(|last| Held { last, connection })
    }

    /// Messages are missing on the leg: what came before them cannot be continued.
    pub(super) fn tear(&mut self) {
        *self = Self {
            hole: self.hole,
            reset: self.reset,
            // What is shown is of another numbering.
            torn: self.reset,
            ..Self::new(self.slot)
        };
    }

    /// Whether there is a value, as far as the leg alone can tell; `None`: it depends on what is
    /// shown.
    pub(super) fn has_value(&self) -> Option<bool> {
        (self.blank || self.whole).then_some(self.whole || !self.over.is_empty())
    }

    /// Takes an update in; `None` is a removal.
    pub(super) fn take(
        &mut self,
        patch: Option<&Patch>,
        update: &Update,
        arrival: Arrival,
        layout: &Layout,
    ) {
        let begins = patch.is_none() || (update.whole && update.mode == Mode::Replace);
        if begins || update.whole {
            self.whole = patch.is_some();
            self.whole_at = arrival.now;
            self.begun = arrival.turn;
            self.sum = arrival.sum;
        }
        if begins {
            self.blank = true;
            self.over = Composed::new();
            self.first = None;
            self.torn = false;
            self.inserts = false;
            self.hole = None;
            let number = update.sequence.map(|sequence| sequence.last);
            let restarts = matches!(
                update.policy.rule,
                Rule::ContiguousPerKey | Rule::ContiguousRange | Rule::Chained
            );
            // A connection that lags is behind what came lately, and never goes back.
            let is_new = match self.last {
                Some(last) => number < Some(last) || self.reset,
                None => self.reset || !arrival.is_recent,
            };
            self.reset = restarts && is_new && number < self.last.max(arrival.shown);
        }
        if let Some(patch) = patch {
            self.inserts |= update.missing == Missing::Insert;
            self.lay(patch, update.mode, layout);
        }
        if let Some(sequence) = update.sequence {
            self.first.get_or_insert((update.policy, sequence));
            self.last = Some(sequence.last);
        }
        self.source_time = update.source_time.unwrap_or(0);
        self.received_at = arrival.now;
    }

    /// Lays a patch over it that came from elsewhere, or from the leg.
    pub(super) fn lay(&mut self, patch: &Patch, mode: Mode, layout: &Layout) {
        if self.over.push(patch, mode, layout).is_err() {
            // What was composed so far has been brought by the shown leg long ago, if it lives.
            self.over = Composed::new();
            self.torn = true;
            let _ = self.over.push(patch, mode, layout);
        }
    }

    /// As [`lay`](Self::lay), for patches that are composed already.
    pub(super) fn append(&mut self, other: &Composed, schema: &mut impl SchemaSource) {
        for (patch, mode) in other.patches(schema) {
            self.lay(&patch, mode, schema.layout());
        }
    }

    /// The rule of its numbers, if they can be compared with those of other connections.
    fn comparable(&self) -> Option<Rule> {
        let (policy, _) = self.first?;
        let can = policy.across == Across::Continues && policy.rule != Rule::None && !self.reset;
        can.then_some(policy.rule)
    }

    /// Whether numbers of two connections cannot be compared.
    pub(super) fn restarts(&self) -> bool {
        self.first
            .is_some_and(|(policy, _)| policy.across == Across::Restarts)
    }

    /// Whether it begins with a value that would be shown whatever its number.
    pub(super) fn begins_anew(&self) -> bool {
        self.blank && self.shows_older()
    }

    /// Whether older values of its source may be shown after newer ones.
    pub(super) fn shows_older(&self) -> bool {
        self.first.is_some_and(|(policy, _)| shows_older(policy))
    }

    /// Whether all that it says is in what is shown.
    pub(super) fn is_behind(&self, shown: &Head) -> bool {
        let (Some(rule), Some(shown), Some(last)) = (self.comparable(), shown.sequence, self.last)
        else {
            return false;
        };
        let repeats = matches!(rule, Rule::RisingEqualAllowed | Rule::Timestamp);
        shown > last || (shown == last && !self.blank && !self.whole && !repeats)
    }

    /// Whether messages are missing between what is shown, at this number, and what is laid over
    /// it.
    fn is_apart(&self, shown: Option<u64>) -> bool {
        if self.blank {
            return self.torn;
        }
        let apart = self
            .first
            .zip(shown)
            .is_some_and(|((policy, first), last)| {
                let connection = Connection::Same;
                let held = Some(Held { last, connection });
                self.comparable().is_some()
                    && matches!(policy.judge(held, first, false), Verdict::Gap { .. })
            });
        self.torn || apart
    }

    /// Whether messages are missing between what is shown and what is laid over it.
    pub(super) fn leaves_gap(&self, shown: &Head) -> bool {
        self.is_apart(shown.sequence)
    }

    /// Whether it has what is missing between what is shown and an update.
    pub(super) fn bridges(&self, shown: Option<u64>, update: &Update) -> bool {
        let Some(sequence) = update.sequence.filter(|_| self.comparable().is_some()) else {
            return false;
        };
        let meets = !matches!(
            update.policy.judge(self.held(), sequence, false),
            Verdict::Gap { .. }
        );
        self.last.is_some() && meets && !self.is_apart(shown)
    }

    /// Whether it has what has been missing in what is shown. What nothing has kept up waits for the
    /// shown leg's own: that one may be behind, and would take it back.
    pub(super) fn heals(&self, shown: &Head) -> bool {
        let covers = self.comparable().is_some() && self.last >= shown.sequence;
        let reaches = self.blank || (self.hole.is_some() && !self.is_apart(self.hole));
        let lost = shown.flags & (flags::GAP | flags::UNSUBSCRIBED) == flags::GAP;
        lost && covers && reaches && !self.torn
    }

    /// One update that stands for all of it, without a value.
    pub(super) fn update(&self) -> Update {
        let update = Update {
            whole: self.whole,
            missing: if self.inserts {
                Missing::Insert
            } else {
                Missing::Ignore
            },
            ..Update::patch()
        };
        match self.first {
            Some((policy, first)) => {
                let last = self.last.unwrap_or(first.last);
                update.numbered(policy, Sequence { last, ..first })
            }
            None => update,
        }
    }
}

/// The shadows of one leg, by entity and slot.
#[derive(Debug, Default)]
pub(super) struct Shadows {
    entities: Vec<Vec<Option<Box<Shadow>>>>,
}

impl Shadows {
    /// The shadow of a slot, an empty one if there was none.
    pub(super) fn of(&mut self, entity: EntityIx, slot: SlotIx) -> &mut Shadow {
        if self.entities.len() <= entity.index() {
            self.entities.resize_with(entity.index() + 1, Vec::new);
        }
        let slots = &mut self.entities[entity.index()];
        let number = slot.number() as usize;
        if slots.len() <= number {
            slots.resize_with(number + 1, || None);
        }
        slots[number].get_or_insert_with(|| Box::new(Shadow::new(slot)))
    }

    fn place(&mut self, entity: EntityIx, slot: SlotIx) -> Option<&mut Option<Box<Shadow>>> {
        let slots = self.entities.get_mut(entity.index())?;
        slots.get_mut(slot.number() as usize)
    }

    /// The shadow of a slot, if there is one.
    pub(super) fn get(&mut self, entity: EntityIx, slot: SlotIx) -> Option<&mut Shadow> {
        self.place(entity, slot)?.as_deref_mut()
    }

    /// Puts the shadow of a slot back.
    pub(super) fn put(&mut self, entity: EntityIx, shadow: Shadow) {
        let slot = shadow.slot;
        *self.of(entity, slot) = shadow;
    }

    /// Takes the shadow of a slot out.
    pub(super) fn take(&mut self, entity: EntityIx, slot: SlotIx) -> Option<Box<Shadow>> {
        self.place(entity, slot)?.take()
    }

    /// Takes the next shadow out at or after a place, looking at `looks` places at most, and moves
    /// on to the place after it.
    pub(super) fn next(
        &mut self,
        at: &mut Cursor,
        looks: &mut usize,
    ) -> Option<(EntityIx, Box<Shadow>)> {
        while *looks > 0 {
            let slots = self.entities.get_mut(at.entity as usize)?;
            *looks -= 1;
            let Some(place) = slots.get_mut(at.slot) else {
                *at = Cursor {
                    entity: at.entity + 1,
                    slot: 0,
                };
                continue;
            };
            at.slot += 1;
            if let Some(shadow) = place.take() {
                return Some((EntityIx::new(at.entity), shadow));
            }
        }
        None
    }

    /// Shows every shadow of an entity.
    pub(super) fn each_of(&mut self, entity: EntityIx, act: impl FnMut(&mut Shadow)) {
        if let Some(slots) = self.entities.get_mut(entity.index()) {
            let shadows = slots.iter_mut().flatten();
            shadows.map(|shadow| &mut **shadow).for_each(act);
        }
    }

    /// Whether nothing is left at or after a place.
    pub(super) fn is_through(&self, at: Cursor) -> bool {
        at.entity as usize >= self.entities.len()
    }
}

/// A place among the shadows of a leg.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    entity: u32,
    slot: usize,
}
