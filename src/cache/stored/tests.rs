//! What is stored comes back as it was; what is not whole, or not ours, is refused and says why.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::key;

/// A directory of its own for one test, removed when it ends.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Self {
        let name = format!("tickcache-stored-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the directory");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry).into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(json: &str) -> JsonText {
    JsonText::new(json).expect(json)
}

fn whole(json: &str) -> StoredValue {
    StoredValue::Whole(text(json))
}

fn at(nanos: u64) -> Time {
    Time::from_nanos(nanos)
}

/// Some of everything.
fn sample() -> Stored {
    let mut job = StoredQuery::new(
        key!["job", 42],
        whole(
            r#"{"price":0.12345678901234567890,"qty":1.500,"id":18446744073709551617, "e":1E+2}"#,
        ),
        at(u64::MAX - 1),
    );
    (job.sequence, job.partial) = (Some(u64::MAX), true);
    let mut stored = Stored::new(at(1_763_840_000_123_456_789));
    stored.buster = Some("form \"7\"\n".into());
    stored.queries = vec![
        job,
        StoredQuery::new(
            key!["todos", {"state": "é\u{0}\"", "page": 2}, null],
            StoredValue::List(vec![7.into(), "7".into(), "".into(), i128::MIN.into()]),
            Time::ZERO,
        ),
        StoredQuery::new(key![], whole("null"), at(1)),
        StoredQuery::new(key!["none"], StoredValue::List(Vec::new()), at(1)),
    ];
    stored
}

fn refused(json: &str) -> StoredError {
    Stored::from_json(json).expect_err(json)
}

#[test]
fn every_token_comes_back_as_it_was() {
    let stored = sample();
    let json = stored.to_json();
    assert_eq!(Stored::from_json(&json).expect("our own"), stored);
    assert!(json.contains(r#""value":{"price":0.12345678901234567890,"qty":1.500,"id":18446744073709551617, "e":1E+2}"#));
    for token in [
        "1e400",
        "-0",
        "1.0",
        "123456789012345678901234567890.00",
        r#""\u00e9\/é""#,
        "[ 1 ,\n2 ]",
        r#"{"a":1,"a":2}"#,
        "true",
    ] {
        let mut stored = Stored::new(at(1));
        let query = StoredQuery::new(key!["x"], whole(token), at(1));
        stored.queries = vec![query.clone(), query];
        let read = Stored::from_json(&stored.to_json()).expect("our own");
        assert_eq!(read, stored);
        assert_eq!(read.queries[1].value, whole(token));
    }
}

#[test]
fn the_text_is_the_documented_one() {
    let mut stored = Stored::new(at(1_763_840_000_000_000_000));
    stored.buster = Some("v7".into());
    let updated_at = at(1_763_839_999_000_000_000);
    let mut job = StoredQuery::new(key!["job", 42], whole(r#"{"state":"done"}"#), updated_at);
    job.sequence = Some(7);
    let ids = StoredValue::List(vec![42.into(), "b".into()]);
    stored.queries = vec![job, StoredQuery::new(key!["jobs"], ids, updated_at)];
    let documented: String = include_str!("../stored.rs")
        .lines()
        .skip_while(|line| *line != "//! ```json")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| format!("{}\n", line.trim_start_matches("//! ")))
        .collect();
    assert_eq!(stored.to_json(), documented);
}

#[test]
fn other_writers_may_use_spaces_any_order_and_members_of_their_own() {
    let read = Stored::from_json(
        r#" { "queries" : [ { "later": [1], "ids" : [ ], "updated_at":2, "key": [ "a" ],
            "sequence": null, "partial": false } ], "saved_at": 3, "buster": null, "more": {"x": 1},
            "version": 1, "format" : "tickcache\u002equeries" } "#,
    )
    .expect("the same data");
    let mut expected = Stored::new(at(3));
    expected.queries = vec![StoredQuery::new(
        key!["a"],
        StoredValue::List(vec![]),
        at(2),
    )];
    assert_eq!(read, expected);
}

