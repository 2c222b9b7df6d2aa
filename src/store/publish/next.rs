//! The cells of the version being made, and what the versions are behind in.
//!
//! What an update puts goes straight into the version being made; all else is looked up in the
//! newest one, and is copied only when the update is through, and only where the two differ. So a
//! feed that changes the same fields again and again copies nothing.

use super::{load, store};
use crate::record::{self, ABSENT, Cells, Patch};
use crate::store::block::{Body, CHUNK};
use crate::sync::{AtomicU64, Ordering, Own};

/// The cells of the version being made: those put are there, all others in the newest version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next<'a, const K: usize> {
    body: &'a Body,
    from: &'a [[AtomicU64; 2]],
    to: &'a [[AtomicU64; 2]],
    /// Those put, of the first chunk.
    put: u64,
    /// Others are put, too: they are marked in the body.
    far: bool,
}

impl<'a, const K: usize> Next<'a, K> {
    /// The version after that of `from`, in which nothing is put yet.
    #[inline(always)]
    pub(super) fn new(
        body: &'a Body,
        from: &'a [[AtomicU64; 2]],
        to: &'a [[AtomicU64; 2]],
    ) -> Self {
        Self::with(body, from, to, 0)
    }

    /// As [`new`](Self::new), with these of the first cells put.
    #[inline(always)]
    pub(super) fn with(
        body: &'a Body,
        from: &'a [[AtomicU64; 2]],
        to: &'a [[AtomicU64; 2]],
        put: u64,
    ) -> Self {
        Self {
            body,
            from,
            to,
            put,
            far: false,
        }
    }

    /// The same, with these of the first cells put.
    pub(super) fn after(self, put: u64) -> Self {
        Self { put, ..self }
    }

    pub(super) fn body(&self) -> &'a Body {
        self.body
    }

    /// Whether anything was put.
    #[inline(always)]
    pub(super) fn any(&self) -> bool {
        self.put != 0 || self.far
    }

    /// Copies what the version, that of `number`, is behind in and was not put, and notes that the
    /// others are behind in what was.
    #[inline(always)]
    pub(super) fn complete(self, number: u64, behind: &mut [u64; K]) {
        let own = number as usize % K;
        self.copy(0, behind[own] & !self.put);
        behind[own] = 0;
        for other in 1..K {
            behind[(own + other) % K] |= self.put;
        }
        if self.to.len() > CHUNK {
            self.complete_far(number);
        }
    }

    /// As [`complete`](Self::complete), for the cells after the first chunk.
    #[inline(never)]
    fn complete_far(self, number: u64) {
        let own = self.body.behind::<K>(number);
        for (at, (put, behind)) in self.body.put::<K>().iter().zip(own).enumerate() {
            let (is_put, is_behind) = (put.own(), behind.own());
            if is_behind != 0 {
                self.copy((at + 1) * CHUNK, is_behind & !is_put);
                behind.store(0, Ordering::Relaxed);
            }
            if is_put != 0 {
                for other in 1..K as u64 {
                    let behind = &self.body.behind::<K>(number + other)[at];
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
            store(&self.to[cell], load(&self.from[cell]));
            cells &= cells - 1;
        }
    }

    /// Makes the version, that of `number`, one without cells: the others are behind in all.
    pub(super) fn blank(self, number: u64, behind: &mut [u64; K]) {
        for cell in self.to {
            store(cell, ABSENT);
        }
        all_behind(self.body, number, behind);
    }

    fn is_far_put(&self, cell: usize) -> bool {
        self.body.put::<K>()[cell / CHUNK - 1].own() >> (cell % CHUNK) & 1 == 1
    }

    #[inline(never)]
    fn mark_far(&self, cell: usize) {
        let put = &self.body.put::<K>()[cell / CHUNK - 1];
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
        load(if is_put {
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
    from: &'a [[AtomicU64; 2]],
    to: &'a [[AtomicU64; 2]],
    put: u64,
}

/// Applies the operations of a patch to the first [`CHUNK`] cells, as
/// [`apply_short`](record::apply_short) does: how many, and which cells were put. A function of its
/// own, so that the loop has all registers.
#[inline(never)]
pub(super) fn apply_near(
    patch: &Patch,
    from: &[[AtomicU64; 2]],
    to: &[[AtomicU64; 2]],
) -> (usize, u64) {
    let to = &to[..from.len()];
    let mut near = Near { from, to, put: 0 };
    let applied = record::apply_short(patch, &mut near);
    (applied, near.put)
}

impl Cells for Near<'_> {
    #[inline(always)]
    fn get(&self, cell: u32) -> [u64; 2] {
        load(&self.from[cell as usize])
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
}

/// Marks every version but that of `number` as behind in every cell, and nothing as put.
pub(super) fn all_behind<const K: usize>(body: &Body, number: u64, behind: &mut [u64; K]) {
    let cells = body.layout.cells() as usize;
    let all = |cells: usize| u64::MAX >> (CHUNK - cells.min(CHUNK));
    for other in 0..K as u64 {
        let number = number + other;
        let mask = |cells: usize| if other == 0 { 0 } else { all(cells) };
        behind[number as usize % K] = mask(cells);
        for (at, behind) in body.behind::<K>(number).iter().enumerate() {
            behind.store(mask(cells - (at + 1) * CHUNK), Ordering::Relaxed);
        }
    }
    let put = body.put::<K>().iter();
    put.for_each(|put| put.store(0, Ordering::Relaxed));
}
