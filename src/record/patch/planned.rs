//! Patches that are known beforehand but for their tokens.
//!
//! Messages of one layout lead to the same operations on the same nodes. A [`Planned`] patch has
//! them all, in order; a message then only gives the cell of each.

use super::{Op, Patch, Rest};
use crate::record::cell::{ABSENT, OBJECT, Token};
use crate::record::schema::{Node, SchemaSource};

/// [`Step::source`] of an object.
const IS_OBJECT: u32 = u32::MAX;

/// The tokens of one message, by the numbers that its plan was made with.
pub(crate) trait Tokens {
    /// The cell that the token is, if it is one cell and no more.
    fn cell(&self, source: u32) -> Option<[u64; 2]>;
    /// The token.
    fn token(&self, source: u32) -> Token<'_>;
}

#[derive(Clone, Copy, Debug)]
struct Step {
    node: Node,
    source: u32,
}

/// All operations of a patch, with the number of a token in place of each token.
#[derive(Debug)]
pub(crate) struct Planned {
    steps: Box<[Step]>,
    touched: Box<[u64]>,
    nodes: u32,
}

impl Patch {
    /// What this patch does, whatever its tokens are; `sources` has the number of each operation's
    /// token, `None` for an object. `None` if it holds a tree, or not as many operations.
    pub(crate) fn plan(&self, sources: &[Option<u32>]) -> Option<Planned> {
        if self.is_tree() || self.ops.len() != sources.len() {
            return None;
        }
        let step = |(op, source): (&Op, &Option<u32>)| Step {
            node: op.node,
            source: source.unwrap_or(IS_OBJECT),
        };
        Some(Planned {
            steps: self.ops.iter().zip(sources).map(step).collect(),
            touched: self.touched.as_slice().into(),
            nodes: self.nodes,
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
        let mut is_whole = true;
        self.ops.extend(planned.steps.iter().map(|step| {
            let first = if step.source == IS_OBJECT {
                OBJECT
            } else {
                tokens.cell(step.source).unwrap_or_else(|| {
                    is_whole = false;
                    ABSENT
                })
            };
            Op {
                first,
                node: step.node,
                rest: Rest::None,
            }
        }));
        if self.touched.len() < planned.touched.len() {
            self.touched.resize(planned.touched.len(), 0);
        }
        self.touched[..planned.touched.len()].copy_from_slice(&planned.touched);
        self.nodes = planned.nodes;
        if !is_whole {
            self.set_long_ones(planned, schema, tokens);
        }
    }

    /// The tokens that are not one cell, each in the place that was left for it.
    #[inline(never)]
    fn set_long_ones(
        &mut self,
        planned: &Planned,
        schema: &mut impl SchemaSource,
        tokens: &impl Tokens,
    ) {
        for (at, step) in planned.steps.iter().enumerate() {
            if step.source != IS_OBJECT && tokens.cell(step.source).is_none() {
                self.set(schema, step.node, tokens.token(step.source));
                if let Some(op) = self.ops.pop() {
                    self.ops[at] = op;
                }
            }
        }
    }
}
