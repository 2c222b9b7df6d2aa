//! What makes values doubtful, and what heals them: invalidations, reconnects, gaps, silence.

use super::*;

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

/// What a gap has lost was sent: no connection sends it again.
#[test]
fn a_trusted_source_does_not_heal_a_gap_by_its_next_connection() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Trust);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"a":1}},{"i":2,"v":{"a":1}}]"#);
    let (one, two) = (world.slot("e", 1), world.slot("e", 2));
    feed.local.gap(world.tick());
    world.deliver(&mut feed, r#"[{"i":2,"v":{"a":2}}]"#);
    for _ in 0..2 {
        feed.local.lost(world.tick());
        feed.local.opened(world.tick());
        world.deliver(
            &mut feed,
            r#"[{"k":"patch","i":1,"v":{"a":3}},{"k":"patch","i":2,"v":{"a":3}}]"#,
        );
        assert!(!is_live(&one), "it has the hole");
        assert!(is_live(&two), "whole since the hole");
    }
    world.deliver(&mut feed, r#"[{"i":1,"v":{"a":4}}]"#);
    assert!(is_live(&one));
}

#[test]
fn an_owner_does_not_believe_what_had_a_gap_under_the_one_before() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Trust);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"a":1}}]"#);
    let one = world.slot("e", 1);
    feed.local.gap(world.tick());
    drop(feed);
    let mut feed = world.open(OnConnect::Trust);
    world.deliver(&mut feed, r#"[{"k":"patch","i":1,"v":{"a":3}}]"#);
    assert!(!is_live(&one));
    world.deliver(&mut feed, r#"[{"i":1,"v":{"a":4}}]"#);
    assert!(is_live(&one));
}

#[test]
fn a_value_with_a_gap_that_nothing_can_heal_is_reported_of_a_trusted_source_too() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Trust);
    world.deliver(&mut feed, r#"[{"k":"insert","i":1,"v":{"a":1}}]"#);
    feed.local.opened(world.tick());
    world.deliver(&mut feed, r#"[{"k":"patch","i":1,"v":{"a":2}}]"#);
    assert_eq!(feed.counters.snapshot().unrecoverable, 0);
    feed.local.gap(world.tick());
    feed.local.opened(world.tick());
    world.deliver(&mut feed, r#"[{"k":"patch","i":1,"v":{"a":3}}]"#);
    assert_eq!(feed.counters.snapshot().unrecoverable, 1);
    // What came after the gap is confirmed by patches as before.
    world.deliver(&mut feed, r#"[{"k":"insert","i":2,"v":{"a":1}}]"#);
    feed.local.opened(world.tick());
    world.deliver(&mut feed, r#"[{"k":"patch","i":2,"v":{"a":2}}]"#);
    assert_eq!(feed.counters.snapshot().unrecoverable, 1);
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
fn a_loss_while_silent_is_a_loss_and_no_silence() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":1}]"#);
    let one = world.slot("e", 1);
    world.now = feed.local.deadline().expect("a deadline");
    feed.local.settle(world.now);
    assert_eq!(bits(&one), Link::SILENT);
    feed.local.lost(world.tick());
    assert_eq!(bits(&one), Link::DOWN);
}
