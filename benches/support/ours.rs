//! Our cache, driven by hand.

use tickcache::Time;
use tickcache::cache::{Cache, Entity, Feed, LocalFeed, Slot};
use tickcache::feed::{Missing, presets::Events};

use super::{ENTITY, id, json::event};

/// How many messages make a batch, after which whoever waits is woken and the clock would be read.
const BATCH: u32 = 64;

/// A cache with one entity, and a feed for it without a socket.
#[derive(Debug)]
pub(crate) struct Ours {
    cache: Cache,
    entity: Entity,
    feed: LocalFeed<Events>,
    bytes: Vec<u8>,
    now: u64,
    in_batch: u32,
}

impl Ours {
    /// Each of `slots` ids has this value; messages are merged into it.
    pub(crate) fn with(slots: usize, payload: &str) -> Self {
        Self::new(Feed::events(), slots, payload)
    }

    /// Each of `slots` ids has this value; messages replace it, and the values are live.
    pub(crate) fn whole(slots: usize, payload: &str) -> Self {
        Self::new(Feed::events().whole(), slots, payload)
    }

    fn new(feed: Feed<Events>, slots: usize, payload: &str) -> Self {
        let cache = Cache::builder().build().expect("a thread");
        let feed = cache.local(feed.missing(Missing::Insert)).expect("nobody owns anything");
        let entity = cache.entity(ENTITY);
        let mut ours = Self { cache, entity, feed, bytes: Vec::new(), now: 1, in_batch: 0 };
        ours.feed.open();
        for number in 0..slots {
            ours.message(&event(&id(number), payload));
        }
        ours.settle();
        assert_eq!(ours.entity.len(), slots, "every slot has a value");
        ours
    }

    pub(crate) fn entity(&self) -> &Entity {
        &self.entity
    }

    pub(crate) fn slot(&self, number: usize) -> Slot {
        self.entity.slot(id(number))
    }

    pub(crate) fn slots(&self) -> Vec<Slot> {
        (0..self.entity.len()).map(|number| self.slot(number)).collect()
    }

    /// Takes one message in: decodes, merges, publishes; and ends a batch now and then. The bytes
    /// are copied first, since the feed may change them.
    #[inline]
    pub(crate) fn message(&mut self, text: &[u8]) {
        self.quietly(text);
        self.in_batch += 1;
        if self.in_batch == BATCH {
            self.settle();
        }
    }

    /// As [`message`](Self::message), but wakes nobody.
    #[inline]
    pub(crate) fn quietly(&mut self, text: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(text);
        self.now += 1;
        // Refusals are counted, and asked for at the end.
        let _ = self.feed.message_at(Time::from_nanos(self.now), &mut self.bytes);
    }

    pub(crate) fn settle(&mut self) {
        self.in_batch = 0;
        self.feed.settle();
    }

    /// How many messages were refused: none, in a bench that measures what it says.
    pub(crate) fn refused(&self) -> u64 {
        let counters = self.feed.counters();
        counters.refused + counters.patches_refused + counters.missing
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.cache.close_blocking(std::time::Duration::from_secs(5)).expect("the cache ends");
    }
}
