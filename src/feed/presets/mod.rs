//! Wire formats that need no code of the user's: plain events, and exchanges.

mod binance;
mod bybit;
mod events;
mod exchange;

pub use binance::{Binance, BinanceMarket, BinanceRoute, BinanceSpot, Endpoint};
pub use bybit::{Bybit, BybitCategory};
pub use events::Events;
pub use exchange::{Emit, Exchange, Venue, is_symbol};

#[cfg(test)]
pub(crate) mod script;
