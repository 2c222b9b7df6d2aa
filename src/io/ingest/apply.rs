//! From a staged item to a publication, and to the count of what became of it.

use super::super::staging::{Item, Staging, What};
use super::attention::Position;
use super::{Answered, Entry, Ingest, IngestConfig, Role};
use crate::Time;
use crate::feed::{
    Across, Connection, Counters, EntityIx, Held, Leg, Missing, OnConnect, Policy, Rule, Sequence,
    Update, Verdict,
};
use crate::key::Id;
use crate::store::{self, Head, Locate, NO_SEQUENCE, NO_TRUST, Outcome, SlotIx, Stamp, flags};

impl Ingest {
    /// Does what one item of the message wants, and counts what became of it.
    #[inline]
    pub(super) fn apply(&mut self, at: usize) {
        let is_plain = self.behind.is_none() && !self.legs.special;
        match self.staging.get(at) {
            Some(Item {
                entity,
                what: What::Patch(..) | What::Remove(_),
                ..
            }) if is_plain => {
                let entity = *entity;
                self.counters.patches.bump();
                self.touch(entity);
                self.entries[entity.index()].heard_at = self.now;
                self.update(at);
            }
            _ => self.apply_closely(at),
        }
    }

    /// As [`apply`](Self::apply), for everything but an update of the only leg's, which is what
    /// nearly all messages bring.
    #[cold]
    #[inline(never)]
    fn apply_closely(&mut self, at: usize) {
        let item = self.item(at);
        self.touch(item.entity);
        if self.behind.is_some() && self.is_behind(&item) {
            return;
        }
        if self.legs.special && self.apply_beside(&item) {
            return;
        }
        match item.what {
            What::Patch(..) | What::Remove(_) => {
                self.counters.patches.bump();
                self.entries[item.entity.index()].heard_at = self.now;
                self.update(at);
            }
            What::Forward(number, update) => {
                self.counters.patches.bump();
                self.entries[item.entity.index()].heard_at = self.now;
                self.forward(&item, number, update);
            }
            What::Foreign => self.count_foreign(),
            What::Invalidate => self.mark_invalid(&item),
            What::Advance(number) => self.advance_to(number),
        }
    }

    /// Whether the item came before, by the number of its message; counts it then.
    #[cold]
    fn is_behind(&self, item: &Item) -> bool {
        let (Some(verdict), What::Patch(..) | What::Remove(_) | What::Forward(..)) =
            (self.behind, item.what)
        else {
            return false;
        };
        self.counters.patches.bump();
        match verdict {
            Verdict::Duplicate => self.counters.duplicate.bump(),
            _ => self.counters.older.bump(),
        }
        true
    }

    /// The message, or what follows in it, has this number among all of its connection.
    pub(super) fn advance_to(&mut self, number: u64) {
        let leg = self.legs.speaking;
        let held = self.legs.sequences[leg.index()].map(|last| Held {
            last,
            connection: Connection::Same,
        });
        let policy = Policy::restarting(Rule::ContiguousPerConnection);
        let verdict = policy.judge(held, Sequence::at(number), false);
        self.behind = None;
        match verdict {
            Verdict::Older | Verdict::Duplicate => return self.behind = Some(verdict),
            Verdict::Fresh if held.is_none() => self.begin_numbers(number),
            Verdict::Fresh => {}
            Verdict::Gap { expected, .. } if self.may_be_filled(expected, number) => {}
            Verdict::Gap { expected, found } => {
                tracing::warn!(feed = &*self.config.feed, expected, found, "a gap");
                self.miss(leg);
            }
        }
        self.legs.sequences[leg.index()] = Some(number);
    }

    /// Messages of a leg's connection are missing, and they may have been of any key.
    #[cold]
    pub(super) fn miss(&mut self, leg: Leg) {
        if leg != self.legs.shown {
            // Whatever it brings from here on continues what the shown leg has brought.
            self.legs.leave(leg);
            self.legs.join(leg, self.now);
            self.legs.torn = Some(leg);
            self.legs.look();
        } else if self.legs.has_company() {
            if self.legs.torn.is_some() {
                // What came between this hole and the one before it continues neither.
                self.legs.forget_leg(leg);
            }
            self.legs.torn = Some(leg);
            self.legs.look();
        } else {
            self.counters.gaps.bump();
            self.mark_gap();
        }
    }

    /// Publishes the update that an item is, unless it is overtaken by what is there.
    #[inline]
    pub(super) fn update(&mut self, at: usize) {
        let has_attention = match self.staging.get(at) {
            Some(item) => self.entries[item.entity.index()].attention.is_some(),
            None => false,
        };
        if !has_attention || !self.update_if_attended(at) {
            self.update_plain(at);
        }
    }

