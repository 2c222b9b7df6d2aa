//! Any text as the file of an envelope, and then as its messages.
//!
//! What is above a line of `%` is the file; each line below is a message. A file that is refused is
//! refused for a key that is named, at a line and column that the file has, and the same way each
//! time. One that is accepted makes a feed that takes whatever comes: the ledgers balance after each
//! message, and one that is refused leaves every value as it was.

use tickcache::feed::{Envelope, EnvelopeError};
use tickcache::{Cache, Feed};

use crate::values::values;

/// Runs the file and its messages.
///
/// # Panics
/// If one of the rules above does not hold.
pub(crate) fn replay(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (file, messages) = text.split_once("\n%\n").unwrap_or((text, ""));
    let read = Envelope::from_toml(file);
    let envelope = match read {
        Ok(envelope) => envelope,
        Err(error) => {
            assert_eq!(Envelope::from_toml(file).err().as_ref(), Some(&error));
            return named(file, &error);
        }
    };
    assert!(!format!("{envelope:?}").is_empty());
    let cache = Cache::builder().max_ids(64).build().expect("a cache");
    // One that wants what no connection can give is refused here.
    let Ok(mut feed) = cache.local(Feed::envelope(envelope)) else {
        return;
    };
    feed.open();
    for message in messages.lines() {
        let before = values(&cache);
        let taken = feed.message_text(message);
        if taken.is_err() {
            assert_eq!(
                values(&cache),
                before,
                "{message} is refused, and has an effect"
            );
        }
        let counters = feed.counters();
        assert!(counters.balanced(), "{message}: {counters:?}");
    }
    feed.close();
    for entity in cache.entities() {
        for slot in entity.iter() {
            assert!(!slot.freshness().is_live(), "{slot:?} without a connection");
        }
    }
}

/// An error says what is wrong where.
fn named(file: &str, error: &EnvelopeError) {
    let EnvelopeError::File {
        line,
        column,
        key,
        message,
    } = error
    else {
        panic!("no place is named: {error:?}");
    };
    assert!(!key.is_empty() && !message.is_empty(), "{error:?}");
    // What is missing is said of the end.
    let lines = file.split('\n').count();
    assert!((1..=lines).contains(line), "{error:?} of {lines} lines");
    let length = file
        .split('\n')
        .nth(line - 1)
        .map_or(0, |line| line.chars().count());
    assert!(
        (1..=length + 1).contains(column),
        "{error:?}: the line has {length} characters"
    );
}
