//! One message through the rules.

use std::fmt;

use super::condition::all_hold;
use super::constant::Constant;
use super::rule::{Data, KindOf, MessageKind, Over, Payload, Rule, Step};
use super::tables::Tables;
use super::take::{Found, Scope, Take};
use crate::feed::names::Names;
use crate::feed::outbox::Outbox;
use crate::feed::protocol::{Class, Control, Refusal, Sink, Update};
use crate::feed::reading::Ids;
use crate::feed::sequence::Sequence;
use crate::json::Value;
use crate::key::IdRef;
use crate::record::Kind;

/// The channel of messages that name none.
const NO_CHANNEL: &str = "(no channel)";

/// Texts that had to be put together; kept for their allocations.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    entity: String,
    id: String,
    other: String,
}

/// What a message, or a part of it, came to. What counts more than another comes later.
#[derive(Clone, Copy, Debug)]
enum Did<'a> {
    Nothing,
    Notice,
    Heartbeat,
    Unmapped(&'a str),
    Control(Control<'a>),
    Invalidation,
    Data,
}

impl<'a> Did<'a> {
    const fn rank(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Notice => 1,
            Self::Heartbeat => 2,
            Self::Unmapped(_) => 3,
            Self::Control(_) => 4,
            Self::Invalidation => 5,
            Self::Data => 6,
        }
    }

    fn and(self, other: Self) -> Self {
        if other.rank() > self.rank() {
            other
        } else {
            self
        }
    }

    const fn class(self) -> Class<'a> {
        match self {
            // An array without elements, say.
            Self::Nothing | Self::Notice => Class::Control(Control::Notice),
            Self::Heartbeat => Class::Control(Control::Heartbeat),
            Self::Unmapped(channel) => Class::Unmapped(channel),
            Self::Control(control) => Class::Control(control),
            Self::Invalidation => Class::Invalidation,
            Self::Data => Class::Data,
        }
    }
}

/// What rules read and write while a message is taken apart.
pub(super) struct Turn<'e, S> {
    pub(super) rules: &'e [Rule],
    pub(super) each: Option<&'e crate::json::Pointer>,
    pub(super) channel: Option<&'e Take>,
    pub(super) numbering: Option<&'e Take>,
    pub(super) ids: Ids,
    /// The entities that are owned; `None` if any may be.
    pub(super) entities: Option<&'e [Box<str>]>,
    pub(super) names: &'e mut Names,
    pub(super) tables: &'e mut Tables,
    pub(super) constants: &'e mut [Constant],
    pub(super) scratch: &'e mut Scratch,
    pub(super) ready: &'e mut bool,
    pub(super) sink: &'e mut S,
    pub(super) out: &'e mut Outbox,
}

