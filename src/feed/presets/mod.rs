//! Wire formats that need no code of the user's: plain events, Binance spot.

mod binance_spot;
mod events;

pub use binance_spot::{BinanceSpot, Endpoint};
pub use events::Events;
