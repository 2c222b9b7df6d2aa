//! `record`: live feeds, written down byte for byte as they come.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tickcache::FeedStatus;
use tickcache::cache::{Cache, Feed, FeedRef};
use tickcache::feed::{Protocol, Refusal, State};
use tickcache::ws;

use crate::Failure;
use crate::args::RecordArgs;
use crate::input::MAX_LINE_BYTES;
use crate::live::{Answers, address, reaching, refusal};
use crate::preset::{self, For, Visit};
use crate::tally::Tally;
use crate::ui::{Interrupt, count, span};

mod files;
mod recorder;
mod tape;

pub(crate) use files::{Paths, Writer};
use recorder::{Recorder, Unread};
use tape::Counts;
pub(crate) use tape::Tape;

/// How often the end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often the line of counts moves.
const LINE_EVERY: Duration = Duration::from_millis(250);

/// How long the feeds may take to say goodbye.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Records until the time is over, enough has come, or the user ends it.
pub(crate) fn run(args: &RecordArgs) -> Result<(), Failure> {
    let tape = Arc::new(Tape::new(args.messages));
    let cache = Cache::builder().build()?;
    let interrupt = Interrupt::install()?;
    let urls: Vec<Option<&str>> = match args.urls.as_slice() {
        [] => vec![None],
        urls => urls.iter().map(|url| Some(url.as_str())).collect(),
    };
    // Whatever is wrong with a feed is told before a file is made.
    let mut starts = Vec::new();
    for (at, url) in urls.into_iter().enumerate() {
        let start = Start {
            cache: &cache,
            args,
            url,
            tape: &tape,
            name: format!("recorder-{}", at + 1),
        };
        let start = match preset::with(&args.format, For::Live(&args.live.streams), start.clone()) {
            Some(made) => made??,
            None => start.visit(Feed::custom(Unread))?,
        };
        starts.push(start);
    }
    let paths = Paths::new(&args.out);
    let writer = Writer::start(&paths, args.force, Arc::clone(&tape))?;
    let began = Instant::now();
    let mut feeds = Vec::new();
    let started = starts.into_iter().try_for_each(|start| {
        feeds.push(start()?);
        Ok::<_, Failure>(())
    });
    let ended = started.and_then(|()| follow(&mut feeds, &tape, args, &interrupt, began));
    // The end is a loss as well.
    for recording in &mut feeds {
        recording.status = Some(recording.feed.state());
    }
    let closed = cache.close_blocking(CLOSE_WITHIN);
    let took = began.elapsed();
    tape.close();
    let written = writer.finish();
    let counts = tape.counts();
    if counts.connections == 0 {
        paths.remove();
    }
    ended?;
    written?;
    closed?;
    report(&counts, &Tally::of(cache.counters()), &feeds, took, &paths);
    for Recording { address, feed, .. } in &feeds {
        if feed.counters().opens == 0 {
            let why = feed.state().last_error.map_or_else(
                || "there was no answer; check the address, or give it more time".to_owned(),
                |error| format!("{error}; check the address, the server and the network"),
            );
            return Err(format!("never connected to {address}: {why}").into());
        }
    }
    Ok(())
}

/// One server of a recording.
struct Recording {
    address: String,
    feed: FeedRef,
    answers: Answers,
    /// How it stood before the end.
    status: Option<FeedStatus>,
}

/// What starts a feed once the files are there.
type Starting<'a> = Box<dyn FnOnce() -> Result<Recording, Failure> + 'a>;

/// What makes a feed of whatever the format says.
#[derive(Clone)]
struct Start<'a> {
    cache: &'a Cache,
    args: &'a RecordArgs,
    url: Option<&'a str>,
    tape: &'a Arc<Tape>,
    name: String,
}

impl<'a> Visit for Start<'a> {
    type Output = Result<Starting<'a>, Failure>;

