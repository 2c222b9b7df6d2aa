//! Two connections of one feed, each through a proxy of its own, and their planned replacement.
//!
//! Beside what holds for one connection: once both were ready,
//!
//! * no value is stale while one of them is as it should be;
//! * no value is followed by one with a lower number, wherever numbers say what is older;
//! * in the end every value is live and the server's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tickcache::feed::Rule;
use tickcache::{
    Backoff, Cache, CommandError, CounterValues, Endpoint, Feed, FeedRef, State, SubscribeError,
};

use crate::faults::{Death, Faults, Proxy};
use crate::random::Random;
use crate::wire::Wire;
use crate::world::{KEYS, World};
use crate::{ALL, LONG, SEEING, adds_up, for_seeds, mild};

/// Rules whose numbers say which of two values is the older one, whichever connection brought it.
const ORDERED: [Rule; 6] = [
    Rule::ContiguousPerKey,
    Rule::ContiguousRange,
    Rule::Chained,
    Rule::SparseRising,
    Rule::RisingEqualAllowed,
    Rule::Timestamp,
];

/// Longer than any pause that a machine under load makes, shorter than anyone would wait.
const SILENCE: Duration = Duration::from_millis(500);

/// A short life.
const LIFE: Duration = Duration::from_millis(40);

/// What one run is made of.
#[derive(Clone, Copy, Debug)]
struct Setting {
    rule: Rule,
    seed: u64,
    faults: [Faults; 2],
    redundant: bool,
    lifetime: Duration,
    watchful: bool,
    must_ask: bool,
}

impl Setting {
    fn new(seed: u64) -> Self {
        Self {
            rule: ALL[seed as usize % ALL.len()],
            seed,
            faults: [Faults::default(); 2],
            redundant: true,
            lifetime: Duration::MAX,
            watchful: false,
            must_ask: false,
        }
    }

    fn random(&self) -> Random {
        Random::new(self.seed ^ 0x1e95)
    }
}

struct Run {
    setting: Setting,
    world: World,
    proxies: [Proxy; 2],
    cache: Cache,
    feed: FeedRef,
    seen: Arc<Seen>,
    reading: Option<thread::JoinHandle<()>>,
}

/// What a thread that reads all the time has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) stop: AtomicBool,
    /// From now on nothing may be stale.
    is_sound: AtomicBool,
    stale: AtomicUsize,
    pub(crate) wrong: AtomicUsize,
    pub(crate) back: AtomicUsize,
    pub(crate) why: std::sync::Mutex<Vec<String>>,
}

impl Seen {
    /// Looks at everything, again and again, with a pause in between.
    pub(crate) fn read(&self, cache: &Cache, pause: Duration) {
        let mut highest = [0; KEYS.len()];
        while !self.stop.load(Ordering::SeqCst) {
            for (key, highest) in KEYS.iter().zip(&mut highest) {
                let is_sound = self.is_sound.load(Ordering::SeqCst);
                let snapshot = cache.entity("e").slot(*key).snapshot();
                let is_live = snapshot.freshness().is_live();
                let value: Json = snapshot.deserialize().unwrap_or_default();
                // Whoever ends that says so before anything ends.
                let is_sound = is_sound && self.is_sound.load(Ordering::SeqCst);
                if is_sound && !is_live {
                    self.note(&self.stale, format!("{key}: {}", snapshot.freshness()));
                }
                if is_live && !adds_up(&value) {
                    self.note(&self.wrong, format!("{key}: {value}"));
                }
                let number = value["n"].as_u64().unwrap_or_default();
                if number < *highest {
                    self.note(&self.back, format!("{key}: {number} after {highest}"));
                }
                *highest = number.max(*highest);
            }
            // The other threads have two cores at most.
            thread::sleep(pause);
        }
    }

    fn note(&self, count: &AtomicUsize, what: String) {
        if count.fetch_add(1, Ordering::SeqCst) < 3 {
            self.why.lock().expect("no panic").push(what);
        }
    }
}

impl Run {
    fn start(setting: Setting) -> Self {
        let (rule, seed) = (setting.rule, setting.seed);
        let world = if setting.must_ask {
            World::asked(rule, seed)
        } else {
            World::start(rule, seed)
        };
        let mut place = 0;
        let proxies = setting.faults.map(|faults| {
            place += 1;
            Proxy::start(world.address, faults, seed ^ (place << 32))
        });
        let cache = Cache::builder().build().expect("a cache");
        let [first, second] = proxies
            .each_ref()
            .map(|proxy| format!("ws://{}/", proxy.address));
        let mut feed = Feed::custom(Wire { rule, url: first })
            .backoff(Backoff::fixed(Duration::from_millis(1)))
            .lifetime(setting.lifetime)
            .settings(|settings| {
                settings.close_timeout = Duration::from_millis(5);
                if setting.watchful {
                    settings.dead_after = SILENCE * 2;
                    settings.silent_after = SILENCE;
                }
            });
        if setting.redundant {
            feed = feed.redundant_via(Endpoint::new(second));
        }
        let feed = cache.attach(feed).expect("attached");
        let seen = Arc::<Seen>::default();
        let (reader, reading) = (cache.clone(), Arc::clone(&seen));
        let reading = thread::spawn(move || reading.read(&reader, Duration::from_micros(60)));
        Self {
            setting,
            world,
            proxies,
            cache,
            feed,
            seen,
            reading: Some(reading),
        }
    }

