//! Becoming the owner of an entity, and ceasing to be.

use super::super::slow::{SLOW, Slow};
use super::super::target::Target;
use super::coverage::{self, NO_SOURCE};
use super::forward::Lane;
use super::{ClaimError, Entry, Ingest, Role};
use crate::Time;
use crate::feed::{EntityIx, Refusal, Sink};
use crate::store::EntityWriter;
use std::sync::Arc;

impl Ingest {
    /// What comes for entities that the slow writer owns is handed to it from now on.
    pub(crate) fn forwarding_to(mut self, slow: Arc<Slow>) -> Self {
        self.slow = Some(slow);
        self
    }

    /// Becomes the owner of an entity.
    #[cold]
    fn claim(&mut self, ix: EntityIx) -> Result<(), ClaimError> {
        let entry = &mut self.entries[ix.index()];
        if matches!(entry.role, Role::Own(_)) {
            return Ok(());
        }
        match entry.entity.claim(Arc::clone(&self.config.feed)) {
            Ok(writer) => {
                self.own(ix, writer);
                Ok(())
            }
            Err(taken) => {
                // Who has no connection learns nothing by opening one: it tries each time.
                if self.config.source != NO_SOURCE {
                    entry.role = if &*taken.by == SLOW && self.slow.is_some() {
                        Role::Forward(Box::new(Lane::new(&entry.entity)))
                    } else {
                        Role::Foreign
                    };
                    entry.begin_at(self.point);
                }
                Err(ClaimError::Taken {
                    entity: Arc::clone(entry.entity.name()),
                    by: taken.by,
                })
            }
        }
    }

    /// The entity is this feed's from here on.
    pub(super) fn own(&mut self, ix: EntityIx, writer: EntityWriter) {
        let entry = &mut self.entries[ix.index()];
        // Or a cut would never be as new as what an owner before has left.
        self.turn = self.turn.max(entry.entity.last_turn());
        self.turns.finish(self.turn);
        entry.restarts |= entry.entity.restarts();
        entry.role = Role::Own(Box::new(writer));
        if self.config.source != NO_SOURCE {
            coverage::take_over(&entry.entity, self.config.source, self.bits);
            self.scan = true;
        }
        entry.begin_at(self.point);
        if self.bulk.as_ref().is_some_and(|board| !board.is_idle()) {
            self.entries[ix.index()].attention.get_or_insert_default();
        }
    }

    /// Whether this feed writes the entity, after a claim if that is its way.
    #[inline]
    pub(super) fn owns(&mut self, ix: EntityIx) -> bool {
        match self.entries[ix.index()].role {
            Role::Own(_) => true,
            Role::Foreign | Role::Forward(_) => false,
            Role::Unclaimed => self.try_claim(ix),
        }
    }

    #[cold]
    fn try_claim(&mut self, ix: EntityIx) -> bool {
        let claimed = self.config.claims.wildcard && self.claim(ix).is_ok();
        if claimed {
            self.claimed.push(ix);
        }
        claimed
    }

    /// Returns the claims of a message, or of a command, that is refused.
    pub(super) fn return_claims(&mut self) {
        for ix in std::mem::take(&mut self.claimed) {
            let entry = &mut self.entries[ix.index()];
            // Returns the claim.
            entry.role = Role::Unclaimed;
            let entity = Arc::clone(&entry.entity);
            self.hand_back(&entity);
        }
    }

    /// Begins a batch of commands for one entity, received at `now`, and has the entity owned for
    /// them, unless somebody else owns it: `false`. To be ended with
    /// [`settle_claims`](Self::settle_claims) and [`finish`](super::Target::finish).
    ///
    /// # Errors
    /// There may be no more entities.
    pub(in crate::io) fn begin_for(&mut self, entity: &str, now: Time) -> Result<bool, Refusal> {
        let ix = self.entity(entity)?;
        self.now = now;
        self.connect(ix);
        let owned = self.owns(ix);
        self.renew_one(ix);
        Ok(owned)
    }

    /// Keeps what was claimed since the last end, or returns it.
    pub(in crate::io) fn settle_claims(&mut self, keep: bool) {
        if keep {
            self.claimed.clear();
        } else {
            self.return_claims();
        }
    }

    /// Returns the claims of entities, and answers which of them it had. Optimistic writes are taken
    /// back, and what was kept for fetches is let go.
    pub(in crate::io) fn release<'a>(
        &mut self,
        entities: impl Iterator<Item = &'a str>,
    ) -> Vec<&'a str> {
        let mut released = Vec::new();
        let turn = self.turn + 1;
        self.touch_all();
        for name in entities {
            let entry = self.names.get(name).map(|ix| &mut self.entries[ix.index()]);
            if let Some(entry) = entry
                && matches!(entry.role, Role::Own(_))
            {
                entry.let_go(turn);
                released.push(name);
            }
        }
        if released.is_empty() {
            return released;
        }
        self.turn = turn;
        self.done();
        // While there is a writer to tell those who wait.
        self.finish();
        for name in &released {
            let ix = self.names[*name];
            self.entries[ix.index()].release(self.turn);
        }
        released
    }

    /// Returns all claims. The feed ends.
    pub(super) fn release_all(&mut self) {
        for entry in &mut self.entries {
            entry.release(self.turn);
        }
    }
}

impl Entry {
    /// Returns the claim, if it has one; the last turn was `turn`.
    fn release(&mut self, turn: u64) {
        if matches!(self.role, Role::Own(_)) {
            self.entity.end_turns(turn, self.restarts);
            // Dropping the writer returns the claim.
            self.role = Role::Unclaimed;
        }
    }
}