    fn visit<P: Protocol + Clone>(self, feed: Feed<P>) -> Self::Output {
        let Self {
            cache,
            args,
            url,
            tape,
            name,
        } = self;
        let limits = ws::Limits {
            max_message: MAX_LINE_BYTES,
            ..ws::Limits::default()
        };
        let mut shown = url.map(address);
        let feed = feed.map(|inner| {
            if shown.is_none() {
                shown = inner.address(&[]).map(|to| address(&to.url));
            }
            let texts = args.live.subscribe.clone().into();
            Recorder::new(inner, name, texts, Arc::clone(tape))
        });
        let Some(shown) = shown else {
            return Err(
                "the envelope names no address; give one that begins with ws:// or wss://".into(),
            );
        };
        // The texts are the recorder's to send, so that it can write them down.
        let feed = reaching(feed, url, &args.live, &[])?
            .limits(limits)
            // A successor beside the old connection would have everything recorded twice.
            .lifetime(Duration::MAX)
            // Every message in the order in which it came, however long it is.
            .settings(|settings| settings.bulk_above = usize::MAX);
        Ok(Box::new(move || {
            let feed = cache.attach(feed)?;
            Ok(Recording {
                address: shown,
                answers: Answers::await_of(&feed, &args.live.streams),
                feed,
                status: None,
            })
        }))
    }
}

/// Shows a line of counts until the end.
fn follow(
    feeds: &mut [Recording],
    tape: &Tape,
    args: &RecordArgs,
    interrupt: &Interrupt,
    began: Instant,
) -> Result<(), Failure> {
    let bar = ProgressBar::new_spinner();
    // Were the template wrong, the built-in style would do.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed}  {msg}") {
        bar.set_style(style);
    }
    let shows = std::io::stderr().is_terminal();
    let mut next = began;
    let over = |limit: Duration| began.elapsed() >= limit;
    while !interrupt.is_set() && !tape.is_full() && !args.length.is_some_and(over) {
        if tape.has_failed() {
            // Why is told by the thread that writes.
            break;
        }
        for recording in &mut *feeds {
            let Recording {
                address,
                feed,
                answers,
                ..
            } = recording;
            let say = |line: &String| bar.suspend(|| eprintln!("{line}"));
            answers.bad().iter().for_each(say);
            let status = feed.state();
            if status.state == State::Stopped {
                return Err(format!("the feed of {address} has ended by itself").into());
            }
        }
        if shows && Instant::now() >= next {
            next = Instant::now() + LINE_EVERY;
            bar.set_message(line(feeds, &tape.counts()));
            bar.tick();
        }
        std::thread::sleep(LOOK_EVERY);
    }
    bar.finish_and_clear();
    Ok(())
}

fn line(feeds: &[Recording], counts: &Counts) -> String {
    let open = feeds
        .iter()
        .filter(|recording| recording.feed.state().state == State::Open)
        .count();
    let reconnects: u64 = feeds
        .iter()
        .map(|recording| recording.feed.counters().reconnects)
        .sum();
    format!(
        "{} messages, {} bytes  connected {open} of {}, reconnects {reconnects}",
        count(counts.messages),
        count(counts.bytes),
        feeds.len(),
    )
}

/// What was recorded and what was not, on standard error.
fn report(counts: &Counts, tally: &Tally, feeds: &[Recording], took: Duration, paths: &Paths) {
    eprintln!(
        "recorded {} messages, {} bytes, of {} connections in {} to {}",
        counts.messages,
        counts.bytes,
        counts.connections,
        span(took),
        paths.texts.display()
    );
    for recording in feeds {
        let address = &recording.address;
        let reconnects = recording.feed.counters().reconnects;
        let status = recording.status.as_ref();
        let refused = status.and_then(|status| refusal(address, status));
        refused.iter().for_each(|line| eprintln!("{line}"));
        if reconnects > 0 {
            let loss = status.and_then(|status| status.last_loss);
            let loss = loss.map_or_else(String::new, |loss| format!("; last loss: {loss}"));
            eprintln!("reconnects {reconnects} to {address}: messages may be missing there{loss}");
        }
    }
    eprintln!(
        "sent {} texts, {} with a login in them, which are withheld",
        counts.sent + counts.withheld,
        counts.withheld
    );
    let refused = &tally.sum.refused_by;
    if let Some((_, binary)) = refused.iter().find(|(why, _)| *why == Refusal::Binary) {
        eprintln!("NOT recorded: {binary} binary messages, which have no place in lines of text");
    }
    if counts.waits > 0 {
        eprintln!(
            "the disk was too slow {} times: feeds waited for {} in all; nothing that was received is lost",
            counts.waits,
            span(counts.waited)
        );
    }
}
