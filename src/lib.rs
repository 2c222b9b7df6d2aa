//! A lock-free, last-value stream cache for Rust services.
//!
//! WebSocket feeds come in; each message is a patch to the value of one (entity, id); readers on
//! any thread see the newest whole value and are woken when it moves. It keeps the *last* value of
//! each key and what that value is worth, not a log of what happened.
//!
//! ```
//! use tickcache::{Cache, Feed, Reasons};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = Cache::builder().build()?;
//!
//! // A feed that is driven by hand. `Cache::attach` runs one on a thread of its own, over a socket.
//! let mut feed = cache.local(Feed::events().whole())?;
//! feed.open();
//! feed.message(&mut br#"{"entity":"book","id":"X","payload":{"bid":"99.95","ask":"100.05"}}"#.to_owned())?;
//!
//! // Names are resolved once; reading by handle then hashes nothing and locks nothing.
//! let book = cache.entity("book");
//! let fields = book.fields(["bid", "ask"])?;
//! let x = book.slot("X");
//! let [bid, ask] = x.live(fields)?;
//! assert_eq!(bid.decimal()?, "99.95".parse()?);
//! assert_eq!(ask.f64()?, 100.05);
//!
//! // A stale value is never read by accident.
//! feed.close();
//! let refused = x.live(fields).expect_err("the connection is gone");
//! assert!(refused.reasons().contains(Reasons::DISCONNECTED));
//! let [bid, _] = x.read(fields).even_if_stale();
//! assert_eq!(bid.str()?, "99.95");
//! # Ok(())
//! # }
//! ```
//!
//! # What a reader may rely on
//!
//! * A read gives the last publication, or one concurrent with it, *whole*: never half a message.
//!   The reads of one thread never go back.
//! * Every read carries its [`Freshness`]. `live(..)` gives values that are live and errs
//!   otherwise; a suspect value needs a call that says so.
//! * No reader makes a writer wait, and what a publication costs does not depend on how many
//!   threads read.
//! * Tokens are kept as they came. A price with 20 digits, a trailing zero, an id above 2⁵³: all
//!   survive, since a number is parsed when somebody reads it, as what they ask for.
//! * A message takes effect whole or, if any of it is refused, not at all; and it is counted.
//!
//! # What it trades away
//!
//! * **Conflation.** A watcher gets the newest value and the number of those it skipped, never a
//!   queue. Whoever must see every message needs a log.
//! * **One writer.** An entity is written by one feed, on that feed's thread. Others ask it to.
//! * **Memory for time.** A slot holds two versions, and once made it lives as long as the cache:
//!   the number of ids is bounded, and only [`Slot::purge`] gives one back.
//! * **Nothing is durable**, and nothing leaves the process, but for what `Cache::dehydrate` gives.
//! * Several slots are read one after the other; [`Cache::cut`] reads some of one feed as of one
//!   message.
//!
//! # Progress
//!
//! | operation | progress |
//! |---|---|
//! | [`Slot::read`], [`live`](Slot::live), [`read_all`](Slot::read_all), [`freshness`](Slot::freshness), [`Reader`] | lock-free; wait-free unless the slot is published a whole ring of versions further meanwhile |
//! | [`Slot::epoch`], [`Entity::len`] | wait-free, but for the epoch of a slot that was purged |
//! | [`Slot::snapshot`] | as `read`; allocates for the first who asks for a version |
//! | a publication | wait-free but for cold branches: growth of a slot, a schema or the index |
//! | [`Entity::find`] | lock-free |
//! | [`Cache::entity`], [`Entity::slot`], [`Entity::fields`] | lock-free for what exists; takes a lock to make what does not |
//! | [`Slot::invalidate`], [`Entity::invalidate`], [`Cache::invalidate_all`] | one count for the values, whatever their number; one look at each waiter |
//! | [`Watch::changed`], [`Watch::wait`], [`Changes::next`] | wait; going to sleep takes the hub's lock, which no feed takes |
//! | [`Slot::spin`] | never sleeps, occupies a core |
//! | [`Slot::set`], [`Slot::remove`] | do not wait for the feed; one short lock among senders |
//!
//! # Where things are
//!
//! Everything that an application needs is at the root. [`feed`] has the [`Protocol`] trait and the
//! pieces to write a venue of one's own; [`record`], [`json`], [`ws`] and [`mod@key`] are the rooms
//! below it, public because a protocol names some of their types. The repository's `README.md` is
//! the guide, `ARCHITECTURE.md` says how it works and why.
//!
//! # Features
//!
//! `net` (default): sockets, TLS and feed threads, on tokio. Without it the crate does no IO and
//! depends on no runtime; feeds are then driven by hand ([`Cache::local`]). `ring` (default) or
//! `aws-lc-rs`: who does the cryptography of `wss`. `testing`: tools for tests of users. `metrics`:
//! counters through the `metrics` facade. `rust_decimal`: conversions of [`Decimal`]. `cli`: the
//! binary.

pub mod cache;
pub mod feed;
mod io;
pub mod json;
pub mod key;
mod query;
pub mod record;
mod store;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
pub mod ws;

pub use cache::{
    Asc, AttachError, Batch, BuildError, By, Cache, CacheBuilder, CacheEvents, Cancelling, Changes,
    CloseError, Closed, Cut, CutError, Defaults, DehydrateOptions, Desc, Entity, Feed, Fetching,
    Field, FieldsError, Freshness, Hook, Hydrated, Hydrating, Invalidation, JsonText, Kept,
    ListObserver, ListRow, LocalFeed, NotLive, NotReady, NotReadyReason, Observer, Optimistic,
    Ordered, Polled, QueryBuilder, QueryConfig, QueryError, QueryState, Reader, Reading,
    ReadyError, Reasons, RefetchRequest, Refetched, Refetching, Resync, Row, Selected, SetError,
    Slot, Snapshot, Step, Stored, StoredError, StoredQuery, StoredValue, Tick, Typed, TypedSlot,
    TypedTick, TypedWatch, Unmapped, Until, UntilState, View, WaitError, Watch,
};
#[cfg(feature = "net")]
pub use cache::{Connect, FeedRef, NotOpenError};
pub use feed::{
    Backoff, CounterValues, Covers, Envelope, Jitter, Latencies, Latency, Lost, Missing, OnConnect,
    Pace, Protocol, Refusal, Role, State, SubscribeError,
};
pub use io::command::Order;
pub use io::inbox::{CommandError, Completion};
pub use io::ingest::ClaimError;
pub use io::plane::{CancelToken, FetchContext, FetchError, FetchErrorKind, Fetched, NotAList};
#[cfg(feature = "net")]
pub use io::{
    connect::{ConnectError, Proxy, Stage, UrlError},
    endpoint::{Attempt, BoxError, Endpoint},
    feed_thread::{Restart, Waiting},
    rest::{Rest, RestError},
    status::{FeedEnd, FeedStatus, LegStatus, WhyNotOpen},
    tls::{Roots, TlsFailure, TlsSetupError},
};
pub use key::{Id, Key, Part};
pub use query::{
    CacheEvent, EventKind, FetchStatus, Filter, NetworkMode, Poll, QueryInfo, Refetch, RefetchKind,
    StaleTime, Status, Update,
};
pub use record::{Decimal, FieldError, Mode, Record, RecordRef, TypeError, Value};
pub use time::Time;

/// The examples of `README.md`, as tests.
#[cfg(all(doctest, feature = "net"))]
#[doc = include_str!("../README.md")]
mod readme {}
