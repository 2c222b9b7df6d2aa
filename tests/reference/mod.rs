//! A reference reducer: what the final state of a list of messages must be, written as plainly as
//! possible and with nothing of the crate in it.
//!
//! It knows two presets. `binance-spot` takes the `data` object whole, as the new value. `events`
//! patches (RFC 7396 or shallow). Values keep every token exactly as it was received: numbers and
//! texts are never decoded, arrays are kept as text.
//!
//! Not modelled: time, connections and freshness. A message counts as unchanged when the value is
//! the same; an engine that has also a new freshness to tell counts it as applied.

mod tree;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use tree::Tree;

/// An id, ordered as `--print` orders it: integers by number, then texts by bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    Int(i128),
    Text(String),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(id) => write!(f, "{id}"),
            Self::Text(id) => f.write_str(&serde_json::to_string(id).map_err(|_| fmt::Error)?),
        }
    }
}

/// How a payload joins the value it patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    Rfc7396,
    Shallow,
}

/// What a patch for an unknown id does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Insert,
    Ignore,
}

/// How messages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    BinanceSpot,
    Events {
        merge: Merge,
        missing: Missing,
        /// Whether `7` and `"7"` are one id.
        text_ids: bool,
    },
}

/// The two ledgers. `messages = data + invalidation + control + unmapped + refused`, and
/// `patches = applied + unchanged + missing + older + duplicate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub messages: u64,
    pub data: u64,
    pub invalidation: u64,
    pub control: u64,
    pub unmapped: u64,
    pub refused: u64,
    pub patches: u64,
    pub applied: u64,
    pub unchanged: u64,
    /// Patches and removals for an id that is not there.
    pub missing: u64,
    /// With a lower sequence than the value has.
    pub older: u64,
    /// With the same sequence as the value has.
    pub duplicate: u64,
}

impl Counts {
    /// Whether both ledgers balance.
    pub fn balanced(&self) -> bool {
        let messages = self.data + self.invalidation + self.control + self.unmapped + self.refused;
        let patches = self.applied + self.unchanged + self.missing + self.older + self.duplicate;
        (messages, patches) == (self.messages, self.patches)
    }
}

/// What one message turned out to be.
enum Class {
    Whole {
        entity: &'static str,
        id: Id,
        value: Tree,
        sequence: Option<u64>,
    },
    Patch {
        entity: String,
        id: Id,
        payload: Tree,
    },
    Remove {
        entity: String,
        id: Id,
    },
    Invalidation,
    Control,
    Unmapped,
    Refused,
}

/// Values by entity and id.
pub type Values = BTreeMap<(String, Id), Tree>;

/// The reducer.
#[derive(Debug)]
pub struct Reference {
    preset: Preset,
    values: Values,
    sequences: BTreeMap<(String, Id), u64>,
    counts: Counts,
}

impl Reference {
    pub fn new(preset: Preset) -> Self {
        let (values, sequences, counts) = Default::default();
        Self {
            preset,
            values,
            sequences,
            counts,
        }
    }

    /// Takes every line of a text as one message; blank lines are not messages.
    pub fn of_lines(preset: Preset, text: &str) -> Self {
        let mut reference = Self::new(preset);
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .for_each(|line| reference.message(line));
        reference
    }

    /// The values now.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The counters now.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes one message.
    pub fn message(&mut self, text: &str) {
        self.counts.messages += 1;
        let class = match self.preset {
            Preset::BinanceSpot => binance_spot(text),
            Preset::Events { text_ids, .. } => event(text, text_ids),
        };
        let counter = match &class {
            Class::Whole { .. } | Class::Patch { .. } | Class::Remove { .. } => {
                self.counts.patches += 1;
                &mut self.counts.data
            }
            Class::Invalidation => &mut self.counts.invalidation,
            Class::Control => &mut self.counts.control,
            Class::Unmapped => &mut self.counts.unmapped,
            Class::Refused => &mut self.counts.refused,
        };
        *counter += 1;
        match class {
            Class::Whole {
                entity,
                id,
                value,
                sequence,
            } => self.whole(entity, id, value, sequence),
            Class::Patch {
                entity,
                id,
                payload,
            } => self.patch((entity, id), payload),
            Class::Remove { entity, id } => match self.values.remove(&(entity, id)) {
                Some(_) => self.counts.applied += 1,
                None => self.counts.missing += 1,
            },
            Class::Invalidation | Class::Control | Class::Unmapped | Class::Refused => {}
        }
    }

    fn whole(&mut self, entity: &str, id: Id, value: Tree, sequence: Option<u64>) {
        let key = (entity.to_owned(), id);
        if let Some(sequence) = sequence {
            match self.sequences.get(&key) {
                Some(last) if sequence < *last => return self.counts.older += 1,
                Some(last) if sequence == *last => return self.counts.duplicate += 1,
                _ => self.sequences.insert(key.clone(), sequence),
            };
        }
        self.put(key, value);
    }

    fn patch(&mut self, key: (String, Id), payload: Tree) {
        let Preset::Events { merge, missing, .. } = self.preset else {
            unreachable!("only the events preset patches")
        };
        let old = self.values.get(&key);
        if old.is_none() && missing == Missing::Ignore {
            self.counts.missing += 1;
            return;
        }
        let old = old.cloned().unwrap_or_else(Tree::empty);
        let new = match merge {
            Merge::Rfc7396 => old.merged(payload),
            Merge::Shallow => old.shallow(payload),
        };
        self.put(key, new);
    }

