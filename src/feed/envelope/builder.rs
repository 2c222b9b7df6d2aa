//! Saying in code what an [`Envelope`] looks like.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::condition::{Condition, Test};
use super::requests::{Ask, Writer};
use super::rule::{Data, KindOf, MessageKind, Moment, Numbers, Over, Payload, Rule, Service, Step};
use super::take::{Origin, Take};
use super::template::{Template, Use};
use super::{Beat, Envelope, EnvelopeError};
use crate::feed::protocol::{Answer, Covers, Missing};
use crate::feed::reading::{Ids, TimeUnit};
use crate::feed::sequence::Policy;
use crate::json::Pointer;
use crate::record::Mode;

/// Builds an [`Envelope`]. A wrong pointer is reported by [`build`](Self::build).
///
/// What is said about messages is one rule; [`or`](Self::or) adds others.
#[must_use]
pub struct EnvelopeBuilder {
    name: Box<str>,
    url: Option<Box<str>>,
    when: Vec<Condition>,
    entity: Option<Take>,
    until: Option<char>,
    prefix: Box<str>,
    entities: Vec<Box<str>>,
    covers: Covers,
    each: Option<Pointer>,
    items: Vec<Step>,
    id: Option<Take>,
    ids: Ids,
    payload: Option<Pointer>,
    kind: Option<Take>,
    words: Vec<(Box<str>, MessageKind)>,
    default_kind: Option<MessageKind>,
    control_if: Vec<Take>,
    answer: Option<(Take, Take)>,
    mode: Mode,
    missing: Missing,
    sequence: Option<Take>,
    first: Option<Take>,
    previous: Option<Take>,
    policy: Policy,
    time: Option<(Take, TimeUnit)>,
    channel: Option<Take>,
    numbering: Option<Take>,
    on_open: Vec<(Box<str>, bool)>,
    beat: Option<(Duration, Beat)>,
    beats: Vec<Box<str>>,
    write: Option<(Answer, Writer)>,
    others: Vec<Self>,
    error: Option<EnvelopeError>,
}

