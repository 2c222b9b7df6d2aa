//! An update of an id that is fetched, or has optimistic writes: published as any other, and noted.

use super::super::staging::{Item, What};
use super::apply::{behind_answer, confirms, judge, restarts};
use super::attention::{Position, covers_gap};
use super::{Ingest, Role};
use crate::feed::{Missing, Update, Verdict};
use crate::key::IdRef;
use crate::record::SchemaSource;
use crate::store::{self, NO_SEQUENCE, Outcome, flags};
use std::sync::Arc;

impl Ingest {
    /// Publishes the update that an item is if its id is fetched, or has optimistic writes; whether
    /// it is.
    #[cold]
    #[inline(never)]
    pub(super) fn update_if_attended(&mut self, at: usize) -> bool {
        if !self.is_attended(at) {
            return false;
        }
        let item = self.item(at);
        if let What::Patch(_, update) | What::Remove(update) = item.what {
            self.update_attended(at, &item, &update);
        }
        true
    }

    /// Looks at the id where it is: nearly all items that are asked for are of other ids, and go on
    /// by their slots.
    fn is_attended(&self, at: usize) -> bool {
        let Some(item) = self.staging.get(at) else {
            return false;
        };
        let entry = &self.entries[item.entity.index()];
        let Some(attention) = &entry.attention else {
            return false;
        };
        let id = match (item.slot(), &entry.role) {
            (None, _) => self.staging.id(item),
            (Some(slot), Role::Own(writer)) => writer.id(slot),
            (Some(_), _) => None,
        };
        id.is_some_and(|id| {
            let covers = |id: IdRef<'_>| attention.covers(id);
            self.is_logging(item.entity, id) || entry.entity.read_id(id, covers)
        })
    }

    /// As [`update`](Self::update), for an id that is fetched, or has optimistic writes.
    fn update_attended(&mut self, at: usize, item: &Item, update: &Update) {
        let Some(id) = self.staging.id(item) else {
            return;
        };
        if self.is_logging(item.entity, id) {
            return self.update_behind(at, item, update);
        }
        let mut stamp = self.stamp(item.entity, update);
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
            let earlier = entry.restarts && !position.is_since(self.joined);
            position.sequence.is_some() && !earlier
        });
        let attended = attention.attend(&key, floor.and_then(|position| position.sequence));
        let mut gap = None;
        if update.sequence.is_some() {
            entry.restarts |= restarts(update.policy);
            // Without a value, what was kept for want of one is what is held.
            let held = head.as_ref().filter(|head| head.sequence.is_some());
            let position = attended
                .last()
                .filter(|_| !has_value)
                .or_else(|| held.map(Position::from))
                .unwrap_or(Position {
                    sequence: None,
                    received_at: self.now,
                    turn: self.turn,
                });
            let verdict = judge(update, position, (self.opened, self.joined));
            let answered = entry.answered.as_deref();
            match behind_answer(verdict, update, position, answered, || Some(key.clone())) {
                Verdict::Fresh => {}
                Verdict::Older => {
                    counters.older.bump();
                    return attention.settle(&key);
                }
                Verdict::Duplicate if !head.is_some_and(|head| confirms(update, &head)) => {
                    counters.duplicate.bump();
                    return attention.settle(&key);
                }
                Verdict::Duplicate => {}
                Verdict::Gap { expected, found } => {
                    counters.gaps.bump();
                    tracing::warn!(feed = &*self.config.feed, expected, found, "a gap");
                    if !update.whole {
                        stamp.flags |= flags::GAP;
                        // The fetch that is under way need not be one that mends it.
                        writer.suspect();
                        gap = Some(covers_gap(update.policy, found));
                    }
                }
            }
        } else if entry.restarts
            && head.is_some_and(|head| !Position::from(&head).is_since(self.joined))
        {
            stamp.sequence = Some(NO_SEQUENCE);
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
            if gap.is_some() {
                kept.torn();
            }
            if let Some(patch) = patch.filter(|_| !update.whole) {
                kept.patch(patch, update, layout);
            }
            kept.note(update, &stamp, opens, gap);
        }
        attention.settle(&key);
    }
}
