//! From id to slot: look-up without locks, insertion under the lock of one of 16 shards.
//!
//! Two tables. *Numbers* holds the slots, in segments that double and are never moved. The *shards*
//! map a hash to a number: open addressing over words of tag and number, linear probing, the place
//! given by the tag's upper bits, so that growing a shard is one pass in order over its words and
//! needs neither ids nor slots. A shard's smaller tables stay, because a reader may be in them;
//! together they are as large as the present one (8 bytes an entry).
//!
//! A reader that finds an entry compares the id itself, so a stale entry is never believed. A
//! reader that finds none believes it unless an entry was being moved down meanwhile, as purging
//! does; then it looks again under the lock.
//!
//! Look-up: wait-free but for that exception. Insertion and removal: blocking, and cold. A million
//! insertions cost linear time; the longest single one moves a sixteenth of the entries.

use std::hash::{BuildHasher, Hasher};
use std::sync::PoisonError;

/// The same in each run of a model, so that a schedule can be run again.
#[cfg(tickcache_model)]
use foldhash::fast::FixedState as RandomState;
#[cfg(not(tickcache_model))]
use foldhash::fast::RandomState;

use crate::key::IdRef;
use crate::store::fault::{Fault, injected};
use crate::store::slot::Slot;
use crate::sync::{
    Arc, ArcSwapOption, AtomicU32, AtomicU64, Mutex, MutexGuard, OnceLock, Ordering, Own, fence,
};

const SHARDS: usize = 16;
/// Entries of a shard's first table, and slots of the first segment.
const FIRST: usize = if cfg!(tickcache_model) { 4 } else { 32 };
const LEVELS: usize = 16;
const SEGMENTS: usize = 20;

/// Ids that an index can hold, a little more than 10 million.
pub(crate) const MAX_IDS: usize = SHARDS * (FIRST << (LEVELS - 1)) / 8 * 5;

/// The index is as full as its configuration allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The slots of one entity, by id and by number.
#[derive(Debug)]
pub(super) struct Index {
    hasher: RandomState,
    shards: Box<[Shard]>,
    numbers: Numbers,
    max: usize,
}

/// A hash of an id, by the index's own seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash(u64);

impl Hash {
    #[inline]
    pub(super) fn number(self) -> u64 {
        self.0
    }

    fn tag(self) -> u32 {
        self.0 as u32
    }
}

impl Index {
    /// An index of at most `max` ids, itself at most [`MAX_IDS`].
    pub(super) fn new(max: usize) -> Self {
        Self {
            hasher: RandomState::default(),
            shards: (0..SHARDS).map(|_| Shard::new()).collect(),
            numbers: Numbers::new(),
            max: max.min(MAX_IDS),
        }
    }

    #[inline]
    pub(super) fn hash(&self, id: IdRef<'_>) -> Hash {
        let mut hasher = self.hasher.build_hasher();
        match id {
            IdRef::Int(number) => hasher.write_u128(number as u128),
            IdRef::Text(text) => hasher.write(text.as_bytes()),
        }
        Hash(hasher.finish())
    }

    #[inline]
    fn shard(&self, hash: Hash) -> &Shard {
        &self.shards[(hash.0 >> 60) as usize % SHARDS]
    }

    /// Hands the slot of `id` to `show`, without taking a reference of its own.
    #[inline]
    pub(super) fn with<R>(&self, id: IdRef<'_>, show: impl FnOnce(&Arc<Slot>) -> R) -> Option<R> {
        let mut show = Some(show);
        let mut shown = None;
        let hash = self.hash(id);
        self.shard(hash).find(hash.tag(), |number| {
            self.numbers.with(number, |slot| {
                let found = slot.is(id);
                if found && let Some(show) = show.take() {
                    shown = Some(show(slot));
                }
                found
            })
        });
        shown
    }

    /// The number of `id`, as far as `is` can tell from a number whether it is of that id.
    #[inline]
    pub(super) fn number(&self, hash: Hash, is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.shard(hash).find(hash.tag(), is)
    }

    /// The slot with a number, if there is one.
    pub(super) fn slot(&self, number: u32) -> Option<Arc<Slot>> {
        self.numbers
            .with_entry(number, ArcSwapOption::load_full)
            .flatten()
    }

    /// The slot of `id`, made by `make` with its number if there is none. `make` runs under the
    /// shard's lock.
    ///
    /// # Errors
    /// There is none, and there may be no more slots.
    pub(super) fn get_or_insert(
        &self,
        id: IdRef<'_>,
        make: impl FnOnce(u32) -> Result<Arc<Slot>, Full>,
    ) -> Result<Arc<Slot>, Full> {
        if let Some(slot) = self.with(id, Arc::clone) {
            return Ok(slot);
        }
        let hash = self.hash(id);
        let shard = self.shard(hash);
        let mut entries = lock(&shard.entries);
        let is = |number| self.numbers.with(number, |slot| slot.is(id));
        if let Some(number) = shard.probe(hash.tag(), is)
            && let Some(slot) = self.slot(number)
        {
            return Ok(slot);
        }
        let number = self.numbers.reserve(self.max)?;
        let slot = match make(number) {
            Ok(slot) => slot,
            Err(full) => {
                self.numbers.release(number);
                return Err(full);
            }
        };
        self.numbers.set(number, Some(slot.clone()));
        shard.insert(&mut entries, hash.tag(), number);
        Ok(slot)
    }

