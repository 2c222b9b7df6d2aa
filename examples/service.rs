//! A tokio service: it quotes while the value is live, pulls its quotes when it is not, and comes
//! back by itself when the venue does.
//!
//! Run with `cargo run --example service`. The venue is a small server on loopback which drops the
//! connection once.

mod support;

use std::error::Error;
use std::time::Duration;

use serde::Deserialize;
use tickcache::{Backoff, Cache, Decimal, Feed};

#[derive(Deserialize)]
struct Quote {
    bid: Decimal,
    ask: Decimal,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let venue = support::Server::start(|_| None)?;
    venue.say(r#"{"entity":"quotes","id":"X","payload":{"bid":"99.95","ask":"100.05"}}"#);

    let cache = Cache::builder().build()?;
    let feed = cache.attach(
        Feed::events()
            .named("venue")
            .url(venue.url())
            .entities(["quotes"])
            .whole()
            .backoff(Backoff::fixed(Duration::from_millis(20))),
    )?;

    let x = cache.entity("quotes").typed::<Quote>()?.slot("X");
    x.ready(Duration::from_secs(5)).await?;

    let mut watch = x.watch();
    let mut broken = false;
    loop {
        // The newest value only, never a queue; also woken by a loss, a gap or silence.
        let tick = watch.changed().await?;
        match tick.live() {
            Ok(quote) if !broken => {
                println!("quoting {} / {}", quote.bid, quote.ask);
                venue.hang_up();
            }
            Ok(quote) => {
                println!("quoting again {} / {}", quote.bid, quote.ask);
                break;
            }
            Err(stale) => {
                println!("quotes pulled: {}", stale.freshness());
                if !std::mem::replace(&mut broken, true) {
                    // The reconnect alone proves nothing: a whole value makes it live again.
                    venue.say(
                        r#"{"entity":"quotes","id":"X","payload":{"bid":"99.90","ask":"100.10"}}"#,
                    );
                }
            }
        }
    }
    println!("reconnects: {}", feed.counters().reconnects);

    // Joins the feed's thread; whoever still waits is told.
    cache.close(Duration::from_secs(2)).await?;
    while let Ok(tick) = watch.changed().await {
        println!("at the end: {}", tick.freshness());
    }
    println!("closed");
    Ok(())
}
