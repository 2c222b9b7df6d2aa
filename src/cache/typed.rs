//! Values decoded into a type of the user's, once for each version and reader.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::entity::{Entity, Field, FieldsError};
use super::error::NotLive;
use super::freshness::Freshness;
use super::slot::{Slot, Snapshot};
use super::watch::{Closed, Tick, WaitError, Watch};
use crate::key::Id;
use crate::record::TypeError;
use crate::sync::{Arc, ArcSwapOption};

/// An entity whose values are read as `T`, through serde. Numbers go from their token to the field
/// without a detour over floats; [`Decimal`](crate::Decimal) fields take numbers and numbers sent
/// as text.
pub struct Typed<T> {
    entity: Entity,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Typed<T> {
    pub(crate) fn new(entity: Entity) -> Self {
        Self {
            entity,
            of: PhantomData,
        }
    }

    /// The entity without the type.
    #[must_use]
    pub fn entity(&self) -> &Entity {
        &self.entity
    }

    /// The slot of an id, read as `T`.
    #[must_use]
    pub fn slot(&self, id: impl Into<Id>) -> TypedSlot<T> {
        TypedSlot {
            slot: self.entity.slot(id),
            decoded: Arc::new(ArcSwapOption::new(None)),
        }
    }

    /// Resolves top-level fields for reads that decode nothing.
    ///
    /// # Errors
    /// As [`Entity::fields`].
    pub fn fields<const N: usize>(&self, names: [&str; N]) -> Result<[Field; N], FieldsError> {
        self.entity.fields(names)
    }
}

impl<T> Clone for Typed<T> {
    fn clone(&self) -> Self {
        Self {
            entity: self.entity.clone(),
            of: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Typed").field(&self.entity.name()).finish()
    }
}

/// One version, decoded.
struct Decoded<T> {
    epoch: u64,
    value: Result<Arc<T>, TypeError>,
}

fn decode<T: DeserializeOwned>(snapshot: &Snapshot) -> Decoded<T> {
    Decoded {
        epoch: snapshot.epoch(),
        value: snapshot.deserialize().map(Arc::new),
    }
}

/// The answer of a live read: the value, or why not.
fn live<T>(slot: &Slot, snapshot: &Snapshot, decoded: &Decoded<T>) -> Result<Arc<T>, NotLive> {
    let freshness = snapshot.freshness();
    match (freshness, &decoded.value) {
        (Freshness::Live, Ok(value)) => Ok(Arc::clone(value)),
        (Freshness::Live, Err(error)) => Err(slot
            .not_live(snapshot.head(), freshness)
            .because(error.clone())),
        _ => Err(slot.not_live(snapshot.head(), freshness)),
    }
}

/// A [`Slot`] read as `T`. Clones share the last decoded version.
pub struct TypedSlot<T> {
    slot: Slot,
    decoded: Arc<ArcSwapOption<Decoded<T>>>,
}

impl<T: DeserializeOwned> TypedSlot<T> {
    /// The slot without the type.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// The value, if it is live: decoded for the first who asks for this version through this
    /// handle or its clones. Lock-free; allocates when it decodes.
    ///
    /// # Errors
    /// [`NotLive`], also for a value that does not fit `T`: see [`NotLive::decode_error`].
    pub fn live(&self) -> Result<Arc<T>, NotLive> {
        let head = self.slot.core().head();
        if let Some(known) = &*self.decoded.load()
            && known.epoch == head.epoch
            && let Ok(value) = &known.value
            && self.slot.judge(&head, self.slot.surroundings()).is_live()
        {
            return Ok(Arc::clone(value));
        }
        self.decode_or_why()
    }

    #[cold]
    fn decode_or_why(&self) -> Result<Arc<T>, NotLive> {
        let snapshot = self.slot.snapshot();
        if !snapshot.freshness().is_live() {
            return Err(self.slot.not_live(snapshot.head(), snapshot.freshness()));
        }
        let decoded = self.decoded(&snapshot);
        live(&self.slot, &snapshot, &decoded)
    }

    fn decoded(&self, snapshot: &Snapshot) -> Arc<Decoded<T>> {
        if let Some(known) = self.decoded.load_full()
            && known.epoch == snapshot.epoch()
        {
            return known;
        }
        let decoded = Arc::new(decode(snapshot));
        self.decoded.store(Some(Arc::clone(&decoded)));
        decoded
    }

    /// A reader that can be woken.
    #[must_use]
    pub fn watch(&self) -> TypedWatch<T> {
        TypedWatch {
            watch: self.slot.watch(),
            decoded: None,
        }
    }
}

/// Everything that needs no type is the slot's own.
impl<T> std::ops::Deref for TypedSlot<T> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl<T> Clone for TypedSlot<T> {
    fn clone(&self) -> Self {
        Self {
            slot: self.slot.clone(),
            decoded: Arc::clone(&self.decoded),
        }
    }
}

impl<T> fmt::Debug for TypedSlot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedSlot").field(&self.slot).finish()
    }
}

/// A [`Watch`] whose values are read as `T`, decoded once for each version.
pub struct TypedWatch<T> {
    watch: Watch,
    decoded: Option<Arc<Decoded<T>>>,
}

impl<T: DeserializeOwned> TypedWatch<T> {
    /// As [`Watch::changed`].
    ///
    /// # Errors
    /// [`Closed`] once the cache has been closed.
    pub async fn changed(&mut self) -> Result<TypedTick<T>, Closed> {
        let tick = self.watch.changed().await?;
        Ok(self.decode(tick))
    }

    /// As [`Watch::wait`].
    ///
    /// # Errors
    /// If there was no news in time, or the cache has been closed.
    pub fn wait(&mut self, timeout: Duration) -> Result<TypedTick<T>, WaitError> {
        let tick = self.watch.wait(timeout)?;
        Ok(self.decode(tick))
    }

    fn decode(&mut self, tick: Tick) -> TypedTick<T> {
        let known = self
            .decoded
            .take()
            .filter(|known| known.epoch == tick.epoch());
        let decoded = known.unwrap_or_else(|| Arc::new(decode(tick.snapshot())));
        self.decoded = Some(Arc::clone(&decoded));
        TypedTick { tick, decoded }
    }
}

impl<T> fmt::Debug for TypedWatch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedWatch").field(&self.watch).finish()
    }
}

/// A [`Tick`] whose value is read as `T`.
pub struct TypedTick<T> {
    tick: Tick,
    decoded: Arc<Decoded<T>>,
}

impl<T> TypedTick<T> {
    /// The value, if it is live.
    ///
    /// # Errors
    /// [`NotLive`], also for a value that does not fit `T`: see [`NotLive::decode_error`].
    pub fn live(&self) -> Result<&T, NotLive> {
        match (self.tick.freshness(), &self.decoded.value) {
            (Freshness::Live, Ok(value)) => Ok(value),
            (Freshness::Live, Err(error)) => Err(self.tick.not_live().because(error.clone())),
            _ => Err(self.tick.not_live()),
        }
    }
}

impl<T> std::ops::Deref for TypedTick<T> {
    type Target = Tick;

    fn deref(&self) -> &Tick {
        &self.tick
    }
}

impl<T> fmt::Debug for TypedTick<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedTick").field(&self.tick).finish()
    }
}
