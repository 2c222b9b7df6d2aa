//! One run: the feed, its server and the network between them, from one instant to the next at which
//! something happens.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tickcache::testing::{self, Wire};
use tickcache::{Cache, Completion, Entity, Feed, Slot, State, Time, key};

use crate::desk::{Asker, Call, Desk};
use crate::frames;
use crate::judge::Judge;
use crate::net::{Dial, Event, Net};
use crate::options::{ERRAND, FETCH_TIMEOUT, Options, QUIET, RESYNC_AFTER};
use crate::random::Random;
use crate::server::Server;
use crate::tally::Tally;
use crate::trace::Trace;
use crate::venue::{CHANNEL, ENTITY, Venue, key_of, name};
use crate::waiters::{self, Waiters};

/// What has gone wrong.
pub(crate) type Failure = String;

/// Steps at one instant: more would be an engine that never rests.
const STEPS_AT_ONCE: u32 = 10_000;

/// How long a resync that was decided may wait for its turn.
const ENDED_WHILE_WAITING: Duration = Duration::from_secs(2);

/// How often changes are put together under [`Form::Range`](crate::options::Form::Range).
pub(crate) const FLUSH: Duration = Duration::from_millis(100);

/// What is remembered of the attempts of a leg.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// The last one that was seen.
    pub(crate) number: u64,
    /// When the leg was last told that it has no connection, and how.
    pub(crate) down: Option<(Time, Down)>,
    /// Attempts that failed since there was a connection.
    pub(crate) failed: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Down {
    Lost,
    Failed,
    LeaveAlone(Duration),
}

/// A subscription that was made or taken back while the feed runs.
pub(crate) struct Change {
    pub(crate) key: usize,
    pub(crate) is_on: bool,
    pub(crate) answer: Pin<Box<Completion>>,
}

pub(crate) struct Run<'r, 'w> {
    pub(crate) wire: &'r mut Wire<'w, Venue>,
    pub(crate) options: Options,
    pub(crate) random: Random,
    pub(crate) cache: Cache,
    pub(crate) entity: Entity,
    pub(crate) slots: Vec<Slot>,
    pub(crate) server: Server,
    pub(crate) net: Net,
    pub(crate) desk: Desk,
    pub(crate) judge: Judge,
    pub(crate) waiters: Waiters,
    pub(crate) attempts: BTreeMap<usize, Attempts>,
    pub(crate) changes: Vec<Change>,
    /// When a fetch of each key was answered last.
    pub(crate) answered: Vec<Option<Time>>,
    /// Keys that somebody has looked at since the plane last ran.
    pub(crate) watched: Vec<bool>,
    pub(crate) tally: Tally,
    pub(crate) trace: Trace,
    /// Whether the server runs, can be reached, and says anything.
    pub(crate) is_up: bool,
    pub(crate) is_reachable: bool,
    pub(crate) is_quiet: bool,
    /// Whether things go wrong.
    pub(crate) is_stormy: bool,
    /// Whether values change.
    pub(crate) is_changing: bool,
    /// Where an errand of a long message waits, it is on its way to be done.
    pub(crate) errand: bool,
    pub(crate) at_once: u32,
}

/// Runs what a seed says; what it was, and what went wrong.
pub(crate) fn run(options: &Options, trace: Trace) -> (Result<(), Failure>, Tally, Trace) {
    let runtime = runtime();
    let settings = Cache::builder()
        .runtime(runtime)
        .background_fetch_timeout(FETCH_TIMEOUT);
    let cache = testing::cache(settings);
    let desk = Desk::default();
    let feed = feed(options, &desk);
    if options.asking.queries() {
        let desk = desk.clone();
        cache
            .defaults(key![ENTITY])
            .stale_never()
            .retry(2)
            .fetch(move |cx| {
                let key = cx.id().map(|id| key_of(&id.to_string()));
                let asked = key.map(|key| desk.ask(key, Asker::Query, cx.attempt()));
                async move { asked?.await }
            });
    }
    let outcome = Wire::run(&cache, feed, options.seed, |wire| {
        let mut run = Run::new(wire, options.clone(), cache.clone(), desk, trace);
        let outcome = run.play();
        (outcome, run.tally, run.trace)
    });
    outcome.expect("the feed can be attached")
}

/// What is no longer needed is dropped on it, by all runs of a process.
fn runtime() -> tokio::runtime::Handle {
    use std::sync::OnceLock;
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).build().expect("a runtime")
    });
    runtime.handle().clone()
}

fn feed(options: &Options, desk: &Desk) -> Feed<Venue> {
    let mut feed = Feed::custom(Venue::new(options))
        .dead_after(options.dead_after)
        .on_connect(options.on_connect)
        .backoff(options.backoff)
        .settings(|settings| {
            settings.answer_timeout = Duration::from_secs(2);
            if options.bulk {
                settings.bulk_above = 1_024;
            }
            if options.small_buffer {
                settings.limits.read_buffer = 256;
            }
        })
        .lifetime(options.lifetime.unwrap_or(Duration::MAX));
    if let Some(silence) = options.silent_after {
        feed = feed.silent_after(silence);
    }
    if options.redundant {
        feed = feed.redundant();
    }
    if options.asking.resyncs() {
        let desk = desk.clone();
        feed = feed
            .resync(move |lost| desk.ask(key_of(&lost.id.to_string()), Asker::Resync, lost.attempt))
            .resync_after(RESYNC_AFTER);
    }
    feed
}

