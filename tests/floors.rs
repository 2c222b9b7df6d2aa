//! Versions and `unsafe`: no dependency is older than the first version without a known hole, and
//! the library's unsafe code is where it is known to be, each block with its reason.
//!
//! A floor is raised by hand when an advisory comes out. Versions are those of `Cargo.lock`, which
//! is what is built with `--locked`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A crate, and the first version of a line of versions without a known hole. A line is all that
/// `cargo update` would move between: `0.8`, or `1`. Lines above the last one are younger than all
/// the holes.
const FLOORS: &[(&str, &[&str])] = &[
    ("arc-swap", &["1.9.3"]),
    ("aws-lc-sys", &["0.39.0"]),
    ("bytes", &["1.11.1"]),
    ("crossbeam-channel", &["0.5.15"]),
    ("crossbeam-epoch", &["0.9.20"]),
    ("event-listener", &["5.4.2"]),
    ("h2", &["0.4.16"]),
    ("memmap2", &["0.9.11"]),
    ("rand", &["0.8.6", "0.9.3"]),
    ("rustls", &["0.23.18"]),
    ("rustls-webpki", &["0.103.13"]),
    ("scc", &["3.8.4"]),
    ("simd-json", &["0.1.15"]),
    ("tokio", &["1.44.2"]),
];

/// Crates that nobody looks after any more, each with what took its place.
const GONE: &[(&str, &str)] = &[("rustls-pemfile", "the PEM reader of rustls-pki-types")];

/// Modules of the library with `unsafe`. There are to be no more than two.
const UNSAFE: &[&str] = &["json/learned/simd.rs"];

type Version = [u64; 3];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn version(text: &str) -> Version {
    let plain = text.split(['-', '+']).next().unwrap_or_default();
    let mut parts = plain
        .split('.')
        .map(|part| part.parse().expect("a version"));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// What `cargo update` does not cross.
fn line([major, minor, patch]: Version) -> Version {
    match (major, minor) {
        (0, 0) => [0, 0, patch],
        (0, minor) => [0, minor, 0],
        (major, _) => [major, 0, 0],
    }
}

/// Names and versions of a lock file.
fn locked(file: &Path) -> Vec<(String, String)> {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let value = |package: &str, key: &str| {
        let found = package
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
        found.map(|rest| rest.trim_end_matches('"').to_owned())
    };
    let packages = text.split("[[package]]").skip(1);
    let known =
        packages.filter_map(|package| Some((value(package, "name")?, value(package, "version")?)));
    known.collect()
}

/// What is wrong with a version, if anything is.
fn below(name: &str, found: &str) -> Option<String> {
    if let Some((_, instead)) = GONE.iter().find(|(gone, _)| *gone == name) {
        return Some(format!("{name} is not maintained any more: use {instead}"));
    }
    let (_, floors) = FLOORS.iter().find(|(known, _)| *known == name)?;
    let version_found = version(found);
    let same_line = floors
        .iter()
        .find(|floor| line(version(floor)) == line(version_found));
    let floor = match same_line {
        Some(floor) => floor,
        // Of another line: older than all, or younger.
        None => floors.last()?,
    };
    (version_found < version(floor))
        .then(|| format!("{name} {found} has a known hole: take {floor} or later"))
}

#[test]
fn no_dependency_has_a_known_hole() {
    let locks = ["Cargo.lock", "fuzz/Cargo.lock"].map(|lock| root().join(lock));
    let (mut judged, mut holes) = (BTreeSet::new(), Vec::new());
    for lock in locks.iter().filter(|lock| lock.exists()) {
        let packages = locked(lock);
        assert!(packages.len() > 10, "{} is not understood", lock.display());
        for (name, version) in packages {
            holes.extend(below(&name, &version));
            if FLOORS.iter().any(|(known, _)| *known == name) {
                judged.insert(format!("{name} {version}"));
            }
        }
    }
    println!("above their floors: {}", Vec::from_iter(judged).join(", "));
    assert!(holes.is_empty(), "{holes:#?}");
}

#[test]
fn a_version_below_its_floor_is_seen() {
    for (name, found) in [
        ("bytes", "1.11.0"),
        ("rand", "0.8.5"),
        ("rand", "0.9.2"),
        ("rand", "0.7.3"),
        ("rustls-webpki", "0.102.8"),
        ("tokio", "0.2.25"),
        ("rustls-pemfile", "2.2.0"),
    ] {
        assert!(below(name, found).is_some(), "{name} {found}");
    }
    for (name, found) in [
        ("bytes", "1.11.1"),
        ("rand", "0.8.6"),
        ("rand", "0.10.0"),
        ("tokio", "1.100.0"),
        ("unknown", "0.0.1"),
    ] {
        assert_eq!(below(name, found), None, "{name} {found}");
    }
}

fn files(at: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(at).expect("src is readable") {
        let path = entry.expect("an entry of src").path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

/// Whether a line of code has the word, comments and texts apart.
fn has_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let outside = code.split('"').step_by(2);
    let mut words = outside.flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.any(|word| word == "unsafe")
}

/// Whether the comment right above a line says why it is sound.
fn is_justified(lines: &[&str], at: usize) -> bool {
    let above = lines[..at].iter().rev().map(|line| line.trim_start());
    let mut comment = above.take_while(|line| line.starts_with("//") || line.starts_with('#'));
    comment.any(|line| line.contains("SAFETY:") || line.contains("# Safety"))
}

/// The lines of a text with `unsafe`, and those of them without a reason.
fn census(text: &str) -> (usize, Vec<usize>) {
    let lines: Vec<_> = text.lines().collect();
    let found: Vec<_> = (0..lines.len())
        .filter(|&at| has_unsafe(lines[at]))
        .collect();
    let bare = found.iter().filter(|&&at| !is_justified(&lines, at));
    (found.len(), bare.map(|at| at + 1).collect())
}

#[test]
fn unsafe_code_is_where_it_is_known_to_be_and_says_why() {
    const { assert!(UNSAFE.len() <= 2) };
    let source = root().join("src");
    let mut all = Vec::new();
    files(&source, &mut all);
    assert!(all.len() > 100, "{} files", all.len());
    let (mut total, mut wrong) = (0, Vec::new());
    for file in all {
        let name = file
            .strip_prefix(&source)
            .expect("a file of src")
            .to_string_lossy()
            .replace('\\', "/");
        let text = fs::read_to_string(&file).expect("UTF-8");
        let (count, bare) = census(&text);
        if count > 0 {
            println!("{count} in {name}");
            total += count;
        }
        if count > 0 && !UNSAFE.contains(&&*name) {
            wrong.push(format!("{name} has unsafe code"));
        }
        wrong.extend(
            bare.iter()
                .map(|line| format!("{name}:{line} has no SAFETY comment")),
        );
    }
    println!("unsafe: {total} in {} module(s) of at most 2", UNSAFE.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    assert!(
        manifest.contains("unsafe_code = \"deny\""),
        "unsafe code is denied elsewhere"
    );
}

#[test]
fn unsafe_code_without_a_reason_is_seen() {
    assert_eq!(
        census("// unsafe\nlet a = \"unsafe\";\n/// unsafe_code\n#![allow(unsafe_code)]"),
        (0, vec![])
    );
    assert_eq!(
        census("// SAFETY: checked.\nunsafe { a }\n\nunsafe { b }"),
        (2, vec![4])
    );
    assert_eq!(
        census("/// Reads.\n///\n/// # Safety\n/// In range.\n#[inline]\nunsafe fn read() {}"),
        (1, vec![])
    );
}
