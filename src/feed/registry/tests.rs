use super::*;
use crate::feed::outbox::Reply;

const LIMIT: usize = 8;

fn stream(id: &str) -> Subscription {
    Subscription::new("ticker", id)
}

fn streams(ids: &str) -> Vec<Subscription> {
    ids.split_whitespace().map(stream).collect()
}

/// A registry and a server that is asked for everything pending at once.
#[derive(Default)]
struct Bench {
    registry: Registry,
    now: Time,
}

impl Bench {
    fn connected() -> Self {
        let mut bench = Self::default();
        bench.registry.connected();
        bench
    }

    fn subscribe(&mut self, ticket: u64, ids: &str) -> Result<(), SubscribeError> {
        self.registry
            .subscribe(Some(Ticket(ticket)), streams(ids), LIMIT)
    }

    fn unsubscribe(&mut self, ticket: u64, ids: &str) {
        self.registry
            .unsubscribe(Some(Ticket(ticket)), &streams(ids));
    }

    /// Asks for what is pending; gives `+a b` or `-a b` and the number of the request.
    fn ask(&mut self) -> (String, u64) {
        assert!(self.registry.is_pending());
        let (verb, pending) = self.registry.pending().expect("something is pending");
        let sign = if verb == Verb::Subscribe { '+' } else { '-' };
        let ids: Vec<_> = pending.iter().map(|s| &*s.id).collect();
        let (text, count) = (format!("{sign}{}", ids.join(" ")), ids.len());
        let request = self.registry.next_request();
        let deadline = Time::from_nanos(self.now.as_nanos() + 100);
        self.registry
            .asked(verb, request, count, Answer::Expected, deadline);
        (text, request)
    }

    #[track_caller]
    fn expect(&mut self, expected: &[(u64, Result<(), SubscribeError>)]) {
        let settled = std::iter::from_fn(|| self.registry.poll_settled());
        let settled: Vec<_> = settled
            .map(|s| (s.ticket.map_or(0, |t| t.0), s.result))
            .collect();
        assert_eq!(settled, expected);
    }

    fn wanted(&self) -> String {
        let wanted: Vec<_> = self
            .registry
            .wanted()
            .iter()
            .map(|s| s.id.to_string())
            .collect();
        wanted.join(" ")
    }
}

#[test]
fn a_ticket_is_settled_by_the_answer_to_its_request() {
    let mut bench = Bench::connected();
    bench.subscribe(1, "a b").unwrap();
    bench.expect(&[]);
    let (text, request) = bench.ask();
    assert_eq!(text, "+a b");
    assert!(!bench.registry.is_pending());
    bench.registry.granted(request + 77);
    bench.expect(&[]);
    bench.registry.granted(request);
    bench.expect(&[(1, Ok(()))]);
    // What is held already needs no answer.
    bench.subscribe(2, "b a").unwrap();
    bench.expect(&[(2, Ok(()))]);
    bench.subscribe(3, "").unwrap();
    bench.expect(&[(3, Ok(()))]);
}

#[test]
fn what_the_server_denies_is_wanted_no_more() {
    let mut bench = Bench::connected();
    bench.subscribe(1, "a").unwrap();
    let (_, first) = bench.ask();
    bench.subscribe(2, "a b").unwrap();
    let (text, second) = bench.ask();
    assert_eq!(text, "+b");
    bench.registry.denied(first, "no such symbol");
    let denied = SubscribeError::Denied("no such symbol".into());
    bench.expect(&[(1, Err(denied.clone()))]);
    bench.registry.granted(second);
    bench.expect(&[(2, Err(denied))]);
    assert_eq!(bench.wanted(), "b");
}

