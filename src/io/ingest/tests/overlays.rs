//! Optimistic writes over a stream.

use super::fetches::Answered;
use super::fetches::{item, keep, land, obey, overlay};
use super::*;
use crate::io::command::{KeepId, Landed, OverlayChange, OverlayId};
use crate::record::Mode;

const O: OverlayId = OverlayId(1);
const P: OverlayId = OverlayId(2);
const F: KeepId = KeepId(1);

fn put(value: &str) -> OverlayChange {
    OverlayChange::Put {
        value: value.as_bytes().to_vec(),
        mode: Mode::Merge,
    }
}

struct Scene {
    world: World,
    feed: Feed,
    slot: Arc<Slot>,
}

impl Scene {
    fn new(text: &str) -> Self {
        let mut world = World::new();
        let mut feed = world.open(OnConnect::Invalidate);
        world.deliver(&mut feed, text);
        let slot = world.slot("e", 1);
        Self { world, feed, slot }
    }

    fn overlay(&mut self, id: OverlayId, change: OverlayChange) -> &mut Self {
        overlay(&mut self.world, &mut self.feed, 1, id, change);
        self
    }

    fn deliver(&mut self, text: &str) -> &mut Self {
        self.world.deliver(&mut self.feed, text);
        self
    }

    fn fetch(&mut self, item: Answered) -> Landed {
        land(&mut self.world, &mut self.feed, F, vec![item])[0]
    }

    #[track_caller]
    fn shows(&mut self, expected: &str) -> &mut Self {
        assert_eq!(value(&self.slot), expected);
        self
    }
}

