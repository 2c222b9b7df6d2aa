//! What happens to values beside the streams of the connections.

use super::*;

#[test]
fn what_others_write_is_laid_over_what_is_held() {
    let mut two = two();
    two.says(A, &whole(r#"{"x":1,"y":1}"#));
    two.says(B, &whole(r#"{"x":2,"y":2}"#));
    two.set(Update::patch(), r#"{"y":9}"#);
    two.loses(A);
    two.shows_live(r#"{"x":2,"y":9}"#);

    let mut two = self::two();
    two.says(A, &whole(r#"{"x":1}"#));
    two.says(B, &whole(r#"{"x":2}"#));
    two.set(Update::whole(), r#"{"x":9}"#);
    two.loses(A);
    two.shows_live(r#"{"x":9}"#);
}

#[test]
fn a_fetch_that_began_since_knows_more_than_what_is_held() {
    let mut two = two();
    two.says(A, &whole(r#"{"x":1}"#));
    two.says(B, &whole(r#"{"x":1}"#));
    let fetch = KeepId(1);
    two.keep(fetch);
    two.says(B, r#"[{"i":2,"v":{"x":2}}]"#);
    two.land(fetch, r#"{"x":7}"#);
    two.loses(A);
    two.shows_live(r#"{"x":7}"#);
    assert_eq!(value(&two.world.slot("e", 2)), r#"{"x":2}"#);

    // What came while it ran is laid over it, then as now.
    let mut two = self::two();
    two.says(A, &whole(r#"{"x":1}"#));
    two.keep(fetch);
    two.says(B, &patch(r#"{"y":2}"#));
    two.loses(A);
    two.shows(r#"{"x":1,"y":2}"#);
    two.land(fetch, r#"{"x":7}"#);
    two.shows_live(r#"{"x":7,"y":2}"#);
}

#[test]
fn an_optimistic_write_stays_over_what_is_laid() {
    let put = |value: &str| OverlayChange::Put {
        value: value.into(),
        mode: Mode::Merge,
    };
    let mut two = two();
    two.says(A, &whole(r#"{"x":1,"y":1}"#));
    two.overlay(1, put(r#"{"y":9}"#));
    two.says(B, &patch(r#"{"x":2}"#));
    two.loses(A);
    two.shows_live(r#"{"x":2,"y":9}"#);
    two.overlay(1, OverlayChange::Rollback);
    two.shows_live(r#"{"x":2,"y":1}"#);
    // Committed, it is part of the value, whoever is shown.
    two.acts(|ingest| ingest.joined(A));
    two.says(A, &whole(r#"{"x":3,"y":3}"#));
    two.overlay(2, put(r#"{"y":8}"#));
    two.overlay(2, OverlayChange::Commit);
    two.loses(B);
    two.shows_live(r#"{"x":3,"y":8}"#);
}

#[test]
fn what_came_since_an_optimistic_write_is_laid_over_it_whoever_is_shown() {
    let mut two = two();
    for leg in [B, A] {
        two.says(leg, &whole(r#"{"x":1,"y":1}"#));
    }
    let put = OverlayChange::Put {
        value: br#"{"x":9,"y":9}"#.to_vec(),
        mode: Mode::Merge,
    };
    two.overlay(1, put);
    two.says(A, &patch(r#"{"y":2}"#));
    two.overlay(1, OverlayChange::Commit);
    two.shows_live(r#"{"x":9,"y":2}"#);
    two.loses(A);
    two.shows_live(r#"{"x":9,"y":2}"#);
}

#[test]
fn the_end_of_a_subscription_and_a_purge_are_the_end_of_what_is_held() {
    let mut two = two();
    for leg in [A, B] {
        two.says(leg, &whole(r#"{"x":1}"#));
    }
    two.acts(|ingest| ingest.unsubscribed("e", &1.into()));
    two.loses(A);
    assert_eq!(two.slot().head().flags, flags::UNSUBSCRIBED);

    let mut two = self::two();
    for leg in [A, B] {
        two.says(leg, &whole(r#"{"x":1}"#));
    }
    two.obeys(Command::Purge {
        entity: "e".into(),
        id: 1.into(),
        seen: None,
    });
    two.loses(A);
    assert_eq!(two.slot().head().state, State::Empty);
}

#[test]
fn an_unknown_id_is_nothing_to_a_backup_either() {
    let mut two = two();
    two.says(B, &patch(r#"{"x":1}"#));
    two.says(B, r#"[{"i":1,"k":"remove"}]"#);
    assert_eq!(two.counters.snapshot().missing, 2);
    // The backup may be the first to bring a value.
    two.says(B, &whole(r#"{"x":1}"#));
    two.says(B, &patch(r#"{"x":2}"#));
    assert_eq!(two.slot().head().state, State::Empty);
    two.loses(A);
    two.shows_live(r#"{"x":2}"#);
}

#[test]
fn what_a_connection_has_brought_of_an_ended_subscription_is_forgotten() {
    // Also where nothing is shown yet.
    for shown in [false, true] {
        let mut two = two();
        if shown {
            two.says(A, &whole(r#"{"x":1}"#));
        }
        two.says(B, &whole(r#"{"x":2}"#));
        two.acts(|ingest| ingest.unsubscribed("e", &1.into()));
        two.loses(A);
        assert!(!is_live(&two.slot()), "{:?}", two.slot().head());
    }
}

#[test]
fn a_subscription_made_again_waits_for_the_shown_connection() {
    let mut two = two();
    for leg in [A, B] {
        two.says(leg, &change("whole", r#"{"x":1}"#, 1, "key"));
    }
    two.acts(|ingest| ingest.unsubscribed("e", &1.into()));
    two.acts(|ingest| ingest.subscribed("e", &1.into()));
    let lost = flags::GAP | flags::UNSUBSCRIBED;
    assert_eq!(two.slot().head().flags, lost);
    // The other one is ahead: the shown one's would take its value back.
    two.says(B, &change("whole", r#"{"x":5}"#, 5, "key"));
    assert_eq!(two.slot().head().flags, lost);
    two.says(A, &change("whole", r#"{"x":4}"#, 4, "key"));
    two.shows_live(r#"{"x":4}"#);
    two.loses(A);
    two.shows_live(r#"{"x":5}"#);
}
