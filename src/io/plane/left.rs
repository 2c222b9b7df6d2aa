//! What a query held when it was let go, for who had been told that it is there and has not looked
//! yet: a fetch gives its result though nothing of it is kept.

use super::Place;
use super::document::Shown;
use crate::store;
use crate::sync::Arc;

/// See the head of the file.
#[derive(Debug)]
pub(crate) enum Left {
    Document(Arc<Shown>),
    /// The value of a slot, or those of the items of a list.
    Slot(store::Snapshot),
    List(Vec<store::Snapshot>),
}

impl Left {
    /// What is there now. `None` if there is nothing.
    pub(super) fn of(place: &Place) -> Option<Self> {
        match place {
            Place::Document(document) => {
                let shown = document.shown();
                shown.tree.is_some().then_some(Self::Document(shown))
            }
            Place::Slot(place) => {
                let snapshot = place.slot().snapshot();
                snapshot.head.has_value().then_some(Self::Slot(snapshot))
            }
            Place::List(list) => {
                let members = list.members();
                members.whole_at?;
                let items = members.slots.iter().map(|slot| slot.snapshot());
                let items = items.filter(|item| item.head.has_value());
                Some(Self::List(items.collect()))
            }
        }
    }
}
