//! Recorded traffic at full speed beside everything else: through memory once, then through a real
//! WebSocket again and again. Each pass has to come to the same state, with nothing lost on the way.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;
use tickcache::cache::{Cache, Feed};
use tickcache::feed::Protocol;

use super::problems::Problems;
use super::tape::Held;
use crate::Failure;
use crate::args::{Format, SoakArgs};
use crate::input::{Plays, Source};
use crate::preset::{self, For, Visit};
use crate::replay;

/// How long threads may take to end.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// What came of the passes.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Captured {
    /// Over a WebSocket.
    pub(crate) passes: u64,
    pub(crate) messages: u64,
    /// Of the state that each came to.
    pub(crate) hash: String,
}

/// The thread that plays a recording, if there is one.
#[derive(Debug)]
pub(crate) struct Captures(Option<Playing>);

#[derive(Debug)]
struct Playing {
    stop: Sender<()>,
    thread: JoinHandle<Result<Captured, Failure>>,
}

impl Captures {
    pub(crate) fn start(args: &SoakArgs, problems: &Arc<Problems>) -> io::Result<Self> {
        let Some(file) = args.capture.clone() else {
            return Ok(Self(None));
        };
        let (files, format) = ([file], args.format.clone());
        let problems = Arc::clone(problems);
        let (stop, stopped) = mpsc::channel();
        let play = move || {
            let (first, ..) = pass(&files, &format, true)?;
            let mut captured = Captured {
                hash: first.hash(),
                ..Captured::default()
            };
            let mut rest = Duration::ZERO;
            // Ended by word, and by the end of its handle.
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(rest) {
                let began = Instant::now();
                let (held, messages) = pass(&files, &format, false)?;
                captured.passes += 1;
                captured.messages += messages;
                if let Some(difference) = held.difference(&first) {
                    problems.add("a recording comes to the same state each time", || {
                        difference
                    });
                }
                // The other half of the time is for the rest.
                rest = began.elapsed();
            }
            Ok(captured)
        };
        let thread = std::thread::Builder::new()
            .name("soak-capture".into())
            .spawn(play)?;
        Ok(Self(Some(Playing { stop, thread })))
    }

    /// Ends it after the pass of the moment; `None` where nothing was to be played.
    pub(crate) fn stop(self) -> Result<Option<Captured>, Failure> {
        let Some(Playing { stop, thread }) = self.0 else {
            return Ok(None);
        };
        // It may have ended by an error, which the next lines tell.
        let _ = stop.send(());
        let ended = thread.join();
        Ok(Some(
            ended.map_err(|_| "the thread of the recording panicked")??,
        ))
    }
}

struct Pass<'a> {
    files: &'a [std::path::PathBuf],
    through_memory: bool,
}

/// Plays the recording once, into a cache of its own; gives the state of all entities then, and how
/// many messages it came from.
fn pass(
    files: &[std::path::PathBuf],
    format: &Format,
    through_memory: bool,
) -> Result<(Held, u64), Failure> {
    let pass = Pass {
        files,
        through_memory,
    };
    let passed = preset::with(format, For::Replay, pass);
    passed.unwrap_or_else(|| Err("there is no format".into()))?
}

impl Visit for Pass<'_> {
    type Output = Result<(Held, u64), Failure>;

    fn visit<P: Protocol + Clone>(self, feed: Feed<P>) -> Self::Output {
        let plays = Plays {
            recorded: false,
            connections: Vec::new(),
        };
        let source = Source::open(self.files, &plays)?;
        let feed = feed.settings(|settings| settings.answer_timeout = Duration::MAX);
        let cache = Cache::builder().build()?;
        let outcome = if self.through_memory {
            replay::memory(&cache, feed, source)?
        } else {
            replay::websocket(&cache, feed, source)?
        };
        cache.close_blocking(CLOSE_WITHIN)?;
        outcome.tally.check()?;
        let entities = cache.entities();
        let held = entities.iter().flat_map(|entity| {
            let Held(lines) = Held::of(&cache, entity.name());
            let name = entity.name().to_owned();
            lines.into_iter().map(move |line| format!("{name} {line}"))
        });
        Ok((Held(held.collect()), outcome.tally.sum.messages))
    }
}