    /// Takes a slot out. Whoever looks its id up from now on finds none, until one is made.
    pub(super) fn remove(&self, slot: &Slot) {
        let hash = self.hash(slot.id());
        let shard = self.shard(hash);
        let mut entries = lock(&shard.entries);
        if shard.remove(&mut entries, hash.tag(), slot.number()) {
            self.numbers.set(slot.number(), None);
            self.numbers.release(slot.number());
        }
    }

    /// How many ids there are.
    pub(super) fn len(&self) -> usize {
        lock(&self.numbers.used).count
    }

    /// One more than the highest number ever given out.
    pub(super) fn numbers(&self) -> u32 {
        self.numbers.end.load(Ordering::Acquire)
    }
}

#[derive(Debug)]
struct Shard {
    /// How many entries the present table holds. Held by whoever changes anything.
    entries: Mutex<usize>,
    tables: [OnceLock<Box<[AtomicU64]>>; LEVELS],
    /// The present table, counted from 1; 0 if there is none yet.
    level: AtomicU64,
    /// Odd while entries are being moved.
    moves: AtomicU64,
}

const VACANT: u64 = 0;

fn entry(tag: u32, number: u32) -> u64 {
    (u64::from(tag) << 32) | (u64::from(number) + 1)
}

fn tag_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

fn number_of(entry: u64) -> u32 {
    (entry as u32).wrapping_sub(1)
}

/// Where the probing for a tag begins in a table of `len`, a power of two.
#[inline]
fn home(tag: u32, len: usize) -> usize {
    ((u64::from(tag) * len as u64) >> 32) as usize
}

impl Shard {
    fn new() -> Self {
        Self {
            entries: Mutex::new(0),
            tables: std::array::from_fn(|_| OnceLock::new()),
            level: AtomicU64::new(0),
            moves: AtomicU64::new(0),
        }
    }

    #[inline]
    fn table(&self) -> &[AtomicU64] {
        // Pairs with the release in `grow`; a miss is the level before the first.
        self.table_of(self.level.load(Ordering::Acquire))
    }

    /// Under the lock.
    fn own_table(&self) -> &[AtomicU64] {
        self.table_of(self.level.own())
    }

    #[inline]
    fn table_of(&self, level: u64) -> &[AtomicU64] {
        let table = self
            .tables
            .get((level as usize).wrapping_sub(1))
            .and_then(OnceLock::get);
        table.map_or(&[], |table| table)
    }

    /// Without the lock.
    #[inline]
    fn find(&self, tag: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let moves = self.moves.load(Ordering::Acquire);
        let found = self.probe(tag, &mut is);
        if found.is_some() {
            found
        } else {
            self.miss(moves, tag, is)
        }
    }

    #[cold]
    fn miss(&self, moves: u64, tag: u32, is: impl FnMut(u32) -> bool) -> Option<u32> {
        // Pairs with the fence in `remove`: who has seen an entry moved sees the count of it.
        fence(Ordering::Acquire);
        let calm = moves.is_multiple_of(2) && self.moves.load(Ordering::Relaxed) == moves;
        if calm || injected(Fault::MissUnchecked) {
            return None;
        }
        let _entries = lock(&self.entries);
        self.probe(tag, is)
    }

    #[inline]
    fn probe(&self, tag: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let table = self.table();
        let mask = table.len().wrapping_sub(1);
        let home = home(tag, table.len());
        for step in 0..table.len() {
            // Pairs with the release of the insertion: the slot is in its place.
            let entry = table[(home + step) & mask].load(Ordering::Acquire);
            if entry == VACANT {
                return None;
            }
            if tag_of(entry) == tag && is(number_of(entry)) {
                return Some(number_of(entry));
            }
        }
        None
    }

    fn insert(&self, entries: &mut usize, tag: u32, number: u32) {
        if (*entries + 1) * 8 > self.own_table().len() * 7 {
            self.grow();
        }
        place(self.own_table(), entry(tag, number));
        *entries += 1;
    }

    /// The next table gets all entries before anybody sees it.
    fn grow(&self) {
        let level = self.level.own() as usize;
        let old = self.own_table();
        // The bound on ids keeps every shard below its last table's bound; if the hash is so
        // uneven that it does not, the last table fills up and is probed longer.
        let Some(next) = self.tables.get(level) else {
            return;
        };
        let table: Box<[AtomicU64]> = (0..FIRST << level)
            .map(|_| AtomicU64::new(VACANT))
            .collect();
        for word in old {
            let entry = word.own();
            if entry != VACANT {
                place(&table, entry);
            }
        }
        let first = next.set(table).is_ok();
        debug_assert!(first, "the lock is held");
        self.level.store(level as u64 + 1, Ordering::Release);
    }

