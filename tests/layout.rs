//! The import arrows between the rooms of `src`, as ARCHITECTURE.md draws them, read off the
//! source itself: a room that names one it must not know fails here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Room, and the rooms it may name. `time` and `sync` are leaves that any room may use, except
/// where the list of a room is empty.
const ARROWS: &[(&str, &[&str])] = &[
    ("sync", &[]),
    ("time", &[]),
    ("ws", &[]),
    ("key", &[]),
    ("record", &["key", "time"]),
    ("json", &["record", "key"]),
    ("store", &["record", "key", "sync", "time"]),
    ("feed", &["json", "ws", "record", "key", "sync", "time"]),
    ("query", &["key"]),
    (
        "io",
        &[
            "feed", "query", "store", "json", "ws", "record", "key", "sync", "time",
        ],
    ),
    (
        "cache",
        &[
            "io", "feed", "query", "store", "json", "ws", "record", "key", "sync", "time",
        ],
    ),
    (
        "testing",
        &["cache", "io", "feed", "json", "record", "key", "time"],
    ),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(at: &Path, into: &mut Vec<PathBuf>) {
    if at.is_dir() {
        for entry in fs::read_dir(at).expect("src is readable") {
            files(&entry.expect("an entry of src").path(), into);
        }
    } else if at.extension().is_some_and(|e| e == "rs") {
        into.push(at.to_path_buf());
    }
}

/// The room a file belongs to: the first part of its path below `src`.
fn room(file: &Path) -> String {
    let below = file.strip_prefix(source()).expect("a file of src");
    let first = below.iter().next().expect("a part").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Source without comments and without what only tests see.
fn code(text: &str) -> String {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]") && !line.starts_with("mod tests {"))
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The rooms that a text names: `crate::room`, and the members of `use crate::{a, b::c}`.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(list) = rest.strip_prefix('{') {
            let (mut depth, mut start) = (0, true);
            let mut word = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if depth == 0 && start && (c.is_alphanumeric() || c == '_') => word.push(c),
                    c if c.is_whitespace() => {}
                    _ => start = false,
                }
                if !word.is_empty() && (!start || c == ',') {
                    named.insert(std::mem::take(&mut word));
                }
            }
            named.insert(word);
        } else {
            named.insert(
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect(),
            );
        }
    }
    named
}

fn is_test(file: &Path) -> bool {
    file.iter()
        .any(|part| part == "tests" || part == "tests.rs" || part == "bin")
        || file
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().ends_with("_tests"))
}

#[test]
fn rooms_name_only_the_rooms_they_may_know() {
    let rooms: BTreeSet<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    let mut all = Vec::new();
    files(&source(), &mut all);
    assert!(all.len() > 20, "src was not read: {} files", all.len());
    let mut wrong = Vec::new();
    for file in all.iter().filter(|file| !is_test(file)) {
        let room = room(file);
        if room == "lib" {
            continue;
        }
        let (_, allowed) = *ARROWS
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("{}: a room that the arrows do not list", file.display()));
        let text = fs::read_to_string(file).expect("a source file is readable");
        for named in rooms_named(&code(&text)) {
            // `crate::Time` is the one re-export that rooms use by its short name.
            if rooms.contains(named.as_str()) && named != room && !allowed.contains(&named.as_str())
            {
                wrong.push(format!("{}: `{room}` names `{named}`", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that must not be:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn only_the_clock_reads_the_time_and_only_the_tape_names_the_parser() {
    let mut all = Vec::new();
    files(&source(), &mut all);
    for file in all.iter().filter(|file| !is_test(file)) {
        let code = code(&fs::read_to_string(file).expect("a source file is readable"));
        let below = file
            .strip_prefix(source())
            .expect("below src")
            .to_string_lossy()
            .into_owned();
        for (what, home) in [
            ("Instant::now", "io/clock.rs"),
            ("SystemTime::now", "io/clock.rs"),
            ("simd_json", "json/tape.rs"),
        ] {
            assert!(
                !code.contains(what) || below == home,
                "{below} names {what}, which is {home}'s"
            );
        }
        for (what, rooms) in [
            ("tokio", &["io", "cache"][..]),
            ("mio::", &["io"]),
            ("rustls", &["io", "cache"]),
            ("hyper", &["io"]),
        ] {
            let room = room(file);
            assert!(
                !code.contains(&format!("{what}::")) && !code.contains(&format!("use {what}"))
                    || rooms.contains(&room.as_str()),
                "{below} names {what}"
            );
        }
    }
}

#[test]
fn lib_rs_holds_no_logic() {
    let text = fs::read_to_string(source().join("lib.rs")).expect("src/lib.rs is readable");
    let code = code(&text);
    for word in ["fn ", "struct ", "enum ", "impl ", "static ", "const "] {
        assert!(!code.contains(word), "src/lib.rs holds `{word}`");
    }
}

#[test]
fn imports_are_read_in_every_form() {
    let named =
        rooms_named("use crate::{a::X, b::{c, d}, e};\nuse crate::f::Y;\nlet z = crate::g();");
    assert_eq!(
        named.into_iter().collect::<Vec<_>>(),
        ["a", "b", "e", "f", "g"]
    );
}
