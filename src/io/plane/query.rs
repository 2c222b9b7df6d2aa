//! A query as its handles see it: key, place, settings, and the state that the machine said last.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;

use super::document::{Document, Shown};
use super::fetch_error::FetchError;
use super::initial::Coming;
use super::left::Left;
use super::list::{List, Members};
use super::place::{Place, SlotPlace, Word};
use super::settings::Settings;
use crate::Time;
use crate::key::Key;
use crate::query::{FetchStatus, Info, Look, QueryIx};
use crate::store::{Bell, Flag, Seen, Watched};
use crate::sync::{Arc, ArcSwap};

/// What is known of a query besides its data. Whether that is stale is a matter of the moment, see
/// [`Query::look`].
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) fetch_status: FetchStatus,
    /// Of the last fetch that settled, if it failed and nothing was set since.
    pub(crate) error: Option<FetchError>,
    pub(crate) error_at: Option<Time>,
    pub(crate) error_count: u64,
    /// Results and writes by the application taken.
    pub(crate) data_count: u64,
    /// Attempts of the present or last fetch that failed, and why the last did.
    pub(crate) failure_count: u32,
    pub(crate) failure: Option<FetchError>,
}

impl State {
    /// Of a query that the machine does not know.
    pub(super) fn blank() -> Self {
        Self {
            fetch_status: FetchStatus::Idle,
            error: None,
            error_at: None,
            error_count: 0,
            data_count: 0,
            failure_count: 0,
            failure: None,
        }
    }

    pub(super) fn new(info: Info<FetchError>) -> Self {
        Self {
            fetch_status: info.fetch_status,
            error: info.error,
            error_at: info.error_at,
            error_count: info.error_count,
            data_count: info.data_count,
            failure_count: info.failure_count,
            failure: info.failure,
        }
    }
}

/// A query. One for each key, as long as anybody holds on to it.
///
/// To be waited for ([`Watched`]): it moves with its state, and with a document's or a list's data
/// and invalidations. Whoever waits for a slot's value waits for the slot as well.
pub(crate) struct Query {
    key: Key,
    place: Place,
    pub(super) word: Word,
    state: ArcSwap<State>,
    news: Flag,
    levels: Mutex<Levels>,
    /// What it held when the machine let go of it, until the machine knows it again.
    left: Mutex<Option<Arc<Left>>>,
    /// Initial data that its owner has not taken yet.
    pub(super) coming: Mutex<Option<Coming>>,
    /// Its name in the machine, while it is there. Only looked at under the plane's lock.
    pub(super) at: Mutex<Option<QueryIx>>,
}

struct Levels {
    own: Settings,
    resolved: Arc<Settings>,
}

impl Query {
    pub(super) fn new(key: Key, place: Place, word: Word) -> Self {
        Self {
            key,
            place,
            word,
            state: ArcSwap::new(Arc::new(State::blank())),
            news: Flag::new(),
            levels: Mutex::new(Levels {
                own: Settings::default(),
                resolved: Arc::default(),
            }),
            left: Mutex::new(None),
            coming: Mutex::new(None),
            at: Mutex::new(None),
        }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The slot, if it is one.
    pub(crate) fn slot(&self) -> Option<&Arc<SlotPlace>> {
        match &self.place {
            Place::Slot(slot) => Some(slot),
            _ => None,
        }
    }

    /// The document as it is now, if it is one.
    pub(crate) fn document(&self) -> Option<Arc<Shown>> {
        self.as_document().map(Document::shown)
    }

    pub(super) fn as_document(&self) -> Option<&Document> {
        match &self.place {
            Place::Document(document) => Some(document),
            _ => None,
        }
    }

    /// The members as they are now, if it is a list.
    pub(crate) fn members(&self) -> Option<Arc<Members>> {
        self.as_list().map(List::members)
    }

    pub(super) fn as_list(&self) -> Option<&List> {
        match &self.place {
            Place::List(list) => Some(list),
            _ => None,
        }
    }

    /// What the machine said last.
    pub(crate) fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// How often it has moved: [`Seen::epoch`] of whoever waits for it.
    pub(crate) fn level(&self) -> u64 {
        self.news.level()
    }

    /// What whoever waits from now on has seen.
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            invalidation: self.word.seen(),
            epoch: self.level(),
            ..Seen::default()
        }
    }

    /// What is to be known about its data, without the data.
    pub(crate) fn look(&self) -> Look {
        self.with_coming(self.place.look(&self.word))
    }

    /// What holds for it, every level merged.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        let levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&levels.resolved)
    }

    /// Adds `more` to its own level and puts that over `base`. What it replaces is handed out, since
    /// its drop may run a user's code.
    pub(super) fn resolve(&self, more: Option<&Settings>, base: &Settings) -> impl Sized + use<> {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let own = more.map(|more| {
            let merged = more.over(&levels.own);
            std::mem::replace(&mut levels.own, merged)
        });
        let resolved = Arc::new(levels.own.over(base));
        let old = std::mem::replace(&mut levels.resolved, resolved);
        (own, old)
    }

    /// Replaces the state. What it replaces is handed out: errors are a user's.
    pub(super) fn publish(&self, state: State) -> Arc<State> {
        let old = self.state.swap(Arc::new(state));
        self.news.raise();
        old
    }

    /// Its data moved without its state.
    pub(super) fn moved(&self) {
        self.news.raise();
    }

    /// What it held when the machine let go of it, if that was after it was last asked for.
    pub(crate) fn left(&self) -> Option<Arc<Left>> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.clone()
    }

    /// Sets what is left of it. What that replaces is handed out.
    pub(super) fn leave(&self, left: Option<Left>) -> Option<Arc<Left>> {
        let mut now = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *now, left.map(Arc::new))
    }

    /// The data, read as `T`; for a list, its ids. `None` if there is none, or it does not read so.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        match &self.place {
            Place::Slot(place) => {
                let snapshot = place.slot().snapshot();
                if !snapshot.head.has_value() {
                    return None;
                }
                snapshot.record().deserialize().ok()
            }
            Place::Document(document) => {
                serde_json::from_str(&document.shown().tree.as_ref()?.to_json()).ok()
            }
            Place::List(list) => {
                let members = list.members();
                members.whole_at?;
                let ids: Vec<crate::Part> = members.ids.iter().map(Into::into).collect();
                serde_json::from_str(&Key::new(ids).to_json()).ok()
            }
        }
    }
}

impl Watched for Query {
    fn bell(&self) -> &Bell {
        self.news.bell()
    }

    fn moved(&self, seen: &Seen) -> bool {
        // What a document or a list is worth moves with marks alone, whoever looks at it.
        self.news.moved(seen) || self.word.seen() != seen.invalidation
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("key", &self.key)
            .field("state", &self.state.load())
            .finish_non_exhaustive()
    }
}
