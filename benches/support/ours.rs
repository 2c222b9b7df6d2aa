//! Our cache, driven by hand.

use std::time::Duration;

use tickcache::Time;
use tickcache::cache::publisher::{Place, Prepared, Publisher};
use tickcache::cache::{Cache, Entity, Feed, LocalFeed, Slot};
use tickcache::feed::{Missing, presets::Events};

use super::cpu::thread_cpu;
use super::{ENTITY, Round, id, json::event};

/// At most so many messages make a batch: about what one read of a socket brings.
const BATCH: usize = 64;

/// A cache with one entity, and a feed for it without a socket.
#[derive(Debug)]
pub(crate) struct Ours {
    cache: Cache,
    entity: Entity,
    feed: LocalFeed<Events>,
    bytes: Vec<u8>,
    now: u64,
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
        let feed = cache
            .local(feed.missing(Missing::Insert))
            .expect("nobody owns anything");
        let entity = cache.entity(ENTITY);
        let mut ours = Self {
            cache,
            entity,
            feed,
            bytes: Vec::new(),
            now: 1,
        };
        ours.feed.open();
        let messages: Vec<_> = (0..slots)
            .map(|number| event(&id(number), payload))
            .collect();
        ours.batch(&messages, || {});
        assert_eq!(ours.entity.len(), slots, "every slot has a value");
        ours
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Carries out what other threads have asked of the feed, as a feed with a thread does between
    /// batches.
    pub(crate) fn settle(&mut self) {
        self.feed.settle();
    }

    pub(crate) fn entity(&self) -> &Entity {
        &self.entity
    }

    pub(crate) fn slot(&self, number: usize) -> Slot {
        self.entity.slot(id(number))
    }

    pub(crate) fn slots(&self) -> Vec<Slot> {
        (0..self.entity.len())
            .map(|number| self.slot(number))
            .collect()
    }

    /// Takes these messages in as one batch: decodes, merges, publishes, and wakes at the end. The
    /// bytes are copied first, since the feed may change them. `after` is called after each.
    #[inline]
    pub(crate) fn batch<'a>(
        &mut self,
        messages: impl IntoIterator<Item = &'a Vec<u8>>,
        mut after: impl FnMut(),
    ) {
        self.now += 1;
        let mut batch = self.feed.batch_at(Time::from_nanos(self.now));
        for message in messages {
            self.bytes.clear();
            self.bytes.extend_from_slice(message);
            // Refusals are counted, and asked for at the end.
            let _ = batch.message(&mut self.bytes);
            after();
        }
    }

    /// The CPU time it takes to take in `count` messages, in batches.
    pub(crate) fn time(&mut self, messages: &mut Round<Vec<u8>>, count: u64) -> Duration {
        self.time_with(messages, count, || {})
    }

    /// The same with something to be done after each message.
    pub(crate) fn time_with(
        &mut self,
        messages: &mut Round<Vec<u8>>,
        count: u64,
        mut after: impl FnMut(),
    ) -> Duration {
        let start = thread_cpu();
        let mut left = count as usize;
        while left > 0 {
            let batch = messages.some(left.min(BATCH));
            left -= batch.len();
            self.batch(batch, &mut after);
        }
        thread_cpu() - start
    }

    /// As [`time`](Self::time), with a look at what other threads ask for after each batch; what each
    /// batch took is put into `batches`.
    pub(crate) fn time_settling(
        &mut self,
        messages: &mut Round<Vec<u8>>,
        count: u64,
        batches: &mut Vec<Duration>,
    ) -> Duration {
        let start = thread_cpu();
        let mut last = start;
        let mut left = count as usize;
        while left > 0 {
            let batch = messages.some(left.min(BATCH));
            left -= batch.len();
            self.batch(batch, || {});
            self.settle();
            let now = thread_cpu();
            batches.push(now - last);
            last = now;
        }
        last - start
    }

    /// How many messages were refused: none, in a bench that measures what it says.
    pub(crate) fn refused(&self) -> u64 {
        let counters = self.feed.counters();
        counters.refused + counters.patches_refused + counters.missing
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.cache
            .close_blocking(Duration::from_secs(5))
            .expect("the cache ends");
    }
}

/// A cache whose slots are published to without messages: with changes that are ready.
#[derive(Debug)]
pub(crate) struct Published {
    cache: Cache,
    publisher: Publisher,
    places: Vec<Place>,
}

impl Published {
    /// Each of `slots` ids has this value.
    pub(crate) fn new(slots: usize, payload: &str) -> Self {
        let cache = Cache::builder().build().expect("a thread");
        let mut publisher = Publisher::claim(&cache, ENTITY).expect("nobody owns anything");
        let whole = publisher.prepare(payload).expect("an object");
        let mut place = |number| {
            let place = publisher.place(id(number)).expect("room");
            assert!(publisher.publish(place, &whole), "the first value is news");
            place
        };
        let places = (0..slots).map(&mut place).collect();
        publisher.finish();
        Self {
            cache,
            publisher,
            places,
        }
    }

    pub(crate) fn entity(&self) -> &Entity {
        self.publisher.entity()
    }

    pub(crate) fn slot(&self, number: usize) -> Slot {
        self.entity().slot(id(number))
    }

    /// Where the slots are, by number.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(crate) fn prepare(&mut self, json: &str) -> Prepared {
        self.publisher.prepare(json).expect("an object")
    }

    /// Merges a change into a slot, and publishes the outcome.
    #[inline]
    pub(crate) fn publish(&mut self, place: Place, change: &Prepared) {
        self.publisher.publish(place, change);
    }

    /// Publishes changes to the places in turn, with the end of a batch after every 64 of them.
    #[inline]
    pub(crate) fn publish_many(
        &mut self,
        places: &mut Round<Place>,
        changes: &mut Round<Prepared>,
        times: u64,
    ) {
        let mut left = times;
        while left > 0 {
            let batch = left.min(BATCH as u64);
            for _ in 0..batch {
                self.publisher.publish(*places.next(), changes.next());
            }
            self.publisher.finish();
            left -= batch;
        }
    }

    /// Ends a batch.
    #[inline]
    pub(crate) fn finish(&mut self) {
        self.publisher.finish();
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.cache
            .close_blocking(Duration::from_secs(5))
            .expect("the cache ends");
    }
}
