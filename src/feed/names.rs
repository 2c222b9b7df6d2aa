//! Entities that a protocol has met, by name: resolved once each.

use hashbrown::HashMap;

use super::protocol::{EntityIx, Refusal, Sink};

/// Names kept; whoever sends more pays a question to the sink for each message.
const MAX_NAMES: usize = 4096;

/// Numbers of entities by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(HashMap<Box<str>, EntityIx, foldhash::fast::RandomState>);

impl Names {
    /// The number of an entity, from the sink if it was not met before.
    #[inline]
    pub(super) fn resolve<S: Sink>(
        &mut self,
        name: &str,
        sink: &mut S,
    ) -> Result<EntityIx, Refusal> {
        match self.0.get(name) {
            Some(entity) => Ok(*entity),
            None => self.ask(name, sink),
        }
    }

    #[cold]
    fn ask<S: Sink>(&mut self, name: &str, sink: &mut S) -> Result<EntityIx, Refusal> {
        let entity = sink.entity(name)?;
        if self.0.len() < MAX_NAMES {
            self.0.insert(name.into(), entity);
        }
        Ok(entity)
    }
}
