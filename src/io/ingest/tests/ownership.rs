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

/// Else no cut would ever be as new as what the owner before has left.
#[test]
fn turns_go_on_where_the_next_owner_has_a_counter_of_its_own() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    for _ in 0..5 {
        world.deliver(&mut feed, r#"[{"i":1,"v":1}]"#);
    }
    drop(feed);
    let left = world.turns.last();
    world.turns = Arc::new(TurnCounter::new());
    let mut next = world.attach("next", owning(&["e"]), OnConnect::Invalidate);
    assert_eq!(world.turns.last(), left);
    next.local.opened(world.tick());
    world.deliver(&mut next, r#"[{"i":1,"v":2}]"#);
    assert!(world.slot("e", 1).head().turn > left);
}

#[test]
fn a_claim_that_is_returned_leaves_nothing_of_what_was_wrong() {
    let mut world = World::new();
    let mut feed = world.attach("all", wildcard(), OnConnect::Invalidate);
    feed.local.opened(world.tick());
    world.now = world.now.after(Duration::from_secs(9));
    feed.local.settle(world.now);
    let refused = br#"[{"e":"new","i":1,"v":1},{"e":"new","v":1}]"#;
    let now = world.tick();
    let error = feed.local.deliver(now, &mut refused.to_vec());
    assert_eq!(error, Err(Refusal::NoId));
    let new = world.store.entity("new").expect("room");
    let bits = || Link::from_word(new.link().load()).bits;
    assert_eq!((new.owner(), bits()), (None, Link::SILENT));
    world.deliver(&mut feed, r#"[{"e":"old","i":1,"v":1}]"#);
    assert_eq!(bits(), 0, "the feed is silent no more");
}

#[test]
fn whoever_waits_is_told_that_an_entity_has_an_owner_again() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":1}]"#);
    drop(feed);
    let mut next = world.attach("all", wildcard(), OnConnect::Invalidate);
    next.local.opened(world.tick());
    let one = world.slot("e", 1);
    assert_ne!(bits(&one) & Link::STOPPED, 0);
    let seen = Seen {
        epoch: one.epoch().number(),
        link: one.link(),
        invalidation: one.invalidation(),
    };
    let mut waiting = world
        .hub
        .register(vec![Arc::clone(&one) as Arc<dyn Watched>]);
    let woken = Arc::new(Woke::default());
    let waker = std::task::Waker::from(Arc::clone(&woken));
    let mut cx = std::task::Context::from_waker(&waker);
    let _ = world.runner.turn(world.now);
    assert!(waiting.poll(&mut cx, &[seen], Time::NEVER).is_pending());
    // Of another id.
    world.deliver(&mut next, r#"[{"i":2,"v":1}]"#);
    assert_eq!(bits(&one), 0);
    let _ = world.runner.turn(world.now);
    assert!(woken.0.get().is_some());
}

#[derive(Debug, Default)]
struct Woke(std::sync::OnceLock<()>);

impl std::task::Wake for Woke {
    fn wake(self: Arc<Self>) {
        let _ = self.0.set(());
    }
}