    /// From which link on a patch confirms a value: a trusted source sends what was missed after a
    /// reconnect, not after a gap.
    #[inline]
    pub(super) fn trust(&self, entity: EntityIx) -> u64 {
        match self.config.on_connect {
            OnConnect::Trust => self.entries[entity.index()].torn,
            OnConnect::Invalidate => NO_TRUST,
        }
    }

    /// What an update of the present message says about itself.
    #[inline]
    pub(super) fn stamp(&self, entity: EntityIx, update: &Update) -> Stamp {
        Stamp {
            mode: update.mode,
            whole: update.whole,
            trust: self.trust(entity),
            link: self.entries[entity.index()].link,
            invalidation: self.as_of,
            sequence: update.sequence.map(|sequence| sequence.last),
            received_at: self.now,
            source_time: update.source_time.unwrap_or(0),
            turn: self.turn,
            ..Stamp::default()
        }
    }

    /// As [`update`](Self::update), for an id that nobody looks after.
    #[inline]
    fn update_plain(&mut self, at: usize) {
        let Some(item) = self.staging.get(at) else {
            return;
        };
        let (What::Patch(_, update) | What::Remove(update)) = &item.what else {
            return;
        };
        let mut stamp = self.stamp(item.entity, update);
        let entry = &mut self.entries[item.entity.index()];
        let Role::Own(writer) = &mut entry.role else {
            return;
        };
        let counters = &*self.counters;
        let missing = match (&item.what, update.missing) {
            (What::Patch(..), Missing::Insert) => store::Missing::Insert,
            _ => store::Missing::Ignore,
        };
        let located = match (item.slot(), missing) {
            (Some(slot), missing) => writer.again(slot, missing),
            (None, missing) => match self.staging.id(item) {
                Some(id) => writer.locate(id, missing),
                None => return,
            },
        };
        let slot = match located {
            Ok(slot) => slot,
            Err(Locate::Missing) => return counters.missing.bump(),
            Err(Locate::Full) => return counters.patches_refused.bump(),
        };
        if update.sequence.is_some() {
            entry.restarts |= restarts(update.policy);
            let head = writer.head(slot);
            let position = Position::from(&head);
            let verdict = judge(update, position, (self.opened, self.joined));
            let id = || writer.id(slot).map(|id| writer.entity().canonical(id));
            match behind_answer(verdict, update, position, entry.answered.as_deref(), id) {
                Verdict::Fresh => {}
                Verdict::Older => return counters.older.bump(),
                Verdict::Duplicate if !confirms(update, &head) => {
                    return counters.duplicate.bump();
                }
                Verdict::Duplicate => {}
                Verdict::Gap { expected, found } => {
                    return self.update_after_gap(at, (slot, stamp), (expected, found));
                }
            }
        } else if entry.restarts && !Position::from(&writer.head(slot)).is_since(self.joined) {
            // Held from another numbering, it would be taken for one of this connection's from here on.
            stamp.sequence = Some(NO_SEQUENCE);
        }
        entry.whole_seen |= update.whole;
        if !entry.whole_seen && self.opens > 1 && stamp.trust > 0 {
            watch_recovery(entry, slot, &stamp, &self.config, counters);
        }
        publish(entry, slot, item, &self.staging, &stamp, counters);
    }

    /// Messages of the slot are missing before this update.
    #[cold]
    #[inline(never)]
    fn update_after_gap(
        &mut self,
        at: usize,
        (slot, mut stamp): (SlotIx, Stamp),
        (expected, found): (u64, u64),
    ) {
        let item = self.item(at);
        let (What::Patch(_, update) | What::Remove(update)) = item.what else {
            return;
        };
        if self.legs.has_company() && self.bridge(item.entity, slot, &update) {
            // What another leg has brought may be ahead of it.
            return self.update(at);
        }
        self.counters.gaps.bump();
        tracing::warn!(feed = &*self.config.feed, expected, found, "a gap");
        let entry = &mut self.entries[item.entity.index()];
        let Role::Own(writer) = &mut entry.role else {
            return;
        };
        if !update.whole {
            stamp.flags |= flags::GAP;
            if writer.head(slot).flags & flags::GAP == 0 {
                writer.suspect();
            }
        }
        entry.whole_seen |= update.whole;
        if !entry.whole_seen && self.opens > 1 && stamp.trust > 0 {
            watch_recovery(entry, slot, &stamp, &self.config, &self.counters);
        }
        publish(entry, slot, &item, &self.staging, &stamp, &self.counters);
    }

