//! Waiting for a time of the cache's clock, by hand and on tokio alike: whoever drives the plane
//! asks for the next deadline and tells the time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Time;
use crate::io::latch::{Latch, Waiting, WakeOn};

/// Those who wait for a time.
#[derive(Default)]
pub(super) struct Timers(Mutex<Table>);

#[derive(Default)]
struct Table {
    waiting: BTreeMap<(Time, u64), Latch<()>>,
    numbers: u64,
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready once [`fire`](Self::fire) was told of `at` or later. Whoever drives has to be told.
    pub(super) fn wait_until(&self, at: Time) -> Waiting<()> {
        let latch = Latch::new();
        let waiting = latch.wait_async();
        let mut table = self.lock();
        table.numbers += 1;
        let number = table.numbers;
        table.waiting.insert((at, number), latch);
        waiting
    }

    /// The earliest time that somebody waits for.
    pub(super) fn next(&self) -> Option<Time> {
        self.lock().waiting.keys().next().map(|(at, _)| *at)
    }

    /// It is `now`.
    pub(super) fn fire(&self, now: Time, wake_on: &WakeOn) {
        loop {
            let mut table = self.lock();
            let due = table.waiting.first_entry();
            let Some(due) = due.filter(|due| due.key().0 <= now) else {
                return;
            };
            let latch = due.remove();
            drop(table);
            latch.set((), wake_on);
        }
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers")
            .field("waiting", &self.lock().waiting.len())
            .finish()
    }
}
