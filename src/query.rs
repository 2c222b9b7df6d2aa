//! The slow path as a state machine: which queries are fresh, stale, in flight; what to do next,
//! and when. It knows neither how to fetch nor what a value holds, starts no thread and reads no
//! clock.
//!
//! [`Queries`] is driven as a feed's machine is. Whoever drives it
//!
//! 1. reports what happened: commands, `handle_*`, each with the instant and somewhere to look at
//!    values ([`Values`]); then takes [`Queries::poll_action`] until it yields `None`, and does
//!    what it says *in that order*;
//! 2. on [`Action::Start`] runs the fetcher; before its result is written asks
//!    [`Queries::may_land`], afterwards reports `handle_landed`; or else `handle_failed`. After
//!    [`Action::Abort`] it reports nothing; reporting it all the same is harmless;
//! 3. sleeps until [`Queries::poll_timeout`] at most, then calls [`Queries::handle_timeout`];
//! 4. calls [`Queries::handle_marks`] when generations have moved.
//!
//! No call blocks. No action is done from inside: the machine may be held under a lock, and user
//! code run outside of it. The same calls with the same instants give the same actions.
//!
//! # Invariants
//!
//! * At most one attempt of a query is out. Each [`Action::Start`] is ended by one `handle_landed`
//!   or `handle_failed`, or by one [`Action::Abort`]; what is reported by an older name counts for
//!   nothing.
//! * Every promise that is given is settled once. A fetch that is begun anew hands its promises on.
//! * Invalidation is generations: a value has a stamp, and its sum says how many marks there have
//!   been. `acted` is the sum that a query has been seen to for: an attempt sets it when it begins.
//!   A mark above it, on a value that is not good for it, fetches an active query when it is idle,
//!   or when its fetch settles (D4). So any number of marks during one fetch are one more.
//! * An active query with a mark that was not acted upon is being fetched, or will be by the next
//!   `handle_marks`; unless its last fetch failed after the mark, or was cancelled.
//! * Streams write values without a word to the machine. What depends on them (collection, turning
//!   stale, polls that wait for quiet) looks when its time has come, and puts itself off.
//! * No timer is set for an instant that is past, and `handle_timeout` leaves nothing due.
//!
//! # Costs
//!
//! Anything about one query is logarithmic in the number of queries and linear in that of its
//! observers. [`Queries::handle_marks`] and the return of network or focus visit the active queries,
//! [`Queries::select`] those with the same first part of the key. Timers are one ordered table with
//! exact removal.

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
pub(crate) use policy::{Activity, DEFAULT_GC, ObserverOptions, Options, Polling};
pub use policy::{FetchStatus, NetworkMode, Poll, Refetch, RefetchKind, StaleTime, Status};
pub(crate) use want::{Cancel, Cause, Config, Want, Wanted};

#[cfg(test)]
mod tests;
