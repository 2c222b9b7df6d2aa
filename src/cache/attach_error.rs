//! Why a feed cannot be attached.

use std::io;

use super::query::QueryError;
use crate::feed::{ConfigError, SubscribeError};
use crate::io::ingest::ClaimError;
#[cfg(feature = "net")]
use crate::io::rest::RestError;
use crate::sync::Arc;

/// A feed cannot be attached. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// A setting that cannot work.
    #[error("a setting cannot work: {0}")]
    Config(#[from] ConfigError),
    /// A subscription that cannot be asked for.
    #[error("a subscription cannot be asked for: {0}")]
    Subscription(#[from] SubscribeError),
    /// An entity that it declares has an owner.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A feed of this name is attached.
    #[error("a feed named `{0}` is attached already; give this one another name")]
    Name(Arc<str>),
    /// [`Feed::entity_silent_after`](super::Feed::entity_silent_after) names no entity or channel of
    /// it.
    #[error("`entity_silent_after` names `{0}`, which this feed does not write")]
    Unwatchable(Box<str>),
    /// The system gave no thread, poller or runtime.
    #[error("the system gave no thread, poller or runtime: {0}")]
    System(#[from] io::Error),
    /// Its hook for messages of other shapes cannot be run.
    #[error("its hook cannot be run: {0}")]
    Hook(#[from] QueryError),
    /// What its values are resynced from cannot be asked.
    #[cfg(feature = "net")]
    #[error("its values cannot be resynced: {0}")]
    Rest(#[from] RestError),
    /// The cache has been closed.
    #[error("the cache has been closed")]
    Closed,
}

impl AttachError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Claim(ClaimError::Taken { .. }) | Self::Name(_) | Self::System(_)
        )
    }
}
