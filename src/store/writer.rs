//! The owner of an entity: the only one that publishes to its slots.

mod order;

use std::fmt;

use crate::key::IdRef;
use crate::record::{Document, Patch, Record, SchemaSource};
use crate::store::StoreFull;
use crate::store::block::VERSIONS;
use crate::store::changes::Producer;
use crate::store::entity::{Entity, Missing};
use crate::store::fault::{Fault, injected};
use crate::store::head::{Head, Stamp, State, flags};
use crate::store::marks::Point;
use crate::store::publish::{Batch, Outcome, Place};
use crate::store::schema::SchemaHandle;
use crate::store::slot::Slot;
use crate::store::wake::Batch as WakesBatch;
use crate::sync::Arc;
use order::Order;

/// A slot, as its owner names it: its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SlotIx(u32);

impl SlotIx {
    /// The number of the slot.
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// Why there is no slot to publish to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Locate {
    /// The id has no value, and the update is not to make one.
    #[error("the id has no value, and the update does not make one")]
    Missing,
    /// The entity may have no more ids.
    #[error("the entity may have no more ids; raise the bound")]
    Full,
}

/// The one writer of an entity. Dropping it returns the claim.
///
/// Every call is wait-free but for the cold ones: making, growing, purging a slot, and changing a
/// document. What a batch brings is stamped as of the [point](crate::store::Marks::point) that was taken before its
/// bytes were read, and the batch is ended with [`end_batch`](Self::end_batch).
pub(crate) struct EntityWriter {
    entity: Arc<Entity>,
    schema: SchemaHandle,
    /// By number; `None` until the slot's first use here.
    places: Vec<Option<Place<VERSIONS>>>,
    order: Order,
    batch: Batch,
    purged: Vec<Arc<Slot>>,
    /// What was published, for those who follow it, and in this batch, for those who wait.
    changes: Producer,
    /// A value has become partial, or one with a gap, since this was last asked for.
    suspect: bool,
}

/// A moment that a fetch may begin at: what was invalidated before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    base: u64,
    point: Point,
}

impl EntityWriter {
    pub(super) fn new(entity: Arc<Entity>) -> Self {
        let schema = SchemaHandle::new(entity.shared().clone());
        let changes = entity.changes().producer();
        let mut writer = Self {
            entity,
            schema,
            places: Vec::new(),
            order: Order::new(),
            batch: Batch::default(),
            purged: Vec::new(),
            changes,
            suspect: false,
        };
        writer.begin_batch();
        writer
    }

    /// The entity.
    pub(crate) fn entity(&self) -> &Arc<Entity> {
        &self.entity
    }

    /// What messages are compiled with.
    #[inline]
    pub(crate) fn schema(&mut self) -> &mut impl SchemaSource {
        &mut self.schema
    }

    /// Looks at the schema again: patches follow that somebody else has compiled.
    pub(crate) fn renew_schema(&mut self) {
        self.schema.renew();
    }

    /// Begins a batch: what is invalidated from now on stays so, whatever the batch brings.
    pub(crate) fn begin_batch(&mut self) {
        self.begin_at(self.entity.shared().marks().point());
    }

    /// As of a batch that began at a point. May come late, before the first of its messages for this
    /// entity is published; not at all, if the point is that of the batch before.
    pub(crate) fn begin_at(&mut self, point: Point) {
        self.batch.point = point;
        self.batch.base = self.entity.shared().invalidations_as_of(point);
    }

    /// The link's word now.
    pub(crate) fn link(&self) -> u64 {
        self.entity.link().load()
    }

    /// The link's word as it was when the batch began; `None` if it was raised since.
    pub(crate) fn link_then(&self) -> Option<u64> {
        self.entity.link().as_of(self.batch.point)
    }

    /// The slot of an id.
    ///
    /// # Errors
    /// `Missing` if it has no value and the update is to be ignored then, `Full` if it cannot be
    /// made.
    #[inline]
    pub(crate) fn locate(&mut self, id: IdRef<'_>, missing: Missing) -> Result<SlotIx, Locate> {
        match self.known(id) {
            Some(slot) => self.again(slot, missing),
            None => self.locate_new(id, missing),
        }
    }

