//! The messages of several files, one after the other.

use std::collections::VecDeque;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Item, Lines, OpenError, Problems, Progress, Reason};

/// Where a message was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Which of the files, from 0.
    file: usize,
    /// Which line of it, from 1.
    pub(crate) line: u64,
}

/// Which messages of recordings are played, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plays {
    /// At the recorded times.
    pub(crate) recorded: bool,
    /// Those of these connections; of all, if there are none.
    pub(crate) connections: Vec<u64>,
}

impl Plays {
    /// The option without which a recording needs no rows.
    pub(super) fn needs_rows(&self) -> Option<&'static str> {
        if self.recorded {
            return Some("--speed recorded");
        }
        (!self.connections.is_empty()).then_some("--connection")
    }
}

/// A message that was shown.
#[derive(Debug)]
pub(crate) struct Next<R> {
    /// The answer of who took it.
    pub(crate) taken: R,
    /// Where it stands.
    pub(crate) place: Place,
    /// When it is due, counted from the beginning of the first file.
    pub(crate) due: Duration,
    /// Whether a connection begins with it after those before have ended.
    pub(crate) begins: bool,
}

/// The messages of all files. What is wrong with a line is noted, and the next one is read.
#[derive(Debug)]
pub(crate) struct Source {
    paths: Vec<PathBuf>,
    files: VecDeque<Lines>,
    recorded: bool,
    /// Whether a message was shown.
    begun: bool,
    /// Which of the paths is read, and when its first message is due.
    file: usize,
    base: Duration,
    last: Duration,
    progress: Vec<Progress>,
    problems: Arc<Mutex<Problems>>,
}

impl Source {
    /// Opens every file, so that one that is not there is told before anything is done; and the
    /// rows beside each, which may be missing unless they are needed.
    pub(crate) fn open(paths: &[PathBuf], plays: &Plays) -> Result<Self, OpenError> {
        let open = |path: &PathBuf| Lines::open(path, plays);
        let files = paths.iter().map(open).collect::<Result<VecDeque<_>, _>>()?;
        Ok(Self {
            paths: paths.to_vec(),
            progress: files.iter().map(Lines::progress).collect(),
            files,
            recorded: plays.recorded,
            begun: false,
            file: 0,
            base: Duration::ZERO,
            last: Duration::ZERO,
            problems: Arc::default(),
        })
    }

    /// Whether messages have times at which they are due.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// How far each file has been read.
    pub(crate) fn progress(&self) -> Vec<Progress> {
        self.progress.clone()
    }

    /// What was wrong with lines so far; it outlives the source.
    pub(crate) fn shared_problems(&self) -> Arc<Mutex<Problems>> {
        Arc::clone(&self.problems)
    }

    /// What was wrong with lines so far.
    pub(crate) fn problems(&self) -> MutexGuard<'_, Problems> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a message was refused, and why.
    #[cold]
    pub(crate) fn refused(&self, place: Place, why: impl Display) {
        self.problems().add(
            &self.paths[place.file],
            place.line,
            &Reason::Refused(why.to_string()),
        );
    }

    /// Shows the next message to `take`. A file begins when the last message of the one before is
    /// due.
    pub(crate) fn next<R>(&mut self, take: impl FnOnce(&str) -> R) -> Option<Next<R>> {
        loop {
            let lines = self.files.front_mut()?;
            let note = |line, reason| {
                let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
                problems.add(&self.paths[self.file], line, &reason);
            };
            match lines.next() {
                None => {
                    self.files.pop_front();
                    self.file += 1;
                    self.base = self.last;
                }
                Some(Item::Unreadable { line, reason }) => note(line, reason),
                Some(Item::Message {
                    line,
                    text,
                    at,
                    timed,
                    begins,
                }) => {
                    if !timed {
                        note(line, Reason::NoTime);
                    }
                    self.last = self.base + at;
                    let place = Place {
                        file: self.file,
                        line,
                    };
                    let begun = std::mem::replace(&mut self.begun, true);
                    return Some(Next {
                        taken: take(text),
                        place,
                        due: self.last,
                        begins: begins && begun,
                    });
                }
            }
        }
    }
}
