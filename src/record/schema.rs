//! The schema of an entity: an append-only trie of member names, and where each node's cells lie.
//!
//! All ids of an entity share one schema. A [`Layout`] is one state of it, immutable and shared;
//! a node keeps its number and a cell its offset in every later layout, so whatever was resolved
//! against an older one stays valid. A node whose token outgrew its region gets a second, wider
//! one; the first is left where it is.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::cell::MAX_CELLS;

/// Bounds of what one entity may hold. Checked where messages are compiled into patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many field paths an entity's schema may hold, objects on the way included. Default
    /// 1024. A record that needs more falls over to the document form, alone. Each costs 16 bytes
    /// in every version of every value of the entity.
    pub max_fields: u32,
    /// The longest JSON text one value may have, in bytes. Default 1 MiB. Longer is refused.
    pub max_value: usize,
    /// How many arrays and objects may be nested. Default 128. Deeper is refused.
    pub max_depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_fields: 1024,
            max_value: 1 << 20,
            max_depth: 128,
        }
    }
}

/// Cells that all widened regions of one schema may take together. Beyond it, tokens that do not
/// fit the region they have live in the document instead.
pub const MAX_WIDE_CELLS: u32 = 4096;
/// Bytes that all member names of one schema may take together.
pub const MAX_NAME_BYTES: usize = 1 << 18;

/// The schema holds all the fields that its [`Limits`] allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the schema of the entity is full; raise max_fields, or send values with fewer names")]
pub struct SchemaFull;

/// A node of a schema: the root, or a member name below another node. Meaningful only together
/// with the schema it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node(pub(crate) u32);

impl Node {
    /// The whole value. Its cell says what the record is: absent, an object, a document, or a
    /// token of its own.
    pub const ROOT: Self = Self(0);

    /// The node's number: 0 for the root, then in order of first appearance.
    #[must_use]
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a node's cells lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first cell, counted in cells of 16 bytes.
    pub cell: u32,
    /// How many cells there are; at least one.
    pub cells: u16,
}

#[derive(Clone, Debug)]
struct Entry {
    parent: Node,
    name: Arc<str>,
    children: Vec<Node>,
}

/// One state of a schema: names, nodes and regions. Immutable and shared through `Arc`.
#[derive(Clone, Debug)]
pub struct Layout {
    generation: u64,
    regions: Vec<Region>,
    /// The last generation in which a node got another region; 0 if none did.
    widened: u64,
    entries: Vec<Entry>,
    index: HashTable<Node>,
    cells: u32,
}

fn hash(parent: Node, name: &str) -> u64 {
    FixedState::with_seed(0).hash_one((parent.0, name))
}

impl Layout {
    fn new() -> Self {
        Self {
            generation: 0,
            regions: vec![Region { cell: 0, cells: 1 }],
            widened: 0,
            entries: vec![Entry {
                parent: Node::ROOT,
                name: "".into(),
                children: Vec::new(),
            }],
            index: HashTable::new(),
            cells: 1,
        }
    }

    /// How many changes led to this layout. Two layouts of one schema with the same generation
    /// are the same.
    #[must_use]
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many cells a record has under this layout.
    #[must_use]
    #[inline]
    pub fn cells(&self) -> u32 {
        self.cells
    }

    /// How many nodes there are, the root included.
    #[must_use]
    #[inline]
    pub fn nodes(&self) -> u32 {
        // The number of nodes is bounded by `Limits::max_fields`, a u32.
        self.regions.len() as u32
    }

    /// Where the node's cells lie; `None` if the node is newer than this layout.
    #[must_use]
    #[inline]
    pub fn region(&self, node: Node) -> Option<Region> {
        self.regions.get(node.index()).copied()
    }

    /// The last generation in which a node got another region. What was looked up in a layout of
    /// that generation or a later one is right in this one, if this one has it.
    #[must_use]
    #[inline]
    pub fn widened(&self) -> u64 {
        self.widened
    }

    /// The member `name` of `parent`.
    #[must_use]
    #[inline]
    pub fn child(&self, parent: Node, name: &str) -> Option<Node> {
        self.index
            .find(hash(parent, name), |node| {
                let entry = &self.entries[node.index()];
                entry.parent == parent && &*entry.name == name
            })
            .copied()
    }

    /// The members of `parent` in order of first appearance, so that a decoder may guess the next
    /// one before it hashes. Empty if the node is newer than this layout.
    #[must_use]
    #[inline]
    pub fn children(&self, parent: Node) -> &[Node] {
        self.entries
            .get(parent.index())
            .map_or(&[], |entry| &entry.children)
    }

