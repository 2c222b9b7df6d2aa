//! A compiled message: what it does to a record, as operations on the nodes of the schema.
//!
//! There are three (`Set`, `Delete`, `Object`; `Delete` before `Object` of one node makes a fresh
//! object), and each is the first cell that its node is to
//! have, with more text beside it if the token is long. So applying one mostly means to compare
//! two words and to write them if they differ.

use std::ops::Range;

use super::cell::{self, ABSENT, INLINE_TOKEN, Kind, OBJECT, SHORT_TOKEN, Token};
use super::document::Tree;
use super::schema::{Layout, Node, SchemaSource};
use super::value::Value;

/// Where the rest of an operation's token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// There is none: the token is its first cell.
    None,
    /// In [`Patch::words`] from this index on, the first cell included.
    Cells(u32),
    /// In [`Patch::long`] at this index.
    Document(u32),
}

/// One operation: the cell that the node is to have, and the rest of its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) first: [u64; 2],
    pub(super) node: Node,
    /// Where the node's region begins, wherever the patch [fits](Patch::fits): so applying it looks
    /// up nothing. [`NOWHERE`] if the node was not known.
    pub(super) cell: u32,
    pub(super) rest: Rest,
}

/// The cell of a node that the schema does not know: no record has so many.
const NOWHERE: u32 = u32::MAX;

// Two to a cache line: a patch of 20 fields is read in ten.
const _: () = assert!(size_of::<Op>() <= 32);

impl Op {
    /// How many cells the node's region must have.
    pub(super) fn cells(&self) -> u16 {
        cell::used_cells(self.first[0])
    }
}

/// What one operation does, for those who look at a patch.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// The field takes this token; what was below it goes.
    Set(Value),
    /// The field and what was below it go.
    Delete,
    /// The field becomes an object, if it is not one already.
    Object,
}

/// A message compiled for one entity: operations on nodes, or a whole value as a tree.
///
/// Owned and reusable: [`clear`](Self::clear) keeps the memory, so a steady stream of messages
/// allocates nothing. The compiler emits [`object`](Self::object) for the root and for *every*
/// object of the message before that object's members, empty ones included; and
/// [`undo`](Self::undo) before it visits a name that this message has touched before. A name that
/// is only deleted is added to the schema too: a record that outgrew the schema may have it.
#[derive(Clone, Debug)]
pub struct Patch {
    pub(super) ops: Vec<Op>,
    /// Tokens of 16 to 4096 bytes, as cells.
    pub(super) words: Vec<u64>,
    /// Longer ones: their kind and where they lie in `bytes`.
    long: Vec<(Kind, Range<usize>)>,
    bytes: Vec<u8>,
    touched: Vec<u64>,
    pub(super) tree: Option<Tree>,
    /// So many cells hold all the regions that operations are on. [`NOWHERE`] if that is not all
    /// there is to know: where a node is named twice, and for a tree.
    end: u32,
    /// The generation of the layout in which those were looked up; of the oldest, if of several.
    resolved: u64,
}

impl Default for Patch {
    fn default() -> Self {
        Self {
            ops: Vec::new(),
            words: Vec::new(),
            long: Vec::new(),
            bytes: Vec::new(),
            touched: Vec::new(),
            tree: None,
            end: 0,
            resolved: u64::MAX,
        }
    }
}

impl Patch {
    /// A patch that does nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes it a patch that does nothing. Keeps its memory.
    #[inline]
    pub fn clear(&mut self) {
        self.ops.clear();
        self.words.clear();
        self.long.clear();
        self.bytes.clear();
        self.touched.fill(0);
        self.tree = None;
        self.end = 0;
        self.resolved = u64::MAX;
    }

