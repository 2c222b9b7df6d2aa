//! Whatever changes, whoever waits is woken: the writer makes one change and waits until the
//! observer has seen it, thousands of times. One wake-up that is lost and it stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Value, json};
use tickcache::feed::presets::Events;
use tickcache::{
    Cache, Feed, FetchContext, FetchError, FetchStatus, Fetched, Freshness, Key, LocalFeed,
    Observer, QueryBuilder, QueryState, Reasons, RefetchKind, key,
};

use crate::kit::{ASLEEP, Crew, LONG, block_on};

const ROUNDS: u64 = 2000;

/// How the observer waits.
#[derive(Clone, Copy, Debug)]
enum How {
    Thread,
    Task,
}

/// What the observer has to see next.
type Wanted = Box<dyn Fn(&QueryState<Value>) -> bool + Send>;

struct Ping {
    /// The query, for whoever asks what it is at.
    query: QueryBuilder<Value>,
    wanted: Sender<Wanted>,
    seen: Receiver<()>,
}

impl Ping {
    /// An observer of its own thread. It is asleep, or on its way, when the change comes.
    fn new(crew: &mut Crew, how: How, cache: &Cache, key: &Key) -> Self {
        let mut observer: Observer<Value> = cache.query(key.clone()).observe();
        let (wanted, wants) = channel::<Wanted>();
        let (see, seen) = channel();
        crew.spawn(format!("observer {how:?}"), move || {
            // What it was given last: a state that was there and is gone is no news.
            let mut state: Option<QueryState<Value>> = None;
            for wanted in wants {
                while !state.as_ref().is_some_and(&wanted) {
                    let news = match how {
                        How::Thread => observer
                            .wait(ASLEEP)
                            .unwrap_or_else(|error| panic!("{error}: {:?}", observer.state())),
                        How::Task => block_on("waking", observer.changed()).expect("open"),
                    };
                    state = Some(news);
                }
                see.send(()).expect("the writer waits");
            }
        });
        Self {
            query: cache.query(key.clone()),
            wanted,
            seen,
        }
    }

    #[track_caller]
    fn pong(
        &self,
        what: &str,
        change: impl FnOnce(),
        wanted: impl Fn(&QueryState<Value>) -> bool + Send + 'static,
    ) {
        self.wanted
            .send(Box::new(wanted))
            .expect("the observer waits");
        change();
        let woken = self.seen.recv_timeout(LONG);
        woken.unwrap_or_else(|_| {
            panic!("{what}: the observer sleeps on at {:?}", self.query.state())
        });
    }
}

fn each(test: impl Fn(How)) {
    [How::Thread, How::Task].into_iter().for_each(test);
}

fn local(cache: &Cache) -> LocalFeed<Events> {
    let mut feed = cache
        .local(Feed::events().entities(["stream"]).whole())
        .expect("nothing else is attached");
    feed.open();
    feed
}

fn say(feed: &mut LocalFeed<Events>, text: &str) {
    let said = feed.message_text(text);
    said.unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
}

fn n(state: &QueryState<Value>) -> Option<u64> {
    state.data()?["n"].as_u64()
}

