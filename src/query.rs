//! The slow path as a state machine: which queries are fresh, stale, in flight; what to do next,
//! and when. It knows neither how to fetch nor what a value holds, starts no thread and reads no
//! clock.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    unnameable_types,
    reason = "until `io` drives it and `cache` re-exports its public types"
)]

mod budget;
mod events;
mod fetch;
mod filter;
mod ids;
mod info;
mod lifecycle;
mod look;
mod machine;
mod notify;
mod observers;
mod occasions;
mod policy;
mod polling;
mod registry;
mod settle;
mod slab;
mod state;
mod timers;
mod want;

pub(crate) use events::{Action, Outcome};
pub use events::{CacheEvent, EventKind, Update};
pub use filter::{Filter, QueryInfo};
pub(crate) use ids::{FetchId, ObserverId, PromiseId, QueryIx};
pub(crate) use info::Info;
pub(crate) use look::{Look, Values};
pub(crate) use machine::Queries;
pub use policy::{
    Activity, FetchStatus, NetworkMode, Poll, Polling, Refetch, RefetchKind, StaleTime, Status,
};
pub(crate) use policy::{DEFAULT_GC, ObserverOptions, Options};
pub(crate) use want::{Cancel, Cause, Config, Want, Wanted};
