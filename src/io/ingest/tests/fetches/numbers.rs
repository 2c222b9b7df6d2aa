//! Answers with a number, and what a stream says that is older.

use super::*;

#[test]
fn a_whole_value_from_before_a_fetched_one_does_not_undo_it() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    let whole = |number: u64| format!(r#"[{{"i":1,"v":{number},"s":{number},"r":"key"}}]"#);
    world.deliver(&mut feed, &whole(1));
    keep(&mut world, &mut feed, Some(1), F);
    let landed = world.land_one(&mut feed, of(10, item(1, "10")));
    assert_eq!(landed, Landed::Applied);
    world.deliver(&mut feed, &whole(5));
    assert_eq!(
        (value(&slot), slot.head().sequence),
        ("10".into(), Some(10))
    );
    assert_eq!(feed.counters.snapshot().older, 1);
    world.deliver(&mut feed, &whole(11));
    assert_eq!(value(&slot), "11");
}

#[test]
fn what_came_before_a_hole_is_not_laid_over_an_answer_that_covers_it() {
    let (mut world, mut feed, slot) = start(OnConnect::Invalidate);
    let patch = |change: &str, number: u64| {
        format!(r#"[{{"i":1,"k":"patch","v":{change},"s":{number},"r":"key"}}]"#)
    };
    world.deliver(&mut feed, r#"[{"i":1,"v":{"a":10},"s":10,"r":"key"}]"#);
    keep(&mut world, &mut feed, Some(1), F);
    world.deliver(&mut feed, &patch(r#"{"a":11}"#, 11));
    // Between the two `a` became 12.
    world.deliver(&mut feed, &patch(r#"{"p":13}"#, 13));
    world.deliver(&mut feed, &patch(r#"{"p":14}"#, 14));
    let landed = world.land_one(&mut feed, of(12, item(1, r#"{"a":12,"p":12}"#)));
    assert_eq!(landed, Landed::Applied);
    assert_eq!(value(&slot), r#"{"a":12,"p":14}"#);
    assert!(is_live(&slot));
}
