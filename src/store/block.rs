//! The version ring: `K` versions of a record's cells, and the epoch word that chooses one.
//!
//! A block has room for one layout. A slot that outgrows it goes on in the next block; see
//! [`Block::next`]. Everything that threads share here is an atomic word, so a reader that is
//! lapped copies nonsense at worst, and finds out before it looks at it.
//!
//! What a read needs is in few cache lines. The first words of a block, 56 bytes that a [slot](super::slot)
//! has in one line, are where the cells lie, the epoch, and the stamps of all versions. The cells
//! are in an allocation of their own, version after version: first the cells, two words each, then
//! six words that only publications and longer reads look at. So the length says how many cells
//! there are, a read of fields touches the line of the slot and the lines of those fields, and the
//! rest (layout, documents, what comes next) is in lines of its own.

use crate::record::{Document, Layout};
use crate::store::epoch::{Epoch, EpochWord};
use crate::store::fault::{Fault, injected};
use crate::store::head::{COLD, Header, HeaderWords};
use crate::store::stamps::{StampWords, StampsOf};
use crate::sync::{Arc, ArcSwapOption, AtomicU64, OnceLock, Ordering, Own};

/// Versions in a slot's ring. More look further back (for [`cut`](super::cut())) and cost memory.
pub(crate) const VERSIONS: usize = 2;

/// Cells that one word of a mask stands for. The owner keeps the mask of the first so many itself.
pub(super) const CHUNK: usize = 64;

/// Two words: a cell, or a part of a header.
pub(super) type Pair = [AtomicU64; 2];

/// One version, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version<'a> {
    pub(super) header: HeaderWords<'a>,
    pub(super) cells: &'a [Pair],
}

/// What a block holds from its first publication on, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body<'a, const K: usize> {
    pub(super) layout: &'a Arc<Layout>,
    block: &'a Block<K>,
    words: &'a [Pair],
}

impl<'a, const K: usize> Body<'a, K> {
    /// The version that the publication with this number has, or had, or will have.
    #[inline(always)]
    pub(super) fn version(&self, number: u64) -> Version<'a> {
        self.block.version(self.words, number)
    }

    /// How many words it takes.
    pub(super) fn words(&self) -> usize {
        self.words.as_flattened().len()
    }

    /// As [`words`](Self::words), of one with this layout.
    pub(super) fn words_for(layout: &Layout) -> usize {
        2 * K * (layout.cells() as usize + COLD)
    }
}

/// A ring with room for one layout, and what is needed rarely.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Block<const K: usize> {
    /// Set after the layout, so who sees it sees that, too.
    words: OnceLock<Box<[Pair]>>,
    pub(super) epoch: EpochWord,
    stamps: StampWords<K>,
    // From here on nothing that a read of fields looks at.
    layout: OnceLock<Arc<Layout>>,
    more: OnceLock<Box<More<K>>>,
}

/// Bytes at the beginning of a block that every read looks at.
#[cfg(not(tickcache_model))]
pub(super) const HOT: usize = std::mem::offset_of!(Block<VERSIONS>, layout);

#[derive(Debug)]
struct More<const K: usize> {
    /// The place of a document is its version modulo `K`.
    documents: [ArcSwapOption<Document>; K],
    next: OnceLock<Arc<Block<K>>>,
    /// For the cells after the first [`CHUNK`]: for each version those in which it is behind the
    /// newest, and then those put in the version being made. Only the owner looks at them.
    masks: OnceLock<Box<[AtomicU64]>>,
}

impl<const K: usize> Block<K> {
    const AT_LEAST_TWO: () = assert!(
        K >= 2,
        "a reader copies one version while another is written"
    );

    /// A block without a body, at this epoch.
    pub(super) fn new(epoch: Epoch) -> Self {
        const { Self::AT_LEAST_TWO };
        Self {
            words: OnceLock::new(),
            epoch: EpochWord::new(epoch),
            stamps: StampWords::new(),
            layout: OnceLock::new(),
            more: OnceLock::new(),
        }
    }

