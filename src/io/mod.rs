//! Sockets, threads, timers and the clock: everything that waits.
//!
//! The rooms below decide; this one does. `feed` says what to send and when to give a connection
//! up, `store` keeps what came: here is the thread that stands between them ([`feed_thread`]), the
//! way in for other threads ([`inbox`]), and what turns patches into publications ([`ingest`]).
//! Without the feature `net` there are no sockets, and a feed is driven by its caller
//! ([`local`]): the same machine, the same publications.

pub(crate) mod bulk;
pub(crate) mod clock;
pub(crate) mod command;
mod fault;
pub(crate) mod inbox;
pub(crate) mod ingest;
pub(crate) mod latch;
pub(crate) mod local;
pub(crate) mod owners;
pub(crate) mod plane;
pub(crate) mod slow;
mod staging;
pub(crate) mod target;
pub(crate) mod wanted;

#[cfg(feature = "net")]
pub(crate) mod connect;
#[cfg(feature = "net")]
mod connector;
#[cfg(feature = "net")]
pub(crate) mod endpoint;
#[cfg(feature = "net")]
pub(crate) mod feed_thread;
#[cfg(feature = "net")]
pub(crate) mod rest;
#[cfg(feature = "net")]
pub(crate) mod runtime;
#[cfg(feature = "net")]
mod socket;
#[cfg(feature = "net")]
pub(crate) mod status;
#[cfg(feature = "net")]
pub(crate) mod tls;

#[cfg(all(test, feature = "net", feature = "ring"))]
mod peer;
