//! An entity as users hold it: its slots, its fields, and what moves in it.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::changes::Changes;
use super::entity_reader::EntityReader;
use super::error::NotLive;
use super::freshness::Policy;
use super::order::{By, Ordered};
use super::ready::{ReadyError, ready};
use super::shared::Shared;
use super::slot::{Slot, plainly_live, plainly_live_later};
use super::typed::Typed;
use crate::key::{Id, IdRef};
use crate::record::{SchemaFull, Value};
use crate::store;
use crate::sync::Arc;

/// All slots of one entity: a handle, resolved once. Cloning it is one reference count.
#[derive(Clone)]
pub struct Entity(Arc<Inner>);

struct Inner {
    /// What all its slots have in common. A read looks at it, so it is at hand.
    common: Arc<store::Shared>,
    core: Arc<store::Entity>,
    shared: Arc<Shared>,
    policy: Policy,
}

/// A field of an entity, resolved once: reads by it hash nothing. Of another entity's slots it
/// reads as missing, never as a wrong value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    inner: store::Field,
    /// The family of its entity's slots.
    of: usize,
}

impl Field {
    #[inline(always)]
    pub(crate) fn inner<const N: usize>(fields: &[Self; N]) -> [store::Field; N] {
        std::array::from_fn(|at| fields[at].inner)
    }

    /// Whether it is a field of the entity whose slots have this in common.
    #[inline(always)]
    pub(crate) fn is_of(self, slots: &store::Shared) -> bool {
        self.of == slots.family()
    }
}

impl From<Field> for store::Field {
    #[inline(always)]
    fn from(field: Field) -> Self {
        field.inner
    }
}

/// The fields cannot be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FieldsError(#[from] SchemaFull);

impl Entity {
    pub(crate) fn new(core: Arc<store::Entity>, shared: Arc<Shared>) -> Self {
        let policy = shared.policy(core.name());
        Self(Arc::new(Inner {
            common: core.shared().clone(),
            core,
            shared,
            policy,
        }))
    }

    #[inline]
    pub(crate) fn core(&self) -> &Arc<store::Entity> {
        &self.0.core
    }

    #[inline(always)]
    pub(crate) fn common(&self) -> &store::Shared {
        &self.0.common
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    #[inline]
    pub(crate) fn policy(&self) -> Policy {
        self.0.policy
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.core.name()
    }

    /// The slot of an id, made if there is none: a handle may exist before the first message.
    ///
    /// Where the configured number of ids is reached, the handle stays empty, and
    /// [`ready`](Slot::ready) says why. Cold compared with reading: it hashes; resolve once.
    #[must_use]
    pub fn slot(&self, id: impl Into<Id>) -> Slot {
        let id = id.into();
        Slot::new(self.clone(), self.0.core.slot_or_detached(id.as_ref()))
    }

    /// The slot of an id, if somebody has asked for it or written it. Lock-free.
    #[must_use]
    pub fn find(&self, id: impl Into<Id>) -> Option<Slot> {
        let core = self.0.core.find(id.into().as_ref())?;
        Some(Slot::new(self.clone(), core))
    }

    /// The named fields of the value with this id, if it is live: for who reads many ids a few
    /// times each. One look-up in the shared index; clones no handle, allocates nothing. Lock-free.
    ///
    /// Who stays with an id keeps its [`Slot`]; who reads by id in a loop keeps a
    /// [`reader`](Self::reader).
    ///
    /// # Errors
    /// [`NotLive`], with the state, the reasons and the age. Without such an id the state is
    /// [`Empty`](super::Freshness::Empty).
    #[inline]
    pub fn live<'id, const N: usize>(
        &self,
        id: impl Into<IdRef<'id>>,
        fields: [Field; N],
    ) -> Result<[Value; N], NotLive> {
        let id = id.into();
        let expires = self.0.policy.expires();
        let common = self.common();
        let cells = self.0.core.with(id, |slot| {
            plainly_live(slot, common, expires, &fields)
                .or_else(|| plainly_live_later(slot, common, expires, &fields))
        });
        match cells.flatten() {
            Some(cells) => Ok(Value::from_cells_whole(&cells)),
            None => self.live_or_why(id, fields),
        }
    }

