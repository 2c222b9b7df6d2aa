//! The fetchers' side of the server: requests lie on a desk until the history answers them.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use serde_json::Value;
use tickcache::{FetchError, Fetched};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Key(usize),
    List,
}

/// What the server read for a request: the number of the answer, and the value of each key.
pub(crate) type Read = (u64, Vec<Option<Value>>);

type Answer = Result<Fetched, FetchError>;

/// One request.
pub(crate) struct Call {
    pub(crate) target: Target,
    /// The step in which the fetcher was called.
    pub(crate) begun: u64,
    pub(crate) read: Mutex<Option<Read>>,
    answer: Mutex<(Option<Answer>, Option<Waker>)>,
    settled: AtomicBool,
}

impl Call {
    pub(crate) fn answer(&self, answer: Answer) {
        let waker = {
            let mut slot = self.answer.lock().expect("nothing panics with it");
            slot.0 = Some(answer);
            self.settled.store(true, Ordering::Relaxed);
            slot.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) step: AtomicU64,
    /// Every request there ever was.
    calls: Mutex<Vec<Arc<Call>>>,
}

impl Desk {
    /// What a fetcher returns.
    pub(crate) fn ask(&self, target: Target) -> impl Future<Output = Answer> + Send + use<> {
        let call = Arc::new(Call {
            target,
            begun: self.step.load(Ordering::Relaxed),
            read: Mutex::new(None),
            answer: Mutex::default(),
            settled: AtomicBool::new(false),
        });
        self.all().push(Arc::clone(&call));
        Waiting(call)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Call>>> {
        self.calls.lock().expect("nothing panics with it")
    }

    pub(crate) fn begun(&self) -> Vec<Arc<Call>> {
        self.all().clone()
    }

    /// How many requests there were for a target.
    pub(crate) fn count(&self, target: Target) -> usize {
        self.all()
            .iter()
            .filter(|call| call.target == target)
            .count()
    }

    /// Those that wait for an answer.
    pub(crate) fn open(&self) -> Vec<Arc<Call>> {
        let calls = self.all();
        let open = calls
            .iter()
            .filter(|call| !call.settled.load(Ordering::Relaxed));
        open.cloned().collect()
    }
}

/// Resolves when the history answers; gone when it is dropped.
struct Waiting(Arc<Call>);

impl Future for Waiting {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.answer.lock().expect("nothing panics with it");
        match slot.0.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.settled.store(true, Ordering::Relaxed);
    }
}
