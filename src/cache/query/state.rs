//! What is known about a query at one moment: its data, and the facts beside it.

use std::fmt;

use super::error::QueryError;
use crate::Time;
use crate::cache::freshness::{Freshness, Reasons};
use crate::io::plane::FetchError;
use crate::query::{FetchStatus, Status};
use crate::record::Tree;
use crate::sync::Arc;

/// What is known about a query at one moment. A clone is one reference count.
///
/// Facts that others fold into one are kept apart here:
///
/// | question | answer |
/// |---|---|
/// | is there data? | [`status`](Self::status), [`data`](Self::data) |
/// | is somebody fetching? | [`fetch_status`](Self::fetch_status) |
/// | did the last fetch fail? | [`error`](Self::error), beside the data |
/// | what is the data worth? | [`freshness`](Self::freshness): connection, gaps, invalidation |
/// | would it be fetched if somebody asked? | [`is_stale`](Self::is_stale) |
///
/// An error of a fetch says nothing against data that a stream keeps up (D8).
pub struct QueryState<T: ?Sized>(pub(super) Arc<Facts<T>>);

/// The facts of a [`QueryState`].
pub(super) struct Facts<T: ?Sized> {
    pub(super) machine: Machine,
    pub(super) data: Option<Arc<T>>,
    /// The data is there but does not fit the type, or the selector refused it.
    pub(super) unreadable: Option<QueryError>,
    pub(super) freshness: Freshness,
    pub(super) version: Version,
    pub(super) updated_at: Option<Time>,
    pub(super) received_at: Option<Time>,
    pub(super) stale: bool,
    pub(super) placeholder: bool,
    /// Something is known: there is data, whether or not it fits the type, or none for certain.
    pub(super) known: bool,
}

/// What the state machine of the slow plane knows, whatever the type.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) fetch_status: FetchStatus,
    pub(super) error: Option<QueryError>,
    pub(super) error_at: Option<Time>,
    pub(super) errors: u64,
    pub(super) failures: u32,
    pub(super) failure: Option<FetchError>,
    pub(super) updates: u64,
}

/// Which version of its data a state shows. Equal versions of one query are the same data.
#[derive(Clone, Debug, Default)]
pub(super) enum Version {
    /// There is none.
    #[default]
    None,
    /// The publication of a slot.
    Slot(u64),
    /// The version of a document, and the value: an equal answer shares it with the one before.
    Document(u64, Tree),
    /// The version of a list's membership, and the publications of its items.
    List(u64, Arc<[u64]>),
}

impl Version {
    fn number(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Slot(number) | Self::Document(number, _) | Self::List(number, _) => *number,
        }
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Slot(one), Self::Slot(other)) => one == other,
            (Self::Document(_, one), Self::Document(_, other)) => one.is_same(other),
            (Self::List(one, items), Self::List(other, others)) => one == other && items == others,
            _ => false,
        }
    }
}

