//! Publications without messages: what measurements of slots need, and nobody else. Hidden, and no
//! part of what the crate promises.

use std::fmt;

use super::entity::Entity;
use super::handle::Cache;
use crate::io::ingest::ClaimError;
use crate::json::{Decoder, compile};
use crate::key::Id;
use crate::record::{Mode, Patch};
use crate::store::{EntityWriter, Link, Locate, Missing, Outcome, SlotIx, Stamp, Wakes};
use crate::sync::Arc;

/// The number of a connection that no feed has.
const SOURCE: u64 = u64::MAX;

/// Nesting that is accepted in what is prepared.
const MAX_DEPTH: u32 = 128;

/// A change that is ready to be published any number of times, in any slot of the entity that it
/// was prepared for.
#[derive(Debug)]
pub struct Prepared(Patch);

/// A slot of the entity that a [`Publisher`] owns.
#[derive(Clone, Copy, Debug)]
pub struct Place(SlotIx);

/// The owner of an entity, publishing what was prepared: the last step of a feed's message, without
/// the steps before it. Everything it publishes counts as whole, and is live.
pub struct Publisher {
    entity: Entity,
    writer: EntityWriter,
    wakes: Wakes,
    decoder: Decoder,
    link: u64,
    turn: u64,
}

impl Publisher {
    /// Becomes the owner of an entity.
    ///
    /// # Errors
    /// If it has one.
    pub fn claim(cache: &Cache, entity: &str) -> Result<Self, ClaimError> {
        let entity = cache.entity(entity);
        let writer = entity.core().claim("publisher".into());
        let writer = writer.map_err(|taken| ClaimError::Taken {
            entity: Arc::clone(entity.core().name()),
            by: taken.by,
        })?;
        let open = Link {
            generation: 1,
            bits: 0,
        };
        entity.core().update_link(SOURCE, |_| open);
        Ok(Self {
            link: writer.link(),
            wakes: cache.shared().hub.wakes(),
            entity,
            writer,
            decoder: Decoder::new(MAX_DEPTH),
            turn: 0,
        })
    }

    /// The entity it owns.
    #[must_use]
    pub const fn entity(&self) -> &Entity {
        &self.entity
    }

    /// The slot of an id, made if there is none. `None` if there may be no more.
    pub fn place(&mut self, id: impl Into<Id>) -> Option<Place> {
        let id = id.into();
        match self.writer.locate(id.as_ref(), Missing::Insert) {
            Ok(slot) => Some(Place(slot)),
            Err(Locate::Missing | Locate::Full) => None,
        }
    }

    /// Makes a merge patch (RFC 7396) of JSON text; `None` if that is none within the limits.
    pub fn prepare(&mut self, json: &str) -> Option<Prepared> {
        let limits = self.entity.shared().store.config().limits;
        let message = self.decoder.decode(json.as_bytes()).ok()?;
        let mut patch = Patch::new();
        let schema = self.writer.schema();
        compile(message.root(), Mode::Merge, &limits, schema, &mut patch).ok()?;
        Some(Prepared(patch))
    }

    /// Merges a change into the value of a slot and publishes the outcome; false if it said what
    /// the slot held already. Wait-free but for cold branches; allocates nothing in steady state.
    #[inline]
    pub fn publish(&mut self, place: Place, change: &Prepared) -> bool {
        self.turn += 1;
        let stamp = Stamp {
            whole: true,
            link: self.link,
            turn: self.turn,
            ..Stamp::default()
        };
        self.writer.publish(place.0, &change.0, &stamp) == Outcome::Applied
    }

    /// Ends a batch: wakes whoever waits for what was published in it.
    pub fn finish(&mut self) {
        self.writer.end_batch(&mut self.wakes.batch());
        self.writer.retired().clear();
        self.writer.begin_batch();
        self.link = self.writer.link();
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("entity", &self.entity.name())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Publisher;
    use crate::cache::Cache;

    #[test]
    fn what_is_prepared_is_merged_published_and_told() {
        let cache = Cache::builder().build().expect("a thread");
        let mut publisher = Publisher::claim(&cache, "e").expect("nobody owns it");
        assert!(Publisher::claim(&cache, "e").is_err(), "there is one owner");
        assert!(publisher.prepare("{").is_none(), "no JSON");
        let first = publisher.prepare(r#"{"a":1,"b":[2]}"#).expect("JSON");
        let second = publisher.prepare(r#"{"a":3}"#).expect("JSON");
        let place = publisher.place("x").expect("room");
        let slot = publisher.entity().slot("x");
        let fields = publisher.entity().fields(["a"]).expect("room");
        let mut watch = slot.watch();

        assert!(publisher.publish(place, &first));
        assert!(publisher.publish(place, &second));
        assert!(!publisher.publish(place, &second), "no news");
        publisher.finish();

        assert!(watch.take().is_some(), "told");
        assert_eq!(slot.epoch(), 2);
        let [a] = slot.live(fields).expect("live");
        assert_eq!(a.i64(), Ok(3));
        let json = slot.read_all(|view| view.record().to_json());
        assert_eq!(json, r#"{"a":3,"b":[2]}"#);
    }
}
