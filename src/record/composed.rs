//! Patches that wait, as one: what a record will become by all of them, whatever it is.
//!
//! Merge patches are not closed under composition (`{"c":"s"}`, then `{"c":{}}`), but operations
//! on nodes are, with two more of them: *keep*, and *a fresh object*, which forgets what was below.
//! So a node has one operation, however many patches were composed, and what is held is bounded by
//! the schema. A fresh object is written as `Delete` and then `Object` of the same node.

use super::cell::{ABSENT, OBJECT};
use super::document::Tree;
use super::merge::Mode;
use super::patch::Patch;
use super::schema::{Layout, Node, SchemaSource};
use super::value::Value;

/// Most patches among them that are no operations, because they outgrew the schema.
pub const MAX_TREES: usize = 16;

/// More patches that outgrew the schema than can be kept ([`MAX_TREES`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more patches that outgrew the schema than can be kept")]
pub struct ComposedFull;

/// Any number of patches to one record, composed. Applying [`patches`](Self::patches) is applying
/// each of them, in order.
#[derive(Clone, Debug, Default)]
pub struct Composed {
    first: Operations,
    /// Whole trees, which cannot be taken apart, and what came after each of them.
    behind: Vec<(Tree, Mode, Operations)>,
}

impl Composed {
    /// No patches.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to apply.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.behind.is_empty()
    }

    /// Adds a patch after the others. Its names are in `layout`. Costs in proportion to the patch
    /// and to what it clears; the operations of before are not looked through.
    ///
    /// # Errors
    /// Too many patches that outgrew the schema. What was composed before is unchanged.
    pub fn push(&mut self, patch: &Patch, mode: Mode, layout: &Layout) -> Result<(), ComposedFull> {
        if let Some(tree) = patch.tree() {
            return self.push_tree(tree, mode);
        }
        let Some(first) = patch.ops.first() else {
            return Ok(());
        };
        if mode == Mode::Replace || (first.node == Node::ROOT && first.first != OBJECT) {
            // Nothing of before is left.
            self.behind.clear();
            self.first.entries.clear();
        }
        let last = self.behind.last_mut().map(|(_, _, operations)| operations);
        last.unwrap_or(&mut self.first).push(patch, mode, layout);
        Ok(())
    }

    fn push_tree(&mut self, tree: &Tree, mode: Mode) -> Result<(), ComposedFull> {
        if mode == Mode::Replace {
            self.behind.clear();
            self.first.entries.clear();
        } else if self.behind.len() == MAX_TREES {
            return Err(ComposedFull);
        }
        self.behind
            .push((tree.clone(), mode, Operations::default()));
        Ok(())
    }

    /// Adds all that another one holds, after what this one does.
    ///
    /// # Errors
    /// As [`push`](Self::push); some may have been added.
    pub fn append(
        &mut self,
        other: &Self,
        schema: &mut impl SchemaSource,
    ) -> Result<(), ComposedFull> {
        for (patch, mode) in other.patches(schema) {
            self.push(&patch, mode, schema.layout())?;
        }
        Ok(())
    }

    /// What to apply, in order: one patch, unless some outgrew the schema. The schema has to be the
    /// one that they were compiled with.
    #[must_use]
    pub fn patches(&self, schema: &mut impl SchemaSource) -> Vec<(Patch, Mode)> {
        let mut patches = Vec::with_capacity(1 + 2 * self.behind.len());
        patches.extend(self.first.patch(schema));
        for (tree, mode, operations) in &self.behind {
            let mut patch = Patch::new();
            patch.set_tree(tree.clone());
            patches.push((patch, *mode));
            patches.extend(operations.patch(schema));
        }
        patches
    }
}

/// What becomes of a node.
#[derive(Clone, Debug)]
enum State {
    /// It stays as it is; an operation was taken back.
    Keep,
    Absent,
    Token(Value),
    /// An object, with nothing in it from before.
    Fresh,
    /// An object, with what was in it if it was one.
    Ensure,
}

/// One operation for each node that has any, in order of nodes: members after their objects.
#[derive(Clone, Debug, Default)]
struct Operations {
    entries: Vec<(Node, State)>,
}

impl Operations {
    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn push(&mut self, patch: &Patch, mode: Mode, layout: &Layout) {
        for op in &patch.ops {
            let node = op.node;
            match op.first {
                ABSENT => self.put(node, State::Absent, layout),
                OBJECT => {
                    let fresh = match mode {
                        Mode::Merge | Mode::MergeNull => false,
                        Mode::Shallow => node != Node::ROOT && layout.parent(node) == Node::ROOT,
                        Mode::Replace => node == Node::ROOT,
                    };
                    if fresh {
                        self.put(node, State::Absent, layout);
                    }
                    self.object(node);
                }
                _ => self.put(node, State::Token(patch.value(op)), layout),
            }
        }
    }

    fn find(&self, node: Node) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&node, |entry| entry.0)
    }

    /// The node is this, and no object.
    fn put(&mut self, node: Node, state: State, layout: &Layout) {
        match self.find(node) {
            Ok(at) => {
                let before = std::mem::replace(&mut self.entries[at].1, state);
                if matches!(before, State::Fresh | State::Ensure) {
                    self.clear_members(node, layout);
                }
            }
            Err(at) => self.entries.insert(at, (node, state)),
        }
    }

    fn clear_members(&mut self, node: Node, layout: &Layout) {
        for child in layout.children(node) {
            if let Ok(at) = self.find(*child) {
                let before = std::mem::replace(&mut self.entries[at].1, State::Keep);
                if matches!(before, State::Fresh | State::Ensure) {
                    self.clear_members(*child, layout);
                }
            }
        }
    }

    /// The node is an object.
    fn object(&mut self, node: Node) {
        match self.find(node) {
            Ok(at) => {
                let state = &mut self.entries[at].1;
                match state {
                    State::Keep => *state = State::Ensure,
                    State::Absent | State::Token(_) => *state = State::Fresh,
                    State::Fresh | State::Ensure => {}
                }
            }
            Err(at) => self.entries.insert(at, (node, State::Ensure)),
        }
    }

    fn patch(&self, schema: &mut impl SchemaSource) -> Option<(Patch, Mode)> {
        let mut patch = Patch::new();
        for (node, state) in &self.entries {
            match state {
                State::Keep => {}
                State::Absent => patch.delete(schema.layout(), *node),
                State::Token(value) => {
                    if let Some(token) = value.token() {
                        patch.set(schema, *node, token);
                    }
                }
                State::Fresh => {
                    patch.delete(schema.layout(), *node);
                    patch.object(schema.layout(), *node);
                }
                State::Ensure => patch.object(schema.layout(), *node),
            }
        }
        (!patch.is_empty()).then_some((patch, Mode::Merge))
    }
}

#[cfg(test)]
mod tests;
