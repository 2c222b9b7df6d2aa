//! Long messages that are taken apart elsewhere, and what comes meanwhile.
//!
//! In the end every value is what it would be if the long message had been applied when it came.
//! While one is on its way, every update of a feed's own is *logged* for its id, in order, over the
//! value that the id had before ([`trail`]); most are published as well, as always, but those that
//! would be wrong if the long message has the id, which are *held*. When the message is through,
//! its items land ([`landing`]): an id of which nothing has come since takes the ordinary way, with
//! the stamps of the arrival; for any other the item is laid over the value of before, what was
//! logged is laid over that by the same rules as ever, and the outcome is published as one version.
//! So there is no second set of rules: the log is played again from where the message belongs.
//!
//! Messages are taken apart one at a time and land in the order of their arrival, 64 items in a
//! turn of the feed's thread, which reads its socket in between. What is on its way is bounded in
//! bytes, and what is logged in updates and bytes: at the bound nothing is read until messages have
//! landed. Commands of other threads wait for them (`feed_thread`), so that nothing but the stream
//! itself happens to a value while it has a log.

mod behind;
mod closing;
mod landing;
mod numbers;
mod trail;

use super::super::bulk::{Errand, Item, Mailbox, Offload, Recorder, Task};
use super::super::staging::What;
use super::coverage::open_word;
use super::{Answered, Ingest, Role};
use crate::Time;
use crate::feed::{BulkId, EntityIx, Outcome, Overtaking, Refusal, Update, Verdict};
use crate::key::Id;
use crate::record::Patch;
use crate::store::{Courier, Moment};
use hashbrown::HashMap;
use numbers::Numbers;
use std::collections::VecDeque;
use std::sync::Arc;
use trail::{Context, Trail};

/// Items that land, and logs that are closed, in one turn.
const PORTION: usize = 64;

/// Updates that may be logged before the feed stops reading.
const MAX_LOGGED: usize = if cfg!(test) { 256 } else { 16_384 };

/// Bytes of patches that may be logged likewise.
const MAX_LOGGED_BYTES: usize = 16 << 20;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
type Key = (EntityIx, Id);

/// How long messages of a feed are treated.
#[derive(Clone, Debug)]
pub(crate) struct BulkOptions {
    /// Where they are taken apart.
    pub(crate) offload: Offload,
    /// Nothing is read while those on their way are so long together, in bytes. One more may be
    /// there by then.
    pub(crate) max_bytes: usize,
    /// What may be shown before them.
    pub(crate) overtaking: Overtaking,
}

/// The long messages of a feed.
#[derive(Debug)]
pub(super) struct Board {
    options: BulkOptions,
    mailbox: Arc<Mailbox>,
    /// In the order of arrival; only the first is being taken apart, or lands.
    flights: VecDeque<Flight>,
    /// The last one that came.
    last: u64,
    bytes: usize,
    trails: Map<Key, Trail>,
    /// Trails whose value is not what is shown.
    open: VecDeque<Key>,
    /// Updates for the slow writer, which publishes in the order in which it gets them.
    detained: VecDeque<Detained>,
    logged: usize,
    logged_bytes: usize,
    numbers: Numbers,
    /// Through, and not asked for yet.
    finished: VecDeque<(u64, Outcome)>,
    /// Updates take the ordinary way: they are those of a long message, or have been logged.
    plain: bool,
    /// The first message is landing, and is not among the others.
    landing: bool,
}

/// A long message.
#[derive(Debug)]
struct Flight {
    order: u64,
    bytes: usize,
    arrival: Arrival,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Waiting(Task),
    Running,
    Landing(Box<Cargo>),
    /// All items have landed; what was held is let go.
    Closing(Outcome),
}

/// What has to land.
#[derive(Debug)]
struct Cargo {
    outcome: Outcome,
    items: std::vec::IntoIter<Item>,
    /// Numbers of the message's entities, as this sink has them.
    entities: Vec<EntityIx>,
    /// Why what follows is dropped, if the connection's number says so.
    behind: Option<Verdict>,
}

/// How things stood when a message came.
#[derive(Debug)]
struct Arrival {
    now: Time,
    opened: (u64, Time),
    joined: (u64, Time),
    slow_opened: u64,
    opens: u64,
    bits: u8,
    raised: u64,
    /// How often everything was invalidated.
    invalidations: u64,
    /// By number of the entity.
    stamps: Vec<Stamps>,
    /// Invalidations that come before it, or before what follows in it, and were only learned of
    /// later, from long messages: of entities, how many; of ids, the sum without those.
    of_entities: Map<EntityIx, u64>,
    of_ids: Map<Key, u64>,
}

