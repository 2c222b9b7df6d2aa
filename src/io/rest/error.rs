//! Why a request came to nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::io::connect::{ConnectError, UrlError};

/// Why a request came to nothing. No variant holds a secret: no query and no header's value.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestError {
    /// The server's address cannot be used.
    #[error("the address of the server cannot be used: {0}")]
    Url(#[from] UrlError),
    /// The feed connects to a server of its own, and nobody has said where else that is to be asked.
    #[error("the feed has a base of its own: say with `rest_base` where its values are asked for")]
    NoBase,
    /// What was asked for is no path with a query: it begins with a slash and has no white space.
    #[error("what is asked for is no path that begins with a slash")]
    Path,
    /// A header cannot be sent.
    #[error("the header {0:?} cannot be sent")]
    Header(String),
    /// The request was not made on a tokio runtime.
    #[error("a request needs a tokio runtime to run on")]
    NoRuntime,
    /// There is no connection to the server.
    #[error(transparent)]
    Connect(Arc<ConnectError>),
    /// The connection broke, or what came over it is not HTTP.
    #[error("the request broke off: {0}")]
    Broken(String),
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The server refuses the request.
    #[error("the server answered {status}: {body}")]
    Status {
        /// Its HTTP status.
        status: u16,
        /// For how long it asks to be left alone, as far as it is believed.
        retry_after: Option<Duration>,
        /// The beginning of the answer.
        body: String,
    },
    /// The server has asked to be left alone; nothing was sent.
    #[error("the server asks to be left alone for another {left:?}")]
    Held {
        /// For how long.
        left: Duration,
    },
    /// The answer is longer than it may be.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The answer says that it is something else than JSON.
    #[error("the answer is no JSON but {0:?}")]
    NotJson(String),
}

impl RestError {
    /// Whether the same request may succeed later although nobody changes anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_retryable(),
            Self::Broken(_) | Self::TimedOut(_) | Self::Held { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 418 | 429 | 500..=599),
            _ => false,
        }
    }

    /// For how long the server asks to be left alone, if it does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Held { left } => Some(*left),
            _ => None,
        }
    }
}
