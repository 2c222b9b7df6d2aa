//! Configuration for applications that a stream keeps up to date: no age makes a value stale, and
//! neither focus nor coming back online fetches anything. Only events do.
//!
//! Run with `cargo run --example stream_driven`.

mod support;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tickcache::{Cache, Feed, Fetched, QueryConfig, key};

#[derive(Deserialize)]
struct Position {
    size: i64,
    limit: i64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let stream = support::Server::start(|_| None)?;
    let cache = Cache::builder().build()?;

    // For everything: `stale_never`, `refetch_on_focus(Never)`, `refetch_on_reconnect(Never)`.
    cache.defaults(key![]).config(QueryConfig::stream_driven());
    let fetched = Arc::new(AtomicU64::new(0));
    let asked = Arc::clone(&fetched);
    cache.defaults(key!["position"]).fetch(move |_cx| {
        let limit = 100 * (asked.fetch_add(1, Relaxed) + 1);
        async move { Ok(Fetched::new(json!({ "size": 0, "limit": limit }))) }
    });
    let feed = cache.attach(Feed::events().url(stream.url()).entities(["position"]))?;
    while feed.counters().opens == 0 {
        tokio::task::yield_now().await;
    }

    let mut position = cache.query::<Position>(key!["position", "X"]).observe();
    let first = position.until(|_| true).await?;
    println!("fetched once: size {}", first.size);
    let before = fetched.load(Relaxed);

    cache.set_focused(false);
    cache.set_focused(true);
    cache.set_online(false);
    cache.set_online(true);
    // Another observer does not fetch either.
    let other = cache.query::<Position>(key!["position", "X"]).observe();
    stream.say(r#"{"entity":"position","id":"X","payload":{"size":7}}"#);
    let patched = position.until(|position| position.size == 7).await?;
    println!("the stream says: size {}", patched.size);
    assert_eq!(other.state().data().map(|position| position.size), Some(7));
    assert_eq!(
        fetched.load(Relaxed),
        before,
        "nothing but the stream was needed"
    );
    println!("focus, network and a second observer fetched nothing");

    stream.say(r#"{"entity":"position","id":"X"}"#);
    let limit = patched.limit + 100;
    let again = position.until(|position| position.limit == limit).await?;
    println!(
        "an event did: the limit rose by {}",
        again.limit - patched.limit
    );

    cache.close(Duration::from_secs(2)).await?;
    Ok(())
}
