//! One slot as users hold it: reading, and what every read says beside the value.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use super::entity::{Entity, Field};
use super::error::NotLive;
use super::freshness::{Freshness, Surroundings, aged, is_undoubted, standing};
use super::watch::Watch;
use crate::Time;
use crate::io::plane::SlotObservation;
use crate::key::Id;
use crate::record::{Record, RecordRef, TypeError, Value};
use crate::store::{self, Head, Scratch, State};
use crate::sync::Arc;

/// The last value of one (entity, id): a handle that is resolved once and then reads without
/// hashing, locking or allocating, and never makes the writer wait.
///
/// A handle may exist before the first message, and outlives removal. Cloning it is two reference
/// counts; reading through one handle from many threads writes no shared memory.
///
/// # Progress
/// Reads are lock-free, and wait-free unless the slot is published a whole ring of versions
/// further while its fields are copied. `load`s by one thread never go back. A value is never
/// torn: what is handed out is one version, and it is checked before anybody sees it.
#[derive(Clone)]
pub struct Slot {
    core: Arc<store::Slot>,
    /// Of the entity's policy: its values turn stale by time alone.
    expires: bool,
    entity: Entity,
}

impl Slot {
    #[inline]
    pub(crate) fn new(entity: Entity, core: Arc<store::Slot>) -> Self {
        Self {
            core,
            expires: entity.policy().expires(),
            entity,
        }
    }

    pub(crate) fn core(&self) -> &Arc<store::Slot> {
        &self.core
    }

    /// The entity it belongs to.
    #[must_use]
    pub fn entity(&self) -> &Entity {
        &self.entity
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &Id {
        self.core.own_id()
    }

    /// The number of its newest publication; 0 before the first. Publications that change nothing
    /// a reader can see do not count. Wait-free, unless the slot was purged: then the one that the key
    /// has now is looked up, and made if there is none.
    #[must_use]
    #[inline]
    pub fn epoch(&self) -> u64 {
        let epoch = self.core.epoch();
        if epoch.is_dead() {
            return self.epoch_again();
        }
        epoch.number()
    }

    /// That of the slot that the key has after a purge.
    #[cold]
    fn epoch_again(&self) -> u64 {
        self.entity.slot(self.id()).core.epoch().number()
    }

    /// What its value is worth now. Reads the clock only if the entity's values expire.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        let slot = self.current();
        let head = slot.core.head();
        slot.judge(&head, slot.surroundings())
    }

