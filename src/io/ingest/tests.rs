use super::*;
use crate::feed::presets::Events;
use crate::feed::{Class, Config, Control, Covers, Outbox, Policy, Protocol, Sequence, Settings};
use crate::feed::{Leg, Missing, Refusal, Rule, Subscription, Transaction, Update};
use crate::io::command::Command;
use crate::io::inbox::{CommandError, Inbox};
use crate::io::local::LocalFeed;
use crate::json::Message;
use crate::store::{Runner, Scratch, Seen, Slot, State, StoreConfig, Watched, Woken, flags};
use std::time::Duration;

mod bulk;
mod doubts;
mod fetches;
mod legs;
mod messages;
mod overlays;
mod ownership;
mod random;

/// A list of changes: `{"e":entity,"i":id,"k":kind,"v":value,"s":sequence,"r":rule}`.
#[derive(Clone)]
struct Wire(Claims);

impl Protocol for Wire {
    fn name(&self) -> &str {
        "wire"
    }

    fn claims(&self) -> Claims {
        self.0.clone()
    }

    fn value_of(&self, subscription: &Subscription) -> Option<(String, Id)> {
        let Subscription { channel, id } = subscription;
        Some((channel.to_string(), Id::from(&**id)))
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        _: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        if message.root().get("bye").is_some() {
            return Ok(Class::Control(Control::Closing));
        }
        for change in message.root().elements() {
            if let Some(number) = change.get("n").and_then(|n| n.u64()) {
                sink.advance(number)?;
                if change.get("i").is_none() {
                    continue;
                }
            }
            let text = |name| change.get(name).and_then(|value| value.str());
            let entity = sink.entity(text("e").unwrap_or("e"))?;
            let id = change.get("i").and_then(|id| id.id().ok().flatten());
            let kind = text("k").unwrap_or("whole");
            if kind == "panic" {
                std::panic::panic_any("as it was told");
            }
            let mut update = match kind {
                "insert" => Update {
                    missing: Missing::Insert,
                    ..Update::patch()
                },
                "patch" => Update::patch(),
                _ => Update::whole(),
            };
            if let Some(at) = change.get("s").and_then(|s| s.u64()) {
                let rule = match text("r") {
                    Some("key") => Rule::ContiguousPerKey,
                    Some("connection") => Rule::ContiguousPerConnection,
                    Some("time") => Rule::Timestamp,
                    Some("equal") => Rule::RisingEqualAllowed,
                    _ => Rule::SparseRising,
                };
                let policy = match text("r") {
                    Some("restarting") => Policy::restarting(rule),
                    _ => Policy::continuing(rule),
                };
                update = update.numbered(policy, Sequence::at(at));
            }
            match (kind, id) {
                ("invalidate", id) => sink.invalidate(entity, id)?,
                (_, None) => return Err(Refusal::NoId),
                ("remove", Some(id)) => sink.remove(entity, id, update)?,
                (_, Some(id)) => {
                    sink.patch(
                        entity,
                        id,
                        update,
                        change.get("v").ok_or(Refusal::NoPayload)?,
                    )?;
                }
            }
        }
        Ok(Class::Data)
    }
}

fn owning(entities: &[&str]) -> Claims {
    let entities = entities.iter().map(|name| (*name).into()).collect();
    Claims {
        entities,
        wildcard: false,
        covers: Covers::Nothing,
    }
}

fn wildcard() -> Claims {
    Claims {
        entities: Vec::new(),
        wildcard: true,
        covers: Covers::Unowned,
    }
}

/// A store with its hub, run by hand.
struct World {
    store: Arc<Store>,
    hub: Arc<Hub>,
    runner: Runner,
    turns: Arc<TurnCounter>,
    now: Time,
}

struct Feed {
    local: LocalFeed<Wire, Ingest>,
    inbox: Inbox<Command>,
    counters: Arc<Counters>,
}

impl World {
    fn new() -> Self {
        let (hub, runner) = Hub::new();
        Self {
            store: Store::new(StoreConfig::default()),
            hub,
            runner,
            turns: Arc::new(TurnCounter::new()),
            now: Time::from_nanos(1_000),
        }
    }

    fn ingest(
        &self,
        name: &str,
        claims: Claims,
        on_connect: OnConnect,
        counters: &Arc<Counters>,
    ) -> Result<Ingest, ClaimError> {
        let config = IngestConfig {
            feed: name.into(),
            source: 1 + name.len() as u64,
            claims,
            on_connect,
            limits: Limits::default(),
            silence: Vec::new(),
            max_items: 100,
        };
        let (store, hub) = (Arc::clone(&self.store), Arc::clone(&self.hub));
        Ingest::new(
            config,
            store,
            hub,
            Arc::clone(counters),
            Arc::clone(&self.turns),
        )
    }

    fn attach(&self, name: &str, claims: Claims, on_connect: OnConnect) -> Feed {
        let counters = Arc::new(Counters::default());
        let target = self
            .ingest(name, claims.clone(), on_connect, &counters)
            .expect("attached");
        let mut settings = Settings::default();
        settings.silent_after = Duration::from_secs(5);
        let config: Config = settings.check().expect("a configuration");
        let (local, inbox) =
            LocalFeed::new(&config, Wire(claims), Arc::clone(&counters), target, 4);
        Feed {
            local,
            inbox,
            counters,
        }
    }

    /// An open feed that owns `e`.
    fn open(&mut self, on_connect: OnConnect) -> Feed {
        let mut feed = self.attach("feed", owning(&["e"]), on_connect);
        feed.local.opened(self.tick());
        feed
    }

    fn tick(&mut self) -> Time {
        self.now = self.now.after(Duration::from_millis(1));
        self.now
    }

    fn slot(&self, entity: &str, id: impl Into<Id>) -> Arc<Slot> {
        let entity = self.store.entity(entity).expect("room");
        entity.slot(id.into().as_ref()).expect("room")
    }

    #[track_caller]
    fn deliver(&mut self, feed: &mut Feed, text: &str) {
        let now = self.tick();
        feed.local
            .deliver(now, &mut text.as_bytes().to_vec())
            .expect("taken");
        assert!(feed.counters.snapshot().balanced(), "{:?}", feed.counters);
    }
}

fn value(slot: &Slot) -> String {
    let mut text = Vec::new();
    slot.read_all(&mut Scratch::default(), |_, record| {
        json::write_record(record, &mut text);
    });
    String::from_utf8(text).expect("text")
}

/// Whether there is a value and nothing speaks against it.
fn is_live(slot: &Slot) -> bool {
    let (head, link) = (slot.head(), slot.link());
    head.state == State::Present
        && head.flags == 0
        && Link::from_word(head.link).generation == Link::from_word(link).generation
        && Link::from_word(link).bits & !Link::GAP == 0
        && head.invalidation >= slot.invalidation()
}

fn bits(slot: &Slot) -> u8 {
    Link::from_word(slot.link()).bits
}

fn patches(feed: &Feed) -> [u64; 7] {
    let now = feed.counters.snapshot();
    [
        now.applied,
        now.unchanged,
        now.missing,
        now.older,
        now.duplicate,
        now.foreign,
        now.patches,
    ]
}
