//! Where the messages of one feed become publications: a [`Target`] over the store.
//!
//! A message is a transaction in two steps. While the protocol takes it apart, every patch is
//! compiled, which is all that can fail; when the message is through, everything is published, and
//! nothing of that can fail any more. A refused message leaves no trace, not even a claim.
//!
//! The thread that calls this is the one owner of what it claims. Every message is one turn, with a
//! number that each version carries.

use super::inbox::CommandError;
use super::staging::{Staging, What};
use super::target::Target;
use crate::Time;
use crate::feed::{
    Claims, Connection, Counters, Covers, EntityIx, Held, Missing, OnConnect, Refusal, Rule, Sink,
    Transaction, Update, Verdict,
};
use crate::json::{self, JsonError, Value};
use crate::key::{Id, IdRef};
use crate::record::Limits;
use crate::store::{
    Entity, EntityWriter, Head, Locate, Outcome, Stamp, Store, StoreFull, Taken, TurnCounter, Wakes, flags,
    link,
};
use hashbrown::HashMap;
use std::sync::Arc;

/// How the messages of a feed are taken in.
#[derive(Clone, Debug)]
pub(crate) struct IngestConfig {
    /// The feed's name: the owner of what it claims.
    pub(crate) feed: Arc<str>,
    /// The feed's number among those that cover entities.
    pub(crate) source: u64,
    /// What it owns and vouches for.
    pub(crate) claims: Claims,
    /// What the open of a connection does.
    pub(crate) on_connect: OnConnect,
    /// Bounds of one value.
    pub(crate) limits: Limits,
    /// Most patches of one message.
    pub(crate) max_patches: usize,
    /// The feed's turns; goes on when the feed is restarted.
    pub(crate) turns: Arc<TurnCounter>,
}
