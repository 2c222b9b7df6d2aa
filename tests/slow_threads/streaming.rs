//! A real feed streams while fetchers bring older and newer states of the same values.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tickcache::{Cache, Observer, QueryState, WaitError, key};

use crate::kit::{ASLEEP, Crew, Dice, Driven, LONG, PLACES, Place, block_on};
use crate::server::{Connection, End, Server};
use crate::venue::{self, IDS, Numbers, Row, Venue};

/// Bursts of the server, each ending with a mark, of one connection.
const BURSTS: u64 = 40;
/// Connections; between two of them the server goes on without telling.
const CONNECTIONS: u64 = 3;

/// What an observer has seen: never goes back, and what is live is right.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) n: u64,
    states: u64,
    /// The last few, for the message.
    last: VecDeque<String>,
}

impl Seen {
    #[track_caller]
    pub(crate) fn look(&mut self, id: u64, state: &QueryState<Row>) {
        self.states += 1;
        self.last.push_back(format!("{}: {state:?}", state.epoch()));
        if self.last.len() > 6 {
            self.last.pop_front();
        }
        let Some(row) = state.data() else { return };
        assert!(row.n >= self.n, "{id} goes back: {:#?}", self.last);
        self.n = row.n;
        if state.freshness().is_live() {
            assert_eq!(*row, Row::at(row.n), "{id}: {state:?}");
        }
    }
}

fn serve(
    venue: Venue,
    numbers: Numbers,
    over: Arc<AtomicBool>,
) -> impl Fn(Connection) -> End + Send + 'static {
    move |mut connection| {
        if over.load(Ordering::SeqCst) {
            return connection.until_gone();
        }
        let mut dice = Dice::new(connection.number);
        // What was missed between connections is not told, only that something was.
        if !venue::send(&mut connection, venue::mark(None)) {
            return End::Dropped;
        }
        if numbers == Numbers::Rising {
            for id in 0..IDS {
                venue::send(&mut connection, venue.whole(id));
            }
        }
        for _ in 0..BURSTS {
            let mut alive = true;
            for _ in 0..dice.roll(24) {
                let id = dice.roll(IDS);
                alive &= venue::send(&mut connection, venue.step(id));
            }
            if numbers == Numbers::Rising && dice.roll(3) == 0 {
                alive &= venue::send(&mut connection, venue.whole(dice.roll(IDS)));
            }
            let id = dice.roll(IDS);
            let begun = venue.begun(id);
            let all = dice.roll(6) == 0;
            alive &= venue::send(&mut connection, venue::mark((!all).then_some(id)));
            if !alive {
                return End::Dropped;
            }
            assert!(
                venue.wait_for_more(id, begun),
                "{id} was marked and is not fetched"
            );
        }
        if connection.number < CONNECTIONS {
            (0..IDS).for_each(|id| drop(venue.step(id)));
            return connection.drop_it();
        }
        over.store(true, Ordering::SeqCst);
        venue::send(&mut connection, venue::mark(None));
        connection.until_gone()
    }
}

pub(crate) fn observe(cache: &Cache, id: u64) -> Observer<Row> {
    cache.query(key!["job", id]).observe()
}

fn stream(place: Place, numbers: Numbers) {
    let driven = Driven::new(place);
    let cache = driven.cache();
    let (truth, over) = (Venue::default(), Arc::new(AtomicBool::new(false)));
    let answers = truth.clone();
    cache
        .defaults(key!["job"])
        .stale_never()
        .retry(u32::MAX)
        .retry_delay(|_, _| Duration::from_millis(1))
        .fetch(move |cx| {
            let (answers, id) = (answers.clone(), cx.id());
            async move {
                let id: u64 = id?.to_string().parse()?;
                answers.fetch(id).await
            }
        });
    let server = Server::start(serve(truth.clone(), numbers, Arc::clone(&over)));
    let mut crew = Crew::new();
    for id in 0..IDS {
        for _ in 0..2 {
            let mut observer = observe(&cache, id);
            let (venue, done) = (truth.clone(), Arc::clone(&over));
            crew.spawn(format!("waits for {id}"), move || {
                let mut seen = Seen::default();
                loop {
                    let state = match observer.wait(ASLEEP) {
                        Ok(state) => state,
                        Err(error) => panic!(
                            "{id}: {error} after {} states, the server is at {}: {:?}",
                            seen.states,
                            venue.version(id),
                            observer.state()
                        ),
                    };
                    seen.look(id, &state);
                    if done.load(Ordering::SeqCst)
                        && state.freshness().is_live()
                        && seen.n == venue.version(id)
                    {
                        return;
                    }
                }
            });
            let mut observer = observe(&cache, id);
            let (venue, done) = (truth.clone(), Arc::clone(&over));
            let name = format!("task of {id}");
            driven.task(&mut crew, &name, async move {
                let mut seen = Seen::default();
                loop {
                    let state = observer.changed().await.expect("not closed yet");
                    seen.look(id, &state);
                    if done.load(Ordering::SeqCst)
                        && state.freshness().is_live()
                        && seen.n == venue.version(id)
                    {
                        return;
                    }
                }
            });
        }
    }
    let feed = cache
        .attach(venue::feed(&server.url(), numbers))
        .expect("attached");
    crew.join();
    for id in 0..IDS {
        let fetched = cache
            .query::<Row>(key!["job", id])
            .stale_after(Duration::ZERO);
        let row = block_on("a last fetch", fetched.fetch()).expect("a value");
        assert_eq!(*row, Row::at(truth.version(id)));
    }
    cache.close_blocking(LONG).expect("everything ends");
    let counters = feed.counters();
    assert!(counters.balanced(), "{counters:?}");
    assert_eq!(counters.opens, CONNECTIONS, "{counters:?}");
    driven.end();
}

