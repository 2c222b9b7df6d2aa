//! Fetches that run beside a stream: the races of a cache with pushes, by their numbers.

use super::*;
use crate::io::command::{
    Begun, KeepId, LandItem, LandReport, Landed, Order, Origin, OverlayChange, OverlayId, Restored,
};
use std::sync::OnceLock;

mod landing;
mod numbers;

pub(super) fn obey(world: &mut World, feed: &mut Feed, command: Command) {
    let done = feed.inbox.send(command).expect("room");
    feed.local.settle(world.tick());
    assert_eq!(done.result(), Some(Ok(())));
}

pub(super) fn keep(world: &mut World, feed: &mut Feed, id: Option<i64>, fetch: KeepId) -> Begun {
    let begun = Arc::new(OnceLock::new());
    let command = Command::Keep {
        entity: "e".into(),
        id: id.map(Id::from),
        fetch,
        begun: Arc::clone(&begun),
    };
    obey(world, feed, command);
    *begun.get().expect("it has begun")
}

pub(super) fn land(
    world: &mut World,
    feed: &mut Feed,
    fetch: KeepId,
    items: Vec<Answered>,
) -> Vec<Landed> {
    land_as(world, feed, fetch, items, true, Order::Underneath)
}

fn land_as(
    world: &mut World,
    feed: &mut Feed,
    fetch: KeepId,
    items: Vec<Answered>,
    last: bool,
    order: Order,
) -> Vec<Landed> {
    let report = Arc::new(OnceLock::<LandReport>::new());
    let items = items.into_iter().map(|item| item.compiled(world));
    let command = Command::Land {
        entity: "e".into(),
        fetch,
        items: items.collect(),
        last,
        order,
        report: Arc::clone(&report),
    };
    obey(world, feed, command);
    report.get().expect("it has landed").landed.clone()
}

pub(super) fn abandon(world: &mut World, feed: &mut Feed, fetch: KeepId) {
    let entity = "e".into();
    obey(world, feed, Command::Abandon { entity, fetch });
}

pub(super) fn overlay(
    world: &mut World,
    feed: &mut Feed,
    id: i64,
    overlay: OverlayId,
    change: OverlayChange,
) {
    let command = Command::Overlay {
        entity: "e".into(),
        id: id.into(),
        overlay,
        change,
    };
    obey(world, feed, command);
}

/// One value of an answer.
pub(super) struct Answered {
    pub(super) id: Id,
    pub(super) value: Option<Vec<u8>>,
    pub(super) whole: bool,
    pub(super) as_of: Option<u64>,
}

impl Answered {
    pub(super) fn compiled(self, world: &World) -> LandItem {
        let Self {
            id,
            value,
            whole,
            as_of,
        } = self;
        let Some(value) = value else {
            return LandItem {
                id,
                patch: None,
                whole,
                as_of,
            };
        };
        let limits = world.store.config().limits;
        let mut decoder = json::Decoder::new(limits.max_depth);
        let message = decoder.decode(&value).expect("JSON");
        let mut courier = world.store.entity("e").expect("room").courier();
        LandItem::compiled(id, message.root(), whole, as_of, &mut courier, &limits)
            .expect("a value that may land")
    }
}

pub(super) fn item(id: i64, value: &str) -> Answered {
    Answered {
        id: id.into(),
        value: Some(value.as_bytes().to_vec()),
        whole: true,
        as_of: None,
    }
}

fn of(number: u64, item: Answered) -> Answered {
    Answered {
        as_of: Some(number),
        ..item
    }
}

fn part(item: Answered) -> Answered {
    Answered {
        whole: false,
        ..item
    }
}

fn gone(id: i64) -> Answered {
    Answered {
        value: None,
        ..item(id, "")
    }
}

const F: KeepId = KeepId(1);
const G: KeepId = KeepId(2);

