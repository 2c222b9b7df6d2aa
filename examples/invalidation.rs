//! Event-based invalidation: `{entity, id}` says that a value is outdated, `{entity}` that all of
//! the entity are. The service fetches what it looks at.
//!
//! Run with `cargo run --example invalidation`. This version marks; fetching is done by hand, as
//! below, until the cache does it.

mod support;

use std::error::Error;
use std::time::Duration;

use serde_json::{Value, json};
use tickcache::{Cache, Feed, Freshness, Id, Reasons};

/// What a service would ask its REST interface.
async fn fetch(_id: &Id, revision: u32) -> Value {
    json!({ "status": "running", "revision": revision })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let api = support::Server::start(|_| None)?;
    let cache = Cache::builder().build()?;
    let feed = cache.attach(Feed::events().url(api.url()))?;

    // No feed writes `job`: the service does, and the feed vouches for it while it is connected.
    let job = cache.entity("job").slot(42);
    let mut events = [r#"{"entity":"job","id":42}"#, r#"{"entity":"job"}"#].into_iter();

    let mut watch = job.watch();
    for revision in 0.. {
        let tick = watch.changed().await?;
        let freshness = tick.freshness();
        if freshness.is_live() && feed.counters().opens > 0 {
            println!("live");
            match events.next() {
                Some(event) => {
                    println!("event {event}");
                    api.say(event);
                }
                None => break,
            }
        } else if freshness.reasons().contains(Reasons::INVALIDATED) {
            // The old value is still there for who wants it.
            let old = tick.snapshot().record().get("status");
            println!("outdated, it was {:?}: fetching", old.str()?);
            let detail = fetch(job.id(), revision).await;
            job.set(&detail)?.await?;
        } else if freshness == Freshness::Empty {
            println!("nothing yet: fetching");
            let detail = fetch(job.id(), revision).await;
            job.set(&detail)?.await?;
        }
    }
    println!("invalidations: {}", feed.counters().invalidation);
    cache.close(Duration::from_secs(2)).await?;
    Ok(())
}