/// What a message of an entity is good for.
#[derive(Debug)]
enum Stamps {
    Own { link: u64, moment: Moment },
    Beside { link: u64, courier: Courier },
}

/// An update for the slow writer that waits for long messages before it.
#[derive(Debug)]
struct Detained {
    after: u64,
    entity: EntityIx,
    id: Id,
    patch: Option<Patch>,
    update: Update,
    arrival: Context,
    slow_opened: u64,
    opens: u64,
    bits: u8,
}

impl Board {
    pub(super) fn new(options: BulkOptions) -> Self {
        Self {
            options,
            mailbox: Arc::default(),
            flights: VecDeque::new(),
            last: 0,
            bytes: 0,
            trails: Map::default(),
            open: VecDeque::new(),
            detained: VecDeque::new(),
            logged: 0,
            logged_bytes: 0,
            numbers: Numbers::default(),
            finished: VecDeque::new(),
            plain: false,
            landing: false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flights.is_empty() && !self.landing
    }

    /// Whether a message may still say something that comes before what comes now.
    fn is_awaited(&self) -> bool {
        let closing = |flight: &Flight| matches!(flight.phase, Phase::Closing(_));
        self.flights.back().is_some_and(|flight| !closing(flight))
    }

    /// What was logged after messages up to here only has its place when the first is through.
    fn horizon(&self) -> u64 {
        self.flights.get(1).map_or(u64::MAX, |next| next.order)
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.options.max_bytes
            || self.logged >= MAX_LOGGED
            || self.logged_bytes >= MAX_LOGGED_BYTES
    }

    /// How many messages came over this connection whose number is not known. None when it is that
    /// of one of them which is judged: those that came after it have none before it.
    fn unnumbered(&self, opens: u64) -> u64 {
        let flights = self.flights.iter().filter(|flight| {
            flight.arrival.opens == opens && !matches!(flight.phase, Phase::Closing(_))
        });
        if self.landing {
            0
        } else {
            flights.count() as u64
        }
    }

    /// Has the first message taken apart, if it waits for that.
    fn launch(&mut self) {
        let Some(first) = self.flights.front_mut() else {
            return;
        };
        if matches!(first.phase, Phase::Waiting(_))
            && let Phase::Waiting(task) = std::mem::replace(&mut first.phase, Phase::Running)
        {
            let errand = Errand::new(task, &self.mailbox);
            self.options.offload.run(Box::new(move || errand.run()));
        }
    }
}

impl Ingest {
    /// Whether what comes now for an id has to be logged.
    pub(super) fn is_logging(&self, ix: EntityIx, id: crate::key::IdRef<'_>) -> bool {
        let Some(board) = self.bulk.as_ref().filter(|board| !board.plain) else {
            return false;
        };
        // A message that has landed has said all; but what it said may not be shown yet.
        board.is_awaited()
            || (!board.open.is_empty()
                && (board.trails)
                    .contains_key(&(ix, self.entries[ix.index()].entity.canonical(id))))
    }

    /// Whether long messages are on their way.
    pub(super) fn has_flights(&self) -> bool {
        let board = self.bulk.as_ref();
        board.is_some_and(|board| !board.is_idle())
    }

    /// How many long messages are on their way, or through and not asked for.
    pub(super) fn flights(&self) -> usize {
        let board = self.bulk.as_ref();
        board.map_or(0, |board| board.flights.len() + board.finished.len())
    }

    /// Whether a long message that comes now may be taken apart elsewhere: what is not shown is
    /// laid aside in the order in which it comes, and so is everything while that is laid over the
    /// values.
    pub(super) fn may_defer(&self) -> bool {
        self.bulk.is_some() && !self.legs.special
    }

    /// What a long message was, if it is through.
    pub(super) fn take_outcome(&mut self, message: BulkId) -> Option<Outcome> {
        let finished = &mut self.bulk.as_mut()?.finished;
        let at = finished
            .iter()
            .position(|(order, _)| *order == message.number())?;
        finished.remove(at).map(|(_, outcome)| outcome)
    }

    /// Counts what is through and was not asked for.
    pub(super) fn count_orphans(&mut self) {
        if let Some(board) = &mut self.bulk {
            for (_, outcome) in board.finished.drain(..) {
                outcome.count(&self.counters, None);
            }
        }
    }

    /// Lands all long messages now: waits for them if they have not been taken apart.
    #[cold]
    pub(super) fn land_all(&mut self) {
        while let Some(board) = self.bulk.as_ref().filter(|it| !it.flights.is_empty()) {
            if !self.can_go_on() {
                let mailbox = Arc::clone(&board.mailbox);
                board.options.offload.hurry();
                mailbox.wait();
            }
            self.go_on();
        }
    }

