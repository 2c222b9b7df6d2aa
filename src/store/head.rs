//! What a version says about itself, next to its cells: stamps, times, sequence, turn.

use crate::record::Mode;
use crate::store::block::HEADER;
use crate::store::epoch::Epoch;
use crate::sync::{AtomicU64, Ordering, Own};
use crate::time::Time;

/// Reasons to distrust a value that are kept with it. A whole message clears them.
pub(crate) mod flags {
    /// Inserted by a patch: fields may be missing.
    pub(crate) const PARTIAL: u8 = 1;
    /// Read back from where an earlier process left it.
    pub(crate) const RESTORED: u8 = 1 << 1;
    /// The subscription of this key ended.
    pub(crate) const UNSUBSCRIBED: u8 = 1 << 2;
    /// Messages of this key are missing.
    pub(crate) const GAP: u8 = 1 << 3;
    /// The version is of a removal. The store's own.
    pub(in crate::store) const REMOVED: u8 = 1 << 7;
}

const _: () = assert!(HEADER == 8, "one cache line");

/// No sequence was given yet.
const NO_SEQUENCE: u64 = u64::MAX;
/// The turn of a version that was never published.
pub(super) const NO_TURN: u64 = u64::MAX;

/// The header of a version, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) link: u64,
    pub(super) invalidation: u64,
    pub(super) sequence: u64,
    pub(super) received_at: u64,
    pub(super) turn: u64,
    pub(super) flags: u8,
    /// The document's version; 0 if there never was one.
    pub(super) document: u64,
    pub(super) whole_at: u64,
    pub(super) source_time: u64,
}

/// Where the words lie.
const LINK: usize = 0;
const INVALIDATION: usize = 1;
const SEQUENCE: usize = 2;
const RECEIVED_AT: usize = 3;
pub(super) const TURN: usize = 4;
/// The flags, and above them the document's version.
const PACKED: usize = 5;
const WHOLE_AT: usize = 6;
const SOURCE_TIME: usize = 7;

impl Header {
    /// Of a version that was never published.
    pub(super) const BLANK: Self = Self {
        link: 0,
        invalidation: 0,
        sequence: NO_SEQUENCE,
        received_at: 0,
        turn: NO_TURN,
        flags: 0,
        document: 0,
        whole_at: 0,
        source_time: 0,
    };

    #[inline]
    pub(super) const fn to_words(self) -> [u64; HEADER] {
        [
            self.link,
            self.invalidation,
            self.sequence,
            self.received_at,
            self.turn,
            self.flags as u64 | self.document << 8,
            self.whole_at,
            self.source_time,
        ]
    }

    #[inline]
    pub(super) const fn from_words(words: [u64; HEADER]) -> Self {
        let [
            link,
            invalidation,
            sequence,
            received_at,
            turn,
            packed,
            whole_at,
            source_time,
        ] = words;
        Self {
            link,
            invalidation,
            sequence,
            received_at,
            turn,
            flags: packed as u8,
            document: packed >> 8,
            whole_at,
            source_time,
        }
    }

    /// Relaxed: the epoch orders them.
    #[inline]
    pub(super) fn load(words: &[AtomicU64; HEADER]) -> Self {
        // Neither `map` nor `zip`, which are not sure to be inlined.
        let mut loaded = [0; HEADER];
        for at in 0..HEADER {
            loaded[at] = words[at].load(Ordering::Relaxed);
        }
        Self::from_words(loaded)
    }

    /// The owner's.
    #[inline]
    pub(super) fn own(words: &[AtomicU64; HEADER]) -> Self {
        let mut own = [0; HEADER];
        for at in 0..HEADER {
            own[at] = words[at].own();
        }
        Self::from_words(own)
    }

