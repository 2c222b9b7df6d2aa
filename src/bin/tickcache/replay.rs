//! `replay`: recorded messages through the engine, from bytes in this process or over a WebSocket.
//!
//! What is refused, unmapped, missing or has a gap is counted and told, and is no failure: the state
//! is what the engine makes of such a recording. A run fails if files cannot be opened, if messages
//! get lost on the way, or if the ledgers do not balance.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::de::IgnoredAny;
use tickcache::cache::{Cache, Feed};
use tickcache::feed::{Backoff, Protocol, Refusal};
use tickcache::{Endpoint, ws};

use crate::args::{ReplayArgs, Speed, Through};
use crate::input::{MAX_LINE_BYTES, Next, Place, Plays, Problems, Progress, Source};
use crate::preset::{self, For, Visit};
use crate::simulator::{Playback, Timed};
use crate::tally::Tally;
use crate::ui::{count, span};
use crate::{Failure, state};

/// Messages of one batch through memory: as many as one read of a socket brings at full load.
const BATCH: usize = 512;

/// How often the progress bar moves.
const BAR_EVERY: Duration = Duration::from_millis(100);

/// How long threads may take to end.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// The server plays one recorded connection after the other: each is to be taken up at once. After
/// the last one attempts find nobody, until the feed is told to end.
const RECONNECT: Duration = Duration::from_millis(1);

/// Runs a replay to its end.
pub(crate) fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let replayed = preset::with(&args.format, For::Replay, Replay(args));
    replayed.unwrap_or_else(|| Err("there is no format".into()))?
}

struct Replay<'a>(&'a ReplayArgs);

impl Visit for Replay<'_> {
    type Output = Result<(), Failure>;

    fn visit<P: Protocol + Clone>(self, feed: Feed<P>) -> Self::Output {
        replay(feed, self.0)
    }
}

/// What a replay came to.
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    took: Duration,
    /// Time spent in the engine alone, where that is known.
    engine: Option<Duration>,
}

fn replay<P: Protocol + Clone>(feed: Feed<P>, args: &ReplayArgs) -> Result<(), Failure> {
    let plays = Plays {
        recorded: args.speed == Speed::Recorded,
        connections: args.connections.clone(),
    };
    let source = Source::open(&args.files, &plays)?;
    // What the recorder waited for, such as the answer to a login, is in the recording, or is not.
    let feed = feed.settings(|settings| settings.answer_timeout = Duration::MAX);
    let problems = source.shared_problems();
    let cache = Cache::builder().build()?;
    let outcome = match args.through {
        Through::Memory => memory(&cache, feed, source)?,
        Through::Websocket => websocket(&cache, feed, source)?,
    };
    cache.close_blocking(CLOSE_WITHIN)?;
    let problems: MutexGuard<'_, Problems> =
        problems.lock().unwrap_or_else(PoisonError::into_inner);
    report(&cache, &outcome, &problems, args.through);
    outcome.tally.check()?;
    if args.print {
        state::print(&cache).map_err(|error| format!("cannot print the state: {error}"))?;
    }
    Ok(())
}

/// From bytes to slots on this thread.
pub(crate) fn memory<P: Protocol>(
    cache: &Cache,
    feed: Feed<P>,
    mut source: Source,
) -> Result<Outcome, Failure> {
    let mut bar = Bar::new(&source);
    let mut feed = cache.local(feed)?;
    let mut lot = Lot::default();
    let mut engine = Duration::ZERO;
    let start = Instant::now();
    feed.open();
    while let Some(due) = lot.fill(&mut source) {
        if let Some(early) = due.checked_sub(start.elapsed()) {
            std::thread::sleep(early);
        }
        let began = Instant::now();
        if lot.begins {
            feed.close();
            feed.open();
        }
        let mut batch = feed.batch();
        lot.each(|text, place| {
            if let Err(refusal) = batch.message(text) {
                source.refused(place, refusal);
            }
        });
        drop(batch);
        engine += began.elapsed();
        bar.update(|| feed.counters().messages);
    }
    let took = start.elapsed();
    bar.end();
    let tally = Tally::of([("the feed".to_owned(), feed.counters())]);
    Ok(Outcome {
        tally,
        took,
        engine: Some(engine),
    })
}

/// Over loopback through the real feed.
pub(crate) fn websocket<P>(
    cache: &Cache,
    feed: Feed<P>,
    mut source: Source,
) -> Result<Outcome, Failure>
where
    P: Protocol + Clone,
{
    let mut bar = Bar::new(&source);
    let playback = Playback::start(std::iter::from_fn(move || timed(&mut source)))?;
    let limits = ws::Limits {
        max_message: MAX_LINE_BYTES,
        ..ws::Limits::default()
    };
    let feed = feed
        .endpoint(Endpoint::new(playback.url()))
        .backoff(Backoff::fixed(RECONNECT))
        // A recorded notice that the server closes is no reason to look for another one.
        .lifetime(Duration::MAX)
        .limits(limits);
    let start = Instant::now();
    let feed = cache.attach(feed)?;
    let (tell, played) = channel();
    std::thread::Builder::new()
        .name("tickcache-played".into())
        // Nobody listens any more if the replay has failed.
        .spawn(move || drop(tell.send(playback.finish())))?;
    // The client answers the server's close frame, which follows all messages, after it has taken
    // those in; the server ends then.
    let sent = loop {
        match played.recv_timeout(BAR_EVERY) {
            Ok(sent) => break sent,
            Err(RecvTimeoutError::Timeout) => bar.update(|| feed.counters().messages),
            Err(RecvTimeoutError::Disconnected) => return Err("the playback has no end".into()),
        }
        let status = feed.state();
        if let (0, Some(error)) = (status.generation, status.last_error) {
            return Err(format!("cannot connect to the playback: {error}").into());
        }
    };
    let took = start.elapsed();
    bar.end();
    let loss = feed
        .state()
        .last_loss
        .map_or_else(String::new, |loss| format!(": {loss}"));
    cache.close_blocking(CLOSE_WITHIN)?;
    let sent = sent.map_err(|error| format!("{error}{loss}"))?;
    let tally = Tally::of([(feed.name().to_owned(), feed.counters())]);
    let got = tally.sum.messages;
    if got != sent {
        return Err(format!("the feed took in {got} of {sent} messages{loss}").into());
    }
    Ok(Outcome {
        tally,
        took,
        engine: None,
    })
}

