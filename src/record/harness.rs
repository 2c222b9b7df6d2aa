//! For tests: messages as text, a compiler of them, and an oracle that merges by walking trees and
//! shares no code with the room.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::cell::{Kind, Token};
use super::document::{Document, Tree};
use super::merge::{self, Cells, Change, Mode};
use super::patch::Patch;
use super::record::RecordRef;
use super::schema::{Layout, Node, Schema, SchemaFull, SchemaSource};
use super::text;

/// A message: members in order, names possibly repeated.
#[derive(Clone, Debug)]
pub(super) enum Message {
    Token(String),
    Object(Vec<(String, Self)>),
}

impl Message {
    pub(super) fn parse(json: &str) -> Self {
        match text::token(json).kind {
            Kind::Object => {
                let members = text::members(json).expect("valid JSON");
                let member =
                    |(name, text): (Cow<'_, str>, &str)| (name.into_owned(), Self::parse(text));
                Self::Object(members.into_iter().map(member).collect())
            }
            _ => Self::Token(json.trim().to_owned()),
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Token(json) if json == "null")
    }

    pub(super) fn tree(&self) -> Tree {
        match self {
            Self::Token(json) => Tree::token(text::token(json)),
            Self::Object(members) => Tree::object(
                members
                    .iter()
                    .map(|(name, member)| (Arc::from(&**name), member.tree())),
            ),
        }
    }
}

/// Compiles as the json room does: what does not fit the schema becomes a tree.
pub(super) fn compile(message: &Message, mode: Mode, schema: &mut Schema, patch: &mut Patch) {
    patch.clear();
    let compiled = match message {
        Message::Token(json) => {
            patch.set(schema, Node::ROOT, text::token(json));
            Ok(())
        }
        Message::Object(members) => {
            patch.object(schema.layout(), Node::ROOT);
            compile_members(Node::ROOT, members, mode, schema, patch)
        }
    };
    if compiled.is_err() {
        patch.set_tree(message.tree());
    }
}

fn compile_members(
    parent: Node,
    members: &[(String, Message)],
    mode: Mode,
    schema: &mut Schema,
    patch: &mut Patch,
) -> Result<(), SchemaFull> {
    for (name, member) in members {
        let deletes = mode == Mode::Merge && member.is_null();
        let node = schema.add(parent, name)?;
        if patch.touched(node) {
            patch.undo(node, schema.layout());
        }
        match member {
            _ if deletes => patch.delete(schema.layout(), node),
            Message::Token(json) => patch.set(schema, node, text::token(json)),
            Message::Object(members) => {
                patch.object(schema.layout(), node);
                compile_members(node, members, mode, schema, patch)?;
            }
        }
    }
    Ok(())
}

pub(super) fn patch_of(json: &str, mode: Mode, schema: &mut Schema) -> Patch {
    let mut patch = Patch::new();
    compile(&Message::parse(json), mode, schema, &mut patch);
    patch
}

/// What a value should be: token texts at the leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Oracle {
    Token(String),
    Object(BTreeMap<String, Self>),
}

impl Oracle {
    fn of(message: &Message) -> Self {
        match message {
            Message::Token(json) => Self::Token(json.clone()),
            Message::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(name, member)| (name.clone(), Self::of(member)))
                    .collect(),
            ),
        }
    }

    pub(super) fn of_json(json: &str) -> Self {
        Self::of(&Message::parse(json))
    }

    pub(super) fn merged(old: Option<&Self>, message: &Message, mode: Mode) -> Self {
        let patch = Self::of(message);
        match mode {
            Mode::Merge => Self::rfc7396(old, &patch),
            Mode::MergeNull => Self::nested(old, &patch),
            Mode::Replace => patch,
            Mode::Shallow => match (old, patch) {
                (Some(Self::Object(old)), Self::Object(patch)) => {
                    let mut merged = old.clone();
                    merged.extend(patch);
                    Self::Object(merged)
                }
                (_, patch) => patch,
            },
        }
    }

    /// The pseudo-code of RFC 7396, section 2.
    fn rfc7396(target: Option<&Self>, patch: &Self) -> Self {
        let Self::Object(patch) = patch else {
            return patch.clone();
        };
        let mut merged = match target {
            Some(Self::Object(target)) => target.clone(),
            _ => BTreeMap::new(),
        };
        for (name, value) in patch {
            if *value == Self::Token("null".into()) {
                merged.remove(name);
            } else {
                let value = Self::rfc7396(merged.get(name), value);
                merged.insert(name.clone(), value);
            }
        }
        Self::Object(merged)
    }

    /// Objects merge, anything else replaces.
    fn nested(target: Option<&Self>, patch: &Self) -> Self {
        let (Some(Self::Object(target)), Self::Object(patch)) = (target, patch) else {
            return patch.clone();
        };
        let mut merged = target.clone();
        for (name, value) in patch {
            let value = Self::nested(target.get(name), value);
            merged.insert(name.clone(), value);
        }
        Self::Object(merged)
    }

    pub(super) fn find(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, name| match value {
            Self::Object(members) => members.get(*name),
            Self::Token(_) => None,
        })
    }
}

