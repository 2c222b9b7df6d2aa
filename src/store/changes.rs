//! What changed in an entity: a ring of slot numbers, one producer, any number of subscribers.
//!
//! The owner appends the number of each slot it publishes. It costs two stores whatever the number
//! of subscribers, none of whom it ever waits for. The same words are its own notes of what moved
//! in the present batch, which it reads back at the end ([`Producer::end_batch`]). A subscriber reads on from where it was; one that
//! was overtaken by the ring ([lapped](Polled::lapped)) compares the epochs of all slots instead.
//!
//! # Why nothing is lost
//!
//! - A word of the ring holds the slot number *and the lap* in which it was written, so a word that
//!   was written over is seen for what it is. There is no copy to be checked afterwards.
//! - A slot is published before its number is appended, and the position is stored with Release. A
//!   subscriber that has loaded the position (Acquire) sees, in each slot named before it, that
//!   publication or a later one.
//! - A lapped subscriber takes the position first and compares the epochs then: what moves in
//!   between is both seen now and named again in the ring.
//! - Growth links the new ring into the old one, notes where the old one ends, and only then
//!   appends to the new one. Positions go on counting, and whoever has loaded a position beyond the
//!   end sees the link. So growth by itself laps nobody.
//!
//! # Progress
//!
//! Appending is wait-free, but for a growth, which allocates. Subscribers are wait-free, but for
//! the lock around a link, which the owner has let go of before they can know of it.

use super::wake::{Bell, Fault, Seen, Watched, injected};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, Own};
use std::fmt;
use std::sync::PoisonError;

/// Places of the first ring; models make it tiny so that it laps and grows.
const FIRST: u32 = if cfg!(tickcache_model) { 2 } else { 64 };

const _: () = assert!(FIRST.is_power_of_two());

/// An end that has not come.
const OPEN: u64 = u64::MAX;

/// A stretch of positions. Rings double, and all of them live as long as the [`Changes`]: together
/// the old ones are smaller than the last.
struct Ring {
    words: Box<[AtomicU64]>,
    /// The first position that is in the next ring instead.
    end: AtomicU64,
    next: Mutex<Option<Arc<Self>>>,
}

impl Ring {
    fn new(capacity: u32) -> Arc<Self> {
        debug_assert!(capacity.is_power_of_two());
        Arc::new(Self {
            words: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
            end: AtomicU64::new(OPEN),
            next: Mutex::new(None),
        })
    }

    fn capacity(&self) -> u64 {
        self.words.len() as u64
    }

    fn place(&self, position: u64) -> &AtomicU64 {
        // A power of two of places, so this is the remainder.
        &self.words[(position & (self.capacity() - 1)) as usize]
    }

    /// What stands in the upper half of a word at this position. It comes round again after 2^32
    /// laps, of which a subscriber that is not further behind than one lap sees one or two.
    fn lap(&self, position: u64) -> u64 {
        position >> self.capacity().trailing_zeros() << 32
    }

    fn put(&self, position: u64, slot: u32) {
        // Relaxed: a subscriber looks only at words before a position that it has acquired. If it
        // finds a later one there, it goes by the epochs.
        self.place(position)
            .store(self.lap(position) | u64::from(slot), Ordering::Relaxed);
    }

    /// The slot at a position that was appended; `None` if a later lap has overwritten it.
    fn get(&self, position: u64) -> Option<u32> {
        let word = self.place(position).load(Ordering::Relaxed);
        let same_lap = word & !u64::from(u32::MAX) == self.lap(position);
        (same_lap || injected(Fault::LapUnchecked)).then_some(word as u32)
    }

    fn next(&self) -> Option<Arc<Self>> {
        self.next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The changes of one entity, as all share them.
pub(crate) struct Changes {
    first: Arc<Ring>,
    /// How many numbers were appended, over all rings.
    position: AtomicU64,
    bell: Bell,
}

impl Changes {
    /// No changes yet.
    pub(crate) fn new() -> Self {
        Self {
            first: Ring::new(FIRST),
            position: AtomicU64::new(0),
            bell: Bell::new(),
        }
    }

    /// How many changes there were. Pairs with the release in [`Producer::push`].
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// The producer's end. There must be one at a time: the entity's owner, which holds its claim.
    pub(crate) fn producer(self: &Arc<Self>) -> Producer {
        let position = self.position();
        Producer {
            ring: self.last(),
            position,
            batch: position,
            has_grown: false,
            changes: Arc::clone(self),
        }
    }

    /// A subscriber from now on: what was published before is not a change to it, but see
    /// [`Subscriber::from_nothing`].
    ///
    /// `epoch` answers the epoch of each of the `slots`.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        slots: u32,
        epoch: impl Fn(u32) -> u64,
    ) -> Subscriber {
        let mut subscriber = Subscriber::from_nothing(self);
        // After the position, as ever.
        subscriber.seen.extend((0..slots).map(epoch));
        subscriber.behind = false;
        subscriber
    }

    fn last(&self) -> Arc<Ring> {
        let mut ring = Arc::clone(&self.first);
        while let Some(next) = ring.next() {
            ring = next;
        }
        ring
    }
}

/// Waits for the position alone; [`Seen::epoch`] is [`Subscriber::position`]. An entity, whose
/// freshness moves without publications, watches its generations as well.
impl Watched for Changes {
    fn bell(&self) -> &Bell {
        &self.bell
    }

