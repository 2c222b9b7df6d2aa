//! Patches that are known beforehand but for their tokens.
//!
//! Messages of one layout lead to the same operations on the same nodes. A [`Planned`] patch has
//! them all, in order; a message then only gives the cell of each.

use super::{Op, Patch, Rest};
use crate::record::cell::{OBJECT, Token};
use crate::record::schema::{Layout, Node, SchemaSource};

/// [`Step::source`] of an object.
const IS_OBJECT: u32 = u32::MAX;

/// The tokens of one message, by the numbers that its plan was made with.
pub(crate) trait Tokens {
    /// The cell that the token is, if it is one cell and no more. An object has none.
    fn cell(&self, source: u32) -> Option<[u64; 2]>;
    /// The token; `None` if the member is deleted.
    fn token(&self, source: u32) -> Option<Token<'_>>;
}

#[derive(Clone, Copy, Debug)]
struct Step {
    node: Node,
    cell: u32,
    source: u32,
}

/// All operations of a patch, with the number of a token in place of each token.
#[derive(Debug)]
pub(crate) struct Planned {
    steps: Box<[Step]>,
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
        let step = |(op, source): (&Op, &Option<u32>)| {
            Some(Step {
                node: op.node,
                cell: layout.region(op.node)?.cell,
                source: source.unwrap_or(IS_OBJECT),
            })
        };
        let steps: Box<[Step]> = (self.ops.iter().zip(sources).map(step)).collect::<Option<_>>()?;
        Some(Planned {
            touched: self.touched.as_slice().into(),
            end: steps.iter().map(|step| step.cell + 1).max()?,
            resolved: layout.generation(),
            steps,
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
        self.clear();
        let mut others = false;
        self.ops.extend(planned.steps.iter().map(|step| {
            let first = tokens.cell(step.source).unwrap_or_else(|| {
                others |= step.source != IS_OBJECT;
                OBJECT
            });
            Op {
                first,
                node: step.node,
                cell: step.cell,
                rest: Rest::None,
            }
        }));
        if self.touched.len() < planned.touched.len() {
            self.touched.resize(planned.touched.len(), 0);
        }
        for (word, touched) in self.touched.iter_mut().zip(&planned.touched) {
            *word = *touched;
        }
        (self.end, self.resolved) = (planned.end, planned.resolved);
        if others {
            self.set_others(planned, schema, tokens);
        }
    }

    /// Members that are deleted and tokens that are more than one cell, each in the place that was
    /// left for it.
    #[inline(never)]
    fn set_others(
        &mut self,
        planned: &Planned,
        schema: &mut impl SchemaSource,
        tokens: &impl Tokens,
    ) {
        for (at, step) in planned.steps.iter().enumerate() {
            if step.source == IS_OBJECT || tokens.cell(step.source).is_some() {
                continue;
            }
            match tokens.token(step.source) {
                Some(token) => self.set(schema, step.node, token),
                None => self.delete(schema.layout(), step.node),
            }
            if let Some(op) = self.ops.pop() {
                self.ops[at] = op;
            }
        }
    }
}
