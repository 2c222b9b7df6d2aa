//! `tickcache record` as a user runs it, and what `replay` makes of its files.

#![cfg(all(feature = "cli", unix))]
#![allow(missing_docs, reason = "a test binary")]
#![allow(
    clippy::disallowed_methods,
    reason = "what another process has written can only be looked at again and again"
)]

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;

use kit::{Dir, Running, columns, fails, ok, parsed, replayed, saying, tickcache, told, unpacked};
use server::{Connection, End, Server};
use tungstenite::Message;

mod kit;
#[path = "../server/mod.rs"]
mod server;

#[test]
fn what_comes_is_written_byte_for_byte() {
    let long: &'static str = format!(r#"{{"long":"{}"}}"#, "é".repeat(2_600_000)).leak();
    let texts: &'static [&'static str] = vec![
        r#"{"a": 1.50,"b":"\u0041"}"#,
        "{\n\t\"lines\": [\r\n1]\n}\n",
        "pong",
        "",
        " \n ",
        "carriage\r",
        long,
        "[last]",
    ]
    .leak();
    let dir = Dir::new("bytes");
    let server = saying(texts);
    let told = ok([
        "record",
        &server.url(),
        "--out",
        &dir.out(),
        "--messages",
        "8",
    ]);
    assert!(told.contains("recorded 8 messages"), "{told}");
    let (lines, whole) = dir.read("jsonl.gz");
    assert!(whole);
    let expected: String = texts.iter().map(|text| format!("{text}\n")).collect();
    assert!(lines == expected);
    let rows = dir.rows();
    let marks = [
        "0", "0", "0\t+", "0\t+", "0\t+", "0\t+", "0", "0\t.", "0\t.", "0\t+", "0", "0", "0",
    ];
    assert_eq!(columns(&rows), marks);
    assert!(rows.is_sorted_by_key(|row| row.0));
    // Nothing was sent, so there is no file of it.
    assert!(!dir.path("sent.jsonl").exists());
}

/// What a server says goes through the recorder and the replay, and is what it said.
#[test]
fn a_recording_replays_bit_for_bit() {
    let texts: &[&str] = &[
        "{\"entity\":\"e\",\"id\":1,\n\"payload\":{\"text\":\"one\"}}",
        r#"{"entity":"e","id":2,"payload":{"number":1.2300}}"#,
    ];
    let dir = Dir::new("replayed");
    let server = saying(texts);
    ok([
        "record",
        &server.url(),
        "--out",
        &dir.out(),
        "--preset",
        "events",
        "--messages",
        "2",
    ]);
    let expected = "{\"entity\":\"e\",\"id\":1,\"epoch\":1,\"value\":{\"text\":\"one\"}}\n\
                    {\"entity\":\"e\",\"id\":2,\"epoch\":1,\"value\":{\"number\":1.2300}}\n";
    for through in ["memory", "websocket"] {
        for speed in ["max", "recorded"] {
            let options = [
                "--preset",
                "events",
                "--missing",
                "insert",
                "--through",
                through,
                "--speed",
                speed,
            ];
            let (printed, told) = replayed(&dir, &options);
            assert_eq!(printed, expected, "{told}");
            assert!(told.contains("messages 2 = data 2"), "{told}");
        }
    }
}

