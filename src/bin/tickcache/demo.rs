//! `demo`: an exchange simulator on loopback, and the engine connected to it by a real WebSocket.

use std::io::{IsTerminal, sink, stderr, stdout};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use tickcache::Order;
use tickcache::cache::{Cache, Feed, FeedRef};
use tickcache::feed::Backoff;

use crate::Failure;
use crate::args::DemoArgs;
use crate::engine;
use crate::engine::Readings;
use crate::pulse::{self, Pulse};
use crate::reader::{Followed, Latencies, Reader};
use crate::simulator::{Rate, Settings, Simulator, process_cpu, symbol_names, thread_cpu};
use crate::slow::SlowPath;
use crate::table::{self, Market};
use crate::tally::Tally;
use crate::ui::{
    Cpu, Interrupt, Model, Report, count, engine_summary, lines, live, slow_summary, summary,
};

/// Symbols of one connection: the exchange allows 1,024 streams, and each symbol has two.
const SYMBOLS_PER_FEED: usize = 512;

/// Some connection is lost about this often.
const LOSS_EVERY: Duration = Duration::from_secs(15);

/// How long the engine waits before it connects again: long enough to be seen.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Seconds that the latencies in the table are of.
const LATENCY_SECONDS: usize = 10;

/// How long threads may take to end.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Runs the demo to its end.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let mut demo = Demo::start(args)?;
    let until = args.seconds.map(|seconds| Instant::now() + seconds);
    let done = || interrupt.is_set() || until.is_some_and(|until| Instant::now() >= until);
    let mut sample = |model: &mut Model, typed: &[char]| demo.sample(model, typed);
    match (args.json, stdout().is_terminal(), stderr().is_terminal()) {
        (false, true, _) => live(sample, done)?,
        (false, false, _) => lines(stdout(), |model| sample(model, &[]), done)?,
        (true, _, true) => lines(stderr(), |model| sample(model, &[]), done)?,
        (true, _, false) => lines(sink(), |model| sample(model, &[]), done)?,
    }
    let (model, tally) = demo.end()?;
    if args.json {
        println!("{}", Report::of(&model, tally.balanced()).to_json()?);
    } else if stdout().is_terminal() {
        println!("{}", summary(&model));
        engine_summary(&model)
            .iter()
            .chain(&slow_summary(&model))
            .for_each(|line| println!("{line}"));
        tally.lines().iter().for_each(|line| println!("{line}"));
    }
    tally.check()?;
    match model.slow.and_then(|slow| slow.checked.first) {
        None => Ok(()),
        Some(wrong) => Err(format!("{wrong}: this is a bug, please report it").into()),
    }
}

/// Everything that runs.
struct Demo {
    cache: Cache,
    feeds: Vec<FeedRef>,
    simulator: Simulator,
    reader: Reader,
    slow: SlowPath,
    market: Market,
    latencies: Latencies,
    engine: Readings,
    pulse: Pulse,
    meter: Meter,
    source: String,
}

impl Demo {
    fn start(args: &DemoArgs) -> Result<Self, Failure> {
        let symbols: Vec<_> = symbol_names(args.symbols).collect();
        let connections = symbols.len().div_ceil(SYMBOLS_PER_FEED);
        let simulator = Simulator::start(Settings {
            symbols: symbols.len(),
            rate: share(args.rate, connections),
            seed: fastrand::u64(..),
            drop_every: Some(LOSS_EVERY * u32::try_from(connections)?),
            ..Settings::default()
        })?;
        let base = format!("ws://{}", simulator.addr());
        let cache = Cache::builder().build()?;
        let groups = || symbols.chunks(symbols.len().div_ceil(connections));
        let names: Vec<_> = (1..=groups().len()).map(feed_name).collect();
        let mut followed = Vec::new();
        for (channel, due) in [("bookTicker", "u"), ("ticker", "L")] {
            for name in &names {
                let entity = cache.entity(&format!("{name}.{channel}"));
                followed.push(Followed {
                    due: entity.field(&[due])?,
                    entity,
                });
            }
        }
        let reader = Reader::start(followed, simulator.clock())?;
        let mut market = Market::new(&cache, &names);
        symbols.iter().for_each(|symbol| market.expect(symbol));
        let attach = |(name, group): (&String, &[String])| {
            let feed = Feed::binance_spot().named(name).base(&base);
            let feed = feed.book_ticker(group).ticker(group);
            let feed = feed.waiting(args.mode.waiting());
            cache.attach(feed.backoff(Backoff::fixed(RECONNECT_AFTER)))
        };
        let feeds = names
            .iter()
            .zip(groups())
            .map(attach)
            .collect::<Result<Vec<_>, _>>()?;
        let many = match connections {
            1 => String::new(),
            more => format!("{more} connections to "),
        };
        let source = format!(
            "{} symbols, {many}{}",
            count(symbols.len() as u64),
            simulator.url()
        );
        let slow = SlowPath::start(&cache, fastrand::u64(..), Order::default())?;
        let latencies = Latencies::new(LATENCY_SECONDS);
        let (pulse, meter) = (Pulse::new(), Meter::new());
        Ok(Self {
            cache,
            feeds,
            simulator,
            reader,
            slow,
            market,
            latencies,
            engine: Readings::new(LATENCY_SECONDS),
            pulse,
            meter,
            source,
        })
    }

