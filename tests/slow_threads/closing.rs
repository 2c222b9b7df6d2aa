//! Ends, in the middle of everything: the cache is closed, its last handle dropped, or the runtime
//! is gone first.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use serde_json::{Value, json};
use tickcache::{Cache, FetchContext, FetchStatus, Fetched, Observer, QueryError, WaitError, key};

use crate::hammer::{Client, feed, serve, silent};
use crate::kit::{ASLEEP, Crew, Driven, LONG, PLACES, Place, block_on, until};

const CLIENTS: u64 = 5;
/// What clients do before the end comes.
const ACTS: u64 = 200;

/// Observers that wait, on threads and as tasks, until they are told that it is over.
fn watch(cache: &Cache, driven: &Driven, crew: &mut Crew) {
    for (number, key) in crate::hammer::keys().into_iter().enumerate() {
        let mut observer: Observer<Value> = cache.query(key.clone()).observe();
        crew.spawn(format!("waits for {key}"), move || {
            loop {
                match observer.wait(ASLEEP) {
                    Ok(_) => {}
                    Err(WaitError::Closed) => return,
                    Err(error) => panic!("{key}: {error}"),
                }
            }
        });
        let mut observer: Observer<Value> = cache.query(key!["settings"]).observe();
        let name = format!("task {number}");
        driven.task(crew, &name, async move {
            while observer.changed().await.is_ok() {}
        });
    }
}

#[test]
fn closing_in_the_middle_of_everything_ends_everything() {
    for place in PLACES {
        let (driven, server) = (Driven::new(place), silent());
        let cache = driven.cache();
        serve(&cache, &Arc::default());
        let attached = cache.attach(feed(&server)).expect("attached");
        let mut crew = Crew::new();
        watch(&cache, &driven, &mut crew);
        let acts = Arc::new(AtomicU64::new(0));
        for number in 0..CLIENTS {
            let mut client = Client::new(&cache, number, true);
            let acts = Arc::clone(&acts);
            crew.spawn(format!("client {number}"), move || {
                while client.act().is_continue() {
                    acts.fetch_add(1, Ordering::SeqCst);
                    if client.cache.is_closed() {
                        break;
                    }
                }
                // Nothing hangs afterwards either.
                for _ in 0..50 {
                    let _ = client.act();
                }
            });
        }
        until("clients act", || acts.load(Ordering::SeqCst) > ACTS);
        if let Place::MultiThread = place {
            let closing = cache.close(LONG);
            block_on("closing", closing).expect("everything ends");
        } else {
            cache.close_blocking(LONG).expect("everything ends");
        }
        crew.join();
        assert!(attached.counters().balanced(), "{:?}", attached.counters());
        driven.end();
    }
}

/// A fetcher that never ends, and says that it has begun.
fn endless(cache: &Cache) -> std::sync::mpsc::Receiver<()> {
    let (begun, begins) = channel();
    cache.defaults(key!["job"]).fetch(move |_: FetchContext| {
        let _ = begun.send(());
        pending()
    });
    begins
}

#[test]
fn observers_outlive_the_last_handle_and_are_told() {
    for place in PLACES {
        let driven = Driven::new(place);
        let cache = driven.cache();
        let begins = endless(&cache);
        let mut crew = Crew::new();
        for number in 0..4_u64 {
            let mut observer: Observer<Value> = cache.query(key!["job", number]).observe();
            crew.spawn(format!("observer {number}"), move || {
                let end = loop {
                    match observer.wait(ASLEEP) {
                        Ok(_) => {}
                        Err(error) => break error,
                    }
                };
                assert!(matches!(end, WaitError::Closed), "{end}");
                assert_eq!(observer.state().fetch_status(), FetchStatus::Idle);
                let refetched = observer.refetch().wait(LONG);
                assert!(
                    matches!(refetched, Err(QueryError::Closed)),
                    "{refetched:?}"
                );
            });
            let fetching = cache.query::<Value>(key!["job", number]).fetch();
            crew.spawn(format!("fetch {number}"), move || {
                let end = block_on("a fetch", fetching);
                assert!(
                    matches!(end, Err(QueryError::Closed | QueryError::Cancelled)),
                    "{end:?}"
                );
            });
            begins.recv_timeout(LONG).expect("it is fetched");
        }
        drop(cache);
        crew.join();
        driven.end();
    }
}