    /// What it holds, if it has room for anything yet.
    #[inline]
    pub(super) fn body(&self) -> Option<Body<'_, K>> {
        let words = self.words()?;
        let layout = self.layout.get()?;
        Some(Body {
            layout,
            block: self,
            words,
        })
    }

    /// The words of all versions, to be told apart by [`version`](Self::version).
    #[inline(always)]
    pub(super) fn words(&self) -> Option<&[Pair]> {
        self.words.get().map(|words| &**words)
    }

    /// Where the cells of the version of the publication with this number begin in the block's own
    /// words, and how many they are.
    #[inline(always)]
    pub(super) fn cells_of(words: &[Pair], number: u64) -> (usize, usize) {
        let at = number as usize % K;
        let length = words.len() / K;
        // Where one of two begins is no question for a branch: it would be guessed wrong as often
        // as not.
        let start = if K == 2 {
            length & at.wrapping_neg()
        } else {
            length * at
        };
        (start, length - COLD)
    }

    /// The stamps of the version of the publication with this number.
    #[inline(always)]
    pub(super) fn stamps_of(&self, number: u64) -> StampsOf<'_> {
        self.stamps.of(number)
    }

    /// The version of the publication with this number, in the block's own words.
    #[inline(always)]
    pub(super) fn version<'a>(&'a self, words: &'a [Pair], number: u64) -> Version<'a> {
        let (start, cells) = Self::cells_of(words, number);
        let (cells, cold) = words[start..][..cells + COLD]
            .split_last_chunk()
            .expect("each version has a header");
        Version {
            header: HeaderWords {
                stamps: self.stamps_of(number),
                cold,
            },
            cells,
        }
    }

    /// Owner: makes room for this layout, if there is none yet: blank versions, whose headers say
    /// that they belong to no turn.
    pub(super) fn make_room(&self, layout: &Arc<Layout>) -> Option<Body<'_, K>> {
        if self.words().is_none() {
            let cells = self.layout.get_or_init(|| layout.clone()).cells() as usize;
            let far = cells.div_ceil(CHUNK) - 1;
            if far > 0 {
                let masks = || (0..(K + 1) * far).map(|_| AtomicU64::new(0)).collect();
                self.more().masks.get_or_init(masks);
            }
            let version = || {
                let cells = std::iter::repeat_n([0; 2], cells);
                cells.chain(Header::BLANK.to_cold())
            };
            let words = (0..K).flat_map(|_| version());
            self.words
                .get_or_init(|| words.map(|pair| pair.map(AtomicU64::new)).collect());
        }
        self.body()
    }

    /// The owner's masks of the cells after the first [`CHUNK`]: of those in which the version of
    /// this number is behind the newest.
    pub(super) fn behind(&self, number: u64) -> &[AtomicU64] {
        self.mask(number as usize % K)
    }

    /// As [`behind`](Self::behind): of the cells put in the version being made.
    pub(super) fn put(&self) -> &[AtomicU64] {
        self.mask(K)
    }

    fn mask(&self, at: usize) -> &[AtomicU64] {
        let masks = self.more.get().and_then(|more| more.masks.get());
        masks.map_or(&[], |masks| {
            let length = masks.len() / (K + 1);
            &masks[at * length..][..length]
        })
    }

    /// Copies with `copy` from the version of `epoch`, an earlier reading of the epoch word (or
    /// up to `K - 2` publications before). `None` if the copy may be torn, or if there is nothing.
    #[inline(always)]
    pub(super) fn attempt<R>(
        &self,
        epoch: Epoch,
        copy: impl FnOnce(Version<'_>) -> R,
    ) -> Option<R> {
        let copied = copy(self.version(self.words()?, epoch.number()));
        self.epoch.holds(epoch, K).then_some(copied)
    }

    /// The layout of the cells, once there are any.
    #[inline]
    pub(super) fn layout(&self) -> Option<&Arc<Layout>> {
        self.layout.get()
    }

    /// The block in which the slot goes on. There is one whenever the epoch says "closed".
    pub(super) fn next(&self) -> Option<&Arc<Self>> {
        self.more.get()?.next.get()
    }

    /// Owner: sends readers on to `next`, which holds the next publication already.
    pub(super) fn hand_over(&self, next: Arc<Self>) {
        if injected(Fault::CloseFirst) {
            self.epoch.close();
        }
        let first = self.more().next.set(next).is_ok();
        debug_assert!(first, "a block has one successor");
        self.epoch.close();
    }

    /// The document of this version of it. Meant only while the epoch that named it holds: check
    /// afterwards.
    #[cold]
    pub(super) fn document(&self, version: u64) -> Option<Arc<Document>> {
        let place = &self.more.get()?.documents[version as usize % K];
        place.load_full()
    }

    /// Owner: puts a document into its place, before the publication that names it. Returns the
    /// one that was there.
    #[cold]
    pub(super) fn put_document(
        &self,
        version: u64,
        document: Option<Arc<Document>>,
    ) -> Option<Arc<Document>> {
        self.more().documents[version as usize % K].swap(document)
    }

    fn more(&self) -> &More<K> {
        self.more.get_or_init(|| {
            let documents = std::array::from_fn(|_| ArcSwapOption::new(None));
            Box::new(More {
                documents,
                next: OnceLock::new(),
                masks: OnceLock::new(),
            })
        })
    }
}

/// Owner: a cell of its own version, as it stored it.
#[inline(always)]
pub(super) fn own(cell: &Pair) -> [u64; 2] {
    [cell[0].own(), cell[1].own()]
}

/// Owner: relaxed, since the epoch orders the words.
#[inline(always)]
pub(super) fn store(cell: &Pair, value: [u64; 2]) {
    cell[0].store(value[0], Ordering::Relaxed);
    cell[1].store(value[1], Ordering::Relaxed);
}

/// Reader: relaxed, since the epoch orders the words.
#[inline(always)]
pub(super) fn load(cell: &Pair) -> [u64; 2] {
    [
        cell[0].load(Ordering::Relaxed),
        cell[1].load(Ordering::Relaxed),
    ]
}
