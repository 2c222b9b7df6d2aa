//! A conversation with each venue.

use crate::kit::{Desk, envelope, folder};

/// What the messages of a file come to, written as the file is.
fn converse(name: &str, text: &str) -> String {
    let mut desk = Desk::new(envelope(name));
    let mut now = String::new();
    for message in text.lines().filter_map(|line| line.strip_prefix("> ")) {
        now += &format!("> {message}\n");
        for line in desk.take(message) {
            now += &format!("{line}\n");
        }
    }
    now
}

#[test]
fn every_venue_is_understood_through_its_file_alone() {
    let mut venues = 0;
    for entry in std::fs::read_dir(folder()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        venues += 1;
        let name = path.file_stem().expect("a name").to_string_lossy();
        let text = std::fs::read_to_string(&path).expect("a text");
        let now = converse(&name, &text);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&path, &now).expect("can be written");
            continue;
        }
        assert!(!now.contains("NOT UNDERSTOOD"), "{name}:\n{now}");
        for (is, should) in now.lines().zip(text.lines()) {
            assert_eq!(is, should, "{name}");
        }
        assert_eq!(now.lines().count(), text.lines().count(), "{name}");
    }
    assert!(venues >= 21, "{venues} venues");
}
