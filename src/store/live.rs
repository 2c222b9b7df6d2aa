//! The quickest read: the cells of some fields, if the value is as good as it can be.
//!
//! Nearly every read is of a value that nothing speaks against, each field in a cell of its own.
//! This answers only those, copies words and nothing else, and is inlined
//! whole where it is asked: what a caller gets is made in its place, and never moved. All else is
//! left to [`Slot::read`], which is total.

use crate::record::{ABSENT, is_whole};
use crate::store::block::{Block, HEADER};
use crate::store::head::Head;
use crate::store::reader::{Field, SlotReader, first_cell};
use crate::store::slot::Slot;
use crate::sync::{AtomicU64, Ordering};

/// What of a version is compared with what goes on beside the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamps {
    /// The link's word when the value was last confirmed.
    pub(crate) link: u64,
    /// The sum of invalidations that the value is good for.
    pub(crate) invalidation: u64,
    /// Of [`flags`](super::flags).
    pub(crate) flags: u8,
}

impl Stamps {
    /// The stamps in a header, and the version of the document beside it. Relaxed: the epoch
    /// orders them.
    #[inline(always)]
    fn load(words: &[AtomicU64; HEADER]) -> (Self, u64) {
        let [link, invalidation, _, _, _, packed, _, _] = words;
        let packed = packed.load(Ordering::Relaxed);
        let stamps = Self {
            link: link.load(Ordering::Relaxed),
            invalidation: invalidation.load(Ordering::Relaxed),
            flags: packed as u8,
        };
        (stamps, packed >> 8)
    }
}

impl Head {
    #[inline(always)]
    pub(crate) fn stamps(&self) -> Stamps {
        Stamps {
            link: self.link,
            invalidation: self.invalidation,
            flags: self.flags,
        }
    }
}

impl<const K: usize> Block<K> {
    #[inline(always)]
    fn cells_if<F: Copy + Into<Field>, const N: usize>(
        &self,
        fields: &[F; N],
        accept: impl FnOnce(Stamps) -> bool,
    ) -> Option<[[u64; 2]; N]> {
        let epoch = self.epoch.load();
        if !epoch.has_value() {
            return None;
        }
        let (cells, stamps, document) = self.attempt(epoch, |body, version| {
            // Neither `map` nor `zip`, which are not sure to be inlined.
            let mut cells = [ABSENT; N];
            for at in 0..N {
                cells[at] = first_cell(body, version, fields[at].into());
            }
            let (stamps, document) = Stamps::load(version.header);
            (cells, stamps, document)
        })?;
        // An absent field may be in the document.
        let is_here = |cell: &[u64; 2]| is_whole(cell[0]) & ((cell[0] != 0) | (document == 0));
        let are_here = cells.iter().fold(true, |all, cell| all & is_here(cell));
        (are_here && accept(stamps)).then_some(cells)
    }
}

impl<const K: usize> Slot<K> {
    /// The cells of these fields in the newest publication, if that is a value whose stamps are
    /// accepted, and each field [whole](is_whole) in its cell. `None` means no more than that a
    /// longer way has to be taken.
    #[inline(always)]
    pub(crate) fn cells_if<F: Copy + Into<Field>, const N: usize>(
        &self,
        fields: &[F; N],
        accept: impl Fn(Stamps) -> bool + Copy,
    ) -> Option<[[u64; 2]; N]> {
        match self.first.cells_if(fields, accept) {
            None if self.first.epoch.load().is_closed() => self.later_cells_if(fields, accept),
            answer => answer,
        }
    }

    /// As [`cells_if`](Self::cells_if), of a slot that has grown.
    #[inline(never)]
    fn later_cells_if<F: Copy + Into<Field>, const N: usize>(
        &self,
        fields: &[F; N],
        accept: impl Fn(Stamps) -> bool,
    ) -> Option<[[u64; 2]; N]> {
        self.newest().0.cells_if(fields, accept)
    }

    /// What tells the slots of one entity from those of any other that lives.
    #[inline(always)]
    pub(crate) fn family(&self) -> usize {
        std::ptr::from_ref(self.shared()).addr()
    }
}

impl SlotReader {
    /// As [`Slot::cells_if`].
    #[inline(always)]
    pub(crate) fn cells_if<F: Copy + Into<Field>, const N: usize>(
        &mut self,
        fields: &[F; N],
        accept: impl Fn(Stamps) -> bool + Copy,
    ) -> Option<[[u64; 2]; N]> {
        match self.block().cells_if(fields, accept) {
            None if self.block().epoch.load().is_closed() => {
                // Moves on.
                self.epoch();
                self.block().cells_if(fields, accept)
            }
            answer => answer,
        }
    }
}
