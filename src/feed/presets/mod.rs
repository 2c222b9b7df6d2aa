//! Wire formats that need no code of the user's: plain events, and exchanges.

mod binance;
mod bybit;
mod coinbase_advanced;
mod coinbase_exchange;
mod events;
mod exchange;
mod kraken_futures;
mod kraken_v1;
mod kraken_v2;
mod pending;

pub use binance::{Binance, BinanceMarket, BinanceRoute, BinanceSpot, Endpoint};
pub use bybit::{Bybit, BybitCategory};
pub use coinbase_advanced::CoinbaseAdvanced;
pub use coinbase_exchange::CoinbaseExchange;
pub use events::Events;
pub use exchange::{Emit, Exchange, Venue, is_symbol};
pub use kraken_futures::KrakenFutures;
pub use kraken_v1::KrakenV1;
pub use kraken_v2::{KrakenV2, Trigger};

#[cfg(test)]
pub(crate) mod script;
