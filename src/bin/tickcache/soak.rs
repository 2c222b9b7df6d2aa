//! `soak`: exchanges on loopback, the real engine, everybody who can read at work, and a fault every
//! few seconds; for minutes or hours.
//!
//! The exchanges ([`exchange`], [`venue`]) are this process's own, so what is true is known at any
//! time. Each speaks in another [`form`]. A thread ([`drive`]) makes faults happen, drawn by a seed,
//! and waits after each until the engine has come back. Meanwhile every look at a value is held to
//! what the engine promises ([`audit`]), and at the end what it holds is compared with the truth,
//! what it has counted with what was sent, and its memory with a level line. Whatever did not hold
//! is told by name, and the run fails.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tickcache::cache::Cache;

use crate::Failure;
use crate::args::SoakArgs;
use crate::tally::Tally;
use crate::ui::Interrupt;

mod audit;
mod beat;
mod board;
mod capture;
mod drive;
mod exchange;
mod fault;
mod form;
mod memory;
mod problems;
mod readers;
mod report;
mod session;
mod sleepers;
mod tape;
mod truth;
mod venue;

use beat::Beat;
use board::Line;
use capture::Captures;
use drive::Driver;
use form::Form;
use memory::Memory;
use problems::Problems;
use readers::{Desk, Readers};
use report::{Ended, Feeds, State};
use tape::{Held, Recording};
use venue::Venue;

/// How often the end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Time between two samples of memory.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How long everything may take until it is live for the first time, and until it stands still at
/// the end.
const SETTLE: Duration = Duration::from_secs(30);

/// How long a watcher may sleep on after the last news.
const WAKE: Duration = Duration::from_secs(5);

/// How long threads may take to end.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Values that are fetched in a second because a stream has lost them.
const RESYNCS_PER_SECOND: u32 = 1000;

/// Panics of any thread since the hook was set.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Runs until the time is over or the user ends it.
pub(crate) fn run(args: &SoakArgs) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    count_panics();
    let problems = Arc::new(Problems::default());
    let origin = Instant::now();
    let venue = Venue::start(args.ids, args.rate, args.seed, origin)?;
    let mut recording = Recording::start()?;
    let cache = Cache::builder()
        .resyncs_per_second(RESYNCS_PER_SECOND)
        .build()?;
    // Where nothing is ever marked, nobody is woken but by what moves: a lost wake-up stays lost.
    let quiet = Cache::builder().build()?;
    let exchanges = venue.exchanges.iter().map(|exchange| {
        let cache = if exchange.form == Form::Clean {
            &quiet
        } else {
            &cache
        };
        Line::attach(cache, exchange, args.rate, &recording)
    });
    let lines = exchanges.collect::<Result<Vec<_>, _>>()?;
    let beat = Beat::start()?;
    let desk = Desk::new(lines, Arc::clone(&problems), beat.shared());
    let desk = Arc::new(desk);
    // Jobs are fetched for those who observe them.
    let readers = Readers::start(&desk)?;
    let healthy = drive::healthy(&desk, SETTLE);
    let driver = Driver::start(&desk, args.seed, args.faults_every)?;
    let captures = Captures::start(args, &problems)?;
    let mut memory = Memory::default();
    let mut lines = report::Lines::new(args.json, origin);
    let (began, mut line_at, mut sample_at) = (Instant::now(), LINE_EVERY, Duration::ZERO);
    while healthy && began.elapsed() < args.minutes && !interrupt.is_set() {
        std::thread::sleep(LOOK_EVERY.min(args.minutes.saturating_sub(began.elapsed())));
        let now = began.elapsed();
        if now >= sample_at {
            sample_at = now + SAMPLE_EVERY;
            memory.sample(now);
        }
        if now >= line_at {
            line_at += LINE_EVERY;
            lines.tell(&desk, &driver.outcomes(), &memory);
        }
    }
    let soaked = began.elapsed();

    let outcomes = driver.stop()?;
    let captured = captures.stop()?;
    let states = settle(&desk);
    wait_for_watchers(&desk);
    readers.stop();
    cache.close_blocking(CLOSE_WITHIN)?;
    quiet.close_blocking(CLOSE_WITHIN)?;
    readers.join();
    let late = beat.stop()?;
    let tally = Tally::of(cache.counters().into_iter().chain(quiet.counters()));
    if let Err(unbalanced) = tally.check() {
        problems.add("the ledgers balance", || unbalanced);
    }
    let feeds = Feeds::of(&desk, &problems);
    let replayed = replayed(&desk, &mut recording, &problems)?;
    venue.stop()?;
    let slope = memory.slope();
    if let Some(slope) = slope.filter(|slope| !slope.is_flat()) {
        problems.add("memory does not grow", || report::slope(Some(&slope)));
    }
    let panics = PANICS.load(Relaxed);
    if panics > 0 || cache.waker_panics() + quiet.waker_panics() > 0 {
        problems.add("no thread panics", || format!("{panics} did"));
    }
    let ended = Ended {
        soaked,
        is_early: interrupt.is_set(),
        seed: args.seed,
        desk: &desk,
        outcomes,
        states,
        replayed,
        captured,
        feeds,
        tally,
        slope,
        rss: memory.last(),
        late,
    };
    let mut out = std::io::stdout().lock();
    let text = if args.json {
        format!("{}\n", ended.json())
    } else {
        ended.text()
    };
    // Whoever closed standard output has read enough of it.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match problems.count() {
        0 => Ok(()),
        count => {
            let claims = problems.all();
            let claims: Vec<_> = claims.iter().map(|(claim, _)| *claim).collect();
            Err(format!(
                "{count} violations of: {} (seed {})",
                claims.join("; "),
                args.seed
            )
            .into())
        }
    }
}

