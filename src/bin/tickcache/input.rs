//! Recorded messages: `.jsonl` and `.jsonl.gz` files, one message a line.
//!
//! Lines are read one at a time into one buffer. A line that cannot be read is an [`Item`] like any
//! other, with its number, so that nothing is lost without a word and nothing ends the replay. Only
//! a file that cannot be opened is an error. An input or gzip error in the middle ends the file,
//! since nothing behind it can be found; it is reported in the same way.
//!
//! Beside `NAME.jsonl.gz` there may be `NAME.recv.tsv.gz` (either without `.gz`): for every line the
//! Unix time in nanoseconds at which it was received, a tab, and a connection number.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;

mod source;

pub(crate) use source::{Place, Source};

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
    /// without one is not `timed` and has the time of the line before.
    Message {
        line: u64,
        text: &'a str,
        at: Duration,
        timed: bool,
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
    Times(io::Error),
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
            What::Times(error) => write!(
                f,
                "cannot open the receive times in {path}: {error}; \
                 leave out `--speed recorded` or put the file there"
            ),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.what {
            What::Messages(error) | What::Times(error) => Some(error),
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
    times: Option<Times>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Lines {
    /// Opens a file; compressed or not is seen from its first bytes.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let fail = |what| OpenError {
            path: path.to_owned(),
            what,
        };
        let (reader, progress) = open(path).map_err(|error| fail(What::Messages(error)))?;
        if path.is_dir() {
            return Err(fail(What::Directory));
        }
        Ok(Self {
            reader,
            line: Vec::new(),
            number: 0,
            ended: false,
            progress,
            times: None,
        })
    }

    /// Opens a file and the receive times beside it.
    pub(crate) fn open_recorded(path: &Path) -> Result<Self, OpenError> {
        let mut lines = Self::open(path)?;
        let beside = times_beside(path);
        let times = open(&beside).map_err(|error| OpenError {
            path: beside,
            what: What::Times(error),
        });
        lines.times = Some(Times {
            reader: times?.0,
            line: Vec::new(),
            first: None,
            last: Duration::ZERO,
        });
        Ok(lines)
    }

    /// How far the file has been read.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The next line, or `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Item<'_>> {
        if self.ended {
            return None;
        }
        let line = self.number + 1;
        let read = read_line(&mut *self.reader, &mut self.line, MAX_LINE_BYTES);
        let unreadable = |reason| Some(Item::Unreadable { line, reason });
        let fits = match read {
            Ok(Outcome::End) => {
                self.ended = true;
                return None;
            }
            Ok(Outcome::Line) => true,
            Ok(Outcome::TooLong) => false,
            Err(error) => {
                self.ended = true;
                self.number = line;
                return unreadable(Reason::Broken(error.to_string()));
            }
        };
        self.number = line;
        // Every line has a time, readable or not.
        let (at, timed) = self
            .times
            .as_mut()
            .map_or((Duration::ZERO, true), Times::next);
        if !fits {
            return unreadable(Reason::TooLong);
        }
        match str::from_utf8(&self.line) {
            Err(error) => unreadable(Reason::Utf8(error.valid_up_to())),
            Ok(text) if text.trim_ascii().is_empty() => unreadable(Reason::Blank),
            Ok(text) => Some(Item::Message {
                line,
                text,
                at,
                timed,
            }),
        }
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

/// `NAME.recv.tsv.gz` for `NAME.jsonl.gz`, or `NAME.recv.tsv` if only that is there.
fn times_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = stem.strip_suffix(".jsonl").unwrap_or(stem);
    let plain = path.with_file_name(format!("{stem}.recv.tsv"));
    if plain.exists() {
        plain
    } else {
        path.with_file_name(format!("{stem}.recv.tsv.gz"))
    }
}

enum Outcome {
    Line,
    TooLong,
    End,
}

/// Reads up to the next line break, which is not kept. Of a line beyond `limit` the rest is skipped.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>, limit: usize) -> io::Result<Outcome> {
    line.clear();
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
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(match (any, fits) {
        (false, _) => Outcome::End,
        (true, true) => Outcome::Line,
        (true, false) => Outcome::TooLong,
    })
}

struct Times {
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    first: Option<u64>,
    last: Duration,
}

impl Times {
    /// The time of the next line, counted from the first that has one, and whether it has one.
    fn next(&mut self) -> (Duration, bool) {
        let nanos = self.nanos();
        if let Some(nanos) = nanos {
            let first = *self.first.get_or_insert(nanos);
            self.last = Duration::from_nanos(nanos.saturating_sub(first));
        }
        (self.last, nanos.is_some())
    }

    fn nanos(&mut self) -> Option<u64> {
        match read_line(&mut *self.reader, &mut self.line, 256) {
            Ok(Outcome::Line) => {}
            Ok(Outcome::TooLong | Outcome::End) | Err(_) => return None,
        }
        str::from_utf8(&self.line)
            .ok()?
            .split('\t')
            .next()?
            .parse()
            .ok()
    }
}

#[cfg(test)]
mod tests;