    /// The slot of an id, if this owner has used it before.
    #[inline]
    pub(crate) fn known(&mut self, id: IdRef<'_>) -> Option<SlotIx> {
        match self.expected(id) {
            Some(slot) => Some(slot),
            None => self.known_otherwise(id),
        }
    }

    /// The slot of an id, if it is the one that came next the last time.
    #[inline]
    pub(super) fn expected(&mut self, id: IdRef<'_>) -> Option<SlotIx> {
        let next = self.order.next()?;
        let place = self.places.get(next as usize)?.as_ref()?;
        place.slot.is(id).then(|| {
            self.order.came(next);
            SlotIx(next)
        })
    }

    /// The slot of an id that did not come where it was expected. Remembers what it came after,
    /// unless it came twice.
    #[inline(never)]
    fn known_otherwise(&mut self, id: IdRef<'_>) -> Option<SlotIx> {
        let before = self.order.last();
        if let Some(Some(place)) = self.places.get(before as usize)
            && place.slot.is(id)
        {
            return Some(SlotIx(before));
        }
        let number = match self.entity.text_of(id) {
            Some(text) => self.look_up(IdRef::Text(text.as_str())),
            None => self.look_up(id),
        }?;
        self.order.follow(number);
        Some(SlotIx(number))
    }

    /// A slot that was found before, as [`locate`](Self::locate) would find it.
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub(crate) fn again(&self, slot: SlotIx, missing: Missing) -> Result<SlotIx, Locate> {
        match self.places.get(slot.0 as usize) {
            Some(Some(place)) => Self::located(place, slot.0, missing),
            _ => Err(Locate::Missing),
        }
    }