    /// Removes an entry, and moves those behind it down: there is never a mark to be skipped.
    fn remove(&self, entries: &mut usize, tag: u32, number: u32) -> bool {
        let table = self.own_table();
        let mask = table.len().wrapping_sub(1);
        let own = entry(tag, number);
        let start = home(tag, table.len());
        let found = (0..table.len())
            .map(|step| (start + step) & mask)
            .take_while(|at| table[*at].own() != VACANT)
            .find(|at| table[*at].own() == own);
        let Some(mut hole) = found else { return false };
        let moves = self.moves.own();
        self.moves.store(moves.wrapping_add(1), Ordering::Relaxed);
        // Pairs with the fence in `miss`.
        fence(Ordering::Release);
        let mut at = hole;
        for _ in 1..table.len() {
            at = (at + 1) & mask;
            let entry = table[at].own();
            if entry == VACANT {
                break;
            }
            // It may fill the hole if its probing begins at the hole or before.
            let distance = at.wrapping_sub(home(tag_of(entry), table.len())) & mask;
            if distance >= (at.wrapping_sub(hole) & mask) {
                table[hole].store(entry, Ordering::Release);
                hole = at;
            }
        }
        table[hole].store(VACANT, Ordering::Release);
        self.moves.store(moves.wrapping_add(2), Ordering::Release);
        *entries -= 1;
        true
    }
}

/// Puts an entry into the first vacant place from its home on.
fn place(table: &[AtomicU64], entry: u64) {
    let mask = table.len().wrapping_sub(1);
    let home = home(tag_of(entry), table.len());
    for step in 0..table.len() {
        let word = &table[(home + step) & mask];
        if word.own() == VACANT {
            word.store(entry, Ordering::Release);
            return;
        }
    }
    debug_assert!(false, "a table has room");
}

/// Slots by number, in segments of doubling size.
#[derive(Debug)]
struct Numbers {
    segments: [OnceLock<Box<[ArcSwapOption<Slot>]>>; SEGMENTS],
    used: Mutex<Used>,
    end: AtomicU32,
}

#[derive(Debug, Default)]
struct Used {
    /// Given back, and not given out again. Last in, first out.
    free: Vec<u32>,
    count: usize,
}

impl Numbers {
    fn new() -> Self {
        Self {
            segments: std::array::from_fn(|_| OnceLock::new()),
            used: Mutex::new(Used::default()),
            end: AtomicU32::new(0),
        }
    }

    /// Segment `s > 0` begins at number `FIRST << (s - 1)` and has as many.
    #[inline]
    fn locate(number: u32) -> (usize, usize) {
        let scaled = number / FIRST as u32;
        if scaled == 0 {
            return (0, number as usize);
        }
        let segment = scaled.ilog2() as usize + 1;
        (segment, number as usize - (FIRST << (segment - 1)))
    }

    #[inline]
    fn with_entry<R>(
        &self,
        number: u32,
        show: impl FnOnce(&ArcSwapOption<Slot>) -> R,
    ) -> Option<R> {
        let (segment, at) = Self::locate(number);
        self.segments.get(segment)?.get()?.get(at).map(show)
    }

    #[inline]
    fn with(&self, number: u32, is: impl FnOnce(&Arc<Slot>) -> bool) -> bool {
        self.with_entry(number, |entry| entry.load().as_ref().is_some_and(is))
            .unwrap_or(false)
    }

    /// A number for a new slot.
    fn reserve(&self, max: usize) -> Result<u32, Full> {
        let mut used = lock(&self.used);
        if used.count >= max {
            return Err(Full);
        }
        let number = match used.free.pop() {
            Some(number) => number,
            None => {
                let number = self.end.load(Ordering::Relaxed);
                let (segment, _) = Self::locate(number);
                let segment_of = self.segments.get(segment).ok_or(Full)?;
                if segment_of.get().is_none() {
                    let len = if segment == 0 {
                        FIRST
                    } else {
                        FIRST << (segment - 1)
                    };
                    let slots = (0..len).map(|_| ArcSwapOption::new(None)).collect();
                    let first = segment_of.set(slots).is_ok();
                    debug_assert!(first, "the lock is held");
                }
                self.end.store(number + 1, Ordering::Release);
                number
            }
        };
        used.count += 1;
        Ok(number)
    }

    fn release(&self, number: u32) {
        let mut used = lock(&self.used);
        used.free.push(number);
        used.count -= 1;
    }

    fn set(&self, number: u32, slot: Option<Arc<Slot>>) {
        self.with_entry(number, |entry| entry.store(slot));
    }
}

/// Locks; a panic of another thread under the lock leaves nothing half-done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
