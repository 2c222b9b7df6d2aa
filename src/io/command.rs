//! What other threads may ask of a feed.

use crate::feed::{Subscription, Update};
use crate::key::Id;
use std::fmt;
use std::sync::Arc;

/// A command for the owner.
pub(crate) enum Command {
    /// Publishes a value.
    Set {
        entity: Arc<str>,
        id: Id,
        update: Update,
        /// JSON text.
        value: Vec<u8>,
    },
    /// Removes a value.
    Remove {
        entity: Arc<str>,
        id: Id,
        update: Update,
    },
    /// Ends a value's slot: the id is unknown from then on.
    Purge { entity: Arc<str>, id: Id },
    /// Wants subscriptions, all or none.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feed threads need it")
    )]
    Subscribe(Vec<Subscription>),
    /// Takes subscriptions back.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feed threads need it")
    )]
    Unsubscribe(Vec<Subscription>),
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { entity, id, .. } => write!(f, "Set({entity}, {id})"),
            Self::Remove { entity, id, .. } => write!(f, "Remove({entity}, {id})"),
            Self::Purge { entity, id } => write!(f, "Purge({entity}, {id})"),
            Self::Subscribe(wanted) => write!(f, "Subscribe({})", wanted.len()),
            Self::Unsubscribe(unwanted) => write!(f, "Unsubscribe({})", unwanted.len()),
        }
    }
}
