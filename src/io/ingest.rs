//! Where the messages of one feed become publications: a [`Target`] over the store.
//!
//! A message is a transaction in two steps. While the protocol takes it apart, every patch is
//! compiled, which is all that can fail; when the message is through, everything is published, and
//! nothing of that can fail any more. A refused message leaves no trace, not even a claim.
//!
//! The thread that calls this is the one owner of what it claims. Every message is one turn, with
//! a number that each version carries, so that a reader can take several slots as of one message.

mod apply;
mod attend;
mod attention;
mod batch;
mod bulk;
mod claims;
mod commands;
mod coverage;
mod forward;
mod landing;
mod legs;
mod overlay;
mod promote;
mod shadow;
mod silence;
mod target;
mod timing;
mod transaction;

pub(crate) use bulk::BulkOptions;
pub(super) use commands::refusal;
pub(super) use coverage::{NO_SOURCE, is_unowned};
pub(super) use forward::Forwarded;

use super::slow::Slow;
use super::staging::Staging;
use super::target::{Target, Waste};
use super::wanted::Wanted;
use crate::Time;
use crate::feed::{Claims, Counters, Covers, EntityIx, OnConnect, Sink, Verdict};
use crate::json;
use crate::key::Id;
use crate::record::Limits;
use crate::store::{Entity, EntityWriter, Hub, Link, Point, Store, TurnCounter, Wakes};
use attention::Attention;
use bulk::Board;

use hashbrown::HashMap;
use legs::Legs;
use silence::Silence;
use std::sync::Arc;
use std::time::Duration;
use timing::Timing;

/// How the messages of a feed are taken in.
#[derive(Clone, Debug)]
pub(crate) struct IngestConfig {
    /// The feed's name: the owner of what it claims.
    pub(crate) feed: Arc<str>,
    /// The feed's own number; [`NO_SOURCE`] for who has no connection.
    pub(crate) source: u64,
    /// What it owns and vouches for.
    pub(crate) claims: Claims,
    /// What the open of a connection does.
    pub(crate) on_connect: OnConnect,
    /// Bounds of one value.
    pub(crate) limits: Limits,
    /// Most patches, removals and invalidations of one message.
    pub(crate) max_items: usize,
    /// Entities with a watchdog of their own: silent when nothing came for so long.
    pub(crate) silence: Vec<(Box<str>, Duration)>,
}

/// Why a feed cannot be attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Another feed writes an entity that this one declares.
    #[error("the entity `{entity}` is written by the feed `{by}` already")]
    Taken {
        /// The entity.
        entity: Arc<str>,
        /// Its owner.
        by: Arc<str>,
    },
    /// There may be no more entities.
    #[error("there are as many entities as the configuration allows")]
    Full,
}

/// Who writes an entity, as this feed knows.
#[derive(Debug)]
enum Role {
    /// This feed.
    Own(Box<EntityWriter>),
    /// Another one, or this one has not tried.
    Unclaimed,
    /// The slow writer, which is handed what comes for it.
    Forward(Box<forward::Lane>),
    /// Another one: it was tried since the connection opened.
    Foreign,
}

/// Numbers of fetched answers, by the ids that they were shown for.
type Answered = HashMap<Id, u64, foldhash::fast::RandomState>;

/// An entity that this feed has heard of.
#[derive(Debug)]
struct Entry {
    entity: Arc<Entity>,
    role: Role,
    /// The link's generation at the start of the batch, as a version's stamp.
    link: u64,
    /// The link of its last gap.
    torn: u64,
    /// The batch that its stamps are as of.
    point: Point,
    /// Something may have been published for it in this batch.
    touched: bool,
    /// Whether a whole value has ever come for it.
    whole_seen: bool,
    /// Whether the present connection was reported to be unable to heal it.
    reported: bool,
    /// Numbers of two connections cannot be compared.
    restarts: bool,
    /// Slots whose number is that of a fetched answer, ahead of the stream.
    answered: Option<Box<Answered>>,
    /// When something last came for it.
    heard_at: Time,
    /// Fetches that run and optimistic writes, while there are any.
    attention: Option<Box<Attention>>,
    /// Slow writer: the connection that values were forwarded from.
    connection: forward::Connection,
}

