//! Queries without a stream: documents, and a slot that nobody feeds.
//!
//! The server is a number for each key, which rises; an answer says what it was when the server looked.
//! So "older" is a comparison, and whatever the clients do (observe, ask, write, mark, cancel, show what
//! the server has yet to agree to, store and restore), these hold after every step:
//!
//! - no number that is shown is lower than one that was shown before, unless the query was forgotten;
//! - there is one request for a key at most, and none that nobody wanted;
//! - an observer that was polled until nothing was new has been told what it would be told if it asked.
//!
//! At the end everything is answered: then what is observed is what the server has, and no fetch that
//! somebody asked for is left without an end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::{Value, json};
use tickcache::feed::presets::Events;
use tickcache::testing::TestFeed;
use tickcache::{
    Cache, DehydrateOptions, Feed, FetchError, FetchStatus, Fetched, Fetching, Filter, Key,
    Observer, Optimistic, Stored, key,
};

use crate::bytes::Bytes;
use crate::desk::{Call, Desk, Target};

const STEPS: usize = 100;
/// Longer than any delay before another attempt.
const ROUND: Duration = Duration::from_secs(45);
/// More rounds than anything needs that comes to rest.
const ROUNDS: usize = 12;

/// Somebody who looks at a key, and the number that he was told last.
struct Looker {
    key: usize,
    observer: Observer<Value>,
    told: Option<u64>,
}

struct World {
    cache: Cache,
    clock: TestFeed<Events>,
    keys: Vec<Key>,
    desk: Arc<Desk>,
    /// What the server has.
    truth: Vec<u64>,
    /// The highest number that was shown since the query was last forgotten.
    shown: Vec<u64>,
    lookers: Vec<Looker>,
    /// Fetches that were asked for, and have not ended.
    asked: Vec<(usize, Fetching<Value>)>,
    overlays: Vec<(usize, Optimistic)>,
    stored: Option<Stored>,
    /// Keys that somebody wanted since nothing was being fetched for them.
    wanted: Vec<bool>,
    begun: usize,
}

/// Runs the history that the bytes stand for.
///
/// # Panics
/// If one of the rules above does not hold.
pub(crate) fn replay(mut bytes: Bytes<'_>) {
    let mut world = World::new(bytes.byte());
    for _ in 0..STEPS {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
        world.check();
    }
    world.heal();
}

fn number(value: &Value) -> u64 {
    value["v"].as_u64().expect("every value has its number")
}

