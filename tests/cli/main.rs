//! The `tickcache` command as a user runs it: what it prints, what it accounts for, how it fails.

#![cfg(feature = "cli")]
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test's own modules"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

mod bench;
mod demo;
mod failures;
mod presets;
#[path = "../reference/mod.rs"]
mod reference;
mod replay;
#[allow(unused_imports, reason = "the simulator is a program of its own")]
#[path = "../../src/bin/tickcache/simulator/mod.rs"]
mod simulator;
mod soak;
mod watch;

fn tickcache<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickcache"));
    command.args(args).stdin(Stdio::null());
    command
}

/// What a run printed and how it ended.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Ran {
    ran(tickcache(args).output().expect("the binary runs"))
}

fn ran(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran {
        code: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

impl Ran {
    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self
    }

    /// The number behind a word of the ledgers, such as `data` in `messages 5 = data 3 + ..`.
    #[track_caller]
    fn counted(&self, ledger: &str, word: &str) -> u64 {
        let line = self
            .err
            .lines()
            .find(|line| line.starts_with(&format!("{ledger} ")));
        let line = line.unwrap_or_else(|| panic!("no {ledger}: {}", self.err));
        let mut words = line
            .split_whitespace()
            .skip_while(|other| *other != word)
            .skip(1);
        let number = words.next().unwrap_or_else(|| panic!("no {word}: {line}"));
        number
            .parse()
            .unwrap_or_else(|_| panic!("no number after {word}: {line}"))
    }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// A directory of its own for one test, removed when it ends.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("tickcache-cli-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
