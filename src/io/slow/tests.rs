use super::*;
use crate::Time;
use crate::feed::presets::Events;
use crate::feed::{Config, Protocol, Update};
use crate::io::command::{KeepId, LandItem, Landed, Order};
use crate::io::local::LocalFeed;
use crate::json;
use crate::store::{Link, Scratch, Slot, State};

struct World {
    store: Arc<Store>,
    hub: Arc<Hub>,
    slow: Arc<Slow>,
}

struct Feed {
    local: LocalFeed<Events, Ingest>,
    counters: Arc<Counters>,
    now: Time,
}

impl World {
    /// Room for two forwarded updates; `e` is the slow writer's, with 0 at 1.
    fn new() -> Self {
        let store = Store::new(crate::store::StoreConfig::default());
        let (hub, _) = Hub::new();
        let slow = Slow::with_room(Arc::clone(&store), &hub, Clock::real(), 2);
        let world = Self {
            store,
            hub,
            slow: Arc::new(slow),
        };
        assert_eq!(world.set("e", "0"), Ok(()));
        world
    }

    fn set(&self, entity: &str, value: &str) -> Result<(), CommandError> {
        let command = Command::Set {
            entity: entity.into(),
            id: 1.into(),
            update: Update::whole(),
            value: value.as_bytes().to_vec(),
        };
        let done = self.slow.carry_out(command).expect("no feed owns it");
        done.result().expect("carried out")
    }

    /// An open feed of whole values.
    fn feed(&self, name: &str, entities: &[&str]) -> Feed {
        self.attach(Events::new().whole().named(name), entities)
    }

    fn attach(&self, mut events: Events, entities: &[&str]) -> Feed {
        if !entities.is_empty() {
            events = events.entities(entities.iter().copied());
        }
        let counters = Arc::new(Counters::default());
        let config = IngestConfig {
            feed: events.name().into(),
            source: 1 + events.name().len() as u64,
            claims: events.claims(),
            on_connect: OnConnect::Invalidate,
            limits: self.store.config().limits,
            silence: Vec::new(),
            max_items: 100,
        };
        let entities = config.claims.entities.clone();
        let claim = || {
            let (store, hub) = (Arc::clone(&self.store), Arc::clone(&self.hub));
            let turns = Arc::new(TurnCounter::new());
            Ingest::new(config.clone(), store, hub, Arc::clone(&counters), turns)
        };
        let target = self.slow.hand_over(&entities, claim).expect("claimed");
        let target = target.forwarding_to(Arc::clone(&self.slow));
        let (mut local, _inbox) =
            LocalFeed::new(&Config::default(), events, Arc::clone(&counters), target, 4);
        let now = Clock::real().now();
        local.opened(now);
        Feed {
            local,
            counters,
            now,
        }
    }

    /// Lands a whole value for a fetch of 1, if the slow writer owns it.
    fn land(&self, fetch: KeepId, value: &str) -> Landed {
        let report = Arc::default();
        let limits = self.store.config().limits;
        let mut courier = self.store.entity("e").expect("room").courier();
        let mut decoder = json::Decoder::new(limits.max_depth);
        let message = decoder.decode(value.as_bytes()).expect("JSON");
        let item = LandItem::compiled(1.into(), message.root(), true, None, &mut courier, &limits)
            .expect("a value that may land");
        let command = Command::Land {
            entity: "e".into(),
            fetch,
            items: vec![item],
            last: true,
            order: Order::Underneath,
            report: Arc::clone(&report),
        };
        let done = self.slow.carry_out(command).expect("no feed owns it");
        assert_eq!(done.result(), Some(Ok(())));
        report.get().expect("reported").landed[0]
    }

    fn keep(&self, fetch: KeepId) {
        let command = Command::Keep {
            entity: "e".into(),
            id: Some(1.into()),
            fetch,
            begun: Arc::default(),
        };
        let done = self.slow.carry_out(command).expect("no feed owns it");
        assert_eq!(done.result(), Some(Ok(())));
    }

    fn slot(&self, id: i64) -> Arc<Slot> {
        let entity = self.store.entity("e").expect("room");
        entity.slot(crate::key::IdRef::from(id)).expect("room")
    }
}

