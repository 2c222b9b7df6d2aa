//! A record: one whole version of a value.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::cell;
use super::de::{self, TypeError};
use super::document::{Document, Tree};
use super::merge::{self, Change, Mode};
use super::patch::Patch;
use super::schema::{Layout, Node};
use super::text;
use super::value::Value;

/// One whole version of a value, borrowed: its layout, its cells and the document beside them.
///
/// All three belong together; the words have been checked to be of one publication before.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    layout: &'a Layout,
    words: &'a [u64],
    document: Option<&'a Document>,
}

impl<'a> RecordRef<'a> {
    /// A record of these cells, two words each. Cells beyond the end of `words` are absent.
    #[must_use]
    pub fn new(layout: &'a Layout, words: &'a [u64], document: Option<&'a Document>) -> Self {
        Self {
            layout,
            words,
            document,
        }
    }

    /// How its cells are laid out.
    #[must_use]
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// Its cells, two words each.
    #[must_use]
    pub fn words(&self) -> &'a [u64] {
        self.words
    }

    /// What lies beside its cells.
    #[must_use]
    pub fn document(&self) -> Option<&'a Document> {
        self.document
    }

    /// The value, if it lives in the document whole.
    pub(super) fn tree(&self) -> Option<&'a Tree> {
        self.document.and_then(Document::tree)
    }

    /// Whether cells laid out by `layout`, of the same schema, have room for it.
    #[must_use]
    pub fn fits(&self, layout: &Layout) -> bool {
        (0..self.layout.nodes()).map(Node).all(|node| {
            let first = self.cells(node).first().copied().unwrap_or(0);
            let room = layout.region(node).map_or(0, |region| region.cells);
            cell::is_absent(first) || cell::used_cells(first) <= room
        })
    }

    /// Calls `put` for every cell that is not absent, as `layout` lays them out. It has to
    /// [fit](Self::fits).
    pub fn migrate(&self, layout: &Layout, put: impl FnMut(u32, [u64; 2])) {
        let get = |cell: u32| {
            let at = 2 * cell as usize;
            let words = self.words.get(at..at + 2);
            words.map_or(cell::ABSENT, |words| [words[0], words[1]])
        };
        merge::migrate(self.layout, layout, get, put);
    }

    /// The words of a node's region.
    #[inline]
    fn cells(&self, node: Node) -> &'a [u64] {
        let region = self.layout.region(node);
        region
            .and_then(|region| self.words.get(2 * region.cell as usize..))
            .unwrap_or(&[])
    }

    /// Whether the node is an object that lives in cells.
    pub(super) fn is_branch(&self, node: Node) -> bool {
        self.cells(node)
            .first()
            .is_some_and(|first| cell::is_object(*first))
    }

    /// Whether the node is there, in cells.
    pub(super) fn is_present(&self, node: Node) -> bool {
        self.cells(node)
            .first()
            .is_some_and(|first| !cell::is_absent(*first))
    }

    /// Whether there is no value at all.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        !self.is_present(Node::ROOT)
    }

    /// Whether the value is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.tree()
            .map_or_else(|| self.is_branch(Node::ROOT), Tree::is_object)
    }

    /// The field at a node. Costs nothing but the copy, except for an object, which is written out
    /// as JSON text. Missing if the node is newer than the record's layout.
    #[must_use]
    #[inline]
    pub fn value(&self, node: Node) -> Value {
        let words = self.cells(node);
        let first = words.first().copied().unwrap_or(0);
        if cell::is_absent(first) || cell::is_document(first) {
            return self
                .document
                .map_or_else(Value::missing, |it| it.value(self.layout, node));
        }
        if cell::is_object(first) {
            return self.object(node);
        }
        Value::from_cells(words)
    }

    #[cold]
    fn object(&self, node: Node) -> Value {
        let mut json = Vec::new();
        self.write_node(node, &mut json);
        Value::object(json)
    }

    /// The member `name` of the value. Hashes the name; resolve it once to a [`Node`] where it
    /// matters.
    #[must_use]
    pub fn get(&self, name: &str) -> Value {
        self.path(&[name])
    }

    /// The field at a path of member names; the empty path is the value itself.
    #[must_use]
    pub fn path(&self, path: &[&str]) -> Value {
        match self.tree() {
            Some(tree) => tree.find(path).map_or_else(Value::missing, Tree::value),
            None => self
                .layout
                .find(path)
                .map_or_else(Value::missing, |node| self.value(node)),
        }
    }

    /// The top-level member names that are there, in the order of the schema (which other ids have
    /// a part in: compare without order). Empty if the value is no object.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let record = *self;
        let members = self.tree().map_or(&[][..], Tree::members);
        let nodes = self.layout.children(Node::ROOT).iter();
        members.iter().map(|(name, _)| &**name).chain(
            nodes
                .filter(move |node| record.is_present(**node))
                .map(move |node| record.layout.name(*node)),
        )
    }

    /// The top-level members that are there, in the order of [`names`](Self::names).
    pub fn members(&self) -> impl Iterator<Item = (&'a str, Value)> + use<'a> {
        let record = *self;
        self.names().map(move |name| (name, record.get(name)))
    }

    /// The whole value as a tree; `None` if there is none.
    #[must_use]
    pub fn to_tree(&self) -> Option<Tree> {
        match self.tree() {
            Some(tree) => Some(tree.clone()),
            None => self.node_tree(Node::ROOT),
        }
    }

    fn node_tree(&self, node: Node) -> Option<Tree> {
        if !self.is_branch(node) {
            return self.value(node).token().map(Tree::token);
        }
        let children = self.layout.children(node).iter();
        Some(Tree::object(children.filter_map(|child| {
            Some((self.layout.shared_name(*child), self.node_tree(*child)?))
        })))
    }

    /// Appends the whole value as JSON text, tokens exactly as received; nothing if there is none.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self.tree() {
            Some(tree) => tree.write_json(out),
            None => self.write_node(Node::ROOT, out),
        }
    }

    fn write_node(&self, node: Node, out: &mut Vec<u8>) {
        if !self.is_branch(node) {
            if let Some(token) = self.value(node).token() {
                text::write_token(token, out);
            }
            return;
        }
        out.push(b'{');
        let children = self.layout.children(node).iter();
        for (at, child) in children
            .filter(|child| self.is_present(**child))
            .enumerate()
        {
            if at > 0 {
                out.push(b',');
            }
            text::write_string(self.layout.name(*child), out);
            out.push(b':');
            self.write_node(*child, out);
        }
        out.push(b'}');
    }

    /// The whole value as JSON text; empty if there is none.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write_json(&mut out);
        text::into_string(out)
    }

    /// The whole value as a type of the caller's, as [`Record::deserialize`] does.
    ///
    /// # Errors
    /// The value is not of that type; the error names the field.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, TypeError> {
        de::from_record(*self)
    }
}

