//! Wire formats that need no code of the user's: plain events, and exchanges.

mod binance_spot;
mod events;
mod exchange;
#[allow(dead_code, reason = "for the exchanges that are being added")]
mod snapshots;

pub use binance_spot::{BinanceSpot, Endpoint};
pub use events::Events;
pub use exchange::{Emit, Exchange, Venue, is_symbol};
