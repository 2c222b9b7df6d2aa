//! A protocol around another one that writes down what is received and what is sent.
//!
//! The one inside goes on as ever: it subscribes, answers heartbeats and hears acknowledgements. The
//! values that it makes are not kept.

use std::sync::Arc;
use std::time::Duration;

use tickcache::feed::{
    Address, Asked, Claims, Class, Covers, EntityIx, Outbox, OutboxFull, Pace, Protocol, Refusal,
    Sink, SubscribeError, Subscription, Update,
};
use tickcache::json::{Message, Value};
use tickcache::key::{Id, IdRef};

use super::tape::Tape;

/// Words that stand in logins, in small letters. A text with one of them is not written down: one
/// withheld too many does no harm.
const LOGIN_WORDS: [&str; 12] = [
    "auth",
    "login",
    "logon",
    "password",
    "passphrase",
    "secret",
    "signature",
    "\"sign\"",
    "\"sig\"",
    "token",
    "jwt",
    "key\"",
];

/// Records one connection after another of one server.
#[derive(Clone, Debug)]
pub(crate) struct Recorder<P> {
    inner: P,
    name: String,
    texts: Arc<[String]>,
    tape: Arc<Tape>,
    connection: u64,
}

impl<P: Protocol> Recorder<P> {
    /// Records what `inner` hears and says; `texts` are sent first after each connect. Each name is
    /// used once in a cache.
    pub(super) fn new(inner: P, name: String, texts: Arc<[String]>, tape: Arc<Tape>) -> Self {
        Self {
            inner,
            name,
            texts,
            tape,
            connection: 0,
        }
    }

    /// Does something with the protocol inside, and notes what it has queued by it.
    fn noting<R>(&mut self, out: &mut Outbox, act: impl FnOnce(&mut P, &mut Outbox) -> R) -> R {
        let before = out.len();
        // What is said before the venue is ready is the login.
        let ready = self.inner.is_ready();
        let done = act(&mut self.inner, out);
        let login = !ready || !self.inner.is_ready();
        for (text, secret) in out.texts().skip(before) {
            let withheld = secret || login || is_login(text);
            self.tape.sent(self.connection, text, withheld);
        }
        done
    }
}

/// Whether a text looks like one that must not be written down.
fn is_login(text: &str) -> bool {
    let text = text.to_lowercase();
    LOGIN_WORDS.iter().any(|word| text.contains(word))
}

impl<P: Protocol> Protocol for Recorder<P> {
    fn name(&self) -> &str {
        &self.name
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: Vec::new(),
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn address(&self, wanted: &[&Subscription]) -> Option<Address> {
        self.inner.address(wanted)
    }

    fn initial(&self) -> Vec<Subscription> {
        self.inner.initial()
    }

    fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    fn pace(&self) -> Option<Pace> {
        self.inner.pace()
    }

    fn request_pace(&self) -> Option<Pace> {
        self.inner.request_pace()
    }

    fn connect_pace(&self) -> Option<Pace> {
        self.inner.connect_pace()
    }

    fn lifetime(&self) -> Option<Duration> {
        self.inner.lifetime()
    }

    fn is_ready(&self) -> bool {
        self.inner.is_ready()
    }

    fn check(&self, subscription: &Subscription) -> Result<(), SubscribeError> {
        self.inner.check(subscription)
    }

    fn value_of(&self, _subscription: &Subscription) -> Option<(String, Id)> {
        None
    }

    fn subscribe(
        &mut self,
        request: u64,
        wanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        self.noting(out, |inner, out| inner.subscribe(request, wanted, out))
    }

    fn unsubscribe(
        &mut self,
        request: u64,
        unwanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        self.noting(out, |inner, out| inner.unsubscribe(request, unwanted, out))
    }

    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        self.connection = self.tape.connection();
        for text in Arc::clone(&self.texts).iter() {
            out.push(text.as_str())?;
            self.tape.sent(self.connection, text, is_login(text));
        }
        self.noting(out, Protocol::opened)
    }

    fn heartbeat(&self) -> Option<Duration> {
        self.inner.heartbeat()
    }

    fn beat(&mut self, out: &mut Outbox) {
        self.noting(out, Protocol::beat);
    }

    fn text<'a>(&mut self, text: &'a [u8]) -> Option<Class<'a>> {
        self.tape.message(self.connection, text);
        self.inner.text(text)
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        _sink: &mut S,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        self.noting(out, |inner, out| inner.message(message, &mut Discard, out))
    }
}

/// Messages that nobody understands: all are data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unread;

impl Protocol for Unread {
    fn name(&self) -> &'static str {
        "unread"
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: Vec::new(),
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn text<'a>(&mut self, _text: &'a [u8]) -> Option<Class<'a>> {
        Some(Class::Data)
    }

    fn message<'a, S: Sink>(
        &mut self,
        _message: &Message<'a>,
        _sink: &mut S,
        _out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        Ok(Class::Data)
    }
}

/// A sink that keeps nothing.
struct Discard;

impl Sink for Discard {
    fn entity(&mut self, _name: &str) -> Result<EntityIx, Refusal> {
        Ok(EntityIx::new(0))
    }

    fn patch(
        &mut self,
        _entity: EntityIx,
        _id: IdRef<'_>,
        _update: Update,
        _value: Value<'_>,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    fn remove(
        &mut self,
        _entity: EntityIx,
        _id: IdRef<'_>,
        _update: Update,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    fn invalidate(&mut self, _entity: EntityIx, _id: Option<IdRef<'_>>) -> Result<(), Refusal> {
        Ok(())
    }

    fn advance(&mut self, _number: u64) -> Result<(), Refusal> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::is_login;

    #[test]
    fn logins_are_recognised_and_subscriptions_are_not_withheld() {
        for login in [
            r#"{"action":"auth","key":"k","secret":"s"}"#,
            r#"{"op":"login","args":[{"apiKey":"k","passphrase":"p","timestamp":"1","sign":"s"}]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"public/auth","params":{"client_id":"a"}}"#,
            r#"{"type":"subscribe","channel":"ticker","jwt":"x.y.z"}"#,
            r#"{"event":"subscribe","subscription":{"name":"ownTrades","token":"t"}}"#,
            r#"{"API_KEY":"k"}"#,
        ] {
            assert!(is_login(login), "{login}");
        }
        for text in [
            r#"{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":1}"#,
            r#"{"op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"}]}"#,
            r#"{"type":"subscribe","product_ids":["BTC-USD"],"channels":["ticker"]}"#,
            "ping",
        ] {
            assert!(!is_login(text), "{text}");
        }
    }
}