impl<'r, 'w> Run<'r, 'w> {
    fn new(
        wire: &'r mut Wire<'w, Venue>,
        options: Options,
        cache: Cache,
        desk: Desk,
        trace: Trace,
    ) -> Self {
        let mut random = Random::new(options.seed);
        let now = wire.now();
        let entity = cache.entity(ENTITY);
        Self {
            server: Server::new(&options, now, &mut random),
            net: Net::new(options.latency),
            judge: Judge::new(&options, now),
            slots: waiters::slots(&entity, options.keys),
            answered: vec![None; options.keys],
            watched: vec![false; options.keys],
            waiters: Waiters::default(),
            attempts: BTreeMap::new(),
            changes: Vec::new(),
            tally: Tally::default(),
            is_up: true,
            is_reachable: true,
            is_quiet: false,
            is_stormy: true,
            is_changing: true,
            errand: false,
            at_once: 0,
            wire,
            options,
            random,
            cache,
            entity,
            desk,
            trace,
        }
    }

    fn play(&mut self) -> Result<(), Failure> {
        let now = self.wire.now();
        self.tally.runs = 1;
        for key in 0..self.options.keys {
            self.plan_change(key);
        }
        self.net.at(now.after(FLUSH), Event::Flush);
        if let Some(every) = self.options.periodic {
            self.net.at(now.after(every), Event::Periodic);
        }
        self.net.at(now, Event::Mischief);
        self.net.at(now.after(self.options.storm), Event::StormEnds);
        self.settle()?;
        while self.is_stormy {
            self.step(Time::NEVER)?;
        }
        self.heal()?;
        self.sum_up(now)
    }

    /// Goes on to the next instant at which something happens, `until` at most.
    pub(crate) fn step(&mut self, until: Time) -> Result<(), Failure> {
        let before = self.wire.now();
        let next = [self.net.next_at(), self.wire.due()];
        let next = next.into_iter().flatten().min().unwrap_or(until).min(until);
        self.at_once = if next > before { 0 } else { self.at_once + 1 };
        if self.at_once > STEPS_AT_ONCE {
            return Err("the engine does not come to rest".into());
        }
        self.wire.advance_to(next);
        let now = self.wire.now();
        while let Some(event) = self.net.take_due(now) {
            self.trace.note(now, &event);
            self.happen(event);
            self.send(now);
        }
        self.settle()
    }

    /// Has the engine do all that it has to do now, and looks at everything.
    pub(crate) fn settle(&mut self) -> Result<(), Failure> {
        self.tally.steps += 1;
        let goes_on = self.wire.settle().map_err(|error| error.to_string())?;
        if !goes_on {
            return Err("the feed has ended".into());
        }
        let now = self.wire.now();
        for (conn, leg) in self.net.listen(now, &mut self.random) {
            self.trace.note(now, &("hung up", conn));
            self.is_down(leg, now);
        }
        self.dial(now)?;
        self.hear_calls(now)?;
        self.run_errands(now);
        self.check(now)
    }

    /// A leg has lost its connection, or is about to notice.
    pub(crate) fn is_down(&mut self, leg: usize, now: Time) {
        let attempts = self.attempts.entry(leg).or_default();
        attempts.down = Some((now, Down::Lost));
        attempts.failed = 0;
    }

    fn run_errands(&mut self, now: Time) {
        // Whether one waits only taking it apart says: a look is planned for whenever one may.
        if self.options.bulk && !self.errand {
            self.errand = true;
            let most = ERRAND.as_millis() as u64;
            let at = now.after(self.random.millis(0, most));
            self.net.at(at, Event::TakeApart);
        }
    }

    /// Begins what the feed asks for: attempts to connect.
    fn dial(&mut self, now: Time) -> Result<(), Failure> {
        for (leg, attempt) in self.wire.asked() {
            if self.net.conns.values().any(|conn| conn.leg == leg) {
                return Err(format!("leg {leg} asks for a connection and has one"));
            }
            let attempts = self.attempts.entry(leg).or_default();
            if attempts.number == attempt {
                continue;
            }
            attempts.number = attempt;
            if self.options.lifetime.is_none() {
                self.judge_backoff(leg, now)?;
            }
            let delay = self.net.delay(&mut self.random) * 3;
            let (dial, delay) = if self.is_up && self.is_reachable {
                (Dial::Made, delay)
            } else {
                self.refuse(delay)
            };
            let event = Event::Dialed { leg, attempt, dial };
            self.net.at(now.after(delay), event);
        }
        Ok(())
    }

