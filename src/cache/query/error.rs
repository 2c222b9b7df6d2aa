//! Why a query has no answer.

use crate::io::inbox::CommandError;
use crate::io::plane::{self, FetchError};
use crate::key::Key;
use crate::record::TypeError;

/// Why a query has no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The fetch failed, after its retries.
    #[error("the fetch failed: {0}")]
    Fetch(FetchError),
    /// There is data, and it is not of the type asked for.
    #[error("the data does not fit: {0}")]
    Decode(#[source] TypeError),
    /// The selector has refused the data.
    #[error("the selector refused the data: {0}")]
    Select(FetchError),
    /// The fetch was cancelled, or the query was removed.
    #[error("the fetch was cancelled")]
    Cancelled,
    /// The fetch waits for the network or for focus: what stood in the way of one that
    /// [timed out](Self::TimedOut).
    #[error("the fetch waits for the network or for focus")]
    Paused,
    /// It did not come about in time.
    #[error("not in time{}", .last.as_ref().map(|last| format!("; at last: {last}")).unwrap_or_default())]
    TimedOut {
        /// What stood in the way at last, if that is known.
        last: Option<Box<Self>>,
    },
    /// Nobody has said how the query is fetched.
    #[error("nothing says how {0} is fetched")]
    NoFetcher(Key),
    /// There is no such value, as far as anybody knows.
    #[error("there is no value for {0}")]
    NoData(Key),
    /// The key is in use as something else: it was declared a list after it was used as a plain
    /// value, or the other way about.
    #[error("{0} is in use already, and not as what it is declared now")]
    OtherPlace(Key),
    /// A list needs a key that begins with the entity of its items.
    #[error("{0} names no entity whose values the items could be")]
    NoEntity(Key),
    /// There may be no more entities, or no more ids of this one.
    #[error("{0} has no place: there are as many entities, or ids, as the cache may have")]
    LimitReached(Key),
    /// A list is written through its items.
    #[error("{0} is a list, which is written through its items")]
    IsList(Key),
    /// The value is not JSON, or has no JSON form; this is what is wrong.
    #[error("the value has no JSON form: {0}")]
    Json(String),
    /// The owner of the entity could not take the value.
    #[error(transparent)]
    Owner(#[from] CommandError),
    /// Other writes came in between, again and again.
    #[error("other writes came in between")]
    Contended,
    /// The system gave no thread to fetch on.
    #[error("there is nothing to fetch on: {0}")]
    NoRuntime(String),
    /// The cache has been closed, or the runtime that it fetches on has ended.
    #[error("the cache has been closed")]
    Closed,
}

impl QueryError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Fetch(_)
            | Self::Cancelled
            | Self::Paused
            | Self::TimedOut { .. }
            | Self::NoData(_)
            | Self::Contended
            | Self::NoRuntime(_) => true,
            Self::Owner(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// The error of the fetch, if it is one's.
    #[must_use]
    pub fn fetch_error(&self) -> Option<&FetchError> {
        match self {
            Self::Fetch(error) => Some(error),
            Self::TimedOut { last: Some(last) } => last.fetch_error(),
            _ => None,
        }
    }
}

impl From<plane::QueryError> for QueryError {
    fn from(error: plane::QueryError) -> Self {
        use plane::QueryError as Plane;
        match error {
            Plane::Failed(error) if error.is_cancelled() => Self::Cancelled,
            Plane::Failed(error) => Self::Fetch(error),
            Plane::Cancelled => Self::Cancelled,
            Plane::NoFetcher(key) => Self::NoFetcher(key),
            Plane::OtherPlace(key) => Self::OtherPlace(key),
            Plane::NoEntity(key) => Self::NoEntity(key),
            Plane::Full(key) => Self::LimitReached(key),
            Plane::Owner(error) => Self::Owner(error),
            Plane::NotJson(error) => Self::Json(error),
            Plane::IsList(key) => Self::IsList(key),
            Plane::Moved => Self::Contended,
            Plane::NoRuntime(error) => Self::NoRuntime(error),
            Plane::Closed => Self::Closed,
        }
    }
}
