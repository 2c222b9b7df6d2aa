//! A thread that sleeps until it is told otherwise; being told is remembered once.

use std::time::Duration;

#[cfg(not(tickcache_model))]
pub(super) use real::Parker;

#[cfg(tickcache_model)]
pub(super) use model::Parker;

#[cfg(not(tickcache_model))]
mod real {
    use super::Duration;
    use crate::sync::{OnceLock, thread};

    /// One thread's place to sleep. Telling it is one swap, and a system call only if it sleeps.
    #[derive(Debug, Default)]
    pub(in super::super) struct Parker {
        thread: OnceLock<thread::Thread>,
    }

    impl Parker {
        pub(in super::super) const fn new() -> Self {
            Self {
                thread: OnceLock::new(),
            }
        }

        /// Makes this the calling thread's; `false` if it is another thread's already.
        pub(in super::super) fn bind(&self) -> bool {
            self.thread.get_or_init(thread::current).id() == thread::current().id()
        }

        /// Sleeps until told, for `timeout` at most, or for no reason.
        pub(in super::super) fn park(&self, timeout: Option<Duration>) {
            debug_assert!(
                self.thread
                    .get()
                    .is_some_and(|t| t.id() == thread::current().id())
            );
            match timeout {
                Some(timeout) => thread::park_timeout(timeout),
                None => thread::park(),
            }
        }

        /// Ends a sleep, now or the next one. Nothing happens before [`Parker::bind`].
        pub(in super::super) fn unpark(&self) {
            if let Some(thread) = self.thread.get() {
                thread.unpark();
            }
        }
    }
}

/// loom's own `unpark` is lost when it meets a thread that waits for a lock, so a model sleeps on
/// a condition. It never times out: whatever is modelled must not lean on a timeout.
#[cfg(tickcache_model)]
mod model {
    use super::Duration;
    use crate::sync::{Condvar, Mutex};

    #[derive(Debug)]
    pub(in super::super) struct Parker {
        told: Mutex<bool>,
        changed: Condvar,
    }

    impl Parker {
        pub(in super::super) fn new() -> Self {
            Self {
                told: Mutex::new(false),
                changed: Condvar::new(),
            }
        }

        pub(in super::super) fn bind(&self) -> bool {
            true
        }

        pub(in super::super) fn park(&self, _timeout: Option<Duration>) {
            let mut told = self.told.lock().expect("no panic under this lock");
            while !*told {
                told = self.changed.wait(told).expect("no panic under this lock");
            }
            *told = false;
        }

        pub(in super::super) fn unpark(&self) {
            *self.told.lock().expect("no panic under this lock") = true;
            self.changed.notify_one();
        }
    }
}
