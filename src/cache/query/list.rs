//! A list as its rows: kept up item by item, copying nothing that did not change.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::error::QueryError;
use super::fetching::Fetching;
use super::lens::Lens;
use super::source::Target;
use super::state::{QueryState, Version};
use crate::Time;
use crate::cache::changes::Changes;
use crate::cache::entity::Entity;
use crate::cache::freshness::{Freshness, Reasons};
use crate::cache::shared::Shared;
use crate::cache::slot::Slot;
use crate::cache::watch::{Closed, WaitError};
use crate::io::plane::Members;
use crate::key::{Id, Key};
use crate::record::TypeError;
use crate::store::{Registration, Seen, Woken};
use crate::sync::Arc;

/// One item of a list, as of the last look.
///
/// Its value lives in the item's own slot, so a message about the item reaches the row, its
/// detail query and every other list at once.
pub struct ListRow<T> {
    slot: Slot,
    epoch: u64,
    freshness: Freshness,
    value: Result<Option<Arc<T>>, TypeError>,
}

impl<T> ListRow<T> {
    /// The id of the item.
    #[must_use]
    pub fn id(&self) -> &Id {
        self.slot.id()
    }

    /// The slot of the item, for reading on.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// The value, whatever it is worth; `None` if there is none, or it does not fit the type.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        self.shared().map(|value| &**value)
    }

    /// As [`value`](Self::value), to keep. The same `Arc` as long as nothing about the item was
    /// published.
    #[must_use]
    pub fn shared(&self) -> Option<&Arc<T>> {
        self.value.as_ref().ok()?.as_ref()
    }

    /// Why the value does not fit the type, if that is so.
    #[must_use]
    pub fn decode_error(&self) -> Option<&TypeError> {
        self.value.as_ref().err()
    }

    /// What the value is worth in this list. That the list has given only some of the item's
    /// fields is nothing wrong with the row: [`Partial`](Reasons::PARTIAL) alone is live here.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }
}

impl<T: DeserializeOwned> ListRow<T> {
    fn of(slot: Slot) -> Self {
        let snapshot = slot.snapshot();
        let gone = matches!(snapshot.freshness(), Freshness::Empty | Freshness::Removed);
        let value = if gone {
            Ok(None)
        } else {
            snapshot.deserialize().map(|value| Some(Arc::new(value)))
        };
        Self {
            epoch: snapshot.epoch(),
            freshness: in_list(snapshot.freshness()),
            value,
            slot,
        }
    }

    /// Looks again; decodes only what was published since. Whether anything is another.
    fn update(&mut self) -> bool {
        let slot = self.slot.current().into_owned();
        let freshness = in_list(slot.freshness());
        if slot.epoch() != self.epoch {
            *self = Self::of(slot);
            return true;
        }
        std::mem::replace(&mut self.freshness, freshness) != freshness
    }
}

