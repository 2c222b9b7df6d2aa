//! `watch`: a live feed, as a table, as a line a second, or as the final state.

use std::io::{IsTerminal, stderr, stdout};
use std::time::{Duration, Instant};

use tickcache::cache::{Cache, Feed, FeedRef};
use tickcache::feed::Protocol;

use crate::args::{Preset, WatchArgs};
use crate::live::{Answers, address, reaching, refusal};
use crate::preset::{self, For, Visit};
use crate::pulse::{self, Pulse};
use crate::table::{self, Market, Table, Values};
use crate::tally::Tally;
use crate::ui::{Interrupt, Model, lines, live, summary};
use crate::{Failure, state};

/// How long the feed may take to say goodbye.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Watches a feed until the time is over, nothing comes any more, or the user ends it.
pub(crate) fn run(args: &WatchArgs) -> Result<(), Failure> {
    let watched = preset::with(&args.format, For::Live(&args.live.streams), Watch(args));
    watched.unwrap_or_else(|| Err("there is no format".into()))?
}

struct Watch<'a>(&'a WatchArgs);

impl Visit for Watch<'_> {
    type Output = Result<(), Failure>;

    fn visit<P: Protocol + Clone>(self, feed: Feed<P>) -> Self::Output {
        let Self(args) = self;
        let cache = Cache::builder().build()?;
        match args.format.preset {
            Some(Preset::BinanceSpot) => {
                let mut market = Market::new(&cache, ["binance-spot"]);
                watch(&cache, feed, &mut market, args)
            }
            _ => watch(&cache, feed, &mut Values::default(), args),
        }
    }
}

fn watch<P, T>(cache: &Cache, feed: Feed<P>, table: &mut T, args: &WatchArgs) -> Result<(), Failure>
where
    P: Protocol + Clone,
    T: Table,
{
    let mut known = None;
    let feed = feed.map(|protocol| {
        known = protocol.address(&[]);
        protocol
    });
    let url = args.url.as_deref();
    let shown = url.or_else(|| known.as_ref().map(|to| to.url.as_str()));
    let Some(address) = shown.map(address) else {
        return Err(
            "the envelope names no address; give one that begins with ws:// or wss://".into(),
        );
    };
    let mut feed = reaching(feed, url, &args.live, &args.live.subscribe)?;
    if args.redundant {
        feed = feed.redundant();
    }
    let interrupt = Interrupt::install()?;
    let feed = cache.attach(feed)?;
    let mut answers = Answers::await_of(&feed, &args.live.streams);
    let mut until = Until::new(args);
    let mut view = View {
        cache,
        feed: &feed,
        table,
        pulse: Pulse::new(),
        url: &address,
    };
    let mut sample = |model: &mut Model| view.sample(model);
    let done = || interrupt.is_set() || until.reached(&feed);
    match (stdout().is_terminal(), args.print) {
        (true, false) => live(|model, _| sample(model), done)?,
        (false, false) => lines(stdout(), sample, done)?,
        (_, true) => lines(stderr(), sample, done)?,
    }
    let mut model = Model::default();
    view.sample(&mut model);
    let status = feed.state();
    let bad = answers.bad();
    cache.close_blocking(CLOSE_WITHIN)?;
    let tally = Tally::of(cache.counters());
    if tally.sum.opens == 0 {
        let why = status.last_error.map_or_else(
            || "there was no answer; check the address, or give it more time".to_owned(),
            |error| format!("{error}; check the address, the server and the network"),
        );
        return Err(format!("never connected to {address}: {why}").into());
    }
    eprintln!("{}", summary(&model));
    tally.lines().iter().for_each(|line| eprintln!("{line}"));
    bad.iter().for_each(|line| eprintln!("{line}"));
    refusal(&address, &status)
        .iter()
        .for_each(|line| eprintln!("{line}"));
    tally.hint().iter().for_each(|hint| eprintln!("{hint}"));
    tally.check()?;
    if args.print {
        state::print(cache).map_err(|error| format!("cannot print the state: {error}"))?;
    }
    Ok(())
}

/// What is shown.
struct View<'a, T> {
    cache: &'a Cache,
    feed: &'a FeedRef,
    table: &'a mut T,
    pulse: Pulse,
    url: &'a str,
}

impl<T: Table> View<'_, T> {
    fn sample(&mut self, model: &mut Model) {
        if model.title.is_empty() {
            "watch".clone_into(&mut model.title);
            self.url.clone_into(&mut model.source);
        }
        model.link = pulse::link(std::slice::from_ref(self.feed));
        let tally = Tally::of(self.cache.counters());
        let beat = self.pulse.beat(model, &tally);
        table::fill(self.table, self.cache, model, beat);
    }
}

/// When to end.
struct Until {
    start: Instant,
    length: Option<Duration>,
    idle: Option<Duration>,
    messages: u64,
    heard: Instant,
}

impl Until {
    fn new(args: &WatchArgs) -> Self {
        let now = Instant::now();
        Self {
            start: now,
            length: args.length,
            idle: args.idle,
            messages: 0,
            heard: now,
        }
    }

    fn reached(&mut self, feed: &FeedRef) -> bool {
        let now = Instant::now();
        let messages = feed.counters().messages;
        if messages != self.messages {
            (self.messages, self.heard) = (messages, now);
        }
        let over = |limit: Option<Duration>, since| limit.is_some_and(|limit| now - since >= limit);
        over(self.length, self.start) || over(self.idle, self.heard)
    }
}