    /// Brings the model up to date, after what was typed has been done.
    fn sample(&mut self, model: &mut Model, typed: &[char]) {
        typed.iter().for_each(|letter| self.slow.key(*letter));
        if model.title.is_empty() {
            "demo".clone_into(&mut model.title);
            self.source.clone_into(&mut model.source);
        }
        model.link = pulse::link(&self.feeds);
        let tally = Tally::of(self.cache.counters());
        let beat = self.pulse.beat(model, &tally);
        if let Some(beat) = beat {
            self.latencies.second(|second| self.reader.take(second));
            model.latency = self.latencies.recent();
            model.engine = Some(self.engine.second(&self.feeds));
            let (served, checked) = self.slow.cpu();
            let simulated = self.simulator.stats().cpu + served;
            let others = self.reader.cpu() + checked;
            model.cpu = self.meter.second(beat, simulated, others);
        }
        model.slow = Some(self.slow.sample());
        table::fill(&mut self.market, &self.cache, model, beat);
    }

    /// Stops everything, and gives the whole run.
    fn end(self) -> Result<(Model, Tally), Failure> {
        let Self {
            cache,
            feeds,
            simulator,
            reader,
            mut slow,
            mut market,
            mut latencies,
            mut pulse,
            meter,
            ..
        } = self;
        let mut model = Model {
            title: "demo".to_owned(),
            ..Model::default()
        };
        // While the connections are still there.
        let tally = Tally::of(cache.counters());
        pulse.beat(&mut model, &tally);
        table::fill(&mut market, &cache, &mut model, None);
        model.link = pulse::link(&feeds);
        model.slow = Some(slow.sample());
        let elapsed = pulse.elapsed();
        cache.close_blocking(CLOSE_WITHIN)?;
        let mut rest = Ok(Duration::ZERO);
        latencies.second(|last| rest = reader.join(last));
        let events = slow.feed().clone();
        let (served, checked) = slow.end()?;
        let others = rest? + checked;
        let simulated = simulator.stats().cpu + served;
        simulator.stop()?;
        for feed in feeds.iter().chain([&events]) {
            if let Some(end) = feed
                .wait_finished(Duration::ZERO)
                .filter(|end| !end.is_clean())
            {
                return Err(format!("{} ended by itself: {end:?}", feed.name()).into());
            }
        }
        let tally = Tally::of(cache.counters());
        model.elapsed = elapsed;
        model.totals = pulse::totals(&tally);
        model.totals.updates_per_second =
            tally.sum.applied as f64 / elapsed.as_secs_f64().max(1e-9);
        model.latency = latencies.whole();
        model.engine = Some(engine::of(&feeds));
        model.cpu = meter.whole(elapsed, simulated, others);
        Ok((model, tally))
    }
}

/// `binance-spot`, `binance-spot-2` and so on.
fn feed_name(number: usize) -> String {
    match number {
        1 => "binance-spot".to_owned(),
        more => format!("binance-spot-{more}"),
    }
}

/// The part of a rate that one of several connections has.
fn share(rate: Rate, connections: usize) -> Rate {
    match rate {
        Rate::Max => Rate::Max,
        Rate::PerSecond(all) => {
            let part = all.get().div_ceil(connections.max(1) as u64);
            Rate::PerSecond(NonZeroU64::new(part).unwrap_or(NonZeroU64::MIN))
        }
    }
}

/// Tells the engine's processor time from that of what is around it.
#[derive(Debug)]
struct Meter {
    before: Option<Spent>,
    first: Option<Spent>,
}

/// Processor time since the process began.
#[derive(Clone, Copy, Debug)]
struct Spent {
    engine: Duration,
    simulator: Duration,
}

impl Spent {
    /// The engine is everything that is neither the simulator, nor the reader, nor this thread.
    fn now(simulator: Duration, reader: Duration, own: Option<Duration>) -> Option<Self> {
        let engine = process_cpu()?.saturating_sub(simulator + reader + own?);
        Some(Self { engine, simulator })
    }

    /// In per cent of one core, over a time.
    fn since(self, before: Self, time: Duration) -> Cpu {
        let percent = |now: Duration, before: Duration| {
            Some(100.0 * now.saturating_sub(before).as_secs_f64() / time.as_secs_f64().max(1e-3))
        };
        Cpu {
            engine: percent(self.engine, before.engine),
            simulator: percent(self.simulator, before.simulator),
        }
    }
}

impl Meter {
    fn new() -> Self {
        let first = Spent::now(Duration::ZERO, Duration::ZERO, thread_cpu());
        Self {
            before: first,
            first,
        }
    }

    fn second(&mut self, time: Duration, simulator: Duration, reader: Duration) -> Cpu {
        let now = Spent::now(simulator, reader, thread_cpu());
        let before = std::mem::replace(&mut self.before, now);
        now.zip(before)
            .map_or_else(Cpu::default, |(now, before)| now.since(before, time))
    }

    fn whole(&self, time: Duration, simulator: Duration, reader: Duration) -> Cpu {
        let now = Spent::now(simulator, reader, thread_cpu());
        now.zip(self.first)
            .map_or_else(Cpu::default, |(now, first)| now.since(first, time))
    }
}
