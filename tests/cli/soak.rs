//! A soak of some seconds, with a fault every half a second.

use super::{data, run};

fn soak(more: &[&str]) -> Vec<String> {
    let args = "soak --faults-every 0.5 --rate 1000 --ids 5 --json";
    let args = args.split_whitespace().chain(more.iter().copied());
    args.map(str::to_owned).collect()
}

/// Everything holds; and there was something to hold against.
#[test]
fn whatever_happens_everything_holds() {
    let sample = data("binance-spot-sample.jsonl");
    let sample = sample.to_str().expect("a path in UTF-8");
    let more = ["--minutes", "0.1", "--seed", "7", "--capture", sample];
    let run = run(soak(&[&more[..], &["--preset", "binance-spot"]].concat())).ok();
    let report: serde_json::Value = serde_json::from_str(&run.out).expect("one JSON object");
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or_else(|| panic!("{report}"));
    assert_eq!(report["held"], true, "{report}");
    assert_eq!(report["balanced"], true, "{report}");
    assert!(number(&report["faults"]) > 0, "{report}");
    for name in ["looks", "live", "woken", "snapshots", "changes", "states"] {
        assert!(number(&report["readers"][name]) > 0, "{name}: {report}");
    }
    let feeds = report["feeds"].as_object().expect("feeds");
    assert_eq!(feeds.len(), 7, "{report}");
    for feed in feeds.values() {
        assert!(number(&feed["counted"]["messages"]) > 0, "{report}");
    }
    for state in report["states"].as_object().expect("states").values() {
        assert_eq!(state["hash"], state["truth"], "{report}");
        assert_eq!(state["values"], 5, "{report}");
    }
    assert_eq!(report["replayed"], report["states"]["clean"]["hash"]);
    assert!(number(&report["capture"]["passes"]) > 0, "{report}");
    // A run this short says nothing about memory.
    assert!(report["memory"]["slope"].is_null(), "{report}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it_with_what_there_is() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let mut child = super::tickcache(soak(&["--minutes", "60"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut err = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    err.read_line(&mut line).expect("a line");
    assert!(
        line.contains("messages/s") && line.contains("problems 0"),
        "{line}"
    );
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status();
    assert!(killed.expect("kill").success());
    // Whatever it says is read while it ends: it never waits for a full pipe.
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("text");
    let mut out = String::new();
    let stdout = child.stdout.as_mut().expect("piped");
    stdout.read_to_string(&mut out).expect("text");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0), "{rest}{out}");
    let report: serde_json::Value = serde_json::from_str(&out).expect("one JSON object");
    assert_eq!(report["ended_early"], true, "{report}");
    assert_eq!(report["held"], true, "{report}");
}

#[test]
fn what_cannot_be_is_refused() {
    for args in [
        "soak --minutes 0",
        "soak --minutes soon",
        "soak --rate max",
        "soak --ids 0",
        "soak --faults-every 0",
        "soak --preset events",
        "soak --capture a.jsonl",
    ] {
        let run = run(args.split_whitespace());
        assert_eq!(run.code, Some(2), "{args}: {}", run.err);
        assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    }
}
