use super::*;
use crate::feed::presets::Events;
use crate::feed::{Class, Config, Covers, Outbox, Policy, Protocol, Sequence, Settings};
use crate::feed::{Missing, Rule};
use crate::io::command::Command;
use crate::io::inbox::Inbox;
use crate::io::local::LocalFeed;
use crate::json::Message;
use crate::store::{Runner, Scratch, Seen, Slot, State, StoreConfig, Watched, Woken, flags};
use std::time::Duration;

mod fetches;
mod overlays;
mod random;

/// A list of changes: `{"e":entity,"i":id,"k":kind,"v":value,"s":sequence,"r":rule}`.
struct Wire(Claims);

impl Protocol for Wire {
    fn name(&self) -> &str {
        "wire"
    }

    fn claims(&self) -> Claims {
        self.0.clone()
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        _: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        for change in message.root().elements() {
            let text = |name| change.get(name).and_then(|value| value.str());
            let entity = sink.entity(text("e").unwrap_or("e"))?;
            let id = change.get("i").and_then(|id| id.id().ok().flatten());
            let kind = text("k").unwrap_or("whole");
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

#[test]
fn a_message_is_published_whole_and_counted() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    world.deliver(
        &mut feed,
        r#"[{"i":1,"v":{"a":1,"b":"x"}},{"i":"1","v":[1.50,2]},{"k":"patch","i":9,"v":{}}]"#,
    );
    let (one, text) = (world.slot("e", 1), world.slot("e", "1"));
    assert_eq!(
        (value(&one), value(&text)),
        (r#"{"a":1,"b":"x"}"#.into(), "[1.50,2]".into())
    );
    assert!(is_live(&one) && is_live(&text));
    assert_eq!(one.head().turn, text.head().turn);
    assert_eq!(world.turns.last(), one.head().turn);
    assert_eq!(one.head().received_at, world.now);

    world.deliver(&mut feed, r#"[{"k":"patch","i":1,"v":{"a":2,"b":null}}]"#);
    assert_eq!(value(&one), r#"{"a":2}"#);
    let before = one.epoch();
    world.deliver(&mut feed, r#"[{"k":"patch","i":1,"v":{"a":2}}]"#);
    assert_eq!(one.epoch(), before);
    assert_eq!(
        one.head().received_at,
        world.now,
        "it was heard all the same"
    );

    world.deliver(&mut feed, r#"[{"k":"remove","i":1},{"k":"remove","i":77}]"#);
    assert_eq!(one.head().state, State::Removed);
    world.deliver(&mut feed, r#"[{"k":"patch","i":1,"v":{"a":3}}]"#);
    assert_eq!(
        one.head().state,
        State::Removed,
        "a patch revives nothing by itself"
    );
    world.deliver(&mut feed, r#"[{"k":"insert","i":1,"v":{"a":3}}]"#);
    assert_eq!(
        (value(&one), one.head().flags),
        (r#"{"a":3}"#.into(), flags::PARTIAL)
    );
    assert_eq!(patches(&feed), [5, 1, 3, 0, 0, 0, 9]);
}

#[test]
fn changes_of_one_message_see_each_other() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    world.deliver(
        &mut feed,
        r#"[{"i":1,"v":{"a":1}},{"k":"patch","i":1,"v":{"b":2}}]"#,
    );
    assert_eq!(value(&world.slot("e", 1)), r#"{"a":1,"b":2}"#);
    assert_eq!(patches(&feed), [2, 0, 0, 0, 0, 0, 2]);
}

#[test]
fn a_refused_message_leaves_no_trace() {
    let mut world = World::new();
    let mut feed = world.attach("all", wildcard(), OnConnect::Invalidate);
    feed.local.opened(world.tick());
    world.deliver(&mut feed, r#"[{"e":"old","i":1,"v":{"a":1}}]"#);
    let bad = [
        r#"[{"e":"old","i":1,"v":{"a":2}},{"e":"new","i":1,"v":1},{"e":"new","v":1}]"#,
        r#"[{"e":"old","k":"invalidate"},{"e":"old","i":1}]"#,
    ];
    let turn = world.turns.last();
    for text in bad {
        let now = world.tick();
        feed.local
            .deliver(now, &mut text.as_bytes().to_vec())
            .expect_err("refused");
    }
    let many = format!("[{}]", vec![r#"{"e":"new","i":1,"v":1}"#; 101].join(","));
    let now = world.tick();
    let error = feed.local.deliver(now, &mut many.into_bytes());
    assert_eq!(error, Err(Refusal::TooMany));
    let old = world.slot("old", 1);
    assert_eq!(value(&old), r#"{"a":1}"#);
    assert!(is_live(&old));
    assert_eq!(world.turns.last(), turn);
    let new = world.store.entity("new").expect("room");
    assert_eq!(new.owner(), None, "the claim was returned");
    assert_eq!(patches(&feed), [1, 0, 0, 0, 0, 0, 1]);
    assert!(feed.counters.snapshot().balanced());
    let link = Link::from_word(new.link().load());
    assert_eq!(link.bits, 0, "it is covered by an open feed");
    world.deliver(&mut feed, r#"[{"e":"new","i":1,"v":1}]"#);
    assert_eq!(new.owner().as_deref(), Some("all"));
}

#[test]
fn another_feeds_entity_is_foreign_and_may_be_invalidated() {
    let mut world = World::new();
    let mut owner = world.open(OnConnect::Invalidate);
    let mut other = world.attach("other", wildcard(), OnConnect::Invalidate);
    other.local.opened(world.tick());
    world.deliver(&mut owner, r#"[{"i":1,"v":1},{"i":2,"v":2}]"#);
    let (one, two) = (world.slot("e", 1), world.slot("e", 2));
    world.deliver(&mut other, r#"[{"i":1,"v":7},{"k":"remove","i":1}]"#);
    assert_eq!(value(&one), "1");
    assert_eq!(patches(&other), [0, 0, 0, 0, 0, 2, 2]);
    world.deliver(
        &mut other,
        r#"[{"k":"invalidate","i":1},{"k":"invalidate","i":"nobody"}]"#,
    );
    assert!(!is_live(&one) && is_live(&two));
    world.deliver(&mut other, r#"[{"k":"invalidate"}]"#);
    assert!(!is_live(&two));
    world.deliver(&mut owner, r#"[{"k":"patch","i":1,"v":3},{"i":2,"v":2}]"#);
    assert!(!is_live(&one), "a patch heals nothing");
    assert!(is_live(&two), "a whole value does, even an equal one");
    let taken = world.ingest(
        "third",
        owning(&["free", "e"]),
        OnConnect::Trust,
        &owner.counters,
    );
    let error = taken.expect_err("taken");
    assert_eq!(
        error,
        ClaimError::Taken {
            entity: "e".into(),
            by: "feed".into()
        }
    );
    assert_eq!(
        world.store.entity("free").expect("room").owner(),
        None,
        "nothing is claimed"
    );
    other.local.lost(world.tick());
    assert!(is_live(&two), "another's entity is not covered");
    // Undeclared, and no wildcard.
    world.deliver(&mut owner, r#"[{"e":"nobody","i":1,"v":1}]"#);
    assert_eq!(owner.counters.snapshot().foreign, 1);
}

#[test]
fn a_whole_value_after_an_invalidation_is_live_within_one_message() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":1},{"i":2,"v":2}]"#);
    world.deliver(
        &mut feed,
        r#"[{"k":"invalidate"},{"i":1,"v":1},{"k":"invalidate","i":2}]"#,
    );
    assert!(is_live(&world.slot("e", 1)));
    assert!(!is_live(&world.slot("e", 2)));
}

#[test]
fn a_reconnect_is_healed_by_whole_values_only() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"a":1}},{"i":2,"v":{"a":1}}]"#);
    let (one, two) = (world.slot("e", 1), world.slot("e", 2));
    feed.local.lost(world.tick());
    assert_eq!(bits(&one), Link::DOWN);
    feed.local.opened(world.tick());
    assert_eq!(bits(&one), 0);
    assert!(!is_live(&one), "a reconnect alone confirms nothing");
    world.deliver(
        &mut feed,
        r#"[{"i":1,"v":{"a":1}},{"k":"patch","i":2,"v":{"a":2}}]"#,
    );
    assert!(is_live(&one));
    assert!(!is_live(&two));
    let now = feed.counters.snapshot();
    assert_eq!(
        (now.opens, now.reconnects, now.losses, now.unrecoverable),
        (2, 1, 1, 0)
    );
}

#[test]
fn a_trusted_source_heals_by_patches() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Trust);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"a":1}}]"#);
    let one = world.slot("e", 1);
    feed.local.lost(world.tick());
    feed.local.opened(world.tick());
    assert!(!is_live(&one));
    world.deliver(&mut feed, r#"[{"k":"patch","i":1,"v":{"a":1}}]"#);
    assert!(is_live(&one), "even by one that changes nothing");
    feed.local.gap(world.tick());
    world.deliver(&mut feed, r#"[{"k":"patch","i":1,"v":{"a":2}}]"#);
    assert!(!is_live(&one), "not after a gap");
    world.deliver(&mut feed, r#"[{"i":1,"v":{"a":2}}]"#);
    assert!(is_live(&one));
}

#[test]
fn values_that_nothing_can_heal_are_reported() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"k":"insert","i":1,"v":{"a":1}}]"#);
    feed.local.opened(world.tick());
    world.deliver(&mut feed, r#"[{"k":"patch","i":1,"v":{"a":2}}]"#);
    assert_eq!(feed.counters.snapshot().unrecoverable, 1);
    world.deliver(&mut feed, r#"[{"k":"insert","i":2,"v":{"a":2}}]"#);
    assert_eq!(
        feed.counters.snapshot().unrecoverable,
        1,
        "a new value is not stale"
    );
}

#[test]
fn sequences_decide_what_is_newer() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    let one = world.slot("e", 1);
    for (at, v) in [(10, "a"), (9, "b"), (10, "c"), (12, "d")] {
        world.deliver(&mut feed, &format!(r#"[{{"i":1,"s":{at},"v":"{v}"}}]"#));
    }
    assert_eq!(value(&one), r#""d""#);
    assert_eq!(patches(&feed), [2, 0, 0, 1, 1, 0, 4]);
    feed.local.opened(world.tick());
    world.deliver(&mut feed, r#"[{"i":1,"s":12,"v":"d"}]"#);
    assert!(
        is_live(&one),
        "confirmed by an equal number on the new connection"
    );
    world.deliver(&mut feed, r#"[{"i":1,"s":12,"v":"e"}]"#);
    assert_eq!(value(&one), r#""d""#, "now it is a duplicate");
}

#[test]
fn a_gap_of_a_key_marks_the_key() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    let (one, two) = (world.slot("e", 1), world.slot("e", 2));
    for change in [
        r#""i":1,"s":1,"v":{"a":1}"#,
        r#""i":2,"s":1,"v":{"a":1}"#,
        r#""i":1,"s":2,"k":"patch","v":{"a":2}"#,
        r#""i":2,"s":3,"k":"patch","v":{"a":3}"#,
    ] {
        world.deliver(&mut feed, &format!(r#"[{{"r":"key",{change}}}]"#));
    }
    assert!(is_live(&one));
    assert_eq!(
        (value(&two), two.head().flags),
        (r#"{"a":3}"#.into(), flags::GAP)
    );
    assert_eq!(feed.counters.snapshot().gaps, 1);
    world.deliver(
        &mut feed,
        r#"[{"r":"key","i":2,"s":4,"k":"patch","v":{"a":4}}]"#,
    );
    assert_eq!(two.head().flags, flags::GAP, "until a whole value comes");
    world.deliver(&mut feed, r#"[{"r":"key","i":2,"s":9,"v":{"a":9}}]"#);
    assert!(is_live(&two));
}

#[test]
fn a_gap_of_the_connection_marks_every_key() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    let (one, two) = (world.slot("e", 1), world.slot("e", 2));
    let deliver = |world: &mut World, feed: &mut Feed, change: &str| {
        world.deliver(feed, &format!(r#"[{{"r":"connection",{change}}}]"#));
    };
    deliver(&mut world, &mut feed, r#""i":1,"s":5,"v":{"a":1}"#);
    deliver(&mut world, &mut feed, r#""i":2,"s":6,"v":{"a":1}"#);
    assert!(is_live(&one) && is_live(&two));
    deliver(&mut world, &mut feed, r#""i":2,"s":8,"v":{"a":2}"#);
    assert!(!is_live(&one) && bits(&one) == Link::GAP);
    assert!(is_live(&two), "it came whole, after the gap");
    deliver(&mut world, &mut feed, r#""i":1,"s":9,"v":{"a":2}"#);
    assert!(is_live(&one));
    feed.local.opened(world.tick());
    deliver(&mut world, &mut feed, r#""i":1,"s":1,"v":{"a":3}"#);
    assert_eq!(
        feed.counters.snapshot().gaps,
        1,
        "each connection counts anew"
    );
    assert!(is_live(&one));
}

#[test]
fn silence_is_told_and_ends_with_data() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":1}]"#);
    let one = world.slot("e", 1);
    let due = feed.local.deadline().expect("a deadline");
    assert_eq!(due, world.now.after(Duration::from_secs(5)));
    feed.local.settle(due);
    assert_eq!((bits(&one), feed.local.deadline()), (Link::SILENT, None));
    world.now = due;
    world.deliver(&mut feed, r#"[{"i":2,"v":1}]"#);
    assert!(
        is_live(&one),
        "silence ends for all, and the value is as good as before"
    );
    assert!(
        is_live(&world.slot("e", 2)),
        "what ended it is live as well"
    );
}

#[test]
fn what_a_feed_leaves_is_stopped_and_may_be_taken_over() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":1}]"#);
    let one = world.slot("e", 1);
    let waiting = feed
        .inbox
        .send(Command::Unsubscribe(Vec::new()))
        .expect("room");
    drop(feed);
    assert_eq!(waiting.result(), Some(Err(CommandError::OwnerGone)));
    assert_ne!(bits(&one) & Link::STOPPED, 0);
    assert_eq!(value(&one), "1", "it can still be read");
    let mut next = world.attach("next", owning(&["e"]), OnConnect::Invalidate);
    assert_eq!(bits(&one), Link::DOWN, "an owner again, not connected yet");
    next.local.opened(world.tick());
    assert!(!is_live(&one));
    let turn = world.turns.last();
    world.deliver(&mut next, r#"[{"i":1,"v":1}]"#);
    assert!(is_live(&one));
    assert!(one.head().turn > turn, "turns go on");
}

#[test]
fn a_wildcard_feed_covers_what_nobody_owns_and_carries_its_state_into_a_claim() {
    let mut world = World::new();
    let entity = world.store.entity("seen by readers first").expect("room");
    let mut feed = world.attach("all", wildcard(), OnConnect::Invalidate);
    let bits = || Link::from_word(entity.link().load()).bits;
    assert_eq!(bits(), Link::DOWN);
    feed.local.opened(world.tick());
    assert_eq!(bits(), 0);
    let silent = world.now.after(Duration::from_secs(9));
    feed.local.settle(silent);
    assert_eq!(bits(), Link::SILENT);
    world.now = silent;
    world.deliver(&mut feed, r#"[{"e":"seen by readers first","i":1,"v":1}]"#);
    assert_eq!(bits(), 0);
    assert!(is_live(&world.slot("seen by readers first", 1)));
    feed.local.lost(world.tick());
    assert_eq!(bits(), Link::DOWN);
    drop(feed);
    assert_ne!(bits() & Link::STOPPED, 0);
}

#[test]
fn commands_publish_as_messages_do() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    let set = |id: i64, value: &str| Command::Set {
        entity: "e".into(),
        id: id.into(),
        update: Update::whole(),
        value: value.as_bytes().to_vec(),
    };
    let good = feed.inbox.send(set(1, r#"{"a":1}"#)).expect("room");
    let bad = feed.inbox.send(set(2, "{")).expect("room");
    let foreign = feed.inbox.send(Command::Set {
        entity: "other".into(),
        id: 1.into(),
        update: Update::whole(),
        value: b"1".to_vec(),
    });
    assert_eq!(good.result(), None);
    feed.local.settle(world.tick());
    assert_eq!(good.result(), Some(Ok(())));
    assert_eq!(bad.result(), Some(Err(Refusal::Malformed.into())));
    assert_eq!(
        foreign.expect("room").result(),
        Some(Err(CommandError::Foreign))
    );
    let one = world.slot("e", 1);
    assert_eq!(value(&one), r#"{"a":1}"#);
    assert!(is_live(&one));
    let remove = Command::Remove {
        entity: "e".into(),
        id: 1.into(),
        update: Update::whole(),
    };
    let removed = feed.inbox.send(remove).expect("room");
    feed.local.settle(world.tick());
    assert_eq!(
        (removed.result(), one.head().state),
        (Some(Ok(())), State::Removed)
    );
    assert!(feed.counters.snapshot().balanced());
}

#[test]
fn whoever_waits_is_told_of_publications_and_of_losses() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":1}]"#);
    let one = world.slot("e", 1);
    let seen = |slot: &Slot| Seen {
        epoch: slot.epoch().number(),
        link: slot.link(),
        invalidation: slot.invalidation(),
    };
    let mut waiting = world
        .hub
        .register(vec![Arc::clone(&one) as Arc<dyn Watched>]);
    let mut told = |world: &mut World, before: Seen| {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = world.runner.turn(world.now);
        matches!(
            waiting.poll(&mut cx, &[before], Time::NEVER),
            std::task::Poll::Ready(Woken::Moved)
        )
    };
    let before = seen(&one);
    assert!(!told(&mut world, before));
    world.deliver(&mut feed, r#"[{"i":1,"v":2}]"#);
    assert!(told(&mut world, before));
    let before = seen(&one);
    feed.local.lost(world.tick());
    assert!(told(&mut world, before));
}

#[test]
fn the_seeds_events_flow_through() {
    let world = World::new();
    let counters = Arc::new(Counters::default());
    let events = Events::new().missing(Missing::Insert);
    let target = world.ingest("events", events.claims(), OnConnect::Trust, &counters);
    let target = target.expect("attached");
    let (mut local, _inbox) =
        LocalFeed::new(&Config::default(), events, Arc::clone(&counters), target, 4);
    local.opened(world.now);
    for text in [
        r#"{"entity":"jobs","id":7,"payload":{"status":"new","n":1}}"#,
        r#"{"entity":"jobs","id":7,"payload":{"status":"done"}}"#,
        r#"{"entity":"jobs","id":8}"#,
        r#"{"entity":"jobs","id":7,"payload":null}"#,
    ] {
        local
            .deliver(world.now, &mut text.as_bytes().to_vec())
            .expect("taken");
    }
    assert!(local.deliver(world.now, &mut b"{".to_vec()).is_err());
    let now = counters.snapshot();
    assert!(now.balanced());
    assert_eq!(
        (now.messages, now.data, now.invalidation, now.refused),
        (5, 3, 1, 1)
    );
    assert_eq!((now.patches, now.applied), (3, 3));
    assert_eq!(world.slot("jobs", 7).head().state, State::Removed);
}
