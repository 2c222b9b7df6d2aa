//! Messages and commands become publications, whole or not at all.

use super::*;

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

/// A message that brings no patch counts in the numbering of its connection too.
#[test]
fn a_number_of_the_connection_is_judged_whatever_the_message_brings() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Trust);
    let counts = |feed: &Feed| {
        let counted = feed.counters.snapshot();
        let [applied, _, _, older, duplicate, ..] = patches(feed);
        [counted.gaps, older, duplicate, applied]
    };
    world.deliver(&mut feed, r#"[{"n":0,"i":"a","v":{"x":1}}]"#);
    world.deliver(&mut feed, r#"[{"n":1}]"#);
    world.deliver(&mut feed, r#"[{"n":2,"i":"b","v":{"x":1}}]"#);
    assert_eq!(counts(&feed), [0, 0, 0, 2]);
    // What comes again, or came before, is dropped.
    world.deliver(&mut feed, r#"[{"n":2,"i":"b","v":{"x":2}}]"#);
    world.deliver(&mut feed, r#"[{"n":1,"i":"b","v":{"x":3}}]"#);
    assert_eq!(counts(&feed), [0, 1, 1, 2]);
    let (a, b) = (world.slot("e", "a"), world.slot("e", "b"));
    assert!(is_live(&a) && is_live(&b));
    // 3 is missing: everything is suspect, but for what comes from here on.
    world.deliver(&mut feed, r#"[{"n":4,"i":"b","v":{"x":4}}]"#);
    assert_eq!(counts(&feed), [1, 1, 1, 3]);
    assert!(!is_live(&a) && is_live(&b));
    assert_eq!(value(&b), r#"{"x":4}"#);
    // The next connection counts anew.
    feed.local.opened(world.tick());
    world.deliver(&mut feed, r#"[{"n":0,"i":"b","v":{"x":5}}]"#);
    assert_eq!(counts(&feed), [1, 1, 1, 4]);
}

/// What is subscribed to again is sent again, with the number that it had.
#[test]
fn the_same_number_again_makes_an_unsubscribed_value_live() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    let message = r#"[{"i":"a","v":{"x":1},"s":7}]"#;
    world.deliver(&mut feed, message);
    let slot = world.slot("e", "a");
    let end = Command::Unsubscribe(vec![Subscription::new("e", "a")]);
    drop(feed.inbox.send(end).expect("room"));
    feed.local.settle(world.tick());
    assert_eq!(slot.head().flags, flags::UNSUBSCRIBED);
    world.deliver(&mut feed, message);
    assert!(is_live(&slot));
    assert_eq!(patches(&feed), [2, 0, 0, 0, 0, 0, 2]);
    world.deliver(&mut feed, message);
    assert_eq!(patches(&feed), [2, 0, 0, 0, 1, 0, 3]);
}

#[test]
fn a_value_without_a_number_ends_the_numbers_of_the_connection_before() {
    let mut world = World::new();
    let mut feed = world.open(OnConnect::Invalidate);
    world.deliver(&mut feed, r#"[{"i":1,"v":1,"s":1000,"r":"restarting"}]"#);
    feed.local.lost(world.tick());
    feed.local.opened(world.tick());
    world.deliver(&mut feed, r#"[{"i":1,"v":2}]"#);
    let one = world.slot("e", 1);
    assert_eq!(one.head().sequence, None);
    world.deliver(&mut feed, r#"[{"i":1,"v":3,"s":3,"r":"restarting"}]"#);
    assert_eq!(value(&one), "3", "numbers have begun anew");
}
