//! Users' code that panics, calls back, or waits for itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll as Polled, Wake, Waker};

use serde_json::{Value, json};
use tickcache::{FetchError, FetchStatus, Fetched, Filter, Observer, Poll, Status, key};

use crate::kit::{Lab, Server, ms, poll};

#[test]
fn a_poll_function_that_panics_does_not_poll_and_is_asked_again() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let asked = |state: &tickcache::QueryState<Value>| match state.data() {
        Some(n) if *n == json!(1) => panic!("not this one"),
        _ => Poll::every(ms(10)),
    };
    let observer = lab.query(&key).poll(asked).observe();
    lab.pass(1_000);
    assert_eq!(server.calls(), 1);
    assert_eq!(observer.state().data(), Some(&json!(1)));
    lab.set(&key, json!("else"));
    lab.pass(100);
    assert!(server.calls() > 5, "{}", server.calls());
}

#[test]
fn a_predicate_that_panics_harms_its_caller_alone() {
    let mut lab = Lab::new();
    let key = key!["a"];
    lab.serve(&key, &Server::replying(|n| json!(n)));
    let observer = lab.query(&key).observe();
    lab.drive();
    let cache = lab.cache.clone();
    let bad = || Filter::all().predicate(|_| panic!("a predicate"));
    let calls: [&dyn Fn(); 6] = [
        &|| drop(cache.invalidate(bad())),
        &|| drop(cache.refetch(bad())),
        &|| drop(cache.reset(bad())),
        &|| assert_eq!(cache.remove(bad()), 0),
        &|| drop(cache.cancel(bad())),
        &|| drop(cache.queries(bad())),
    ];
    for call in calls {
        let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
        assert!(called.is_err(), "it is the caller's to know");
    }
    drop(observer.refetch());
    lab.drive();
    assert_eq!(observer.state().data(), Some(&json!(2)));
}

#[test]
fn a_retry_function_that_panics_ends_the_fetch() {
    let mut lab = Lab::new();
    let (again, delay) = (key!["again"], key!["delay"]);
    let server = Server::failing();
    lab.serve(&key![], &server);
    let defaults = lab.cache.defaults(again.clone());
    defaults.retry_if(|_, _| panic!("whether"));
    let defaults = lab.cache.defaults(delay.clone());
    defaults.retry_delay(|_, _| panic!("when"));
    for key in [again, delay] {
        let observer = lab.query(&key).observe();
        lab.pass(100_000);
        let state = observer.state();
        assert_eq!((state.status(), state.failure_count()), (Status::Error, 1));
        assert_eq!(state.fetch_status(), FetchStatus::Idle);
    }
    assert_eq!(server.calls(), 2);
}

#[test]
fn a_fetcher_may_use_the_cache_that_calls_it() {
    let mut lab = Lab::new();
    let cache = lab.cache.clone();
    lab.serve(&key!["other"], &Server::replying(|n| json!(n)));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let fetcher = move |cx: tickcache::FetchContext| {
        let (cache, calls) = (cache.clone(), Arc::clone(&counted));
        async move {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            let me = cx.key().clone();
            assert_eq!(cache.is_fetching(&me), 1);
            assert!(cache.get::<Value>(&me).is_none());
            drop(cache.query::<Value>(me.clone()).fetch());
            if call == 0 {
                drop(cache.invalidate(&me));
            }
            drop(cache.refetch(Filter::from(&me).exact()));
            drop(cache.set(&key!["beside"], &call));
            cache.drive();
            let other = cache.query::<u64>(key!["other"]).stale_never();
            let other = other.fetch().await.map_err(FetchError::from)?;
            Ok(Fetched::new(json!({ "other": *other, "call": call })))
        }
    };
    for (n, key) in [key!["slot", 1], key!["document"]].into_iter().enumerate() {
        calls.store(0, Ordering::Relaxed);
        lab.cache.defaults(key.clone()).fetch(fetcher.clone());
        let mut fetching = lab.query(&key).fetch();
        lab.drive();
        let fetched = poll(&mut fetching).expect("no deadlock").expect("a value");
        assert_eq!(*fetched, json!({ "other": 1, "call": 0 }), "{n}");
    }
    assert!(lab.get(&key!["beside"]).is_some());
}

#[test]
fn a_fetcher_that_sets_its_own_value_is_overtaken_by_it() {
    let mut lab = Lab::new();
    let cache = lab.cache.clone();
    lab.cache.defaults(key![]).fetch(move |cx| {
        let cache = cache.clone();
        async move {
            drop(cache.set(cx.key(), &"set").map_err(FetchError::from)?);
            Ok(Fetched::new("fetched"))
        }
    });
    for key in [key!["slot", 1], key!["document"]] {
        let mut fetching = lab.query(&key).fetch();
        lab.drive();
        let fetched = poll(&mut fetching).expect("ended").expect("a value");
        assert_eq!(*fetched, json!("set"), "{key}");
    }
}

