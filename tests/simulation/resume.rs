//! What was said over a connection, for a client that goes on where it was: a source that is
//! trusted sends, after a reconnect, what was missed, in order.
//!
//! A client says which message was the last that it got. What was lost on the way before that is a
//! fault of the source, and not sent again, unless nothing of its key came after it: nobody can
//! have noticed that yet.

use std::collections::BTreeMap;

/// Where a client is with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It has this version.
    At(usize),
    /// It may have more than it knows.
    Unsure,
}

/// One key in one message.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Of the message, among those of its connection.
    number: u64,
    key: usize,
    /// Where the client is with it then; `None`: it is not spoken of from here on.
    place: Option<Place>,
    /// A client may have got it and not know its number.
    is_long: bool,
}

/// What was sent to one client, and not lost.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: Vec<Entry>,
}

impl Log {
    /// The log of a connection that goes on there.
    pub(crate) fn following(places: &BTreeMap<usize, Place>) -> Self {
        let mut log = Self::default();
        for (key, place) in places {
            log.note(0, *key, Some(*place), false);
        }
        log
    }

    /// What a message with this number says of a key.
    pub(crate) fn note(&mut self, number: u64, key: usize, place: Option<Place>, is_long: bool) {
        self.entries.push(Entry {
            number,
            key,
            place,
            is_long,
        });
    }

    /// Where a client is with each key for whom the last message had this number.
    pub(crate) fn places(&self, last: u64) -> BTreeMap<usize, Place> {
        let mut places = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.number <= last) {
            match entry.place {
                Some(place) => places.insert(entry.key, place),
                None => places.remove(&entry.key),
            };
        }
        let mut later = self.entries.iter().filter(|entry| entry.number > last);
        while let Some(entry) = later.find(|entry| entry.is_long) {
            places.entry(entry.key).and_modify(|it| *it = Place::Unsure);
        }
        places
    }
}
