//! Polling, for what has no stream: at a fixed interval, paused while nobody looks at the
//! application; and as long as a condition says so.
//!
//! Run with `cargo run --example polling`. The intervals are short so that it ends soon.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tickcache::{Cache, Fetched, Poll, QueryConfig, key};

#[derive(Deserialize)]
struct Notifications {
    unread: u64,
}

#[derive(Deserialize)]
struct Job {
    status: String,
    done: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let cache = Cache::builder().build()?;

    // Fixed: so long after each answer, and only while the application is looked at.
    let unread = Arc::new(AtomicU64::new(0));
    let asked = Arc::clone(&unread);
    let mut notifications = cache
        .query::<Notifications>(key!["notifications"])
        .config(QueryConfig::polling(Duration::from_millis(20)))
        .poll_in_background(false)
        .fetch_with(move |_cx| {
            let unread = asked.fetch_add(1, Relaxed) + 1;
            async move { Ok(Fetched::new(json!({ "unread": unread }))) }
        })
        .observe();
    let three = notifications.until(|seen| seen.unread >= 3).await?;
    println!("polled, {} unread", three.unread.min(3));
    cache.set_focused(false);
    println!("paused while out of focus");
    cache.set_focused(true);
    let more = unread.load(Relaxed) + 2;
    notifications.until(|seen| seen.unread >= more).await?;
    println!("goes on in focus");
    // Without an observer nothing is polled.
    drop(notifications);

    // Conditional: a function of the state, which may have no data yet.
    let steps = Arc::new(AtomicU64::new(0));
    let asked = Arc::clone(&steps);
    let mut job = cache
        .query::<Job>(key!["job", 42])
        .fetch_with(move |_cx| {
            let done = asked.fetch_add(1, Relaxed) * 25;
            let status = if done < 100 { "running" } else { "completed" };
            async move { Ok(Fetched::new(json!({ "status": status, "done": done }))) }
        })
        .poll(|state| match state.data() {
            Some(job) if job.status == "completed" => Poll::Stop,
            _ => Poll::every(Duration::from_millis(20)),
        })
        .observe();
    let last = job
        .until(|job| job.status == "completed")
        .timeout(Duration::from_secs(60))
        .await?;
    println!("{} at {} %", last.status, last.done);
    assert_eq!(
        steps.load(Relaxed),
        5,
        "0, 25, 50, 75 and 100 %, and no further"
    );

    cache.close(Duration::from_secs(2)).await?;
    Ok(())
}
