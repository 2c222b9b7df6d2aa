//! Values that do not live in cells: whole ones that outgrew the schema, and texts too long for it.
//!
//! A [`Tree`] is an immutable JSON value whose tokens are kept as they came. Merging makes a new
//! one that shares what did not change.

use std::sync::Arc;

use hashbrown::HashMap;

use super::cell::{ABSENT, Kind, OBJECT, Token};
use super::merge::Mode;
use super::patch::Patch;
use super::schema::{Layout, Node};
use super::text;
use super::value::Value;

/// What lies beside the cells of a record, as one immutable unit. Replaced whole when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// The record itself; its cells are empty, except that the root's says so.
    Whole(Tree),
    /// The texts of the fields whose cells say that they are here.
    Long(LongTexts),
}

impl Document {
    /// The field `node`, whose name is in `layout` (which may be newer than the record's).
    /// Missing if it is not in this document.
    #[must_use]
    pub fn value(&self, layout: &Layout, node: Node) -> Value {
        match self {
            Self::Whole(tree) if node.index() < layout.nodes() as usize => tree
                .find(&layout.path(node))
                .map_or_else(Value::missing, Tree::value),
            Self::Whole(_) => Value::missing(),
            Self::Long(texts) => texts
                .get(node)
                .map_or_else(Value::missing, Value::from_token),
        }
    }

    /// The record, if it lives here whole.
    #[must_use]
    pub fn tree(&self) -> Option<&Tree> {
        match self {
            Self::Whole(tree) => Some(tree),
            Self::Long(_) => None,
        }
    }
}

/// Tokens too long for cells, by node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LongTexts(Vec<(Node, Kind, Arc<[u8]>)>);

impl LongTexts {
    /// The token of a node.
    #[must_use]
    pub fn get(&self, node: Node) -> Option<Token<'_>> {
        let at = self.0.binary_search_by_key(&node, |entry| entry.0).ok()?;
        let (_, kind, text) = &self.0[at];
        Some(Token::new(*kind, text))
    }

    pub(super) fn set(&mut self, node: Node, token: Token<'_>) {
        let entry = (node, token.kind, token.text.into());
        match self.0.binary_search_by_key(&node, |entry| entry.0) {
            Ok(at) => self.0[at] = entry,
            Err(at) => self.0.insert(at, entry),
        }
    }

    pub(super) fn remove(&mut self, node: Node) {
        self.0.retain(|entry| entry.0 != node);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An immutable JSON value: tokens as received, members in order. Cloning is one reference count.
#[derive(Clone, PartialEq, Eq)]
pub struct Tree(Arc<Body>);

#[derive(Debug, PartialEq, Eq)]
enum Body {
    Token(Kind, Box<[u8]>),
    Object(Vec<(Arc<str>, Tree)>),
}

impl Tree {
    /// A value that is no object. A token of kind [`Kind::Object`] is taken as an empty one.
    #[must_use]
    pub fn token(token: Token<'_>) -> Self {
        match token.kind {
            Kind::Object => Self::object([]),
            kind => Self(Arc::new(Body::Token(
                kind,
                kind.literal().unwrap_or(token.text).into(),
            ))),
        }
    }

    /// An object. Names are unescaped; of a repeated one the last counts, in the first's place.
    #[must_use]
    pub fn object(members: impl IntoIterator<Item = (Arc<str>, Self)>) -> Self {
        let members = members.into_iter();
        let mut kept: Vec<(Arc<str>, Self)> = Vec::with_capacity(members.size_hint().0);
        let mut index: HashMap<Arc<str>, usize, foldhash::fast::RandomState> = HashMap::default();
        for (name, tree) in members {
            if let Some(at) = index.get(&name) {
                kept[*at].1 = tree;
            } else {
                index.insert(name.clone(), kept.len());
                kept.push((name, tree));
            }
        }
        Self(Arc::new(Body::Object(kept)))
    }

    /// Reads JSON text. Tokens are kept as they are written.
    ///
    /// # Errors
    /// The text is not one JSON value, or nests objects deeper than 128.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        text::parse(json)
    }

    /// Whether the two are one and the same in memory; equal ones need not be.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &*self.0 {
            Body::Token(kind, _) => *kind,
            Body::Object(_) => Kind::Object,
        }
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        matches!(&*self.0, Body::Object(_))
    }

    /// The token, unless it is an object.
    #[must_use]
    pub fn as_token(&self) -> Option<Token<'_>> {
        match &*self.0 {
            Body::Token(kind, text) => Some(Token::new(*kind, text)),
            Body::Object(_) => None,
        }
    }

    /// The members in order; empty if it is no object.
    #[must_use]
    pub fn members(&self) -> &[(Arc<str>, Self)] {
        match &*self.0 {
            Body::Token(..) => &[],
            Body::Object(members) => members,
        }
    }

    /// The member `name`. Costs a comparison per member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.members()
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, tree)| tree)
    }

    /// The value at a path of member names; the empty path is the value itself.
    #[must_use]
    pub fn find(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |tree, name| tree.get(name))
    }

    /// The value, copied out.
    #[must_use]
    pub fn value(&self) -> Value {
        match self.as_token() {
            Some(token) => Value::from_token(token),
            None => Value::object(self.to_json().into_bytes()),
        }
    }

    /// Appends the value as JSON text.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        text::write_tree(self, out);
    }

    /// The value as JSON text. What is no UTF-8 in a token is replaced.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write_json(&mut out);
        text::into_string(out)
    }

    /// What `self` becomes by a message with the value `patch`, by the rules of `mode`.
    #[must_use]
    pub fn merged(&self, patch: &Self, mode: Mode) -> Self {
        if mode == Mode::Replace || !patch.is_object() {
            return patch.clone();
        }
        let edit = Edit::of_tree(patch, mode);
        edit.applied(Some(self)).unwrap_or_else(|| patch.clone())
    }

    /// What `self` becomes by the operations of `patch`, whose names are in `layout`.
    pub(super) fn patched(&self, patch: &Patch, mode: Mode, layout: &Layout) -> Self {
        let mut places = vec![None; layout.nodes() as usize];
        for (at, op) in patch.ops.iter().enumerate() {
            if let Some(place) = places.get_mut(op.node.index()) {
                // A node with two operations is an object that is made anew.
                *place = Some((at, place.is_some()));
            }
        }
        let edits = Compiled {
            patch,
            layout,
            places,
            shallow: mode == Mode::Shallow,
        };
        let root = edits.edit(Node::ROOT);
        root.and_then(|edit| edit.applied(Some(self)))
            .unwrap_or_else(|| self.clone())
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_json())
    }
}