    /// Relaxed: the epoch orders them.
    #[inline]
    pub(super) fn store(self, words: &[AtomicU64; HEADER]) {
        for (word, value) in words.iter().zip(self.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Stores what moves without a publication, each a word that means something by itself.
    #[inline]
    pub(super) fn store_times(self, words: &[AtomicU64; HEADER]) {
        words[SEQUENCE].store(self.sequence, Ordering::Relaxed);
        words[RECEIVED_AT].store(self.received_at, Ordering::Relaxed);
        words[WHOLE_AT].store(self.whole_at, Ordering::Relaxed);
        words[SOURCE_TIME].store(self.source_time, Ordering::Relaxed);
    }

    /// What becomes of the header by an update; `old` is blank, or of a removal, unless `alive`.
    /// `now` gives the present sum of invalidations.
    #[inline]
    pub(super) fn stamped(
        old: &Self,
        alive: bool,
        stamp: &Stamp,
        now: impl FnOnce() -> u64,
    ) -> Self {
        // A value that begins here has nothing in it from before.
        let fresh = stamp.whole || !alive;
        let partial = if alive { old.flags } else { flags::PARTIAL };
        Self {
            link: if fresh || stamp.trust {
                stamp.link
            } else {
                old.link
            },
            invalidation: match stamp.invalidation {
                _ if !fresh => old.invalidation,
                Some(sum) => sum,
                None => now(),
            },
            sequence: stamp.sequence.unwrap_or(old.sequence),
            received_at: stamp.received_at.as_nanos(),
            turn: stamp.turn,
            flags: if stamp.whole {
                stamp.flags
            } else {
                partial | stamp.flags
            },
            document: old.document,
            whole_at: match (stamp.whole, alive) {
                (true, _) => stamp.received_at.as_nanos(),
                (false, true) => old.whole_at,
                (false, false) => 0,
            },
            source_time: stamp.source_time,
        }
    }

    /// Whether the reasons for or against trusting the value are the same.
    #[inline]
    pub(super) fn same_stamps(&self, other: &Self) -> bool {
        self.link == other.link
            && self.invalidation == other.invalidation
            && self.flags == other.flags
    }
}

/// Whether the header says that there is, or was, a document beside the cells.
#[inline(always)]
pub(super) fn has_document(header: &[AtomicU64; HEADER]) -> bool {
    header[PACKED].own() >> 8 != 0
}

/// What becomes of the header of a value without a document: [`Header::stamped`] for the most
/// frequent case, word by word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    link: u64,
    invalidation: u64,
    flags: u64,
    whole_at: u64,
    is_same: bool,
}

impl Carried {
    #[inline(always)]
    pub(super) fn new(
        from: &[AtomicU64; HEADER],
        stamp: &Stamp,
        now: impl FnOnce() -> u64,
    ) -> Self {
        let (old_link, old_flags) = (from[LINK].own(), from[PACKED].own());
        let old_invalidation = from[INVALIDATION].own();
        let (mut link, mut flags) = (old_link, old_flags | u64::from(stamp.flags));
        let mut invalidation = old_invalidation;
        let mut whole_at = from[WHOLE_AT].own();
        if stamp.whole {
            flags = u64::from(stamp.flags);
            invalidation = stamp.invalidation.unwrap_or_else(now);
            whole_at = stamp.received_at.as_nanos();
        }
        if stamp.whole || stamp.trust {
            link = stamp.link;
        }
        let moved = link ^ old_link | invalidation ^ old_invalidation | flags ^ old_flags;
        Self {
            link,
            invalidation,
            flags,
            whole_at,
            is_same: moved == 0,
        }
    }

    /// As [`Header::same_stamps`].
    #[inline(always)]
    pub(super) fn is_same(&self) -> bool {
        self.is_same
    }

    /// Stores the header of the next version.
    #[inline(always)]
    pub(super) fn store(
        &self,
        from: &[AtomicU64; HEADER],
        to: &[AtomicU64; HEADER],
        stamp: &Stamp,
    ) {
        let sequence = stamp.sequence.unwrap_or_else(|| from[SEQUENCE].own());
        let words = [
            self.link,
            self.invalidation,
            sequence,
            stamp.received_at.as_nanos(),
            stamp.turn,
            self.flags,
            self.whole_at,
            stamp.source_time,
        ];
        for (word, value) in to.iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// As [`Header::store_times`].
    #[inline(always)]
    pub(super) fn refresh(&self, from: &[AtomicU64; HEADER], stamp: &Stamp) {
        if let Some(sequence) = stamp.sequence {
            from[SEQUENCE].store(sequence, Ordering::Relaxed);
        }
        from[RECEIVED_AT].store(stamp.received_at.as_nanos(), Ordering::Relaxed);
        from[WHOLE_AT].store(self.whole_at, Ordering::Relaxed);
        from[SOURCE_TIME].store(stamp.source_time, Ordering::Relaxed);
    }
}

/// What an update says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// How the patch is laid over the value before it.
    pub(crate) mode: Mode,
    /// The message holds the whole value: it renews all stamps and clears all flags.
    pub(crate) whole: bool,
    /// A patch renews the stamp of the connection, too.
    pub(crate) trust: bool,
    /// The word of the entity's link, read at the start of the batch (or of the fetch).
    pub(crate) link: u64,
    /// The sum of invalidations when a fetch began; `None` for a message of this batch.
    pub(crate) invalidation: Option<u64>,
    /// The source's sequence. Kept from the update before if there is none.
    pub(crate) sequence: Option<u64>,
    /// When the bytes were read.
    pub(crate) received_at: Time,
    /// The source's own time, in its own unit; 0 if it gives none.
    pub(crate) source_time: u64,
    /// The owner's turn.
    pub(crate) turn: u64,
    /// Of [`flags`]; added by a patch, put in place of the old ones by a whole message.
    pub(crate) flags: u8,
}

impl Default for Stamp {
    /// A patch, received at the beginning of time.
    fn default() -> Self {
        Self {
            mode: Mode::Merge,
            whole: false,
            trust: false,
            link: 0,
            invalidation: None,
            sequence: None,
            received_at: Time::ZERO,
            source_time: 0,
            turn: 0,
            flags: 0,
        }
    }
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing was ever published.
    Empty,
    /// A value.
    Present,
    /// There was a value.
    Removed,
    /// The slot was purged: look the key up again.
    Dead,
}

/// What a reader learns about a publication besides its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The number of the publication. Never goes back for a key, purges included.
    pub(crate) epoch: u64,
    pub(crate) state: State,
    /// The link's word when the value was last confirmed.
    pub(crate) link: u64,
    /// The sum of invalidations that the value is good for.
    pub(crate) invalidation: u64,
    pub(crate) sequence: Option<u64>,
    pub(crate) received_at: Time,
    /// When the last whole value came; [`Time::ZERO`] if none did.
    pub(crate) whole_at: Time,
    pub(crate) source_time: u64,
    pub(crate) turn: u64,
    /// Of [`flags`].
    pub(crate) flags: u8,
}

