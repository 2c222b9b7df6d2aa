//! Optimistic writes: shown over a value, never part of it before they are committed.
//!
//! The value as it comes from elsewhere, the *base*, is kept beside the slot while there are any.
//! What comes goes to the base, and base and writes together are published as one version. So a
//! write that is rolled back takes nothing with it, and one that is committed goes under what came
//! since. The stamps shown are those of the base: a write confirms nothing.

use super::super::command::{OverlayChange, OverlayId};
use super::super::inbox::CommandError;
use super::attention::Attention;
use super::{Entry, Ingest, Role};
use crate::Time;
use crate::feed::{EntityIx, Refusal, Sink};
use crate::key::Id;
use crate::record::{Composed, Mode, Patch, Record, SchemaSource};
use crate::store::{self, EntityWriter, Head, Outcome, SlotIx, Stamp, State, flags};

/// A slot with optimistic writes.
#[derive(Debug)]
pub(super) struct Overlaid {
    /// The value without them, and what it says about itself.
    pub(super) base: Record,
    pub(super) head: Head,
    /// In the order in which they were put.
    layers: Vec<Layer>,
}

/// One optimistic write.
#[derive(Debug)]
struct Layer {
    id: OverlayId,
    order: u64,
    patch: Patch,
    mode: Mode,
    /// Patches since it was put.
    since: Composed,
    /// A whole value came since, or more than can be kept: it says nothing more about it.
    overtaken: bool,
    /// It is only waiting for those before it.
    committed: bool,
}

impl Overlaid {
    fn new(base: Record, head: Head) -> Self {
        Self {
            base,
            head,
            layers: Vec::new(),
        }
    }

    /// Lays what came from elsewhere over the base. `sum` is that of invalidations now.
    pub(super) fn update(
        &mut self,
        patch: &Patch,
        stamp: &Stamp,
        sum: u64,
        schema: &mut impl SchemaSource,
    ) {
        if !self.head.has_value() {
            self.base = Record::absent(schema.layout().clone());
        }
        self.base.apply(patch, stamp.mode, schema.layout());
        self.head = Head {
            state: State::Present,
            ..self.head.stamped(stamp, sum)
        };
        for layer in self.layers.iter_mut().filter(|layer| !layer.overtaken) {
            layer.overtaken = stamp.whole
                || layer
                    .since
                    .push(patch, stamp.mode, schema.layout())
                    .is_err();
        }
    }

    /// The base is gone.
    pub(super) fn remove(&mut self, stamp: &Stamp, sum: u64) {
        let stamp = Stamp {
            whole: true,
            ..*stamp
        };
        self.head = Head {
            state: State::Removed,
            whole_at: self.head.whole_at,
            ..self.head.stamped(&stamp, sum)
        };
        self.overtake(u64::MAX);
    }

    /// The base is this, by a fetch that began at `order`.
    pub(super) fn land(&mut self, base: Option<Record>, head: &Head, order: u64) {
        let state = match base {
            Some(base) => {
                self.base = base;
                State::Present
            }
            None => State::Removed,
        };
        self.head = Head { state, ..*head };
        self.overtake(order);
    }

    /// A whole value, begun at `order`, has overtaken what was put before.
    fn overtake(&mut self, order: u64) {
        for layer in self.layers.iter_mut().filter(|layer| layer.order < order) {
            layer.overtaken = true;
        }
    }

    /// What is shown: the base with all writes over it. `None` if there is neither.
    fn shown(&self, schema: &mut impl SchemaSource) -> Option<(Record, Head)> {
        let mut head = self.head;
        let mut record = if head.has_value() {
            self.base.clone()
        } else {
            if self.layers.is_empty() {
                return None;
            }
            head.flags |= flags::PARTIAL;
            Record::absent(schema.layout().clone())
        };
        for layer in &self.layers {
            record.apply(&layer.patch, layer.mode, schema.layout());
        }
        Some((record, head))
    }

    /// Publishes what is shown.
    pub(super) fn publish(&self, writer: &mut EntityWriter, slot: SlotIx, turn: u64) -> Outcome {
        match self.shown(writer.schema()) {
            Some((record, head)) => writer.replace(slot, &record, &Head { turn, ..head }),
            // Nothing ever came, as far as anybody is told.
            None if self.head.state == State::Empty => {
                let never = Head {
                    received_at: Time::ZERO,
                    ..self.head
                };
                writer.remove(slot, &removal(&never, turn))
            }
            None => writer.remove(slot, &removal(&self.head, turn)),
        }
    }

    /// Makes committed writes part of the base, those that wait for no other. Answers them.
    fn fold(&mut self, schema: &mut impl SchemaSource) -> Vec<Layer> {
        let mut folded = Vec::new();
        while self.layers.first().is_some_and(|layer| layer.committed) {
            let layer = self.layers.remove(0);
            if layer.overtaken {
                continue;
            }
            if !self.head.has_value() {
                self.base = Record::absent(schema.layout().clone());
                self.head.state = State::Present;
                self.head.flags |= flags::PARTIAL;
            }
            self.base.apply(&layer.patch, layer.mode, schema.layout());
            for (patch, mode) in layer.since.patches(schema) {
                self.base.apply(&patch, mode, schema.layout());
            }
            folded.push(layer);
        }
        folded
    }
}