    /// The market moves, at some pace, until something is so.
    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(
                began.elapsed() < LONG,
                "{what} does not come: {:#?} {:?}\n{}",
                self.feed.state(),
                self.feed.counters(),
                self.shown()
            );
            self.world.step();
            thread::sleep(Duration::from_micros(300));
        }
    }

    /// Some bursts.
    fn play(&self, random: &mut Random, bursts: u64) {
        for _ in 0..bursts {
            for _ in 0..1 + random.below(12) {
                self.world.step();
            }
            thread::sleep(Duration::from_micros(300));
        }
    }

    fn shown(&self) -> String {
        let line = |key: &&str| {
            let snapshot = self.cache.entity("e").slot(*key).snapshot();
            let value: Result<Json, _> = snapshot.deserialize();
            let truth = self.world.truth(key);
            let number = snapshot.sequence();
            let freshness = snapshot.freshness();
            format!("{key}: {freshness} {number:?} {value:?}, true is {truth:?}\n")
        };
        KEYS.iter().map(line).collect()
    }

    fn is_live(&self, key: &str) -> bool {
        let snapshot = self.cache.entity("e").slot(key).snapshot();
        snapshot.freshness().is_live()
    }

    fn is_true(&self, key: &str) -> bool {
        let snapshot = self.cache.entity("e").slot(key).snapshot();
        snapshot.freshness().is_live()
            && snapshot
                .deserialize::<Json>()
                .is_ok_and(|value| value == self.world.truth(key).value())
    }

    /// Whether as many connections as there should be could be shown.
    fn is_ready(&self) -> bool {
        let counted = self.feed.counters();
        let wanted = 1 + u64::from(self.setting.redundant);
        let legs = self.feed.state().legs;
        let newest = legs.iter().map(|leg| leg.generation).max();
        let ready = legs.iter().filter(|leg| leg.ready && !leg.silent);
        // What is told of the connections may be older than what is counted.
        counted.opens - counted.losses >= wanted
            && newest == Some(counted.opens)
            && ready.count() as u64 >= wanted
    }

    /// From now on nothing may be stale.
    fn becomes_sound(&self) {
        self.until("every value, on every connection", || {
            self.is_ready() && KEYS.iter().all(|key| self.is_live(key))
        });
        self.seen.is_sound.store(true, Ordering::SeqCst);
    }

    /// Nothing more happens, and what is shown is the server's.
    fn heals(&self) {
        for proxy in &self.proxies {
            proxy.clean();
        }
        self.world.step_all();
        let began = Instant::now();
        while !KEYS.iter().all(|key| self.is_true(key)) {
            assert!(
                began.elapsed() < LONG,
                "not the server's: {:#?} {:?}\n{}",
                self.feed.state(),
                self.feed.counters(),
                self.shown()
            );
            thread::sleep(Duration::from_micros(100));
        }
    }

    /// Ends the run, and says what was counted.
    fn end(mut self) -> CounterValues {
        self.seen.is_sound.store(false, Ordering::SeqCst);
        self.seen.stop.store(true, Ordering::SeqCst);
        let reading = self.reading.take().expect("it reads");
        reading.join().expect("the reader");
        let state = self.feed.state();
        self.cache.close_blocking(LONG).expect("everything ends");
        let counted = self.feed.counters();
        assert!(counted.balanced(), "{counted:?}");
        assert_eq!(counted.refused, 0, "{counted:?}");
        let (rule, why) = (self.setting.rule, self.seen.why.lock().expect("no panic"));
        let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        let told = format!("{rule:?} {why:?} {counted:?} {state:#?}");
        assert_eq!(count(&self.seen.stale), 0, "stale moments: {told}");
        if SEEING.contains(&rule) || matches!(rule, Rule::SparseRising | Rule::None) {
            assert_eq!(count(&self.seen.wrong), 0, "do not add up: {told}");
        }
        // By some rules what comes later on one connection is newer, whatever its number.
        let in_order = self.setting.faults.iter().all(|faults| faults.reorder == 0);
        let never_older = matches!(rule, Rule::SparseRising | Rule::RisingEqualAllowed);
        if ORDERED.contains(&rule) && (in_order || never_older) {
            assert_eq!(count(&self.seen.back), 0, "went back: {told}");
        }
        counted
    }

    /// As [`end`](Self::end), of a feed that was never lost and missed nothing.
    fn ends_unbroken(self) -> CounterValues {
        let state = self.feed.state();
        let told = format!("{:?} {state:#?}", self.setting);
        let counted = self.end();
        assert_eq!(state.generation, 1, "{told}");
        assert_eq!(counted.gaps, 0, "{counted:?} {told}");
        counted
    }
}

