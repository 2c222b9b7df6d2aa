//! What a query is told, level over level: of the cache, of the prefixes of its key, its own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::QueryError;
use super::fetcher::Fetcher;
use super::query::{Query, State};
use super::retry::{Retry, RetryDelay};
use crate::Time;
use crate::io::command::Order;
use crate::json::Pointer;
use crate::query::{
    DEFAULT_GC, NetworkMode, ObserverOptions, Options, Poll, Polling, Refetch, StaleTime,
};
use crate::record::Tree;

/// How stale a query may be, by its state. Run on the slow path, with no lock held.
pub(crate) type StaleBy = Arc<dyn Fn(&Arc<Query>, &State) -> StaleTime + Send + Sync>;
/// Whether and how often to poll, by the query's state. Run on the slow path, with no lock held.
pub(crate) type PollBy = Arc<dyn Fn(&Arc<Query>, &State) -> Poll + Send + Sync>;

/// What a query is told on one level. What is `None` is left to the level below.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) stale: Option<StaleTime>,
    /// Instead of `stale`, for observers; of the two, the one on the higher level counts.
    pub(crate) stale_by: Option<StaleBy>,
    /// How long it is kept without use; `Duration::MAX` is for ever. Default 5 minutes.
    pub(crate) gc: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) retry_delay: Option<RetryDelay>,
    pub(crate) network: Option<NetworkMode>,
    pub(crate) on_mount: Option<Refetch>,
    /// Default `IfStale`; `Never` under [`NetworkMode::Always`].
    pub(crate) on_reconnect: Option<Refetch>,
    pub(crate) on_focus: Option<Refetch>,
    pub(crate) enabled: Option<bool>,
    pub(crate) poll: Option<Poll>,
    /// Instead of `poll`; of the two, the one on the higher level counts.
    pub(crate) poll_by: Option<PollBy>,
    pub(crate) poll_in_background: Option<bool>,
    pub(crate) poll_only_if_quiet_for: Option<Duration>,
    /// Whether a write counts as use. Default: it does.
    pub(crate) writes_keep: Option<bool>,
    pub(crate) fetcher: Option<Fetcher>,
    /// What fetches it when its stream has lost it, if there is no other fetcher. It fetches for
    /// nobody else.
    pub(crate) resync: Option<Fetcher>,
    /// It is a list, whose items are values of its entity.
    pub(crate) list: Option<ListShape>,
    pub(crate) order: Option<Order>,
    pub(crate) initial: Option<Initial>,
    /// Whether equal parts of documents keep their memory. Default: they do.
    pub(crate) sharing: Option<bool>,
}

/// Where in the answer of a list its items are, and where in an item its id.
#[derive(Clone, Debug)]
pub(crate) struct ListShape {
    pub(crate) items: Pointer,
    pub(crate) id: Pointer,
}

/// The data that a query begins with, and goes back to.
#[derive(Clone, Debug)]
pub(crate) struct Initial {
    pub(super) tree: Tree,
    /// How old it is; `None`: as old as the query.
    pub(super) at: Option<Time>,
}

impl Initial {
    /// # Errors
    /// [`QueryError::NotJson`].
    pub(crate) fn new(json: &str, at: Option<Time>) -> Result<Self, QueryError> {
        let tree = Tree::parse(json).map_err(|error| QueryError::NotJson(error.to_string()))?;
        Ok(Self { tree, at })
    }
}

