//! A protocol made of JSON pointers: where entity, id, payload, kind, sequence and time stand.
//!
//! For venues whose messages carry their data in one regular shape. What cannot be said with
//! pointers is a [`Protocol`] of its own.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::names::Names;
use super::outbox::{Outbox, OutboxFull};
use super::protocol::{
    Address, Answer, Asked, Claims, Class, Control, Covers, Missing, Protocol, Refusal, Sink,
    SubscribeError, Subscription, Update, Verb,
};
use super::reading::{Ids, TimeUnit};
use super::sequence::{Policy, Sequence};
use crate::json::{BadPointer, Message, Pointer, Value};
use crate::record::{Kind, Mode};

mod builder;

pub use builder::EnvelopeBuilder;

/// What a message does to the value of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Its payload is the whole value; null is a value.
    Whole,
    /// Its payload is a part of the value; a payload of null removes it.
    Patch,
    /// The id has no value any more.
    Remove,
    /// The value of the id, or without one those of the entity, cannot be trusted.
    Invalidate,
    /// For the feed itself.
    Control,
}

/// One request to be written.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What for.
    pub verb: Verb,
    /// Its number, which the answer has to name.
    pub request: u64,
    /// The streams; a request may hold fewer of them, from the first on.
    pub streams: &'a [&'a Subscription],
}

/// Writes the text of a request, and says how many streams it holds (at least one).
type Write = Arc<dyn Fn(Ask<'_>) -> (String, usize) + Send + Sync>;

/// Why an envelope cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// A pointer is none (RFC 6901).
    #[error("{text:?} for {setting}: {error}")]
    Pointer {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        text: String,
        /// What is wrong with it.
        error: BadPointer,
    },
    /// No entity was given.
    #[error("an envelope needs an entity: a constant or a pointer")]
    NoEntity,
    /// No id was given.
    #[error("an envelope needs a pointer to the id")]
    NoId,
}

#[derive(Clone, Debug)]
enum Entity {
    Constant(Box<str>),
    At(Pointer),
}

/// A protocol made of JSON pointers. Built by [`Envelope::builder`].
#[derive(Clone)]
pub struct Envelope {
    name: Box<str>,
    url: Option<Box<str>>,
    entity: Entity,
    until: Option<char>,
    prefix: Box<str>,
    entities: Vec<Box<str>>,
    wildcard: bool,
    covers: Covers,
    items: Option<Pointer>,
    id: Pointer,
    ids: Ids,
    payload: Pointer,
    kind: Option<Pointer>,
    words: Vec<(Box<str>, MessageKind)>,
    default_kind: Option<MessageKind>,
    control_if: Vec<Pointer>,
    answer: Option<(Pointer, Pointer)>,
    mode: Mode,
    missing: Missing,
    sequence: Option<Pointer>,
    first: Option<Pointer>,
    previous: Option<Pointer>,
    policy: Policy,
    time: Option<(Pointer, TimeUnit)>,
    on_open: Vec<String>,
    write: Option<(Answer, Write)>,
    names: Names,
    /// The entity's name with its prefix; kept for its allocation.
    scratch: String,
}

impl Envelope {
    /// An envelope with nothing said about it yet.
    pub fn builder(name: &str) -> EnvelopeBuilder {
        EnvelopeBuilder::new(name)
    }

