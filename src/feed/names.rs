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
