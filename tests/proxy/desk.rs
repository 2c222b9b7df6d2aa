//! A cache that watches a world while its connection is cut, again and again: how long it takes
//! until the first fresh value, and whether anything wrong was shown meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tickcache::{Cache, CounterValues, Feed, FeedRef};

use crate::LONG;
use crate::legs::Seen;
use crate::wire::Wire;
use crate::world::{KEYS, World};

pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) feed: FeedRef,
    cache: Cache,
    /// The time between two moves of the market.
    pace: Duration,
    seen: Arc<Seen>,
    reading: Option<thread::JoinHandle<()>>,
}

impl Desk {
    /// Waits until every value is live.
    pub(crate) fn start(world: World, feed: Feed<Wire>, pace: Duration) -> Self {
        let cache = Cache::builder().build().expect("a cache");
        let feed = cache.attach(feed).expect("attached");
        let seen = Arc::<Seen>::default();
        let (reader, reading) = (cache.clone(), Arc::clone(&seen));
        let reading = thread::spawn(move || reading.read(&reader, pace / 4));
        let desk = Self {
            world,
            feed,
            cache,
            pace,
            seen,
            reading: Some(reading),
        };
        desk.until("every value", || desk.is_live());
        desk
    }

    /// The market moves until something is so.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(
                began.elapsed() < LONG,
                "{what} does not come: {:#?} {:?}",
                self.feed.state(),
                self.feed.counters()
            );
            self.world.step();
            thread::sleep(self.pace);
        }
    }

    /// The market moves for so long.
    pub(crate) fn plays(&self, time: Duration) {
        let began = Instant::now();
        self.until("the end of a pause", || began.elapsed() >= time);
    }

    /// The number of a live value.
    fn live(&self, key: &str) -> Option<u64> {
        let snapshot = self.cache.entity("e").slot(key).snapshot();
        let number = snapshot.record().get("n").u64().ok();
        number.filter(|_| snapshot.freshness().is_live())
    }

    pub(crate) fn is_live(&self) -> bool {
        KEYS.iter().all(|key| self.live(key).is_some())
    }

    /// The silence or the end of the connection shows: no value is live.
    #[track_caller]
    pub(crate) fn is_told(&self) {
        self.until("that nothing is live", || {
            KEYS.iter().all(|key| self.live(key).is_none())
        });
    }

    /// How long it takes, from `healed` on, until a value is live that was made after now; and until
    /// all are live that are as new as now.
    #[track_caller]
    pub(crate) fn heals(&self, healed: Instant) -> Healed {
        let now = KEYS.map(|key| self.world.truth(key).number);
        let before = self.feed.counters();
        let number = |(key, now): (&&str, &u64)| Some((self.live(key)?, *now));
        self.until("the first fresh value", || {
            let mut numbers = KEYS.iter().zip(&now).filter_map(number);
            numbers.any(|(live, now)| live > now)
        });
        let first = healed.elapsed();
        self.until("every fresh value", || {
            let mut numbers = KEYS.iter().zip(&now).map(number);
            numbers.all(|number| number.is_some_and(|(live, now)| live >= now))
        });
        let after = self.feed.counters();
        Healed {
            first,
            all: healed.elapsed(),
            failures: after.failures - before.failures,
            losses: after.losses - before.losses,
        }
    }

    /// Nothing more happens: what is shown is the server's, and everything is accounted for.
    #[track_caller]
    pub(crate) fn end(mut self) -> CounterValues {
        let began = Instant::now();
        let is_true = |key: &&str| self.live(key) == Some(self.world.truth(key).number);
        while !KEYS.iter().all(is_true) {
            assert!(began.elapsed() < LONG, "it is not the server's state");
            thread::sleep(Duration::from_millis(1));
        }
        self.seen.stop.store(true, Ordering::SeqCst);
        let reading = self.reading.take().expect("it reads");
        reading.join().expect("the reader");
        self.cache.close_blocking(LONG).expect("everything ends");
        let why = self.seen.why.lock().expect("no panic").clone();
        let count = |count: &std::sync::atomic::AtomicUsize| count.load(Ordering::SeqCst);
        let seen = (count(&self.seen.wrong), count(&self.seen.back));
        assert_eq!(
            seen,
            (0, 0),
            "values that do not add up, or go back: {why:?}"
        );
        let counted = self.feed.counters();
        assert!(counted.balanced(), "{counted:?}");
        // A connection loses nothing that comes after it.
        assert_eq!((counted.gaps, counted.refused), (0, 0), "{counted:?}");
        counted
    }
}

/// How a cut was got over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Healed {
    /// Until the first fresh value.
    pub(crate) first: Duration,
    /// Until the last of the first fresh values.
    pub(crate) all: Duration,
    /// Attempts that failed meanwhile.
    pub(crate) failures: u64,
    /// Connections that were lost meanwhile.
    pub(crate) losses: u64,
}

/// Times by what was wrong.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<&'static str, Line>);

#[derive(Debug, Default)]
struct Line {
    /// What holds where no packet is lost but by the fault, and how many were within it.
    plain: Duration,
    within: usize,
    /// The longest that was allowed, and how many took longer than they were.
    bound: Duration,
    late: usize,
    first: Vec<Duration>,
    all: Vec<Duration>,
}

impl Tally {
    /// Where packets are lost all along, a cut may take `more` than it does without.
    pub(crate) fn note(
        &mut self,
        what: &'static str,
        healed: Healed,
        plain: Duration,
        more: Duration,
    ) {
        let bound = plain + more;
        let line = self.0.entry(what).or_default();
        line.plain = plain;
        line.within += usize::from(healed.first <= plain);
        line.bound = line.bound.max(bound);
        line.late += usize::from(healed.first > bound);
        line.first.push(healed.first);
        line.all.push(healed.all);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (what, mut line) in other.0 {
            let own = self.0.entry(what).or_default();
            own.plain = line.plain;
            own.within += line.within;
            own.bound = own.bound.max(line.bound);
            own.late += line.late;
            own.first.append(&mut line.first);
            own.all.append(&mut line.all);
        }
    }

    /// How many cuts, and how many of them took longer than they may.
    pub(crate) fn counted(&self) -> (usize, usize) {
        let lines = self.0.values();
        lines.fold((0, 0), |(all, late), line| {
            (all + line.first.len(), late + line.late)
        })
    }
}

/// In milliseconds.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<22} {:>5} {:>7} {:>7} {:>7} {:>7} {:>4} {:>4} {:>7} {:>5}",
            "until fresh, in ms",
            "cuts",
            "median",
            "p99",
            "max",
            "all",
            "in",
            "of",
            "bound",
            "late"
        )?;
        for (what, line) in &self.0 {
            let mut first = line.first.clone();
            first.sort_unstable();
            let at = |part: usize| first[(first.len() * part).div_ceil(100) - 1];
            let all = line.all.iter().max().copied().unwrap_or_default();
            let millis = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e3);
            writeln!(
                f,
                "{what:<22} {:>5} {:>7} {:>7} {:>7} {:>7} {:>4} {:>4} {:>7} {:>5}",
                first.len(),
                millis(at(50)),
                millis(at(99)),
                millis(at(100)),
                millis(all),
                line.within,
                millis(line.plain),
                millis(line.bound),
                line.late,
            )?;
        }
        Ok(())
    }
}