#[test]
fn two_bad_connections_end_with_what_is_the_servers() {
    for_seeds(48, |seed| {
        let run = Run::start(Setting {
            faults: [mild(); 2],
            ..Setting::new(seed)
        });
        let mut random = run.setting.random();
        // Where only connections are numbered nobody can tell that the first messages of one are
        // missing.
        let is_blind = run.setting.rule == Rule::ContiguousPerConnection;
        run.proxies.iter().for_each(|proxy| proxy.spare(is_blind));
        if is_blind {
            run.until("both connections", || run.is_ready());
            run.play(&mut random, 2);
        }
        run.until("the first value", || run.feed.counters().data > 0);
        run.proxies.iter().for_each(|proxy| proxy.spare(false));
        run.play(&mut random, 12);
        for proxy in &run.proxies {
            proxy.clean();
        }
        run.world.hang_up();
        run.heals();
        // What both miss is missing, and then the one that has more numbers may be the other one.
        run.end();
    });
}

/// One of two ends or freezes while the other is as it should be, again and again.
#[test]
fn either_of_two_may_die_at_any_moment() {
    for_seeds(48, |seed| {
        let slow = Faults {
            delay: 10,
            ..Faults::default()
        };
        // The last two take their time.
        let (deaths, rounds) = if seed % 7 == 6 {
            ([Death::HalfOpen, Death::Silent], 1)
        } else {
            ([Death::End, Death::Reset], 3)
        };
        let run = Run::start(Setting {
            faults: [slow; 2],
            watchful: deaths.contains(&Death::Silent),
            ..Setting::new(seed)
        });
        let mut random = run.setting.random();
        for _ in 0..rounds {
            run.becomes_sound();
            let bursts = random.below(8);
            run.play(&mut random, bursts);
            let victim = &run.proxies[random.below(2) as usize];
            let losses = run.feed.counters().losses;
            let death = deaths[random.below(2) as usize];
            victim.strike(death);
            if death == Death::Silent {
                run.until("silence", || {
                    run.feed.state().legs.iter().any(|leg| leg.silent)
                });
                run.play(&mut random, 4);
                victim.strike(Death::End);
            }
            run.until("the loss", || run.feed.counters().losses > losses);
        }
        run.becomes_sound();
        run.heals();
        run.ends_unbroken();
    });
}

/// One is ever further behind; then the other one ends.
#[test]
fn nothing_goes_back_to_what_the_slower_one_has_brought() {
    for_seeds(48, |seed| {
        let mut faults = [Faults::default(); 2];
        let mut random = Random::new(seed);
        let slower = random.below(2) as usize;
        faults[slower].lag = Duration::from_micros(100 + random.below(900));
        let run = Run::start(Setting {
            faults,
            ..Setting::new(seed)
        });
        run.becomes_sound();
        let bursts = 4 + random.below(8);
        run.play(&mut random, bursts);
        run.proxies[1 - slower].close(true);
        run.proxies[1 - slower].strike(Death::End);
        run.play(&mut random, 4);
        run.heals();
        run.ends_unbroken();
    });
}

/// Connections are replaced all the time, before their lives end.
#[test]
fn replacing_connections_is_not_noticed() {
    for_seeds(32, |seed| {
        let run = Run::start(Setting {
            redundant: seed / 8 % 2 == 0,
            lifetime: LIFE,
            ..Setting::new(seed)
        });
        let mut random = run.setting.random();
        run.becomes_sound();
        run.play(&mut random, 10);
        run.until("some rotations", || run.feed.counters().rotations > 3);
        run.heals();
        let (rule, numbers) = (run.setting.rule, run.delivered());
        let counted = run.ends_unbroken();
        if rule == Rule::SparseRising {
            // One that comes after a newer one is not applied at all.
            assert!(counted.applied <= numbers as u64, "{numbers} {counted:?}");
        }
    });
}

