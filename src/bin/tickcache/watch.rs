//! `watch`: a live feed, as a table, as a line a second, or as the final state.

use std::io::{IsTerminal, stderr, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tickcache::cache::{Cache, Feed, FeedRef};
use tickcache::feed::Protocol;
use tickcache::{Endpoint, Roots};

use crate::args::{Preset, WatchArgs};
use crate::pulse::{self, Pulse};
use crate::table::{self, Market, Table, Values};
use crate::tally::Tally;
use crate::ui::{Interrupt, Model, lines, live, summary};
use crate::{Failure, preset, state};

/// How long the feed may take to say goodbye.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Watches a feed until the time is over, nothing comes any more, or the user ends it.
pub(crate) fn run(args: &WatchArgs) -> Result<(), Failure> {
    let cache = Cache::builder().build()?;
    match args.preset {
        Preset::BinanceSpot => {
            let mut market = Market::new(&cache, ["binance-spot"]);
            watch(&cache, Feed::binance_spot(), &mut market, args)
        }
        Preset::Events => {
            let feed = preset::events(args.merge, args.missing);
            watch(&cache, feed, &mut Values::default(), args)
        }
    }
}

fn watch<P, T>(cache: &Cache, feed: Feed<P>, table: &mut T, args: &WatchArgs) -> Result<(), Failure>
where
    P: Protocol + Clone,
    T: Table,
{
    let address = address(&args.url);
    let endpoint = Endpoint::new(&args.url);
    let endpoint = args
        .subscribe
        .iter()
        .fold(endpoint, |endpoint, text| endpoint.text(text));
    let mut feed = feed.endpoint(endpoint);
    if let Some(path) = &args.ca {
        let roots = roots(path)?;
        feed = feed.connect(|connect| connect.roots(roots));
    }
    let interrupt = Interrupt::install()?;
    let feed = cache.attach(feed)?;
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
    tally.hint().iter().for_each(|hint| eprintln!("{hint}"));
    tally.check()?;
    if args.print {
        state::print(cache).map_err(|error| format!("cannot print the state: {error}"))?;
    }
    Ok(())
}

/// A URL without user name, password and query, where secrets stand.
fn address(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    let (scheme, rest) = url.split_once("://").unwrap_or(("ws", url));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The certificates in a PEM file, looked at now so that a wrong file is told at once.
fn roots(path: &Path) -> Result<Roots, Failure> {
    let told = |error: &dyn std::fmt::Display| {
        format!(
            "cannot use the certificates in {}: {error}; name a PEM file",
            path.display()
        )
    };
    let pem = std::fs::read(path).map_err(|error| told(&error))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| told(&error))?;
    if certificates.is_empty() {
        return Err(told(&"there are none").into());
    }
    Ok(Roots::Pem(pem))
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