impl<T: ?Sized> QueryState<T> {
    /// What is known about the data: `Error` if the last fetch that settled has failed or the data
    /// does not fit the type, else `Success` if there is data (a placeholder included) or it
    /// is known that there is none, else `Pending`.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.error().is_some() {
            Status::Error
        } else if self.0.data.is_some() || self.0.known {
            Status::Success
        } else {
            Status::Pending
        }
    }

    /// What the fetcher does: nothing, fetching (waiting for a retry included), or waiting for the
    /// network.
    #[must_use]
    pub fn fetch_status(&self) -> FetchStatus {
        self.0.machine.fetch_status
    }

    /// The data, whatever it is worth: ask [`freshness`](Self::freshness). `None` if there is none,
    /// or it does not fit the type; [`error`](Self::error) then says why.
    #[must_use]
    pub fn data(&self) -> Option<&T> {
        self.0.data.as_deref()
    }

    /// As [`data`](Self::data), to keep. Everybody who asks this handle for the same version shares
    /// one.
    #[must_use]
    pub fn shared(&self) -> Option<Arc<T>> {
        self.0.data.clone()
    }

    /// The data, if it is live.
    #[must_use]
    pub fn live(&self) -> Option<&T> {
        self.data()
            .filter(|_| self.0.freshness.is_live() && !self.0.placeholder)
    }

    /// Why the data cannot be shown, else how the last fetch failed, until one succeeds or the data
    /// is set or reset. Kept beside the data of before.
    #[must_use]
    pub fn error(&self) -> Option<&QueryError> {
        self.0.unreadable.as_ref().or(self.0.machine.error.as_ref())
    }

    /// When the last fetch failed, if any did.
    #[must_use]
    pub fn error_at(&self) -> Option<Time> {
        self.0.machine.error_at
    }

    /// How many fetches have failed for good so far.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.0.machine.errors
    }

    /// How often the fetch that runs, or the last one, has failed so far: 0 once one succeeds.
    #[must_use]
    pub fn failure_count(&self) -> u32 {
        self.0.machine.failures
    }

    /// The last failure of the fetch that runs, or of the last one.
    #[must_use]
    pub fn failure(&self) -> Option<&FetchError> {
        self.0.machine.failure.as_ref()
    }

    /// How many fetches and client writes have succeeded so far; what streams write is not among
    /// them.
    #[must_use]
    pub fn update_count(&self) -> u64 {
        self.0.machine.updates
    }

    /// What the data is worth: live, or stale and why.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.0.freshness
    }

    /// Whether the data is older than the stale time, doubtful, or not there: a query that is stale
    /// is fetched when somebody starts to observe it.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.0.stale
    }

    /// Whether something has happened that the data does not know of yet.
    #[must_use]
    pub fn is_invalidated(&self) -> bool {
        self.0.freshness.reasons().contains(Reasons::INVALIDATED)
    }

    /// Whether the data stands in for data that is still to come.
    #[must_use]
    pub fn is_placeholder(&self) -> bool {
        self.0.placeholder
    }

    /// Whether there is neither data nor an error yet.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.status() == Status::Pending
    }

    /// Whether there is data and the last fetch, if any, did not fail.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status() == Status::Success
    }

    /// Whether [`error`](Self::error) has something to say.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.status() == Status::Error
    }

    /// Whether a fetch runs, or waits for a retry.
    #[must_use]
    pub fn is_fetching(&self) -> bool {
        self.fetch_status() == FetchStatus::Fetching
    }

    /// When the last *whole* value came: what stale times count from.
    #[must_use]
    pub fn updated_at(&self) -> Option<Time> {
        self.0.updated_at
    }

    /// When the last data of any kind came, patches included.
    #[must_use]
    pub fn received_at(&self) -> Option<Time> {
        self.0.received_at
    }

    /// The number of the data's version: of a slot its publication, of a document its version, of a
    /// list that of its membership. 0 if there is none.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.0.version.number()
    }

    /// Whether an observer would have nothing to tell between the two.
    pub(super) fn same(&self, other: &Self) -> bool {
        let key = |state: &Self| {
            let Facts { machine, .. } = &*state.0;
            (
                state.status(),
                machine.fetch_status,
                machine.errors,
                machine.failures,
                state.0.freshness,
                state.0.stale,
                state.0.placeholder,
            )
        };
        let data = |state: &Self| state.0.data.as_ref().map(|data| Arc::as_ptr(data).addr());
        key(self) == key(other)
            && self.0.version == other.0.version
            && (!self.0.placeholder || data(self) == data(other))
    }
}

impl<T: ?Sized> Clone for QueryState<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for QueryState<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryState")
            .field("status", &self.status())
            .field("fetch_status", &self.fetch_status())
            .field("freshness", &self.freshness())
            .field("data", &self.data())
            .field("error", &self.error())
            .finish_non_exhaustive()
    }
}
