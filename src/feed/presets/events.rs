//! Plain events: `{"entity":..,"id":..,"payload":..}`, the seed of the project.
//!
//! | message | effect |
//! | --- | --- |
//! | `entity`, `id`, `payload` | the payload is merged into the value of the id (RFC 7396) |
//! | `entity`, `id`, `payload` null | the id is removed |
//! | `entity`, `id` | the value of the id is invalidated |
//! | `entity` | all values of the entity are invalidated |
//! | `entity`, `payload` | refused: one payload is not the value of every id |
//! | an array of such objects | all of them, or, if one is refused, none |
//!
//! | anything else | refused, or, with [`Events::other_shapes`], unmapped |
//!
//! An `id` that is null is absent; `0` and `""` are ids. The order of members means nothing, the
//! case of their names everything, and further members are left alone.

use std::fmt;

use crate::feed::names::Names;
use crate::feed::outbox::{Outbox, OutboxFull};
use crate::feed::protocol::{
    Address, Claims, Class, Covers, Missing, Protocol, Refusal, Sink, Subscription, Update,
};
use crate::feed::reading::Ids;
use crate::feed::shown::without_secrets;
use crate::json::{Message, Value};
use crate::record::{Kind, Mode};

/// The protocol of plain events.
///
/// By default it claims every entity that nobody owns when its first payload comes, and covers
/// every entity that no other feed owns.
#[derive(Clone)]
pub struct Events {
    name: Box<str>,
    url: Option<Box<str>>,
    update: Update,
    ids: Ids,
    entities: Vec<Box<str>>,
    wildcard: bool,
    covers: Covers,
    on_open: Vec<String>,
    other_shapes: bool,
    names: Names,
}

/// What messages of other shapes are counted under.
const OTHER_SHAPES: &str = "(other shapes)";

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    /// RFC 7396, unknown ids ignored, any entity.
    #[must_use]
    pub fn new() -> Self {
        Self {
            name: "events".into(),
            url: None,
            update: Update::patch(),
            ids: Ids::default(),
            entities: Vec::new(),
            wildcard: true,
            covers: Covers::Unowned,
            on_open: Vec::new(),
            other_shapes: false,
            names: Names::default(),
        }
    }

    /// What the feed is called.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Where the events come from.
    #[must_use]
    pub fn url(mut self, url: &str) -> Self {
        self.url = Some(url.into());
        self
    }

    /// How a payload changes the old value. [`Mode::Shallow`] is the seed to the letter:
    /// `{...old, ...payload}`, where a null member is a value.
    #[must_use]
    pub fn merge(mut self, mode: Mode) -> Self {
        self.update.mode = mode;
        self.update.whole = mode == Mode::Replace;
        self
    }

    /// What a payload for an id without a value does. Default: nothing, as in the seed.
    #[must_use]
    pub const fn missing(mut self, missing: Missing) -> Self {
        self.update.missing = missing;
        self
    }

    /// Payloads are whole values: they replace the old one, or make the first.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.update = Update::whole();
        self
    }

    /// How ids are taken. Default: as they come.
    #[must_use]
    pub const fn ids(mut self, ids: Ids) -> Self {
        self.ids = ids;
        self
    }

    /// Owns these entities from the start, and no others.
    #[must_use]
    pub fn entities<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.entities = names.into_iter().map(Into::into).collect();
        self.wildcard = false;
        self
    }

    /// Which entities of others go stale with the connection. Default: all that no feed owns.
    #[must_use]
    pub fn covers(mut self, covers: Covers) -> Self {
        self.covers = covers;
        self
    }

    /// A text to be sent whenever a connection opens.
    #[must_use]
    pub fn on_open(mut self, text: &str) -> Self {
        self.on_open.push(text.to_owned());
        self
    }

    /// Messages that name no entity are expected: they are unmapped, not refused. For messages that
    /// something else takes care of; see [`Intake::tap`](crate::feed::Intake::tap).
    #[must_use]
    pub const fn other_shapes(mut self) -> Self {
        self.other_shapes = true;
        self
    }

    /// Whether a message is about no entity at all: none of its events names one.
    fn is_other(root: Value<'_>) -> bool {
        let names_one = |event: Value<'_>| event.pick(&["entity"])[0].is_some();
        match root.kind() {
            Kind::Array => !root.elements().any(names_one),
            _ => !names_one(root),
        }
    }

    fn event<S: Sink>(&mut self, event: Value<'_>, sink: &mut S) -> Result<bool, Refusal> {
        if !event.is_object() {
            return Err(Refusal::Shape);
        }
        let [entity, id, payload] = event.pick(&["entity", "id", "payload"]);
        let entity = entity
            .and_then(|entity| entity.string())
            .ok_or(Refusal::NoEntity)?;
        let id = match id {
            Some(id) => self.ids.read(id)?,
            None => None,
        };
        if payload.is_some() && id.is_none() {
            return Err(Refusal::WholeEntity);
        }
        let entity = self.names.resolve_bytes(entity, sink)?;
        match (payload, id) {
            (Some(payload), Some(id)) => {
                if payload.is_null() {
                    sink.remove(entity, id, self.update)?;
                } else {
                    sink.patch(entity, id, self.update, payload)?;
                }
                Ok(true)
            }
            (_, id) => sink.invalidate(entity, id).map(|()| false),
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Texts to send may hold a secret, and so may the query of the URL.
        f.debug_struct("Events")
            .field("name", &self.name)
            .field("url", &self.url.as_deref().map(without_secrets))
            .field("update", &self.update)
            .field("ids", &self.ids)
            .field("entities", &self.entities)
            .field("wildcard", &self.wildcard)
            .field("covers", &self.covers)
            .field("on_open", &self.on_open.len())
            .finish_non_exhaustive()
    }
}

impl Protocol for Events {
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
        if self.other_shapes && Self::is_other(root) {
            return Ok(Class::Unmapped(OTHER_SHAPES));
        }
        let mut has_data = false;
        if root.kind() == Kind::Array {
            if root.is_empty() {
                return Err(Refusal::Shape);
            }
            for event in root.elements() {
                has_data |= self.event(event, sink)?;
            }
        } else {
            has_data = self.event(root, sink)?;
        }
        Ok(if has_data {
            Class::Data
        } else {
            Class::Invalidation
        })
    }
}

#[cfg(test)]
mod tests;
