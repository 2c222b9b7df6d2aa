//! Recorded messages: `.jsonl` and `.jsonl.gz` files, one message a line.
//!
//! Lines are read one at a time into one buffer. A line that cannot be read is an [`Item`] like any
//! other, with its number, so that nothing is lost without a word and nothing ends the replay. Only
//! a file that cannot be opened is an error. An input or gzip error in the middle ends the file,
//! since nothing behind it can be found; it is reported in the same way.
//!
//! Beside `NAME.jsonl.gz` there may be `NAME.recv.tsv.gz` (either without `.gz`), with a row for every
//! line: see [`rows`]. A line that has a row is taken byte for byte; of others a carriage return at
//! the end is dropped.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;

mod rows;
mod source;

use rows::{Mark, Noted, Rows};
pub(crate) use source::{Next, Place, Plays, Source};

/// Longest line taken. The longest message recorded so far has 5 MB.
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024 * 1024;

/// Problems kept word for word; the others are only counted.
const MAX_TOLD: usize = 20;

const READ_BYTES: usize = 256 * 1024;

/// One line of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A message: its line number (from 1), its text, and when it was received, counted from the
    /// first line of its file. The time is zero unless recorded times were asked for; a line
    /// without one is not `timed` and has the time of the line before. `begins` says that a
    /// connection begins with it.
    Message {
        line: u64,
        text: &'a str,
        at: Duration,
        timed: bool,
        begins: bool,
    },
    /// A line that cannot be read.
    Unreadable { line: u64, reason: Reason },
}

/// Why a line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Not valid UTF-8 from this byte of the line on.
    Utf8(usize),
    /// Nothing but white space.
    Blank,
    /// Longer than 64 MiB.
    TooLong,
    /// The file cannot be read any further.
    Broken(String),
    /// The file ends within a message of several lines.
    Cut,
    /// The recorded time of the line is missing or is no number; the message itself was read.
    NoTime,
    /// The message was read, and then refused.
    Refused(String),
}

impl Reason {
    /// Whether there is no message in the line.
    fn is_unreadable(&self) -> bool {
        !matches!(self, Self::NoTime | Self::Refused(_))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf8(at) => write!(f, "not UTF-8 from byte {} on", at + 1),
            Self::Blank => f.write_str("blank"),
            Self::TooLong => write!(f, "longer than {} MiB", MAX_LINE_BYTES >> 20),
            Self::Broken(error) => write!(f, "the file cannot be read from here on: {error}"),
            Self::Cut => f.write_str("the file ends within this message"),
            Self::NoTime => f.write_str("no receive time is recorded; sent with the line before"),
            Self::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

/// A file that cannot be opened, and what to do about it.
#[derive(Debug)]
pub(crate) struct OpenError {
    path: PathBuf,
    what: What,
}

#[derive(Debug)]
enum What {
    Messages(io::Error),
    Directory,
    Rows(io::Error, &'static str),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.what {
            What::Messages(error) => write!(f, "cannot open {path}: {error}; check the path"),
            What::Directory => write!(
                f,
                "cannot read {path}: it is a directory; name a file in it"
            ),
            What::Rows(error, option) => write!(
                f,
                "cannot open the receive times and connections in {path}: {error}; \
                 leave out `{option}` or put the file there"
            ),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.what {
            What::Messages(error) | What::Rows(error, _) => Some(error),
            What::Directory => None,
        }
    }
}

/// How far a file has been read, for a progress bar on another thread.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    read: Arc<AtomicU64>,
    /// Size of the file as it lies on disk.
    pub(crate) total: u64,
}

impl Progress {
    /// Bytes taken from the file as it lies on disk (compressed ones, if it is).
    pub(crate) fn bytes(&self) -> u64 {
        self.read.load(Relaxed)
    }
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Relaxed);
        Ok(count)
    }
}

/// The lines of one file, in order.
pub(crate) struct Lines {
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
    ended: bool,
    progress: Progress,
    rows: Option<Rows>,
    /// Whether their times count.
    recorded: bool,
    /// The connections whose messages are shown; all, if empty.
    kept: Vec<u64>,
    /// Whether a message was shown.
    begun: bool,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Lines {
    /// Opens a file, and the rows beside it if there are any. Compressed or not is seen from the
    /// first bytes.
    pub(crate) fn open(path: &Path, plays: &Plays) -> Result<Self, OpenError> {
        let fail = |what| OpenError {
            path: path.to_owned(),
            what,
        };
        let (reader, progress) = open(path).map_err(|error| fail(What::Messages(error)))?;
        if path.is_dir() {
            return Err(fail(What::Directory));
        }
        let beside = rows::beside(path);
        let rows = match Rows::open(&beside, &plays.connections) {
            Ok(rows) => Some(rows),
            Err(error) => match plays.needs_rows() {
                None => None,
                Some(option) => {
                    return Err(OpenError {
                        path: beside,
                        what: What::Rows(error, option),
                    });
                }
            },
        };
        Ok(Self {
            reader,
            line: Vec::new(),
            number: 0,
            ended: false,
            progress,
            rows,
            recorded: plays.recorded,
            kept: plays.connections.clone(),
            begun: false,
        })
    }

    /// How far the file has been read.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The next message or unreadable line, or `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Item<'_>> {
        let (line, noted, read) = loop {
            let next = self.read()?;
            let connection = next.1.row.and_then(|row| row.connection);
            let shown = connection.is_some_and(|connection| self.kept.contains(&connection));
            if self.kept.is_empty() || shown || matches!(next.2, Err(Reason::Broken(_))) {
                break next;
            }
        };
        let unreadable = |reason| Some(Item::Unreadable { line, reason });
        if let Err(reason) = read {
            return unreadable(reason);
        }
        let blank = noted.row.is_some_and(|row| row.mark == Mark::Blank);
        match str::from_utf8(&self.line) {
            Err(error) => unreadable(Reason::Utf8(error.valid_up_to())),
            Ok(text) if text.trim_ascii().is_empty() && !blank => unreadable(Reason::Blank),
            Ok(text) => {
                // Each recording has connections of its own.
                let first = !std::mem::replace(&mut self.begun, true);
                Some(Item::Message {
                    line,
                    text,
                    at: if self.recorded {
                        noted.at
                    } else {
                        Duration::ZERO
                    },
                    timed: noted.timed || !self.recorded,
                    begins: noted.begins || (first && self.rows.is_some()),
                })
            }
        }
    }