    /// The node's member name; empty for the root and for a node newer than this layout.
    #[must_use]
    #[inline]
    pub fn name(&self, node: Node) -> &str {
        self.entries
            .get(node.index())
            .map_or("", |entry| &entry.name)
    }

    /// The node's member name, shared.
    pub(super) fn shared_name(&self, node: Node) -> Arc<str> {
        self.entries
            .get(node.index())
            .map_or_else(|| "".into(), |entry| entry.name.clone())
    }

    /// The object that the node is a member of; the root is its own.
    #[must_use]
    #[inline]
    pub fn parent(&self, node: Node) -> Node {
        self.entries
            .get(node.index())
            .map_or(Node::ROOT, |entry| entry.parent)
    }

    /// The node at a path of member names; the empty path is the root.
    #[must_use]
    pub fn find(&self, path: &[&str]) -> Option<Node> {
        path.iter()
            .try_fold(Node::ROOT, |node, name| self.child(node, name))
    }

    /// The member names from the root to the node.
    #[must_use]
    pub fn path(&self, node: Node) -> Vec<&str> {
        let mut names = Vec::new();
        let mut at = node;
        while at != Node::ROOT && at.index() < self.entries.len() {
            names.push(self.name(at));
            at = self.parent(at);
        }
        names.reverse();
        names
    }

    /// Whether `node` is `top` or lies below it.
    #[must_use]
    pub fn is_within(&self, node: Node, top: Node) -> bool {
        let mut at = node;
        while at != top && at != Node::ROOT {
            at = self.parent(at);
        }
        at == top
    }
}

/// Who may extend a schema while a message is compiled into a patch. Implemented by [`Schema`],
/// and by the store's shared one.
pub trait SchemaSource {
    /// The newest layout. Cheap: called for every object of every message.
    fn layout(&self) -> &Arc<Layout>;

    /// The member `name` of `parent`, added if it is new.
    ///
    /// # Errors
    /// The schema is full. What it holds is unchanged.
    fn add(&mut self, parent: Node, name: &str) -> Result<Node, SchemaFull>;

    /// Makes the node's region at least `cells` wide.
    ///
    /// # Errors
    /// Regions may not grow further. What the schema holds is unchanged.
    fn widen(&mut self, node: Node, cells: u16) -> Result<(), SchemaFull>;
}

/// A schema with one owner.
#[derive(Debug)]
pub struct Schema {
    layout: Arc<Layout>,
    limits: Limits,
    wide_cells: u32,
    name_bytes: usize,
}

impl Schema {
    /// A schema with nothing but its root.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            layout: Arc::new(Layout::new()),
            limits,
            wide_cells: 0,
            name_bytes: 0,
        }
    }

    /// The bounds it was made with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl SchemaSource for Schema {
    #[inline]
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn add(&mut self, parent: Node, name: &str) -> Result<Node, SchemaFull> {
        if let Some(node) = self.layout.child(parent, name) {
            return Ok(node);
        }
        let fields = self.layout.nodes() - 1;
        if fields >= self.limits.max_fields || self.name_bytes + name.len() > MAX_NAME_BYTES {
            return Err(SchemaFull);
        }
        self.name_bytes += name.len();
        // In place unless somebody else holds this layout: then it is theirs, and copied once.
        let layout = Arc::make_mut(&mut self.layout);
        let node = Node(layout.nodes());
        layout.generation += 1;
        layout.regions.push(Region {
            cell: layout.cells,
            cells: 1,
        });
        layout.cells += 1;
        layout.entries.push(Entry {
            parent,
            name: name.into(),
            children: Vec::new(),
        });
        layout.entries[parent.index()].children.push(node);
        let entries = &layout.entries;
        layout
            .index
            .insert_unique(hash(parent, name), node, |node| {
                let entry = &entries[node.index()];
                hash(entry.parent, &entry.name)
            });
        Ok(node)
    }

    fn widen(&mut self, node: Node, cells: u16) -> Result<(), SchemaFull> {
        let present = self.layout.region(node).ok_or(SchemaFull)?;
        if present.cells >= cells {
            return Ok(());
        }
        if cells > MAX_CELLS {
            return Err(SchemaFull);
        }
        let doubled = cells.next_power_of_two().min(MAX_CELLS);
        let wide_cells = self.wide_cells + u32::from(doubled);
        if wide_cells > MAX_WIDE_CELLS {
            return Err(SchemaFull);
        }
        self.wide_cells = wide_cells;
        let layout = Arc::make_mut(&mut self.layout);
        layout.generation += 1;
        layout.regions[node.index()] = Region {
            cell: layout.cells,
            cells: doubled,
        };
        layout.widened = layout.generation;
        layout.cells += u32::from(doubled);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
