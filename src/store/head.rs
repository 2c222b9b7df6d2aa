//! What a version says about itself, next to its cells: stamps, times, sequence, turn.

use crate::record::Mode;
use crate::store::block::{Pair, load, own, store};
use crate::store::epoch::Epoch;
use crate::store::stamps::{Packed, Stamps, StampsOf};
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
    /// There is, or was, a document beside the cells. The store's own.
    pub(in crate::store) const DOCUMENT: u8 = 1 << 6;
    /// The version is of a removal. The store's own.
    pub(in crate::store) const REMOVED: u8 = 1 << 7;
}

/// No sequence was given yet; as that of a [`Stamp`], forgets the one that is held.
pub(crate) const NO_SEQUENCE: u64 = u64::MAX;
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

/// Pairs of words that a version has for what is looked at rarely.
pub(super) const COLD: usize = 3;

/// Where the words of a header lie: the stamps beside the epoch, the rest behind the cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderWords<'a> {
    pub(super) stamps: StampsOf<'a>,
    pub(super) cold: &'a [Pair; COLD],
}

impl HeaderWords<'_> {
    #[inline(always)]
    fn sequence(&self) -> &AtomicU64 {
        &self.cold[0][0]
    }

    #[inline(always)]
    fn received_at(&self) -> &AtomicU64 {
        &self.cold[0][1]
    }

    #[inline(always)]
    pub(super) fn turn(&self) -> &AtomicU64 {
        &self.cold[1][0]
    }

    #[inline(always)]
    fn source_time(&self) -> &AtomicU64 {
        &self.cold[1][1]
    }

    #[inline(always)]
    fn whole_at(&self) -> &AtomicU64 {
        &self.cold[2][0]
    }
}

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
    const fn to_stamps(self) -> Packed {
        let document = if self.document == 0 {
            0
        } else {
            flags::DOCUMENT
        };
        Packed::new(self.link, self.invalidation, self.flags | document)
    }

    #[inline]
    pub(super) const fn to_cold(self) -> [[u64; 2]; COLD] {
        [
            [self.sequence, self.received_at],
            [self.turn, self.source_time],
            [self.whole_at, self.document],
        ]
    }

    #[inline]
    const fn from_words(packed: Packed, cold: [[u64; 2]; COLD]) -> Self {
        let Stamps {
            link,
            invalidation,
            flags,
        } = packed.stamps();
        let [
            [sequence, received_at],
            [turn, source_time],
            [whole_at, document],
        ] = cold;
        Self {
            link,
            invalidation,
            sequence,
            received_at,
            turn,
            flags,
            document,
            whole_at,
            source_time,
        }
    }

    /// Relaxed: the epoch orders them.
    #[inline]
    pub(super) fn load(words: HeaderWords<'_>) -> Self {
        let [first, second, third] = words.cold;
        let cold = [load(first), load(second), load(third)];
        Self::from_words(words.stamps.load(), cold)
    }

    /// The owner's.
    #[inline]
    pub(super) fn own(words: HeaderWords<'_>) -> Self {
        let [first, second, third] = words.cold;
        let cold = [own(first), own(second), own(third)];
        Self::from_words(words.stamps.own(), cold)
    }

    /// Relaxed: the epoch orders them.
    #[inline]
    pub(super) fn store(self, words: HeaderWords<'_>) {
        words.stamps.store(self.to_stamps());
        for (pair, value) in words.cold.iter().zip(self.to_cold()) {
            store(pair, value);
        }
    }

    /// Stores what moves without a publication, each a word that means something by itself.
    #[inline]
    pub(super) fn store_times(self, words: HeaderWords<'_>) {
        words.sequence().store(self.sequence, Ordering::Relaxed);
        words
            .received_at()
            .store(self.received_at, Ordering::Relaxed);
        words.whole_at().store(self.whole_at, Ordering::Relaxed);
        words
            .source_time()
            .store(self.source_time, Ordering::Relaxed);
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
            link: if fresh || stamp.confirms(old.link) {
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
        // As they are kept: what is not kept of them is no difference.
        let packed = |header: &Self| Packed::new(header.link, header.invalidation, header.flags);
        packed(self) == packed(other)
    }
}

