//! Messages of other shapes: what a feed's protocol does not map, handed to the application on the
//! slow plane.
//!
//! The feed's thread copies the text into a bounded queue and goes on. A hook task takes it from
//! there; what finds the queue full is dropped, and the hook is told how many.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use super::feed::Feed;
use super::handle::Cache;
use super::query::QueryError;
use crate::feed::presets::Events;
use crate::feed::{Protocol, Tap};
use crate::store::{Flag, Hub, Seen, Woken};
use crate::sync::{Arc, ArrayQueue, AtomicBool, AtomicU64, Ordering};

/// Messages that may wait for a hook.
const WAITING: usize = 1024;

/// What a hook for messages of other shapes is told; see [`Feed::on_unmapped`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unmapped {
    /// A message that the protocol does not map: its text, as it came.
    Message(String),
    /// So many were dropped here, because the hook was slower than the feed. What they said is not
    /// known: invalidate what they may have been about.
    Missed(u64),
}

type Answer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A hook as the description of a feed holds it.
pub(super) struct UnmappedHook(Box<dyn FnMut(Unmapped, Cache) -> Answer + Send>);

impl fmt::Debug for UnmappedHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnmappedHook")
    }
}

impl<P: Protocol> Feed<P> {
    /// Runs `hook` for every message that the protocol does not map, one after the other, on the
    /// slow plane: to invalidate what it is about, or to fetch. The feed's thread is never held up:
    /// 1,024 messages wait for a slow hook; beyond that they are dropped, and it is told how many.
    ///
    /// One hook for a feed; a second call replaces the first. One that panics is reported through
    /// `tracing`, and goes on with the next message. It ends with the cache.
    #[must_use]
    pub fn on_unmapped<F, R>(mut self, mut hook: F) -> Self
    where
        F: FnMut(Unmapped, Cache) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let hook = move |message, cache| -> Answer { Box::pin(hook(message, cache)) };
        self.unmapped = Some(UnmappedHook(Box::new(hook)));
        self
    }
}

impl Feed<Events> {
    /// Runs `hook` for events of other shapes: messages that name no `entity`, which are refused
    /// otherwise. As [`on_unmapped`](Self::on_unmapped).
    ///
    /// ```
    /// use tickcache::{Feed, Unmapped, key};
    ///
    /// // The server says {"type":"deployed"}: jobs and builds may both have changed.
    /// let feed = Feed::events().on_event(|event, cache| async move {
    ///     if matches!(&event, Unmapped::Message(text) if text.contains("deployed")) {
    ///         let _ = cache.invalidate(key!["job"]);
    ///         let _ = cache.invalidate(key!["build"]);
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn on_event<F, R>(mut self, hook: F) -> Self
    where
        F: FnMut(Unmapped, Cache) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.protocol = self.protocol.other_shapes();
        self.on_unmapped(hook)
    }
}

/// The queue between a feed's thread and its hook.
struct Queue {
    texts: ArrayQueue<Box<[u8]>>,
    missed: AtomicU64,
    /// Nothing will come any more.
    ended: AtomicBool,
    /// Raised with every message, and at the end.
    news: Arc<Flag>,
    hub: Arc<Hub>,
}

impl Queue {
    fn push(&self, text: &[u8]) {
        if self.texts.push(text.into()).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        self.news.raise();
        // Whoever is not done with an earlier one finds this one, too.
        if self.texts.len() <= 1 {
            self.hub.scan();
        }
    }

    /// Those before the dropped ones come first.
    fn pop(&self) -> Option<Unmapped> {
        if let Some(text) = self.texts.pop() {
            return Some(Unmapped::Message(
                String::from_utf8_lossy(&text).into_owned(),
            ));
        }
        match self.missed.swap(0, Ordering::Relaxed) {
            0 => None,
            missed => Some(Unmapped::Missed(missed)),
        }
    }

