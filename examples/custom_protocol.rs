//! A venue of one's own: an implementation of `Protocol`, attached to a cache.
//!
//! Run with `cargo run --example custom_protocol`. The venue sends quotes in arrays,
//! `[{"s":"X","bid":"1.0","ask":"1.1"}]`, acknowledges subscriptions by number, and wants the word
//! `ping` every 20 seconds. Here it is a small server on loopback.

mod support;

use std::error::Error;
use std::time::Duration;

use tickcache::feed::{
    Address, Answer, Asked, Claims, Class, Control, Covers, EntityIx, Outbox, OutboxFull, Protocol,
    Refusal, Sink, SubscribeError, Subscription, Update,
};
use tickcache::json::Message;
use tickcache::key::IdRef;
use tickcache::{Cache, Feed};

const QUOTES: &str = "venue.quotes";

/// The wire format.
#[derive(Clone, Debug)]
struct Venue {
    url: String,
    /// Resolved once.
    quotes: Option<EntityIx>,
}

impl Protocol for Venue {
    fn name(&self) -> &str {
        "venue"
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: vec![QUOTES.into()],
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn address(&self, _wanted: &[&Subscription]) -> Option<Address> {
        Some(Address {
            url: self.url.clone(),
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
        // One request for each symbol; this is called again for the others.
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
            None => *self.quotes.insert(sink.entity(QUOTES)?),
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

/// What the venue answers: it grants every request.
fn grant(text: &str) -> Option<String> {
    let (_, request) = text.strip_suffix('}')?.split_once(r#""req":"#)?;
    Some(format!(r#"{{"ok":{request}}}"#))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = support::Server::start(grant)?;
    let cache = Cache::builder().build()?;
    let venue = Venue {
        url: server.url().to_owned(),
        quotes: None,
    };
    let feed = cache.attach(Feed::custom(venue))?;

    feed.subscribe("quotes", ["X", "Y"]).await?;
    println!("subscribed");
    match feed.subscribe("depth", ["X"]).await {
        Ok(()) => println!("subscribed to depth"),
        Err(error) => println!("no depth: {error}"),
    }

    server.say(r#"[{"s":"X","bid":"1.0"},{"bid":"no symbol: refused whole"}]"#);
    server.say(r#"[{"s":"X","bid":"1.0","ask":"1.1"},{"s":"Y","bid":"7","ask":"8"}]"#);

    let quotes = cache.entity(QUOTES);
    quotes.ready(["X", "Y"], Duration::from_secs(5)).await?;
    for quote in quotes.iter() {
        println!("{} {}", quote.id(), quote.snapshot().record().to_json());
    }

    let counters = feed.counters();
    println!("refused: {:?}", counters.refused_by);
    cache.close(Duration::from_secs(2)).await?;
    Ok(())
}
