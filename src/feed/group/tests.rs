//! Two or three scripted servers, virtual time, and the actions of the group.

use super::*;
use crate::feed::backoff::{Backoff, Jitter};
use crate::feed::testing::{Recording, client_frames, frame};
use crate::feed::{
    Answer, Asked, Claims, Class, Control, Covers, Lost, Outbox, Refusal, Settings, Settled, Sink,
    Subscription, Ticket, Update,
};
use crate::json::Message;
use crate::key::{Id, IdRef};

mod model;
mod requests;
mod rotations;

/// `{"d":id}` is data, `{"ok":n}` and `{"no":n}` answer the request `n`, `{"bye":1}` says that the
/// server will close. Requests are `+n id,id` and `-n id,id`.
#[derive(Clone, Debug)]
struct Script {
    wanted: Vec<&'static str>,
}

impl Protocol for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: Vec::new(),
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn initial(&self) -> Vec<Subscription> {
        self.wanted.iter().map(|id| sub(id)).collect()
    }

    fn check(&self, _: &Subscription) -> Result<(), SubscribeError> {
        Ok(())
    }

    fn value_of(&self, subscription: &Subscription) -> Option<(String, Id)> {
        (*subscription.channel == *"c").then(|| ("e".into(), Id::from(&*subscription.id)))
    }

    fn subscribe(
        &mut self,
        request: u64,
        wanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        ask('+', request, wanted, out)
    }

    fn unsubscribe(
        &mut self,
        request: u64,
        unwanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        ask('-', request, unwanted, out)
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        _: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let root = message.root();
        let number = |name| root.get(name).and_then(|it| it.u64());
        if let Some(request) = number("ok") {
            return Ok(Class::Control(Control::Granted(request)));
        }
        if let Some(request) = number("no") {
            return Ok(Class::Control(Control::Denied(Some(request), "no")));
        }
        if root.get("bye").is_some() {
            return Ok(Class::Control(Control::Closing));
        }
        let id = root.get("d").and_then(|id| id.str()).ok_or(Refusal::NoId)?;
        let entity = sink.entity("e")?;
        sink.patch(entity, IdRef::Text(id), Update::whole(), root)?;
        Ok(Class::Data)
    }
}

fn ask(
    verb: char,
    request: u64,
    of: &[&Subscription],
    out: &mut Outbox,
) -> Result<Asked, SubscribeError> {
    let ids: Vec<_> = of.iter().map(|it| &*it.id).collect();
    out.push(format!("{verb}{request} {}", ids.join(",")))?;
    Ok(Asked {
        count: of.len(),
        answer: Answer::Expected,
    })
}

fn sub(id: &str) -> Subscription {
    Subscription::new("c", id)
}

const A: Leg = Leg(0);
const B: Leg = Leg(1);
const C: Leg = Leg(2);
const D: Leg = Leg(3);

/// Back-off is 1 s, the grace and the answer of a request 2 s, a goodbye 1 s.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.backoff = Backoff {
        jitter: Jitter::None,
        ..Backoff::fixed(Duration::from_secs(1))
    };
    settings.answer_timeout = Duration::from_secs(2);
    settings.dead_after = Duration::MAX;
    settings
}

/// A group, its servers, and the clock.
struct Crew {
    group: Group<Script>,
    sink: Recording,
    now: Time,
    /// What has not been looked at, but for requests to connect and disconnect.
    seen: Vec<GroupAction>,
    connecting: Vec<Leg>,
    bytes: [Vec<u8>; Leg::COUNT],
    /// What the servers were told.
    told: [Vec<String>; Leg::COUNT],
}

