//! The slow path of the demo: queries over a service that answers late, errs and returns old data,
//! beside its stream of events.
//!
//! Jobs 1, 2, 5 and 6 are patched by the stream, 3 is called outdated by it, and 4 is polled. A list
//! shows all of them; the notifications are a document of their own. Every value that a reader can
//! see is held against the truth of the service.

mod check;
mod stream;
mod watcher;

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tickcache::{
    Backoff, Cache, CacheEvent, CacheEvents, EventKind, Feed, FeedRef, FetchContext, FetchError,
    FetchErrorKind, FetchStatus, Fetched, Filter, Freshness, Key, ListObserver, ListRow, Observer,
    Poll, QueryBuilder, QueryState, Status, Time, Update, key,
};

use crate::Failure;
use crate::rest;
use crate::simulator::{Api, ApiSettings, ENTITY};
use crate::ui::{Fetches, Query, Served, Slow, State};
use stream::{Delivered, Stream};
use watcher::Watcher;

/// How many jobs there are, and how many of them are looked at one by one.
const JOBS: usize = 12;
const SHOWN: u64 = 6;

/// The job that is polled all the time, and the one that is polled until it is completed.
const POLLED: u64 = 4;
const POLLED_UNTIL: u64 = 3;

const POLL_EVERY: Duration = Duration::from_secs(1);

/// How long an answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How often a fetch is tried again, and how long before the first time; then twice as long.
const RETRIES: u32 = 3;
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// How long the stream of events stays away.
const RECONNECT_AFTER: Duration = Duration::from_millis(500);

