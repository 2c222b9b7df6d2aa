//! The plane on a runtime: it goes on by itself, and ends.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use crate::cache::Cache;
use crate::io::plane::{
    FetchContext, FetchError, Fetched, Fetcher, Observation, Plane, Query, Settings,
};
use crate::key;
use crate::query::{Cause, Filter, StaleTime, Want};

const LONG: Duration = Duration::from_secs(30);

fn want() -> Want {
    Want {
        stale: None,
        restart: false,
        cause: Cause::User,
    }
}

fn observe(plane: &Arc<Plane>, fetcher: Fetcher, delay: Duration) -> (Arc<Query>, Observation) {
    let settings = Settings {
        fetcher: Some(fetcher),
        stale: Some(StaleTime::Never),
        retry_delay: Some(crate::io::plane::RetryDelay::By(Arc::new(move |_, _| {
            delay
        }))),
        ..Settings::default()
    };
    let query = plane
        .query(&key!["todos"], Some(&settings))
        .expect("a query");
    let observation = plane.observe(&query, None).expect("open");
    (query, observation)
}

#[test]
fn it_fetches_retries_and_follows_marks_by_itself() {
    let cache = Cache::builder().build().expect("a cache");
    let plane = cache.shared().plane();
    let (called, calls) = mpsc::channel();
    let fetcher = Fetcher::new(move |cx: FetchContext| {
        called.send(cx.attempt()).expect("the test listens");
        async move {
            if cx.attempt() == 1 {
                return Err(FetchError::new("the first one fails"));
            }
            // More than is read among the tasks.
            Ok(Fetched::new("x".repeat(1 << 19)))
        }
    });
    let (query, _observation) = observe(plane, fetcher, Duration::from_millis(1));
    let promise = plane.fetch(&query, want()).expect("a fetcher");
    promise.wait(Some(LONG)).expect("in time").expect("data");
    assert_eq!(
        [1, 2],
        [1, 2].map(|_| calls.recv_timeout(LONG).expect("called"))
    );
    let text: String = query.read().expect("a text");
    assert_eq!(text.len(), 1 << 19);
    // As a feed marks: nobody tells the plane.
    cache.invalidate_all();
    assert_eq!(calls.recv_timeout(LONG), Ok(1));
    for promise in plane.mark(&Filter::all()).refetch(Default::default()) {
        promise.wait(Some(LONG)).expect("in time").expect("data");
    }
    cache.close_blocking(LONG).expect("everything ends");
}

#[test]
fn closing_names_a_fetcher_that_does_not_end() {
    let cache = Cache::builder().build().expect("a cache");
    let plane = cache.shared().plane();
    let (called, calls) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(std::sync::Mutex::new(released));
    let fetcher = Fetcher::new(move |_: FetchContext| {
        called.send(()).expect("the test listens");
        let released = Arc::clone(&released);
        async move {
            // What no fetcher should do: it holds its thread up.
            let _ = released.lock().expect("no panic").recv();
            Ok(Fetched::removed())
        }
    });
    let (query, _observation) = observe(plane, fetcher, Duration::ZERO);
    let promise = plane.fetch(&query, want()).expect("a fetcher");
    calls.recv_timeout(LONG).expect("called");
    let error = cache
        .close_blocking(Duration::ZERO)
        .expect_err("it is held up");
    let named = error.stragglers().join(", ");
    assert!(named.contains(r#"the fetch of ["todos"]"#), "{named}");
    assert!(promise.get().expect("told").is_err());
    drop(release);
    cache.close_blocking(LONG).expect("everything ends");
}

#[test]
fn a_runtime_that_ends_ends_the_plane() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let cache = Cache::builder()
        .runtime(runtime.handle().clone())
        .build()
        .expect("a cache");
    let fetcher = Fetcher::new(|_: FetchContext| std::future::pending());
    let (query, _observation) = observe(cache.shared().plane(), fetcher, Duration::ZERO);
    let promise = cache.shared().plane().fetch(&query, want());
    let promise = promise.expect("a fetcher");
    runtime.block_on(tokio::task::yield_now());
    drop(runtime);
    let end = promise.wait(Some(LONG)).expect("told");
    assert!(end.is_err(), "{end:?}");
    cache.close_blocking(LONG).expect("everything ends");
}