/// The server says that it will close, and does.
#[test]
fn a_server_may_close_on_notice() {
    for_seeds(32, |seed| {
        let run = Run::start(Setting {
            redundant: seed / 8 % 2 == 0,
            lifetime: Duration::from_secs(3600),
            ..Setting::new(seed)
        });
        let mut random = run.setting.random();
        for _ in 0..3 {
            run.becomes_sound();
            let bursts = random.below(4);
            run.play(&mut random, bursts);
            let rotations = run.feed.counters().rotations;
            let told = run.world.give_notice();
            run.until("the successors", || {
                run.feed.counters().rotations >= rotations + told
            });
            run.world.close_noticed();
        }
        run.becomes_sound();
        run.heals();
        run.ends_unbroken();
    });
}

/// A successor cannot be connected; what there is goes on.
#[test]
fn a_successor_that_cannot_connect_harms_nobody() {
    for_seeds(16, |seed| {
        let run = Run::start(Setting {
            redundant: seed / 8 % 2 == 0,
            lifetime: LIFE,
            ..Setting::new(seed)
        });
        let mut random = run.setting.random();
        run.becomes_sound();
        for proxy in &run.proxies {
            proxy.close(true);
        }
        let failures = run.feed.counters().failures;
        run.until("some failures", || {
            run.feed.counters().failures > failures + 5
        });
        run.play(&mut random, 4);
        for proxy in &run.proxies {
            proxy.close(false);
        }
        let rotations = run.feed.counters().rotations;
        run.until("a rotation", || run.feed.counters().rotations > rotations);
        run.heals();
        run.ends_unbroken();
    });
}

/// Ids come and go while connections are replaced.
#[test]
fn subscriptions_come_and_go_while_connections_are_replaced() {
    for_seeds(32, |seed| {
        let run = Run::start(Setting {
            redundant: seed / 8 % 2 == 0,
            lifetime: LIFE,
            must_ask: true,
            ..Setting::new(seed)
        });
        let mut random = run.setting.random();
        // A connection that has been asked for nothing takes long to be taken for a successor.
        let mut wanted = BTreeSet::from([KEYS[0]]);
        let mut answers = vec![run.feed.subscribe("e", [KEYS[0]])];
        for _ in 0..24 {
            let key = KEYS[1 + random.below(KEYS.len() as u64 - 1) as usize];
            answers.push(if wanted.remove(key) {
                run.feed.unsubscribe("e", [key])
            } else {
                wanted.insert(key);
                run.feed.subscribe("e", [key])
            });
            let bursts = random.below(6);
            run.play(&mut random, bursts);
        }
        run.until("some rotations", || run.feed.counters().rotations > 2);
        for answer in answers {
            match answer.wait(LONG) {
                Ok(()) | Err(CommandError::Subscribe(SubscribeError::Withdrawn)) => {}
                Err(error) => panic!("the server grants everything: {error}"),
            }
        }
        let is_right = || {
            KEYS.iter().all(|key| match wanted.contains(key) {
                true => run.is_live(key),
                false => !run.is_live(key),
            })
        };
        run.until("what is wanted alone", is_right);
        for key in KEYS {
            if !wanted.contains(key) {
                run.feed.subscribe("e", [key]).wait(LONG).expect("granted");
            }
        }
        run.until("every value", || KEYS.iter().all(|key| run.is_live(key)));
        run.heals();
        run.ends_unbroken();
    });
}

/// Both end: that is the end of the connection.
#[test]
fn two_that_die_together_are_one_that_dies() {
    for_seeds(16, |seed| {
        let run = Run::start(Setting::new(seed));
        let mut random = run.setting.random();
        run.becomes_sound();
        run.play(&mut random, 4);
        run.seen.is_sound.store(false, Ordering::SeqCst);
        for proxy in &run.proxies {
            proxy.close(true);
        }
        for proxy in &run.proxies {
            proxy.strike([Death::End, Death::Reset][random.below(2) as usize]);
        }
        run.until("that it is noticed", || {
            run.feed.state().state != State::Open && KEYS.iter().all(|key| !run.is_live(key))
        });
        assert_eq!(run.feed.state().generation, 1);
        for proxy in &run.proxies {
            proxy.close(false);
        }
        run.becomes_sound();
        run.heals();
        assert_eq!(run.feed.state().generation, 2);
        let counted = run.end();
        assert_eq!(counted.gaps, 0, "{counted:?}");
    });
}

impl Run {
    /// How many different numbers of different keys were delivered.
    fn delivered(&self) -> usize {
        let mut numbers = BTreeSet::new();
        for proxy in &self.proxies {
            for (_, text) in proxy.log.lock().expect("no panic").iter() {
                let line: Json = serde_json::from_str(text).expect("nothing is corrupted");
                if let (Some(key), Some(number)) = (line["i"].as_str(), line["n"].as_u64()) {
                    numbers.insert((key.to_owned(), number));
                }
            }
        }
        numbers.len()
    }
}