    /// Looks at who asks for values, and answers after a while.
    fn hear_calls(&mut self, now: Time) -> Result<(), Failure> {
        for call in self.desk.take_fresh() {
            self.trace.note(now, &call);
            self.judge_call(call, now)?;
            let delay = self.net.delay(&mut self.random);
            self.net
                .at(now.after(delay), Event::Asked(call.number, call.key));
        }
        for key in 0..self.options.keys {
            self.watched[key] = self.waiters.observes(key);
            if self.desk.open(key) > 1 {
                return Err(format!("{} is fetched twice at once", name(key)));
            }
        }
        Ok(())
    }

    fn judge_call(&mut self, call: Call, now: Time) -> Result<(), Failure> {
        let Call {
            key,
            asker,
            attempt,
            ..
        } = call;
        match asker {
            Asker::Resync => {
                self.tally.resyncs += 1;
                // One that was decided before may begin after it, and is tried again.
                let ended = self.judge.keys[key].is_ended;
                let is_late = ended.is_some_and(|at| now.since(at) > ENDED_WHILE_WAITING);
                if is_late && attempt == 1 {
                    return Err(format!("{} is fetched, and nothing keeps it up", name(key)));
                }
                let live_for = self.judge.is_live_for(key, now);
                if self.slots[key].freshness().is_live() && live_for > self.held_up() {
                    return Err(format!("{} is fetched, and is live", name(key)));
                }
            }
            Asker::Query => {
                self.tally.fetches += 1;
                // A resync uses the fetcher of the query of its key.
                // Whoever follows a whole entity ends no retry when he leaves.
                let is_retry = attempt > 1 && self.waiters.has_followed();
                // What its owner could not place is asked for once more by the same attempt.
                let is_again = self.answered[key] == Some(now);
                let looked = self.watched[key] || is_retry || is_again;
                let may = looked || self.options.asking.resyncs();
                if !may {
                    return Err(format!("{} is fetched, and nobody looks", name(key)));
                }
            }
        }
        Ok(())
    }

    /// How long a fetch that was decided while the value was stale may take to begin: long messages
    /// that came before it are taken apart first.
    fn held_up(&self) -> Duration {
        if self.options.bulk {
            ERRAND * 2
        } else {
            Duration::ZERO
        }
    }

    /// Sends what the server has to say.
    pub(crate) fn send(&mut self, now: Time) {
        for (conn, text) in std::mem::take(&mut self.server.out) {
            let cut = self.random.chance(10).then(|| self.random.pick(text.len()));
            let bytes = frames::text(&text, cut);
            self.net.send(conn, bytes, now, &mut self.random);
        }
    }

    pub(crate) fn plan_change(&mut self, key: usize) {
        let most = QUIET.as_millis() as u64;
        let at = self.wire.now().after(self.random.millis(20, most));
        self.net.at(at, Event::Change(key));
    }

    /// Looks at everything that can be seen.
    fn check(&mut self, now: Time) -> Result<(), Failure> {
        let is_open = self.wire.feed().state().state == State::Open;
        let counters = self.wire.feed().counters();
        // What is being taken apart has no outcome yet.
        if counters.bulk_bytes == 0 && !counters.balanced() {
            return Err(format!("the books do not balance: {counters:?}"));
        }
        let generation = self.wire.feed().state().generation;
        self.judge.note_shown(counters.promotions + generation, now);
        for key in 0..self.options.keys {
            let looked = self.judge.look(
                key,
                &self.slots[key],
                &self.server,
                (now, is_open),
                &mut self.tally,
            );
            looked?;
            self.trace.show(now, &self.slots[key]);
        }
        self.note_answers(now);
        self.waiters
            .look(&self.slots, &mut self.random, &mut self.tally)
    }

    /// Which subscriptions have been answered.
    fn note_answers(&mut self, now: Time) {
        let mut cx = Context::from_waker(Waker::noop());
        let (judge, trace) = (&mut self.judge, &mut self.trace);
        self.changes.retain_mut(|change| {
            let Poll::Ready(answer) = change.answer.as_mut().poll(&mut cx) else {
                return true;
            };
            trace.note(now, &("answered", change.key, change.is_on, answer.is_ok()));
            if answer.is_ok() && !change.is_on {
                let known = &mut judge.keys[change.key];
                known.is_ended = known.wanted_since.is_none().then_some(now);
            }
            false
        });
    }

    /// Asks for a key, or takes it back.
    pub(crate) fn subscribe(&mut self, key: usize, is_on: bool, now: Time) {
        self.tally.subscriptions += 1;
        let feed = self.wire.feed();
        let known = &mut self.judge.keys[key];
        let answer = if is_on {
            known.is_ended = None;
            known.wanted_since = Some(now);
            feed.subscribe(CHANNEL, [name(key)])
        } else {
            known.wanted_since = None;
            feed.unsubscribe(CHANNEL, [name(key)])
        };
        self.changes.push(Change {
            key,
            is_on,
            answer: Box::pin(answer),
        });
    }
}
