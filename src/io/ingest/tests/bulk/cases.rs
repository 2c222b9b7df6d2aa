//! One rule each.

use super::super::fetches::Answered;
use super::*;
use crate::io::clock::Clock;
use crate::io::command::{KeepId, LandReport, Landed, Order, OverlayChange, OverlayId};
use crate::io::slow::Slow;
use crate::record::Mode;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

fn desk() -> Desk {
    Desk::new(&owning(&["e"]), Overtaking::Complete)
}

fn text(value: &str) -> Option<Json> {
    Some(serde_json::from_str(value).expect("JSON"))
}

#[test]
fn a_whole_value_overtakes_and_stays() {
    let mut desk = desk();
    desk.later(r#"[{"i":1,"v":{"p":1}},{"i":2,"v":{"p":2}}]"#);
    desk.now(r#"[{"i":1,"v":{"p":3}}]"#);
    assert_eq!(desk.shows(1), text(r#"{"p":3}"#), "before the long one");
    assert_eq!(desk.shows(2), None);
    let epoch = desk.slot(1).epoch().number();
    desk.land_all();
    assert_eq!(desk.shows(1), text(r#"{"p":3}"#));
    assert_eq!(
        desk.slot(1).epoch().number(),
        epoch,
        "there is nothing to tell"
    );
    assert_eq!(desk.shows(2), text(r#"{"p":2}"#));
    let counted = desk.counters.snapshot();
    assert!(counted.balanced());
    assert_eq!((counted.bulk, counted.applied), (1, 3));
}

#[test]
fn a_patch_waits_for_the_value_that_it_may_be_for() {
    let mut desk = desk();
    desk.now(r#"[{"i":1,"v":{"p":1,"q":1}}]"#);
    desk.later(r#"[{"i":1,"v":{"p":2,"q":2}}]"#);
    desk.now(r#"[{"i":1,"k":"patch","v":{"p":3}}]"#);
    assert_eq!(
        desk.shows(1),
        text(r#"{"p":1,"q":1}"#),
        "3 with 1 never was"
    );
    let epoch = desk.slot(1).epoch().number();
    desk.land_all();
    assert_eq!(desk.shows(1), text(r#"{"p":3,"q":2}"#));
    assert_eq!(desk.slot(1).epoch().number(), epoch + 1, "both at once");
    assert!(is_live(&desk.slot(1)));
}

#[test]
fn a_patch_that_follows_by_its_number_does_not_wait() {
    let mut desk = desk();
    desk.now(r#"[{"i":1,"v":{"p":1},"s":1,"r":"key"},{"i":2,"v":{"p":1},"s":1,"r":"key"}]"#);
    desk.later(r#"[{"i":2,"k":"patch","v":{"q":2},"s":2,"r":"key"}]"#);
    desk.now(r#"[{"i":1,"k":"patch","v":{"q":2},"s":2,"r":"key"}]"#);
    desk.now(r#"[{"i":2,"k":"patch","v":{"q":3},"s":3,"r":"key"}]"#);
    assert_eq!(desk.shows(1), text(r#"{"p":1,"q":2}"#));
    assert_eq!(
        desk.shows(2),
        text(r#"{"p":1}"#),
        "2 is missing, and no gap"
    );
    desk.land_all();
    assert_eq!(desk.shows(2), text(r#"{"p":1,"q":3}"#));
    assert_eq!(desk.counters.snapshot().gaps, 0);
}

/// A hole in the connection's numbers may be one that the long message fills, or a gap: what comes
/// after it waits until that is known.
#[test]
fn a_patch_after_a_hole_waits_though_its_value_came_whole_since() {
    let mut desk = desk();
    desk.now(r#"[{"n":1}]"#);
    desk.later(r#"[{"n":2,"i":2,"v":{"p":2}}]"#);
    desk.now(r#"[{"n":3,"i":1,"v":{"p":1,"q":1}}]"#);
    desk.now(r#"[{"n":4,"i":1,"k":"patch","v":{"p":2}}]"#);
    assert_eq!(desk.shows(1), text(r#"{"p":2,"q":1}"#), "it follows");
    desk.now(r#"[{"n":6,"i":1,"k":"patch","v":{"p":3}}]"#);
    assert_eq!(desk.shows(1), text(r#"{"p":2,"q":1}"#), "5 may have had q");
    assert!(is_live(&desk.slot(1)));
    desk.land_all();
    assert_eq!(desk.shows(1), text(r#"{"p":3,"q":1}"#));
    assert!(!is_live(&desk.slot(1)));
    assert_eq!(desk.counters.snapshot().gaps, 1);
}

#[test]
fn everything_overtakes_if_that_is_wanted() {
    let mut desk = Desk::new(&owning(&["e"]), Overtaking::Everything);
    desk.now(r#"[{"i":1,"v":{"p":1,"q":1}},{"i":2,"v":{"p":1}}]"#);
    desk.later(r#"[{"i":1,"v":{"p":2,"q":2}}]"#);
    desk.now(r#"[{"i":1,"k":"patch","v":{"p":3}},{"i":2,"k":"patch","v":{"p":3}}]"#);
    assert_eq!(desk.shows(1), text(r#"{"p":3,"q":1}"#));
    assert_eq!(desk.shows(2), text(r#"{"p":3}"#));
    desk.land_all();
    assert_eq!(desk.shows(1), text(r#"{"p":3,"q":2}"#));
}

#[test]
fn what_was_received_before_a_loss_lands_as_what_it_is() {
    let mut desk = desk();
    desk.later(r#"[{"i":1,"v":{"p":1}}]"#);
    desk.lose();
    desk.in_batch(|desk| desk.target.opened(Leg::FIRST));
    desk.land_all();
    assert_eq!(desk.shows(1), text(r#"{"p":1}"#));
    assert!(
        !is_live(&desk.slot(1)),
        "the new connection has not said it"
    );
    desk.now(r#"[{"i":1,"v":{"p":1}}]"#);
    assert!(is_live(&desk.slot(1)));
}

#[test]
fn an_invalidation_after_the_arrival_holds() {
    let mut desk = desk();
    desk.later(r#"[{"i":1,"v":{"p":1}}]"#);
    desk.world.store.entity("e").expect("room").invalidate();
    desk.land_all();
    assert!(!is_live(&desk.slot(1)));
}

#[test]
fn items_land_in_portions_and_the_rest_waits() {
    let mut desk = desk();
    let items: Vec<_> = (0..100)
        .map(|i| format!(r#"{{"i":{i},"v":{{"p":1}}}}"#))
        .collect();
    desk.later(&format!("[{}]", items.join(",")));
    assert!(!desk.target.has_landing());
    desk.hands.work();
    assert!(desk.target.has_landing());
    desk.turn();
    assert_eq!((desk.shows(63).is_some(), desk.shows(64)), (true, None));
    // What comes between two portions is later than all of them.
    desk.now(r#"[{"i":5,"v":{"p":9}},{"i":99,"v":{"p":9}}]"#);
    desk.land_all();
    assert_eq!(desk.shows(5), text(r#"{"p":9}"#));
    assert_eq!(desk.shows(99), text(r#"{"p":9}"#));
    assert_eq!(desk.shows(98), text(r#"{"p":1}"#));
    assert!(!desk.target.has_landing() && desk.target.long_messages() == 0);
}

#[test]
fn messages_land_in_the_order_in_which_they_came() {
    let mut desk = desk();
    desk.later(r#"[{"i":1,"v":{"p":1}}]"#);
    desk.now(r#"[{"i":1,"k":"patch","v":{"q":1}}]"#);
    desk.later(r#"[{"i":1,"k":"patch","v":{"p":2,"q":2}}]"#);
    desk.now(r#"[{"i":1,"k":"patch","v":{"r":3}}]"#);
    desk.hands.work();
    assert!(!desk.hands.work(), "one at a time");
    desk.turn();
    assert_eq!(desk.shows(1), text(r#"{"q":1,"p":1}"#));
    desk.land_all();
    assert_eq!(desk.shows(1), text(r#"{"q":2,"p":2,"r":3}"#));
}

#[test]
fn a_refused_message_leaves_no_trace_but_its_count() {
    let mut desk = desk();
    desk.now(r#"[{"i":1,"v":{"p":1}}]"#);
    desk.later(r#"[{"i":1,"v":{"p":2}},{"i":2,"v":{"p":2}},{"i":3}]"#);
    desk.later(r#"[{"i":1,"v":"#);
    desk.now(r#"[{"i":1,"k":"patch","v":{"q":1}}]"#);
    desk.land_all();
    assert_eq!(desk.shows(1), text(r#"{"p":1,"q":1}"#));
    assert_eq!(desk.shows(2), None);
    let counted = desk.counters.snapshot();
    assert!(counted.balanced());
    assert_eq!(
        counted.refused_by,
        [(Refusal::Malformed, 1), (Refusal::NoPayload, 1)]
    );
}

#[test]
fn without_a_thread_the_feed_does_it_itself() {
    let mut desk = desk();
    desk.later(r#"[{"i":1,"v":{"p":1}}]"#);
    desk.hands.drop_all();
    assert!(desk.target.has_landing());
    assert!(!desk.turn());
    assert_eq!(desk.shows(1), text(r#"{"p":1}"#));
}

#[test]
fn a_panic_elsewhere_is_one_here() {
    let mut desk = desk();
    desk.later(r#"[{"i":1,"k":"panic","v":{}}]"#);
    desk.hands.work();
    let turn = catch_unwind(AssertUnwindSafe(|| desk.turn()));
    let panic = turn.expect_err("the protocol's");
    assert_eq!(panic.downcast_ref(), Some(&"as it was told"));
    drop(desk.target);
    let counted = desk.counters.snapshot();
    assert!(counted.balanced());
    assert_eq!(counted.refused_by, [(Refusal::Ended, 1)]);
}

#[test]
fn what_has_not_landed_when_the_feed_ends_is_counted() {
    let mut desk = desk();
    let items: Vec<_> = (0..100)
        .map(|i| format!(r#"{{"i":{i},"v":{{"p":1}}}}"#))
        .collect();
    desk.later(&format!("[{}]", items.join(",")));
    desk.later(r#"[{"i":1,"v":{"p":1}}]"#);
    desk.now(r#"[{"i":1,"k":"patch","v":{"q":1}}]"#);
    desk.hands.work();
    desk.turn();
    drop(desk.target);
    let counted = desk.counters.snapshot();
    assert!(counted.balanced(), "{counted:?}");
    assert_eq!((counted.messages, counted.data, counted.refused), (3, 2, 1));
    assert_eq!(
        (counted.applied, counted.held, counted.bulk_bytes),
        (64, 37, 0)
    );
}

#[test]
fn what_may_be_on_its_way_and_logged_is_bounded() {
    let mut desk = desk();
    desk.later(r#"[{"i":1,"v":{"p":1}}]"#);
    assert!(!desk.target.is_full());
    for n in 0..300 {
        desk.now(&format!(r#"[{{"i":1,"k":"patch","v":{{"p":{n}}}}}]"#));
        assert_eq!(desk.target.is_full(), n >= 255, "{n}");
    }
    desk.land_all();
    assert!(!desk.target.is_full());
    let long = "x".repeat(1 << 20);
    desk.later(&format!(r#"[{{"i":1,"v":"{long}"}}]"#));
    assert!(desk.target.is_full(), "a MiB is on its way");
    desk.land_all();
    assert!(!desk.target.is_full());
    assert!(desk.counters.snapshot().balanced());
}

#[test]
fn the_bytes_of_what_is_logged_are_bounded_as_well() {
    let mut desk = desk();
    desk.later(r#"[{"i":1,"v":{"p":1}}]"#);
    let long = "x".repeat(1 << 17);
    let full = (1..=128).find(|n| {
        desk.now(&format!(
            r#"[{{"i":1,"k":"patch","v":{{"p":"{n}{long}"}}}}]"#
        ));
        desk.target.is_full()
    });
    assert!(full.is_some_and(|n| n > 100), "{full:?}: 16 MiB");
    desk.land_all();
    assert!(!desk.target.is_full());
}

#[test]
fn an_optimistic_write_stays_over_what_lands() {
    let mut desk = desk();
    desk.now(r#"[{"i":1,"v":{"p":1,"q":1}}]"#);
    let write = |change| Command::Overlay {
        entity: "e".into(),
        id: 1.into(),
        overlay: OverlayId(1),
        change,
    };
    let put = OverlayChange::Put {
        value: br#"{"q":9}"#.to_vec(),
        mode: Mode::Merge,
    };
    desk.in_batch(|desk| desk.target.obey(write(put)).expect("put"));
    desk.later(r#"[{"i":1,"v":{"p":2,"q":2}}]"#);
    desk.now(r#"[{"i":1,"k":"patch","v":{"r":3}}]"#);
    desk.land_all();
    assert_eq!(desk.shows(1), text(r#"{"p":2,"q":9,"r":3}"#));
    let back = write(OverlayChange::Rollback);
    desk.in_batch(|desk| desk.target.obey(back).expect("taken back"));
    assert_eq!(desk.shows(1), text(r#"{"p":2,"q":2,"r":3}"#));
}

fn fetch_around(during: impl FnOnce(&mut Desk)) -> (Desk, Landed) {
    let mut desk = desk();
    desk.now(r#"[{"i":1,"v":{"p":1}}]"#);
    let keep = Command::Keep {
        entity: "e".into(),
        id: None,
        fetch: KeepId(1),
        begun: Arc::default(),
    };
    desk.in_batch(|desk| desk.target.obey(keep).expect("kept"));
    during(&mut desk);
    let item = Answered {
        id: 1.into(),
        value: Some(br#"{"p":7}"#.to_vec()),
        whole: true,
        as_of: None,
    };
    let report = Arc::new(OnceLock::<LandReport>::new());
    let land = Command::Land {
        entity: "e".into(),
        fetch: KeepId(1),
        items: vec![item.compiled(&desk.world)],
        last: true,
        order: Order::Underneath,
        report: Arc::clone(&report),
    };
    desk.in_batch(|desk| desk.target.obey(land).expect("landed"));
    let landed = report.get().expect("a report").landed[0];
    (desk, landed)
}

#[test]
fn a_fetch_that_runs_meanwhile_is_laid_under_what_landed_or_made_again() {
    let (desk, landed) = fetch_around(|desk| {
        desk.later(r#"[{"i":1,"k":"patch","v":{"q":2}}]"#);
        desk.land_all();
    });
    assert_eq!(landed, Landed::Applied);
    assert_eq!(desk.shows(1), text(r#"{"p":7,"q":2}"#));
    let (desk, landed) = fetch_around(|desk| {
        desk.later(r#"[{"i":1,"k":"patch","v":{"q":2}}]"#);
        desk.now(r#"[{"i":1,"k":"patch","v":{"r":3}}]"#);
        desk.land_all();
    });
    assert_eq!(landed, Landed::Lost);
    assert_eq!(desk.shows(1), text(r#"{"p":1,"r":3,"q":2}"#));
}

#[test]
fn what_the_slow_writer_owns_is_handed_over_in_order() {
    let mut desk = Desk::new(&wildcard(), Overtaking::Complete);
    let slow = Arc::new(Slow::new(
        Arc::clone(&desk.world.store),
        &desk.world.hub,
        Clock::manual(Time::from_nanos(1)),
    ));
    desk.target = desk.target.forwarding_to(Arc::clone(&slow));
    let set = Command::Set {
        entity: "s".into(),
        id: 1.into(),
        update: Update::whole(),
        value: br#"{"p":0}"#.to_vec(),
    };
    assert!(slow.carry_out(set).is_ok());
    desk.later(r#"[{"e":"s","i":1,"v":{"p":1}}]"#);
    desk.now(r#"[{"e":"s","i":1,"k":"patch","v":{"q":2}}]"#);
    desk.land_all();
    let slot = desk.world.slot("s", 1);
    assert_eq!(value(&slot), r#"{"p":1,"q":2}"#);
    let counted = desk.counters.snapshot();
    assert!(counted.balanced());
    assert_eq!(counted.forwarded, 2);
}

#[test]
fn all_that_is_on_its_way_lands_before_another_connection_is_shown() {
    let mut desk = desk();
    let second = Leg::ALL[1];
    desk.now(r#"[{"i":1,"v":{"p":1}},{"i":2,"v":{"p":1}}]"#);
    desk.in_batch(|desk| desk.target.joined(second));
    desk.later(r#"[{"i":1,"v":{"p":2}},{"i":2,"v":{"p":2}}]"#);
    desk.now(r#"[{"i":1,"k":"patch","v":{"q":3}}]"#);
    desk.target.speaks(second);
    desk.now(r#"[{"i":1,"v":{"p":4}}]"#);
    let text_of_second = br#"[{"i":3,"v":{"p":4}}]"#.to_vec();
    let taken = desk
        .intake
        .defer(text_of_second, Wire::clone, &mut desk.target);
    let mut outcome = taken.expect_err("what is laid aside is taken apart where it comes");
    desk.intake.conclude(&mut outcome, true);
    assert_eq!(desk.shows(1), text(r#"{"p":1}"#));
    desk.hands.work();
    desk.in_batch(|desk| desk.target.promoted(second));
    assert_eq!(desk.shows(1), text(r#"{"p":4}"#), "what it has laid aside");
    assert_eq!(
        desk.shows(2),
        text(r#"{"p":2}"#),
        "under that, what had come"
    );
    assert_eq!(desk.shows(3), text(r#"{"p":4}"#));
    assert_eq!(desk.target.long_messages(), 1, "through, and not heard of");
    assert!(!desk.turn());
    assert_eq!(desk.target.long_messages(), 0);
    assert!(desk.counters.snapshot().balanced());
}

#[test]
fn a_message_whose_connection_is_gone_is_counted_all_the_same() {
    let mut desk = desk();
    desk.later(r#"[{"i":1,"v":{"p":1}}]"#);
    desk.hands.work();
    desk.in_batch(|desk| {
        desk.target.land_some();
        desk.target.disown();
    });
    let counted = desk.counters.snapshot();
    assert!(counted.balanced());
    assert_eq!((counted.data, counted.bulk, counted.applied), (1, 1, 1));
}

#[test]
fn what_was_received_before_a_gap_is_in_doubt() {
    let mut desk = desk();
    desk.later(r#"[{"i":1,"v":{"p":1}}]"#);
    desk.in_batch(|desk| desk.target.gap());
    desk.land_all();
    assert!(!is_live(&desk.slot(1)));
    desk.now(r#"[{"i":1,"v":{"p":1}}]"#);
    assert!(is_live(&desk.slot(1)));
}
