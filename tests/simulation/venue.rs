//! What the simulated venue speaks, as the client's protocol.
//!
//! `{"t":"snap"|"upd"|"del"|"drop","k":key,"n":last,"u":first,"p":previous,"d":value}`, with `"c"` where
//! the connection is numbered; `{"t":"many","items":[..]}`; `{"t":"ack","id":request}`;
//! `{"t":"beat"}`. Where the source is trusted every message says of which connection it is and which
//! one (`"s"`, `"c"`), and the next connection begins with `{"op":"resume","s":..,"c":..}` of the last.

use tickcache::feed::{
    Answer, Asked, Claims, Class, Control, Covers, EntityIx, Missing, Outbox, OutboxFull, Policy,
    Protocol, Refusal, Sequence, Sink, SubscribeError, Subscription, Update,
};
use tickcache::json::{Message, Value};
use tickcache::key::{Id, IdRef};

use crate::options::{Form, Options};

pub(crate) const ENTITY: &str = "sim.book";
pub(crate) const CHANNEL: &str = "book";

/// Streams that one request asks for.
const PER_REQUEST: usize = 2;

/// What a key is called.
pub(crate) fn name(key: usize) -> String {
    format!("K{key}")
}

/// The key that is meant.
pub(crate) fn key_of(name: &str) -> usize {
    name[1..].parse().expect("a name that this made")
}

#[derive(Clone, Debug)]
pub(crate) struct Venue {
    initial: Vec<String>,
    policy: Option<Policy>,
    counts_connection: bool,
    missing: Missing,
    /// It goes on where it was.
    resumes: bool,
    /// The last message that came: its connection, and its number there.
    last: Option<(u64, u64)>,
    entity: Option<EntityIx>,
}

impl Venue {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            initial: (0..options.initial).map(name).collect(),
            policy: options.form.policy(),
            counts_connection: options.form == Form::PerConnection,
            missing: if options.inserts {
                Missing::Insert
            } else {
                Missing::Ignore
            },
            resumes: options.is_trusted(),
            last: None,
            entity: None,
        }
    }

    fn entity<S: Sink>(&mut self, sink: &mut S) -> Result<EntityIx, Refusal> {
        match self.entity {
            Some(entity) => Ok(entity),
            None => {
                let entity = sink.entity(ENTITY)?;
                self.entity = Some(entity);
                Ok(entity)
            }
        }
    }

    fn numbered(&self, update: Update, item: Value<'_>) -> Result<Update, Refusal> {
        let Some(policy) = self.policy else {
            return Ok(update);
        };
        let number = |name| item.get(name).and_then(|number| number.u64());
        let last = number("n").ok_or(Refusal::BadSequence)?;
        Ok(update.numbered(
            policy,
            Sequence {
                first: number("u").unwrap_or(last),
                last,
                previous: number("p"),
            },
        ))
    }

    /// Whether it was data.
    fn item<S: Sink>(&mut self, item: Value<'_>, sink: &mut S) -> Result<bool, Refusal> {
        let entity = self.entity(sink)?;
        let word = item.get("t").and_then(|word| word.str());
        let key = item
            .get("k")
            .and_then(|key| key.str())
            .ok_or(Refusal::NoId)?;
        let id = IdRef::Text(key);
        let value = item.get("d");
        match (word, value) {
            (Some("snap"), Some(value)) => {
                let update = self.numbered(Update::whole(), item)?;
                sink.patch(entity, id, update, value)?;
            }
            (Some("upd"), Some(value)) => {
                let update = Update {
                    missing: self.missing,
                    ..self.numbered(Update::patch(), item)?
                };
                sink.patch(entity, id, update, value)?;
            }
            (Some("del"), _) => sink.remove(entity, id, self.numbered(Update::whole(), item)?)?,
            (Some("drop"), _) => {
                sink.invalidate(entity, Some(id))?;
                return Ok(false);
            }
            _ => return Err(Refusal::Shape),
        }
        Ok(true)
    }

    fn ask(
        verb: &str,
        request: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let count = streams.len().min(PER_REQUEST);
        let keys: Vec<_> = streams[..count].iter().map(|stream| &stream.id).collect();
        out.push(serde_json::json!({ "op": verb, "id": request, "keys": keys }).to_string())?;
        Ok(Asked {
            count,
            answer: Answer::Expected,
        })
    }
}

impl Protocol for Venue {
    fn name(&self) -> &str {
        "sim"
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: vec![ENTITY.into()],
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn initial(&self) -> Vec<Subscription> {
        let initial = self.initial.iter();
        initial.map(|key| Subscription::new(CHANNEL, key)).collect()
    }

    fn check(&self, _: &Subscription) -> Result<(), SubscribeError> {
        Ok(())
    }

    fn value_of(&self, subscription: &Subscription) -> Option<(String, Id)> {
        Some((ENTITY.into(), Id::from(&*subscription.id)))
    }

    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        match self.last {
            Some((conn, number)) => {
                out.push(serde_json::json!({ "op": "resume", "s": conn, "c": number }).to_string())
            }
            None => Ok(()),
        }
    }

    fn subscribe(
        &mut self,
        request: u64,
        wanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        Self::ask("sub", request, wanted, out)
    }

    fn unsubscribe(
        &mut self,
        request: u64,
        unwanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        Self::ask("unsub", request, unwanted, out)
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        _: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let root = message.root();
        if self.resumes {
            let number = |name| root.get(name).and_then(|number| number.u64());
            let (conn, number) = (number("s"), number("c"));
            self.last = Some(conn.zip(number).ok_or(Refusal::BadSequence)?);
        }
        if self.counts_connection {
            let number = root.get("c").and_then(|number| number.u64());
            sink.advance(number.ok_or(Refusal::BadSequence)?)?;
        }
        match root.get("t").and_then(|word| word.str()) {
            Some("ack") => {
                let request = root
                    .get("id")
                    .and_then(|id| id.u64())
                    .ok_or(Refusal::Shape)?;
                return Ok(Class::Control(Control::Granted(request)));
            }
            Some("beat") => return Ok(Class::Control(Control::Heartbeat)),
            _ => {}
        }
        let mut has_data = false;
        match root.get("items") {
            Some(items) => {
                for item in items.elements() {
                    has_data |= self.item(item, sink)?;
                }
            }
            None => has_data = self.item(root, sink)?,
        }
        Ok(if has_data {
            Class::Data
        } else {
            Class::Invalidation
        })
    }
}