/// The events are lost about this often.
const LOSS_EVERY: Duration = Duration::from_secs(20);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Job {
    title: Option<String>,
    status: Option<String>,
    done: Option<u64>,
    version: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Notes {
    unread: u64,
}

/// What is shown of one query.
enum Shown {
    Job(Observer<Job>),
    List(ListObserver<Job>),
    Notes(Observer<Notes>),
}

struct Line {
    key: Key,
    shown: Shown,
    counts: Arc<Counts>,
    /// When the value was last known whole, in the cache's time and in ours.
    updated: Option<(Time, Instant)>,
}

/// Everything of the demo's slow path that runs.
pub(crate) struct SlowPath {
    cache: Cache,
    api: Api,
    feed: FeedRef,
    watcher: Watcher,
    lines: Vec<Line>,
    story: Story,
    online: bool,
    focused: bool,
    polling: Arc<AtomicBool>,
}

impl SlowPath {
    /// Starts the service, its stream of events, and the queries.
    pub(crate) fn start(cache: &Cache, seed: u64) -> Result<Self, Failure> {
        let api = Api::start(ApiSettings {
            jobs: JOBS,
            drop_every: Some(LOSS_EVERY),
            seed,
            ..ApiSettings::default()
        })?;
        let delivered = Delivered::new(JOBS);
        let stream = Stream::new(&api.events_url(), Arc::clone(&delivered))?;
        let feed = Feed::custom(stream).backoff(Backoff::fixed(RECONNECT_AFTER));
        let feed = cache.attach(feed)?;
        let watcher = Watcher::start(cache, JOBS, api.facts(), delivered)?;
        let polling = Arc::new(AtomicBool::new(true));
        let lines = lines(cache, api.addr(), &polling);
        Ok(Self {
            story: Story::new(cache.events()),
            cache: cache.clone(),
            api,
            feed,
            watcher,
            lines,
            online: true,
            focused: true,
            polling,
        })
    }

    /// The stream of events, as a connection.
    pub(crate) fn feed(&self) -> &FeedRef {
        &self.feed
    }

    /// CPU time of the service, and of what looks at the values.
    pub(crate) fn cpu(&self) -> (Duration, Duration) {
        (self.api.stats().cpu, self.watcher.cpu())
    }

    /// Does what a letter says; others mean nothing.
    pub(crate) fn key(&mut self, letter: char) {
        match letter {
            'o' => {
                self.online = !self.online;
                self.cache.set_online(self.online);
            }
            'f' => {
                self.focused = !self.focused;
                self.cache.set_focused(self.focused);
            }
            'p' => {
                let polling = !self.polling.fetch_xor(true, Relaxed);
                if polling {
                    // A poll that has stopped is asked again when its query moves.
                    for line in self.lines.iter().filter(|line| is_polled(&line.key)) {
                        line.refetch();
                    }
                }
            }
            _ => {}
        }
    }

    /// How it stands now.
    pub(crate) fn sample(&mut self) -> Slow {
        self.story.listen();
        let facts = self.api.facts();
        let known = self.cache.queries(Filter::all());
        let observers = |key: &Key| {
            let info = known.iter().find(|info| info.key == *key);
            info.map_or(0, |info| info.observers as u64)
        };
        let queries = self.lines.iter_mut().map(|line| {
            let (query, unread) = line.sample(observers(&line.key));
            if let Some(unread) = unread {
                // Asked for after the look: more may have come since, but not less.
                let current = facts.notifications();
                self.watcher.checker().notifications(unread, current);
            }
            query
        });
        let queries = queries.collect();
        let stats = self.api.stats();
        let mut fetches = self.story.fetches;
        for counts in self.lines.iter().map(|line| &line.counts) {
            fetches.started += counts.started.load(Relaxed);
            fetches.failed += counts.failed.load(Relaxed);
            fetches.retried += counts.retried.load(Relaxed);
            fetches.older += counts.older.load(Relaxed);
        }
        Slow {
            online: self.online,
            focused: self.focused,
            polling: self.polling.load(Relaxed),
            fetches,
            served: Served {
                answers: stats.requests,
                late: stats.late,
                old: stats.old,
                errors: stats.errors,
                broken: stats.broken,
                hung: stats.hung,
            },
            checked: self.watcher.checker().checked().clone(),
            queries,
        }
    }

    /// Ends everything, once the cache is closed. Gives the CPU time of the service, and of what looked at the values.
    pub(crate) fn end(self) -> Result<(Duration, Duration), Failure> {
        let checking = self.watcher.join()?;
        let facts = self.api.stats().cpu;
        self.api.stop()?;
        Ok((facts, checking))
    }
}

fn is_polled(key: &Key) -> bool {
    [
        key![ENTITY, POLLED],
        key![ENTITY, POLLED_UNTIL],
        notifications(),
    ]
    .contains(key)
}

fn notifications() -> Key {
    key!["notifications"]
}

fn lines(cache: &Cache, addr: SocketAddr, polling: &Arc<AtomicBool>) -> Vec<Line> {
    let every = |polling: &AtomicBool| {
        if polling.load(Relaxed) {
            Poll::every(POLL_EVERY)
        } else {
            Poll::Stop
        }
    };
    let mut lines: Vec<_> = (1..=SHOWN)
        .map(|id| {
            let key = key![ENTITY, id];
            let path = format!("/jobs/{id}");
            let polling = Arc::clone(polling);
            Line::new(cache, key, addr, path, move |query: QueryBuilder<Job>| {
                Shown::Job(match id {
                    POLLED => query.poll(move |_| every(&polling)).observe(),
                    POLLED_UNTIL => {
                        let until = move |state: &QueryState<Job>| match state.data() {
                            Some(job) if job.status.as_deref() == Some("completed") => Poll::Stop,
                            _ => every(&polling),
                        };
                        query.poll(until).observe()
                    }
                    _ => query.observe(),
                })
            })
        })
        .collect();
    lines.push(Line::new(
        cache,
        key![ENTITY],
        addr,
        "/jobs".into(),
        |query| Shown::List(query.list("id").observe_list()),
    ));
    let polling = Arc::clone(polling);
    let note = "/notifications".into();
    lines.push(Line::new(
        cache,
        notifications(),
        addr,
        note,
        move |query| Shown::Notes(query.poll(move |_| every(&polling)).observe()),
    ));
    lines
}

impl Line {
    fn new<T: DeserializeOwned + Send + Sync + 'static>(
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

    fn refetch(&self) {
        // What comes of it is seen in the states.
        match &self.shown {
            Shown::Job(query) => drop(query.refetch()),
            Shown::List(query) => drop(query.refetch()),
            Shown::Notes(query) => drop(query.refetch()),
        }
    }

    /// What is shown, and the number of notifications if these are they.
    fn sample(&mut self, observers: u64) -> (Query, Option<u64>) {
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

/// What the cache's events tell: why fetches were begun.
struct Story {
    events: CacheEvents,
    /// Called outdated, and not fetched since.
    marked: HashSet<Key>,
    /// Fetched at least once.
    begun: HashSet<Key>,
    fetches: Fetches,
}

impl Story {
    fn new(events: CacheEvents) -> Self {
        Self {
            events,
            marked: HashSet::new(),
            begun: HashSet::new(),
            fetches: Fetches::default(),
        }
    }

    fn listen(&mut self) {
        while let Some(event) = self.events.try_next() {
            self.tell(event);
        }
    }

    fn tell(&mut self, event: CacheEvent) {
        match event.kind {
            EventKind::Updated(Update::Invalidate) => {
                self.marked.insert(event.key);
            }
            EventKind::Updated(Update::Fetch) => {
                let marked = self.marked.remove(&event.key);
                let polled = is_polled(&event.key) && self.begun.contains(&event.key);
                self.fetches.by_events += u64::from(marked);
                self.fetches.polls += u64::from(polled && !marked);
                self.begun.insert(event.key);
            }
            _ => {}
        }
    }
}
