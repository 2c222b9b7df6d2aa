//! A connection that takes the place of one that was further ahead.

use super::*;

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