    /// Bytes that it holds, about: what its tokens and operations take, but for a tree, of which
    /// there are few.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.ops) + size_of_val(&*self.words) + self.bytes.len()
    }

    /// Whether it does nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.tree.is_none()
    }

    /// `Object(node)`: the message has an object here. To be called before its members. `layout` is
    /// the schema's newest.
    #[inline]
    pub fn object(&mut self, layout: &Layout, node: Node) {
        self.push(layout, node, OBJECT, Rest::None);
    }

    /// `Set(node, token)`. Widens the node's region if the token needs it; a token of more than
    /// [`INLINE_TOKEN`] bytes, or for which the region may not grow, goes to the document.
    ///
    /// A token of kind [`Kind::Object`] is taken as an object without members.
    #[inline]
    pub fn set(&mut self, schema: &mut impl SchemaSource, node: Node, token: Token<'_>) {
        if token.kind == Kind::Object {
            self.object(schema.layout(), node);
        } else if token.text.len() <= SHORT_TOKEN || token.kind.literal().is_some() {
            self.push(schema.layout(), node, cell::short(token), Rest::None);
        } else {
            self.set_long(schema, node, token);
        }
    }

    fn set_long(&mut self, schema: &mut impl SchemaSource, node: Node, token: Token<'_>) {
        let cells = token.cells();
        let wide = token.text.len() <= INLINE_TOKEN
            && (schema
                .layout()
                .region(node)
                .is_some_and(|region| region.cells >= cells)
                || schema.widen(node, cells).is_ok());
        if wide {
            let start = self.words.len();
            cell::wide(token, &mut self.words);
            let first = [self.words[start], self.words[start + 1]];
            self.push(schema.layout(), node, first, Rest::Cells(start as u32));
        } else {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(token.text);
            self.long.push((token.kind, start..self.bytes.len()));
            let rest = Rest::Document(self.long.len() as u32 - 1);
            let first = cell::document(token.kind, token.text);
            self.push(schema.layout(), node, first, rest);
        }
    }

    /// `Delete(node)`: the field goes, with all below it. `layout` is the schema's newest.
    #[inline]
    pub fn delete(&mut self, layout: &Layout, node: Node) {
        self.push(layout, node, ABSENT, Rest::None);
    }

    /// Makes it a patch with this value instead of operations: for an object with more names than
    /// the schema may hold. How the value is merged is up to the mode, as for operations.
    pub fn set_tree(&mut self, tree: Tree) {
        self.clear();
        // Nothing to be seen at a glance.
        self.end = NOWHERE;
        self.tree = Some(tree);
    }

    /// Whether it holds a value instead of operations.
    #[must_use]
    pub fn is_tree(&self) -> bool {
        self.tree.is_some()
    }

    /// The value it holds instead of operations.
    #[must_use]
    pub fn tree(&self) -> Option<&Tree> {
        self.tree.as_ref()
    }

    /// Whether an operation on this node is there already: the message repeats a name.
    #[must_use]
    #[inline]
    pub fn touched(&self, node: Node) -> bool {
        self.touched_word(node.index() / 64) >> (node.index() % 64) & 1 == 1
    }

    /// The bits of [`touched`](Self::touched) for 64 nodes.
    #[inline]
    pub(super) fn touched_word(&self, at: usize) -> u64 {
        self.touched.get(at).copied().unwrap_or(0)
    }

    /// Whether there is an operation on each of so many nodes.
    pub(super) fn names_all(&self, nodes: u32) -> bool {
        let nodes = nodes as usize;
        let all = |at: usize| u64::MAX >> (64 - (nodes - at * 64).min(64));
        (0..nodes.div_ceil(64)).all(|at| self.touched_word(at) & all(at) == all(at))
    }

    /// Takes back every operation on the node and below it: the message repeats the name, and
    /// only the last one counts.
    #[cold]
    pub fn undo(&mut self, node: Node, layout: &Layout) {
        let touched = &mut self.touched;
        self.ops.retain(|op| {
            let undone = layout.is_within(op.node, node);
            if undone {
                touched[op.node.index() / 64] &= !(1 << (op.node.index() % 64));
            }
            !undone
        });
    }

    /// Whether in records of a layout, one of `cells` in which the last region was replaced in the
    /// generation `widened`, every operation's region is where the operation says, and no other
    /// operation's. If not, it may still be so.
    ///
    /// Regions are laid one after the other and never move. One that ends within the cells was
    /// there in that layout; it still was the node's unless that was widened in between, and if it
    /// was, it is the node's now unless that has been widened since.
    #[inline]
    pub(super) fn fits(&self, cells: u32, widened: u64) -> bool {
        self.end <= cells && widened <= self.resolved
    }

    /// How many operations it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// The operations in order. Meant for tests and tools: longer tokens are copied out.
    pub fn operations(&self) -> impl Iterator<Item = (Node, Operation)> + '_ {
        self.ops.iter().map(|op| {
            let operation = match op.first {
                ABSENT => Operation::Delete,
                OBJECT => Operation::Object,
                _ => Operation::Set(self.value(op)),
            };
            (op.node, operation)
        })
    }

    /// The token of an operation.
    pub(super) fn value(&self, op: &Op) -> Value {
        match op.rest {
            Rest::None => Value::from_cells(&op.first),
            Rest::Cells(start) => Value::from_cells(&self.words[start as usize..]),
            Rest::Document(_) => self
                .long_token(op)
                .map_or_else(Value::missing, Value::from_token),
        }
    }

    /// The token of an operation whose text goes to the document.
    pub(super) fn long_token(&self, op: &Op) -> Option<Token<'_>> {
        let Rest::Document(at) = op.rest else {
            return None;
        };
        let (kind, range) = &self.long[at as usize];
        Some(Token::new(*kind, &self.bytes[range.clone()]))
    }

    #[inline]
    fn push(&mut self, layout: &Layout, node: Node, first: [u64; 2], rest: Rest) {
        let cell = layout.region(node).map_or(NOWHERE, |region| region.cell);
        self.resolved = self.resolved.min(layout.generation());
        self.push_at(Op {
            first,
            node,
            cell,
            rest,
        });
    }

    /// Adds an operation whose cell was looked up in a layout of the generation
    /// [`resolved`](Self::resolved), or a later one.
    #[inline]
    fn push_at(&mut self, op: Op) {
        let at = op.node.index() / 64;
        if at >= self.touched.len() {
            self.touched.resize(at + 1, 0);
        }
        let bit = 1 << (op.node.index() % 64);
        let cells = match op.rest {
            Rest::Cells(_) => u32::from(op.cells()),
            _ => 1,
        };
        let end = if self.touched[at] & bit == 0 {
            op.cell.saturating_add(cells)
        } else {
            NOWHERE
        };
        self.end = self.end.max(end);
        self.touched[at] |= bit;
        self.ops.push(op);
    }
}

/// Whether they do the same by the same operations in the same order, whatever was undone before.
impl PartialEq for Patch {
    fn eq(&self, other: &Self) -> bool {
        let tokens = |patch: &Self, op: &Op| patch.value(op);
        self.tree == other.tree
            && self.ops.len() == other.ops.len()
            && self.ops.iter().zip(&other.ops).all(|(a, b)| {
                (a.node, a.first) == (b.node, b.first) && tokens(self, a) == tokens(other, b)
            })
    }
}

mod planned;

pub(crate) use planned::{Planned, Tokens};

#[cfg(test)]
mod tests;