    #[cold]
    #[inline(never)]
    fn mark_invalid(&mut self, item: &Item) {
        if self.legs.has_company() {
            self.note_mark(item);
        }
        let entry = &mut self.entries[item.entity.index()];
        match self.staging.id(item) {
            None => entry.entity.invalidate(),
            // What is not there cannot be stale.
            Some(id) => {
                entry.entity.with(id, |slot| slot.invalidate());
            }
        }
        self.renew_one(item.entity);
        self.scan = true;
    }
}

/// Whether numbers of two connections cannot be compared.
pub(super) fn restarts(policy: Policy) -> bool {
    policy.across == Across::Restarts
}

/// The rules by which one update continues another take a whole value for a new beginning. It is
/// none if all that it is older than is the answer of a fetch: that has it behind itself. And an
/// update that names its predecessor continues an answer that lies between the two.
#[inline]
pub(super) fn behind_answer(
    verdict: Verdict,
    update: &Update,
    position: Position,
    answered: Option<&Answered>,
    id: impl FnOnce() -> Option<Id>,
) -> Verdict {
    let whole = update.whole && verdict == Verdict::Fresh;
    let gap = matches!(verdict, Verdict::Gap { .. });
    let Some(answered) = answered.filter(|_| whole || gap) else {
        return verdict;
    };
    // Made only where it decides: it may allocate.
    let answer = || answered.get(&id()?).copied();
    if gap {
        let held = position.sequence;
        let spans = update.sequence.zip(held).is_some_and(|(sequence, held)| {
            spans_answer(update.policy, sequence, held) && answer() == Some(held)
        });
        return if spans { Verdict::Fresh } else { verdict };
    }
    let number = update.sequence.map(|sequence| sequence.last);
    let behind = update.policy.across == Across::Continues
        && number < position.sequence
        && answer() == position.sequence;
    if behind { Verdict::Older } else { verdict }
}

/// Whether an update that names its predecessor follows an answer of this number although that is
/// not the predecessor: it tells all that happened since then, and so since the answer.
pub(super) fn spans_answer(policy: Policy, sequence: Sequence, number: u64) -> bool {
    let after = |previous| previous <= number && number <= sequence.last;
    policy.rule == Rule::Chained && sequence.previous.is_some_and(after)
}

/// Whether a second copy of what is held is news: what was said of the value (that nothing keeps it
/// up, that it is partial) no longer holds.
#[inline]
pub(super) const fn confirms(update: &Update, head: &Head) -> bool {
    update.whole && head.flags != 0
}

/// What an update is next to what is held.
pub(super) fn judge(
    update: &Update,
    position: Position,
    (opened, joined): ((u64, Time), (u64, Time)),
) -> Verdict {
    let Some(sequence) = update.sequence else {
        return Verdict::Fresh;
    };
    let since = if restarts(update.policy) {
        joined
    } else {
        opened
    };
    let connection = if position.is_since(since) {
        Connection::Same
    } else {
        Connection::Earlier
    };
    let held = position.sequence.map(|last| Held { last, connection });
    update.policy.judge(held, sequence, update.whole)
}

#[inline]
fn publish(
    entry: &mut Entry,
    slot: SlotIx,
    item: &Item,
    staging: &Staging,
    stamp: &Stamp,
    counters: &Counters,
) {
    let Role::Own(writer) = &mut entry.role else {
        return;
    };
    let outcome = match item.what {
        What::Patch(number, _) => writer.publish(slot, staging.patch(number), stamp),
        _ => writer.remove(slot, stamp),
    };
    match outcome {
        Outcome::Applied => counters.applied.bump(),
        Outcome::Unchanged => counters.unchanged.bump(),
    }
}

/// Reports a value that gets patches only, and that no patch will make live again.
#[cold]
fn watch_recovery(
    entry: &mut Entry,
    slot: SlotIx,
    stamp: &Stamp,
    config: &IngestConfig,
    counters: &Counters,
) {
    let Role::Own(writer) = &entry.role else {
        return;
    };
    let head = writer.head(slot);
    if !head.has_value() || head.link == entry.link || stamp.confirms(head.link) {
        return;
    }
    counters.unrecoverable.bump();
    if !std::mem::replace(&mut entry.reported, true) {
        tracing::error!(
            feed = &*config.feed,
            entity = &**entry.entity.name(),
            "patches arrive for values that went stale with the last connection, and no whole \
             value has ever come that could make them live again; send whole values, give a \
             fetcher, or, where nothing else was missed, trust the source (`OnConnect::Trust`)"
        );
    }
}
