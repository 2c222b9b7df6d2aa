//! A reference reducer for recorded traffic: what the final state must be, with nothing of the crate
//! in it. What the messages of a venue mean is in `venues.rs`.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::tree::Tree;

/// Entity and id.
pub(crate) type Key = (String, String);

/// What a message is.
#[derive(Debug)]
pub(crate) enum Said {
    /// Values, or parts of them.
    Data(Vec<Step>),
    /// Of a channel that is no part of the mapping, such as a book.
    Unmapped,
    /// For the connection: answers, heartbeats, notices.
    Other,
}

/// What is said of one value.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) entity: &'static str,
    pub(crate) id: String,
    pub(crate) change: Change,
    pub(crate) order: Order,
}

#[derive(Debug)]
pub(crate) enum Change {
    /// The whole value.
    Whole(Tree),
    /// RFC 7396: null deletes. Nothing, where there is no value.
    Patch(Tree),
    /// As RFC 7396, but null is a value.
    Overlay(Tree),
}

/// Which of two steps for a key counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// The one that came later.
    Arrival,
    /// The one with the higher number; of equal ones the one that came first.
    Highest(u128),
    /// The one with the higher number; of equal ones the one that came later.
    NotLower(u128),
}

/// The state, and what led to it.
#[derive(Debug, Default)]
pub(crate) struct Reference {
    pub(crate) values: BTreeMap<Key, Tree>,
    numbers: BTreeMap<Key, u128>,
    pub(crate) messages: u64,
    pub(crate) data: u64,
    pub(crate) unmapped: u64,
    pub(crate) steps: u64,
    /// Steps that came too late to count.
    pub(crate) late: u64,
    /// Parts of values that are not there.
    pub(crate) missing: u64,
}

impl Reference {
    /// Takes a message of the venue with this name. `None` if it is none of the venue's.
    pub(crate) fn message(&mut self, venue: &str, said: Option<Said>) -> Option<()> {
        self.messages += 1;
        match said? {
            Said::Data(steps) => {
                self.data += 1;
                steps.into_iter().for_each(|step| self.step(venue, step));
            }
            Said::Unmapped => self.unmapped += 1,
            Said::Other => {}
        }
        Some(())
    }

    fn step(&mut self, venue: &str, step: Step) {
        self.steps += 1;
        let key = (format!("{venue}.{}", step.entity), step.id);
        let last = self.numbers.get(&key).copied();
        let number = match step.order {
            Order::Arrival => None,
            Order::Highest(number) | Order::NotLower(number) => Some(number),
        };
        let late = match step.order {
            Order::Arrival => false,
            Order::Highest(number) => last.is_some_and(|last| number <= last),
            Order::NotLower(number) => last.is_some_and(|last| number < last),
        };
        if late {
            self.late += 1;
            return;
        }
        let old = self.values.remove(&key);
        let value = match (step.change, old) {
            (Change::Whole(value), _) => value,
            (Change::Patch(patch), Some(old)) => old.merged(patch),
            (Change::Overlay(patch), Some(old)) => overlaid(old, patch),
            (Change::Patch(_) | Change::Overlay(_), None) => {
                self.missing += 1;
                return;
            }
        };
        if let Some(number) = number {
            self.numbers.insert(key.clone(), number);
        }
        self.values.insert(key, value);
    }
}

fn overlaid(old: Tree, patch: Tree) -> Tree {
    match (old, patch) {
        (Tree::Object(mut members), Tree::Object(patch)) => {
            for (name, value) in patch {
                let value = match members.remove(&name) {
                    Some(old) => overlaid(old, value),
                    None => value,
                };
                members.insert(name, value);
            }
            Tree::Object(members)
        }
        (_, patch) => patch,
    }
}

/// Names of members, one inside the other.
pub(crate) fn at<'a>(tree: &'a Tree, path: &str) -> Option<&'a Tree> {
    path.split('/')
        .try_fold(tree, |tree, name| tree.member(name))
}

/// A text at a path.
pub(crate) fn text(tree: &Tree, path: &str) -> Option<String> {
    at(tree, path)?.text()
}

/// A whole number at a path, bare or in a text.
pub(crate) fn number(tree: &Tree, path: &str) -> Option<u128> {
    let Tree::Token(token) = at(tree, path)? else {
        return None;
    };
    token.trim_matches('"').parse().ok()
}

/// The items of an array.
pub(crate) fn items(tree: &Tree) -> Option<Vec<Tree>> {
    let Tree::Token(token) = tree else {
        return None;
    };
    let items: Vec<&RawValue> = serde_json::from_str(token).ok()?;
    items
        .into_iter()
        .map(|item| Tree::parse(item.get()))
        .collect()
}

/// The items of the array at a path.
pub(crate) fn items_at(tree: &Tree, path: &str) -> Option<Vec<Tree>> {
    items(at(tree, path)?)
}