impl<'e, S: Sink> Turn<'e, S> {
    pub(super) fn message<'a>(&mut self, root: Value<'a>) -> Result<Class<'a>, Refusal> {
        let message = Scope::message(root);
        if let Some(numbering) = self.numbering
            && let Some(number) = numbering.number(&message, self.tables, &mut self.scratch.other)
        {
            self.sink.advance(number)?;
        }
        let events = self.each.and_then(|each| root.at(each));
        let Some(events) = events.filter(|events| events.kind() == Kind::Array) else {
            return Ok(self.event(&message)?.class());
        };
        let mut did = Did::Nothing;
        for event in events.elements() {
            did = did.and(self.event(&Scope {
                value: event,
                key: None,
                outer: Some(&message),
            })?);
        }
        Ok(did.class())
    }

    /// The first rule that applies, and those after it that it asks for.
    fn event<'a>(&mut self, event: &Scope<'_, 'a>) -> Result<Did<'a>, Refusal> {
        let mut did = None;
        for rule in self.rules {
            if !all_hold(&rule.when, event, self.tables, &mut self.scratch.other) {
                continue;
            }
            let this = self.items(rule, &rule.items, event)?;
            did = Some(did.map_or(this, |did: Did<'a>| did.and(this)));
            if !rule.more {
                break;
            }
        }
        Ok(did.unwrap_or_else(|| Did::Unmapped(self.channel_of(event, None))))
    }

    fn items<'a>(
        &mut self,
        rule: &'e Rule,
        steps: &[Step],
        scope: &Scope<'_, 'a>,
    ) -> Result<Did<'a>, Refusal> {
        let Some((step, steps)) = steps.split_first() else {
            return self.item(rule, scope);
        };
        let held = scope.value.at(&step.at).ok_or(Refusal::NoPayload)?;
        let mut did = Did::Nothing;
        let mut next = |value, key| {
            let outer = Some(scope);
            let scope = Scope { value, key, outer };
            self.items(rule, steps, &scope)
                .map(|this| did = did.and(this))
        };
        match (step.over, held.kind()) {
            (Over::Elements | Over::OneOrMany, Kind::Array) => {
                held.elements().try_for_each(|value| next(value, None))?;
            }
            (Over::Members, Kind::Object) => {
                for (name, value) in held.members() {
                    next(value, Some(name.as_str()))?;
                }
            }
            (Over::OneOrMany, _) => next(held, None)?,
            _ => return Err(Refusal::Shape),
        }
        Ok(did)
    }

    fn item<'a>(&mut self, rule: &'e Rule, item: &Scope<'_, 'a>) -> Result<Did<'a>, Refusal> {
        if !all_hold(&rule.only, item, self.tables, &mut self.scratch.other) {
            return Ok(Did::Unmapped(self.channel_of(item, None)));
        }
        let kind = match &rule.kind {
            KindOf::Always(kind) => *kind,
            KindOf::Word { at, words, default } => {
                let word = at.borrowed_text(item);
                let known = word.and_then(|word| words.iter().find(|(known, _)| **known == *word));
                match known.map(|(_, kind)| *kind).or(*default) {
                    Some(kind) => kind,
                    None => {
                        let word = word.unwrap_or("(no kind)");
                        return Ok(Did::Unmapped(self.channel_of(item, Some(word))));
                    }
                }
            }
        };
        match &rule.data {
            Some(data) if kind.is_data() => self.data(data, kind, item),
            _ => self.service(rule, kind, item),
        }
    }

    /// What a message without effect is counted under.
    fn channel_of<'a>(&self, scope: &Scope<'_, 'a>, otherwise: Option<&'a str>) -> &'a str {
        let named = self.channel.and_then(|at| at.borrowed_text(scope));
        named.or(otherwise).unwrap_or(NO_CHANNEL)
    }

    fn data<'a>(
        &mut self,
        data: &'e Data,
        kind: MessageKind,
        item: &Scope<'_, 'a>,
    ) -> Result<Did<'a>, Refusal> {
        let Scratch { entity, id, other } = &mut *self.scratch;
        let name = data.entity.find(item, self.tables, entity);
        let name = name.and_then(Found::text).ok_or(Refusal::NoEntity)?;
        if let Some(listed) = self.entities
            && !listed.iter().any(|entity| **entity == *name)
        {
            let bare = data.entity.borrowed_text(item);
            return Ok(Did::Unmapped(self.channel_of(item, bare)));
        }
        let id = match &data.id {
            None => None,
            Some(at) => match at.find(item, self.tables, id) {
                Some(Found::Value(value)) => self.ids.read(value)?,
                Some(Found::Text(text)) => Some(IdRef::Text(text)),
                None => None,
            },
        };
        // A mark has no place in the numbering, and needs no number.
        let update = match kind {
            MessageKind::Invalidate => Update::patch(),
            _ => data.update(kind, item, self.tables, other)?,
        };
        let entity = self.names.resolve(name, self.sink)?;
        match kind {
            MessageKind::Remove => {
                self.sink.remove(entity, id.ok_or(Refusal::NoId)?, update)?;
            }
            MessageKind::Invalidate => {
                self.sink.invalidate(entity, id)?;
                return Ok(Did::Invalidation);
            }
            _ => {
                let payload = match &data.payload {
                    Payload::At(pointer, origin) => item.at(pointer, *origin),
                    Payload::Constant(number) => {
                        self.constants.get_mut(*number).and_then(Constant::value)
                    }
                };
                let payload = payload.ok_or(Refusal::NoPayload)?;
                let id = id.ok_or(Refusal::NoId)?;
                if kind == MessageKind::Patch && payload.is_null() {
                    self.sink.remove(entity, id, update)?;
                } else {
                    self.sink.patch(entity, id, update, payload)?;
                }
            }
        }
        Ok(Did::Data)
    }

    #[cold]
    fn service<'a>(
        &mut self,
        rule: &'e Rule,
        kind: MessageKind,
        item: &Scope<'_, 'a>,
    ) -> Result<Did<'a>, Refusal> {
        let service = &rule.service;
        if let Some(reply) = &service.reply {
            let text = reply.answer(|pointer| item.at(pointer, super::Origin::Nearest));
            self.out.push(text.ok_or(Refusal::Shape)?)?;
        }
        for lesson in &service.learn {
            let Scratch { id, other, .. } = &mut *self.scratch;
            let key = lesson.key.find(item, self.tables, id);
            let text = lesson.text.find(item, self.tables, other);
            let (key, text) = (key.and_then(Found::text), text.and_then(Found::text));
            if let Some((key, text)) = key.zip(text) {
                let (key, text) = (key.to_owned(), text.to_owned());
                self.tables.learn(&lesson.table, &key, &text);
            }
        }
        let error = service.reason.as_ref().and_then(|at| at.borrowed(item));
        let error = error.filter(|error| !error.is_null());
        let denied = match kind {
            MessageKind::Answer => error.is_some(),
            kind => kind == MessageKind::Denied,
        };
        // Without a reason of its own the message is one.
        let reason = || text_of(error.unwrap_or(item.value));
        Ok(match kind {
            MessageKind::Heartbeat => Did::Heartbeat,
            MessageKind::Closing => Did::Control(Control::Closing),
            MessageKind::Refused => Did::Control(Control::Refused(reason())),
            MessageKind::Unmapped => Did::Unmapped(self.channel_of(item, None)),
            MessageKind::Ready => {
                *self.ready = true;
                Did::Notice
            }
            kind if kind.is_answer() => {
                let Scratch { entity, id, other } = &mut *self.scratch;
                if let Some((channel, of)) = &service.stream {
                    let channel = channel.find(item, self.tables, entity);
                    let of = of.as_ref().map(|of| of.find(item, self.tables, id));
                    let of = of.map_or(Some(""), |of| of.and_then(Found::text));
                    if let Some((channel, id)) = channel.and_then(Found::text).zip(of) {
                        match kind {
                            _ if denied => self.out.refused(channel, id, reason()),
                            MessageKind::Ended => self.out.ended(channel, id),
                            _ => self.out.granted(channel, id),
                        }
                    }
                }
                let request = service.request.as_ref();
                let request = request.and_then(|at| at.number(item, self.tables, other));
                match (request, denied) {
                    (request, true) if service.stream.is_none() => {
                        Did::Control(Control::Denied(request, reason()))
                    }
                    (Some(request), true) => Did::Control(Control::Denied(Some(request), reason())),
                    (Some(request), false) => Did::Control(Control::Granted(request)),
                    (None, _) => Did::Notice,
                }
            }
            _ => Did::Notice,
        })
    }
}

