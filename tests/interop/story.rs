//! The story that each connection tells, and the engine that hears it.

use std::time::{Duration, Instant};

use tickcache::feed::presets::Events;
use tickcache::feed::{Backoff, Lost, Missing};
use tickcache::{Cache, Entity, Feed, FeedRef, Id, Watch};

use crate::servers::LONG;

/// A feed that hears it.
pub(crate) fn feed(url: &str) -> Feed<Events> {
    Feed::events()
        .whole()
        .missing(Missing::Insert)
        .on_open("hello, Grüße")
        .url(url)
        .backoff(Backoff::fixed(Duration::from_millis(5)))
}

/// The story of three connections, whoever the server is.
#[track_caller]
pub(crate) fn check(feed: Feed<Events>) {
    Listener::start(feed).end();
}

/// A cache that has heard the story of three connections.
pub(crate) struct Listener {
    cache: Cache,
    entity: Entity,
    done: Watch,
    pub(crate) feed: FeedRef,
}

impl Listener {
    /// Attaches a feed, and hears of two connections that end and one that stays.
    #[track_caller]
    pub(crate) fn start(feed: Feed<Events>) -> Self {
        let cache = Cache::builder().build().expect("a cache");
        let entity = cache.entity("e");
        let done = entity.slot("done").watch();
        let feed = cache.attach(feed).expect("attached");
        let mut listener = Self {
            cache,
            entity,
            done,
            feed,
        };
        listener.hears(3);
        assert_eq!(listener.counted(), (3, 2));
        // The empty text before the first end is no JSON, if it came at all.
        assert!(listener.feed.counters().refused <= 1);
        let lost = listener.feed.state().last_loss;
        assert_eq!(lost, Some(Lost::Closed(Some(1012))));
        listener
    }

    /// Waits for the end of the story of this connection, and looks at all of it.
    #[track_caller]
    pub(crate) fn hears(&mut self, number: u64) {
        loop {
            let tick = self.done.wait(LONG).expect("the story's last word");
            let n = tick.snapshot().record().get("n").u64();
            if n == Ok(number) && tick.freshness().is_live() {
                break;
            }
        }
        let of = |id: Id, name: &str| {
            let snapshot = self.entity.slot(id).snapshot();
            assert!(snapshot.freshness().is_live());
            let record = snapshot.record();
            let member = record.get(name);
            member.json().expect("a member").into_owned()
        };
        let number = number.to_string();
        for id in 0..200_i64 {
            assert_eq!(
                (of(id.into(), "n"), of(id.into(), "id")),
                (number.clone(), id.to_string())
            );
        }
        assert_eq!(of("parts".into(), "n"), number);
        assert_eq!(of("pong".into(), "right"), "true");
        let big = self.entity.slot("big").snapshot();
        let record = big.record();
        let text = record.get("text");
        assert!(text.str().expect("a text") == "ü".repeat(400_000));
    }

    /// Waits until the loss of the connection is known: every value is stale and there.
    #[track_caller]
    pub(crate) fn loses(&mut self) {
        while self.done.slot().freshness().is_live() {
            self.done.wait(LONG).expect("news of the loss");
        }
        let kept = self.entity.slot(7).snapshot();
        assert!(!kept.freshness().is_live() && !kept.record().get("n").is_missing());
    }

    /// Waits until something is true of the feed.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&FeedRef) -> bool) {
        let began = Instant::now();
        while !is_so(&self.feed) {
            let state = self.feed.state();
            assert!(began.elapsed() < LONG, "{what} does not come: {state:?}");
            std::thread::yield_now();
        }
    }

    /// How often a connection was opened, and how often one was lost.
    pub(crate) fn counted(&self) -> (u64, u64) {
        let counted = self.feed.counters();
        (counted.opens, counted.losses)
    }

    #[track_caller]
    pub(crate) fn end(self) {
        self.cache.close_blocking(LONG).expect("everything ends");
        let counted = self.feed.counters();
        assert!(counted.balanced(), "{counted:?}");
    }
}