impl Crew {
    fn new(settings: Settings, plan: Plan, wanted: &[&'static str]) -> Self {
        let config = settings.check().expect("settings that work");
        let counters = Arc::new(Counters::default());
        let wanted = wanted.to_vec();
        let spawn = move || {
            let script = Script {
                wanted: wanted.clone(),
            };
            Machine::new(config.clone(), script, Arc::clone(&counters), 7)
        };
        let group = Group::new(plan, Box::new(spawn), 7).expect("the streams can be asked for");
        let mut crew = Self {
            group,
            sink: Recording::default(),
            now: Time::from_nanos(1_000_000_000),
            seen: Vec::new(),
            connecting: Vec::new(),
            bytes: Default::default(),
            told: Default::default(),
        };
        crew.group.start(crew.now);
        crew.collect();
        crew
    }

    fn redundant(settings: Settings, wanted: &[&'static str]) -> Self {
        let plan = Plan {
            redundant: true,
            lifetime: None,
        };
        Self::new(settings, plan, wanted)
    }

    /// Two legs that are open and ready; A is shown.
    fn both(settings: Settings) -> Self {
        let mut crew = Self::redundant(settings, &["x"]);
        for leg in [A, B] {
            crew.connect(leg);
            crew.grant(leg);
            crew.says(leg, r#"{"d":"x"}"#);
        }
        assert!(crew.group.is_ready(A) && crew.group.is_ready(B));
        let opened = GroupAction::Opened {
            leg: A,
            generation: 1,
        };
        assert_eq!(crew.seen(), [opened, GroupAction::Joined { leg: B }]);
        crew
    }

    fn collect(&mut self) {
        while let Some(action) = self.group.poll_action() {
            match action {
                GroupAction::Connect { leg, .. } => self.connecting.push(leg),
                GroupAction::Disconnect { leg } => {
                    self.flush(leg);
                    self.connecting.retain(|other| *other != leg);
                }
                GroupAction::Opened { leg, .. } | GroupAction::Joined { leg } => {
                    self.seen.push(action);
                    self.group.handle_filled(leg, self.now, 0, &mut self.sink);
                }
                GroupAction::Ready { leg } => {
                    // Its time may have been up in the same moment.
                    let mut later = self.group.actions.iter();
                    let is_left = later
                        .any(|it| matches!(it, GroupAction::Left { leg: of, .. } if *of == leg));
                    assert!(self.group.is_ready(leg) || is_left);
                }
                action => self.seen.push(action),
            }
        }
        for leg in Leg::ALL {
            self.flush(leg);
        }
    }

    fn flush(&mut self, leg: Leg) {
        loop {
            let bytes = self.group.transmit(leg).to_vec();
            if bytes.is_empty() {
                break;
            }
            self.bytes[leg.index()].extend_from_slice(&bytes);
            self.group.handle_transmitted(leg, self.now, bytes.len());
        }
        let (frames, rest) = client_frames(&std::mem::take(&mut self.bytes[leg.index()]));
        self.bytes[leg.index()] = rest;
        self.told[leg.index()].extend(frames);
    }

    #[track_caller]
    fn connect(&mut self, leg: Leg) {
        let at = self.connecting.iter().position(|other| *other == leg);
        self.connecting.remove(at.expect("the leg connects"));
        self.group.handle_connected(leg, self.now, &[], &[]);
        self.collect();
    }

    fn says(&mut self, leg: Leg, text: &str) {
        let bytes = frame(1, text.as_bytes());
        self.group.space(leg)[..bytes.len()].copy_from_slice(&bytes);
        self.group
            .handle_filled(leg, self.now, bytes.len(), &mut self.sink);
        self.collect();
    }

    fn told(&mut self, leg: Leg) -> Vec<String> {
        std::mem::take(&mut self.told[leg.index()])
    }

    /// The server grants all that it was asked for.
    fn grant(&mut self, leg: Leg) -> Vec<String> {
        let told = self.told(leg);
        for text in &told {
            if let Some(request) = text.strip_prefix("text ") {
                let request = request[1..].split(' ').next().expect("a number").to_owned();
                self.says(leg, &format!(r#"{{"ok":{request}}}"#));
            }
        }
        told
    }

    fn ends(&mut self, leg: Leg) {
        self.group.handle_closed(leg, self.now, Ended::Eof);
        self.collect();
    }

    /// Time passes; every deadline on the way is kept at its instant.
    fn pass(&mut self, span: Duration) {
        let end = self.now.after(span);
        let mut looks = 0;
        while let Some(at) = self.group.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.group.handle_timeout(self.now);
            self.collect();
            looks += 1;
            assert!(looks < 100_000, "deadlines that nothing ends");
        }
        self.now = end;
    }

    fn seen(&mut self) -> Vec<GroupAction> {
        std::mem::take(&mut self.seen)
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn left(leg: Leg) -> GroupAction {
    let reason = Lost::Ended;
    GroupAction::Left { leg, reason }
}

fn promoted(leg: Leg) -> GroupAction {
    let unsettled = Vec::new();
    GroupAction::Promoted { leg, unsettled }
}

fn opened(leg: Leg, generation: u64) -> GroupAction {
    GroupAction::Opened { leg, generation }
}

#[test]
fn one_connection_is_lost_and_found_as_its_machine_says() {
    let mut crew = Crew::new(settings(), Plan::default(), &["x"]);
    crew.connect(A);
    crew.grant(A);
    crew.says(A, r#"{"d":"x"}"#);
    assert_eq!(crew.seen(), [opened(A, 1)]);
    crew.ends(A);
    assert_eq!(crew.seen(), [left(A), GroupAction::Lost(Lost::Ended)]);
    assert!(matches!(crew.group.state(), State::Waiting { .. }));
    crew.pass(seconds(1));
    crew.connect(A);
    assert_eq!(crew.seen(), [opened(A, 2)]);
    assert_eq!(crew.group.legs().count(), 1);
}

#[test]
fn either_of_two_may_be_lost_and_nothing_is() {
    for (first, other) in [(A, B), (B, A)] {
        let mut crew = Crew::both(settings());
        crew.ends(first);
        let expected = if first == A {
            vec![left(first), promoted(other)]
        } else {
            vec![left(first)]
        };
        assert_eq!(crew.seen(), expected);
        assert_eq!(crew.group.shown(), if first == A { B } else { A });
        // It comes back beside the other one, and the other one may go.
        crew.pass(seconds(1));
        crew.connect(first);
        crew.grant(first);
        crew.says(first, r#"{"d":"x"}"#);
        assert_eq!(crew.seen(), [GroupAction::Joined { leg: first }]);
        let shown = crew.group.shown();
        let next = if shown == A { B } else { A };
        crew.ends(shown);
        assert_eq!(crew.seen(), [left(shown), promoted(next)]);
    }
}

#[test]
fn a_leg_that_is_not_ready_opens_the_feed_anew() {
    let mut crew = Crew::redundant(settings(), &["x"]);
    crew.connect(A);
    crew.grant(A);
    crew.connect(B);
    crew.seen();
    // Asked, and not answered.
    crew.ends(A);
    let lost = GroupAction::Lost(Lost::Ended);
    assert_eq!(crew.seen(), [left(A), lost, opened(B, 2)]);
}

#[test]
fn a_feed_without_a_leg_opens_with_the_first_that_is_back() {
    let mut crew = Crew::both(settings());
    crew.ends(B);
    crew.ends(A);
    let lost = GroupAction::Lost(Lost::Ended);
    assert_eq!(crew.seen(), [left(B), left(A), lost]);
    crew.pass(seconds(1));
    crew.connect(B);
    crew.connect(A);
    assert_eq!(crew.seen(), [opened(B, 2), GroupAction::Joined { leg: A }]);
}

#[test]
fn a_leg_with_nothing_to_say_is_ready_after_a_while() {
    let mut crew = Crew::redundant(settings(), &["x"]);
    for leg in [A, B] {
        crew.connect(leg);
        crew.grant(leg);
    }
    assert!(!crew.group.is_ready(B));
    crew.pass(seconds(2));
    assert!(crew.group.is_ready(B));
    crew.seen();
    crew.ends(A);
    assert_eq!(crew.seen(), [left(A), promoted(B)]);
}

#[test]
fn a_leg_that_speaks_is_shown_instead_of_a_silent_one() {
    let mut settings = settings();
    settings.silent_after = seconds(5);
    let mut crew = Crew::both(settings);
    crew.pass(seconds(4));
    crew.says(B, r#"{"d":"x"}"#);
    crew.pass(seconds(2));
    assert_eq!(crew.seen(), [promoted(B)]);
    // Now neither speaks.
    crew.pass(seconds(5));
    assert_eq!(crew.seen(), [GroupAction::Silent]);
    assert!(crew.group.is_silent());
    // The one that does first is shown.
    crew.says(A, r#"{"d":"x"}"#);
    assert_eq!(crew.seen(), [promoted(A), GroupAction::Audible]);
    assert!(!crew.group.is_silent());
}

#[test]
fn a_silent_leg_is_better_than_none() {
    let mut settings = settings();
    settings.silent_after = seconds(5);
    let mut crew = Crew::both(settings);
    crew.pass(seconds(3));
    crew.says(A, r#"{"d":"x"}"#);
    crew.pass(seconds(3));
    assert_eq!(crew.seen(), []);
    crew.ends(A);
    assert_eq!(crew.seen(), [left(A), promoted(B), GroupAction::Silent]);
}

#[test]
fn a_leg_that_misses_messages_makes_room_for_one_that_does_not() {
    let mut crew = Crew::both(settings());
    assert!(crew.group.handle_torn(A, crew.now));
    crew.collect();
    assert_eq!(crew.seen(), [promoted(B)]);
    // Both do now.
    assert!(!crew.group.handle_torn(B, crew.now));
    crew.says(A, r#"{"d":"x"}"#);
    assert!(!crew.group.is_ready(A));
    crew.pass(seconds(2));
    assert!(
        crew.group.is_ready(A),
        "what it missed the other one brought"
    );
}

#[test]
fn stopping_says_goodbye_on_every_leg() {
    let mut crew = Crew::both(settings());
    crew.group.stop(crew.now);
    crew.collect();
    assert_eq!(crew.group.state(), State::Closing);
    let stopped = |leg| GroupAction::Left {
        leg,
        reason: Lost::Stopped,
    };
    let lost = GroupAction::Lost(Lost::Stopped);
    assert_eq!(crew.seen(), [stopped(A), lost, stopped(B)]);
    assert_eq!(crew.told(A), ["close 1000"]);
    assert_eq!(crew.told(B), ["close 1000"]);
    crew.ends(A);
    assert_eq!(crew.seen(), []);
    crew.pass(seconds(1));
    assert_eq!(crew.seen(), [GroupAction::Finished]);
    assert_eq!(crew.group.state(), State::Stopped);
}

#[test]
fn a_leg_that_missed_messages_is_left_for_one_that_speaks() {
    let mut settings = settings();
    settings.silent_after = seconds(5);
    let mut crew = Crew::both(settings);
    crew.ends(B);
    // Nobody has what it misses.
    assert!(!crew.group.handle_torn(A, crew.now));
    crew.pass(seconds(1));
    crew.connect(B);
    crew.grant(B);
    crew.seen();
    crew.says(B, r#"{"d":"x"}"#);
    assert_eq!(crew.seen(), [promoted(B)]);
    // It falls silent, and the other one is as good again.
    crew.pass(seconds(3));
    crew.says(A, r#"{"d":"x"}"#);
    crew.pass(seconds(3));
    assert_eq!(crew.seen(), [promoted(A)]);
}
