//! What the cases share: a cache whose time the test moves, and a server that answers when it is
//! told to.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::Value;
use tickcache::feed::presets::Events;
use tickcache::testing::TestFeed;
use tickcache::{
    Cache, CacheEvents, EventKind, Feed, FetchContext, FetchError, Fetched, Filter, Key,
    QueryBuilder, QueryState, Update,
};

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A cache on a clock of its own, with a feed that owns the entity `stream`.
pub(crate) struct Lab {
    pub(crate) cache: Cache,
    pub(crate) feed: TestFeed<Events>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(Feed::events().entities(["stream"]))
    }

    pub(crate) fn with(feed: Feed<Events>) -> Self {
        let (cache, feed) = TestFeed::new(feed);
        Self { cache, feed }
    }

    /// Has everything done that is due, on this thread.
    pub(crate) fn drive(&mut self) -> Option<Duration> {
        self.feed.settle();
        self.cache.drive()
    }

    /// Lets time pass; what falls due on the way is done when it is due.
    pub(crate) fn pass(&mut self, millis: u64) {
        let mut left = ms(millis);
        while let Some(due) = self.drive().filter(|due| *due <= left) {
            let due = due.max(Duration::from_nanos(1));
            self.feed.advance(due);
            left = left.saturating_sub(due);
        }
        self.feed.advance(left);
        self.drive();
    }

    /// Has the stream say something.
    pub(crate) fn say(&mut self, message: &Value) {
        let said = self.feed.message(&message.to_string());
        said.unwrap_or_else(|refusal| panic!("{message} is refused: {refusal}"));
    }

    /// Has the stream say something, and the slow plane react.
    pub(crate) fn hear(&mut self, message: &Value) {
        self.say(message);
        self.drive();
    }

    /// Has a server answer for all keys that begin with this one.
    pub(crate) fn serve(&self, key: &Key, server: &Server) {
        self.cache.defaults(key.clone()).fetch(server.fetcher());
    }

    /// As [`serve`](Self::serve), with a server of its own that lets its callers wait.
    pub(crate) fn served(&self, key: &Key) -> Server {
        let server = Server::new();
        self.serve(key, &server);
        server
    }

    pub(crate) fn query(&self, key: &Key) -> QueryBuilder<Value> {
        self.cache.query(key.clone())
    }

    pub(crate) fn state(&self, key: &Key) -> QueryState<Value> {
        self.query(key).state()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Value> {
        self.cache.get::<Value>(key).map(|value| (*value).clone())
    }

    pub(crate) fn set(&mut self, key: &Key, value: Value) {
        let set = self.cache.set(key, &value);
        drop(set.unwrap_or_else(|error| panic!("{key} is not set: {error}")));
        self.drive();
    }

    /// The keys that a filter matches, in the order in which they came.
    pub(crate) fn matching(&self, filter: impl Into<Filter>) -> Vec<Key> {
        let infos = self.cache.queries(filter).into_iter();
        infos.map(|info| info.key).collect()
    }
}

/// Polls a future once.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(future).poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

type Answer = Result<Fetched, FetchError>;
type Replies = Box<dyn Fn(usize) -> Answer + Send>;

#[derive(Default)]
struct Desk {
    calls: Vec<FetchContext>,
    open: VecDeque<Arc<Line>>,
    aborted: usize,
    replies: Option<Replies>,
}

/// A server: counts its calls, and answers at once or when it is told to.
#[derive(Clone, Default)]
pub(crate) struct Server {
    desk: Arc<Mutex<Desk>>,
    takes_token: Arc<AtomicBool>,
}

impl Server {
    /// Lets its callers wait.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Answers the n-th call (from 1) at once.
    pub(crate) fn replying(value: impl Fn(usize) -> Value + Send + 'static) -> Self {
        Self::with(move |n| Ok(Fetched::new(value(n))))
    }

    /// Refuses every call at once.
    pub(crate) fn failing() -> Self {
        Self::with(|n| Err(FetchError::new(format!("failure {n}"))))
    }

    fn with(replies: impl Fn(usize) -> Answer + Send + 'static) -> Self {
        let server = Self::default();
        server.desk().replies = Some(Box::new(replies));
        server
    }

    /// Its fetchers take the token, and so say that they can be cancelled.
    pub(crate) fn cancellable(self) -> Self {
        self.takes_token.store(true, Ordering::Relaxed);
        self
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("nothing panics with it")
    }

    pub(crate) fn fetcher(
        &self,
    ) -> impl Fn(FetchContext) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync + 'static
    {
        let server = self.clone();
        move |cx| {
            if server.takes_token.load(Ordering::Relaxed) {
                drop(cx.token());
            }
            let mut desk = server.desk();
            desk.calls.push(cx);
            let n = desk.calls.len();
            if let Some(reply) = &desk.replies {
                let answer = reply(n);
                return Box::pin(std::future::ready(answer));
            }
            let line = Arc::new(Line::default());
            desk.open.push_back(Arc::clone(&line));
            Box::pin(Waiting {
                line,
                server: server.clone(),
            })
        }
    }

    pub(crate) fn calls(&self) -> usize {
        self.desk().calls.len()
    }

    /// What the last call was told.
    pub(crate) fn last_call<R>(&self, look: impl FnOnce(&FetchContext) -> R) -> R {
        look(self.desk().calls.last().expect("it was called"))
    }

    /// How many callers wait.
    pub(crate) fn waiting(&self) -> usize {
        self.desk().open.len()
    }

    /// How many callers were gone before they had an answer.
    pub(crate) fn aborted(&self) -> usize {
        self.desk().aborted
    }

    /// Answers who has waited longest.
    pub(crate) fn answer_with(&self, answer: Answer) {
        let line = self.desk().open.pop_front().expect("somebody waits");
        line.answer(answer);
    }

    pub(crate) fn answer(&self, value: Value) {
        self.answer_with(Ok(Fetched::new(value)));
    }

    pub(crate) fn fail(&self, why: &str) {
        self.answer_with(Err(FetchError::new(why)));
    }
}

#[derive(Default)]
struct Line(Mutex<(Option<Answer>, Option<Waker>)>);

impl Line {
    fn answer(&self, answer: Answer) {
        let mut line = self.0.lock().expect("nothing panics with it");
        line.0 = Some(answer);
        if let Some(waker) = line.1.take() {
            drop(line);
            waker.wake();
        }
    }
}

struct Waiting {
    line: Arc<Line>,
    server: Server,
}

impl Future for Waiting {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let mut line = self.line.0.lock().expect("nothing panics with it");
        if let Some(answer) = line.0.take() {
            return Poll::Ready(answer);
        }
        line.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut desk = self.server.desk();
        let before = desk.open.len();
        desk.open.retain(|line| !Arc::ptr_eq(line, &self.line));
        desk.aborted += before - desk.open.len();
    }
}

/// What has happened to a key since the last look.
pub(crate) fn happened(events: &mut CacheEvents, key: &Key) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    while let Some(event) = events.try_next() {
        if event.key == *key {
            kinds.push(event.kind);
        }
    }
    kinds
}

/// Those of the events that say why a state changed.
pub(crate) fn updates(kinds: &[EventKind]) -> Vec<Update> {
    let updates = kinds.iter().filter_map(|kind| match kind {
        EventKind::Updated(update) => Some(*update),
        _ => None,
    });
    updates.collect()
}
