//! What feeds hand to the thread that writes: bounded in bytes, in the order of receipt.
//!
//! Feeds append to one buffer under a short lock; the writer takes the whole buffer and leaves the
//! empty one from before. **A full buffer makes the feeds wait**: nothing that was received is lost,
//! the kernel's buffers fill, and the server notices a slow reader. A server that cuts such a reader
//! off leaves a trace, a new connection number; a message dropped here would leave none. How often
//! and how long feeds waited is counted. Once the disk has failed nobody waits any more.

use std::io::Write as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// Bytes that may wait for the disk; one message may be more than all of them.
const MAX_BYTES: usize = 64 << 20;

/// So many bytes are written without waiting for the next second.
const PLENTY: usize = 4 << 20;

/// Lines of the three files.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Messages.
    pub(super) texts: Vec<u8>,
    /// Receive times and connections.
    pub(super) rows: Vec<u8>,
    /// What was sent.
    pub(super) sent: Vec<u8>,
}

impl Lines {
    fn bytes(&self) -> usize {
        self.texts.len() + self.rows.len() + self.sent.len()
    }

    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.rows.clear();
        self.sent.clear();
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Messages taken.
    pub(crate) messages: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Connections that were opened.
    pub(crate) connections: u64,
    /// Texts sent and written down.
    pub(crate) sent: u64,
    /// Texts sent whose content was withheld.
    pub(crate) withheld: u64,
    /// How often a feed waited for the disk.
    pub(crate) waits: u64,
    /// How long feeds waited for the disk.
    pub(crate) waited: Duration,
}

#[derive(Debug, Default)]
struct State {
    lines: Lines,
    counts: Counts,
    closed: bool,
    failed: bool,
}

/// What is received and sent, on its way to the disk.
#[derive(Debug)]
pub(crate) struct Tape {
    state: Mutex<State>,
    /// There is room again.
    room: Condvar,
    /// There is plenty to write, or the end has come.
    work: Condvar,
    limit: u64,
    max_bytes: usize,
}

/// A text that was sent, as one line.
#[derive(Serialize)]
struct Sent<'a> {
    ts_ns: u128,
    conn: u64,
    text: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    withheld: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Tape {
    /// An empty one that takes `limit` messages.
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self::bounded(limit, MAX_BYTES)
    }

    fn bounded(limit: Option<u64>, max_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            room: Condvar::new(),
            work: Condvar::new(),
            limit: limit.unwrap_or(u64::MAX),
            max_bytes,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is open: its number.
    pub(crate) fn connection(&self) -> u64 {
        let mut state = self.state();
        state.counts.connections += 1;
        state.counts.connections - 1
    }

    /// Takes a message that was received now. Waits while there is no room.
    pub(crate) fn message(&self, connection: u64, text: &[u8]) {
        let mut state = self.state();
        if state.lines.bytes() >= self.max_bytes {
            state = self.wait_for_room(state);
        }
        if state.failed || state.closed || state.counts.messages >= self.limit {
            return;
        }
        // Under the lock, so that the times of several connections are in order.
        let now = unix_nanos();
        let State { lines, counts, .. } = &mut *state;
        counts.messages += 1;
        counts.bytes += text.len() as u64;
        lines.texts.extend_from_slice(text);
        lines.texts.push(b'\n');
        let mark = if text.trim_ascii().is_empty() {
            "\t."
        } else {
            ""
        };
        // Writing to a Vec cannot fail.
        let _ = writeln!(lines.rows, "{now}\t{connection}{mark}");
        for _ in memchr::memchr_iter(b'\n', text) {
            let _ = writeln!(lines.rows, "{now}\t{connection}\t+");
        }
        if lines.bytes() >= PLENTY.min(self.max_bytes) {
            self.work.notify_one();
        }
    }

    #[cold]
    fn wait_for_room<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let began = Instant::now();
        self.work.notify_one();
        while state.lines.bytes() >= self.max_bytes && !state.failed {
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.counts.waits += 1;
        state.counts.waited += began.elapsed();
        state
    }

    /// Notes a text that is sent now; the content of one that is `withheld` is not kept.
    pub(super) fn sent(&self, connection: u64, text: &str, withheld: bool) {
        let mut state = self.state();
        if state.failed || state.closed {
            return;
        }
        let State { lines, counts, .. } = &mut *state;
        counts.sent += u64::from(!withheld);
        counts.withheld += u64::from(withheld);
        let line = Sent {
            ts_ns: unix_nanos(),
            conn: connection,
            text: if withheld { "" } else { text },
            withheld,
        };
        // Neither the form nor a Vec can fail.
        let _ = serde_json::to_writer(&mut lines.sent, &line);
        lines.sent.push(b'\n');
    }

    /// What was counted until now.
    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Whether as many messages were taken as were wanted.
    pub(crate) fn is_full(&self) -> bool {
        self.state().counts.messages >= self.limit
    }

    /// Whether the disk has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// Nothing is taken any more; what was taken is written.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.work.notify_one();
    }

    /// The disk has failed: nothing is taken any more, and nobody waits.
    pub(super) fn fail(&self) {
        self.state().failed = true;
        self.room.notify_all();
    }

    /// Waits for `most`, or until there is plenty; swaps what was taken for the empty `lines`.
    /// False once nothing will follow.
    pub(super) fn take(&self, lines: &mut Lines, most: Duration) -> bool {
        let deadline = Instant::now() + most;
        let mut state = self.state();
        while !state.closed && state.lines.bytes() < PLENTY.min(self.max_bytes) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.work.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut state.lines, lines);
        self.room.notify_all();
        !state.closed
    }
}