#[test]
fn another_version_is_refused_by_its_number_whatever_else_it_changed() {
    let json = sample()
        .to_json()
        .replacen("\"version\":1", "\"version\":2", 1);
    assert!(json.contains("\"version\":2"));
    for json in [
        &*json,
        r#"{"format":"tickcache.queries","queries":{"a":[]},"saved_at":"noon","version":2}"#,
    ] {
        let error = refused(json);
        assert!(
            matches!(
                error,
                StoredError::Version {
                    found: 2,
                    supported: 1
                }
            ),
            "{error:?}"
        );
        assert_eq!(
            error.to_string(),
            "stored queries of format version 2; this build reads version 1 only"
        );
    }
}

#[test]
fn a_text_cut_anywhere_is_refused() {
    let json = sample().to_json();
    let whole = json.trim_end();
    for (end, _) in whole.char_indices() {
        let line = match refused(&whole[..end]) {
            StoredError::Truncated { line, .. } => line,
            StoredError::Malformed { line, reason, .. }
                if reason == "invalid number" && whole[..end].ends_with(['-', '.', '+', 'E']) =>
            {
                line
            }
            error => panic!("cut at {end}: {error:?}"),
        };
        let before = &whole.as_bytes()[..end];
        let lines = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(line, lines, "cut at {end}");
    }
}

