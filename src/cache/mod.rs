//! The public face: a [`Cache`], the [`Feed`]s attached to it, and handles to what it holds.
//!
//! # Reading
//!
//! [`Cache::entity`] and [`Entity::slot`] resolve a key once; a [`Slot`] then reads without
//! hashing, locking or allocating. Every read says what its value is worth: [`Slot::live`] gives
//! values that are live and errs otherwise; a suspect value needs an explicit call.
//!
//! | to be told of news | how | costs |
//! |---|---|---|
//! | [`Slot::spin`] | this thread looks all the time | a core; no wake-up stands between |
//! | [`Watch::changed`] | a task of any executor | a wake-up through the hub |
//! | [`Watch::wait`] | this thread sleeps | the same |
//! | [`Entity::changes`] | one stream for all slots of an entity | the same, once for a batch |
//!
//! # Guarantees
//!
//! * A read gives the last publication or one concurrent with it, whole; the reads of one thread
//!   never go back. No reader makes a writer wait.
//! * Watches conflate: they give the newest, never a queue, and say what they skipped.
//! * A publication is visible to readers of this process. Nothing is durable.

mod attach_error;
mod builder;
mod changes;
mod cut;
mod entity;
mod entity_reader;
mod error;
mod feed;
mod freshness;
mod handle;
mod latency;
mod liveness;
mod local;
#[cfg(feature = "metrics")]
mod metrics;
mod order;
#[doc(hidden)]
pub mod publisher;
pub mod query;
mod reader;
mod ready;
mod resync;
mod set;
mod shared;
mod slot;
mod stored;
mod typed;
mod unmapped;
mod watch;

#[cfg(feature = "net")]
mod attach;
#[cfg(feature = "net")]
mod opened;
#[cfg(feature = "net")]
mod subscriptions;
#[cfg(all(feature = "net", feature = "testing"))]
mod wire;

#[cfg(feature = "net")]
pub use attach::FeedRef;
pub use attach_error::AttachError;
pub use builder::{BuildError, CacheBuilder};
pub use changes::{Changes, Polled};
pub use cut::{Cut, CutError};
pub use entity::{Entity, Field, FieldsError};
pub use entity_reader::EntityReader;
pub use error::NotLive;
#[cfg(feature = "net")]
pub use feed::Connect;
pub use feed::Feed;
pub use freshness::{Freshness, Reasons};
pub use handle::{Cache, CloseError};
pub use local::{Batch, LocalFeed};
#[cfg(feature = "net")]
pub use opened::NotOpenError;
pub use order::{Asc, By, Desc, Ordered, Row};
pub use query::{
    CacheEvents, Cancelling, Defaults, DehydrateOptions, Fetching, Hook, Hydrated, Hydrating,
    Invalidation, ListObserver, ListRow, Observer, Optimistic, QueryBuilder, QueryConfig,
    QueryError, QueryState, RefetchRequest, Refetched, Refetching, Selected, Until, UntilState,
};
pub use reader::{Reader, Step};
pub use ready::{NotReady, NotReadyReason, ReadyError};
pub use resync::Resync;
pub use set::SetError;
pub use slot::{Kept, Reading, Slot, Snapshot, View};
pub use stored::{JsonText, Stored, StoredError, StoredQuery, StoredValue};
pub use typed::{Typed, TypedSlot, TypedTick, TypedWatch};
pub use unmapped::Unmapped;
pub use watch::{Closed, Tick, WaitError, Watch};
#[cfg(all(feature = "net", feature = "testing"))]
pub use wire::Wire;

#[cfg(all(test, feature = "net"))]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_attached() {
        let cache = Cache::builder().build().expect("a cache");
        let attach = |feed: Result<FeedRef, AttachError>| feed.expect("attached").name().to_owned();
        assert_eq!(
            attach(cache.attach(Feed::binance_spot().base("ws://127.0.0.1:9"))),
            "binance-spot"
        );
        assert_eq!(
            attach(cache.attach(Feed::events().url("ws://127.0.0.1:9/"))),
            "events"
        );
        let again = cache.attach(Feed::events().url("ws://127.0.0.1:9/"));
        assert!(matches!(again, Err(AttachError::Name(_))), "{again:?}");
        let end = std::time::Duration::from_secs(10);
        cache.close_blocking(end).expect("every thread ends");
        assert!(matches!(
            cache.attach(Feed::events()),
            Err(AttachError::Closed)
        ));
    }
}
