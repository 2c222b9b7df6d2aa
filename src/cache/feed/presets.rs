//! Feeds of exchanges, one constructor each.

use super::Feed;
use crate::feed::presets::{
    AlpacaStocks, Binance, BinanceMarket, BinanceSpot, Bybit, BybitCategory, CoinbaseAdvanced,
    CoinbaseExchange, Deribit, Exchange, KrakenFutures, KrakenV1, KrakenV2, Okx, PolygonStocks,
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
    /// * Limits kept: 4 messages a second (5 are allowed), 1,024 streams, a connection of 24 hours,
    ///   150 attempts to connect in 5 minutes for each connection (an address may make 300).
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
    /// * Limits kept: 21,000 characters of topics on a connection; a sign of life every 20 s; 250
    ///   attempts to connect in 5 minutes for each connection (an address may make 500).
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
    ///   documented), 4 attempts to connect a second for each connection (an address may make 8). Not
    ///   known to the feed: 10 subscriptions of an account to the same product and channel.
    /// * Not verified: that requests are answered in order, and that an error refuses the whole of a
    ///   request. A refused request of several products is made again by halves, until it is known
    ///   which were meant.
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
    /// * Not verified: the rate limit. What is refused for it (`Exceeded msg rate`) is asked for again
    ///   with the next ping; in between it counts as unanswered.
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
    /// * Not verified: whether `seq` goes on over the exchange's maintenance. Requests dropped for
    ///   their rate are told by an alert that names none: those that are unanswered are made again.
    #[must_use]
    pub fn kraken_futures() -> Self {
        Self::custom(Exchange::of(KrakenFutures::default()))
    }
}

impl Feed<Exchange<Okx>> {
    /// OKX v5, public channels, as `okx`.
    ///
    /// * Channels: `tickers`, `trades`, `mark-price`, `funding-rate`, `index-tickers`,
    ///   `open-interest`; the id is the `instId`. Each element of `data` is a whole value. Books and
    ///   candles are unmapped.
    /// * Numbering: `tradeId` of `trades` rises by any step; the others have the time `ts` only, so
    ///   that on one connection the order of arrival counts.
    /// * Answers: stream by stream. The notice of a service upgrade (`64008`) is passed on as a
    ///   connection about to close.
    /// * Limits kept: 480 requests an hour on a connection, 64 KB a request, a `ping` each 25 s. Not
    ///   kept, since one feed cannot exceed it: 3 connects a second from one address.
    /// * Not verified: the `id` of requests on the public endpoint, and that a refused stream
    ///   leaves the others of its request alone. A refusal names its stream in its text; where that
    ///   cannot be read, the whole request counts as refused.
    #[must_use]
    pub fn okx() -> Self {
        Self::custom(Exchange::of(Okx))
    }
}

impl Feed<Exchange<Deribit>> {
    /// Deribit v2, as `deribit`.
    ///
    /// * Channels: `ticker`, `incremental_ticker`, `quote`, `trades`; the id is the instrument's
    ///   name. `trades` may be of many instruments (id `future.BTC`), whose values are then under
    ///   their names. `ticker`, `quote` and each trade are whole values; `incremental_ticker` is
    ///   whole at first and then merges, nested, with `null` as a value. Books are unmapped.
    /// * Settings of the [`venue`](Self::venue): the
    ///   [`interval`](Deribit::interval) of `ticker` and `trades`, by default 100 ms;
    ///   [`credentials`](Deribit::credentials), which `raw` needs.
    /// * Numbering: `trade_seq` of `trades` rises by any step; the others have a time only. A part
    ///   of an incremental ticker that was lost cannot be noticed: the feed has no number for it.
    /// * Limits kept: 3 requests a second, 500 channels a request; signs of life each 30 s. Not
    ///   kept, since one feed cannot exceed it: 32 connections from one address.
    /// * Not verified: the number of channels and of requests.
    #[must_use]
    pub fn deribit() -> Self {
        Self::custom(Exchange::of(Deribit::default()))
    }
}

impl Feed<Exchange<AlpacaStocks>> {
    /// Alpaca stocks in real time, as `alpaca-stocks`. Needs
    /// [`credentials`](AlpacaStocks::credentials):
    /// `Feed::alpaca_stocks().venue(|venue| venue.credentials(key, secret))`.
    ///
    /// * Channels: `trades`, `quotes`, `bars`, `dailyBars`, `updatedBars`, `statuses`, `lulds`; the
    ///   id is the symbol, or `*` for all. Each object of a frame is a whole value. Corrections,
    ///   cancelled trades and imbalances are unmapped.
    /// * Settings of the [`venue`](Self::venue): which [`feed`](AlpacaStocks::feed), by default
    ///   IEX.
    /// * Numbering: none, times only.
    /// * Answers: the server lists what it keeps up, and what is not listed is refused. A login
    ///   that fails, a second connection (406), a slow client (407) end the connection, with the
    ///   reason in its status.
    /// * Not verified: the codes of errors but 406, the length of requests. The number of symbols
    ///   depends on the account and is the server's to refuse (405), with the whole request.
    #[must_use]
    pub fn alpaca_stocks() -> Self {
        Self::custom(Exchange::of(AlpacaStocks::default()))
    }
}

impl Feed<Exchange<PolygonStocks>> {
    /// Polygon (Massive) stocks, as `polygon-stocks`. Needs a [`key`](PolygonStocks::key):
    /// `Feed::polygon_stocks().venue(|venue| venue.key(key))`.
    ///
    /// * Channels: `T` (trades), `Q` (quotes), `A` and `AM` (aggregates of a second and of a
    ///   minute); the id is the ticker, or `*` for all. Each event of a frame is a whole value.
    /// * Numbering: `q` of trades and quotes rises by any step and starts anew each session; it is
    ///   compared within the minute of the event's time, so that a new session is not taken for
    ///   an old one. Aggregates have a time only.
    /// * Answers: by texts that name streams. An error names none, and is taken to be about the
    ///   oldest request without an answer. A login that fails and a second connection
    ///   (`max_connections`) end the connection, with the reason in its status.
    /// * Not verified: the texts of answers and errors, the length of requests. The venue's newer
    ///   address is `wss://socket.massive.com/stocks`: see [`base`](Self::base).
    #[must_use]
    pub fn polygon_stocks() -> Self {
        Self::custom(Exchange::of(PolygonStocks::default()))
    }
}
