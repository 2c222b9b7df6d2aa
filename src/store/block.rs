//! The version ring: `K` versions of a record's cells, and the epoch word that chooses one.
//!
//! A block has room for one layout. A slot that outgrows it goes on in the next block; see
//! [`Block::next`]. Everything that threads share here is an atomic word, so a reader that is
//! lapped copies nonsense at worst, and finds out before it looks at it.
//!
//! A body in words: the headers of all versions, each as long as a cache line; then the cells of
//! each version, two words a cell; then, if there are more cells than one mask is for, masks that
//! only the owner looks at. An allocator that aligns to cache lines so aligns the headers, and no
//! cell lies across two lines.

use crate::record::{Document, Layout};
use crate::store::epoch::{Epoch, EpochWord};
use crate::store::fault::{Fault, injected};
use crate::store::head::Header;
use crate::sync::{Arc, ArcSwapOption, AtomicU64, OnceLock};

/// Versions in a slot's ring. More look further back (for [`cut`](super::cut())) and cost memory.
pub(crate) const VERSIONS: usize = 2;

/// Words of a version's header.
pub(super) const HEADER: usize = 8;

/// Cells that one word of a mask stands for. The owner keeps the masks of the first so many itself.
pub(super) const CHUNK: usize = 64;

/// What a block holds from its first publication on.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) layout: Arc<Layout>,
    words: Box<[AtomicU64]>,
}

/// One version, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version<'a> {
    pub(super) header: &'a [AtomicU64; HEADER],
    pub(super) cells: &'a [[AtomicU64; 2]],
}

impl Body {
    /// Blank versions. Their headers say that they belong to no turn.
    pub(super) fn new<const K: usize>(layout: Arc<Layout>) -> Self {
        let cells = layout.cells() as usize;
        let headers = (0..K).flat_map(|_| Header::BLANK.to_words());
        let rest = 2 * K * cells + (K + 1) * Self::masks(cells);
        let words = headers.chain(std::iter::repeat_n(0, rest));
        Self {
            layout,
            words: words.map(AtomicU64::new).collect(),
        }
    }

    /// Masks for so many cells, without the first.
    fn masks(cells: usize) -> usize {
        cells.div_ceil(CHUNK) - 1
    }

    /// The version that the publication with this number has, or had, or will have.
    #[inline(always)]
    pub(super) fn version<const K: usize>(&self, number: u64) -> Version<'_> {
        let at = number as usize % K;
        let (headers, rest) = self.words.split_at(K * HEADER);
        let cells = 2 * self.layout.cells() as usize;
        // Where one of two begins is no question for a branch: it would be guessed wrong as often
        // as not.
        let start = if K == 2 {
            cells & at.wrapping_neg()
        } else {
            cells * at
        };
        Version {
            header: &headers.as_chunks().0[at],
            cells: rest[start..][..cells].as_chunks().0,
        }
    }

    /// The owner's masks of the cells after the first [`CHUNK`]: of those in which the version of
    /// this number is behind the newest.
    pub(super) fn behind<const K: usize>(&self, number: u64) -> &[AtomicU64] {
        self.mask::<K>(number as usize % K)
    }

    /// As [`behind`](Self::behind): of the cells put in the version being made.
    pub(super) fn put<const K: usize>(&self) -> &[AtomicU64] {
        self.mask::<K>(K)
    }

    fn mask<const K: usize>(&self, at: usize) -> &[AtomicU64] {
        let cells = self.layout.cells() as usize;
        let masks = Self::masks(cells);
        &self.words[K * (HEADER + 2 * cells) + at * masks..][..masks]
    }

    pub(super) fn words(&self) -> usize {
        self.words.len()
    }
}

/// A ring with room for one layout, and what is needed rarely.
#[derive(Debug)]
pub(super) struct Block<const K: usize> {
    pub(super) epoch: EpochWord,
    body: OnceLock<Body>,
    more: OnceLock<Box<More<K>>>,
}

#[derive(Debug)]
struct More<const K: usize> {
    /// The place of a document is its version modulo `K`.
    documents: [ArcSwapOption<Document>; K],
    next: OnceLock<Arc<Block<K>>>,
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
            epoch: EpochWord::new(epoch),
            body: OnceLock::new(),
            more: OnceLock::new(),
        }
    }

    #[inline]
    pub(super) fn body(&self) -> Option<&Body> {
        self.body.get()
    }

    /// Owner: the body, made if there is none.
    #[inline]
    pub(super) fn body_or(&self, make: impl FnOnce() -> Body) -> &Body {
        self.body.get_or_init(make)
    }

    /// Copies with `copy` from the version of `epoch`, an earlier reading of the epoch word (or
    /// up to `K - 2` publications before). `None` if the copy may be torn, or if there is nothing.
    #[inline(always)]
    pub(super) fn attempt<R>(
        &self,
        epoch: Epoch,
        copy: impl FnOnce(&Body, Version<'_>) -> R,
    ) -> Option<R> {
        let body = self.body()?;
        let copied = copy(body, body.version::<K>(epoch.number()));
        self.epoch.holds(epoch, K).then_some(copied)
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
            })
        })
    }
}
