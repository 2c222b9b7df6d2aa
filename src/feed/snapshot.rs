//! How the present value of a stream is asked for where a stream cannot say it: by a request, whose
//! answer is, or maps exactly to, what the stream would send.

use std::fmt;

use thiserror::Error;

/// A request for the present value of one id.
#[derive(Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// Scheme and host that it is sent to, unless the feed is told another one. Empty: it has to
    /// be told, since its streams are of a server that has no such public host.
    pub base: &'static str,
    /// Path and query, from the slash on.
    pub path_and_query: String,
    /// Headers to be sent with it; their values are shown nowhere.
    pub headers: Vec<(String, String)>,
    /// Takes the value out of the answer.
    pub take: TakeValue,
}

/// Takes the value out of an answer's body.
pub type TakeValue = fn(&[u8]) -> Result<Taken, SnapshotError>;

/// What an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The value as the stream would send it: JSON text, every token as it came.
    pub value: Vec<u8>,
    /// Where it stands in the numbering of the stream, if it says.
    pub as_of: Option<u64>,
}

impl Taken {
    /// A value without a number.
    #[must_use]
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self {
            value: value.into(),
            as_of: None,
        }
    }

    /// The same, of this number.
    #[must_use]
    pub const fn as_of(mut self, number: Option<u64>) -> Self {
        self.as_of = number;
        self
    }
}

/// Why an answer holds no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The server says that it cannot answer.
    #[error("the server says: {0}")]
    Server(String),
    /// The answer is not what the exchange documents.
    #[error("the answer is not of the documented shape: {0}")]
    Shape(String),
}

impl Snapshot {
    /// A request without headers of its own.
    #[must_use]
    pub fn new(base: &'static str, path_and_query: impl Into<String>, take: TakeValue) -> Self {
        Self {
            base,
            path_and_query: path_and_query.into(),
            headers: Vec::new(),
            take,
        }
    }

    /// Sends a header: an API key.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&String> = self.headers.iter().map(|(name, _)| name).collect();
        let path = self.path_and_query.split('?').next();
        f.debug_struct("Snapshot")
            .field("base", &self.base)
            .field("path", &path)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}
