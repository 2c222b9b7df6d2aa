//! What is true: every state that every key ever had, and how one becomes another.
//!
//! A value carries its own version, so that whoever reads it can be asked which state it is.

use serde_json::{Map, Value, json};
use tickcache::Time;

use crate::random::Random;

/// A state of a key.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// When it became so.
    pub(crate) at: Time,
    /// `None`: the key has no value.
    pub(crate) value: Option<Value>,
    /// Its place among the changes of all keys.
    pub(crate) global: u64,
}

/// The states of all keys; the version of a state is its place in the list.
#[derive(Debug)]
pub(crate) struct Truth {
    keys: Vec<Vec<State>>,
    global: u64,
}

impl Truth {
    pub(crate) fn new(keys: usize, now: Time, random: &mut Random) -> Self {
        let mut truth = Self {
            keys: vec![Vec::new(); keys],
            global: 0,
        };
        for key in 0..keys {
            let value = fresh(0, random);
            truth.push(key, now, Some(value));
        }
        truth
    }

    fn push(&mut self, key: usize, at: Time, value: Option<Value>) {
        self.global += 1;
        self.keys[key].push(State {
            at,
            value,
            global: self.global,
        });
    }

    pub(crate) fn states(&self, key: usize) -> &[State] {
        &self.keys[key]
    }

    /// The version of the present state.
    pub(crate) fn version(&self, key: usize) -> usize {
        self.keys[key].len() - 1
    }

    pub(crate) fn now(&self, key: usize) -> &State {
        &self.keys[key][self.version(key)]
    }

    /// The version that was current at a time.
    pub(crate) fn version_at(&self, key: usize, at: Time) -> usize {
        let until = self.keys[key].partition_point(|state| state.at <= at);
        until.saturating_sub(1)
    }

    /// The patch that does what all changes from one version to another have done, so that it may be
    /// laid over any version in between as well; `None` if there was no value at one of them.
    pub(crate) fn between(&self, key: usize, from: usize, to: usize) -> Option<Value> {
        let mut patch = Value::Object(Map::new());
        for states in self.keys[key][from..=to].windows(2) {
            let (old, new) = (states[0].value.as_ref()?, states[1].value.as_ref()?);
            follow(&mut patch, diff(old, new));
        }
        Some(patch)
    }

    /// Changes a part of a value; makes one where there is none.
    pub(crate) fn change(&mut self, key: usize, at: Time, random: &mut Random) {
        let version = self.keys[key].len();
        let value = match self.now(key).value.clone() {
            None => fresh(version, random),
            Some(mut value) => {
                let members = value.as_object_mut().expect("values are objects");
                members.insert("v".into(), json!(version));
                for _ in 0..1 + random.below(2) {
                    edit(members, random);
                }
                value
            }
        };
        self.push(key, at, Some(value));
    }

    /// Another value, which has nothing of the old one.
    pub(crate) fn replace(&mut self, key: usize, at: Time, random: &mut Random) {
        let value = fresh(self.keys[key].len(), random);
        self.push(key, at, Some(value));
    }

    pub(crate) fn remove(&mut self, key: usize, at: Time) {
        self.push(key, at, None);
    }
}

fn fresh(version: usize, random: &mut Random) -> Value {
    let mut members = Map::new();
    members.insert("v".into(), json!(version));
    for _ in 0..5 {
        edit(&mut members, random);
    }
    Value::Object(members)
}

/// Sets, changes or takes away one member, or one of a member's.
fn edit(members: &mut Map<String, Value>, random: &mut Random) {
    let number = random.below(10_000);
    match random.below(10) {
        0..=4 => {
            let name = format!("f{}", random.below(5));
            members.insert(name, json!(number));
        }
        5 => {
            members.remove(&format!("f{}", random.below(5)));
        }
        6 => {
            members.insert(
                "text".into(),
                json!(format!("{number}.{:04}", random.below(10_000))),
            );
        }
        7 => {
            let levels: Vec<_> = (0..random.below(4)).map(|n| json!([n, number])).collect();
            members.insert("levels".into(), json!(levels));
        }
        _ => {
            let deep = members.entry("deep").or_insert_with(|| json!({}));
            let deep = deep.as_object_mut().expect("it was made as one");
            let name = format!("d{}", random.below(3));
            if random.chance(30) {
                deep.remove(&name);
            } else {
                deep.insert(name, json!(number));
            }
        }
    }
}

/// Puts a merge patch behind another one. No change makes an object of something else.
fn follow(patch: &mut Value, next: Value) {
    let (Value::Object(members), Value::Object(changed)) = (&mut *patch, &next) else {
        return *patch = next;
    };
    for (name, value) in changed {
        match members.get_mut(name) {
            Some(before) if before.is_object() => follow(before, value.clone()),
            _ => {
                members.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The merge patch that makes `new` of `old`.
fn diff(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return new.clone();
    };
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        match old.get(name) {
            Some(before) if before == value => {}
            Some(before) => {
                patch.insert(name.clone(), diff(before, value));
            }
            None => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}