/// Two servers, one of which breaks off: connections are numbered in the order of their opening.
#[test]
fn connections_have_numbers_and_a_reconnect_a_new_one() {
    let dir = Dir::new("connections");
    let (open, opened) = channel();
    let steady = Server::start(move |mut connection| {
        // The first of the other server is over by now, and recorded.
        opened.recv().expect("the other server");
        connection = connection.say(r#"{"from":"steady"}"#);
        connection.until_gone()
    });
    let broken = Server::start(move |connection| match connection.number {
        1 => connection.say(r#"{"from":"first"}"#).close(),
        _ => {
            let connection = connection.say(r#"{"from":"second"}"#);
            open.send(()).expect("the other server");
            connection.until_gone()
        }
    });
    let (steady, broken) = (steady.url().leak() as &str, broken);
    let told = ok([
        "record",
        &broken.url(),
        steady,
        "--out",
        &dir.out(),
        "--messages",
        "3",
    ]);
    assert!(told.contains("of 3 connections"), "{told}");
    assert!(
        told.contains("reconnects 1 to ") && told.contains("last loss: closed by the server"),
        "{told}"
    );
    let (lines, _) = dir.read("jsonl.gz");
    let rows = dir.rows();
    let number = |from: &str| {
        let at = lines
            .lines()
            .position(|line| line.contains(from))
            .expect("recorded");
        rows[at].1.parse::<u64>().expect("a number")
    };
    let (first, second, steady) = (number("first"), number("second"), number("steady"));
    assert!(
        first < second && steady != first && steady != second,
        "{first} {second} {steady}"
    );
}

/// What was sent is beside it; what looks like a login is not.
#[test]
fn texts_are_sent_after_each_connect_and_logins_are_withheld() {
    let dir = Dir::new("sent");
    let server = Server::start(|mut connection| {
        for expected in [r#"{"op":"login","key":"hush"}"#, "subscribe \"all\""] {
            let heard = connection.socket.read().expect("a text");
            assert_eq!(heard, Message::text(expected));
        }
        let connection = connection.say("welcome");
        match connection.number {
            1 => connection.close(),
            _ => connection.until_gone(),
        }
    });
    let texts = [
        "--subscribe",
        r#"{"op":"login","key":"hush"}"#,
        "--subscribe",
        "subscribe \"all\"",
    ];
    let told = ok([
        &[
            "record",
            &server.url(),
            "--out",
            &dir.out(),
            "--messages",
            "2",
        ],
        &texts[..],
    ]
    .concat());
    assert!(told.contains("sent 4 texts, 2 with a login"), "{told}");
    let sent = dir.sent();
    let shown: Vec<_> = sent
        .iter()
        .map(|line| {
            (
                line["conn"].as_u64().expect("a number"),
                line["text"].as_str().expect("a text"),
                line["withheld"] == true,
            )
        })
        .collect();
    let expected = [0, 1].map(|number| [(number, "", true), (number, "subscribe \"all\"", false)]);
    assert_eq!(shown, expected.concat());
    assert!(sent.iter().all(|line| line["ts_ns"].is_u64()));
    for file in std::fs::read_dir(&dir.0).expect("the directory") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("a file");
        assert!(!String::from_utf8_lossy(&bytes).contains("hush"));
    }
}

#[test]
fn files_that_are_there_are_kept_unless_forced() {
    let server = saying(&["new"]);
    for end in ["jsonl.gz", "recv.tsv.gz", "sent.jsonl"] {
        let dir = Dir::new(&format!("there-{end}"));
        std::fs::write(dir.path(end), "old").expect("a file");
        let (url, out) = (server.url(), dir.out());
        let args = ["record", &url, "--out", &out, "--messages", "1"];
        let told = fails(args, 1);
        assert!(told.contains(end) && told.contains("--force"), "{told}");
        assert_eq!(std::fs::read(dir.path(end)).expect("kept"), b"old");
        assert_eq!(std::fs::read_dir(&dir.0).expect("the directory").count(), 1);
        ok([&args[..], &["--force"]].concat());
        assert_eq!(dir.read("jsonl.gz"), ("new\n".to_owned(), true));
        assert_eq!(dir.rows().len(), 1);
        // One that is there would seem to be of this recording.
        assert!(!dir.path("sent.jsonl").exists());
    }
}

fn numbered() -> Server {
    Server::start(|connection| {
        let say = |connection: Connection, n: u64| connection.say(&format!(r#"{{"n":{n}}}"#));
        (0..500).fold(connection, say).until_gone()
    })
}

#[test]
fn an_interrupt_ends_it_in_order() {
    let dir = Dir::new("interrupt");
    let server = numbered();
    let child = Running::start(&dir, &server.url(), 500).into_child();
    assert!(!dir.read("jsonl.gz").1, "the end is not written yet");
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status();
    assert!(sent.expect("kill").success());
    let output = child.wait_with_output().expect("a child");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(
        told(&output).contains("recorded 500 messages"),
        "{}",
        told(&output)
    );
    assert!(dir.read("jsonl.gz").1, "whole gzip members");
    assert_eq!(dir.rows().len(), 500);
}

/// Wherever a recording breaks off, what is before it can be read, and every message has its row.
#[test]
fn a_killed_recorder_leaves_files_that_can_be_read() {
    let dir = Dir::new("killed");
    let server = numbered();
    let mut child = Running::start(&dir, &server.url(), 500).into_child();
    child.kill().expect("a child");
    child.wait().expect("a child");
    let expected: String = (0..500).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    assert_eq!(dir.read("jsonl.gz"), (expected.clone(), false));
    let (rows, whole) = dir.read("recv.tsv.gz");
    assert!(!whole && parsed(&rows).len() == 500);
    let (_, told) = replayed(&dir, &["--preset", "events"]);
    assert!(told.contains("messages 500 ="), "{told}");
    assert!(told.contains("cannot be read from here on"), "{told}");

    // As if it had been killed, or the disk been full, while it wrote.
    let bytes = std::fs::read(dir.path("jsonl.gz")).expect("the file");
    for cut in (0..bytes.len()).step_by(97) {
        let (text, whole) = unpacked(&bytes[..cut]);
        assert!(!whole && expected.starts_with(&text), "{cut}");
    }
}

#[test]
fn binary_messages_are_counted_and_said() {
    let dir = Dir::new("binary");
    let server = Server::start(|mut connection| {
        for message in [
            Message::text("one"),
            Message::binary(vec![1]),
            Message::text("two"),
        ] {
            connection.socket.send(message).expect("sent");
        }
        connection.until_gone()
    });
    let told = ok([
        "record",
        &server.url(),
        "--out",
        &dir.out(),
        "--messages",
        "2",
    ]);
    assert!(told.contains("NOT recorded: 1 binary messages"), "{told}");
    assert_eq!(dir.read("jsonl.gz").0, "one\ntwo\n");
}

#[test]
fn a_server_that_cannot_be_reached_leaves_no_files() {
    let free = std::net::TcpListener::bind("127.0.0.1:0");
    let free = free
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    let dir = Dir::new("nobody");
    let url = format!("ws://user:hush@{free}/?key=hush");
    let output = tickcache(["record", &url, "--out", &dir.out(), "--for", "0.5"]).output();
    let output = output.expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    assert!(
        told.contains(&format!("never connected to ws://{free}/")),
        "{told}"
    );
    assert!(!told.contains("hush"), "{told}");
    assert_eq!(std::fs::read_dir(&dir.0).expect("the directory").count(), 0);
}

#[test]
fn a_disk_that_takes_nothing_ends_it() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full");
        return;
    }
    let dir = Dir::new("full");
    std::os::unix::fs::symlink("/dev/full", dir.path("jsonl.gz")).expect("a link");
    let server = saying(&["one"]);
    let told = fails(["record", &server.url(), "--out", &dir.out(), "--force"], 1);
    assert!(
        told.contains("a.jsonl.gz") && told.contains("check the path and the disk"),
        "{told}"
    );
}

#[test]
fn headers_go_with_the_request() {
    let dir = Dir::new("headers");
    let server = Server::raw(|stream, _| {
        let mut origin = None;
        #[allow(clippy::result_large_err, reason = "the type is the library's")]
        let callback = |request: &tungstenite::handshake::server::Request, response| {
            origin = request.headers().get("origin").cloned();
            Ok(response)
        };
        let Ok(socket) = tungstenite::accept_hdr(stream, callback) else {
            return End::Dropped;
        };
        let said = origin.map_or_else(String::new, |value| {
            value.to_str().expect("ASCII").to_owned()
        });
        Connection { socket, number: 1 }.say(&said).until_gone()
    });
    let url = server.url();
    ok([
        "record",
        &url,
        "--out",
        &dir.out(),
        "--messages",
        "1",
        "--header",
        "Origin: https://example.com",
    ]);
    assert_eq!(dir.read("jsonl.gz").0, "https://example.com\n");
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line() {
    let dir = Dir::new("usage");
    let out = dir.out();
    for (args, words) in [
        (vec!["ws://h/"], "--out"),
        (
            vec!["ws://h/", "--out", "a.json"],
            "a name that ends in .jsonl.gz",
        ),
        (vec!["--out", &out], "say where to connect"),
        (
            vec!["--out", &out, "--preset", "binance-spot"],
            "say what to subscribe to",
        ),
        (vec!["ws://h/", "ws://h/", "--out", &out], "is given twice"),
        (
            vec!["ws://h/", "--out", &out, "--stream", "ticker:A"],
            "--stream needs a preset",
        ),
        (
            vec!["ws://h/", "--out", &out, "--merge", "shallow"],
            "--merge is for",
        ),
        (vec!["ws://h/", "--out", &out, "--ca", "x.pem"], "wss://"),
        (
            vec!["ws://h/", "--out", &out, "--header", "Origin"],
            "a name and a value",
        ),
        (vec!["ws://h/", "--out", &out, "--messages", "0"], "above 0"),
        (vec!["http://h/", "--out", &out], "ws://"),
    ] {
        let told = fails([&["record"], &args[..]].concat(), 2);
        assert!(
            told.contains(words) && told.contains("(see `tickcache record --help`)"),
            "{args:?}: {told}"
        );
    }
    let args = [
        "record",
        "ws://127.0.0.1:1/",
        "--out",
        "/nowhere/a.jsonl.gz",
    ];
    let told = fails(args, 1);
    assert!(
        told.contains("/nowhere/") && told.contains("check the path"),
        "{told}"
    );
    assert_eq!(std::fs::read_dir(&dir.0).expect("the directory").count(), 0);
}