impl EnvelopeBuilder {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            url: None,
            when: Vec::new(),
            entity: None,
            until: None,
            prefix: "".into(),
            entities: Vec::new(),
            covers: Covers::Nothing,
            each: None,
            items: Vec::new(),
            id: None,
            ids: Ids::default(),
            payload: None,
            kind: None,
            words: Vec::new(),
            default_kind: None,
            control_if: Vec::new(),
            answer: None,
            mode: Mode::Merge,
            missing: Missing::default(),
            sequence: None,
            first: None,
            previous: None,
            policy: Policy::default(),
            time: None,
            channel: None,
            numbering: None,
            on_open: Vec::new(),
            beat: None,
            beats: Vec::new(),
            write: None,
            others: Vec::new(),
            error: None,
        }
    }

    /// Where to connect to.
    pub fn url(mut self, url: &str) -> Self {
        self.url = Some(url.into());
        self
    }

    /// The rule is for messages that pass this test, and all others that are given.
    pub fn when(mut self, at: impl Into<Take>, test: Test) -> Self {
        let take = self.check("when", at.into());
        self.when.push(Condition { take, test });
        self
    }

    /// Adds the rule of another builder: for messages that the rules before do not take. Of the
    /// other one only what makes its rule counts: conditions, entity, items, id, payload, kinds,
    /// numbers and time.
    pub fn or(mut self, other: Self) -> Self {
        self.others.push(other);
        self
    }

    /// All messages are for this entity.
    pub fn constant_entity(mut self, name: &str) -> Self {
        self.entity = Some(Take::constant(name));
        self
    }

    /// Where the entity's name stands in the message.
    pub fn entity(mut self, at: impl Into<Take>) -> Self {
        self.entity = Some(self.check("entity", at.into()));
        self
    }

    /// The entity's name ends before the first of this character, if there is one:
    /// `tickers.BTCUSDT` is `tickers`.
    pub const fn entity_until(mut self, end: char) -> Self {
        self.until = Some(end);
        self
    }

    /// What is put before names of entities from messages, and before those of
    /// [`entities`](Self::entities).
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Owns these entities, named as in messages; messages for others are unmapped. Without a
    /// list, every entity that nobody owns when its first payload comes.
    pub fn entities<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.entities = names.into_iter().map(Into::into).collect();
        self
    }

    /// Which entities of others go stale with the connection. Default: none.
    pub fn covers(mut self, covers: Covers) -> Self {
        self.covers = covers;
        self
    }

    /// Where an array of events stands, each of which goes through the rules by itself. A message
    /// without an array there is one event.
    pub fn each(mut self, pointer: &str) -> Self {
        self.each = self.parse("each", pointer);
        self
    }

    /// Where an array of items stands, each with its own id and payload. The pointers to id,
    /// sequence and time are then followed from the item and, where it has nothing there, from the
    /// message; the one to the payload from the item only. Given again, the items of items.
    pub fn items(self, pointer: &str) -> Self {
        self.step("items", pointer, Over::Elements)
    }

    /// As [`items`](Self::items), where an object stands, whose members are the items.
    pub fn members(self, pointer: &str) -> Self {
        self.step("members", pointer, Over::Members)
    }

    fn step(mut self, setting: &'static str, pointer: &str, over: Over) -> Self {
        let at = self.parse(setting, pointer);
        self.items.extend(at.map(|at| Step { at, over }));
        self
    }

    /// Where the id stands.
    pub fn id(mut self, at: impl Into<Take>) -> Self {
        self.id = Some(self.check("id", at.into()));
        self
    }

    /// How ids are taken. Default: as they come.
    pub const fn ids(mut self, ids: Ids) -> Self {
        self.ids = ids;
        self
    }

    /// Where the payload stands. Default: the whole message, or the whole item.
    pub fn payload(mut self, pointer: &str) -> Self {
        self.payload = self.parse("payload", pointer);
        self
    }

    /// Where the word stands that says what a message does; see [`word`](Self::word).
    pub fn kind(mut self, pointer: &str) -> Self {
        self.kind = Some(self.check("kind", pointer.into()));
        self
    }

    /// What a word at [`kind`](Self::kind) means. A message with another word is unmapped, unless
    /// there is a [`default_kind`](Self::default_kind).
    pub fn word(mut self, word: &str, kind: MessageKind) -> Self {
        self.words.push((word.into(), kind));
        self
    }

    /// What a message without a known word does. Default, where no words are looked for: a patch.
    pub const fn default_kind(mut self, kind: MessageKind) -> Self {
        self.default_kind = Some(kind);
        self
    }

    /// A message that has something here is for the feed itself. May be given several times.
    pub fn control_if(mut self, pointer: &str) -> Self {
        let take = self.check("control_if", pointer.into());
        self.control_if.push(take);
        self
    }

    /// A message with a whole number at `request` answers that request; with something other than
    /// null at `error`, it denies it.
    pub fn answers(mut self, request: &str, error: &str) -> Self {
        let request = self.check("answers", request.into());
        self.answer = Some((request, self.check("answers", error.into())));
        self
    }

    /// How patches change the old value. Default: RFC 7396.
    pub const fn merge(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// What a patch for an id without a value does. Default: nothing.
    pub const fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// Where the sequence number stands, and how the source numbers.
    pub fn sequence(mut self, at: impl Into<Take>, policy: Policy) -> Self {
        self.sequence = Some(self.check("sequence", at.into()));
        self.policy = policy;
        self
    }

    /// Where the first number of a range stands; the last is at [`sequence`](Self::sequence).
    pub fn first_sequence(mut self, at: impl Into<Take>) -> Self {
        self.first = Some(self.check("first_sequence", at.into()));
        self
    }

    /// Where the number stands that the source says came before.
    pub fn previous_sequence(mut self, at: impl Into<Take>) -> Self {
        self.previous = Some(self.check("previous_sequence", at.into()));
        self
    }

    /// Where the number stands that counts all messages of a connection together. A message
    /// without one has no place in the numbering.
    pub fn connection_sequence(mut self, at: impl Into<Take>) -> Self {
        self.numbering = Some(self.check("connection_sequence", at.into()));
        self
    }

    /// Where the source's time stands.
    pub fn source_time(mut self, at: impl Into<Take>, unit: TimeUnit) -> Self {
        self.time = Some((self.check("source_time", at.into()), unit));
        self
    }

    /// Where the channel stands under which a message is counted that no rule takes. Only parts of
    /// the message as they are can be counted under: no constants, no changed letters.
    pub fn channel(mut self, at: impl Into<Take>) -> Self {
        self.channel = Some(self.check("channel", at.into()));
        self
    }

    /// A text to be sent whenever a connection opens.
    pub fn on_open(mut self, text: &str) -> Self {
        self.on_open.push((text.into(), false));
        self
    }

    /// As [`on_open`](Self::on_open), for a text with a secret: a login, say. Whoever shows or
    /// records what is sent leaves it out.
    pub fn on_open_secret(mut self, text: &str) -> Self {
        self.on_open.push((text.into(), true));
        self
    }

    /// A text to be sent over and over while a connection is open.
    pub fn heartbeat(mut self, every: Duration, text: &str) -> Self {
        // No place is looked for, so that no text is wrong.
        let text = Template::new(text, Use::Opening).ok();
        self.beat = text.map(|text| (every, Beat::Text(text)));
        self
    }

    /// A whole text message, JSON or not, that is a sign of life and nothing else. May be given
    /// several times.
    pub fn heartbeat_text(mut self, text: &str) -> Self {
        self.beats.push(text.into());
        self
    }

    /// How to ask for streams: writes the text of one request and says how many of the streams it
    /// holds. Called on the feed's thread; must neither block nor panic.
    pub fn requests(
        mut self,
        answer: Answer,
        write: impl Fn(Ask<'_>) -> (String, usize) + Send + Sync + 'static,
    ) -> Self {
        self.write = Some((answer, Writer::Function(Arc::new(write))));
        self
    }

    /// The envelope.
    ///
    /// # Errors
    /// The first pointer that is none; no entity; no id.
    pub fn build(self) -> Result<Envelope, EnvelopeError> {
        let mut builder = self;
        let mut rules = builder.take_rules()?;
        for mut other in std::mem::take(&mut builder.others) {
            rules.append(&mut other.take_rules()?);
        }
        let prefix = &builder.prefix;
        let entities = builder.entities.iter();
        let entities: Vec<_> = entities
            .map(|name| format!("{prefix}{name}").into())
            .collect();
        let listed = (!entities.is_empty()).then_some(entities);
        let mut envelope = Envelope::of(builder.name, rules, listed, builder.covers);
        envelope.each = builder.each;
        envelope.ids = builder.ids;
        envelope.channel = builder.channel;
        envelope.numbering = builder.numbering;
        envelope.link.url = builder.url;
        envelope.link.on_open = builder.on_open;
        envelope.link.beat = builder.beat;
        envelope.link.beats = builder.beats;
        if let Some((answer, writer)) = builder.write {
            envelope.link.answered = answer == Answer::Expected;
            envelope.writer = Some(writer);
        }
        Ok(envelope)
    }

    /// The rules that were said: answers, what is for the feed itself, values.
    fn take_rules(&mut self) -> Result<Vec<Rule>, EnvelopeError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut rules = Vec::new();
        if let Some((request, error)) = self.answer.take() {
            let take = request.clone();
            let is_answer = Condition {
                take,
                test: Test::Number,
            };
            rules.push(Rule {
                service: Service {
                    request: Some(request),
                    reason: Some(error),
                    ..Service::default()
                },
                ..Rule::service(vec![is_answer], MessageKind::Answer)
            });
        }
        for take in self.control_if.drain(..) {
            let test = Test::Present;
            let when = vec![Condition { take, test }];
            rules.push(Rule::service(when, MessageKind::Control));
        }
        rules.push(self.take_rule()?);
        Ok(rules)
    }

    fn take_rule(&mut self) -> Result<Rule, EnvelopeError> {
        let mut entity = self.entity.take().ok_or(EnvelopeError::NoEntity)?;
        if entity.as_constant().is_none() {
            if let Some(end) = self.until {
                entity = entity.until(end.encode_utf8(&mut [0; 4]));
            }
            entity.put_before(&self.prefix);
        }
        let numbers = self.sequence.take().map(|last| Numbers {
            last,
            first: self.first.take(),
            previous: self.previous.take(),
            policy: self.policy,
            optional: false,
        });
        let time = self.time.take().map(|(at, unit)| Moment {
            at,
            unit,
            optional: false,
        });
        let payload = match self.payload.take() {
            Some(payload) => payload,
            None => pointer("payload", "")?,
        };
        Ok(Rule {
            when: std::mem::take(&mut self.when),
            items: std::mem::take(&mut self.items),
            only: Vec::new(),
            kind: match self.kind.take() {
                None => KindOf::Always(self.default_kind.unwrap_or(MessageKind::Patch)),
                Some(at) => KindOf::Word {
                    at,
                    words: std::mem::take(&mut self.words),
                    default: self.default_kind,
                },
            },
            data: Some(Data {
                entity,
                id: Some(self.id.take().ok_or(EnvelopeError::NoId)?),
                payload: Payload::At(payload, Origin::Item),
                mode: self.mode,
                missing: self.missing,
                numbers,
                time,
            }),
            service: Service::default(),
            more: false,
        })
    }

    /// Keeps the first pointer that is none for [`build`](Self::build).
    fn check(&mut self, setting: &'static str, take: Take) -> Take {
        if let Some((text, error)) = take.bad() {
            let text = text.to_owned();
            self.error.get_or_insert(EnvelopeError::Pointer {
                setting,
                text,
                error,
            });
        }
        take
    }

    fn parse(&mut self, setting: &'static str, text: &str) -> Option<Pointer> {
        match pointer(setting, text) {
            Ok(pointer) => Some(pointer),
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }
}

fn pointer(setting: &'static str, text: &str) -> Result<Pointer, EnvelopeError> {
    Pointer::new(text).map_err(|error| {
        let text = text.to_owned();
        EnvelopeError::Pointer {
            setting,
            text,
            error,
        }
    })
}

impl fmt::Debug for EnvelopeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Texts to send may hold a secret.
        f.debug_struct("EnvelopeBuilder")
            .field("name", &self.name)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
