//! Runs a history against a cache, on a clock that only the history moves.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tickcache::feed::{Envelope, MessageKind, Policy, Rule};
use tickcache::key::IdRef;
use tickcache::testing::TestFeed;
use tickcache::{
    Cache, Entity, Feed, FetchError, Fetched, Filter, Freshness, Id, ListObserver, Missing,
    Observer, Optimistic, Reasons, Watch, key,
};

use crate::desk::{Call, Desk, Target};
use crate::history::{Op, Setup, Step, Told};
use crate::model::{Message, Numbering, Server, Shown, What, Witness, merge};

/// A history that has gone wrong: where, and how.
pub(crate) type Failure = String;

/// Who looks at a key.
pub(crate) enum Look {
    Query(Observer<Value>),
    #[allow(dead_code, reason = "it looks for as long as it is there")]
    Slot(Watch),
}

pub(crate) struct Run {
    pub(crate) setup: Setup,
    pub(crate) cache: Cache,
    pub(crate) feed: TestFeed<Envelope>,
    pub(crate) items: Entity,
    pub(crate) desk: Arc<Desk>,
    pub(crate) server: Server,
    pub(crate) witness: Witness,
    pub(crate) aside: Vec<Message>,
    pub(crate) looks: Vec<Vec<Look>>,
    pub(crate) list: Option<ListObserver<Value>>,
    pub(crate) overlays: Vec<(usize, Optimistic)>,
    /// Keys (the last is the list) that were observed at some time since the slow plane last ran.
    pub(crate) watched: Vec<bool>,
    /// Keys whose overlay may still be shown: its end is on its way to the owner.
    pub(crate) overlaid: Vec<bool>,
    pub(crate) begun: usize,
}

/// Runs a history to its end and heals it; what was wrong first, if anything was.
pub(crate) fn run(setup: Setup, steps: &[Step]) -> Result<(), Failure> {
    let mut run = Run::new(setup);
    for (n, step) in steps.iter().enumerate() {
        run.step(step)
            .map_err(|error| format!("step {n}, {:?}: {error}", step.op))?;
    }
    run.heal().map_err(|error| format!("at the end: {error}"))
}