impl World {
    fn new(choice: u8) -> Self {
        let (cache, clock) = TestFeed::new(Feed::events().entities(["elsewhere"]));
        let keys = vec![key!["settings"], key!["job", 1, "log"], key!["job", 2]];
        let desk = Arc::new(Desk::default());
        for (at, key) in keys.iter().enumerate() {
            let asked = Arc::clone(&desk);
            let defaults = cache.defaults(key.clone()).stale_never();
            let defaults = defaults.gc_after(Duration::from_secs(1 << 30));
            let defaults = match choice & 1 {
                0 => defaults.retry(1_000),
                _ => defaults.retry(0),
            };
            let defaults = match choice & 2 {
                0 => defaults,
                _ => defaults.poll_every(Duration::from_secs(5)),
            };
            defaults.fetch(move |_| asked.ask(Target::Key(at)));
        }
        Self {
            truth: vec![1; keys.len()],
            shown: vec![0; keys.len()],
            wanted: vec![false; keys.len()],
            keys,
            cache,
            clock,
            desk,
            lookers: Vec::new(),
            asked: Vec::new(),
            overlays: Vec::new(),
            stored: None,
            begun: 0,
        }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let choice = bytes.byte();
        let at = bytes.below(self.keys.len());
        let key = self.keys[at].clone();
        match choice & 31 {
            0..3 => self.truth[at] += 1,
            3..5 => drop(self.open(bytes).map(|call| self.look(&call))),
            5..9 => drop(self.open(bytes).map(|call| self.answer(&call))),
            9 => drop(
                self.open(bytes)
                    .map(|call| call.answer(Err(FetchError::new("no")))),
            ),
            10..13 => self.observe(at),
            13 => {
                if !self.lookers.is_empty() {
                    let which = bytes.below(self.lookers.len());
                    self.lookers.swap_remove(which);
                }
            }
            14 | 15 => drop(self.cache.invalidate(key)),
            16 => drop(self.cache.invalidate(Filter::all())),
            17 | 18 => {
                self.wanted[at] = true;
                self.asked
                    .push((at, self.cache.query::<Value>(key).fetch()));
            }
            19 => {
                self.wanted[at] = true;
                drop(self.cache.refetch(key));
            }
            20 => drop(self.cache.cancel(key)),
            21 => self.forget(at),
            22 | 23 => self.write(at),
            24 => {
                let change = json!({ "o": bytes.byte() });
                let shown = self.cache.optimistic(&key, &change);
                self.overlays.push((at, shown.expect("there is room")));
            }
            25 => self.overlay_ends(bytes),
            26 => self.stored = Some(self.cache.dehydrate(DehydrateOptions::new())),
            27 => {
                if let Some(stored) = self.stored.clone() {
                    let restored = self.cache.hydrate(stored).wait(Duration::ZERO);
                    assert_eq!(restored.expect("no feed owns it").refused, 0);
                }
            }
            28 => self.cache.set_online(bytes.flag()),
            29 => self.cache.set_focused(bytes.flag()),
            _ => {
                let millis = [1, 300, 1_000, 2_500, 8_000, 400_000][bytes.below(6)];
                self.clock.advance(Duration::from_millis(millis));
            }
        }
        if choice & 32 == 0 {
            self.clock.settle();
            self.check();
            self.forget_wishes();
        }
    }

    /// What was wanted until now has begun, or never will.
    fn forget_wishes(&mut self) {
        for at in 0..self.keys.len() {
            let observed = self.lookers.iter().any(|looker| looker.key == at);
            let asked = self.asked.iter().any(|(key, _)| *key == at);
            let are = |status| {
                let these = Filter::from(self.keys[at].clone()).fetching(status);
                !self.cache.queries(these).is_empty()
            };
            // Without a network it waits.
            let under_way = are(FetchStatus::Fetching) || are(FetchStatus::Paused);
            self.wanted[at] &= observed || asked || under_way;
        }
    }

    fn observe(&mut self, key: usize) {
        self.wanted[key] = true;
        let observer = self.cache.query::<Value>(self.keys[key].clone()).observe();
        self.lookers.push(Looker {
            key,
            observer,
            told: None,
        });
    }

    /// One of the requests that wait.
    fn open(&self, bytes: &mut Bytes<'_>) -> Option<Arc<Call>> {
        let open = self.desk.open();
        (!open.is_empty()).then(|| Arc::clone(&open[bytes.below(open.len())]))
    }

    /// The server reads what it will answer.
    fn look(&self, call: &Call) -> u64 {
        let Target::Key(key) = call.target else {
            unreachable!("there is no list");
        };
        let mut read = call.read.lock().expect("nothing panics with it");
        read.get_or_insert_with(|| (self.truth[key], Vec::new())).0
    }

    fn answer(&self, call: &Call) {
        let value = json!({ "v": self.look(call) });
        call.answer(Ok(Fetched::new(value)));
    }

    /// The server agrees to a change, and the client writes what it has heard.
    fn write(&mut self, at: usize) {
        self.truth[at] += 1;
        let value = json!({ "v": self.truth[at] });
        let written = self
            .cache
            .set(&self.keys[at], &value)
            .expect("there is room");
        assert_eq!(written.result(), Some(Ok(())));
        assert_eq!(
            self.present(at),
            Some(self.truth[at]),
            "it is shown at once"
        );
    }

    /// The client has no more use for a query: what is restored or fetched next may be older.
    fn forget(&mut self, at: usize) {
        // Who shows a change of it, or looks at it, has.
        if self.lookers.iter().any(|looker| looker.key == at) {
            return;
        }
        self.overlays.retain(|(key, _)| *key != at);
        self.clock.settle();
        self.cache.remove(self.keys[at].clone());
        self.shown[at] = 0;
    }

