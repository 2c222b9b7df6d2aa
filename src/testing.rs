//! Feeds and time for users' tests: no sockets, no sleeping, the same run every time.
//!
//! A [`TestFeed`] stands in for a connection. The cache around it is a real one: the protocol
//! decodes what the test says, the rules of freshness are the ones that ship, and handles, watches
//! and waits are those of production. Time stands still until the test [advances](TestFeed::advance)
//! it; silence and expiry follow.
//!
//! ```
//! use std::time::Duration;
//! use tickcache::{Feed, Freshness, Reasons};
//! use tickcache::testing::TestFeed;
//!
//! let feed = Feed::events().whole().silent_after(Duration::from_secs(5));
//! let (cache, mut feed) = TestFeed::new(feed);
//! let job = cache.entity("job").slot(42);
//!
//! feed.message(r#"{"entity":"job","id":42,"payload":{"status":"running"}}"#).expect("taken");
//! assert!(job.freshness().is_live());
//! feed.advance(Duration::from_secs(5));
//! assert_eq!(job.freshness(), Freshness::Stale(Reasons::SILENT));
//! feed.disconnect();
//! feed.reconnect();
//! assert!(!job.freshness().is_live(), "only a whole message makes it live again");
//! ```
//!
//! Waits with a timeout count by the same clock: `watch.wait(secs(1))` ends when another thread has
//! advanced it by a second, or with news. Only [`Cache::close`] counts by the machine's clock.

use std::fmt;
use std::time::Duration;

use crate::Time;
use crate::cache::{Cache, CacheBuilder, Feed, LocalFeed};
use crate::feed::{CounterValues, Protocol, Refusal};
use crate::io::clock::Clock;

#[cfg(feature = "net")]
pub use crate::cache::Wire;

#[cfg(feature = "net")]
#[doc(hidden)]
pub use crate::io::connect::handshake;

/// When every test begins: 2001-09-09 01:46:40 UTC.
const START: Time = Time::from_nanos(1_000_000_000_000_000_000);

/// A cache by hand, on a virtual clock: for feeds that are driven through a `Wire`.
///
/// # Panics
/// If a setting cannot work, or the system gives no thread for the waker.
#[must_use]
#[track_caller]
pub fn cache(settings: CacheBuilder) -> Cache {
    let settings = settings.clock(Clock::manual(START)).by_hand();
    match settings.build() {
        Ok(cache) => cache,
        Err(error) => panic!("no cache to test with: {error}"),
    }
}

/// The upstream of a cache under test: says what the test has it say, when the test has it say it.
///
/// Everything happens on the calling thread: when a method returns, every read says so, and whoever
/// waits is being woken. Dropping it ends the feed: its values are `Stopped`.
pub struct TestFeed<P> {
    feed: LocalFeed<P>,
    cache: Cache,
}

impl<P: Protocol> TestFeed<P> {
    /// A cache with the default settings on a virtual clock, and its feed, connected.
    ///
    /// # Panics
    /// If a setting of the feed cannot work, or the system gives no thread for the waker.
    #[must_use]
    #[track_caller]
    pub fn new(feed: Feed<P>) -> (Cache, Self) {
        Self::with(Cache::builder(), feed)
    }

    /// As [`new`](Self::new), with settings of the cache: bounds, `stale_after`.
    ///
    /// # Panics
    /// If a setting cannot work, or the system gives no thread for the waker.
    #[must_use]
    #[track_caller]
    pub fn with(settings: CacheBuilder, feed: Feed<P>) -> (Cache, Self) {
        let cache = cache(settings);
        let feed = Self::attach(&cache, feed);
        (cache, feed)
    }

    /// Another feed of the same cache, on the same clock, connected.
    ///
    /// # Panics
    /// If a setting of the feed cannot work, or another feed owns what it declares.
    #[must_use]
    #[track_caller]
    pub fn beside<Q: Protocol>(&self, feed: Feed<Q>) -> TestFeed<Q> {
        TestFeed::attach(&self.cache, feed)
    }

    #[track_caller]
    fn attach(cache: &Cache, feed: Feed<P>) -> Self {
        match cache.local(feed) {
            Ok(mut feed) => {
                feed.open();
                Self {
                    feed,
                    cache: cache.clone(),
                }
            }
            Err(error) => panic!("no feed to test with: {error}"),
        }
    }

    /// Has the upstream send one text message, now.
    ///
    /// # Errors
    /// Why the message was refused, as it is counted. A refused message has no effect.
    pub fn message(&mut self, text: &str) -> Result<(), Refusal> {
        self.feed.message(&mut text.as_bytes().to_vec())
    }

    /// Loses the connection. Without effect if it is lost.
    pub fn disconnect(&mut self) {
        self.feed.close();
    }

    /// Makes the connection anew; one that is open is lost first.
    pub fn reconnect(&mut self) {
        self.feed.open();
    }

    /// Loses something of the stream that nobody can name: values have a `Gap` until whole ones
    /// come.
    pub fn gap(&mut self) {
        self.feed.gap();
    }

    /// Carries out what other threads have enqueued (`set`, `remove`), as the thread of a real feed
    /// would by itself, and has queries go on: marks are acted upon, fetchers run on this thread,
    /// their results land.
    pub fn settle(&mut self) {
        loop {
            self.feed.settle();
            self.cache.drive_plane();
            if !self.feed.has_commands() {
                return;
            }
        }
    }

    /// Moves the clock on, stopping where this feed or a query has something to do on the way:
    /// silence begins, a poll or a retry starts, when it is due, not at the end. Other feeds notice
    /// theirs at their next [`settle`](Self::settle).
    pub fn advance(&mut self, by: Duration) {
        let until = self.now().after(by);
        self.settle();
        while let Some(due) = self.deadline().filter(|due| *due <= until) {
            self.cache.advance_to(due);
            self.settle();
        }
        self.cache.advance_to(until);
    }

    /// What the feed, or a query, has to do next.
    fn deadline(&self) -> Option<Time> {
        let plane = self.cache.drive_plane();
        [self.feed.deadline(), plane].into_iter().flatten().min()
    }

    /// What the virtual clock shows.
    #[must_use]
    pub fn now(&self) -> Time {
        self.cache.now()
    }

    /// What the feed has counted.
    #[must_use]
    pub fn counters(&self) -> CounterValues {
        self.feed.counters()
    }
}

impl<P> fmt::Debug for TestFeed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestFeed")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}
