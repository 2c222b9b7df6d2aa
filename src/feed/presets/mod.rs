//! Wire formats that need no code of the user's: plain events, and exchanges.

mod alpaca;
mod binance;
mod bybit;
mod deribit;
mod events;
mod exchange;
mod okx;
mod polygon;
mod secret;

pub use alpaca::{AlpacaStocks, StockFeed};
pub use binance::{Binance, BinanceMarket, BinanceRoute, BinanceSpot, Endpoint};
pub use bybit::{Bybit, BybitCategory};
pub use deribit::{Deribit, Interval};
pub use events::Events;
pub use exchange::{Emit, Exchange, Venue, is_symbol};
pub use okx::Okx;
pub use polygon::PolygonStocks;

#[cfg(test)]
pub(crate) mod script;
