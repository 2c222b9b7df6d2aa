//! Recorders as processes, and the files that they write.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;

use super::server::Server;

/// A directory of its own for one test, removed when it ends.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("tickcache-record-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// `NAME` with one of the three ends of a recording.
    pub(crate) fn path(&self, end: &str) -> PathBuf {
        self.0.join(format!("a.{end}"))
    }

    pub(crate) fn out(&self) -> String {
        let path = self.path("jsonl.gz");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// What can be read of a compressed file, and whether it is whole.
    pub(crate) fn read(&self, end: &str) -> (String, bool) {
        unpacked(&std::fs::read(self.path(end)).expect("the file"))
    }

    /// The columns of each row, the time apart.
    pub(crate) fn rows(&self) -> Vec<(u64, String)> {
        let (rows, whole) = self.read("recv.tsv.gz");
        assert!(whole);
        parsed(&rows)
    }

    pub(crate) fn sent(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.path("sent.jsonl")).expect("the file");
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn unpacked(bytes: &[u8]) -> (String, bool) {
    let mut text = Vec::new();
    let whole = match MultiGzDecoder::new(bytes).read_to_end(&mut text) {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => false,
        Err(error) => panic!("{error}"),
    };
    (String::from_utf8(text).expect("UTF-8"), whole)
}

pub(crate) fn parsed(rows: &str) -> Vec<(u64, String)> {
    let row = |row: &str| {
        let (nanos, columns) = row.split_once('\t').expect("columns");
        (nanos.parse().expect("a time"), columns.to_owned())
    };
    rows.lines().map(row).collect()
}

pub(crate) fn columns(rows: &[(u64, String)]) -> Vec<&str> {
    rows.iter().map(|(_, columns)| columns.as_str()).collect()
}

pub(crate) fn tickcache<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickcache"));
    command.args(args).stdin(Stdio::null());
    command
}

pub(crate) fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Runs to the end, and gives what was told.
#[track_caller]
pub(crate) fn ok<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> String {
    let output = tickcache(args).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(output.stdout, b"");
    told(&output)
}

/// Runs to a failure, and gives the one line about it.
#[track_caller]
pub(crate) fn fails<A: AsRef<std::ffi::OsStr>>(
    args: impl IntoIterator<Item = A>,
    code: i32,
) -> String {
    let output = tickcache(args).output().expect("the binary runs");
    let told = told(&output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    let lines: Vec<_> = told.lines().collect();
    let [line] = lines[..] else {
        panic!("one line: {told}")
    };
    line.to_owned()
}

/// The values that a replay ends with, as printed, and what it told.
#[track_caller]
pub(crate) fn replayed(dir: &Dir, options: &[&str]) -> (String, String) {
    let out = dir.out();
    let args = [&["replay", &out, "--print"], options].concat();
    let output = tickcache(args).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let printed = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    (printed, told(&output))
}

/// Looks again and again for what another process does.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends texts on each connection and then only listens.
pub(crate) fn saying(texts: &'static [&'static str]) -> Server {
    Server::start(move |connection| {
        let said = texts
            .iter()
            .fold(connection, |connection, text| connection.say(text));
        said.until_gone()
    })
}

/// A recorder that runs, and does not outlive its test.
pub(crate) struct Running(Option<Child>);

impl Running {
    /// Starts one and waits until the files hold that many messages.
    pub(crate) fn start(dir: &Dir, url: &str, messages: usize) -> Self {
        let out = dir.out();
        let mut command = tickcache(["record", url, "--out", &out]);
        let child = command.stderr(Stdio::piped()).spawn();
        let mut running = Self(Some(child.expect("the binary runs")));
        until("messages are flushed while the recorder runs", || {
            let child = running.0.as_mut().expect("it runs");
            assert_eq!(child.try_wait().expect("a child"), None);
            dir.path("jsonl.gz").exists() && dir.read("jsonl.gz").0.lines().count() == messages
        });
        running
    }

    pub(crate) fn into_child(mut self) -> Child {
        self.0.take().expect("it runs")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