impl<T> Clone for ListRow<T> {
    fn clone(&self) -> Self {
        Self {
            slot: self.slot.clone(),
            epoch: self.epoch,
            freshness: self.freshness,
            value: self.value.clone(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for ListRow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListRow")
            .field("id", self.id())
            .field("freshness", &self.freshness)
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

/// What an item is worth to a list that gave some of its fields.
pub(super) fn in_list(freshness: Freshness) -> Freshness {
    match freshness {
        Freshness::Stale(reasons) => match reasons.without(Reasons::PARTIAL) {
            Reasons::NONE => Freshness::Live,
            others => Freshness::Stale(others),
        },
        same => same,
    }
}

/// Observes a list: its membership and order, and its items. Keeps the query active, as an
/// [`Observer`](super::Observer) does.
///
/// Each look takes the items that moved since the last one and looks at those alone; rows that did
/// not move keep their value. Nothing is done while nobody looks, and nothing on a feed's thread.
pub struct ListObserver<T> {
    key: Key,
    shared: Arc<Shared>,
    target: Result<Target, QueryError>,
    lens: Lens<Vec<T>>,
    items: Option<Items>,
    /// Where each id stands among the rows.
    places: HashMap<Id, usize>,
    rows: Vec<ListRow<T>>,
    version: Option<u64>,
    last: Option<QueryState<[Id]>>,
    /// Something moved that nobody was told of yet.
    news: bool,
    registration: Option<Registration>,
}

/// The entity of the items, and what moves in it.
struct Items {
    entity: Entity,
    changes: Changes,
}

impl<T: DeserializeOwned + Send + Sync + 'static> ListObserver<T> {
    pub(super) fn new(
        key: Key,
        shared: Arc<Shared>,
        target: Result<Target, QueryError>,
        lens: Lens<Vec<T>>,
    ) -> Self {
        let entity = target
            .as_ref()
            .ok()
            .and_then(|target| target.source.list_entity());
        let items = entity.map(|entity| Items {
            changes: entity.changes_unobserved(),
            entity: entity.clone(),
        });
        Self {
            key,
            shared,
            target,
            lens,
            items,
            places: HashMap::new(),
            rows: Vec::new(),
            version: None,
            last: None,
            news: false,
            registration: None,
        }
    }

    /// The key of the list.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The rows as of now, in the list's order. Costs O(rows that moved), and O(rows) when the
    /// membership or the freshness of the whole entity moved.
    ///
    /// An item that was removed keeps its place until the list says otherwise, without a value.
    pub fn rows(&mut self) -> &[ListRow<T>] {
        self.update();
        &self.rows
    }

    /// The rows as of the last look.
    #[must_use]
    pub fn last_rows(&self) -> &[ListRow<T>] {
        &self.rows
    }

    /// What is known about the list itself; its data are the ids, in order.
    #[must_use]
    pub fn state(&self) -> QueryState<[Id]> {
        match &self.target {
            Ok(target) => self.lens.membership(&target.source),
            Err(error) => QueryState::failed(error.clone()),
        }
    }

    /// Waits until a row, the membership or the state of the list is another than at the last look,
    /// and looks. The first call gives what there is. Dropping the wait loses nothing.
    ///
    /// # Errors
    /// [`Closed`] once the cache has been closed and the last news was given.
    pub async fn changed(&mut self) -> Result<&[ListRow<T>], Closed> {
        poll_fn(|cx| self.poll_changed(cx)).await?;
        Ok(&self.rows)
    }

    /// As [`changed`](Self::changed), for hand-written futures; the rows are then
    /// [`last_rows`](Self::last_rows).
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        loop {
            let (seen, news, until) = self.look();
            if news {
                return Poll::Ready(Ok(()));
            }
            match self.registration().poll(cx, &seen, until) {
                Poll::Ready(Woken::Closed) => return Poll::Ready(Err(Closed)),
                Poll::Ready(Woken::Moved | Woken::Deadline) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// As [`changed`](Self::changed), blocking this thread for `timeout` at most.
    ///
    /// # Errors
    /// If there was no news in time, or the cache has been closed.
    pub fn wait(&mut self, timeout: Duration) -> Result<&[ListRow<T>], WaitError> {
        let give_up = self.shared.clock.now().after(timeout);
        loop {
            let (seen, news, until) = self.look();
            if news {
                return Ok(&self.rows);
            }
            let until = until.min(give_up);
            let shared = Arc::clone(&self.shared);
            let woken = self
                .registration()
                .wait(&seen, until, &|| shared.clock.now());
            match woken {
                Woken::Closed => return Err(WaitError::Closed),
                Woken::Deadline if until == give_up => {
                    let (_, news, _) = self.look();
                    return if news {
                        Ok(&self.rows)
                    } else {
                        Err(WaitError::TimedOut)
                    };
                }
                Woken::Moved | Woken::Deadline => {}
            }
        }
    }

    /// Fetches the list now, as [`Observer::refetch`](super::Observer::refetch) does.
    pub fn refetch(&self) -> Fetching<Vec<T>> {
        match &self.target {
            Ok(target) => Fetching::begin(target.source.clone(), self.lens.clone(), None, true),
            Err(error) => Fetching::failed(error.clone()),
        }
    }

    /// Whether this observer makes the list active; see
    /// [`Observer::set_enabled`](super::Observer::set_enabled).
    pub fn set_enabled(&mut self, enabled: bool) {
        self.lens.enabled = enabled;
        if let Ok(target) = &mut self.target {
            target.set_enabled(enabled);
        }
    }

    /// Takes in what changed since the last look.
    fn update(&mut self) {
        let Ok(target) = &self.target else { return };
        let Some(items) = &mut self.items else { return };
        // The items' changes before the membership: an item that comes with a new membership is
        // looked at as a new row.
        let (rows, places) = (&mut self.rows, &self.places);
        let mut moved = false;
        let polled = items.changes.poll(|slot| {
            if let Some(at) = places.get(slot.id()) {
                moved |= rows[*at].update();
            }
        });
        if polled.freshness || items.entity.policy().expires() {
            for row in rows.iter_mut() {
                moved |= row.update();
            }
        }
        self.news |= moved;
        if let Some(members) = target.source.members()
            && self.version != Some(members.version)
        {
            self.arrange(&members);
            self.news = true;
        }
    }

    /// Puts the rows in the order of a new membership; rows that stay are moved, not made anew.
    fn arrange(&mut self, members: &Members) {
        let Some(Items { entity, .. }) = &self.items else {
            return;
        };
        let mut before: HashMap<Id, ListRow<T>> = self
            .rows
            .drain(..)
            .map(|row| (row.id().clone(), row))
            .collect();
        self.places.clear();
        for id in members.ids.iter() {
            // A list that names an item twice shows it once, in the first place.
            if self.places.contains_key(id) {
                continue;
            }
            self.places.insert(id.clone(), self.rows.len());
            let row = before
                .remove(id)
                .unwrap_or_else(|| ListRow::of(entity.slot(id)));
            self.rows.push(row);
        }
        self.version = Some(members.version);
    }

    /// What was seen of each source, whether there is news, and when time alone makes some.
    fn look(&mut self) -> (Vec<Seen>, bool, Time) {
        // Whatever moves after this is news; the items' own position is that of the last look.
        let mut seen = match &self.target {
            Ok(target) => target.source.seen_without_items(),
            Err(_) => Vec::new(),
        };
        self.update();
        seen.extend(self.items.iter().map(|items| items.changes.seen()));
        let state = self.state();
        let until = self.deadline(&state);
        let same = self.last.as_ref().is_some_and(|last| last.same(&state));
        let news = std::mem::take(&mut self.news) || !same;
        self.last = Some(state);
        (seen, news, until)
    }

    /// When time alone makes another state of the list, or of one of its rows.
    fn deadline(&self, state: &QueryState<[Id]>) -> Time {
        let (Ok(target), Some(items)) = (&self.target, &self.items) else {
            return Time::NEVER;
        };
        let stale = self.lens.list_turns_stale_at(&target.source, state);
        let policy = items.entity.policy();
        if !policy.expires() {
            return stale;
        }
        let fresh = self.rows.iter().filter(|row| {
            let reasons = row.freshness.reasons();
            !reasons.contains(Reasons::EXPIRED)
        });
        let expiry = fresh.map(|row| policy.expires_at(&row.slot.core().head()));
        expiry.fold(stale, Time::min)
    }

    fn registration(&mut self) -> &mut Registration {
        let Self {
            shared,
            target,
            items,
            registration,
            ..
        } = self;
        registration.get_or_insert_with(|| {
            let mut sources = target.as_ref().map_or_else(
                |_| Vec::new(),
                |target| target.source.watched_without_items(),
            );
            if let Some(items) = items {
                sources.push(items.entity.core().clone());
            }
            shared.hub.register(sources)
        })
    }
}

impl<T> fmt::Debug for ListObserver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListObserver")
            .field("key", &self.key)
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

/// The version of a list's membership alone.
pub(super) fn membership(version: u64) -> Version {
    Version::List(version, Arc::default())
}
