//! Entities that a protocol has met, by name: resolved once each.

use std::sync::Arc;

use hashbrown::HashMap;

use super::protocol::{EntityIx, Refusal, Sink};

/// Names kept; whoever sends more pays a question to the sink for each message.
const MAX_NAMES: usize = 4096;

/// Numbers of entities by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    known: Vec<(Arc<str>, EntityIx)>,
    /// Places in `known`.
    by_name: HashMap<Arc<str>, usize, foldhash::fast::RandomState>,
    /// The place of the name that came last: names come in runs, and comparing one is a fraction
    /// of hashing it.
    last: usize,
}

impl Names {
    /// The number of an entity, from the sink if it was not met before.
    #[inline]
    pub(super) fn resolve<S: Sink>(
        &mut self,
        name: &str,
        sink: &mut S,
    ) -> Result<EntityIx, Refusal> {
        match self.known.get(self.last) {
            Some((last, entity)) if **last == *name => Ok(*entity),
            _ => self.look_up(name, sink),
        }
    }

    #[inline(never)]
    fn look_up<S: Sink>(&mut self, name: &str, sink: &mut S) -> Result<EntityIx, Refusal> {
        match self.by_name.get(name) {
            Some(place) => {
                self.last = *place;
                Ok(self.known[*place].1)
            }
            None => self.ask(name, sink),
        }
    }

    #[cold]
    fn ask<S: Sink>(&mut self, name: &str, sink: &mut S) -> Result<EntityIx, Refusal> {
        let entity = sink.entity(name)?;
        if self.known.len() < MAX_NAMES {
            let name: Arc<str> = name.into();
            self.last = self.known.len();
            self.by_name.insert(Arc::clone(&name), self.last);
            self.known.push((name, entity));
        }
        Ok(entity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::testing::Recording;

    #[test]
    fn a_name_has_one_number_whatever_came_before_it() {
        let (mut names, mut sink) = (Names::default(), Recording::default());
        let mut number = |name: &str| names.resolve(name, &mut sink).expect("room").index();
        let (a, b, empty) = (number("a"), number("b"), number(""));
        assert!(a != b && b != empty && empty != a);
        for (name, expected) in [
            ("a", a),
            ("a", a),
            ("", empty),
            ("b", b),
            ("a", a),
            ("b", b),
        ] {
            assert_eq!(number(name), expected, "{name:?}");
        }
    }

    #[test]
    fn names_beyond_the_bound_are_asked_for_again_and_push_nothing_out() {
        let (mut names, mut sink) = (Names::default(), Recording::default());
        let first = names.resolve("0", &mut sink).expect("room");
        for number in 1..MAX_NAMES + 10 {
            names.resolve(&number.to_string(), &mut sink).expect("room");
        }
        assert_eq!(names.known.len(), MAX_NAMES);
        assert_eq!(names.by_name.len(), MAX_NAMES);
        assert_eq!(names.resolve("0", &mut sink), Ok(first));
    }
}
