//! A venue of one's own: words that are no JSON, a heartbeat, a login, questions of the server.

use super::*;
use crate::feed::protocol::{Claims, Class, Control, Covers, EntityIx, Sink, Update};
use crate::json::Message;
use crate::key::IdRef;

#[derive(Default)]
pub(super) struct Venue {
    quotes: Option<EntityIx>,
    pings: bool,
}

impl Venue {
    /// One whose heartbeat is a ping of the connection.
    pub(super) fn pinging() -> Self {
        Self {
            pings: true,
            ..Self::default()
        }
    }
}

impl Protocol for Venue {
    fn name(&self) -> &str {
        "venue"
    }

    fn claims(&self) -> Claims {
        let entities = vec!["venue.quotes".into()];
        Claims {
            entities,
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn opened(&mut self, out: &mut Outbox) -> Result<(), crate::feed::OutboxFull> {
        out.push("login")
    }

    fn heartbeat(&self) -> Option<Duration> {
        Some(Duration::from_secs(20))
    }

    fn connect_pace(&self) -> Option<Pace> {
        Pace::new(3, Duration::from_secs(60))
    }

    fn beat(&mut self, out: &mut Outbox) {
        if self.pings {
            return out.ping();
        }
        // With the queue full there is traffic enough.
        let _ = out.push("ping");
    }

    fn text<'a>(&mut self, text: &'a [u8]) -> Option<Class<'a>> {
        (text == b"pong").then_some(Class::Control(Control::Heartbeat))
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let root = message.root();
        if let Some(question) = root.get("test").and_then(|question| question.str()) {
            out.push(format!("answer {question}"))?;
            return Ok(Class::Control(Control::Heartbeat));
        }
        let quotes = match self.quotes {
            Some(quotes) => quotes,
            None => *self.quotes.insert(sink.entity("venue.quotes")?),
        };
        for quote in root.elements() {
            let symbol = quote.get("s").and_then(|s| s.str()).ok_or(Refusal::NoId)?;
            sink.patch(quotes, IdRef::Text(symbol), Update::whole(), quote)?;
        }
        Ok(Class::Data)
    }
}

#[test]
fn a_venue_of_ones_own_needs_only_the_trait() {
    let silent_after = Duration::from_secs(50);
    let mut pair = Pair::open(
        Settings {
            silent_after,
            ..settings()
        },
        Venue::default(),
    );
    assert_eq!(pair.sent(), ["text login"]);
    pair.text(r#"[{"s":"X","p":1},{"s":"Y","p":2}]"#);
    let quotes = [
        r#"whole+ venue.quotes "X" {"s":"X","p":1}"#,
        r#"whole+ venue.quotes "Y" {"s":"Y","p":2}"#,
    ];
    assert_eq!(pair.sink.take(), quotes);
    // Half a message is no message.
    pair.text(r#"[{"s":"X","p":3},{"p":4}]"#);
    assert_eq!(pair.sink.take(), [""; 0]);
    pair.text(r#"{"test":"17"}"#);
    assert_eq!(pair.sent(), ["text answer 17"]);
    pair.pass(20_000);
    assert_eq!(pair.sent(), ["text ping"]);
    pair.text("pong");
    pair.pass(20_000);
    assert_eq!(pair.sent(), ["text ping"]);
    // The heartbeat is no data.
    pair.pass(10_000);
    assert_eq!(pair.actions(), [Action::Silent]);
    let values = pair.counters.snapshot();
    assert_eq!(
        (values.messages, values.data, values.control, values.refused),
        (4, 1, 2, 1)
    );
    assert!(values.balanced());
}

#[test]
fn what_the_sink_refuses_is_refused_whole() {
    let mut pair = Pair::open(settings(), Venue::default());
    pair.sink.refuse = Some(Refusal::IdsFull);
    pair.text(r#"[{"s":"X"},{"s":"Y"}]"#);
    assert_eq!(pair.sink.take(), [""; 0]);
    assert_eq!(pair.counters.snapshot().refused_by, [(Refusal::IdsFull, 1)]);
    pair.text(r#"[{"s":"X"}]"#);
    assert_eq!(pair.sink.take().len(), 1);
}

#[test]
fn questions_of_the_server_cannot_make_memory_grow() {
    let settings = Settings {
        max_outgoing_texts: 4,
        max_outgoing_bytes: 1024,
        ..settings()
    };
    let mut pair = Pair::open(settings, Venue::default());
    // The server asks and does not read.
    for _ in 0..1000 {
        pair.text(r#"{"test":"0123456789012345678901234567890123456789"}"#);
    }
    assert!(pair.machine.transmit().len() < 1024 + 100);
    let values = pair.counters.snapshot();
    assert!(values.refused > 900);
    assert_eq!(values.refused_by, [(Refusal::OutboxFull, values.refused)]);
    assert_eq!(pair.machine.state(), State::Open);
}

/// A server that sends data and hangs up resets the back-off each time.
#[test]
fn no_interval_holds_more_attempts_than_the_server_allows() {
    let backoff = Backoff::fixed(Duration::from_millis(10));
    let mut pair = Pair::open(
        Settings {
            backoff,
            ..settings()
        },
        Venue::default(),
    );
    let mut attempts = vec![pair.now];
    while attempts.len() < 10 {
        pair.text(r#"[{"s":"X","p":1}]"#);
        pair.machine.handle_closed(pair.now, Ended::Eof);
        while pair.machine.state() != State::Connecting {
            let due = pair.machine.poll_timeout().expect("it tries again");
            pair.now = pair.now.max(due);
            pair.machine.handle_timeout(pair.now);
        }
        attempts.push(pair.now);
        pair.connect(&[]);
        pair.actions();
    }
    for four in attempts.windows(4) {
        assert!(
            four[3].since(four[0]) >= Duration::from_secs(60),
            "{attempts:?}"
        );
    }
    assert_eq!(attempts[1].since(attempts[0]), Duration::from_millis(10));
}
