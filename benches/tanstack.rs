//! The document that this project grew from shows TanStack Query fed by a WebSocket. What does one of
//! its messages cost there, and here?
//!
//! The same messages, one entity with 10,000 ids (and with one), and a list over them. There, by the
//! three ways that the document and its users have: the detail entry alone; the detail entry and the
//! list by its exact key; and the call of the document, `setQueriesData` under the prefix, which
//! rewrites every entry of the entity. Here there is one way: a list holds ids, and its rows are the
//! slots, so a message costs the same with a list as without one; one is observed in both rows.
//!
//! CPU time: of the thread here, of the whole process there, garbage collection included. JSON is
//! parsed in both. TanStack Query notifies observers, of which it has none here; we mark what changed,
//! and wake nobody. The two take turns; ratios are those within a round.
//!
//! Needs node and npm, and the package that `tanstack/package.json` names; says so and does nothing
//! where they are missing.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use support::json::event;
use support::ours::Ours;
use support::paired::Contest;
use support::{ENTITY, Round, id};
use tickcache::cache::ListObserver;
use tickcache::{Fetched, key};

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Different values that each id takes.
const STEPS: usize = 16;

fn payload(step: usize) -> String {
    let step = step % STEPS;
    format!(
        r#"{{"bid":"618{step:02}.63000000","bidSize":"3.788260","ask":"61837.64000000","askSize":"1.546980","sequence":400900217,"active":true}}"#
    )
}

/// TanStack Query in a process of its own.
struct Peer {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Where the peer's package is, installed if it was not.
    fn install() -> io::Result<PathBuf> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tanstack");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/tanstack");
        fs::create_dir_all(&folder)?;
        for file in ["package.json", "peer.mjs"] {
            fs::copy(source.join(file), folder.join(file))?;
        }
        if !folder.join("node_modules/@tanstack/query-core").exists() {
            let done = Command::new("npm")
                .args(["install", "--no-package-lock", "--no-audit", "--no-fund"])
                .current_dir(&folder)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            if !done.success() {
                return Err(io::Error::other("npm could not install the package"));
            }
        }
        Ok(folder)
    }

    fn start(folder: &Path, ids: usize) -> io::Result<Self> {
        let mut process = Command::new("node")
            .arg("peer.mjs")
            .args([ENTITY, &ids.to_string(), &STEPS.to_string()])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (orders, answers) = pipes.ok_or_else(|| io::Error::other("node has no pipes"))?;
        let mut peer = Self {
            process,
            orders,
            answers: BufReader::new(answers),
        };
        match peer.answer()?.as_str() {
            "ready" => Ok(peer),
            other => Err(io::Error::other(format!("node says {other:?}"))),
        }
    }

    /// The CPU time that `count` messages take there by one of its ways.
    fn time(&mut self, path: &str, count: u64) -> Duration {
        let told = writeln!(self.orders, "{path} {count}").and_then(|()| self.answer());
        let nanos = told.expect("node answers");
        Duration::from_nanos(nanos.parse::<f64>().expect("a number") as u64)
    }

    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A list over all ids, loaded and observed.
fn list(ours: &mut Ours, ids: usize) -> ListObserver<serde_json::Value> {
    let rows: Vec<_> = (0..ids)
        .map(|number| format!(r#"{{"id":"{}"}}"#, id(number)))
        .collect();
    let rows = format!("[{}]", rows.join(","));
    let query = ours.cache().query::<serde_json::Value>(key![ENTITY]);
    let observer = query
        .fetch_with(move |_| {
            let rows = rows.clone();
            async move { Ok(Fetched::json(rows)) }
        })
        .list("id")
        .stale_never()
        .observe_list();
    while !observer.state().is_success() {
        ours.settle();
        std::thread::yield_now();
    }
    observer
}

fn against(peer: &mut Peer, ids: usize) {
    let mut ours = Ours::with(ids, &payload(0));
    let _list = list(&mut ours, ids);
    let messages = (1..=4).flat_map(|step| (0..ids).map(move |number| (step, number)));
    let mut messages = Round::new(
        messages
            .map(|(step, number)| event(&id(number), &payload(step)))
            .collect(),
    );
    let peer = std::cell::RefCell::new(peer);
    let there = |path: &'static str| {
        let peer = &peer;
        move |count| peer.borrow_mut().time(path, count)
    };
    Contest::new(format!("tanstack/{ids} ids and a list"))
        .measured("tickcache", 1.0, |count| ours.time(&mut messages, count))
        .measured("query-core: detail", 1.0, there("detail"))
        .measured("query-core: detail and list", 1.0, there("list"))
        .measured("query-core: detail and prefix", 1.0, there("prefix"))
        .run();
    assert_eq!(ours.refused(), 0, "every message was taken in");
}

fn main() {
    let folder = match Peer::install() {
        Ok(folder) => folder,
        Err(error) => {
            println!("skipped: TanStack Query is not here ({error}); node and npm are needed");
            return;
        }
    };
    for ids in [1, 10_000] {
        match Peer::start(&folder, ids) {
            Ok(mut peer) => against(&mut peer, ids),
            Err(error) => println!("skipped: node cannot run TanStack Query ({error})"),
        }
    }
}
