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
mod timing;

pub(crate) use bulk::BulkOptions;
pub(super) use commands::refusal;
pub(super) use coverage::{NO_SOURCE, is_unowned};
pub(super) use forward::Forwarded;

use super::bulk::Recorder;
use super::clock::Clock;
use super::command::Command;
use super::inbox::CommandError;
use super::slow::Slow;
use super::staging::{Staging, What};
use super::target::{Target, Waste};
use super::wanted::Wanted;
use crate::Time;
use crate::feed::{
    BulkId, Claims, Counters, Covers, Deferred, EntityIx, Leg, OnConnect, Outcome, Policy,
    Protocol, Refusal, Rule, Sink, Transaction, Update, Verdict,
};
use crate::json::{self, Value};
use crate::key::{Id, IdRef};
use crate::record::Limits;
use crate::store::{self, Entity, EntityWriter, Hub, Link, Store, TurnCounter, Wakes, flags};
use attention::Attention;
use bulk::Board;

use coverage::open_word;
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

    /// An update without a number of its connection: that is told apart.
    #[inline]
    fn placed(&mut self, mut update: Update) -> Result<Update, Refusal> {
        if update.policy.rule == Rule::ContiguousPerConnection {
            if let Some(sequence) = update.sequence {
                self.advance(sequence.last)?;
            }
            update.policy = Policy::restarting(Rule::None);
        }
        Ok(update)
    }

    /// Does what the staged items want.
    #[inline]
    fn apply_all(&mut self) {
        for at in 0..self.staging.len() {
            self.apply(at);
        }
    }

    fn room(&self) -> Result<(), Refusal> {
        if self.staging.len() < self.config.max_items {
            Ok(())
        } else {
            Err(Refusal::TooMany)
        }
    }
}

impl Entry {
    /// A batch begins, or what came before it is over.
    #[inline]
    fn begin(&mut self) {
        // A value is not worth less for having come while the feed was silent.
        match &mut self.role {
            Role::Own(writer) => {
                writer.begin_batch();
                self.link = open_word(writer.link());
            }
            Role::Forward(lane) => self.link = open_word(lane.begin()),
            Role::Unclaimed | Role::Foreign => {}
        }
    }
}

impl Sink for Ingest {
    fn entity(&mut self, name: &str) -> Result<EntityIx, Refusal> {
        if let Some(ix) = self.names.get(name) {
            return Ok(*ix);
        }
        let entity = self.store.entity(name).map_err(|_| Refusal::EntitiesFull)?;
        let number = u32::try_from(self.entries.len()).map_err(|_| Refusal::EntitiesFull)?;
        let ix = EntityIx::new(number);
        self.names.insert(Arc::clone(entity.name()), ix);
        let role = Role::Unclaimed;
        let entry = Entry {
            entity,
            role,
            link: 0,
            whole_seen: false,
            reported: false,
            restarts: false,
            answered: None,
            heard_at: Time::ZERO,
            attention: None,
            connection: forward::Connection::default(),
        };
        self.entries.push(entry);
        Ok(ix)
    }

    #[inline]
    fn patch(
        &mut self,
        entity: EntityIx,
        id: IdRef<'_>,
        update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        self.room()?;
        let update = self.placed(update)?;
        if !self.owns(entity) {
            return self.patch_elsewhere(entity, id, update, value);
        }
        let Role::Own(writer) = &mut self.entries[entity.index()].role else {
            return Err(Refusal::Other);
        };
        let patch = self.staging.spare();
        json::compile(
            value,
            update.mode,
            &self.config.limits,
            writer.schema(),
            patch,
        )
        .map_err(refusal)?;
        let number = self.staging.keep();
        self.staging
            .push(entity, Some(id), What::Patch(number, update));
        Ok(())
    }

    fn remove(&mut self, entity: EntityIx, id: IdRef<'_>, update: Update) -> Result<(), Refusal> {
        self.room()?;
        let update = self.placed(update)?;
        let what = if self.owns(entity) {
            What::Remove(update)
        } else {
            self.remove_elsewhere(entity, update)
        };
        self.staging.push(entity, Some(id), what);
        Ok(())
    }

    fn invalidate(&mut self, entity: EntityIx, id: Option<IdRef<'_>>) -> Result<(), Refusal> {
        self.room()?;
        self.staging.push(entity, id, What::Invalidate);
        Ok(())
    }

    #[inline]
    fn advance(&mut self, number: u64) -> Result<(), Refusal> {
        self.room()?;
        self.staging.advance(number);
        Ok(())
    }
}

impl Transaction for Ingest {
    fn commit(&mut self) {
        if self.staging.len() == 0 {
            return;
        }
        self.turn += 1;
        self.moved = true;
        self.behind = None;
        if self.timing.is_armed() {
            self.apply_timed();
        } else {
            self.apply_all();
        }
        self.turns.finish(self.turn);
        self.staging.clear();
        self.claimed.clear();
    }

    #[cold]
    fn rollback(&mut self) {
        self.staging.clear();
        self.return_claims();
    }

    fn defer<P: Protocol>(&mut self, message: Deferred<P>) -> Result<BulkId, Deferred<P>> {
        if !self.may_defer() {
            return Err(message);
        }
        let bytes = message.len();
        let take_apart = move |sink: &mut Recorder| message.take_apart(sink);
        Ok(self.take_over_long(bytes, take_apart))
    }

    fn resume(&mut self, message: BulkId) -> Option<Outcome> {
        self.take_outcome(message)
    }

    fn is_full(&self) -> bool {
        self.bulk.as_ref().is_some_and(|board| board.is_full())
    }
}

impl Target for Ingest {
    fn begin(&mut self, now: Time) {
        self.now = now;
        self.entries.iter_mut().for_each(Entry::begin);
    }

