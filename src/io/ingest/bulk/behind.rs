//! What comes behind a long message: logged, and shown at once if it cannot be wrong.

use super::super::super::staging::{self, What};
use super::super::attention::Position;
use super::super::{Ingest, Role};
use super::Detained;
use super::trail::{self, Base, Context, Entrant, Logged, Trail};
use crate::feed::{EntityIx, Missing, Update, Verdict};
use crate::key::{Id, IdRef};
use crate::record::Patch;
use crate::store;

impl Ingest {
    /// As [`update`](Self::update), while long messages are on their way that came before it.
    #[cold]
    #[inline(never)]
    pub(in crate::io::ingest) fn update_behind(
        &mut self,
        at: usize,
        item: &staging::Item,
        update: &Update,
    ) {
        let Some(id) = self.staging.id(item) else {
            return;
        };
        let trust = self.trust(item.entity);
        let patch = match item.what {
            What::Patch(number, _) => Some(self.staging.patch(number)),
            _ => None,
        };
        let entry = &mut self.entries[item.entity.index()];
        let (Role::Own(writer), Some(board)) = (&mut entry.role, &mut self.bulk) else {
            return;
        };
        let key = writer.entity().canonical(id);
        let attended = entry.attention.as_ref().and_then(|it| it.get(&key));
        let overlaid = attended.and_then(|attended| attended.overlaid.as_deref());
        let makes = patch.is_some() && update.missing == Missing::Insert;
        let known = makes || writer.entity().find(id).is_some();
        let slot = known
            .then(|| writer.locate(id, store::Missing::Insert).ok())
            .flatten();
        let held = overlaid.map_or_else(|| slot.map(|slot| writer.head(slot)), |it| Some(it.head));
        let context = Context {
            link: entry.link,
            invalidation: slot.map_or(0, |slot| writer.invalidation(slot)),
            trust,
            received_at: self.now,
            turn: self.turn,
            opened: (self.opened, self.joined),
        };
        let fresh = match &held {
            Some(head) => {
                let position = Position::from(head);
                trail::verdict(update, position, &context, entry.answered.as_deref(), &key)
                    == Verdict::Fresh
                    && (head.has_value() || makes)
            }
            None => makes,
        };
        let trail = board
            .trails
            .entry((item.entity, key.clone()))
            .or_insert_with(|| {
                Trail::new(match (overlaid, slot) {
                    (Some(overlaid), _) => Base::new(overlaid.base.clone(), overlaid.head),
                    (None, Some(slot)) => Base::new(writer.record(slot), writer.head(slot)),
                    (None, None) => Base::nothing(writer.schema()),
                })
            });
        let entrant = Entrant {
            update,
            is_patch: patch.is_some(),
            numbered: held.is_some_and(|head| head.has_value() && head.sequence.is_some()),
        };
        let shown = fresh && trail.lets(&entrant, board.last, board.options.overtaking);
        let logged = Logged::update(board.last, *update, patch.cloned(), context, shown);
        board.logged += 1;
        board.logged_bytes += logged.bytes();
        if trail.log(logged) {
            board.open.push_back((item.entity, key));
        }
        if shown {
            board.plain = true;
            self.update(at);
            if let Some(board) = &mut self.bulk {
                board.plain = false;
            }
        }
    }

    /// The value of an id is about to get these flags while long messages are on their way.
    #[cold]
    pub(in crate::io::ingest) fn mark_behind(&mut self, ix: EntityIx, id: &Id, flags: u8) {
        let entry = &mut self.entries[ix.index()];
        let (Role::Own(writer), Some(board)) = (&mut entry.role, &mut self.bulk) else {
            return;
        };
        let key = writer.entity().canonical(id.as_ref());
        let attended = entry.attention.as_ref().and_then(|it| it.get(&key));
        let overlaid = attended.and_then(|attended| attended.overlaid.as_deref());
        let slot = writer
            .entity()
            .find(id.as_ref())
            .and_then(|_| writer.locate(id.as_ref(), store::Missing::Insert).ok());
        let trail = board.trails.entry((ix, key)).or_insert_with(|| {
            Trail::new(match (overlaid, slot) {
                (Some(overlaid), _) => Base::new(overlaid.base.clone(), overlaid.head),
                (None, Some(slot)) => Base::new(writer.record(slot), writer.head(slot)),
                (None, None) => Base::nothing(writer.schema()),
            })
        });
        trail.log(Logged::mark(board.last, flags));
        board.logged += 1;
    }

    /// An update for the slow writer, while long messages are on their way that came before it.
    #[cold]
    pub(in crate::io::ingest) fn forward_behind(
        &mut self,
        item: &staging::Item,
        patch: Option<usize>,
        update: Update,
    ) {
        let Some(id) = self.staging.id(item).map(IdRef::to_owned) else {
            return;
        };
        let trust = self.trust(item.entity);
        let entry = &self.entries[item.entity.index()];
        let Role::Forward(lane) = &entry.role else {
            return;
        };
        let arrival = Context {
            link: entry.link,
            invalidation: lane.invalidation(id.as_ref()),
            trust,
            received_at: self.now,
            turn: self.turn,
            opened: (self.opened, self.joined),
        };
        let patch = patch.map(|number| self.staging.take(number));
        if let Some(board) = &mut self.bulk {
            board.logged += 1;
            board.logged_bytes += patch.as_ref().map_or(0, Patch::bytes);
            board.detained.push_back(Detained {
                after: board.last,
                entity: item.entity,
                id,
                patch,
                update,
                arrival,
                slow_opened: self.slow_opened,
                opens: self.opens,
                bits: self.bits,
            });
        }
    }
}