impl Data {
    #[inline]
    fn update(
        &self,
        kind: MessageKind,
        item: &Scope<'_, '_>,
        tables: &Tables,
        scratch: &mut String,
    ) -> Result<Update, Refusal> {
        let mut update = match kind {
            MessageKind::Whole => Update::whole(),
            _ => Update {
                mode: self.mode,
                missing: self.missing,
                ..Update::patch()
            },
        };
        if let Some(numbers) = &self.numbers {
            match numbers.last.number(item, tables, scratch) {
                Some(last) => {
                    let mut number = |take: &Take| take.number(item, tables, scratch);
                    let first = numbers.first.as_ref().map(&mut number);
                    let previous = numbers.previous.as_ref().map(&mut number);
                    // A whole value follows nothing, and some sources then name no predecessor.
                    let alone = kind == MessageKind::Whole;
                    let missing = |number: Option<Option<u64>>| number == Some(None);
                    if !alone && (missing(first) || missing(previous)) {
                        return Err(Refusal::BadSequence);
                    }
                    let sequence = Sequence {
                        first: first.flatten().unwrap_or(last),
                        last,
                        previous: previous.flatten(),
                    };
                    update = update.numbered(numbers.policy, sequence);
                }
                None if numbers.optional => {}
                None => return Err(Refusal::BadSequence),
            }
        }
        if let Some(time) = &self.time {
            update.source_time = match time.at.nanos(time.unit, item, tables, scratch) {
                None if !time.optional => return Err(Refusal::BadTime),
                time => time,
            };
        }
        Ok(update)
    }
}

/// An error as a text: a string without its quotes, anything else as it was received.
fn text_of(value: Value<'_>) -> &str {
    value
        .str()
        .or_else(|| std::str::from_utf8(value.raw()).ok())
        .unwrap_or_default()
}

impl<S> fmt::Debug for Turn<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}
