//! Runs the examples and checks what they print. Each ends by itself and needs no network.

#![cfg(feature = "net")]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// An example that has not ended by then never will.
const HUNG: Duration = Duration::from_secs(120);

/// Cargo puts examples beside the folder of the test executables.
fn executable(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    let profile = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target/<profile>/deps");
    profile
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Runs an example; it has to succeed and to print these lines in this order, among others.
#[track_caller]
fn check(name: &str, expected: &[&str]) {
    let path = executable(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo test`, or `cargo build --examples` before a single test",
        path.display()
    );
    let child = Command::new(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let pid = child.id();
    let (send, ended) = mpsc::channel();
    thread::spawn(move || send.send(child.wait_with_output()));
    let output = ended
        .recv_timeout(HUNG)
        .unwrap_or_else(|_| panic!("{name} (process {pid}) does not end"))
        .expect("its output");
    let printed = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed\n{printed}\n{told}");
    let mut lines = printed.lines();
    for line in expected {
        assert!(
            lines.any(|printed| printed == *line),
            "{name} did not print `{line}`, or not there:\n{printed}"
        );
    }
}

#[test]
fn pricing_loop() {
    check(
        "pricing_loop",
        &[
            "20000 updates, 20000 published, the last mid is 200.005",
            "halt: [book, X] is not live: stale (disconnected)",
        ],
    );
}

#[test]
fn service() {
    check(
        "service",
        &[
            "quoting 99.95 / 100.05",
            "quotes pulled: stale (disconnected)",
            "quoting again 99.90 / 100.10",
            "reconnects: 1",
            "closed",
        ],
    );
}

#[test]
fn direct_update() {
    check(
        "direct_update",
        &[
            r#"detail {"address":{"city":"London","zip":"N1"},"name":"Ada","status":"online"}"#,
            "list   Ada is away, Bob is online",
            "list   Ada is busy, Bob is online",
            "removed",
            "ignored: 1",
        ],
    );
}

#[test]
fn invalidation() {
    check(
        "invalidation",
        &[
            "fetched",
            r#"event {"entity":"job","id":42}"#,
            "fetched again: revision 1",
            r#"event {"entity":"job"}"#,
            "fetched again: revision 2",
            "job 43 is only marked",
            "and fetched when it is looked at: revision 2",
        ],
    );
}

#[test]
fn polling() {
    check(
        "polling",
        &[
            "polled, 3 unread",
            "paused while out of focus",
            "goes on in focus",
            "completed at 100 %",
        ],
    );
}

#[test]
fn stream_driven() {
    check(
        "stream_driven",
        &[
            "fetched once: size 0",
            "the stream says: size 7",
            "focus, network and a second observer fetched nothing",
            "an event did: the limit rose by 100",
        ],
    );
}

#[test]
fn reconnect() {
    check(
        "reconnect",
        &[
            "live: revision 1",
            "the connection is lost, the old value stays: revision 1",
            "live: revision 2",
            "reconnects: 1",
        ],
    );
}

#[test]
fn custom_protocol() {
    check(
        "custom_protocol",
        &[
            "subscribed",
            r#"no depth: unknown channel "depth""#,
            r#"X {"s":"X","bid":"1.0","ask":"1.1"}"#,
            r#"Y {"s":"Y","bid":"7","ask":"8"}"#,
            "refused: [(NoId, 1)]",
        ],
    );
}
