//! Waiting for a time of the cache's clock, by hand and on tokio alike: whoever drives the plane
//! asks for the next deadline and tells the time.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

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

    /// As [`wait_until`](Self::wait_until), for who may lose interest: dropping it forgets it.
    pub(super) fn alarm(&self, at: Time) -> Alarm<'_> {
        let latch = Latch::new();
        let waiting = latch.wait_async();
        let mut table = self.lock();
        table.numbers += 1;
        let number = table.numbers;
        table.waiting.insert((at, number), latch);
        drop(table);
        Alarm {
            timers: self,
            key: (at, number),
            waiting,
        }
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

/// Ready at its time.
pub(super) struct Alarm<'a> {
    timers: &'a Timers,
    key: (Time, u64),
    waiting: Waiting<()>,
}

impl Future for Alarm<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.waiting).poll(cx)
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.timers.lock().waiting.remove(&self.key);
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers")
            .field("waiting", &self.lock().waiting.len())
            .finish()
    }
}
