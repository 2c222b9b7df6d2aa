//! Event-based invalidation: `{entity, id}` says that a value is outdated, `{entity}` that all of
//! the entity are. The cache fetches what somebody looks at, and the rest when it is next looked at.
//!
//! Run with `cargo run --example invalidation`.

mod support;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tickcache::{Cache, Feed, Fetched, QueryConfig, key};

/// What is asked for over REST: every job is in the same revision.
#[derive(Default)]
struct Api {
    revision: AtomicU64,
    /// How often job 43 was asked for.
    unobserved: AtomicU64,
}

#[derive(Deserialize)]
struct Job {
    revision: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let events = support::Server::start(|_| None)?;
    let api = Arc::new(Api::default());
    let cache = Cache::builder().build()?;

    // Whoever looks at whichever job: this is how it is fetched.
    let rest = Arc::clone(&api);
    let jobs = cache
        .defaults(key!["job"])
        .config(QueryConfig::event_driven());
    jobs.fetch(move |cx| {
        let api = Arc::clone(&rest);
        async move {
            let id = cx.id()?;
            if id == 43.into() {
                api.unobserved.fetch_add(1, Relaxed);
            }
            Ok(Fetched::new(
                json!({ "revision": api.revision.load(Relaxed) }),
            ))
        }
    });

    // Every open of this connection calls everything it covers outdated, the first one included.
    let feed = cache.attach(Feed::events().url(events.url()))?;
    while feed.counters().opens == 0 {
        tokio::task::yield_now().await;
    }

    // Fetched once, and then looked at by nobody.
    cache.query::<Job>(key!["job", 43]).fetch().await?;
    let mut job = cache.query::<Job>(key!["job", 42]).observe();
    job.until(|job| job.revision == 0).await?;
    println!("fetched");

    for event in [r#"{"entity":"job","id":42}"#, r#"{"entity":"job"}"#] {
        let revision = api.revision.fetch_add(1, Relaxed) + 1;
        println!("event {event}");
        events.say(event);
        let seen = job.until(|job| job.revision == revision).await?;
        println!("fetched again: revision {}", seen.revision);
    }

    let other = cache.query::<Job>(key!["job", 43]);
    assert_eq!(api.unobserved.load(Relaxed), 1, "nobody looked at it");
    assert!(other.state().is_invalidated());
    println!("job 43 is only marked");
    let seen = other.observe().until(|job| job.revision == 2).await?;
    println!(
        "and fetched when it is looked at: revision {}",
        seen.revision
    );

    assert_eq!(feed.counters().invalidation, 2);
    cache.close(Duration::from_secs(2)).await?;
    Ok(())
}
