//! Why a query has no answer.

use super::fetch_error::FetchError;
use crate::io::inbox::CommandError;
use crate::key::Key;

/// Why a query has no answer.
#[derive(Clone, Debug)]
pub(crate) enum QueryError {
    /// The fetch failed, after its retries.
    Failed(FetchError),
    /// The fetch was cancelled, or the query was removed.
    Cancelled,
    /// Nobody has said how to fetch it.
    NoFetcher(Key),
    /// The key is in use as something else: it was declared a list after it was used as a plain value,
    /// or the other way about.
    OtherPlace(Key),
    /// A list's key does not begin with the name of its entity.
    NoEntity(Key),
    /// There may be no more entities, or no more ids of this one.
    Full(Key),
    /// The value could not be handed to the owner of the entity.
    Owner(CommandError),
    /// The value is not JSON; this is what the reader says.
    NotJson(String),
    /// A list is written through its items.
    IsList(Key),
    /// Another write came in between.
    Moved,
    /// The system gave no thread to fetch on.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "there is none to make")
    )]
    NoRuntime(String),
    /// The cache has been closed, or the runtime that it fetches on has ended.
    Closed,
}

impl std::fmt::Display for QueryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "the fetch failed: {error}"),
            Self::Cancelled => f.write_str("the fetch was cancelled"),
            Self::NoFetcher(key) => write!(f, "nothing says how {key} is fetched"),
            Self::OtherPlace(key) => {
                write!(
                    f,
                    "{key} is in use already, and not as what it is declared now"
                )
            }
            Self::NoEntity(key) => {
                write!(
                    f,
                    "{key} is no list's key: that begins with the name of its entity"
                )
            }
            Self::Full(key) => write!(
                f,
                "{key} has no place: there are as many entities, or ids, as the cache may have"
            ),
            Self::Owner(error) => error.fmt(f),
            Self::NotJson(error) => write!(f, "the value is not JSON: {error}"),
            Self::IsList(key) => write!(f, "{key} is a list, which is written through its items"),
            Self::Moved => f.write_str("another write came in between"),
            Self::NoRuntime(error) => write!(f, "there is nothing to fetch on: {error}"),
            Self::Closed => f.write_str("the cache has been closed"),
        }
    }
}

impl std::error::Error for QueryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::Owner(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CommandError> for QueryError {
    fn from(error: CommandError) -> Self {
        Self::Owner(error)
    }
}
