//! A plane with nothing around it but a store, and an upstream whose answers the test gives.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::Time;
use crate::io::clock::Clock;
use crate::io::latch::{Latch, WakeOn};
use crate::io::owners::Owners;
use crate::io::plane::{
    Driver, FetchContext, FetchError, FetchLimits, Fetched, Fetcher, Observation, Plane, Promise,
    Query, QueryError, Settings,
};
use crate::key::Key;
use crate::query::{Cause, Info, Want};
use crate::store::{Hub, Store, StoreConfig};

pub(super) const START: Time = Time::from_nanos(1_000_000_000_000);

pub(super) struct Rig {
    pub(super) plane: Arc<Plane>,
    pub(super) store: Arc<Store>,
    pub(super) hub: Arc<Hub>,
    pub(super) clock: Clock,
    pub(super) owners: Arc<Owners>,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(Driver::ByHand)
    }

    pub(super) fn with(driver: Driver) -> Self {
        let clock = Clock::manual(START);
        let store = Store::new(StoreConfig::default());
        // The runner is let go: nobody sleeps in these tests.
        let (hub, _runner) = Hub::new();
        let owners = Arc::new(Owners::new(Arc::clone(&store), &hub, clock.clone()));
        let plane = Plane::new(
            Arc::clone(&store),
            Arc::clone(&hub),
            clock.clone(),
            Arc::clone(&owners),
            driver,
            FetchLimits::default(),
        );
        Self {
            plane,
            store,
            hub,
            clock,
            owners,
        }
    }

    pub(super) fn drive(&self) -> Option<Time> {
        self.plane.drive()
    }

    /// Moves the clock on, with stops at what is due on the way.
    pub(super) fn advance(&self, by: Duration) {
        let until = self.clock.now().after(by);
        while let Some(due) = self.drive().filter(|due| *due <= until) {
            self.clock.advance_to(due);
        }
        self.clock.advance_to(until);
        self.drive();
    }

    /// What the machine says of a query.
    pub(super) fn info(&self, query: &Query) -> Info<FetchError> {
        let core = self.plane.lock();
        let ix = core.machine.find(query.key()).expect("known");
        let info = core.machine.info(ix, self.clock.now(), &core.table);
        info.expect("known")
    }

    /// A query with this upstream.
    pub(super) fn query(&self, key: Key, upstream: &Upstream, more: Settings) -> Arc<Query> {
        let settings = Settings {
            fetcher: Some(upstream.fetcher()),
            ..more
        };
        self.plane.query(&key, Some(&settings)).expect("a query")
    }

    pub(super) fn observe(&self, query: &Arc<Query>) -> Observation {
        let observation = self.plane.observe(query, None).expect("open");
        self.drive();
        observation
    }

    pub(super) fn fetch(&self, query: &Arc<Query>) -> Promise {
        let want = Want {
            stale: None,
            restart: false,
            cause: Cause::User,
        };
        let promise = self.plane.fetch(query, want).expect("a fetcher");
        self.drive();
        promise
    }
}

/// A server that answers when, and what, the test says.
#[derive(Clone, Default)]
pub(super) struct Upstream(Arc<Mutex<Vec<Call>>>);

/// An answer and what it is of, or an error.
pub(super) type Answer = Result<(String, Option<u64>), String>;

struct Call {
    answer: Latch<Answer>,
    attempt: u32,
    sequence: Option<u64>,
    dropped: Arc<Mutex<bool>>,
}

/// Says that the fetcher's future is gone.
struct Gone(Arc<Mutex<bool>>);

impl Drop for Gone {
    fn drop(&mut self) {
        *self.0.lock().expect("no panic") = true;
    }
}

impl Upstream {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn fetcher(&self) -> Fetcher {
        let calls = Arc::clone(&self.0);
        Fetcher::new(move |cx: FetchContext| {
            let answer = Latch::new();
            let dropped = Arc::default();
            calls.lock().expect("no panic").push(Call {
                answer: answer.clone(),
                attempt: cx.attempt(),
                sequence: cx.sequence(),
                dropped: Arc::clone(&dropped),
            });
            async move {
                let _gone = Gone(dropped);
                match answer.wait_async().await {
                    Ok((json, as_of)) => {
                        let fetched = Fetched::json(json);
                        Ok(match as_of {
                            Some(as_of) => fetched.as_of(as_of),
                            None => fetched,
                        })
                    }
                    Err(text) => Err(FetchError::new(text)),
                }
            }
        })
    }

    /// How often it was called.
    pub(super) fn calls(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }

    /// What the last call was told: attempt and sequence.
    pub(super) fn last(&self) -> (u32, Option<u64>) {
        let calls = self.0.lock().expect("no panic");
        let last = calls.last().expect("a call");
        (last.attempt, last.sequence)
    }

    /// Whether the future of a call was dropped.
    pub(super) fn is_dropped(&self, call: usize) -> bool {
        *self.0.lock().expect("no panic")[call]
            .dropped
            .lock()
            .expect("no panic")
    }

    /// Answers the last call.
    pub(super) fn answer(&self, rig: &Rig, json: &str) {
        self.answer_as_of(rig, json, None);
    }

    pub(super) fn answer_as_of(&self, rig: &Rig, json: &str, as_of: Option<u64>) {
        self.end(rig, Ok((json.to_owned(), as_of)));
    }

    /// Has the last call fail.
    pub(super) fn fail(&self, rig: &Rig, text: &str) {
        self.end(rig, Err(text.to_owned()));
    }

    fn end(&self, rig: &Rig, end: Answer) {
        self.reply(end);
        rig.drive();
    }

    /// Answers the last call, and leaves it to the test who goes on.
    pub(super) fn reply(&self, end: Answer) {
        let calls = self.0.lock().expect("no panic");
        let answer = calls.last().expect("a call").answer.clone();
        drop(calls);
        answer.set(end, &WakeOn::here());
    }
}

/// The document, as text.
pub(super) fn text(query: &Query) -> String {
    let shown = query.document().expect("a document");
    let tree = shown.tree.as_ref();
    tree.map_or_else(|| "nothing".into(), crate::record::Tree::to_json)
}

/// How a promise ended, in words.
pub(super) fn end(promise: &Promise) -> String {
    match promise.get() {
        None => "open".into(),
        Some(Ok(())) => "data".into(),
        Some(Err(QueryError::Failed(error))) => format!("failed: {error}"),
        Some(Err(error)) => error.to_string(),
    }
}

/// The error of the fetch that a promise ended with.
pub(super) fn failure(promise: &Promise) -> FetchError {
    match promise.get() {
        Some(Err(QueryError::Failed(error))) => error,
        other => panic!("{other:?}"),
    }
}
