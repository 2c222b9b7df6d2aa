//! Every failure is one line that says what to do: exit code 2 for usage, 1 for the rest.

use super::{Dir, data, run};

#[track_caller]
fn fails(args: &[&str], code: i32, words: &[&str]) {
    let run = run(args);
    assert_eq!(run.code, Some(code), "{args:?}: {}", run.err);
    assert_eq!(run.out, "", "{args:?}");
    assert_eq!(run.err.lines().count(), 1, "{args:?}: {}", run.err);
    for word in words {
        assert!(
            run.err.contains(word),
            "{args:?}: no {word:?} in {}",
            run.err
        );
    }
}

#[test]
fn a_wrong_command_line() {
    fails(&["dance"], 2, &["dance", "--help"]);
    fails(&["replay"], 2, &["FILE"]);
    fails(&["replay", "a.jsonl"], 2, &["--preset"]);
    fails(
        &["replay", "a.jsonl", "--preset", "kraken"],
        2,
        &["kraken", "binance-spot"],
    );
    let merging = [
        "replay",
        "a.jsonl",
        "--preset",
        "binance-spot",
        "--merge",
        "shallow",
    ];
    fails(&merging, 2, &["--merge", "events"]);
    fails(&["demo", "--symbols", "0"], 2, &["symbols", "1 to"]);
    fails(
        &["demo", "--mode", "sleep"],
        2,
        &["--mode", "busy", "demo --help"],
    );
    fails(
        &["bench", "--mode", "sleep"],
        2,
        &["--mode", "busy", "bench --help"],
    );
    fails(&["bench", "--readers", "nap=1"], 2, &["readers", "spin"]);
    fails(
        &["watch", "http://127.0.0.1/", "--preset", "events"],
        2,
        &["ws://"],
    );
}

#[test]
fn a_file_that_is_not_there() {
    for way in ["memory", "websocket"] {
        let args = [
            "replay",
            "/nowhere/a.jsonl",
            "--preset",
            "events",
            "--through",
            way,
        ];
        fails(&args, 1, &["/nowhere/a.jsonl", "check the path"]);
    }
    let sample = data("events-sample.jsonl");
    let sample = sample.to_str().expect("UTF-8");
    let recorded = [
        "replay", sample, "--preset", "events", "--speed", "recorded",
    ];
    fails(
        &recorded,
        1,
        &["events-sample.recv.tsv.gz", "--speed recorded"],
    );
}

#[test]
fn certificates_that_are_none() {
    let dir = Dir::new("certificates");
    let empty = dir.file("empty.pem", b"nothing here\n");
    let empty = empty.to_str().expect("UTF-8");
    let watch = [
        "watch",
        "wss://127.0.0.1:1/",
        "--preset",
        "events",
        "--for",
        "60",
        "--ca",
    ];
    fails(
        &[&watch[..], &[empty]].concat(),
        1,
        &["empty.pem", "there are none", "PEM"],
    );
    fails(
        &[&watch[..], &["/nowhere.pem"]].concat(),
        1,
        &["/nowhere.pem"],
    );
}
