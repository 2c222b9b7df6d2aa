//! Updates of a feed for an entity that the slow writer owns: compiled and stamped by the feed as
//! if it were the owner, published by the slow writer.
//!
//! The stamps are those of the feed's batch. However late the slow writer comes to it, a value is
//! worth no more than when it was received.

use super::super::staging::{Item, What};
use super::commands::refusal;
use super::{Ingest, Role, coverage};
use crate::Time;
use crate::feed::{EntityIx, OnConnect, Refusal, Sink, Transaction, Update};
use crate::json::{self, Value};
use crate::key::{Id, IdRef};
use crate::record::Patch;
use crate::store::{Courier, Entity, NO_TRUST, Point};
use std::sync::Arc;

/// An update on its way to the slow writer.
#[derive(Debug)]
pub(in crate::io) struct Forwarded {
    entity: Arc<Entity>,
    id: Id,
    update: Update,
    /// `None`: the id is removed.
    patch: Option<Patch>,
    link: u64,
    invalidation: u64,
    received_at: Time,
    /// The feed sends what was missed after a reconnect, so that a patch renews the link's stamp.
    trust: u64,
    connection: Connection,
}

/// Which connection of a feed a value came over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection {
    /// The slow writer's turn, and the time, at which it opened.
    opened: (u64, Time),
    opens: u64,
}

/// What a feed keeps for an entity of the slow writer.
#[derive(Debug)]
pub(super) struct Lane {
    courier: Courier,
    /// The feed has brought something, and stands for it.
    pub(super) vouched: bool,
}

impl Lane {
    pub(super) fn new(entity: &Arc<Entity>) -> Self {
        Self {
            courier: entity.courier(),
            vouched: false,
        }
    }

    /// The sum of invalidations of an id as it was at the start of the batch.
    pub(super) fn invalidation(&self, id: IdRef<'_>) -> u64 {
        self.courier.invalidation(id)
    }

    /// As of a batch that began then. Answers the link's word, unless it was raised since.
    pub(super) fn begin_at(&mut self, point: Point) -> Option<u64> {
        self.courier.begin_at(point);
        self.courier.link()
    }
}

impl Ingest {
    /// A patch for an entity of another owner.
    #[cold]
    pub(super) fn patch_elsewhere(
        &mut self,
        entity: EntityIx,
        id: IdRef<'_>,
        update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let what = match &mut self.entries[entity.index()].role {
            Role::Forward(lane) => {
                let patch = self.staging.spare();
                let schema = lane.courier.schema();
                json::compile(value, update.mode, &self.config.limits, schema, patch)
                    .map_err(refusal)?;
                What::Forward(Some(self.staging.keep()), update)
            }
            _ => What::Foreign,
        };
        self.staging.push(entity, Some(id), what);
        Ok(())
    }

    /// What a removal from an entity of another owner is.
    #[cold]
    pub(super) fn remove_elsewhere(&self, entity: EntityIx, update: Update) -> What {
        match self.entries[entity.index()].role {
            Role::Forward(_) => What::Forward(None, update),
            _ => What::Foreign,
        }
    }

    pub(super) fn count_foreign(&self) {
        self.counters.patches.bump();
        self.counters.foreign.bump();
    }

    /// Hands an update to the slow writer, and counts it.
    #[cold]
    pub(super) fn forward(&mut self, item: &Item, patch: Option<usize>, update: Update) {
        if self.is_detaining() {
            return self.forward_behind(item, patch, update);
        }
        let as_of = self.as_of;
        let (Some(slow), Some(id)) = (self.slow.clone(), self.staging.id(item)) else {
            return self.counters.foreign.bump();
        };
        let (id, trust) = (id.to_owned(), self.trust(item.entity));
        let entry = &mut self.entries[item.entity.index()];
        let Role::Forward(lane) = &mut entry.role else {
            return self.counters.foreign.bump();
        };
        if !std::mem::replace(&mut lane.vouched, true) {
            coverage::vouch(&entry.entity, self.config.source, self.bits);
            self.scan = true;
        }
        let forwarded = Forwarded {
            entity: Arc::clone(&entry.entity),
            update,
            patch: patch.map(|number| self.staging.take(number)),
            link: entry.link,
            invalidation: as_of.unwrap_or_else(|| lane.invalidation(id.as_ref())),
            received_at: self.now,
            trust,
            connection: Connection {
                opened: (self.slow_opened, self.joined.1),
                opens: self.opens,
            },
            id,
        };
        match slow.forward(forwarded) {
            Ok(()) => self.counters.forwarded.bump(),
            Err(refused) => {
                self.counters.patches_refused.bump();
                // What lies in the queue is stamped with what was before: it is stale, too.
                refused.spoil();
                self.renew_one(item.entity);
                self.scan = true;
            }
        }
    }

    /// Slow writer: publishes what a feed has handed over, and counts what becomes of it.
    pub(in crate::io) fn take_over(&mut self, forwarded: Forwarded) {
        let Forwarded {
            entity,
            id,
            update,
            patch,
            link,
            invalidation,
            received_at,
            trust,
            connection,
        } = forwarded;
        let owned = self.entity(entity.name()).ok().filter(|ix| self.owns(*ix));
        let Some(ix) = owned else {
            // A feed has declared the entity since.
            return self.count_foreign();
        };
        let entry = &mut self.entries[ix.index()];
        (entry.link, entry.torn) = (link, trust);
        entry.connection = connection;
        if let Role::Own(writer) = &mut entry.role {
            writer.renew_schema();
        }
        let what = match patch {
            Some(patch) => What::Patch(self.staging.adopt(patch), update),
            None => What::Remove(update),
        };
        self.staging.push(ix, Some(id.as_ref()), what);
        self.now = received_at;
        self.connect(ix);
        self.as_of = Some(invalidation);
        if trust != NO_TRUST {
            self.config.on_connect = OnConnect::Trust;
        }
        self.commit();
        self.as_of = None;
        self.config.on_connect = OnConnect::Invalidate;
        self.renew_one(ix);
    }
}

impl Ingest {
    /// Slow writer: numbers are those of the connection that the entity's values came over.
    pub(super) fn connect(&mut self, ix: EntityIx) {
        Connection {
            opened: self.opened,
            opens: self.opens,
        } = self.entries[ix.index()].connection;
        self.joined = self.opened;
    }
}

impl Forwarded {
    /// It cannot be handed over: what is there is not the newest any more.
    #[cold]
    fn spoil(&self) {
        if self
            .entity
            .with(self.id.as_ref(), |slot| slot.invalidate())
            .is_none()
        {
            // The slot may be about to be made by what lies in the queue.
            self.entity.invalidate();
        }
    }
}
