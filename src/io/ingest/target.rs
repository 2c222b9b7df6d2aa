//! What the driver of a feed tells its messages' landing place: batches, connections, deadlines.

use super::super::clock::Clock;
use super::super::command::Command;
use super::super::inbox::CommandError;
use super::super::target::{Target, Waste};
use super::bulk::{Board, BulkOptions};
use super::timing::Timing;
use super::{Ingest, Role, promote};
use crate::Time;
use crate::feed::Leg;
use crate::key::Id;
use crate::store::{self, Link, State, flags};

impl Ingest {
    /// What nothing kept up is asked for again: the value has missed whatever was said in between.
    fn miss_what_was_said(&mut self, entity: &str, id: &Id) {
        let Some(ix) = self.names.get(entity).copied() else {
            return;
        };
        self.touch(ix);
        let entry = &mut self.entries[ix.index()];
        let Role::Own(writer) = &mut entry.role else {
            return;
        };
        if let Ok(slot) = writer.locate(id.as_ref(), store::Missing::Ignore)
            && writer.head(slot).flags & flags::UNSUBSCRIBED != 0
        {
            self.turn += 1;
            writer.mark(slot, flags::GAP, self.turn);
            if let Some(attention) = &mut entry.attention {
                let id = writer.entity().canonical(id.as_ref());
                attention.mark(&id, flags::GAP);
            }
            self.moved = true;
            self.turns.finish(self.turn);
        }
        // What was removed has no gap, and may have come back.
        let slot = entry.entity.find(id.as_ref());
        if let Some(slot) = slot.filter(|slot| slot.head().state == State::Removed) {
            slot.invalidate();
            self.renew_one(ix);
            self.scan = true;
        }
    }
}

impl Target for Ingest {
    fn begin(&mut self, now: Time) {
        self.begin_batch(now);
    }

    fn received(&mut self, now: Time) {
        self.now = now;
    }

    fn finish(&mut self) {
        self.end_batch();
    }

    fn waste(&mut self) -> Option<Waste> {
        (!self.waste.is_empty()).then(|| std::mem::take(&mut self.waste))
    }

    fn opened(&mut self, leg: Leg) {
        self.opens += 1;
        self.opened = (self.turn, self.now);
        self.joined = self.opened;
        self.slow_opened = self.slow.as_ref().map_or(0, |slow| slow.turns().last());
        self.forget_numbers();
        self.raise();
        self.listen();
        for entry in &mut self.entries {
            entry.reported = false;
            if matches!(entry.role, Role::Foreign | Role::Forward(_)) {
                entry.role = Role::Unclaimed;
            }
        }
        if !self.legs.is_open(leg) {
            self.legs.join(leg, self.now);
        }
        self.legs.speak(leg);
        self.show(leg, true);
    }

    fn joined(&mut self, leg: Leg) {
        self.legs.join(leg, self.now);
    }

    fn left(&mut self, leg: Leg) {
        if self.legs.laying.is_some_and(|laying| laying.leg == leg) {
            self.finish_laying();
        }
        self.legs.leave(leg);
    }

    fn promoted(&mut self, leg: Leg) {
        self.show(leg, false);
    }

    fn speaks(&mut self, leg: Leg) {
        self.legs.speak(leg);
    }

    fn torn(&mut self) -> Option<Leg> {
        let torn = self.legs.torn.take()?;
        self.legs.look();
        Some(torn)
    }

    fn catch_up(&mut self) -> bool {
        self.end_lagging();
        self.lay_some(promote::LAID_PER_TURN);
        self.legs.laying.is_some()
    }

    fn doubt(&mut self, entity: &str, id: &Id) {
        if let Some(ix) = self.names.get(entity).copied() {
            let entry = &self.entries[ix.index()];
            entry.entity.with(id.as_ref(), |slot| slot.invalidate());
            self.renew_one(ix);
            self.scan = true;
        }
    }

    fn lost(&mut self) {
        self.deafen();
        self.set_bits(Link::DOWN | Link::SILENT, Link::DOWN);
    }

    fn silent(&mut self, silent: bool) {
        self.set_bits(Link::SILENT, if silent { Link::SILENT } else { 0 });
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.silence.poll_timeout()
    }

    fn handle_timeout(&mut self) {
        if self
            .silence
            .poll_timeout()
            .is_some_and(|due| due <= self.now)
        {
            self.note_silence();
        }
    }

    fn received_at(&self, entity: &str, id: &Id) -> Option<Time> {
        let entry = &self.entries[self.names.get(entity)?.index()];
        entry
            .entity
            .with(id.as_ref(), |slot| slot.head().received_at)
    }

    fn gap(&mut self) {
        self.counters.gaps.bump();
        self.turn += 1;
        self.mark_gap();
        self.turns.finish(self.turn);
        // What came after it was laid aside.
        self.show(self.legs.shown, false);
        self.finish_laying();
    }

    #[cold]
    fn subscribed(&mut self, entity: &str, id: &Id) {
        if let Some(wanted) = &self.wanted {
            wanted.add(entity, id.clone());
            // Whoever resyncs looks again.
            self.scan = true;
        }
        self.miss_what_was_said(entity, id);
    }

    #[cold]
    fn unsubscribed(&mut self, entity: &str, id: &Id) {
        if let Some(wanted) = &self.wanted {
            wanted.remove(entity, id);
        }
        let Some(ix) = self.names.get(entity).copied() else {
            return;
        };
        self.touch(ix);
        if self.has_flights() {
            self.mark_behind(ix, id, flags::UNSUBSCRIBED);
        }
        let entry = &mut self.entries[ix.index()];
        let Role::Own(writer) = &mut entry.role else {
            return;
        };
        // Also where there is no value: what is being fetched would be the first.
        if let Some(attention) = &mut entry.attention {
            let id = writer.entity().canonical(id.as_ref());
            attention.mark(&id, flags::UNSUBSCRIBED);
        }
        if let Ok(slot) = writer.locate(id.as_ref(), store::Missing::Ignore) {
            self.turn += 1;
            writer.mark(slot, flags::UNSUBSCRIBED, self.turn);
            self.moved = true;
            self.turns.finish(self.turn);
        }
        // A leg may have brought what the shown one has not: the first value.
        if writer.entity().find(id.as_ref()).is_some()
            && let Ok(slot) = writer.locate(id.as_ref(), store::Missing::Insert)
        {
            self.legs.forget(ix, slot);
        }
    }

    fn measure(&mut self, clock: Clock) {
        self.timing = Timing::with(clock);
    }

    fn time_first(&mut self) {
        self.timing.arm();
    }

    fn first_visible_at(&mut self) -> Option<Time> {
        self.timing.disarm()
    }

    fn take_apart_elsewhere(&mut self, options: BulkOptions) {
        self.bulk = Some(Box::new(Board::new(options)));
    }

    fn long_messages(&self) -> usize {
        self.flights()
    }

    fn land_some(&mut self) {
        self.go_on();
    }

    fn disown(&mut self) {
        self.count_orphans();
    }

    fn has_landing(&self) -> bool {
        self.can_go_on()
    }

    fn obey(&mut self, command: Command) -> Result<(), CommandError> {
        self.touch_all();
        self.carry_out(command)
    }
}