/// Cells that refuse a write which changes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Strict(pub(super) Vec<u64>);

impl Cells for Strict {
    fn get(&self, cell: u32) -> [u64; 2] {
        let at = 2 * cell as usize;
        [self.0[at], self.0[at + 1]]
    }

    fn put(&mut self, cell: u32, value: [u64; 2]) {
        assert_ne!(self.get(cell), value, "a cell is put only if it changes");
        let at = 2 * cell as usize;
        self.0[at..at + 2].copy_from_slice(&value);
    }
}

/// A record that moves to the newest layout only when it must, as a slot does.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) layout: Arc<Layout>,
    pub(super) cells: Strict,
    pub(super) document: Option<Arc<Document>>,
}

impl Subject {
    pub(super) fn new(layout: &Arc<Layout>) -> Self {
        let cells = Strict(vec![0; 2 * layout.cells() as usize]);
        Self {
            layout: layout.clone(),
            cells,
            document: None,
        }
    }

    pub(super) fn grow(&mut self, to: &Arc<Layout>) {
        let mut grown = Self::new(to);
        let get = |cell| self.cells.get(cell);
        merge::migrate(&self.layout, to, get, |cell, value| {
            grown.cells.put(cell, value);
        });
        grown.document = self.document.take();
        *self = grown;
    }

    pub(super) fn apply(&mut self, patch: &Patch, mode: Mode, schema: &Schema) -> Change {
        if !merge::fits(patch, &self.layout) {
            self.grow(schema.layout());
        }
        let before = self.clone();
        let change = merge::apply(
            patch,
            mode,
            &self.layout,
            &mut self.cells,
            &mut self.document,
        );
        assert_eq!(change.document, before.document != self.document);
        if change.document || !change.cells {
            // A move to the document and back may put the root twice.
            assert!(change.cells || before.cells == self.cells);
        } else {
            assert_ne!(before.cells, self.cells);
        }
        change
    }

    pub(super) fn message(&mut self, json: &str, mode: Mode, schema: &mut Schema) -> Change {
        let patch = patch_of(json, mode, schema);
        self.apply(&patch, mode, schema)
    }

    pub(super) fn record(&self) -> RecordRef<'_> {
        RecordRef::new(&self.layout, &self.cells.0, self.document.as_deref())
    }

    pub(super) fn json(&self) -> String {
        self.record().to_json()
    }

    pub(super) fn is_tree(&self) -> bool {
        matches!(self.document.as_deref(), Some(Document::Whole(_)))
    }
}

/// A record with this value.
pub(super) fn subject(json: &str, schema: &mut Schema) -> Subject {
    let patch = patch_of(json, Mode::Replace, schema);
    let mut subject = Subject::new(schema.layout());
    subject.apply(&patch, Mode::Replace, schema);
    subject
}

/// A string token, quotes included, of so many bytes between them.
pub(super) fn text_of(length: usize) -> String {
    format!("\"{}\"", "x".repeat(length))
}

pub(super) fn number(text: &str) -> Token<'_> {
    Token::new(Kind::Number, text.as_bytes())
}

/// A small generator (xorshift64*), so that a failing case is named by its seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 33) % bound as u64) as usize
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