    /// A connection is open: nothing is known of its numbers.
    pub(super) fn forget_numbers(&mut self) {
        if let Some(board) = &mut self.bulk {
            board.numbers.clear();
        }
    }

    /// Takes a long message over.
    #[cold]
    pub(super) fn take_over_long(
        &mut self,
        bytes: usize,
        message: impl FnOnce(&mut Recorder) -> Outcome + Send + 'static,
    ) -> BulkId {
        if self.config.claims.wildcard {
            // What it may turn out to be for has to have stamps as of now.
            for entity in self.store.entities() {
                let _ = crate::feed::Sink::entity(self, entity.name());
            }
        }
        self.touch_all();
        let arrival = self.arrival();
        let recorder = Recorder::new(
            Arc::clone(&self.store),
            self.entries.iter().map(|entry| Arc::clone(&entry.entity)),
            self.config.limits,
            self.config.max_items,
        );
        for entry in &mut self.entries {
            entry.attention.get_or_insert_default();
        }
        let Some(board) = &mut self.bulk else {
            return BulkId::new(0);
        };
        board.last += 1;
        board.bytes += bytes;
        board.flights.push_back(Flight {
            order: board.last,
            bytes,
            arrival,
            phase: Phase::Waiting(Task::new(recorder, message)),
        });
        board.launch();
        self.counters.bulk_bytes.set(board.bytes as u64);
        BulkId::new(board.last)
    }

    /// Whether what comes for the slow writer has to wait.
    #[inline]
    pub(super) fn is_detaining(&self) -> bool {
        let board = self.bulk.as_ref().filter(|board| !board.plain);
        board.is_some_and(|board| !board.flights.is_empty())
    }

    /// The first number of a connection has come.
    #[cold]
    pub(super) fn begin_numbers(&mut self, number: u64) {
        if let Some(board) = &mut self.bulk
            && board.unnumbered(self.opens) > 0
        {
            board.numbers.begin(number, board.last);
        }
    }

    /// Whether long messages may have the numbers from `expected` on before this one.
    #[cold]
    pub(super) fn may_be_filled(&mut self, expected: u64, number: u64) -> bool {
        let Some(board) = &mut self.bulk else {
            return false;
        };
        let flights = board.unnumbered(self.opens);
        let may = flights > 0 && !board.numbers.open(expected, number, board.last, flights);
        if may {
            // Or they may not: what follows a value that is shown may not follow it at once.
            board.trails.values_mut().for_each(Trail::doubt);
        }
        may
    }

    fn arrival(&self) -> Arrival {
        let stamps = self.entries.iter().map(|entry| match &entry.role {
            Role::Own(writer) => Stamps::Own {
                link: entry.link,
                moment: writer.this_batch(),
            },
            Role::Forward(_) | Role::Unclaimed | Role::Foreign => {
                let mut courier = entry.entity.courier();
                courier.begin_at(self.point);
                // No stamp is as good as one that was raised since.
                let link = courier.link().map_or(0, open_word);
                Stamps::Beside { link, courier }
            }
        });
        Arrival {
            now: self.now,
            opened: self.opened,
            joined: self.joined,
            slow_opened: self.slow_opened,
            opens: self.opens,
            bits: self.bits,
            raised: self.raised,
            invalidations: self.store.invalidations(),
            stamps: stamps.collect(),
            of_entities: Map::default(),
            of_ids: Map::default(),
        }
    }

    /// The feed ends: what has not landed is counted as what it is.
    pub(super) fn abandon_flights(&mut self) {
        let Some(board) = self.bulk.take() else {
            return;
        };
        let held = board.trails.values().map(Trail::held).sum::<usize>() + board.detained.len();
        self.counters.held.add(held as u64);
        for flight in board.flights {
            let (outcome, left) = match flight.phase {
                Phase::Waiting(_) | Phase::Running => (Outcome::refused(Refusal::Ended), 0),
                Phase::Landing(cargo) => {
                    let left = cargo.items.filter(|item| item.what.is_patch()).count();
                    (cargo.outcome, left)
                }
                Phase::Closing(outcome) => (outcome, 0),
            };
            outcome.count(&self.counters, None);
            self.counters.patches.add(left as u64);
            self.counters.held.add(left as u64);
        }
        for (_, outcome) in board.finished {
            outcome.count(&self.counters, None);
        }
        self.counters.bulk_bytes.set(0);
    }
}

/// Answers for an entity, if there are any.
type Answers<'a> = Option<&'a Answered>;
