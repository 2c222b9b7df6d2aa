use super::kept::{Kept, MAX_DENIED};
use super::*;
use crate::feed::protocol::{Answer, Verb};
use crate::feed::registry::Ticket;
use crate::key::Id;

const SECOND: Duration = Duration::from_secs(1);
const WITHIN: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> Time {
    Time::from_nanos(seconds * 1_000_000_000)
}

fn stream(id: &str) -> Subscription {
    Subscription::new("ticker", id)
}

/// Every stream but that of all symbols keeps one value up.
fn value_of(stream: &Subscription) -> Kept {
    (&*stream.id != "*").then(|| ("x.ticker".to_owned(), Id::from(&*stream.id)))
}

fn denied(reason: &str) -> SubscribeError {
    SubscribeError::Denied(reason.into())
}

/// A registry with its report, and a server that answers when it is told to.
struct Bench {
    registry: Registry,
    report: Report,
    now: Time,
    received: Vec<(Id, Time)>,
}

impl Bench {
    /// Connected, with these streams asked for under request 1.
    fn asked(ids: &str) -> Self {
        let mut bench = Self {
            registry: Registry::default(),
            report: Report::new(WITHIN),
            now: at(100),
            received: Vec::new(),
        };
        let streams = ids.split_whitespace().map(stream).collect();
        let subscribed = bench.registry.subscribe(None, streams, 100);
        assert_eq!(subscribed, Ok(()));
        bench.connect();
        bench
    }

    fn connect(&mut self) {
        self.registry.connected();
        let (_, pending) = self.registry.pending().expect("something is wanted");
        let count = pending.len();
        let request = self.registry.next_request();
        let deadline = self.now.after(10 * SECOND);
        let asked = (Verb::Subscribe, request, count, Answer::Expected);
        self.registry
            .asked(asked.0, asked.1, asked.2, asked.3, deadline);
        self.note();
    }

    /// What the registry has to tell; how many were given up.
    fn note(&mut self) -> u64 {
        let standings = self.registry.take_changes();
        standings.map_or(0, |standings| {
            self.report.note(self.now, standings, value_of)
        })
    }

    fn receive(&mut self, id: &str) {
        self.received.push((Id::from(id), self.now));
    }

    /// Time passes; the streams that are found silent on the way, with the second of it.
    fn pass(&mut self, seconds: u64) -> Vec<(u64, String)> {
        let end = self.now.after(seconds as u32 * SECOND);
        let mut found = Vec::new();
        while self.report.poll_timeout() <= end {
            self.now = self.now.max(self.report.poll_timeout());
            let received = self.received.clone();
            let silent = self
                .report
                .handle_timeout(self.now, |_, id| last(&received, id));
            let second = self.now.as_nanos() / 1_000_000_000;
            found.extend(silent.iter().map(|stream| (second, stream.id.to_string())));
        }
        self.now = end;
        found
    }

    /// `id state` of each.
    fn states(&self) -> Vec<String> {
        let states = self
            .report
            .states(self.now, |_, id| last(&self.received, id));
        let shown = states.into_iter().map(|status| {
            let state = match status.state {
                SubscriptionState::Granted { since } => {
                    format!("granted at {}", since.as_nanos() / 1_000_000_000)
                }
                SubscriptionState::Silent { quiet } => format!("silent for {}", quiet.as_secs()),
                SubscriptionState::Denied(error) => error.to_string(),
                other => format!("{other:?}").to_lowercase(),
            };
            format!("{} {state}", status.subscription.id)
        });
        shown.collect()
    }
}

fn last(received: &[(Id, Time)], id: &Id) -> Option<Time> {
    let mut received = received.iter().rev();
    received.find(|(other, _)| other == id).map(|(_, at)| *at)
}

#[test]
fn a_stream_that_is_granted_and_brings_nothing_is_reported_once() {
    let mut bench = Bench::asked("a b c *");
    assert_eq!(
        bench.states(),
        ["* pending", "a pending", "b pending", "c pending"]
    );
    bench.registry.granted(1);
    assert_eq!(bench.note(), 0);
    assert_eq!(bench.states()[1], "a granted at 100");
    assert_eq!(bench.pass(30), []);
    bench.receive("b");
    assert_eq!(bench.states()[2], "b flowing");
    // Of a stream of many values nobody can say.
    assert_eq!(bench.pass(30), [(160, "a".into()), (160, "c".into())]);
    assert_eq!(
        bench.states(),
        [
            "* granted at 100",
            "a silent for 60",
            "b flowing",
            "c silent for 60"
        ]
    );
    assert_eq!(bench.pass(600), []);
    bench.receive("a");
    assert_eq!(bench.states()[1..3], ["a flowing", "b silent for 630"]);

    // On the next connection it counts anew, and what was received before is of no account.
    bench.registry.disconnected();
    bench.note();
    assert_eq!(bench.states()[1], "a pending");
    bench.pass(5);
    bench.connect();
    bench.registry.granted(2);
    bench.note();
    assert_eq!(bench.states()[1], "a granted at 765");
    let silent = bench.pass(60).into_iter().map(|(_, id)| id);
    assert_eq!(silent.collect::<String>(), "abc");
}

