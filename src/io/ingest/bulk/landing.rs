//! A long message lands: its items get the effect that they would have had when it came.

use super::super::super::bulk::{Item, Report, Said, Taken};
use super::What;

use super::super::{Ingest, Role};
use super::trail::Became;
use super::{Arrival, Cargo, Flight, Key, PORTION, Phase, Stamps};
use crate::feed::{Counters, EntityIx, Missing, Sink, Update, Verdict};
use crate::key::Id;
use crate::record::{Patch, SchemaSource};
use crate::store::{self, EntityWriter, SlotIx};
use std::panic::resume_unwind;
use std::sync::Arc;

impl Ingest {
    /// Whether a call of [`go_on`](Self::go_on) has something to do.
    pub(in crate::io::ingest) fn can_go_on(&self) -> bool {
        let Some(board) = &self.bulk else {
            return false;
        };
        board
            .flights
            .front()
            .is_some_and(|first| match first.phase {
                Phase::Running => !board.mailbox.is_empty(),
                Phase::Waiting(_) | Phase::Landing(_) | Phase::Closing(_) => true,
            })
    }

    /// Lands a portion of the first long message, if it has been taken apart.
    #[cold]
    pub(in crate::io::ingest) fn go_on(&mut self) {
        if !self.can_go_on() {
            return;
        }
        self.touch_all();
        let speaking = self.legs.speaking;
        self.legs.speak(self.legs.shown);
        self.unload();
        self.turn += 1;
        self.land_portion();
        self.close_portion();
        self.claimed.clear();
        self.done();
        self.legs.speak(speaking);
    }

    /// Takes what the first message says out of the mailbox.
    fn unload(&mut self) {
        let Some(board) = &mut self.bulk else { return };
        let running = |flight: &Flight| matches!(flight.phase, Phase::Running);
        if !board.flights.front().is_some_and(running) {
            return;
        }
        let taken = match board.mailbox.take() {
            None => return,
            Some(Report::Done(taken)) => *taken,
            // Nobody does such work any more: it is this thread's.
            Some(Report::Undone(task)) => task.run(),
            Some(Report::Panicked(panic)) => resume_unwind(panic),
        };
        let cargo = self.unpack(taken);
        if let Some(first) = self.bulk.as_mut().and_then(|it| it.flights.front_mut()) {
            first.phase = Phase::Landing(Box::new(cargo));
        }
    }

    fn unpack(&mut self, taken: Taken) -> Cargo {
        let Taken {
            outcome,
            items,
            entities,
        } = taken;
        // Those that are new here get numbers; if there may be no more, their items are foreign.
        let known = entities.iter().map(|entity| {
            let ix = self.entity(entity.name());
            ix.unwrap_or(EntityIx::new(u32::MAX))
        });
        Cargo {
            outcome,
            items: items.into_iter(),
            entities: known.collect(),
            behind: None,
        }
    }

    /// Lands items of the first message, with the stamps of its arrival.
    fn land_portion(&mut self) {
        let Some(board) = &mut self.bulk else { return };
        let Some(mut first) = board.flights.pop_front() else {
            return;
        };
        board.landing = true;
        if let Phase::Landing(cargo) = &mut first.phase {
            let (now, opened, opens, bits) = (self.now, self.opened, self.opens, self.bits);
            let joined = std::mem::replace(&mut self.joined, first.arrival.joined);
            let (slow_opened, behind) = (self.slow_opened, self.behind);
            self.now = first.arrival.now;
            self.opened = first.arrival.opened;
            self.opens = first.arrival.opens;
            self.slow_opened = first.arrival.slow_opened;
            self.behind = cargo.behind;
            let present = opens == first.arrival.opens && self.legs.is_open(self.legs.shown);
            for _ in 0..PORTION {
                let Some(item) = cargo.items.next() else {
                    break;
                };
                if let Said::Advance(number) = item.what {
                    // What is marked is marked with what holds now.
                    self.bits = bits;
                    if present {
                        self.land_number(number, first.order);
                    }
                    continue;
                }
                self.bits = first.arrival.bits;
                self.land_long(first.order, &mut first.arrival, &cargo.entities, item);
            }
            cargo.behind = self.behind;
            (self.now, self.opened, self.opens, self.bits) = (now, opened, opens, bits);
            (self.slow_opened, self.behind) = (slow_opened, behind);
            self.joined = joined;
            self.as_of = None;
        }
        first.phase = match first.phase {
            Phase::Landing(cargo) if cargo.items.len() == 0 => {
                if first.arrival.opens == self.opens && self.legs.is_open(self.legs.shown) {
                    self.settle_numbers(first.order);
                }
                Phase::Closing(cargo.outcome)
            }
            phase => phase,
        };
        if let Some(board) = &mut self.bulk {
            board.flights.push_front(first);
            board.landing = false;
        }
    }

