//! A machine, the values it looks at, a runner of fetchers that does as it is told, and checks of
//! what must hold of every action.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::Time;
use crate::key::Key;
use crate::query::*;

pub(super) type Error = &'static str;

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The values, and how often somebody looked at one.
#[derive(Debug, Default)]
pub(super) struct Store(pub(super) HashMap<QueryIx, Look>, pub(super) Cell<usize>);

impl Values for Store {
    fn look(&self, query: QueryIx) -> Look {
        self.1.set(self.1.get() + 1);
        self.0.get(&query).copied().unwrap_or_else(|| Look {
            quiet: true,
            ..Look::default()
        })
    }
}

/// An attempt that is out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) fetch: FetchId,
    pub(super) number: u32,
    /// The invalidations when it began, which its result will be good for.
    sum: u64,
    landing: bool,
}

#[derive(Debug)]
pub(super) struct Rig {
    pub(super) queries: Queries<Error>,
    pub(super) store: Store,
    pub(super) now: Time,
    pub(super) running: BTreeMap<QueryIx, Attempt>,
    /// How many attempts have begun.
    pub(super) starts: BTreeMap<QueryIx, u32>,
    pub(super) aborts: u32,
    pub(super) settled: BTreeMap<PromiseId, Outcome<Error>>,
    pub(super) given: BTreeSet<PromiseId>,
    pub(super) events: Vec<EventKind>,
    pub(super) asked: Vec<ObserverId>,
    pub(super) restores: Vec<QueryIx>,
    pub(super) removed: Vec<Key>,
    pub(super) changed: u32,
    pub(super) log: Vec<Action<Error>>,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(Config {
            poll_jitter_percent: 0,
            ..Config::default()
        })
    }

    pub(super) fn with(config: Config) -> Self {
        let mut queries = Queries::new(config);
        queries.listen(true);
        Self {
            queries,
            store: Store::default(),
            now: Time::from_nanos(1_000_000_000),
            running: BTreeMap::new(),
            starts: BTreeMap::new(),
            aborts: 0,
            settled: BTreeMap::new(),
            given: BTreeSet::new(),
            events: Vec::new(),
            asked: Vec::new(),
            restores: Vec::new(),
            removed: Vec::new(),
            changed: 0,
            log: Vec::new(),
        }
    }

    /// Takes every action, and checks that it may be said.
    pub(super) fn drain(&mut self) {
        while let Some(action) = self.queries.poll_action() {
            self.log.push(action.clone());
            match action {
                Action::Start {
                    query,
                    fetch,
                    attempt,
                } => {
                    let attempt = Attempt {
                        fetch,
                        number: attempt,
                        sum: self.store.look(query).sum,
                        landing: false,
                    };
                    let before = self.running.insert(query, attempt);
                    assert!(before.is_none(), "two attempts at once: {before:?}");
                    *self.starts.entry(query).or_default() += 1;
                }
                Action::Abort { fetch } => {
                    let attempt = self.running.remove(&fetch.query());
                    let attempt = attempt.expect("an attempt to abort");
                    assert_eq!(attempt.fetch, fetch);
                    assert!(!attempt.landing, "aborted while it landed");
                    self.aborts += 1;
                }
                Action::Settle { promise, outcome } => {
                    let before = self.settled.insert(promise, outcome);
                    assert!(before.is_none(), "settled twice");
                }
                Action::Changed { .. } => self.changed += 1,
                Action::Ask { observer, .. } => self.asked.push(observer),
                Action::Restore { query } => self.restores.push(query),
                Action::Removed { query, key } => {
                    assert!(self.queries.key(query).is_none(), "gone when it is said");
                    self.running.remove(&query);
                    self.removed.push(key);
                }
                Action::Event(event) => self.events.push(event.kind),
            }
        }
    }

    pub(super) fn make(&mut self, key: Key, options: Options) -> QueryIx {
        let (query, _) = self
            .queries
            .insert(key, options, true, self.now, &self.store);
        self.drain();
        query
    }

    /// A query with these options; fetched once, if `fetched`.
    pub(super) fn query(&mut self, key: Key) -> QueryIx {
        self.make(key, Options::default())
    }

    pub(super) fn fetched(&mut self, key: Key) -> QueryIx {
        let query = self.query(key);
        self.fetch(query);
        self.land(query);
        query
    }

    pub(super) fn observe(&mut self, query: QueryIx, options: ObserverOptions) -> ObserverId {
        let id = self
            .queries
            .observe(query, options, self.now, &self.store)
            .expect("the query is there");
        self.drain();
        id
    }

    pub(super) fn unobserve(&mut self, observer: ObserverId) {
        self.queries.unobserve(observer, self.now, &self.store);
        self.drain();
    }

    pub(super) fn want(&mut self, query: QueryIx, want: Want) -> Wanted {
        let wanted = self.queries.fetch(query, want, self.now, &self.store);
        if let Wanted::Waiting(promise) = wanted {
            self.given.insert(promise);
        }
        self.drain();
        wanted
    }

    /// Fetches whatever there is, joining.
    pub(super) fn fetch(&mut self, query: QueryIx) -> PromiseId {
        match self.want(query, call(None, false)) {
            Wanted::Waiting(promise) => promise,
            other => panic!("not fetched: {other:?}"),
        }
    }

    pub(super) fn refetch(
        &mut self,
        queries: &[QueryIx],
        kind: RefetchKind,
        restart: bool,
        cause: Cause,
    ) -> Vec<PromiseId> {
        let promises = self
            .queries
            .refetch(queries, kind, restart, cause, self.now, &self.store);
        self.given.extend(&promises);
        self.drain();
        promises
    }

    /// As `Cache::invalidate`: marks, then refetches this kind of them.
    pub(super) fn resync(&mut self, query: QueryIx) -> PromiseId {
        let promise = self.queries.resync(query, self.now, &self.store);
        let promise = promise.expect("the query is there");
        self.given.insert(promise);
        self.drain();
        promise
    }

    pub(super) fn invalidate(&mut self, queries: &[QueryIx], kind: RefetchKind) -> Vec<PromiseId> {
        for &query in queries {
            self.bump(query);
            self.queries.excuse(query, 1, self.now, &self.store);
        }
        self.refetch(queries, kind, false, Cause::Invalidation)
    }

    fn value(&mut self, query: QueryIx) -> &mut Look {
        let look = self.store.look(query);
        self.store.0.entry(query).or_insert(look)
    }

    /// A mark by a feed that the machine is not told of yet.
    pub(super) fn bump(&mut self, query: QueryIx) {
        self.value(query).sum += 1;
    }

    /// A mark by a feed.
    pub(super) fn mark(&mut self, query: QueryIx) {
        self.bump(query);
        self.marks();
    }

    pub(super) fn marks(&mut self) {
        self.queries.handle_marks(self.now, &self.store);
        self.drain();
    }

    /// A patch by a stream: it neither renews nor tells the machine.
    pub(super) fn patch(&mut self, query: QueryIx) {
        let now = self.now;
        let look = self.value(query);
        look.present = true;
        look.received_at = now;
        look.unsure |= look.whole_at.is_none();
    }

    /// A whole message by a stream.
    pub(super) fn whole(&mut self, query: QueryIx) {
        let (now, sum) = (self.now, self.store.look(query).sum);
        self.write(query, now, sum);
    }

    fn write(&mut self, query: QueryIx, now: Time, stamp: u64) {
        let look = self.value(query);
        look.present = true;
        look.whole_at = Some(now);
        look.received_at = now;
        look.stamp = look.stamp.max(stamp);
        look.unsure = false;
    }

    /// A write by the application.
    pub(super) fn set(&mut self, query: QueryIx) {
        self.whole(query);
        self.queries.handle_set(query, self.now, &self.store);
        self.drain();
    }

    /// The attempt is kept note of only now: its result is good for the marks so far.
    pub(super) fn kept(&mut self, query: QueryIx) {
        let sum = self.store.look(query).sum;
        self.running.get_mut(&query).expect("an attempt").sum = sum;
    }

    /// The attempt's result is about to be written; whether it may be.
    pub(super) fn landing(&mut self, query: QueryIx) -> bool {
        let Some(attempt) = self.running.get_mut(&query) else {
            return false;
        };
        attempt.landing = self.queries.may_land(attempt.fetch);
        attempt.landing
    }

    /// The attempt succeeds.
    pub(super) fn land(&mut self, query: QueryIx) {
        self.land_with(query, |_| ());
    }

    /// As [`land`](Self::land), and something else comes of it.
    pub(super) fn land_with(&mut self, query: QueryIx, then: impl FnOnce(&mut Self)) {
        assert!(self.landing(query), "an attempt that may land");
        let attempt = self.running.remove(&query).expect("an attempt");
        self.write(query, self.now, attempt.sum);
        then(self);
        self.queries
            .handle_landed(attempt.fetch, self.now, &self.store);
        self.drain();
    }

    /// The attempt fails.
    pub(super) fn fail(&mut self, query: QueryIx, retry_in: Option<Duration>) {
        let attempt = self.running.remove(&query).expect("an attempt");
        self.queries
            .handle_failed(attempt.fetch, "broken", retry_in, self.now, &self.store);
        self.drain();
    }

    pub(super) fn cancel(&mut self, query: QueryIx, how: Cancel<Error>) {
        self.queries.cancel(query, how, self.now, &self.store);
        self.drain();
    }

    pub(super) fn reset(&mut self, query: QueryIx) -> Option<PromiseId> {
        let promise = self.queries.reset(query, self.now, &self.store);
        self.given.extend(promise);
        self.drain();
        promise
    }

    /// Does what `Action::Restore` asked for: there is nothing, or what was there at `initial`.
    pub(super) fn restore(&mut self, initial: Option<Time>) {
        for query in std::mem::take(&mut self.restores) {
            let sum = self.store.look(query).sum;
            let look = Look {
                present: initial.is_some(),
                whole_at: initial,
                received_at: initial.unwrap_or(Time::ZERO),
                stamp: sum,
                sum,
                unsure: false,
                quiet: true,
            };
            self.store.0.insert(query, look);
            self.queries.handle_restored(query, self.now, &self.store);
            self.drain();
        }
    }

    pub(super) fn remove(&mut self, query: QueryIx) {
        self.queries.remove(query, self.now, &self.store);
        self.drain();
    }

    pub(super) fn online(&mut self, online: bool) {
        self.queries.set_online(online, self.now, &self.store);
        self.drain();
    }

    pub(super) fn focused(&mut self, focused: bool) {
        self.queries.set_focused(focused, self.now, &self.store);
        self.drain();
    }

    pub(super) fn answer(&mut self, observer: ObserverId, polling: Option<Polling>) {
        self.queries
            .answer(observer, polling, None, self.now, &self.store);
        self.drain();
    }

    /// Lets time pass, stopping at every deadline on the way.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now.after(by);
        while let Some(next) = self.queries.poll_timeout()
            && next <= end
        {
            self.now = self.now.max(next);
            self.timeout();
        }
        self.now = end;
    }

    pub(super) fn timeout(&mut self) {
        self.queries.handle_timeout(self.now, &self.store);
        self.drain();
        assert!(
            self.queries.poll_timeout().is_none_or(|at| at > self.now),
            "a deadline that is past when all that is due was done"
        );
    }

    pub(super) fn info(&self, query: QueryIx) -> Info<Error> {
        self.queries
            .info(query, self.now, &self.store)
            .expect("the query is there")
    }

    pub(super) fn select(&self, filter: &Filter) -> Vec<QueryIx> {
        self.queries.select(filter, self.now, &self.store)
    }

    /// How many attempts of this query have begun.
    pub(super) fn calls(&self, query: QueryIx) -> u32 {
        self.starts.get(&query).copied().unwrap_or(0)
    }

    pub(super) fn outcome(&self, promise: PromiseId) -> Option<&Outcome<Error>> {
        self.settled.get(&promise)
    }

    /// The events since the last call.
    pub(super) fn heard(&mut self) -> Vec<EventKind> {
        std::mem::take(&mut self.events)
    }

    /// As `heard`, only the reasons why the query itself changed.
    pub(super) fn updates(&mut self) -> Vec<Update> {
        self.heard()
            .into_iter()
            .filter_map(|kind| match kind {
                EventKind::Updated(update) => Some(update),
                _ => None,
            })
            .collect()
    }
}

/// A direct call.
pub(super) fn call(stale: Option<StaleTime>, restart: bool) -> Want {
    Want {
        stale,
        restart,
        cause: Cause::User,
    }
}

/// An enabled observer to which data does not age.
pub(super) fn lasting() -> ObserverOptions {
    ObserverOptions {
        stale: StaleTime::Never,
        ..ObserverOptions::default()
    }
}

pub(super) fn disabled() -> ObserverOptions {
    ObserverOptions {
        enabled: false,
        ..ObserverOptions::default()
    }
}

pub(super) fn polling(every: Duration) -> Polling {
    Polling {
        every: Poll::every(every),
        ..Polling::default()
    }
}

/// An observer that polls, and to which data does not age.
pub(super) fn poller(polling: Polling) -> ObserverOptions {
    ObserverOptions {
        polling: Some(polling),
        ..lasting()
    }
}
