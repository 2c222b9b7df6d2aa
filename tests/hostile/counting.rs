//! An allocator that counts the bytes which are held, and the most that ever were.
//!
//! What is counted is the whole process, so whoever measures is alone: [`alone`] is held by every
//! test of a binary that measures anything.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

struct Counting;

static HELD: AtomicIsize = AtomicIsize::new(0);
static MOST: AtomicIsize = AtomicIsize::new(0);

fn change(more: usize, less: usize) {
    let change = more.cast_signed() - less.cast_signed();
    let held = HELD.fetch_add(change, Ordering::Relaxed) + change;
    if change > 0 {
        MOST.fetch_max(held, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        change(layout.size(), 0);
        // SAFETY: the caller's promises are the system allocator's conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        change(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Where the block has to move, both are there for a moment; the system moves large ones
        // by their pages, and small ones do not matter.
        change(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        change(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

static ALONE: Mutex<()> = Mutex::new(());

/// Nobody else measures, or disturbs who measures, while this is held.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that are held now.
pub(crate) fn held() -> usize {
    HELD.load(Ordering::Relaxed).max(0).cast_unsigned()
}

/// Counts from here on.
pub(crate) struct Meter {
    before: usize,
}

impl Meter {
    pub(crate) fn start() -> Self {
        let before = held();
        MOST.store(before.cast_signed(), Ordering::Relaxed);
        Self { before }
    }

    /// The most bytes that were held at once beyond those of the start.
    #[allow(dead_code, reason = "each test binary uses its own part of it")]
    pub(crate) fn peak(&self) -> usize {
        let most = MOST.load(Ordering::Relaxed).max(0).cast_unsigned();
        most.saturating_sub(self.before)
    }

    /// Bytes that are held now beyond those of the start.
    #[allow(dead_code, reason = "each test binary uses its own part of it")]
    pub(crate) fn growth(&self) -> usize {
        held().saturating_sub(self.before)
    }
}
