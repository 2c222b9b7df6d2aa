//! From a decoded value to a patch: member names become nodes of the schema, tokens become cells.
//!
//! The members of an object mostly come in the order in which they came before. So the node after
//! the last one is compared with the name first, and the name is hashed only if it is another.

use std::sync::Arc;

use super::plan::Matched;
use super::value::Value;
use crate::record::{Kind, Limits, Mode, Node, Patch, SchemaFull, SchemaSource, Token, Tree};

/// Why a value that is valid JSON was not made a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Its objects are nested deeper than [`Limits::max_depth`].
    #[error("objects nested deeper than max_depth")]
    TooDeep,
    /// Its text has more bytes than [`Limits::max_value`].
    #[error("a value of more bytes than max_value")]
    TooLarge,
}

/// Makes `patch`, whatever it held, the change that a message with this value is under `mode`.
///
/// Names and wider regions that the schema lacks are added to it. A value with more new names than
/// the schema has room for adds none, and becomes a patch that holds it as a [`Tree`]. A value that
/// is no object replaces the record under every mode. Allocates only where the schema or the patch
/// has to grow. Recurses once for each object inside an object, at most [`Limits::max_depth`]
/// times.
///
/// # Errors
///
/// [`Refused`] if the value exceeds the limits. The patch then does nothing.
pub fn compile(
    value: Value<'_>,
    mode: Mode,
    limits: &Limits,
    schema: &mut impl SchemaSource,
    patch: &mut Patch,
) -> Result<(), Refused> {
    if value.is_longer_than(limits.max_value) {
        patch.clear();
        return Err(Refused::TooLarge);
    }
    let nulls_delete = mode == Mode::Merge;
    let Some((template, text, object)) = value.matched().filter(|_| value.is_object()) else {
        return by_name(value, nulls_delete, limits, schema, patch);
    };
    let matched = Matched::new(template, text, object, nulls_delete);
    let plans = &template.memo.plans;
    if plans.follow(matched, limits, schema, patch) {
        return Ok(());
    }
    by_name(value, nulls_delete, limits, schema, patch)?;
    plans.learn(matched, schema.layout(), patch);
    Ok(())
}

/// Looks every member up.
fn by_name(
    value: Value<'_>,
    nulls_delete: bool,
    limits: &Limits,
    schema: &mut impl SchemaSource,
    patch: &mut Patch,
) -> Result<(), Refused> {
    patch.clear();
    if value.kind() != Kind::Object {
        patch.set(schema, Node::ROOT, value.token());
        return Ok(());
    }
    let mut compiler = Compiler {
        limits,
        nulls_delete,
        root: value,
        schema,
        patch,
        counted: false,
    };
    let compiled = match compiler.object(Node::ROOT, value, 0) {
        Err(Stop::Repeated) => compiler.without_repeats(),
        compiled => compiled,
    };
    compiled.or_else(|stop| give_up(stop, value, limits, patch))
}

/// The value as a tree of tokens as received. Recurses once for each object inside an object, which
/// the depth that the decoder was made with bounds.
#[must_use]
pub fn tree(value: Value<'_>) -> Tree {
    if value.kind() != Kind::Object {
        return Tree::token(value.token());
    }
    Tree::object(
        value
            .members()
            .map(|(name, value)| (Arc::from(name.as_str()), tree(value))),
    )
}

/// No operations: a refusal leaves a patch that does nothing, a full schema one that holds the
/// value.
#[cold]
fn give_up(
    stop: Stop,
    value: Value<'_>,
    limits: &Limits,
    patch: &mut Patch,
) -> Result<(), Refused> {
    patch.clear();
    match stop {
        Stop::Refused(refused) => Err(refused),
        _ if deeper_than(value, limits.max_depth) => Err(Refused::TooDeep),
        Stop::Full | Stop::Repeated => {
            patch.set_tree(tree(value));
            Ok(())
        }
    }
}

/// Whether more than `depth` objects lie inside each other.
fn deeper_than(value: Value<'_>, depth: u32) -> bool {
    value.kind() == Kind::Object
        && (depth == 0
            || value
                .members()
                .any(|(_, member)| deeper_than(member, depth - 1)))
}

/// Why a value cannot be compiled into operations.
enum Stop {
    Refused(Refused),
    /// The schema has no room for its names.
    Full,
    /// An object repeats a name.
    Repeated,
}

impl From<SchemaFull> for Stop {
    fn from(_: SchemaFull) -> Self {
        Self::Full
    }
}

