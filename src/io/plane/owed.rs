//! What owners have to let go of: told again for as long as they have no room to be told.

use std::time::Duration;

use super::{Place, Plane, Query};
use crate::io::command::{Command, KeepId, OverlayChange, OverlayId};
use crate::io::inbox::CommandError;
use crate::key::Id;
use crate::store::Entity;
use crate::sync::Arc;

/// How long an owner without room is left alone before it is told again.
pub(super) const OWED_PAUSE: Duration = Duration::from_millis(20);

/// Something that the owner of an entity is to let go of.
#[derive(Debug)]
pub(super) struct Owed {
    entity: Arc<Entity>,
    what: What,
}

#[derive(Debug)]
enum What {
    /// What is kept for a fetch that has no result.
    Keep(KeepId),
    /// An optimistic write that nobody holds any more.
    Overlay(Id, OverlayId),
}

impl Owed {
    pub(super) fn keep(entity: Arc<Entity>, fetch: KeepId) -> Self {
        let what = What::Keep(fetch);
        Self { entity, what }
    }

    fn command(&self) -> Command {
        let entity = Arc::clone(self.entity.name());
        match &self.what {
            What::Keep(fetch) => Command::Abandon {
                entity,
                fetch: *fetch,
            },
            What::Overlay(id, overlay) => Command::Overlay {
                entity,
                id: id.clone(),
                overlay: *overlay,
                change: OverlayChange::Rollback,
            },
        }
    }
}

impl Plane {
    /// Has an owner let go of something, now or at one of the next turns.
    pub(super) fn owe(&self, owed: Owed) {
        if self.is_let_go(&owed) {
            return;
        }
        let mut core = self.lock();
        if core.closed {
            return;
        }
        core.owed.push(owed);
        drop(core);
        self.ring();
    }

    /// Tells the owner. `false`: it has no room, or this thread is in its lock.
    pub(super) fn is_let_go(&self, owed: &Owed) -> bool {
        match self.owners.send(&owed.entity, owed.command()) {
            Ok(completion) => {
                let refused = Some(Err(CommandError::WouldDeadlock));
                !matches!(completion.result(), result if result == refused)
            }
            Err(CommandError::InboxFull) => false,
            // An owner that is gone keeps nothing, and has taken back what it showed.
            Err(_) => true,
        }
    }

    /// Takes an optimistic write off that nobody holds any more, however full its owner's inbox is.
    pub(crate) fn drop_overlay(self: &Arc<Self>, query: &Arc<Query>, overlay: OverlayId) {
        match query.place() {
            Place::Slot(slot) => self.owe(Owed {
                entity: Arc::clone(slot.entity()),
                what: What::Overlay(slot.id().clone(), overlay),
            }),
            // Fails only with the plane.
            Place::Document(_) => drop(self.end_overlay(query, overlay, false)),
            Place::List(_) => {}
        }
    }
}
