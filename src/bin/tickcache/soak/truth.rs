//! What is true: the values that an exchange of the soak has, and how they are told.
//!
//! Each value holds its own check: `check` is computed over its other members and its id, and every
//! patch sends it along. A value in which members of two versions meet does not check, nor does one
//! that lacks a patch. `at` is when it was made, in microseconds of the run: how old a value is can
//! be read off it, whoever brought it.

use std::fmt::Write as _;
use std::sync::Arc;

use fastrand::Rng;
use serde_json::{Map, Value as Json};

use super::form::Form;

/// The members of a value, in the order in which they are told, before `at` and `check`.
pub(crate) const PARTS: [&str; COUNT] = ["bid", "ask", "size", "open", "high", "last"];
pub(crate) const COUNT: usize = 6;
pub(crate) const AT: &str = "at";
pub(crate) const CHECK: &str = "check";

/// Numbers stay below it, so that any reader of JSON has them exactly.
const EXACT: u64 = (1 << 53) - 1;

/// How far the numbers of an exchange jump when it has lost its state, where they may not begin anew.
const RESTART_JUMP: u64 = 1_000_000;

/// One value of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Value {
    /// The last may be absent.
    pub(crate) parts: [Option<u64>; COUNT],
    pub(crate) at: u64,
}

impl Value {
    /// What `check` has to be.
    pub(crate) fn check(&self, id: usize) -> u64 {
        let parts = self.parts.iter().map(|part| part.map_or(u64::MAX, |p| p));
        let all = [id as u64, self.at].into_iter().chain(parts);
        all.fold(0x9e37_79b9_7f4a_7c15, |hash: u64, part| {
            let mixed = (hash ^ part).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed ^ (mixed >> 29)
        }) & EXACT
    }

    /// Numbers of any length, so that messages differ in theirs.
    fn draw(rng: &mut Rng) -> u64 {
        rng.u64(..) & EXACT >> rng.u32(..50)
    }

    fn anew(rng: &mut Rng, at: u64) -> Self {
        let parts = std::array::from_fn(|_| Some(Self::draw(rng)));
        Self { parts, at }
    }

    /// Changes one part at least, and seldom more: whoever lacks a change lacks it for a while. The
    /// last part comes and goes.
    fn moved(&mut self, rng: &mut Rng, at: u64) -> [bool; COUNT] {
        let first = rng.usize(..self.parts.len());
        let changed = std::array::from_fn(|part| part == first || rng.u8(..16) == 0);
        for (part, value) in self.parts.iter_mut().enumerate() {
            if changed[part] {
                let goes = part == PARTS.len() - 1 && value.is_some() && rng.bool();
                *value = (!goes).then(|| Self::draw(rng));
            }
        }
        self.at = at;
        changed
    }

    /// The members, apart by commas; of the parts those that are `told`, where absent ones are null
    /// if they are told as a change.
    fn members(&self, out: &mut String, id: usize, changed: Option<[bool; COUNT]>) {
        for (part, name) in PARTS.iter().enumerate() {
            let told = changed.is_none_or(|changed| changed[part]);
            // Writing to a String cannot fail.
            let _ = match self.parts[part] {
                Some(value) if told => write!(out, "\"{name}\":{value},"),
                None if told && changed.is_some() => write!(out, "\"{name}\":null,"),
                _ => Ok(()),
            };
        }
        let check = self.check(id);
        let _ = write!(out, "\"{AT}\":{},\"{CHECK}\":{check}", self.at);
    }
}

/// Whether the members of a value as JSON are of one version.
pub(crate) fn checks(value: &Json, id: usize) -> bool {
    let member = |name: &str| value.get(name).and_then(Json::as_u64);
    let held = Value {
        parts: PARTS.map(member),
        at: member(AT).unwrap_or_default(),
    };
    member(CHECK) == Some(held.check(id))
}

/// The state of one exchange, and how it goes on. The same seed makes the same market, but for the
/// times at which it moves.
#[derive(Debug)]
pub(crate) struct Truth {
    form: Form,
    values: Vec<Value>,
    /// Of each id, or of all, depending on the form.
    numbers: Vec<u64>,
    /// The order in which ids move; each moves once in a round.
    round: Vec<usize>,
    next: usize,
    rng: Rng,
}

