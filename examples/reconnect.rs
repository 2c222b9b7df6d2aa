//! Reconnection: a lost connection makes what it kept up stale at once, and every new one calls it
//! outdated, since nobody knows what was missed. What is looked at is fetched again by itself.
//!
//! Run with `cargo run --example reconnect`. The server drops the connection once.

mod support;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tickcache::{Backoff, Cache, Feed, Fetched, QueryConfig, Reasons, key};

#[derive(Deserialize)]
struct Job {
    revision: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let events = support::Server::start(|_| None)?;
    let cache = Cache::builder().build()?;
    let revision = Arc::new(AtomicU64::new(1));
    let now = Arc::clone(&revision);
    let jobs = cache
        .defaults(key!["job"])
        .config(QueryConfig::event_driven());
    jobs.fetch(move |_cx| {
        let revision = now.load(Relaxed);
        async move { Ok(Fetched::new(json!({ "revision": revision }))) }
    });
    let feed = cache.attach(
        Feed::events()
            .url(events.url())
            .backoff(Backoff::fixed(Duration::from_millis(20))),
    )?;
    while feed.counters().opens == 0 {
        tokio::task::yield_now().await;
    }

    let mut job = cache.query::<Job>(key!["job", 42]).observe();
    let live = job.until_state(|job| job.live().is_some()).await?;
    println!(
        "{}: revision {}",
        live.freshness(),
        live.live().map_or(0, |job| job.revision)
    );

    // What happens while the connection is away is told by nobody.
    revision.store(2, Relaxed);
    events.hang_up();
    let lost = |state: &tickcache::QueryState<Job>| {
        state.freshness().reasons().contains(Reasons::DISCONNECTED)
    };
    let away = job.until_state(lost).await?;
    println!(
        "the connection is lost, the old value stays: revision {}",
        away.data().map_or(0, |job| job.revision)
    );

    let back = job
        .until_state(|job| job.live().is_some_and(|job| job.revision == 2))
        .await?;
    println!(
        "{}: revision {}",
        back.freshness(),
        back.live().map_or(0, |job| job.revision)
    );
    assert_eq!(feed.counters().reconnects, 1);
    println!("reconnects: {}", feed.counters().reconnects);

    cache.close(Duration::from_secs(2)).await?;
    Ok(())
}
