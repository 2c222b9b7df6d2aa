use super::*;

#[test]
fn callers_are_answered_by_the_leg_that_is_shown() {
    let mut crew = Crew::both(settings());
    let (now, ticket) = (crew.now, Ticket(1));
    crew.group
        .subscribe(now, ticket, vec![sub("y")])
        .expect("asked");
    crew.collect();
    crew.grant(B);
    assert_eq!(crew.seen(), []);
    crew.grant(A);
    let settled = GroupAction::Settled(Settled {
        ticket: Some(ticket),
        result: Ok(()),
    });
    assert_eq!(crew.seen(), [settled]);
    // The end of a subscription is one when nobody sends any more.
    let ticket = Ticket(2);
    crew.group
        .unsubscribe(now, ticket, &[sub("y")])
        .expect("asked");
    crew.collect();
    crew.grant(A);
    assert_eq!(crew.seen(), []);
    crew.grant(B);
    let settled = GroupAction::Settled(Settled {
        ticket: Some(ticket),
        result: Ok(()),
    });
    assert_eq!(crew.seen(), [settled]);
}

#[test]
fn an_end_that_a_leg_has_not_answered_is_not_certain() {
    let mut settings = settings();
    settings.answer_timeout = seconds(1);
    let mut crew = Crew::both(settings);
    let ticket = Ticket(1);
    crew.group
        .unsubscribe(crew.now, ticket, &[sub("x")])
        .expect("asked");
    crew.collect();
    crew.grant(A);
    assert_eq!(crew.seen(), []);
    crew.pass(seconds(1));
    let settled = GroupAction::Settled(Settled {
        ticket: Some(ticket),
        result: Err(SubscribeError::Unanswered),
    });
    assert_eq!(crew.seen(), [settled]);
}

#[test]
fn a_request_without_an_answer_is_made_of_the_next_leg() {
    let mut crew = Crew::both(settings());
    let (now, ticket) = (crew.now, Ticket(1));
    crew.group
        .subscribe(now, ticket, vec![sub("y")])
        .expect("asked");
    crew.collect();
    crew.ends(A);
    let unsettled = vec![sub("y")];
    let promoted = GroupAction::Promoted { leg: B, unsettled };
    assert_eq!(crew.seen(), [left(A), promoted]);
    crew.grant(B);
    let settled = GroupAction::Settled(Settled {
        ticket: Some(ticket),
        result: Ok(()),
    });
    assert_eq!(crew.seen(), [settled]);
    // Asked again by the leg that comes back, of which nobody waits for an answer.
    assert_eq!(crew.told(A), ["text +2 y"]);
    crew.pass(seconds(1));
    crew.connect(A);
    assert_eq!(crew.grant(A), ["text +3 x,y"]);
    assert_eq!(crew.seen(), [GroupAction::Joined { leg: A }]);
}

#[test]
fn what_only_the_one_before_was_granted_is_asked_for_again() {
    let mut crew = Crew::both(settings());
    let (now, ticket) = (crew.now, Ticket(1));
    crew.group
        .subscribe(now, ticket, vec![sub("y")])
        .expect("asked");
    crew.collect();
    crew.grant(A);
    crew.says(B, r#"{"no":2}"#);
    crew.seen();
    crew.told(B);
    crew.ends(A);
    let unsettled = vec![sub("y")];
    let promoted = GroupAction::Promoted { leg: B, unsettled };
    assert_eq!(crew.seen(), [left(A), promoted]);
    assert_eq!(crew.told(B), ["text +3 y"]);
}

#[test]
fn what_cannot_be_doubted_by_name_makes_a_leg_unfit() {
    let mut crew = Crew::both(settings());
    let now = crew.now;
    let nameless = Subscription::new("all", "");
    crew.group
        .subscribe(now, Ticket(1), vec![nameless])
        .expect("asked");
    crew.collect();
    crew.grant(A);
    crew.seen();
    crew.ends(A);
    let lost = GroupAction::Lost(Lost::Ended);
    assert_eq!(crew.seen(), [left(A), lost, opened(B, 2)]);
}
