//! Long messages on their way through a thread for blocking work.
//!
//! An [`Errand`] carries one message there with a [`Recorder`], the sink that resolves entities and
//! compiles patches as the feed's own would, and stages nothing. It comes back through a
//! [`Mailbox`], whatever happens: done, with a panic, or, where there is no thread to run it any
//! more, as it was, to be done by the feed itself.

use super::ingest::refusal;
use crate::feed::{EntityIx, Outcome, Policy, Refusal, Rule, Sink, Update};
use crate::json::{self, Value};
use crate::key::{Id, IdRef};
use crate::record::{Limits, Patch};
use crate::store::{Courier, Entity, Store};
use hashbrown::HashMap;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Work that takes long and waits for nothing.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// Has work done elsewhere, and the feed's thread look again when it is done. It may drop the work.
#[derive(Clone)]
pub(crate) struct Offload {
    run: Arc<dyn Fn(Work) + Send + Sync>,
    /// Does what waits, for who cannot go on without it. Where another thread does it, there is
    /// nothing to be said.
    hurry: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Offload {
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "for feeds with a thread")
    )]
    pub(crate) fn new(run: impl Fn(Work) + Send + Sync + 'static) -> Self {
        Self {
            run: Arc::new(run),
            hurry: None,
        }
    }

    /// Where the work waits until it is asked for, on the thread that asks.
    #[cfg(all(feature = "net", feature = "testing"))]
    pub(crate) fn by_hand(
        run: impl Fn(Work) + Send + Sync + 'static,
        hurry: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            run: Arc::new(run),
            hurry: Some(Arc::new(hurry)),
        }
    }

    /// Somebody is about to wait for the work.
    pub(in crate::io) fn hurry(&self) {
        if let Some(hurry) = &self.hurry {
            hurry();
        }
    }

    pub(in crate::io) fn run(&self, work: Work) {
        (self.run)(work);
    }
}

impl fmt::Debug for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Offload")
    }
}

/// What a message says about one id, or one entity.
#[derive(Debug)]
pub(in crate::io) struct Item {
    pub(in crate::io) entity: EntityIx,
    /// `None` stands for the whole entity.
    pub(in crate::io) id: Option<Id>,
    pub(in crate::io) what: Said,
}

/// What is to be done.
#[derive(Debug)]
pub(in crate::io) enum Said {
    Patch(Patch, Update),
    Remove(Update),
    Invalidate,
    Advance(u64),
}

impl Said {
    /// Whether the second ledger counts it.
    pub(in crate::io) const fn is_patch(&self) -> bool {
        matches!(self, Self::Patch(..) | Self::Remove(_))
    }
}

/// The sink of a message that is taken apart elsewhere. Entities have the numbers that they have in
/// the feed's own sink, which the protocol may know.
#[derive(Debug)]
pub(in crate::io) struct Recorder {
    store: Arc<Store>,
    names: HashMap<Arc<str>, EntityIx, foldhash::fast::RandomState>,
    entities: Vec<(Arc<Entity>, Option<Courier>)>,
    limits: Limits,
    max_items: usize,
    items: Vec<Item>,
}

/// What a message says.
#[derive(Debug)]
pub(in crate::io) struct Taken {
    pub(in crate::io) outcome: Outcome,
    /// Nothing, if it is refused.
    pub(in crate::io) items: Vec<Item>,
    /// The entities that its items name, by number.
    pub(in crate::io) entities: Vec<Arc<Entity>>,
}

impl Recorder {
    /// `entities` are those of the feed's own sink, in the order of their numbers.
    pub(in crate::io) fn new(
        store: Arc<Store>,
        entities: impl Iterator<Item = Arc<Entity>>,
        limits: Limits,
        max_items: usize,
    ) -> Self {
        let mut recorder = Self {
            store,
            names: HashMap::default(),
            entities: Vec::new(),
            limits,
            max_items,
            items: Vec::new(),
        };
        for entity in entities {
            // There are no more than the feed's own sink could number.
            let _ = recorder.number(entity);
        }
        recorder
    }

    fn number(&mut self, entity: Arc<Entity>) -> Result<EntityIx, Refusal> {
        let number = u32::try_from(self.entities.len()).map_err(|_| Refusal::EntitiesFull)?;
        let ix = EntityIx::new(number);
        self.names.insert(Arc::clone(entity.name()), ix);
        self.entities.push((entity, None));
        Ok(ix)
    }

    fn take_apart(mut self, message: impl FnOnce(&mut Self) -> Outcome) -> Taken {
        let outcome = message(&mut self);
        if outcome.class().is_err() {
            self.items.clear();
        }
        Taken {
            outcome,
            items: self.items,
            entities: self
                .entities
                .into_iter()
                .map(|(entity, _)| entity)
                .collect(),
        }
    }

