//! Patches that are known beforehand but for their tokens.
//!
//! Messages of one layout lead to the same operations on the same nodes. A [`Planned`] patch has
//! them all, in order; a message then only gives the cell of each.

use super::{Op, Patch, Rest};
use crate::record::cell::{OBJECT, Token};
use crate::record::schema::{Layout, SchemaSource};

/// In place of the number of a token: it is an object.
const IS_OBJECT: u32 = u32::MAX;

/// The tokens of one message, by the numbers that its plan was made with.
pub(crate) trait Tokens {
    /// The cell that the token is, if it is one cell and no more. An object has none.
    fn cell(&self, source: u32) -> Option<&[u64; 2]>;
    /// The token; `None` if the member is deleted.
    fn token(&self, source: u32) -> Option<Token<'_>>;
}

/// All operations of a patch, with the number of a token in place of each token.
#[derive(Debug)]
pub(crate) struct Planned {
    /// With no token in them.
    ops: Box<[Op]>,
    sources: Box<[u32]>,
    touched: Box<[u64]>,
    /// So many cells hold the first cell of each operation.
    end: u32,
    /// The generation of the layout in which those were looked up.
    resolved: u64,
}

impl Patch {
    /// What this patch does, whatever its tokens are, to records of this layout; `sources` has the
    /// number of each operation's token, `None` for an object. `None` if it holds a tree, or not as
    /// many operations.
    pub(crate) fn plan(&self, layout: &Layout, sources: &[Option<u32>]) -> Option<Planned> {
        if self.is_tree() || self.ops.len() != sources.len() {
            return None;
        }
        let op = |op: &Op| {
            Some(Op {
                first: OBJECT,
                node: op.node,
                cell: layout.region(op.node)?.cell,
                rest: Rest::None,
            })
        };
        let ops: Box<[Op]> = self.ops.iter().map(op).collect::<Option<_>>()?;
        let source = |source: &Option<u32>| source.unwrap_or(IS_OBJECT);
        Some(Planned {
            sources: sources.iter().map(source).collect(),
            touched: self.touched.as_slice().into(),
            end: ops.iter().map(|op| op.cell + 1).max()?,
            resolved: layout.generation(),
            ops,
        })
    }

    /// Makes it, whatever it held, the patch that was planned, with these tokens. Allocates only
    /// where it has to grow.
    #[inline]
    pub(crate) fn follow(
        &mut self,
        planned: &Planned,
        schema: &mut impl SchemaSource,
        tokens: &impl Tokens,
    ) {
        self.words.clear();
        self.long.clear();
        self.bytes.clear();
        if self.tree.is_some() {
            self.tree = None;
        }
        let count = planned.ops.len();
        if self.ops.len() != count {
            self.ops.clear();
            self.ops.extend_from_slice(&planned.ops);
        }
        // Operations that are left, by their place modulo 64.
        let mut others = 0_u64;
        // By number: neither an adapter nor a closure, which are not sure to be inlined.
        let (ops, sources) = (&mut self.ops[..count], &planned.sources[..count]);
        for at in 0..count {
            let (op, source) = (&mut ops[at], sources[at]);
            *op = planned.ops[at];
            match tokens.cell(source) {
                Some(first) => op.first = *first,
                None => others |= u64::from(source != IS_OBJECT) << (at % 64),
            }
        }
        (self.end, self.resolved) = (planned.end, planned.resolved);
        if others != 0 {
            // None of them is taken for one that is named twice.
            self.touched.fill(0);
            self.set_others(others, planned, schema, tokens);
        }
        match (&mut *self.touched, &*planned.touched) {
            ([all], [touched]) => *all = *touched,
            _ => self.touch(&planned.touched),
        }
    }

    /// The touched nodes, where they are not one word.
    #[inline(never)]
    fn touch(&mut self, touched: &[u64]) {
        self.touched.clear();
        self.touched.extend_from_slice(touched);
    }

    /// Members that are deleted and tokens that are more than one cell, each in the place that was
    /// left for it.
    #[inline(never)]
    fn set_others(
        &mut self,
        mut others: u64,
        planned: &Planned,
        schema: &mut impl SchemaSource,
        tokens: &impl Tokens,
    ) {
        while others != 0 {
            let first = others.trailing_zeros() as usize;
            others &= others - 1;
            for at in (first..planned.ops.len()).step_by(64) {
                let (node, source) = (planned.ops[at].node, planned.sources[at]);
                if source == IS_OBJECT || tokens.cell(source).is_some() {
                    continue;
                }
                match tokens.token(source) {
                    Some(token) => self.set(schema, node, token),
                    None => self.delete(schema.layout(), node),
                }
                if let Some(op) = self.ops.pop() {
                    self.ops[at] = op;
                }
            }
        }
    }
}
