//! What a fetcher answers.

use serde::Serialize;

use super::fetch_error::{FetchError, FetchErrorKind};

/// The answer of a fetcher: a value, or that there is none.
///
/// ```
/// use tickcache::Fetched;
///
/// let answer = Fetched::json(r#"{"status":"running"}"#).as_of(7);
/// assert_eq!(answer.sequence(), Some(7));
/// ```
#[derive(Debug)]
pub struct Fetched {
    pub(super) value: Answer,
    pub(super) as_of: Option<u64>,
}

#[derive(Debug)]
pub(super) enum Answer {
    /// JSON text, not checked yet.
    Json(Vec<u8>),
    Removed,
    /// It had no JSON form.
    Unfit(FetchError),
}

impl Fetched {
    /// This value. One that has no JSON form (a map with keys that are no texts) makes the fetch fail.
    #[must_use]
    pub fn new(value: impl Serialize) -> Self {
        let value = match serde_json::to_vec(&value) {
            Ok(json) => Answer::Json(json),
            Err(error) => Answer::Unfit(error.into()),
        };
        Self { value, as_of: None }
    }

    /// The value that this text is. Tokens are kept exactly as they stand; text that is not JSON
    /// makes the fetch fail.
    #[must_use]
    pub fn json(text: impl Into<Vec<u8>>) -> Self {
        Self {
            value: Answer::Json(text.into()),
            as_of: None,
        }
    }

    /// There is no such value (any more).
    #[must_use]
    pub fn removed() -> Self {
        Self {
            value: Answer::Removed,
            as_of: None,
        }
    }

    /// The source's sequence up to which the answer holds everything: what a stream sent after it
    /// stays, and an answer older than what is held is dropped.
    #[must_use]
    pub fn as_of(mut self, sequence: u64) -> Self {
        self.as_of = Some(sequence);
        self
    }

    /// The source's sequence that the answer is of, if it says.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.as_of
    }

    /// Bytes of JSON; 0 for a removal.
    pub(super) fn len(&self) -> usize {
        match &self.value {
            Answer::Json(json) => json.len(),
            Answer::Removed | Answer::Unfit(_) => 0,
        }
    }
}

/// Of text that no reader takes.
pub(super) fn not_json(error: impl std::fmt::Display) -> FetchError {
    FetchError::of(FetchErrorKind::NotJson(error.to_string()))
}