impl Settings {
    /// These, and `base` where these say nothing.
    pub(crate) fn over(&self, base: &Self) -> Self {
        fn pick<T: Clone>(own: &Option<T>, base: &Option<T>) -> Option<T> {
            own.as_ref().or(base.as_ref()).cloned()
        }
        let stale = if self.stale.is_some() || self.stale_by.is_some() {
            self
        } else {
            base
        };
        let poll = if self.poll.is_some() || self.poll_by.is_some() {
            self
        } else {
            base
        };
        Self {
            stale: stale.stale,
            stale_by: stale.stale_by.clone(),
            poll: poll.poll,
            poll_by: poll.poll_by.clone(),
            gc: pick(&self.gc, &base.gc),
            retry: pick(&self.retry, &base.retry),
            retry_delay: pick(&self.retry_delay, &base.retry_delay),
            network: pick(&self.network, &base.network),
            on_mount: pick(&self.on_mount, &base.on_mount),
            on_reconnect: pick(&self.on_reconnect, &base.on_reconnect),
            on_focus: pick(&self.on_focus, &base.on_focus),
            enabled: pick(&self.enabled, &base.enabled),
            poll_in_background: pick(&self.poll_in_background, &base.poll_in_background),
            poll_only_if_quiet_for: pick(
                &self.poll_only_if_quiet_for,
                &base.poll_only_if_quiet_for,
            ),
            writes_keep: pick(&self.writes_keep, &base.writes_keep),
            fetcher: pick(&self.fetcher, &base.fetcher),
            resync: pick(&self.resync, &base.resync),
            list: pick(&self.list, &base.list),
            order: pick(&self.order, &base.order),
            initial: pick(&self.initial, &base.initial),
            sharing: pick(&self.sharing, &base.sharing),
        }
    }

    /// What the machine is told of the query.
    pub(super) fn options(&self) -> Options {
        Options {
            stale: self.stale.unwrap_or_default(),
            gc: self.gc.unwrap_or(DEFAULT_GC),
            network: self.network.unwrap_or_default(),
            enabled: self.enabled.unwrap_or(true),
            writes_keep: self.writes_keep.unwrap_or(true),
        }
    }

    /// What the machine is told of an observer. Runs the functions of the state.
    pub(super) fn observer_options(&self, query: &Arc<Query>, state: &State) -> ObserverOptions {
        let network = self.network.unwrap_or_default();
        let reconnect = match network {
            NetworkMode::Always => Refetch::Never,
            _ => Refetch::IfStale,
        };
        ObserverOptions {
            enabled: self.enabled.unwrap_or(true),
            stale: self
                .stale_now(query, state)
                .unwrap_or_else(|| self.stale.unwrap_or_default()),
            on_mount: self.on_mount.unwrap_or_default(),
            on_reconnect: self.on_reconnect.unwrap_or(reconnect),
            on_focus: self.on_focus.unwrap_or_default(),
            polling: self.polling_now(query, state),
            asks: self.asks(),
        }
    }

    /// Whether anything is a function of the state.
    pub(super) fn asks(&self) -> bool {
        self.stale_by.is_some() || self.poll_by.is_some()
    }

    /// What the function of the state says of staleness, if there is one.
    pub(super) fn stale_now(&self, query: &Arc<Query>, state: &State) -> Option<StaleTime> {
        let stale_by = self.stale_by.as_ref()?;
        guarded("stale_by", || stale_by(query, state))
    }

    /// How it polls, as things are.
    pub(super) fn polling_now(&self, query: &Arc<Query>, state: &State) -> Option<Polling> {
        let every = match (&self.poll_by, self.poll) {
            (Some(poll_by), _) => guarded("poll", || poll_by(query, state)).unwrap_or_default(),
            (None, Some(every)) => every,
            (None, None) => return None,
        };
        Some(Polling {
            every,
            in_background: self.poll_in_background.unwrap_or(false),
            only_if_quiet_for: self.poll_only_if_quiet_for,
        })
    }
}

/// Runs a user's function of the state. One that panics has no answer.
fn guarded<T>(what: &str, function: impl FnOnce() -> T) -> Option<T> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    match catch_unwind(AssertUnwindSafe(function)) {
        Ok(answer) => Some(answer),
        Err(payload) => {
            tracing::error!(what, "a function of a query's state panicked");
            // What was thrown may panic in turn when dropped.
            std::mem::forget(payload);
            None
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("stale", &self.stale)
            .field("gc", &self.gc)
            .field("fetcher", &self.fetcher.is_some())
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}
