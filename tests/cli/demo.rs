//! The demo without a terminal.

use super::run;

#[test]
fn the_report_is_one_object_and_balances() {
    let run = run([
        "demo",
        "--symbols",
        "20",
        "--rate",
        "5000",
        "--seconds",
        "2",
        "--json",
    ])
    .ok();
    assert_eq!(run.out.lines().count(), 1, "{}", run.out);
    let report: serde_json::Value = serde_json::from_str(&run.out).expect("one JSON object");
    let number = |name: &str| {
        report[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {report}"))
    };
    assert_eq!(report["balanced"], true, "{report}");
    assert!(
        number("received") > 0.0 && number("applied") > 0.0,
        "{report}"
    );
    assert!(
        number("updates_per_second") > 0.0 && number("reconnects") >= 0.0,
        "{report}"
    );
    let latency = ["p50", "p99", "p999"].map(|name| report["latency_us"][name].as_f64());
    let latency = latency.map(|micros| micros.unwrap_or_else(|| panic!("{report}")));
    assert!(0.0 < latency[0] && latency.is_sorted(), "{report}");
    let engine = &report["engine_ns"];
    for figures in [
        &engine["read_to_first_visible"],
        &engine["read_to_last_visible"],
        &engine["publish_to_awake"]["asynchronous"],
    ] {
        assert!(figures["samples"].as_u64() > Some(0), "{report}");
        let at = ["p50", "p90", "p99", "p999", "max"].map(|name| figures[name].as_u64());
        assert!(at.is_sorted() && at[0] > Some(0), "{report}");
    }
}

/// Whatever the service does, nothing wrong is ever shown; and it did do something wrong.
#[test]
fn the_slow_path_shows_nothing_wrong() {
    let args = "demo --symbols 5 --rate 500 --seconds 4 --json";
    let run = run(args.split_whitespace()).ok();
    let report: serde_json::Value = serde_json::from_str(&run.out).expect("one JSON object");
    let slow = &report["slow_path"];
    assert_eq!(slow["wrong_shown"], 0, "{report}");
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or_else(|| panic!("{report}"));
    for name in [
        "checked",
        "queries",
        "fetches",
        "failed",
        "retried",
        "by_events",
    ] {
        assert!(number(&slow[name]) > 0, "{name}: {report}");
    }
    let served = &slow["served"];
    assert!(number(&served["answers"]) > 0, "{report}");
    let bad = ["late", "old", "errors", "broken", "hung"].map(|name| number(&served[name]));
    assert!(bad.iter().sum::<u64>() > 0, "{report}");
    assert_eq!(report["balanced"], true, "{report}");
}

#[test]
fn without_a_terminal_the_slow_path_has_a_line_of_its_own() {
    let run = run("demo --symbols 5 --rate 500 --seconds 2".split_whitespace()).ok();
    let slow: Vec<_> = run
        .out
        .lines()
        .filter(|line| line.contains("slow path"))
        .collect();
    assert!(!slow.is_empty(), "{}", run.out);
    for line in slow {
        assert!(line.contains("wrong values shown: 0 of "), "{line}");
        assert!(
            line.contains("fetches ") && line.contains("served "),
            "{line}"
        );
    }
}

/// More streams than the exchange allows on one connection.
#[test]
fn many_symbols_take_several_connections() {
    let run = run([
        "demo",
        "--symbols",
        "1500",
        "--rate",
        "3000",
        "--seconds",
        "3",
        "--json",
    ])
    .ok();
    let report: serde_json::Value = serde_json::from_str(&run.out).expect("one JSON object");
    assert_eq!(report["balanced"], true, "{report}");
    assert_eq!(report["refused"], 0, "{report}");
    assert!(
        report["applied"]
            .as_u64()
            .is_some_and(|applied| applied > 0),
        "{report}"
    );
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it_in_order() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let mut child = super::tickcache(["demo", "--symbols", "5", "--rate", "500"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    assert!(
        line.contains("updates/s") && line.contains("reconnects"),
        "{line}"
    );
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .expect("kill")
            .success()
    );
    let status = child.wait().expect("it ends");
    let (mut rest, mut err) = (String::new(), String::new());
    out.read_to_string(&mut rest).expect("text");
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut err)
        .expect("text");
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
    assert!(
        !rest.contains('\u{1b}'),
        "no terminal codes where there is no terminal: {rest}"
    );
}
