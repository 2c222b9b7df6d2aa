//! Fetchers that do not behave hold up nobody but themselves.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tickcache::{Cache, Feed, FetchContext, FetchErrorKind, Fetched, Poll, QueryError, key};

use crate::kit::{Crew, Driven, LONG, PLACES, Place, block_on, until};

/// Keys that are fetched as usual while another one misbehaves.
const OTHERS: u64 = 40;

fn good(cache: &Cache) {
    cache
        .defaults(key!["good"])
        .fetch(|cx: FetchContext| async move {
            tokio::task::yield_now().await;
            Ok(Fetched::new(cx.id()?.to_string()))
        });
}

#[track_caller]
fn others_are_fetched(cache: &Cache) {
    for id in 0..OTHERS {
        let query = cache
            .query::<String>(key!["good", id])
            .stale_after(Duration::ZERO);
        let value = query.fetch().wait(LONG).expect("nothing holds it up");
        assert_eq!(*value, id.to_string());
        let refetched = block_on("an invalidation", cache.invalidate(key!["good", id]));
        assert!(refetched.errors.is_empty(), "{:?}", refetched.errors);
    }
}

#[test]
fn a_fetcher_that_never_ends_delays_no_other_key_and_no_close() {
    for place in PLACES {
        let driven = Driven::new(place);
        let cache = driven.cache();
        good(&cache);
        let (begun, begins) = channel();
        cache.defaults(key!["bad"]).fetch(move |cx: FetchContext| {
            // Takes the token, and never looks at it.
            let token = cx.token();
            let _ = begun.send(());
            async move {
                pending::<()>().await;
                drop(token);
                Ok(Fetched::removed())
            }
        });
        let observers: Vec<_> = (0..8_u64)
            .map(|id| cache.query::<Value>(key!["bad", id]).observe())
            .collect();
        let fetching = cache.query::<Value>(key!["bad", 0]).fetch();
        for _ in &observers {
            begins.recv_timeout(LONG).expect("it is fetched");
        }
        cache.invalidate(key!["bad"]);
        others_are_fetched(&cache);
        cache.close_blocking(LONG).expect("everything ends");
        let end = block_on("a fetch", fetching);
        assert!(
            matches!(end, Err(QueryError::Closed | QueryError::Cancelled)),
            "{end:?}"
        );
        driven.end();
    }
}

/// On a runtime with another thread; with one alone nothing could go on.
#[test]
fn a_fetcher_that_blocks_its_thread_delays_no_other_key() {
    let driven = Driven::new(Place::MultiThread);
    let cache = driven.cache();
    good(&cache);
    let (begun, begins) = channel();
    let (release, released): (Sender<()>, Receiver<()>) = channel();
    let released = Arc::new(Mutex::new(released));
    cache.defaults(key!["bad"]).fetch(move |_: FetchContext| {
        let (begun, released) = (begun.clone(), Arc::clone(&released));
        async move {
            let _ = begun.send(());
            // What no fetcher should do.
            let _ = released.lock().expect("no panic").recv_timeout(LONG);
            Ok(Fetched::new(1))
        }
    });
    let fetching = cache.query::<Value>(key!["bad", 1]).fetch();
    begins.recv_timeout(LONG).expect("it is fetched");
    let clients: Vec<_> = (0..3).map(|_| cache.clone()).collect();
    let mut crew = Crew::new();
    for (number, cache) in clients.into_iter().enumerate() {
        crew.spawn(format!("client {number}"), move || {
            others_are_fetched(&cache);
        });
    }
    crew.join();
    drop(release);
    let value = block_on("the one that blocked", fetching).expect("it has ended");
    assert_eq!(*value, 1);
    cache.close_blocking(LONG).expect("everything ends");
    driven.end();
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("in a drop");
        }
    }
}

#[test]
fn a_fetcher_that_panics_wherever_it_can_fails_alone() {
    for place in PLACES {
        let driven = Driven::new(place);
        let cache = driven.cache();
        good(&cache);
        cache
            .defaults(key!["bad"])
            .retry(0)
            .fetch(|cx: FetchContext| {
                let way = cx.id().map(|id| id.to_string());
                let way = way.expect("an id");
                assert_ne!(way, "0", "when it is called");
                async move {
                    let bomb = (way == "3").then_some(Bomb);
                    if way != "1" {
                        tokio::task::yield_now().await;
                    }
                    assert!(way != "1" && way != "2", "when it is polled");
                    drop(bomb);
                    Ok(Fetched::new(1))
                }
            });
        for way in 0..4_u64 {
            let mut observer = cache.query::<Value>(key!["bad", way]).observe();
            let fetched = cache.query::<Value>(key!["bad", way]).fetch().wait(LONG);
            let Err(QueryError::Fetch(error)) = fetched else {
                panic!("{way}: {fetched:?}");
            };
            assert!(
                matches!(error.kind(), FetchErrorKind::Panicked(_)),
                "{error:?}"
            );
            let state = observer.until_state(|state| state.is_error()).timeout(LONG);
            state.wait().expect("the observer is told");
        }
        others_are_fetched(&cache);
        cache.close_blocking(LONG).expect("everything ends");
        driven.end();
    }
}

