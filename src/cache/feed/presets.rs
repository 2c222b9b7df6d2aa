//! Feeds of exchanges, one constructor each.

use super::Feed;
use crate::feed::presets::{
    CoinbaseAdvanced, CoinbaseExchange, Exchange, KrakenFutures, KrakenV1, KrakenV2,
};

impl Feed<Exchange<CoinbaseExchange>> {
    /// Coinbase Exchange, as `coinbase-exchange`.
    ///
    /// * Channels: `ticker` (also asked for as `ticker_batch`, at most every 5 s) and `match` (also
    ///   asked for as `matches`; its first message is a `last_match`). Each message is a whole value.
    ///   Books, `status` and the channels of single orders are unmapped, counted by their `type`.
    /// * Numbering: `sequence` of `ticker` and `trade_id` of `match` rise by any step and go on over
    ///   reconnects.
    /// * Liveness: `heartbeat` of one product is asked for once a product is granted. The first
    ///   request goes out at once: the server closes a connection without one after 5 s.
    /// * Limits kept: 90 messages a second (100 are allowed), 100 products in a request (no limit is
    ///   documented). Not kept, since the back-off is slower: 8 connections a second. Not known to
    ///   the feed: 10 subscriptions of an account to the same product and channel.
    /// * Not verified: that requests are answered in order, and that an error refuses the whole of a
    ///   request. A refused request of several products is asked again without those that the reason
    ///   names, or by halves, until it is known which were meant.
    #[must_use]
    pub fn coinbase_exchange() -> Self {
        Self::custom(Exchange::new(CoinbaseExchange::default()))
    }
}

impl Feed<Exchange<CoinbaseAdvanced>> {
    /// Coinbase Advanced Trade, as `coinbase-advanced`.
    ///
    /// * Channels: `ticker`, `ticker_batch` and `market_trades`: each element of `tickers` and of
    ///   `trades` is a whole value; of the trades in a message the one with the highest `trade_id`
    ///   stays. Books (`l2_data`), `candles` and `status` are unmapped.
    /// * Numbering: `sequence_num` counts all messages of the connection, whatever their channel; a
    ///   hole marks every value of the feed. `trade_id` rises by any step.
    /// * Liveness: `heartbeats` is subscribed to first of all, since the server closes a connection
    ///   without messages after 60 to 90 s.
    /// * Limits kept: 7 messages a second (8 are allowed from an address), one channel and 100
    ///   products in a request (no limit of products is documented).
    /// * Not verified: that requests are answered in order, and the form of an error; it is treated
    ///   as that of [`coinbase_exchange`](Feed::coinbase_exchange).
    #[must_use]
    pub fn coinbase_advanced() -> Self {
        Self::custom(Exchange::new(CoinbaseAdvanced::default()))
    }
}

impl Feed<Exchange<KrakenV1>> {
    /// Kraken spot, version 1 of its interface, as `kraken-v1`.
    ///
    /// * Channels: `ticker`, `trade` and `spread`; the value is the second element of the message:
    ///   for `trade` the array of the trades that came together, for `spread` an array of five. Ids
    ///   are the exchange's pairs (`XBT/USD`). Books and candles are unmapped, counted as `book` and
    ///   `ohlc`, without depth and interval.
    /// * Numbering: none. What comes later is newer.
    /// * Liveness: the server's heartbeat of about a second, and a ping every 30 s.
    /// * Limits kept: 10 messages a second, 100 pairs in a request (none is documented).
    /// * Not verified: the rate limit. What is refused for it (`Exceeded msg rate`) is asked for again
    ///   with the next ping; in between it counts as unanswered.
    #[must_use]
    pub fn kraken_v1() -> Self {
        Self::custom(Exchange::new(KrakenV1::default()))
    }
}

impl Feed<Exchange<KrakenV2>> {
    /// Kraken spot, version 2 of its interface, as `kraken-v2`.
    ///
    /// * Channels: `ticker` and `trade`: each element of `data` is a whole value, in a snapshot and in
    ///   an update alike. Ids are the exchange's symbols (`BTC/USD`). Books, candles and `instrument`
    ///   are unmapped.
    /// * Setting: [`KrakenV2::trigger`], what makes the server send a ticker, asked for anew on every
    ///   connection.
    /// * Numbering: none for `ticker`, whose time may step back while a market is halted; `trade_id`
    ///   rises by any step.
    /// * Liveness: the server's heartbeat of about a second, and a ping every 30 s.
    /// * Limits kept: 10 messages a second, 100 symbols in a request (none is documented).
    /// * Not verified: all of it, since there is no recording: it follows the documentation.
    #[must_use]
    pub fn kraken_v2() -> Self {
        Self::custom(Exchange::new(KrakenV2::default()))
    }
}

impl Feed<Exchange<KrakenFutures>> {
    /// Kraken futures, as `kraken-futures`.
    ///
    /// * Channels: `ticker`, `ticker_lite` and `trade`, each message a whole value; so is each of a
    ///   `trade_snapshot`, of which the highest `seq` stays. Ids are in capitals, whatever was asked
    ///   for. Books are unmapped, counted as `book` and `book_snapshot`.
    /// * Numbering: `seq` of `trade` rises by any step, anew on each connection; tickers have none.
    /// * Liveness: a ping frame every 30 s, since the server demands one within every 60 s, and its
    ///   `heartbeat` feed.
    /// * Limits kept: 90 messages a second (100 are allowed), one product in a request, so that it is
    ///   known what an error is about. Not known to the feed: 100 connections of an address.
    /// * Not verified: whether `seq` goes on over the exchange's maintenance. Requests dropped for
    ///   their rate are told by an alert that names none: those that are unanswered are made again.
    #[must_use]
    pub fn kraken_futures() -> Self {
        Self::custom(Exchange::new(KrakenFutures::default()))
    }
}
