//! Numbered changes and their snapshot, by the rules of Binance: the stream first, the snapshot under
//! it.

use tickcache::Feed;

#[test]
fn compiles() {
    let _ = Feed::events();
}