/// What happens to one value of a tree.
enum Edit {
    Remove,
    Put(Tree),
    Object {
        fresh: bool,
        members: Vec<(Arc<str>, Self)>,
    },
}

/// Above this many comparisons names are looked up in a table.
const SCAN_BOUND: usize = 256;

impl Edit {
    fn of_tree(patch: &Tree, mode: Mode) -> Self {
        let member = |tree: &Tree| match tree.kind() {
            _ if mode == Mode::Shallow => Self::Put(tree.clone()),
            Kind::Null if mode == Mode::Merge => Self::Remove,
            Kind::Object => Self::of_tree(tree, mode),
            _ => Self::Put(tree.clone()),
        };
        let members = patch.members().iter();
        let members = members
            .map(|(name, tree)| (name.clone(), member(tree)))
            .collect();
        Self::Object {
            fresh: false,
            members,
        }
    }

    /// What `old` becomes; `None` if it is not there afterwards. The same `Arc` if it stays.
    fn applied(&self, old: Option<&Tree>) -> Option<Tree> {
        let (fresh, edits) = match self {
            Self::Remove => return None,
            Self::Put(tree) => return Some(tree.clone()),
            Self::Object { fresh, members } => (*fresh, members),
        };
        let kept = old.filter(|tree| tree.is_object() && !fresh);
        let before = kept.map_or(&[][..], Tree::members);
        let mut after: Vec<Option<(Arc<str>, Tree)>> = before.iter().cloned().map(Some).collect();
        let index: Option<HashMap<&str, usize, foldhash::fast::RandomState>> =
            (edits.len() * before.len() > SCAN_BOUND).then(|| {
                before
                    .iter()
                    .enumerate()
                    .map(|(at, (name, _))| (&**name, at))
                    .collect()
            });
        let mut changed = kept.is_none();
        for (name, edit) in edits {
            let at = match &index {
                Some(index) => index.get(&**name).copied(),
                None => before.iter().position(|(key, _)| key == name),
            };
            let present = at.map(|at| &before[at].1);
            let next = edit.applied(present);
            changed |= next.as_ref() != present;
            match (at, next) {
                (Some(at), next) => after[at] = next.map(|tree| (name.clone(), tree)),
                (None, Some(tree)) => after.push(Some((name.clone(), tree))),
                (None, None) => {}
            }
        }
        if changed {
            Some(Tree(Arc::new(Body::Object(
                after.into_iter().flatten().collect(),
            ))))
        } else {
            kept.cloned()
        }
    }
}

/// A patch of operations, looked at as edits of a tree.
struct Compiled<'a> {
    patch: &'a Patch,
    layout: &'a Layout,
    /// The last operation on each node, and whether there is one before it.
    places: Vec<Option<(usize, bool)>>,
    shallow: bool,
}

impl Compiled<'_> {
    fn edit(&self, node: Node) -> Option<Edit> {
        let (at, anew) = self.places.get(node.index()).copied().flatten()?;
        let op = &self.patch.ops[at];
        Some(match op.first {
            ABSENT => Edit::Remove,
            OBJECT => Edit::Object {
                fresh: anew
                    || self.shallow && node != Node::ROOT && self.layout.parent(node) == Node::ROOT,
                members: self.members(node),
            },
            _ => Edit::Put(self.patch.value(op).to_tree()),
        })
    }

    fn members(&self, node: Node) -> Vec<(Arc<str>, Edit)> {
        let children = self.layout.children(node).iter();
        children
            .filter(|child| self.patch.touched(**child))
            .filter_map(|child| Some((self.layout.shared_name(*child), self.edit(*child)?)))
            .collect()
    }
}
