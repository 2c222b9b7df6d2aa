//! One query of the demo: how it is fetched, and what is shown of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tickcache::{
    Cache, FetchContext, FetchError, FetchErrorKind, FetchStatus, Fetched, Freshness, Key,
    ListObserver, ListRow, Observer, QueryBuilder, QueryState, Status, Time,
};

use crate::rest;
use crate::ui::{Fetches, Query, State};

/// How long an answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How often a fetch is tried again, and how long before the first time; then twice as long.
const RETRIES: u32 = 3;
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// A job, or what is known of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Job {
    title: Option<String>,
    pub(super) status: Option<String>,
    done: Option<u64>,
    version: Option<u64>,
}

/// The notifications.
#[derive(Debug, Deserialize)]
pub(super) struct Notes {
    unread: u64,
}

/// What is shown of one query.
pub(super) enum Shown {
    Job(Observer<Job>),
    List(ListObserver<Job>),
    Notes(Observer<Notes>),
}

/// One query, and what it counts.
pub(super) struct Line {
    key: Key,
    shown: Shown,
    counts: Arc<Counts>,
    /// When the value was last known whole, in the cache's time and in ours.
    updated: Option<(Time, Instant)>,
}

impl Line {
    /// A query of `path`; `observe` says how it is looked at.
    pub(super) fn new<T: DeserializeOwned + Send + Sync + 'static>(
        cache: &Cache,
        key: Key,
        addr: SocketAddr,
        path: String,
        observe: impl FnOnce(QueryBuilder<T>) -> Shown,
    ) -> Self {
        let counts = Arc::new(Counts::default());
        let (asked, failed) = (Arc::clone(&counts), Arc::clone(&counts));
        let query = cache
            .query::<T>(key.clone())
            .fetch_with(move |cx| fetch(addr, path.clone(), Arc::clone(&asked), cx))
            .retry_if(move |failures, error| failed.judge(failures, error))
            .retry_delay(|failures, _| RETRY_AFTER * 2_u32.saturating_pow(failures))
            // The events say what is outdated.
            .stale_never();
        Self {
            key,
            shown: observe(query),
            counts,
            updated: None,
        }
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Adds what was counted.
    pub(super) fn count(&self, fetches: &mut Fetches) {
        fetches.started += self.counts.started.load(Relaxed);
        fetches.failed += self.counts.failed.load(Relaxed);
        fetches.retried += self.counts.retried.load(Relaxed);
        fetches.older += self.counts.older.load(Relaxed);
    }

    /// Fetches now.
    pub(super) fn refetch(&self) {
        // What comes of it is seen in the states.
        match &self.shown {
            Shown::Job(query) => drop(query.refetch()),
            Shown::List(query) => drop(query.refetch()),
            Shown::Notes(query) => drop(query.refetch()),
        }
    }

    /// What is shown, and the number of notifications if these are they.
    pub(super) fn sample(&mut self, observers: u64) -> (Query, Option<u64>) {
        let mut unread = None;
        let (facts, value) = match &mut self.shown {
            Shown::Job(query) => {
                let state = query.state();
                (Facts::of(&state), state.data().map(Job::to_string))
            }
            Shown::List(query) => {
                let live = |row: &&ListRow<Job>| row.freshness() == Freshness::Live;
                let rows = query.rows();
                let live = rows.iter().filter(live).count();
                let value = format!("{} jobs, {live} of them live", rows.len());
                (Facts::of(&query.state()), Some(value))
            }
            Shown::Notes(query) => {
                let state = query.state();
                unread = state.data().map(|notes| notes.unread);
                (
                    Facts::of(&state),
                    unread.map(|unread| format!("{unread} unread")),
                )
            }
        };
        let now = Instant::now();
        if self.updated.map(|(at, _)| at) != facts.updated_at {
            self.updated = facts.updated_at.map(|at| (at, now));
        }
        let query = Query {
            key: self.key.to_string(),
            status: match facts.status {
                Status::Pending => "pending",
                Status::Success => "success",
                Status::Error => "error",
            },
            fetch: match facts.fetch {
                FetchStatus::Idle => "idle",
                FetchStatus::Fetching => "fetching",
                FetchStatus::Paused => "paused",
            },
            state: match facts.freshness {
                Freshness::Empty => State::Empty,
                Freshness::Live => State::Live,
                Freshness::Removed => State::Removed,
                stale => State::Stale(stale.reasons().to_string()),
            },
            age: self.updated.map(|(_, at)| now - at),
            observers,
            fetches: self.counts.started.load(Relaxed),
            failed: self.counts.failed.load(Relaxed),
            value: value.unwrap_or_default(),
        };
        (query, unread)
    }
}

/// What is known of any query.
struct Facts {
    status: Status,
    fetch: FetchStatus,
    freshness: Freshness,
    updated_at: Option<Time>,
}

impl Facts {
    fn of<T: ?Sized>(state: &QueryState<T>) -> Self {
        Self {
            status: state.status(),
            fetch: state.fetch_status(),
            freshness: state.freshness(),
            updated_at: state.updated_at(),
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = "–".to_owned();
        let title = self.title.as_ref().unwrap_or(&none);
        let status = self.status.as_ref().unwrap_or(&none);
        write!(f, "{title}: {status}")?;
        if let Some(done) = self.done {
            write!(f, " {done} %")?;
        }
        match self.version {
            Some(version) => write!(f, ", version {version}"),
            None => Ok(()),
        }
    }
}

/// What the fetcher of one query counts.
#[derive(Debug, Default)]
struct Counts {
    started: AtomicU64,
    failed: AtomicU64,
    retried: AtomicU64,
    older: AtomicU64,
}

impl Counts {
    /// Whether a fetch that failed is tried again.
    fn judge(&self, failures: u32, error: &FetchError) -> bool {
        self.failed.fetch_add(1, Relaxed);
        if matches!(error.kind(), FetchErrorKind::TooOld { .. }) {
            self.older.fetch_add(1, Relaxed);
        }
        failures < RETRIES
    }
}

async fn fetch(
    addr: SocketAddr,
    path: String,
    counts: Arc<Counts>,
    cx: FetchContext,
) -> Result<Fetched, FetchError> {
    counts.started.fetch_add(1, Relaxed);
    if cx.attempt() > 1 {
        counts.retried.fetch_add(1, Relaxed);
    }
    let answer = rest::get(addr, &path, ANSWER_WITHIN).await?;
    let fetched = Fetched::json(answer.body);
    Ok(match answer.revision {
        Some(revision) => fetched.as_of(revision),
        None => fetched,
    })
}