/// The landing place of one feed's messages. Not `Sync`: it is an owner.
#[derive(Debug)]
pub(crate) struct Ingest {
    config: IngestConfig,
    store: Arc<Store>,
    wakes: Wakes,
    counters: Arc<Counters>,
    turns: Arc<TurnCounter>,
    entries: Vec<Entry>,
    names: HashMap<Arc<str>, EntityIx, foldhash::fast::RandomState>,
    staging: Staging,
    silence: Silence,
    /// When the batch began, among the marks.
    point: Point,
    /// That all entities began at least then.
    all_begun: Point,
    /// Entities that this batch has brought something for, or all of them.
    touched: Vec<EntityIx>,
    all_touched: bool,
    /// Claimed by the message that is being taken in.
    claimed: Vec<EntityIx>,
    now: Time,
    turn: u64,
    /// Turn and time at which the feed opened.
    opened: (u64, Time),
    /// Turn and time from which on numbers are those of the connection that is shown.
    joined: (u64, Time),
    opens: u64,
    /// What is wrong with the connection, as [`Link`] has it.
    bits: u8,
    /// Its connections, and what those have brought that are not shown.
    legs: Legs,
    /// Why what follows in the message is dropped, if its connection's number says so.
    behind: Option<Verdict>,
    /// Something was published in this batch.
    moved: bool,
    /// Generations have moved in this batch.
    scan: bool,
    waste: Waste,
    /// For the values of commands.
    decoder: Option<Box<json::Decoder>>,
    /// The owner of what no feed owns, if this is a feed's, and its turn when the present
    /// connection opened.
    slow: Option<Arc<Slow>>,
    slow_opened: u64,
    /// What its subscriptions keep up, for whoever resyncs.
    wanted: Option<Arc<Wanted>>,
    /// The sum of invalidations that a forwarded value is good for, while it is applied.
    as_of: Option<u64>,
    /// How often generations were raised.
    raised: u64,
    /// Long messages, if they may be taken apart elsewhere.
    bulk: Option<Box<Board>>,
    /// When what came could be read, of some batches.
    timing: Timing,
}

impl Ingest {
    /// Claims what the feed declares, and marks what it covers as not connected.
    ///
    /// # Errors
    /// An entity has another owner, or there may be no more. Nothing is claimed then.
    pub(crate) fn new(
        config: IngestConfig,
        store: Arc<Store>,
        hub: Arc<Hub>,
        counters: Arc<Counters>,
        turns: Arc<TurnCounter>,
    ) -> Result<Self, ClaimError> {
        // All claims come first: one that fails leaves no mark on the others, nor on what the feed
        // would have covered.
        let writers = coverage::claims(&config, &store)?;
        let mut ingest = Self::unclaimed(config, store, &hub, counters, turns);
        for writer in writers {
            let name = Arc::clone(writer.entity().name());
            let ix = ingest.entity(&name).map_err(|_| ClaimError::Full)?;
            ingest.own(ix, writer);
        }
        if let Covers::Listed(names) = &ingest.config.claims.covers {
            for name in names.clone() {
                ingest.entity(&name).map_err(|_| ClaimError::Full)?;
            }
        }
        ingest.watch_silence()?;
        ingest.set_bits(Link::DOWN, Link::DOWN);
        ingest.finish();
        Ok(ingest)
    }

    /// As [`new`](Self::new), without claims and marks.
    pub(super) fn unclaimed(
        config: IngestConfig,
        store: Arc<Store>,
        hub: &Arc<Hub>,
        counters: Arc<Counters>,
        turns: Arc<TurnCounter>,
    ) -> Self {
        let turn = turns.last();
        Self {
            point: store.marks().point(),
            all_begun: Point::default(),
            touched: Vec::new(),
            all_touched: false,
            store,
            wakes: hub.wakes(),
            counters,
            turns,
            entries: Vec::new(),
            names: HashMap::default(),
            staging: Staging::default(),
            silence: Silence::new(),
            claimed: Vec::new(),
            now: Time::ZERO,
            turn,
            opened: (turn, Time::ZERO),
            joined: (turn, Time::ZERO),
            opens: 0,
            bits: 0,
            legs: Legs::default(),
            behind: None,
            moved: false,
            scan: false,
            waste: Waste::new(),
            decoder: None,
            slow: None,
            slow_opened: 0,
            wanted: None,
            as_of: None,
            raised: 0,
            bulk: None,
            timing: Timing::default(),
            config,
        }
    }

    /// Takes note there of what its subscriptions keep up.
    pub(crate) fn noting(mut self, wanted: Arc<Wanted>) -> Self {
        self.wanted = Some(wanted);
        self
    }
}

/// What the feed owned and covered is stopped, and those who wait are told. Optimistic writes are
/// taken back.
impl Drop for Ingest {
    fn drop(&mut self) {
        // A message that was half taken in when its protocol panicked.
        self.staging.clear();
        self.abandon_flights();
        self.turn += 1;
        self.touch_all();
        for entry in &mut self.entries {
            entry.let_go(self.turn);
        }
        self.done();
        self.deafen();
        self.set_bits(Link::SILENT | Link::STOPPED, Link::STOPPED);
        self.finish();
        self.release_all();
    }
}

#[cfg(test)]
mod tests;