impl Head {
    /// Of a slot that was purged.
    pub(super) const DEAD: Self = Self {
        epoch: 0,
        state: State::Dead,
        link: 0,
        invalidation: 0,
        sequence: None,
        received_at: Time::ZERO,
        whole_at: Time::ZERO,
        source_time: 0,
        turn: 0,
        flags: 0,
    };

    #[inline]
    pub(super) fn new(epoch: Epoch, header: &Header) -> Self {
        Self {
            epoch: epoch.number(),
            state: State::Present,
            link: header.link,
            invalidation: header.invalidation,
            sequence: (header.sequence != NO_SEQUENCE).then_some(header.sequence),
            received_at: Time::from_nanos(header.received_at),
            whole_at: Time::from_nanos(header.whole_at),
            source_time: header.source_time,
            turn: header.turn,
            flags: header.flags,
        }
    }

    /// As [`new`](Self::new), for a publication that may have no value.
    #[cold]
    pub(super) fn without_value(epoch: Epoch, header: &Header) -> Self {
        let state = if epoch.is_dead() {
            State::Dead
        } else if epoch.is_empty() {
            State::Empty
        } else if epoch.is_removed() || header.flags & flags::REMOVED != 0 {
            State::Removed
        } else {
            State::Present
        };
        Self {
            state,
            flags: header.flags & !flags::REMOVED,
            ..Self::new(epoch, header)
        }
    }

    /// What a slot with this head says after an update, as its owner would publish it; the sum of
    /// invalidations is now `sum`. The number stays.
    pub(crate) fn stamped(&self, stamp: &Stamp, sum: u64) -> Self {
        let header = Header::stamped(&self.header(0), self.has_value(), stamp, || sum);
        Self {
            epoch: self.epoch,
            ..Self::new(Epoch::empty(0), &header)
        }
    }

    /// All of it that a version keeps.
    pub(super) fn header(&self, document: u64) -> Header {
        Header {
            link: self.link,
            invalidation: self.invalidation,
            sequence: self.sequence.unwrap_or(NO_SEQUENCE),
            received_at: self.received_at.as_nanos(),
            turn: self.turn,
            flags: self.flags,
            document,
            whole_at: self.whole_at.as_nanos(),
            source_time: self.source_time,
        }
    }

    /// Whether there is a value.
    #[inline]
    pub(crate) fn has_value(&self) -> bool {
        self.state == State::Present
    }
}

#[cfg(all(test, not(tickcache_loom)))]
mod tests {
    use super::*;

    fn words(header: Header) -> [AtomicU64; HEADER] {
        header.to_words().map(AtomicU64::new)
    }

    #[test]
    fn headers_are_carried_as_they_are_stamped() {
        let old = Header {
            link: 3,
            invalidation: 5,
            sequence: 7,
            received_at: 11,
            turn: 13,
            flags: flags::GAP,
            document: 0,
            whole_at: 17,
            source_time: 19,
        };
        let (mut same, mut cases) = (0, 0);
        for choice in 0..1 << 6 {
            let is = |bit: u32| choice >> bit & 1 == 1;
            let stamp = Stamp {
                whole: is(0),
                trust: is(1),
                link: if is(2) { 3 } else { 4 },
                invalidation: is(3).then_some(6),
                sequence: is(4).then_some(8),
                received_at: Time::from_nanos(23),
                source_time: 29,
                turn: 31,
                flags: if is(5) { flags::GAP } else { flags::PARTIAL },
                ..Stamp::default()
            };
            let expected = Header::stamped(&old, true, &stamp, || 9);
            let (from, to) = (words(old), words(Header::BLANK));
            let carried = Carried::new(&from, &stamp, || 9);
            carried.store(&from, &to, &stamp);
            assert_eq!(Header::own(&to), expected, "{stamp:?}");
            assert_eq!(carried.is_same(), expected.same_stamps(&old), "{stamp:?}");
            let in_place = words(old);
            carried.refresh(&from, &stamp);
            expected.store_times(&in_place);
            assert_eq!(Header::own(&from), Header::own(&in_place), "{stamp:?}");
            same += u32::from(carried.is_same());
            cases += 1;
        }
        assert!(same > 0 && same < cases, "both happen");
        assert!(!has_document(&words(old)));
        assert!(has_document(&words(Header { document: 1, ..old })));
    }
}
