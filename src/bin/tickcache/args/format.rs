//! How messages are read: a preset, or an envelope out of a file.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How messages are read.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct Format {
    /// How to read the messages
    #[arg(long, value_name = "PRESET")]
    pub(crate) preset: Option<Preset>,
    /// A TOML file that says how to read the messages of a venue without a preset
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    pub(crate) envelope: Option<PathBuf>,
    /// How a payload joins the value it patches (preset `events` only) [default: rfc7396]
    #[arg(long, value_name = "MODE")]
    pub(crate) merge: Option<Merge>,
    /// What a patch for an unknown id does (preset `events` only) [default: ignore]
    #[arg(long, value_name = "WHAT")]
    pub(crate) missing: Option<Missing>,
}

/// A message format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// {"entity":..,"id":..,"payload":..}
    Events,
    /// Binance spot
    BinanceSpot,
    /// Binance futures margined in USD
    BinanceUsdm,
    /// Binance futures margined in coins
    BinanceCoinm,
    /// Bybit v5, contracts settled in USDT and USDC
    BybitLinear,
    /// Bybit v5, contracts settled in coins
    BybitInverse,
    /// Bybit v5, spot
    BybitSpot,
    /// Coinbase Exchange
    CoinbaseExchange,
    /// Coinbase Advanced Trade
    CoinbaseAdvanced,
    /// Kraken, version 1
    KrakenV1,
    /// Kraken, version 2
    KrakenV2,
    /// Kraken Futures
    KrakenFutures,
    /// OKX v5
    Okx,
    /// Deribit v2
    Deribit,
    /// Alpaca, US stocks
    AlpacaStocks,
    /// Polygon, US stocks
    PolygonStocks,
}

/// A channel, and which ids of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    /// As the venue spells it.
    pub(crate) channel: String,
    /// None for a channel without ids.
    pub(crate) ids: Vec<String>,
}

/// How a payload joins the value it patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Merge {
    /// JSON merge patch: objects merge to any depth, null deletes
    Rfc7396,
    /// Top-level members replace each other, null is a value
    Shallow,
}

/// What a patch for an unknown id does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Missing {
    /// Makes a partial value of it
    Insert,
    /// Is counted and dropped
    Ignore,
}
