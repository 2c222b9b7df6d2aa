//! Anything may happen to any leg at any time; what the group says always fits together.

use super::*;

/// What a driver knows by the actions alone.
#[derive(Debug, Default)]
struct Known {
    open: Vec<Leg>,
    shown: Option<Leg>,
    silent: bool,
    generation: u64,
    finished: bool,
}

impl Known {
    #[track_caller]
    fn take(&mut self, action: &GroupAction, ready: impl Fn(Leg) -> bool) {
        assert!(!self.finished, "{action:?} after the end");
        match action {
            GroupAction::Opened { leg, generation } => {
                assert_eq!(self.shown, None, "open already");
                self.generation += 1;
                assert_eq!(*generation, self.generation);
                if !self.open.contains(leg) {
                    self.open.push(*leg);
                }
                (self.shown, self.silent) = (Some(*leg), false);
            }
            GroupAction::Joined { leg } => {
                assert!(self.shown.is_some() && !self.open.contains(leg));
                self.open.push(*leg);
            }
            GroupAction::Left { leg, .. } => {
                assert!(self.open.contains(leg), "{leg:?} was not open");
                self.open.retain(|open| open != leg);
            }
            GroupAction::Promoted { leg, .. } => {
                assert!(self.open.contains(leg) && self.shown.is_some());
                assert_ne!(self.shown, Some(*leg));
                self.shown = Some(*leg);
            }
            GroupAction::Lost(reason) => {
                let gone = self.shown.take().expect("something was shown");
                assert!(!self.open.contains(&gone), "it is open yet");
                let other = self.open.iter().find(|leg| ready(**leg));
                let stopped = *reason == Lost::Stopped;
                assert!(stopped || other.is_none(), "{other:?} was ready");
                self.silent = false;
            }
            GroupAction::Silent | GroupAction::Audible => {
                let silent = *action == GroupAction::Silent;
                assert!(self.shown.is_some() && silent != self.silent);
                self.silent = silent;
            }
            GroupAction::Finished => self.finished = true,
            _ => {}
        }
    }
}

fn run(seed: u64) {
    let mut random = Random::seeded(seed);
    let mut draw = |below: u64| random.next_u64() % below;
    let mut settings = settings();
    if draw(2) == 0 {
        settings.silent_after = Duration::from_secs(1 + draw(5));
    }
    let lifetime = match draw(3) {
        0 => None,
        1 => Some(Duration::MAX),
        _ => Some(Duration::from_secs(5 + draw(60))),
    };
    let plan = Plan {
        redundant: draw(4) > 0,
        lifetime,
    };
    let mut crew = Crew::new(settings, plan, &["x"]);
    let mut known = Known::default();
    let mut tickets = Vec::new();
    let steps = 60 + draw(100);
    for step in 0..steps {
        // Nothing else happens in between, so this is what the group has to go by.
        let fit = Leg::ALL.map(|leg| crew.group.member(leg).is_some_and(decide::can_step_in));
        let legs: Vec<_> = crew.group.legs().collect();
        let leg = legs[draw(legs.len() as u64) as usize];
        let is_open = crew.group.machine(leg).expect("a leg").state() == State::Open;
        let mut timed = false;
        match draw(12) {
            0 | 1 if crew.connecting.contains(&leg) => crew.connect(leg),
            2 if crew.connecting.contains(&leg) => {
                crew.connecting.retain(|other| *other != leg);
                crew.group.handle_failed(leg, crew.now);
            }
            3 | 4 if is_open => drop(crew.grant(leg)),
            5 | 6 if is_open => crew.says(leg, r#"{"d":"x"}"#),
            7 if is_open && draw(3) == 0 => crew.says(leg, r#"{"bye":1}"#),
            8 if draw(2) == 0 => crew.ends(leg),
            9 => {
                let ticket = Ticket(step);
                let streams = vec![sub(["y", "z"][draw(2) as usize])];
                let now = crew.now;
                let asked = if draw(2) == 0 {
                    crew.group.subscribe(now, ticket, streams)
                } else {
                    crew.group.unsubscribe(now, ticket, &streams)
                };
                if asked.is_ok() {
                    tickets.push(ticket);
                }
            }
            10 if is_open && draw(3) == 0 => {
                let now = crew.now;
                crew.group.handle_torn(leg, now);
            }
            _ => {
                timed = true;
                let millis = draw(1500);
                crew.pass(Duration::from_millis(millis));
            }
        }
        crew.collect();
        for action in crew.seen() {
            if let GroupAction::Settled(Settled {
                ticket: Some(ticket),
                ..
            }) = action
            {
                let at = tickets.iter().position(|open| *open == ticket);
                tickets.swap_remove(at.expect("settled once"));
            }
            // Deadlines may come one after the other, and change what is ready in between.
            known.take(&action, |leg| !timed && fit[leg.index()]);
        }
        assert_eq!(known.silent, crew.group.is_silent(), "step {step}");
        let open = known.shown.is_some();
        assert_eq!(open, crew.group.state() == State::Open, "step {step}");
        if let Some(shown) = known.shown {
            assert_eq!(shown, crew.group.shown(), "step {step}");
            assert_ne!(crew.group.role(shown), Some(Role::Leaving));
        }
    }
    crew.group.stop(crew.now);
    crew.collect();
    crew.pass(Duration::from_secs(5));
    for action in crew.seen() {
        if let GroupAction::Settled(Settled {
            ticket: Some(ticket),
            ..
        }) = &action
        {
            tickets.retain(|open| open != ticket);
        }
        known.take(&action, |_| false);
    }
    assert!(known.finished);
    assert_eq!(tickets, [], "everybody has an answer");
    assert_eq!(known.shown, None);
}

#[test]
fn whatever_happens_what_is_said_fits_together() {
    let runs = if cfg!(miri) { 5 } else { 3000 };
    for seed in 0..runs {
        let run = std::panic::catch_unwind(|| run(seed));
        assert!(run.is_ok(), "seed {seed}");
    }
}