    /// Copies the named fields of one version. Takes the fields first and hands them out only
    /// once the copy is known to be of one version.
    #[must_use]
    #[inline]
    pub fn read<const N: usize>(&self, fields: [Field; N]) -> Reading<'_, N> {
        let (head, values) = self.core.read(Field::inner(&fields));
        if head.state == State::Dead {
            return self.read_again(fields);
        }
        self.reading(head, self.surroundings(), values, fields)
    }

    #[inline]
    pub(crate) fn reading<const N: usize>(
        &self,
        head: Head,
        now: Surroundings,
        mut values: [Value; N],
        fields: [Field; N],
    ) -> Reading<'_, N> {
        for (value, field) in values.iter_mut().zip(fields) {
            if !field.is_of(self.entity.common()) {
                *value = Value::missing();
            }
        }
        Reading {
            slot: self,
            head,
            now,
            values,
        }
    }

    /// The named fields, if the value is live: the short way of [`read`](Self::read).
    ///
    /// # Errors
    /// [`NotLive`], with the state, the reasons and the age.
    #[inline(always)]
    pub fn live<const N: usize>(&self, fields: [Field; N]) -> Result<[Value; N], NotLive> {
        match plainly_live(&self.core, self.entity.common(), self.expires, &fields) {
            Some(cells) => Ok(Value::from_cells_whole(&cells)),
            None => self.live_or_why(fields),
        }
    }

    #[inline(always)]
    pub(super) fn expires(&self) -> bool {
        self.expires
    }

    /// Every other case: slots that have grown, and then expiring values, fields of another entity,
    /// long tokens, values that are not live.
    #[inline(never)]
    pub(crate) fn live_or_why<const N: usize>(
        &self,
        fields: [Field; N],
    ) -> Result<[Value; N], NotLive> {
        match plainly_live_later(&self.core, self.entity.common(), self.expires, &fields) {
            Some(cells) => Ok(Value::from_cells_whole(&cells)),
            None => self.live_or_not(fields),
        }
    }

    #[cold]
    #[inline(never)]
    fn live_or_not<const N: usize>(&self, fields: [Field; N]) -> Result<[Value; N], NotLive> {
        self.read(fields).live()
    }

    /// Shows one whole version to `f`, without copying it for keeps. `f` runs on a checked copy:
    /// nothing waits for it.
    pub fn read_all<R>(&self, f: impl FnOnce(View<'_>) -> R) -> R {
        let slot = self.current();
        with_scratch(|scratch| {
            slot.core.read_all(scratch, |head, record| {
                f(View {
                    freshness: slot.judge(head, slot.surroundings()),
                    head: *head,
                    record,
                })
            })
        })
    }

    /// An owned snapshot of the present version. Everyone who asks for the same version shares
    /// one; it is built by the first who asks, never by the writer.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let slot = self.current();
        let inner = slot.core.snapshot();
        // Freshness and times move without the epoch.
        let head = inner.head;
        Snapshot {
            freshness: slot.judge(&head, slot.surroundings()),
            head,
            inner,
        }
    }

    /// A reader of this slot that can be woken.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch::new(self.clone())
    }

    /// Keeps the value observed until the handle is dropped, for those who read it without
    /// watching: where somebody has said how it is fetched, it is fetched when it is stale, and
    /// refetched when it is invalidated. A handle of a slot or a read does not do that.
    pub fn keep(&self) -> Kept {
        Kept(self.observed())
    }

    pub(crate) fn observed(&self) -> SlotObservation {
        let plane = self.entity.shared().plane();
        plane.observe_slot(self.entity.core(), self.id())
    }

    /// Marks the value stale with the reason `Invalidated`, now: before this returns, every read
    /// says so, and whoever waits is woken. Only a whole message or a fetch begun later makes it
    /// live again. One store; lock-free. Documents whose key begins with the slot's are marked with it.
    ///
    /// What of it is observed and has a fetcher is fetched again, as by
    /// [`Cache::invalidate`](super::Cache::invalidate), which can choose, and be awaited.
    pub fn invalidate(&self) {
        self.current().core.invalidate();
        self.entity.shared().hub.scan();
    }

    /// This handle, or after a purge the one that the key has now.
    pub(crate) fn current(&self) -> std::borrow::Cow<'_, Self> {
        if self.core.epoch().is_dead() {
            return std::borrow::Cow::Owned(self.entity.slot(self.id()));
        }
        std::borrow::Cow::Borrowed(self)
    }

    #[cold]
    fn read_again<const N: usize>(&self, fields: [Field; N]) -> Reading<'_, N> {
        let slot = self.entity.slot(self.id());
        let (head, values) = slot.core.read(Field::inner(&fields));
        let now = slot.surroundings();
        let Reading { values, .. } = slot.reading(head, now, values, fields);
        Reading {
            slot: self,
            head,
            now,
            values,
        }
    }

    /// To be read after the value that it is held against: a gap is marked before what follows it is
    /// published, and whoever looked before the mark would take that for whole.
    #[inline]
    pub(crate) fn surroundings(&self) -> Surroundings {
        surroundings(&self.core, self.entity.common())
    }

    #[inline]
    pub(crate) fn judge(&self, head: &Head, now: Surroundings) -> Freshness {
        let standing = standing(head, now);
        let expires_at = self.entity.policy().expires_at(head);
        if expires_at == Time::NEVER {
            return standing;
        }
        aged(standing, expires_at, self.entity.shared().clock.now())
    }

    fn age(&self, head: &Head) -> Option<Duration> {
        let there_is = matches!(head.state, State::Present | State::Removed);
        there_is.then(|| self.entity.shared().clock.now().since(head.received_at))
    }

    #[cold]
    pub(crate) fn not_live(&self, head: &Head, freshness: Freshness) -> NotLive {
        NotLive::new(self, freshness, self.age(head))
    }
}

#[inline(always)]
pub(super) fn surroundings(core: &store::Slot, common: &store::Shared) -> Surroundings {
    Surroundings {
        link: common.link().load(),
        invalidation: core.invalidation_within(common),
    }
}

/// The cells of these fields, where there is nothing to think about: what [`Slot::live`] nearly
/// always finds. `None` for all else: values that are not live, or expire, or are long; fields of
/// another entity. `common` is what the slot shares with the others of its entity.
#[inline(always)]
pub(super) fn plainly_live<const N: usize>(
    core: &store::Slot,
    common: &store::Shared,
    expires: bool,
    fields: &[Field; N],
) -> Option<[[u64; 2]; N]> {
    let accept = |value| is_undoubted(value, surroundings(core, common));
    let cells = core.cells_if(common, fields, accept)?;
    is_plain(common, expires, fields).then_some(cells)
}