impl Run {
    fn new(setup: Setup) -> Self {
        let envelope = Envelope::builder("venue")
            .entity("/e")
            .entities(["item"])
            .id("/i")
            .payload("/v")
            .kind("/k")
            .word("whole", MessageKind::Whole)
            .word("patch", MessageKind::Patch)
            .word("remove", MessageKind::Remove)
            .word("drop", MessageKind::Invalidate)
            .missing(if setup.inserts {
                Missing::Insert
            } else {
                Missing::Ignore
            });
        let envelope = match setup.numbering {
            None => envelope,
            Some(Numbering::PerKey) => {
                envelope.sequence("/q", Policy::continuing(Rule::ContiguousPerKey))
            }
            Some(Numbering::Global) => {
                envelope.sequence("/q", Policy::continuing(Rule::SparseRising))
            }
        };
        let feed = Feed::envelope(envelope.build().expect("the pointers are right"));
        let (cache, feed) = TestFeed::new(feed);
        let desk = Arc::new(Desk::default());
        let asked = Arc::clone(&desk);
        cache
            .defaults(key!["item"])
            .stale_never()
            .retry(setup.retries)
            .fetch(move |cx| {
                let call = cx.id().map(|id| asked.ask(Target::Key(key_of(&id))));
                async move { call?.await }
            });
        let asked = Arc::clone(&desk);
        cache
            .defaults(key!["item", "all"])
            .list("id")
            .fetch(move |_| asked.ask(Target::List));
        Self {
            setup,
            items: cache.entity("item"),
            cache,
            feed,
            desk,
            server: Server::new(setup.keys, setup.numbering.unwrap_or(Numbering::PerKey)),
            witness: Witness::new(setup.keys),
            aside: Vec::new(),
            looks: (0..setup.keys).map(|_| Vec::new()).collect(),
            list: None,
            overlays: Vec::new(),
            watched: vec![false; setup.keys + 1],
            overlaid: vec![false; setup.keys],
            begun: 0,
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Failure> {
        self.witness.step += 1;
        self.tick();
        self.apply(&step.op)?;
        self.check()?;
        if step.drive {
            self.drive()?;
        }
        Ok(())
    }

    /// Requests know in which step they began.
    pub(crate) fn tick(&self) {
        self.desk.step.store(self.witness.step, Ordering::Relaxed);
    }

    fn apply(&mut self, op: &Op) -> Result<(), Failure> {
        match op {
            Op::Change { key, patch, told } => self.change(*key, patch, *told),
            Op::Remove { key, told } => {
                if self.server.value(*key).is_some() {
                    let version = self.server.change(*key, None);
                    self.tell(*key, version, What::Remove, *told);
                }
            }
            Op::Repeat { key } => {
                if let Some(value) = self.server.value(*key).cloned() {
                    self.server.send(*key, What::Whole(value));
                }
            }
            Op::Deliver(n) => (0..*n).for_each(|_| self.deliver()),
            Op::DeliverAside(n) => {
                if !self.aside.is_empty() {
                    let n = n % self.aside.len();
                    // Nothing tells a whole value of before from an answer to the event.
                    if !self.is_overtaken(&self.aside[n]) {
                        let event = self.aside.swap_remove(n);
                        self.invalidate(event.key, event.version);
                    }
                }
            }
            Op::Disconnect => {
                self.server.wire = None;
                self.feed.disconnect();
            }
            Op::Reconnect => self.reconnect(),
            Op::Look(n) => drop(self.open(*n).map(|call| self.read(&call))),
            Op::Answer(n) => drop(self.open(*n).map(|call| self.answer(&call))),
            Op::Fail(n) => drop(
                self.open(*n)
                    .map(|call| call.answer(Err(FetchError::new("no")))),
            ),
            Op::Advance(millis) => self.feed.advance(Duration::from_millis(*millis)),
            Op::Observe(key) => self.observe(*key),
            Op::Watch(key) => {
                let slot = self.items.slot(id(*key));
                self.look(*key, Look::Slot(slot.watch()));
            }
            Op::Leave(key) => drop(self.looks[*key].pop()),
            Op::ObserveList => {
                let list = self.cache.query::<Value>(key!["item", "all"]);
                self.list = Some(list.observe_list());
                self.watched[self.setup.keys] = true;
            }
            Op::LeaveList => self.list = None,
            Op::Invalidate(key) => self.invalidate(*key, self.server.version(*key)),
            Op::InvalidateAll => {
                self.mark_all();
                drop(self.cache.invalidate(key!["item"]));
            }
            Op::Overlay { key, patch } => {
                let overlay = self.cache.optimistic(&key!["item", id(*key)], patch);
                self.overlays.push((*key, overlay.expect("there is room")));
                self.overlaid[*key] = true;
            }
            Op::Rollback(n) => {
                if !self.overlays.is_empty() {
                    let (_, overlay) = self.overlays.swap_remove(n % self.overlays.len());
                    drop(overlay.rollback().expect("there is room"));
                }
            }
            Op::Storm { key, events } => return self.storm(*key, *events),
        }
        Ok(())
    }

    fn change(&mut self, key: usize, patch: &Value, told: Told) {
        let old = self.server.value(key).cloned();
        let mut value = old.clone().unwrap_or_else(|| json!({ "id": id(key) }));
        merge(&mut value, patch);
        let version = self.server.change(key, Some(value.clone()));
        let what = match old {
            Some(_) => What::Patch(patch.clone()),
            None => What::Whole(value),
        };
        self.tell(key, version, what, told);
    }

    fn tell(&mut self, key: usize, version: u64, what: What, told: Told) {
        match told {
            Told::Stream => self.server.send(key, what),
            Told::Event => self.server.send(key, What::Event),
            Told::Aside => self.aside.push(Message {
                key,
                version,
                what: What::Event,
            }),
        }
    }

    /// The next message of the connection arrives.
    pub(crate) fn deliver(&mut self) {
        let Some(message) = self.server.wire.as_mut().and_then(|wire| wire.pop_front()) else {
            return;
        };
        let held = self.shown(message.key).version;
        self.witness.deliver(&message, held);
        let (kind, value) = match &message.what {
            What::Patch(value) => ("patch", value),
            What::Whole(value) => ("whole", value),
            What::Remove => ("remove", &Value::Null),
            What::Event => ("drop", &Value::Null),
        };
        let mut text = json!({ "k": kind, "e": "item", "i": id(message.key) });
        if matches!(message.what, What::Patch(_) | What::Whole(_)) {
            text["v"] = value.clone();
        }
        text["q"] = json!(message.version);
        self.say(text);
    }

    /// Whether a whole value that is older than an event is still on its way.
    fn is_overtaken(&self, event: &Message) -> bool {
        let mut wire = self.server.wire.iter().flatten();
        wire.any(|message| {
            let whole = !matches!(message.what, What::Patch(_) | What::Event);
            whole && message.key == event.key && message.version < event.version
        })
    }

    pub(crate) fn say(&mut self, mut message: Value) {
        let members = message.as_object_mut().expect("messages are objects");
        // An envelope with numbers wants one in every message, and makes none of an event's.
        members.entry("q").or_insert_with(|| json!(0));
        let said = self.feed.message(&message.to_string());
        said.unwrap_or_else(|refusal| panic!("{message} is refused: {refusal}"));
    }

    pub(crate) fn reconnect(&mut self) {
        self.server.wire = Some(std::collections::VecDeque::new());
        self.mark_all();
        self.feed.reconnect();
    }

    pub(crate) fn mark_all(&mut self) {
        for key in 0..self.setup.keys {
            self.witness.mark(key, self.server.version(key));
        }
    }

    pub(crate) fn invalidate(&mut self, key: usize, version: u64) {
        self.witness.mark(key, version);
        drop(self.cache.invalidate(key!["item", id(key)]));
    }

    fn observe(&mut self, key: usize) {
        let mut query = self.cache.query::<Value>(key!["item", id(key)]);
        if self.setup.polls {
            query = query.poll_every(Duration::from_secs(5));
        }
        self.look(key, Look::Query(query.observe()));
    }

    fn look(&mut self, key: usize, look: Look) {
        self.looks[key].push(look);
        self.watched[key] = true;
    }

    /// One of the requests that wait.
    fn open(&self, n: usize) -> Option<Arc<Call>> {
        let open = self.desk.open();
        (!open.is_empty()).then(|| Arc::clone(&open[n % open.len()]))
    }

    /// The server reads what it will answer.
    fn read(&self, call: &Call) {
        let mut read = call.read.lock().expect("nothing panics with it");
        read.get_or_insert_with(|| {
            let number = match call.target {
                Target::Key(key) => self.server.version(key),
                Target::List => self.server.version(0),
            };
            let values = (0..self.setup.keys).map(|key| self.server.value(key).cloned());
            (number, values.collect())
        });
    }

    pub(crate) fn answer(&mut self, call: &Call) {
        self.read(call);
        let read = call.read.lock().expect("nothing panics with it").take();
        let (number, values) = read.expect("it was just read");
        let answer = match call.target {
            Target::Key(key) => {
                self.witness.answer(key, call.begun, None);
                values[key]
                    .as_ref()
                    .map_or_else(Fetched::removed, Fetched::new)
            }
            Target::List => {
                for key in (0..self.setup.keys).filter(|key| values[*key].is_some()) {
                    self.witness.answer(key, call.begun, Some(number));
                }
                let rows: Vec<Value> = values.iter().flatten().map(columns).collect();
                Fetched::new(rows)
            }
        };
        call.answer(Ok(match self.setup.numbering {
            Some(_) => answer.as_of(number),
            None => answer,
        }));
    }

    /// Lets the slow plane and the owner run until nothing moves.
    pub(crate) fn drive(&mut self) -> Result<(), Failure> {
        // What begins now begins after all that has come.
        self.witness.step += 1;
        self.tick();
        self.settle();
        for call in &self.desk.begun()[self.begun..] {
            let watched = match call.target {
                Target::Key(key) => self.watched[key],
                Target::List => self.watched[self.setup.keys],
            };
            if !watched {
                return Err(format!(
                    "{:?} was fetched, and nobody observes it",
                    call.target
                ));
            }
        }
        self.begun = self.desk.begun().len();
        for key in 0..self.setup.keys {
            self.watched[key] = !self.looks[key].is_empty();
            self.overlaid[key] = self.overlays.iter().any(|(overlaid, _)| *overlaid == key);
        }
        self.watched[self.setup.keys] = self.list.is_some();
        self.check()
    }

    /// Whether anybody waits for an attempt that is yet to come.
    pub(crate) fn pending(&self) -> bool {
        self.cache.is_fetching(Filter::all()) > 0
    }

    fn settle(&mut self) {
        self.feed.settle();
    }

    pub(crate) fn shown(&self, key: usize) -> Shown {
        let Some(slot) = self.items.find(id(key)) else {
            return Shown::default();
        };
        let snapshot = slot.snapshot();
        let freshness = snapshot.freshness();
        let holes = [Reasons::GAP, Reasons::PARTIAL];
        let value = (!snapshot.record().is_absent()).then(|| snapshot.record().to_json());
        Shown {
            value: value.map(|text| serde_json::from_str(&text).expect("it is JSON")),
            version: snapshot
                .sequence()
                .filter(|_| self.setup.numbering.is_some()),
            live: freshness.is_live(),
            // What is not there any more has a number, but nothing that could be wrong.
            holes: freshness == Freshness::Removed
                || holes.iter().any(|hole| freshness.reasons().contains(*hole)),
        }
    }

    fn check(&mut self) -> Result<(), Failure> {
        for key in (0..self.setup.keys).filter(|key| !self.overlaid[*key]) {
            let shown = self.shown(key);
            if let Some(wrong) = self.witness.judge(&self.server, key, &shown) {
                return Err(format!("key {key}: {wrong}"));
            }
        }
        let open = self.desk.open();
        for (n, call) in open.iter().enumerate() {
            if open[..n].iter().any(|other| other.target == call.target) {
                return Err(format!("two requests at once for {:?}", call.target));
            }
        }
        if !self.feed.counters().balanced() {
            return Err(format!(
                "the books do not balance: {:?}",
                self.feed.counters()
            ));
        }
        Ok(())
    }
}

/// What the venue calls a key.
pub(crate) fn id(key: usize) -> i64 {
    key as i64 + 1
}

/// The key that the venue means.
fn key_of(id: &Id) -> usize {
    match id.as_ref() {
        IdRef::Int(number) => number as usize - 1,
        IdRef::Text(text) => panic!("no id is {text}"),
    }
}

/// What a list says of an item: not everything.
fn columns(value: &Value) -> Value {
    let named = ["id", "s", "o"].into_iter();
    let columns = named.filter_map(|name| Some((name.to_owned(), value.get(name)?.clone())));
    Value::Object(columns.collect::<Map<_, _>>())
}
