//! Feeds of exchanges, one constructor each.

use super::Feed;
use crate::feed::presets::{Binance, BinanceMarket, BinanceSpot, Bybit, BybitCategory, Exchange};

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
