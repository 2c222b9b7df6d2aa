//! What queries may be told: the settings, and the three places that take them.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lens::Lens;
use super::source::Source;
use super::state::{Machine, QueryState};
use crate::Time;
use crate::cache::shared::Shared;
use crate::io::command::Order;
use crate::io::plane::{
    self, FetchContext, FetchError, Fetched, Fetcher, Initial, ListShape, PollBy, Query, Retry,
    RetryDelay, Settings, StaleBy,
};
use crate::json::Pointer;
use crate::key::Key;
use crate::query::{NetworkMode, Poll, Refetch, StaleTime};
use crate::sync::Arc;

/// The settings that every place takes in the same words. `$fetch` is what the fetcher is set by.
macro_rules! setters {
    ($fetch:ident) => {
        /// How the data is fetched: an asynchronous function of a
        /// [`FetchContext`](crate::FetchContext), which names the key, its id, the sequence at the
        /// start and a token that tells of cancellation. It runs on the slow plane; at most one
        /// call per key is in flight.
        ///
        /// A function that panics is a failed fetch. One that awaits a fetch of its own key waits for
        /// itself, until that is cancelled. The cache keeps the function: one that captures a
        /// [`Cache`](crate::Cache) keeps the cache for ever. It asks its context instead, for
        /// [`FetchContext::cache`](crate::FetchContext::cache).
        pub fn $fetch<F, R>(self, fetcher: F) -> Self
        where
            F: Fn(FetchContext) -> R + Send + Sync + 'static,
            R: Future<Output = Result<Fetched, FetchError>> + Send + 'static,
        {
            let fetcher = Fetcher::new(fetcher);
            self.change(move |settings| settings.fetcher = Some(fetcher))
        }

        /// How long data counts as fresh, from when the last *whole* value came. Default: not at
        /// all, so that every new observer fetches. [`Duration::MAX`] is
        /// [`stale_never`](Self::stale_never).
        pub fn stale_after(self, age: Duration) -> Self {
            self.stale(StaleTime::After(age))
        }

        /// Data stays fresh until it is invalidated.
        pub fn stale_never(self) -> Self {
            self.stale(StaleTime::Never)
        }

        /// Data stays fresh for ever: an invalidation marks it, and nothing but an explicit fetch
        /// loads it again.
        pub fn stale_static(self) -> Self {
            self.stale(StaleTime::Static)
        }

        fn stale(self, stale: StaleTime) -> Self {
            self.change(|settings| {
                settings.stale = Some(stale);
                settings.stale_by = None;
            })
        }

        /// How long a query that nobody observes is kept. Default 5 minutes; [`Duration::MAX`] is
        /// for ever. Of several values that a query was given, the longest counts. Slots of a feed
        /// are never collected: only what the query knows beside them is.
        pub fn gc_after(self, idle: Duration) -> Self {
            self.change(|settings| settings.gc = Some(idle))
        }

        /// Whether a write by a stream counts as use and puts off the collection. Default: it does
        /// (D10).
        pub fn writes_keep(self, keep: bool) -> Self {
            self.change(|settings| settings.writes_keep = Some(keep))
        }

        /// How often a fetch that failed is tried again. Default 3; 0 for never.
        pub fn retry(self, times: u32) -> Self {
            self.change(|settings| settings.retry = Some(Retry::Times(times)))
        }

        /// Whether a fetch that failed is tried again, by the number of failures before this one
        /// and its error.
        pub fn retry_if<F>(self, again: F) -> Self
        where
            F: Fn(u32, &FetchError) -> bool + Send + Sync + 'static,
        {
            self.change(|settings| settings.retry = Some(Retry::If(Arc::new(again))))
        }

        /// How long to wait before the next attempt, by the number of failures before this one and
        /// its error. Default: 1 s, doubled each time up to 30 s, less up to a quarter by chance.
        pub fn retry_delay<F>(self, delay: F) -> Self
        where
            F: Fn(u32, &FetchError) -> Duration + Send + Sync + 'static,
        {
            self.change(|settings| settings.retry_delay = Some(RetryDelay::By(Arc::new(delay))))
        }

        /// What a fetch needs of the network that [`Cache::set_online`](crate::Cache::set_online)
        /// tells of. Default: [`NetworkMode::Online`].
        pub fn network(self, mode: NetworkMode) -> Self {
            self.change(|settings| settings.network = Some(mode))
        }

        /// Whether a new observer fetches. Default: if the data is stale.
        pub fn refetch_on_mount(self, when: Refetch) -> Self {
            self.change(|settings| settings.on_mount = Some(when))
        }

        /// Whether going online fetches what is observed. Default: if the data is stale.
        pub fn refetch_on_reconnect(self, when: Refetch) -> Self {
            self.change(|settings| settings.on_reconnect = Some(when))
        }

        /// Whether gaining focus fetches what is observed. Default: if the data is stale.
        pub fn refetch_on_focus(self, when: Refetch) -> Self {
            self.change(|settings| settings.on_focus = Some(when))
        }

        /// Whether anything but an explicit call fetches. Default: it does.
        pub fn enabled(self, enabled: bool) -> Self {
            self.change(|settings| settings.enabled = Some(enabled))
        }

        /// Polls so often while observed: so long after one fetch has settled the next one begins.
        /// The poll has a clock of its own, which no message restarts (D6); while fetches fail the
        /// interval doubles with every failure. Zero and [`Duration::MAX`] are off.
        pub fn poll_every(self, interval: Duration) -> Self {
            self.change(|settings| {
                settings.poll = Some(Poll::Every(interval));
                settings.poll_by = None;
            })
        }

        /// Whether polling goes on while the application is out of focus. Default: it pauses.
        pub fn poll_in_background(self, on: bool) -> Self {
            self.change(|settings| settings.poll_in_background = Some(on))
        }

        /// Polls only once no message has come for so long, or the stream is silent or down: a
        /// net under a stream.
        pub fn poll_only_if_quiet_for(self, quiet: Duration) -> Self {
            self.change(|settings| settings.poll_only_if_quiet_for = Some(quiet))
        }

        /// The data is a list of objects, and the member `id` says which item each is. Membership
        /// and order are the list's; each item lives in the slot of its id, under the entity that
        /// the key begins with, where streams and detail queries write it too.
        ///
        /// A list gives some fields of an item: it sets those and keeps others, and the item is
        /// [`Partial`](crate::Reasons::PARTIAL) until a whole value comes.
        ///
        /// An answer with an item that cannot be read, or that is nested too deep or too large, is
        /// refused before anything of it is written. Where the entity has no room for all ids, or
        /// changes hands while they are written, the fetch fails half-way: the items that were
        /// written stay, they are what the server says of them; the list keeps the members it had.
        pub fn list(self, id: &str) -> Self {
            self.list_at(&[], &[id])
        }

        /// As [`list`](Self::list), for an answer that holds the array somewhere inside, or items
        /// that hold their id somewhere inside: both are paths of member names, as in
        /// `list_at(&["result", "items"], &["id"])`.
        pub fn list_at(self, items: &[&str], id: &[&str]) -> Self {
            let shape = ListShape {
                items: pointer(items),
                id: pointer(id),
            };
            self.change(|settings| settings.list = Some(shape))
        }

        /// Data that the query begins with, as if it had been fetched now: real content, which stale
        /// times count from and a reset goes back to. Not for values that a feed has written.
        ///
        /// # Panics
        /// If the value has no JSON form, such as a map whose keys are no texts.
        #[track_caller]
        pub fn initial(self, value: impl Serialize) -> Self {
            let initial = initial_value(&value, None);
            self.change(|settings| settings.initial = Some(initial))
        }

        /// As [`initial`](Self::initial), as if it had been fetched at that time.
        ///
        /// # Panics
        /// As [`initial`](Self::initial).
        #[track_caller]
        pub fn initial_at(self, value: impl Serialize, at: Time) -> Self {
            let initial = initial_value(&value, Some(at));
            self.change(|settings| settings.initial = Some(initial))
        }

        /// Whether equal parts of a document's old and new value are shared, so that an answer
        /// without news is no news. Default: they are.
        pub fn sharing(self, on: bool) -> Self {
            self.change(|settings| settings.sharing = Some(on))
        }

        /// How a fetch's answer meets what came while it ran. Default: [`Order::Underneath`].
        pub fn order(self, order: Order) -> Self {
            self.change(|settings| settings.order = Some(order))
        }
    };
}

