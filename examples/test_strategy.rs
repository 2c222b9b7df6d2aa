//! Testing how a strategy treats values that are not live: no sockets, no sleeping, virtual time.
//!
//! Run with `cargo run --example test_strategy --features testing`, or its test with
//! `cargo test --example test_strategy --features testing`.

use tickcache::{Field, FieldsError, Freshness, Slot};

/// What the strategy wants done.
#[derive(Clone, Debug, PartialEq)]
enum Order {
    /// Quote around this middle.
    Quote(f64),
    /// Take all quotes away, for this reason.
    Pull(String),
}

/// Quotes around the middle of a book while that is live, and never on anything else.
struct Strategy {
    book: Slot,
    bid: Field,
    ask: Field,
}

impl Strategy {
    fn new(book: Slot) -> Result<Self, FieldsError> {
        let [bid, ask] = book.entity().fields(["b", "a"])?;
        Ok(Self { book, bid, ask })
    }

    fn step(&self) -> Order {
        let [bid, ask] = match self.book.live([self.bid, self.ask]) {
            Ok(values) => values,
            Err(error) if error.freshness() == Freshness::Empty => {
                return Order::Pull("nothing yet".to_owned());
            }
            Err(error) => return Order::Pull(error.reasons().to_string()),
        };
        match (bid.f64(), ask.f64()) {
            (Ok(bid), Ok(ask)) if bid < ask => Order::Quote((bid + ask) / 2.0),
            _ => Order::Pull("no sane book".to_owned()),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (what, order) in scenario()? {
        println!("{what:42} {order:?}");
    }
    Ok(())
}

/// What the strategy orders as its feed lives through a bad day.
fn scenario() -> Result<Vec<(&'static str, Order)>, Box<dyn std::error::Error>> {
    use std::time::Duration;
    use tickcache::Feed;
    use tickcache::testing::TestFeed;

    let feed = Feed::binance_spot().book_ticker(["BTCUSDT"]);
    let (cache, mut feed) = TestFeed::new(feed.silent_after(Duration::from_secs(5)));
    let strategy = Strategy::new(cache.entity("binance-spot.bookTicker").slot("BTCUSDT"))?;
    let book = r#"{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"99.00","B":"1","a":"101.00","A":"1"}}"#;

    let mut orders = vec![("before the first message", strategy.step())];
    feed.message(book)?;
    orders.push(("a book", strategy.step()));
    feed.advance(Duration::from_secs(5));
    orders.push(("five seconds of silence", strategy.step()));
    feed.message(book)?;
    orders.push(("the same book again", strategy.step()));
    feed.disconnect();
    orders.push(("the connection is lost", strategy.step()));
    feed.reconnect();
    orders.push(("it is back, and nothing confirmed", strategy.step()));
    feed.message(book)?;
    orders.push(("the same book again", strategy.step()));
    feed.gap();
    orders.push(("something was missed", strategy.step()));
    drop(feed);
    orders.push(("the feed has ended", strategy.step()));
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strategy_never_quotes_on_a_value_that_is_not_live() {
        let orders: Vec<_> = scenario()
            .expect("runs")
            .into_iter()
            .map(|(_, order)| order)
            .collect();
        let pull = |reason: &str| Order::Pull(reason.to_owned());
        assert_eq!(
            orders,
            [
                pull("nothing yet"),
                Order::Quote(100.0),
                pull("silent"),
                Order::Quote(100.0),
                pull("disconnected"),
                pull("disconnected+invalidated"),
                Order::Quote(100.0),
                pull("gap"),
                pull("gap+stopped"),
            ]
        );
    }
}