/// The next message for the server. What is no JSON is sent all the same, and noted here: behind
/// the socket its line is not known.
fn timed(source: &mut Source) -> Option<Timed> {
    let take = |text: &str| {
        (
            text.to_owned(),
            serde_json::from_str::<IgnoredAny>(text).is_ok(),
        )
    };
    let Next {
        taken: (text, is_json),
        place,
        due,
        begins,
    } = source.next(take)?;
    if !is_json {
        source.refused(place, Refusal::Malformed);
    }
    Some(Timed {
        text,
        at: due,
        begins,
    })
}

/// Problems, counters and speed, on standard error.
fn report(cache: &Cache, outcome: &Outcome, problems: &Problems, through: Through) {
    let tally = &outcome.tally;
    problems
        .report()
        .chain(tally.lines())
        .for_each(|line| eprintln!("{line}"));
    if tally.sum.refused > 0 && through == Through::Websocket {
        eprintln!("(through memory every refused line is named)");
    }
    tally.hint().iter().for_each(|hint| eprintln!("{hint}"));
    let (values, entities) = state::size(cache);
    eprintln!(
        "values {values} in {entities} entities; gaps {}; unreadable lines {}",
        tally.sum.gaps,
        problems.unreadable()
    );
    let messages = tally.sum.messages;
    let rate = messages as f64 / outcome.took.as_secs_f64().max(1e-9);
    let mut speed = format!(
        "{messages} messages in {}: {rate:.0} messages/s",
        span(outcome.took)
    );
    if let Some(engine) = outcome.engine.filter(|_| messages > 0) {
        let each = span(engine.div_f64(messages as f64));
        speed += &format!(", reading the files included; in the engine {each} a message");
    }
    eprintln!("{speed}");
}

/// A progress bar over files. Draws nothing where standard error is no terminal.
struct Bar {
    bar: ProgressBar,
    files: Vec<Progress>,
    next: Instant,
}

impl Bar {
    fn new(source: &Source) -> Self {
        let files = source.progress();
        let bar = ProgressBar::new(files.iter().map(|file| file.total).sum());
        // At recorded times most of a file is read long before it is due.
        let style = if source.is_recorded() {
            "{spinner} {elapsed}  {msg}"
        } else {
            "{bar:40} {percent:>3} %  {bytes} of {total_bytes}  {elapsed}  {msg}"
        };
        // Were the template wrong, the built-in style would do.
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self {
            bar,
            files,
            next: Instant::now() + BAR_EVERY,
        }
    }

    fn update(&mut self, messages: impl FnOnce() -> u64) {
        let now = Instant::now();
        if now >= self.next {
            self.next = now + BAR_EVERY;
            self.bar
                .set_position(self.files.iter().map(Progress::bytes).sum());
            self.bar
                .set_message(format!("{} messages", count(messages())));
            self.bar.tick();
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Messages that are taken in together.
#[derive(Default)]
struct Lot {
    bytes: Vec<u8>,
    /// Where each ends, and where it was read.
    ends: Vec<(usize, Place)>,
    /// Whether a connection begins with the first of them.
    begins: bool,
    /// The first message of the next connection, which goes into the next lot.
    held: Option<Next<Vec<u8>>>,
}

impl Lot {
    /// Reads the next messages, one alone where they have times; says when the last is due.
    fn fill(&mut self, source: &mut Source) -> Option<Duration> {
        self.bytes.clear();
        self.ends.clear();
        self.begins = false;
        let most = if source.is_recorded() { 1 } else { BATCH };
        let mut due = Duration::ZERO;
        if let Some(held) = self.held.take() {
            self.bytes.extend_from_slice(&held.taken);
            self.ends.push((self.bytes.len(), held.place));
            (self.begins, due) = (true, held.due);
        }
        while self.ends.len() < most {
            let start = self.bytes.len();
            let bytes = &mut self.bytes;
            let next = source.next(|text| bytes.extend_from_slice(text.as_bytes()));
            let Some(Next {
                place,
                due: at,
                begins,
                ..
            }) = next
            else {
                break;
            };
            if begins && !self.ends.is_empty() {
                self.held = Some(Next {
                    taken: self.bytes.split_off(start),
                    place,
                    due: at,
                    begins,
                });
                break;
            }
            self.begins |= begins;
            self.ends.push((self.bytes.len(), place));
            due = at;
        }
        (!self.ends.is_empty()).then_some(due)
    }

    fn each(&mut self, mut take: impl FnMut(&mut [u8], Place)) {
        let mut rest = self.bytes.as_mut_slice();
        let mut start = 0;
        for (end, place) in &self.ends {
            let (text, tail) = std::mem::take(&mut rest).split_at_mut(end - start);
            take(text, *place);
            (rest, start) = (tail, *end);
        }
    }
}
