//! Wire formats that need no code of the user's: plain events, and exchanges.

mod alpaca;
mod binance;
mod bybit;
mod coinbase_advanced;
mod coinbase_exchange;
mod deribit;
mod events;
mod exchange;
mod kraken_futures;
mod kraken_v1;
mod kraken_v2;
mod members;
mod okx;
mod pending;
mod polygon;
mod requests;
mod secret;
mod snapshots;
mod venue;

pub use alpaca::{AlpacaStocks, StockFeed};
pub use binance::{Binance, BinanceMarket, BinanceRoute, BinanceSpot, Endpoint};
pub use bybit::{Bybit, BybitCategory};
pub use coinbase_advanced::CoinbaseAdvanced;
pub use coinbase_exchange::CoinbaseExchange;
pub use deribit::{Deribit, Interval};
pub use events::Events;
pub use exchange::Exchange;
pub use kraken_futures::KrakenFutures;
pub use kraken_v1::KrakenV1;
pub use kraken_v2::{KrakenV2, Trigger};
pub use okx::Okx;
pub use polygon::PolygonStocks;
pub use requests::is_symbol;
pub use venue::{Emit, Venue};

#[cfg(test)]
pub(crate) mod script;