/// The removal that a head says.
pub(super) fn removal(head: &Head, turn: u64) -> Stamp {
    Stamp {
        whole: true,
        link: head.link,
        invalidation: Some(head.invalidation),
        sequence: head.sequence,
        received_at: head.received_at,
        source_time: head.source_time,
        turn,
        ..Stamp::default()
    }
}

impl Ingest {
    /// Puts, commits or rolls back an optimistic write. One that is unknown is gone: the owner was
    /// another when it was put, or the id was purged.
    #[cold]
    pub(super) fn overlay(
        &mut self,
        entity: &str,
        id: &Id,
        overlay: OverlayId,
        change: OverlayChange,
    ) -> Result<(), CommandError> {
        let ix = self.entity(entity)?;
        if !self.owns(ix) {
            return Err(CommandError::Foreign);
        }
        self.claimed.clear();
        let (mut value, mode) = match change {
            OverlayChange::Put { value, mode } => (value, mode),
            OverlayChange::Commit => {
                self.end_overlay(ix, id, overlay, true);
                return Ok(());
            }
            OverlayChange::Rollback => {
                self.end_overlay(ix, id, overlay, false);
                return Ok(());
            }
        };
        let patch = self.compiled(ix, &mut value, mode)?;
        let now = self.now;
        let entry = &mut self.entries[ix.index()];
        let Role::Own(writer) = &mut entry.role else {
            return Err(CommandError::Foreign);
        };
        let slot = writer
            .locate(id.as_ref(), store::Missing::Insert)
            .map_err(|_| Refusal::IdsFull)?;
        let key = writer.entity().canonical(id.as_ref());
        let mut head = writer.head(slot);
        if head.state == State::Empty {
            // As a patch that begins a value.
            let stamp = Stamp {
                link: entry.link,
                received_at: now,
                ..Stamp::default()
            };
            head = Head {
                state: State::Empty,
                flags: 0,
                ..head.stamped(&stamp, writer.invalidation(slot))
            };
        }
        let attention = entry.attention.get_or_insert_default();
        let order = attention.next_order();
        let attended = attention.attend(&key, head.sequence);
        let overlaid = attended
            .overlaid
            .get_or_insert_with(|| Box::new(Overlaid::new(writer.record(slot), head)));
        match overlaid.layers.iter_mut().find(|layer| layer.id == overlay) {
            Some(layer) => (layer.patch, layer.mode) = (patch, mode),
            None => overlaid.layers.push(Layer {
                id: overlay,
                order,
                patch,
                mode,
                since: Composed::new(),
                overtaken: false,
                committed: false,
            }),
        }
        self.turn += 1;
        overlaid.publish(writer, slot, self.turn);
        self.done();
        Ok(())
    }

    fn end_overlay(&mut self, ix: EntityIx, id: &Id, overlay: OverlayId, commit: bool) {
        self.turn += 1;
        let turn = self.turn;
        let entry = &mut self.entries[ix.index()];
        let (Role::Own(writer), Some(attention)) = (&mut entry.role, &mut entry.attention) else {
            return;
        };
        let key = writer.entity().canonical(id.as_ref());
        let Some(attended) = attention.get_mut(&key) else {
            return;
        };
        let Some(mut overlaid) = attended.overlaid.take() else {
            return;
        };
        if commit {
            for layer in overlaid
                .layers
                .iter_mut()
                .filter(|layer| layer.id == overlay)
            {
                layer.committed = true;
            }
        } else {
            overlaid.layers.retain(|layer| layer.id != overlay);
        }
        // A fetch that runs may answer without the write.
        let floor = overlaid.head.sequence;
        let place = writer.locate(id.as_ref(), store::Missing::Insert).ok();
        for layer in overlaid.fold(writer.schema()) {
            if let Some(slot) = place {
                let patch = (&layer.patch, layer.mode);
                let schema = writer.schema();
                self.legs.committed((ix, slot), patch, &layer.since, schema);
            }
            for kept in attention.attend(&key, floor).others(None) {
                let patch = (&layer.patch, layer.mode);
                kept.committed(patch, layer.order, &layer.since, writer.schema());
            }
        }
        if let Some(slot) = place {
            overlaid.publish(writer, slot, turn);
        }
        if !overlaid.layers.is_empty() {
            attention.attend(&key, floor).overlaid = Some(overlaid);
        }
        attention.settle(&key);
        self.unattended(ix);
        self.done();
    }
}

impl Entry {
    /// The owner lets go: optimistic writes are taken back, and fetches find nothing kept.
    pub(super) fn let_go(&mut self, turn: u64) {
        let (Role::Own(writer), Some(attention)) = (&mut self.role, self.attention.take()) else {
            return;
        };
        let mut attention: Attention = *attention;
        for id in attention.overlaid() {
            let overlaid = attention.get_mut(&id).and_then(|it| it.overlaid.take());
            let slot = writer.locate(id.as_ref(), store::Missing::Insert);
            if let (Some(mut overlaid), Ok(slot)) = (overlaid, slot) {
                overlaid.layers.clear();
                overlaid.publish(writer, slot, turn);
            }
        }
    }
}