#[test]
fn of_many_that_are_denied_only_the_reason_is_given_up() {
    let mut bench = Bench::connected();
    bench.subscribe(1, "a b c d e").unwrap();
    let denies = |text: &str| text.contains('d');
    let mut asked = Vec::new();
    while bench.registry.is_pending() {
        let (text, request) = bench.ask();
        if denies(&text) {
            bench.registry.denied(request, "no d");
        } else {
            bench.registry.granted(request);
        }
        asked.push(text);
    }
    assert_eq!(asked, ["+a b c d e", "+a b c", "+d e", "+d", "+e"]);
    bench.expect(&[(1, Err(SubscribeError::Denied("no d".into())))]);
    assert_eq!(bench.wanted(), "a b c e");
    // The next connection is asked for all at once again.
    bench.registry.disconnected();
    bench.registry.connected();
    assert_eq!(bench.ask().0, "+a b c e");
}

#[test]
fn a_denial_that_nobody_waits_for_is_reported_without_a_ticket() {
    let mut bench = Bench::connected();
    bench.registry.subscribe(None, streams("a"), LIMIT).unwrap();
    let (_, request) = bench.ask();
    bench.registry.denied(request, "no");
    bench.expect(&[(0, Err(SubscribeError::Denied("no".into())))]);
}

#[test]
fn everything_wanted_is_asked_for_again_on_the_next_connection() {
    let mut bench = Bench::connected();
    bench.subscribe(1, "a b c").unwrap();
    let (_, request) = bench.ask();
    bench.registry.granted(request);
    bench.expect(&[(1, Ok(()))]);
    bench.subscribe(2, "d").unwrap();
    let (_, lost) = bench.ask();
    bench.unsubscribe(3, "b");
    bench.registry.disconnected();
    bench.expect(&[(3, Ok(()))]);
    assert_eq!(bench.wanted(), "a c d");
    // The old answer, should it come from somewhere, is void.
    bench.registry.granted(lost);
    bench.expect(&[]);
    bench.registry.connected();
    let (text, request) = bench.ask();
    assert_eq!(text, "+a c d");
    bench.registry.granted(request);
    bench.expect(&[(2, Ok(()))]);
}

#[test]
fn what_the_url_asks_for_is_granted_by_the_open() {
    let mut bench = Bench::default();
    bench.subscribe(1, "a b").unwrap();
    bench.subscribe(2, "c").unwrap();
    bench.registry.ride(2);
    bench.expect(&[]);
    // Taken back while the connection is being made: the server has to be told.
    bench.unsubscribe(3, "a");
    bench.expect(&[]);
    bench.registry.connected();
    bench.expect(&[(1, Err(SubscribeError::Withdrawn))]);
    let (text, request) = bench.ask();
    assert_eq!(text, "-a");
    bench.registry.granted(request);
    bench.expect(&[(3, Ok(()))]);
    assert_eq!(bench.ask().0, "+c");
}

#[test]
fn a_failed_attempt_forgets_what_its_url_asked_for() {
    let mut bench = Bench::default();
    bench.subscribe(1, "a").unwrap();
    bench.registry.ride(1);
    assert!(!bench.registry.is_pending());
    bench.registry.disconnected();
    bench.registry.connected();
    bench.expect(&[]);
    assert_eq!(bench.ask().0, "+a");
}

#[test]
fn taking_back_and_asking_again_ends_with_the_last_answer() {
    let mut bench = Bench::connected();
    bench.subscribe(1, "a").unwrap();
    let (_, first) = bench.ask();
    bench.unsubscribe(2, "a");
    bench.expect(&[(1, Err(SubscribeError::Withdrawn))]);
    let (text, second) = bench.ask();
    assert_eq!(text, "-a");
    bench.subscribe(3, "a").unwrap();
    bench.expect(&[(2, Err(SubscribeError::Withdrawn))]);
    let (text, third) = bench.ask();
    assert_eq!(text, "+a");
    bench.registry.granted(first);
    bench.registry.granted(second);
    bench.expect(&[]);
    bench.registry.granted(third);
    bench.expect(&[(3, Ok(()))]);
    assert_eq!(bench.wanted(), "a");
}