    fn push(&mut self, entity: EntityIx, id: Option<IdRef<'_>>, what: Said) -> Result<(), Refusal> {
        if self.items.len() >= self.max_items {
            return Err(Refusal::TooMany);
        }
        let id = id.map(IdRef::to_owned);
        self.items.push(Item { entity, id, what });
        Ok(())
    }

    /// As the feed's own sink does: a number of the connection is told apart from the update.
    fn placed(&mut self, mut update: Update) -> Result<Update, Refusal> {
        if update.policy.rule == Rule::ContiguousPerConnection {
            if let Some(sequence) = update.sequence {
                self.advance(sequence.last)?;
            }
            update.policy = Policy::restarting(Rule::None);
        }
        Ok(update)
    }
}

impl Sink for Recorder {
    fn entity(&mut self, name: &str) -> Result<EntityIx, Refusal> {
        if let Some(ix) = self.names.get(name) {
            return Ok(*ix);
        }
        let entity = self.store.entity(name).map_err(|_| Refusal::EntitiesFull)?;
        self.number(entity)
    }

    fn patch(
        &mut self,
        entity: EntityIx,
        id: IdRef<'_>,
        update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let update = self.placed(update)?;
        let known = self.entities.get_mut(entity.index());
        let (known, courier) = known.ok_or(Refusal::Other)?;
        let courier = courier.get_or_insert_with(|| known.courier());
        let mut patch = Patch::new();
        json::compile(
            value,
            update.mode,
            &self.limits,
            courier.schema(),
            &mut patch,
        )
        .map_err(refusal)?;
        self.push(entity, Some(id), Said::Patch(patch, update))
    }

    fn remove(&mut self, entity: EntityIx, id: IdRef<'_>, update: Update) -> Result<(), Refusal> {
        let update = self.placed(update)?;
        self.push(entity, Some(id), Said::Remove(update))
    }

    fn invalidate(&mut self, entity: EntityIx, id: Option<IdRef<'_>>) -> Result<(), Refusal> {
        self.push(entity, id, Said::Invalidate)
    }

    fn advance(&mut self, number: u64) -> Result<(), Refusal> {
        let nothing = EntityIx::new(u32::MAX);
        self.push(nothing, None, Said::Advance(number))
    }
}

/// How an errand ended.
pub(in crate::io) enum Report {
    Done(Box<Taken>),
    /// Nobody has done it.
    Undone(Task),
    Panicked(Box<dyn Any + Send>),
}

/// Where a feed finds its errand again. There is one at a time.
#[derive(Default)]
pub(in crate::io) struct Mailbox {
    report: Mutex<Option<Report>>,
    filled: Condvar,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Option<Report>> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, report: Report) {
        *self.lock() = Some(report);
        self.filled.notify_one();
    }

    pub(in crate::io) fn take(&self) -> Option<Report> {
        self.lock().take()
    }

    pub(in crate::io) fn is_empty(&self) -> bool {
        self.lock().is_none()
    }

    /// Blocks until the errand is back. Every errand comes back.
    pub(in crate::io) fn wait(&self) {
        let report = self.lock();
        let waited = self.filled.wait_while(report, |report| report.is_none());
        drop(waited);
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("is_empty", &self.is_empty())
            .finish()
    }
}

/// A message, and the sink that it is to be taken apart into.
pub(in crate::io) struct Task {
    recorder: Recorder,
    message: Box<dyn FnOnce(&mut Recorder) -> Outcome + Send>,
}

impl Task {
    pub(in crate::io) fn new(
        recorder: Recorder,
        message: impl FnOnce(&mut Recorder) -> Outcome + Send + 'static,
    ) -> Self {
        let message = Box::new(message);
        Self { recorder, message }
    }

    /// Takes the message apart, here.
    ///
    /// # Panics
    /// If its protocol does.
    pub(in crate::io) fn run(self) -> Taken {
        self.recorder.take_apart(self.message)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

/// A task on its way. Dropped undone, it brings the task back.
pub(in crate::io) struct Errand {
    task: Option<Task>,
    mailbox: Arc<Mailbox>,
}

impl Errand {
    pub(in crate::io) fn new(task: Task, mailbox: &Arc<Mailbox>) -> Self {
        Self {
            task: Some(task),
            mailbox: Arc::clone(mailbox),
        }
    }

    pub(in crate::io) fn run(mut self) {
        let Some(task) = self.task.take() else {
            return;
        };
        // What a panic leaves half-done is dropped with it.
        self.mailbox
            .put(match catch_unwind(AssertUnwindSafe(|| task.run())) {
                Ok(taken) => Report::Done(Box::new(taken)),
                Err(panic) => Report::Panicked(panic),
            });
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.mailbox.put(Report::Undone(task));
        }
    }
}
