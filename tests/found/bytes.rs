//! A byte string as a list of decisions.

use serde_json::{Value, json};

/// Hands out the bytes of an input; when they have run out, zeros.
#[derive(Debug)]
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// One of `bound` choices.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A few members: texts, numbers, arrays, objects within, nulls.
    pub(crate) fn object(&mut self) -> Value {
        let mut object = json!({});
        for _ in 0..1 + self.below(3) {
            let name = ["a", "b", "o"][self.below(3)];
            object[name] = self.member();
        }
        object
    }

    fn member(&mut self) -> Value {
        let number = self.byte();
        match self.below(8) {
            0 | 1 => json!(number),
            2 => json!(format!("text {number}")),
            3 => Value::Null,
            4 => json!([number, null, { "x": number }]),
            5 => json!({ "x": number }),
            6 => json!({ "x": null, "y": { "z": number } }),
            _ => json!({}),
        }
    }
}

/// RFC 7396.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        return *target = patch.clone();
    };
    if !target.is_object() {
        *target = json!({});
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
