//! Taking the results of queries out of the process, and back into another one.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use super::source::{Held, Source};
use crate::Time;
use crate::cache::freshness::{Freshness, Reasons};
use crate::cache::handle::Cache;
use crate::cache::slot::Slot;
use crate::cache::stored::{JsonText, Stored, StoredQuery, StoredValue};
use crate::io::command::Restored;
use crate::io::inbox::{CommandError, Completion};
use crate::io::plane::{self, Restoring};
use crate::key::{Id, Key};
use crate::query::Filter;
use crate::sync::Arc;

/// What [`Cache::dehydrate`] takes along. Default: every query that has data.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct DehydrateOptions {
    filter: Filter,
    entities: Vec<String>,
    buster: Option<String>,
}

impl DehydrateOptions {
    /// Every query that has data.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only the queries that a filter means.
    pub fn only(mut self, filter: impl Into<Filter>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Also every slot with a value of these entities, whether a query ever named it: what streams
    /// alone have written.
    pub fn entities<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.entities.extend(names.into_iter().map(Into::into));
        self
    }

    /// What the application calls the form of its data; see [`Stored::checked`].
    pub fn buster(mut self, name: impl Into<String>) -> Self {
        self.buster = Some(name.into());
        self
    }
}

/// What became of stored results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hydrated {
    /// Restored where there was nothing.
    pub added: usize,
    /// Put in place of something strictly older.
    pub newer: usize,
    /// Dropped: what there is is as new, or newer.
    pub older: usize,
    /// Dropped: refused, or its owner could not take it.
    pub refused: usize,
}

impl Cache {
    /// Gathers the results of queries, to be kept outside the process: see [`Stored::write_file`].
    ///
    /// A list takes its items along. Values are taken as they are shown, whatever they are worth;
    /// removed and placeholder ones are not.
    #[must_use]
    pub fn dehydrate(&self, what: DehydrateOptions) -> Stored {
        let mut gathered = Gathered {
            stored: Stored::new(self.shared().clock.now()),
            slots: HashSet::new(),
        };
        gathered.stored.buster = what.buster;
        for query in self.plane().queries(&what.filter) {
            gathered.query(&Source::new(Arc::clone(self.shared()), query));
        }
        for name in &what.entities {
            for slot in self.entity(name).iter() {
                gathered.slot(&slot);
            }
        }
        gathered.stored
    }

    /// Takes stored results over: where there is nothing they are restored, where there is
    /// something only if they are strictly newer, by sequence where both have one, else by time.
    ///
    /// Values read [`Restored`](Reasons::RESTORED) until a fetch, a whole message or a write of the
    /// client confirms them, and are fetched when observed. What a feed owns is handed to its
    /// inbox, in portions that fit: await the handle, or [`wait`](Hydrating::wait) for it.
    ///
    /// Where the items of a list are in an answer is not stored: the list is told when it is next
    /// declared. A key that is then declared as something else than it was stored as (a list that
    /// was a plain value, or the other way about) begins anew, unless what was stored is in use.
    pub fn hydrate(&self, stored: Stored) -> Hydrating {
        let mut queue: VecDeque<StoredQuery> = stored.queries.into();
        // Items before the lists that name them, so that no list is shown with holes.
        queue
            .make_contiguous()
            .sort_by_key(|query| matches!(query.value, StoredValue::List(_)));
        let mut hydrating = Hydrating {
            cache: self.clone(),
            queue,
            pending: VecDeque::new(),
            result: Hydrated::default(),
        };
        hydrating.send();
        hydrating
    }
}

/// What was gathered, and which slots are among it.
struct Gathered {
    stored: Stored,
    slots: HashSet<(Arc<str>, Id)>,
}

impl Gathered {
    fn query(&mut self, source: &Source) {
        if let Some(slot) = source.slot() {
            self.slot(slot);
            return;
        }
        if let (Some(entity), Some(members)) = (source.list_entity(), source.members()) {
            for id in members.ids.iter() {
                self.slot(&entity.slot(id));
            }
            let value = StoredValue::List(members.ids.to_vec());
            self.push(source.key().clone(), value, source);
        } else if let Held::Document(tree) = &source.content().held
            && let Ok(json) = JsonText::new(&tree.to_json())
        {
            self.push(source.key().clone(), StoredValue::Whole(json), source);
        }
    }

    fn push(&mut self, key: Key, value: StoredValue, source: &Source) {
        let content = source.content();
        let mut query = StoredQuery::new(key, value, content.updated_at.unwrap_or(Time::ZERO));
        query.sequence = content.sequence;
        self.stored.queries.push(query);
    }

    fn slot(&mut self, slot: &Slot) {
        let entity = slot.entity().core().name();
        if !self.slots.insert((Arc::clone(entity), slot.id().clone())) {
            return;
        }
        let snapshot = slot.snapshot();
        if matches!(snapshot.freshness(), Freshness::Empty | Freshness::Removed) {
            return;
        }
        // What a slot holds was JSON when it came; a token that is no UTF-8 cannot be stored.
        let Ok(json) = JsonText::new(&snapshot.record().to_json()) else {
            return;
        };
        let key = Key::of_slot(Arc::clone(entity), slot.id().clone());
        let mut query = StoredQuery::new(key, StoredValue::Whole(json), snapshot.received_at());
        query.sequence = snapshot.sequence();
        query.partial = snapshot.freshness().reasons().contains(Reasons::PARTIAL);
        self.stored.queries.push(query);
    }
}

