//! tickcache: a lock-free, last-value stream cache.

pub mod cache;
pub mod feed;
mod io;
pub mod json;
pub mod key;
pub mod record;
mod store;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
pub mod ws;

pub use time::Time;
