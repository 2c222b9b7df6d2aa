//! Any lines as the messages of a venue. The first byte chooses the preset.
//!
//! Nothing panics, the ledgers balance after every message, one that is refused leaves everything as it
//! was, and without a connection nothing is live.

use tickcache::feed::Protocol;
use tickcache::{Cache, Feed};

use crate::values::values;

/// Runs the messages.
///
/// # Panics
/// If one of the rules above does not hold.
pub(crate) fn replay(input: &[u8]) {
    let Some((&choice, lines)) = input.split_first() else {
        return;
    };
    match choice % 15 {
        0 => take(lines, Feed::binance_spot()),
        1 => take(lines, Feed::binance_usdm()),
        2 => take(lines, Feed::binance_coinm()),
        3 => take(lines, Feed::bybit_spot()),
        4 => take(lines, Feed::bybit_linear()),
        5 => take(lines, Feed::bybit_inverse()),
        6 => take(lines, Feed::coinbase_advanced()),
        7 => take(lines, Feed::coinbase_exchange()),
        8 => take(lines, Feed::deribit()),
        9 => take(lines, Feed::kraken_futures()),
        10 => take(lines, Feed::kraken_v1()),
        11 => take(lines, Feed::kraken_v2()),
        12 => take(lines, Feed::okx()),
        13 => take(lines, Feed::alpaca_stocks()),
        _ => take(lines, Feed::polygon_stocks()),
    }
}

fn take<P: Protocol>(lines: &[u8], feed: Feed<P>) {
    let cache = Cache::builder().max_ids(64).build().expect("a cache");
    let mut feed = cache.local(feed).expect("nothing else is attached");
    feed.open();
    let mut taken = 0;
    for line in lines.split(|byte| *byte == b'\n') {
        let before = values(&cache);
        taken += 1;
        if feed.message(&mut line.to_vec()).is_err() {
            let shown = String::from_utf8_lossy(line);
            assert_eq!(
                values(&cache),
                before,
                "{shown} is refused, and has an effect"
            );
        }
        let counters = feed.counters();
        assert!(
            counters.balanced() && counters.messages == taken,
            "{counters:?}"
        );
    }
    feed.close();
    for entity in cache.entities() {
        for slot in entity.iter() {
            assert!(!slot.freshness().is_live(), "{slot:?} without a connection");
        }
    }
}
