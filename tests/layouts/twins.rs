//! Two intakes for the same messages: one learns layouts, one parses every message.

use std::collections::BTreeMap;
use std::sync::Arc;

use tickcache::feed::{
    Class, Counters, EntityIx, Intake, Outbox, Protocol, Refusal, Sink, Transaction, Update,
};
use tickcache::json::{Value, compile, write_record};
use tickcache::key::{Id, IdRef};
use tickcache::record::{
    Cells, Document, Layout, Limits, Mode, Node, Operation, Patch, RecordRef, Schema, SchemaSource,
    Tree, apply, fits, migrate,
};

/// What a message did, in order.
#[derive(Clone, Debug, PartialEq)]
enum Effect {
    Patch {
        entity: String,
        id: Id,
        update: Update,
        operations: Vec<(Node, Operation)>,
        tree: Option<Tree>,
        /// The text of the payload.
        raw: Vec<u8>,
    },
    Remove(String, Id, Update),
    Invalidate(String, Option<Id>),
    Advance(u64),
}

/// A record with room for it.
struct Stored {
    layout: Arc<Layout>,
    cells: Vec<u64>,
    document: Option<Arc<Document>>,
}

/// Compiles patches, and applies them to records.
struct Store {
    limits: Limits,
    names: Vec<String>,
    schemas: Vec<Schema>,
    staged: Vec<(Effect, Option<Patch>)>,
    effects: Vec<Effect>,
    records: BTreeMap<(String, Id), Stored>,
    patch: Patch,
    patches: usize,
}

impl Store {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            names: Vec::new(),
            schemas: Vec::new(),
            staged: Vec::new(),
            effects: Vec::new(),
            records: BTreeMap::new(),
            patch: Patch::new(),
            patches: 0,
        }
    }

    fn name(&self, entity: EntityIx) -> String {
        self.names[entity.index()].clone()
    }

    fn apply(&mut self, key: (String, Id), patch: &Patch, mode: Mode) {
        let at = self
            .names
            .iter()
            .position(|name| *name == key.0)
            .expect("known");
        let newest = self.schemas[at].layout().clone();
        let stored = self.records.entry(key).or_insert_with(|| Stored {
            layout: newest.clone(),
            cells: Vec::new(),
            document: None,
        });
        // As a slot does: a record moves to the newest layout when it has to, and not before.
        if !fits(patch, &stored.layout) {
            let (old, mut cells) = (std::mem::take(&mut stored.cells), Vec::new());
            migrate(
                &stored.layout,
                &newest,
                |cell| old.get(cell),
                |cell, value| cells.put(cell, value),
            );
            (stored.cells, stored.layout) = (cells, newest);
        }
        assert!(fits(patch, &stored.layout));
        apply(
            patch,
            mode,
            &stored.layout,
            &mut stored.cells,
            &mut stored.document,
        );
    }

    fn record(&self, key: &(String, Id)) -> Option<String> {
        let stored = self.records.get(key)?;
        let mut cells = stored.cells.clone();
        cells.resize(2 * stored.layout.cells() as usize, 0);
        let record = RecordRef::new(&stored.layout, &cells, stored.document.as_deref());
        let mut text = Vec::new();
        write_record(record, &mut text);
        Some(String::from_utf8(text).expect("JSON is UTF-8"))
    }
}

impl Sink for Store {
    fn entity(&mut self, name: &str) -> Result<EntityIx, Refusal> {
        let known = self.names.iter().position(|known| known == name);
        let at = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.schemas.push(Schema::new(self.limits));
            self.names.len() - 1
        });
        Ok(EntityIx::new(u32::try_from(at).expect("few")))
    }

    fn patch(
        &mut self,
        entity: EntityIx,
        id: IdRef<'_>,
        update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let (schema, patch) = (&mut self.schemas[entity.index()], &mut self.patch);
        compile(value, update.mode, &self.limits, schema, patch).map_err(|_| Refusal::TooLarge)?;
        self.patches += 1;
        let effect = Effect::Patch {
            entity: self.name(entity),
            id: id.to_owned(),
            update,
            operations: self.patch.operations().collect(),
            tree: self.patch.tree().cloned(),
            raw: value.raw().to_vec(),
        };
        self.staged.push((effect, Some(self.patch.clone())));
        Ok(())
    }

    fn remove(&mut self, entity: EntityIx, id: IdRef<'_>, update: Update) -> Result<(), Refusal> {
        let effect = Effect::Remove(self.name(entity), id.to_owned(), update);
        self.staged.push((effect, None));
        Ok(())
    }

    fn invalidate(&mut self, entity: EntityIx, id: Option<IdRef<'_>>) -> Result<(), Refusal> {
        let effect = Effect::Invalidate(self.name(entity), id.map(IdRef::to_owned));
        self.staged.push((effect, None));
        Ok(())
    }

    fn advance(&mut self, number: u64) -> Result<(), Refusal> {
        self.staged.push((Effect::Advance(number), None));
        Ok(())
    }
}

