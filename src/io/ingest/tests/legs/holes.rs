//! Numbers that are missing on one connection, and not on the other.

use super::*;

#[test]
fn a_hole_is_filled_from_the_other_connection() {
    // It has brought what is missing already ...
    let mut two = two();
    for leg in [A, B] {
        two.says(leg, &change("whole", r#"{"x":1}"#, 10, "key"));
    }
    two.says(B, &change("patch", r#"{"y":11}"#, 11, "key"));
    two.says(A, &change("patch", r#"{"z":12}"#, 12, "key"));
    two.shows_live(r#"{"x":1,"y":11,"z":12}"#);
    two.says(B, &change("patch", r#"{"z":12}"#, 12, "key"));
    two.says(A, &change("patch", r#"{"x":13}"#, 13, "key"));
    two.shows_live(r#"{"x":13,"y":11,"z":12}"#);
    let counted = two.counters.snapshot();
    assert_eq!((counted.gaps, counted.bridged), (0, 1));
    // ... or brings it afterwards.
    two.says(A, &change("patch", r#"{"x":16}"#, 16, "key"));
    assert_eq!(two.slot().head().flags, flags::GAP);
    for number in [13, 14, 15] {
        let value = format!(r#"{{"x":{number},"w":{number}}}"#);
        two.says(B, &change("patch", &value, number, "key"));
        assert_eq!(two.slot().head().flags, flags::GAP);
    }
    two.says(B, &change("patch", r#"{"x":16}"#, 16, "key"));
    two.shows_live(r#"{"x":16,"y":11,"z":12,"w":15}"#);
    assert_eq!(two.counters.snapshot().gaps, 1);
    two.says(A, &change("patch", r#"{"x":17}"#, 17, "key"));
    two.shows_live(r#"{"x":17,"y":11,"z":12,"w":15}"#);
}

#[test]
fn a_hole_that_no_connection_can_fill_stays_a_gap() {
    // What is bridged is the hole before the update, not an earlier one.
    let mut two = two();
    two.acts(|ingest| ingest.left(B));
    two.says(A, &change("whole", r#"{"x":1,"y":1,"z":1}"#, 10, "key"));
    // 11, by which z was 11, is missing, and nobody else was there.
    two.says(A, &change("patch", r#"{"x":12}"#, 12, "key"));
    assert_eq!(two.slot().head().flags, flags::GAP);
    two.acts(|ingest| ingest.joined(B));
    two.says(B, &change("patch", r#"{"y":13}"#, 13, "key"));
    two.says(A, &change("patch", r#"{"x":14}"#, 14, "key"));
    two.shows(r#"{"x":14,"y":13,"z":1}"#);
    assert_eq!(two.slot().head().flags, flags::GAP);
    assert_eq!(two.counters.snapshot().bridged, 1);

    // Nor is a later hole the whole of it: that it is filled heals nothing.
    two.says(B, &change("patch", r#"{"x":14}"#, 14, "key"));
    two.says(A, &change("patch", r#"{"x":16}"#, 16, "key"));
    two.says(B, &change("patch", r#"{"y":15}"#, 15, "key"));
    two.says(B, &change("patch", r#"{"x":16}"#, 16, "key"));
    assert_eq!(two.slot().head().flags, flags::GAP);

    // A value that begins on the other connection has nothing from before in it.
    two.says(B, &change("whole", r#"{"x":17}"#, 17, "key"));
    two.shows_live(r#"{"x":17}"#);
}

#[test]
fn a_hole_of_the_backup_is_nobodys() {
    let mut two = two();
    for leg in [A, B] {
        two.says(leg, &change("whole", r#"{"x":1}"#, 10, "key"));
    }
    for number in [11, 12, 13] {
        let value = format!(r#"{{"x":{number}}}"#);
        two.says(A, &change("patch", &value, number, "key"));
    }
    two.says(B, &change("patch", r#"{"x":13}"#, 13, "key"));
    two.says(B, &change("patch", r#"{"x":14}"#, 14, "key"));
    two.loses(A);
    two.shows_live(r#"{"x":14}"#);
    let counted = two.counters.snapshot();
    assert_eq!((counted.gaps, counted.bridged), (0, 1));
}

#[test]
fn a_hole_in_a_connection_is_left_to_who_knows_the_others() {
    let mut two = two();
    for leg in [A, B] {
        two.says(leg, r#"[{"n":0,"i":1,"v":{"x":1}}]"#);
    }
    two.says(A, r#"[{"n":2}]"#);
    assert_eq!(two.ingest.torn(), Some(A));
    assert_eq!(two.ingest.torn(), None);
    assert!(is_live(&two.slot()));
    // The other one has brought it.
    two.says(B, r#"[{"n":1,"i":1,"v":{"x":2}}]"#);
    two.acts(|ingest| ingest.promoted(B));
    two.shows_live(r#"{"x":2}"#);
    // What a torn one brought is not believed to be complete.
    two.says(A, r#"[{"n":3,"i":1,"v":{"x":1}}]"#);
    two.says(A, r#"[{"n":5}]"#);
    assert_eq!(two.ingest.torn(), Some(A));
    two.loses(B);
    two.shows_live(r#"{"x":2}"#);
    // Alone it is a gap at once.
    two.says(A, r#"[{"n":9}]"#);
    assert_eq!(two.ingest.torn(), None);
    assert!(bits(&two.slot()) & Link::GAP != 0);
    assert_eq!(two.counters.snapshot().gaps, 1);
}

#[test]
fn what_follows_a_hole_in_a_connection_is_not_shown_before_it_is_covered() {
    for is_covered in [true, false] {
        let mut two = two();
        for leg in [A, B] {
            two.says(leg, r#"[{"n":0,"i":1,"v":{"x":1,"y":1}}]"#);
        }
        // 1, by which y was 2, is missing on A; and nobody can tell of which id it was.
        two.says(A, r#"[{"n":2,"i":1,"k":"patch","v":{"x":2}}]"#);
        two.shows_live(r#"{"x":1,"y":1}"#);
        assert_eq!(two.ingest.torn(), Some(A));
        if is_covered {
            two.says(B, r#"[{"n":1,"i":1,"k":"patch","v":{"y":2}}]"#);
            two.acts(|ingest| ingest.promoted(B));
            two.shows_live(r#"{"x":1,"y":2}"#);
            two.says(B, r#"[{"n":2,"i":1,"k":"patch","v":{"x":2}}]"#);
            two.shows_live(r#"{"x":2,"y":2}"#);
        } else {
            two.acts(Target::gap);
            two.shows(r#"{"x":2,"y":1}"#);
            assert!(!is_live(&two.slot()));
            two.says(A, r#"[{"n":3,"i":1,"k":"patch","v":{"x":3}}]"#);
            two.shows(r#"{"x":3,"y":1}"#);
            two.says(A, r#"[{"n":4,"i":1,"v":{"x":4}}]"#);
            two.shows_live(r#"{"x":4}"#);
        }
    }
}

#[test]
fn two_holes_in_a_row_are_two() {
    let mut two = two();
    for leg in [A, B] {
        two.says(leg, r#"[{"n":0,"i":1,"v":{"x":1,"y":1}}]"#);
    }
    two.says(A, r#"[{"n":2,"i":1,"v":{"x":2,"y":2}}]"#);
    // 3 is missing after the whole value.
    two.says(A, r#"[{"n":4,"i":1,"k":"patch","v":{"x":4}}]"#);
    assert_eq!(two.ingest.torn(), Some(A));
    two.acts(Target::gap);
    assert!(!is_live(&two.slot()));
    two.says(A, r#"[{"n":5,"i":1,"v":{"x":5}}]"#);
    two.shows_live(r#"{"x":5}"#);
}

#[test]
fn a_hole_after_a_numbering_that_began_anew_is_a_gap() {
    let mut two = two();
    for leg in [A, B] {
        two.says(leg, &change("whole", r#"{"x":1}"#, 1000, "key"));
    }
    two.says(B, &change("whole", r#"{"x":1,"y":1}"#, 1, "key"));
    // 2 is missing.
    two.says(B, &change("patch", r#"{"y":3}"#, 3, "key"));
    two.loses(A);
    assert_eq!(two.slot().head().flags, flags::GAP);
    assert_eq!(two.counters.snapshot().gaps, 1);
}

#[test]
fn a_leg_that_lags_catches_up_before_it_is_shown() {
    for rule in ["key", "time"] {
        let mut two = two();
        two.says(A, &change("whole", r#"{"x":10}"#, 10, rule));
        two.says(A, &change("whole", r#"{"x":14}"#, 14, rule));
        // Begun before A was there, told after it.
        two.says(B, &change("whole", r#"{"x":10}"#, 10, rule));
        two.loses(A);
        two.shows_live(r#"{"x":14}"#);
        two.says(B, &change("patch", r#"{"y":11}"#, 11, rule));
        two.says(B, &change("whole", r#"{"x":12}"#, 12, rule));
        two.says(B, &change("patch", r#"{"y":13}"#, 13, rule));
        two.shows_live(r#"{"x":14}"#);
        two.says(B, &change("patch", r#"{"x":14}"#, 14, rule));
        two.shows_live(r#"{"x":14,"y":13}"#);
        two.says(B, &change("patch", r#"{"x":15}"#, 15, rule));
        two.shows_live(r#"{"x":15,"y":13}"#);
        assert_eq!(two.counters.snapshot().gaps, 0);
    }
}

#[test]
fn what_never_catches_up_is_a_numbering_that_began_anew() {
    for own_first in [false, true] {
        let mut two = two();
        two.says(A, &change("whole", r#"{"x":1000}"#, 1000, "key"));
        if own_first {
            // Nothing of it came before it was shown.
            two.says(B, &change("whole", r#"{"x":1}"#, 1, "key"));
        }
        two.loses(A);
        if !own_first {
            two.says(B, &change("whole", r#"{"x":1}"#, 1, "key"));
        }
        two.says(B, &change("patch", r#"{"x":2}"#, 2, "key"));
        two.shows_live(r#"{"x":1000}"#);
        two.world.now = two.world.now.after(Duration::from_secs(10));
        two.acts(|ingest| while ingest.catch_up() {});
        two.shows_live(r#"{"x":2}"#);
        two.says(B, &change("patch", r#"{"x":3}"#, 3, "key"));
        two.shows_live(r#"{"x":3}"#);
        // Numbers that go back on the leg itself are new at once.
        let mut two = Two::open(OnConnect::Invalidate);
        two.says(A, &change("whole", r#"{"x":1000}"#, 1000, "key"));
        two.says(B, &change("whole", r#"{"x":999}"#, 999, "key"));
        two.loses(A);
        two.says(B, &change("whole", r#"{"x":1}"#, 1, "key"));
        two.shows_live(r#"{"x":1}"#);
    }
}

#[test]
fn reports_that_have_met_are_forgotten() {
    let mut two = two();
    two.says(A, &whole(r#"{"x":1}"#));
    let mark = r#"[{"i":1,"k":"invalidate"}]"#;
    for (first, second) in [(A, B), (B, A)] {
        two.says(first, mark);
        assert_eq!(two.ingest.legs.beside(B).reports.count(), 1);
        two.says(second, mark);
        assert_eq!(two.ingest.legs.beside(B).reports.count(), 0);
    }
}
