//! Saying what an [`Envelope`] looks like.

use std::fmt;
use std::sync::Arc;

use super::{Ask, Entity, Envelope, EnvelopeError, MessageKind, Write};
use crate::feed::names::Names;
use crate::feed::protocol::{Answer, Covers, Missing};
use crate::feed::reading::{Ids, TimeUnit};
use crate::feed::sequence::Policy;
use crate::json::Pointer;
use crate::record::Mode;

/// Builds an [`Envelope`]. A wrong pointer is reported by [`build`](Self::build).
#[must_use]
pub struct EnvelopeBuilder {
    name: Box<str>,
    url: Option<Box<str>>,
    entity: Option<Entity>,
    until: Option<char>,
    prefix: Box<str>,
    entities: Vec<Box<str>>,
    covers: Covers,
    items: Option<Pointer>,
    id: Option<Pointer>,
    ids: Ids,
    payload: Option<Pointer>,
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
    error: Option<EnvelopeError>,
}

impl EnvelopeBuilder {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            url: None,
            entity: None,
            until: None,
            prefix: "".into(),
            entities: Vec::new(),
            covers: Covers::Nothing,
            items: None,
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
            on_open: Vec::new(),
            write: None,
            error: None,
        }
    }

    /// Where to connect to.
    pub fn url(mut self, url: &str) -> Self {
        self.url = Some(url.into());
        self
    }

    /// All messages are for this entity.
    pub fn constant_entity(mut self, name: &str) -> Self {
        self.entity = Some(Entity::Constant(name.into()));
        self
    }

    /// Where the entity's name stands in the message.
    pub fn entity(mut self, pointer: &str) -> Self {
        self.entity = self.parse("entity", pointer).map(Entity::At);
        self
    }

    /// The entity's name ends before the first of this character: `tickers.BTCUSDT` is `tickers`.
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

    /// Where an array of items stands, each with its own id and payload. The pointers to id,
    /// sequence and time are then followed from the item and, where it has nothing there, from the
    /// message; the one to the payload from the item only.
    pub fn items(mut self, pointer: &str) -> Self {
        self.items = self.parse("items", pointer);
        self
    }

    /// Where the id stands.
    pub fn id(mut self, pointer: &str) -> Self {
        self.id = self.parse("id", pointer);
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
        self.kind = self.parse("kind", pointer);
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
        if let Some(pointer) = self.parse("control_if", pointer) {
            self.control_if.push(pointer);
        }
        self
    }

    /// A message with an integer at `request` answers that request; with something other than null
    /// at `error`, it denies it.
    pub fn answers(mut self, request: &str, error: &str) -> Self {
        let request = self.parse("answers", request);
        self.answer = request.zip(self.parse("answers", error));
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
    pub fn sequence(mut self, pointer: &str, policy: Policy) -> Self {
        self.sequence = self.parse("sequence", pointer);
        self.policy = policy;
        self
    }

    /// Where the first number of a range stands; the last is at [`sequence`](Self::sequence).
    pub fn first_sequence(mut self, pointer: &str) -> Self {
        self.first = self.parse("first_sequence", pointer);
        self
    }

    /// Where the number stands that the source says came before.
    pub fn previous_sequence(mut self, pointer: &str) -> Self {
        self.previous = self.parse("previous_sequence", pointer);
        self
    }

    /// Where the source's time stands, as an integer since the Unix epoch.
    pub fn source_time(mut self, pointer: &str, unit: TimeUnit) -> Self {
        self.time = self
            .parse("source_time", pointer)
            .map(|pointer| (pointer, unit));
        self
    }

    /// A text to be sent whenever a connection opens.
    pub fn on_open(mut self, text: &str) -> Self {
        self.on_open.push(text.to_owned());
        self
    }

    /// How to ask for streams: writes the text of one request and says how many of the streams it
    /// holds. Called on the feed's thread; must neither block nor panic.
    pub fn requests(
        mut self,
        answer: Answer,
        write: impl Fn(Ask<'_>) -> (String, usize) + Send + Sync + 'static,
    ) -> Self {
        self.write = Some((answer, Arc::new(write)));
        self
    }

    /// The envelope.
    ///
    /// # Errors
    /// The first pointer that is none; no entity; no id.
    pub fn build(self) -> Result<Envelope, EnvelopeError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let entity = self.entity.ok_or(EnvelopeError::NoEntity)?;
        let prefix = self.prefix;
        let (wildcard, entities) = match &entity {
            Entity::Constant(name) => (false, vec![name.clone()]),
            Entity::At(_) => {
                let names = self
                    .entities
                    .iter()
                    .map(|name| format!("{prefix}{name}").into());
                (self.entities.is_empty(), names.collect())
            }
        };
        Ok(Envelope {
            name: self.name,
            url: self.url,
            entity,
            until: self.until,
            prefix,
            entities,
            wildcard,
            covers: self.covers,
            items: self.items,
            id: self.id.ok_or(EnvelopeError::NoId)?,
            ids: self.ids,
            payload: match self.payload {
                Some(payload) => payload,
                None => pointer("payload", "")?,
            },
            kind: self.kind,
            words: self.words,
            default_kind: self.default_kind,
            control_if: self.control_if,
            answer: self.answer,
            mode: self.mode,
            missing: self.missing,
            sequence: self.sequence,
            first: self.first,
            previous: self.previous,
            policy: self.policy,
            time: self.time,
            on_open: self.on_open,
            write: self.write,
            names: Names::default(),
            scratch: String::new(),
        })
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