/// Counts panics from now on, and has them told as before.
fn count_panics() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Relaxed);
        told(panic);
    }));
}

/// Has all exchanges stand still, and waits until the engine holds what they have.
fn settle(desk: &Desk) -> Vec<State> {
    for line in &desk.lines {
        line.exchange.change(|conditions| conditions.moving = false);
    }
    let state = |line: &Line| {
        let ids = 0..line.slots.len();
        let truth = ids.map(|id| (line.form.id(id).to_string(), line.exchange.held(id)));
        State {
            form: line.form,
            held: Held::of(&line.cache, line.form.entity()),
            truth: Held::all(truth),
        }
    };
    let is_settled = |line: &Line| {
        let (counters, told) = (line.feed.counters(), &line.exchange.told);
        let state = state(line);
        let all_received = counters.losses > 0 || counters.messages == told.written.load(Relaxed);
        state.held == state.truth && all_received
    };
    let began = Instant::now();
    while began.elapsed() < SETTLE + desk.beat.late() && !desk.lines.iter().all(is_settled) {
        std::thread::sleep(LOOK_EVERY);
    }
    let states: Vec<_> = desk.lines.iter().map(state).collect();
    for State { form, held, truth } in &states {
        if let Some(difference) = held.difference(truth) {
            let how = || format!("{}: {difference}", form.name());
            desk.problems
                .add("the engine holds what the exchange has", how);
        }
    }
    states
}

/// No waiter sleeps on news: each has seen the newest version of its slot.
fn wait_for_watchers(desk: &Desk) {
    let began = Instant::now();
    while began.elapsed() < WAKE + desk.beat.late() && !desk.asleep_on_news().is_empty() {
        std::thread::sleep(LOOK_EVERY);
    }
    for asleep in desk.asleep_on_news() {
        desk.problems.add("no waiter sleeps on news", || asleep);
    }
}

/// What was received by the undisturbed feed, replayed: it comes to the same state.
fn replayed(
    desk: &Desk,
    recording: &mut Recording,
    problems: &Problems,
) -> Result<Option<State>, Failure> {
    let Some(line) = desk.lines.iter().find(|line| line.form == Form::Clean) else {
        return Ok(None);
    };
    let envelope = board::envelope(line.form, "ws://localhost")?;
    let (held, messages) = recording.replayed(envelope, line.form.entity())?;
    let state = State {
        form: line.form,
        truth: Held::of(&line.cache, line.form.entity()),
        held,
    };
    if let Some(difference) = state.held.difference(&state.truth) {
        problems.add("a replay comes to the same state", || difference);
    }
    let received = line.feed.counters().messages;
    if messages != received {
        let how = || format!("{messages} replayed of {received}");
        problems.add("everything received is recorded", how);
    }
    Ok(Some(state))
}