#[test]
fn taking_back_what_was_never_told_needs_no_request() {
    let mut bench = Bench::connected();
    bench.subscribe(1, "a").unwrap();
    bench.unsubscribe(2, "a unknown");
    bench.expect(&[(1, Err(SubscribeError::Withdrawn)), (2, Ok(()))]);
    assert!(!bench.registry.is_pending());
    assert_eq!(bench.wanted(), "");
    // Wanted again before the server was told of the end: nothing to say.
    bench.subscribe(3, "b").unwrap();
    let (_, request) = bench.ask();
    bench.registry.granted(request);
    bench.unsubscribe(4, "b");
    bench.subscribe(5, "b").unwrap();
    bench.expect(&[
        (3, Ok(())),
        (4, Err(SubscribeError::Withdrawn)),
        (5, Ok(())),
    ]);
    assert!(!bench.registry.is_pending());
}

#[test]
fn an_unanswered_request_is_settled_in_time_and_stays_wanted() {
    let mut bench = Bench::connected();
    bench.subscribe(1, "a").unwrap();
    bench.ask();
    assert_eq!(bench.registry.deadline(), Time::from_nanos(100));
    bench.registry.expire(Time::from_nanos(99));
    bench.expect(&[]);
    bench.registry.expire(Time::from_nanos(100));
    bench.expect(&[(1, Err(SubscribeError::Unanswered))]);
    assert_eq!(bench.registry.deadline(), Time::NEVER);
    assert_eq!(bench.wanted(), "a");
}

#[test]
fn more_than_a_connection_holds_is_refused_whole() {
    let mut bench = Bench::connected();
    bench.subscribe(1, "a b c d e f g").unwrap();
    let error = SubscribeError::TooMany {
        limit: 8,
        wanted: 9,
    };
    assert_eq!(bench.subscribe(2, "a x y"), Err(error));
    assert_eq!(bench.wanted(), "a b c d e f g");
    bench.subscribe(3, "a x").unwrap();
    bench.unsubscribe(4, "b");
    bench.subscribe(5, "y").unwrap();
}

#[test]
fn stopping_settles_every_ticket() {
    let mut bench = Bench::connected();
    bench.subscribe(2, "a").unwrap();
    bench.subscribe(1, "b a").unwrap();
    bench.ask();
    bench.registry.stop();
    let stopped = Err(SubscribeError::Stopped);
    bench.expect(&[(1, stopped.clone()), (2, stopped)]);
    assert!(!bench.registry.is_pending());
}

#[test]
fn what_cannot_be_asked_for_is_given_up_alone() {
    let mut bench = Bench::connected();
    bench.subscribe(1, "a").unwrap();
    bench.subscribe(2, "b").unwrap();
    bench
        .registry
        .give_up(Verb::Subscribe, &SubscribeError::Unsupported);
    bench.expect(&[(1, Err(SubscribeError::Unsupported))]);
    assert_eq!(bench.ask().0, "+b");
}

#[test]
fn an_end_may_be_confirmed_by_stream() {
    let mut bench = Bench::connected();
    bench.subscribe(1, "a b").expect("room");
    let (_, first) = bench.ask();
    bench.registry.granted(first);
    bench.expect(&[(1, Ok(()))]);
    bench.unsubscribe(2, "a b");
    assert_eq!(bench.ask().0, "-a b");
    bench.registry.answered(&stream("a"), &Reply::Ended);
    bench.expect(&[]);
    // That another one is granted says nothing about its end, and what is held ends by itself.
    bench.registry.answered(&stream("b"), &Reply::Granted);
    bench.expect(&[]);
    bench.registry.answered(&stream("b"), &Reply::Ended);
    bench.expect(&[(2, Ok(()))]);
    assert_eq!(bench.wanted(), "");
    assert_eq!(bench.registry.deadline(), Time::NEVER);
}
