//! What the machine allows a slot: a ring of two versions with the words of a real one, in allocations
//! of the same sizes, and nothing else. No fields to be found, no stamps, no freshness, no clean-up;
//! read and written by numbers known beforehand. Who reads or publishes more than this takes longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Words of a version beside its cells.
const BESIDE: usize = 6;

/// Words of a slot beside those of its versions.
const SLOT: usize = 22;

#[derive(Clone, Debug)]
pub(crate) struct Bare(Arc<Words>);

#[derive(Debug)]
struct Words {
    /// The second is the epoch: the number of the newest version.
    slot: [AtomicU64; SLOT],
    versions: Box<[AtomicU64]>,
}

impl Bare {
    /// With room for so many cells of two words.
    pub(crate) fn new(cells: usize) -> Self {
        let words = 2 * (2 * cells + BESIDE);
        Self(Arc::new(Words {
            slot: [const { AtomicU64::new(0) }; SLOT],
            versions: (0..words as u64).map(AtomicU64::new).collect(),
        }))
    }

    fn version(&self, epoch: u64) -> &[AtomicU64] {
        let (even, odd) = self.0.versions.split_at(self.0.versions.len() / 2);
        if epoch.is_multiple_of(2) { even } else { odd }
    }

    /// The words of these cells, all of one version.
    #[inline]
    pub(crate) fn read<const N: usize>(&self, cells: [usize; N]) -> [[u64; 2]; N] {
        loop {
            let epoch = self.0.slot[1].load(Ordering::Acquire);
            let version = self.version(epoch);
            let mut read = [[0; 2]; N];
            for at in 0..N {
                let words = &version[2 * cells[at]..][..2];
                read[at] = [0, 1].map(|word: usize| words[word].load(Ordering::Relaxed));
            }
            fence(Ordering::Acquire);
            if self.0.slot[1].load(Ordering::Relaxed) == epoch {
                return read;
            }
        }
    }

    /// Publishes a version with these cells, the same each time: so nothing else has to be carried over.
    #[inline]
    pub(crate) fn publish<const N: usize>(&self, cells: [(usize, [u64; 2]); N]) {
        let epoch = self.0.slot[1].load(Ordering::Relaxed) + 1;
        fence(Ordering::Release);
        let version = self.version(epoch);
        for (cell, words) in cells {
            version[2 * cell].store(words[0], Ordering::Relaxed);
            version[2 * cell + 1].store(words[1], Ordering::Relaxed);
        }
        self.0.slot[1].store(epoch, Ordering::Release);
    }
}