/// As [`plainly_live`], of a slot that has grown.
#[inline(always)]
pub(super) fn plainly_live_later<const N: usize>(
    core: &store::Slot,
    common: &store::Shared,
    expires: bool,
    fields: &[Field; N],
) -> Option<[[u64; 2]; N]> {
    let accept = |value| is_undoubted(value, surroundings(core, common));
    let cells = core.later_cells_if(common, fields, accept)?;
    is_plain(common, expires, fields).then_some(cells)
}

/// Whether undoubted values of these fields are live, and of these slots.
#[inline(always)]
pub(super) fn is_plain(common: &store::Shared, expires: bool, fields: &[Field]) -> bool {
    let own = |all, field: &Field| all & field.is_of(common);
    !expires & fields.iter().fold(true, own)
}

/// Keeps a slot observed; made by [`Slot::keep`].
#[derive(Debug)]
#[must_use = "dropping it ends the observation"]
pub struct Kept(#[allow(dead_code, reason = "held for its drop")] SlotObservation);

/// Lends memory for a whole copy, the thread's own unless that is in use further up its stack.
fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => f(&mut scratch),
        Err(_) => f(&mut Scratch::default()),
    })
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("entity", &self.entity.name())
            .field("id", self.id())
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}

/// Some fields of one version, and what they are worth.
#[derive(Clone, Debug)]
pub struct Reading<'a, const N: usize> {
    slot: &'a Slot,
    head: Head,
    now: Surroundings,
    values: [Value; N],
}

impl<const N: usize> Reading<'_, N> {
    /// The fields, if the value is live.
    ///
    /// # Errors
    /// [`NotLive`], with the state, the reasons and the age.
    #[inline]
    pub fn live(self) -> Result<[Value; N], NotLive> {
        match self.freshness() {
            Freshness::Live => Ok(self.values),
            freshness => Err(self.slot.not_live(&self.head, freshness)),
        }
    }

    /// The fields, whatever they are worth: missing where there is no value.
    #[must_use]
    pub fn even_if_stale(self) -> [Value; N] {
        self.values
    }

    /// What the version is worth.
    #[must_use]
    #[inline]
    pub fn freshness(&self) -> Freshness {
        self.slot.judge(&self.head, self.now)
    }

    /// The number of the publication.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.head.epoch
    }

    /// Time since the last data of any kind for this slot; `None` if there was none.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.slot.age(&self.head)
    }

    /// When the last data of any kind came; [`Time::ZERO`] if none did.
    #[must_use]
    pub fn received_at(&self) -> Time {
        self.head.received_at
    }
}

/// One whole version, lent to a closure.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    freshness: Freshness,
    head: Head,
    record: RecordRef<'a>,
}

impl<'a> View<'a> {
    /// What the version is worth.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The value, whatever it is worth; absent if there is none.
    #[must_use]
    pub fn record(&self) -> RecordRef<'a> {
        self.record
    }

    /// The number of the publication.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.head.epoch
    }

    /// When the last data of any kind came; [`Time::ZERO`] if none did.
    #[must_use]
    pub fn received_at(&self) -> Time {
        self.head.received_at
    }

    /// The source's sequence number of the last message that had one.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.head.sequence
    }
}

/// One whole version, owned and shared.
#[derive(Clone, Debug)]
pub struct Snapshot {
    freshness: Freshness,
    head: Head,
    inner: store::Snapshot,
}

impl Snapshot {
    /// What the version was worth when the snapshot was taken.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The value, whatever it was worth; absent if there was none.
    #[must_use]
    pub fn record(&self) -> &Record {
        self.inner.record()
    }

    /// The number of the publication.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.head.epoch
    }

    /// When the last data of any kind had come; [`Time::ZERO`] if none had.
    #[must_use]
    pub fn received_at(&self) -> Time {
        self.head.received_at
    }

    /// The source's sequence number of the last message that had one.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.head.sequence
    }

    /// The source's own time in nanoseconds since the Unix epoch, if it gave one.
    #[must_use]
    pub fn source_time(&self) -> Option<Time> {
        (self.head.source_time != 0).then(|| Time::from_nanos(self.head.source_time))
    }

    /// The value, decoded through serde, whatever it was worth.
    ///
    /// # Errors
    /// Where and why the value does not fit the type.
    pub fn deserialize<T: serde::de::DeserializeOwned>(&self) -> Result<T, TypeError> {
        self.record().deserialize()
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }
}