#[test]
fn whatever_a_stream_does_wakes() {
    each(|how| {
        let cache = Cache::builder().build().expect("a cache");
        let mut feed = local(&cache);
        let mut crew = Crew::new();
        let ping = Ping::new(&mut crew, how, &cache, &key!["stream", 1]);
        for round in 0..ROUNDS {
            ping.pong(
                "data",
                || {
                    say(
                        &mut feed,
                        &json!({"entity":"stream","id":1,"payload":{"n":round}}).to_string(),
                    )
                },
                move |state| n(state) == Some(round) && state.freshness().is_live(),
            );
            match round % 4 {
                0 => ping.pong(
                    "a mark of the value",
                    || say(&mut feed, r#"{"entity":"stream","id":1}"#),
                    QueryState::is_invalidated,
                ),
                1 => ping.pong(
                    "a mark of the entity",
                    || say(&mut feed, r#"{"entity":"stream"}"#),
                    QueryState::is_invalidated,
                ),
                2 => ping.pong(
                    "a removal",
                    || say(&mut feed, r#"{"entity":"stream","id":1,"payload":null}"#),
                    |state| state.freshness() == Freshness::Removed,
                ),
                _ => {
                    ping.pong(
                        "a loss",
                        || feed.close(),
                        |state| state.freshness().reasons().contains(Reasons::DISCONNECTED),
                    );
                    feed.open();
                }
            }
        }
        drop(ping);
        crew.join();
        cache.close_blocking(LONG).expect("everything ends");
    });
}

/// A fetcher that answers with the number of its call: every third call fails.
fn serve(cache: &Cache) -> Arc<AtomicU64> {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    cache
        .defaults(key![])
        .retry(0)
        .stale_never()
        .fetch(move |_: FetchContext| {
            let call = counted.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                if call % 3 == 0 {
                    return Err(FetchError::new(call.to_string()));
                }
                Ok(Fetched::new(json!({"n": call})))
            }
        });
    calls
}

#[test]
fn whatever_a_fetch_does_wakes() {
    each(|how| {
        // A slot that nobody streams, a slot of a feed, a document.
        for key in [key!["job", 1], key!["stream", 1], key!["settings"]] {
            let cache = Cache::builder().build().expect("a cache");
            let calls = serve(&cache);
            let server = crate::hammer::silent();
            let feed = cache
                .attach(crate::hammer::feed(&server))
                .expect("attached");
            // A connection that opens is a mark.
            crate::kit::until("the feed opens", || feed.counters().opens == 1);
            let mut crew = Crew::new();
            let ping = Ping::new(&mut crew, how, &cache, &key);
            ping.pong(
                "the first fetch",
                || {},
                |state| n(state) == Some(1) && state.fetch_status() == FetchStatus::Idle,
            );
            for call in 2..ROUNDS / 2 {
                let refetch = || drop(cache.refetch(key.clone()));
                // One after the other: an event or a call begins it.
                let begin = || match call % 2 {
                    0 => refetch(),
                    _ => drop(cache.invalidate(key.clone())),
                };
                if call % 3 == 0 {
                    ping.pong(&format!("{key}: error {call}"), begin, |state| {
                        state.is_error() && state.fetch_status() == FetchStatus::Idle
                    });
                } else {
                    ping.pong(&format!("{key}: data {call}"), begin, move |state| {
                        n(state) == Some(call)
                            && state.fetch_status() == FetchStatus::Idle
                            && !state.is_error()
                    });
                }
                assert_eq!(calls.load(Ordering::SeqCst), call, "one call each");
            }
            drop(ping);
            crew.join();
            cache.close_blocking(LONG).expect("everything ends");
        }
    });
}

#[test]
fn whatever_a_client_does_wakes() {
    each(|how| {
        for key in [key!["job", 1], key!["settings"]] {
            let cache = Cache::builder().build().expect("a cache");
            let mut crew = Crew::new();
            let ping = Ping::new(&mut crew, how, &cache, &key);
            for round in 0..ROUNDS {
                let set = || drop(cache.set(&key, &json!({"n": round})));
                ping.pong("a write", set, move |state| {
                    n(state) == Some(round) && !state.is_invalidated()
                });
                match round % 5 {
                    0 => ping.pong(
                        "a mark",
                        || drop(cache.invalidate(key.clone()).refetch(RefetchKind::None)),
                        QueryState::is_invalidated,
                    ),
                    1 => ping.pong(
                        "a mark of everything",
                        || cache.invalidate_all(),
                        QueryState::is_invalidated,
                    ),
                    2 => ping.pong(
                        "a patch",
                        || drop(cache.patch(&key, &json!({"n": "patched"}))),
                        |state| state.data().is_some_and(|data| data["n"] == "patched"),
                    ),
                    3 => ping.pong(
                        "a removal",
                        || drop(cache.unset(&key)),
                        |state| state.freshness() == Freshness::Removed,
                    ),
                    _ => {
                        let shown = cache.optimistic(&key, &json!({"n": "shown"}));
                        let shown = shown.expect("shown");
                        ping.pong(
                            "an optimistic write",
                            || {},
                            |state| state.data().is_some_and(|data| data["n"] == "shown"),
                        );
                        ping.pong(
                            "its end",
                            || drop(shown),
                            move |state| n(state) == Some(round),
                        );
                    }
                }
            }
            ping.pong(
                "a reset",
                || drop(cache.reset(key.clone())),
                QueryState::is_pending,
            );
            drop(cache.set(&key, &json!({"n": 1})).expect("set"));
            ping.pong("a write", || {}, |state| n(state) == Some(1));
            ping.pong(
                "letting go",
                || assert_eq!(cache.remove(key.clone()), 1),
                QueryState::is_pending,
            );
            drop(ping);
            crew.join();
            cache.close_blocking(LONG).expect("everything ends");
        }
    });
}

/// A list is told of its members, and of its items.
#[test]
fn whatever_happens_to_a_list_wakes() {
    each(|how| {
        let cache = Cache::builder().build().expect("a cache");
        let calls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&calls);
        let key = key!["stream", "open"];
        cache
            .defaults(key.clone())
            .stale_never()
            .list("id")
            .fetch(move |_: FetchContext| {
                let call = counted.fetch_add(1, Ordering::SeqCst) + 1;
                // Sometimes the members, sometimes only an item is another.
                let items = (0..2 + call / 2 % 2).map(|id| json!({"id": id, "n": call}));
                let items: Vec<_> = items.collect();
                async move { Ok(Fetched::new(items)) }
            });
        let mut feed = local(&cache);
        let mut crew = Crew::new();
        let ping = Ping::new(&mut crew, how, &cache, &key);
        let shows = |n: u64| {
            move |state: &QueryState<Value>| state.data().is_some_and(|items| items[0]["n"] == n)
        };
        // The feed is on this thread, and so is its inbox.
        let mut call = 0;
        for round in 0..ROUNDS / 4 {
            call += 1;
            let wanted = call;
            ping.wanted
                .send(Box::new(shows(wanted)))
                .expect("the observer waits");
            if call > 1 {
                drop(cache.refetch(key.clone()));
            }
            crate::kit::until("the fetch is served", || {
                feed.settle();
                ping.seen.try_recv().is_ok()
            });
            crate::kit::until("the fetch ends", || {
                feed.settle();
                cache.is_fetching(key.clone()) == 0
            });
            let n = 1_000_000 + round;
            let text = json!({"entity":"stream","id":0,"payload":{"n":n}}).to_string();
            ping.pong("an item", || say(&mut feed, &text), shows(n));
        }
        drop(ping);
        crew.join();
        cache.close_blocking(LONG).expect("everything ends");
    });
}
