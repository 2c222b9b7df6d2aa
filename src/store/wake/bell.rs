//! The bell of a source: how a waiter says that it sleeps, and how the owner knows that the hub has
//! been told of it.
//!
//! Two counters. A waiter raises `rung`; the owner lists the source when `rung` is not what it has
//! `told` the hub of, and notes that it has. Nobody ever takes anything back, so the owner only
//! loads what others write and only stores what nobody else writes: no read-modify-write stands on
//! its path, and a thousand looks overlap where a thousand exchanges would queue (1.3 ns a slot
//! against 4.9 with a mask that is swapped to 0, both beside the epoch; 4.1 and 5.4 on a line of its
//! own, where it is now, since a read of fields needs the epoch's line whole).
//!
//! # Ringing once is enough
//!
//! A waiter that finds `rung != told` need not ring. Whatever it saw of the two, stale or not, there
//! is a telling to come, or one under way, whose look into the hub's table comes after this waiter
//! entered it: a look that had come before would have made the waiter see that telling's `told`,
//! and a `rung` not below it, since it entered under the hub's lock. So a crowd on one slot rings
//! once, and a waiter that is woken by something else does not ring again.
//!
//! It also bounds the distance of the counters by the number of threads that ring at once: each
//! rings only if it saw them equal. So they may wrap.

use crate::sync::{AtomicU32, Ordering, Own};

/// Part of every source that can be waited for; see [`Watched`](super::Watched).
#[derive(Debug)]
pub(crate) struct Bell {
    rung: AtomicU32,
    told: AtomicU32,
}

/// A ring that the hub has not been told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring(u32);

impl Bell {
    /// Not rung.
    pub(crate) fn new() -> Self {
        Self {
            rung: AtomicU32::new(0),
            told: AtomicU32::new(0),
        }
    }

    /// Waiter: says that it is asleep, or about to be. It has entered its waker before, and fences
    /// and checks what it waits for afterwards. Releases the entry to [`heard`](Self::heard).
    pub(super) fn ring(&self) {
        let told = self.told.load(Ordering::Relaxed);
        if self.rung.load(Ordering::Relaxed) == told {
            self.rung.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Owner: whether anybody has fallen asleep since the hub was last told. Comes after the
    /// `fence(SeqCst)` that pairs with the waiter's. Pairs with [`ring`](Self::ring).
    #[inline(always)]
    pub(super) fn heard(&self) -> Option<Ring> {
        let rung = self.rung.load(Ordering::Acquire);
        (rung != self.told.own()).then_some(Ring(rung))
    }

    /// Owner: the hub is going to be told of this ring. Before it is: a ring that comes after the
    /// hub has looked must not be taken for one that it was told of. Released with the list.
    #[inline(always)]
    pub(super) fn tell(&self, ring: Ring) {
        self.told.store(ring.0, Ordering::Relaxed);
    }

    /// [`tell`](Self::tell) done wrong: after the hub was told, of whatever was rung by then.
    pub(super) fn tell_late(&self) {
        let rung = self.rung.load(Ordering::Acquire);
        self.tell(Ring(rung));
    }
}
