//! A value that is set once and that any number of threads and tasks may wait for.
//!
//! Behind the completion of a command and behind `Feed::finished`. Setting it never runs a waiting
//! task's waker on the setting thread unless told to: the wakers are handed to a [`WakeOn`], which
//! on a feed thread sends them to the slow plane.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Where wakers are run.
#[derive(Clone)]
pub(crate) struct WakeOn(Option<Arc<dyn Fn(Vec<Waker>) + Send + Sync>>);

impl WakeOn {
    /// On the thread that sets the value.
    pub(crate) fn here() -> Self {
        Self(None)
    }

    /// Where `run` takes them.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feed threads need it")
    )]
    pub(crate) fn elsewhere(run: impl Fn(Vec<Waker>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(run)))
    }

    fn run(&self, wakers: Vec<Waker>) {
        if wakers.is_empty() {
            return;
        }
        match &self.0 {
            Some(run) => run(wakers),
            None => wakers.into_iter().for_each(Waker::wake),
        }
    }
}

impl fmt::Debug for WakeOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "WakeOn::elsewhere"
        } else {
            "WakeOn::here"
        })
    }
}

/// Set once, seen by all its clones.
pub(crate) struct Latch<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    value: Option<T>,
    waiters: Vec<(u64, Waker)>,
    next_waiter: u64,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Latch<T> {
    /// A latch without a value.
    pub(crate) fn new() -> Self {
        let state = State {
            value: None,
            waiters: Vec::new(),
            next_waiter: 0,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    /// Sets the value and wakes everyone, unless it is set already: the first one stays. Answers
    /// whether this was the first.
    pub(crate) fn set(&self, value: T, wake_on: &WakeOn) -> bool {
        let mut state = self.0.lock();
        if state.value.is_some() {
            return false;
        }
        state.value = Some(value);
        let wakers = std::mem::take(&mut state.waiters);
        drop(state);
        self.0.changed.notify_all();
        wake_on.run(wakers.into_iter().map(|(_, waker)| waker).collect());
        true
    }

    /// The value, if it is set.
    pub(crate) fn get(&self) -> Option<T> {
        self.0.lock().value.clone()
    }

    /// Blocks the calling thread until the value is set or `timeout` has passed.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Option<T> {
        let state = self.0.lock();
        let unset = |state: &mut State<T>| state.value.is_none();
        let state = match timeout {
            None => self
                .0
                .changed
                .wait_while(state, unset)
                .unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                self.0
                    .changed
                    .wait_timeout_while(state, timeout, unset)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        state.value.clone()
    }

    /// Waits without blocking. Cancel safe: dropping it forgets its waker.
    pub(crate) fn wait_async(&self) -> Waiting<T> {
        Waiting {
            latch: self.clone(),
            id: None,
        }
    }
}

impl<T> Clone for Latch<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Latch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch")
            .field("set", &self.0.lock().value.is_some())
            .finish()
    }
}

/// The future of [`Latch::wait_async`].
pub(crate) struct Waiting<T> {
    latch: Latch<T>,
    id: Option<u64>,
}

impl<T: Clone> Future for Waiting<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let mut state = this.latch.0.lock();
        if let Some(value) = &state.value {
            return Poll::Ready(value.clone());
        }
        let id = *this.id.get_or_insert_with(|| {
            state.next_waiter += 1;
            state.next_waiter
        });
        match state.waiters.iter_mut().find(|(waiter, _)| *waiter == id) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => state.waiters.push((id, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let mut state = self.latch.0.lock();
            let at = state.waiters.iter().position(|(waiter, _)| *waiter == id);
            let waker = at.map(|at| state.waiters.swap_remove(at));
            drop(state);
            // A waker's own drop is foreign code: outside the lock.
            drop(waker);
        }
    }
}

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_stays_and_reaches_every_waiter() {
        let latch = Latch::new();
        assert_eq!(latch.get(), None);
        assert_eq!(latch.wait(Some(Duration::ZERO)), None);
        let waiting = latch.wait_async();
        let thread = {
            let latch = latch.clone();
            std::thread::spawn(move || latch.wait(None))
        };
        let task = std::thread::spawn(move || pollster::block_on(waiting));
        assert!(latch.set(7, &WakeOn::here()));
        assert!(!latch.set(8, &WakeOn::here()));
        assert_eq!(thread.join().expect("the waiter"), Some(7));
        assert_eq!(task.join().expect("the task"), 7);
        assert_eq!(pollster::block_on(latch.wait_async()), 7);
    }

    #[test]
    fn wakers_run_where_they_are_sent_and_a_dropped_wait_leaves_none() {
        let (send, sent) = std::sync::mpsc::channel();
        let wake_on = WakeOn::elsewhere(move |wakers| send.send(wakers).expect("a receiver"));
        let latch = Latch::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut kept = Box::pin(latch.wait_async());
        let mut dropped = Box::pin(latch.wait_async());
        for _ in 0..3 {
            assert!(kept.as_mut().poll(&mut cx).is_pending());
            assert!(dropped.as_mut().poll(&mut cx).is_pending());
        }
        drop(dropped);
        latch.set((), &wake_on);
        assert_eq!(sent.try_recv().expect("one batch").len(), 1);
        assert!(kept.as_mut().poll(&mut cx).is_ready());
    }
}
