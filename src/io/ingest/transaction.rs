//! One message: staged while its protocol takes it apart, then committed or rolled back.

use super::super::bulk::Recorder;
use super::super::staging::{Item, What};
use super::commands::refusal;
use super::{Entry, Ingest, Role, forward};
use crate::Time;
use crate::feed::{
    BulkId, Deferred, EntityIx, Outcome, Policy, Protocol, Refusal, Rule, Sink, Transaction, Update,
};
use crate::json::{self, Value};
use crate::key::IdRef;
use crate::store::Point;
use std::sync::Arc;

impl Sink for Ingest {
    fn entity(&mut self, name: &str) -> Result<EntityIx, Refusal> {
        if let Some(ix) = self.names.get(name) {
            return Ok(*ix);
        }
        let entity = self.store.entity(name).map_err(|_| Refusal::EntitiesFull)?;
        let number = u32::try_from(self.entries.len()).map_err(|_| Refusal::EntitiesFull)?;
        let ix = EntityIx::new(number);
        self.names.insert(Arc::clone(entity.name()), ix);
        let role = Role::Unclaimed;
        let entry = Entry {
            entity,
            role,
            link: 0,
            torn: 0,
            point: Point::default(),
            touched: false,
            whole_seen: false,
            reported: false,
            restarts: false,
            answered: None,
            heard_at: Time::ZERO,
            attention: None,
            connection: forward::Connection::default(),
        };
        self.entries.push(entry);
        Ok(ix)
    }

    #[inline]
    fn patch(
        &mut self,
        entity: EntityIx,
        id: IdRef<'_>,
        mut update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        self.room()?;
        self.place(&mut update)?;
        self.patch_own(entity, id, update, value)
    }

    fn remove(
        &mut self,
        entity: EntityIx,
        id: IdRef<'_>,
        mut update: Update,
    ) -> Result<(), Refusal> {
        self.room()?;
        self.place(&mut update)?;
        let what = if self.owns(entity) {
            What::Remove(update)
        } else {
            self.remove_elsewhere(entity, update)
        };
        self.staging.push(entity, Some(id), what);
        Ok(())
    }

    fn invalidate(&mut self, entity: EntityIx, id: Option<IdRef<'_>>) -> Result<(), Refusal> {
        self.room()?;
        self.staging.push(entity, id, What::Invalidate);
        Ok(())
    }

    #[inline]
    fn advance(&mut self, number: u64) -> Result<(), Refusal> {
        self.room()?;
        self.staging.advance(number);
        Ok(())
    }
}

impl Transaction for Ingest {
    #[inline]
    fn commit(&mut self) {
        let items = self.staging.len();
        if items == 0 {
            return;
        }
        self.turn += 1;
        self.moved = true;
        self.behind = None;
        if self.timing.is_armed() {
            self.apply_timed();
        } else {
            self.apply_all();
        }
        self.turns.finish(self.turn);
        self.staging.clear();
        self.claimed.clear();
    }

    #[cold]
    fn rollback(&mut self) {
        self.staging.clear();
        self.return_claims();
    }

    fn defer<P: Protocol>(&mut self, message: Deferred<P>) -> Result<BulkId, Deferred<P>> {
        if !self.may_defer() {
            return Err(message);
        }
        let bytes = message.len();
        let take_apart = move |sink: &mut Recorder| message.take_apart(sink);
        Ok(self.take_over_long(bytes, take_apart))
    }

    fn resume(&mut self, message: BulkId) -> Option<Outcome> {
        self.take_outcome(message)
    }

    fn is_full(&self) -> bool {
        self.bulk.as_ref().is_some_and(|board| board.is_full())
    }
}

impl Ingest {
    /// Takes the number of its connection out of an update: that is told apart.
    #[inline]
    fn place(&mut self, update: &mut Update) -> Result<(), Refusal> {
        if update.policy.rule == Rule::ContiguousPerConnection {
            if let Some(sequence) = update.sequence {
                self.advance(sequence.last)?;
            }
            update.policy = Policy::restarting(Rule::None);
        }
        Ok(())
    }

    /// A patch for an entity that this feed writes.
    #[inline]
    fn patch_own(
        &mut self,
        entity: EntityIx,
        id: IdRef<'_>,
        update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let Some(Entry {
            role: Role::Own(writer),
            ..
        }) = self.entries.get_mut(entity.index())
        else {
            return self.patch_other(entity, id, update, value);
        };
        let (limits, patch) = (&self.config.limits, self.staging.spare());
        json::compile(value, update.mode, limits, writer.schema(), patch).map_err(refusal)?;
        match writer.known(id) {
            Some(slot) => self.staging.push_patch(entity, slot, update),
            None => {
                let what = What::Patch(self.staging.keep(), update);
                self.staging.push(entity, Some(id), what);
            }
        }
        Ok(())
    }

    /// An item that knows its id by itself, for whoever looks closer than at its slot.
    #[cold]
    pub(super) fn item(&mut self, at: usize) -> Item {
        let item = self.staging.item(at);
        let Some(slot) = item.slot() else {
            return item;
        };
        if let Role::Own(writer) = &self.entries[item.entity.index()].role
            && let Some(id) = writer.id(slot)
        {
            self.staging.spell(at, id);
        }
        self.staging.item(at)
    }

    /// A patch for an entity that this feed does not write, or not yet.
    #[cold]
    #[inline(never)]
    fn patch_other(
        &mut self,
        entity: EntityIx,
        id: IdRef<'_>,
        update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        if self.owns(entity) {
            self.patch_own(entity, id, update, value)
        } else {
            self.patch_elsewhere(entity, id, update, value)
        }
    }

    /// Does what the staged items want.
    #[inline]
    pub(super) fn apply_all(&mut self) {
        for at in 0..self.staging.len() {
            self.apply(at);
        }
    }

    #[inline]
    fn room(&self) -> Result<(), Refusal> {
        if self.staging.len() < self.config.max_items {
            Ok(())
        } else {
            Err(Refusal::TooMany)
        }
    }
}