    fn finish(&mut self) {
        let (moved, mut scan) = (
            std::mem::take(&mut self.moved),
            std::mem::take(&mut self.scan),
        );
        if !moved && !scan {
            return;
        }
        if self.silence.is_any() {
            self.note_speech();
            scan |= std::mem::take(&mut self.scan);
        }
        let mut growths = 0;
        let mut batch = self.wakes.batch();
        for entry in &mut self.entries {
            if let Role::Own(writer) = &mut entry.role {
                writer.end_batch(&mut batch);
                growths += writer.growths();
                scan |= writer.take_suspect();
                self.waste.append(writer.retired());
            }
        }
        if scan {
            batch.everything();
        }
        self.counters.growths.set(growths);
    }

    fn waste(&mut self) -> Option<Waste> {
        (!self.waste.is_empty()).then(|| std::mem::take(&mut self.waste))
    }

    fn opened(&mut self, leg: Leg) {
        self.opens += 1;
        self.opened = (self.turn, self.now);
        self.joined = self.opened;
        self.slow_opened = self.slow.as_ref().map_or(0, |slow| slow.turns().last());
        self.forget_numbers();
        self.raise();
        self.listen();
        for entry in &mut self.entries {
            entry.reported = false;
            if matches!(entry.role, Role::Foreign | Role::Forward(_)) {
                entry.role = Role::Unclaimed;
            }
        }
        if !self.legs.is_open(leg) {
            self.legs.join(leg, self.now);
        }
        self.legs.speak(leg);
        self.show(leg, true);
    }

    fn joined(&mut self, leg: Leg) {
        self.legs.join(leg, self.now);
    }

    fn left(&mut self, leg: Leg) {
        if self.legs.laying.is_some_and(|laying| laying.leg == leg) {
            self.finish_laying();
        }
        self.legs.leave(leg);
    }

    fn promoted(&mut self, leg: Leg) {
        self.show(leg, false);
    }

    fn speaks(&mut self, leg: Leg) {
        self.legs.speak(leg);
    }

    fn torn(&mut self) -> Option<Leg> {
        let torn = self.legs.torn.take()?;
        self.legs.look();
        Some(torn)
    }

    fn catch_up(&mut self) -> bool {
        self.end_lagging();
        self.lay_some(promote::LAID_PER_TURN);
        self.legs.laying.is_some()
    }

    fn doubt(&mut self, entity: &str, id: &Id) {
        if let Some(ix) = self.names.get(entity) {
            let entry = &mut self.entries[ix.index()];
            entry.entity.with(id.as_ref(), |slot| slot.invalidate());
            entry.begin();
            self.scan = true;
        }
    }

    fn lost(&mut self) {
        self.deafen();
        self.set_bits(Link::DOWN | Link::SILENT, Link::DOWN);
    }

    fn silent(&mut self, silent: bool) {
        self.set_bits(Link::SILENT, if silent { Link::SILENT } else { 0 });
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.silence.poll_timeout()
    }

    fn handle_timeout(&mut self) {
        if self
            .silence
            .poll_timeout()
            .is_some_and(|due| due <= self.now)
        {
            self.note_silence();
        }
    }

    fn received_at(&self, entity: &str, id: &Id) -> Option<Time> {
        let entry = &self.entries[self.names.get(entity)?.index()];
        entry
            .entity
            .with(id.as_ref(), |slot| slot.head().received_at)
    }

    fn gap(&mut self) {
        self.counters.gaps.bump();
        self.turn += 1;
        self.mark_gap();
        self.turns.finish(self.turn);
        // What came after it was laid aside.
        self.show(self.legs.shown, false);
        self.finish_laying();
    }

    #[cold]
    fn subscribed(&mut self, entity: &str, id: &Id) {
        if let Some(wanted) = &self.wanted {
            wanted.add(entity, id.clone());
            // Whoever resyncs looks again.
            self.scan = true;
        }
    }

    #[cold]
    fn unsubscribed(&mut self, entity: &str, id: &Id) {
        if let Some(wanted) = &self.wanted {
            wanted.remove(entity, id);
        }
        let Some(ix) = self.names.get(entity).copied() else {
            return;
        };
        if self.has_flights() {
            self.mark_behind(ix, id, flags::UNSUBSCRIBED);
        }
        let entry = &mut self.entries[ix.index()];
        let Role::Own(writer) = &mut entry.role else {
            return;
        };
        if let Ok(slot) = writer.locate(id.as_ref(), store::Missing::Ignore) {
            self.turn += 1;
            writer.mark(slot, flags::UNSUBSCRIBED, self.turn);
            self.legs.forget(ix, slot);
            if let Some(attention) = &mut entry.attention {
                let id = writer.entity().canonical(id.as_ref());
                attention.mark(&id, flags::UNSUBSCRIBED);
            }
            self.moved = true;
            self.turns.finish(self.turn);
        }
    }

    fn measure(&mut self, clock: Clock) {
        self.timing = Timing::with(clock);
    }

    fn time_first(&mut self) {
        self.timing.arm();
    }

    fn first_visible_at(&mut self) -> Option<Time> {
        self.timing.disarm()
    }

    fn take_apart_elsewhere(&mut self, options: BulkOptions) {
        self.bulk = Some(Box::new(Board::new(options)));
    }

    fn long_messages(&self) -> usize {
        self.flights()
    }

    fn land_some(&mut self) {
        self.go_on();
    }

    fn disown(&mut self) {
        self.count_orphans();
    }

    fn has_landing(&self) -> bool {
        self.can_go_on()
    }

    fn obey(&mut self, command: Command) -> Result<(), CommandError> {
        self.carry_out(command)
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