#[test]
fn r12_d7_a_rollback_takes_nothing_that_was_pushed() {
    let mut scene = Scene::new(r#"[{"i":1,"v":{"a":1,"b":1}}]"#);
    scene
        .overlay(O, put(r#"{"a":9}"#))
        .shows(r#"{"a":9,"b":1}"#);
    scene
        .deliver(r#"[{"i":1,"k":"patch","v":{"a":2,"b":2}}]"#)
        .shows(r#"{"a":9,"b":2}"#);
    assert!(is_live(&scene.slot));
    scene
        .overlay(O, OverlayChange::Rollback)
        .shows(r#"{"a":2,"b":2}"#);
    assert!(is_live(&scene.slot));
    // And the entity is without attention again: patches are published as ever.
    scene
        .deliver(r#"[{"i":1,"k":"patch","v":{"a":3}}]"#)
        .shows(r#"{"a":3,"b":2}"#);
    scene
        .overlay(O, OverlayChange::Commit)
        .shows(r#"{"a":3,"b":2}"#);
}

#[test]
fn d7_a_commit_goes_under_what_came_since() {
    let mut scene = Scene::new(r#"[{"i":1,"v":{"a":1,"b":1,"c":1}}]"#);
    scene
        .overlay(O, put(r#"{"a":9,"b":9}"#))
        .deliver(r#"[{"i":1,"k":"patch","v":{"b":2}}]"#)
        .shows(r#"{"a":9,"b":9,"c":1}"#)
        .overlay(O, OverlayChange::Commit)
        .shows(r#"{"a":9,"b":2,"c":1}"#);
    // A whole value since wins.
    scene
        .overlay(O, put(r#"{"a":7}"#))
        .deliver(r#"[{"i":1,"v":{"a":3}}]"#)
        .shows(r#"{"a":7}"#)
        .overlay(O, OverlayChange::Commit)
        .shows(r#"{"a":3}"#);
    scene
        .overlay(O, put(r#"{"a":7}"#))
        .deliver(r#"[{"i":1,"k":"remove"}]"#)
        .overlay(O, OverlayChange::Commit);
    assert_eq!(scene.slot.head().state, State::Removed);
}

#[test]
fn writes_stack_in_the_order_in_which_they_were_put() {
    let mut scene = Scene::new(r#"[{"i":1,"v":{"a":1,"b":1}}]"#);
    scene
        .overlay(O, put(r#"{"a":2,"b":2}"#))
        .overlay(P, put(r#"{"a":3}"#))
        .shows(r#"{"a":3,"b":2}"#)
        .overlay(P, OverlayChange::Commit)
        .shows(r#"{"a":3,"b":2}"#)
        .overlay(O, OverlayChange::Rollback)
        .shows(r#"{"a":3,"b":1}"#);
    scene
        .overlay(O, put(r#"{"a":4}"#))
        .overlay(P, put(r#"{"a":5}"#))
        .overlay(O, OverlayChange::Rollback)
        .shows(r#"{"a":5,"b":1}"#)
        .overlay(P, OverlayChange::Rollback)
        .shows(r#"{"a":3,"b":1}"#);
}

#[test]
fn a_write_to_nothing_is_partial_and_goes_again() {
    let mut scene = Scene::new(r#"[{"i":2,"v":1}]"#);
    scene.overlay(O, put(r#"{"a":1}"#)).shows(r#"{"a":1}"#);
    assert_eq!(scene.slot.head().flags, flags::PARTIAL);
    // A patch finds no value, as it would have without the write.
    scene
        .deliver(r#"[{"i":1,"k":"patch","v":{"b":1}}]"#)
        .shows(r#"{"a":1}"#);
    assert_eq!(scene.feed.counters.snapshot().missing, 1);
    scene.overlay(O, OverlayChange::Rollback);
    assert_eq!(scene.slot.head().state, State::Removed);
    scene
        .overlay(O, put(r#"{"a":1}"#))
        .deliver(r#"[{"i":1,"k":"insert","v":{"b":1}}]"#)
        .overlay(O, OverlayChange::Commit)
        .shows(r#"{"a":1,"b":1}"#);
    assert_eq!(scene.slot.head().flags, flags::PARTIAL);
    scene
        .deliver(r#"[{"i":1,"k":"remove"}]"#)
        .overlay(O, put(r#"{"a":2}"#))
        .overlay(O, OverlayChange::Commit)
        .shows(r#"{"a":2}"#);
    assert_eq!(scene.slot.head().flags, flags::PARTIAL);
}

#[test]
fn a_fetch_lands_under_a_write_and_a_commit_under_a_fetch_that_began_before_it() {
    let mut scene = Scene::new(r#"[{"i":1,"v":{"a":1,"b":1}}]"#);
    keep(&mut scene.world, &mut scene.feed, Some(1), F);
    scene.overlay(O, put(r#"{"a":9}"#));
    scene.deliver(r#"[{"i":1,"k":"patch","v":{"b":2}}]"#);
    assert_eq!(
        scene.fetch(item(1, r#"{"a":5,"b":5,"c":5}"#)),
        Landed::Applied
    );
    scene.shows(r#"{"a":9,"b":2,"c":5}"#);
    assert!(is_live(&scene.slot));
    // It was asked before the write was made: it says nothing against it.
    scene
        .overlay(O, OverlayChange::Commit)
        .shows(r#"{"a":9,"b":2,"c":5}"#);
    // Asked before and answered after the commit.
    keep(&mut scene.world, &mut scene.feed, Some(1), F);
    scene
        .deliver(r#"[{"i":1,"k":"patch","v":{"a":10}}]"#)
        .overlay(O, put(r#"{"a":11,"b":11}"#))
        .deliver(r#"[{"i":1,"k":"patch","v":{"b":12}}]"#)
        .overlay(O, OverlayChange::Commit)
        .shows(r#"{"a":11,"b":12,"c":5}"#);
    scene.fetch(item(1, r#"{"a":5,"b":5,"c":6}"#));
    scene.shows(r#"{"a":11,"b":12,"c":6}"#);
    // Asked while the write was shown: it wins once the write is over.
    scene.overlay(O, put(r#"{"a":20}"#));
    keep(&mut scene.world, &mut scene.feed, Some(1), F);
    scene.fetch(item(1, r#"{"a":19}"#));
    scene
        .shows(r#"{"a":20}"#)
        .overlay(O, OverlayChange::Commit)
        .shows(r#"{"a":19}"#);
}

#[test]
fn the_stamps_shown_are_those_of_the_value_beneath() {
    let mut scene = Scene::new(r#"[{"i":1,"v":{"a":1},"s":3}]"#);
    let before = scene.slot.head();
    scene.overlay(O, put(r#"{"a":2}"#));
    let head = scene.slot.head();
    assert_eq!(
        (head.sequence, head.received_at),
        (Some(3), before.received_at)
    );
    scene.deliver(r#"[{"i":1,"k":"invalidate"}]"#);
    assert!(!is_live(&scene.slot));
    scene.deliver(r#"[{"i":1,"k":"patch","v":{"a":2},"s":3}]"#);
    assert_eq!(scene.feed.counters.snapshot().duplicate, 1);
    scene
        .deliver(r#"[{"i":1,"v":{"a":3},"s":4}]"#)
        .shows(r#"{"a":2}"#);
    assert!(is_live(&scene.slot));
    assert_eq!(scene.slot.head().sequence, Some(4));
}

#[test]
fn the_end_of_the_owner_and_a_purge_end_writes() {
    let mut scene = Scene::new(r#"[{"i":1,"v":{"a":1}}]"#);
    scene
        .overlay(O, put(r#"{"a":2}"#))
        .deliver(r#"[{"i":1,"k":"patch","v":{"a":3}}]"#);
    let Scene { world, feed, slot } = scene;
    drop(feed);
    assert_eq!(value(&slot), r#"{"a":3}"#);
    drop(world);

    let mut scene = Scene::new(r#"[{"i":1,"v":{"a":1}}]"#);
    scene.overlay(O, put(r#"{"a":2}"#));
    let purge = Command::Purge {
        entity: "e".into(),
        id: 1.into(),
        seen: None,
    };
    obey(&mut scene.world, &mut scene.feed, purge);
    scene.slot = scene.world.slot("e", 1);
    scene.overlay(O, OverlayChange::Commit);
    assert_eq!(scene.slot.head().state, State::Empty);
    scene
        .deliver(r#"[{"i":1,"v":{"a":4}}]"#)
        .shows(r#"{"a":4}"#);
}

#[test]
fn a_purge_leaves_what_was_written_since_it_was_meant() {
    let mut scene = Scene::new(r#"[{"i":1,"v":{"a":1}}]"#);
    let purge = |seen| Command::Purge {
        entity: "e".into(),
        id: 1.into(),
        seen: Some(Box::new(seen)),
    };
    let seen = scene.slot.head();
    // Even if it says the same again.
    scene
        .deliver(r#"[{"i":1,"v":{"a":2}}]"#)
        .deliver(r#"[{"i":1,"v":{"a":1}}]"#);
    obey(&mut scene.world, &mut scene.feed, purge(seen));
    assert_eq!(value(&scene.slot), r#"{"a":1}"#);
    let seen = scene.slot.head();
    obey(&mut scene.world, &mut scene.feed, purge(seen));
    assert_eq!(scene.slot.head().state, State::Dead);
}

#[test]
fn a_write_is_refused_as_a_message_is() {
    let mut scene = Scene::new(r#"[{"i":1,"v":1}]"#);
    let command = Command::Overlay {
        entity: "e".into(),
        id: 1.into(),
        overlay: O,
        change: put("{"),
    };
    let done = scene.feed.inbox.send(command).expect("room");
    scene.feed.local.settle(scene.world.tick());
    assert_eq!(done.result(), Some(Err(Refusal::Malformed.into())));
    scene.shows("1");
}
