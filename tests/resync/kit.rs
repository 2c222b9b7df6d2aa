//! What the cases share: a small venue, and a desk that is asked for values.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tickcache::feed::presets::{Emit, Exchange, Venue};
use tickcache::feed::{
    Answer, Asked, Class, Control, Outbox, Policy, Refusal, Rule, Sequence, Sink, Snapshot,
    SubscribeError, Subscription, Taken, Update, Verb,
};
use tickcache::json::Value;
use tickcache::testing::TestFeed;
use tickcache::{
    Cache, CacheBuilder, CounterValues, Feed, FetchError, Fetched, Freshness, Resync, Slot,
};

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A venue with one channel, whose messages are `{"s","n","whole"?,"v"}`, numbered one by one for
/// each symbol.
#[derive(Clone, Debug)]
pub(crate) struct Toy;

impl Venue for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn channels(&self) -> &'static [&'static str] {
        &["tick"]
    }

    fn base(&self) -> &'static str {
        "ws://127.0.0.1:9"
    }

    fn snapshot(&self, channel: &str, symbol: &str) -> Option<Snapshot> {
        let take = |body: &[u8]| Ok(Taken::new(body).as_of(Some(7)));
        let path = format!("/{channel}/{symbol}");
        Some(Snapshot::new("https://127.0.0.1:9", path, take))
    }

    fn request(
        &mut self,
        _: Verb,
        _: u64,
        streams: &[&Subscription],
        _: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        Ok(Asked {
            count: streams.len(),
            answer: Answer::None,
        })
    }

    fn message<'a, S: Sink>(
        &mut self,
        root: Value<'a>,
        to: &mut Emit<'_, S>,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        if let Some(refused) = root.get("refuse").and_then(|symbol| symbol.str()) {
            out.refused("tick", refused, "no such symbol");
            return Ok(Class::Control(Control::Notice));
        }
        let number = root
            .get("n")
            .and_then(|n| n.u64())
            .ok_or(Refusal::BadSequence)?;
        let value = root.get("v").ok_or(Refusal::Shape)?;
        let update = match root.get("whole") {
            Some(_) => Update::whole(),
            None => Update::patch(),
        };
        let policy = Policy::continuing(Rule::ContiguousPerKey);
        let update = update.numbered(policy, Sequence::at(number));
        to.patch(0, root.get("s"), update, value)?;
        Ok(Class::Data)
    }
}

pub(crate) type ToyFeed = Feed<Exchange<Toy>>;

/// A feed of the toy venue with these symbols.
pub(crate) fn toy<N: AsRef<str>>(symbols: impl IntoIterator<Item = N>) -> ToyFeed {
    Feed::custom(Exchange::of(Toy)).stream("tick", symbols)
}

/// A cache on a clock of its own, and its feed.
pub(crate) struct Lab {
    pub(crate) cache: Cache,
    pub(crate) feed: TestFeed<Exchange<Toy>>,
}

impl Lab {
    pub(crate) fn new(feed: ToyFeed) -> Self {
        Self::with(Cache::builder(), feed)
    }

    pub(crate) fn with(settings: CacheBuilder, feed: ToyFeed) -> Self {
        let (cache, feed) = TestFeed::with(settings, feed);
        Self { cache, feed }
    }

    /// The stream brings a whole value.
    pub(crate) fn whole(&mut self, symbol: &str, n: u64) {
        self.say(&format!(
            r#"{{"s":"{symbol}","n":{n},"whole":1,"v":{{"n":{n}}}}}"#
        ));
    }

    /// The stream brings a change.
    pub(crate) fn change(&mut self, symbol: &str, n: u64) {
        self.say(&format!(r#"{{"s":"{symbol}","n":{n},"v":{{"n":{n}}}}}"#));
    }

    fn say(&mut self, text: &str) {
        self.feed.message(text).expect("taken");
        self.feed.settle();
    }

    /// Lets time pass; what falls due on the way is done when it is due.
    pub(crate) fn pass(&mut self, millis: u64) {
        self.feed.advance(ms(millis));
        self.feed.settle();
    }

    pub(crate) fn slot(&self, symbol: &str) -> Slot {
        self.cache.entity("toy.tick").slot(symbol)
    }

    pub(crate) fn freshness(&self, symbol: &str) -> Freshness {
        self.slot(symbol).freshness()
    }

    pub(crate) fn json(&self, symbol: &str) -> String {
        self.slot(symbol).snapshot().record().to_json()
    }

    pub(crate) fn counts(&self) -> CounterValues {
        self.feed.counters()
    }
}

type Reply = Result<Fetched, FetchError>;

#[derive(Default)]
struct Book {
    asked: Vec<Resync>,
    open: VecDeque<Arc<Line>>,
    dropped: usize,
}

/// Who is asked for values: writes down what it is asked, and answers when it is told to.
#[derive(Clone, Default)]
pub(crate) struct Desk {
    book: Arc<Mutex<Book>>,
    at_once: Option<fn(&Resync) -> Reply>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Answers as it is asked.
    pub(crate) fn answering(reply: fn(&Resync) -> Reply) -> Self {
        Self {
            at_once: Some(reply),
            ..Self::default()
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nothing panics with it")
    }

    pub(crate) fn fetcher(
        &self,
    ) -> impl Fn(Resync) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync + 'static
    {
        let desk = self.clone();
        move |resync| {
            let mut book = desk.book();
            let reply = desk.at_once.map(|reply| reply(&resync));
            book.asked.push(resync);
            if let Some(reply) = reply {
                return Box::pin(std::future::ready(reply));
            }
            let line = Arc::new(Line::default());
            book.open.push_back(Arc::clone(&line));
            Box::pin(Waiting {
                line,
                desk: desk.clone(),
            })
        }
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.book().asked.len()
    }

    /// The symbols that it was asked for, in order.
    pub(crate) fn symbols(&self) -> Vec<String> {
        let book = self.book();
        let asked = book.asked.iter();
        asked.map(|resync| resync.id.to_string()).collect()
    }

    pub(crate) fn last(&self) -> Resync {
        self.book().asked.last().expect("it was asked").clone()
    }

    /// How many wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.book().open.len()
    }

    /// How many were gone before they had one.
    pub(crate) fn dropped(&self) -> usize {
        self.book().dropped
    }

    /// Answers who has waited longest.
    pub(crate) fn answer(&self, reply: Reply) {
        let line = self.book().open.pop_front().expect("somebody waits");
        let mut line = line.0.lock().expect("nothing panics with it");
        line.0 = Some(reply);
        if let Some(waker) = line.1.take() {
            waker.wake();
        }
    }

    /// The value of this number.
    pub(crate) fn value(&self, n: u64) {
        self.answer(Ok(value(n)));
    }
}

pub(crate) fn value(n: u64) -> Fetched {
    Fetched::json(format!(r#"{{"n":{n},"fetched":{n}}}"#)).as_of(n)
}

#[derive(Default)]
struct Line(Mutex<(Option<Reply>, Option<Waker>)>);

struct Waiting {
    line: Arc<Line>,
    desk: Desk,
}

impl Future for Waiting {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        let mut line = self.line.0.lock().expect("nothing panics with it");
        if let Some(reply) = line.0.take() {
            return Poll::Ready(reply);
        }
        line.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut book = self.desk.book();
        let before = book.open.len();
        book.open.retain(|line| !Arc::ptr_eq(line, &self.line));
        book.dropped += before - book.open.len();
    }
}