#[test]
fn versions_never_go_back_on_the_caches_own_runtime() {
    stream(Place::Own, Numbers::Contiguous);
    stream(Place::Own, Numbers::Rising);
}

#[test]
fn versions_never_go_back_on_a_given_runtime_of_many_threads() {
    stream(Place::MultiThread, Numbers::Contiguous);
    stream(Place::MultiThread, Numbers::Rising);
}

#[test]
fn versions_never_go_back_on_a_given_runtime_of_one_thread() {
    stream(Place::CurrentThread, Numbers::Contiguous);
    stream(Place::CurrentThread, Numbers::Rising);
}

/// Feeds that come and go, per run.
const FEEDS: u64 = 12;

/// A feed of the entity comes and goes while its values are fetched: each keep is with whoever owns
/// the entity at the time, and is lost with it.
#[test]
fn a_feed_may_come_and_go_while_its_values_are_fetched() {
    for place in PLACES {
        let driven = Driven::new(place);
        let cache = driven.cache();
        let truth = Venue::default();
        let answers = truth.clone();
        cache
            .defaults(key!["job"])
            .stale_never()
            .retry(u32::MAX)
            .retry_delay(|_, _| Duration::from_millis(1))
            .fetch(move |cx| {
                let (answers, id) = (answers.clone(), cx.id());
                async move {
                    let id: u64 = id?.to_string().parse()?;
                    answers.fetch(id).await
                }
            });
        let streaming = truth.clone();
        let server = Server::start(move |mut connection| {
            let mut dice = Dice::new(connection.number);
            let mut alive = venue::send(&mut connection, venue::mark(None));
            for _ in 0..dice.roll(40) {
                let id = dice.roll(IDS);
                alive &= venue::send(&mut connection, streaming.step(id));
            }
            if alive {
                connection.until_gone()
            } else {
                End::Dropped
            }
        });
        let over = Arc::new(AtomicBool::new(false));
        let mut crew = Crew::new();
        for id in 0..IDS {
            let (cache, over) = (cache.clone(), Arc::clone(&over));
            crew.spawn(format!("fetches {id}"), move || {
                while !over.load(Ordering::SeqCst) {
                    let query = cache.query::<Row>(key!["job", id]);
                    let fetched = query.stale_after(Duration::ZERO).fetch().wait(LONG);
                    if let Err(error) = fetched {
                        panic!("{id}: {error}");
                    }
                }
            });
        }
        let mut watchers = Crew::new();
        for id in 0..IDS {
            let mut observer = observe(&cache, id);
            watchers.spawn(format!("waits for {id}"), move || {
                let mut seen = Seen::default();
                loop {
                    match observer.wait(ASLEEP) {
                        Ok(state) => seen.look(id, &state),
                        Err(WaitError::Closed) => return,
                        Err(error) => panic!("{id}: {error}"),
                    }
                }
            });
        }
        for round in 0..FEEDS {
            let feed = cache
                .attach(venue::feed(&server.url(), Numbers::Contiguous))
                .expect("attached");
            let begun = truth.begun(round % IDS);
            assert!(
                truth.wait_for_more(round % IDS, begun + round),
                "no fetches"
            );
            assert!(
                block_on("the end of a feed", feed.stop()).is_clean(),
                "round {round}"
            );
            let counters = feed.counters();
            assert!(counters.balanced(), "{counters:?}");
        }
        over.store(true, Ordering::SeqCst);
        crew.join();
        // Without the feed nobody streams: fetches alone make it right.
        for id in 0..IDS {
            cache.invalidate(key!["job", id]);
            let mut observer = observe(&cache, id);
            let last = truth.version(id);
            let right = observer.until(|row| *row == Row::at(last)).timeout(LONG);
            right.wait().unwrap_or_else(|error| panic!("{id}: {error}"));
        }
        cache.close_blocking(LONG).expect("everything ends");
        watchers.join();
        driven.end();
    }
}
