//! Feeds of exchanges, one constructor each.

use super::Feed;
use crate::feed::presets::{
    Binance, BinanceMarket, BinanceSpot, Bybit, BybitCategory, CoinbaseAdvanced, CoinbaseExchange,
    Exchange, KrakenFutures, KrakenV1, KrakenV2,
};

impl Feed<Exchange<Binance>> {
    /// Binance spot, as `binance-spot`.
    ///
    /// * Channels: `bookTicker`, `trade`, `aggTrade`, `ticker`, `miniTicker`, `avgPrice`,
    ///   `ticker_1h`, `ticker_4h`, `ticker_1d`; streams of all symbols are `!ticker@arr`,
    ///   `!miniTicker@arr` and `!ticker_1h@arr`, `_4h`, `_1d`, with an empty id. Each message is a
    ///   whole value.
    /// * Numbering: `u` of `bookTicker`, `t` of `trade` and `a` of `aggTrade` rise by any step; the
    ///   others have their event time only.
    /// * Limits kept: 4 messages a second (5 are allowed), 1,024 streams, a connection of 24 hours.
    ///   Not kept, since one feed cannot exceed it: 300 connections in 5 minutes from one address.
    /// * Not verified: connections without a stream in the URL. Streams that do not exist are
    ///   acknowledged by the server and stay silent.
    #[must_use]
    pub fn binance_spot() -> Self {
        Self::custom(BinanceSpot::new())
    }

    /// Binance futures margined in USD, as `binance-usdm`.
    ///
    /// * Channels: `bookTicker`, `trade`, `aggTrade`, `ticker`, `miniTicker`, `markPrice` (also as
    ///   `markPrice@1s`), `forceOrder`; of all symbols `!ticker@arr`, `!miniTicker@arr`,
    ///   `!bookTicker`, `!markPrice@arr`, `!markPrice@arr@1s`, `!forceOrder@arr`, with an empty id.
    /// * Routes: the exchange serves `bookTicker` and `trade` on one path and the others on
    ///   another. The first stream decides which is connected to, streams of the other are refused;
    ///   attach a second feed for them, under a name of its own
    ///   ([`BinanceRoute`](crate::feed::presets::BinanceRoute) chooses without a stream). A
    ///   [`base`](Self::base) of one's own is used as it is.
    /// * Numbering: as spot.
    /// * Limits kept: 9 messages a second (10 are allowed), 200 streams, a connection of 24 hours.
    /// * Not verified: the route of `trade`, the number of streams (elsewhere 1,024), the notice
    ///   of a shutdown.
    #[must_use]
    pub fn binance_usdm() -> Self {
        Self::custom(Exchange::of(Binance::of(BinanceMarket::Usdm)))
    }

    /// Binance futures margined in coins, as `binance-coinm`.
    ///
    /// * Channels: those of [`binance_usdm`](Self::binance_usdm), and `indexPrice`, whose id is the
    ///   pair (`BTCUSD`). `markPrice` of a pair brings all its contracts. Of all symbols:
    ///   `!ticker@arr`, `!miniTicker@arr`, `!bookTicker`, `!forceOrder@arr`.
    /// * Numbering: as spot.
    /// * Limits kept: 9 messages a second (10 are allowed), 200 streams, a connection of 24 hours.
    /// * Not verified: that there is one route for all streams, the number of streams, the notice
    ///   of a shutdown.
    #[must_use]
    pub fn binance_coinm() -> Self {
        Self::custom(Exchange::of(Binance::of(BinanceMarket::Coinm)))
    }
}

impl Feed<Exchange<Bybit>> {
    /// Bybit v5, contracts settled in USDT and USDC, as `bybit-linear`.
    ///
    /// * Channels: `tickers` (a snapshot, then merge patches: absent members are unchanged),
    ///   `publicTrade`, `allLiquidation`, `liquidation`. Ids are symbols, written large.
    /// * Numbering: `cs` of `tickers` and `seq` of `publicTrade` rise and may repeat; numbers of two
    ///   connections are not compared. Liquidations have their time only.
    /// * Limits kept: 21,000 characters of topics on a connection; a sign of life every 20 s. Not
    ///   kept: 500 connections in 5 minutes from one address.
    /// * Not verified: how many messages a second are allowed. 10 are sent at most.
    #[must_use]
    pub fn bybit_linear() -> Self {
        Self::custom(Exchange::of(Bybit::of(BybitCategory::Linear)))
    }

    /// Bybit v5, contracts settled in coins, as `bybit-inverse`: as
    /// [`bybit_linear`](Self::bybit_linear).
    #[must_use]
    pub fn bybit_inverse() -> Self {
        Self::custom(Exchange::of(Bybit::of(BybitCategory::Inverse)))
    }

    /// Bybit v5, spot, as `bybit-spot`.
    ///
    /// * Channels: `tickers` (snapshots only) and `publicTrade`.
    /// * Numbering and limits: as [`bybit_linear`](Self::bybit_linear), but for topics: 10 in a
    ///   request, which is known from memory only.
    #[must_use]
    pub fn bybit_spot() -> Self {
        Self::custom(Exchange::of(Bybit::of(BybitCategory::Spot)))
    }
}

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
        Self::custom(Exchange::of(CoinbaseExchange::default()))
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
        Self::custom(Exchange::of(CoinbaseAdvanced::default()))
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
    /// * Not verified: the rate limit; a refusal for it (`Exceeded msg rate`) ends the stream as any
    ///   other refusal does.
    #[must_use]
    pub fn kraken_v1() -> Self {
        Self::custom(Exchange::of(KrakenV1::default()))
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
        Self::custom(Exchange::of(KrakenV2::default()))
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
    /// * Not verified: whether `seq` goes on over the exchange's maintenance; a request dropped for
    ///   the rate limit is told by an alert that names no stream, and counts as unanswered.
    #[must_use]
    pub fn kraken_futures() -> Self {
        Self::custom(Exchange::of(KrakenFutures::default()))
    }
}