    /// Reads the lines of the next message: the number of the first, what its row says, and whether
    /// the bytes are in `self.line`.
    fn read(&mut self) -> Option<(u64, Noted, Result<(), Reason>)> {
        if self.ended {
            return None;
        }
        let first = self.number + 1;
        let mut read = read_line(&mut *self.reader, &mut self.line, MAX_LINE_BYTES);
        let mut noted = Noted::default();
        let mut result = Ok(());
        loop {
            match read {
                Ok(Outcome::End) => {
                    self.ended = true;
                    if self.number < first {
                        return None;
                    }
                    return Some((first, noted, Err(Reason::Cut)));
                }
                Ok(Outcome::Line) => {}
                Ok(Outcome::TooLong) => result = Err(Reason::TooLong),
                Err(error) => {
                    self.ended = true;
                    self.number += 1;
                    return Some((first, noted, Err(Reason::Broken(error.to_string()))));
                }
            }
            self.number += 1;
            let Some(rows) = &mut self.rows else {
                break;
            };
            if self.number == first {
                // Every line has a row, readable or not.
                noted = rows.next();
            }
            if !rows.goes_on() {
                break;
            }
            self.line.push(b'\n');
            read = append_line(&mut *self.reader, &mut self.line, MAX_LINE_BYTES);
        }
        if noted.row.is_none() && self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Some((first, noted, result))
    }
}

/// What was wrong with lines, over all files: every case is counted, the first ones are told.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    told: Vec<String>,
    noted: u64,
    unreadable: u64,
}

impl Problems {
    /// Notes a line of a file.
    pub(crate) fn add(&mut self, path: &Path, line: u64, reason: &Reason) {
        self.noted += 1;
        self.unreadable += u64::from(reason.is_unreadable());
        if self.told.len() < MAX_TOLD {
            self.told
                .push(format!("{}:{line}: {reason}", path.display()));
        }
    }

    /// Number of lines that hold no message.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// One line of text for each of the first problems and one for the rest.
    pub(crate) fn report(&self) -> impl Iterator<Item = String> + '_ {
        let rest = self.noted - self.told.len() as u64;
        let rest = (rest > 0).then(|| format!("and {rest} more lines like these"));
        self.told.iter().cloned().chain(rest)
    }
}

fn open(path: &Path) -> io::Result<(Box<dyn BufRead + Send>, Progress)> {
    let file = File::open(path)?;
    let total = file.metadata()?.len();
    let read = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        inner: file,
        read: Arc::clone(&read),
    };
    let mut reader = BufReader::with_capacity(READ_BYTES, counted);
    // A failure to read is told where the lines are read.
    let gzip = reader
        .fill_buf()
        .is_ok_and(|bytes| bytes.starts_with(&[0x1F, 0x8B]));
    let reader: Box<dyn BufRead + Send> = if gzip {
        Box::new(BufReader::with_capacity(
            READ_BYTES,
            MultiGzDecoder::new(reader),
        ))
    } else {
        Box::new(reader)
    };
    Ok((reader, Progress { read, total }))
}

enum Outcome {
    Line,
    TooLong,
    End,
}

/// Reads up to the next line break, which is not kept. Of a line beyond `limit` the rest is skipped.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>, limit: usize) -> io::Result<Outcome> {
    line.clear();
    append_line(reader, line, limit)
}

/// As [`read_line`], behind what is in `line` already.
fn append_line(reader: &mut dyn BufRead, line: &mut Vec<u8>, limit: usize) -> io::Result<Outcome> {
    let mut fits = true;
    let mut any = false;
    loop {
        let available = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        if available.is_empty() {
            break;
        }
        any = true;
        let end = memchr::memchr(b'\n', available);
        let part = &available[..end.unwrap_or(available.len())];
        fits = fits && line.len() + part.len() <= limit;
        if fits {
            line.extend_from_slice(part);
        }
        let used = end.map_or(available.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            break;
        }
    }
    Ok(match (any, fits) {
        (false, _) => Outcome::End,
        (true, true) => Outcome::Line,
        (true, false) => Outcome::TooLong,
    })
}

#[cfg(test)]
mod tests;
