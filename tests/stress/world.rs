//! The cache under stress, and whoever writes to it.

use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tickcache::feed::{Covers, Envelope, MessageKind};
use tickcache::{Cache, Entity, Feed, Field, LocalFeed};

use crate::value::spell;

/// One for each feed.
pub(crate) const ENTITIES: [&str; 2] = ["one", "two"];
/// All of an entity are in every message, but for the last: that one is purged again and again.
pub(crate) const IDS: [u64; 4] = [1, 2, 3, 4];
pub(crate) const PURGED: u64 = 9;
/// Messages of each feed.
const ROUNDS: u64 = 3_000;
/// Messages after which a member appears that was never there.
const GROWS_EVERY: u64 = 200;
/// Messages after which a connection is lost and made anew.
const RECONNECTS_EVERY: u64 = 700;

#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) loads: AtomicU64,
    pub(crate) publications: AtomicU64,
    pub(crate) threads: AtomicU64,
    pub(crate) cuts: AtomicU64,
    pub(crate) purges: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) cache: Cache,
    pub(crate) counted: Counted,
    /// Messages of each feed.
    pub(crate) rounds: u64,
    done: AtomicBool,
}

impl World {
    pub(crate) fn new() -> Self {
        let times = env::var("TICKCACHE_STRESS").map_or(1, |text| text.parse().expect("a number"));
        Self {
            cache: Cache::builder().build().expect("a cache"),
            counted: Counted::default(),
            rounds: ROUNDS * times,
            done: AtomicBool::new(false),
        }
    }

    /// Whether the feeds have said everything.
    pub(crate) fn done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    pub(crate) fn finish(&self) {
        self.done.store(true, Ordering::Release);
    }

    pub(crate) fn entity(&self, name: &str) -> (Entity, [Field; 3]) {
        let entity = self.cache.entity(name);
        let fields = entity.fields(["n", "sum", "text"]).expect("room");
        (entity, fields)
    }

    fn feed(&self, entity: &str) -> LocalFeed<Envelope> {
        let envelope = Envelope::builder(entity)
            .constant_entity(entity)
            .entities([entity])
            .covers(Covers::Nothing)
            .items("/items")
            .id("/i")
            .payload("/v")
            .kind("/k")
            .word("whole", MessageKind::Whole)
            .word("patch", MessageKind::Patch);
        let feed = Feed::envelope(envelope.build().expect("the pointers are right"));
        self.cache.local(feed).expect("nobody owns it")
    }

    /// Publishes every number of one entity, in order, as its feed.
    pub(crate) fn publish(&self, entity: &str) {
        let mut feed = self.feed(entity);
        feed.open();
        let mut text = Vec::new();
        for n in 1..=self.rounds {
            if n.is_multiple_of(RECONNECTS_EVERY) {
                feed.close();
                feed.open();
            }
            // A patch has all members as well, and leaves those that others have added.
            let kind = if n % 3 == 0 && n > 1 {
                "patch"
            } else {
                "whole"
            };
            let value = spell(n, GROWS_EVERY);
            let purged = if n % 5 == 0 { &[PURGED][..] } else { &[] };
            let items: Vec<String> = IDS
                .iter()
                .chain(purged)
                .map(|id| format!(r#"{{"i":{id},"v":{value}}}"#))
                .collect();
            text.clear();
            text.extend_from_slice(
                format!(r#"{{"k":"{kind}","items":[{}]}}"#, items.join(",")).as_bytes(),
            );
            feed.message(&mut text).expect("nothing is wrong with it");
            if n % 16 == 0 {
                feed.settle();
            }
        }
        feed.settle();
        let counters = feed.counters();
        assert!(counters.balanced(), "{counters:?}");
        let published = counters.applied + counters.unchanged;
        self.counted
            .publications
            .fetch_add(published, Ordering::Relaxed);
    }

    /// Says again and again that nothing may be true any more.
    pub(crate) fn invalidate(&self) {
        let mut n = 0_u64;
        while !self.done() {
            n += 1;
            let entity = self.cache.entity(ENTITIES[(n % 2) as usize]);
            match n % 7 {
                0 => self.cache.invalidate_all(),
                1..3 => entity.invalidate(),
                _ => entity.slot(IDS[(n % 4) as usize]).invalidate(),
            }
            std::thread::yield_now();
        }
    }

    /// Forgets an id again and again; its feed makes it anew.
    pub(crate) fn purge(&self) {
        while !self.done() {
            for entity in ENTITIES {
                // A full inbox is tried again.
                if self.cache.entity(entity).slot(PURGED).purge().is_ok() {
                    self.counted.purges.fetch_add(1, Ordering::Relaxed);
                }
            }
            std::thread::yield_now();
        }
    }

    /// After everything, every key has the last number.
    pub(crate) fn check_end(&self) {
        for name in ENTITIES {
            let (entity, fields) = self.entity(name);
            for id in IDS {
                let [n, ..] = entity.slot(id).read(fields).even_if_stale();
                assert_eq!(n.u64(), Ok(self.rounds), "{name} {id}");
            }
        }
    }
}