impl Truth {
    pub(crate) fn new(form: Form, ids: usize, seed: u64, at: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let values = (0..ids).map(|_| Value::anew(&mut rng, at)).collect();
        Self {
            form,
            values,
            numbers: vec![1; ids],
            round: (0..ids).collect(),
            next: ids,
            rng,
        }
    }

    /// The state is lost: all values are others. Numbers begin anew where a new connection may do
    /// that, and go on from far above elsewhere.
    pub(crate) fn lose(&mut self, at: u64) {
        for value in &mut self.values {
            *value = Value::anew(&mut self.rng, at);
        }
        for number in &mut self.numbers {
            *number = if self.form.numbers_restart() {
                1
            } else {
                *number + RESTART_JUMP
            };
        }
    }

    /// Moves the next id; gives which one, and the message that tells of it.
    pub(crate) fn advance(&mut self, at: u64) -> (usize, Arc<str>) {
        if self.next == self.round.len() {
            self.rng.shuffle(&mut self.round);
            self.next = 0;
        }
        let id = self.round[self.next];
        self.next += 1;
        let changed = self.values[id].moved(&mut self.rng, at);
        self.numbers[id] += 1;
        let changed = self.form.is_patched().then_some(changed);
        (id, self.text(id, changed))
    }

    /// The message that tells the whole value of an id, where there is such a message.
    pub(crate) fn snapshot(&self, id: usize) -> Arc<str> {
        self.text(id, None)
    }

    fn text(&self, id: usize, changed: Option<[bool; COUNT]>) -> Arc<str> {
        let mut text = String::with_capacity(192);
        self.form.open(
            &mut text,
            id,
            self.numbers[id],
            self.values[id].at,
            changed.is_none(),
        );
        if self.form.tells_values() {
            self.values[id].members(&mut text, id, changed);
        }
        self.form.close(&mut text);
        text.into()
    }

    /// What the REST side answers for an id, and as of which number.
    pub(crate) fn answer(&self, id: usize) -> Option<(String, u64)> {
        let mut text = String::from("{");
        self.values.get(id)?.members(&mut text, id, None);
        text.push('}');
        Some((text, self.numbers[id]))
    }

    /// What a cache that has everything holds of an id.
    pub(crate) fn held(&self, id: usize) -> Json {
        let value = &self.values[id];
        let mut members = Map::new();
        self.form.head(&mut members, id, self.numbers[id]);
        for (part, name) in PARTS.iter().enumerate() {
            let part = value.parts[part].map(|part| ((*name).to_owned(), part.into()));
            members.extend(part);
        }
        members.insert(AT.to_owned(), value.at.into());
        members.insert(CHECK.to_owned(), value.check(id).into());
        Json::Object(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patches laid over a snapshot are the value, members that go and come included.
    #[test]
    fn patches_add_up_to_the_truth() {
        let mut truth = Truth::new(Form::Chain, 3, 7, 0);
        let mut held: Vec<Map<String, Json>> = (0..3)
            .map(|id| {
                let (text, _) = truth.answer(id).expect("an id");
                serde_json::from_str(&text).expect("an object")
            })
            .collect();
        for at in 1..200 {
            let (id, text) = truth.advance(at);
            let message: Json = serde_json::from_str(&text).expect("JSON");
            for (name, value) in message["value"].as_object().expect("a patch") {
                if value.is_null() {
                    held[id].remove(name);
                } else {
                    held[id].insert(name.clone(), value.clone());
                }
            }
            assert_eq!(Json::Object(held[id].clone()), truth.held(id));
        }
    }

    /// One member of another version is noticed.
    #[test]
    fn a_mixture_does_not_check() {
        let mut rng = Rng::with_seed(3);
        let one = Value::anew(&mut rng, 5);
        for part in 0..PARTS.len() {
            let mut mixed = one;
            mixed.parts[part] = mixed.parts[part].map(|value| value ^ 1);
            assert_ne!(mixed.check(1), one.check(1));
            mixed.parts[part] = None;
            assert_ne!(mixed.check(1), one.check(1));
        }
        assert_ne!(Value { at: 6, ..one }.check(1), one.check(1));
        assert_ne!(one.check(2), one.check(1));
    }
}
