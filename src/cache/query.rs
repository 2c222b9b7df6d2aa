//! Queries: fetching, staleness, invalidation and polling, beside the streams and on the same
//! values.
//!
//! The vocabulary is that of TanStack Query. A *query* is what a [`Key`](crate::Key) names; it has
//! data, and perhaps a *fetcher*. Data is *stale* when it is older than the query's stale time,
//! invalidated, or known to be incomplete. A query that somebody observes is *active*: it is fetched
//! when it is stale, refetched when it is invalidated, and polled if it says so. What nobody observes
//! is only marked.
//!
//! ```
//! use std::time::Duration;
//! use tickcache::{Cache, Fetched, Poll, key};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = Cache::builder().build()?;
//! // One fetcher for every job: an event that names job 43 finds it.
//! cache.defaults(key!["job"]).fetch(|cx| async move {
//!     let id = cx.id()?;
//!     Ok(Fetched::json(format!(r#"{{"id":{id},"status":"completed"}}"#)))
//! });
//! #[derive(serde::Deserialize)]
//! struct Job { status: String }
//!
//! let mut job = cache.query::<Job>(key!["job", 42])
//!     .poll(|s| match s.data() { Some(j) if j.status == "completed" => Poll::Stop, _ => Poll::every(Duration::from_secs(1)) })
//!     .observe();                              // dropping it stops the polling
//! # #[cfg(feature = "net")] {
//! let done = job.until(|j| j.status == "completed").timeout(Duration::from_secs(60)).wait()?;
//! assert_eq!(done.status, "completed");
//! # }
//! cache.invalidate(key!["job"]);               // marked when this returns; refetches what is observed
//! # Ok(())
//! # }
//! ```
//!
//! # Where the data of a query lives
//!
//! | key | data |
//! |---|---|
//! | `[entity, id]` | the slot that streams write: what a fetch brings and what a message brings are one value |
//! | declared with [`list`](QueryBuilder::list) | the ids in order; each item in its own slot |
//! | any other | a document: a JSON value that fetches and clients write |
//!
//! # For who knows TanStack Query
//!
//! | there | here |
//! |---|---|
//! | `new QueryClient({defaultOptions})`, `setQueryDefaults` | [`Cache::defaults`](crate::Cache::defaults); `key![]` is the whole cache |
//! | `useQuery`, `QueryObserver` | [`Cache::query`](crate::Cache::query) and [`observe`](QueryBuilder::observe); [`Observer`] |
//! | `queryFn({queryKey, signal})` | [`Defaults::fetch`], [`fetch_with`](QueryBuilder::fetch_with), with a [`FetchContext`](crate::FetchContext) |
//! | `fetchQuery`, `ensureQueryData`, `prefetchQuery` | [`QueryBuilder::fetch`], [`ensure`](QueryBuilder::ensure), [`prefetch`](QueryBuilder::prefetch) |
//! | `getQueryData`, `setQueryData`, `setQueriesData` | [`Cache::get`](crate::Cache::get), [`Cache::set`](crate::Cache::set), [`Cache::set_with`](crate::Cache::set_with), [`Cache::set_many`](crate::Cache::set_many) |
//! | `invalidateQueries`, `refetchQueries`, `resetQueries`, `removeQueries`, `cancelQueries` | [`Cache::invalidate`](crate::Cache::invalidate), [`refetch`](crate::Cache::refetch), [`reset`](crate::Cache::reset), [`remove`](crate::Cache::remove), [`cancel`](crate::Cache::cancel) |
//! | `refetchInterval`, `refetchIntervalInBackground` | [`poll`](QueryBuilder::poll), [`poll_in_background`](QueryBuilder::poll_in_background) |
//! | `staleTime: Infinity`, `'static'` | [`stale_never`](QueryBuilder::stale_never), [`stale_static`](QueryBuilder::stale_static) |
//! | `select`, `placeholderData`, `initialData` | [`Observer::select`], [`placeholder`](QueryBuilder::placeholder), [`initial`](QueryBuilder::initial) |
//! | optimistic updates in `onMutate` | [`Cache::optimistic`](crate::Cache::optimistic) |
//! | `queryCache.subscribe` | [`Cache::events`](crate::Cache::events), [`Cache::on_event`](crate::Cache::on_event) |
//! | `onlineManager`, `focusManager` | [`Cache::set_online`](crate::Cache::set_online), [`Cache::set_focused`](crate::Cache::set_focused) |
//! | `dehydrate`, `hydrate` | [`Cache::dehydrate`](crate::Cache::dehydrate), [`Cache::hydrate`](crate::Cache::hydrate) |
//!
//! The same: keys and partial matching, filters, the two statuses, one fetch in flight per key,
//! retries and their back-off (with jitter), stale times, refetching on mount, focus and reconnect,
//! collection, initial and placeholder data. Different, on purpose:
//!
//! | | TanStack Query | here |
//! |---|---|---|
//! | D1 | a late fetch overwrites what was pushed while it ran | it goes underneath: patches since its start lie over it, a whole message since then wins |
//! | D2 | a patch to a query without data is lost | while a fetch runs it is kept and laid over the result |
//! | D3 | any write clears "invalidated" | only a fetch begun later, or a whole message, does; a patch never |
//! | D4 | an invalidation during a fetch can be lost | a fetch is good for what came before its start; any number since cause exactly one more |
//! | D5 | a list call rewrites every detail under it | a message writes its own slot; lists read their items there |
//! | D6 | every state change restarts the poll | a poll has its own clock; a busy stream does not starve it |
//! | D7 | a rollback loses what was pushed since | an optimistic write is an overlay, and a rollback takes it off |
//! | D8 | a failed fetch marks pushed data as errored | the error stands beside the data, freshness is another fact |
//! | D9 | invalidating walks all queries | it is one count; only what is observed is looked at |
//! | D10 | collection ignores writes | a write by a stream counts as use, unless told otherwise |
//! | D11 | listeners run inside the write | nobody's code runs on a feed's thread |
//! | D12 | ids `0` and `""` mean the whole entity | they are ids; `7` and `"7"` differ |
//!
//! # Guarantees
//!
//! * Where both the stream and [`Fetched::as_of`](crate::Fetched::as_of) have comparable sequence numbers, nothing older is
//!   ever shown. Without them the newest value is shown once the stream has delivered what preceded
//!   the fetch's answer.
//! * [`Cache::invalidate`](crate::Cache::invalidate) has marked before it returns: every read from then on says so.
//! * At most one fetch per key is in flight, and after a storm of invalidations one more.
//! * An observer sees the newest state, never a queue; the states of one observer never go back.
//! * No user code runs under a lock of the engine or on a feed's thread. Fetchers, and functions of
//!   the state, run on the slow plane; selectors and predicates where they are waited for.
//!
//! # Progress
//!
//! | operation | progress |
//! |---|---|
//! | [`Observer::state`], [`ListObserver::rows`], [`Cache::get`](crate::Cache::get) | lock-free, but for the look-up of a key; they decode what is new |
//! | [`Cache::invalidate`](crate::Cache::invalidate) | one count for values, then a short lock of the slow plane |
//! | [`observe`](QueryBuilder::observe), [`refetch`](crate::Cache::refetch), [`cancel`](crate::Cache::cancel) and the like | a short lock of the slow plane; a feed never takes it |
//! | waiting | as [`Watch::changed`](crate::Watch::changed) |

mod builder;
mod client;
mod context;
mod decode;
mod error;
mod events;
mod fetching;
mod hooks;
mod hydration;
mod lens;
mod list;
mod observer;
mod optimistic;
mod select;
mod settings;
mod source;
mod state;
mod until;

pub use builder::QueryBuilder;
pub use error::QueryError;
pub use events::CacheEvents;
pub use fetching::{Cancelling, Fetching, Invalidation, RefetchRequest, Refetched, Refetching};
pub use hooks::Hook;
pub(crate) use hooks::Hooks;
pub use hydration::{DehydrateOptions, Hydrated, Hydrating};
pub use list::{ListObserver, ListRow};
pub use observer::Observer;
pub use optimistic::Optimistic;
pub use select::Selected;
pub use settings::{Defaults, QueryConfig};
pub use state::QueryState;
pub use until::{Until, UntilState};

#[cfg(all(test, feature = "testing"))]
mod tests;