pub(super) use setters;

#[track_caller]
pub(super) fn initial_value(value: &impl Serialize, at: Option<Time>) -> Initial {
    let initial = serde_json::to_string(value)
        .map_err(|error| error.to_string())
        .and_then(|json| Initial::new(&json, at).map_err(|error| error.to_string()));
    match initial {
        Ok(initial) => initial,
        Err(error) => panic!("initial data without a JSON form: {error}"),
    }
}

/// Where a path of member names leads.
pub(super) fn pointer(path: &[&str]) -> Pointer {
    let text: String = path
        .iter()
        .map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")))
        .collect();
    Pointer::new(&text).expect("its names are escaped")
}

/// A poll function of a state with data of type `T`, as the slow plane calls it.
pub(super) fn poll_by<T, F>(shared: &Arc<Shared>, lens: Lens<T>, poll: F) -> PollBy
where
    T: DeserializeOwned + Send + Sync + 'static,
    F: Fn(&QueryState<T>) -> Poll + Send + Sync + 'static,
{
    // The plane is the cache's: a strong handle in it would keep both for ever.
    let shared = Arc::downgrade(shared);
    Arc::new(move |query, state| match shared.upgrade() {
        Some(shared) => poll(&seen_by(shared, query, state, &lens)),
        None => Poll::Stop,
    })
}