/// One whole version of a value, owned.
#[derive(Clone, Debug)]
pub struct Record {
    layout: Arc<Layout>,
    words: Box<[u64]>,
    document: Option<Arc<Document>>,
}

impl Record {
    /// A record of these cells, two words each. Cells beyond the end of `words` are absent.
    #[must_use]
    pub fn new(layout: Arc<Layout>, words: Box<[u64]>, document: Option<Arc<Document>>) -> Self {
        Self {
            layout,
            words,
            document,
        }
    }

    /// A record without a value.
    #[must_use]
    pub fn absent(layout: Arc<Layout>) -> Self {
        let words = vec![0; 2 * layout.cells() as usize].into();
        Self::new(layout, words, None)
    }

    /// The same record, borrowed.
    #[must_use]
    #[inline]
    pub fn as_ref(&self) -> RecordRef<'_> {
        RecordRef::new(&self.layout, &self.words, self.document.as_deref())
    }

    /// How its cells are laid out.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Its cells, two words each.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// What lies beside its cells.
    #[must_use]
    pub fn document(&self) -> Option<&Arc<Document>> {
        self.document.as_ref()
    }

    /// Whether there is no value at all.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.as_ref().is_absent()
    }

    /// Whether the value is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.as_ref().is_object()
    }

    /// The field at a node; see [`RecordRef::value`].
    #[must_use]
    pub fn value(&self, node: Node) -> Value {
        self.as_ref().value(node)
    }

    /// The member `name` of the value; see [`RecordRef::get`].
    #[must_use]
    pub fn get(&self, name: &str) -> Value {
        self.as_ref().get(name)
    }

    /// The field at a path of member names; the empty path is the value itself.
    #[must_use]
    pub fn path(&self, path: &[&str]) -> Value {
        self.as_ref().path(path)
    }

    /// The top-level members that are there; see [`RecordRef::members`].
    pub fn members(&self) -> impl Iterator<Item = (&str, Value)> {
        self.as_ref().members()
    }

    /// The whole value as JSON text, tokens exactly as received; empty if there is none.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.as_ref().to_json()
    }

    /// The whole value as a type of the caller's.
    ///
    /// Numbers go from token to type without a float between: every digit of a [`Decimal`] and
    /// of an integer arrives, in nested objects and arrays too. A number may come as a string that
    /// holds one, for [`Decimal`] and for the number types alike. Where serde buffers (`flatten`,
    /// untagged and internally tagged enums) it knows 64 bit integers and floats only, and strings
    /// stay strings.
    ///
    /// [`Decimal`]: super::Decimal
    ///
    /// # Errors
    /// The value is not of that type; the error names the field.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, TypeError> {
        self.as_ref().deserialize()
    }

    /// Applies a message whose names are in `newest`, moving to that layout if the message needs
    /// it; says what changed.
    pub fn apply(&mut self, patch: &Patch, mode: Mode, newest: &Arc<Layout>) -> Change {
        if !merge::fits(patch, &self.layout) {
            self.migrate(newest);
        }
        let mut words = std::mem::take(&mut self.words).into_vec();
        let change = merge::apply(patch, mode, &self.layout, &mut words, &mut self.document);
        self.words = words.into();
        change
    }

    fn migrate(&mut self, to: &Arc<Layout>) {
        let mut words = vec![0; 2 * to.cells() as usize];
        self.as_ref()
            .migrate(to, |cell, value| merge::Cells::put(&mut words, cell, value));
        self.layout = to.clone();
        self.words = words.into();
    }
}

#[cfg(test)]
mod tests;
