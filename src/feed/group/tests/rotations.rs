use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn rotating(lifetime: Option<Duration>, redundant: bool) -> Plan {
    Plan {
        redundant,
        lifetime,
    }
}

fn gone(leg: Leg) -> [GroupAction; 2] {
    let reason = Lost::Stopped;
    [GroupAction::Left { leg, reason }, GroupAction::Gone { leg }]
}

/// A is open, ready and shown.
fn alone(lifetime: Option<Duration>) -> Crew {
    let mut crew = Crew::new(settings(), rotating(lifetime, false), &["x"]);
    crew.connect(A);
    crew.grant(A);
    crew.says(A, r#"{"d":"x"}"#);
    assert_eq!(crew.seen(), [opened(A, 1)]);
    crew
}

#[test]
fn a_successor_is_shown_before_the_old_one_says_goodbye() {
    let mut crew = alone(Some(DAY));
    let now = crew.now;
    // What is wanted now counts, not what was wanted from the start.
    crew.group
        .subscribe(now, Ticket(1), vec![sub("y")])
        .expect("asked");
    crew.group
        .unsubscribe(now, Ticket(2), &[sub("x")])
        .expect("asked");
    crew.collect();
    crew.grant(A);
    crew.seen();
    crew.pass(DAY - seconds(50 * 60));
    assert_eq!(crew.connecting, []);
    crew.pass(seconds(20 * 60));
    assert_eq!(crew.connecting, [B]);
    assert_eq!(crew.group.role(B), Some(Role::Successor));
    crew.connect(B);
    assert_eq!(crew.grant(B), ["text +1 y"]);
    assert_eq!(crew.seen(), [GroupAction::Joined { leg: B }]);
    assert_eq!(crew.told(A), [""; 0]);
    crew.says(B, r#"{"d":"y"}"#);
    let goodbye = GroupAction::Left {
        leg: A,
        reason: Lost::Stopped,
    };
    assert_eq!(crew.seen(), [promoted(B), goodbye]);
    assert_eq!(crew.told(A), ["close 1000"]);
    assert_eq!(crew.group.role(A), Some(Role::Leaving));
    crew.ends(A);
    assert_eq!(crew.seen(), [GroupAction::Gone { leg: A }]);
    assert_eq!(crew.group.legs().collect::<Vec<_>>(), [B]);
    let counted = crew.group.counters().snapshot();
    let rotated = (counted.rotations, counted.promotions, counted.losses);
    assert_eq!(rotated, (1, 1, 0));
    // And so on.
    crew.pass(DAY - seconds(25 * 60));
    assert_eq!(crew.connecting, [A]);
}

#[test]
fn a_notice_is_as_good_as_the_time() {
    let mut crew = alone(None);
    crew.says(A, r#"{"bye":1}"#);
    assert_eq!(crew.seen(), [GroupAction::Closing { leg: A }]);
    assert_eq!(crew.connecting, [B]);
    crew.connect(B);
    crew.grant(B);
    crew.says(B, r#"{"d":"x"}"#);
    assert_eq!(
        crew.seen()[..2],
        [GroupAction::Joined { leg: B }, promoted(B)]
    );

    let mut crew = alone(Some(Duration::MAX));
    crew.says(A, r#"{"bye":1}"#);
    assert_eq!(crew.connecting, []);
}

#[test]
fn a_successor_that_fails_is_tried_again() {
    let mut crew = alone(None);
    crew.says(A, r#"{"bye":1}"#);
    for _ in 0..3 {
        assert_eq!(crew.connecting, [B]);
        crew.connecting.clear();
        crew.group.handle_failed(B, crew.now);
        crew.collect();
        crew.pass(seconds(1));
    }
    crew.connect(B);
    crew.seen();
    // It goes before it was ready.
    crew.ends(B);
    assert_eq!(crew.seen(), [left(B)]);
    crew.pass(seconds(1));
    crew.connect(B);
    crew.grant(B);
    crew.says(B, r#"{"d":"x"}"#);
    assert_eq!(
        crew.seen()[..2],
        [GroupAction::Joined { leg: B }, promoted(B)]
    );
}

#[test]
fn a_successor_takes_over_when_the_old_one_goes_first() {
    // Ready by then is shown already, so this one is not.
    let mut crew = alone(None);
    crew.says(A, r#"{"bye":1}"#);
    crew.connect(B);
    crew.seen();
    crew.ends(A);
    let lost = GroupAction::Lost(Lost::Ended);
    assert_eq!(crew.seen(), [left(A), lost, opened(B, 2)]);
    // Whichever state the old one is in, it is replaced.
    crew.grant(B);
    crew.says(B, r#"{"d":"x"}"#);
    assert_eq!(crew.seen(), [GroupAction::Gone { leg: A }]);
    assert_eq!(crew.group.role(B), Some(Role::Shown));
    crew.pass(seconds(60));
    assert_eq!(crew.connecting, []);
}

#[test]
fn two_that_stand_rotate_at_different_times() {
    let lifetime = seconds(1000);
    let mut crew = Crew::new(settings(), rotating(Some(lifetime), true), &["x"]);
    for leg in [A, B] {
        crew.connect(leg);
        crew.grant(leg);
        crew.says(leg, r#"{"d":"x"}"#);
    }
    let start = crew.now;
    let (mut rotations, mut last) = (0, None);
    let mut age = [(); Leg::COUNT].map(|()| start);
    for _ in 0..4000 {
        crew.pass(seconds(1));
        for leg in crew.group.legs().collect::<Vec<_>>() {
            let is_open = crew.group.machine(leg).expect("a leg").state() == State::Open;
            let lived = crew.now.since(age[leg.index()]);
            assert!(!is_open || lived < lifetime, "{leg:?} outlived its time");
        }
        let Some(leg) = crew.connecting.first().copied() else {
            continue;
        };
        let apart = last.map(|at| crew.now.since(at));
        assert!(apart.is_none_or(|apart| apart > seconds(200)), "{apart:?}");
        last = Some(crew.now);
        age[leg.index()] = crew.now;
        crew.connect(leg);
        crew.grant(leg);
        crew.says(leg, r#"{"d":"x"}"#);
        rotations += 1;
    }
    assert!(rotations >= 8, "{rotations}");
    let lost = |action: &GroupAction| matches!(action, GroupAction::Lost(_));
    assert!(!crew.seen().iter().any(lost));
}

#[test]
fn a_leg_that_is_not_shown_is_replaced_without_being_missed() {
    let mut crew = Crew::both(settings());
    crew.says(B, r#"{"bye":1}"#);
    assert_eq!(crew.connecting, [C]);
    crew.connect(C);
    crew.grant(C);
    crew.says(C, r#"{"d":"x"}"#);
    crew.ends(B);
    let mut expected = vec![
        GroupAction::Closing { leg: B },
        GroupAction::Joined { leg: C },
    ];
    expected.extend(gone(B));
    assert_eq!(crew.seen(), expected);
    assert_eq!(crew.group.shown(), A);
    assert_eq!(crew.group.role(C), Some(Role::Backup));
    crew.ends(A);
    assert_eq!(crew.seen(), [left(A), promoted(C)]);
}

#[test]
fn a_goodbye_without_an_end_holds_up_no_rotation() {
    let mut settings = settings();
    settings.close_timeout = Duration::MAX;
    let mut crew = Crew::both(settings);
    for round in 0..6 {
        let shown = crew.group.shown();
        crew.says(shown, r#"{"bye":1}"#);
        crew.pass(seconds(1));
        let next = crew.connecting[0];
        crew.connect(next);
        crew.grant(next);
        crew.says(next, r#"{"d":"x"}"#);
        assert_eq!(crew.group.shown(), next, "round {round}");
        assert!(crew.group.legs().count() <= Leg::COUNT);
    }
}

#[test]
fn a_request_outlives_the_leg_it_was_made_of() {
    let mut crew = alone(None);
    crew.says(A, r#"{"bye":1}"#);
    crew.connect(B);
    crew.grant(B);
    crew.seen();
    let (now, ticket) = (crew.now, Ticket(9));
    crew.group
        .subscribe(now, ticket, vec![sub("y")])
        .expect("asked");
    crew.collect();
    // The successor is granted it first.
    crew.grant(B);
    crew.says(B, r#"{"d":"x"}"#);
    let settled = GroupAction::Settled(Settled {
        ticket: Some(ticket),
        result: Ok(()),
    });
    let goodbye = GroupAction::Left {
        leg: A,
        reason: Lost::Stopped,
    };
    assert_eq!(crew.seen(), [promoted(B), settled, goodbye]);
}

#[test]
fn every_place_is_used_again() {
    let mut crew = Crew::both(settings());
    let mut used = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let shown = crew.group.shown();
        crew.says(shown, r#"{"bye":1}"#);
        let next = crew.connecting[0];
        crew.connect(next);
        crew.grant(next);
        crew.says(next, r#"{"d":"x"}"#);
        crew.ends(shown);
        used.insert(next);
    }
    assert!(used.iter().all(|leg| [A, B, C, D].contains(leg)) && used.len() >= 2);
}
