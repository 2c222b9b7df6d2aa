//! A feed whose connections its driver makes and plays, on a virtual clock.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

use super::attach::{FeedRef, Prepared};
use super::attach_error::AttachError;
use super::feed::Feed;
use super::handle::Cache;
use crate::Time;
use crate::feed::{Protocol, Random};
use crate::io::feed_thread::by_hand::{Bench, HandFeed};
use crate::io::ingest::Ingest;
use crate::sync::Arc;

/// A feed as [`Cache::attach`] runs it, frames, subscriptions, reconnects and all, but without a
/// thread: whoever drives it makes the connections that it asks for, takes its turns and moves the
/// clock. The same calls give the same run.
///
/// Connections are anything that is a connected, non-blocking stream of bytes, behind its
/// handshake: on Unix one end of a pair does. Name look-up, TCP, TLS and the handshake itself
/// are not in it, nor is the way in which a thread waits.
pub struct Wire<'a, P> {
    feed: HandFeed<'a, P, Ingest>,
    handle: FeedRef,
    cache: Cache,
    planned: Option<Time>,
}

impl<P: Protocol + Clone> Wire<'_, P> {
    /// Attaches `feed` to a cache that is driven by hand, and has `body` drive it. When `body` is
    /// through the feed ends, as if its thread did. `seed` is where jitter and frame masks come from.
    ///
    /// # Errors
    /// As [`Cache::attach`].
    pub fn run<R>(
        cache: &Cache,
        feed: Feed<P>,
        seed: u64,
        body: impl FnOnce(&mut Wire<'_, P>) -> R,
    ) -> Result<R, AttachError> {
        if cache.is_closed() {
            return Err(AttachError::Closed);
        }
        let random = Arc::new(std::sync::Mutex::new(Random::seeded(seed)));
        let seeds = move || {
            let mut random = random
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            random.next_u64()
        };
        let Prepared {
            name,
            thread,
            counters,
            turns,
            wildcard,
            resync,
            first,
            rebuild,
        } = cache.prepare(feed, seeds)?;
        drop(rebuild);
        let clock = cache.shared().clock.clone();
        let mut bench = Bench::new(thread, cache.runtime()?, clock, &first)?;
        let handle = cache.enlist(name, bench.handle(), counters, turns, wildcard, resync)?;
        let result = body(&mut Wire {
            feed: bench.begin(first),
            handle,
            cache: cache.clone(),
            planned: None,
        });
        bench.end();
        Ok(result)
    }

    /// What a feed with a thread is to its users: state, counters, subscriptions, stop.
    #[must_use]
    pub const fn feed(&self) -> &FeedRef {
        &self.handle
    }

    /// The connections that are asked for and not made yet: number of the leg, and number of the
    /// attempt among all of that leg.
    #[must_use]
    pub fn asked(&self) -> Vec<(usize, u64)> {
        self.feed.asked().collect()
    }

    /// The connection that the leg asked for is made, and `leftover` came right behind its handshake.
    /// Seen by the next [`settle`](Self::settle); without effect if the leg asks for none.
    pub fn connect(&mut self, leg: usize, stream: TcpStream, leftover: &[u8]) {
        self.feed.connected(leg, stream, leftover);
    }

    /// The connection that the leg asked for was not made in time; with `retry_after`, the server
    /// has answered that it wants to be left alone for so long.
    pub fn fail(&mut self, leg: usize, retry_after: Option<Duration>) {
        self.feed.failed(leg, retry_after);
    }

    /// Has the feed take turns and the slow plane do what is due, on this thread, until neither has
    /// anything left to do at this instant; whether the feed goes on.
    ///
    /// # Errors
    /// If the poller fails.
    pub fn settle(&mut self) -> io::Result<bool> {
        loop {
            let goes_on = self.feed.run()?;
            self.planned = self.cache.drive_plane();
            if !goes_on || !self.feed.has_commands() {
                return Ok(goes_on);
            }
        }
    }

    /// When the feed or the slow plane has something to do by itself, if ever, as of the last
    /// [`settle`](Self::settle).
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        [self.feed.due(), self.planned].into_iter().flatten().min()
    }

    /// Takes the first message apart that is long enough not to be taken apart on the feed's thread;
    /// whether there was one. It lands in the next [`settle`](Self::settle).
    pub fn take_apart(&mut self) -> bool {
        self.feed.take_apart()
    }

    /// What the virtual clock shows.
    #[must_use]
    pub fn now(&self) -> Time {
        self.cache.now()
    }

    /// Moves the virtual clock on to `to`; whoever waits for a time by it is looked at.
    pub fn advance_to(&mut self, to: Time) {
        self.cache.advance_to(to);
    }
}

impl<P> fmt::Debug for Wire<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("feed", &self.handle)
            .finish_non_exhaustive()
    }
}