#[test]
fn a_fetcher_that_waits_for_its_own_key_waits_until_it_is_cancelled() {
    let mut lab = Lab::new();
    let cache = lab.cache.clone();
    let key = key!["ouroboros"];
    lab.cache.defaults(key.clone()).fetch(move |cx| {
        let own = cache.query::<Value>(cx.key().clone()).fetch();
        async move { Ok(Fetched::new(&*own.await?)) }
    });
    let mut fetching = lab.query(&key).fetch();
    lab.pass(1_000);
    assert!(poll(&mut fetching).is_none());
    assert_eq!(lab.cache.is_fetching(&key), 1);
    drop(lab.cache.cancel(&key));
    lab.drive();
    assert!(poll(&mut fetching).expect("it has ended").is_err());
    assert_eq!(lab.cache.is_fetching(&key), 0);
}

/// Does something when it is woken.
struct Does<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync> Wake for Does<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn waker(act: impl Fn() + Send + Sync + 'static) -> Waker {
    Arc::new(Does(act)).into()
}

#[test]
fn a_waker_may_drop_observers_and_call_back() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let held: Arc<Mutex<Vec<Observer<Value>>>> = Arc::default();
    let observers = (0..3).map(|_| lab.query(&key).observe());
    held.lock().expect("free").extend(observers);
    let woken = Arc::new(AtomicUsize::new(0));
    let (all, count, cache, own) = (
        Arc::clone(&held),
        Arc::clone(&woken),
        lab.cache.clone(),
        key.clone(),
    );
    let waker = waker(move || {
        count.fetch_add(1, Ordering::Relaxed);
        drop(std::mem::take(&mut *all.lock().expect("free")));
        drop(cache.invalidate(&own));
        drop(cache.reset(&own));
        let _ = cache.remove(key!["other"]);
        cache.drive();
    });
    let mut fetching = lab.query(&key).fetch();
    lab.drive();
    let mut cx = Context::from_waker(&waker);
    let polled = Pin::new(&mut fetching).poll(&mut cx);
    assert!(polled.is_pending());
    server.answer(json!(1));
    lab.drive();
    assert_eq!(woken.load(Ordering::Relaxed), 1);
    assert!(held.lock().expect("free").is_empty());
    let info = lab.cache.queries(&key);
    assert_eq!(info[0].observers, 0);
    assert!(matches!(
        Pin::new(&mut fetching).poll(&mut cx),
        Polled::Ready(_)
    ));
}

#[test]
fn a_waker_that_panics_is_not_the_planes_end() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let mut fetching = lab.query(&key).fetch();
    let mut other = lab.query(&key).fetch();
    lab.drive();
    let waker = waker(|| panic!("a waker"));
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut fetching).poll(&mut cx).is_pending());
    server.answer(json!(1));
    lab.drive();
    assert_eq!(*poll(&mut other).expect("ended").expect("data"), json!(1));
    let next = lab.query(&key!["b"]);
    lab.serve(&key!["b"], &Server::replying(|_| json!(2)));
    let mut next = next.fetch();
    lab.drive();
    assert_eq!(*poll(&mut next).expect("ended").expect("data"), json!(2));
}

/// Panics when it is dropped, as what a fetcher holds may.
struct Thorn;

impl Drop for Thorn {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a drop");
        }
    }
}

#[test]
fn a_fetcher_whose_drop_panics_ends_its_own_fetch_alone() {
    let mut lab = Lab::new();
    let key = key!["a"];
    lab.cache.defaults(key.clone()).fetch(|_| async {
        let _thorn = Thorn;
        std::future::pending::<()>().await;
        Ok(Fetched::new(1))
    });
    let observer = lab.query(&key).observe();
    lab.drive();
    drop(lab.cache.cancel(&key));
    lab.drive();
    assert_eq!(observer.state().fetch_status(), FetchStatus::Idle);
    lab.serve(&key, &Server::replying(|_| json!(1)));
    drop(observer.refetch());
    lab.drive();
    assert_eq!(observer.state().data(), Some(&json!(1)));
}

#[test]
fn a_selector_or_a_stale_function_that_panics_harms_its_caller_alone() {
    let mut lab = Lab::new();
    let key = key!["a"];
    lab.serve(&key, &Server::replying(|n| json!(n)));
    let observer = lab.query(&key).stale_by(|_| panic!("stale by")).observe();
    lab.drive();
    assert_eq!(lab.get(&key), Some(json!(1)));
    drop(observer);
    let mut selected = lab.query(&key).observe().select::<u8, _>(|_| panic!("no"));
    let state = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| selected.state()));
    assert!(state.is_err());
    drop(selected);
    lab.drive();
    assert_eq!(lab.cache.is_fetching(Filter::all()), 0);
}
