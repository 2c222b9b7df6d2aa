//! What becomes of an answer by what came since its fetch began: whole values, gaps, reconnects,
//! numbers, other fetches.

use super::*;

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

/// A patch after it confirms what was there before, but nothing that has come with the answer.
#[test]
fn no_trusted_patch_renews_the_link_of_a_result_from_before_a_gap() {
    let (mut world, mut feed, slot) = start(OnConnect::Trust);
    world.deliver(&mut feed, r#"[{"i":1,"v":{"p":1}}]"#);
    for torn in [0, 1, 2] {
        let lose = |world: &mut World, feed: &mut Feed| {
            feed.local.lost(world.tick());
            feed.local.opened(world.tick());
        };
        keep(&mut world, &mut feed, Some(1), F);
        lose(&mut world, &mut feed);
        if torn == 1 {
            feed.local.gap(world.tick());
        }
        world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":2}}]"#);
        if torn == 2 {
            feed.local.gap(world.tick());
        }
        lose(&mut world, &mut feed);
        world.deliver(&mut feed, r#"[{"i":1,"k":"patch","v":{"p":3}}]"#);
        world.land_one(&mut feed, item(1, r#"{"p":1,"q":1}"#));
        assert_eq!(is_live(&slot), torn == 0, "{torn}");
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
    ingest.opened(Leg::FIRST);
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
fn the_end_of_a_subscription_outlives_a_fetch_of_what_had_no_value() {
    let (mut world, feed, slot) = start(OnConnect::Invalidate);
    let counters = Arc::clone(&feed.counters);
    drop(feed);
    let mut ingest = world
        .ingest("other", owning(&["e"]), OnConnect::Invalidate, &counters)
        .expect("attached");
    ingest.begin(world.tick());
    ingest.opened(Leg::FIRST);
    let keep = Command::Keep {
        entity: "e".into(),
        id: Some(1.into()),
        fetch: F,
        begun: Arc::default(),
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
    assert_eq!(slot.head().flags, flags::UNSUBSCRIBED);

    // Asked for again, it has missed what was said in between.
    ingest.subscribed("e", &1.into());
    ingest.finish();
    assert_eq!(slot.head().flags, flags::UNSUBSCRIBED | flags::GAP);
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