/// Whoever drives is gone: fetches end, and who looks on is told so.
#[test]
fn a_runtime_that_goes_first_leaves_nobody_waiting() {
    for place in [Place::MultiThread, Place::CurrentThread] {
        let driven = Driven::new(place);
        let cache = driven.cache();
        let begins = endless(&cache);
        let (seen, sees) = channel();
        let mut crew = Crew::new();
        for number in 0..4_u64 {
            let mut observer: Observer<Value> = cache.query(key!["job", number]).observe();
            let seen = seen.clone();
            crew.spawn(format!("observer {number}"), move || {
                let fetching = |observer: &mut Observer<Value>, is: bool| {
                    let state = observer.until_state(|state| state.is_fetching() == is);
                    state.timeout(ASLEEP).wait().map(drop)
                };
                fetching(&mut observer, true).expect("it is fetched");
                seen.send(()).expect("the test waits");
                // Told so, before the cache is closed.
                fetching(&mut observer, false).expect("the fetch has ended");
                seen.send(()).expect("the test waits");
                let end = observer.until_state(|_| false).timeout(ASLEEP).wait();
                assert!(matches!(end, Err(QueryError::Closed)), "{end:?}");
            });
            begins.recv_timeout(LONG).expect("it is fetched");
            sees.recv_timeout(LONG).expect("the observer sees it");
        }
        let fetching = cache.query::<Value>(key!["job", 0]).fetch();
        cache.invalidate(key!["job"]);
        driven.end();
        for _ in 0..4 {
            sees.recv_timeout(LONG)
                .expect("every observer is told that nothing is fetched any more");
        }
        let end = fetching.wait(LONG);
        assert!(
            matches!(end, Err(QueryError::Closed | QueryError::Cancelled)),
            "{end:?}"
        );
        let later = cache.query::<Value>(key!["job", 9]).fetch().wait(LONG);
        assert!(
            matches!(later, Err(QueryError::Closed | QueryError::Cancelled)),
            "{later:?}"
        );
        cache.close_blocking(LONG).expect("everything ends");
        crew.join();
    }
}

/// The runtime ends while clients do everything.
#[test]
fn a_runtime_that_goes_in_the_middle_of_everything_ends_every_fetch() {
    for place in [Place::MultiThread, Place::CurrentThread] {
        let driven = Driven::new(place);
        let cache = driven.cache();
        serve(&cache, &Arc::default());
        let acts = Arc::new(AtomicU64::new(0));
        let mut crew = Crew::new();
        for number in 0..CLIENTS {
            let mut client = Client::new(&cache, number, true);
            let acts = Arc::clone(&acts);
            crew.spawn(format!("client {number}"), move || {
                while client.act().is_continue() && !client.cache.is_closed() {
                    acts.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        until("clients act", || acts.load(Ordering::SeqCst) > ACTS);
        driven.end();
        let set = cache.set(&key!["late"], &json!(1));
        assert!(set.is_err() || set.is_ok());
        cache.close_blocking(LONG).expect("everything ends");
        crew.join();
    }
}

/// Closed by several at once, one of them a fetcher of its own.
#[test]
fn closing_from_everywhere_at_once_ends_once() {
    for place in PLACES {
        let driven = Driven::new(place);
        let cache = driven.cache();
        let closer = cache.clone();
        cache.defaults(key!["job"]).fetch(move |_: FetchContext| {
            let closing = closer.close(LONG);
            async move {
                // The close drops this fetch, which is no reason not to end.
                let _ = closing.await;
                Ok(Fetched::new(1))
            }
        });
        let mut crew = Crew::new();
        for number in 0..3 {
            let cache = cache.clone();
            crew.spawn(format!("closer {number}"), move || {
                let fetched = cache.query::<Value>(key!["job", 1]).fetch().wait(LONG);
                assert!(
                    matches!(fetched, Err(QueryError::Closed | QueryError::Cancelled)),
                    "{fetched:?}"
                );
                cache.close_blocking(LONG).expect("everything ends");
            });
        }
        crew.join();
        assert!(cache.is_closed());
        driven.end();
    }
}
