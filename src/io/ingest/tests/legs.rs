//! What is shown of two connections of one feed.

use super::fetches::item;
use super::*;
use crate::feed::Intake;
use crate::io::command::{KeepId, LandReport, Landed, Order, OverlayChange, OverlayId};
use crate::record::Mode;
use std::sync::OnceLock;

mod crew;
mod holes;
mod writes;

const A: Leg = Leg::ALL[0];
const B: Leg = Leg::ALL[1];

/// A feed with two open connections, of which A is shown.
struct Two {
    world: World,
    ingest: Ingest,
    intakes: [Intake<Wire>; 2],
    counters: Arc<Counters>,
}

impl Two {
    fn open(on_connect: OnConnect) -> Self {
        let mut world = World::new();
        let counters = Arc::new(Counters::default());
        let claims = owning(&["e"]);
        let mut ingest = world
            .ingest("feed", claims.clone(), on_connect, &counters)
            .expect("attached");
        let intakes = [A, B].map(|_| {
            let outbox = Outbox::new(1, 1);
            Intake::new(Wire(claims.clone()), 128, outbox, Arc::clone(&counters))
        });
        ingest.begin(world.tick());
        ingest.opened(A);
        ingest.joined(B);
        ingest.finish();
        Self {
            world,
            ingest,
            intakes,
            counters,
        }
    }

    /// A leg brings a message.
    #[track_caller]
    fn says(&mut self, leg: Leg, text: &str) {
        let now = self.world.tick();
        self.ingest.begin(now);
        self.ingest.speaks(leg);
        let taken = self.intakes[leg.index()].text(text.as_bytes(), &mut self.ingest);
        taken.expect("taken");
        self.ingest.finish();
        let counted = self.counters.snapshot();
        assert!(counted.balanced(), "{counted:?}");
    }

    fn acts(&mut self, act: impl FnOnce(&mut Ingest)) {
        self.ingest.begin(self.world.tick());
        act(&mut self.ingest);
        self.ingest.finish();
    }

    /// The leg is lost, and the other one shown if it was that.
    fn loses(&mut self, leg: Leg) {
        let other = if leg == A { B } else { A };
        self.acts(|ingest| {
            ingest.left(leg);
            ingest.promoted(other);
            while ingest.catch_up() {}
        });
    }

    fn obeys(&mut self, command: Command) {
        self.acts(|ingest| ingest.obey(command).expect("obeyed"));
    }

    fn set(&mut self, update: Update, value: &str) {
        self.obeys(Command::Set {
            entity: "e".into(),
            id: 1.into(),
            update,
            value: value.into(),
        });
    }

    /// A fetch of id 1 begins.
    fn keep(&mut self, fetch: KeepId) {
        self.obeys(Command::Keep {
            entity: "e".into(),
            id: Some(1.into()),
            fetch,
            begun: Arc::default(),
        });
    }

    #[track_caller]
    fn land(&mut self, fetch: KeepId, value: &str) {
        let report = Arc::new(OnceLock::<LandReport>::new());
        let items = vec![item(1, value).compiled(&self.world)];
        self.obeys(Command::Land {
            entity: "e".into(),
            fetch,
            items,
            last: true,
            order: Order::Underneath,
            report: Arc::clone(&report),
        });
        assert_eq!(report.get().expect("landed").landed, [Landed::Applied]);
    }

    fn overlay(&mut self, overlay: u64, change: OverlayChange) {
        self.obeys(Command::Overlay {
            entity: "e".into(),
            id: 1.into(),
            overlay: OverlayId(overlay),
            change,
        });
    }

    #[track_caller]
    fn shows(&self, expected: &str) {
        assert_eq!(value(&self.slot()), expected);
    }

    #[track_caller]
    fn shows_live(&self, expected: &str) {
        self.shows(expected);
        assert!(is_live(&self.slot()), "{:?}", self.slot().head());
    }

    fn slot(&self) -> Arc<Slot> {
        self.world.slot("e", 1)
    }

    fn held(&self) -> u64 {
        self.counters.snapshot().held
    }
}

fn two() -> Two {
    Two::open(OnConnect::Invalidate)
}