    /// The id of a slot, unless it was purged. Costs a UTF-8 check.
    pub(crate) fn id(&self, slot: SlotIx) -> Option<IdRef<'_>> {
        Some(self.places.get(slot.0 as usize)?.as_ref()?.slot.id())
    }

    /// The slot of an id that this owner has not used.
    #[cold]
    fn locate_new(&mut self, id: IdRef<'_>, missing: Missing) -> Result<SlotIx, Locate> {
        let number = match self.entity.text_of(id) {
            Some(text) => self.adopt(IdRef::Text(text.as_str()), missing),
            None => self.adopt(id, missing),
        }?;
        self.order.follow(number);
        self.again(SlotIx(number), missing)
    }

    #[inline]
    fn located(place: &Place<VERSIONS>, number: u32, missing: Missing) -> Result<SlotIx, Locate> {
        if missing == Missing::Insert || place.epoch().has_value() {
            Ok(SlotIx(number))
        } else {
            Err(Locate::Missing)
        }
    }

    fn look_up(&self, id: IdRef<'_>) -> Option<u32> {
        let index = self.entity.index();
        index.number(index.hash(id), |number| {
            matches!(self.places.get(number as usize), Some(Some(place)) if place.slot.is(id))
        })
    }

    /// Takes over a slot that this owner has not used, or makes one.
    #[cold]
    fn adopt(&mut self, id: IdRef<'_>, missing: Missing) -> Result<u32, Locate> {
        let slot = match missing {
            Missing::Ignore => self
                .entity
                .index()
                .with(id, Arc::clone)
                .ok_or(Locate::Missing)?,
            Missing::Insert => match self.entity.slot_within(id, usize::MAX) {
                Ok(slot) => slot,
                Err(StoreFull::Ids | StoreFull::Entities) => return Err(Locate::Full),
            },
        };
        let number = slot.number();
        if self.places.len() <= number as usize {
            self.places.resize_with(number as usize + 1, || None);
            self.order.grow(number as usize + 1);
        }
        self.places[number as usize] = Some(Place::adopt(slot));
        Ok(number)
    }

    #[cfg(test)]
    /// The slot itself, for whoever waits on it.
    pub(crate) fn slot(&self, slot: SlotIx) -> Option<&Arc<Slot>> {
        self.places
            .get(slot.0 as usize)?
            .as_ref()
            .map(|place| &place.slot)
    }

    /// What the slot holds now. [`State::Dead`] after a purge.
    #[inline]
    pub(crate) fn head(&self, slot: SlotIx) -> Head {
        match self.places.get(slot.0 as usize) {
            Some(Some(place)) => place.head(),
            _ => Head::DEAD,
        }
    }

    /// Lays a patch over the slot's value and publishes the outcome, unless nothing changed. The
    /// patch is compiled with [`schema`](Self::schema), since the last time nobody else's.
    #[inline]
    pub(crate) fn publish(&mut self, slot: SlotIx, patch: &Patch, stamp: &Stamp) -> Outcome {
        let Some(Some(place)) = self.places.get_mut(slot.0 as usize) else {
            debug_assert!(false, "published to a slot that was purged");
            return Outcome::Unchanged;
        };
        match place.update_at_once(patch, stamp, self.schema.layout(), &mut self.batch) {
            Some(outcome) => self.note(slot, outcome),
            None => self.publish_otherwise(slot, patch, stamp),
        }
    }

    /// As [`publish`](Self::publish), for what is not done at once.
    #[inline(never)]
    fn publish_otherwise(&mut self, slot: SlotIx, patch: &Patch, stamp: &Stamp) -> Outcome {
        let Some(Some(place)) = self.places.get_mut(slot.0 as usize) else {
            return Outcome::Unchanged;
        };
        let before = place.state();
        let outcome = place.update(patch, stamp, self.schema.layout(), &mut self.batch);
        if before != State::Present {
            self.entity.count(before, place.state());
            self.suspect |= !stamp.whole;
        }
        self.note(slot, outcome)
    }

    /// The slot's value, copied; without one if it has none.
    pub(crate) fn record(&self, slot: SlotIx) -> Record {
        let place = self.places.get(slot.0 as usize).and_then(Option::as_ref);
        place
            .and_then(Place::record)
            .unwrap_or_else(|| Record::absent(self.schema.layout().clone()))
    }

    /// Publishes a whole record, with all that `terms` say about it but number and state: one
    /// version, whatever the record was made from, unless nothing changed. Allocates.
    #[cold]
    pub(crate) fn replace(&mut self, slot: SlotIx, record: &Record, terms: &Head) -> Outcome {
        let Some(Some(place)) = self.places.get_mut(slot.0 as usize) else {
            debug_assert!(false, "published to a slot that was purged");
            return Outcome::Unchanged;
        };
        let before = place.head();
        let outcome = place.replace(record, terms, self.schema.layout(), &mut self.batch);
        self.entity.count(before.state, place.state());
        let doubts = if before.has_value() { before.flags } else { 0 };
        self.suspect |= terms.flags & !doubts & (flags::PARTIAL | flags::GAP) != 0;
        self.note(slot, outcome)
    }

    /// Whether a value has become partial, or one with a gap, by what was published since the last
    /// call: who looks after values may want to fetch it. Marks are not counted.
    pub(crate) fn take_suspect(&mut self) -> bool {
        let suspect = std::mem::take(&mut self.suspect);
        if suspect {
            self.entity.doubt();
        }
        suspect
    }

    /// Notes that a value got a gap by [`publish`](Self::publish), which does not look.
    #[cold]
    pub(crate) fn suspect(&mut self) {
        self.suspect = true;
    }

    /// What came before now, for a fetch that is about to begin.
    pub(crate) fn moment(&self) -> Moment {
        let shared = self.entity.shared();
        let point = shared.marks().point();
        let base = shared.invalidations_as_of(point);
        Moment { base, point }
    }

    /// The present batch, for a message of it that is published later.
    pub(crate) fn this_batch(&self) -> Moment {
        Moment {
            base: self.batch.base,
            point: self.batch.point,
        }
    }

    /// The sum of invalidations that a fetch of the slot is good for which began at `moment`: the
    /// present one if none came since, and less if any did.
    pub(crate) fn invalidation_at(&self, slot: SlotIx, moment: Moment) -> u64 {
        match self.places.get(slot.0 as usize) {
            Some(Some(place)) => place.slot.invalidation_as_of(moment.base, moment.point),
            _ => moment.base,
        }
    }

    /// The sum of invalidations that a message of this batch is good for.
    pub(crate) fn invalidation(&self, slot: SlotIx) -> u64 {
        match self.places.get(slot.0 as usize) {
            Some(Some(place)) => place
                .slot
                .invalidation_as_of(self.batch.base, self.batch.point),
            _ => self.batch.base,
        }
    }

    /// Publishes that the slot has no value any more. Unchanged if it has none.
    pub(crate) fn remove(&mut self, slot: SlotIx, stamp: &Stamp) -> Outcome {
        let Some(Some(place)) = self.places.get_mut(slot.0 as usize) else {
            return Outcome::Unchanged;
        };
        let before = place.state();
        let outcome = place.remove(stamp, &mut self.batch);
        self.entity.count(before, place.state());
        self.note(slot, outcome)
    }

    /// Adds [`flags`](super::flags) to the slot's value, as of a turn. Unchanged if it has them, or
    /// has no value.
    pub(crate) fn mark(&mut self, slot: SlotIx, reasons: u8, turn: u64) -> Outcome {
        let Some(Some(place)) = self.places.get_mut(slot.0 as usize) else {
            return Outcome::Unchanged;
        };
        let outcome = place.mark(reasons, turn);
        self.note(slot, outcome)
    }

    /// Ends the slot: its id is unknown from now on, its handles have to look again. The number
    /// may be used again, for another id.
    pub(crate) fn purge(&mut self, slot: SlotIx) {
        let Some(place) = self.places.get_mut(slot.0 as usize).and_then(Option::take) else {
            return;
        };
        let before = place.state();
        if injected(Fault::DeadFirst) {
            place.purge();
        }
        self.entity.forget(&place.slot, place.last_number());
        self.entity.count(before, State::Dead);
        place.purge();
        self.changes.push(slot.0);
        self.purged.push(place.slot);
    }

    /// Ends a batch: tells those who wait for what was published in it. `wakes` is the end of the
    /// owner's batch, over all its entities.
    pub(crate) fn end_batch(&mut self, wakes: &mut WakesBatch<'_>) {
        if self.changes.is_quiet() {
            return;
        }
        if wakes.is_quiet() {
            self.changes.forget_batch();
            self.purged.clear();
            return;
        }
        wakes.one(&**self.changes.changes());
        let places = &self.places;
        self.changes.end_batch(places.len() as u32, |number| {
            if let Some(Some(place)) = places.get(number as usize) {
                wakes.one(&*place.slot);
            }
        });
        for slot in self.purged.drain(..) {
            wakes.one(&*slot);
        }
    }

    /// Whether there is nothing that [`end_batch`](Self::end_batch) would tell or give back.
    pub(crate) fn is_quiet(&self) -> bool {
        let Batch {
            retired, growths, ..
        } = &self.batch;
        let is_told = self.changes.is_quiet() && self.purged.is_empty();
        is_told && retired.is_empty() && *growths == 0
    }

    /// Documents that no slot names any more, to be dropped where it disturbs nobody. At most a
    /// few wait; more are dropped in place.
    pub(crate) fn retired(&mut self) -> &mut Vec<Arc<Document>> {
        &mut self.batch.retired
    }

    /// How many slots were moved to a bigger block.
    #[cfg(test)]
    pub(crate) fn growths(&self) -> u64 {
        self.batch.growths
    }

    /// How many slots were moved to a bigger block since this was last asked for.
    pub(crate) fn take_growths(&mut self) -> u64 {
        std::mem::take(&mut self.batch.growths)
    }

    #[inline(always)]
    fn note(&mut self, slot: SlotIx, outcome: Outcome) -> Outcome {
        if outcome == Outcome::Applied {
            self.changes.push(slot.0);
        }
        outcome
    }
}

impl Drop for EntityWriter {
    fn drop(&mut self) {
        self.entity.return_claim();
    }
}

impl fmt::Debug for EntityWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntityWriter")
            .field("entity", &self.entity)
            .field("batch", &self.batch.point)
            .field("growths", &self.batch.growths)
            .finish_non_exhaustive()
    }
}
