//! The rows beside a recording: for each line of `NAME.jsonl.gz` one of `NAME.recv.tsv.gz`.
//!
//! A row is the receive time in Unix nanoseconds, a tab, the number of the connection, and mostly
//! nothing else. A third column says what lines alone cannot: `+` that the line goes on with the
//! message of the line before, which held a line break; `.` that a blank line is a message.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Outcome, open, read_line};

/// Longest row that is taken.
const MAX_ROW: usize = 256;

/// What a row says of its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    nanos: Option<u64>,
    pub(super) connection: Option<u64>,
    pub(super) mark: Mark,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mark {
    #[default]
    Nothing,
    /// The message of the line before goes on.
    GoesOn,
    /// The line is a message although it is blank.
    Blank,
}

impl Row {
    fn parse(text: &[u8]) -> Self {
        let Ok(text) = str::from_utf8(text) else {
            return Self::default();
        };
        let mut columns = text.trim_end_matches('\r').split('\t');
        let mut number = || columns.next().and_then(|column| column.parse().ok());
        let (nanos, connection) = (number(), number());
        let mark = match columns.next() {
            Some("+") => Mark::GoesOn,
            Some(".") => Mark::Blank,
            _ => Mark::Nothing,
        };
        Self {
            nanos,
            connection,
            mark,
        }
    }
}

/// The rows of one recording, in order.
pub(super) struct Rows {
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    ahead: Option<Row>,
    /// How many messages have begun.
    messages: u64,
    /// The messages with which a connection begins after all before it have ended.
    begins: VecDeque<u64>,
    first: Option<u64>,
    last: Duration,
}

/// One message as its rows have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) row: Option<Row>,
    /// Since the first row that has a time; that of the row before where it has none.
    pub(super) at: Duration,
    pub(super) timed: bool,
    /// Whether a connection begins with it.
    pub(super) begins: bool,
}

impl Rows {
    /// Opens the rows beside a recording. Of connections only those in `kept` count, or all.
    pub(super) fn open(beside: &Path, kept: &[u64]) -> io::Result<Self> {
        let begins = begins(open(beside)?.0, kept);
        Ok(Self {
            reader: open(beside)?.0,
            line: Vec::new(),
            ahead: None,
            messages: 0,
            begins,
            first: None,
            last: Duration::ZERO,
        })
    }

    fn row(&mut self) -> Option<Row> {
        let ahead = self.ahead.take();
        ahead.or_else(|| read_row(&mut *self.reader, &mut self.line))
    }

    /// The row of the next line, with which a message begins.
    pub(super) fn next(&mut self) -> Noted {
        let row = self.row();
        let nanos = row.and_then(|row| row.nanos);
        if let Some(nanos) = nanos {
            let first = *self.first.get_or_insert(nanos);
            self.last = Duration::from_nanos(nanos.saturating_sub(first));
        }
        let begins = self.begins.front() == Some(&self.messages);
        if begins {
            self.begins.pop_front();
        }
        self.messages += 1;
        Noted {
            row,
            at: self.last,
            timed: nanos.is_some(),
            begins,
        }
    }

    /// Whether the next line goes on with the message; its row is then over.
    pub(super) fn goes_on(&mut self) -> bool {
        self.ahead = self.row();
        let goes_on = self.ahead.is_some_and(|row| row.mark == Mark::GoesOn);
        if goes_on {
            self.ahead = None;
        }
        goes_on
    }
}

fn read_row(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> Option<Row> {
    match read_line(reader, line, MAX_ROW) {
        Ok(Outcome::Line) => Some(Row::parse(line)),
        Ok(Outcome::TooLong) => Some(Row::default()),
        Ok(Outcome::End) | Err(_) => None,
    }
}

/// Looks through all rows for the messages with which a connection begins after all before it have
/// ended: a reconnect. Connections that lie side by side are one, as they are for their reader.
fn begins(mut reader: Box<dyn BufRead + Send>, kept: &[u64]) -> VecDeque<u64> {
    let mut spans: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let (mut line, mut message) = (Vec::new(), 0);
    while let Some(row) = read_row(&mut *reader, &mut line) {
        if row.mark == Mark::GoesOn {
            continue;
        }
        let connection = row.connection;
        if let Some(connection) = connection.filter(|c| kept.is_empty() || kept.contains(c)) {
            spans.entry(connection).or_insert((message, message)).1 = message;
        }
        message += 1;
    }
    let mut spans: Vec<_> = spans.into_values().collect();
    spans.sort_unstable();
    let mut ended = None;
    let mut begins = VecDeque::new();
    for (first, last) in spans {
        if ended.is_some_and(|ended| first > ended) {
            begins.push_back(first);
        }
        ended = ended.max(Some(last));
    }
    begins
}

/// `NAME.recv.tsv.gz` for `NAME.jsonl.gz`, or `NAME.recv.tsv` if only that is there.
pub(super) fn beside(path: &Path) -> PathBuf {
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
