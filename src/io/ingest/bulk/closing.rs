//! A long message has landed: what was held behind it is shown.

use super::super::overlay::removal;
use super::super::{Ingest, Role};
use super::landing::count;
use super::trail::Base;
use super::{Board, Detained, Flight, Key, PORTION, Phase};
use crate::feed::EntityIx;
use crate::record::{Patch, SchemaSource};
use crate::store::{self, Head, State};
use std::sync::Arc;

impl Ingest {
    /// Shows what was held, if the first message has landed, and ends it if nothing is left to do.
    pub(super) fn close_portion(&mut self) {
        let Some(board) = &mut self.bulk else { return };
        let closing = |flight: &Flight| matches!(flight.phase, Phase::Closing(_));
        if !board.flights.front().is_some_and(closing) {
            return;
        }
        let horizon = board.horizon();
        for _ in 0..PORTION {
            let Some(key) = self.bulk.as_mut().and_then(|board| board.open.pop_front()) else {
                break;
            };
            self.close(&key, horizon);
        }
        for _ in 0..PORTION {
            let board = self.bulk.as_mut();
            let Some(detained) = board.and_then(|board| board.next_detained(horizon)) else {
                break;
            };
            self.send_on(detained);
        }
        let Some(board) = &mut self.bulk else { return };
        let detained = board.detained.front();
        if !board.open.is_empty() || detained.is_some_and(|first| first.after < horizon) {
            return;
        }
        if let Some(first) = board.flights.pop_front() {
            board.bytes -= first.bytes;
            self.counters.bulk_bytes.set(board.bytes as u64);
            if let Phase::Closing(outcome) = first.phase {
                board.finished.push_back((first.order, outcome));
            }
        }
        if !board.flights.is_empty() {
            return board.next();
        }
        board.trails.clear();
        (board.logged, board.logged_bytes) = (0, 0);
        board.numbers.clear();
        for ix in 0..self.entries.len() {
            self.unattended(EntityIx::new(ix as u32));
        }
    }

    /// Shows what an id is by now.
    fn close(&mut self, key: &Key, horizon: u64) {
        let (ix, id) = key;
        let (turn, counters) = (self.turn, Arc::clone(&self.counters));
        let entry = &mut self.entries[ix.index()];
        let (Role::Own(writer), Some(board)) = (&mut entry.role, &mut self.bulk) else {
            return;
        };
        let Some(trail) = board.trails.get_mut(key) else {
            return;
        };
        writer.renew_schema();
        let layout = writer.schema().layout().clone();
        let known = (entry.answered.as_deref(), id);
        let feed = &*self.config.feed;
        let (entries, bytes) = trail.fold(horizon, known, &layout, |became, shown| {
            count(&counters, feed, became, shown);
        });
        board.logged -= entries;
        board.logged_bytes -= bytes;
        let Base { record, head } = trail.shown(known, &layout);
        trail.close();
        if trail.is_empty() {
            board.trails.remove(key);
        }
        if matches!(head.state, State::Empty | State::Dead) {
            return;
        }
        let Ok(slot) = writer.locate(id.as_ref(), store::Missing::Insert) else {
            return;
        };
        let terms = Head { turn, ..head };
        if head.state == State::Removed && writer.head(slot).state == State::Empty {
            // It came and went behind the message; the number of its removal has to be kept.
            writer.replace(slot, &record, &terms);
        }
        let record = head.has_value().then_some(record);
        let attention = entry.attention.as_mut().filter(|it| it.covers(id.as_ref()));
        let mut attended = attention.map(|it| it.attend(id, None));
        if let Some(attended) = &mut attended {
            // The order in which a fetch was to lay it over its answer is gone.
            attended.others(None).for_each(|kept| kept.lost = true);
        }
        let overlaid = attended.and_then(|attended| attended.overlaid.as_deref_mut());
        match (overlaid, record) {
            (Some(overlaid), record) => {
                overlaid.land(record, &terms, u64::MAX);
                overlaid.publish(writer, slot, turn);
            }
            (None, Some(record)) => {
                writer.replace(slot, &record, &terms);
            }
            (None, None) => {
                writer.remove(slot, &removal(&terms, turn));
            }
        }
        if let Some(attention) = &mut entry.attention {
            attention.settle(id);
        }
    }

    /// Hands an update to the slow writer that has waited for long messages.
    fn send_on(&mut self, detained: Detained) {
        let Detained {
            entity,
            id,
            patch,
            update,
            arrival,
            slow_opened,
            opens,
            bits,
            ..
        } = detained;
        let (now, opened, joined) = (self.now, self.opened, self.joined);
        let present = (self.opens, self.slow_opened, self.bits);
        self.now = arrival.received_at;
        (self.opened, self.joined) = arrival.opened;
        (self.opens, self.slow_opened, self.bits) = (opens, slow_opened, bits);
        if let Some(board) = &mut self.bulk {
            board.logged -= 1;
            board.logged_bytes -= patch.as_ref().map_or(0, Patch::bytes);
        }
        let stamps = (arrival.link, arrival.invalidation);
        self.hand_to_slow(entity, &id, update, patch, stamps);
        (self.now, self.opened, self.joined) = (now, opened, joined);
        (self.opens, self.slow_opened, self.bits) = present;
    }
}

impl Board {
    /// The next update for the slow writer that has waited long enough.
    fn next_detained(&mut self, horizon: u64) -> Option<Detained> {
        let due = self.detained.front()?.after < horizon;
        due.then(|| self.detained.pop_front()).flatten()
    }

    /// The next message has its turn. What is still held waits for that one.
    fn next(&mut self) {
        let held = self.trails.iter_mut();
        for (key, trail) in held.filter(|(_, trail)| trail.is_unsettled()) {
            if trail.queue() {
                self.open.push_back(key.clone());
            }
        }
        self.launch();
    }
}
