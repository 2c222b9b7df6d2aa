//! A cache on a clock that the test moves, and a server that answers when it is told to.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::feed::presets::Events;
use crate::testing::TestFeed;
use crate::{Cache, Feed, FetchContext, FetchError, Fetched};

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A cache, and a feed that owns the entity `stream`.
pub(super) fn cache() -> (Cache, TestFeed<Events>) {
    TestFeed::new(Feed::events().entities(["stream"]).whole())
}

/// What a future has come to, polled once.
pub(super) fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

type Answer = Result<Fetched, FetchError>;

#[derive(Default)]
struct Desk {
    calls: usize,
    answers: VecDeque<Answer>,
    waiting: Vec<Waker>,
}

/// Answers its callers in the order in which they came.
#[derive(Clone, Default)]
pub(super) struct Server(Arc<Mutex<Desk>>);

impl Server {
    pub(super) fn fetcher(
        &self,
    ) -> impl Fn(FetchContext) -> std::pin::Pin<Box<dyn Future<Output = Answer> + Send>>
    + Send
    + Sync
    + 'static {
        let desk = Arc::clone(&self.0);
        move |_| {
            desk.lock().expect("the desk").calls += 1;
            let desk = Arc::clone(&desk);
            Box::pin(poll_fn(move |cx| {
                let mut desk = desk.lock().expect("the desk");
                if let Some(answer) = desk.answers.pop_front() {
                    return Poll::Ready(answer);
                }
                desk.waiting.push(cx.waker().clone());
                Poll::Pending
            }))
        }
    }

    pub(super) fn calls(&self) -> usize {
        self.0.lock().expect("the desk").calls
    }

    pub(super) fn answer(&self, json: &str) {
        self.say(Ok(Fetched::json(json)));
    }

    pub(super) fn fail(&self, why: &str) {
        self.say(Err(FetchError::new(why)));
    }

    fn say(&self, answer: Answer) {
        let mut desk = self.0.lock().expect("the desk");
        desk.answers.push_back(answer);
        let waiting = std::mem::take(&mut desk.waiting);
        drop(desk);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Polls until there is an outcome, which `act` has to bring about: the task sleeps when it begins.
#[track_caller]
pub(super) fn woken<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>, act: impl FnOnce()) -> T {
    struct Tell(mpsc::Sender<()>);
    impl std::task::Wake for Tell {
        fn wake(self: Arc<Self>) {
            // Nobody listens once the test has failed.
            let _ = self.0.send(());
        }
    }
    let (tell, told) = mpsc::channel();
    let waker = Waker::from(Arc::new(Tell(tell)));
    let mut cx = Context::from_waker(&waker);
    assert!(poll(&mut cx).is_pending(), "it has happened already");
    act();
    loop {
        let woken = told.recv_timeout(Duration::from_secs(10));
        woken.expect("somebody wakes the task");
        if let Poll::Ready(outcome) = poll(&mut cx) {
            return outcome;
        }
    }
}
