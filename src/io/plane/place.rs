//! Where a query's data is, and which invalidations count for it.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use super::document::Document;
use super::list::List;
use crate::Time;
use crate::io::slow::SLOW;
use crate::key::{Id, IdRef, Key, Part};
use crate::query::Look;
use crate::store::{Entity, Flag, Head, Link, Slot, State, Store, flags};
use crate::sync::{Arc, ArcSwap, ArcSwapOption, AtomicU64, Ordering};

/// Where a query's data is.
#[derive(Debug)]
pub(crate) enum Place {
    /// In the slot that streams write.
    Slot(Arc<SlotPlace>),
    /// With the query.
    Document(Document),
    /// The members with the query, the items in their slots.
    List(List),
}

/// A slot, followed over purges.
#[derive(Debug)]
pub(crate) struct SlotPlace {
    entity: Arc<Entity>,
    id: Id,
    slot: ArcSwap<Slot>,
    /// By how much the sum of the present slot is less than that of those before it.
    behind: AtomicU64,
    /// Held while the slot is replaced.
    following: Mutex<()>,
    /// A fetch has said that there is no such value, where there never was one: the slot itself
    /// cannot say so.
    none: ArcSwapOption<Nothing>,
}

/// That there is no value, as of a fetch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nothing {
    pub(crate) at: Time,
    /// The invalidations that this is good for.
    pub(super) stamp: u64,
}

impl SlotPlace {
    pub(super) fn new(entity: Arc<Entity>, id: Id, slot: Arc<Slot>) -> Self {
        Self {
            entity,
            id,
            slot: ArcSwap::new(slot),
            behind: AtomicU64::new(0),
            following: Mutex::new(()),
            none: ArcSwapOption::new(None),
        }
    }

    pub(crate) fn entity(&self) -> &Arc<Entity> {
        &self.entity
    }

    pub(crate) fn id(&self) -> &Id {
        &self.id
    }

    /// The slot that the id has now.
    pub(crate) fn slot(&self) -> Arc<Slot> {
        let slot = self.slot.load_full();
        if slot.head().state != State::Dead {
            return slot;
        }
        let following = &self.following;
        let _following = following.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.slot.load_full();
        let Ok(next) = self.entity.slot(self.id.as_ref()) else {
            return old;
        };
        if !Arc::ptr_eq(&old, &next) {
            let lost = old.invalidation().saturating_sub(next.invalidation());
            // Before the slot: a sum that is read in between is too great, and never too small.
            self.behind.fetch_add(lost, Ordering::Release);
            self.slot.store(Arc::clone(&next));
            self.set_none(None);
        }
        next
    }

    /// What a fetch has said of a value that there never was.
    pub(crate) fn none(&self) -> Option<Nothing> {
        self.none.load().as_deref().copied()
    }

    /// Sets what is known of a value that there never was.
    pub(super) fn set_none(&self, none: Option<Nothing>) {
        self.none.store(none.map(Arc::new));
    }

    /// The sum of invalidations for what is below the slot's key. Never goes back.
    fn sum_below(&self) -> u64 {
        self.slot();
        self.sum_seen()
    }

    /// The same of the slot that is known: loads alone.
    fn sum_seen(&self) -> u64 {
        let invalidation = self.slot.load().invalidation();
        invalidation + self.behind.load(Ordering::Acquire)
    }
}

/// Whose invalidations count for a query besides its own.
#[derive(Debug)]
pub(super) enum Above {
    /// Those of everything: an entity that is in no store has those alone.
    Everything(Arc<Entity>),
    /// Those of its entity.
    Entity(Arc<Entity>),
    /// Those of the slot whose key its key begins with.
    Slot(Arc<SlotPlace>),
    /// It is that slot: it has no word of its own.
    Is(Arc<SlotPlace>),
}

/// The invalidations of one query.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) above: Above,
    /// Marks of this query alone.
    own: Flag,
    /// Marks from above that were not meant for it.
    spared: Flag,
}

impl Word {
    pub(super) fn new(above: Above) -> Self {
        Self {
            above,
            own: Flag::new(),
            spared: Flag::new(),
        }
    }

    /// The sum of invalidations so far.
    pub(super) fn sum(&self) -> u64 {
        let above = match &self.above {
            Above::Everything(entity) | Above::Entity(entity) => entity.invalidations(),
            Above::Slot(slot) => slot.sum_below(),
            Above::Is(slot) => return slot.slot().invalidation(),
        };
        (above + self.own.level()).saturating_sub(self.spared.level())
    }

