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