#[test]
fn data_before_the_answer_is_data() {
    let mut bench = Bench::asked("a");
    bench.pass(1);
    bench.receive("a");
    bench.pass(1);
    bench.registry.granted(1);
    bench.note();
    assert_eq!(bench.states(), ["a flowing"]);
    assert_eq!(bench.pass(100), []);
}

#[test]
fn deadlines_close_together_are_looked_at_together() {
    let mut bench = Bench::asked("a b c");
    for id in ["a", "b", "c"] {
        bench
            .registry
            .answered(&stream(id), &crate::feed::outbox::Reply::Granted);
        bench.note();
        bench.now = Time::from_nanos(bench.now.as_nanos() + 300_000_000);
    }
    let found = bench.pass(100);
    assert_eq!(
        found,
        [(160, "a".into()), (161, "b".into()), (161, "c".into())]
    );
}

#[test]
fn what_was_given_up_is_remembered_with_its_reason() {
    let mut bench = Bench::asked("a");
    bench.registry.denied(1, "no such pair");
    assert_eq!(bench.note(), 1);
    assert_eq!(bench.states(), ["a refused by the server: no such pair"]);
    let denial = |bench: &Bench, id: &str| {
        let denial = bench.report.denial("x.ticker", &Id::from(id));
        denial.cloned()
    };
    assert_eq!(denial(&bench, "a"), Some(denied("no such pair")));
    assert_eq!(denial(&bench, "b"), None);

    // Asked for again it is wanted again.
    let again = bench
        .registry
        .subscribe(Some(Ticket(1)), vec![stream("a")], 9);
    assert_eq!(again, Ok(()));
    bench.note();
    assert_eq!(bench.states(), ["a pending"]);
    assert_eq!(denial(&bench, "a"), None);
    bench.registry.unsubscribe(None, &[stream("a")]);
    bench.note();
    assert_eq!(bench.states(), [""; 0]);
}

#[test]
fn refusals_without_end_are_not_kept_without_end() {
    let mut report = Report::new(WITHIN);
    for n in 0..MAX_DENIED + 5 {
        let changes = vec![(stream(&n.to_string()), Standing::Denied(denied("no")))];
        let standings = Standings {
            all: false,
            changes,
        };
        assert_eq!(report.note(at(1), standings, value_of), 1);
    }
    let states = report.states(at(1), |_, _| None);
    assert_eq!(states.len(), MAX_DENIED);
    assert_eq!(&*states[0].subscription.id, "5");
}

#[test]
fn an_answer_that_does_not_come_is_told_until_data_does() {
    let mut bench = Bench::asked("a");
    bench.now = at(110);
    bench.registry.expire(bench.now);
    bench.note();
    assert_eq!(bench.states(), ["a unanswered"]);
    assert_eq!(bench.pass(100), [], "that was reported as unanswered");
    bench.receive("a");
    assert_eq!(bench.states(), ["a flowing"]);
}

#[test]
fn another_connection_tells_everything_anew() {
    let mut bench = Bench::asked("a b");
    bench.registry.granted(1);
    bench.note();
    bench.pass(10);
    // It was granted one of the two, and keeps up what is known of it.
    let standings = Standings {
        all: true,
        changes: vec![(stream("a"), Standing::Granted)],
    };
    assert_eq!(bench.report.note(bench.now, standings, value_of), 1);
    assert_eq!(
        bench.states(),
        [
            "a granted at 100",
            "b refused by the server: not granted on the connection that is shown now"
        ]
    );
    assert_eq!(bench.pass(50), [(160, "a".into())]);
}

#[test]
fn changes_that_nobody_takes_are_told_as_a_whole() {
    let mut registry = Registry::default();
    for _ in 0..=MAX_CHANGES / 2 {
        let again = registry.subscribe(None, vec![stream("a"), stream("b")], 9);
        assert_eq!(again, Ok(()));
        registry.unsubscribe(None, &[stream("b")]);
    }
    assert!(registry.changes.log.len() <= MAX_CHANGES);
    let told = registry.take_changes().expect("there is something");
    assert_eq!(
        (told.all, told.changes),
        (true, vec![(stream("a"), Standing::Pending)])
    );
    assert_eq!(registry.take_changes(), None);
}