/// What becomes of the header of a value without a document: [`Header::stamped`] for the most
/// frequent case, word by word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    stamps: Packed,
    is_same: bool,
}

impl Carried {
    #[inline(always)]
    pub(super) fn new(from: StampsOf<'_>, stamp: &Stamp, now: impl FnOnce() -> u64) -> Self {
        let old = from.own();
        let (mut link, mut flags) = (old.link(), old.flags() | stamp.flags);
        let mut invalidation = old.invalidation();
        if stamp.whole {
            flags = stamp.flags;
            invalidation = stamp.invalidation.unwrap_or_else(now);
        }
        if stamp.whole || stamp.confirms(link) {
            link = stamp.link;
        }
        let stamps = Packed::new(link, invalidation, flags);
        Self {
            stamps,
            is_same: stamps == old,
        }
    }

    /// As [`Header::same_stamps`].
    #[inline(always)]
    pub(super) fn is_same(&self) -> bool {
        self.is_same
    }

    /// Stores the header of the next version. No document is noted there: none was ever noted in
    /// the one before.
    #[inline(always)]
    pub(super) fn store(self, from: HeaderWords<'_>, to: HeaderWords<'_>, stamp: &Stamp) {
        let sequence = stamp.sequence.unwrap_or_else(|| from.sequence().own());
        let whole_at = if stamp.whole {
            stamp.received_at.as_nanos()
        } else {
            from.whole_at().own()
        };
        to.stamps.store(self.stamps);
        store(&to.cold[0], [sequence, stamp.received_at.as_nanos()]);
        store(&to.cold[1], [stamp.turn, stamp.source_time]);
        to.whole_at().store(whole_at, Ordering::Relaxed);
    }

    /// As [`Header::store_times`].
    #[inline(always)]
    pub(super) fn refresh(from: HeaderWords<'_>, stamp: &Stamp) {
        if let Some(sequence) = stamp.sequence {
            from.sequence().store(sequence, Ordering::Relaxed);
        }
        let received_at = stamp.received_at.as_nanos();
        from.received_at().store(received_at, Ordering::Relaxed);
        if stamp.whole {
            from.whole_at().store(received_at, Ordering::Relaxed);
        }
        from.source_time()
            .store(stamp.source_time, Ordering::Relaxed);
    }
}

/// [`Stamp::trust`] where no patch renews the stamp of the connection.
pub(crate) const NO_TRUST: u64 = u64::MAX;

/// What an update says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// How the patch is laid over the value before it.
    pub(crate) mode: Mode,
    /// The message holds the whole value: it renews all stamps and clears all flags.
    pub(crate) whole: bool,
    /// A patch renews the stamp of the connection, too, where that is this one or a later one:
    /// [`LinkWord::torn`](super::link::LinkWord::torn) of a source that is trusted to send what was
    /// missed (0 until it has had a gap), else [`NO_TRUST`].
    pub(crate) trust: u64,
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

impl Stamp {
    /// Whether the update, a patch, renews the stamp of the connection of a value that has this one.
    #[inline(always)]
    pub(crate) const fn confirms(&self, link: u64) -> bool {
        link >= self.trust
    }
}

impl Default for Stamp {
    /// A patch, received at the beginning of time.
    fn default() -> Self {
        Self {
            mode: Mode::Merge,
            whole: false,
            trust: NO_TRUST,
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
    /// What is held against what goes on beside the slots.
    #[inline(always)]
    pub(crate) fn stamps(&self) -> Stamps {
        Stamps {
            link: self.link,
            invalidation: self.invalidation,
            flags: self.flags,
        }
    }

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

#[cfg(all(test, not(tickcache_model)))]
mod tests;
