//! The slow path of the demo: queries over a service that answers late, errs and returns old data,
//! beside its stream of events.
//!
//! Jobs 1, 2, 5 and 6 are patched by the stream, 3 is called outdated by it, and 4 is polled. A list
//! shows all of them; the notifications are a document of their own. Every value that a reader can
//! see is held against the truth of the service.

mod check;
mod line;
mod story;
mod stream;
mod watcher;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tickcache::{Backoff, Cache, Feed, FeedRef, Filter, Key, Order, Poll, QueryState, key};

use crate::Failure;
use crate::simulator::{Api, ApiSettings, ENTITY};
use crate::ui::{Served, Slow};
use line::{Job, Line, Shown};
use story::Story;
use stream::{Delivered, Stream};
use watcher::Watcher;

/// How many jobs there are, and how many of them are looked at one by one.
const JOBS: usize = 12;
const SHOWN: u64 = 6;

/// The job that is polled all the time, and the one that is polled until it is completed.
const POLLED: u64 = 4;
const POLLED_UNTIL: u64 = 3;

const POLL_EVERY: Duration = Duration::from_secs(1);

/// How long the stream of events stays away.
const RECONNECT_AFTER: Duration = Duration::from_millis(500);

/// The events are lost about this often.
const LOSS_EVERY: Duration = Duration::from_secs(20);

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
    /// Starts the service, its stream of events, and the queries, whose answers meet the stream in
    /// this order.
    pub(crate) fn start(cache: &Cache, seed: u64, order: Order) -> Result<Self, Failure> {
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
        cache.defaults(key![]).order(order);
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
                    for line in self.lines.iter().filter(|line| is_polled(line.key())) {
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
            let (query, unread) = line.sample(observers(line.key()));
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
        self.lines.iter().for_each(|line| line.count(&mut fetches));
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

    /// Ends everything, once the cache is closed. Gives the CPU time of the service, and of what
    /// looked at the values.
    pub(crate) fn end(self) -> Result<(Duration, Duration), Failure> {
        let checking = self.watcher.join()?;
        let served = self.api.stats().cpu;
        self.api.stop()?;
        Ok((served, checking))
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
            Line::new(cache, key, addr, path, move |query| {
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