#[test]
fn a_broken_text_is_refused_with_place_and_reason() {
    let check = |json: &str, place: (usize, usize), part: &str| match refused(json) {
        StoredError::Malformed {
            line,
            column,
            reason,
        } => {
            assert!(reason.contains(part), "{json}: {reason}");
            assert!(!reason.contains(" at line "), "{reason}");
            assert_eq!((line, column), place, "{json}: {reason}");
        }
        error => panic!("{json}: {error:?}"),
    };
    check("[]", (1, 0), "expected an object");
    check("{}", (1, 2), "tickcache.queries");
    check(
        r#"{"format":"other","version":1}"#,
        (1, 30),
        "something else",
    );
    check(r#"{"format":7,"version":1}"#, (1, 24), "something else");
    check(r#"{"format":"tickcache.queries"}"#, (1, 30), "`version`");

    let head = "{\"format\":\"tickcache.queries\",\"version\":1,\n";
    let on_second = |rest: &str, column, part| check(&format!("{head}{rest}"), (2, column), part);
    on_second(r#""queries":[]}"#, 13, "`saved_at`");
    on_second(r#""saved_at":1}"#, 13, "`queries`");
    on_second(
        r#""saved_at":1,"saved_at":1,"queries":[]}"#,
        25,
        "duplicate",
    );
    on_second(r#""saved_at":-1,"queries":[]}"#, 13, "invalid value");
    on_second(r#""saved_at":1,"queries":[]} x"#, 28, "trailing");
    on_second(r#""saved_at":1,"queries":[1]}"#, 25, "one query");
    on_second(r#""saved_at":1,,"queries":[]}"#, 14, "key must be a string");

    let query = |query: &str, part: &str| {
        let json = format!("{head}\"saved_at\":1,\"queries\":[\n{query}]}}");
        check(&json, (3, query.len()), part);
    };
    query(r#"{"key":["a"],"updated_at":1}"#, "`value` and `ids`");
    query(
        r#"{"key":["a"],"updated_at":1,"value":1,"ids":[]}"#,
        "`value` and `ids`",
    );
    query(r#"{"key":["a"],"value":1}"#, "`updated_at`");
    query(r#"{"updated_at":1,"value":1}"#, "`key`");
    query(r#"{"key":"a","updated_at":1,"value":1}"#, "JSON array");
    query(r#"{"key":[1.5],"updated_at":1,"value":1}"#, "1.5 in a key");
    query(
        r#"{"key":[],"updated_at":1,"ids":[1,null]}"#,
        "`ids`: null is",
    );
    query(r#"{"key":[],"updated_at":1,"ids":{}}"#, "`ids`");
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_place() {
    let dir = Dir::new("utf8");
    let path = dir.path("queries.json");
    fs::write(&path, b"{\n\"a\xff\":1}").expect("written");
    let error = Stored::read_file(&path).expect_err("not UTF-8");
    assert!(
        matches!(&error, StoredError::Malformed { line: 2, column: 3, reason } if reason == "not UTF-8"),
        "{error:?}"
    );
}

#[test]
fn a_file_is_written_read_and_replaced_whole() {
    let dir = Dir::new("replace");
    let path = dir.path("queries.json");
    sample().write_file(&path).expect("written");
    assert_eq!(Stored::read_file(&path).expect("read"), sample());
    let next = Stored::new(at(9));
    next.write_file(&path).expect("replaced");
    assert_eq!(Stored::read_file(&path).expect("read"), next);
    assert_eq!(dir.names(), ["queries.json"]);
}

#[test]
fn a_failure_leaves_the_old_file_and_nothing_beside_it() {
    let dir = Dir::new("failure");
    let path = dir.path("queries.json");
    sample().write_file(&path).expect("written");
    let error = file::replace(&path, |out| {
        out.write_all(b"{\"format\":")?;
        out.flush()?;
        assert_eq!(dir.names().len(), 2, "half of the new one, beside the old");
        Err(io::ErrorKind::StorageFull.into())
    })
    .expect_err("the device is full");
    assert!(
        matches!(&error, StoredError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    );
    assert!(error.source().is_some());
    assert_eq!(Stored::read_file(&path).expect("the old one"), sample());
    assert_eq!(dir.names(), ["queries.json"]);
}

#[test]
fn what_cannot_be_replaced_stays() {
    let dir = Dir::new("stays");
    let taken = dir.path("taken");
    fs::create_dir(&taken).expect("a directory");
    fs::write(taken.join("inside"), b"1").expect("a file");
    let missing = dir.path("no/such/queries.json");
    for path in [&taken, &missing, &PathBuf::from("/"), &PathBuf::new()] {
        let error = sample().write_file(path).expect_err("no file can be there");
        assert!(matches!(error, StoredError::Io { .. }), "{error:?}");
        let error = Stored::read_file(path).expect_err("no file is there");
        assert!(matches!(error, StoredError::Io { .. }), "{error:?}");
    }
    assert_eq!(dir.names(), ["taken"]);
    assert_eq!(fs::read(taken.join("inside")).expect("untouched"), b"1");
}

#[cfg(unix)]
#[test]
fn a_directory_that_may_not_be_written_to_keeps_the_old_file() {
    use std::os::unix::fs::PermissionsExt;

    let dir = Dir::new("unwritable");
    let path = dir.path("queries.json");
    sample().write_file(&path).expect("written");
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o500)).expect("our own");
    // The superuser may write everywhere; either way there is one whole file.
    let written = Stored::new(at(9)).write_file(&path);
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o700)).expect("our own");
    let expected = match written {
        Ok(()) => Stored::new(at(9)),
        Err(error) => {
            assert!(matches!(error, StoredError::Io { .. }), "{error:?}");
            sample()
        }
    };
    assert_eq!(Stored::read_file(&path).expect("whole"), expected);
    assert_eq!(dir.names(), ["queries.json"]);
}

#[cfg(unix)]
#[test]
fn permissions_and_links_are_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let dir = Dir::new("links");
    let (path, link) = (dir.path("queries.json"), dir.path("link.json"));
    sample().write_file(&path).expect("written");
    symlink("queries.json", &link).expect("a link");
    for mode in [0o640, 0o444] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("our own");
        let next = Stored::new(at(u64::from(mode)));
        next.write_file(&link).expect("through the link");
        let metadata = fs::symlink_metadata(&path).expect("a file");
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
        assert_eq!(Stored::read_file(&path).expect("read"), next);
    }
    assert_eq!(dir.names(), ["link.json", "queries.json"]);
}

#[test]
fn writers_at_the_same_time_leave_one_whole_file() {
    let dir = Dir::new("writers");
    let path = Arc::new(dir.path("queries.json"));
    let threads: Vec<_> = (0..4_u64)
        .map(|writer| {
            let path = Arc::clone(&path);
            std::thread::spawn(move || {
                let mut stored = sample();
                for round in 0..5 {
                    stored.saved_at = at(writer * 100 + round);
                    stored.write_file(&*path).expect("written");
                    Stored::read_file(&*path).expect("whole at any time");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!(
        Stored::read_file(&*path).expect("whole").queries,
        sample().queries
    );
    assert_eq!(dir.names(), ["queries.json"]);
}

#[test]
fn what_is_too_old_is_refused_with_its_age() {
    let stored = Stored::new(at(1_000));
    let second = Duration::from_secs(1);
    let check = |now: Time, max| stored.clone().checked(now, max, None);
    let last = at(1_000).after(second);
    assert_eq!(check(last, second).expect("just young enough"), stored);
    let error = check(last.after(Duration::from_nanos(1)), second).expect_err("too old");
    assert!(
        matches!(error, StoredError::TooOld { age, max } if age == Duration::from_nanos(1_000_000_001) && max == second),
        "{error:?}"
    );
    assert!(error.to_string().contains("1.000000001s old"), "{error}");
    check(Time::NEVER, Duration::MAX).expect("of any age");
    check(Time::ZERO, Duration::ZERO).expect("saved later than now");
}

#[test]
fn another_buster_is_refused() {
    let mut stored = Stored::new(at(5));
    let check = |stored: &Stored, buster| stored.clone().checked(at(5), Duration::MAX, buster);
    check(&stored, None).expect("neither has one");
    let error = check(&stored, Some("v2")).expect_err("it has none");
    assert!(matches!(error, StoredError::Buster { found: None, .. }));
    stored.buster = Some("v1".into());
    check(&stored, Some("v1")).expect("the same");
    check(&stored, None).expect_err("it has one");
    let error = check(&stored, Some("v2")).expect_err("another");
    assert_eq!(
        error.to_string(),
        r#"stored queries are for Some("v1"), not for Some("v2")"#
    );
}

#[test]
fn newer_is_by_sequence_where_both_have_one_and_by_time_otherwise() {
    let mut query = StoredQuery::new(key!["a"], whole("1"), at(10));
    for (time, newer) in [(9, true), (10, false), (11, false)] {
        assert_eq!(query.is_newer_than(at(time), Some(1)), newer);
    }
    query.sequence = Some(5);
    assert!(query.is_newer_than(at(11), Some(4)));
    assert!(!query.is_newer_than(at(9), Some(5)));
    assert!(!query.is_newer_than(at(9), Some(6)));
    assert!(query.is_newer_than(at(9), None));
}

#[test]
fn only_one_json_value_is_a_json_text() {
    assert_eq!(text(" {\"a\": 1.50}\n").as_str(), "{\"a\": 1.50}");
    for json in ["", "1 2", "{", "nul", "01"] {
        JsonText::new(json).expect_err(json);
    }
}

fn any_stored() -> impl Strategy<Value = Stored> {
    let value = prop_oneof![
        any::<f64>().prop_map(|number| whole(&serde_json::json!([number]).to_string())),
        ".*".prop_map(|text| whole(&serde_json::json!({ "text": text }).to_string())),
        prop::collection::vec(
            prop_oneof![any::<i128>().prop_map(Id::from), ".*".prop_map(Id::from)],
            0..4
        )
        .prop_map(StoredValue::List),
    ];
    let query = (
        ".*",
        value,
        any::<u64>(),
        any::<Option<u64>>(),
        any::<bool>(),
    )
        .prop_map(|(name, value, updated_at, sequence, partial)| StoredQuery {
            key: key![name],
            value,
            updated_at: at(updated_at),
            sequence,
            partial,
        });
    let queries = prop::collection::vec(query, 0..5);
    (any::<u64>(), any::<Option<String>>(), queries).prop_map(|(saved_at, buster, queries)| {
        Stored {
            saved_at: at(saved_at),
            buster,
            queries,
        }
    })
}

proptest! {
    #[test]
    fn whatever_is_stored_comes_back(stored in any_stored()) {
        let json = stored.to_json();
        prop_assert_eq!(json.lines().count(), stored.queries.len() + 2);
        prop_assert_eq!(Stored::from_json(&json).expect("our own"), stored);
    }
}