    fn moved(&self, seen: &Seen) -> bool {
        self.position() != seen.epoch
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

/// The owner's end.
pub(crate) struct Producer {
    changes: Arc<Changes>,
    ring: Arc<Ring>,
    position: u64,
    /// The position at which the present batch began.
    batch: u64,
    /// Some numbers of this batch are in a ring before this one.
    has_grown: bool,
}

impl Producer {
    /// Appends the number of a slot that was just published. Two stores, whoever listens; a cold
    /// growth when the number is beyond the ring.
    #[inline(always)]
    pub(crate) fn push(&mut self, slot: u32) {
        if u64::from(slot) >= self.ring.capacity() {
            self.grow(slot);
        }
        self.ring.put(self.position, slot);
        self.position += 1;
        // Pairs with the acquire in `Changes::position`: the publication, the word and a growth.
        self.changes
            .position
            .store(self.position, Ordering::Release);
    }

    /// Whether nothing was appended since the last [`end_batch`](Self::end_batch).
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.batch == self.position
    }

    /// The shared half, which is itself waited for.
    pub(crate) fn changes(&self) -> &Arc<Changes> {
        &self.changes
    }

    /// Ends a batch: calls `each` with the numbers appended since the last one, some of them more
    /// than once. Where the ring does not hold all of them any more, with every number below
    /// `slots`: that is no more than were appended, but for a ring that has just grown.
    pub(crate) fn end_batch(&mut self, slots: u32, mut each: impl FnMut(u32)) {
        if self.has_grown || self.position - self.batch > self.ring.capacity() {
            (0..slots).for_each(each);
        } else {
            let mut last = None;
            for position in self.batch..self.position {
                let slot = self.ring.place(position).own() as u32;
                // Ids often come in runs.
                if last != Some(slot) {
                    each(slot);
                    last = Some(slot);
                }
            }
        }
        self.forget_batch();
    }

    /// Ends a batch that nobody is to be told of.
    #[inline]
    pub(crate) fn forget_batch(&mut self) {
        self.batch = self.position;
        self.has_grown = false;
    }

    #[cold]
    fn grow(&mut self, slot: u32) {
        let capacity = slot.checked_add(1).and_then(u32::checked_next_power_of_two);
        // Beyond 2^31 slots the ring has fewer places than there are slots: more are lapped, and
        // nothing is lost.
        let capacity = capacity.unwrap_or(1 << 31);
        if u64::from(capacity) <= self.ring.capacity() {
            return;
        }
        let next = Ring::new(capacity);
        *self
            .ring
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&next));
        // Released by the position that follows.
        self.ring.end.store(self.position, Ordering::Relaxed);
        self.ring = next;
        self.has_grown = true;
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// What a poll came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Polled {
    /// How many slots were reported.
    pub(crate) slots: usize,
    /// Changes were overwritten before they were read, so that the epochs of all slots were
    /// compared. Nothing that is there now was missed.
    pub(crate) lapped: bool,
}

/// One who follows the changes. It keeps the epoch of each slot that it has reported, eight bytes
/// a slot: this is what conflates, and what a lapped subscriber compares with.
pub(crate) struct Subscriber {
    changes: Arc<Changes>,
    ring: Arc<Ring>,
    /// The next position to read.
    cursor: u64,
    seen: Vec<u64>,
    /// The epochs were never compared.
    behind: bool,
}

impl Subscriber {
    /// A subscriber that has seen nothing: its first poll reports every slot whose epoch is not 0.
    pub(crate) fn from_nothing(changes: &Arc<Changes>) -> Self {
        Self {
            // In this order: the position is in the ring or beyond its end, never before its start.
            cursor: changes.position(),
            ring: Arc::clone(&changes.first),
            changes: Arc::clone(changes),
            seen: Vec::new(),
            behind: true,
        }
    }

    /// How far it has read: to wait on, see [`Changes::position`].
    pub(crate) fn position(&self) -> u64 {
        self.cursor
    }

    /// Whether a poll would look at anything.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind || self.cursor != self.changes.position()
    }

    /// Reports each slot whose epoch moved since it was last reported, once, with its epoch.
    ///
    /// `slots` is how many there are, asked after the position was taken; `epoch` answers the epoch
    /// of one of them, by an Acquire load. Reads at most one ring, or compares all slots.
    pub(crate) fn poll(
        &mut self,
        slots: impl FnOnce() -> u32,
        epoch: impl Fn(u32) -> u64,
        mut report: impl FnMut(u32, u64),
    ) -> Polled {
        let position = self.changes.position();
        let mut polled = Polled::default();
        let mut note = |seen: &mut Vec<u64>, slot: u32| {
            let at = slot as usize;
            if at >= seen.len() {
                seen.resize(at + 1, 0);
            }
            let now = epoch(slot);
            if seen[at] != now {
                seen[at] = now;
                polled.slots += 1;
                report(slot, now);
            }
        };
        let mut lapped = false;
        while !self.behind && self.cursor != position {
            // Relaxed: it was released by the position that is beyond it, if it is there at all.
            if self.cursor >= self.ring.end.load(Ordering::Relaxed) {
                self.follow();
                continue;
            }
            // So far behind that a lap may look like another.
            lapped = position.min(self.ring.end.load(Ordering::Relaxed)) - self.cursor
                > self.ring.capacity();
            let slot = if lapped {
                None
            } else {
                self.ring.get(self.cursor)
            };
            let Some(slot) = slot else {
                lapped = true;
                break;
            };
            note(&mut self.seen, slot);
            self.cursor += 1;
        }
        if lapped || self.behind {
            for slot in 0..slots() {
                note(&mut self.seen, slot);
            }
            let late = injected(Fault::PositionLate);
            self.cursor = if late {
                self.changes.position()
            } else {
                position
            };
            self.behind = false;
        }
        polled.lapped = lapped;
        polled
    }

    #[cold]
    fn follow(&mut self) {
        // The link was made before the end was noted.
        self.ring = self.ring.next().expect("a ring that ends has a next one");
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("position", &self.cursor)
            .field("slots", &self.seen.len())
            .finish_non_exhaustive()
    }
}
