//! What has happened, told apart from run to run by a number, and for a run that failed in words.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

use tickcache::{Slot, Time};

/// Lines that are kept, unless `TRACE` says how many.
const KEPT: usize = 90;

/// The longest that is shown of one event.
const WIDTH: usize = 300;

#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// A number made of all that was noted.
    pub(crate) hash: u64,
    in_words: bool,
    kept: usize,
    began: Option<Time>,
    lines: VecDeque<String>,
    faces: Vec<(String, String)>,
}

/// FNV-1a: the same number in every process.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Trace {
    pub(crate) fn in_words() -> Self {
        Self {
            in_words: true,
            kept: crate::number("TRACE").map_or(KEPT, |lines| lines as usize),
            ..Self::default()
        }
    }

    pub(crate) fn note(&mut self, now: Time, event: &(impl Debug + Hash)) {
        let mut hasher = Fnv(self.hash);
        (now.as_nanos(), event).hash(&mut hasher);
        self.hash = hasher.0;
        if self.in_words {
            let mut text = readable(&format!("{event:?}"));
            text.truncate(text.floor_char_boundary(WIDTH));
            self.push(now, text);
        }
    }

    fn push(&mut self, now: Time, text: String) {
        let began = *self.began.get_or_insert(now);
        if self.lines.len() == self.kept {
            self.lines.pop_front();
        }
        self.lines
            .push_back(format!("  {:>12?} {text}", now.since(began)));
    }

    /// What a slot shows, if it is something else than before.
    pub(crate) fn show(&mut self, now: Time, slot: &Slot) {
        if !self.in_words {
            return;
        }
        let snapshot = slot.snapshot();
        let id = slot.id().to_string();
        let face = format!(
            "{:?}, epoch {}, number {:?}: {}",
            snapshot.freshness(),
            snapshot.epoch(),
            snapshot.sequence(),
            snapshot.record().to_json()
        );
        match self.faces.iter_mut().find(|(known, _)| *known == id) {
            Some((_, before)) if *before == face => return,
            Some((_, before)) => before.clone_from(&face),
            None => self.faces.push((id.clone(), face.clone())),
        }
        self.push(now, format!("      {id} is {face}"));
    }

    pub(crate) fn lines(&self) -> String {
        self.lines.iter().fold(String::new(), |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        })
    }
}

/// Bytes that are a text shown as one: `Down(3, [123, ..])` tells nobody anything.
fn readable(event: &str) -> String {
    let Some((head, rest)) = event.split_once('[') else {
        return event.to_owned();
    };
    let bytes: Option<Vec<u8>> = rest
        .trim_end_matches("])")
        .split(", ")
        .map(|number| number.parse().ok())
        .collect();
    match bytes {
        Some(bytes) => format!("{head}{}", bytes.escape_ascii()),
        None => event.to_owned(),
    }
}