    fn overlay_ends(&mut self, bytes: &mut Bytes<'_>) {
        if self.overlays.is_empty() {
            return;
        }
        let (_, overlay) = self.overlays.swap_remove(bytes.below(self.overlays.len()));
        let ended = if bytes.flag() {
            overlay.commit().map_err(|(error, _)| error)
        } else {
            overlay.rollback().map_err(|(error, _)| error)
        };
        drop(ended.expect("there is room"));
    }

    /// What is shown of a key, whatever it is worth. Before the first answer that may be a change alone.
    fn present(&self, at: usize) -> Option<u64> {
        let value = self.cache.get::<Value>(&self.keys[at])?;
        value.get("v").map(|_| number(&value))
    }

    fn check(&mut self) {
        for at in 0..self.keys.len() {
            if let Some(now) = self.present(at) {
                assert!(
                    now >= self.shown[at],
                    "key {at} goes back from {} to {now}",
                    self.shown[at]
                );
                assert!(now <= self.truth[at], "key {at} shows what never was");
                self.shown[at] = now;
            }
        }
        let open = self.desk.open();
        for (n, call) in open.iter().enumerate() {
            let another = open[..n].iter().any(|other| other.target == call.target);
            assert!(!another, "two requests at once for {:?}", call.target);
        }
        for call in &self.desk.begun()[self.begun..] {
            let Target::Key(at) = call.target else {
                unreachable!("there is no list");
            };
            assert!(self.wanted[at], "key {at} was fetched, and nobody wants it");
        }
        self.begun = self.desk.begun().len();
        self.listen();
        self.end_fetches();
    }

    /// Polls every observer until there is nothing new.
    fn listen(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for looker in &mut self.lookers {
            while let Poll::Ready(state) = looker.observer.poll_changed(&mut context) {
                let state = state.expect("the cache is open");
                looker.told = state.data().and_then(|value| value.get("v")?.as_u64());
            }
            let state = looker.observer.state();
            let shown = state.data().and_then(|value| value.get("v")?.as_u64());
            assert_eq!(
                looker.told, shown,
                "an observer of key {} was not told",
                looker.key
            );
        }
    }

    fn end_fetches(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let truth = &self.truth;
        self.asked.retain_mut(|(at, fetch)| {
            match Pin::new(fetch).poll(&mut context) {
                Poll::Ready(Ok(value)) => {
                    // A change that is shown before there is an answer has no number.
                    let number = value.get("v").map(|_| number(&value));
                    assert!(number.is_none_or(|number| number <= truth[*at]), "{value}");
                    false
                }
                Poll::Ready(Err(_)) => false,
                Poll::Pending => true,
            }
        });
    }

    fn heal(&mut self) {
        self.overlays.clear();
        self.cache.set_online(true);
        self.cache.set_focused(true);
        self.rest();
        drop(self.cache.invalidate(Filter::all()));
        self.rest();
        assert!(
            self.asked.is_empty(),
            "a fetch that was asked for never ends"
        );
        for looker in &self.lookers {
            assert_eq!(
                looker.told,
                Some(self.truth[looker.key]),
                "key {}",
                looker.key
            );
            let state = looker.observer.state();
            assert!(state.live().is_some(), "{:?}", state.freshness());
        }
    }

    /// Answers and lets time pass until nothing is asked any more.
    fn rest(&mut self) {
        for _ in 0..ROUNDS {
            self.clock.settle();
            let open = self.desk.open();
            open.iter().for_each(|call| self.answer(call));
            self.clock.settle();
            self.check();
            let nothing = self.desk.open().is_empty() && self.cache.is_fetching(Filter::all()) == 0;
            if open.is_empty() && nothing {
                return;
            }
            self.clock.advance(ROUND);
        }
        // With polls it never rests: then what was asked before has long been answered.
        let open = self.desk.open();
        open.iter().for_each(|call| self.answer(call));
        self.clock.settle();
        self.check();
    }
}