impl Transaction for Store {
    fn commit(&mut self) {
        for (effect, patch) in std::mem::take(&mut self.staged) {
            if let (
                Effect::Patch {
                    entity, id, update, ..
                },
                Some(patch),
            ) = (&effect, &patch)
            {
                self.apply((entity.clone(), id.clone()), patch, update.mode);
            }
            self.effects.push(effect);
        }
    }

    fn rollback(&mut self) {
        self.staged.clear();
    }
}

/// What came of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) messages: u64,
    pub(crate) hits: u64,
    pub(crate) learned: u64,
    pub(crate) patches: usize,
    /// The part of the messages behind the first ones whose layout was known.
    pub(crate) rate: f64,
}

/// The two of them.
pub(crate) struct Twins<P> {
    name: String,
    learning: (Intake<P>, Store),
    parsing: (Intake<P>, Store),
    /// Hits after each message.
    hits: Vec<u64>,
}

impl<P: Protocol> Twins<P> {
    pub(crate) fn new(name: &str, protocol: impl Fn() -> P) -> Self {
        // Few names, so that some schemas fill up; short values, so that some are refused.
        let limits = Limits {
            max_fields: 192,
            max_value: 16 << 10,
            max_depth: 64,
        };
        let intake = || {
            let counters = Arc::new(Counters::default());
            Intake::new(
                protocol(),
                limits.max_depth,
                Outbox::new(1 << 10, 1 << 20),
                counters,
            )
        };
        Self {
            name: name.to_owned(),
            learning: (intake(), Store::new(limits)),
            parsing: (intake().parsing_only(), Store::new(limits)),
            hits: Vec::new(),
        }
    }

    /// Has both take a message, and compares what came of it.
    pub(crate) fn take(&mut self, message: &[u8]) {
        let shown = || {
            let text = String::from_utf8_lossy(message);
            format!(
                "{}, message {}: {text:.2000}",
                self.name,
                self.hits.len() + 1
            )
        };
        let (learning, parsing) = (&mut self.learning, &mut self.parsing);
        let class = learning.0.text(message, &mut learning.1).map(owned);
        let expected = parsing.0.text(message, &mut parsing.1).map(owned);
        assert_eq!(class, expected, "{}", shown());
        let (effects, known) = (&mut learning.1.effects, &mut parsing.1.effects);
        assert_eq!(effects, known, "{}", shown());
        known.clear();
        for effect in std::mem::take(effects) {
            if let Effect::Patch { entity, id, .. } = effect {
                let key = (entity, id);
                let (record, known) = (learning.1.record(&key), parsing.1.record(&key));
                assert_eq!(record, known, "{}", shown());
            }
        }
        for (ours, theirs) in learning.1.schemas.iter().zip(&parsing.1.schemas) {
            let (ours, theirs) = (ours.layout(), theirs.layout());
            assert_eq!(ours.generation(), theirs.generation(), "{}", shown());
        }
        loop {
            let reply = learning.0.outbox().pop();
            assert_eq!(reply, parsing.0.outbox().pop(), "{}", shown());
            if reply.is_none() {
                break;
            }
        }
        self.hits.push(learning.0.counters().snapshot().layout_hits);
    }

    /// What came of it, but for so many messages at the beginning.
    pub(crate) fn finish(self, first: usize) -> Counted {
        let counts = self.learning.0.counters().snapshot();
        let parsed = self.parsing.0.counters().snapshot();
        assert!(counts.balanced() && parsed.balanced());
        assert_eq!((parsed.layout_hits, parsed.layouts_learned), (0, 0));
        assert_eq!(counts.messages, self.hits.len() as u64);
        let before = self
            .hits
            .as_slice()
            .get(first)
            .copied()
            .unwrap_or(counts.layout_hits);
        let tried = self.hits.len().saturating_sub(first + 1);
        Counted {
            messages: counts.messages,
            hits: counts.layout_hits,
            learned: counts.layouts_learned,
            patches: self.learning.1.patches,
            rate: (counts.layout_hits - before) as f64 / tried.max(1) as f64,
        }
    }
}

/// The class, as one that outlives its message.
fn owned(class: Class<'_>) -> String {
    format!("{class:?}")
}
