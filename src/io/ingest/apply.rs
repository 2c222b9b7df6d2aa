//! From a staged item to a publication, and to the count of what became of it.

use super::super::staging::{Item, Staging, What};
use super::attention::Position;
use super::{Answered, Entry, Ingest, IngestConfig, Role};
use crate::Time;
use crate::feed::{
    Across, Connection, Counters, Held, Missing, OnConnect, Policy, Rule, Sequence, Update, Verdict,
};
use crate::key::Id;
use crate::store::{self, Link, Locate, Outcome, SlotIx, Stamp, flags};

impl Ingest {
    /// Does what one item of the message wants, and counts what became of it.
    #[inline]
    pub(super) fn apply(&mut self, at: usize) {
        let item = self.staging.item(at);
        if self.behind.is_some() && self.is_behind(&item) {
            return;
        }
        match item.what {
            What::Patch(_, update) | What::Remove(update) => {
                self.counters.patches.bump();
                self.update(&item, &update);
            }
            What::Forward(number, update) => {
                self.counters.patches.bump();
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
        let held = self.connection_sequence.map(|last| Held {
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
                self.counters.gaps.bump();
                tracing::warn!(feed = &*self.config.feed, expected, found, "a gap");
                // What was missed may have been of any key.
                self.mark_gap();
            }
        }
        self.connection_sequence = Some(number);
    }

    #[inline]
    pub(super) fn update(&mut self, item: &Item, update: &Update) {
        let entry = &self.entries[item.entity.index()];
        if entry.attention.is_some() && self.is_attended(item) {
            return self.update_attended(item, update);
        }
        let Some(id) = self.staging.id(item) else {
            return;
        };
        let entry = &mut self.entries[item.entity.index()];
        let Role::Own(writer) = &mut entry.role else {
            return;
        };
        let counters = &*self.counters;
        let missing = match (item.what, update.missing) {
            (What::Patch(..), Missing::Insert) => store::Missing::Insert,
            _ => store::Missing::Ignore,
        };
        let slot = match writer.locate(id, missing) {
            Ok(slot) => slot,
            Err(Locate::Missing) => return counters.missing.bump(),
            Err(Locate::Full) => return counters.patches_refused.bump(),
        };
        let mut stamp = Stamp {
            mode: update.mode,
            whole: update.whole,
            // A trusted source sends what was missed after a reconnect, not after a gap.
            trust: self.config.on_connect == OnConnect::Trust && self.bits & Link::GAP == 0,
            link: entry.link,
            invalidation: self.as_of,
            sequence: update.sequence.map(|sequence| sequence.last),
            received_at: self.now,
            source_time: update.source_time.unwrap_or(0),
            turn: self.turn,
            ..Stamp::default()
        };
        if update.sequence.is_some() {
            entry.restarts |= restarts(update.policy);
            let head = writer.head(slot);
            let position = Position::from(&head);
            let verdict = judge(update, position, self.opened);
            match behind_answer(verdict, update, position, entry.answered.as_deref(), || {
                writer.entity().canonical(id)
            }) {
                Verdict::Fresh => {}
                Verdict::Older => return counters.older.bump(),
                Verdict::Duplicate => return counters.duplicate.bump(),
                Verdict::Gap { expected, found } => {
                    counters.gaps.bump();
                    tracing::warn!(feed = &*self.config.feed, expected, found, "a gap");
                    if !update.whole {
                        stamp.flags |= flags::GAP;
                        if head.flags & flags::GAP == 0 {
                            writer.suspect();
                        }
                    }
                }
            }
        }
        entry.whole_seen |= update.whole;
        if !entry.whole_seen && self.opens > 1 && !stamp.trust {
            watch_recovery(entry, slot, &self.config, counters);
        }
        publish(entry, slot, item, &self.staging, &stamp, counters);
    }

    #[cold]
    fn mark_invalid(&mut self, item: &Item) {
        let entry = &mut self.entries[item.entity.index()];
        match self.staging.id(item) {
            None => entry.entity.invalidate(),
            // What is not there cannot be stale.
            Some(id) => {
                entry.entity.with(id, |slot| slot.invalidate());
            }
        }
        // What this feed brings from here on came after the invalidation.
        entry.begin();
        self.scan = true;
    }
}

/// Whether numbers of two connections cannot be compared.
pub(super) fn restarts(policy: Policy) -> bool {
    policy.across == Across::Restarts
}

/// The rules by which one update continues another take a whole value for a new beginning. It is
/// none if all that it is older than is the answer of a fetch: that has it behind itself.
#[inline]
pub(super) fn behind_answer(
    verdict: Verdict,
    update: &Update,
    position: Position,
    answered: Option<&Answered>,
    id: impl FnOnce() -> Id,
) -> Verdict {
    let Some(answered) = answered.filter(|_| update.whole && verdict == Verdict::Fresh) else {
        return verdict;
    };
    let number = update.sequence.map(|sequence| sequence.last);
    let behind = update.policy.across == Across::Continues
        && number < position.sequence
        && answered.get(&id()).copied() == position.sequence;
    if behind { Verdict::Older } else { verdict }
}

/// What an update is next to what is held.
pub(super) fn judge(update: &Update, position: Position, opened: (u64, Time)) -> Verdict {
    let Some(sequence) = update.sequence else {
        return Verdict::Fresh;
    };
    let connection = if position.is_since(opened) {
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
fn watch_recovery(entry: &mut Entry, slot: SlotIx, config: &IngestConfig, counters: &Counters) {
    let Role::Own(writer) = &entry.role else {
        return;
    };
    let head = writer.head(slot);
    if !head.has_value() || head.link == entry.link {
        return;
    }
    counters.unrecoverable.bump();
    if !std::mem::replace(&mut entry.reported, true) {
        tracing::error!(
            feed = &*config.feed,
            entity = &**entry.entity.name(),
            "patches arrive for values that went stale with the last connection, and no whole \
             value has ever come that could make them live again; send whole values, give a \
             fetcher, or trust the source (`OnConnect::Trust`)"
        );
    }
}
