//! The reference: a server, and what a cache may show of it. Imports nothing of the crate.

use std::collections::VecDeque;

use serde_json::{Map, Value};

/// How changes are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// One more for each change of the same key.
    PerKey,
    /// One counter for all keys, so that an answer about several of them has one number too.
    Global,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Patch(Value),
    Whole(Value),
    Remove,
    /// Something changed of which the stream says nothing more.
    Event,
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) key: usize,
    pub(crate) version: u64,
    pub(crate) what: What,
}

/// The truth: every state that every key ever had.
pub(crate) struct Server {
    /// The counter of all keys, where there is one.
    last: Option<u64>,
    states: Vec<Vec<(u64, Option<Value>)>>,
    /// What the connection carries and has not delivered; none while there is no connection.
    pub(crate) wire: Option<VecDeque<Message>>,
}

impl Server {
    pub(crate) fn new(keys: usize, numbering: Numbering) -> Self {
        let last = (numbering == Numbering::Global).then_some(0);
        let states = vec![vec![(0, None)]; keys];
        let wire = Some(VecDeque::new());
        Self { last, states, wire }
    }

    fn newest(&self, key: usize) -> &(u64, Option<Value>) {
        self.states[key].last().expect("it began with one")
    }

    pub(crate) fn value(&self, key: usize) -> Option<&Value> {
        self.newest(key).1.as_ref()
    }

    /// The number that an answer given now carries.
    pub(crate) fn version(&self, key: usize) -> u64 {
        self.last.unwrap_or_else(|| self.newest(key).0)
    }

    /// The value of a key as of a number.
    pub(crate) fn at(&self, key: usize, version: u64) -> Option<&Value> {
        let until = self.states[key].partition_point(|(number, _)| *number <= version);
        self.states[key][until - 1].1.as_ref()
    }

    /// Changes a key; the caller says how the change is told.
    pub(crate) fn change(&mut self, key: usize, value: Option<Value>) -> u64 {
        let version = self.version(key) + 1;
        self.last = self.last.map(|_| version);
        self.states[key].push((version, value));
        version
    }

    pub(crate) fn send(&mut self, key: usize, what: What) {
        let version = self.newest(key).0;
        if let Some(wire) = &mut self.wire {
            wire.push_back(Message { key, version, what });
        }
    }
}

/// RFC 7396.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        return *target = patch.clone();
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let members = target.as_object_mut().expect("it was just made one");
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// What a cache shows of a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) value: Option<Value>,
    pub(crate) version: Option<u64>,
    pub(crate) live: bool,
    /// It admits itself that something is missing in the value.
    pub(crate) holes: bool,
}

/// What was told of one key.
#[derive(Clone, Default)]
struct Told {
    /// The newest number that the stream has delivered.
    streamed: u64,
    /// The newest unanswered invalidation: the truth it speaks of, and when it came.
    mark: Option<(u64, u64)>,
    /// The newest invalidation that was answered by a fetch.
    fetched: u64,
    /// The newest answer that named some members only: up to it a value may be of two versions.
    mixed: u64,
    shown: u64,
}

/// Remembers what was told, and judges what is shown.
pub(crate) struct Witness {
    told: Vec<Told>,
    pub(crate) step: u64,
}

impl Witness {
    pub(crate) fn new(keys: usize) -> Self {
        let told = vec![Told::default(); keys];
        Self { told, step: 0 }
    }

    /// An invalidation has come, which speaks of the truth of this number.
    pub(crate) fn mark(&mut self, key: usize, version: u64) {
        let told = &mut self.told[key];
        let newest = told.mark.map_or(version, |(marked, _)| marked.max(version));
        told.mark = Some((newest, self.step));
    }

    /// A message has come, where a value of the number `held` was shown.
    pub(crate) fn deliver(&mut self, message: &Message, held: Option<u64>) {
        if let What::Event = message.what {
            return self.mark(message.key, message.version);
        }
        let told = &mut self.told[message.key];
        told.streamed = told.streamed.max(message.version);
        let whole = !matches!(message.what, What::Patch(_));
        if whole && held.is_none_or(|held| message.version >= held) {
            (told.mark, told.fetched) = (None, 0);
        }
    }

    /// A fetch that began at this step was answered, in part if as of a number.
    pub(crate) fn answer(&mut self, key: usize, begun: u64, partly: Option<u64>) {
        let told = &mut self.told[key];
        told.mixed = told.mixed.max(partly.unwrap_or(0));
        if let Some((version, _)) = told.mark.take_if(|(_, came)| *came < begun) {
            told.fetched = told.fetched.max(version);
        }
    }

    /// What is wrong with what is shown, at any moment.
    pub(crate) fn judge(&mut self, server: &Server, key: usize, it: &Shown) -> Option<String> {
        let told = &mut self.told[key];
        let connected = server.wire.is_some();
        if it.live && (!connected || told.mark.is_some()) {
            return Some(format!(
                "live; connected: {connected}, marked: {:?}",
                told.mark
            ));
        }
        let version = it.version?;
        if version < told.shown {
            return Some(format!("back from version {} to {version}", told.shown));
        }
        told.shown = version;
        let floor = told.streamed.max(told.fetched);
        if it.live && version < floor {
            return Some(format!(
                "live at version {version}, though {floor} was told"
            ));
        }
        // With one counter for all, a cache cannot see a hole in what a doubted value was made of.
        let exact = version >= told.mixed && (it.live || server.last.is_none() && !it.holes);
        let truth = server.at(key, version);
        if exact && it.value.as_ref() != truth {
            return Some(format!(
                "version {version} is {truth:?}, not {:?}",
                it.value
            ));
        }
        None
    }
}
