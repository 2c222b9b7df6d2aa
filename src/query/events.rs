//! What the machine says: actions for the plane, events for whoever listens.

use super::ids::{FetchId, ObserverId, PromiseId, QueryIx};
use crate::key::Key;

/// What the plane has to do next, in the order in which it was decided.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action<E> {
    /// Run the fetcher. Exactly one of `handle_landed`, `handle_failed` and [`Action::Abort`]
    /// ends an attempt.
    Start {
        /// Which query.
        query: QueryIx,
        /// Which fetch.
        fetch: FetchId,
        /// Which attempt of it, from 1.
        attempt: u32,
    },
    /// Stop the attempt that is running and drop its result. Never said once `may_land` was true.
    Abort {
        /// Which fetch.
        fetch: FetchId,
    },
    /// Tell who waits. Said exactly once for every promise.
    Settle {
        /// Which promise.
        promise: PromiseId,
        /// How it ended.
        outcome: Outcome<E>,
    },
    /// The state that observers see has changed: read `info` again. At most one is waiting per
    /// query.
    Changed {
        /// Which query.
        query: QueryIx,
    },
    /// Ask the functions of the state that this observer has, and report `answer`.
    Ask {
        /// Which query.
        query: QueryIx,
        /// Whose functions.
        observer: ObserverId,
    },
    /// Put the initial data back, or remove what is there, and report `handle_restored`.
    Restore {
        /// Which query.
        query: QueryIx,
    },
    /// The query is gone; its indices name nothing from here on.
    Removed {
        /// Which query it was.
        query: QueryIx,
        /// Its key.
        key: Key,
    },
    /// Tell those who listen.
    Event(CacheEvent),
}

/// How a promise ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome<E> {
    /// There is data, or the certainty that there is none.
    Data,
    /// The last attempt failed.
    Failed(E),
    /// The fetch was cancelled and nothing is there; or the query was reset or removed.
    Cancelled,
}

/// Something that happened to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheEvent {
    /// The query's key.
    pub key: Key,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// It was made.
    Added,
    /// Its state changed.
    Updated(Update),
    /// Somebody observes it now.
    ObserverAdded,
    /// Somebody does not any more.
    ObserverRemoved,
    /// What one of its observers sees has changed; said before [`EventKind::Updated`].
    ObserverResults,
    /// It was removed or collected.
    Removed,
}

/// Why a query's state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Update {
    /// A fetch began.
    Fetch,
    /// A fetch brought data.
    Success,
    /// An attempt failed and there will be another.
    Failed,
    /// A fetch failed for good.
    Error,
    /// The application wrote it.
    Set,
    /// It was found invalidated.
    Invalidate,
    /// A fetch waits for the network or for focus.
    Pause,
    /// A fetch that waited goes on.
    Continue,
    /// A fetch was cancelled.
    Cancel,
    /// It was put back to its initial state.
    Reset,
}
