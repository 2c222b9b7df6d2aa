//! Items of lists that are marked one by one.
//!
//! A list is good for the marks of its entity. An item that is marked alone is the business of
//! whoever fetches that item; where nobody can, the list is what brings it, and so the list is
//! marked. Members are compared only when some slot of the entity was marked alone.

use hashbrown::{HashMap, HashSet};

use super::core::{Core, Effect};
use super::list::{List, Members};
use super::query::Query;
use crate::key::{Id, Key};
use crate::query::QueryIx;
use crate::store::{Entity, Slot};
use crate::sync::Arc;

/// How the marks of a list's members stood when they were last looked at.
#[derive(Debug, Default)]
pub(super) struct ListMarks {
    /// Marks of single slots in the entity.
    slots_invalidated: u64,
    /// Those of each member, by the slot's number.
    words: HashMap<u32, u64, foldhash::fast::RandomState>,
}

impl ListMarks {
    pub(super) fn new(list: &List) -> Self {
        let slots_invalidated = list.entity().slots_invalidated();
        let mut marks = Self {
            slots_invalidated,
            ..Self::default()
        };
        marks.note(list.entity(), &list.members());
        marks
    }

    /// Takes what the members' marks are now.
    fn note(&mut self, entity: &Entity, members: &Members) {
        let slots = members.slots.iter();
        self.words = slots
            .map(|slot| (slot.number(), marks_of(entity, slot)))
            .collect();
    }
}

/// Marks of this slot alone.
fn marks_of(entity: &Entity, slot: &Slot) -> u64 {
    loop {
        let before = entity.invalidations();
        let sum = slot.invalidation();
        if entity.invalidations() == before {
            return sum - before;
        }
    }
}

impl Core {
    /// Generations have moved: marks the observed lists that hold an item which was marked alone
    /// and has no fetcher of its own.
    pub(super) fn mark_lists(&mut self) {
        let mut lists = std::mem::take(&mut self.lists);
        for (ix, marks) in &mut lists {
            if self.machine.is_active(*ix)
                && let Some(query) = self.query(*ix)
            {
                self.compare(&query, marks, None);
            }
        }
        self.lists = lists;
    }

    /// A list has landed whose fetch began when so many slots of the entity had been marked. Marks
    /// it again if an item was marked meanwhile, since its answer may be older than that.
    pub(super) fn list_landed(&mut self, ix: QueryIx, query: &Arc<Query>, began: u64) {
        let mut marks = self.lists.remove(&ix).unwrap_or_default();
        self.compare(query, &mut marks, Some(began));
        self.lists.insert(ix, marks);
    }

    /// Whether a list that is not let go holds this slot of the entity.
    pub(super) fn is_listed(&self, entity: &Arc<Entity>, slot: &Slot) -> bool {
        let mut lists = self.lists.iter().filter(|(ix, _)| {
            let query = self.table.queries.get(*ix);
            let list = query.and_then(|query| query.as_list());
            list.is_some_and(|list| Arc::ptr_eq(list.entity(), entity))
        });
        lists.any(|(_, marks)| marks.words.contains_key(&slot.number()))
    }

    /// `began`: members that are new here count as marked if any slot was since.
    fn compare(&mut self, query: &Arc<Query>, marks: &mut ListMarks, began: Option<u64>) {
        let Some(list) = query.as_list() else { return };
        let (entity, members) = (list.entity(), list.members());
        let count = entity.slots_invalidated();
        let any_since = began.is_some_and(|began| began != count);
        if count == marks.slots_invalidated && began.is_none() {
            return;
        }
        let moved = members.slots.iter().zip(&*members.ids).any(|(slot, id)| {
            let moved = match marks.words.get(&slot.number()) {
                Some(word) => marks_of(entity, slot) != *word,
                None => any_since,
            };
            moved && !self.is_fetchable(entity, id)
        });
        if moved {
            query.word.mark();
        }
        marks.slots_invalidated = count;
        marks.note(entity, &members);
    }

    /// The members of a list were these: those that have left it are let go of.
    pub(super) fn leave_members(&mut self, list: &List, old: &Members) {
        let now = list.members();
        let stay: HashSet<&Id, foldhash::fast::RandomState> = now.ids.iter().collect();
        let left = old.ids.iter().zip(&*old.slots);
        let left = left.filter(|(id, _)| !stay.contains(id));
        let (ids, slots): (Vec<Id>, Vec<Arc<Slot>>) = left
            .map(|(id, slot)| (id.clone(), Arc::clone(slot)))
            .unzip();
        if !ids.is_empty() {
            let left = Members {
                ids: ids.into(),
                slots: slots.into(),
                ..Members::default()
            };
            let leave = Effect::Leave(Arc::clone(list.entity()), Arc::new(left));
            self.effects.push_back(leave);
        }
    }

    /// A list has other members by other means than a fetch.
    pub(super) fn note_members(&mut self, query: &Query) {
        let at = *query
            .at
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let (Some(ix), Some(list)) = (at, query.as_list()) {
            self.lists.insert(ix, ListMarks::new(list));
        }
    }

    /// Whether somebody has said how this one value is fetched.
    fn is_fetchable(&mut self, entity: &Entity, id: &Id) -> bool {
        let key = Key::of_slot(Arc::clone(entity.name()), id.clone());
        match self.known(&key) {
            Some(query) => {
                let fetchable = query.settings().fetcher.is_some();
                // It may be the last handle.
                self.throw_away(query);
                fetchable
            }
            None => self.defaults.resolve(&key).fetcher.is_some(),
        }
    }
}