    fn land_long(&mut self, order: u64, arrival: &mut Arrival, entities: &[EntityIx], item: Item) {
        let Item { entity, id, what } = item;
        let ix = entities.get(entity.index()).copied();
        let ix = ix.unwrap_or(EntityIx::new(u32::MAX));
        let is_known = ix.index() < self.entries.len();
        let (update, patch) = match (what, id.as_ref()) {
            (Said::Invalidate, id) if is_known => {
                return self.land_invalidation(order, arrival, (ix, id));
            }
            (Said::Invalidate | Said::Advance(_), _) | (_, None) => return,
            (Said::Patch(patch, update), _) => (update, Some(patch)),
            (Said::Remove(update), _) => (update, None),
        };
        let Some(id) = id else { return };
        self.counters.patches.bump();
        match self.behind {
            Some(Verdict::Duplicate) => return self.counters.duplicate.bump(),
            Some(_) => return self.counters.older.bump(),
            None => {}
        }
        if !is_known {
            return self.counters.foreign.bump();
        }
        let heard_at = &mut self.entries[ix.index()].heard_at;
        *heard_at = arrival.now.max(*heard_at);
        if self.owns(ix) {
            self.land_own(order, arrival, (ix, id), update, patch);
        } else {
            self.land_elsewhere(arrival, (ix, id), update, patch);
        }
    }

    /// An item for a value of the feed's own.
    fn land_own(
        &mut self,
        order: u64,
        arrival: &Arrival,
        (ix, id): (EntityIx, Id),
        update: Update,
        patch: Option<Patch>,
    ) {
        let counters = Arc::clone(&self.counters);
        let trust = self.trust(ix);
        let raised = self.raised;
        let entry = &mut self.entries[ix.index()];
        let (Role::Own(writer), Some(board)) = (&mut entry.role, &mut self.bulk) else {
            return;
        };
        // The patch was compiled with a schema that may be newer than this writer has seen.
        writer.renew_schema();
        let makes = patch.is_some() && update.missing == Missing::Insert;
        let known = makes || writer.entity().find(id.as_ref()).is_some();
        let slot = match known.then(|| writer.locate(id.as_ref(), store::Missing::Insert)) {
            Some(Ok(slot)) => Some(slot),
            Some(Err(_)) => return counters.patches_refused.bump(),
            None => None,
        };
        let key = (ix, writer.entity().canonical(id.as_ref()));
        let link = match arrival.stamps.get(ix.index()) {
            Some(Stamps::Own { link, .. } | Stamps::Beside { link, .. }) => *link,
            // There was no such entity yet: nothing but what has become of the connection since
            // speaks against it.
            None if arrival.raised == raised => entry.link,
            None => 0,
        };
        let invalidation = arrival.invalidation(&key, writer, slot);
        entry.whole_seen |= update.whole;
        entry.restarts |= update.sequence.is_some() && super::super::apply::restarts(update.policy);
        let Some(trail) = board.trails.get_mut(&key) else {
            // Nothing has come for it since: the ordinary way.
            let present = std::mem::replace(&mut entry.link, link);
            board.plain = true;
            let what = match patch {
                Some(patch) => What::Patch(self.staging.adopt(patch), update),
                None => What::Remove(update),
            };
            self.staging.push(ix, Some(id.as_ref()), what);
            self.as_of = Some(invalidation);
            self.update(self.staging.len() - 1);
            self.as_of = None;
            self.staging.clear();
            self.entries[ix.index()].link = present;
            if let Some(board) = &mut self.bulk {
                board.plain = false;
            }
            return;
        };
        let layout = writer.schema().layout().clone();
        let known = (entry.answered.as_deref(), &key.1);
        let context = super::Context {
            link,
            invalidation,
            trust,
            received_at: arrival.now,
            turn: arrival.opened.0.max(self.turn),
            opened: (arrival.opened, arrival.joined),
        };
        let feed = &*self.config.feed;
        let (entries, bytes) = trail.fold(order, known, &layout, |became, shown| {
            count(&counters, feed, became, shown);
        });
        board.logged -= entries;
        board.logged_bytes -= bytes;
        count(
            &counters,
            feed,
            trail
                .base
                .step(&update, patch.as_ref(), &context, known, &layout),
            false,
        );
        trail.touched = true;
        if trail.queue() {
            board.open.push_back(key);
        }
    }

    /// An item for a value of the slow writer, or of another feed.
    fn land_elsewhere(
        &mut self,
        arrival: &Arrival,
        (ix, id): (EntityIx, Id),
        update: Update,
        patch: Option<Patch>,
    ) {
        let (link, invalidation) = match arrival.stamps.get(ix.index()) {
            Some(Stamps::Beside { link, courier }) => (*link, courier.invalidation(id.as_ref())),
            _ if arrival.raised == self.raised => {
                (self.entries[ix.index()].link, arrival.invalidations)
            }
            _ => (0, arrival.invalidations),
        };
        self.hand_to_slow(ix, &id, update, patch, (link, invalidation));
    }