struct Compiler<'a, S> {
    limits: &'a Limits,
    root: Value<'a>,
    nulls_delete: bool,
    schema: &'a mut S,
    patch: &'a mut Patch,
    /// The new names of this value have been counted, and there is room for them.
    counted: bool,
}

impl<S: SchemaSource> Compiler<'_, S> {
    /// Compiles the object that the member `node` is.
    fn object(&mut self, node: Node, value: Value<'_>, depth: u32) -> Result<(), Stop> {
        self.open(node, depth)?;
        let mut place = 0;
        for (name, member) in value.members() {
            let child = self.child(node, name.as_str(), &mut place)?;
            if self.patch.touched(child) {
                return Err(Stop::Repeated);
            }
            match member.kind() {
                Kind::Object => self.object(child, member, depth + 1)?,
                _ => self.leaf(child, member.token()),
            }
        }
        Ok(())
    }

    /// Compiles the whole value again from a tree of it, in which of a repeated name only the last
    /// value is left. To take back what the first one did, each time, would cost a message of many
    /// repeats the square of its length.
    #[cold]
    fn without_repeats(&mut self) -> Result<(), Stop> {
        self.patch.clear();
        if deeper_than(self.root, self.limits.max_depth) {
            return Err(Stop::Refused(Refused::TooDeep));
        }
        self.tree(Node::ROOT, &tree(self.root), 0)
    }

    fn tree(&mut self, node: Node, tree: &Tree, depth: u32) -> Result<(), Stop> {
        self.open(node, depth)?;
        let mut place = 0;
        for (name, member) in tree.members() {
            let child = self.child(node, name, &mut place)?;
            match member.as_token() {
                None => self.tree(child, member, depth + 1)?,
                Some(token) => self.leaf(child, token),
            }
        }
        Ok(())
    }

    fn open(&mut self, node: Node, depth: u32) -> Result<(), Stop> {
        if depth >= self.limits.max_depth {
            return Err(Stop::Refused(Refused::TooDeep));
        }
        self.patch.object(self.schema.layout(), node);
        Ok(())
    }

    #[inline]
    fn leaf(&mut self, node: Node, token: Token<'_>) {
        if self.nulls_delete && token.kind == Kind::Null {
            self.patch.delete(self.schema.layout(), node);
        } else {
            self.patch.set(self.schema, node, token);
        }
    }

    /// The member `name` of `parent`, where the one that comes after `place` others is expected.
    #[inline]
    fn child(&mut self, parent: Node, name: &str, place: &mut usize) -> Result<Node, Stop> {
        let layout = self.schema.layout();
        match layout.children(parent).get(*place) {
            Some(&child) if layout.name(child) == name => {
                *place += 1;
                Ok(child)
            }
            _ => self.look_up(parent, name, place),
        }
    }

    /// The member `name` of `parent` if it is not the one expected; `place` is then where the one
    /// after it is. A name is added even if it is only deleted: a record that lives in its document
    /// may have it, and so may a value that is fetched while the patch is kept.
    #[inline(never)]
    fn look_up(&mut self, parent: Node, name: &str, place: &mut usize) -> Result<Node, Stop> {
        let child = match self.schema.layout().child(parent, name) {
            Some(child) => child,
            None => self.add(parent, name)?,
        };
        // Children are in order of appearance, and so are the numbers of nodes.
        if let Ok(at) = self.schema.layout().children(parent).binary_search(&child) {
            *place = at + 1;
        }
        Ok(child)
    }

    #[cold]
    fn add(&mut self, parent: Node, name: &str) -> Result<Node, Stop> {
        if !self.counted {
            // All or nothing, so that one odd record does not use up the schema of the others.
            let fields = self.schema.layout().nodes() - 1;
            let room = self.limits.max_fields.saturating_sub(fields) as usize;
            if self.new_names(Some(Node::ROOT), self.root, room) > room {
                return Err(Stop::Full);
            }
            self.counted = true;
        }
        Ok(self.schema.add(parent, name)?)
    }

    /// How many names the schema lacks for `value` at the member `node`, which is `None` if the
    /// schema lacks that. A name that the value repeats is counted each time. Stops counting when
    /// there are more than `enough`.
    fn new_names(&self, node: Option<Node>, value: Value<'_>, enough: usize) -> usize {
        let layout = self.schema.layout();
        let mut count = 0;
        for (name, member) in value.members() {
            let child = node.and_then(|node| layout.child(node, name.as_str()));
            count += usize::from(child.is_none());
            if member.is_object() && count <= enough {
                count += self.new_names(child, member, enough - count);
            }
            if count > enough {
                break;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests;
