//! Atomics, locks and shared pointers: the real ones, or the model checker's, chosen once.
//!
//! Under `--cfg tickcache_model` every primitive here is loom's or shuttle's, so that models and
//! compositions run the code that ships. arc-swap cannot be modelled from outside: there its
//! stand-in is a mutex around the `Arc`, which keeps the contract that is relied on (a load gives
//! the last store or one concurrent with it; the loads of one thread never go back) and shows
//! nothing about arc-swap's own orderings.

#[cfg(not(tickcache_model))]
#[allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is the file that the lints send everyone to"
)]
mod real {
    /// A shared pointer that is replaced whole.
    pub(crate) type ArcSwap<T> = arc_swap::ArcSwap<T>;
    /// As [`ArcSwap`], possibly empty.
    pub(crate) type ArcSwapOption<T> = arc_swap::ArcSwapOption<T>;
    pub(crate) type Arc<T> = std::sync::Arc<T>;
    pub(crate) type Mutex<T> = std::sync::Mutex<T>;
    pub(crate) type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;
    pub(crate) type OnceLock<T> = std::sync::OnceLock<T>;
    pub(crate) type AtomicU64 = std::sync::atomic::AtomicU64;
    pub(crate) type AtomicU32 = std::sync::atomic::AtomicU32;
    pub(crate) type AtomicBool = std::sync::atomic::AtomicBool;
    pub(crate) type AtomicUsize = std::sync::atomic::AtomicUsize;
    /// A bounded queue, lock-free at both ends.
    pub(crate) type ArrayQueue<T> = crossbeam_queue::ArrayQueue<T>;
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::Ordering;
    pub(crate) use std::thread;

    /// The fence. A function of our own, since the lint sees through a re-export.
    #[inline(always)]
    pub(crate) fn fence(order: Ordering) {
        std::sync::atomic::fence(order);
    }
}

#[cfg(not(tickcache_model))]
pub(crate) use real::*;

/// Of two threads that each change something, call this, and look at what the other one changes,
/// at least one sees the other's change.
#[inline]
pub(crate) fn full_fence() {
    fence(Ordering::SeqCst);
}

/// A word that one thread at a time stores to, with plain stores.
pub(crate) trait Own {
    /// What that thread, the caller, stored last.
    ///
    /// In models this is no access. loom remembers one access of each word: if it remembered this
    /// one, it would forget what another thread has loaded, and never try a store that follows
    /// before that load.
    fn own(&self) -> Self::Word;

    /// What is in the word.
    type Word;
}

#[cfg(not(tickcache_model))]
impl Own for AtomicU64 {
    type Word = u64;

    #[inline]
    fn own(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }
}

#[cfg(not(tickcache_model))]
impl Own for AtomicU32 {
    type Word = u32;

    #[inline]
    fn own(&self) -> u32 {
        self.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, tickcache_shuttle))]
pub(crate) mod compose;
pub(crate) mod fault;

#[cfg(tickcache_loom)]
use loom as checker;
#[cfg(tickcache_shuttle)]
use shuttle as checker;

#[cfg(tickcache_model)]
mod model {
    use super::checker;

    /// The real one, also in models: loom's cannot hold a `dyn` or a slice, and no protocol here
    /// leans on the orderings of a reference count.
    pub(crate) type Arc<T> = std::sync::Arc<T>;
    pub(crate) type Mutex<T> = checker::sync::Mutex<T>;
    pub(crate) type MutexGuard<'a, T> = checker::sync::MutexGuard<'a, T>;
    pub(crate) type Condvar = checker::sync::Condvar;
    pub(crate) type AtomicBool = checker::sync::atomic::AtomicBool;
    pub(crate) type AtomicUsize = checker::sync::atomic::AtomicUsize;
    pub(crate) use super::stand_in::{
        ArcSwap, ArcSwapOption, ArrayQueue, AtomicU32, AtomicU64, OnceLock,
    };
    pub(crate) use checker::hint::spin_loop;
    pub(crate) use checker::sync::atomic::{Ordering, fence};
    pub(crate) use checker::thread;
}

#[cfg(tickcache_model)]
pub(crate) use model::*;

/// What the checkers have no model of, built from what they have one of.
#[cfg(tickcache_model)]
mod stand_in {
    use super::{Arc, AtomicBool, Mutex, MutexGuard, Ordering, Own, checker};
    use std::collections::VecDeque;
    use std::sync::PoisonError;

