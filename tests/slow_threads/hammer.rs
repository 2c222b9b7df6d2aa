//! Many clients do everything at once on a few keys, by chance: every future ends, nothing hangs,
//! and afterwards every key has what the server has.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tickcache::feed::presets::Events;
use tickcache::{
    Cache, CommandError, Completion, Feed, FetchError, Fetched, Filter, Key, Observer, QueryError,
    RefetchKind, key,
};

use crate::kit::{Crew, Dice, Driven, LONG, PLACES, block_on, until};
use crate::server::Server;

const CLIENTS: u64 = 6;
const ROUNDS: u64 = 300;

/// Slots that nobody streams, slots of a feed, documents of several kinds, a list of either entity.
pub(crate) fn keys() -> Vec<Key> {
    vec![
        key!["job", 1],
        key!["job", 2],
        key!["stream", 1],
        key!["stream", 2],
        key!["settings"],
        key!["job", 1, "log"],
        key!["stream", 1, "log"],
        key!["job", "open"],
        key!["stream", "open"],
    ]
}

pub(crate) fn is_list(key: &Key) -> bool {
    key.to_json().ends_with(r#""open"]"#)
}

/// What the server says of a key in its `n`-th state.
pub(crate) fn answer(key: &Key, n: u64) -> Value {
    if is_list(key) {
        json!([{"id": 1, "name": "one"}, {"id": 3, "n": n}, {"id": 2, "name": "two"}])
    } else {
        json!({"n": n, "of": key.to_json(), "name": "server"})
    }
}

/// Tells how everything is fetched: some at once, some after a while, some not at all.
pub(crate) fn serve(cache: &Cache, state: &Arc<AtomicU64>) {
    let (calls, state) = (Arc::new(AtomicU64::new(0)), Arc::clone(state));
    let fetcher = move |cx: tickcache::FetchContext| {
        let (calls, state) = (Arc::clone(&calls), Arc::clone(&state));
        async move {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            if call % 3 == 0 {
                drop(cx.token());
            }
            for _ in 0..call % 7 {
                tokio::task::yield_now().await;
            }
            let n = state.load(Ordering::SeqCst);
            if n == 0 && call % 11 == 10 {
                return Err(FetchError::new("now and then it fails"));
            }
            assert!(n > 0 || call % 13 != 12, "now and then it panics");
            Ok(Fetched::new(answer(cx.key(), n)))
        }
    };
    let defaults = cache.defaults(key![]);
    defaults
        .retry(2)
        .retry_delay(|_, _| Duration::from_micros(50))
        .fetch(fetcher);
    for list in [key!["job", "open"], key!["stream", "open"]] {
        cache.defaults(list).list("id");
    }
}

/// A feed that owns `stream`, and says nothing.
pub(crate) fn silent() -> Server {
    Server::start(|connection| connection.until_gone())
}

pub(crate) fn feed(server: &Server) -> Feed<Events> {
    Feed::events().entities(["stream"]).url(&server.url())
}

type Went = ControlFlow<()>;

/// One client: what it does next, by chance.
pub(crate) struct Client {
    pub(crate) cache: Cache,
    pub(crate) dice: Dice,
    pub(crate) keys: Vec<Key>,
    observers: Vec<Observer<Value>>,
    /// The cache is being closed, or its runtime ends, at some time.
    pub(crate) ends: bool,
}

impl Client {
    pub(crate) fn new(cache: &Cache, seed: u64, ends: bool) -> Self {
        Self {
            cache: cache.clone(),
            dice: Dice::new(seed + 1),
            keys: keys(),
            observers: Vec::new(),
            ends,
        }
    }

    fn over(&self, what: &str) -> Went {
        assert!(self.ends, "{what}: the cache is closed");
        ControlFlow::Break(())
    }

    /// A fetch may end as it likes, as long as it ends.
    fn fetched<T>(&self, what: &str, ended: Result<T, QueryError>) -> Went {
        match ended {
            Ok(_)
            | Err(
                QueryError::Fetch(_)
                | QueryError::Cancelled
                | QueryError::NoData(_)
                | QueryError::Decode(_),
            ) => ControlFlow::Continue(()),
            Err(QueryError::Closed) => self.over(what),
            // The feed has gone first.
            Err(QueryError::Owner(_)) if self.ends => ControlFlow::Continue(()),
            Err(error) => panic!("{what}: {error}"),
        }
    }

    fn written(&self, what: &str, written: Result<Completion, QueryError>) -> Went {
        match written {
            Ok(done) => match block_on(what, done) {
                Ok(()) => ControlFlow::Continue(()),
                Err(CommandError::OwnerGone) if self.ends => ControlFlow::Continue(()),
                Err(error) => panic!("{what}: {error}"),
            },
            Err(QueryError::Closed) => self.over(what),
            Err(QueryError::Owner(_)) if self.ends => ControlFlow::Continue(()),
            Err(error) => panic!("{what}: {error}"),
        }
    }

    /// Does one thing, and waits until it is done.
    pub(crate) fn act(&mut self) -> Went {
        let key = self.keys[self.dice.roll(self.keys.len() as u64) as usize].clone();
        let list = is_list(&key);
        let what = self.dice.roll(19);
        let name = format!("act {what} on {key}");
        let cache = self.cache.clone();
        match what {
            0 | 1 => {
                let query = cache.query(key);
                let query = if what == 0 {
                    query
                } else {
                    query.stale_never()
                };
                self.observers.push(query.observe());
            }
            2 | 3 => {
                if !self.observers.is_empty() {
                    let at = self.dice.roll(self.observers.len() as u64) as usize;
                    drop(self.observers.swap_remove(at));
                }
            }
            4 => {
                let fetching = cache
                    .query::<Value>(key)
                    .stale_after(Duration::ZERO)
                    .fetch();
                self.fetched(&name, block_on(&name, fetching))?;
            }
            5 => {
                let fetching = cache.query::<Value>(key).fetch();
                self.fetched(&name, fetching.wait(LONG))?;
            }
            6 => {
                let refetched = block_on(&name, cache.invalidate(key));
                for error in refetched.errors {
                    self.fetched::<()>(&name, Err(error))?;
                }
            }
            7 => drop(
                cache
                    .invalidate(Filter::under(key).active())
                    .refetch(RefetchKind::None),
            ),
            8 => drop(cache.cancel(key).revert(self.dice.roll(2) == 0)),
            9 => {
                for error in block_on(&name, cache.refetch(key)).errors {
                    self.fetched::<()>(&name, Err(error))?;
                }
            }
            10 => {
                for error in block_on(&name, cache.reset(key)).errors {
                    self.fetched::<()>(&name, Err(error))?;
                }
            }
            11 => drop(cache.remove(key)),
            12 if !list => {
                let written = cache.set(&key, &json!({"n": 1, "name": "client"}));
                self.written(&name, written)?;
            }
            13 if !list => {
                let written = cache.patch(&key, &json!({"name": "patch", "extra": what}));
                self.written(&name, written)?;
            }
            14 if !list => match cache.optimistic(&key, &json!({"name": "shown"})) {
                Ok(shown) => {
                    let ended = match self.dice.roll(3) {
                        0 => shown.commit(),
                        1 => shown.rollback(),
                        _ => return self.fetched::<()>(&name, Ok(drop(shown))),
                    };
                    self.written(&name, ended.map_err(|(error, _)| error))?;
                }
                Err(error) => self.written(&name, Err(error))?,
            },
            15 => {
                cache.set_online(false);
                drop(
                    cache
                        .query::<Value>(key)
                        .stale_after(Duration::ZERO)
                        .fetch(),
                );
                cache.set_online(true);
            }
            16 => {
                cache.set_focused(false);
                drop(cache.refetch(key));
                cache.set_focused(true);
            }
            17 => {
                if let Some(observer) = self.observers.first_mut() {
                    observer.set_enabled(self.dice.roll(2) == 0);
                    let fetching = observer.refetch();
                    self.fetched(&name, fetching.wait(LONG))?;
                }
            }
            _ => {
                assert!(cache.is_fetching(Filter::all()) <= self.keys.len() + 2);
                drop(cache.queries(Filter::all()));
                if what == 18 && self.dice.roll(8) == 0 {
                    cache.invalidate_all();
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn hammer(driven: Driven) {
    let server = silent();
    let cache = driven.cache();
    let state = Arc::new(AtomicU64::new(0));
    serve(&cache, &state);
    let feed = cache.attach(feed(&server)).expect("attached");
    let mut crew = Crew::new();
    for number in 0..CLIENTS {
        let mut client = Client::new(&cache, number, false);
        crew.spawn(format!("client {number}"), move || {
            for _ in 0..ROUNDS {
                assert!(client.act().is_continue());
            }
        });
    }
    crew.join();
    assert!(cache.is_online() && cache.is_focused());
    until("every fetch ends", || cache.is_fetching(Filter::all()) == 0);
    let paused = Filter::all().fetching(tickcache::FetchStatus::Paused);
    assert!(cache.queries(paused).is_empty());
    // The last word is the server's.
    state.store(7, Ordering::SeqCst);
    for key in keys() {
        let query = cache
            .query::<Value>(key.clone())
            .stale_after(Duration::ZERO);
        let fetched = query.fetch().wait(LONG);
        let value = fetched.unwrap_or_else(|error| panic!("{key}: {error}"));
        if is_list(&key) {
            let ids: Vec<_> = value.as_array().expect("a list").iter().collect();
            let ids: Vec<_> = ids.iter().map(|item| item["id"].as_u64()).collect();
            assert_eq!(ids, [Some(1), Some(3), Some(2)], "{key}");
            assert_eq!(value[1]["n"], 7, "{key}");
        } else {
            assert_eq!(*value, answer(&key, 7), "{key}");
        }
    }
    cache.close_blocking(LONG).expect("everything ends");
    let counters = feed.counters();
    assert!(counters.balanced(), "{counters:?}");
    driven.end();
}

#[test]
fn clients_that_do_everything_at_once_leave_every_key_right() {
    for place in PLACES {
        hammer(Driven::new(place));
    }
}
