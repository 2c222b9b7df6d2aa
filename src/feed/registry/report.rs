//! How far subscriptions are, for whoever asks; and which are granted and bring nothing.
//!
//! A [`Registry`] writes down what changes ([`Standing`]); a `Report` keeps the outcome, where
//! anyone may look. A stream that the server has granted, and whose value has received nothing for
//! `first_data_within`, is reported once for each connection. What it has received is looked up
//! when the time has come, so a message costs nothing.

use std::time::Duration;

#[cfg(feature = "net")]
mod kept;

#[cfg(feature = "net")]
pub(crate) use kept::Report;

use super::{Registry, State};
use crate::Time;
use crate::feed::protocol::{SubscribeError, Subscription};

/// What the server has said about a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It is wanted, and has no answer on the present connection.
    Pending,
    /// The server keeps it up.
    Granted,
    /// The server did not answer in time. It stays wanted: the answer may be all that was lost.
    Unanswered,
    /// It was given up, for this reason.
    Denied(SubscribeError),
    /// It was taken back.
    Ended,
}

/// More changes than anybody has asked for are forgotten: the whole is told instead.
const MAX_CHANGES: usize = 16_384;

/// Changes that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Changes {
    log: Vec<(Subscription, Standing)>,
    overflown: bool,
}

impl Changes {
    pub(super) fn push(&mut self, subscription: &Subscription, standing: Standing) {
        if self.log.len() == MAX_CHANGES {
            self.log.clear();
            self.overflown = true;
        }
        self.log.push((subscription.clone(), standing));
    }
}

/// What is new about the subscriptions of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standings {
    /// Whether this is all there is, instead of what has changed.
    pub all: bool,
    /// Subscriptions, each with what the server has said about it last.
    pub changes: Vec<(Subscription, Standing)>,
}

impl Registry {
    /// What has changed since the last call, if anything has.
    pub(in crate::feed) fn take_changes(&mut self) -> Option<Standings> {
        let Changes { log, overflown } = &mut self.changes;
        if log.is_empty() && !*overflown {
            return None;
        }
        if std::mem::take(overflown) {
            log.clear();
            return Some(self.standings());
        }
        let changes = std::mem::take(log);
        Some(Standings {
            all: false,
            changes,
        })
    }

    /// Everything, as it stands.
    pub(in crate::feed) fn standings(&self) -> Standings {
        let entries = self.entries.values().filter_map(|entry| {
            let standing = match entry.state {
                State::Waiting | State::Riding | State::Asked => Standing::Pending,
                State::Held => Standing::Granted,
                State::Leaving | State::Left => return None,
            };
            Some((entry.subscription.clone(), standing))
        });
        Standings {
            all: true,
            changes: entries.collect(),
        }
    }
}

/// How far a subscription is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriptionState {
    /// It is wanted, and has no answer on the present connection, or there is no connection.
    Pending,
    /// The server has granted it; no data has come yet, or it is of many values, of which nobody
    /// can say.
    Granted {
        /// When it was granted.
        since: Time,
    },
    /// Data comes.
    Flowing,
    /// The server has granted it, and no data has come for longer than `first_data_within`.
    Silent {
        /// For how long: since its last data, or since it was granted.
        quiet: Duration,
    },
    /// It was given up, for this reason.
    Denied(SubscribeError),
    /// The server did not answer, and no data has come. It stays wanted.
    Unanswered,
}

/// One subscription of a feed, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionStatus {
    /// The stream.
    pub subscription: Subscription,
    /// How far it is.
    pub state: SubscriptionState,
}

#[cfg(all(test, feature = "net"))]
mod tests;
