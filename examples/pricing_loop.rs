//! A pricing loop on a plain thread: it spins, sees a change within tens of nanoseconds of its
//! publication, and never makes the feed wait.
//!
//! Run with `cargo run --example pricing_loop`. The feed is driven by hand here, so that nothing
//! but the loop is to be seen; with `Cache::attach` it would run on a thread of its own.

use std::ops::ControlFlow;
use std::thread;

use tickcache::{Cache, Feed};

const UPDATES: u32 = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = Cache::builder().build()?;
    let mut feed = cache.local(Feed::events().entities(["book"]).whole())?;
    feed.open();

    // Resolved once, before the first message: the handle waits for its value.
    let book = cache.entity("book");
    let fields = book.fields(["bid", "ask", "n"])?;
    let x = book.slot("X");

    let priced = x.clone();
    let pricing = thread::spawn(move || {
        let mut prices = 0_u32;
        let mut last = 0.0;
        priced.spin(|x| {
            // Three fields of one version, checked to be of one version before they are seen.
            let Ok([bid, ask, n]) = x.live(fields) else {
                // Empty before the first message, stale after a loss: no price.
                return ControlFlow::Continue(());
            };
            let (Ok(bid), Ok(ask), Ok(n)) = (bid.f64(), ask.f64(), n.u64()) else {
                return ControlFlow::Continue(());
            };
            prices += 1;
            last = (bid + ask) / 2.0;
            if n == u64::from(UPDATES) {
                return ControlFlow::Break((prices, last));
            }
            ControlFlow::Continue(())
        })
    });

    let mut text = Vec::new();
    for n in 1..=UPDATES {
        let bid = f64::from(n) / 100.0;
        let ask = bid + 0.01;
        text.clear();
        text.extend(
            format!(
                r#"{{"entity":"book","id":"X","payload":{{"bid":"{bid:.2}","ask":"{ask:.2}","n":{n}}}}}"#
            )
            .bytes(),
        );
        feed.message(&mut text)?;
    }

    let (prices, last) = pricing.join().expect("the pricing thread")?;
    println!(
        "{UPDATES} updates, {} published, the last mid is {last:.3}",
        x.epoch()
    );
    println!("the loop priced at least one of them: {}", prices > 0);

    feed.close();
    match x.live(fields) {
        Ok(_) => println!("still live"),
        Err(halt) => println!("halt: {halt}"),
    }
    Ok(())
}