    /// Hands an update to the slow writer with these stamps, and counts it.
    pub(super) fn hand_to_slow(
        &mut self,
        ix: EntityIx,
        id: &Id,
        update: Update,
        patch: Option<Patch>,
        (link, invalidation): (u64, u64),
    ) {
        if !matches!(self.entries[ix.index()].role, Role::Forward(_)) {
            return self.counters.foreign.bump();
        }
        let number = patch.map(|patch| self.staging.adopt(patch));
        self.staging
            .push(ix, Some(id.as_ref()), What::Forward(number, update));
        let item = self.staging.item(self.staging.len() - 1);
        let present = std::mem::replace(&mut self.entries[ix.index()].link, link);
        self.as_of = Some(invalidation);
        if let Some(board) = &mut self.bulk {
            board.plain = true;
        }
        self.forward(&item, number, update);
        if let Some(board) = &mut self.bulk {
            board.plain = false;
        }
        self.as_of = None;
        self.staging.clear();
        self.entries[ix.index()].link = present;
    }

    /// What came before the message is invalid, and what came after it is not.
    fn land_invalidation(
        &mut self,
        order: u64,
        arrival: &mut Arrival,
        (ix, id): (EntityIx, Option<&Id>),
    ) {
        let entry = &mut self.entries[ix.index()];
        let Some(board) = &mut self.bulk else { return };
        self.scan = true;
        let id = id.map(|id| entry.entity.canonical(id.as_ref()));
        let is_meant = |of: EntityIx, it: &Id| of == ix && id.as_ref().is_none_or(|id| id == it);
        let later = board.flights.iter_mut().map(|flight| &mut flight.arrival);
        match &id {
            None => {
                for arrival in later.chain([arrival]) {
                    *arrival.of_entities.entry(ix).or_default() += 1;
                }
                entry.entity.invalidate();
            }
            Some(id) => {
                let key = (ix, id.clone());
                if entry.entity.find(id.as_ref()).is_some()
                    && let Role::Own(writer) = &mut entry.role
                {
                    let slot = writer.locate(id.as_ref(), store::Missing::Insert).ok();
                    for arrival in later.chain([arrival]) {
                        let sum = arrival.invalidation_of(&key, writer, slot);
                        arrival.of_ids.insert(key.clone(), sum + 1);
                    }
                }
                // What is not there cannot be stale.
                entry.entity.with(id.as_ref(), |slot| slot.invalidate());
            }
        }
        for (key, trail) in &mut board.trails {
            if is_meant(key.0, &key.1) {
                trail.invalidated_before(order);
                if trail.queue() {
                    board.open.push_back(key.clone());
                }
            }
        }
        for detained in &mut board.detained {
            if detained.after >= order && is_meant(detained.entity, &detained.id) {
                detained.arrival.invalidation += 1;
            }
        }
        self.renew_one(ix);
    }

    /// The message has this number among all of its connection.
    fn land_number(&mut self, number: u64, order: u64) {
        self.behind = None;
        let Some(board) = &mut self.bulk else { return };
        if !board.numbers.fill(number, order) {
            self.advance_to(number);
        }
    }

    /// What the message could have filled and has not is missing.
    fn settle_numbers(&mut self, order: u64) {
        let missing = self.bulk.as_mut().and_then(|it| it.numbers.landed(order));
        if let Some((expected, found)) = missing {
            tracing::warn!(feed = &*self.config.feed, expected, found, "a gap");
            self.miss(self.legs.shown);
        }
    }
}

impl Arrival {
    /// The sum of invalidations that the message is good for, so far.
    fn invalidation(&self, key: &Key, writer: &EntityWriter, slot: Option<SlotIx>) -> u64 {
        let of_entity = self.of_entities.get(&key.0).copied().unwrap_or(0);
        self.invalidation_of(key, writer, slot) + of_entity
    }

    /// As [`invalidation`](Self::invalidation), without what was learned about the entity.
    fn invalidation_of(&self, key: &Key, writer: &EntityWriter, slot: Option<SlotIx>) -> u64 {
        if let Some(sum) = self.of_ids.get(key) {
            return *sum;
        }
        match (self.stamps.get(key.0.index()), slot) {
            (Some(Stamps::Own { moment, .. }), Some(slot)) => writer.invalidation_at(slot, *moment),
            (Some(Stamps::Own { .. }), None) => 0,
            (Some(Stamps::Beside { courier, .. }), _) => courier.invalidation(key.1.as_ref()),
            (None, _) => self.invalidations,
        }
    }
}

/// Counts what became of an update beside its slot; if it was shown before, only what was not known
/// then.
pub(super) fn count(counters: &Counters, feed: &str, became: Became, shown: bool) {
    if let Became::Applied {
        gap: Some((expected, found)),
    } = became
    {
        counters.gaps.bump();
        tracing::warn!(feed, expected, found, "a gap");
    }
    if shown {
        return;
    }
    match became {
        Became::Applied { .. } => counters.applied.bump(),
        Became::Missing => counters.missing.bump(),
        Became::Older => counters.older.bump(),
        Became::Duplicate => counters.duplicate.bump(),
    }
}