impl Feed {
    fn tell(&mut self, id: i64, value: i64) {
        let text = format!(r#"{{"entity":"e","id":{id},"payload":{value}}}"#);
        let taken = self.local.deliver(self.now, &mut text.into_bytes());
        assert_eq!(taken, Ok(()));
        assert!(self.counters.snapshot().balanced(), "{:?}", self.counters);
    }
}

fn value(slot: &Slot) -> String {
    let mut text = Vec::new();
    slot.read_all(&mut Scratch::default(), |_, record| {
        json::write_record(record, &mut text);
    });
    String::from_utf8(text).expect("text")
}

fn is_live(slot: &Slot) -> bool {
    let (head, link) = (slot.head(), Link::from_word(slot.link()));
    head.state == State::Present
        && head.flags == 0
        && Link::from_word(head.link).generation == link.generation
        && link.bits == 0
        && head.invalidation >= slot.invalidation()
}

#[test]
fn what_finds_the_queue_full_is_refused_and_leaves_nothing_live() {
    let world = World::new();
    let mut feed = world.feed("all", &[]);
    let (one, two) = (world.slot(1), world.slot(2));
    world.slow.work.with(|_| {
        feed.tell(1, 1);
        feed.tell(1, 2);
        feed.tell(1, 3);
        assert_eq!(value(&one), "0", "nobody has come to it");
    });
    assert_eq!(value(&one), "2");
    assert!(!is_live(&one), "it is not the newest");
    feed.tell(2, 1);
    assert!(is_live(&two), "that was one id's");
    feed.tell(1, 4);
    assert!(is_live(&one));
    let counters = feed.counters.snapshot();
    assert_eq!(
        (
            counters.patches,
            counters.forwarded,
            counters.patches_refused
        ),
        (5, 4, 1)
    );
    let slow = world.slow.counters.snapshot();
    assert_eq!((slow.patches, slow.applied, slow.queue_refused), (5, 5, 1));
    assert!(slow.balanced());
    // An id without a slot, which what waits may be about to make.
    world.slow.work.with(|_| {
        feed.tell(7, 1);
        feed.tell(7, 2);
        feed.tell(7, 3);
    });
    assert_eq!(value(&world.slot(7)), "2");
    assert!(!is_live(&world.slot(7)));
}

#[test]
fn a_value_is_worth_no_more_than_when_it_was_received() {
    let world = World::new();
    let mut feed = world.feed("all", &[]);
    let one = world.slot(1);
    let entity = world.store.entity("e").expect("room");
    let everything = || world.store.invalidate_all();
    let invalidations: [&dyn Fn(); 3] =
        [&|| one.invalidate(), &|| entity.invalidate(), &everything];
    for (n, invalidate) in (1..).zip(invalidations) {
        world.slow.work.with(|_| {
            feed.tell(1, n);
            invalidate();
        });
        assert_eq!(value(&one), n.to_string());
        assert!(!is_live(&one), "invalidated since");
        invalidate();
        world.slow.work.with(|_| feed.tell(1, n));
        assert!(is_live(&one), "invalidated before");
    }
    world.slow.work.with(|_| {
        feed.tell(1, 8);
        feed.local.opened(feed.now);
    });
    assert_eq!(value(&one), "8");
    assert!(!is_live(&one), "of the connection before");
    feed.tell(1, 8);
    assert!(is_live(&one));
}

#[test]
fn a_feed_vouches_in_the_place_of_one_that_has_stopped() {
    let world = World::new();
    let mut first = world.feed("first", &[]);
    let mut second = world.feed("second", &[]);
    let one = world.slot(1);
    first.tell(1, 1);
    assert!(is_live(&one));
    drop(first);
    assert!(!is_live(&one), "nobody keeps it up");
    second.tell(1, 2);
    assert!(is_live(&one));
}

#[test]
fn what_waits_while_a_feed_takes_the_entity_over_comes_first_or_not_at_all() {
    let world = World::new();
    let mut all = world.feed("all", &[]);
    world.slow.work.with(|_| all.tell(1, 1));
    let mut owner = world.feed("owner", &["e"]);
    let one = world.slot(1);
    assert_eq!(value(&one), "1");
    owner.tell(1, 2);
    all.tell(1, 3);
    assert_eq!(value(&one), "2", "its lane leads nowhere");
    let slow = world.slow.counters.snapshot();
    assert_eq!((slow.patches, slow.foreign), (3, 1));
    assert!(slow.balanced());
    all.local.opened(all.now);
    all.tell(1, 4);
    assert_eq!(all.counters.snapshot().foreign, 1, "learned by then");
    let refused = world.slow.carry_out(Command::Purge {
        entity: "e".into(),
        id: 1.into(),
        seen: None,
    });
    let back = refused.expect_err("a feed owns it");
    assert!(matches!(*back, Command::Purge { .. }), "{back:?}");
    drop(owner);
    assert_eq!(world.set("e", "5"), Ok(()));
    assert_eq!(value(&one), "5");
}

#[test]
fn who_has_the_lock_does_not_wait_for_it() {
    let world = World::new();
    let mut feed = world.feed("all", &[]);
    let one = world.slot(1);
    {
        let _holding = Holding::begin(&world.slow);
        assert_eq!(world.set("e", "1"), Err(CommandError::WouldDeadlock));
        feed.tell(1, 2);
    }
    assert_eq!(value(&one), "2");
    assert_eq!(world.set("e", "3"), Ok(()));
    assert_eq!(value(&one), "3");
}

#[test]
fn it_claims_with_what_it_writes_and_with_nothing_else() {
    let world = World::new();
    let owner = |name: &str| world.store.entity(name).expect("room").owner();
    assert_eq!(owner("e").as_deref(), Some(SLOW));
    assert!(world.set("f", "{").is_err());
    let abandon = Command::Abandon {
        entity: "f".into(),
        fetch: KeepId(1),
    };
    let done = world.slow.carry_out(abandon).expect("no feed owns it");
    assert_eq!(done.result(), Some(Ok(())));
    assert_eq!(owner("f"), None);
    let subscribe = Command::Subscribe(Vec::new());
    let done = world.slow.carry_out(subscribe).expect("answered");
    assert_eq!(done.result(), Some(Err(CommandError::OwnerGone)));
    let claim = || Err::<(), _>("no");
    assert_eq!(world.slow.hand_over(&["e".into()], claim), Err("no"));
    assert_eq!(owner("e").as_deref(), Some(SLOW), "taken back");
}

#[test]
fn a_fetch_lands_under_what_feeds_have_forwarded_since() {
    let world = World::new();
    let mut feed = world.attach(Events::new().named("all"), &[]);
    let one = world.slot(1);
    assert_eq!(world.set("e", r#"{"a":0,"b":0}"#), Ok(()));
    world.keep(KeepId(1));
    let patch = br#"{"entity":"e","id":1,"payload":{"a":2}}"#;
    world.slow.work.with(|_| {
        assert_eq!(feed.local.deliver(feed.now, &mut patch.to_vec()), Ok(()));
    });
    assert_eq!(world.land(KeepId(1), r#"{"a":1,"b":1}"#), Landed::Applied);
    assert_eq!(value(&one), r#"{"a":2,"b":1}"#);
    assert!(is_live(&one));
    world.keep(KeepId(2));
    world.slow.work.with(|_| {
        assert_eq!(feed.local.deliver(feed.now, &mut patch.to_vec()), Ok(()));
        one.invalidate();
    });
    assert_eq!(world.land(KeepId(2), r#"{"a":1,"b":2}"#), Landed::Applied);
    assert!(!is_live(&one), "invalidated while it was fetched");
}

#[test]
fn a_fetch_is_lost_with_the_entity() {
    let world = World::new();
    world.keep(KeepId(1));
    drop(world.feed("owner", &["e"]));
    let owner = || world.store.entity("e").expect("room").owner();
    assert_eq!(world.land(KeepId(1), "1"), Landed::Lost);
    assert_eq!(owner(), None, "nothing was written");
    world.keep(KeepId(2));
    assert_eq!(
        owner().as_deref(),
        Some(SLOW),
        "what comes now is kept here"
    );
    assert_eq!(world.land(KeepId(2), "2"), Landed::Applied);
    assert_eq!(value(&world.slot(1)), "2");
}
