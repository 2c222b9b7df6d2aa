//! Fetches that run beside a stream: the races of a cache with pushes, by their numbers.

use super::*;
use crate::io::command::{
    Begun, KeepId, LandItem, LandReport, Landed, Order, Origin, OverlayChange, OverlayId, Restored,
};
use std::sync::OnceLock;

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
    fn compiled(self, world: &World) -> LandItem {
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

#[test]
fn a_whole_value_or_a_removal_since_overtakes_a_result() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    let set = || Command::Set {
        entity: "e".into(),
        id: 1.into(),
        update: Update::whole(),
        value: b"5".to_vec(),
    };
    keep(&mut world, &mut feed, Some(1), F);
    obey(&mut world, &mut feed, set());
    assert_eq!(world.land_one(&mut feed, item(1, "6")), Landed::Overtaken);
    assert_eq!(value(&slot), "5");
    for (since, as_of, landed, shown) in [
        (
            r#"[{"i":1,"v":7,"s":20}]"#,
            Some(19),
            Landed::Overtaken,
            "7",
        ),
        (r#"[{"i":1,"v":7,"s":21}]"#, None, Landed::Overtaken, "7"),
        (r#"[{"i":1,"v":7,"s":22}]"#, Some(22), Landed::Applied, "6"),
        (
            r#"[{"i":1,"k":"remove","s":23}]"#,
            Some(22),
            Landed::Overtaken,
            "",
        ),
        (
            r#"[{"i":1,"k":"remove","s":24}]"#,
            Some(25),
            Landed::Applied,
            "6",
        ),
    ] {
        keep(&mut world, &mut feed, Some(1), F);
        world.deliver(&mut feed, since);
        let result = Answered {
            as_of,
            ..item(1, "6")
        };
        assert_eq!(world.land_one(&mut feed, result), landed, "{since}");
        assert_eq!(value(&slot), shown, "{since}");
        if slot.head().has_value() {
            assert!(is_live(&slot), "{since}");
        }
    }
    // A removal of what is not there yet counts as well.
    keep(&mut world, &mut feed, Some(2), F);
    world.deliver(&mut feed, r#"[{"i":2,"k":"remove"}]"#);
    assert_eq!(world.land_one(&mut feed, item(2, "6")), Landed::Overtaken);
    assert_eq!(world.slot("e", 2).head().state, State::Empty);
}

#[test]
fn a_removal_may_be_fetched() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"a":1}}]"#);
    keep(&mut world, &mut feed, Some(1), F);
    world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"a":2}}]"#);
    assert_eq!(world.land_one(&mut feed, gone(1)), Landed::Applied);
    assert_eq!(slot.head().state, State::Removed);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"a":1}}]"#);
    keep(&mut world, &mut feed, Some(1), F);
    world.deliver(&mut feed, r#"[{"i":1,"k":"insert","v":{"b":2}}]"#);
    assert_eq!(world.land_one(&mut feed, gone(1)), Landed::Applied);
    assert_eq!(value(&slot), r#"{"b":2}"#);
    assert_eq!(slot.head().flags, flags::PARTIAL);
}

#[test]
fn a_gap_since_the_start_stays_unless_the_answer_is_newer() {
    for (as_of, flagged) in [
        (None, true),
        (Some(11), true),
        (Some(12), false),
        (Some(20), false),
    ] {
        let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
        world.deliver(&mut feed, r#"[{"i":1,"v":{"p":1},"s":10,"r":"key"}]"#);
        keep(&mut world, &mut feed, Some(1), F);
        world.deliver(
            &mut feed,
            r#"[{"i":1,"k":"patch","v":{"p":13},"s":13,"r":"key"}]"#,
        );
        assert_eq!(slot.head().flags, flags::GAP);
        let result = Answered {
            as_of,
            ..item(1, r#"{"p":2,"q":1}"#)
        };
        assert_eq!(world.land_one(&mut feed, result), Landed::Applied);
        let expected = if flagged { flags::GAP } else { 0 };
        assert_eq!(slot.head().flags, expected, "{as_of:?}");
        let shown = if as_of == Some(20) { "2" } else { "13" };
        assert_eq!(value(&slot), format!(r#"{{"p":{shown},"q":1}}"#));
    }
    // Between the answer and the first patch that was held: as bad.
    for (as_of, flagged) in [(5, true), (7, false)] {
        let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
        keep(&mut world, &mut feed, Some(1), F);
        world.deliver(
            &mut feed,
            r#"[{"i":1,"k":"patch","v":{"p":8},"s":8,"r":"key"}]"#,
        );
        world.land_one(&mut feed, of(as_of, item(1, r#"{"p":2}"#)));
        assert_eq!(slot.head().flags == flags::GAP, flagged);
    }
}

#[test]
fn a_reconnect_during_a_fetch_leaves_its_result_in_doubt() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"p":1}}]"#);
    for id in [Some(1), None] {
        keep(&mut world, &mut feed, id, F);
        feed.local.lost(world.tick());
        feed.local.opened(world.tick());
        world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":2}}]"#);
        assert_eq!(
            world.land_one(&mut feed, item(1, r#"{"p":1,"q":1}"#)),
            Landed::Applied
        );
        assert_eq!(value(&slot), r#"{"p":2,"q":1}"#);
        assert!(!is_live(&slot));
        keep(&mut world, &mut feed, id, F);
        world.land_one(&mut feed, item(1, r#"{"p":2,"q":2}"#));
        assert!(is_live(&slot));
    }
}

#[test]
fn a_trusted_patch_since_renews_the_link_of_a_result() {
    let (mut world, mut feed, slot) = start(OnConnect::Trust);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"p":1}}]"#);
    for patched in [false, true] {
        keep(&mut world, &mut feed, Some(1), F);
        feed.local.lost(world.tick());
        feed.local.opened(world.tick());
        if patched {
            world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":2}}]"#);
        }
        world.land_one(&mut feed, item(1, r#"{"p":1,"q":1}"#));
        assert_eq!(is_live(&slot), patched);
    }
}

/// Numbers that begin anew with each connection say nothing about an answer from before.
#[test]
fn numbers_of_another_connection_are_not_compared() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    let patch = |p: u64, s: u64| {
        format!(r#"[{{"i":1,"k":"patch","v":{{"p":{p}}},"s":{s},"r":"restarting"}}]"#)
    };
    world.deliver(
        &mut feed,
        r#"[{"i":1,"v":{"p":1},"s":1000,"r":"restarting"}]"#,
    );
    keep(&mut world, &mut feed, Some(1), F);
    feed.local.lost(world.tick());
    feed.local.opened(world.tick());
    world.deliver(&mut feed, &patch(2, 3));
    assert_eq!(
        world.land_one(&mut feed, of(1001, item(1, r#"{"p":1,"q":1}"#))),
        Landed::Applied
    );
    assert_eq!(
        (value(&slot), slot.head().sequence),
        (r#"{"p":2,"q":1}"#.into(), Some(3))
    );
    // Nothing came over the new one: its first number counts.
    keep(&mut world, &mut feed, Some(1), F);
    feed.local.lost(world.tick());
    feed.local.opened(world.tick());
    assert_eq!(
        world.land_one(&mut feed, of(4, item(1, r#"{"p":4}"#))),
        Landed::Applied
    );
    world.deliver(&mut feed, &patch(5, 1));
    assert_eq!(value(&slot), r#"{"p":5}"#);
    // And the fetch of a value from the connection before may have a lower one.
    feed.local.lost(world.tick());
    feed.local.opened(world.tick());
    keep(&mut world, &mut feed, Some(1), F);
    assert_eq!(
        world.land_one(&mut feed, of(0, item(1, r#"{"p":6}"#))),
        Landed::Applied
    );
    world.deliver(&mut feed, &patch(7, 1));
    assert_eq!(value(&slot), r#"{"p":7}"#);
}

#[test]
fn a_part_of_a_value_sets_what_it_names_and_confirms_no_whole_value() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    keep(&mut world, &mut feed, None, F);
    world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"n":2}}]"#);
    world.land_one(&mut feed, part(item(1, r#"{"n":1,"m":{"x":null}}"#)));
    assert_eq!(value(&slot), r#"{"n":2,"m":{"x":null}}"#);
    assert_eq!(
        (slot.head().flags, slot.head().whole_at),
        (flags::PARTIAL, Time::ZERO)
    );
    // Whole, invalidated, and a part again: it stays invalidated, and loses nothing.
    world.deliver(
        &mut feed,
        r#"[{"i":1,"v":{"n":3,"m":1,"d":"detail"},"s":7}]"#,
    );
    world.deliver(&mut feed, r#"[{"i":1,"k":"invalidate"}]"#);
    let whole_at = slot.head().whole_at;
    keep(&mut world, &mut feed, None, F);
    world.land_one(&mut feed, of(9, part(item(1, r#"{"n":4,"m":null}"#))));
    assert_eq!(value(&slot), r#"{"n":4,"m":null,"d":"detail"}"#);
    let head = slot.head();
    assert_eq!(
        (head.flags, head.whole_at, head.sequence),
        (0, whole_at, Some(7))
    );
    assert!(!is_live(&slot));
    // It names all that is known, and there may be more by now.
    keep(&mut world, &mut feed, None, F);
    let all = part(item(1, r#"{"n":5,"m":6,"d":"d","e":1}"#));
    assert_eq!(world.land_one(&mut feed, all), Landed::Applied);
    assert!(!is_live(&slot));
    assert_eq!(slot.head().whole_at, whole_at);
    // A part of what was removed since does not bring it back.
    keep(&mut world, &mut feed, None, F);
    world.deliver(&mut feed, r#"[{"i":1,"k":"remove"}]"#);
    assert_eq!(
        world.land_one(&mut feed, part(item(1, r#"{"n":5}"#))),
        Landed::Overtaken
    );
}

#[test]
fn of_two_fetches_the_one_that_began_later_wins() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    keep(&mut world, &mut feed, None, F);
    keep(&mut world, &mut feed, Some(1), G);
    assert_eq!(
        land(&mut world, &mut feed, G, vec![item(1, "2")]),
        [Landed::Applied]
    );
    let landed = land(&mut world, &mut feed, F, vec![item(1, "1"), item(2, "1")]);
    assert_eq!(landed, [Landed::Overtaken, Landed::Applied]);
    assert_eq!(value(&slot), "2");
    // The other way about.
    keep(&mut world, &mut feed, Some(1), F);
    keep(&mut world, &mut feed, None, G);
    assert_eq!(world.land_one(&mut feed, item(1, "3")), Landed::Applied);
    assert_eq!(
        land(&mut world, &mut feed, G, vec![item(1, "4")]),
        [Landed::Applied]
    );
    assert_eq!(value(&slot), "4");
    // Numbers decide if there are any.
    keep(&mut world, &mut feed, Some(1), F);
    keep(&mut world, &mut feed, None, G);
    assert_eq!(
        world.land_one(&mut feed, of(8, item(1, "8"))),
        Landed::Applied
    );
    let older = Landed::Older { as_of: 7, held: 8 };
    assert_eq!(
        land(&mut world, &mut feed, G, vec![of(7, item(1, "7"))]),
        [older]
    );
    assert_eq!(value(&slot), "8");
}

#[test]
fn what_a_list_keeps_is_bounded() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    keep(&mut world, &mut feed, None, F);
    keep(&mut world, &mut feed, Some(1), G);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"p":1}}]"#);
    for id in 0..=attention::KEPT_IDS {
        let text = format!(r#"[{{"i":{id},"k":"patch","v":{{"p":{id}}}}}]"#);
        world.deliver(&mut feed, &text);
    }
    assert_eq!(world.land_one(&mut feed, item(5, "1")), Landed::Lost);
    // The other one was not asked to keep so much.
    assert_eq!(
        land(&mut world, &mut feed, G, vec![item(1, "1")]),
        [Landed::Overtaken]
    );
    assert_eq!(value(&slot), r#"{"p":1}"#);
}

#[test]
fn other_ids_and_other_owners_are_reported() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    keep(&mut world, &mut feed, Some(1), F);
    let landed = land(&mut world, &mut feed, F, vec![item(2, "1")]);
    assert_eq!(landed, [Landed::Lost]);
    assert_eq!(slot.head().state, State::Empty);
    let foreign = Command::Keep {
        entity: "other".into(),
        id: None,
        fetch: F,
        begun: Arc::default(),
    };
    let done = feed.inbox.send(foreign).expect("room");
    feed.local.settle(world.tick());
    assert_eq!(done.result(), Some(Err(CommandError::Foreign)));
}

#[test]
fn the_end_of_a_subscription_outlives_a_fetch_that_began_before() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":1}]"#);
    let counters = Arc::clone(&feed.counters);
    drop(feed);
    let mut ingest = world
        .ingest("other", owning(&["e"]), OnConnect::Invalidate, &counters)
        .expect("attached");
    ingest.begin(world.tick());
    ingest.opened();
    let begun = Arc::default();
    let keep = Command::Keep {
        entity: "e".into(),
        id: Some(1.into()),
        fetch: F,
        begun,
    };
    ingest.obey(keep).expect("kept");
    ingest.unsubscribed("e", &1.into());
    let result = Command::Land {
        entity: "e".into(),
        fetch: F,
        items: vec![item(1, "2").compiled(&world)],
        last: true,
        order: Order::Underneath,
        report: Arc::default(),
    };
    ingest.obey(result).expect("landed");
    ingest.finish();
    assert_eq!(
        (value(&slot), slot.head().flags),
        ("2".into(), flags::UNSUBSCRIBED)
    );
}

#[test]
fn a_stored_value_is_restored_unless_what_is_held_is_as_new() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    let at = world.now;
    let restore =
        |world: &mut World, feed: &mut Feed, text: &str, received_at, sequence, partial| {
            let report = Arc::new(OnceLock::new());
            let command = Command::Restore {
                entity: "e".into(),
                id: 1.into(),
                value: text.as_bytes().to_vec(),
                received_at,
                sequence,
                partial,
                origin: Origin::Earlier,
                report: Arc::clone(&report),
            };
            obey(world, feed, command);
            *report.get().expect("reported")
        };
    let before = |nanos| Time::from_nanos(at.as_nanos() - nanos);
    let (world, feed) = (&mut world, &mut feed);
    assert_eq!(
        restore(world, feed, "1", before(100), None, true),
        Restored::Applied
    );
    let head = slot.head();
    assert_eq!(head.flags, flags::RESTORED | flags::PARTIAL);
    assert_eq!((head.received_at, head.whole_at), (before(100), Time::ZERO));
    assert_eq!(
        restore(world, feed, "2", before(100), None, false),
        Restored::Older
    );
    assert_eq!(
        restore(world, feed, "3", before(90), Some(4), false),
        Restored::Applied
    );
    assert_eq!(
        (slot.head().flags, slot.head().whole_at),
        (flags::RESTORED, before(90))
    );
    assert_eq!(
        restore(world, feed, "4", before(10), Some(4), false),
        Restored::Older
    );
    assert_eq!(
        restore(world, feed, "4", before(95), Some(5), false),
        Restored::Applied
    );
    assert_eq!(value(&slot), "4");
    // It is in doubt until something whole comes.
    assert!(!is_live(&slot));
    keep(world, feed, Some(1), F);
    world.land_one(feed, of(5, item(1, "5")));
    assert!(is_live(&slot));
    world.deliver(feed, r#"[{"i":1,"k":"remove"}]"#);
    assert_eq!(
        restore(world, feed, "6", before(1), None, false),
        Restored::Older
    );
    assert_eq!(slot.head().state, State::Removed);
}

/// New doubts about a value have whoever looks after values look again; nothing else does.
#[test]
fn doubts_are_told_to_who_waits_for_scans() {
    let (mut world, mut feed, _) = start(OnConnect::Invalidate);
    let mut last = world.hub.scans().level();
    for (text, told) in [
        (r#"[{"i":1,"v":{"p":1},"s":1,"r":"key"}]"#, false),
        (
            r#"[{"i":1,"k":"patch","v":{"p":2},"s":2,"r":"key"}]"#,
            false,
        ),
        (r#"[{"i":1,"k":"patch","v":{"p":3},"s":5,"r":"key"}]"#, true),
        (
            r#"[{"i":1,"k":"patch","v":{"p":4},"s":9,"r":"key"}]"#,
            false,
        ),
        (r#"[{"i":2,"k":"insert","v":{"p":1}}]"#, true),
        (r#"[{"i":2,"k":"insert","v":{"p":2}}]"#, false),
        (r#"[{"i":2,"k":"invalidate"}]"#, true),
    ] {
        world.deliver(&mut feed, text);
        let level = world.hub.scans().level();
        assert_eq!(level > last, told, "{text}");
        last = level;
    }
}
