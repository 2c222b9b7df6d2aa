//! Atomics, locks and shared pointers: the real ones, or the model checker's, chosen once.
//!
//! Under `--cfg tickcache_loom` every primitive here is loom's, so that the models in
//! `store/tests` run the code that ships. arc-swap cannot be modelled from outside: there its
//! stand-in is a mutex around the `Arc`, which keeps the contract that is relied on (a load gives
//! the last store or one concurrent with it; the loads of one thread never go back) and shows
//! nothing about arc-swap's own orderings.

#[cfg(not(tickcache_loom))]
mod real {
    /// A shared pointer that is replaced whole.
    pub(crate) type ArcSwap<T> = arc_swap::ArcSwap<T>;
    /// As [`ArcSwap`], possibly empty.
    pub(crate) type ArcSwapOption<T> = arc_swap::ArcSwapOption<T>;
    pub(crate) type Arc<T> = std::sync::Arc<T>;
    pub(crate) type Mutex<T> = std::sync::Mutex<T>;
    pub(crate) type Condvar = std::sync::Condvar;
    pub(crate) type OnceLock<T> = std::sync::OnceLock<T>;
    pub(crate) type AtomicU64 = std::sync::atomic::AtomicU64;
    pub(crate) type AtomicU32 = std::sync::atomic::AtomicU32;
    pub(crate) type AtomicBool = std::sync::atomic::AtomicBool;
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{Ordering, fence};
    pub(crate) use std::thread;
}

#[cfg(not(tickcache_loom))]
pub(crate) use real::*;

#[cfg(tickcache_loom)]
mod model {
    /// The real one, also in models: loom's cannot hold a `dyn` or a slice, and no protocol here
    /// leans on the orderings of a reference count.
    pub(crate) type Arc<T> = std::sync::Arc<T>;
    pub(crate) type Mutex<T> = loom::sync::Mutex<T>;
    pub(crate) type Condvar = loom::sync::Condvar;
    pub(crate) type AtomicU64 = loom::sync::atomic::AtomicU64;
    pub(crate) type AtomicU32 = loom::sync::atomic::AtomicU32;
    pub(crate) type AtomicBool = loom::sync::atomic::AtomicBool;
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{Ordering, fence};
    pub(crate) use loom::thread;
}

#[cfg(tickcache_loom)]
pub(crate) use model::*;
