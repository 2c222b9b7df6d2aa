//! Why a fetch came to nothing.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::feed::Refusal;
use crate::io::inbox::CommandError;
#[cfg(feature = "net")]
use crate::io::rest::RestError;

/// Why a fetch came to nothing. A clone is one reference count.
///
/// Made by `?` from whatever error a fetcher meets, or by [`FetchError::new`] from a text. It is no
/// [`Error`] itself, since then it could not be made from every other one; [`FetchError::source`]
/// gives what it was made from.
///
/// ```
/// use tickcache::FetchError;
///
/// fn answer(text: &str) -> Result<i64, FetchError> {
///     Ok(text.parse()?)
/// }
/// let error = answer("seven").expect_err("no number");
/// assert_eq!(error.to_string(), "invalid digit found in string");
/// assert!(error.user::<std::num::ParseIntError>().is_some());
/// ```
#[derive(Clone)]
pub struct FetchError(Arc<FetchErrorKind>);

/// What kind of [`FetchError`] it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// The fetcher's own.
    User(Box<dyn Error + Send + Sync>),
    /// The answer was taken at sequence `as_of`, and the value held is of the later `held`.
    TooOld {
        /// Of the answer.
        as_of: u64,
        /// Of the value that stays.
        held: u64,
    },
    /// What came while the fetch ran was not kept, because the entity changed its owner or too much
    /// came: the answer could not be laid under it.
    Lost,
    /// The answer of a list is no list of items with ids. Nothing of it was taken.
    NotAList {
        /// The item, from 0; `None` if it is the answer as a whole.
        index: Option<usize>,
        /// What is wrong with it.
        why: NotAList,
    },
    /// The answer is not JSON; this is what the reader says.
    NotJson(String),
    /// The value was refused, as a message of a feed with the same content would have been.
    Refused(Refusal),
    /// The owner of the entity could not take the answer.
    Owner(CommandError),
    /// The key names no id, and the fetcher has asked for one.
    NoId(crate::Key),
    /// The fetcher panicked, with this message.
    Panicked(String),
    /// The fetch was given up before it had an answer.
    Cancelled,
    /// The fetcher had no answer in time, and others waited for its place.
    TimedOut(Duration),
    /// The server asks to be left alone for so long.
    Later {
        /// From when the fetcher failed.
        after: Duration,
        /// What it says.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// What is wrong with the answer of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAList {
    /// There is no array where the items should be.
    #[error("there is no array where the items should be")]
    NoArray,
    /// The item is no object.
    #[error("it is no object")]
    NoObject,
    /// The item has no id where it should be.
    #[error("it has no id")]
    NoId,
    /// What stands where the id should be is neither a text nor an integer.
    #[error("its id is neither a text nor an integer")]
    BadId,
}

impl FetchError {
    /// An error that says this.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self::of(FetchErrorKind::User(text.into().into()))
    }

    /// The server asks to be left alone for `after`: no retry comes before that, and where a feed is
    /// [resynced](crate::Feed::resync), nothing else of it is asked for until then either.
    #[must_use]
    pub fn later(after: Duration, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(FetchErrorKind::Later {
            after,
            source: error.into(),
        })
    }

    /// For how long the server asks to be left alone, if it does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind() {
            FetchErrorKind::Later { after, .. } => Some(*after),
            #[cfg(feature = "net")]
            FetchErrorKind::User(_) => self.user::<RestError>()?.retry_after(),
            _ => None,
        }
    }

    pub(crate) fn of(kind: FetchErrorKind) -> Self {
        Self(Arc::new(kind))
    }

    pub(crate) fn not_a_list(index: impl Into<Option<usize>>, why: NotAList) -> Self {
        let index = index.into();
        Self::of(FetchErrorKind::NotAList { index, why })
    }

    pub(crate) fn owner(error: CommandError) -> Self {
        Self::of(match error {
            CommandError::Refused(refusal) => FetchErrorKind::Refused(refusal),
            error => FetchErrorKind::Owner(error),
        })
    }

    /// Of what a panic threw.
    pub(crate) fn panicked(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned());
        let text = text.unwrap_or_else(|| "it panicked, without a text".to_owned());
        Self::of(FetchErrorKind::Panicked(text))
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> &FetchErrorKind {
        &self.0
    }

    /// The fetcher's own error, if it is one and of this type.
    #[must_use]
    pub fn user<E: Error + 'static>(&self) -> Option<&E> {
        match &*self.0 {
            FetchErrorKind::User(error) | FetchErrorKind::Later { source: error, .. } => {
                error.downcast_ref()
            }
            _ => None,
        }
    }

    /// The error behind this one, if there is one.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &*self.0 {
            FetchErrorKind::User(error) | FetchErrorKind::Later { source: error, .. } => {
                Some(&**error)
            }
            FetchErrorKind::Refused(refusal) => Some(refusal),
            FetchErrorKind::Owner(error) => Some(error),
            FetchErrorKind::NotAList { why, .. } => Some(why),
            _ => None,
        }
    }

    /// Whether the fetch was given up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(*self.0, FetchErrorKind::Cancelled)
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for FetchError {
    fn from(error: E) -> Self {
        Self::of(FetchErrorKind::User(Box::new(error)))
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            FetchErrorKind::User(error) => error.fmt(f),
            FetchErrorKind::TooOld { as_of, held } => write!(
                f,
                "the answer is of sequence {as_of}, and the value held is of {held}"
            ),
            FetchErrorKind::Lost => f.write_str(
                "what came while the fetch ran was not kept, so its answer is of no use",
            ),
            FetchErrorKind::NotAList { index: None, why } => write!(f, "no list: {why}"),
            FetchErrorKind::NotAList {
                index: Some(index),
                why,
            } => write!(f, "no list: item {index}: {why}"),
            FetchErrorKind::NotJson(error) => write!(f, "the answer is not JSON: {error}"),
            FetchErrorKind::Refused(refusal) => write!(f, "the value is refused: {refusal}"),
            FetchErrorKind::Owner(error) => write!(f, "the answer could not be stored: {error}"),
            FetchErrorKind::NoId(key) => write!(f, "the key {key} names no id"),
            FetchErrorKind::Panicked(text) => write!(f, "the fetcher panicked: {text}"),
            FetchErrorKind::Cancelled => f.write_str("the fetch was cancelled"),
            FetchErrorKind::TimedOut(after) => {
                write!(f, "the fetcher had no answer within {after:?}")
            }
            FetchErrorKind::Later { after, source } => {
                write!(f, "{source} (to be asked again after {after:?})")
            }
        }
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FetchError").field(&self.0).finish()
    }
}
