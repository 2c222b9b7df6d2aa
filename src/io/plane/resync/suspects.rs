//! Which slots of a feed hold a value that it has lost.

use super::{Resyncing, is_down};
use crate::io::plane::place::{LinkLook, is_unsure};
use crate::key::Id;
use crate::store::{Entity, Slot, State, flags};
use crate::sync::Arc;

/// How a value stands with its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing speaks against it that a fetch would mend.
    Good,
    /// The stream has lost it, or has never brought it.
    Suspect,
    /// No stream keeps it up, now or any more: a fetched value would be as good as its moment, and
    /// nobody would say when it is not.
    Unkept,
}

/// How the value of a slot stands. Loads, and a short lock for a slot that was never written.
pub(super) fn look(how: &Resyncing, entity: &Entity, slot: &Slot) -> Standing {
    if is_down(entity) {
        return Standing::Unkept;
    }
    let (sum, link) = (slot.invalidation(), LinkLook::of(slot));
    let head = slot.head();
    let is_wanted = || how.wanted.contains(entity.name(), &slot.id().to_owned());
    match head.state {
        State::Empty if is_wanted() => Standing::Suspect,
        // What was removed may have come back while nobody listened.
        State::Removed if head.invalidation < sum && is_wanted() => Standing::Suspect,
        State::Empty | State::Removed | State::Dead => Standing::Unkept,
        // It may have been asked for again since, and then has missed what was said in between.
        State::Present if head.flags & flags::UNSUBSCRIBED != 0 => {
            if is_wanted() {
                Standing::Suspect
            } else {
                Standing::Unkept
            }
        }
        State::Present if head.invalidation < sum || is_unsure(&head, link) => Standing::Suspect,
        State::Present => Standing::Good,
    }
}

/// The ids of an entity whose values the feed has lost, or owes. One look at each slot.
pub(super) fn of(how: &Resyncing, entity: &Arc<Entity>) -> Vec<Id> {
    // Whatever becomes of the connection will be another mark.
    if is_down(entity) {
        return Vec::new();
    }
    let slots = (0..entity.numbers()).filter_map(|number| entity.numbered(number));
    let mut found: Vec<Id> = slots
        // What was never written is looked for below.
        .filter(|slot| matches!(slot.head().state, State::Present | State::Removed))
        .filter(|slot| look(how, entity, slot) == Standing::Suspect)
        .map(|slot| slot.id().to_owned())
        .collect();
    for id in how.wanted.ids(entity.name()) {
        let slot = entity.find(id.as_ref());
        if slot.is_none_or(|slot| slot.head().state == State::Empty) {
            found.push(id);
        }
    }
    found
}
