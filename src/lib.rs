//! tickcache: a lock-free, last-value stream cache.

pub mod cache;
pub mod feed;
mod io;
pub mod json;
pub mod key;
pub mod record;
mod store;
mod sync;
mod time;
pub mod ws;

#[cfg(feature = "net")]
pub use io::{endpoint::Endpoint, tls::Roots};
pub use time::Time;
