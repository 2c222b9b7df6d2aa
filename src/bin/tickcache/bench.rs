//! `bench`: the engine on a simulated exchange, in each mode of waiting: how many messages a core
//! takes in, how soon they can be read, and how soon those who wait know.

use std::io::{Write as _, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tickcache::cache::{Cache, Feed, FeedRef};
use tickcache::feed::CounterValues;

use crate::Failure;
use crate::args::{BenchArgs, Mode, Wait};
use crate::simulator::{Flow, Rate, Settings, Simulator, symbol_names};
use crate::ui::{Interrupt, count};
use readers::Readers;
use report::{Report, Run};
use spent::ThreadCpu;

mod readers;
mod report;
mod spent;

/// The feed; its thread is `feed-bench`.
const FEED: &str = "bench";

/// How long the first values, the last ones and the end may take.
const WITHIN: Duration = Duration::from_secs(10);

/// How often something is looked for that is not measured.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Runs the bench to its end.
pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let mut report = Report::of(args);
    if !args.json {
        println!("{}", headline(args));
    }
    for mode in &args.modes {
        if interrupt.is_set() {
            break;
        }
        let run = Bench::start(args, *mode)?.run(args, &interrupt)?;
        if !args.json {
            writeln!(stdout(), "\n{run}")?;
        }
        report.runs.push(run);
    }
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    }
    match report.runs.iter().find_map(Run::problem) {
        None => Ok(()),
        Some(problem) => Err(problem.into()),
    }
}

fn headline(args: &BenchArgs) -> String {
    let rate = match args.rate {
        Rate::Max => "as many messages as the socket takes".to_owned(),
        Rate::PerSecond(rate) => format!("{} messages/s", count(rate.get())),
    };
    let of = |how| -> usize {
        let readers = args.readers.iter().filter(|(wait, _)| *wait == how);
        readers.map(|(_, count)| count).sum()
    };
    format!(
        "{} ids, {rate}, {} s a mode; readers: {} spinning, {} blocking, {} tasks; {} cores",
        args.ids,
        args.seconds.as_secs_f64(),
        of(Wait::Spin),
        of(Wait::Block),
        of(Wait::Task),
        std::thread::available_parallelism().map_or(0, usize::from),
    )
}

/// Everything that runs, in one mode.
struct Bench {
    mode: Mode,
    simulator: Simulator,
    cache: Cache,
    feed: FeedRef,
    readers: Readers,
    /// What readers see counts.
    measuring: Arc<AtomicBool>,
    cpu: Option<ThreadCpu>,
}

impl Bench {
    fn start(args: &BenchArgs, mode: Mode) -> Result<Self, Failure> {
        let simulator = Simulator::start(Settings {
            symbols: args.ids,
            rate: args.rate,
            even: true,
            ..Settings::default()
        })?;
        let cache = Cache::builder().build()?;
        let names: Vec<_> = symbol_names(args.ids).collect();
        let feed = Feed::binance_spot()
            .named(FEED)
            .base(&format!("ws://{}", simulator.addr()))
            .book_ticker(&names)
            .waiting(mode.waiting());
        let feed = cache.attach(feed)?;
        let entity = cache.entity(&format!("{FEED}.bookTicker"));
        let sent = entity.field(&["u"])?;
        until("every id has a value", || entity.len() >= args.ids)?;
        let measuring = Arc::new(AtomicBool::new(false));
        let mut slots = names.iter().cycle().map(|name| entity.slot(name.as_str()));
        let readers = Readers::start(
            &args.readers,
            || slots.next(),
            readers::Stamp {
                sent,
                clock: simulator.clock(),
                measuring: Arc::clone(&measuring),
            },
        )?;
        Ok(Self {
            mode,
            cpu: ThreadCpu::of(&format!("feed-{FEED}")),
            simulator,
            cache,
            feed,
            readers,
            measuring,
        })
    }

    fn run(self, args: &BenchArgs, interrupt: &Interrupt) -> Result<Run, Failure> {
        let cpu = || self.cpu.as_ref().and_then(ThreadCpu::now);
        let (counters, latencies, spent) = (self.feed.counters(), self.feed.latencies(), cpu());
        let start = Instant::now();
        self.measuring.store(true, Ordering::Relaxed);
        while start.elapsed() < args.seconds && !interrupt.is_set() {
            std::thread::sleep(LOOK_EVERY.min(args.seconds.saturating_sub(start.elapsed())));
        }
        self.measuring.store(false, Ordering::Relaxed);
        let (after, spent_after, seconds) = (self.feed.counters(), cpu(), start.elapsed());
        let latencies = self.feed.latencies().since(&latencies);
        let (lost, end) = self.settle()?;
        Ok(Run::new(
            self.mode,
            seconds,
            after.data - counters.data,
            spent_after.zip(spent).map(|(now, before)| now - before),
            (lost, &end),
            &latencies,
            self.finish()?,
        ))
    }

    /// Has the simulator fall silent, and compares what it has sent with what has arrived.
    fn settle(&self) -> Result<(u64, CounterValues), Failure> {
        self.simulator.set_flow(Flow::Silent);
        let state = || (self.simulator.stats().messages, self.feed.counters().data);
        // Nothing is lost: both come to rest at the same number. Otherwise what is missing is told.
        let _ = until("all has arrived", || {
            let (sent, arrived) = state();
            sent == arrived
        });
        let (sent, arrived) = state();
        Ok((sent.saturating_sub(arrived), self.feed.counters()))
    }

    fn finish(self) -> Result<readers::Seen, Failure> {
        self.cache.close_blocking(WITHIN)?;
        let seen = self.readers.join()?;
        self.simulator.stop()?;
        Ok(seen)
    }
}

/// Waits until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) -> Result<(), Failure> {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > WITHIN {
            let seconds = WITHIN.as_secs();
            return Err(format!("not so within {seconds} s: {what}; try a lower --rate").into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
