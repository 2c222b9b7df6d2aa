//! A venue of one's own: an implementation of `Protocol`, and a machine that speaks it.
//!
//! The venue sends quotes in arrays, `[{"s":"X","bid":"1.0","ask":"1.1"}]`, acknowledges
//! subscriptions by number, and wants the word `ping` every 20 seconds. Here the bytes of the
//! server are written by hand, so that the whole exchange can be seen without a network.
//!
//! Run with `cargo run --example custom_protocol`.

use std::sync::Arc;
use std::time::Duration;

use tickcache::Time;
use tickcache::feed::{
    Action, Address, Answer, Asked, Claims, Class, Control, Counters, Covers, EntityIx, Machine,
    Outbox, OutboxFull, Protocol, Refusal, Settings, Sink, SubscribeError, Subscription, Ticket,
    Transaction, Update,
};
use tickcache::json::{Message, Value};
use tickcache::key::IdRef;

/// The wire format.
#[derive(Debug, Default)]
struct Venue {
    /// Resolved once.
    quotes: Option<EntityIx>,
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

    fn address(&self, _wanted: &[&Subscription]) -> Option<Address> {
        Some(Address {
            url: "wss://venue.example/quotes".to_owned(),
            carries: 0,
        })
    }

    fn check(&self, subscription: &Subscription) -> Result<(), SubscribeError> {
        if &*subscription.channel == "quotes" {
            Ok(())
        } else {
            Err(SubscribeError::UnknownChannel(subscription.channel.clone()))
        }
    }

    fn subscribe(
        &mut self,
        request: u64,
        wanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        // One request for each symbol; the machine calls again for the others.
        out.push(format!(
            r#"{{"subscribe":"{}","req":{request}}}"#,
            wanted[0].id
        ))?;
        Ok(Asked {
            count: 1,
            answer: Answer::Expected,
        })
    }

    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        out.push(r#"{"hello":1}"#)
    }

    fn heartbeat(&self) -> Option<Duration> {
        Some(Duration::from_secs(20))
    }

    fn beat(&mut self, out: &mut Outbox) {
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
        _out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let root = message.root();
        if let Some(request) = root.get("ok").and_then(|request| request.u64()) {
            return Ok(Class::Control(Control::Granted(request)));
        }
        if root.is_object() {
            return Ok(Class::Unmapped("(object)"));
        }
        let quotes = match self.quotes {
            Some(quotes) => quotes,
            None => *self.quotes.insert(sink.entity("venue.quotes")?),
        };
        // All quotes of a message take effect together, or none.
        for quote in root.elements() {
            let symbol = quote
                .get("s")
                .and_then(|symbol| symbol.str())
                .ok_or(Refusal::NoId)?;
            sink.patch(quotes, IdRef::Text(symbol), Update::whole(), quote)?;
        }
        Ok(Class::Data)
    }
}

/// A sink that prints. In a service the cache is the sink.
#[derive(Debug, Default)]
struct Print {
    staged: Vec<String>,
}

impl Sink for Print {
    fn entity(&mut self, _name: &str) -> Result<EntityIx, Refusal> {
        Ok(EntityIx::new(0))
    }

    fn patch(
        &mut self,
        _entity: EntityIx,
        id: IdRef<'_>,
        _update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        self.staged.push(format!("{id:?} is {value:?}"));
        Ok(())
    }

    fn remove(&mut self, _: EntityIx, id: IdRef<'_>, _: Update) -> Result<(), Refusal> {
        self.staged.push(format!("{id:?} is gone"));
        Ok(())
    }

    fn invalidate(&mut self, _: EntityIx, id: Option<IdRef<'_>>) -> Result<(), Refusal> {
        self.staged.push(format!("{id:?} cannot be trusted"));
        Ok(())
    }
}

impl Transaction for Print {
    fn commit(&mut self) {
        for line in self.staged.drain(..) {
            println!("{line}");
        }
    }

    fn rollback(&mut self) {
        self.staged.clear();
    }
}

/// A text message as a server frames it: short and unmasked.
fn server_text(text: &str) -> Vec<u8> {
    let len = u8::try_from(text.len())
        .ok()
        .filter(|len| *len < 126)
        .expect("a short text");
    let mut frame = vec![0x81, len];
    frame.extend_from_slice(text.as_bytes());
    frame
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let counters = Arc::new(Counters::default());
    let config = Settings::default().check()?;
    let mut machine = Machine::new(config, Venue::default(), Arc::clone(&counters), 1)?;
    let mut sink = Print::default();
    let now = Time::from_nanos(1);

    machine.start(now);
    machine.subscribe(now, Ticket(1), vec![Subscription::new("quotes", "X")])?;
    let script = [
        r#"{"ok":1}"#,
        r#"[{"s":"X","bid":"1.0","ask":"1.1"},{"s":"Y","bid":"7","ask":"8"}]"#,
        "pong",
        r#"[{"s":"X","bid":"2.0"},{"bid":"no symbol: refused whole"}]"#,
    ];
    let mut script = script.iter();
    loop {
        while let Some(action) = machine.poll_action() {
            println!("action: {action:?}");
            if let Action::Connect { .. } = action {
                println!("connecting to {:?}", machine.address());
                machine.handle_connected(now, &[], &[]);
            }
        }
        let sent = machine.transmit().len();
        machine.handle_transmitted(now, sent);
        let Some(text) = script.next() else { break };
        let frame = server_text(text);
        machine.space()[..frame.len()].copy_from_slice(&frame);
        machine.handle_filled(now, frame.len(), &mut sink);
    }

    let values = counters.snapshot();
    println!("{} messages, {} with data", values.messages, values.data);
    println!(
        "refused: {:?}, balanced: {}",
        values.refused_by,
        values.balanced()
    );
    Ok(())
}