/// Stored results on their way into a cache. Dropped early, what was not handed on yet is not
/// restored.
#[must_use = "what does not fit the inbox of a feed is handed on while this is awaited"]
pub struct Hydrating {
    cache: Cache,
    queue: VecDeque<StoredQuery>,
    pending: VecDeque<Pending>,
    result: Hydrated,
}

/// One value that its owner was asked to restore.
struct Pending {
    done: Completion,
    report: Arc<OnceLock<Restored>>,
    was_empty: bool,
}

impl Pending {
    fn count(self, done: Result<(), CommandError>, into: &mut Hydrated) {
        let taken = match (done, self.report.get()) {
            (Ok(()), Some(Restored::Applied)) => Some(true),
            (Ok(()), Some(Restored::Older)) => Some(false),
            (Ok(()), None) | (Err(_), _) => None,
        };
        into.count(taken, self.was_empty);
    }
}

impl Hydrated {
    /// `taken`: `None` if it was refused.
    fn count(&mut self, taken: Option<bool>, was_empty: bool) {
        match taken {
            Some(true) if was_empty => self.added += 1,
            Some(true) => self.newer += 1,
            Some(false) => self.older += 1,
            None => self.refused += 1,
        }
    }
}

impl Hydrating {
    /// What is known so far: complete at once where no feed owns what is restored.
    #[must_use]
    pub fn so_far(&self) -> Hydrated {
        self.result
    }

    /// Blocks this thread until everything is restored.
    ///
    /// # Errors
    /// [`CommandError::TimedOut`] after `timeout` of the machine's time for one value; what was
    /// handed on is restored all the same.
    pub fn wait(mut self, timeout: Duration) -> Result<Hydrated, CommandError> {
        loop {
            self.send();
            let Some(first) = self.pending.pop_front() else {
                return Ok(self.result);
            };
            match first.done.wait(timeout) {
                Err(error @ (CommandError::TimedOut | CommandError::WouldDeadlock)) => {
                    return Err(error);
                }
                done => first.count(done, &mut self.result),
            }
        }
    }

    /// Hands on as much as owners take. Leaves something pending unless everything is handed on.
    fn send(&mut self) {
        while let Some(stored) = self.queue.pop_front() {
            if matches!(stored.value, StoredValue::List(_)) && !self.pending.is_empty() {
                // Its items are not there yet.
                self.queue.push_front(stored);
                return;
            }
            let was_empty = self.is_empty(&stored.key);
            match self.restore(&stored) {
                Ok(Restoring::Done(taken)) => self.result.count(Some(taken), was_empty),
                Ok(Restoring::Waiting(done, report)) => {
                    let pending = Pending {
                        done,
                        report,
                        was_empty,
                    };
                    match pending.done.result() {
                        Some(done) => pending.count(done, &mut self.result),
                        None => self.pending.push_back(pending),
                    }
                }
                Err(plane::QueryError::Owner(CommandError::InboxFull))
                    if !self.pending.is_empty() =>
                {
                    // There is something to wait for, and room after that.
                    self.queue.push_front(stored);
                    return;
                }
                Err(_) => self.result.count(None, was_empty),
            }
        }
    }

    fn is_empty(&self, key: &Key) -> bool {
        match Source::find(self.cache.shared(), key) {
            Some(source) => source.membership().0.is_none() && source.content().held.is_none(),
            None => true,
        }
    }

    fn restore(&self, stored: &StoredQuery) -> Result<Restoring, plane::QueryError> {
        let plane = self.cache.plane();
        let (at, sequence) = (stored.updated_at, stored.sequence);
        match &stored.value {
            StoredValue::Whole(json) => {
                let query = plane.query(&stored.key, None)?;
                let json = json.as_str().as_bytes().to_vec();
                plane.restore(&query, json, at, sequence, stored.partial)
            }
            StoredValue::List(ids) => {
                let query = plane.list(&stored.key)?;
                let taken = plane.restore_members(&query, ids.clone(), at, sequence)?;
                Ok(Restoring::Done(taken))
            }
        }
    }
}

impl Future for Hydrating {
    type Output = Hydrated;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Hydrated> {
        let this = &mut *self;
        loop {
            this.send();
            let Some(first) = this.pending.front_mut() else {
                return Poll::Ready(this.result);
            };
            let Poll::Ready(done) = Pin::new(&mut first.done).poll(cx) else {
                return Poll::Pending;
            };
            if let Some(first) = this.pending.pop_front() {
                first.count(done, &mut this.result);
            }
        }
    }
}

impl fmt::Debug for Hydrating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hydrating")
            .field("left", &(self.queue.len() + self.pending.len()))
            .field("result", &self.result)
            .finish_non_exhaustive()
    }
}
