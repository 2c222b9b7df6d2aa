//! Direct cache updates: `{entity, id, payload}` messages are merged into the detail value, and
//! every list that holds the id shows it at once. Neither is fetched again.
//!
//! Run with `cargo run --example direct_update`.

mod support;

use std::error::Error;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tickcache::{Cache, Feed, Fetched, QueryConfig, key};

#[derive(Deserialize)]
struct User {
    name: String,
    status: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let stream = support::Server::start(|_| None)?;
    let cache = Cache::builder().build()?;
    let users = cache
        .defaults(key!["user"])
        .config(QueryConfig::stream_driven());
    users.fetch(async |_cx| {
        let city = json!({ "city": "London", "zip": "N1" });
        Ok(Fetched::new(
            json!({ "name": "Ada", "status": "online", "address": city }),
        ))
    });
    let feed = cache.attach(Feed::events().url(stream.url()).entities(["user"]))?;
    while feed.counters().opens == 0 {
        tokio::task::yield_now().await;
    }

    let mut ada = cache.query::<Value>(key!["user", 42]).observe();
    println!("detail {}", ada.until(|_| true).await?);
    // A list has some columns. It never erases the others, and the stream never changes who is in it.
    let mut list = cache
        .query::<User>(key!["user"])
        .list("id")
        .fetch_with(async |_cx| {
            Ok(Fetched::new(json!([
                { "id": 42, "name": "Ada", "status": "online" },
                { "id": 43, "name": "Bob", "status": "online" },
            ])))
        })
        .observe_list();
    while list.rows().len() < 2 {
        list.changed().await?;
    }

    for (status, message) in [
        // RFC 7396: members of objects merge, null deletes.
        (
            "away",
            r#"{"entity":"user","id":42,"payload":{"status":"away","address":{"zip":null}}}"#,
        ),
        // Nobody holds user 7, so there is nothing to merge into: ignored, and counted. Then 42.
        (
            "busy",
            r#"[{"entity":"user","id":7,"payload":{"status":"online"}},
                {"entity":"user","id":42,"payload":{"status":"busy"}}]"#,
        ),
    ] {
        stream.say(message);
        println!(
            "detail {}",
            ada.until(|user| user["status"] == status).await?
        );
        // The same value: the row reads the slot of its item.
        let rows = list.rows().iter().filter_map(|row| row.value());
        let rows: Vec<_> = rows
            .map(|user| format!("{} is {}", user.name, user.status))
            .collect();
        println!("list   {}", rows.join(", "));
        assert_eq!(
            rows,
            [format!("Ada is {status}"), "Bob is online".to_owned()]
        );
    }

    // A null payload removes.
    stream.say(r#"{"entity":"user","id":42,"payload":null}"#);
    ada.until_state(|user| user.data().is_none()).await?;
    println!("removed");
    assert_eq!(feed.counters().missing, 1);
    println!("ignored: {}", feed.counters().missing);
    cache.close(Duration::from_secs(2)).await?;
    Ok(())
}
