//! Entities that a protocol has met, by name: resolved once each.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::protocol::{EntityIx, Refusal, Sink};
use crate::key::same;

/// Names kept; whoever sends more pays a question to the sink for each message.
const MAX_NAMES: usize = 4096;

/// Numbers of entities by name. The name that was met last is compared before any is hashed:
/// messages of one entity come in runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    known: Vec<(Box<str>, EntityIx)>,
    /// Places in `known`.
    index: HashTable<usize>,
    hasher: RandomState,
    /// The place of the name that was met last.
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
        match self.last(name.as_bytes()) {
            Some(entity) => Ok(entity),
            None => self.look_up(name, sink),
        }
    }

    /// As [`resolve`](Self::resolve), by the bytes of a name, which has to be UTF-8.
    #[inline]
    pub(super) fn resolve_bytes<S: Sink>(
        &mut self,
        name: &[u8],
        sink: &mut S,
    ) -> Result<EntityIx, Refusal> {
        match self.last(name) {
            Some(entity) => Ok(entity),
            None => {
                let name = std::str::from_utf8(name).map_err(|_| Refusal::NoEntity)?;
                self.look_up(name, sink)
            }
        }
    }

    #[inline]
    fn last(&self, name: &[u8]) -> Option<EntityIx> {
        let (last, entity) = self.known.get(self.last)?;
        same(last.as_bytes(), name).then_some(*entity)
    }

    #[inline(never)]
    fn look_up<S: Sink>(&mut self, name: &str, sink: &mut S) -> Result<EntityIx, Refusal> {
        let hash = self.hasher.hash_one(name);
        let known = &self.known;
        match self.index.find(hash, |at| *known[*at].0 == *name) {
            Some(at) => {
                self.last = *at;
                Ok(known[*at].1)
            }
            None => self.ask(name, hash, sink),
        }
    }

    #[cold]
    fn ask<S: Sink>(&mut self, name: &str, hash: u64, sink: &mut S) -> Result<EntityIx, Refusal> {
        let entity = sink.entity(name)?;
        if self.known.len() < MAX_NAMES {
            self.last = self.known.len();
            self.known.push((name.into(), entity));
            let (known, hasher) = (&self.known, &self.hasher);
            let hash_of = |at: &usize| hasher.hash_one(&*known[*at].0);
            self.index.insert_unique(hash, self.last, hash_of);
        }
        Ok(entity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::testing::Recording;

    #[test]
    fn a_name_has_one_number_whatever_came_between() {
        let (mut names, mut sink) = (Names::default(), Recording::default());
        let entities = [
            "a",
            "ticker",
            "trades",
            "a-longer-name",
            "a-longer-nama",
            "",
        ];
        let first = entities.map(|name| names.resolve(name, &mut sink));
        for name in entities.iter().rev().chain(&entities) {
            let at = entities
                .iter()
                .position(|known| known == name)
                .expect("known");
            assert_eq!(names.resolve(name, &mut sink), first[at], "{name:?}");
            assert_eq!(names.last(name.as_bytes()), first[at].ok(), "{name:?}");
        }
        for at in 0..2 * MAX_NAMES {
            let name = format!("entity {at}");
            let asked = names.resolve(&name, &mut sink);
            assert_eq!(names.resolve(&name, &mut sink), asked, "{name}");
        }
        assert_eq!(names.known.len(), MAX_NAMES);
        assert_eq!(names.resolve("ticker", &mut sink), first[1]);
    }
}
