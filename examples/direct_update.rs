//! Direct cache updates: `{entity, id, payload}` messages are merged into the detail value.
//!
//! Run with `cargo run --example direct_update`. The details are fetched once by the service, and
//! again whenever they went stale; in between, the stream keeps them up to date.

mod support;

use std::error::Error;
use std::time::Duration;

use serde_json::{Value, json};
use tickcache::{Cache, Feed, Freshness, Id, Reasons};

/// What a service would ask its REST interface.
async fn fetch(_id: &Id) -> Value {
    json!({ "name": "Ada", "status": "online", "address": { "city": "London", "zip": "N1" } })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let api = support::Server::start(|_| None)?;
    let cache = Cache::builder().build()?;
    let feed = cache.attach(Feed::events().url(api.url()).entities(["user"]))?;

    let ada = cache.entity("user").slot(42);
    let mut script = [
        // RFC 7396: members of objects merge, null deletes.
        r#"{"entity":"user","id":42,"payload":{"status":"away","address":{"zip":null}}}"#,
        // Nobody holds user 7, so there is nothing to merge into: ignored, and counted. Then 42.
        r#"[{"entity":"user","id":7,"payload":{"status":"online"}},
            {"entity":"user","id":42,"payload":{"status":"busy"}}]"#,
        // A null payload removes.
        r#"{"entity":"user","id":42,"payload":null}"#,
    ]
    .into_iter();

    let mut watch = ada.watch();
    loop {
        let tick = watch.changed().await?;
        match tick.freshness() {
            Freshness::Live => {
                println!("{}", tick.snapshot().record().to_json());
                if let Some(text) = script.next() {
                    api.say(text);
                }
            }
            Freshness::Removed => break,
            // Nothing yet, or a connection opened: what the stream said before it is lost.
            freshness
                if freshness == Freshness::Empty
                    || freshness.reasons().contains(Reasons::INVALIDATED) =>
            {
                let detail = fetch(ada.id()).await;
                ada.set(&detail)?.await?;
            }
            _ => {}
        }
    }
    println!("removed");
    println!("ignored: {}", feed.counters().missing);
    cache.close(Duration::from_secs(2)).await?;
    Ok(())
}