    #[cold]
    #[inline(never)]
    fn live_or_why<const N: usize>(
        &self,
        id: IdRef<'_>,
        fields: [Field; N],
    ) -> Result<[Value; N], NotLive> {
        match self.0.core.find(id) {
            Some(core) => Slot::new(self.clone(), core).live(fields),
            None => Err(self.none_of(id)),
        }
    }

    /// That there is no slot of this id.
    #[cold]
    pub(super) fn none_of(&self, id: IdRef<'_>) -> NotLive {
        NotLive::none(self, self.0.core.canonical(id))
    }

    /// One thread's reader of values by id: the quickest way to read by key.
    #[must_use]
    pub fn reader(&self) -> EntityReader {
        EntityReader::new(self.clone())
    }

    /// Resolves top-level fields by name, whether or not they were ever seen.
    ///
    /// # Errors
    /// If the schema of the entity has no room for another field.
    pub fn fields<const N: usize>(&self, names: [&str; N]) -> Result<[Field; N], FieldsError> {
        let mut fields = Vec::with_capacity(N);
        for name in names {
            fields.push(self.field(&[name])?);
        }
        Ok(std::array::from_fn(|at| fields[at]))
    }

    /// Resolves one field by its path, whether or not it was ever seen.
    ///
    /// # Errors
    /// If the schema of the entity has no room for another field.
    pub fn field(&self, path: &[&str]) -> Result<Field, FieldsError> {
        Ok(Field {
            inner: self.0.core.schema().field(path)?,
            of: self.common().family(),
        })
    }

    /// Its values read as `T`.
    ///
    /// # Errors
    /// None today: a type is held against each value when that is read.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<Typed<T>, FieldsError> {
        Ok(Typed::new(self.clone()))
    }

    /// How many slots hold a value. Wait-free.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.core.len()
    }

    /// Whether no slot holds a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slots that hold a value, in the order in which their ids were first seen. Lock-free;
    /// slots that come while this runs may be among them or not.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        let core = &self.0.core;
        (0..core.numbers())
            .filter_map(|number| core.numbered(number))
            .filter(|slot| slot.epoch().has_value())
            .map(|slot| Slot::new(self.clone(), slot))
    }

    /// The ids of the slots that hold a value.
    pub fn ids(&self) -> impl Iterator<Item = Id> + '_ {
        self.iter().map(|slot| slot.id().clone())
    }

    /// All slots in the order of a field, kept up incrementally at each look.
    #[must_use]
    pub fn sorted_by(&self, by: By) -> Ordered {
        Ordered::new(self, by, usize::MAX)
    }

    /// The first `n` slots in the order of a field, kept up incrementally at each look.
    #[must_use]
    pub fn top(&self, n: usize, by: By) -> Ordered {
        Ordered::new(self, by, n)
    }

    /// What moves from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        let core = &self.0.core;
        let subscriber = core
            .changes()
            .subscribe(core.numbers(), |slot| core.epoch_of(slot));
        Changes::new(self.clone(), subscriber, true)
    }

    /// What there is, and what moves from now on.
    #[must_use]
    pub fn changes_from_nothing(&self) -> Changes {
        Changes::new(
            self.clone(),
            store::Subscriber::from_nothing(self.0.core.changes()),
            true,
        )
    }

    /// As [`changes_from_nothing`](Self::changes_from_nothing), for who only looks.
    pub(crate) fn changes_unobserved(&self) -> Changes {
        Changes::new(
            self.clone(),
            store::Subscriber::from_nothing(self.0.core.changes()),
            false,
        )
    }

    /// Waits until every one of `ids` is live; see [`Slot::ready`].
    ///
    /// # Errors
    /// At the deadline: each id that is not live, and why.
    pub fn ready<I: Into<Id>>(
        &self,
        ids: impl IntoIterator<Item = I>,
        deadline: Duration,
    ) -> impl Future<Output = Result<(), ReadyError>> + Send {
        let slots: Vec<_> = ids.into_iter().map(|id| self.slot(id)).collect();
        ready(slots, deadline)
    }

    /// Marks every value of the entity stale with the reason `Invalidated`, now: by one count,
    /// whatever the number of slots. Documents and lists under the entity's name are marked with it.
    ///
    /// What of it is observed and has a fetcher is fetched again, as by
    /// [`Cache::invalidate`](super::Cache::invalidate), which can choose, and be awaited.
    pub fn invalidate(&self) {
        self.0.core.invalidate();
        self.0.shared.hub.scan();
    }
}

impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entity")
            .field("name", &self.name())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