/// A world, a feed that is open, and slot 1.
fn start(on_connect: OnConnect) -> (World, Feed, Arc<Slot>) {
    let mut world = World::new();
    let feed = world.open(on_connect);
    let slot = world.slot("e", 1);
    (world, feed, slot)
}

impl World {
    fn land_one(&mut self, feed: &mut Feed, item: Answered) -> Landed {
        let landed = land(self, feed, F, vec![item]);
        assert_eq!(landed.len(), 1);
        landed[0]
    }
}

#[test]
fn r1_r2_a_push_during_a_fetch_stays() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"p":1,"q":1}}]"#);
    keep(&mut world, &mut feed, Some(1), F);
    world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":2}}]"#);
    let landed = world.land_one(&mut feed, item(1, r#"{"p":1,"q":5}"#));
    assert_eq!(landed, Landed::Applied);
    assert_eq!(value(&slot), r#"{"p":2,"q":5}"#);
    assert!(is_live(&slot));
    // And nothing is kept any more.
    assert_eq!(world.land_one(&mut feed, item(1, "1")), Landed::Lost);
}

#[test]
fn r1_in_the_order_of_query_core_the_late_result_wins() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"p":1},"s":4}]"#);
    keep(&mut world, &mut feed, Some(1), F);
    world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":2},"s":5}]"#);
    let items = vec![item(1, r#"{"p":1}"#)];
    let landed = land_as(&mut world, &mut feed, F, items, true, Order::LastWriteWins);
    assert_eq!(landed, [Landed::Applied]);
    assert_eq!(value(&slot), r#"{"p":1}"#);
    world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":3},"s":6}]"#);
    assert_eq!(value(&slot), r#"{"p":3}"#);
}

#[test]
fn r3_with_numbers_nothing_older_is_shown() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"p":1},"s":10}]"#);
    let begun = keep(&mut world, &mut feed, Some(1), F);
    assert_eq!(begun.sequence, Some(10));
    let older = Landed::Older { as_of: 9, held: 10 };
    let items = vec![of(9, item(1, r#"{"p":0}"#))];
    let landed = land_as(&mut world, &mut feed, F, items, false, Order::Underneath);
    assert_eq!(landed, [older]);
    world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":2},"s":11}]"#);
    // Between the two: what came since goes over it.
    let landed = land_as(
        &mut world,
        &mut feed,
        F,
        vec![of(10, item(1, r#"{"p":1,"q":1}"#))],
        false,
        Order::Underneath,
    );
    assert_eq!(landed, [Landed::Applied]);
    assert_eq!(
        (value(&slot), slot.head().sequence),
        (r#"{"p":2,"q":1}"#.into(), Some(11))
    );
    // Newer than all of it: nothing goes over it, and what it has is older then.
    let landed = world.land_one(&mut feed, of(12, item(1, r#"{"p":3,"q":1}"#)));
    assert_eq!(landed, Landed::Applied);
    assert_eq!(
        (value(&slot), slot.head().sequence),
        (r#"{"p":3,"q":1}"#.into(), Some(12))
    );
    world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":2.5},"s":12}]"#);
    assert_eq!(value(&slot), r#"{"p":3,"q":1}"#);
}

#[test]
fn r4_d2_a_patch_without_a_value_is_held_for_the_first_fetch() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":1}}]"#);
    keep(&mut world, &mut feed, Some(1), F);
    world.deliver(
        &mut feed,
        r#"[{"i":1,"k":"patch","v":{"p":2}},{"i":1,"k":"patch","v":{"p":3}},{"i":2,"k":"patch","v":{}}]"#,
    );
    let now = feed.counters.snapshot();
    assert_eq!((now.missing, now.held, now.applied), (2, 2, 0));
    assert_eq!(slot.head().state, State::Empty);
    assert_eq!(
        world.land_one(&mut feed, item(1, r#"{"p":1,"q":1}"#)),
        Landed::Applied
    );
    assert_eq!(value(&slot), r#"{"p":3,"q":1}"#);
    assert!(is_live(&slot));

    // Of a list, too; and a fetch without a result takes them along.
    keep(&mut world, &mut feed, None, G);
    keep(&mut world, &mut feed, None, F);
    world.deliver(
        &mut feed,
        r#"[{"i":2,"k":"patch","v":{"p":7}},{"i":3,"k":"patch","v":{}}]"#,
    );
    abandon(&mut world, &mut feed, G);
    let landed = land(
        &mut world,
        &mut feed,
        F,
        vec![item(2, r#"{"p":1}"#), gone(3), gone(4)],
    );
    assert_eq!(
        landed,
        [Landed::Applied, Landed::Unchanged, Landed::Unchanged]
    );
    assert_eq!(value(&world.slot("e", 2)), r#"{"p":7}"#);
    keep(&mut world, &mut feed, Some(3), F);
    assert_eq!(
        world.land_one(&mut feed, item(3, r#"{"p":1}"#)),
        Landed::Applied
    );
    assert_eq!(value(&world.slot("e", 3)), r#"{"p":1}"#);
}

#[test]
fn r5_r6_r8_a_fetch_that_is_given_up_leaves_what_was_pushed() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"p":1}}]"#);
    keep(&mut world, &mut feed, Some(1), F);
    world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":2}}]"#);
    let head = slot.head();
    abandon(&mut world, &mut feed, F);
    assert_eq!((slot.head(), value(&slot)), (head, r#"{"p":2}"#.into()));
    assert_eq!(world.land_one(&mut feed, item(1, "1")), Landed::Lost);
    assert_eq!(value(&slot), r#"{"p":2}"#);
}

#[test]
fn r7_r9_d3_a_patch_clears_no_invalidation_and_a_fetch_begun_after_it_does() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"p":1,"q":1}}]"#);
    feed.local.lost(world.tick());
    feed.local.opened(world.tick());
    world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":2}}]"#);
    assert!(!is_live(&slot));
    keep(&mut world, &mut feed, Some(1), F);
    world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":3}}]"#);
    world.land_one(&mut feed, item(1, r#"{"p":2,"q":2}"#));
    assert_eq!(value(&slot), r#"{"p":3,"q":2}"#);
    assert!(is_live(&slot));
}

#[test]
fn d4_a_fetch_heals_what_was_invalidated_before_it_and_nothing_else() {
    for list in [false, true] {
        let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
        world.deliver(&mut feed, r#"[{"i":1,"v":1},{"i":2,"v":1}]"#);
        let id = (!list).then_some(1);
        world.deliver(
            &mut feed,
            r#"[{"i":1,"k":"invalidate"},{"k":"invalidate"}]"#,
        );
        keep(&mut world, &mut feed, id, F);
        world.land_one(&mut feed, item(1, "2"));
        assert!(is_live(&slot), "{list}");
        for during in [r#"[{"i":1,"k":"invalidate"}]"#, r#"[{"k":"invalidate"}]"#] {
            keep(&mut world, &mut feed, id, F);
            world.deliver(&mut feed, during);
            world.deliver(&mut feed, during);
            assert_eq!(world.land_one(&mut feed, item(1, "3")), Landed::Applied);
            assert_eq!(value(&slot), "3");
            assert!(!is_live(&slot), "{list}: {during}");
            keep(&mut world, &mut feed, id, F);
            world.land_one(&mut feed, item(1, "2"));
            assert!(is_live(&slot), "{list}: {during}");
        }
        // A value that came whole since is as good as it was, whoever began before.
        keep(&mut world, &mut feed, id, F);
        world.deliver(&mut feed, r#"[{"i":1,"k":"invalidate"}]"#);
        world.deliver(&mut feed, r#"[{"i":1,"v":9,"s":5}]"#);
        assert!(is_live(&slot));
        world.land_one(&mut feed, of(5, item(1, "10")));
        assert_eq!(value(&slot), "10");
        assert!(is_live(&slot));
    }
}
