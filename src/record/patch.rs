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
    pub(super) rest: Rest,
}

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
#[derive(Clone, Debug, Default)]
pub struct Patch {
    pub(super) ops: Vec<Op>,
    /// Tokens of 16 to 4096 bytes, as cells.
    pub(super) words: Vec<u64>,
    /// Longer ones: their kind and where they lie in `bytes`.
    long: Vec<(Kind, Range<usize>)>,
    bytes: Vec<u8>,
    touched: Vec<u64>,
    pub(super) tree: Option<Tree>,
    /// A layout with so many nodes has all that operations are on.
    nodes: u32,
    /// A layout of this generation has the regions that wide tokens need.
    generation: u64,
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
        self.nodes = 0;
        self.generation = 0;
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

    /// `Object(node)`: the message has an object here. To be called before its members.
    #[inline]
    pub fn object(&mut self, node: Node) {
        self.push(Op {
            first: OBJECT,
            node,
            rest: Rest::None,
        });
    }

    /// `Set(node, token)`. Widens the node's region if the token needs it; a token of more than
    /// [`INLINE_TOKEN`] bytes, or for which the region may not grow, goes to the document.
    ///
    /// A token of kind [`Kind::Object`] is taken as an object without members.
    #[inline]
    pub fn set(&mut self, schema: &mut impl SchemaSource, node: Node, token: Token<'_>) {
        if token.kind == Kind::Object {
            self.object(node);
        } else if token.text.len() <= SHORT_TOKEN || token.kind.literal().is_some() {
            self.push(Op {
                first: cell::short(token),
                node,
                rest: Rest::None,
            });
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
            self.generation = self.generation.max(schema.layout().since(node));
            let start = self.words.len();
            cell::wide(token, &mut self.words);
            let first = [self.words[start], self.words[start + 1]];
            self.push(Op {
                first,
                node,
                rest: Rest::Cells(start as u32),
            });
        } else {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(token.text);
            self.long.push((token.kind, start..self.bytes.len()));
            let rest = Rest::Document(self.long.len() as u32 - 1);
            self.push(Op {
                first: cell::document(token.kind, token.text),
                node,
                rest,
            });
        }
    }

    /// `Delete(node)`: the field goes, with all below it.
    #[inline]
    pub fn delete(&mut self, node: Node) {
        self.push(Op {
            first: ABSENT,
            node,
            rest: Rest::None,
        });
    }

    /// Makes it a patch with this value instead of operations: for an object with more names than
    /// the schema may hold. How the value is merged is up to the mode, as for operations.
    pub fn set_tree(&mut self, tree: Tree) {
        self.clear();
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

    /// Whether a layout is known, without a look at each operation, to have the room that this
    /// needs.
    #[inline]
    pub(super) fn fits(&self, block: &Layout) -> bool {
        self.nodes <= block.nodes() && self.generation <= block.generation()
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
    fn push(&mut self, op: Op) {
        let at = op.node.index() / 64;
        if at >= self.touched.len() {
            self.touched.resize(at + 1, 0);
        }
        self.nodes = self.nodes.max(op.node.0 + 1);
        self.touched[at] |= 1 << (op.node.index() % 64);
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
