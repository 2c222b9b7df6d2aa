//! The cells of the version being made, and what the versions are behind in.
//!
//! What an update puts goes straight into the version being made; all else is looked up in the
//! newest one, and is copied only when the update is through, and only where the two differ. So a
//! feed that changes the same fields again and again copies nothing.

use crate::record::{self, ABSENT, Cells, Patch};
use crate::store::block::{Block, CHUNK, Pair, Version, own, store};
use crate::sync::{Ordering, Own};

/// The cells of the version being made: those put are there, all others in the newest version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next<'a, const K: usize> {
    block: &'a Block<K>,
    from: &'a [Pair],
    to: &'a [Pair],
    /// Those put, of the first chunk.
    put: u64,
    /// Others are put, too: they are marked in the block.
    far: bool,
}

impl<'a, const K: usize> Next<'a, K> {
    /// The version after `from`, with these of the first cells put.
    #[inline(always)]
    pub(super) fn new(block: &'a Block<K>, from: Version<'a>, to: Version<'a>, put: u64) -> Self {
        Self {
            block,
            from: from.cells,
            to: to.cells,
            put,
            far: false,
        }
    }

    /// The same, with these of the first cells put.
    pub(super) fn after(self, put: u64) -> Self {
        Self { put, ..self }
    }

    /// Whether anything was put.
    #[inline(always)]
    pub(super) fn any(&self) -> bool {
        self.put != 0 || self.far
    }

    /// Copies what the version, that of `number`, is behind in and was not put, and notes that the
    /// others are behind in what was.
    #[inline(always)]
    pub(super) fn complete(self, number: u64, behind: &mut Behind) {
        self.copy(0, behind.0 & !self.put);
        // Of two versions there is one other; of more, some are behind in what was put before.
        behind.0 = if K == 2 {
            self.put
        } else {
            behind.0 | self.put
        };
        if self.to.len() > CHUNK {
            self.complete_far(number);
        }
    }

    /// As [`complete`](Self::complete), for the cells after the first chunk.
    #[inline(never)]
    fn complete_far(self, number: u64) {
        let own = self.block.behind(number);
        for (at, (put, behind)) in self.block.put().iter().zip(own).enumerate() {
            let (is_put, is_behind) = (put.own(), behind.own());
            if is_behind != 0 {
                self.copy((at + 1) * CHUNK, is_behind & !is_put);
                behind.store(0, Ordering::Relaxed);
            }
            if is_put != 0 {
                for other in 1..K as u64 {
                    let behind = &self.block.behind(number + other)[at];
                    behind.store(behind.own() | is_put, Ordering::Relaxed);
                }
                put.store(0, Ordering::Relaxed);
            }
        }
    }

    #[inline(always)]
    fn copy(&self, first: usize, mut cells: u64) {
        while cells != 0 {
            let cell = first + cells.trailing_zeros() as usize;
            store(&self.to[cell], own(&self.from[cell]));
            cells &= cells - 1;
        }
    }

    /// Makes the version, that of `number`, one without cells: the others are behind in all.
    pub(super) fn blank(self, number: u64, behind: &mut Behind) {
        for cell in self.to {
            store(cell, ABSENT);
        }
        *behind = Behind::all(self.block, self.to.len(), number);
    }

    fn is_far_put(&self, cell: usize) -> bool {
        self.block.put()[cell / CHUNK - 1].own() >> (cell % CHUNK) & 1 == 1
    }

    #[inline(never)]
    fn mark_far(&self, cell: usize) {
        let put = &self.block.put()[cell / CHUNK - 1];
        put.store(put.own() | 1 << (cell % CHUNK), Ordering::Relaxed);
    }
}

impl<const K: usize> Cells for Next<'_, K> {
    #[inline(always)]
    fn get(&self, cell: u32) -> [u64; 2] {
        let cell = cell as usize;
        let is_put = if cell < CHUNK {
            self.put >> cell & 1 == 1
        } else {
            self.far && self.is_far_put(cell)
        };
        own(if is_put {
            &self.to[cell]
        } else {
            &self.from[cell]
        })
    }

    #[inline(always)]
    fn put(&mut self, cell: u32, value: [u64; 2]) {
        let cell = cell as usize;
        store(&self.to[cell], value);
        if cell < CHUNK {
            self.put |= 1 << cell;
        } else {
            self.far = true;
            self.mark_far(cell);
        }
    }
}

/// As [`Next`], of the first [`CHUNK`] cells, and none is asked for after it was put: what a
/// register is enough for.
struct Near<'a> {
    from: &'a [Pair],
    to: &'a [Pair],
    put: u64,
}

/// Applies the operations of a patch to the first [`CHUNK`] cells, as
/// [`apply_short`](record::apply_short) does: how many, and which cells were put. A function of its
/// own, so that the loop has all registers.
#[inline(never)]
pub(super) fn apply_near(patch: &Patch, from: &[Pair], to: &[Pair]) -> (usize, u64) {
    let to = &to[..from.len()];
    let mut near = Near { from, to, put: 0 };
    let applied = record::apply_short(patch, &mut near);
    (applied, near.put)
}

impl Cells for Near<'_> {
    #[inline(always)]
    fn get(&self, cell: u32) -> [u64; 2] {
        own(&self.from[cell as usize])
    }

    #[inline(always)]
    fn put(&mut self, cell: u32, value: [u64; 2]) {
        self.put_if(true, cell, value);
    }

    /// The cell as it was does no harm: nobody reads the version yet, and it may be behind in it.
    #[inline(always)]
    fn put_if(&mut self, changes: bool, cell: u32, value: [u64; 2]) {
        self.put |= u64::from(changes) << (cell as usize % CHUNK);
        store(&self.to[cell as usize], value);
    }

    /// All of it counts as put if any of it changes: nearly all does.
    #[inline(always)]
    fn put_token(&mut self, cell: u32, words: &[u64], old: u16) -> bool {
        let (first, words) = (cell as usize, words.as_chunks::<2>().0);
        let cells = words.len().max(usize::from(old));
        let end = first + cells;
        if end > CHUNK || end > self.from.len() {
            return false;
        }
        let (from, to) = (&self.from[first..end], &self.to[first..end]);
        let (mut changes, mut left) = (0, from.iter().zip(to));
        for (word, (from, to)) in words.iter().zip(&mut left) {
            let old = own(from);
            changes |= old[0] ^ word[0] | old[1] ^ word[1];
            store(to, *word);
        }
        for (from, to) in left {
            let old = own(from);
            changes |= old[0] | old[1];
            store(to, ABSENT);
        }
        let all = u64::MAX >> (CHUNK - cells) << first;
        self.put |= if changes == 0 { 0 } else { all };
        true
    }
}

/// In which of the first [`CHUNK`] cells some version may be behind the newest, but for the newest
/// itself. The owner's own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behind(u64);

impl Behind {
    /// Every version but that of `number` is behind in each of so many cells. Marks the others
    /// as well, and nothing as put.
    pub(super) fn all<const K: usize>(block: &Block<K>, cells: usize, number: u64) -> Self {
        let all = |cells: usize| u64::MAX >> (CHUNK - cells.min(CHUNK));
        for other in 0..K as u64 {
            let mask = |cells: usize| if other == 0 { 0 } else { all(cells) };
            for (at, behind) in block.behind(number + other).iter().enumerate() {
                behind.store(mask(cells - (at + 1) * CHUNK), Ordering::Relaxed);
            }
        }
        let put = block.put().iter();
        put.for_each(|put| put.store(0, Ordering::Relaxed));
        Self(all(cells))
    }
}