    fn put(&mut self, key: (String, Id), value: Tree) {
        if self.values.get(&key) == Some(&value) {
            self.counts.unchanged += 1;
        } else {
            self.counts.applied += 1;
            self.values.insert(key, value);
        }
    }
}

/// Reads a message of Binance's spot market data.
fn binance_spot(text: &str) -> Class {
    let Some(message) = Tree::parse(text) else {
        return Class::Refused;
    };
    let Tree::Object(members) = &message else {
        return Class::Refused;
    };
    let (channel, data) = match (members.get("stream"), members.get("data")) {
        (Some(stream), Some(data)) => {
            let Some(stream) = stream.text() else {
                return Class::Refused;
            };
            let channel = stream
                .split_once('@')
                .map(|(_, channel)| channel.to_owned());
            (channel, data)
        }
        _ if members.contains_key("result") || members.contains_key("error") => {
            return Class::Control;
        }
        _ => (raw_channel(members), &message),
    };
    // A shutdown notice comes raw, or under a stream of its own.
    if data.member("e").and_then(Tree::text).as_deref() == Some("serverShutdown") {
        return Class::Control;
    }
    let entity = match channel.as_deref() {
        Some("bookTicker") => "binance-spot.bookTicker",
        Some("ticker") => "binance-spot.ticker",
        Some("trade") => "binance-spot.trade",
        _ => return Class::Unmapped,
    };
    if !matches!(data, Tree::Object(_)) {
        return Class::Refused;
    }
    let Some(id) = data.member("s").and_then(Tree::text) else {
        return Class::Refused;
    };
    let sequence = match entity {
        "binance-spot.bookTicker" => data.member("u").and_then(Tree::number),
        "binance-spot.trade" => data.member("t").and_then(Tree::number),
        _ => None,
    };
    Class::Whole {
        entity,
        id: Id::Text(id),
        value: data.clone(),
        sequence,
    }
}

/// The channel of a message without a stream name: from `e`, and of a spot `bookTicker`, which has
/// none, from its fields.
fn raw_channel(members: &BTreeMap<String, Tree>) -> Option<String> {
    match members.get("e").and_then(Tree::text).as_deref() {
        Some("24hrTicker") => Some("ticker".to_owned()),
        Some("trade") => Some("trade".to_owned()),
        Some(_) => None,
        None => {
            let book = ["u", "s", "b", "B", "a", "A"]
                .iter()
                .all(|name| members.contains_key(*name));
            book.then(|| "bookTicker".to_owned())
        }
    }
}

/// Reads a `{"entity","id","payload"}` message.
fn event(text: &str, text_ids: bool) -> Class {
    let Some(message) = Tree::parse(text) else {
        return Class::Refused;
    };
    let Some(entity) = message.member("entity").and_then(Tree::text) else {
        return Class::Refused;
    };
    let id = match message.member("id") {
        None => None,
        Some(id) if id.is_null() => None,
        Some(id) => match (id.text(), id.integer()) {
            (Some(text), _) => Some(Id::Text(text)),
            (None, Some(number)) if text_ids => Some(Id::Text(number.to_string())),
            (None, Some(number)) => Some(Id::Int(number)),
            (None, None) => return Class::Refused,
        },
    };
    match (id, message.member("payload")) {
        (_, None) => Class::Invalidation,
        // A payload needs to know where to.
        (None, Some(_)) => Class::Refused,
        (Some(id), Some(payload)) if payload.is_null() => Class::Remove { entity, id },
        (Some(id), Some(payload)) => Class::Patch {
            entity,
            id,
            payload: payload.clone(),
        },
    }
}

/// Reads what `--print` wrote: one `{"entity","id","epoch","value"}` a line. Errs with the line that
/// is not that, or that is out of order.
pub fn printed(text: &str) -> Result<Values, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line<'a> {
        entity: String,
        #[serde(borrow)]
        id: &'a RawValue,
        #[serde(rename = "epoch")]
        _epoch: u64,
        #[serde(borrow)]
        value: &'a RawValue,
    }
    let mut values = Values::new();
    for line in text.lines() {
        let wrong = |why: &dyn fmt::Display| format!("{why}: {line}");
        let read: Line<'_> = serde_json::from_str(line).map_err(|error| wrong(&error))?;
        let id = Tree::parse(read.id.get()).ok_or_else(|| wrong(&"no id"))?;
        let id = match (id.text(), id.integer()) {
            (Some(text), _) => Id::Text(text),
            (None, Some(number)) => Id::Int(number),
            (None, None) => return Err(wrong(&"an id that is neither text nor integer")),
        };
        let value = Tree::parse(read.value.get()).ok_or_else(|| wrong(&"no value"))?;
        let key = (read.entity, id);
        if values
            .last_key_value()
            .is_some_and(|(last, _)| *last >= key)
        {
            return Err(wrong(&"not in order"));
        }
        values.insert(key, value);
    }
    Ok(values)
}

/// What differs between two states, in words; empty when nothing does.
pub fn differences(expected: &Values, found: &Values) -> Vec<String> {
    let mut out = Vec::new();
    for ((entity, id), value) in expected {
        match found.get(&(entity.clone(), id.clone())) {
            None => out.push(format!("{entity} {id} is missing")),
            Some(other) if other != value => {
                out.push(format!(
                    "{entity} {id}\n  expected {value}\n  found    {other}"
                ));
            }
            Some(_) => {}
        }
    }
    let extra = found.keys().filter(|key| !expected.contains_key(*key));
    out.extend(extra.map(|(entity, id)| format!("{entity} {id} should not be there")));
    out
}