/// Its own task, or another query, does the work.
#[test]
fn a_fetcher_may_spawn_and_may_fetch() {
    for place in PLACES {
        let driven = Driven::new(place);
        let cache = driven.cache();
        good(&cache);
        let other = cache.clone();
        cache.defaults(key!["sum"]).fetch(move |_: FetchContext| {
            let other = other.clone();
            async move {
                let first = other.query::<String>(key!["good", 1]).fetch();
                let second = other.query::<String>(key!["good", 2]).fetch();
                let third = tokio::spawn(async { 3 });
                let third = third.await.expect("no panic").to_string();
                Ok(Fetched::new([
                    (*first.await?).clone(),
                    (*second.await?).clone(),
                    third,
                ]))
            }
        });
        for _ in 0..20 {
            let query = cache
                .query::<Value>(key!["sum"])
                .stale_after(Duration::ZERO);
            let sum = query.fetch().wait(LONG).expect("a sum");
            assert_eq!(*sum, serde_json::json!(["1", "2", "3"]));
        }
        others_are_fetched(&cache);
        cache.close_blocking(LONG).expect("everything ends");
        driven.end();
    }
}

/// What is asked of the state may ask the cache in turn, whoever's thread it is run on.
#[test]
fn functions_of_the_state_may_change_settings() {
    for place in PLACES {
        let driven = Driven::new(place);
        let cache = driven.cache();
        good(&cache);
        let other = cache.clone();
        let asks = Arc::new(AtomicU64::new(0));
        let asked = Arc::clone(&asks);
        let mut observer = cache
            .query::<String>(key!["good", 1])
            .poll(move |_| {
                asked.fetch_add(1, Ordering::SeqCst);
                other.defaults(key!["other"]).retry(1);
                drop(other.set(&key!["other"], &1));
                Poll::Stop
            })
            .observe();
        let mut crew = Crew::new();
        for number in 0..3 {
            let cache = cache.clone();
            crew.spawn(format!("client {number}"), move || {
                for _ in 0..100 {
                    cache
                        .defaults(key!["good"])
                        .retry_delay(|_, _| Duration::ZERO);
                    drop(cache.refetch(key!["good"]));
                    cache.defaults(key![]).stale_never();
                }
            });
        }
        crew.join();
        let idle = observer.until_state(|state| state.is_success() && !state.is_fetching());
        idle.timeout(LONG).wait().expect("it is fetched");
        assert!(asks.load(Ordering::SeqCst) > 2, "it is asked again");
        others_are_fetched(&cache);
        cache.close_blocking(LONG).expect("everything ends");
        driven.end();
    }
}

/// A write that is dropped is taken back, be the owner's inbox full at the time.
#[test]
fn a_dropped_write_is_taken_back_when_there_is_room() {
    let cache = Cache::builder().build().expect("a cache");
    let feed = Feed::events().entities(["stream"]).whole().inbox(1);
    let mut feed = cache.local(feed).expect("nothing else is attached");
    feed.open();
    let message = r#"{"entity":"stream","id":1,"payload":{"n":1}}"#;
    feed.message_text(message).expect("a message");
    let key = key!["stream", 1];
    let n = || cache.get::<Value>(&key).expect("a value")["n"].clone();
    let shown = cache.optimistic(&key, &serde_json::json!({"n": 2}));
    let shown = shown.expect("there is room");
    // The inbox holds the write itself, and no more. It is shown first, since it came first; how
    // soon the other one follows is up to the threads.
    drop(shown);
    until("it is taken back", || {
        feed.settle();
        n() == 1
    });
    cache.close_blocking(LONG).expect("everything ends");
}

/// Changes settings when it is dropped.
struct Parting(Cache);

impl Drop for Parting {
    fn drop(&mut self) {
        self.0.defaults(key!["other"]).retry(1);
        drop(self.0.set(&key!["other"], &"dropped"));
    }
}

/// What a setting replaces may use the cache as it goes.
#[test]
fn a_fetcher_that_is_replaced_may_change_settings() {
    for place in PLACES {
        let driven = Driven::new(place);
        let cache = driven.cache();
        let parting = Parting(cache.clone());
        cache.defaults(key!["good"]).fetch(move |cx: FetchContext| {
            let old = parting.0.get::<String>(cx.key());
            async move { Ok(Fetched::new(old.is_some())) }
        });
        let fetched = cache.query::<bool>(key!["good", 1]).fetch().wait(LONG);
        assert!(!*fetched.expect("a value"));
        let mut crew = Crew::new();
        let client = cache.clone();
        crew.spawn("client", move || good(&client));
        crew.join();
        others_are_fetched(&cache);
        let dropped = cache.get::<String>(&key!["other"]);
        assert_eq!(dropped.as_deref().map(String::as_str), Some("dropped"));
        cache.close_blocking(LONG).expect("everything ends");
        driven.end();
    }
}
