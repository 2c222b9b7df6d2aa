//! Where the members that a protocol asks for stand in a learned layout.
//!
//! The answer is the same for every message that fits the template, so it is found once for each
//! object and list of names.

use std::cell::OnceCell;

/// In place of an item: there is none.
pub(super) const NOWHERE: u32 = u32::MAX;
/// Questions that one template remembers: a protocol asks few, and each costs a comparison.
const QUESTIONS: usize = 8;
/// Names of a question that is remembered.
const NAMES: usize = 24;

/// What was asked about one template, in the order in which it was asked first.
#[derive(Debug, Default)]
pub(super) struct Picks([OnceCell<Pick>; QUESTIONS]);

/// Where the members of one object with these names stand.
#[derive(Debug)]
struct Pick {
    object: u32,
    names: &'static [&'static str],
    places: [u32; NAMES],
}

impl Picks {
    /// The items of the members of the item `object` with these names; `search` finds them if they
    /// were not asked for before. Never allocates.
    #[inline(always)]
    pub(super) fn find<const N: usize>(
        &self,
        object: u32,
        names: &'static [&'static str; N],
        search: impl FnOnce() -> [u32; N],
    ) -> [u32; N] {
        for cell in &self.0 {
            let Some(pick) = cell.get() else { break };
            // The same list of names is known by where it lies: it can neither move nor change.
            if pick.object == object
                && std::ptr::eq(pick.names, names.as_slice())
                && let Some(places) = pick.places.first_chunk()
            {
                return *places;
            }
        }
        let places = search();
        self.remember(object, names, &places);
        places
    }

    /// Keeps an answer if there is room for it.
    #[cold]
    fn remember(&self, object: u32, names: &'static [&'static str], found: &[u32]) {
        let mut places = [NOWHERE; NAMES];
        let Some(room) = places.get_mut(..found.len()) else {
            return;
        };
        room.copy_from_slice(found);
        if let Some(free) = self.0.iter().find(|cell| cell.get().is_none()) {
            let pick = Pick {
                object,
                names,
                places,
            };
            // It was free.
            let _ = free.set(pick);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn an_answer_is_remembered_for_its_object_and_its_list_of_names_alone() {
        static AB: [&str; 2] = ["a", "b"];
        static BA: [&str; 2] = ["b", "a"];
        let searches = Cell::new(0);
        let picks = Picks::default();
        let ask = |object, names, answer: [u32; 2]| {
            picks.find(object, names, || {
                searches.set(searches.get() + 1);
                answer
            })
        };
        assert_eq!(ask(0, &AB, [2, NOWHERE]), [2, NOWHERE]);
        assert_eq!(ask(0, &BA, [NOWHERE, 2]), [NOWHERE, 2]);
        assert_eq!(ask(5, &AB, [6, 7]), [6, 7]);
        assert_eq!(searches.get(), 3);
        for _ in 0..3 {
            assert_eq!(ask(0, &AB, [0, 0]), [2, NOWHERE]);
            assert_eq!(ask(0, &BA, [0, 0]), [NOWHERE, 2]);
            assert_eq!(ask(5, &AB, [0, 0]), [6, 7]);
        }
        assert_eq!(searches.get(), 3);
        // A list that begins as another one does is not that list.
        let first: &'static [&'static str; 1] = AB.first_chunk().expect("two");
        assert_eq!(picks.find(0, first, || [9]), [9]);
    }

    #[test]
    fn beyond_the_bounds_every_question_is_searched() {
        static MANY: [&str; NAMES + 1] = ["x"; NAMES + 1];
        static ONE: [&str; 1] = ["x"];
        let picks = Picks::default();
        for round in 0..2 {
            let found = picks.find(0, &MANY, || [round; NAMES + 1]);
            assert_eq!(found, [round; NAMES + 1]);
        }
        for object in 0..2 * QUESTIONS as u32 {
            assert_eq!(picks.find(object, &ONE, || [object]), [object]);
        }
        for object in 0..2 * QUESTIONS as u32 {
            let kept = (object as usize) < QUESTIONS;
            let expected = if kept { object } else { 99 };
            assert_eq!(picks.find(object, &ONE, || [99]), [expected]);
        }
    }
}
