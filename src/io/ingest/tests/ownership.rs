//! Entities that change hands.

use super::*;

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