/// A stale time that is a function of the state, as the slow plane calls it.
pub(super) fn stale_by<T, F>(shared: &Arc<Shared>, lens: Lens<T>, stale: F) -> StaleBy
where
    T: DeserializeOwned + Send + Sync + 'static,
    F: Fn(&QueryState<T>) -> StaleTime + Send + Sync + 'static,
{
    let shared = Arc::downgrade(shared);
    Arc::new(move |query, state| match shared.upgrade() {
        Some(shared) => stale(&seen_by(shared, query, state, &lens)),
        None => StaleTime::Never,
    })
}

fn seen_by<T: DeserializeOwned>(
    shared: Arc<Shared>,
    query: &Arc<Query>,
    state: &plane::State,
    lens: &Lens<T>,
) -> QueryState<T> {
    let source = Source::new(shared, Arc::clone(query));
    lens.of(&source, &source.content(), Machine::of(state))
}

/// Settings for all queries under a key; made by [`Cache::defaults`](crate::Cache::defaults). Each
/// call acts at once, on queries that there are and on those to come.
///
/// Of two keys that say something about a query, the longer one counts; what the query itself was
/// told counts before both.
pub struct Defaults {
    shared: Arc<Shared>,
    key: Key,
}

impl Defaults {
    pub(super) fn new(shared: Arc<Shared>, key: Key) -> Self {
        Self { shared, key }
    }

    fn change(self, change: impl FnOnce(&mut Settings)) -> Self {
        let changed = self.shared.plane().change_defaults(&self.key, change);
        if let Err(error) = changed {
            // Closed, or without a thread to run on: queries say so themselves when they are used.
            tracing::error!(key = %self.key, %error, "a default of queries is not set");
        }
        self
    }

    setters!(fetch);

    /// Whether and how often to poll, as a function of the state: of data of type `T`, which may
    /// be absent. See [`QueryBuilder::poll`](crate::QueryBuilder::poll).
    pub fn poll<T, F>(self, poll: F) -> Self
    where
        T: DeserializeOwned + Send + Sync + 'static,
        F: Fn(&QueryState<T>) -> Poll + Send + Sync + 'static,
    {
        let poll = poll_by(&self.shared, Lens::plain(), poll);
        self.change(|settings| {
            settings.poll = None;
            settings.poll_by = Some(poll);
        })
    }

    /// How long data counts as fresh, as a function of the state. See
    /// [`QueryBuilder::stale_by`](crate::QueryBuilder::stale_by).
    pub fn stale_by<T, F>(self, stale: F) -> Self
    where
        T: DeserializeOwned + Send + Sync + 'static,
        F: Fn(&QueryState<T>) -> StaleTime + Send + Sync + 'static,
    {
        let stale = stale_by(&self.shared, Lens::plain(), stale);
        self.change(|settings| {
            settings.stale = None;
            settings.stale_by = Some(stale);
        })
    }

    /// Takes over what a configuration says.
    pub fn config(self, config: QueryConfig) -> Self {
        self.change(|settings| *settings = config.settings.over(settings))
    }
}

impl fmt::Debug for Defaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Defaults")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Settings on their own, to be given to [`Defaults::config`] or
/// [`QueryBuilder::config`](crate::QueryBuilder::config): those of the three ways to keep a value up
/// to date, or any others.
///
/// ```
/// use std::time::Duration;
/// use tickcache::{Cache, QueryConfig, key};
///
/// # fn main() -> Result<(), tickcache::BuildError> {
/// let cache = Cache::builder().build()?;
/// cache.defaults(key![]).config(QueryConfig::stream_driven());
/// cache.defaults(key!["report"]).config(QueryConfig::polling(Duration::from_secs(30)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct QueryConfig {
    settings: Settings,
}

impl QueryConfig {
    /// Says nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// For values of which events say that they have changed: data is stale at once, and fetched
    /// by new observers, on focus, on reconnect, and when an event invalidates it while it is
    /// observed. These are the defaults, said outright.
    pub fn event_driven() -> Self {
        Self::new()
            .stale_after(Duration::ZERO)
            .refetch_on_mount(Refetch::IfStale)
            .refetch_on_focus(Refetch::IfStale)
            .refetch_on_reconnect(Refetch::IfStale)
            .poll_every(Duration::ZERO)
    }

    /// For values that a stream keeps up: data never turns stale by age, and neither focus nor
    /// reconnect fetches. What remains is the first load, and what is invalidated: by events, and
    /// by every open of the stream's connection.
    pub fn stream_driven() -> Self {
        Self::new()
            .stale_never()
            .refetch_on_focus(Refetch::Never)
            .refetch_on_reconnect(Refetch::Never)
    }

    /// For values without a stream: fetched so often while observed and in focus.
    pub fn polling(interval: Duration) -> Self {
        Self::new().poll_every(interval).poll_in_background(false)
    }

    fn change(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    pub(super) fn into_settings(self) -> Settings {
        self.settings
    }

    setters!(fetch);
}
