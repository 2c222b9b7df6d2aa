//! The schema that the slots of an entity share, and the way its owner extends it.

use std::sync::PoisonError;

use crate::record::{Layout, Limits, Node, Schema, SchemaFull, SchemaSource};
use crate::store::reader::Field;
use crate::store::shared::Shared;
use crate::sync::{Arc, ArcSwap, AtomicU64, Mutex, Ordering};

/// A schema that any thread may add to, and read without a lock.
#[derive(Debug)]
pub(crate) struct SharedSchema {
    /// [`Layout::widened`] of the newest layout. Rises before any block has such a layout.
    widened: AtomicU64,
    newest: ArcSwap<Layout>,
    schema: Mutex<Schema>,
}

impl SharedSchema {
    pub(super) fn new(limits: Limits) -> Self {
        let schema = Schema::new(limits);
        let newest = ArcSwap::new(schema.layout().clone());
        Self {
            widened: AtomicU64::new(schema.layout().widened()),
            newest,
            schema: Mutex::new(schema),
        }
    }

    /// The generation in which a field was moved the last time, in any layout so far. Whoever has
    /// acquired the words of a block sees no less than what the block's layout says. Pairs with the
    /// release in `change`.
    #[inline(always)]
    pub(super) fn widened(&self) -> u64 {
        self.widened.load(Ordering::Relaxed)
    }

    /// The newest layout.
    pub(crate) fn layout(&self) -> Arc<Layout> {
        self.newest.load_full()
    }

    /// The field at a path of member names, added if it is new. The empty path is the value.
    ///
    /// # Errors
    /// The schema is full; what it holds is unchanged but for objects on the way.
    pub(crate) fn field(&self, path: &[&str]) -> Result<Field, SchemaFull> {
        let layout = self.newest.load();
        if let Some(node) = layout.find(path) {
            return Ok(Field::new(&layout, node));
        }
        let mut node = Node::ROOT;
        let layout = self.change(|schema| {
            for name in path {
                node = schema.add(node, name)?;
            }
            Ok(())
        })?;
        Ok(Field::new(&layout, node))
    }

    /// Changes the schema and returns the layout that it then has.
    #[cold]
    fn change(
        &self,
        change: impl FnOnce(&mut Schema) -> Result<(), SchemaFull>,
    ) -> Result<Arc<Layout>, SchemaFull> {
        let mut schema = self.schema.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut schema);
        // Under the lock, so that an older layout never follows a newer one.
        let layout = schema.layout().clone();
        if layout.generation() != self.newest.load().generation() {
            self.widened.store(layout.widened(), Ordering::Release);
            self.newest.store(layout.clone());
        }
        changed.map(|()| layout)
    }
}

/// A shared schema with the newest layout that its user has seen: what messages are compiled with.
#[derive(Debug)]
pub(crate) struct SchemaHandle {
    shared: Arc<Shared>,
    layout: Arc<Layout>,
}

impl SchemaHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let layout = shared.schema().layout();
        Self { shared, layout }
    }

    /// Has it see what others have added.
    pub(super) fn renew(&mut self) {
        self.layout = self.shared.schema().layout();
    }
}

impl SchemaSource for SchemaHandle {
    #[inline]
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn add(&mut self, parent: Node, name: &str) -> Result<Node, SchemaFull> {
        let mut node = parent;
        self.layout = self.shared.schema().change(|schema| {
            node = schema.add(parent, name)?;
            Ok(())
        })?;
        Ok(node)
    }

    fn widen(&mut self, node: Node, cells: u16) -> Result<(), SchemaFull> {
        self.layout = self
            .shared
            .schema()
            .change(|schema| schema.widen(node, cells))?;
        Ok(())
    }
}