fn unix_nanos() -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).expect("UTF-8")
    }

    /// The columns behind the time.
    fn marks(rows: &[u8]) -> Vec<String> {
        let rows = text(rows);
        let behind = |row: &str| row.split_once('\t').expect("columns").1.to_owned();
        rows.lines().map(behind).collect()
    }

    #[test]
    fn every_line_has_a_row() {
        let tape = Tape::new(Some(4));
        let (first, second) = (tape.connection(), tape.connection());
        tape.message(first, b"{\"a\":1}");
        tape.message(second, b"one\ntwo\n");
        tape.message(first, b"");
        tape.message(first, b" \n ");
        tape.message(second, b"beyond the limit");
        assert!(tape.is_full());
        tape.close();
        tape.message(first, b"after the end");
        let mut lines = Lines::default();
        assert!(!tape.take(&mut lines, Duration::MAX / 4));
        assert_eq!(text(&lines.texts), "{\"a\":1}\none\ntwo\n\n\n \n \n");
        assert_eq!(
            marks(&lines.rows),
            ["0", "1", "1\t+", "1\t+", "0\t.", "0\t.", "0\t+"]
        );
        assert_eq!(tape.counts().messages, 4);
        assert_eq!(tape.counts().bytes, 7 + 8 + 3);
    }

    #[test]
    fn what_is_withheld_leaves_no_trace_of_its_text() {
        let tape = Tape::new(None);
        tape.sent(0, "say \"hello\"", false);
        tape.sent(1, "hush", true);
        tape.close();
        let mut lines = Lines::default();
        tape.take(&mut lines, Duration::ZERO);
        let sent: Vec<serde_json::Value> = text(&lines.sent)
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(sent[0]["text"], "say \"hello\"");
        assert_eq!(
            (&sent[1]["text"], &sent[1]["withheld"]),
            (&"".into(), &true.into())
        );
        assert!(!text(&lines.sent).contains("hush"));
        assert_eq!((tape.counts().sent, tape.counts().withheld), (1, 1));
    }

    /// A feed with too much to say waits for the writer, and loses nothing.
    #[test]
    fn a_feed_waits_for_the_disk_and_loses_nothing() {
        let tape = Arc::new(Tape::bounded(None, 100));
        let feed = Arc::clone(&tape);
        let feed = std::thread::spawn(move || {
            (0..1000).for_each(|n| feed.message(0, format!("{n}").as_bytes()));
            feed.close();
        });
        let (mut all, mut lines) = (Vec::new(), Lines::default());
        loop {
            let more = tape.take(&mut lines, Duration::from_secs(3600));
            // One message beyond the bound, and its row.
            assert!(lines.bytes() < 100 + 40, "{}", lines.bytes());
            all.extend_from_slice(&lines.texts);
            lines.clear();
            if !more {
                break;
            }
        }
        feed.join().expect("the feed");
        let expected: String = (0..1000).map(|n| format!("{n}\n")).collect();
        assert_eq!(text(&all), expected);
        assert!(tape.counts().waits > 0);
    }

    #[test]
    fn nobody_waits_for_a_disk_that_has_failed() {
        let tape = Tape::bounded(None, 1);
        tape.message(0, b"x");
        tape.fail();
        tape.message(0, b"y");
        assert_eq!(tape.counts().messages, 1);
    }
}