    /// The checker's, and what was stored last, for [`Own`].
    macro_rules! atomic {
        ($Atomic:ident, $word:ty) => {
            #[derive(Debug)]
            pub(crate) struct $Atomic {
                word: checker::sync::atomic::$Atomic,
                stored: std::sync::atomic::$Atomic,
            }

            impl $Atomic {
                pub(crate) fn new(value: $word) -> Self {
                    Self {
                        word: checker::sync::atomic::$Atomic::new(value),
                        stored: std::sync::atomic::$Atomic::new(value),
                    }
                }

                pub(crate) fn store(&self, value: $word, order: Ordering) {
                    self.word.store(value, order);
                    self.stored.store(value, Ordering::Relaxed);
                }
            }

            impl Own for $Atomic {
                type Word = $word;

                fn own(&self) -> $word {
                    self.stored.load(Ordering::Relaxed)
                }
            }

            impl Default for $Atomic {
                fn default() -> Self {
                    Self::new(0)
                }
            }

            /// Loads, and what reads and writes at once; for a word that is [`Own`] only loads.
            impl std::ops::Deref for $Atomic {
                type Target = checker::sync::atomic::$Atomic;

                fn deref(&self) -> &Self::Target {
                    &self.word
                }
            }
        };
    }

    atomic!(AtomicU32, u32);
    atomic!(AtomicU64, u64);

    /// A mutex around the pointer; see the head of this file for what that can show.
    #[derive(Debug)]
    pub(crate) struct ArcSwapAny<P>(Mutex<P>);

    pub(crate) type ArcSwap<T> = ArcSwapAny<Arc<T>>;
    pub(crate) type ArcSwapOption<T> = ArcSwapAny<Option<Arc<T>>>;

    impl<T: Default> Default for ArcSwap<T> {
        fn default() -> Self {
            Self(Mutex::new(Arc::default()))
        }
    }

    impl<P: Clone> ArcSwapAny<P> {
        pub(crate) fn new(pointer: P) -> Self {
            Self(Mutex::new(pointer))
        }

        pub(crate) fn load_full(&self) -> P {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        }

        pub(crate) fn load(&self) -> Guard<P> {
            Guard(self.load_full())
        }

        pub(crate) fn swap(&self, pointer: P) -> P {
            std::mem::replace(
                &mut self.0.lock().unwrap_or_else(PoisonError::into_inner),
                pointer,
            )
        }

        pub(crate) fn store(&self, pointer: P) {
            drop(self.swap(pointer));
        }
    }

    /// What [`ArcSwapAny::load`] gives.
    #[derive(Debug)]
    pub(crate) struct Guard<P>(P);

    impl<P> std::ops::Deref for Guard<P> {
        type Target = P;

        fn deref(&self) -> &P {
            &self.0
        }
    }

    /// A mutex around a queue: as with the pointers above, it shows nothing about the real one's own
    /// orderings.
    #[derive(Debug)]
    pub(crate) struct ArrayQueue<T> {
        items: Mutex<VecDeque<T>>,
        capacity: usize,
    }

    impl<T> ArrayQueue<T> {
        pub(crate) fn new(capacity: usize) -> Self {
            Self {
                items: Mutex::new(VecDeque::new()),
                capacity,
            }
        }

        fn items(&self) -> MutexGuard<'_, VecDeque<T>> {
            self.items.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn push(&self, item: T) -> Result<(), T> {
            let mut items = self.items();
            if items.len() >= self.capacity {
                return Err(item);
            }
            items.push_back(item);
            Ok(())
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.items().pop_front()
        }

        pub(crate) fn len(&self) -> usize {
            self.items().len()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.items().is_empty()
        }
    }

    /// The contract of the real one, and no more: whoever sees the value has acquired what its
    /// maker did before `set`.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        value: std::sync::OnceLock<T>,
        is_set: AtomicBool,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self {
                value: std::sync::OnceLock::new(),
                is_set: AtomicBool::new(false),
            }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            if self.is_set.load(Ordering::Acquire) {
                self.value.get()
            } else {
                None
            }
        }

        /// As with [`Own::own`], looking is no access if it is the maker who looks. Two threads
        /// must not be here at once.
        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            if self.value.get().is_none() {
                let value = self.value.get_or_init(make);
                self.is_set.store(true, Ordering::Release);
                return value;
            }
            self.value.get_or_init(make)
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            self.value.set(value)?;
            self.is_set.store(true, Ordering::Release);
            Ok(())
        }
    }
}
