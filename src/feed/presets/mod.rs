//! Wire formats that need no code of the user's: plain events, and exchanges.

mod binance_spot;
mod events;
mod exchange;

pub use binance_spot::{BinanceSpot, Endpoint};
pub use events::Events;
pub use exchange::{Emit, Exchange, Venue, is_symbol};