    /// A number that differs once there are more marks: loads alone. Of a slot it is 0, whoever
    /// waits for its marks waits for the slot.
    pub(super) fn seen(&self) -> u64 {
        let above = match &self.above {
            Above::Everything(entity) | Above::Entity(entity) => entity.invalidations(),
            Above::Slot(slot) => slot.sum_seen(),
            Above::Is(_) => return 0,
        };
        (above + self.own.level()).saturating_sub(self.spared.level())
    }

    /// Marks this query alone.
    pub(super) fn mark(&self) {
        match &self.above {
            Above::Is(slot) => slot.slot().invalidate(),
            _ => self.own.raise(),
        }
    }

    /// Takes one mark from above back.
    pub(super) fn spare(&self) {
        self.spared.raise();
    }
}

/// The key as everybody knows it: where an entity's ids are texts, the integer 7 after its name is
/// the text "7".
pub(super) fn canonical<'a>(store: &Store, key: &'a Key) -> Cow<'a, Key> {
    let numbered = key
        .slot_prefix()
        .filter(|(_, id)| matches!(id, IdRef::Int(_)));
    if let Some((name, id)) = numbered
        && let Some(entity) = store.find(name)
        && let known = entity.canonical(id)
        && known.as_ref() != id
    {
        let mut parts = key.parts().to_vec();
        parts[1] = Part::from(&known);
        return Cow::Owned(Key::new(parts));
    }
    Cow::Borrowed(key)
}

impl Place {
    /// What the machine may know of the data. Loads, and short locks that nobody waits under.
    pub(super) fn look(&self, word: &Word) -> Look {
        match self {
            Self::Slot(place) => look_slot(place),
            Self::Document(document) => {
                let shown = document.shown();
                Look {
                    present: shown.tree.is_some(),
                    whole_at: shown.whole_at,
                    received_at: shown.received_at,
                    stamp: shown.stamp,
                    sum: word.sum(),
                    unsure: shown.restored,
                    quiet: match &word.above {
                        Above::Everything(_) => true,
                        Above::Entity(entity) => is_quiet(entity),
                        Above::Slot(slot) | Above::Is(slot) => is_quiet(&slot.entity),
                    },
                }
            }
            Self::List(list) => {
                let members = list.members();
                Look {
                    present: members.whole_at.is_some(),
                    whole_at: members.whole_at,
                    received_at: members.whole_at.unwrap_or_default(),
                    stamp: members.stamp,
                    sum: word.sum(),
                    unsure: members.restored,
                    quiet: is_quiet(list.entity()),
                }
            }
        }
    }
}

fn look_slot(place: &SlotPlace) -> Look {
    let slot = place.slot();
    let sum = slot.invalidation();
    let link = LinkLook::of(&slot);
    let head = slot.head();
    if head.state == State::Empty
        && let Some(none) = place.none()
    {
        return Look {
            whole_at: Some(none.at),
            received_at: none.at,
            stamp: none.stamp,
            sum,
            quiet: is_quiet(&place.entity),
            ..Look::default()
        };
    }
    Look {
        present: head.has_value(),
        whole_at: match head.state {
            State::Present | State::Removed if head.whole_at > Time::ZERO => Some(head.whole_at),
            // What an optimistic write left where nothing had come is nothing.
            State::Removed if head.received_at > Time::ZERO => Some(head.received_at),
            _ => None,
        },
        received_at: head.received_at,
        stamp: head.invalidation,
        sum,
        unsure: is_unsure(&head, link),
        quiet: is_quiet(&place.entity),
    }
}

/// What of a slot's link speaks against its value, looked at before the value.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkLook {
    word: u64,
    torn: u64,
}

impl LinkLook {
    pub(super) fn of(slot: &Slot) -> Self {
        let word = slot.link();
        let torn = slot.torn();
        Self { word, torn }
    }
}

/// Whether a value needs a fetch whatever its age.
pub(super) fn is_unsure(head: &Head, link: LinkLook) -> bool {
    let (held, now) = (Link::from_word(head.link), Link::from_word(link.word));
    let missed = now.bits & Link::GAP != 0 && held.generation != now.generation;
    // What a gap has lost no later connection of a trusted source sends.
    let lost = head.link < link.torn;
    head.has_value()
        && (missed
            || lost
            || head.flags & (flags::GAP | flags::RESTORED) != 0
            // An optimistic write over what is known to be nothing leaves nothing to fetch.
            || head.flags & flags::PARTIAL != 0 && head.whole_at == Time::ZERO)
}

/// Whether no stream keeps the entity's values up just now.
fn is_quiet(entity: &Entity) -> bool {
    let bits = Link::from_word(entity.link().load()).bits;
    bits & (Link::DOWN | Link::SILENT | Link::STOPPED) != 0
        || entity.owner().is_none_or(|owner| &*owner == SLOW)
}