/// One change of id 1, with a number.
fn change(kind: &str, value: &str, number: u64, rule: &str) -> String {
    format!(r#"[{{"i":1,"k":"{kind}","v":{value},"s":{number},"r":"{rule}"}}]"#)
}

fn whole(value: &str) -> String {
    format!(r#"[{{"i":1,"v":{value}}}]"#)
}

fn patch(value: &str) -> String {
    format!(r#"[{{"i":1,"k":"patch","v":{value}}}]"#)
}

#[test]
fn a_rising_number_is_shown_whoever_brings_it_first() {
    let mut two = two();
    two.says(A, &change("whole", r#"{"x":1}"#, 5, ""));
    two.says(B, &change("whole", r#"{"x":1}"#, 5, ""));
    two.says(B, &change("whole", r#"{"x":2}"#, 6, ""));
    two.shows_live(r#"{"x":2}"#);
    two.says(A, &change("whole", r#"{"x":2}"#, 6, ""));
    two.says(A, &change("whole", r#"{"x":4}"#, 8, ""));
    two.says(B, &change("whole", r#"{"x":3}"#, 7, ""));
    two.shows_live(r#"{"x":4}"#);
    let counted = two.counters.snapshot();
    let outcomes = (counted.applied, counted.duplicate, counted.older);
    assert_eq!((outcomes, counted.held), ((3, 2, 1), 0));
    two.loses(A);
    two.shows_live(r#"{"x":4}"#);
    two.says(B, &change("remove", "null", 9, ""));
    assert_eq!(two.slot().head().state, State::Removed);
}

#[test]
fn a_shared_value_has_all_that_its_connection_brought_before() {
    let mut two = two();
    two.says(A, &change("whole", r#"{"x":5}"#, 5, ""));
    two.says(B, &change("patch", r#"{"y":6}"#, 6, ""));
    two.says(B, &change("whole", r#"{"x":10}"#, 10, ""));
    two.shows_live(r#"{"x":10}"#);
    two.says(B, &change("patch", r#"{"z":11}"#, 11, ""));
    two.loses(A);
    two.shows_live(r#"{"x":10,"z":11}"#);
}

#[test]
fn without_a_number_the_second_is_a_backup() {
    let mut two = two();
    two.says(A, &whole(r#"{"x":1,"y":1}"#));
    two.says(B, &whole(r#"{"x":1,"y":1}"#));
    two.says(B, &whole(r#"{"x":2}"#));
    two.shows_live(r#"{"x":1,"y":1}"#);
    assert_eq!(two.held(), 2);
    let epoch = two.slot().head().epoch;
    two.loses(A);
    two.shows_live(r#"{"x":2}"#);
    assert_eq!(two.slot().head().epoch, epoch + 1, "one publication");
    two.says(B, &whole(r#"{"x":3}"#));
    two.shows_live(r#"{"x":3}"#);
}

#[test]
fn a_backup_that_was_first_makes_no_value_older() {
    let mut two = two();
    for leg in [B, A] {
        two.says(leg, &whole(r#"{"x":1}"#));
    }
    let came = two.slot().head();
    two.loses(A);
    let shown = two.slot().head();
    assert_eq!(
        (shown.whole_at, shown.received_at),
        (came.whole_at, came.received_at)
    );
}

#[test]
fn what_the_backup_never_brought_stays_as_it_is() {
    let mut two = two();
    two.says(A, &whole(r#"{"x":1}"#));
    let head = two.slot().head();
    two.loses(A);
    two.shows_live(r#"{"x":1}"#);
    assert_eq!(two.slot().head().epoch, head.epoch);
}

#[test]
fn patches_without_a_whole_value_are_laid_over_what_is_shown() {
    let mut two = two();
    two.says(A, &whole(r#"{"x":1,"y":1,"z":1}"#));
    two.says(A, &patch(r#"{"x":2}"#));
    two.says(B, &patch(r#"{"x":2}"#));
    two.says(B, &patch(r#"{"y":null}"#));
    two.says(B, &patch(r#"{"y":3}"#));
    two.shows_live(r#"{"x":2,"y":1,"z":1}"#);
    two.loses(A);
    two.shows_live(r#"{"x":2,"y":3,"z":1}"#);
}

#[test]
fn a_backup_with_a_whole_value_starts_anew() {
    let mut two = two();
    two.says(A, &whole(r#"{"x":1,"y":1}"#));
    two.says(B, &patch(r#"{"x":5}"#));
    two.says(B, &whole(r#"{"y":2}"#));
    two.says(B, &patch(r#"{"z":{"a":1}}"#));
    two.loses(A);
    two.shows_live(r#"{"y":2,"z":{"a":1}}"#);
}

#[test]
fn removals_are_held_as_values_are() {
    let mut two = two();
    two.says(A, &whole(r#"{"x":1}"#));
    two.says(B, r#"[{"i":1,"k":"remove"}]"#);
    two.shows_live(r#"{"x":1}"#);
    // A patch for nothing is nothing.
    two.says(B, &patch(r#"{"x":2}"#));
    assert_eq!(two.counters.snapshot().missing, 1);
    two.loses(A);
    assert_eq!(two.slot().head().state, State::Removed);
    // And the other way about.
    two.acts(|ingest| ingest.joined(A));
    two.says(A, &whole(r#"{"x":3}"#));
    assert_eq!(two.slot().head().state, State::Removed);
    two.loses(B);
    two.shows_live(r#"{"x":3}"#);
    // What revives it begins from nothing, and is partial.
    two.acts(|ingest| ingest.joined(B));
    two.says(B, r#"[{"i":1,"k":"remove"}]"#);
    two.says(B, r#"[{"i":1,"k":"insert","v":{"y":4}}]"#);
    two.loses(A);
    two.shows(r#"{"y":4}"#);
    assert_eq!(two.slot().head().flags, flags::PARTIAL);
}

#[test]
fn a_slot_that_is_ahead_keeps_its_value() {
    for rule in ["key", "time", "equal"] {
        let mut two = two();
        two.says(A, &change("whole", r#"{"x":1}"#, 10, rule));
        two.says(B, &change("whole", r#"{"x":1}"#, 10, rule));
        two.says(A, &change("patch", r#"{"x":2}"#, 11, rule));
        two.says(A, &change("patch", r#"{"x":3}"#, 12, rule));
        two.says(B, &change("patch", r#"{"x":2}"#, 11, rule));
        two.loses(A);
        two.shows_live(r#"{"x":3}"#);
        two.says(B, &change("patch", r#"{"x":4}"#, 13, rule));
        two.shows_live(r#"{"x":4}"#);
        assert_eq!(two.counters.snapshot().gaps, 0, "{rule}");
    }
}

#[test]
fn a_slot_that_is_behind_catches_up() {
    for rule in ["key", "time", "equal"] {
        let mut two = two();
        two.says(A, &change("whole", r#"{"x":1,"y":0}"#, 10, rule));
        two.says(B, &change("patch", r#"{"x":1}"#, 10, rule));
        two.says(B, &change("patch", r#"{"x":2}"#, 11, rule));
        two.says(B, &change("patch", r#"{"x":3}"#, 12, rule));
        two.loses(A);
        two.shows_live(r#"{"x":3,"y":0}"#);
        two.says(B, &change("patch", r#"{"x":4}"#, 13, rule));
        two.shows_live(r#"{"x":4,"y":0}"#);
        assert_eq!(two.counters.snapshot().gaps, 0, "{rule}");
    }
}

#[test]
fn patches_that_do_not_reach_what_is_shown_leave_a_gap() {
    let mut two = two();
    two.says(A, &change("whole", r#"{"x":1}"#, 10, "key"));
    // 11 was said before it had subscribed.
    two.says(B, &change("patch", r#"{"y":2}"#, 12, "key"));
    two.loses(A);
    two.shows(r#"{"x":1,"y":2}"#);
    assert_eq!(two.slot().head().flags, flags::GAP);
    assert_eq!(two.counters.snapshot().gaps, 1);
}

#[test]
fn a_numbering_that_begins_anew_is_not_compared() {
    // The service restarted; A did not live to say so.
    let mut two = two();
    two.says(A, &change("whole", r#"{"x":1}"#, 1000, "key"));
    two.says(B, &change("whole", r#"{"x":1}"#, 1000, "key"));
    two.says(B, &change("whole", r#"{"x":2}"#, 1, "key"));
    two.loses(A);
    two.shows_live(r#"{"x":2}"#);
    two.says(B, &change("patch", r#"{"x":3}"#, 2, "key"));
    two.shows_live(r#"{"x":3}"#);

    // Each connection has numbers of its own.
    let mut two = Two::open(OnConnect::Trust);
    two.says(A, &change("whole", r#"{"x":1}"#, 1000, "restarting"));
    two.says(B, &change("whole", r#"{"x":1}"#, 3, "restarting"));
    two.loses(A);
    two.says(B, &change("whole", r#"{"x":2}"#, 4, "restarting"));
    two.shows_live(r#"{"x":2}"#);
    // Nothing came over the next one before it was shown.
    two.acts(|ingest| ingest.joined(A));
    two.loses(B);
    two.says(A, &change("whole", r#"{"x":3}"#, 1, "restarting"));
    two.shows_live(r#"{"x":3}"#);
    two.says(A, &change("whole", r#"{"x":0}"#, 1, "restarting"));
    two.shows_live(r#"{"x":3}"#);
}

#[test]
fn an_invalidation_is_of_the_whole_feed_once() {
    let sum = |two: &Two| two.slot().invalidation();
    let mut two = two();
    two.says(A, &whole(r#"{"x":1}"#));
    let start = sum(&two);
    let mark = r#"[{"i":1,"k":"invalidate"}]"#;
    // Whoever is first, it counts once.
    two.says(A, mark);
    assert_eq!(sum(&two), start + 1);
    two.says(B, mark);
    two.says(B, mark);
    assert_eq!(sum(&two), start + 1);
    two.says(A, mark);
    assert_eq!(sum(&two), start + 2);
    two.loses(A);
    assert_eq!(sum(&two), start + 2);
    // What the other one did not live to report.
    two.acts(|ingest| ingest.joined(A));
    two.says(B, &whole(r#"{"x":2}"#));
    two.says(A, mark);
    assert!(is_live(&two.slot()));
    two.loses(B);
    assert_eq!(sum(&two), start + 3);
    assert!(!is_live(&two.slot()));
    // A whole value came after it.
    two.acts(|ingest| ingest.joined(B));
    two.says(A, &whole(r#"{"x":3}"#));
    for mark in [mark, r#"[{"k":"invalidate"}]"#] {
        two.says(B, mark);
    }
    two.says(B, &whole(r#"{"x":4}"#));
    two.loses(A);
    two.shows_live(r#"{"x":4}"#);
}

#[test]
fn a_value_that_was_invalidated_is_not_confirmed_by_what_came_before() {
    let mut two = two();
    for leg in [A, B] {
        two.says(leg, &whole(r#"{"x":1}"#));
    }
    two.slot().invalidate();
    two.loses(A);
    two.shows(r#"{"x":1}"#);
    assert!(!is_live(&two.slot()));
}

#[test]
fn opening_anew_with_a_connection_confirms_what_it_has_brought() {
    for on_connect in [OnConnect::Invalidate, OnConnect::Trust] {
        let mut two = Two::open(on_connect);
        two.says(A, &whole(r#"{"x":1}"#));
        two.says(A, r#"[{"i":2,"v":{"x":1}}]"#);
        two.says(B, &whole(r#"{"x":2}"#));
        two.acts(|ingest| {
            ingest.left(A);
            ingest.lost();
        });
        assert!(!is_live(&two.slot()));
        two.acts(|ingest| {
            ingest.opened(B);
            while ingest.catch_up() {}
        });
        two.shows_live(r#"{"x":2}"#);
        assert!(!is_live(&two.world.slot("e", 2)));
    }
}

#[test]
fn many_slots_are_laid_in_slices_and_no_message_overtakes() {
    let mut two = two();
    for id in 1..40 {
        two.says(A, &format!(r#"[{{"i":{id},"v":{{"x":1}}}}]"#));
        two.says(B, &format!(r#"[{{"i":{id},"v":{{"x":2,"y":2}}}}]"#));
    }
    two.acts(|ingest| {
        ingest.left(A);
        ingest.promoted(B);
    });
    let shown = |two: &Two, id: i64| value(&two.world.slot("e", id));
    assert_eq!(shown(&two, 39), r#"{"x":1}"#, "not in one turn");
    assert!((1..40).all(|id| is_live(&two.world.slot("e", id))));
    two.says(B, r#"[{"i":39,"k":"patch","v":{"x":3}}]"#);
    assert_eq!(shown(&two, 39), r#"{"x":3,"y":2}"#);
    let mut turns = 0;
    let mut more = true;
    while more {
        two.acts(|ingest| more = ingest.catch_up());
        turns += 1;
    }
    assert!(turns > 5, "{turns}");
    assert!((1..39).all(|id| shown(&two, id) == r#"{"x":2,"y":2}"#));
    assert_eq!(shown(&two, 39), r#"{"x":3,"y":2}"#);
}

#[test]
fn a_leg_that_goes_before_all_is_laid_leaves_it_behind() {
    let mut two = two();
    for id in 1..40 {
        two.says(A, &format!(r#"[{{"i":{id},"v":{{"x":1}}}}]"#));
        two.says(B, &format!(r#"[{{"i":{id},"v":{{"x":2}}}}]"#));
    }
    two.acts(|ingest| {
        ingest.left(A);
        ingest.promoted(B);
        ingest.joined(A);
        ingest.left(B);
        ingest.promoted(A);
    });
    assert!((1..40).all(|id| value(&two.world.slot("e", id)) == r#"{"x":2}"#));
}
