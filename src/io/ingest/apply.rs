//! From a staged item to a publication, and to the count of what became of it.

use super::super::staging::{Item, Staging, What};
use super::attention::{Position, covers_gap};
use super::{Entry, Ingest, IngestConfig, Role};
use crate::Time;
use crate::feed::{
    Across, Connection, Counters, Held, Missing, OnConnect, Policy, Rule, Update, Verdict,
};
use crate::record::SchemaSource;
use crate::store::{self, Link, Locate, Outcome, SlotIx, Stamp, flags};
use std::sync::Arc;

impl Ingest {
    /// Does what one item of the message wants, and counts what became of it.
    #[inline]
    pub(super) fn apply(&mut self, at: usize) {
        let item = self.staging.item(at);
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
        }
    }

    #[inline]
    fn update(&mut self, item: &Item, update: &Update) {
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
            match judge(
                update,
                Position::from(&head),
                self.opened,
                &mut self.connection_sequence,
            ) {
                Verdict::Fresh => {}
                Verdict::Older => return counters.older.bump(),
                Verdict::Duplicate => return counters.duplicate.bump(),
                Verdict::Gap { expected, found } => {
                    counters.gaps.bump();
                    tracing::warn!(feed = &*self.config.feed, expected, found, "a gap");
                    if update.policy.rule == Rule::ContiguousPerConnection {
                        // What was missed may have been of any key.
                        return self.update_after_gap(item, update, slot, stamp);
                    }
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
    fn update_after_gap(&mut self, item: &Item, update: &Update, slot: SlotIx, stamp: Stamp) {
        self.mark_gap();
        let entry = &mut self.entries[item.entity.index()];
        entry.whole_seen |= update.whole;
        let stamp = Stamp {
            trust: false,
            link: entry.link,
            ..stamp
        };
        publish(entry, slot, item, &self.staging, &stamp, &self.counters);
    }

    #[cold]
    #[inline(never)]
    fn is_attended(&self, item: &Item) -> bool {
        let entry = &self.entries[item.entity.index()];
        let id = self.staging.id(item);
        let (Some(attention), Some(id)) = (&entry.attention, id) else {
            return false;
        };
        attention.covers(&entry.entity.canonical(id))
    }

    /// As [`update`](Self::update), for an id that is fetched, or has optimistic writes.
    #[cold]
    #[inline(never)]
    fn update_attended(&mut self, item: &Item, update: &Update) {
        let Some(id) = self.staging.id(item) else {
            return;
        };
        let (counters, opens, as_of) = (Arc::clone(&self.counters), self.opens, self.as_of);
        let entry = &mut self.entries[item.entity.index()];
        let (Role::Own(writer), Some(attention)) = (&mut entry.role, &mut entry.attention) else {
            return;
        };
        let key = writer.entity().canonical(id);
        let overlaid = attention
            .get(&key)
            .and_then(|attended| attended.overlaid.as_deref());
        // The value without optimistic writes. An id that nobody knows gets no slot by this.
        let head = match overlaid {
            Some(overlaid) => Some(overlaid.head),
            None if writer.entity().find(id).is_some() => writer
                .locate(id, store::Missing::Insert)
                .ok()
                .map(|slot| writer.head(slot)),
            None => None,
        };
        let has_value = head.is_some_and(|head| head.has_value());
        let floor = head.as_ref().map(Position::from).filter(|position| {
            let earlier = entry.restarts && !position.is_since(self.opened);
            position.sequence.is_some() && !earlier
        });
        let attended = attention.attend(&key, floor.and_then(|position| position.sequence));
        let mut stamp = Stamp {
            mode: update.mode,
            whole: update.whole,
            trust: self.config.on_connect == OnConnect::Trust && self.bits & Link::GAP == 0,
            link: entry.link,
            invalidation: self.as_of,
            sequence: update.sequence.map(|sequence| sequence.last),
            received_at: self.now,
            source_time: update.source_time.unwrap_or(0),
            turn: self.turn,
            ..Stamp::default()
        };
        let mut gap = None;
        if update.sequence.is_some() {
            entry.restarts |= restarts(update.policy);
            // Without a value, what was kept for want of one is what is held.
            let held = head.as_ref().filter(|head| head.sequence.is_some());
            let position = attended
                .last()
                .filter(|_| !has_value)
                .or(held.map(Position::from))
                .unwrap_or(Position {
                    sequence: None,
                    received_at: self.now,
                    turn: self.turn,
                });
            match judge(update, position, self.opened, &mut self.connection_sequence) {
                Verdict::Fresh => {}
                Verdict::Older => {
                    counters.older.bump();
                    return attention.settle(&key);
                }
                Verdict::Duplicate => {
                    counters.duplicate.bump();
                    return attention.settle(&key);
                }
                Verdict::Gap { expected, found } => {
                    counters.gaps.bump();
                    tracing::warn!(feed = &*self.config.feed, expected, found, "a gap");
                    if update.policy.rule == Rule::ContiguousPerConnection {
                        self.mark_gap();
                        stamp.trust = false;
                        stamp.link = self.entries[item.entity.index()].link;
                    } else if !update.whole {
                        stamp.flags |= flags::GAP;
                        gap = Some(covers_gap(update.policy, found));
                    }
                }
            }
        }
        let entry = &mut self.entries[item.entity.index()];
        entry.whole_seen |= update.whole;
        let (Role::Own(writer), Some(attention)) = (&mut entry.role, &mut entry.attention) else {
            return;
        };
        let Some(attended) = attention.get_mut(&key) else {
            return;
        };
        let patch = match item.what {
            What::Patch(number, _) => Some(self.staging.patch(number)),
            _ => None,
        };
        let makes_value = patch.is_some() && update.missing == Missing::Insert;
        if has_value || makes_value {
            let Some(id) = self.staging.id(item) else {
                return;
            };
            let Ok(slot) = writer.locate(id, store::Missing::Insert) else {
                counters.patches_refused.bump();
                return attention.settle(&key);
            };
            let outcome = match (attended.overlaid.as_deref_mut(), patch) {
                (Some(overlaid), Some(patch)) => {
                    let sum = as_of.unwrap_or_else(|| writer.invalidation(slot));
                    overlaid.update(patch, &stamp, sum, writer.schema());
                    overlaid.publish(writer, slot, self.turn)
                }
                (Some(overlaid), None) => {
                    let sum = as_of.unwrap_or_else(|| writer.invalidation(slot));
                    overlaid.remove(&stamp, sum);
                    overlaid.publish(writer, slot, self.turn)
                }
                (None, Some(patch)) => writer.publish(slot, patch, &stamp),
                (None, None) => writer.remove(slot, &stamp),
            };
            match outcome {
                Outcome::Applied => counters.applied.bump(),
                Outcome::Unchanged => counters.unchanged.bump(),
            }
            let sum = as_of.unwrap_or_else(|| writer.invalidation(slot));
            for kept in attended.others(None) {
                if update.whole || patch.is_none() {
                    kept.replaced(stamp.sequence, stamp.link, sum);
                }
            }
        } else if attended.is_kept() {
            counters.held.bump();
            for kept in attended.others(None) {
                if patch.is_none() {
                    kept.replaced(stamp.sequence, 0, 0);
                }
            }
        } else {
            counters.missing.bump();
            return attention.settle(&key);
        }
        let layout = writer.schema().layout();
        for kept in attended.others(None) {
            if let Some(patch) = patch.filter(|_| !update.whole) {
                kept.patch(patch, update, layout);
            }
            kept.note(update, &stamp, opens, gap);
        }
        attention.settle(&key);
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
fn restarts(policy: Policy) -> bool {
    policy.across == Across::Restarts || policy.rule == Rule::ContiguousPerConnection
}

/// What an update is next to what is held.
fn judge(
    update: &Update,
    position: Position,
    opened: (u64, Time),
    of_connection: &mut Option<u64>,
) -> Verdict {
    let Some(sequence) = update.sequence else {
        return Verdict::Fresh;
    };
    if update.policy.rule == Rule::ContiguousPerConnection {
        return judge_of_connection(update, of_connection);
    }
    let connection = if position.is_since(opened) {
        Connection::Same
    } else {
        Connection::Earlier
    };
    let held = position.sequence.map(|last| Held { last, connection });
    update.policy.judge(held, sequence, update.whole)
}

/// What an update is whose number is the connection's.
pub(super) fn judge_of_connection(update: &Update, of_connection: &mut Option<u64>) -> Verdict {
    let Some(sequence) = update.sequence else {
        return Verdict::Fresh;
    };
    let held = of_connection.map(|last| Held {
        last,
        connection: Connection::Same,
    });
    let verdict = update.policy.judge(held, sequence, update.whole);
    if matches!(verdict, Verdict::Fresh | Verdict::Gap { .. }) {
        *of_connection = Some(sequence.last);
    }
    verdict
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