    /// What a message does. `Err` is the word that says something unknown.
    fn kind_of<'a>(&self, root: Value<'a>) -> Result<MessageKind, &'a str> {
        let Some(pointer) = &self.kind else {
            return Ok(self.default_kind.unwrap_or(MessageKind::Patch));
        };
        let Some(word) = root.at(pointer) else {
            return self.default_kind.ok_or("(no kind)");
        };
        let word = word.str().ok_or("(no kind)")?;
        let known = self.words.iter().find(|(known, _)| **known == *word);
        known
            .map(|(_, kind)| *kind)
            .or(self.default_kind)
            .ok_or(word)
    }

    fn answer_of<'a>(&self, root: Value<'a>) -> Option<Control<'a>> {
        let (request, error) = self.answer.as_ref()?;
        let request = root.at(request)?.u64()?;
        Some(match root.at(error).filter(|error| !error.is_null()) {
            Some(error) => Control::Denied(Some(request), text_of(error)),
            None => Control::Granted(request),
        })
    }

    /// The entity's name as received, before prefix and list are applied.
    fn entity_of<'a>(&self, root: Value<'a>) -> Result<Option<&'a str>, Refusal> {
        match &self.entity {
            Entity::Constant(_) => Ok(None),
            Entity::At(pointer) => {
                let name = root
                    .at(pointer)
                    .and_then(|name| name.str())
                    .ok_or(Refusal::NoEntity)?;
                Ok(Some(
                    self.until
                        .and_then(|end| name.split_once(end))
                        .map_or(name, |(name, _)| name),
                ))
            }
        }
    }

    /// What stands at a pointer in the item or, where the item has nothing there, in the message.
    fn find<'a>(item: Value<'a>, root: Value<'a>, pointer: &Pointer) -> Option<Value<'a>> {
        item.at(pointer).or_else(|| root.at(pointer))
    }

    fn update<'a>(
        &self,
        kind: MessageKind,
        item: Value<'a>,
        root: Value<'a>,
    ) -> Result<Update, Refusal> {
        let mut update = match kind {
            MessageKind::Whole => Update::whole(),
            _ => Update {
                mode: self.mode,
                missing: self.missing,
                ..Update::patch()
            },
        };
        if let Some(pointer) = &self.sequence {
            let number = |pointer: &Pointer| {
                let value = Self::find(item, root, pointer);
                value
                    .and_then(|value| value.u64())
                    .ok_or(Refusal::BadSequence)
            };
            let last = number(pointer)?;
            let first = self.first.as_ref().map_or(Ok(last), number)?;
            let previous = self.previous.as_ref().map(number).transpose()?;
            update = update.numbered(
                self.policy,
                Sequence {
                    first,
                    last,
                    previous,
                },
            );
        }
        if let Some((pointer, unit)) = &self.time {
            let time = Self::find(item, root, pointer).ok_or(Refusal::BadTime)?;
            update.source_time = Some(unit.nanos(time)?);
        }
        Ok(update)
    }

    fn item<S: Sink>(
        &mut self,
        kind: MessageKind,
        item: Value<'_>,
        root: Value<'_>,
        name: Option<&str>,
        sink: &mut S,
    ) -> Result<(), Refusal> {
        let id = match Self::find(item, root, &self.id) {
            Some(id) => self.ids.read(id)?,
            None => None,
        };
        // A mark has no place in the numbering, and needs no number.
        let update = match kind {
            MessageKind::Invalidate => Update::patch(),
            _ => self.update(kind, item, root)?,
        };
        let entity = match (&self.entity, name) {
            (Entity::Constant(name), _) => self.names.resolve(name, sink)?,
            (_, Some(name)) if self.prefix.is_empty() => self.names.resolve(name, sink)?,
            (_, name) => {
                self.scratch.clear();
                self.scratch.push_str(&self.prefix);
                self.scratch.push_str(name.unwrap_or_default());
                self.names.resolve(&self.scratch, sink)?
            }
        };
        match kind {
            MessageKind::Whole | MessageKind::Patch => {
                let payload = item.at(&self.payload).ok_or(Refusal::NoPayload)?;
                let id = id.ok_or(Refusal::NoId)?;
                if kind == MessageKind::Patch && payload.is_null() {
                    sink.remove(entity, id, update)
                } else {
                    sink.patch(entity, id, update, payload)
                }
            }
            MessageKind::Remove => sink.remove(entity, id.ok_or(Refusal::NoId)?, update),
            MessageKind::Invalidate => sink.invalidate(entity, id),
            MessageKind::Control => Ok(()),
        }
    }

    /// Whether an entity, as received, is one of those that were listed.
    fn is_listed(&self, name: &str) -> bool {
        let listed = |entity: &str| {
            entity
                .strip_prefix(&*self.prefix)
                .is_some_and(|e| e == name)
        };
        self.wildcard || self.entities.iter().any(|entity| listed(entity))
    }

    fn request(
        &self,
        verb: Verb,
        request: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let (answer, write) = self.write.as_ref().ok_or(SubscribeError::Unsupported)?;
        let (text, count) = write(Ask {
            verb,
            request,
            streams,
        });
        out.push(text)?;
        Ok(Asked {
            count: count.clamp(1, streams.len()),
            answer: *answer,
        })
    }
}

/// An error as a text: a string without its quotes, anything else as it was received.
fn text_of(value: Value<'_>) -> &str {
    value
        .str()
        .or_else(|| std::str::from_utf8(value.raw()).ok())
        .unwrap_or_default()
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Texts to send may hold a secret.
        f.debug_struct("Envelope")
            .field("name", &self.name)
            .field("entity", &self.entity)
            .field("id", &self.id)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

impl Protocol for Envelope {
    fn name(&self) -> &str {
        &self.name
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: self.entities.clone(),
            wildcard: self.wildcard,
            covers: self.covers.clone(),
        }
    }

    fn address(&self, _wanted: &[&Subscription]) -> Option<Address> {
        self.url.as_deref().map(|url| Address {
            url: url.to_owned(),
            carries: 0,
        })
    }

    fn check(&self, _subscription: &Subscription) -> Result<(), SubscribeError> {
        if self.write.is_some() {
            Ok(())
        } else {
            Err(SubscribeError::Unsupported)
        }
    }

    fn subscribe(
        &mut self,
        request: u64,
        wanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        self.request(Verb::Subscribe, request, wanted, out)
    }

    fn unsubscribe(
        &mut self,
        request: u64,
        unwanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        self.request(Verb::Unsubscribe, request, unwanted, out)
    }

    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        self.on_open
            .iter()
            .try_for_each(|text| out.push(text.as_str()))
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        _out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let root = message.root();
        if let Some(control) = self.answer_of(root) {
            return Ok(Class::Control(control));
        }
        if self
            .control_if
            .iter()
            .any(|pointer| root.at(pointer).is_some())
        {
            return Ok(Class::Control(Control::Notice));
        }
        let kind = match self.kind_of(root) {
            Ok(MessageKind::Control) => return Ok(Class::Control(Control::Notice)),
            Ok(kind) => kind,
            Err(word) => return Ok(Class::Unmapped(word)),
        };
        let name = self.entity_of(root)?;
        if let Some(name) = name.filter(|name| !self.is_listed(name)) {
            return Ok(Class::Unmapped(name));
        }
        match &self.items {
            None => self.item(kind, root, root, name, sink)?,
            Some(items) => {
                let items = root.at(items).ok_or(Refusal::NoPayload)?;
                if items.kind() != Kind::Array {
                    return Err(Refusal::Shape);
                }
                for item in items.elements() {
                    self.item(kind, item, root, name, sink)?;
                }
            }
        }
        Ok(if kind == MessageKind::Invalidate {
            Class::Invalidation
        } else {
            Class::Data
        })
    }
}

#[cfg(test)]
mod tests;