    async fn next(&self) -> Option<Unmapped> {
        let mut registration = self.hub.register(vec![Arc::clone(&self.news) as _]);
        poll_fn(|cx| {
            loop {
                // Before the look: what comes after it is news.
                let seen = [Seen {
                    epoch: self.news.level(),
                    ..Seen::default()
                }];
                let ended = self.ended.load(Ordering::Acquire);
                if let Some(message) = self.pop() {
                    return Poll::Ready(Some(message));
                }
                if ended {
                    return Poll::Ready(None);
                }
                match registration.poll(cx, &seen, crate::Time::NEVER) {
                    Poll::Ready(Woken::Closed) => return Poll::Ready(None),
                    Poll::Ready(Woken::Moved | Woken::Deadline) => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }
}

impl Cache {
    /// Starts a feed's hook. Gives what makes its intakes' taps, one for each start of the feed.
    pub(super) fn start_unmapped(
        &self,
        hook: UnmappedHook,
    ) -> Result<impl Fn() -> Tap + Send + use<>, QueryError> {
        let queue = Arc::new(Queue {
            texts: ArrayQueue::new(WAITING),
            missed: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            news: Arc::new(Flag::new()),
            hub: Arc::clone(&self.shared().hub),
        });
        let (cache, source) = (self.downgrade(), Arc::clone(&queue));
        let UnmappedHook(mut hook) = hook;
        let running = self.hook_each(
            move || {
                let source = Arc::clone(&source);
                async move { source.next().await }
            },
            move |message| {
                let call = cache.upgrade().map(|cache| hook(message, cache));
                async move {
                    if let Some(call) = call {
                        call.await;
                    }
                }
            },
        )?;
        running.detach();
        // What is in the queue at the end is still handed over.
        let end = Arc::new(End(queue));
        Ok(move || -> Tap {
            let end = Arc::clone(&end);
            Box::new(move |text| end.0.push(text))
        })
    }
}

/// The feeds' side of a queue: dropped with the last of its taps.
struct End(Arc<Queue>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.news.raise();
        self.0.hub.scan();
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::key;
    use crate::testing::TestFeed;
    use std::sync::Mutex;

    type Heard = Arc<Mutex<Vec<Unmapped>>>;

    fn listening() -> (Heard, Feed<Events>) {
        let heard = Heard::default();
        let ear = Arc::clone(&heard);
        let feed = Feed::events().on_event(move |event, cache| {
            ear.lock().expect("no panic").push(event);
            async move {
                let _ = cache.invalidate(key!["job"]);
            }
        });
        (heard, feed)
    }

    fn message(text: &str) -> Unmapped {
        Unmapped::Message(text.to_owned())
    }

    #[test]
    fn a_hook_gets_what_names_no_entity_and_may_invalidate() {
        let (heard, feed) = listening();
        let (cache, mut feed) = TestFeed::new(feed);
        let job = cache.entity("job").slot(1);
        job.set(&1)
            .expect("taken")
            .wait(std::time::Duration::ZERO)
            .expect("written");
        feed.message(r#"{"entity":"other","id":1}"#).expect("taken");
        feed.message(r#"{"type":"deployed"}"#).expect("taken");
        assert!(
            heard.lock().expect("no panic").is_empty(),
            "not on the feed's thread"
        );
        assert!(job.freshness().is_live());
        cache.drive();
        assert_eq!(
            *heard.lock().expect("no panic"),
            [message(r#"{"type":"deployed"}"#)]
        );
        assert!(!job.freshness().is_live());
    }

    #[test]
    fn what_a_slow_hook_leaves_no_room_for_is_told_as_missed() {
        let (heard, feed) = listening();
        let (cache, mut feed) = TestFeed::new(feed);
        for _ in 0..WAITING + 3 {
            feed.message("[]").expect("taken");
        }
        cache.drive();
        let heard = heard.lock().expect("no panic");
        assert_eq!(heard.len(), WAITING + 1);
        assert_eq!(heard.last(), Some(&Unmapped::Missed(3)));
    }

    #[test]
    fn what_came_before_the_feed_ended_is_still_handed_over() {
        let (heard, feed) = listening();
        let (cache, mut feed) = TestFeed::new(feed);
        feed.message("[]").expect("taken");
        drop(feed);
        cache.drive();
        assert_eq!(*heard.lock().expect("no panic"), [message("[]")]);
    }
}
